//! Getting a round's contributions.

use std::{
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, SystemTime},
};

use protocol::{job::Seat, types::ModelHash};

use crate::{
    failure::Failure,
    gateway::{Gateway, GatewayError, retry},
    input::Input,
};

/// Downloads at once: one that hangs must not use up the others' time.
const DOWNLOADS: usize = 8;
/// Shortest time a single download is given.
const SHORTEST: Duration = Duration::from_secs(10);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fetched {
    File(PathBuf),
    /// Why not, in the words of the result.
    Failed(String),
    NoContribution,
}

struct Downloads<'a> {
    gateway: &'a dyn Gateway,
    folder: &'a Path,
    limit: u64,
    until: SystemTime,
}

/// Downloads every contribution, each with retries until `fetchUntil`. Only a refusal of this job fails it: what cannot
/// be had costs that proposer its bit.
pub(crate) fn fetch_all(
    input: &Input,
    gateway: &dyn Gateway,
    folder: &Path,
    limit: u64,
) -> Result<Vec<Fetched>, Failure> {
    let downloads = Downloads {
        gateway,
        folder,
        limit,
        until: input.fetch_until(),
    };
    Ok(downloads.all(&input.document.identity.seats)?)
}

impl Downloads<'_> {
    fn all(&self, seats: &[Seat]) -> Result<Vec<Fetched>, GatewayError> {
        let next = AtomicUsize::new(0);
        let slots: Vec<Mutex<Result<Fetched, GatewayError>>> =
            seats.iter().map(|_| Mutex::new(Ok(Fetched::NoContribution))).collect();
        let work = || {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let Some(seat) = seats.get(number) else { break };
                let Some(hash) = seat.contribution else { continue };
                *slots[number].lock().unwrap_or_else(PoisonError::into_inner) = self.one(number, hash);
            }
        };
        thread::scope(|scope| {
            for _ in 0..seats.len().min(DOWNLOADS) {
                scope.spawn(work);
            }
        });
        slots
            .into_iter()
            .map(|slot| slot.into_inner().unwrap_or_else(PoisonError::into_inner))
            .collect()
    }

    fn one(&self, number: usize, hash: ModelHash) -> Result<Fetched, GatewayError> {
        let path = self.folder.join(format!("seat-{number}"));
        let done = retry(self.until, &format!("contribution of seat {number}"), || {
            let left = self.until.duration_since(SystemTime::now()).unwrap_or_default();
            self.gateway.fetch(hash, &path, self.limit, left.max(SHORTEST))
        });
        match done {
            Ok(()) => {
                println!("vote: contribution of seat {number} fetched");
                Ok(Fetched::File(path))
            }
            Err(error @ (GatewayError::Refused { .. } | GatewayError::Io { .. })) => Err(error),
            Err(GatewayError::TooLarge { limit, .. }) => Ok(Fetched::Failed(format!(
                "invalid (too-large): more than maxModelBytes {limit}"
            ))),
            Err(error) => Ok(Fetched::Failed(format!("not fetched ({}): {error}", error.category()))),
        }
    }
}
