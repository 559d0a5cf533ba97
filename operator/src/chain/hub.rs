//! [`Chain`] over RPC: everything one FLChain needs, opened once.

use std::{sync::Arc, time::Duration};

use protocol::types::{Address, B256};
use tokio::sync::{broadcast, watch};
use url::Url;

use super::{
    Chain, ChainError, ChainHealth, ChainIdentity, ChainMetrics, ChainReader, SigningKey, TaskSender, Wake,
    heads::{Heads, Watched},
    reader::{Confirmations, EvmReader},
    rpc::{Rpc, RpcConfig},
    send_state::Policy,
    sender::{EvmSender, Fence, SenderConfig},
    senders::Senders,
    transport::{HttpTransport, Transport},
};
use crate::clock::Clock;

/// Longest time for one call.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// Failed looks in a row before a chain that was fine is called unreachable.
const FAILURES: u32 = 3;
/// Seconds the newest block may be ahead of our clock.
const SKEW: u64 = 15;
/// Wakes kept for a slow receiver; one that falls behind looks at everything.
const WAKES: usize = 1024;

/// What an FLChain says, and where its endpoints are.
#[derive(Clone)]
pub struct HubConfig {
    /// The FLChain's name: label of metrics and logs.
    pub name: String,
    pub identity: ChainIdentity,
    /// `http` or `https`. They carry API keys: never shown beyond the host.
    pub urls: Vec<Url>,
    pub confirmations: Confirmations,
    /// Wei per unit of gas; `None`: ten times what the chain asks at the first try.
    pub max_fee_per_gas: Option<u128>,
    /// Expected seconds between blocks, if known.
    pub block_time: Option<u64>,
}

impl std::fmt::Debug for HubConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HubConfig")
            .field("name", &self.name)
            .field("identity", &self.identity)
            .field("endpoints", &self.urls.len())
            .finish_non_exhaustive()
    }
}

impl HubConfig {
    /// Twice a block, within reason.
    fn poll(&self) -> Duration {
        let millis = self.block_time.map_or(1000, |seconds| seconds.saturating_mul(500));
        Duration::from_millis(millis.clamp(250, 4000))
    }

    /// Age from which a head is old.
    fn stale_after(&self) -> u64 {
        self.block_time.unwrap_or(12).saturating_mul(10).clamp(30, 3600)
    }
}

/// One opened chain. Dropping it ends its watching; senders live on with the process.
pub struct ChainHub {
    config: HubConfig,
    reader: Arc<EvmReader>,
    senders: Senders,
    sending: SenderConfig,
    watched: Watched,
    wakes: broadcast::Sender<Wake>,
    health: watch::Receiver<ChainHealth>,
    watcher: tokio::task::AbortHandle,
}

impl std::fmt::Debug for ChainHub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChainHub")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl Drop for ChainHub {
    fn drop(&mut self) {
        self.watcher.abort();
    }
}

impl ChainHub {
    /// Opens a chain and starts watching its heads on the current runtime. No call is awaited here: whether the chain
    /// can be used is told by [`Chain::health`].
    ///
    /// # Errors
    /// A sentence about an endpoint that cannot be one, without its URL.
    pub fn open(
        config: HubConfig,
        senders: Senders,
        fence: Fence,
        clock: Arc<dyn Clock>,
        metrics: Option<ChainMetrics>,
    ) -> Result<Self, String> {
        let mut transports: Vec<Arc<dyn Transport>> = Vec::new();
        for url in &config.urls {
            transports.push(Arc::new(HttpTransport::new(url.clone(), CALL_TIMEOUT)?));
        }
        Ok(Self::over(config, transports, senders, fence, clock, metrics))
    }

    /// [`Self::open`] over any transports.
    pub fn over(
        config: HubConfig,
        transports: Vec<Arc<dyn Transport>>,
        senders: Senders,
        fence: Fence,
        clock: Arc<dyn Clock>,
        metrics: Option<ChainMetrics>,
    ) -> Self {
        let rpc_config = RpcConfig {
            chain: config.name.clone(),
            expected: Some(config.identity),
            stale_after: config.stale_after(),
        };
        let rpc = Arc::new(Rpc::new(rpc_config, transports, clock, metrics));
        let reader = Arc::new(EvmReader::new(rpc, config.confirmations));
        let policy = Policy {
            fee_cap: config.max_fee_per_gas,
            ..Policy::default()
        };
        let sending = SenderConfig {
            policy,
            poll: config.poll(),
            fence,
        };
        senders.reroute(config.identity, &reader, &sending);
        let watched = Watched::default();
        let (wakes, _) = broadcast::channel(WAKES);
        let (tell, health) = watch::channel(ChainHealth::Connecting);
        let heads = Heads::new(reader.clone(), watched.clone(), wakes.clone());
        let watcher = tokio::spawn(watch_heads(config.clone(), reader.clone(), heads, tell)).abort_handle();
        Self {
            config,
            reader,
            senders,
            sending,
            watched,
            wakes,
            health,
            watcher,
        }
    }

    pub fn evm_reader(&self) -> &Arc<EvmReader> {
        &self.reader
    }

    /// [`Chain::sender`], able to send any call.
    pub fn evm_sender(&self, key: &SigningKey) -> Arc<EvmSender> {
        self.senders.get(self.config.identity, key, &self.reader, &self.sending)
    }
}

impl Chain for ChainHub {
    fn reader(&self) -> Arc<dyn ChainReader> {
        self.reader.clone()
    }

    fn sender(&self, key: &SigningKey) -> Arc<dyn TaskSender> {
        self.senders.get(self.config.identity, key, &self.reader, &self.sending)
    }

    fn endpoint(&self) -> Option<String> {
        self.reader.rpc().endpoint()
    }

    fn watch(&self, task: Address) {
        self.watched.add(task);
    }

    fn unwatch(&self, task: Address) {
        self.watched.remove(task);
    }

    fn wakes(&self) -> broadcast::Receiver<Wake> {
        self.wakes.subscribe()
    }

    fn health(&self) -> watch::Receiver<ChainHealth> {
        self.health.clone()
    }
}

/// Until aborted.
async fn watch_heads(config: HubConfig, reader: Arc<EvmReader>, mut heads: Heads, tell: watch::Sender<ChainHealth>) {
    let rpc = reader.rpc().clone();
    let mut failures = 0u32;
    loop {
        let looked = match rpc.head().await {
            Ok(head) => heads.advance(head.clone()).await.map(|()| head),
            Err(error) => Err(error),
        };
        let before = tell.borrow().clone();
        let health = match looked {
            Ok(head) => {
                failures = 0;
                judge_head(&head.block(), rpc.clock().now().0, config.stale_after())
            }
            Err(error) => {
                failures = failures.saturating_add(1);
                tracing::debug!(chain = %config.name, %error, failures, "cannot follow the chain");
                if before.usable() && failures < FAILURES {
                    before.clone()
                } else {
                    judge_error(&error, config.identity)
                }
            }
        };
        if health.usable() && !before.usable() {
            tracing::info!(chain = %config.name, "the chain can be used");
            heads.wake(Wake::All);
        } else if !health.usable() && health.reason() != before.reason() {
            tracing::warn!(chain = %config.name, reason = health.reason(), "{health}");
        }
        tell.send_if_modified(|told| {
            let changed = *told != health;
            *told = health;
            changed
        });
        // Trouble is asked after less and less often, up to a tenth of a minute or so.
        let pause = config
            .poll()
            .saturating_mul(1 << failures.min(3))
            .min(Duration::from_secs(8));
        rpc.clock().sleep(pause).await;
    }
}

fn judge_head(head: &protocol::snapshot::BlockRef, now: u64, stale_after: u64) -> ChainHealth {
    let ahead_seconds = head.timestamp.0.saturating_sub(now);
    let age_seconds = now.saturating_sub(head.timestamp.0);
    if ahead_seconds > SKEW {
        ChainHealth::ClockSkew {
            head: *head,
            ahead_seconds,
        }
    } else if age_seconds > stale_after {
        ChainHealth::Stalled {
            head: *head,
            age_seconds,
        }
    } else {
        ChainHealth::Healthy { head: *head }
    }
}

fn judge_error(error: &ChainError, expected: ChainIdentity) -> ChainHealth {
    match error {
        ChainError::WrongChain { id, .. } if *id != expected.chain_id => ChainHealth::WrongChainId {
            expected: expected.chain_id,
            found: *id,
        },
        ChainError::WrongChain { genesis, .. } => ChainHealth::WrongGenesis {
            expected: expected.genesis_hash,
            found: genesis.parse().unwrap_or(B256::ZERO),
        },
        ChainError::Lagging { head, seen } => ChainHealth::Lagging {
            head: *head,
            seen: *seen,
        },
        ChainError::Unreachable(detail) => ChainHealth::RpcUnreachable { detail: detail.clone() },
        other => ChainHealth::RpcUnreachable {
            detail: other.to_string(),
        },
    }
}

#[cfg(test)]
mod tests {
    use protocol::{snapshot::BlockRef, types::Timestamp};

    use super::*;

    #[test]
    fn a_head_is_judged_by_its_distance_from_our_clock() {
        let head = BlockRef {
            number: 1,
            hash: B256::ZERO,
            timestamp: Timestamp(1000),
        };
        assert_eq!(judge_head(&head, 1005, 60).reason(), "Healthy");
        assert_eq!(judge_head(&head, 990, 60).reason(), "Healthy");
        assert_eq!(
            judge_head(&head, 900, 60),
            ChainHealth::ClockSkew {
                head,
                ahead_seconds: 100
            }
        );
        assert_eq!(
            judge_head(&head, 1100, 60),
            ChainHealth::Stalled { head, age_seconds: 100 }
        );
    }

    #[test]
    fn another_chain_is_told_from_another_genesis() {
        let expected = ChainIdentity {
            chain_id: 1,
            genesis_hash: B256::repeat_byte(1),
        };
        let found = B256::repeat_byte(2);
        let wrong = |id| ChainError::WrongChain {
            id,
            genesis: found.to_string(),
        };
        assert_eq!(
            judge_error(&wrong(5), expected),
            ChainHealth::WrongChainId { expected: 1, found: 5 }
        );
        let genesis = ChainHealth::WrongGenesis {
            expected: expected.genesis_hash,
            found,
        };
        assert_eq!(judge_error(&wrong(1), expected), genesis);
    }
}
