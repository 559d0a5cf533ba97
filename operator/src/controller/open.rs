//! Opens real chains over RPC.

use std::sync::Arc;

use super::chain::{ChainConfig, OpenChain};
use crds::flchain::ConfirmationRule;

use crate::{
    chain::{Chain, ChainHub, ChainIdentity, ChainMetrics, Confirmations, HubConfig, Senders},
    clock::Clock,
    lease::Fence,
};

/// [`OpenChain`] over HTTP endpoints. Its senders outlive the connections: one per chain id and key, whatever FLChain.
pub struct Opener {
    senders: Senders,
    clock: Arc<dyn Clock>,
    fence: Fence,
    metrics: ChainMetrics,
}

impl std::fmt::Debug for Opener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Opener")
    }
}

impl Opener {
    /// Nothing is broadcast while `fence` is closed.
    pub fn new(clock: Arc<dyn Clock>, fence: Fence, metrics: ChainMetrics) -> Self {
        Self { senders: Senders::default(), clock, fence, metrics }
    }
}

impl OpenChain for Opener {
    fn open(&self, config: &ChainConfig) -> Result<Arc<dyn Chain>, String> {
        // A changed FLChain comes here again: keys that nobody uses any more go with the old connection.
        self.senders.forget_idle();
        let (fence, clock) = (self.fence.clone(), self.clock.clone());
        let may_broadcast = Arc::new(move || fence.open(clock.now().0));
        let hub = HubConfig {
            name: config.name.clone(),
            identity: ChainIdentity { chain_id: config.chain_id, genesis_hash: config.genesis_hash },
            urls: config.urls.clone(),
            confirmations: match config.confirmations {
                ConfirmationRule::Depth(depth) => Confirmations::Depth(depth),
                ConfirmationRule::Finalized => Confirmations::Finalized,
            },
            max_fee_per_gas: config.max_fee_per_gas,
            block_time: config.block_time_seconds.map(u64::from),
        };
        let metrics = Some(self.metrics.clone());
        Ok(Arc::new(ChainHub::open(hub, self.senders.clone(), may_broadcast, self.clock.clone(), metrics)?))
    }
}
