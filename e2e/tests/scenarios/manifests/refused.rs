//! What the API server refuses, and in which words.

use serde_json::{Value, json};

use super::{chain, client_object, prepared, refusal, round, task, with};

#[tokio::test]
async fn bad_manifests_are_refused_in_words_that_help() {
    let client = prepared().await;
    let long = "n".repeat(41);
    let parameters = "/spec/create/parameters";
    let signer = |signer: Value| with(client_object(), "/spec/signer", signer);
    let cases = [
        // Nothing of another namespace can be named.
        (
            signer(json!({"secretRef": {"name": "other/key"}})),
            "spec.signer.secretRef.name",
        ),
        (
            signer(json!({"secretRef": {"name": "../other/key"}})),
            "spec.signer.secretRef.name",
        ),
        (
            with(client_object(), "/spec/taskRef/name", json!("other/task")),
            "spec.taskRef.name",
        ),
        (signer(json!({})), "exactly one of secretRef and awsKms"),
        (
            signer(json!({"secretRef": {"name": "key"}, "awsKms": {"keyId": "alias/key"}})),
            "exactly one of secretRef and awsKms",
        ),
        (
            signer(json!({"awsKms": {"keyId": "alias/key?x=1"}})),
            "spec.signer.awsKms.keyId",
        ),
        (with(chain(), "/metadata/name", json!(long)), "at most 40 characters"),
        (with(chain(), "/spec/chainId", json!(0)), "spec.chainId"),
        (with(chain(), "/spec/genesisHash", json!("0x12")), "spec.genesisHash"),
        (
            with(chain(), "/spec/confirmations", json!({"depth": 1, "finalized": true})),
            "set depth or finalized, not both",
        ),
        (
            with(chain(), "/spec/confirmations", json!({"finalized": false})),
            "may only be true",
        ),
        (
            with(chain(), "/spec/maxFeePerGasGwei", json!("1e3")),
            "spec.maxFeePerGasGwei",
        ),
        (
            with(
                chain(),
                "/spec/trustedManagers",
                json!([{"address": format!("0x{}", "1".repeat(40))}]),
            ),
            "codeHash",
        ),
        (with(task(), "/metadata/name", json!(long)), "at most 40 characters"),
        (
            with(task(), "/spec/contract", json!(format!("0x{}", "1".repeat(40)))),
            "exactly one of contract and create",
        ),
        (
            with(task(), "/spec/create", Value::Null),
            "exactly one of contract and create",
        ),
        (with(task(), "/spec/definition", Value::Null), "needs a definition"),
        (
            with(task(), "/spec/definition/seed", Value::Null),
            "spec.definition.seed",
        ),
        (
            with(
                task(),
                "/spec/definition/flockSdk",
                json!({"image": format!("sha256:{}", "5a".repeat(32)), "cpu": "amd64"}),
            ),
            "the container has its own",
        ),
        (
            with(client_object(), "/spec/data/format", json!("json")),
            "trainer.flockSdk reads data of format json",
        ),
        (
            with(
                with(client_object(), "/spec/data/format", json!("json")),
                "/spec/trainer/flockSdk",
                json!({"image": "registry.example/model:1"}),
            ),
            "image must name a digest",
        ),
        (
            with(task(), "/spec/definition/evaluation/epsilon", json!(0.05)),
            "epsilon",
        ),
        (
            with(task(), "/spec/definition/split/testPercent", json!("20")),
            "testPercent",
        ),
        (with(task(), "/spec/create/salt", json!("7")), "spec.create.salt"),
        (
            with(task(), &format!("{parameters}/entryStake"), json!(64)),
            "entryStake",
        ),
        (
            with(task(), &format!("{parameters}/entryStake"), json!("6.4")),
            "entryStake",
        ),
        (
            with(task(), &format!("{parameters}/slashedPerStake"), json!("1.5")),
            "slashedPerStake",
        ),
        (
            with(task(), &format!("{parameters}/minNumberOfParticipants"), json!(7)),
            "must not exceed maxNumberOfParticipants",
        ),
        (
            with(task(), &format!("{parameters}/stallTimeout"), json!(100)),
            "at least twice the sum of the windows",
        ),
        (
            with(task(), &format!("{parameters}/allowList"), json!(["0x1"])),
            "allowList",
        ),
        (
            with(task(), "/spec/keeper", json!({"enabled": true})),
            "a keeper needs a signer of its own",
        ),
        (
            with(client_object(), "/metadata/name", json!(long)),
            "at most 40 characters",
        ),
        (with(client_object(), "/spec/stake", json!("-1")), "spec.stake"),
        (
            with(client_object(), "/spec/data/volume", json!({})),
            "exactly one of pvc, csi and image",
        ),
        (
            with(client_object(), "/spec/data/volume/image", json!({"reference": "a"})),
            "exactly one of pvc, csi and image",
        ),
        // An unknown volume kind is pruned, which leaves none.
        (
            with(client_object(), "/spec/data/volume", json!({"hostPath": {"path": "/"}})),
            "exactly one of pvc, csi and image",
        ),
        (
            with(client_object(), "/spec/data/volume/pvc/subPath", json!("../other")),
            "without '..'",
        ),
        (
            with(client_object(), "/spec/data/volume/pvc/subPath", json!("/etc")),
            "must be relative",
        ),
        (
            with(client_object(), "/spec/data/format", json!("xlsx")),
            "spec.data.format",
        ),
        (
            with(client_object(), "/spec/trainer/device", json!("tpu")),
            "spec.trainer.device",
        ),
        (
            with(client_object(), "/spec/trainer/image", Value::Null),
            "spec.trainer.image",
        ),
        (with(round(), "/spec/task", json!("0x")), "spec.task"),
    ];
    for (object, words) in cases {
        let said = refusal(&client, &object)
            .await
            .unwrap_or_else(|| panic!("taken, expected {words:?}: {object}"));
        assert!(said.contains(words), "{said:?} does not say {words:?}");
    }
}
