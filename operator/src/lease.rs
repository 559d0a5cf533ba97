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
use prometheus::{IntCounter, IntGauge, Registry};

use crate::clock::Clock;

/// A holder that has not renewed for this long may be replaced.
pub const DURATION: Duration = Duration::from_secs(15);
/// Time between renewals.
pub const RENEW_EVERY: Duration = Duration::from_secs(3);
/// Nothing is broadcast in the last seconds before the Lease could go to another.
pub const FENCE: Duration = Duration::from_secs(8);

/// A holder that was itself seen silent for this long may be replaced as soon as the Lease is [`DURATION`] old by its own
/// time stamp. Longer than the fence stays open, so it needs no trust in the holder's clock: what the clock adds, if it
/// is right, is the time for what the holder had in flight. A replica that starts after its predecessor died takes over
/// this way some seconds earlier.
pub const SILENCE: Duration = Duration::from_secs(9);

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

/// The Lease as one candidate knows it; times in Unix seconds.
#[derive(Debug, Clone, Copy, Default)]
pub struct Known<'a> {
    pub holder: Option<&'a str>,
    /// When this process saw it change last, by its own clock.
    pub observed_at: u64,
    /// Its time stamp, by the holder's clock.
    pub renewed_at: Option<u64>,
}

pub fn decide(me: &str, lease: Known<'_>, now: u64) -> Step {
    match lease.holder {
        None | Some("") => Step::Take,
        Some(other) if other == me => Step::Take,
        Some(_) => {
            let by_own_clock = lease.observed_at + DURATION.as_secs();
            let by_both = lease.renewed_at.map_or(by_own_clock, |renewed| {
                (renewed + DURATION.as_secs()).max(lease.observed_at + SILENCE.as_secs())
            });
            let free_at = by_own_clock.min(by_both);
            if now >= free_at {
                Step::Take
            } else {
                Step::Wait(Duration::from_secs(free_at - now))
            }
        }
    }
}

/// What one process knows of the Lease.
#[derive(Debug, Clone)]
pub struct LeaseMetrics {
    leading: IntGauge,
    transitions: IntGauge,
    failures: IntCounter,
}

impl LeaseMetrics {
    /// # Errors
    /// If they are registered there already.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let metrics = Self {
            leading: IntGauge::new("fl_alliance_leading", "1 while this replica holds the Lease")?,
            transitions: IntGauge::new(
                "fl_alliance_lease_transitions",
                "How often the Lease has changed hands, as written in it; it should move at upgrades only",
            )?,
            failures: IntCounter::new(
                "fl_alliance_lease_renewal_failures_total",
                "Renewals of the Lease that failed or took too long",
            )?,
        };
        registry.register(Box::new(metrics.leading.clone()))?;
        registry.register(Box::new(metrics.transitions.clone()))?;
        registry.register(Box::new(metrics.failures.clone()))?;
        Ok(metrics)
    }
}

/// The Lease of one operator installation.
pub struct LeaseKeeper {
    api: Api<Lease>,
    name: String,
    identity: String,
    clock: Arc<dyn Clock>,
    fence: Fence,
    metrics: LeaseMetrics,
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
    pub fn new(
        client: Client,
        namespace: &str,
        name: &str,
        identity: &str,
        clock: Arc<dyn Clock>,
        metrics: LeaseMetrics,
    ) -> Self {
        Self {
            api: Api::namespaced(client, namespace),
            name: name.to_owned(),
            identity: identity.to_owned(),
            clock,
            fence: Fence::default(),
            metrics,
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
                    let spec = current.as_ref().and_then(|lease| lease.spec.as_ref());
                    let holder = spec.and_then(|spec| spec.holder_identity.clone());
                    let renewed_at = spec.and_then(|spec| spec.renew_time.as_ref()?.0.as_second().try_into().ok());
                    let known = Known {
                        holder: holder.as_deref(),
                        observed_at,
                        renewed_at,
                    };
                    match decide(&self.identity, known, now) {
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
                Ok(Err(error)) => {
                    self.metrics.failures.inc();
                    tracing::warn!(%error, "cannot renew the lease");
                }
                Err(_) => {
                    self.metrics.failures.inc();
                    tracing::warn!("renewing the lease timed out");
                }
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
        let transitions = before.lease_transitions.unwrap_or(0) + i32::from(changed);
        lease.spec = Some(LeaseSpec {
            holder_identity: Some(holder.unwrap_or_default().to_owned()),
            lease_duration_seconds: i32::try_from(DURATION.as_secs()).ok(),
            acquire_time: if changed {
                Some(now.clone())
            } else {
                before.acquire_time
            },
            lease_transitions: Some(transitions),
            renew_time: Some(now),
            ..LeaseSpec::default()
        });
        if exists {
            self.api.replace(&self.name, &PostParams::default(), &lease).await?;
        } else {
            self.api.create(&PostParams::default(), &lease).await?;
        }
        self.metrics.leading.set(i64::from(holder.is_some()));
        self.metrics.transitions.set(transitions.into());
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

    fn held(observed_at: u64, renewed_at: u64) -> Known<'static> {
        Known {
            holder: Some("b"),
            observed_at,
            renewed_at: Some(renewed_at),
        }
    }

    fn after(seconds: u64) -> Step {
        Step::Wait(Duration::from_secs(seconds))
    }

    #[test]
    fn a_lease_is_taken_when_free_ours_or_expired() {
        let of = |holder| Known {
            holder,
            observed_at: 100,
            renewed_at: None,
        };
        assert_eq!(decide("a", of(None), 100), Step::Take);
        assert_eq!(decide("a", of(Some("")), 100), Step::Take);
        assert_eq!(decide("a", of(Some("a")), 100), Step::Take);
        assert_eq!(decide("a", of(Some("b")), 100 + DURATION.as_secs()), Step::Take);
    }

    #[test]
    fn a_lease_of_another_is_waited_for() {
        assert_eq!(decide("a", held(100, 100), 105), after(10));
    }

    #[test]
    fn one_who_comes_late_waits_for_the_time_stamp_but_watches_a_while_itself() {
        assert_eq!(decide("a", held(103, 100), 103), after(12), "the time stamp");
        assert_eq!(decide("a", held(112, 100), 112), after(9), "its own watch");
        assert_eq!(decide("a", held(112, 100), 121), Step::Take);
    }

    #[test]
    fn a_wrong_clock_of_the_holder_shortens_nothing_below_the_fence_and_prolongs_nothing() {
        assert_eq!(
            decide("a", held(100, 10), 100),
            after(SILENCE.as_secs()),
            "an hour slow"
        );
        assert_eq!(decide("a", held(100, 9_000), 100), after(DURATION.as_secs()), "ahead");
        // One second more for the clocks' whole seconds.
        assert!(SILENCE > DURATION - FENCE + Duration::from_secs(1));
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
