//! What the model's contract answers when its state is read.

use alloy_primitives::I256;
use protocol::{
    snapshot::{AccountState, BlockRef, ParticipantState, RevealedVote, RoundState, TaskSnapshot, TaskState},
    types::{Address, Amount, Round, Timestamp},
};

use crate::{
    chain::{CHAIN_ID, Chain, manager, task},
    round::Seat,
};

impl Chain {
    pub(crate) fn snapshot(&self, accounts: &[Address]) -> TaskSnapshot {
        TaskSnapshot {
            chain_id: CHAIN_ID,
            task: task(),
            block: BlockRef {
                number: self.number,
                hash: self.block_hash(self.number),
                timestamp: Timestamp(self.timestamp),
            },
            parameters: self.parameters.clone(),
            state: TaskState {
                current_round: Round(self.current_round),
                phase: self.phase(),
                finish_requested: false,
                participants: self.accounts.values().filter(|a| a.staked).count() as u32,
                total_stakes: self.accounts.values().map(|a| a.left).sum::<u128>().into(),
                total_claimable: self.accounts.values().map(|a| a.claimable).sum::<u128>().into(),
                reward_pool: self.pool.into(),
                last_settled_at: Timestamp(self.last_settled_at),
                created_at: Timestamp(1_700_000_000),
                created_block: 100,
                creator: manager(),
                manager: manager(),
                token: Address::repeat_byte(0x70),
            },
            round: self.round_state(),
            participants: self.round.seats.iter().map(participant).collect(),
            accounts: accounts.iter().map(|a| self.account_state(*a)).collect(),
        }
    }

    fn round_state(&self) -> RoundState {
        let r = &self.round;
        let times = r.times(&self.parameters, self.timestamp);
        RoundState {
            round: Round(r.number),
            phase: self.phase(),
            outcome: r.outcome,
            settled: false,
            joined: r.seats.len() as u16,
            proposers: r.proposers as u16,
            contributed: r.contributed() as u16,
            committed: r.committed() as u16,
            revealed: r.revealed() as u16,
            join_deadline: Timestamp(r.join_deadline),
            seed_block: r.seed_block,
            drawn_at: r.drawn_at.map(Timestamp),
            propose_deadline: times.propose_deadline.map(Timestamp),
            commit_open: times.commit_open.map(Timestamp),
            commit_deadline: times.commit_deadline.map(Timestamp),
            reveal_open: times.reveal_open.map(Timestamp),
            reveal_deadline: times.reveal_deadline.map(Timestamp),
            finished_at: r.finished_at.map(Timestamp),
            settled_at: None,
            drawn_block: r.drawn_block,
            finished_block: r.finished_block,
            settled_block: None,
            start_model: r.start_model,
            start_model_round: r.start_round,
            popular_hash: r.winner.map(|w| w.hash),
            popular_mask: r.winner.map_or(0, |w| w.mask.0),
            vote_score: r.winner.map_or(I256::ZERO, |w| w.score),
            winning_stake: r.winner.map_or(Amount::ZERO, |w| w.stake),
            drawn_voter_stake: Amount::ZERO,
            next_hash: None,
            draw_digest: r.draw_digest,
            round_digest: r.round_digest,
            slashed_total: Amount::ZERO,
            bonus: Amount::ZERO,
            pot: Amount::ZERO,
            rewarded_total: Amount::ZERO,
            slash_caller: None,
        }
    }

    fn account_state(&self, address: Address) -> AccountState {
        let a = self.accounts.get(&address).cloned().unwrap_or_default();
        AccountState {
            account: address,
            allowed: true,
            ever_staked: a.staked,
            removed: a.removed,
            claimed: a.claimed,
            stake_left: a.left.into(),
            claimable: a.claimable.into(),
            rounds_joined: a.rounds_joined,
            token_balance: a.balance.into(),
            allowance: a.allowance.into(),
            native_balance: 1_000_000u128.into(),
        }
    }
}

fn participant(seat: &Seat) -> ParticipantState {
    ParticipantState {
        account: seat.account,
        role: seat.role,
        sample_count: seat.sample_count,
        stake: seat.stake.into(),
        contribution: seat.contribution,
        contributed_block: seat.contribution.and(seat.acted_block),
        commitment: seat.commitment,
        committed_block: seat.commitment.and(seat.acted_block),
        vote: seat.vote.map(|v| RevealedVote {
            hash: v.hash,
            score: v.score,
            mask: v.mask,
        }),
        revealed_block: seat.revealed_block,
        slashed: Amount::ZERO,
        rewarded: Amount::ZERO,
    }
}
