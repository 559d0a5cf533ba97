//! The task's contract at its beginning.

use protocol::{
    definition::Definition,
    snapshot::{AccountState, BlockRef, RoundState, TaskParameters, TaskSnapshot, TaskState},
    types::{Address, Amount, B256, Outcome, Phase, Round, RoundDigest, Timestamp},
};

use super::{
    results::model,
    world::{CONTRACT, STAKE, START},
};

/// The task's training definition.
pub(super) fn definition() -> serde_json::Value {
    serde_json::from_str(include_str!("../../../protocol/src/definition/example.json")).expect("the example is JSON")
}

/// A task whose first round can be joined; `us` has tokens and native coin and has done nothing.
pub(super) fn snapshot(us: Address, document: &serde_json::Value) -> TaskSnapshot {
    let definition = Definition::parse(document.to_string().as_bytes()).expect("the example is a definition");
    let account = AccountState {
        account: us,
        allowed: true,
        ever_staked: false,
        removed: false,
        claimed: false,
        stake_left: Amount::ZERO,
        claimable: Amount::ZERO,
        rounds_joined: 0,
        token_balance: Amount::from(2 * STAKE),
        allowance: Amount::ZERO,
        native_balance: Amount::from(10_000_000_000_000_000_000),
    };
    TaskSnapshot {
        chain_id: 31337,
        task: CONTRACT,
        block: BlockRef {
            number: 100,
            hash: B256::repeat_byte(0xb1),
            timestamp: Timestamp(START),
        },
        parameters: parameters(&definition),
        state: TaskState {
            current_round: Round(0),
            phase: Phase::Join,
            finish_requested: false,
            participants: 0,
            total_stakes: Amount::ZERO,
            total_claimable: Amount::ZERO,
            reward_pool: Amount::from(1_000),
            last_settled_at: Timestamp(START - 10),
            created_at: Timestamp(START - 10),
            created_block: 90,
            creator: Address::repeat_byte(0xc0),
            manager: Address::repeat_byte(0xc1),
            token: Address::repeat_byte(0xc2),
        },
        round: round(),
        participants: Vec::new(),
        accounts: vec![account],
    }
}

fn parameters(definition: &Definition) -> TaskParameters {
    TaskParameters {
        metadata: String::new(),
        definition_hash: definition.hash(),
        genesis_model: model(0x60),
        total_rounds: 5,
        min_participants: 5,
        max_participants: 5,
        entry_stake: Amount::from(STAKE),
        min_stake_threshold: Amount::from(STAKE / 4),
        distribution_rate: 400_000_000_000_000_000,
        slashed_per_stake: 50_000_000_000_000_000,
        bonus_ratio: 1000,
        quorum_bps: 5000,
        join_window: 60,
        propose_window: 100,
        commit_window: 100,
        reveal_window: 100,
        stall_timeout: 1000,
        initial_reward_pool: Amount::from(1_000),
        allow_list_enabled: false,
    }
}

/// A round nobody has joined.
pub(super) fn round() -> RoundState {
    RoundState {
        round: Round(0),
        phase: Phase::Join,
        outcome: Outcome::None,
        settled: false,
        joined: 0,
        proposers: 0,
        contributed: 0,
        committed: 0,
        revealed: 0,
        join_deadline: Timestamp(START + 50),
        seed_block: None,
        drawn_at: None,
        propose_deadline: None,
        commit_open: None,
        commit_deadline: None,
        reveal_open: None,
        reveal_deadline: None,
        finished_at: None,
        settled_at: None,
        drawn_block: None,
        finished_block: None,
        settled_block: None,
        start_model: model(0x60),
        start_model_round: None,
        popular_hash: None,
        popular_mask: 0,
        vote_score: Default::default(),
        winning_stake: Amount::ZERO,
        drawn_voter_stake: Amount::ZERO,
        next_hash: None,
        draw_digest: RoundDigest::ZERO,
        round_digest: RoundDigest::ZERO,
        slashed_total: Amount::ZERO,
        bonus: Amount::ZERO,
        pot: Amount::ZERO,
        rewarded_total: Amount::ZERO,
        slash_caller: None,
    }
}
