//! Tells the gateway how far the Job is, from a thread of its own: computing never waits for the network, and progress
//! that cannot be told is dropped.

use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use protocol::job::{DOCUMENT_VERSION, JobProgress, Stage};

use crate::gateway::Gateway;

/// At least between two words.
const EVERY: Duration = Duration::from_secs(5);

/// Dropping it ends the thread after what it is just telling.
pub struct Reporter {
    shared: Arc<Shared>,
}

impl std::fmt::Debug for Reporter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reporter").finish_non_exhaustive()
    }
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    newest: Option<JobProgress>,
    over: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next word to tell; `None` when the Job is over.
    fn next(&self) -> Option<JobProgress> {
        let mut state = self.lock();
        loop {
            if state.over {
                return None;
            }
            if let Some(word) = state.newest.take() {
                return Some(word);
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Until `at`, or until the Job is over.
    fn pause(&self, at: Instant) {
        let mut state = self.lock();
        while !state.over {
            let left = at.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            state = self
                .changed
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }
}

impl Reporter {
    pub fn start(gateway: Arc<dyn Gateway>) -> Self {
        Self::start_every(gateway, EVERY)
    }

    fn start_every(gateway: Arc<dyn Gateway>, every: Duration) -> Self {
        let shared = Arc::new(Shared::default());
        let theirs = shared.clone();
        // Without a thread there is no progress; the Job does not need it.
        let _ = thread::Builder::new().name("progress".into()).spawn(move || {
            while let Some(word) = theirs.next() {
                let began = Instant::now();
                // A word that is lost is followed by another.
                let _ = gateway.put_progress(&word);
                theirs.pause(began + every);
            }
        });
        Self { shared }
    }

    /// The newest word replaces one that has not been told yet.
    pub fn say(&self, word: JobProgress) {
        self.shared.lock().newest = Some(word);
        self.shared.changed.notify_all();
    }

    /// A stage of which no more is known than that it has begun.
    pub fn stage(&self, stage: Stage) {
        self.say(JobProgress {
            version: DOCUMENT_VERSION,
            stage,
            epoch: None,
            epochs: None,
            steps: None,
            loss: None,
            records_per_second: None,
            expected_end: None,
            resumed_from: None,
        });
    }
}

impl Drop for Reporter {
    fn drop(&mut self) {
        self.shared.lock().over = true;
        self.shared.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::{path::Path, sync::mpsc};

    use protocol::types::ModelHash;

    use super::*;
    use crate::gateway::{Earlier, GatewayError};

    /// Hands on what it is told, once it is let.
    struct Slow {
        told: mpsc::Sender<Stage>,
        go_on: Mutex<mpsc::Receiver<()>>,
    }

    impl Gateway for Slow {
        fn ready(&self) -> Result<(), GatewayError> {
            Ok(())
        }

        fn earlier(&self) -> Result<Earlier, GatewayError> {
            Ok(Earlier::default())
        }

        fn fetch(&self, hash: ModelHash, _: &Path, _: u64, _: Duration) -> Result<(), GatewayError> {
            Err(GatewayError::NotFound(hash))
        }

        fn put_model(&self, _: ModelHash, _: &Path) -> Result<(), GatewayError> {
            Ok(())
        }

        fn put_result(&self, _: &str) -> Result<(), GatewayError> {
            Ok(())
        }

        fn put_checkpoint(&self, _: &str, _: std::fs::File, _: ModelHash) -> Result<(), GatewayError> {
            Ok(())
        }

        fn fetch_checkpoint(&self, _: &str, _: &Path, _: u64) -> Result<bool, GatewayError> {
            Ok(false)
        }

        fn drop_checkpoint(&self, _: &str) {}

        fn put_progress(&self, word: &JobProgress) -> Result<(), GatewayError> {
            let _ = self.told.send(word.stage);
            let _ = self.go_on.lock().unwrap().recv();
            Err(GatewayError::Network("gone".to_owned()))
        }
    }

    #[test]
    fn a_slow_and_failing_gateway_holds_nobody_up_and_hears_the_newest() {
        let (told, heard) = mpsc::channel();
        let (let_on, go_on) = mpsc::channel();
        let go_on = Mutex::new(go_on);
        let reporter = Reporter::start_every(Arc::new(Slow { told, go_on }), Duration::ZERO);
        let patience = Duration::from_secs(20);
        reporter.stage(Stage::Reading);
        assert_eq!(heard.recv_timeout(patience), Ok(Stage::Reading));
        // It is still busy with the first word.
        reporter.stage(Stage::Fetching);
        reporter.stage(Stage::Training);
        let_on.send(()).unwrap();
        assert_eq!(heard.recv_timeout(patience), Ok(Stage::Training));
        drop(reporter);
        let_on.send(()).unwrap();
        assert_eq!(heard.recv_timeout(patience), Err(mpsc::RecvTimeoutError::Disconnected));
    }
}
