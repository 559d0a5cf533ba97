//! Names that controllers, charts and people share: labels, annotations, finalizers, Secret types.

/// API group of every resource here.
pub const GROUP: &str = "fl-alliance.io";
/// The one served version.
pub const VERSION: &str = "v1alpha1";
/// Field manager of everything the controller applies.
pub const FIELD_MANAGER: &str = "fl-alliance-operator";

/// Longest name of an FLTask or FLClient, so that derived names (Jobs, rounds) stay below 63 characters.
pub const MAX_NAME: usize = 40;

/// Holds a task while clients refer to it, and a client until its duty on chain is done.
pub const FINALIZER: &str = "fl-alliance.io/finalizer";

/// Label: name of the FLTask.
pub const LABEL_TASK: &str = "fl-alliance.io/task";
/// Label: name of the FLClient.
pub const LABEL_CLIENT: &str = "fl-alliance.io/client";
/// Label: round as a decimal number.
pub const LABEL_ROUND: &str = "fl-alliance.io/round";
/// Label: `check`, `train` or `vote`.
pub const LABEL_STEP: &str = "fl-alliance.io/step";
/// Label on trainer pods, selected by the chart's NetworkPolicy.
pub const LABEL_COMPONENT: &str = "app.kubernetes.io/component";
/// Value of [`LABEL_COMPONENT`] on trainer pods.
pub const COMPONENT_TRAINER: &str = "trainer";
/// Label that names who made an object.
pub const LABEL_MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// Value of [`LABEL_MANAGED_BY`].
pub const MANAGED_BY: &str = "fl-alliance-operator";
/// Label on a Job: the queue it is admitted by (Kueue).
pub const LABEL_QUEUE: &str = "kueue.x-k8s.io/queue-name";

/// Annotation on an FLClient (value `true`): deletion gives up the running duty and what it may cost.
pub const ANNOTATION_ABANDON: &str = "fl-alliance.io/abandon";
/// Annotation on an FLClient: up to this round (a number) all votes of its key are its owner's, whatever the ledger knows.
pub const ANNOTATION_KEY_IS_MINE: &str = "fl-alliance.io/key-is-mine";
/// Annotation on a Job: the JobIdentity it was made from, as JSON.
pub const ANNOTATION_IDENTITY: &str = "fl-alliance.io/job-identity";

/// Secret type of a participant's, keeper's or creator's key.
pub const SECRET_TYPE_SIGNING_KEY: &str = "fl-alliance.io/signing-key";
/// Key in such a Secret: 64 hex digits, with or without 0x.
pub const SIGNING_KEY_FIELD: &str = "privateKey";
/// Key in such a Secret, instead: an encrypted key, as the JSON of Web3 secret storage version 3.
pub const KEYSTORE_FIELD: &str = "keystore";
/// Key in such a Secret: what opens the keystore. One line feed at its end is not part of it.
pub const PASSPHRASE_FIELD: &str = "passphrase";
/// Secret type of one stored vote (operator's namespace, immutable).
pub const SECRET_TYPE_VOTE: &str = "fl-alliance.io/vote-ledger";
/// Secret type of the ledger seed (operator's namespace; back this up).
pub const SECRET_TYPE_LEDGER_SEED: &str = "fl-alliance.io/ledger-seed";
/// Secret type of a trainer pod's input document and token.
pub const SECRET_TYPE_JOB_INPUT: &str = "fl-alliance.io/job-input";
/// Secret type of the gateway's token keys.
pub const SECRET_TYPE_TOKEN_KEY: &str = "fl-alliance.io/token-key";
/// Key in it: 32 random bytes with which new tokens are signed.
pub const TOKEN_KEY_FIELD: &str = "current";
/// Key in it: the key before, still accepted (absent unless a rotation is under way).
pub const TOKEN_KEY_PREVIOUS_FIELD: &str = "previous";

/// The store a task without `storeRef` uses.
pub const DEFAULT_STORE: &str = "default";

/// Name of the FLRound that mirrors `round` of a task.
pub fn round_name(task: &str, round: u32) -> String {
    format!("{task}-r{round:04}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_sort_by_name_and_fit_a_label() {
        assert_eq!(round_name("digits", 7), "digits-r0007");
        assert!(round_name(&"t".repeat(MAX_NAME), 9999).len() <= 63);
    }

    #[test]
    fn a_job_name_fits_the_limit_of_a_pod_label() {
        let job = format!("{}-{}-{}-{}", "c".repeat(MAX_NAME), 9999, "check", "0123abcd");
        assert!(job.len() <= 63, "{}", job.len());
    }
}
