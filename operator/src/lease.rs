//! One controller at a time: a Lease, renewed often, and a fence that stops broadcasts before it could be lost.
//!
//! kube-rs has no leader election of its own. What decides is [`decide`], a pure function; a write is a replace with the
//! resourceVersion read, so two candidates cannot both win. Correctness does not rest on the Lease (nonce, expected
//! state and contract make a second sender harmless): it saves double work and reverts.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
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

/// Whether this process may broadcast: its last renewal is young enough by two clocks. The wall clock may be set back, and
/// the steady one stands still while a machine sleeps; the older of the two ages counts.
#[derive(Debug, Clone, Default)]
pub struct Fence {
    renewed: Arc<Mutex<Option<Renewal>>>,
}

/// A moment by both clocks: when a renewal was begun.
#[derive(Debug, Clone, Copy)]
struct Renewal {
    wall: u64,
    steady: Instant,
}

impl Renewal {
    fn begins(wall: u64) -> Self {
        Self {
            wall,
            steady: Instant::now(),
        }
    }

    fn age(self, now: Self) -> Duration {
        let by_wall = Duration::from_secs(now.wall.saturating_sub(self.wall));
        now.steady.saturating_duration_since(self.steady).max(by_wall)
    }
}

impl Fence {
    fn set(&self, renewed: Option<Renewal>) {
        *self.renewed.lock().unwrap_or_else(PoisonError::into_inner) = renewed;
    }

    /// `now` in Unix seconds of the same clock that renews.
    pub fn open(&self, now: u64) -> bool {
        self.open_at(Renewal::begins(now))
    }

    fn open_at(&self, now: Renewal) -> bool {
        let renewed = *self.renewed.lock().unwrap_or_else(PoisonError::into_inner);
        renewed.is_some_and(|renewal| renewal.age(now) < DURATION - FENCE)
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

/// The Lease as one candidate knows it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Known<'a> {
    pub holder: Option<&'a str>,
    /// For how long this process has seen it unchanged, by its own steady clock.
    pub silent_for: Duration,
    /// Our wall clock less its time stamp, which the holder's clock made.
    pub age: Duration,
}

pub fn decide(me: &str, lease: Known<'_>) -> Step {
    match lease.holder {
        None | Some("") => Step::Take,
        Some(other) if other == me => Step::Take,
        Some(_) => {
            let by_own_clock = DURATION.saturating_sub(lease.silent_for);
            let by_both = DURATION
                .saturating_sub(lease.age)
                .max(SILENCE.saturating_sub(lease.silent_for));
            match by_own_clock.min(by_both) {
                Duration::ZERO => Step::Take,
                left => Step::Wait(left),
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
        let mut seen: Option<(Option<String>, Instant)> = None;
        loop {
            let attempt = Renewal::begins(self.clock.now().0);
            match self.api.get_opt(&self.name).await {
                Ok(current) => {
                    let version = current.as_ref().and_then(|lease| lease.resource_version());
                    let since = match &seen {
                        Some((known, since)) if *known == version => *since,
                        _ => seen.insert((version, Instant::now())).1,
                    };
                    let spec = current.as_ref().and_then(|lease| lease.spec.as_ref());
                    let holder = spec.and_then(|spec| spec.holder_identity.clone());
                    let stamp = spec.and_then(|spec| u64::try_from(spec.renew_time.as_ref()?.0.as_second()).ok());
                    let known = Known {
                        holder: holder.as_deref(),
                        silent_for: since.elapsed(),
                        age: Duration::from_secs(stamp.map_or(0, |at| attempt.wall.saturating_sub(at))),
                    };
                    match decide(&self.identity, known) {
                        Step::Take => match self.write(current, Some(&self.identity)).await {
                            Ok(()) => {
                                self.fence.set(Some(attempt));
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
        let mut renewed = Renewal::begins(self.clock.now().0);
        loop {
            self.clock.sleep(RENEW_EVERY).await;
            let started = Renewal::begins(self.clock.now().0);
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
                    self.fence.set(Some(started));
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
            if renewed.age(Renewal::begins(self.clock.now().0)) >= DURATION {
                return LostLease::NotRenewed;
            }
        }
    }

    /// Gives the Lease away at a clean stop, so that the next replica need not wait.
    pub async fn release(&self) {
        self.fence.set(None);
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

    const fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    fn held(silent_for: u64, age: u64) -> Known<'static> {
        Known {
            holder: Some("b"),
            silent_for: seconds(silent_for),
            age: seconds(age),
        }
    }

    #[test]
    fn a_lease_is_taken_when_free_ours_or_expired() {
        let of = |holder| Known {
            holder,
            ..Known::default()
        };
        assert_eq!(decide("a", of(None)), Step::Take);
        assert_eq!(decide("a", of(Some(""))), Step::Take);
        assert_eq!(decide("a", of(Some("a"))), Step::Take);
        assert_eq!(decide("a", held(15, 15)), Step::Take);
    }

    #[test]
    fn a_lease_of_another_is_waited_for() {
        assert_eq!(decide("a", held(5, 5)), Step::Wait(seconds(10)));
    }

    #[test]
    fn one_who_comes_late_waits_for_the_time_stamp_but_watches_a_while_itself() {
        assert_eq!(decide("a", held(0, 3)), Step::Wait(seconds(12)), "the time stamp");
        assert_eq!(decide("a", held(0, 12)), Step::Wait(SILENCE), "its own watch");
        assert_eq!(decide("a", held(9, 21)), Step::Take);
    }

    #[test]
    fn a_wrong_clock_of_the_holder_shortens_nothing_below_the_fence_and_prolongs_nothing() {
        assert_eq!(decide("a", held(0, 3600)), Step::Wait(SILENCE), "an hour slow");
        assert_eq!(decide("a", held(0, 0)), Step::Wait(DURATION), "ahead");
        assert!(SILENCE > DURATION - FENCE);
    }

    #[test]
    fn nothing_is_broadcast_before_the_first_renewal_nor_in_the_last_seconds() {
        let fence = Fence::default();
        assert!(!fence.open(100));
        fence.set(Some(Renewal::begins(100)));
        assert!(fence.open(106));
        assert!(!fence.open(107));
        assert!(FENCE > RENEW_EVERY, "a renewal in flight must not outlive the fence");
        fence.set(None);
        assert!(!fence.open(100));
    }

    #[test]
    fn a_clock_that_is_set_back_keeps_no_fence_open() {
        let fence = Fence::default();
        let renewal = Renewal::begins(100);
        fence.set(Some(renewal));
        let later = |seconds| Renewal {
            wall: 50,
            steady: renewal.steady + Duration::from_secs(seconds),
        };
        assert!(fence.open_at(later(6)));
        assert!(!fence.open_at(later(7)));
    }
}
