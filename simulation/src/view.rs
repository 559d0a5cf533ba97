//! What the contract's views answer: the task at one block, as the bytes an endpoint returns.

use alloy::{
    primitives::{I256, U256},
    sol_types::SolCall,
};
use operator::chain::bindings::FlockTask as T;
use protocol::types::{Address, Amount, Outcome, Phase, Role};

use crate::{
    contract::{Account, MANAGER, TOKEN, TaskModel},
    round::{RoundModel, Seat},
};

fn narrow(amount: Amount) -> u128 {
    amount.0.to()
}

fn phase(phase: Phase) -> T::Phase {
    match phase {
        Phase::Join => T::Phase::Join,
        Phase::Draw => T::Phase::Draw,
        Phase::Propose => T::Phase::Propose,
        Phase::Commit => T::Phase::Commit,
        Phase::Reveal => T::Phase::Reveal,
        Phase::Finish => T::Phase::Finish,
        Phase::Settle => T::Phase::Settle,
        Phase::Ended => T::Phase::Ended,
    }
}

fn outcome(outcome: Outcome) -> T::Outcome {
    match outcome {
        Outcome::None => T::Outcome::None,
        Outcome::Accepted => T::Outcome::Accepted,
        Outcome::Tie => T::Outcome::Tie,
        Outcome::Rejected => T::Outcome::Rejected,
        Outcome::Inconclusive => T::Outcome::Inconclusive,
        Outcome::Empty => T::Outcome::Empty,
        Outcome::Void => T::Outcome::Void,
    }
}

impl TaskModel {
    /// `snapshot(round, accounts)` at a block of time `now`; `None`: there is no such round.
    pub(crate) fn snapshot(&self, round: u32, accounts: &[Address], now: u64) -> Option<Vec<u8>> {
        let model = self.rounds.get(round as usize)?;
        let (head, tail) = self.round(model, now);
        let answer = T::snapshotReturn {
            state: self.state(now),
            head,
            tail,
            participants: model.seats.iter().map(|seat| participant(model, seat)).collect(),
            accounts: accounts.iter().map(|a| self.account_state(*a)).collect(),
        };
        Some(T::snapshotCall::abi_encode_returns(&answer))
    }

    fn state(&self, now: u64) -> T::TaskState {
        let sum = |of: fn(&Account) -> u128| self.accounts.values().map(of).sum::<u128>();
        T::TaskState {
            currentRound: self.number(),
            phase: phase(self.phase(now)),
            finishRequested: false,
            participants: self.accounts.values().filter(|a| a.stakes > 0).count() as u32,
            totalStakes: sum(|a| a.left),
            totalClaimable: sum(|a| a.claimable),
            rewardPool: self.pool,
            lastSettledAt: self.last_settled_at,
            createdAt: self.created_at,
            createdBlock: self.created_block,
            creator: MANAGER,
            manager: MANAGER,
            token: TOKEN,
        }
    }

    fn round(&self, r: &RoundModel, now: u64) -> (T::RoundHead, T::RoundTail) {
        let times = r.times(&self.parameters, now);
        let settled = r.settled_at != 0;
        let shown = if settled || self.ended {
            Phase::Ended
        } else {
            r.phase(&self.parameters, now)
        };
        let head = T::RoundHead {
            round: r.number,
            phase: phase(shown),
            outcome: outcome(r.outcome),
            settled,
            joined: r.seats.len() as u16,
            proposers: r.proposers as u16,
            contributed: r.contributed() as u16,
            committed: r.committed() as u16,
            revealed: r.revealed() as u16,
            joinDeadline: r.join_deadline,
            seedBlock: r.seed_block.unwrap_or_default(),
            drawnAt: r.drawn_at.unwrap_or_default(),
            proposeDeadline: times.propose_deadline,
            commitOpen: times.commit_open,
            commitDeadline: times.commit_deadline,
            revealOpen: times.reveal_open,
            revealDeadline: times.reveal_deadline,
            finishedAt: r.finished_at,
            settledAt: r.settled_at,
            drawnBlock: r.drawn_block,
            finishedBlock: r.finished_block,
            settledBlock: r.settled_block,
        };
        let money = r.money.as_ref();
        let next = (r.outcome != Outcome::None).then(|| r.next_start().0.0);
        let tail = T::RoundTail {
            startModelHash: r.start_model.0,
            startModelRound: r.start_round.map_or(0, |round| round.0 + 1),
            popularHash: r.winner.map(|w| w.hash.0).unwrap_or_default(),
            popularMask: U256::from(r.winner.map_or(0, |w| w.mask.0)),
            voteScore: r.winner.map_or(I256::ZERO, |w| w.score),
            winningStake: r.winner.map_or(0, |w| narrow(w.stake)),
            drawnVoterStake: r.drawn_voter_stake,
            nextHash: next.unwrap_or_default(),
            drawDigest: r.draw_digest.0,
            roundDigest: r.round_digest.0,
            slashedTotal: money.map_or(0, |m| narrow(m.slashed_total)),
            bonus: money.map_or(0, |m| narrow(m.bonus)),
            pot: money.map_or(0, |m| narrow(m.pot)),
            rewardedTotal: money.map_or(0, |m| narrow(m.rewarded_total)),
            slashCaller: r.slash_caller,
        };
        (head, tail)
    }

    fn account_state(&self, address: Address) -> T::AccountState {
        let a = self.accounts.get(&address).cloned().unwrap_or_default();
        T::AccountState {
            account: address,
            allowed: true,
            everStaked: a.stakes > 0,
            removed: a.removed,
            claimed: a.claimed,
            stakeLeft: a.left,
            claimable: a.claimable,
            roundsJoined: a.rounds_joined,
            tokenBalance: U256::from(a.tokens),
            allowance: U256::from(a.allowance),
            nativeBalance: U256::from(a.native),
        }
    }

    /// `parameters()`.
    pub(crate) fn parameters_answer(&self) -> Vec<u8> {
        let p = &self.parameters;
        T::parametersCall::abi_encode_returns(&T::TaskParameters {
            metadata: p.metadata.clone(),
            modelDefinitionHash: p.definition_hash.0,
            genesisModelHash: p.genesis_model.0,
            totalNumberOfRounds: p.total_rounds,
            minNumberOfParticipants: p.min_participants,
            maxNumberOfParticipants: p.max_participants,
            entryStake: narrow(p.entry_stake),
            minStakeThreshold: narrow(p.min_stake_threshold),
            participantsDistributionRate: p.distribution_rate,
            slashedPerStake: p.slashed_per_stake,
            bonusRatioForSlashCaller: p.bonus_ratio,
            quorumBps: p.quorum_bps,
            joinWindow: p.join_window,
            proposeWindow: p.propose_window,
            commitWindow: p.commit_window,
            revealWindow: p.reveal_window,
            stallTimeout: p.stall_timeout,
            initialRewardPool: narrow(p.initial_reward_pool),
            allowListEnabled: p.allow_list_enabled,
            allowList: Vec::new(),
        })
    }
}

fn participant(round: &RoundModel, seat: &Seat) -> T::ParticipantState {
    let block = |present: bool| if present { seat.acted_block } else { 0 };
    T::ParticipantState {
        account: seat.account,
        role: match seat.role {
            Role::None => T::Role::None,
            Role::Voter => T::Role::Voter,
            Role::Proposer => T::Role::Proposer,
        },
        sampleCount: seat.sample_count,
        stake: seat.stake,
        contribution: seat.contribution.map(|m| m.0).unwrap_or_default(),
        contributedBlock: block(seat.contribution.is_some()),
        commitment: seat.commitment.map(|c| c.0).unwrap_or_default(),
        committedBlock: block(seat.commitment.is_some()),
        voteHash: seat.vote.map(|v| v.hash.0).unwrap_or_default(),
        voteScore: seat.vote.map_or(0, |v| i8::from(v.score)),
        voteMask: U256::from(seat.vote.map_or(0, |v| v.mask.0)),
        revealedBlock: seat.revealed_block,
        slashed: if round.settled_at == 0 { 0 } else { narrow(seat.slashed) },
        rewarded: narrow(seat.rewarded),
    }
}
