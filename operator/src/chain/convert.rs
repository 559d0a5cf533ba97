//! Contract structs to the protocol's types. Total: what the contract cannot return is [`ChainError::BadAnswer`].

use alloy::{primitives::U256, sol_types::SolEvent};
use protocol::{
    snapshot::{AccountState, ParticipantState, RevealedVote, RoundState, TaskParameters, TaskState},
    types::{
        Address, Amount, B256, Commitment, DefinitionHash, IncludedMask, ModelHash, Outcome, Phase, Role, Round,
        RoundDigest, Score, Timestamp,
    },
};

use super::{
    ChainError, TaskEvent, TaskLog,
    bindings::{FlockTask, manager::IFlockTask::TaskParameters as ManagerParameters},
    wire::Log,
};

fn bad(what: impl Into<String>) -> ChainError {
    ChainError::BadAnswer(what.into())
}

fn amount(value: u128) -> Amount {
    Amount::from(value)
}

/// Zero stands for "has not happened".
fn time(value: u64) -> Option<Timestamp> {
    (value != 0).then_some(Timestamp(value))
}

fn block(value: u64) -> Option<u64> {
    (value != 0).then_some(value)
}

fn model(value: B256) -> Option<ModelHash> {
    (!value.is_zero()).then_some(ModelHash(value))
}

fn mask(value: U256) -> Result<u64, ChainError> {
    u64::try_from(value).map_err(|_| bad(format!("an included mask of {value}: more seats than can be drawn")))
}

/// Rounds are counted in 32 bits by the contract itself; its views and events take 256.
fn round(value: U256) -> Result<Round, ChainError> {
    u32::try_from(value)
        .map(Round)
        .map_err(|_| bad(format!("round {value}")))
}

fn role(value: FlockTask::Role) -> Result<Role, ChainError> {
    Ok(match value {
        FlockTask::Role::None => Role::None,
        FlockTask::Role::Voter => Role::Voter,
        FlockTask::Role::Proposer => Role::Proposer,
        FlockTask::Role::__Invalid => return Err(bad("an unknown role")),
    })
}

fn phase(value: FlockTask::Phase) -> Result<Phase, ChainError> {
    Ok(match value {
        FlockTask::Phase::Join => Phase::Join,
        FlockTask::Phase::Draw => Phase::Draw,
        FlockTask::Phase::Propose => Phase::Propose,
        FlockTask::Phase::Commit => Phase::Commit,
        FlockTask::Phase::Reveal => Phase::Reveal,
        FlockTask::Phase::Finish => Phase::Finish,
        FlockTask::Phase::Settle => Phase::Settle,
        FlockTask::Phase::Ended => Phase::Ended,
        FlockTask::Phase::__Invalid => return Err(bad("an unknown phase")),
    })
}

fn outcome(value: FlockTask::Outcome) -> Result<Outcome, ChainError> {
    Ok(match value {
        FlockTask::Outcome::None => Outcome::None,
        FlockTask::Outcome::Accepted => Outcome::Accepted,
        FlockTask::Outcome::Tie => Outcome::Tie,
        FlockTask::Outcome::Rejected => Outcome::Rejected,
        FlockTask::Outcome::Inconclusive => Outcome::Inconclusive,
        FlockTask::Outcome::Empty => Outcome::Empty,
        FlockTask::Outcome::Void => Outcome::Void,
        FlockTask::Outcome::__Invalid => return Err(bad("an unknown outcome")),
    })
}

pub(super) fn parameters(p: FlockTask::TaskParameters) -> TaskParameters {
    TaskParameters {
        metadata: p.metadata,
        definition_hash: DefinitionHash(p.modelDefinitionHash),
        genesis_model: ModelHash(p.genesisModelHash),
        total_rounds: p.totalNumberOfRounds,
        min_participants: p.minNumberOfParticipants,
        max_participants: p.maxNumberOfParticipants,
        entry_stake: amount(p.entryStake),
        min_stake_threshold: amount(p.minStakeThreshold),
        distribution_rate: p.participantsDistributionRate,
        slashed_per_stake: p.slashedPerStake,
        bonus_ratio: p.bonusRatioForSlashCaller,
        quorum_bps: p.quorumBps,
        join_window: p.joinWindow,
        propose_window: p.proposeWindow,
        commit_window: p.commitWindow,
        reveal_window: p.revealWindow,
        stall_timeout: p.stallTimeout,
        initial_reward_pool: amount(p.initialRewardPool),
        allow_list_enabled: p.allowListEnabled,
    }
}

/// The other way, for `createTask`. Amounts above 128 bits cannot be expressed on chain.
pub(super) fn creation(p: &TaskParameters, allow_list: &[Address]) -> Result<ManagerParameters, ChainError> {
    let narrow = |name: &str, value: Amount| {
        u128::try_from(value.0).map_err(|_| bad(format!("{name} of {value} does not fit the contract's 128 bits")))
    };
    Ok(ManagerParameters {
        metadata: p.metadata.clone(),
        modelDefinitionHash: p.definition_hash.0,
        genesisModelHash: p.genesis_model.0,
        totalNumberOfRounds: p.total_rounds,
        minNumberOfParticipants: p.min_participants,
        maxNumberOfParticipants: p.max_participants,
        entryStake: narrow("an entry stake", p.entry_stake)?,
        minStakeThreshold: narrow("a stake threshold", p.min_stake_threshold)?,
        participantsDistributionRate: p.distribution_rate,
        slashedPerStake: p.slashed_per_stake,
        bonusRatioForSlashCaller: p.bonus_ratio,
        quorumBps: p.quorum_bps,
        joinWindow: p.join_window,
        proposeWindow: p.propose_window,
        commitWindow: p.commit_window,
        revealWindow: p.reveal_window,
        stallTimeout: p.stall_timeout,
        initialRewardPool: narrow("a reward pool", p.initial_reward_pool)?,
        allowListEnabled: p.allow_list_enabled,
        allowList: allow_list.to_vec(),
    })
}

pub(super) fn state(s: &FlockTask::TaskState) -> Result<TaskState, ChainError> {
    Ok(TaskState {
        current_round: Round(s.currentRound),
        phase: phase(s.phase)?,
        finish_requested: s.finishRequested,
        participants: s.participants,
        total_stakes: amount(s.totalStakes),
        total_claimable: amount(s.totalClaimable),
        reward_pool: amount(s.rewardPool),
        last_settled_at: Timestamp(s.lastSettledAt),
        created_at: Timestamp(s.createdAt),
        created_block: s.createdBlock,
        creator: s.creator,
        manager: s.manager,
        token: s.token,
    })
}

pub(super) fn round_state(h: &FlockTask::RoundHead, t: &FlockTask::RoundTail) -> Result<RoundState, ChainError> {
    Ok(RoundState {
        round: Round(h.round),
        phase: phase(h.phase)?,
        outcome: outcome(h.outcome)?,
        settled: h.settled,
        joined: h.joined,
        proposers: h.proposers,
        contributed: h.contributed,
        committed: h.committed,
        revealed: h.revealed,
        join_deadline: Timestamp(h.joinDeadline),
        seed_block: block(h.seedBlock),
        drawn_at: time(h.drawnAt),
        propose_deadline: time(h.proposeDeadline),
        commit_open: time(h.commitOpen),
        commit_deadline: time(h.commitDeadline),
        reveal_open: time(h.revealOpen),
        reveal_deadline: time(h.revealDeadline),
        finished_at: time(h.finishedAt),
        settled_at: time(h.settledAt),
        drawn_block: block(h.drawnBlock),
        finished_block: block(h.finishedBlock),
        settled_block: block(h.settledBlock),
        start_model: ModelHash(t.startModelHash),
        start_model_round: t.startModelRound.checked_sub(1).map(Round),
        popular_hash: model(t.popularHash),
        popular_mask: mask(t.popularMask)?,
        vote_score: t.voteScore,
        winning_stake: amount(t.winningStake),
        drawn_voter_stake: amount(t.drawnVoterStake),
        next_hash: model(t.nextHash),
        draw_digest: RoundDigest(t.drawDigest),
        round_digest: RoundDigest(t.roundDigest),
        slashed_total: amount(t.slashedTotal),
        bonus: amount(t.bonus),
        pot: amount(t.pot),
        rewarded_total: amount(t.rewardedTotal),
        slash_caller: (!t.slashCaller.is_zero()).then_some(t.slashCaller),
    })
}

pub(super) fn participant(p: &FlockTask::ParticipantState) -> Result<ParticipantState, ChainError> {
    let vote = match model(p.voteHash) {
        None => None,
        Some(hash) => Some(RevealedVote {
            hash,
            score: Score::try_from(p.voteScore).map_err(|e| bad(e.to_string()))?,
            mask: IncludedMask(mask(p.voteMask)?),
        }),
    };
    Ok(ParticipantState {
        account: p.account,
        role: role(p.role)?,
        sample_count: p.sampleCount,
        stake: amount(p.stake),
        contribution: model(p.contribution),
        contributed_block: block(p.contributedBlock),
        commitment: (!p.commitment.is_zero()).then_some(Commitment(p.commitment)),
        committed_block: block(p.committedBlock),
        vote,
        revealed_block: block(p.revealedBlock),
        slashed: amount(p.slashed),
        rewarded: amount(p.rewarded),
    })
}

pub(super) fn account(a: &FlockTask::AccountState) -> AccountState {
    AccountState {
        account: a.account,
        allowed: a.allowed,
        ever_staked: a.everStaked,
        removed: a.removed,
        claimed: a.claimed,
        stake_left: amount(a.stakeLeft),
        claimable: amount(a.claimable),
        rounds_joined: a.roundsJoined,
        token_balance: Amount(a.tokenBalance),
        allowance: Amount(a.allowance),
        native_balance: Amount(a.nativeBalance),
    }
}

/// `None`: an event that nothing is shown of, a removed log, or one of a block still pending.
pub(super) fn task_log(log: &Log) -> Result<Option<TaskLog>, ChainError> {
    let (Some(number), Some(transaction), Some(index)) = (log.block_number, log.transaction_hash, log.log_index) else {
        return Ok(None);
    };
    if log.removed {
        return Ok(None);
    }
    Ok(event(log)?.map(|event| TaskLog {
        transaction,
        block: number.to(),
        log_index: index.to(),
        event,
    }))
}

fn decode<E: SolEvent>(log: &Log) -> Result<E, ChainError> {
    E::decode_raw_log(log.topics.iter().copied(), &log.data)
        .map_err(|e| bad(format!("a log of {} that is no {}: {e}", log.address, E::SIGNATURE)))
}

fn event(log: &Log) -> Result<Option<TaskEvent>, ChainError> {
    use FlockTask as T;
    let Some(topic) = log.topics.first() else {
        return Ok(None);
    };
    Ok(Some(match *topic {
        T::Joined::SIGNATURE_HASH => {
            let e: T::Joined = decode(log)?;
            TaskEvent::Joined {
                round: round(e.round)?,
                account: e.account,
            }
        }
        T::DrawFixed::SIGNATURE_HASH => TaskEvent::DrawFixed {
            round: round(decode::<T::DrawFixed>(log)?.round)?,
        },
        T::DrawReset::SIGNATURE_HASH => TaskEvent::DrawReset {
            round: round(decode::<T::DrawReset>(log)?.round)?,
        },
        T::RolesDrawn::SIGNATURE_HASH => TaskEvent::RolesDrawn {
            round: round(decode::<T::RolesDrawn>(log)?.round)?,
        },
        T::Contributed::SIGNATURE_HASH => {
            let e: T::Contributed = decode(log)?;
            TaskEvent::Contributed {
                round: round(e.round)?,
                account: e.account,
            }
        }
        T::VoteCommitted::SIGNATURE_HASH => {
            let e: T::VoteCommitted = decode(log)?;
            TaskEvent::VoteCommitted {
                round: round(e.round)?,
                account: e.account,
            }
        }
        T::VoteRevealed::SIGNATURE_HASH => {
            let e: T::VoteRevealed = decode(log)?;
            TaskEvent::VoteRevealed {
                round: round(e.round)?,
                account: e.account,
            }
        }
        T::RoundFinished::SIGNATURE_HASH => TaskEvent::RoundFinished {
            round: round(decode::<T::RoundFinished>(log)?.round)?,
        },
        T::Slashed::SIGNATURE_HASH => {
            let e: T::Slashed = decode(log)?;
            TaskEvent::Slashed {
                round: round(e.round)?,
                account: e.contributor,
                amount: Amount(e.amount),
                slasher: e.slasher,
                role: e.contributorType,
            }
        }
        T::Rewarded::SIGNATURE_HASH => {
            let e: T::Rewarded = decode(log)?;
            TaskEvent::Rewarded {
                round: round(e.round)?,
                account: e.contributor,
                amount: Amount(e.amount),
                role: e.contributorType,
            }
        }
        T::RoundSettled::SIGNATURE_HASH => {
            let e: T::RoundSettled = decode(log)?;
            TaskEvent::RoundSettled {
                round: round(e.round)?,
                caller: e.caller,
            }
        }
        T::Removed::SIGNATURE_HASH => {
            let e: T::Removed = decode(log)?;
            TaskEvent::Removed {
                round: round(e.round)?,
                account: e.account,
            }
        }
        T::Staked::SIGNATURE_HASH => {
            let e: T::Staked = decode(log)?;
            TaskEvent::Staked {
                account: e.proposer,
                amount: Amount(e.amount),
            }
        }
        T::TaskEnded::SIGNATURE_HASH => {
            let e: T::TaskEnded = decode(log)?;
            TaskEvent::TaskEnded {
                round: round(e.round)?,
                terminated: e.terminated,
            }
        }
        T::Claimed::SIGNATURE_HASH => {
            let e: T::Claimed = decode(log)?;
            TaskEvent::Claimed {
                account: e.account,
                amount: Amount(e.amount),
            }
        }
        _ => return Ok(None),
    }))
}

#[cfg(test)]
#[path = "convert_tests.rs"]
mod tests;
