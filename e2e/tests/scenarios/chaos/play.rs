//! The task that is played, and when a strike comes.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use alloy::primitives::Address;
use e2e::{
    cluster,
    devnet::Devnet,
    manifests::{TaskShape, Windows},
    shell::{root, tool},
    site::{RELEASE, Site},
    task::Team,
    wait::{Look, until_every},
};
use protocol::{
    snapshot::TaskSnapshot,
    types::{Outcome, Phase},
};

use crate::{
    lab::{Lab, TINY, lab},
    table,
};

pub(super) const ROUNDS: u32 = 3;
const CLIENTS: u16 = 4;
/// Between two looks: times that a scenario reports are this exact.
pub(super) const LOOK: Duration = Duration::from_millis(100);

/// Where in a round to strike.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    pub(super) round: u32,
    pub(super) name: &'static str,
    pub(super) reached: fn(&TaskSnapshot) -> bool,
}

/// Somebody has joined, others have not.
pub(super) const fn joining(round: u32) -> Moment {
    let reached = |s: &TaskSnapshot| s.round.joined >= 1;
    Moment {
        round,
        name: "joining",
        reached,
    }
}

/// Proposers train.
pub(super) const fn training(round: u32) -> Moment {
    let reached = |s: &TaskSnapshot| s.round.phase == Phase::Propose;
    Moment {
        round,
        name: "training",
        reached,
    }
}

/// The commit window is open.
pub(super) const fn committing(round: u32) -> Moment {
    let reached = |s: &TaskSnapshot| s.round.commit_open.is_some();
    Moment {
        round,
        name: "committing",
        reached,
    }
}

/// A commitment is on chain.
pub(super) const fn committed(round: u32) -> Moment {
    let reached = |s: &TaskSnapshot| s.round.committed >= 1;
    Moment {
        round,
        name: "committed",
        reached,
    }
}

/// A task being played by an operator of its own.
pub(super) struct Play {
    pub(super) lab: &'static Lab,
    pub(super) team: Team,
    pub(super) contract: Address,
    /// Namespace of the operator.
    pub(super) operator: String,
}

impl Play {
    /// Starts operator and task in namespaces named after the scenario.
    pub(super) async fn start(name: &str) -> Self {
        let (lab, kube) = lab().await;
        let operator = format!("fla-{name}");
        cluster::namespace(&kube, name).await.unwrap();
        Site::install(&kube, &lab.devnet, &operator, &[name], false)
            .await
            .unwrap();
        Self::with(lab, kube, name, operator).await
    }

    /// The same where the operator's namespace has been prepared.
    pub(super) async fn with(lab: &'static Lab, kube: kube::Client, name: &str, operator: String) -> Self {
        let shape = TaskShape {
            distribution_rate: "0.5",
            windows: Windows {
                join: 120,
                propose: 180,
                commit: 180,
                reveal: 120,
            },
            ..TaskShape::tiny(ROUNDS, CLIENTS)
        };
        let team = Team::new(&kube, name, "struck", TINY, CLIENTS.into(), shape);
        team.start(&lab.devnet).await.unwrap();
        let contract = team.contract().await.unwrap();
        Self {
            lab,
            team,
            contract,
            operator,
        }
    }

    pub(super) fn devnet(&self) -> &'static Devnet {
        &self.lab.devnet
    }

    /// Waits for a moment; one that was missed counts, since some last for a block only.
    pub(super) async fn wait_for(&self, moment: Moment) -> TaskSnapshot {
        let what = format!("{} of round {}", moment.name, moment.round);
        until_every(LOOK, &what, Duration::from_secs(300), || async {
            let now = self.devnet().snapshot(self.contract, None, &[]).await?;
            let current = now.round.round.0;
            let passed = current > moment.round || now.state.phase == Phase::Ended;
            let there = passed || (current == moment.round && (moment.reached)(&now));
            let seen = (now.state.phase, current);
            Ok(Look::when(there, now, seen))
        })
        .await
        .unwrap()
    }

    /// `helm upgrade` of the operator with one value changed, until all is ready again.
    pub(super) fn upgrade(&self, value: &str) {
        let upgraded = Command::new(tool("helm"))
            .args(["upgrade", RELEASE])
            .arg(root().join("charts/fl-alliance"))
            .args(["--namespace", &self.operator, "--reuse-values", "--set", value])
            .args(["--wait", "--timeout", "2m"])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&upgraded.stderr);
        assert!(upgraded.status.success(), "{said}");
    }

    async fn transactions(&self) -> anyhow::Result<u64> {
        let mut sum = 0;
        for address in self.team.addresses() {
            sum += self.devnet().nonce(address).await?;
        }
        Ok(sum)
    }

    /// From now until the chain holds something that these clients sent later than now: what the next two blocks bring
    /// may have been under way.
    pub(super) async fn until_next_transaction(&self) -> Duration {
        let started = Instant::now();
        let head = || async { anyhow::Ok(self.devnet().snapshot(self.contract, None, &[]).await?.block.number) };
        let first = head().await.unwrap();
        let before = until_every(LOOK, "two blocks", Duration::from_secs(60), || async {
            let now = head().await?;
            Ok(Look::when(now >= first + 2, self.transactions().await?, now))
        })
        .await
        .unwrap();
        until_every(LOOK, "the next transaction", Duration::from_secs(180), || async {
            let now = self.transactions().await?;
            Ok(Look::when(now > before, started.elapsed(), now))
        })
        .await
        .unwrap()
    }

    /// Plays on to the end, and checks what every scenario checks.
    pub(super) async fn end(self) {
        self.team.ended(Duration::from_secs(600)).await.unwrap();
        for round in 0..ROUNDS {
            let settled = self.devnet().snapshot(self.contract, Some(round), &[]).await.unwrap();
            table::everybody_did_their_duty(&settled);
            assert_eq!(settled.round.outcome, Outcome::Accepted, "round {round}");
            assert_eq!(table::done(&settled), table::expected(&settled), "round {round}");
        }
        for member in &self.team.members {
            self.team
                .client_until(&member.name, "to have claimed", Duration::from_secs(120), |c| {
                    c.status.as_ref().is_some_and(|s| s.step.as_deref() == Some("Claimed"))
                })
                .await
                .unwrap();
        }
        let compared = self
            .devnet()
            .compare(&self.team.namespace, &self.team.task)
            .await
            .unwrap();
        eprintln!(
            "{}: {}",
            self.team.namespace,
            compared.lines().last().unwrap_or_default()
        );
    }
}
