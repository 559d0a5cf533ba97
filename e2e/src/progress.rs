//! What happens in a task, line by line as it becomes visible in FLRounds and FLClients.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use alloy::primitives::Address;
use anyhow::{Result, bail};
use crds::{FLClient, FLRound, flround::FLRoundStatus};
use kube::{ResourceExt, api::ListParams};
use protocol::types::{Amount, ModelHash, Phase, Role, Score};

use crate::{
    manifests::TOKEN,
    task::{Team, condition, phase},
};

/// Called once for each settled round: the round and the global model after it.
pub type OnSettled<'a> = &'a mut dyn FnMut(u32, ModelHash) -> Result<String>;

/// Prints what is new since the last look.
#[derive(Debug)]
pub struct Progress {
    started: Instant,
    names: BTreeMap<Address, String>,
    /// Lines said already, so that each is said once.
    said: BTreeSet<String>,
    settled: BTreeSet<u32>,
}

impl Progress {
    pub fn new(team: &Team) -> Self {
        Self {
            started: Instant::now(),
            names: team.names(),
            said: BTreeSet::new(),
            settled: BTreeSet::new(),
        }
    }

    /// Prints one line with the time since the start.
    pub fn line(&self, text: &str) {
        println!("[{:>4} s] {text}", self.started.elapsed().as_secs());
    }

    fn once(&mut self, text: String) {
        if self.said.insert(text.clone()) {
            self.line(&text);
        }
    }

    fn name(&self, address: Address) -> String {
        self.names.get(&address).cloned().unwrap_or_else(|| address.to_string())
    }

    /// Follows a task until it has ended and every round is mirrored for good.
    pub async fn follow(&mut self, team: &Team, limit: Duration, settled: OnSettled<'_>) -> Result<()> {
        loop {
            // Three lists a second are nothing to an API server, and a watch would not be shorter to read.
            let task = team.task_object().await.ok();
            let clients = team
                .clients()
                .list(&ListParams::default())
                .await
                .map(|l| l.items)
                .unwrap_or_default();
            let rounds = team.round_objects().await.unwrap_or_default();
            if let Some(contract) = task.as_ref().and_then(|t| t.status.as_ref()?.contract) {
                self.once(format!("contract {contract}"));
            }
            clients.iter().for_each(|client| self.client(client));
            for round in &rounds {
                self.round(round, &clients, settled)?;
            }
            let ended = task.as_ref().and_then(phase) == Some(Phase::Ended);
            let is_final = |r: &FLRound| r.status.as_ref().is_some_and(|s| s.r#final);
            if ended && rounds.len() >= team.shape.rounds as usize && rounds.iter().all(is_final) {
                return Ok(());
            }
            if self.started.elapsed() > limit {
                let task = task.as_ref().map(crate::task::task_line).unwrap_or_default();
                let clients: Vec<String> = clients.iter().map(crate::task::client_line).collect();
                bail!(
                    "the task did not end in {} s\n{task}\n{}",
                    limit.as_secs(),
                    clients.join("\n")
                );
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    fn client(&mut self, client: &FLClient) {
        let name = client.name_any();
        let Some(status) = &client.status else { return };
        if let Some(preflight) = &status.preflight {
            self.once(format!(
                "{name} passed its check: {} records to train on, {} to test on, {}",
                preflight.train_samples, preflight.test_samples, preflight.device
            ));
        }
        for problem in ["Stalled"] {
            if let Some(c) = status
                .conditions
                .iter()
                .find(|c| c.type_ == problem && c.status == "True")
            {
                self.once(format!("{name} is stalled: {} {}", c.reason, c.message));
            }
        }
        if let Some(message) = condition(&status.conditions, "Ready", "Removed") {
            self.once(format!("{name} was removed: {message}"));
        }
    }

    fn round(&mut self, round: &FLRound, clients: &[FLClient], settled: OnSettled<'_>) -> Result<()> {
        let number = round.spec.round;
        let Some(status) = &round.status else { return Ok(()) };
        if status.draw.is_some() {
            self.roles(number, status);
        }
        for p in &status.participants {
            let name = self.name(p.address);
            let client = clients
                .iter()
                .find(|c| c.status.as_ref().and_then(|s| s.address) == Some(p.address));
            if let Some(contribution) = &p.contribution {
                let training = client.and_then(|c| c.status.as_ref()?.last_training.as_ref());
                let own = training
                    .filter(|t| t.round == number && t.model == contribution.model)
                    .map(|t| {
                        let metric = t
                            .test_metric
                            .as_deref()
                            .map_or_else(|| "not evaluated".to_owned(), percent);
                        format!(", {metric} on its own test split after {} s", short(&t.seconds))
                    });
                self.fact(number, &format!("{name} contributes {}", contribution.model), own);
            }
            if p.commitment.is_some() {
                self.fact(number, &format!("{name} commits to a vote"), None);
            }
            if let Some(reveal) = &p.reveal {
                let score = if reveal.score == Score::For { "+1" } else { "-1" };
                let vote = client.and_then(|c| c.status.as_ref()?.last_vote.as_ref());
                let own = vote
                    .filter(|v| v.round == number && v.aggregate == reveal.hash)
                    .map(|v| {
                        let (start, new) = (percent(&v.start_metric), percent(&v.aggregate_metric));
                        format!(" ({start} -> {new} on its own test split)")
                    });
                self.fact(number, &format!("{name} votes {score} on {}", reveal.hash), own);
            }
        }
        if let (Some(settlement), Some(outcome), Some(model)) = (&status.settlement, status.outcome, status.next_model)
            && self.settled.insert(number)
        {
            let quality = settled(number, model)?;
            self.line(&format!("round {number}: {outcome:?}, global model {model}, {quality}"));
            self.line(&format!(
                "round {number}: slashed {} ({}), rewarded {} ({}), bonus {}",
                tokens(settlement.slashed_total),
                self.list(
                    status
                        .participants
                        .iter()
                        .filter(|p| p.slashed.is_some())
                        .map(|p| p.address)
                ),
                tokens(settlement.rewarded_total),
                self.list(
                    status
                        .participants
                        .iter()
                        .filter(|p| p.rewarded.is_some())
                        .map(|p| p.address)
                ),
                tokens(settlement.bonus),
            ));
            let stakes = clients.iter().filter_map(|c| {
                let s = c.status.as_ref()?;
                Some(format!("{} {}", c.name_any(), tokens(s.stake?)))
            });
            self.line(&format!(
                "round {number}: stakes {}",
                stakes.collect::<Vec<_>>().join(", ")
            ));
        }
        Ok(())
    }

    fn roles(&mut self, number: u32, status: &FLRoundStatus) {
        let of = |role| {
            status
                .participants
                .iter()
                .filter(move |p| p.role == role)
                .map(|p| p.address)
        };
        let (proposers, voters) = (self.list(of(Role::Proposer)), self.list(of(Role::Voter)));
        self.once(format!("round {number}: proposers {proposers}; voters {voters}"));
    }

    /// Said once by `fact` alone; what is known about it besides may come a moment later and is not waited for.
    fn fact(&mut self, round: u32, fact: &str, detail: Option<String>) {
        let key = format!("round {round}: {fact}");
        if self.said.insert(key.clone()) {
            self.line(&format!("{key}{}", detail.unwrap_or_default()));
        }
    }

    fn list(&self, addresses: impl Iterator<Item = Address>) -> String {
        let names: Vec<String> = addresses.map(|a| self.name(a)).collect();
        if names.is_empty() {
            "nobody".to_owned()
        } else {
            names.join(", ")
        }
    }
}

/// Tokens with three decimals, for people; the exact amounts are in the status.
pub fn tokens(amount: Amount) -> String {
    let thousandths = amount.0 / alloy::primitives::U256::from(TOKEN / 1000);
    let thousandths: u128 = thousandths.try_into().unwrap_or(u128::MAX);
    format!("{}.{:03}", thousandths / 1000, thousandths % 1000)
}

fn percent(metric: &str) -> String {
    metric
        .parse::<f64>()
        .map_or_else(|_| metric.to_owned(), |m| format!("{:.1} %", m * 100.0))
}

fn short(number: &str) -> String {
    number
        .parse::<f64>()
        .map_or_else(|_| number.to_owned(), |n| format!("{n:.1}"))
}
