//! One FLRound against the contract's round and the events in the transactions it names.

use alloy::primitives::{B256, U256};
use crds::{
    FLRound, FLRoundStatus,
    flround::{DecisionRecord, ParticipantRecord, SettlementRecord},
};
use kube::ResourceExt;
use protocol::{
    snapshot::{ParticipantState, RoundState, TaskSnapshot},
    types::{Amount, Role},
};

use super::{
    facts::{Facts, Mined},
    findings::Findings,
};
use crate::chain::bindings::FlockTask::{self, FlockTaskEvents as Event};

/// The word that the contract puts on the bonus of whoever settled a round.
const BONUS: &str = "slasher";

/// One round's comparison.
struct Round<'a> {
    name: String,
    facts: &'a Facts,
    /// The mirror calls itself final, so it must say everything.
    complete: bool,
    findings: &'a mut Findings,
}

pub(super) fn check(mirror: &FLRound, facts: &Facts, findings: &mut Findings) {
    let name = mirror.name_any();
    let Some(status) = &mirror.status else {
        findings.note(format!("{name}: no status yet"));
        return;
    };
    findings.same(format!("{name}: chain"), mirror.spec.chain_id, facts.chain_id);
    let Some(on_chain) = facts.rounds.get(&mirror.spec.round) else {
        findings.differ(format!("{name}: the chain has no round {}", mirror.spec.round));
        return;
    };
    let mut round = Round {
        name,
        facts,
        complete: status.r#final,
        findings,
    };
    round.outline(status, &on_chain.round);
    round.draw(status, on_chain);
    round.participants(status, on_chain);
    round.decision(status.decision.as_ref(), &on_chain.round);
    round.settlement(status, &on_chain.round);
}

impl Round<'_> {
    fn differ(&mut self, what: String) {
        self.findings.differ(format!("{}: {what}", self.name));
    }

    fn same<T: PartialEq + std::fmt::Display>(&mut self, what: &str, said: T, on_chain: T) {
        self.findings.same(format!("{}: {what}", self.name), said, on_chain);
    }

    fn if_said<T: PartialEq + std::fmt::Display>(&mut self, what: &str, said: Option<T>, on_chain: Option<T>) {
        self.findings
            .same_if_said(format!("{}: {what}", self.name), said, on_chain, self.complete);
    }

    /// The events of the transaction that a record names, if it names a right one.
    fn events(&mut self, what: &str, transaction: Option<B256>, block: Option<u64>) -> Option<Vec<Event>> {
        let Some(hash) = transaction else {
            if self.complete {
                self.differ(format!("{what} names no transaction"));
            }
            return None;
        };
        self.findings.checked += 1;
        match self.facts.transactions.get(&hash).and_then(Option::as_ref) {
            None => self.differ(format!(
                "{what} names transaction {hash}, which the chain does not have"
            )),
            Some(Mined { succeeded: false, .. }) => {
                self.differ(format!("{what} names transaction {hash}, which failed"))
            }
            Some(mined) if block.is_some_and(|block| block != mined.block) => {
                let (said, found) = (block.unwrap_or_default(), mined.block);
                self.differ(format!(
                    "{what} says block {said}, its transaction {hash} is in block {found}"
                ));
            }
            Some(mined) => return Some(mined.events.clone()),
        }
        None
    }

    /// The one event a record must have in its transaction.
    fn event(&mut self, what: &str, transaction: Option<B256>, block: Option<u64>, matches: impl Fn(&Event) -> bool) {
        if let Some(events) = self.events(what, transaction, block)
            && !events.iter().any(matches)
        {
            let hash = transaction.unwrap_or_default();
            self.differ(format!("{what}: transaction {hash} has no event with these values"));
        }
    }

    fn outline(&mut self, status: &FLRoundStatus, on_chain: &RoundState) {
        let finished = on_chain.finished_at.is_some();
        let outcome = |outcome| format!("{outcome:?}");
        self.if_said(
            "outcome",
            status.outcome.map(outcome),
            finished.then(|| outcome(on_chain.outcome)),
        );
        self.if_said("start model", status.start_model, Some(on_chain.start_model));
        if finished {
            self.if_said("next model", status.next_model, on_chain.next_hash);
        }
        if status.r#final && !on_chain.settled {
            self.differ("called final, and not settled on chain".to_owned());
        }
    }

    fn draw(&mut self, status: &FLRoundStatus, on_chain: &TaskSnapshot) {
        let Some(draw) = &status.draw else {
            if self.complete && on_chain.round.drawn_at.is_some() {
                self.differ("the draw is missing".to_owned());
            }
            return;
        };
        if on_chain.round.drawn_at.is_none() {
            // The roster is closed, the roles are not drawn: only the seed block is fixed.
            return;
        }
        self.if_said("seed block", Some(draw.seed_block), on_chain.round.seed_block);
        self.same("digest of the draw", draw.digest, on_chain.round.draw_digest);
        let number = U256::from(on_chain.round.round.0);
        let drawn = |role| -> Vec<_> {
            on_chain
                .participants
                .iter()
                .filter(|row| row.role == role)
                .map(|row| row.account)
                .collect()
        };
        let (proposers, voters) = (drawn(Role::Proposer), drawn(Role::Voter));
        self.event("the draw", draw.transaction, draw.block, |event| {
            matches!(event, Event::RolesDrawn(e)
                if e.round == number && e.proposers == proposers && e.voters == voters)
        });
    }

    fn participants(&mut self, status: &FLRoundStatus, on_chain: &TaskSnapshot) {
        if self.complete {
            self.same(
                "number of participants",
                status.participants.len(),
                on_chain.participants.len(),
            );
        }
        let mut seat = 0;
        for row in &on_chain.participants {
            let this = (row.role == Role::Proposer).then_some(seat);
            seat += u32::from(row.role == Role::Proposer);
            match status.participants.iter().find(|said| said.address == row.account) {
                Some(said) => self.participant(said, row, this, &on_chain.round),
                None if self.complete => self.differ(format!("participant {} is missing", row.account)),
                None => {}
            }
        }
        for said in &status.participants {
            if !on_chain.participants.iter().any(|row| row.account == said.address) {
                self.differ(format!("{} takes no part in this round", said.address));
            }
        }
    }

    fn participant(&mut self, said: &ParticipantRecord, row: &ParticipantState, seat: Option<u32>, on: &RoundState) {
        let account = row.account;
        let number = U256::from(on.round.0);
        self.same(&format!("stake of {account}"), said.stake, row.stake);
        self.same(&format!("samples of {account}"), said.sample_count, row.sample_count);
        if on.drawn_at.is_some() && said.role != Role::None {
            self.same(
                &format!("role of {account}"),
                format!("{:?}", said.role),
                format!("{:?}", row.role),
            );
            self.if_said(&format!("seat of {account}"), said.seat, seat);
        }

        let what = format!("contribution of {account}");
        self.if_said(
            &what,
            said.contribution.as_ref().map(|record| record.model),
            row.contribution,
        );
        if let Some(record) = &said.contribution {
            self.if_said(&format!("{what}: block"), Some(record.block), row.contributed_block);
            let position = U256::from(seat.unwrap_or(u32::MAX));
            self.event(&what, record.transaction, Some(record.block), |event| {
                matches!(event, Event::Contributed(e) if e.round == number && e.account == account
                    && e.seat == position && e.modelHash == record.model.0)
            });
        }

        let what = format!("commitment of {account}");
        self.if_said(
            &what,
            said.commitment.as_ref().map(|record| record.commitment),
            row.commitment,
        );
        if let Some(record) = &said.commitment {
            self.if_said(&format!("{what}: block"), Some(record.block), row.committed_block);
            self.event(&what, record.transaction, Some(record.block), |event| {
                matches!(event, Event::VoteCommitted(e) if e.round == number && e.account == account
                    && e.commitment == record.commitment.0)
            });
        }

        let what = format!("vote of {account}");
        let text = |hash, score, mask| format!("({hash}, {}, {mask})", i8::from(score));
        self.if_said(
            &what,
            said.reveal
                .as_ref()
                .map(|record| text(record.hash, record.score, record.mask)),
            row.vote.map(|vote| text(vote.hash, vote.score, vote.mask.0)),
        );
        if let Some(record) = &said.reveal {
            self.if_said(&format!("{what}: block"), Some(record.block), row.revealed_block);
            self.event(&what, record.transaction, Some(record.block), |event| {
                matches!(event, Event::VoteRevealed(e) if e.round == number && e.account == account
                    && e.aggregateHash == record.hash.0 && e.score == i8::from(record.score)
                    && e.includedMask == U256::from(record.mask))
            });
        }

        let nonzero = |amount: Amount| (!amount.is_zero()).then_some(amount);
        let what = format!("slashed from {account}");
        self.if_said(
            &what,
            said.slashed.as_ref().and_then(|record| nonzero(record.amount)),
            nonzero(row.slashed),
        );
        if let Some(record) = said.slashed.as_ref().filter(|record| !record.amount.is_zero()) {
            self.event(&what, record.transaction, Some(record.block), |event| {
                matches!(event, Event::Slashed(e) if e.round == number && e.contributor == account
                    && e.amount == record.amount.0)
            });
        }
        let what = format!("rewarded to {account}");
        self.if_said(
            &what,
            said.rewarded.as_ref().and_then(|record| nonzero(record.amount)),
            nonzero(row.rewarded),
        );
        if let Some(record) = said.rewarded.as_ref().filter(|record| !record.amount.is_zero()) {
            self.event(&what, record.transaction, Some(record.block), |event| {
                matches!(event, Event::Rewarded(e) if e.round == number && e.contributor == account
                    && e.amount == record.amount.0 && e.contributorType != BONUS)
            });
        }
    }

    fn decision(&mut self, said: Option<&DecisionRecord>, on: &RoundState) {
        let Some(said) = said else {
            if self.complete && on.finished_at.is_some() {
                self.differ("the decision is missing".to_owned());
            }
            return;
        };
        if on.finished_at.is_none() {
            self.differ("says a decision, and the round is not finished on chain".to_owned());
            return;
        }
        self.if_said("winning hash", said.popular_hash, on.popular_hash);
        self.same("winning mask", said.mask, on.popular_mask);
        self.same("vote score", said.vote_score, on.vote_score);
        self.same("winning stake", said.winning_stake, on.winning_stake);
        self.same(
            "stake of all drawn voters",
            said.drawn_voter_stake,
            on.drawn_voter_stake,
        );
        self.if_said("block of the decision", Some(said.block), on.finished_block);
        let number = U256::from(on.round.0);
        self.event("the decision", said.transaction, Some(said.block), |event| {
            matches!(event, Event::RoundDecided(e) if e.round == number
                && e.popularHash == said.popular_hash.unwrap_or_default().0
                && e.includedMask == U256::from(said.mask) && e.voteScore == said.vote_score
                && Some(e.nextHash) == on.next_hash.map(|hash| hash.0))
        });
    }

    fn settlement(&mut self, status: &FLRoundStatus, on: &RoundState) {
        let Some(said) = &status.settlement else {
            if self.complete && on.settled {
                self.differ("the settlement is missing".to_owned());
            }
            return;
        };
        if !on.settled {
            self.differ("says a settlement, and the round is not settled on chain".to_owned());
            return;
        }
        self.same("slashed in all", said.slashed_total, on.slashed_total);
        self.same("bonus", said.bonus, on.bonus);
        self.same("pot", said.pot, on.pot);
        self.same("rewarded in all", said.rewarded_total, on.rewarded_total);
        self.if_said("caller of slash", said.caller, on.slash_caller);
        self.if_said("block of the settlement", Some(said.block), on.settled_block);

        let records = || status.participants.iter();
        let sum = |amounts: &mut dyn Iterator<Item = Amount>| amounts.fold(Amount::ZERO, Amount::saturating_add);
        let slashed = sum(&mut records().filter_map(|p| p.slashed.as_ref()).map(|record| record.amount));
        let rewarded = sum(&mut records()
            .filter_map(|p| p.rewarded.as_ref())
            .map(|record| record.amount));
        self.same("slashed, participant by participant", slashed, on.slashed_total);
        self.same("rewarded, participant by participant", rewarded, on.rewarded_total);

        if let Some(events) = self.events("the settlement", said.transaction, Some(said.block)) {
            self.settlement_events(status, said, on, &events);
        }
    }

    /// The settlement's transaction has its totals, and moves nothing that the FLRound does not show.
    fn settlement_events(
        &mut self,
        status: &FLRoundStatus,
        said: &SettlementRecord,
        on: &RoundState,
        events: &[Event],
    ) {
        let number = U256::from(on.round.0);
        let totals = |e: &FlockTask::RoundSettled| {
            e.round == number
                && e.slashedTotal == said.slashed_total.0
                && e.bonus == said.bonus.0
                && e.pot == said.pot.0
                && e.rewardedTotal == said.rewarded_total.0
                && Some(e.caller) == said.caller
        };
        if !events
            .iter()
            .any(|event| matches!(event, Event::RoundSettled(e) if totals(e)))
        {
            self.differ("the settlement: its transaction has no RoundSettled with these values".to_owned());
        }
        let of = |account| status.participants.iter().find(|said| said.address == account);
        for event in events {
            let (account, shown, moved, word) = match event {
                Event::Slashed(e) if e.round == number => {
                    let shown = of(e.contributor)
                        .and_then(|p| p.slashed.as_ref())
                        .map(|record| record.amount);
                    (e.contributor, shown, e.amount, "slashed from")
                }
                Event::Rewarded(e) if e.round == number && e.contributorType == BONUS => {
                    (e.contributor, Some(said.bonus), e.amount, "bonus of")
                }
                Event::Rewarded(e) if e.round == number => {
                    let shown = of(e.contributor)
                        .and_then(|p| p.rewarded.as_ref())
                        .map(|record| record.amount);
                    (e.contributor, shown, e.amount, "rewarded to")
                }
                _ => continue,
            };
            self.same(&format!("{word} {account}"), shown.unwrap_or_default(), Amount(moved));
        }
    }
}
