//! The calls of a process to the outside, and everything that may happen to one.

use std::sync::Arc;

use crate::{
    faults::Fault,
    process::end,
    world::{State, World},
};

/// Which process makes a call.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) world: Arc<World>,
    pub(crate) id: usize,
}

/// The call did not come off, or its answer did not arrive.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lost;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Ok,
    DieBefore,
    DieAfter,
    Fail,
    Lose,
}

impl Caller {
    /// One call to the outside: `work` is its effect. Everything that can happen to a call happens here.
    pub(crate) async fn call<T>(
        &self,
        name: &'static str,
        work: impl FnOnce(&mut State) -> T + Send,
    ) -> Result<T, Lost> {
        self.thaw().await;
        let (fate, before, after) = {
            let mut state = self.world.lock();
            self.fate(&mut state, name)
        };
        if before > 0 {
            self.world.time.sleep(before).await;
            self.thaw().await;
        }
        let answer = {
            let mut state = self.world.lock();
            if fate == Fate::DieBefore {
                self.die(&mut state, name, true);
                None
            } else if fate == Fate::Fail {
                return Err(Lost);
            } else {
                let answer = work(&mut state);
                if fate == Fate::DieAfter {
                    self.die(&mut state, name, false);
                    None
                } else {
                    Some(answer)
                }
            }
        };
        let Some(answer) = answer else {
            return std::future::pending().await;
        };
        if after > 0 {
            self.world.time.sleep(after).await;
            self.thaw().await;
        }
        if fate == Fate::Lose { Err(Lost) } else { Ok(answer) }
    }

    fn fate(&self, state: &mut State, name: &'static str) -> (Fate, u64, u64) {
        let (world, now) = (&self.world, self.world.now());
        state.calls += 1;
        *state.coverage.calls.entry(name.into()).or_default() += 1;
        let delay = |state: &mut State| {
            if world.strikes(state, Fault::CallSlow) {
                let millis = state.random.between(1_000, 10_000);
                state.disturb(now, now + millis);
                millis
            } else if state.random.chance(world.plan.latency) {
                state.random.between(1, 200)
            } else {
                0
            }
        };
        let (before, after) = (delay(state), delay(state));
        let planned = self.planned_death(state, name);
        let fate = if planned == Some(true) || world.strikes(state, Fault::CrashBefore) {
            Fate::DieBefore
        } else if planned == Some(false) || world.strikes(state, Fault::CrashAfter) {
            Fate::DieAfter
        } else if world.strikes(state, Fault::CallFails) {
            Fate::Fail
        } else if world.strikes(state, Fault::AnswerLost) {
            Fate::Lose
        } else {
            Fate::Ok
        };
        if fate != Fate::Ok {
            let parts = ["create_job", "create_secret", "delete_job", "delete_secret"].contains(&name);
            state.interrupted += u64::from(parts);
            let id = self.id;
            state.disturb(now, now + before + after + 1);
            state
                .trace
                .note(now, "fault", fate as u64, || format!("process {id}: {name}: {fate:?}"));
        }
        (fate, before, after)
    }

    /// Whether the process dies before or after this call because the plan says so.
    fn planned_death(&self, state: &mut State, name: &'static str) -> Option<bool> {
        let death = self.world.plan.death.filter(|death| death.call == name)?;
        if self.world.calm() {
            return None;
        }
        state.planned += 1;
        (state.planned == death.nth).then(|| {
            let fault = if death.before {
                Fault::CrashBefore
            } else {
                Fault::CrashAfter
            };
            state.coverage.struck(fault);
            death.before
        })
    }

    fn die(&self, state: &mut State, name: &'static str, before: bool) {
        let now = self.world.now();
        let deaths = state.coverage.deaths.entry(name.into()).or_default();
        if before {
            deaths.0 += 1;
        } else {
            deaths.1 += 1;
        }
        end(&self.world, state, self.id, now);
    }

    /// Waits while the process is frozen; for ever if it is dead.
    pub(crate) async fn thaw(&self) {
        loop {
            let wait = {
                let state = self.world.lock();
                let process = &state.processes[self.id];
                process
                    .alive
                    .then(|| process.frozen_until.saturating_sub(self.world.now()))
            };
            match wait {
                None => return std::future::pending().await,
                Some(0) => return,
                Some(millis) => self.world.time.sleep(millis).await,
            }
        }
    }
}
