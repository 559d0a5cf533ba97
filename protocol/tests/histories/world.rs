//! Several sites and one chain, block by block, with whatever goes wrong; every decision is checked as it is taken.

use protocol::{
    action::{Action, Decision, Transaction},
    client::ClientView,
    decide::decide,
    snapshot::TaskSnapshot,
    types::{Amount, Phase, Timestamp},
};

use crate::{
    BALANCE, STAKE,
    chain::{Chain, Revert, Signed},
    site::Site,
};

/// What may go wrong, at some block.
#[derive(Debug, Clone)]
pub(crate) enum Event {
    Reorg { depth: usize },
    SlowBlock { seconds: u64 },
    At { site: usize, trouble: Trouble },
}

#[derive(Debug, Clone)]
pub(crate) enum Trouble {
    Offline {
        blocks: u64,
    },
    /// Jobs and what was known of the transaction in flight are lost; the transaction itself may still be mined.
    Crash,
    /// Old state is read.
    Lag {
        blocks: usize,
    },
    Skew {
        seconds: i64,
    },
    JobFails {
        retry: bool,
    },
    JobsTake {
        blocks: u64,
    },
    TransactionsTake {
        blocks: u64,
    },
    TransactionLost,
    /// Jobs are lost, and run again they come to other votes.
    OtherVotes,
    NewEnvironment,
    Suspend,
    Resume,
    Drain,
}

pub(crate) struct World {
    /// Every state of the present branch, the last one is the head.
    pub(crate) history: Vec<Chain>,
    landed: Vec<Vec<Signed>>,
    orphans: Vec<Signed>,
    pub(crate) sites: Vec<Site>,
    confirmations: u64,
    block_seconds: u64,
    /// Transactions other than pokes that reverted.
    pub(crate) reverted: Vec<(Signed, Revert)>,
}

impl World {
    pub(crate) fn new(chain: Chain, sites: Vec<Site>, confirmations: u64, block_seconds: u64) -> Self {
        Self {
            history: vec![chain],
            landed: vec![Vec::new()],
            orphans: Vec::new(),
            sites,
            confirmations,
            block_seconds,
            reverted: Vec::new(),
        }
    }

    pub(crate) fn head(&self) -> &Chain {
        self.history.last().unwrap()
    }

    pub(crate) fn finished(&self) -> bool {
        let head = self.head();
        head.ended && head.accounts.values().all(|a| a.left == 0 && a.claimable == 0)
    }

    pub(crate) fn step(&mut self, event: Option<&Event>) {
        let mut seconds = self.block_seconds;
        match event {
            Some(Event::SlowBlock { seconds: s }) => seconds = *s,
            Some(Event::Reorg { depth }) => self.reorg(*depth),
            Some(Event::At { site, trouble }) => self.disturb(*site, trouble),
            None => {}
        }
        for i in 0..self.sites.len() {
            self.act(i);
        }
        self.mine(seconds);
    }

    fn disturb(&mut self, site: usize, trouble: &Trouble) {
        let head = self.head().number;
        let count = self.sites.len();
        let site = &mut self.sites[site % count];
        match trouble {
            Trouble::Offline { blocks } => site.offline_until = head + blocks,
            Trouble::Crash => {
                site.jobs.clear();
                self.orphans.extend(site.in_flight.take().map(|(signed, _)| signed));
            }
            Trouble::Lag { blocks } => site.lag = *blocks,
            Trouble::Skew { seconds } => site.skew = *seconds,
            Trouble::JobFails { retry } => site.failures.push(*retry),
            Trouble::JobsTake { blocks } => site.job_blocks = *blocks,
            Trouble::TransactionsTake { blocks } => site.delay = *blocks,
            Trouble::TransactionLost => site.in_flight = None,
            Trouble::OtherVotes => {
                site.flaky += 1;
                site.jobs.clear();
            }
            Trouble::NewEnvironment => site.environment += 1,
            Trouble::Suspend => site.suspended = true,
            Trouble::Resume => site.suspended = false,
            Trouble::Drain => site.draining = true,
        }
    }

    /// Everything that was wrong is mended; what a drained site or a removed account missed stays missed.
    pub(crate) fn mend(&mut self) {
        for site in &mut self.sites {
            site.offline_until = 0;
            site.suspended = false;
            (site.lag, site.skew, site.delay, site.job_blocks) = (0, 0, 1, 2);
            site.failures.clear();
            // A check that failed for good is tried again when somebody changed something.
            site.environment += 1;
        }
    }

    fn reorg(&mut self, depth: usize) {
        let keep = self.history.len().saturating_sub(depth).max(1);
        self.orphans.extend(self.landed.drain(keep..).flatten());
        self.history.truncate(keep);
        let head = self.head().number;
        for site in &mut self.sites {
            site.not_before = site.not_before.min(head);
        }
        let fork = self.head().fork;
        self.history.last_mut().unwrap().fork = fork + depth as u64 + self.head().number;
    }

    fn act(&mut self, i: usize) {
        let head = self.head();
        let site = &self.sites[i];
        if head.number < site.offline_until {
            return;
        }
        let seen = &self.history[self.history.len().saturating_sub(1 + site.lag)];
        if seen.number < site.not_before {
            return;
        }
        let snapshot = seen.snapshot(&[site.address]);
        let view = site.view(&snapshot, head.number, head.timestamp, self.confirmations);
        let decision = decide(&snapshot, &view);
        assert_eq!(
            decision,
            decide(&snapshot, &view),
            "a decision depends on its inputs only"
        );
        check(site, &snapshot, &view, &decision);
        let head = head.clone();
        let genesis = head.parameters.genesis_model;
        let site = &mut self.sites[i];
        for action in &decision.actions {
            if let Action::Send(Transaction::CommitVote {
                round,
                round_digest,
                commitment,
            }) = action
            {
                let first = *site.committed.entry((round.0, *round_digest)).or_insert(*commitment);
                assert_eq!(first, *commitment, "two commitments for one round");
            }
        }
        let from = site.address;
        // As a sender does: nothing is sent that `estimateGas` at the head says would revert.
        site.carry_out(&decision, head.number, genesis, |transaction| {
            let signed = head.sign(from, transaction.clone());
            let reverts = !head.clone().mine(1, std::slice::from_ref(&signed)).is_empty();
            (!reverts).then_some(signed)
        });
    }

    fn mine(&mut self, seconds: u64) {
        let number = self.head().number;
        let mut transactions: Vec<Signed> = std::mem::take(&mut self.orphans);
        for site in &mut self.sites {
            let mined = site.in_flight.take_if(|(_, at)| *at <= number + 1);
            transactions.extend(mined.map(|(signed, _)| signed));
        }
        for site in &mut self.sites {
            if transactions.iter().any(|signed| signed.from == site.address) {
                site.not_before = number + 1;
            }
        }
        let mut next = self.head().clone();
        let tokens = next.total_tokens();
        let reverted = next.mine(seconds, &transactions);
        assert_eq!(next.total_tokens(), tokens, "tokens are neither made nor lost");
        if !next.ended {
            for site in &self.sites {
                let balance = next.accounts[&site.address].balance;
                assert!(balance == BALANCE || balance == BALANCE - STAKE, "staked once, exactly");
            }
        }
        self.reverted
            .extend(reverted.into_iter().filter(|(signed, _)| !signed.transaction.is_poke()));
        self.history.push(next);
        self.landed.push(transactions);
    }
}

/// What must hold for every single decision.
fn check(site: &Site, snapshot: &TaskSnapshot, view: &ClientView, decision: &Decision) {
    if view.suspended {
        assert!(decision.actions.is_empty(), "nothing is done while suspended");
    }
    let running = snapshot.state.phase != Phase::Ended;
    assert!(
        decision.awaiting.is_some() || !running || view.draining,
        "{:?} awaits nothing",
        decision.step
    );
    let round = &snapshot.round;
    let me = snapshot.participant(site.address);
    let block = snapshot.block;
    let late = block.timestamp.max(view.now);
    let within = |open: Option<Timestamp>, deadline: Option<Timestamp>| {
        open.is_some_and(|t| t <= block.timestamp) && deadline.is_some_and(|t| block.timestamp < t)
    };
    let pressed =
        |deadline: Option<Timestamp>, window: u32| deadline.is_some_and(|d| late.0 >= d.0 - u64::from(window) / 4);
    let deep = |at: Option<u64>| at.is_some_and(|b| b <= view.confirmed_block);
    for action in &decision.actions {
        match action {
            Action::Stop(reason) => panic!("an honest site stopped: {reason:?}"),
            Action::WaitUntil(at) => assert!(*at > late, "waits for the past"),
            Action::StartJob(request) => assert!(request.finish_by > late && request.fetch_until <= request.finish_by),
            Action::Publish { model } => {
                let committed = me.is_some_and(|m| m.commitment.is_some());
                assert!(
                    committed && site.ledger.iter().any(|e| e.hash == *model),
                    "published before it is committed"
                );
            }
            Action::RecordVote(vote) => {
                let exists = site
                    .ledger
                    .iter()
                    .any(|e| (e.round, e.round_digest) == (vote.round, vote.round_digest));
                assert!(
                    !exists && vote.round_digest == round.round_digest,
                    "a stored vote wins over a re-run"
                );
            }
            Action::Send(Transaction::Approve { amount, .. } | Transaction::Stake { amount }) => {
                assert_eq!(*amount, Amount::from(STAKE));
                assert!(!snapshot.accounts[0].ever_staked, "never topped up");
            }
            Action::Send(Transaction::JoinRound { .. }) => {
                assert!(!view.draining && !snapshot.accounts[0].removed && snapshot.state.phase == Phase::Join);
            }
            Action::Send(Transaction::Contribute { draw_digest, .. }) => {
                assert_eq!(*draw_digest, round.draw_digest);
                assert!(me.is_some_and(|m| m.contribution.is_none()) && within(round.drawn_at, round.propose_deadline));
            }
            Action::Send(Transaction::CommitVote {
                round_digest,
                commitment,
                ..
            }) => {
                assert_eq!(*round_digest, round.round_digest);
                assert!(
                    site.ledger.iter().any(|e| e.commitment == *commitment),
                    "stored before it is sent"
                );
                assert!(me.is_some_and(|m| m.commitment.is_none()) && within(round.commit_open, round.commit_deadline));
                let inputs = snapshot.proposers().filter(|p| p.contribution.is_some());
                let settled = inputs.map(|p| p.contributed_block).all(deep);
                assert!(settled || pressed(round.commit_deadline, snapshot.parameters.commit_window));
            }
            Action::Send(Transaction::RevealVote { salt, .. }) => {
                assert!(
                    within(round.reveal_open, round.reveal_deadline),
                    "a reveal outside of its window"
                );
                let stored = site.ledger.iter().find(|e| e.salt == *salt).map(|e| e.commitment);
                assert!(stored.is_some() && stored == me.and_then(|m| m.commitment));
                let settled = snapshot
                    .voters()
                    .filter(|v| v.commitment.is_some())
                    .all(|v| deep(v.committed_block));
                assert!(
                    settled || pressed(round.reveal_deadline, snapshot.parameters.reveal_window),
                    "a hint"
                );
            }
            Action::Send(_) | Action::DeleteJob { .. } => {}
        }
    }
}
