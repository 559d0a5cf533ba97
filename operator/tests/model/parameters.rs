//! Tasks over the whole ranges of their parameters, extremes included.

use alloy::primitives::{Address, U256};
use operator::chain::bindings::manager::IFlockTask::TaskParameters as OnChain;
use protocol::{
    draw::RATE_ONE,
    snapshot::TaskParameters,
    types::{Amount, B256, DefinitionHash, ModelHash},
};
use rand::{Rng, rngs::StdRng, seq::IndexedRandom};

const DAY: u32 = 24 * 3600;
const LONGEST_STALL: u32 = 90 * DAY;
const TOKEN: u128 = 1_000_000_000_000_000_000;

/// One of the values.
pub(crate) fn one_of<T: Copy>(rng: &mut StdRng, values: &[T]) -> T {
    *values.choose(rng).unwrap()
}

/// Below 2^bits, small ones as likely as large ones.
pub(crate) fn any_amount(rng: &mut StdRng, bits: u32) -> u128 {
    let bits = rng.random_range(1..=bits);
    rng.random_range(0..1u128 << bits)
}

pub(crate) fn random(rng: &mut StdRng) -> TaskParameters {
    let most = match rng.random_range(0..100) {
        0..2 => 100,
        2..20 => rng.random_range(2..=20),
        _ => rng.random_range(2..=8),
    };
    let least = rng.random_range(2..=most.min(10));
    let (slashed_per_stake, threshold) = slash(rng);
    let entry = threshold + one_of(rng, &[0, 0, 1, threshold]);
    let [join, propose, commit, reveal] = windows(rng);
    let shortest = 2 * (join + propose + commit + reveal);
    TaskParameters {
        metadata: "{}".to_owned(),
        definition_hash: DefinitionHash(B256::repeat_byte(1)),
        genesis_model: ModelHash(B256::repeat_byte(2)),
        total_rounds: if rng.random_bool(0.15) {
            10_000
        } else {
            rng.random_range(1..=4)
        },
        min_participants: least,
        max_participants: most,
        entry_stake: entry.into(),
        min_stake_threshold: threshold.into(),
        distribution_rate: match rng.random_range(0..4) {
            0 => RATE_ONE / 2,
            1 => RATE_ONE / 3,
            2 => one_of(rng, &[1, RATE_ONE / 10, RATE_ONE / 2 - 1]),
            _ => rng.random_range(1..=RATE_ONE / 2),
        },
        slashed_per_stake,
        bonus_ratio: one_of(rng, &[0, 1, 1000, 1999, 2000]),
        quorum_bps: one_of(rng, &[0, 1, 3333, 5000, 5000, 5000, 6667, 9999]),
        join_window: join,
        propose_window: propose,
        commit_window: commit,
        reveal_window: reveal,
        stall_timeout: one_of(rng, &[shortest, shortest, LONGEST_STALL]),
        initial_reward_pool: Amount(U256::from(match rng.random_range(0..4) {
            0 => 0,
            1 => rng.random_range(1..1000),
            2 => 100 * TOKEN,
            _ => any_amount(rng, 110),
        })),
        allow_list_enabled: rng.random_bool(0.2),
    }
}

/// Share of a slash and the threshold under which an account is removed: together at least one unit.
fn slash(rng: &mut StdRng) -> (u64, u128) {
    match rng.random_range(0..6) {
        0 => (RATE_ONE, rng.random_range(1..10)),
        1 => (1, TOKEN + any_amount(rng, 60)),
        2 => (RATE_ONE / 8, 24 * TOKEN),
        3 => (RATE_ONE / 20, 24 * TOKEN),
        4 => (RATE_ONE / 2, 1 << 100),
        _ => {
            let share = rng.random_range(1..=RATE_ONE);
            (share, u128::from(RATE_ONE).div_ceil(share.into()) + any_amount(rng, 90))
        }
    }
}

fn windows(rng: &mut StdRng) -> [u32; 4] {
    let mut windows = [0; 4].map(|_: u32| one_of(rng, &[1, 2, 10, 60, 3600, 5 * DAY]));
    if rng.random_bool(0.1) {
        windows[rng.random_range(0..4)] = 30 * DAY;
    }
    while 2 * windows.iter().sum::<u32>() > LONGEST_STALL {
        windows[rng.random_range(0..4)] = 60;
    }
    windows
}

pub(crate) fn on_chain(p: &TaskParameters, allow_list: &[Address]) -> OnChain {
    OnChain {
        metadata: p.metadata.clone(),
        modelDefinitionHash: p.definition_hash.0,
        genesisModelHash: p.genesis_model.0,
        totalNumberOfRounds: p.total_rounds,
        minNumberOfParticipants: p.min_participants,
        maxNumberOfParticipants: p.max_participants,
        entryStake: p.entry_stake.0.to(),
        minStakeThreshold: p.min_stake_threshold.0.to(),
        participantsDistributionRate: p.distribution_rate,
        slashedPerStake: p.slashed_per_stake,
        bonusRatioForSlashCaller: p.bonus_ratio,
        quorumBps: p.quorum_bps,
        joinWindow: p.join_window,
        proposeWindow: p.propose_window,
        commitWindow: p.commit_window,
        revealWindow: p.reveal_window,
        stallTimeout: p.stall_timeout,
        initialRewardPool: p.initial_reward_pool.0.to(),
        allowListEnabled: p.allow_list_enabled,
        allowList: if p.allow_list_enabled {
            allow_list.to_vec()
        } else {
            Vec::new()
        },
    }
}
