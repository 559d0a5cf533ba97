//! One controller at a time: a Lease, renewed often, and a fence that stops broadcasts before it could be lost.
//!
//! kube-rs has no leader election of its own. What decides is [`decide`], a pure function; a write is a replace with the
//! resourceVersion read, so two candidates cannot both win. Correctness does not rest on the Lease (nonce, expected
//! state and contract make a second sender harmless): it saves double work and reverts.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
    jiff,
};
use kube::{Api, Client, ResourceExt, api::PostParams};

use crate::clock::Clock;

/// A holder that has not renewed for this long may be replaced.
pub const DURATION: Duration = Duration::from_secs(15);
/// Time between renewals.
pub const RENEW_EVERY: Duration = Duration::from_secs(3);
/// Nothing is broadcast in the last seconds before the Lease could go to another.
pub const FENCE: Duration = Duration::from_secs(8);

/// Whether this process may broadcast: its last renewal is young enough.
#[derive(Debug, Clone, Default)]
pub struct Fence {
    renewed_at: Arc<AtomicU64>,
}

impl Fence {
    fn renewed(&self, now: u64) {
        self.renewed_at.store(now, Ordering::SeqCst);
    }

    /// `now` in Unix seconds of the same clock that renews.
    pub fn open(&self, now: u64) -> bool {
        let renewed = self.renewed_at.load(Ordering::SeqCst);
        renewed != 0 && now.saturating_sub(renewed) < (DURATION - FENCE).as_secs()
    }
}

/// What to do about the Lease as it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Nobody's, expired or ours: write our name and the time.
    Take,
    /// Somebody else's for this much longer.
    Wait(Duration),
}

/// Holder, and the renewal time in Unix seconds as *observed* (the moment this process saw it change), so that the
/// holder's clock does not matter.
pub fn decide(me: &str, holder: Option<&str>, observed_at: u64, now: u64) -> Step {
    match holder {
        None | Some("") => Step::Take,
        Some(other) if other == me => Step::Take,
        Some(_) => {
            let free_at = observed_at + DURATION.as_secs();
            if now >= free_at {
                Step::Take
            } else {
                Step::Wait(Duration::from_secs(free_at - now))
            }
        }
    }
}

/// The Lease of one operator installation.
pub struct LeaseKeeper {
    api: Api<Lease>,
    name: String,
    identity: String,
    clock: Arc<dyn Clock>,
    fence: Fence,
}

impl std::fmt::Debug for LeaseKeeper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LeaseKeeper")
            .field("name", &self.name)
            .field("identity", &self.identity)
            .finish_non_exhaustive()
    }
}

impl LeaseKeeper {
    pub fn new(client: Client, namespace: &str, name: &str, identity: &str, clock: Arc<dyn Clock>) -> Self {
        Self {
            api: Api::namespaced(client, namespace),
            name: name.to_owned(),
            identity: identity.to_owned(),
            clock,
            fence: Fence::default(),
        }
    }

    pub fn fence(&self) -> Fence {
        self.fence.clone()
    }

    /// Waits until the Lease is ours.
    pub async fn acquire(&self) {
        let mut seen: Option<(Option<String>, u64)> = None;
        loop {
            let now = self.clock.now().0;
            match self.api.get_opt(&self.name).await {
                Ok(current) => {
                    let version = current.as_ref().and_then(|lease| lease.resource_version());
                    if seen.as_ref().is_none_or(|(seen_version, _)| *seen_version != version) {
                        seen = Some((version, now));
                    }
                    let observed_at = seen.as_ref().map_or(now, |(_, at)| *at);
                    let holder = current.as_ref().and_then(|l| l.spec.as_ref()?.holder_identity.clone());
                    match decide(&self.identity, holder.as_deref(), observed_at, now) {
                        Step::Take => match self.write(current, Some(&self.identity)).await {
                            Ok(()) => {
                                self.fence.renewed(now);
                                tracing::info!(lease = %self.name, "leading");
                                return;
                            }
                            Err(error) => tracing::info!(%error, "did not get the lease"),
                        },
                        Step::Wait(left) => tracing::info!(?holder, ?left, "another replica leads"),
                    }
                }
                Err(error) => tracing::warn!(%error, "cannot read the lease"),
            }
            self.clock.sleep(Duration::from_secs(1)).await;
        }
    }

    /// Renews until it is lost: another holder, or no successful renewal for [`DURATION`].
    pub async fn keep(&self) -> LostLease {
        let mut renewed = self.clock.now().0;
        loop {
            self.clock.sleep(RENEW_EVERY).await;
            let started = self.clock.now().0;
            let attempt = async {
                let current = self.api.get_opt(&self.name).await?;
                let holder = current.as_ref().and_then(|l| l.spec.as_ref()?.holder_identity.clone());
                if holder.as_deref().is_some_and(|h| h != self.identity) {
                    return Ok(holder);
                }
                self.write(current, Some(&self.identity)).await?;
                Ok::<_, kube::Error>(None)
            };
            match tokio::time::timeout(RENEW_EVERY, attempt).await {
                Ok(Ok(None)) => {
                    renewed = started;
                    self.fence.renewed(started);
                }
                Ok(Ok(Some(holder))) => return LostLease::Taken(holder),
                Ok(Err(error)) => tracing::warn!(%error, "cannot renew the lease"),
                Err(_) => tracing::warn!("renewing the lease timed out"),
            }
            if self.clock.now().0.saturating_sub(renewed) >= DURATION.as_secs() {
                return LostLease::NotRenewed;
            }
        }
    }

    /// Gives the Lease away at a clean stop, so that the next replica need not wait.
    pub async fn release(&self) {
        self.fence.renewed(0);
        let attempt = async {
            let current = self.api.get_opt(&self.name).await?;
            let ours = current
                .as_ref()
                .and_then(|l| l.spec.as_ref()?.holder_identity.as_deref())
                == Some(&self.identity);
            if ours { self.write(current, None).await } else { Ok(()) }
        };
        if let Err(error) = attempt.await {
            tracing::warn!(%error, "could not release the lease; the next leader waits until it expires");
        }
    }

    async fn write(&self, current: Option<Lease>, holder: Option<&str>) -> Result<(), kube::Error> {
        let now = MicroTime(
            jiff::Timestamp::from_second(i64::try_from(self.clock.now().0).unwrap_or(i64::MAX)).unwrap_or_default(),
        );
        let exists = current.is_some();
        let mut lease = current.unwrap_or_default();
        lease.metadata.name = Some(self.name.clone());
        let before = lease.spec.take().unwrap_or_default();
        let changed = before.holder_identity.as_deref() != holder;
        lease.spec = Some(LeaseSpec {
            holder_identity: Some(holder.unwrap_or_default().to_owned()),
            lease_duration_seconds: i32::try_from(DURATION.as_secs()).ok(),
            acquire_time: if changed {
                Some(now.clone())
            } else {
                before.acquire_time
            },
            lease_transitions: Some(before.lease_transitions.unwrap_or(0) + i32::from(changed)),
            renew_time: Some(now),
            ..LeaseSpec::default()
        });
        if exists {
            self.api.replace(&self.name, &PostParams::default(), &lease).await?;
        } else {
            self.api.create(&PostParams::default(), &lease).await?;
        }
        Ok(())
    }
}

/// Why this process must stop.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum LostLease {
    #[error("the lease was taken by {0}")]
    Taken(String),
    #[error("the lease could not be renewed in time")]
    NotRenewed,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_taken_when_free_ours_or_expired() {
        assert_eq!(decide("a", None, 0, 100), Step::Take);
        assert_eq!(decide("a", Some(""), 100, 100), Step::Take);
        assert_eq!(decide("a", Some("a"), 100, 100), Step::Take);
        assert_eq!(decide("a", Some("b"), 100, 100 + DURATION.as_secs()), Step::Take);
    }

    #[test]
    fn a_lease_of_another_is_waited_for() {
        assert_eq!(
            decide("a", Some("b"), 100, 105),
            Step::Wait(DURATION - Duration::from_secs(5))
        );
    }

    #[test]
    fn nothing_is_broadcast_before_the_first_renewal_nor_in_the_last_seconds() {
        let fence = Fence::default();
        assert!(!fence.open(100));
        fence.renewed(100);
        assert!(fence.open(106));
        assert!(!fence.open(107));
        assert!(FENCE > RENEW_EVERY, "a renewal in flight must not outlive the fence");
    }
}
