//! A whole run at the log level TRACE, and then every secret looked for in everything that somebody else may read: logs,
//! Events, status, Jobs.

use crds::names;
use k8s_openapi::{ByteString, api::core::v1::Secret};
use protocol::{
    job::Step,
    types::{Role, Score},
};

use crate::{
    cluster::Key,
    controller::client::ledger::SEED_SECRET,
    testing::{Logs, Needles, PRIVATE_KEY, World, checked, model, signing_secret, trained, voted},
};

/// What a person did to the Secret.
type Spoil = fn(&mut Secret);

const PASSPHRASE: &str = "correct horse battery staple";

/// The client's key in a keystore.
fn encrypted() -> Secret {
    let mut secret = signing_secret("alpha-key", PRIVATE_KEY);
    secret.metadata.uid = Some("s-1".to_owned());
    secret.metadata.resource_version = Some("1".to_owned());
    let field = |name: &str, value: &str| (name.to_owned(), ByteString(value.as_bytes().to_vec()));
    let keystore = include_str!("../../../testing/keystore.json");
    let fields = [
        field(names::KEYSTORE_FIELD, keystore),
        field(names::PASSPHRASE_FIELD, PASSPHRASE),
    ];
    secret.data = Some(fields.into());
    secret
}

/// What there is to keep secret: the key, its passphrase, and all that the operator wrote into Secrets.
fn needles(world: &World) -> Needles {
    let mut needles = Needles::default();
    needles.hex("private key", PRIVATE_KEY);
    needles.text("passphrase", PASSPHRASE);
    world.cluster.edit(|state| {
        for (key, secret) in &state.secrets {
            let data = secret.data.as_ref().unwrap();
            match secret.type_.as_deref().unwrap_or_default() {
                names::SECRET_TYPE_LEDGER_SEED => needles.bytes("ledger seed", &data["seed"].0),
                names::SECRET_TYPE_VOTE => {
                    let vote: serde_json::Value = serde_json::from_slice(&data["vote.json"].0).unwrap();
                    let salt = vote["salt"].as_str().unwrap().trim_start_matches("0x").to_owned();
                    needles.hex("salt", &salt);
                }
                names::SECRET_TYPE_JOB_INPUT => {
                    needles.text(&format!("token of {key}"), &String::from_utf8_lossy(&data["token"].0));
                }
                _ => {}
            }
        }
    });
    needles
}

/// Everything but Secrets, as the API server would show it.
fn readable(world: &World) -> Vec<(String, String)> {
    let mut all = Vec::new();
    world.cluster.edit(|state| {
        let mut add = |what: String, object: serde_json::Value| all.push((what, object.to_string()));
        state
            .clients
            .iter()
            .for_each(|(key, o)| add(format!("FLClient {key}"), serde_json::json!(o)));
        state
            .tasks
            .iter()
            .for_each(|(key, o)| add(format!("FLTask {key}"), serde_json::json!(o)));
        state
            .rounds
            .iter()
            .for_each(|(key, o)| add(format!("FLRound {key}"), serde_json::json!(o)));
        state
            .jobs
            .iter()
            .for_each(|(key, o)| add(format!("Job {key}"), serde_json::json!(o)));
        state
            .pods
            .iter()
            .for_each(|(key, o)| add(format!("Pod {key}"), serde_json::json!(o)));
        let notes = state.notes.iter().map(|note| format!("{note:?}\n"));
        all.push(("Events".to_owned(), notes.collect()));
    });
    all
}

fn nothing_of(needles: &Needles, world: &World, logs: &Logs) {
    let mut texts = readable(world);
    texts.push(("logs".to_owned(), logs.text()));
    for (what, text) in &texts {
        let found = needles.found_in(text);
        assert!(found.is_empty(), "{what}: {found:?} in {text}");
    }
    // It was not looked for in nothing.
    tracing::trace!("captured at every level");
    assert!(logs.text().contains("captured at every level"));
    let all: String = texts.into_iter().map(|(_, text)| text).collect();
    assert!(all.contains(&world.address.to_string().to_lowercase()) || all.contains(&world.address.to_string()));
}

#[tokio::test]
async fn a_proposers_run_shows_no_secret() {
    let logs = Logs::capture();
    let world = World::drawn(Role::Proposer);
    world.cluster.put_secret(encrypted());
    world.reconcile().await.unwrap();
    let mut tokens = needles(&world);
    world.succeed(Step::Train, trained());
    world.reconcile().await.unwrap();
    assert_eq!(world.chain.sent(), ["contribute"]);
    world.next_round();
    world.reconcile().await.unwrap();
    world.succeed(Step::Check, checked());
    world.reconcile().await.unwrap();
    assert_eq!(world.chain.sent(), ["contribute", "joinRound"]);
    assert!(tokens.len() >= 3, "key, passphrase and a token");
    nothing_of(&tokens, &world, &logs);
    tokens = needles(&world);
    nothing_of(&tokens, &world, &logs);
}

#[tokio::test]
async fn a_voters_run_shows_no_secret() {
    let logs = Logs::capture();
    let world = World::drawn(Role::Voter);
    world.open_commit();
    world.reconcile().await.unwrap();
    world.succeed(Step::Vote, voted(model(0x77), Score::For));
    world.reconcile().await.unwrap();
    let needles = needles(&world);
    assert!(needles.len() >= 6, "key, passphrase, seed, salt and a token");
    world.open_reveal();
    world.reconcile().await.unwrap();
    assert_eq!(world.chain.sent(), ["commitVote", "revealVote"]);
    nothing_of(&needles, &world, &logs);
}

#[tokio::test]
async fn what_goes_wrong_shows_no_secret_either() {
    let logs = Logs::capture();
    let spoil: [(&str, Spoil); 5] = [
        ("a wrong passphrase", |secret| {
            let wrong = ByteString(b"Correct horse battery staple".to_vec());
            secret
                .data
                .as_mut()
                .unwrap()
                .insert(names::PASSPHRASE_FIELD.to_owned(), wrong);
        }),
        ("the key in the wrong field", |secret| {
            let key = ByteString(PRIVATE_KEY.as_bytes().to_vec());
            secret
                .data
                .as_mut()
                .unwrap()
                .insert(names::KEYSTORE_FIELD.to_owned(), key);
        }),
        ("both kinds", |secret| {
            let key = ByteString(PRIVATE_KEY.as_bytes().to_vec());
            secret
                .data
                .as_mut()
                .unwrap()
                .insert(names::SIGNING_KEY_FIELD.to_owned(), key);
        }),
        ("a key and half", |secret| {
            let key = ByteString(format!("{PRIVATE_KEY}{}", &PRIVATE_KEY[..32]).into_bytes());
            secret.data = Some([(names::SIGNING_KEY_FIELD.to_owned(), key)].into());
        }),
        ("another type", |secret| secret.type_ = Some("Opaque".to_owned())),
    ];
    for (number, (case, spoil)) in spoil.into_iter().enumerate() {
        let world = World::new();
        let mut secret = encrypted();
        secret.metadata.resource_version = Some(number.to_string());
        spoil(&mut secret);
        world.cluster.put_secret(secret);
        world.reconcile().await.unwrap();
        assert!(world.chain.sent().is_empty(), "{case}");
        let mut needles = needles(&world);
        needles.text("the wrong passphrase", "Correct horse battery staple");
        let mut texts = readable(&world);
        texts.push(("logs".to_owned(), logs.text()));
        for (what, text) in texts {
            let found = needles.found_in(&text);
            assert!(found.is_empty(), "{case}: {what}: {found:?}");
        }
    }
    // The seed's Secret is where it should be, and it is not that nothing was ever written.
    let world = World::drawn(Role::Voter);
    world.open_commit();
    world.reconcile().await.unwrap();
    world.succeed(Step::Vote, voted(model(1), Score::Against));
    world.reconcile().await.unwrap();
    let seed = Key::new("fl-alliance", SEED_SECRET);
    assert!(world.cluster.edit(|state| state.secrets.contains_key(&seed)));
}
