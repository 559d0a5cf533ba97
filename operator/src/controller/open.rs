//! Opens real chains over RPC.

use std::sync::Arc;

use crds::flchain::ConfirmationRule;

use super::chain::{ChainConfig, OpenChain};
use crate::{
    chain::{Chain, ChainHub, ChainIdentity, ChainMetrics, Confirmations, HubConfig, Senders},
    clock::Clock,
    lease::Fence,
};

/// [`OpenChain`] over HTTP endpoints.
pub(super) struct Opener {
    clock: Arc<dyn Clock>,
    fence: Fence,
    metrics: ChainMetrics,
    /// One for the process: a key has one sender per chain, also after its FLChain was opened anew.
    senders: Senders,
}

impl std::fmt::Debug for Opener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Opener").finish_non_exhaustive()
    }
}

impl Opener {
    /// Nothing is broadcast while `fence` is closed.
    pub(super) fn new(clock: Arc<dyn Clock>, fence: Fence, metrics: ChainMetrics) -> Self {
        Self {
            clock,
            fence,
            metrics,
            senders: Senders::default(),
        }
    }
}

impl OpenChain for Opener {
    fn open(&self, config: &ChainConfig) -> Result<Arc<dyn Chain>, String> {
        let hub = HubConfig {
            name: config.name.clone(),
            identity: ChainIdentity {
                chain_id: config.chain_id,
                genesis_hash: config.genesis_hash,
            },
            urls: config.urls.clone(),
            confirmations: match config.confirmations {
                ConfirmationRule::Depth(depth) => Confirmations::Depth(depth),
                ConfirmationRule::Finalized => Confirmations::Finalized,
            },
            max_fee_per_gas: config.max_fee_per_gas,
            block_time: config.block_time_seconds.map(u64::from),
        };
        let (fence, clock) = (self.fence.clone(), self.clock.clone());
        let may_broadcast = Arc::new(move || fence.open(clock.now().0));
        let opened = ChainHub::open(
            hub,
            self.senders.clone(),
            may_broadcast,
            self.clock.clone(),
            Some(self.metrics.clone()),
        )?;
        Ok(Arc::new(opened))
    }
}
