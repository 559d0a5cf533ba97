//! Hands checkpoints to the gateway from a thread of its own: training does not wait for the network.

use std::{
    fs::File,
    sync::Arc,
    time::{Duration, Instant},
};

use protocol::types::ModelHash;

use super::SHARE;
use crate::{background::Background, gateway::Gateway};

/// Dropping it ends the thread after what it is just sending.
pub(super) struct Uploader {
    offers: Background<Offer>,
}

struct Offer {
    /// Open, so that the next checkpoint may take its name.
    file: File,
    hash: ModelHash,
    step: u64,
}

impl Uploader {
    pub(super) fn start(gateway: Arc<dyn Gateway>, name: String, pause: Duration) -> Self {
        let offers = Background::start("checkpoints", move |offer: Offer| {
            let began = Instant::now();
            match gateway.put_checkpoint(&name, offer.file, offer.hash) {
                Ok(()) => println!("checkpoint: the gateway has step {}", offer.step),
                Err(error) => println!("checkpoint: the gateway has not got step {}: {error}", offer.step),
            }
            began + pause.max(began.elapsed() * SHARE)
        });
        Self { offers }
    }

    /// The newest takes the place of one that is not on its way yet.
    pub(super) fn offer(&self, file: File, hash: ModelHash, step: u64) {
        self.offers.offer(Offer { file, hash, step });
    }
}
