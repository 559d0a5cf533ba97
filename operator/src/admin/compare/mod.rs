//! `chain compare`: FLRounds against the chain, to the wei.
//!
//! The mirror may be behind a running round, so what an FLRound does not say yet is no difference; what it says must be
//! so on chain, and a round it calls final must say everything.

mod balances;
mod facts;
mod findings;
mod round;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, path::PathBuf};

use alloy::primitives::Address;
use anyhow::{Context, bail, ensure};
use clap::Args;
use crds::{FLRound, FLTask};
use kube::{Api, ResourceExt, api::ListParams};
use protocol::types::Phase;

use self::{facts::Facts, findings::Findings};
use super::connect::{Connection, RpcArgs};

/// Arguments of `chain compare`.
#[derive(Debug, Clone, Args)]
pub struct CompareArgs {
    #[command(flatten)]
    pub rpc: RpcArgs,
    /// Namespace of the FLTasks; that of the current context if absent.
    #[arg(long, short)]
    pub namespace: Option<String>,
    /// Only this FLTask; all of the namespace if absent.
    #[arg(long, visible_alias = "task")]
    pub fl_task: Option<String>,
    /// Read the FLRounds from a file (`kubectl get flrounds -o json`) instead of the cluster.
    #[arg(long, conflicts_with_all = ["namespace", "fl_task"])]
    pub from_file: Option<PathBuf>,
}

/// FLRounds by the task contract they name, in order of round.
type Mirrors = BTreeMap<Address, Vec<FLRound>>;

/// Runs `chain compare`.
pub(super) async fn run(args: CompareArgs) -> anyhow::Result<()> {
    let chain = Connection::open(&args.rpc).await?;
    let mirrors = match &args.from_file {
        Some(path) => from_file(path)?,
        None => from_cluster(&args, chain.identity.chain_id).await?,
    };
    ensure!(
        !mirrors.is_empty(),
        "there is nothing to compare: no FLRound names chain {}",
        chain.identity.chain_id
    );
    let findings = compare(&chain, &mirrors).await?;
    for note in &findings.notes {
        println!("note: {note}");
    }
    for difference in &findings.differences {
        println!("DIFFERS: {difference}");
    }
    let rounds: usize = mirrors.values().map(Vec::len).sum();
    if findings.differences.is_empty() {
        println!(
            "{rounds} rounds of {} tasks agree with the chain; {} values compared",
            mirrors.len(),
            findings.checked
        );
        Ok(())
    } else {
        bail!(
            "{} differences in {} values compared",
            findings.differences.len(),
            findings.checked
        )
    }
}

async fn compare(chain: &Connection, mirrors: &Mirrors) -> anyhow::Result<Findings> {
    let mut findings = Findings::default();
    for (task, rounds) in mirrors {
        let facts = Facts::read(chain, *task, rounds).await?;
        check_task(rounds, &facts, &mut findings);
    }
    Ok(findings)
}

/// One task: every mirrored round, that none is left out, and the contract's books.
fn check_task(rounds: &[FLRound], facts: &Facts, findings: &mut Findings) {
    for mirror in rounds {
        round::check(mirror, facts, findings);
    }
    let ended = facts.snapshot.state.phase == Phase::Ended;
    let numbers: Vec<u32> = rounds.iter().map(|round| round.spec.round).collect();
    if let (Some(first), Some(last)) = (numbers.first(), numbers.last()) {
        for missing in (*first..=*last).filter(|number| !numbers.contains(number)) {
            findings.differ(format!("{}: round {missing} has no FLRound", facts.snapshot.task));
        }
        for (number, on_chain) in facts.rounds.range(last + 1..) {
            if ended && on_chain.round.settled {
                findings.differ(format!(
                    "{}: round {number} is settled and has no FLRound",
                    facts.snapshot.task
                ));
            }
        }
    }
    balances::check(facts, findings);
}

fn grouped(rounds: Vec<FLRound>) -> Mirrors {
    let mut mirrors = Mirrors::new();
    for round in rounds {
        mirrors.entry(round.spec.task).or_default().push(round);
    }
    for rounds in mirrors.values_mut() {
        rounds.sort_by_key(|round| round.spec.round);
    }
    mirrors
}

fn from_file(path: &PathBuf) -> anyhow::Result<Mirrors> {
    #[derive(serde::Deserialize)]
    struct List {
        items: Vec<FLRound>,
    }
    let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    let list: List =
        serde_json::from_str(&text).with_context(|| format!("{} is no list of FLRounds", path.display()))?;
    Ok(grouped(list.items))
}

async fn from_cluster(args: &CompareArgs, chain_id: u64) -> anyhow::Result<Mirrors> {
    let client = kube::Client::try_default().await.context("reaching the cluster")?;
    let namespace = args
        .namespace
        .clone()
        .unwrap_or_else(|| client.default_namespace().to_owned());
    let everything = ListParams::default();
    let tasks = Api::<FLTask>::namespaced(client.clone(), &namespace)
        .list(&everything)
        .await?;
    let names: Vec<String> = tasks.iter().map(ResourceExt::name_any).collect();
    if let Some(wanted) = &args.fl_task {
        ensure!(
            names.contains(wanted),
            "there is no FLTask {wanted} in namespace {namespace}"
        );
    }
    let rounds = Api::<FLRound>::namespaced(client, &namespace).list(&everything).await?;
    let wanted = rounds.into_iter().filter(|round| {
        round.spec.chain_id == chain_id
            && args
                .fl_task
                .as_ref()
                .is_none_or(|name| *name == round.spec.task_ref.name)
    });
    Ok(grouped(wanted.collect()))
}
