//! Dying at a chosen call, and how many calls there were.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Whether the call still takes effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    Before,
    /// The call happened, its answer did not arrive.
    After,
}

#[derive(Debug, Default)]
struct State {
    calls: usize,
    names: Vec<&'static str>,
    plan: Option<(usize, Moment)>,
    dead: bool,
}

/// Shared by every fake of one world.
#[derive(Debug, Clone, Default)]
pub(crate) struct Faults(Arc<Mutex<State>>);

/// The process died; every later call fails too until [`Faults::restart`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Dead;

impl Faults {
    /// Die at the `call`-th call from now (0 is the next one).
    pub(crate) fn die_at(&self, call: usize, moment: Moment) {
        let mut state = self.lock();
        state.calls = 0;
        state.names.clear();
        state.plan = Some((call, moment));
    }

    /// A new process: it may call again. Returns whether the planned death came.
    pub(crate) fn restart(&self) -> bool {
        let mut state = self.lock();
        state.plan = None;
        std::mem::take(&mut state.dead)
    }

    /// The name of every call since the last [`Faults::die_at`].
    pub(crate) fn trace(&self) -> Vec<&'static str> {
        self.lock().names.clone()
    }

    /// Wraps one call: `work` takes effect unless the process is dead by then.
    pub(crate) fn call<T>(&self, name: &'static str, work: impl FnOnce() -> T) -> Result<T, Dead> {
        let now = {
            let mut state = self.lock();
            if state.dead {
                return Err(Dead);
            }
            let index = state.calls;
            state.calls += 1;
            state.names.push(name);
            state.plan.filter(|(at, _)| *at == index).map(|(_, moment)| moment)
        };
        if now == Some(Moment::Before) {
            self.lock().dead = true;
            return Err(Dead);
        }
        let answer = work();
        if now == Some(Moment::After) {
            self.lock().dead = true;
            return Err(Dead);
        }
        Ok(answer)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
