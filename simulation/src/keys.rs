//! A service that keeps keys, as KMS does. Its signatures say who signed what, and cost nothing: real ones are a sixth of
//! the time of a run.

use std::collections::BTreeMap;

use alloy::{
    primitives::{Address, B256, ChainId, Signature, U256},
    signers::{Error, Signer},
};
use async_trait::async_trait;
use operator::{
    chain::{
        SigningKey,
        remote::{KeyService, RemoteKey},
    },
    controller::keys::KmsGrant,
};

use crate::{
    api::NAMESPACE,
    calls::{Caller, Lost},
    world::{Participant, World},
};

/// The name of a participant's key in the service.
pub(crate) fn key_id(name: &str) -> String {
    format!("alias/{name}")
}

fn participants(world: &World) -> impl Iterator<Item = &Participant> {
    world.clients.iter().chain([&world.keeper])
}

/// What the operator's configuration grants.
pub(crate) fn grants(world: &World) -> Vec<KmsGrant> {
    let grant = |participant: &Participant| KmsGrant {
        namespace: NAMESPACE.to_owned(),
        key: RemoteKey {
            key_id: key_id(&participant.name),
            region: None,
            endpoint: None,
        },
    };
    participants(world).map(grant).collect()
}

/// One process's way to the service.
pub(crate) struct Service {
    caller: Caller,
    keys: BTreeMap<String, Address>,
}

impl Service {
    pub(crate) fn new(caller: Caller) -> Self {
        let keys = participants(&caller.world).map(|p| (key_id(&p.name), p.address));
        Self {
            keys: keys.collect(),
            caller,
        }
    }
}

#[async_trait]
impl KeyService for Service {
    async fn open(&self, key: &RemoteKey) -> Result<SigningKey, String> {
        let address = self.keys.get(&key.key_id).copied();
        let found = self.caller.call("open_key", |_| address).await;
        let address = found.map_err(|Lost| "no answer")?.ok_or("there is no such key")?;
        let caller = self.caller.clone();
        Ok(SigningKey::of(std::sync::Arc::new(Key { caller, address })))
    }
}

struct Key {
    caller: Caller,
    address: Address,
}

#[async_trait]
impl Signer for Key {
    async fn sign_hash(&self, hash: &B256) -> Result<Signature, Error> {
        let signature = Signature::new(self.address.into_word().into(), (*hash).into(), false);
        let answer = self.caller.call("sign", |_| signature).await;
        answer.map_err(|Lost| Error::message("no answer"))
    }

    fn address(&self) -> Address {
        self.address
    }

    fn chain_id(&self) -> Option<ChainId> {
        None
    }

    fn set_chain_id(&mut self, _: Option<ChainId>) {}
}

/// Who signed this hash, if it was the service: no other signature looks like that.
pub(crate) fn signed_by(signature: &Signature, hash: B256) -> Option<Address> {
    let (r, s) = (signature.r(), signature.s());
    let ours = r >> 160 == U256::ZERO && s == U256::from_be_bytes(hash.0);
    ours.then(|| Address::from_word(r.into()))
}
