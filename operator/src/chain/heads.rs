//! New blocks, and which tasks they concern.
//!
//! Per new block one header and one log query over all watched tasks, by the block's hash: an endpoint that does not have
//! the block yet refuses it, where a range of numbers is answered with what it has. Logs only wake; nothing is rebuilt from
//! them. What cannot be followed (a reorg, a long gap, a block that the endpoint does not have) wakes everything.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use protocol::types::Address;
use tokio::sync::broadcast;

use super::{ChainError, ChainReader, Wake, reader::EvmReader, wire::Header};

/// Blocks missed that are still looked at one by one; a look at everything is cheaper than more.
const LONGEST_GAP: u64 = 16;

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
        let found = match self.events(&last, &head).await {
            // The endpoint lost blocks, or is behind the one that named the head: whose events are missing is not known.
            Err(ChainError::BlockGone(_)) => None,
            found => found?,
        };
        let Some(events) = found else {
            self.look_at_everything(head);
            return Ok(());
        };
        // What happened to them up to here is confirmed with this head.
        for task in self.watched.take_new() {
            self.unconfirmed.entry(head.number.to()).or_default().insert(task);
        }
        let mut concerned = BTreeSet::new();
        for (block, task) in events {
            concerned.insert(task);
            self.unconfirmed.entry(block).or_default().insert(task);
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

    /// Blocks after `last` up to `head`, and tasks that something happened to in them; `None` if `head` does not build on
    /// `last`, or on too many blocks since.
    async fn events(&self, last: &Header, head: &Header) -> Result<Option<Vec<(u64, Address)>>, ChainError> {
        let (before, now) = (last.number.to::<u64>(), head.number.to::<u64>());
        if !(1..=LONGEST_GAP).contains(&now.saturating_sub(before)) {
            return Ok(None);
        }
        let watched = self.watched.list();
        let mut events = Vec::new();
        let (mut hash, mut parent) = (head.hash, head.parent_hash);
        for number in (before + 1..=now).rev() {
            if number != now {
                hash = parent;
                parent = self.reader.header_of(hash).await?.parent_hash;
            }
            if !watched.is_empty() {
                let logs = self.reader.logs_of(&watched, hash).await?;
                events.extend(logs.iter().map(|log| (number, log.address)));
            }
        }
        Ok((parent == last.hash).then_some(events))
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
    use std::sync::atomic::{AtomicU64, Ordering};

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

    /// A node that has blocks up to a number, and in one of them a log of [`TASK`].
    #[derive(Clone, Default)]
    struct Node {
        newest: Arc<AtomicU64>,
        busy: Option<u64>,
    }

    const TASK: Address = Address::repeat_byte(7);

    #[async_trait]
    impl Transport for Node {
        async fn call(&self, method: &str, params: Value) -> Result<Box<RawValue>, CallError> {
            let block = |hash: &Value| -> B256 { serde_json::from_value(hash.clone()).unwrap() };
            let has = |hash: B256| u64::from(hash[0]) <= self.newest.load(Ordering::Relaxed);
            let answer = match method {
                "eth_chainId" => json!("0x1"),
                "eth_getBlockByNumber" => header(0, 0),
                "eth_getBlockByHash" => match block(&params[0]) {
                    hash if has(hash) => header(hash[0].into(), hash[1]),
                    _ => Value::Null,
                },
                "eth_getLogs" => match block(&params[0]["blockHash"]) {
                    hash if !has(hash) => return Err(unknown_block()),
                    hash if Some(hash[0].into()) == self.busy => json!([{"address": TASK, "topics": [], "data": "0x"}]),
                    _ => json!([]),
                },
                other => panic!("{other} is not asked for"),
            };
            RawValue::from_string(answer.to_string()).map_err(|error| CallError::Garbled(error.to_string()))
        }

        fn host(&self) -> &str {
            "node"
        }
    }

    fn unknown_block() -> CallError {
        CallError::Rpc {
            code: -32000,
            message: "unknown block".to_owned(),
            data: None,
        }
    }

    fn header(number: u64, branch: u8) -> Value {
        let hash = |number: u64| B256::from([number as u8, branch].repeat(16).try_into().unwrap_or([0; 32]));
        json!({
            "number": format!("{number:#x}"), "timestamp": "0x1",
            "hash": hash(number), "parentHash": hash(number.saturating_sub(1)),
        })
    }

    fn head(number: u64, branch: u8) -> Header {
        serde_json::from_value(header(number, branch)).unwrap()
    }

    fn heads() -> (Heads, Watched, broadcast::Receiver<Wake>) {
        let node = Node::default();
        node.newest.store(u64::MAX, Ordering::Relaxed);
        heads_of(node)
    }

    fn heads_of(node: Node) -> (Heads, Watched, broadcast::Receiver<Wake>) {
        let config = RpcConfig {
            chain: "test".to_owned(),
            expected: Some(crate::chain::ChainIdentity {
                chain_id: 1,
                genesis_hash: B256::ZERO,
            }),
            stale_after: u64::MAX,
        };
        let rpc = Rpc::new(config, vec![Arc::new(node)], Arc::new(SystemClock), None);
        let reader = Arc::new(EvmReader::new(Arc::new(rpc), Confirmations::Depth(2)));
        let watched = Watched::default();
        watched.add(TASK);
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
    #[tokio::test]
    async fn a_head_whose_blocks_the_endpoint_does_not_have_wakes_everybody_and_again_when_it_is_confirmed() {
        let node = Node {
            newest: Arc::default(),
            busy: Some(11),
        };
        let (mut heads, _, mut woken) = heads_of(node.clone());
        let mut told = Vec::new();
        for (number, newest) in [
            (10, 10),
            (11, 10),
            (12, 12),
            (13, 13),
            (15, 14),
            (16, 16),
            (17, 17),
            (18, 18),
        ] {
            node.newest.store(newest, Ordering::Relaxed);
            heads.advance(head(number, 0)).await.unwrap();
            told.push(woken.try_recv().ok());
        }
        let all = Some(Wake::All);
        assert_eq!(told, [all, all, None, all, all, None, all, None]);
    }

    #[tokio::test]
    async fn what_happened_in_each_of_several_new_blocks_wakes_its_task_and_again_when_it_is_confirmed() {
        let node = Node {
            newest: Arc::new(AtomicU64::new(u64::MAX)),
            busy: Some(14),
        };
        let (mut heads, _, mut woken) = heads_of(node);
        let mut told = Vec::new();
        for number in [10, 12, 15, 16, 17] {
            heads.advance(head(number, 0)).await.unwrap();
            told.push(woken.try_recv().ok());
        }
        let (all, task) = (Some(Wake::All), Some(Wake::Task(TASK)));
        assert_eq!(told, [all, all, task, task, None]);
    }
}
