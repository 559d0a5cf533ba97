//! `make bench ARGS=round`: how long a round takes, beside two bare Jobs that run the same trainer commands.
//!
//! A round is a chain of waits: for the draw, for training, for votes, for the settlement. The Jobs are what cannot be
//! saved: the operator's own pods with the same input, a train and then a vote, with nobody else in the cluster.
#![forbid(unsafe_code)]

use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;
use e2e::{bare::BareJob, cluster, data, devnet::Devnet, env, manifests::TaskShape, site::Site, sweep, task::Team};
use protocol::{job::Step, snapshot::TaskSnapshot, types::Timestamp};

const NAMESPACE: &str = "round-bench";
const OPERATOR: &str = "fla-system";
/// Name of the data set.
const SET: &str = "round-bench";
/// One proposer and two voters: on two cores nobody waits for a core for long.
const CLIENTS: u16 = 3;
const RECORDS: usize = 4000;

/// Measures the wall time of rounds and of the trainer commands in them.
#[derive(Debug, Parser)]
struct Arguments {
    /// Rounds to play; the first, which has checks and stakes before it, is not counted.
    #[arg(long, default_value_t = 6)]
    rounds: u32,
    /// Times each bare Job is run.
    #[arg(long, default_value_t = 5)]
    repeats: u32,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    data::make(SET, CLIENTS.into(), RECORDS, 500, &[])?;
    let client = cluster::client().await?;
    sweep::sweep(&client).await?;
    cluster::namespace(&client, NAMESPACE).await?;
    let devnet = Devnet::install(&client).await?;
    devnet.depot.upload(&env::data_dir().join(SET), SET)?;
    Site::install(&client, &devnet, OPERATOR, &[NAMESPACE], true).await?;
    let shape = TaskShape {
        rounds: arguments.rounds,
        min_participants: CLIENTS,
        max_participants: CLIENTS,
        epochs: 2,
        ..TaskShape::default()
    };
    let team = Team::new(&client, NAMESPACE, "bench", SET, CLIENTS.into(), shape);
    println!(
        "playing {} rounds with {CLIENTS} clients of {RECORDS} records",
        arguments.rounds
    );
    team.start(&devnet).await?;
    let contract = team.contract().await?;
    team.ended(Duration::from_secs(u64::from(arguments.rounds) * 120))
        .await?;

    let mut rounds = Vec::new();
    let mut before: Option<TaskSnapshot> = None;
    for round in 0..arguments.rounds {
        let settled = devnet.snapshot(contract, Some(round), &[]).await?;
        if let Some(before) = &before {
            rounds.push(Spans::of(before, &settled)?);
        }
        before = Some(settled);
    }
    let last = arguments.rounds - 1;
    let (train, vote) = (
        BareJob::of(&team, last, Step::Train).await?,
        BareJob::of(&team, last, Step::Vote).await?,
    );
    train.provide(&devnet.depot, NAMESPACE)?;
    let mut bare = Vec::new();
    for number in 0..arguments.repeats {
        let trained = train.run(&client, &devnet.depot, NAMESPACE, number).await?;
        let voted = vote.run(&client, &devnet.depot, NAMESPACE, number).await?;
        println!(
            "bare Jobs, run {number}: train {:.1} s, vote {:.1} s",
            trained.as_secs_f64(),
            voted.as_secs_f64()
        );
        bare.push((trained + voted).as_secs_f64());
    }
    report(&rounds, &bare);
    Ok(())
}

/// Seconds between two events of a round, in block time.
struct Spans {
    draw: u64,
    propose: u64,
    commit: u64,
    reveal: u64,
    settle: u64,
}

impl Spans {
    fn of(before: &TaskSnapshot, round: &TaskSnapshot) -> Result<Self> {
        let at = |time: Option<Timestamp>| time.map(|t| t.0).context("the round has not been settled");
        let r = &round.round;
        let span = |from: Option<Timestamp>, to: Option<Timestamp>| Ok::<_, anyhow::Error>(at(to)? - at(from)?);
        Ok(Self {
            draw: span(before.round.settled_at, r.drawn_at)?,
            propose: span(r.drawn_at, r.commit_open)?,
            commit: span(r.commit_open, r.reveal_open)?,
            reveal: span(r.reveal_open, r.finished_at)?,
            settle: span(r.finished_at, r.settled_at)?,
        })
    }

    fn whole(&self) -> u64 {
        self.draw + self.propose + self.commit + self.reveal + self.settle
    }
}

fn report(rounds: &[Spans], bare: &[f64]) {
    let seconds = |of: fn(&Spans) -> u64| rounds.iter().map(|r| of(r) as f64).collect::<Vec<_>>();
    println!("\n{:<42} {:>7} {:>7} {:>7}", "seconds", "min", "median", "max");
    for (name, values) in [
        ("round, settlement to settlement", seconds(Spans::whole)),
        ("  join and draw (5 blocks at least)", seconds(|r| r.draw)),
        ("  train and contribute", seconds(|r| r.propose)),
        ("  vote and commit", seconds(|r| r.commit)),
        ("  reveal, with confirmations", seconds(|r| r.reveal)),
        ("  settle", seconds(|r| r.settle)),
        ("two bare Jobs: train, then vote", bare.to_vec()),
    ] {
        let (min, median, max) = spread(values);
        println!("{name:<42} {min:>7.1} {median:>7.1} {max:>7.1}");
    }
    let (round, jobs) = (spread(seconds(Spans::whole)).1, spread(bare.to_vec()).1);
    println!(
        "a round takes {:.1} times its two Jobs; {} rounds, {} runs, blocks of 1 s",
        round / jobs,
        rounds.len(),
        bare.len()
    );
}

/// Smallest, middle (the lower of two) and largest.
fn spread(mut values: Vec<f64>) -> (f64, f64, f64) {
    values.sort_by(f64::total_cmp);
    let at = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
    (
        at(0),
        at(values.len().saturating_sub(1) / 2),
        at(values.len().saturating_sub(1)),
    )
}
