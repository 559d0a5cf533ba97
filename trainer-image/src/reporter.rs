//! Tells the gateway how far the Job is, from a thread of its own: computing never waits for the network, and progress
//! that cannot be told is dropped.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use protocol::job::{DOCUMENT_VERSION, JobProgress, Stage};

use crate::{background::Background, gateway::Gateway};

/// At least between two words.
const EVERY: Duration = Duration::from_secs(5);

/// Dropping it ends the thread after what it is just telling.
#[derive(Debug)]
pub struct Reporter {
    words: Background<JobProgress>,
}

impl Reporter {
    pub fn start(gateway: Arc<dyn Gateway>) -> Self {
        Self::start_every(gateway, EVERY)
    }

    fn start_every(gateway: Arc<dyn Gateway>, every: Duration) -> Self {
        let words = Background::start("progress", move |word| {
            let began = Instant::now();
            // A word that is lost is followed by another.
            let _ = gateway.put_progress(&word);
            began + every
        });
        Self { words }
    }

    /// The newest word replaces one that has not been told yet.
    pub fn say(&self, word: JobProgress) {
        self.words.offer(word);
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

#[cfg(test)]
mod tests {
    use std::{
        path::Path,
        sync::{Mutex, mpsc},
    };

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
