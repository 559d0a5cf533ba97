//! The outcome table of the protocol, written out once more from its text, to compare settled rounds with.

use std::collections::BTreeSet;

use alloy::primitives::Address;
use protocol::{
    snapshot::{ParticipantState, TaskSnapshot},
    types::{Outcome, Role, Score},
};

/// Whom the table slashes and whom it rewards.
#[derive(Debug, PartialEq, Eq, Default)]
pub(crate) struct Named {
    pub(crate) slashed: BTreeSet<Address>,
    pub(crate) rewarded: BTreeSet<Address>,
}

/// What the table says about a settled round.
pub(crate) fn expected(settled: &TaskSnapshot) -> Named {
    let round = &settled.round;
    let mut named = Named::default();
    for (seat, p) in settled.proposers().enumerate() {
        let included = p.contribution.is_some() && (round.popular_mask >> seat) & 1 == 1;
        match (round.outcome, p.contribution.is_some(), included) {
            // Silent, or left out by a winning vote.
            (_, false, _) => named.slashed.insert(p.account),
            (Outcome::Accepted | Outcome::Tie, true, true) => named.rewarded.insert(p.account),
            (Outcome::Accepted | Outcome::Tie | Outcome::Rejected, true, _) => named.slashed.insert(p.account),
            (Outcome::Inconclusive | Outcome::Empty | Outcome::None | Outcome::Void, true, _) => false,
        };
    }
    for p in settled.voters() {
        match (round.outcome, silent(settled, p)) {
            (Outcome::Empty, _) => {}
            (_, true) => {
                named.slashed.insert(p.account);
            }
            (Outcome::Inconclusive | Outcome::None | Outcome::Void, false) => {}
            (Outcome::Accepted | Outcome::Tie, false) => {
                put(&mut named, p.account, wins(settled, p) && voted(p) == Some(Score::For));
            }
            (Outcome::Rejected, false) => {
                put(
                    &mut named,
                    p.account,
                    wins(settled, p) && voted(p) == Some(Score::Against),
                );
            }
        }
    }
    named
}

fn put(named: &mut Named, account: Address, good: bool) {
    if good {
        named.rewarded.insert(account);
    } else {
        named.slashed.insert(account);
    }
}

fn voted(p: &ParticipantState) -> Option<Score> {
    p.vote.map(|vote| vote.score)
}

fn silent(settled: &TaskSnapshot, p: &ParticipantState) -> bool {
    settled.round.contributed > 0 && p.vote.is_none()
}

fn wins(settled: &TaskSnapshot, p: &ParticipantState) -> bool {
    p.vote
        .is_some_and(|vote| Some(vote.hash) == settled.round.popular_hash && vote.mask.0 == settled.round.popular_mask)
}

/// What the contract did.
pub(crate) fn done(settled: &TaskSnapshot) -> Named {
    let who = |pick: fn(&ParticipantState) -> bool| {
        settled
            .participants
            .iter()
            .filter(|p| pick(p))
            .map(|p| p.account)
            .collect()
    };
    Named {
        slashed: who(|p| !p.slashed.is_zero()),
        rewarded: who(|p| !p.rewarded.is_zero()),
    }
}

/// Every drawn proposer contributed once, every drawn voter committed and revealed once, and nobody else did anything.
pub(crate) fn everybody_did_their_duty(settled: &TaskSnapshot) {
    for p in &settled.participants {
        let did = (p.contribution.is_some(), p.commitment.is_some(), p.vote.is_some());
        let owed = match p.role {
            Role::Proposer => (true, false, false),
            Role::Voter => (false, true, true),
            Role::None => (false, false, false),
        };
        assert_eq!(did, owed, "round {}: {:?} {}", settled.round.round, p.role, p.account);
    }
}
