//! Virtual time: it moves only when nothing else can run, straight to the next timer.
//!
//! Everything runs on one thread, and of what is due at the same moment the seed decides what goes first.

use std::{
    collections::BTreeMap,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use crate::random::Random;

/// Virtual milliseconds since the Unix epoch.
pub(crate) type Millis = u64;

#[derive(Debug)]
struct State {
    now: Millis,
    /// By time, then by lot.
    timers: BTreeMap<(Millis, u64), Waker>,
    lots: Random,
}

/// The one clock of a run.
#[derive(Debug)]
pub(crate) struct Time(Mutex<State>);

impl Time {
    pub(crate) fn new(now: Millis, lots: Random) -> Arc<Self> {
        Arc::new(Self(Mutex::new(State {
            now,
            timers: BTreeMap::new(),
            lots,
        })))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn now(&self) -> Millis {
        self.lock().now
    }

    pub(crate) fn sleep(self: &Arc<Self>, millis: u64) -> Sleep {
        let at = self.now().saturating_add(millis);
        Sleep {
            time: self.clone(),
            at,
            timer: None,
        }
    }

    /// Moves to the next timer and wakes who waits for it.
    fn advance(&self) {
        let mut state = self.lock();
        if let Some(((at, _), waker)) = state.timers.pop_first() {
            state.now = state.now.max(at);
            drop(state);
            waker.wake();
        }
    }

    /// Runs `work`, and what it spawns, to its end.
    pub(crate) fn run<F: Future>(self: &Arc<Self>, work: F) -> F::Output {
        let time = self.clone();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .on_thread_park(move || time.advance())
            .build()
            .expect("a runtime of one thread needs nothing of the system");
        runtime.block_on(work)
    }
}

/// Until its moment.
#[derive(Debug)]
pub(crate) struct Sleep {
    time: Arc<Time>,
    at: Millis,
    timer: Option<(Millis, u64)>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let time = self.time.clone();
        let mut state = time.lock();
        if state.now >= self.at {
            if let Some(timer) = self.timer.take() {
                state.timers.remove(&timer);
            }
            return Poll::Ready(());
        }
        let timer = match self.timer {
            Some(timer) => timer,
            None => loop {
                let timer = (self.at, state.lots.next());
                if !state.timers.contains_key(&timer) {
                    break timer;
                }
            },
        };
        state.timers.insert(timer, cx.waker().clone());
        drop(state);
        self.timer = Some(timer);
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(timer) = self.timer.take() {
            self.time.lock().timers.remove(&timer);
        }
    }
}
