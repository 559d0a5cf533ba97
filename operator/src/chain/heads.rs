//! New blocks, and which tasks they concern.
//!
//! Per new block one header and one log query over all watched tasks. Logs only wake; nothing is rebuilt from them. What
//! cannot be followed (a reorg, a long gap) wakes everything.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use protocol::types::Address;
use tokio::sync::broadcast;

use super::{ChainError, ChainReader, Wake, reader::EvmReader, wire::Header};

/// Blocks missed that are still worth a log query.
const LONGEST_GAP: u64 = 500;

/// Contracts whose logs are searched for, and whether a head came since they were added. Clones share.
#[derive(Debug, Clone, Default)]
pub(super) struct Watched(Arc<Mutex<BTreeMap<Address, bool>>>);

impl Watched {
    pub(super) fn add(&self, task: Address) {
        self.lock().entry(task).or_insert(false);
    }

    pub(super) fn remove(&self, task: Address) {
        self.lock().remove(&task);
    }

    fn list(&self) -> Vec<Address> {
        self.lock().keys().copied().collect()
    }

    /// Those that no head came for yet: what happened to them before was never searched for.
    fn take_new(&self) -> BTreeSet<Address> {
        let mut tasks = self.lock();
        let new = tasks.iter_mut().filter(|(_, searched)| !**searched);
        new.map(|(task, searched)| {
            *searched = true;
            *task
        })
        .collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Address, bool>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
    /// Up to this block nobody knows what happened to whom: everybody is woken once more when it is confirmed.
    unknown: Option<u64>,
}

impl Heads {
    pub(super) fn new(reader: Arc<EvmReader>, watched: Watched, wakes: broadcast::Sender<Wake>) -> Self {
        Self {
            reader,
            watched,
            wakes,
            last: None,
            unconfirmed: BTreeMap::new(),
            unknown: None,
        }
    }

    /// Wakes whom this head concerns. After an error the same blocks are looked at again with the next head.
    pub(super) async fn advance(&mut self, head: Header) -> Result<(), ChainError> {
        let Some(last) = self.last.clone() else {
            self.look_at_everything(head);
            return Ok(());
        };
        if last.hash == head.hash {
            return Ok(());
        }
        let (before, now) = (last.number.to::<u64>(), head.number.to::<u64>());
        if !self.follows(&last, &head).await? {
            self.look_at_everything(head);
            return Ok(());
        }
        // What happened to them up to here is confirmed with this head.
        for task in self.watched.take_new() {
            self.unconfirmed.entry(now).or_default().insert(task);
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

    /// After a start, a reorg or a gap: what is below `head` may have happened to anybody, and is confirmed with it.
    fn look_at_everything(&mut self, head: Header) {
        self.unconfirmed.clear();
        self.watched.take_new();
        self.unknown = Some(head.number.to());
        self.last = Some(head);
        self.wake(Wake::All);
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
        if self.unconfirmed.is_empty() && self.unknown.is_none() {
            return Ok(());
        }
        let confirmed = self.reader.confirmed_block(&head.block()).await?;
        if self.unknown.is_some_and(|block| block <= confirmed) {
            self.unknown = None;
            self.wake(Wake::All);
        }
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

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use protocol::types::B256;
    use serde_json::{Value, json, value::RawValue};

    use super::*;
    use crate::{
        chain::{
            Confirmations,
            rpc::{Rpc, RpcConfig},
            transport::{CallError, Transport},
        },
        clock::SystemClock,
    };

    /// A chain without logs.
    struct Quiet;

    #[async_trait]
    impl Transport for Quiet {
        async fn call(&self, method: &str, _: Value) -> Result<Box<RawValue>, CallError> {
            let answer = match method {
                "eth_chainId" => json!("0x1"),
                "eth_getBlockByNumber" => json!({
                    "number": "0x0", "timestamp": "0x1", "hash": B256::ZERO, "parentHash": B256::ZERO,
                }),
                _ => json!([]),
            };
            RawValue::from_string(answer.to_string()).map_err(|error| CallError::Garbled(error.to_string()))
        }

        fn host(&self) -> &str {
            "quiet"
        }
    }

    fn head(number: u64, branch: u8) -> Header {
        let hash = |number: u64| B256::from([number as u8, branch].repeat(16).try_into().unwrap_or([0; 32]));
        serde_json::from_value(json!({
            "number": format!("{number:#x}"), "timestamp": "0x1",
            "hash": hash(number), "parentHash": hash(number - 1),
        }))
        .unwrap()
    }

    fn heads() -> (Heads, Watched, broadcast::Receiver<Wake>) {
        let config = RpcConfig {
            chain: "test".to_owned(),
            expected: Some(crate::chain::ChainIdentity {
                chain_id: 1,
                genesis_hash: B256::ZERO,
            }),
            stale_after: u64::MAX,
        };
        let rpc = Rpc::new(config, vec![Arc::new(Quiet)], Arc::new(SystemClock), None);
        let reader = Arc::new(EvmReader::new(Arc::new(rpc), Confirmations::Depth(2)));
        let watched = Watched::default();
        watched.add(Address::repeat_byte(7));
        let (wakes, woken) = broadcast::channel(16);
        (Heads::new(reader, watched.clone(), wakes), watched, woken)
    }

    #[tokio::test]
    async fn after_a_start_and_after_a_reorg_everybody_is_woken_again_when_that_head_is_confirmed() {
        let (mut heads, _, mut woken) = heads();
        let mut told = Vec::new();
        for head in [
            head(10, 0),
            head(11, 0),
            head(12, 0),
            head(13, 0),
            head(13, 1),
            head(14, 1),
            head(15, 1),
        ] {
            heads.advance(head).await.unwrap();
            told.push(woken.try_recv().ok());
        }
        let all = Some(Wake::All);
        assert_eq!(told, [all, None, all, None, all, None, all]);
    }

    #[tokio::test]
    async fn a_task_watched_late_is_woken_when_what_was_there_before_is_confirmed() {
        let (mut heads, watched, mut woken) = heads();
        let late = Address::repeat_byte(8);
        let mut told = Vec::new();
        for number in 10..18 {
            if number == 14 {
                watched.add(late);
            }
            heads.advance(head(number, 0)).await.unwrap();
            told.push(woken.try_recv().ok());
        }
        let (all, late) = (Some(Wake::All), Some(Wake::Task(late)));
        assert_eq!(told, [all, None, all, None, None, None, late, None]);
    }
}
