//! The senders of a process: one per (chain, address), whoever asks and however often.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use protocol::types::Address;

use super::{ChainIdentity, SigningKey, reader::EvmReader, sender::EvmSender, sender::SenderConfig};

/// Shared by all chains of a process: two FLChains of the same chain get the same senders. Clones share.
#[derive(Debug, Clone, Default)]
pub struct Senders {
    by_key: Arc<Mutex<ByKey>>,
}

/// Two chains may share an id, but not a genesis.
type ByKey = HashMap<(ChainIdentity, Address), Arc<EvmSender>>;

impl Senders {
    /// The sender of this key, started if there is none. It sends through `reader` from now on.
    pub fn get(
        &self,
        chain: ChainIdentity,
        key: &SigningKey,
        reader: &Arc<EvmReader>,
        config: &SenderConfig,
    ) -> Arc<EvmSender> {
        let mut by_key = self.by_key.lock().unwrap_or_else(PoisonError::into_inner);
        let sender = by_key.entry((chain, key.address())).or_insert_with(|| {
            Arc::new(EvmSender::start(
                key.clone(),
                chain.chain_id,
                reader.clone(),
                config.clone(),
            ))
        });
        sender.reroute(reader.clone(), config.clone());
        sender.clone()
    }

    /// An FLChain was opened anew: its senders go on by `reader`, also one whose caller waits for a call in flight and so
    /// does not ask for it again. Those of another FLChain of the same chain keep their way.
    pub(super) fn reroute(&self, chain: ChainIdentity, reader: &Arc<EvmReader>, config: &SenderConfig) {
        let by_key = self.by_key.lock().unwrap_or_else(PoisonError::into_inner);
        for ((known, _), sender) in by_key.iter() {
            if *known == chain && sender.goes_through(reader.rpc().chain()) {
                sender.reroute(reader.clone(), config.clone());
            }
        }
    }

    /// Forgets the senders that nobody holds and that have nothing to do, and with them their keys.
    pub fn forget_idle(&self) {
        let mut by_key = self.by_key.lock().unwrap_or_else(PoisonError::into_inner);
        by_key.retain(|_, sender| Arc::strong_count(sender) > 1 || !sender.is_idle());
    }

    pub fn len(&self) -> usize {
        self.by_key.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
