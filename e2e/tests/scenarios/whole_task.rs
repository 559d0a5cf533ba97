//! A task from `kubectl apply` to the last claim.

use std::{collections::BTreeMap, time::Duration};

use alloy::primitives::Address;
use e2e::{
    cluster,
    key::TestKey,
    leaks::{Secrets, readable},
    manifests::{TaskShape, encrypted_key},
    task::Team,
};
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::{ResourceExt, api::ListParams};
use protocol::types::{Outcome, Phase};

use crate::{
    lab::{TINY, lab},
    table,
};

#[tokio::test]
async fn a_task_runs_to_its_end_everybody_claims_and_status_agrees_with_the_chain() {
    let (lab, kube) = lab().await;
    let team = Team::new(&kube, "whole", "digits", TINY, 3, TaskShape::tiny(2, 3));
    // One of them has its key in a keystore.
    let passphrase = TestKey::random().hex();
    let encrypted = &team.members[0];
    team.fund(&lab.devnet).await.unwrap();
    let mut manifests = team.manifests(&lab.devnet);
    let items = manifests["items"].as_array_mut().unwrap();
    items.retain(|o| !(o["kind"] == "Secret" && o["metadata"]["name"] == encrypted.name.as_str()));
    let keystore = encrypted.key.keystore(&passphrase).unwrap();
    items.push(encrypted_key("whole", &encrypted.name, &keystore, &passphrase));
    cluster::apply(&manifests).unwrap();
    let mut secrets = Secrets::default();
    secrets.hex("the API key", &lab.site.api_key).unwrap();
    secrets.text("the passphrase", &passphrase).unwrap();
    for (name, key) in team.members.iter().map(|m| (&m.name, &m.key)) {
        secrets.hex(&format!("the key of {name}"), &key.hex()).unwrap();
    }
    secrets.hex("the creator's key", &team.creator.hex()).unwrap();
    let contract = team.contract().await.unwrap();

    // While it runs: what its pods can see.
    let mut steps = BTreeMap::new();
    let watching = async {
        loop {
            let pods: Vec<Pod> = team.api::<Pod>().list(&ListParams::default()).await.unwrap().items;
            for pod in pods {
                let step = pod.labels().get("fl-alliance.io/step").cloned().unwrap_or_default();
                steps.entry(step).or_insert(pod);
            }
            secrets.of_namespace("whole").unwrap();
            let task = team.task_object().await.unwrap();
            let status = task.status.unwrap_or_default();
            if status.phase == Some(Phase::Ended) {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    };
    let status = tokio::time::timeout(Duration::from_secs(420), watching)
        .await
        .expect("the task ended in seven minutes");
    for step in ["check", "train", "vote"] {
        let pod = steps.get(step).unwrap_or_else(|| panic!("no {step} pod was seen"));
        holds_nothing_secret(pod, &lab.devnet.cluster_url());
        let input = input_of(&team, pod).await;
        let keys: Vec<&String> = input.data.iter().flat_map(|data| data.keys()).collect();
        assert_eq!(keys, ["ca.crt", "input.json", "token"], "{step}");
        let document = String::from_utf8(input.data.unwrap()["input.json"].0.clone()).unwrap();
        for member in &team.members {
            assert!(
                !document.contains(&member.key.hex()),
                "{step}: a key is in the input document"
            );
        }
        assert!(
            !document.contains(&lab.devnet.cluster_url()) && !document.contains("8545"),
            "{step}: an RPC address"
        );
    }

    assert_eq!(status.round, Some(1));
    for round in 0..2 {
        let settled = lab.devnet.snapshot(contract, Some(round), &[]).await.unwrap();
        assert_eq!(settled.round.outcome, Outcome::Accepted, "round {round}");
        table::everybody_did_their_duty(&settled);
        assert_eq!(table::done(&settled), table::expected(&settled), "round {round}");
    }
    for member in &team.members {
        team.client_until(&member.name, "to have claimed", Duration::from_secs(60), |c| {
            c.status.as_ref().is_some_and(|s| s.step.as_deref() == Some("Claimed"))
        })
        .await
        .unwrap();
    }
    let end = lab.devnet.snapshot(contract, None, &team.addresses()).await.unwrap();
    for account in &end.accounts {
        assert!(account.claimed && account.stake_left.is_zero(), "{account:?}");
    }
    all_rounds_final(&team).await;
    lab.devnet.compare("whole", "digits").await.unwrap();
    secrets.of_namespace(&lab.site.namespace).unwrap();
    nothing_leaked(&lab.site.namespace, &secrets, contract);
}

/// Every secret of the run against everything that can be read without being allowed to read Secrets.
fn nothing_leaked(operator: &str, secrets: &Secrets, contract: Address) {
    for part in ["token", "seed", "current", "vote.json", "tls.key"] {
        assert!(secrets.know(part), "no {part} among {secrets:?}");
    }
    let texts = readable(&["whole", operator]).unwrap();
    for (place, text) in &texts {
        let found = secrets.found_in(text);
        assert!(found.is_empty(), "{place} shows {found:?}");
    }
    // It was not looked for in nothing.
    let with = |part: &str| texts.iter().filter(|(place, _)| place.contains(part)).count();
    assert!(with("log of whole/") >= 3 && with(&format!("log of {operator}/")) >= 2);
    let address = format!("{contract:#x}");
    let named = texts.iter().any(|(_, text)| text.to_lowercase().contains(&address));
    assert!(named, "{address} is named nowhere");
}

async fn all_rounds_final(team: &Team) {
    let what = "to have mirrored every round for good";
    team.task_until(what, Duration::from_secs(60), |t| {
        t.status
            .as_ref()
            .is_some_and(|s| s.mirrored_rounds == Some(team.shape.rounds))
    })
    .await
    .unwrap();
}

async fn input_of(team: &Team, pod: &Pod) -> Secret {
    let volumes = pod.spec.as_ref().unwrap().volumes.as_ref().unwrap();
    let names: Vec<String> = volumes
        .iter()
        .filter_map(|v| v.secret.as_ref()?.secret_name.clone())
        .collect();
    assert_eq!(names.len(), 1, "a trainer pod has one Secret: {names:?}");
    let secret: Secret = team.api().get(&names[0]).await.unwrap();
    assert_eq!(secret.type_.as_deref(), Some("fl-alliance.io/job-input"));
    assert_eq!(secret.immutable, Some(true));
    secret
}

/// No service-account token, no key, no RPC address, no credential, and as little power as a pod can have.
fn holds_nothing_secret(pod: &Pod, rpc: &str) {
    let spec = pod.spec.as_ref().unwrap();
    let name = pod.name_any();
    assert_eq!(spec.automount_service_account_token, Some(false), "{name}");
    let text = serde_json::to_string(spec).unwrap();
    assert!(
        !text.contains("serviceAccountToken") && !text.contains("kube-api-access"),
        "{name}: {text}"
    );
    assert!(
        !text.contains(rpc) && !text.contains("8545") && !text.contains("signing-key"),
        "{name}: {text}"
    );
    for word in [
        "AWS_",
        "GOOGLE_",
        "AZURE_",
        "PRIVATE_KEY",
        "RPC_URL",
        "secretKeyRef",
        "envFrom",
    ] {
        assert!(!text.contains(word), "{name}: {word} in {text}");
    }
    assert_eq!(
        spec.enable_service_links,
        Some(false),
        "{name}: addresses of Services in the environment"
    );
    assert_ne!(spec.host_network, Some(true), "{name}");
    let container = &spec.containers[0];
    let security = container.security_context.as_ref().unwrap();
    assert_eq!(security.read_only_root_filesystem, Some(true), "{name}");
    assert_eq!(security.allow_privilege_escalation, Some(false), "{name}");
    let mounts = container.volume_mounts.iter().flatten();
    for mount in mounts.filter(|m| m.mount_path.starts_with("/var/run")) {
        assert_eq!(mount.read_only, Some(true), "{name}: {}", mount.mount_path);
    }
}
