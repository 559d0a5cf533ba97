//! New blocks, and which tasks they concern.
//!
//! Per new block one header and one log query over all watched tasks. Logs only wake; nothing is rebuilt from them. What
//! cannot be followed (a reorg, a long gap) wakes everything.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
};

use protocol::types::Address;
use tokio::sync::broadcast;

use super::{ChainError, ChainReader, Wake, reader::EvmReader, wire::Header};

/// Blocks missed that are still worth a log query.
const LONGEST_GAP: u64 = 500;

/// Contracts whose logs are searched for. Clones share.
#[derive(Debug, Clone, Default)]
pub(super) struct Watched(Arc<Mutex<BTreeSet<Address>>>);

impl Watched {
    pub(super) fn add(&self, task: Address) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(task);
    }

    pub(super) fn remove(&self, task: Address) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&task);
    }

    fn list(&self) -> Vec<Address> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .copied()
            .collect()
    }
}

/// Turns heads into wakes.
#[derive(Debug)]
pub(super) struct Heads {
    reader: Arc<EvmReader>,
    watched: Watched,
    wakes: broadcast::Sender<Wake>,
    last: Option<Header>,
    /// Tasks with events not yet confirmed, by block: they are woken once more when they are.
    unconfirmed: BTreeMap<u64, BTreeSet<Address>>,
}

impl Heads {
    pub(super) fn new(reader: Arc<EvmReader>, watched: Watched, wakes: broadcast::Sender<Wake>) -> Self {
        Self {
            reader,
            watched,
            wakes,
            last: None,
            unconfirmed: BTreeMap::new(),
        }
    }

    /// Wakes whom this head concerns. After an error the same blocks are looked at again with the next head.
    pub(super) async fn advance(&mut self, head: Header) -> Result<(), ChainError> {
        let Some(last) = self.last.clone() else {
            self.wake(Wake::All);
            self.last = Some(head);
            return Ok(());
        };
        if last.hash == head.hash {
            return Ok(());
        }
        let (before, now) = (last.number.to::<u64>(), head.number.to::<u64>());
        if !self.follows(&last, &head).await? {
            self.unconfirmed.clear();
            self.wake(Wake::All);
            self.last = Some(head);
            return Ok(());
        }
        let watched = self.watched.list();
        let mut concerned = BTreeSet::new();
        if !watched.is_empty() {
            for log in self.reader.logs(&watched, before + 1, now).await? {
                concerned.insert(log.address);
                let block = log.block_number.map_or(now, |n| n.to());
                self.unconfirmed.entry(block).or_default().insert(log.address);
            }
        }
        self.last = Some(head.clone());
        for task in concerned {
            self.wake(Wake::Task(task));
        }
        self.wake_confirmed(&head).await
    }

    /// Whether `head` builds on `last`, without more blocks between than are worth looking at.
    async fn follows(&self, last: &Header, head: &Header) -> Result<bool, ChainError> {
        let (before, now) = (last.number.to::<u64>(), head.number.to::<u64>());
        match now.checked_sub(before) {
            None | Some(0) => Ok(false),
            Some(1) => Ok(head.parent_hash == last.hash),
            Some(gap) if gap > LONGEST_GAP => Ok(false),
            Some(_) => Ok(self
                .reader
                .header(before)
                .await?
                .is_some_and(|canonical| canonical.hash == last.hash)),
        }
    }

    async fn wake_confirmed(&mut self, head: &Header) -> Result<(), ChainError> {
        if self.unconfirmed.is_empty() {
            return Ok(());
        }
        let confirmed = self.reader.confirmed_block(&head.block()).await?;
        let later = self.unconfirmed.split_off(&(confirmed + 1));
        let tasks: BTreeSet<Address> = std::mem::replace(&mut self.unconfirmed, later)
            .into_values()
            .flatten()
            .collect();
        for task in tasks {
            self.wake(Wake::Task(task));
        }
        Ok(())
    }

    pub(super) fn wake(&self, wake: Wake) {
        // Without a receiver there is nobody to wake.
        let _ = self.wakes.send(wake);
    }
}
