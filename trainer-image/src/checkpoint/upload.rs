//! Hands checkpoints to the gateway from a thread of its own: training does not wait for the network.

use std::{
    fs::File,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use protocol::types::ModelHash;

use super::SHARE;
use crate::gateway::Gateway;

/// Dropping it ends the thread after what it is just sending.
pub(super) struct Uploader {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    newest: Option<Offer>,
    over: bool,
}

struct Offer {
    /// Open, so that the next checkpoint may take its name.
    file: File,
    hash: ModelHash,
    step: u64,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self, not_before: Instant) -> Option<Offer> {
        let mut state = self.lock();
        loop {
            if state.over {
                return None;
            }
            let left = not_before.saturating_duration_since(Instant::now());
            if left.is_zero()
                && let Some(offer) = state.newest.take()
            {
                return Some(offer);
            }
            state = if left.is_zero() {
                self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
            } else {
                let waited = self.changed.wait_timeout(state, left);
                waited.unwrap_or_else(PoisonError::into_inner).0
            };
        }
    }
}

impl Uploader {
    pub(super) fn start(gateway: Arc<dyn Gateway>, name: String, pause: Duration) -> Self {
        let shared = Arc::new(Shared::default());
        let theirs = shared.clone();
        // Without a thread nothing is handed in, and the checkpoints here remain.
        let _ = thread::Builder::new().name("checkpoints".into()).spawn(move || {
            let mut not_before = Instant::now();
            while let Some(offer) = theirs.next(not_before) {
                let began = Instant::now();
                match gateway.put_checkpoint(&name, offer.file, offer.hash) {
                    Ok(()) => println!("checkpoint: the gateway has step {}", offer.step),
                    Err(error) => println!("checkpoint: the gateway has not got step {}: {error}", offer.step),
                }
                not_before = began + pause.max(began.elapsed() * SHARE);
            }
        });
        Self { shared }
    }

    /// The newest takes the place of one that is not on its way yet.
    pub(super) fn offer(&self, file: File, hash: ModelHash, step: u64) {
        self.shared.lock().newest = Some(Offer { file, hash, step });
        self.shared.changed.notify_all();
    }
}

impl Drop for Uploader {
    fn drop(&mut self) {
        self.shared.lock().over = true;
        self.shared.changed.notify_all();
    }
}
