//! What a worker says of its calls: in the log, in metrics, to the caller.

use alloy::primitives::U256;

use super::Worker;
use crate::chain::{
    ChainError,
    queue::{Answer, Job},
    send_state::{GiveUp, Waiting},
};

impl Worker {
    pub(super) fn count(&self, job: &Job, answer: &Answer) {
        let outcome = match answer {
            Ok(mined) if mined.success => "mined",
            Ok(_) => "mined-reverted",
            Err(error) => error.category(),
        };
        self.record(job.action, outcome);
        let address = self.shared.key.address();
        match answer {
            Ok(mined) => {
                tracing::info!(action = job.action, %address, transaction = %mined.transaction, block = mined.block,
                    success = mined.success, "transaction mined");
            }
            Err(error) => tracing::info!(action = job.action, %address, %error, "transaction not sent"),
        }
    }

    pub(super) fn record(&self, action: &str, outcome: &str) {
        let route = self.shared.route();
        if let Some(metrics) = route.reader.rpc().metrics() {
            metrics.transaction(route.reader.rpc().chain(), action, outcome);
        }
    }

    pub(super) fn say(&self, job: &Job, waiting: Waiting) {
        let address = self.shared.key.address();
        match waiting {
            Waiting::Foreign { nonce } => {
                tracing::warn!(action = job.action, %address, nonce,
                    "a transaction of this key that this process did not send is pending; waiting for it");
            }
            Waiting::FeeCap { needed, cap } => {
                tracing::warn!(action = job.action, %address, needed, cap, "fees are above the cap; waiting");
            }
            Waiting::Fenced => tracing::info!(action = job.action, %address, "not broadcasting without the lease"),
            Waiting::Mining | Waiting::Settling => {}
        }
    }

    pub(super) fn reason(&self, why: GiveUp) -> ChainError {
        match why {
            GiveUp::Foreign { nonce } => ChainError::ForeignPending {
                address: self.shared.key.address().to_string(),
                nonce,
            },
            GiveUp::FeeCap { needed, cap } => ChainError::FeeCap { needed, cap },
            GiveUp::Fenced => ChainError::Fenced("this process does not hold the lease".to_owned()),
            GiveUp::NotMined(Some(hash)) => ChainError::NotMined(hash.to_string()),
            GiveUp::NotMined(None) => ChainError::NotMined("nothing was sent before the deadline".to_owned()),
        }
    }

    pub(super) fn short(&self, balance: U256, needed: U256) -> ChainError {
        ChainError::LowFunds {
            address: self.shared.key.address().to_string(),
            balance: balance.to_string(),
            needed: needed.to_string(),
        }
    }
}
