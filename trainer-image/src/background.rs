//! What nobody waits for is done on a thread of its own: the newest item takes the place of one that is not begun yet,
//! and there is a pause between two.

use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Instant,
};

/// Dropping it ends the thread after what it is just doing.
pub(crate) struct Background<T> {
    shared: Arc<Shared<T>>,
}

impl<T> std::fmt::Debug for Background<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Background").finish_non_exhaustive()
    }
}

struct Shared<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
}

struct State<T> {
    newest: Option<T>,
    over: bool,
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The newest item at `not_before` or when there is one; `None` when it is over.
    fn next(&self, not_before: Instant) -> Option<T> {
        let pause = not_before.saturating_duration_since(Instant::now());
        let (state, _) = self
            .changed
            .wait_timeout_while(self.lock(), pause, |state| !state.over)
            .unwrap_or_else(PoisonError::into_inner);
        let mut state = self
            .changed
            .wait_while(state, |state| !state.over && state.newest.is_none())
            .unwrap_or_else(PoisonError::into_inner);
        if state.over { None } else { state.newest.take() }
    }

    fn change(&self, change: impl FnOnce(&mut State<T>)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }
}

impl<T: Send + 'static> Background<T> {
    /// `work` does one item and says when the next may be begun. Without a thread nothing is done, and nobody misses it.
    pub(crate) fn start(name: &str, mut work: impl FnMut(T) -> Instant + Send + 'static) -> Self {
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                newest: None,
                over: false,
            }),
            changed: Condvar::new(),
        });
        let theirs = shared.clone();
        let _ = thread::Builder::new().name(name.to_owned()).spawn(move || {
            let mut not_before = Instant::now();
            while let Some(item) = theirs.next(not_before) {
                not_before = work(item);
            }
        });
        Self { shared }
    }

    pub(crate) fn offer(&self, item: T) {
        self.shared.change(|state| state.newest = Some(item));
    }
}

impl<T> Drop for Background<T> {
    fn drop(&mut self) {
        self.shared.change(|state| state.over = true);
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, time::Duration};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    #[test]
    fn the_newest_is_done_next_and_dropping_ends_it_in_the_middle_of_a_pause() {
        let (done, seen) = mpsc::channel();
        let (go_on, wait) = mpsc::channel::<Instant>();
        let background = Background::start("test", move |item: u32| {
            done.send(item).unwrap();
            wait.recv().unwrap()
        });
        background.offer(1);
        assert_eq!(seen.recv_timeout(PATIENCE), Ok(1));
        // It is still busy with the first.
        background.offer(2);
        background.offer(3);
        go_on.send(Instant::now()).unwrap();
        assert_eq!(seen.recv_timeout(PATIENCE), Ok(3));
        go_on.send(Instant::now() + Duration::from_secs(3600)).unwrap();
        background.offer(4);
        drop(background);
        assert_eq!(seen.recv_timeout(PATIENCE), Err(mpsc::RecvTimeoutError::Disconnected));
    }
}
