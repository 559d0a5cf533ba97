//! Every condition type and reason, each with what it means and what to do. The reference page is written from this
//! file, so a reason without documentation cannot exist.

/// A condition type or reason as the reference page shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Documented {
    pub name: &'static str,
    /// Kinds it appears on.
    pub on: &'static str,
    pub means: &'static str,
    /// What a person should do; "Nothing." if it passes by itself.
    pub do_: &'static str,
}

macro_rules! documented {
    ($all:ident: $($constant:ident = $name:literal, $on:literal, $means:literal, $do_:literal;)+) => {
        $(
            #[doc = $means]
            #[doc = ""]
            #[doc = concat!("On ", $on, ". What to do: ", $do_)]
            pub const $constant: &str = $name;
        )+

        pub(super) const $all: &[super::Documented] =
            &[$(super::Documented { name: $name, on: $on, means: $means, do_: $do_ }),+];
    };
}

/// Every condition type.
pub const ALL_TYPES: &[Documented] = types::ALL;
/// Every reason.
pub const ALL_REASONS: &[Documented] = reason::ALL;

/// Condition types. At most eight appear on one object.
#[rustfmt::skip]
pub mod types {
    documented! { ALL:
    READY = "Ready", "all",
        "The object does what it is there for; the message says what is awaited, from whom and until when.",
        "Read the message.";
    RECONCILING = "Reconciling", "all",
        "There only while the operator is still working towards what the spec asks for.",
        "Nothing.";
    STALLED = "Stalled", "all",
        "There only while the operator cannot go on before somebody changes something.",
        "Read the reason and the message.";
    RPC_AVAILABLE = "RpcAvailable", "FLChain",
        "An endpoint answers, is on the right chain and is not behind.",
        "If False: check the Secret with the RPC URLs and the nodes behind them.";
    CLOCK_SKEW = "ClockSkew", "FLChain",
        "True if the chain's time and this cluster's clock differ by more than a few blocks.",
        "If True: check the nodes' time service; on a test chain, the block producer.";
    MANAGERS_TRUSTED = "ManagersTrusted", "FLChain",
        "The trusted managers exist on chain and have the expected code.",
        "If False: compare addresses and code hashes with those the contracts' owner publishes.";
    CONTRACT_VERIFIED = "ContractVerified", "FLTask",
        "The contract has the expected code and is registered at a trusted manager.",
        "If False: nothing is staked there; check the address.";
    DEFINITION_AVAILABLE = "DefinitionAvailable", "FLTask",
        "The training definition is at hand and has the hash that is on chain.",
        "If False: see the reason.";
    CREATED = "Created", "FLTask",
        "The task asked for by `create` exists on chain.",
        "If False: see the reason.";
    SIGNER_AVAILABLE = "SignerAvailable", "FLTask, FLClient",
        "The signing key is at hand: its Secret exists, has the right type and holds a key, or KMS signs with it.",
        "If False: make or mend what the message names; the operator looks again by itself.";
    PREFLIGHT = "Preflight", "FLClient",
        "A check Job pulled the image, read the data, ran a batch on the requested device and derived the genesis model.",
        "If False: see the reason; nothing is staked before this is True.";
    FUNDED = "Funded", "FLTask, FLClient",
        "The key has enough native coin for gas and, before staking, enough tokens.",
        "If False: send what the message names to the address it names.";
    DUTY_AT_RISK = "DutyAtRisk", "FLClient",
        "True while a duty of the running round may be missed, which costs stake.",
        "If True: resolve what the message names before the deadline in it.";
    JOB_PENDING = "JobPending", "FLClient",
        "True while the pod of a Job could not start.",
        "If True: see the reason: image, volume or scheduling.";
    }
}

/// Reasons, by kind of trouble.
#[rustfmt::skip]
pub mod reason {
    documented! { ALL:
    // --- all is well ---
    AVAILABLE = "Available", "FLChain",
        "An endpoint answers, is on the right chain and is not behind.", "Nothing.";
    RUNNING = "Running", "FLTask, FLClient",
        "Everything needed is there and the round takes its course.", "Nothing.";
    SUCCEEDED = "Succeeded", "all",
        "What the condition is about has been done or holds.", "Nothing.";
    IN_PROGRESS = "InProgress", "all",
        "The operator is working on it.", "Nothing.";
    WAITING = "Waiting", "FLTask, FLClient",
        "Something else must happen first; the message says what.", "Nothing, unless the message says so.";
    COMPLETED = "Completed", "FLTask, FLClient",
        "The task has ended; for a client, stake and rewards are claimed.", "Nothing; the objects can be deleted.";
    DRAINED = "Drained", "FLClient",
        "`drain` is set and no duty is left.", "Nothing; unset `drain` to join again, or delete the client.";
    SUSPENDED = "Suspended", "FLTask, FLClient",
        "`suspend` is set on the task: no Job and no transaction.", "Unset `suspend`; the message names any duty at risk.";
    DELETING = "Deleting", "FLTask, FLClient",
        "Deletion waits: a client for its running duty, a task for its clients.",
        "Nothing; to give up a client's duty, annotate it with fl-alliance.io/abandon=true.";
    UNKNOWN = "Unknown", "all",
        "Not looked at yet.", "Nothing.";

    // --- chain and RPC ---
    CHAIN_NOT_FOUND = "ChainNotFound", "FLTask, FLClient",
        "There is no FLChain of the name in `chainRef`.", "Make it, or make the task again with another `chainRef`.";
    CHAIN_NOT_READY = "ChainNotReady", "FLTask, FLClient",
        "The FLChain is not ready; its own conditions say why.", "See `kubectl describe flchain`.";
    RPC_UNREACHABLE = "RpcUnreachable", "FLChain",
        "No endpoint answers.", "Check the URLs in the Secret, the network policy and the nodes.";
    RPC_LAGGING = "RpcLagging", "FLChain",
        "The best endpoint's head is old.", "Wait for the node to catch up, or put a better URL first.";
    RPC_SECRET_INVALID = "RpcSecretInvalid", "FLChain",
        "The Secret's value is not a list of http or https URLs, one a line.", "Mend the Secret in the operator's namespace.";
    WRONG_CHAIN_ID = "WrongChainId", "FLChain",
        "The endpoint is on a chain with another id.", "Correct the URL, or make an FLChain with that id.";
    WRONG_GENESIS = "WrongGenesis", "FLChain",
        "The endpoint's block 0 has another hash: another chain with the same id.", "Correct the URL or the FLChain's genesisHash.";
    CLOCKS_AGREE = "ClocksAgree", "FLChain",
        "Chain time and wall clock agree.", "Nothing.";
    CLOCKS_DIFFER = "ClocksDiffer", "FLChain",
        "Chain time and wall clock differ.", "Check time synchronisation; deadlines are judged by the chain's time.";

    // --- contracts ---
    NO_CODE = "NoCode", "FLTask, FLChain",
        "There is no contract at the address.", "Check the address and the chain.";
    UNKNOWN_CONTRACT = "UnknownContract", "FLTask",
        "No trusted manager knows the contract, or its code is not the expected one.",
        "Check the address; or add its manager to the FLChain's trustedManagers if you trust it.";
    UNTRUSTED_MANAGER = "UntrustedManager", "FLTask",
        "The manager in `create` is not among the FLChain's trustedManagers.", "Add it there, or make the task with another manager.";
    CODE_MISMATCH = "CodeMismatch", "FLTask, FLChain",
        "A contract's code is not the expected one.", "Compare with what the contracts' owner publishes; do not stake meanwhile.";
    CREATING = "Creating", "FLTask",
        "The transactions that create the task have been sent or are about to be.",
        "Wait; if it lasts, look at the FLChain: an endpoint that stands still mines nothing.";
    CREATOR_NOT_ALLOWED = "CreatorNotAllowed", "FLTask",
        "The manager does not allow this creator.", "Ask the manager's owner: `fl-alliance-operator chain allow-creator`.";
    PARAMETERS_INVALID = "ParametersInvalid", "FLTask",
        "The contract refuses the parameters in `create`.", "Make the task again with the value named in the message mended.";
    PARAMETERS_MISMATCH = "ParametersMismatch", "FLTask",
        "A task of this creator and salt exists with other parameters.", "Use another salt, or join it by its address.";

    // --- definition, store ---
    DEFINITION_MISMATCH = "DefinitionMismatch", "FLTask",
        "The definition does not hash to what is on chain.", "Make the task again with the right definition, or without one to fetch it.";
    DEFINITION_INVALID = "DefinitionInvalid", "FLTask, FLClient",
        "The definition cannot be understood or run.", "Make the task again with the field named in the message mended.";
    DEFINITION_NOT_FOUND = "DefinitionNotFound", "FLTask",
        "The store has no definition of the hash on chain.", "Give the definition in the spec, or check the store.";
    STORE_UNKNOWN = "StoreUnknown", "FLTask",
        "This operator has no store of the name in `storeRef`.", "Make the task again with a store the chart configures.";
    STORE_UNREACHABLE = "StoreUnreachable", "FLTask, FLClient",
        "The gateway or the store behind it does not answer.", "Check the gateway Deployment and its volume.";
    STORE_FULL = "StoreFull", "FLTask, FLClient",
        "The store has no room left.", "Enlarge the volume, or delete finished tasks.";

    // --- signer and money ---
    SECRET_MISSING = "SecretMissing", "all",
        "The Secret, or the key in it, does not exist.", "Make it; the operator looks again by itself.";
    SECRET_TYPE = "SecretType", "FLTask, FLClient",
        "The Secret is not of type fl-alliance.io/signing-key.", "Make it again with that type: other Secrets are never read.";
    SECRET_INVALID = "SecretInvalid", "all",
        "The Secret does not hold what it should: a signing key is 64 hex digits under `privateKey`, or a `keystore` with its `passphrase`.",
        "Mend the Secret.";
    KEYSTORE_INVALID = "KeystoreInvalid", "FLTask, FLClient",
        "The `keystore` is not a Web3 secret storage of version 3, or not of the address it names.",
        "Put the file in again, whole, as geth or `cast wallet` wrote it.";
    KEYSTORE_COSTLY = "KeystoreCostly", "FLTask, FLClient",
        "Opening the `keystore` would take more memory or time than the operator gives to one.",
        "Encrypt the key anew with common parameters (scrypt with n = 262144, r = 8, p = 1 or less).";
    PASSPHRASE_WRONG = "PassphraseWrong", "FLTask, FLClient",
        "The `passphrase` does not open the `keystore`.", "Mend the Secret: one line feed at its end is ignored, all else counts.";
    KMS_NOT_BUILT = "KmsNotBuilt", "FLTask, FLClient",
        "The signer is a KMS key and this build of the operator has no KMS.",
        "Use an image built with the feature `aws-kms`, or a Secret.";
    KMS_NOT_GRANTED = "KmsNotGranted", "FLTask, FLClient",
        "The operator's configuration does not grant this namespace this KMS key.",
        "Ask the operator's administrator for an entry in the chart value `kms.keys`.";
    KMS_FAILED = "KmsFailed", "FLTask, FLClient",
        "KMS does not answer, or refuses the operator, or the key is of another kind.",
        "Read the message; check the key's policy, its spec (ECC_SECG_P256K1) and the operator's cloud identity.";
    NOT_SIGNED = "NotSigned", "FLTask, FLClient",
        "A transaction could not be signed: the service that holds the key does not answer or refuses.",
        "Check the key's policy and the operator's cloud identity; it is tried again by itself.";
    SIGNER_IN_USE = "SignerInUse", "FLClient",
        "An older FLClient has the same chain, task and address.", "Delete one of the two, or use another key.";
    SIGNER_CHANGED = "SignerChanged", "FLClient",
        "The Secret now holds another key than the one that has stake in the task.", "Put the old key back, or make another FLClient.";
    LOW_FUNDS = "LowFunds", "FLTask, FLClient",
        "The key cannot pay the gas of a round.", "Send native coin to the address in the message.";
    NOT_ENOUGH_TOKENS = "NotEnoughTokens", "FLTask, FLClient",
        "The key holds too few tokens for stake or reward pool.", "Send tokens to the address in the message.";
    STAKE_BELOW_ENTRY = "StakeBelowEntry", "FLClient",
        "`stake` is below the task's entry stake.", "Raise `stake`.";
    FOREIGN_TRANSACTION = "ForeignTransaction", "FLTask, FLClient",
        "A transaction this operator did not send is pending on the key; it is waited for.",
        "Use the key nowhere else; if it is stuck, replace it from where it was sent.";
    FEE_CAP_REACHED = "FeeCapReached", "FLTask, FLClient",
        "The chain asks for more than maxFeePerGasGwei.", "Raise the cap on the FLChain, or wait; the message names what is at risk.";
    TRANSACTION_REVERTED = "TransactionReverted", "FLTask, FLClient",
        "The contract refused a transaction, or would refuse it.", "Read the message; the operator decides anew at the next block.";

    // --- participation ---
    SPEC_INVALID = "SpecInvalid", "FLClient",
        "A value of the spec cannot be used: not a quantity, or not exactly one volume.", "Correct the field in the message.";
    TASK_NOT_FOUND = "TaskNotFound", "FLClient",
        "There is no FLTask of the name in `taskRef`.", "Make it, or make the client again with another `taskRef`.";
    TASK_NOT_READY = "TaskNotReady", "FLClient",
        "The FLTask is not ready; its own conditions say why.", "See `kubectl describe fltask`.";
    NOT_ALLOWED = "NotAllowed", "FLClient",
        "The task has an allow list and this address is not on it.", "Ask the task's creator to add the address.";
    REMOVED = "Removed", "FLClient",
        "Too little stake was left after a slash: the contract removed the address for good.",
        "What is left is claimed at the end; find out why votes or models were bad.";
    FOREIGN_COMMITMENT = "ForeignCommitment", "FLClient",
        "The chain holds a commitment of this key that the vote ledger does not know.",
        "Another operator uses the key, or the ledger was lost: restore the operator's Secrets from backup, or delete the client.";
    KEY_USED_ELSEWHERE = "KeyUsedElsewhere", "FLClient",
        "In an earlier round the key voted and this operator did not record it: a second cluster has the key, or Secrets of this one were lost. No further round is joined; what it was drawn for is done.",
        "Stop the other operator or use another key; or restore the operator's Secrets; if the vote was yours, annotate the FLClient with fl-alliance.io/key-is-mine=<round>.";
    GENESIS_MISMATCH = "GenesisMismatch", "FLClient",
        "This participant derives another genesis model from the definition than the chain's.",
        "Do not join: the creator used another generator; check versions.";
    LEDGER_INVALID = "LedgerInvalid", "FLClient",
        "A Secret of the vote ledger, or its seed, is not what the operator wrote.",
        "Restore the operator's Secrets from a backup; nothing is committed or revealed meanwhile.";
    OPERATOR_FORBIDDEN = "OperatorForbidden", "FLClient",
        "The API server does not permit the operator what it needs in this namespace.",
        "Add the namespace to the chart's tenant namespaces, or mend the Role there.";
    NOT_FINISHED = "NotFinished", "FLClient",
        "A duty was left because it could not be done in time.", "See the Events; the stake named there was slashed.";

    // --- Jobs ---
    CHECKING = "Checking", "FLClient",
        "The check Job is running.", "Nothing.";
    DATA_INVALID = "DataInvalid", "FLClient",
        "The data cannot be read as the format says, is empty, or does not fit the definition; or the definition's base model is on no volume of `spec.baseModels`, or a file of it is not what its manifest says.", "Mend the volume named in the message; it is checked again by itself.";
    MEMORY = "OutOfMemory", "FLClient",
        "The trainer ran out of memory.", "Raise the memory limit in `trainer.resources`.";
    TRAINER_INCOMPATIBLE = "TrainerIncompatible", "FLClient",
        "The trainer image does not understand the input document.", "Use an image that fits this operator's version.";
    DEVICE_MISSING = "DeviceMissing", "FLClient",
        "The requested device is not in the pod.", "Set a GPU limit in `trainer.resources`, or `device: auto`.";
    UPLOAD_REFUSED = "UploadRefused", "FLClient",
        "The gateway refused a Job's model or result.", "See the gateway's log; a Job that was replaced ends like this.";
    IMAGE_PULL = "ImagePull", "FLClient",
        "The trainer image cannot be pulled.", "Check `trainer.image`, its registry and `imagePullSecrets`.";
    UNSCHEDULABLE = "Unschedulable", "FLClient",
        "No node fits the trainer pod (resources, GPU, selector, taints).", "Change `trainer`, or add a node.";
    VOLUME = "VolumeUnavailable", "FLClient",
        "A volume cannot be mounted, or none is named for the base model of the task's module.", "Check `data.volume`, `baseModels` and their claims.";
    POD_NOT_ADMITTED = "PodNotAdmitted", "FLClient",
        "The API server refuses the Job's pods (quota, admission, Pod Security).", "Read the message; ask the cluster's administrator.";
    JOB_FAILED = "JobFailed", "FLClient",
        "A Job failed for another reason.", "See the pod's log; it is retried as long as the deadline allows.";
    QUEUED = "Queued", "FLClient",
        "The Job waits in its queue.", "Nothing, or ask whoever runs the queue.";
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_name_is_unique_camel_case_and_says_what_to_do() {
        for list in [ALL_TYPES, ALL_REASONS] {
            let names: BTreeSet<_> = list.iter().map(|entry| entry.name).collect();
            assert_eq!(names.len(), list.len());
            for entry in list {
                assert!(
                    entry.name.starts_with(|c: char| c.is_ascii_uppercase()),
                    "{}",
                    entry.name
                );
                assert!(entry.name.bytes().all(|b| b.is_ascii_alphanumeric()), "{}", entry.name);
                assert!(entry.means.ends_with('.') && entry.do_.ends_with('.'), "{}", entry.name);
            }
        }
    }

    #[test]
    fn no_kind_can_have_more_than_eight_conditions() {
        for kind in ["FLChain", "FLTask", "FLClient"] {
            let count = ALL_TYPES
                .iter()
                .filter(|t| t.on == "all" || t.on.contains(kind))
                .count();
            assert!(count <= 8, "{kind}: {count}");
        }
    }
}
