//! SIGTERM comes from outside: the pod is evicted, its node drained. As process 1 of a container nothing would happen by
//! default. Most of what the trainer does is of no use half done, and the process ends at once; a training is given a
//! moment to leave a checkpoint, and what is nearly done to be handed in.

use std::{
    io,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use protocol::job::ExitCode;
use signal_hook::{consts::SIGTERM, iterator::Signals, low_level};

use crate::report::TerminationLog;

/// The process ends this long after SIGTERM whatever it is doing; a pod's grace period is longer.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(20);

/// Whether the process was told to stop.
#[derive(Debug, Default)]
pub struct Termination {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    asked: Option<Instant>,
    /// Somebody wants a moment before the end.
    answering: usize,
}

/// While it lives, SIGTERM does not end the process at once.
#[derive(Debug)]
pub struct Answering(Arc<Termination>);

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.lock().answering -= 1;
        self.0.changed.notify_all();
    }
}

impl Termination {
    /// Starts a thread that waits for SIGTERM, leaves a line and ends the process.
    pub fn watch(log: TerminationLog) -> io::Result<Arc<Self>> {
        let mut signals = Signals::new([SIGTERM])?;
        let termination = Arc::new(Self::default());
        let ours = termination.clone();
        thread::Builder::new().name("signals".into()).spawn(move || {
            if signals.forever().next().is_some() {
                ours.ask();
                ours.wait(ANSWER_WITHIN);
                log.write("error: stopped by SIGTERM");
                eprintln!("error: stopped by SIGTERM");
                // Without destructors: other threads are in the middle of libtorch.
                low_level::exit(ExitCode::Stopped as i32);
            }
        })?;
        Ok(termination)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ask(&self) {
        self.lock().asked = Some(Instant::now());
    }

    /// Until nobody wants a moment any more, or `most` has passed.
    fn wait(&self, most: Duration) {
        let waited = self
            .changed
            .wait_timeout_while(self.lock(), most, |state| state.answering > 0);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    /// From now on SIGTERM is answered by whoever asks [`Termination::asked`] often enough.
    pub fn answer(self: &Arc<Self>) -> Answering {
        self.lock().answering += 1;
        Answering(self.clone())
    }

    pub fn asked(&self) -> bool {
        self.lock().asked.is_some()
    }

    /// What is left until the process ends whatever it is doing.
    pub fn left(&self) -> Duration {
        match self.lock().asked {
            Some(at) => ANSWER_WITHIN.saturating_sub(at.elapsed()),
            None => Duration::MAX,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_answers_is_waited_for_and_nobody_else() {
        let termination = Arc::new(Termination::default());
        termination.wait(Duration::from_secs(60));
        let answering = termination.answer();
        assert!(!termination.asked() && termination.left() == Duration::MAX);
        termination.ask();
        assert!(termination.asked() && termination.left() <= ANSWER_WITHIN);
        let began = Instant::now();
        termination.wait(Duration::from_millis(20));
        assert!(began.elapsed() >= Duration::from_millis(20));
        let other = termination.clone();
        let waiting = thread::spawn(move || other.wait(Duration::from_secs(60)));
        drop(answering);
        waiting.join().unwrap();
    }
}
