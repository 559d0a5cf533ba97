//! Generated histories: several clients driven by `decide` alone, on a model of the contract.

mod chain;
mod round;
mod site;
mod view;
mod world;

use proptest::{
    prelude::*,
    test_runner::{Config, TestCaseError},
};
use protocol::{
    draw::RATE_ONE,
    snapshot::TaskParameters,
    types::{B256, DefinitionHash, ModelHash, Outcome},
};

use crate::{
    chain::Chain,
    site::Site,
    world::{Event, Trouble, World},
};

/// What every site stakes, and what it holds at first.
pub(crate) const STAKE: u128 = 64_000_000_000_000_000_000;
pub(crate) const BALANCE: u128 = 3 * STAKE;

const ROUNDS: u32 = 3;
/// Disturbances end at this block.
const CALM_AFTER: u64 = 160;

fn parameters(participants: u16, min: u16) -> TaskParameters {
    TaskParameters {
        metadata: "{}".into(),
        definition_hash: DefinitionHash(B256::repeat_byte(0xDE)),
        genesis_model: ModelHash(B256::repeat_byte(0x6E)),
        total_rounds: ROUNDS,
        min_participants: min,
        max_participants: participants,
        entry_stake: STAKE.into(),
        min_stake_threshold: (STAKE / 2).into(),
        distribution_rate: RATE_ONE / 3,
        slashed_per_stake: RATE_ONE / 8,
        bonus_ratio: 1000,
        quorum_bps: 5000,
        join_window: 12,
        propose_window: 30,
        commit_window: 40,
        reveal_window: 32,
        stall_timeout: 2 * (12 + 30 + 40 + 32),
        initial_reward_pool: (100 * STAKE).into(),
        allow_list_enabled: false,
    }
}

fn world(participants: u8, min: u16, confirmations: u64, block_seconds: u64) -> World {
    let sites: Vec<Site> = (0..participants).map(Site::new).collect();
    let addresses: Vec<_> = sites.iter().map(|s| s.address).collect();
    let chain = Chain::new(parameters(participants.into(), min), &addresses, BALANCE);
    World::new(chain, sites, confirmations, block_seconds)
}

/// Steps until everybody has claimed; fails after as many blocks as all rounds with all windows, the stall timeout and
/// the pokes' delays can take.
fn run_to_the_end(world: &mut World) -> Result<(), TestCaseError> {
    let p = &world.head().parameters;
    let windows = p.join_window + p.propose_window + p.commit_window + p.reveal_window;
    let bound = ROUNDS * (windows + 100) + 2 * p.stall_timeout;
    for _ in 0..bound {
        if world.finished() {
            return Ok(());
        }
        world.step(None);
    }
    let head = world.head();
    Err(TestCaseError::fail(format!(
        "stuck in round {} {:?}: {head:?}",
        head.current_round,
        head.phase()
    )))
}

fn trouble() -> impl Strategy<Value = Trouble> {
    prop_oneof![
        (1u64..60).prop_map(|blocks| Trouble::Offline { blocks }),
        Just(Trouble::Crash),
        (0usize..4).prop_map(|blocks| Trouble::Lag { blocks }),
        (-20i64..60).prop_map(|seconds| Trouble::Skew { seconds }),
        any::<bool>().prop_map(|retry| Trouble::JobFails { retry }),
        (0u64..50).prop_map(|blocks| Trouble::JobsTake { blocks }),
        (1u64..12).prop_map(|blocks| Trouble::TransactionsTake { blocks }),
        Just(Trouble::TransactionLost),
        Just(Trouble::OtherVotes),
        Just(Trouble::NewEnvironment),
        Just(Trouble::Suspend),
        Just(Trouble::Resume),
        Just(Trouble::Drain),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        2 => (1usize..7).prop_map(|depth| Event::Reorg { depth }),
        1 => (1u64..60).prop_map(|seconds| Event::SlowBlock { seconds }),
        10 => (0usize..6, trouble()).prop_map(|(site, trouble)| Event::At { site, trouble }),
    ]
}

proptest! {
    #![proptest_config(Config { cases: 120, max_shrink_iters: 300, failure_persistence: None, ..Config::default() })]

    #[test]
    fn whatever_goes_wrong_no_rule_is_broken_and_the_task_ends(
        participants in 3u8..7,
        confirmations in 0u64..4,
        mut events in prop::collection::vec((0..CALM_AFTER, event()), 0..40),
    ) {
        let mut world = world(participants, 3, confirmations, 1);
        events.sort_by_key(|(at, _)| *at);
        let mut events = events.into_iter().peekable();
        for block in 0..CALM_AFTER {
            // One event a block; those that fall together follow one another.
            let event = events.next_if(|(at, _)| *at <= block).map(|(_, event)| event);
            world.step(event.as_ref());
        }
        world.mend();
        run_to_the_end(&mut world)?;
    }

    #[test]
    fn when_nothing_goes_wrong_every_round_is_accepted_and_nobody_pays(
        participants in 3u8..8,
        confirmations in 0u64..4,
        block_seconds in 1u64..3,
    ) {
        let mut world = world(participants, 3, confirmations, block_seconds);
        run_to_the_end(&mut world)?;
        let head = world.head();
        prop_assert_eq!(head.settled.len(), ROUNDS as usize);
        for round in &head.settled {
            prop_assert_eq!(round.outcome, Outcome::Accepted);
            prop_assert!(round.slashed.is_empty());
        }
        prop_assert!(world.reverted.is_empty(), "{:?}", world.reverted);
        for site in &world.sites {
            prop_assert!(head.accounts[&site.address].balance > BALANCE);
        }
    }
}
