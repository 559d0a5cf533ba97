//! What can be wrong about chain and task: said on the FLChain or FLTask, and over once it is mended.

use std::time::Duration;

use alloy::primitives::Address;
use e2e::{
    cluster::apply,
    devnet::Devnet,
    env,
    key::TestKey,
    manifests::{self, LABEL, TaskShape, list, signing_key},
    shell::kubectl,
    task::{Team, condition},
    wait::{Look, until},
};
use kube::{Api, Client};
use serde_json::{Value, json};

use crate::lab::{Lab, TINY, lab};

const NAMESPACE: &str = "chain-input";
const SOON: Duration = Duration::from_secs(90);

/// An FLChain like the shared one.
pub(crate) fn chain(name: &str, lab: &Lab, secret: &str) -> Value {
    let d = &lab.devnet.deployment;
    json!({
        "apiVersion": "fl-alliance.io/v1alpha1", "kind": "FLChain",
        "metadata": {"name": name, "labels": {(LABEL): "true"}},
        "spec": {
            "chainId": d.chain_id, "genesisHash": d.genesis_hash.to_string(),
            "rpc": {"secretRef": {"name": secret, "key": "urls"}},
            "confirmations": {"depth": 2}, "blockTimeSeconds": 1, "operatorNamespace": lab.site.namespace,
            "trustedManagers": [{
                "address": d.manager.address.to_string(),
                "codeHash": d.manager.code_hash.to_string(),
                "taskCodeHash": d.implementation.code_hash.to_string(),
            }],
        },
    })
}

pub(crate) fn rpc_secret(lab: &Lab, name: &str, urls: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {"namespace": lab.site.namespace, "name": name},
        "stringData": {"urls": urls},
    })
}

pub(crate) async fn chain_says(kube: &Client, name: &str, reason: &str) -> String {
    let api: Api<crds::FLChain> = Api::all(kube.clone());
    until(&format!("FLChain {name} to say {reason}"), SOON, || async {
        let status = api.get(name).await?.status.unwrap_or_default();
        Ok(match condition(&status.conditions, "Ready", reason) {
            Some(message) => Look::Done(message),
            None => Look::Not(format!("{:?}", status.conditions)),
        })
    })
    .await
    .unwrap()
}

fn replace_chain(document: &Value) {
    let name = document["metadata"]["name"].as_str().unwrap();
    kubectl(&["delete", "flchain", name]).unwrap();
    apply(document).unwrap();
}

#[tokio::test]
async fn a_wrong_chain_is_noticed_and_recovers_once_mended() {
    let (lab, kube) = lab().await;
    let good = lab.devnet.cluster_url();
    let mut wrong_id = chain("wrong-id", lab, "wrong-id");
    wrong_id["spec"]["chainId"] = json!(1);
    let mut wrong_genesis = chain("wrong-genesis", lab, "wrong-genesis");
    wrong_genesis["spec"]["genesisHash"] = json!(format!("0x{}", "ab".repeat(32)));
    apply(&list(vec![
        rpc_secret(lab, "wrong-id", &good),
        rpc_secret(lab, "wrong-genesis", &good),
        rpc_secret(lab, "unreachable", "http://127.0.0.1:1"),
        rpc_secret(lab, "no-url", "this is no URL"),
        wrong_id,
        wrong_genesis,
        chain("unreachable", lab, "unreachable"),
        chain("no-url", lab, "no-url"),
        chain("no-rpc-secret", lab, "no-rpc-secret"),
    ]))
    .unwrap();
    for (name, reason) in [
        ("wrong-id", "WrongChainId"),
        ("wrong-genesis", "WrongGenesis"),
        ("unreachable", "RpcUnreachable"),
        ("no-url", "RpcSecretInvalid"),
        ("no-rpc-secret", "SecretMissing"),
    ] {
        let message = chain_says(&kube, name, reason).await;
        assert!(message.len() > 20, "{name}: {message:?}");
    }
    // Identity is immutable, so another FLChain takes the place; a Secret is mended where it is.
    replace_chain(&chain("wrong-id", lab, "wrong-id"));
    replace_chain(&chain("wrong-genesis", lab, "wrong-genesis"));
    apply(&list(vec![
        rpc_secret(lab, "unreachable", &good),
        rpc_secret(lab, "no-url", &good),
        rpc_secret(lab, "no-rpc-secret", &good),
    ]))
    .unwrap();
    for name in ["wrong-id", "wrong-genesis", "unreachable", "no-url", "no-rpc-secret"] {
        chain_says(&kube, name, "Available").await;
        kubectl(&["delete", "flchain", name]).unwrap();
    }
}

#[tokio::test]
async fn a_wrong_contract_or_definition_is_noticed_before_anything_is_staked() {
    let (lab, kube) = lab().await;
    let shape = TaskShape::tiny(1, 2);
    let real = Team::new(&kube, NAMESPACE, "real", TINY, 0, shape.clone());
    fund_creator(&real, &lab.devnet).await;
    let mut objects = real.ground(&lab.devnet);
    objects.push(real.task_manifest(&lab.devnet));
    apply(&list(objects)).unwrap();
    let contract = real.contract().await.unwrap();

    let joined = |name: &str, address: Address| manifests::joined_task(NAMESPACE, name, address);
    let mut other_definition = joined("other-definition", contract);
    other_definition["spec"]["definition"] = manifests::definition(&shape);
    other_definition["spec"]["definition"]["seed"] = json!(2);
    let mut other_store = joined("other-store", contract);
    other_store["spec"]["storeRef"] = json!({"name": "elsewhere"});
    let mut other_chain = joined("other-chain", contract);
    other_chain["spec"]["chainRef"] = json!({"name": "nowhere"});
    let manager = Address::repeat_byte(0x77);
    let salt = format!("{:#066x}", 2);
    let (stranger, untrusting) = (TestKey::random(), TestKey::random());
    let mut not_allowed = manifests::created_task(NAMESPACE, "not-allowed", lab.devnet.manager(), &salt, &shape);
    not_allowed["spec"]["create"]["signer"] = json!({"secretRef": {"name": "stranger"}});
    let mut untrusted = manifests::created_task(NAMESPACE, "untrusted", manager, &salt, &shape);
    untrusted["spec"]["create"]["signer"] = json!({"secretRef": {"name": "untrusting"}});
    lab.devnet
        .fund(&[untrusting.address()], shape.reward_pool)
        .await
        .unwrap();
    lab.devnet.allow_creator(untrusting.address()).await.unwrap();
    apply(&list(vec![
        signing_key(NAMESPACE, "stranger", &stranger),
        signing_key(NAMESPACE, "untrusting", &untrusting),
        joined("no-code", Address::repeat_byte(0x66)),
        joined("unknown", lab.devnet.token()),
        other_definition,
        other_store,
        other_chain,
        untrusted,
        not_allowed,
    ]))
    .unwrap();
    // A client with all it needs for each task that exists already: it must not stake in any.
    let waiting = clients(
        &lab.devnet,
        &shape,
        &["no-code", "unknown", "other-definition", "other-store", "other-chain"],
    );
    let waiting = waiting.await;
    for (name, reason) in [
        ("no-code", "NoCode"),
        ("unknown", "UnknownContract"),
        ("other-definition", "DefinitionMismatch"),
        ("other-store", "StoreUnknown"),
        ("other-chain", "ChainNotFound"),
        ("untrusted", "UntrustedManager"),
        ("not-allowed", "CreatorNotAllowed"),
    ] {
        let mut team = real.clone();
        team.task = name.to_owned();
        let message = team.task_says("Ready", reason, SOON).await.unwrap();
        assert!(message.len() > 20, "{name}: {message:?}");
    }
    for address in [stranger.address(), untrusting.address()].iter().chain(&waiting) {
        let nonce = lab.devnet.nonce(*address).await.unwrap();
        assert_eq!(nonce, 0, "{address} sent a transaction");
    }
    kubectl(&["-n", NAMESPACE, "delete", "flclients", "--all"]).unwrap();

    // Mended: the address is part of what a task is, so it is made again; a permission is given where it is missing.
    for name in ["no-code", "unknown", "other-definition"] {
        kubectl(&["-n", NAMESPACE, "delete", "fltask", name]).unwrap();
        apply(&joined(name, contract)).unwrap();
    }
    lab.devnet.fund(&[stranger.address()], shape.reward_pool).await.unwrap();
    lab.devnet.allow_creator(stranger.address()).await.unwrap();
    for name in ["no-code", "unknown", "other-definition", "not-allowed"] {
        let mut team = real.clone();
        team.task = name.to_owned();
        team.task_says("Ready", "Running", SOON).await.unwrap();
    }
    kubectl(&["-n", NAMESPACE, "delete", "fltasks", "--all"]).unwrap();
}

/// Applies an FLClient for each task, its key funded, and gives their addresses.
async fn clients(devnet: &Devnet, shape: &TaskShape, tasks: &[&str]) -> Vec<Address> {
    let keys: Vec<TestKey> = tasks.iter().map(|_| TestKey::random()).collect();
    let addresses: Vec<Address> = keys.iter().map(TestKey::address).collect();
    devnet.fund(&addresses, shape.entry_stake).await.unwrap();
    let objects = tasks.iter().zip(&keys).flat_map(|(task, key)| {
        let name = format!("of-{task}");
        let client = manifests::client(NAMESPACE, &name, task, shape.entry_stake, 0, &env::image("trainer"));
        [signing_key(NAMESPACE, &name, key), client]
    });
    apply(&list(objects.collect())).unwrap();
    addresses
}

async fn fund_creator(team: &Team, devnet: &Devnet) {
    let creator = team.creator.address();
    devnet.fund(&[creator], team.shape.reward_pool).await.unwrap();
    devnet.allow_creator(creator).await.unwrap();
}
