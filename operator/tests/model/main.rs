//! The draw, the votes and the money of `protocol` against the contract, on random histories played through a real node:
//! equal to the seat and to the wei, after every round.
//!
//! `FLA_MODEL_HISTORIES` says how many histories (120), `FLA_MODEL_SEED` which is the first (1). A failure names its own.
//! One history always plays the same: every one begins from the same state of the chain.

mod books;
mod duties;
mod endings;
mod history;
mod node;
mod parameters;
mod round;
mod running;

use std::{collections::BTreeMap, fmt::Debug};

use crate::{history::History, node::Node};

/// Enough for every kind of ending to turn up.
const HISTORIES: u64 = 120;

/// What has happened, so that a run in which nothing happened does not pass.
#[derive(Debug, Default)]
pub(crate) struct Seen(BTreeMap<String, u32>);

impl Seen {
    pub(crate) fn count(&mut self, what: impl Debug, times: usize) {
        *self.0.entry(format!("{what:?}")).or_default() += u32::try_from(times).unwrap();
    }

    fn expect(&self, what: &str) {
        assert!(
            self.0.get(what).is_some_and(|n| *n > 0),
            "{what} never happened: {self:?}"
        );
    }
}

/// Says how to play a failing history again.
struct Label(u64);

impl Drop for Label {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!(
                "\nhistory {0} fails; again: FLA_MODEL_SEED={0} FLA_MODEL_HISTORIES=1\n",
                self.0
            );
        }
    }
}

fn number(variable: &str, otherwise: u64) -> u64 {
    match std::env::var(variable) {
        Ok(text) => text
            .parse()
            .unwrap_or_else(|_| panic!("{variable} is no number: {text:?}")),
        Err(_) => otherwise,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn contract_and_protocol_agree_on_random_histories_to_the_seat_and_to_the_wei() {
    let (first, histories) = (number("FLA_MODEL_SEED", 1), number("FLA_MODEL_HISTORIES", HISTORIES));
    let mut node = Node::start().await;
    let mut seen = Seen::default();
    let started = std::time::Instant::now();
    for seed in first..first + histories {
        let _label = Label(seed);
        node.begin_again().await;
        History::new(&node, seed).await.play(&mut seen).await;
        seen.count("histories", 1);
    }
    println!("{:?} in {:.0?}", seen.0, started.elapsed());
    if histories < HISTORIES {
        return;
    }
    for what in ["Accepted", "Tie", "Rejected", "Inconclusive", "Empty", "Void"] {
        seen.expect(what);
    }
    for what in [
        "slashes",
        "rewards",
        "removed",
        "terminated",
        "seed aged out",
        "finished early",
        "votes tied in stake",
        "expected before the finish",
        "refused",
    ] {
        seen.expect(&format!("{what:?}"));
    }
}
