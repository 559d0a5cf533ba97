//! The FLRound of one round: a pure function of the chain's state and of the round's logs.

use std::collections::HashMap;

use crds::{
    FLRound, FLRoundSpec, FLRoundStatus, NameRef,
    flround::{
        AmountRecord, CommitmentRecord, ContributionRecord, Deadlines, DecisionRecord, DrawRecord, ParticipantRecord,
        RevealRecord, SettlementRecord,
    },
    names, rfc3339,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::ObjectMeta;
use protocol::{
    snapshot::{ParticipantState, RoundState, TaskSnapshot},
    types::{Address, Amount, B256, Outcome, Role},
};

use crate::chain::{TaskEvent, TaskLog};

/// What happened to whom, so that its transaction can be found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Deed {
    Drawn,
    Contributed(Address),
    Committed(Address),
    Revealed(Address),
    Finished,
    Slashed(Address),
    Rewarded(Address),
    Settled,
}

/// Transactions of one round by deed. Logs only enrich: what is missing here is still shown, without a transaction.
#[derive(Debug, Default)]
pub struct RoundTransactions(HashMap<Deed, B256>);

impl RoundTransactions {
    /// From a task's logs; those of other rounds are left out.
    pub fn of(round: protocol::types::Round, logs: &[TaskLog]) -> Self {
        let mut found = HashMap::new();
        for log in logs {
            let (of, deed) = match log.event {
                TaskEvent::RolesDrawn { round } => (round, Deed::Drawn),
                TaskEvent::Contributed { round, account } => (round, Deed::Contributed(account)),
                TaskEvent::VoteCommitted { round, account } => (round, Deed::Committed(account)),
                TaskEvent::VoteRevealed { round, account } => (round, Deed::Revealed(account)),
                TaskEvent::RoundFinished { round } => (round, Deed::Finished),
                TaskEvent::Slashed { round, account, .. } => (round, Deed::Slashed(account)),
                // The bonus of the caller of `slash` is shown in the settlement, not as that account's reward.
                TaskEvent::Rewarded {
                    round,
                    account,
                    ref role,
                    ..
                } if role != "slasher" => (round, Deed::Rewarded(account)),
                TaskEvent::RoundSettled { round, .. } => (round, Deed::Settled),
                _ => continue,
            };
            if of == round {
                found.insert(deed, log.transaction);
            }
        }
        Self(found)
    }

    /// Whether the settlement is among them.
    pub(super) fn have_settlement(&self) -> bool {
        self.0.contains_key(&Deed::Settled)
    }

    fn get(&self, deed: Deed) -> Option<B256> {
        self.0.get(&deed).copied()
    }
}

/// The FLRound of `snapshot.round`. `confirmed_block`: everything at or below it is settled on chain.
pub fn flround(
    task: &str,
    namespace: &str,
    owner: Option<OwnerReference>,
    snapshot: &TaskSnapshot,
    transactions: &RoundTransactions,
    confirmed_block: u64,
) -> FLRound {
    let round = snapshot.round.round;
    let mut object = FLRound {
        metadata: ObjectMeta {
            name: Some(names::round_name(task, round.0)),
            namespace: Some(namespace.to_owned()),
            labels: Some(
                [
                    (names::LABEL_TASK.to_owned(), task.to_owned()),
                    (names::LABEL_ROUND.to_owned(), round.to_string()),
                    (names::LABEL_MANAGED_BY.to_owned(), names::MANAGED_BY.to_owned()),
                ]
                .into(),
            ),
            owner_references: owner.map(|owner| vec![owner]),
            ..ObjectMeta::default()
        },
        spec: FLRoundSpec {
            task_ref: NameRef { name: task.to_owned() },
            chain_id: snapshot.chain_id,
            task: snapshot.task,
            round: round.0,
        },
        status: None,
    };
    object.status = Some(status(snapshot, transactions, confirmed_block));
    object
}

fn status(snapshot: &TaskSnapshot, transactions: &RoundTransactions, confirmed_block: u64) -> FLRoundStatus {
    let round = &snapshot.round;
    FLRoundStatus {
        conditions: Vec::new(),
        phase: Some(round.phase),
        outcome: (round.outcome != Outcome::None).then_some(round.outcome),
        r#final: is_final(round, confirmed_block),
        deadlines: Some(Deadlines {
            join: rfc3339(round.join_deadline),
            propose: round.propose_deadline.and_then(rfc3339),
            commit: round.commit_deadline.and_then(rfc3339),
            reveal: round.reveal_deadline.and_then(rfc3339),
        }),
        start_model: Some(round.start_model),
        next_model: round.next_hash,
        draw: draw(round, transactions),
        round_digest: (!round.round_digest.is_zero()).then_some(round.round_digest),
        participants: snapshot
            .participants
            .iter()
            .enumerate()
            .map(|(i, p)| participant(i, p, round, transactions))
            .collect(),
        decision: decision(round, transactions),
        settlement: settlement(round, transactions),
    }
}

/// Settled (or void for ever) and the settlement is deep enough.
pub fn is_final(round: &RoundState, confirmed_block: u64) -> bool {
    round.settled && round.settled_block.is_some_and(|block| block <= confirmed_block)
}

fn draw(round: &RoundState, transactions: &RoundTransactions) -> Option<DrawRecord> {
    round.drawn_at?;
    Some(DrawRecord {
        seed_block: round.seed_block?,
        digest: round.draw_digest,
        at: round.drawn_at.and_then(rfc3339),
        transaction: transactions.get(Deed::Drawn),
        block: round.drawn_block,
    })
}

fn participant(
    position: usize,
    state: &ParticipantState,
    round: &RoundState,
    transactions: &RoundTransactions,
) -> ParticipantRecord {
    let account = state.account;
    let moved = |amount: Amount, deed: Deed| {
        (!amount.is_zero()).then(|| AmountRecord {
            amount,
            transaction: transactions.get(deed),
            block: round.settled_block.unwrap_or_default(),
        })
    };
    ParticipantRecord {
        address: account,
        role: state.role,
        seat: (state.role == Role::Proposer).then(|| u32::try_from(position).unwrap_or(u32::MAX)),
        sample_count: state.sample_count,
        stake: state.stake,
        contribution: state.contribution.map(|model| ContributionRecord {
            model,
            transaction: transactions.get(Deed::Contributed(account)),
            block: state.contributed_block.unwrap_or_default(),
        }),
        commitment: state.commitment.map(|commitment| CommitmentRecord {
            commitment,
            transaction: transactions.get(Deed::Committed(account)),
            block: state.committed_block.unwrap_or_default(),
        }),
        reveal: state.vote.map(|vote| RevealRecord {
            hash: vote.hash,
            score: vote.score,
            mask: vote.mask.0,
            transaction: transactions.get(Deed::Revealed(account)),
            block: state.revealed_block.unwrap_or_default(),
        }),
        slashed: moved(state.slashed, Deed::Slashed(account)),
        rewarded: moved(state.rewarded, Deed::Rewarded(account)),
    }
}

fn decision(round: &RoundState, transactions: &RoundTransactions) -> Option<DecisionRecord> {
    Some(DecisionRecord {
        popular_hash: round.popular_hash,
        mask: round.popular_mask,
        vote_score: round.vote_score,
        winning_stake: round.winning_stake,
        drawn_voter_stake: round.drawn_voter_stake,
        at: round.finished_at.and_then(rfc3339),
        transaction: transactions.get(Deed::Finished),
        block: round.finished_block?,
    })
}

fn settlement(round: &RoundState, transactions: &RoundTransactions) -> Option<SettlementRecord> {
    Some(SettlementRecord {
        slashed_total: round.slashed_total,
        bonus: round.bonus,
        pot: round.pot,
        rewarded_total: round.rewarded_total,
        caller: round.slash_caller,
        at: round.settled_at.and_then(rfc3339),
        transaction: transactions.get(Deed::Settled),
        block: round.settled_block?,
    })
}
