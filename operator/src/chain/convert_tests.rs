use alloy::{
    primitives::{Bytes, U64},
    sol_types::SolValue,
};

use super::*;

/// A static struct with the word `value` at `index` and zero elsewhere.
fn words<T>(count: usize, set: &[(usize, U256)]) -> Result<T, alloy::sol_types::Error>
where
    T: SolValue,
    T: From<<T::SolType as alloy::sol_types::SolType>::RustType>,
{
    let mut bytes = vec![0u8; count * 32];
    for (index, value) in set {
        bytes[index * 32..(index + 1) * 32].copy_from_slice(&value.to_be_bytes::<32>());
    }
    T::abi_decode(&bytes)
}

fn row(set: &[(usize, U256)]) -> ParticipantState {
    participant(&words::<FlockTask::ParticipantState>(14, set).unwrap()).unwrap()
}

fn bad_row(set: &[(usize, U256)]) -> String {
    let raw = words::<FlockTask::ParticipantState>(14, set).unwrap();
    match participant(&raw) {
        Err(ChainError::BadAnswer(text)) => text,
        other => panic!("{other:?}"),
    }
}

#[test]
fn zero_means_that_it_has_not_happened() {
    let empty = row(&[]);
    assert_eq!((empty.contribution, empty.commitment, empty.vote), (None, None, None));
    assert_eq!(
        (empty.contributed_block, empty.committed_block, empty.revealed_block),
        (None, None, None)
    );
    let head = words::<FlockTask::RoundHead>(22, &[]).unwrap();
    let tail = words::<FlockTask::RoundTail>(15, &[]).unwrap();
    let round = round_state(&head, &tail).unwrap();
    assert_eq!(
        (round.seed_block, round.commit_open, round.next_hash, round.slash_caller),
        (None, None, None, None)
    );
    assert_eq!(round.start_model_round, None);
    let tail = words::<FlockTask::RoundTail>(15, &[(1, U256::from(3))]).unwrap();
    assert_eq!(round_state(&head, &tail).unwrap().start_model_round, Some(Round(2)));
}

#[test]
fn a_revealed_vote_keeps_its_sign() {
    let against = row(&[(8, U256::from(7)), (9, U256::MAX), (10, U256::from(3))]);
    let vote = against.vote.unwrap();
    assert_eq!((vote.score, vote.mask), (Score::Against, IncludedMask(3)));
}

#[test]
fn what_the_contract_cannot_return_is_a_bad_answer_and_not_a_guess() {
    assert!(bad_row(&[(8, U256::from(7))]).contains("score"), "a vote without score");
    assert!(bad_row(&[(8, U256::from(7)), (9, U256::from(2))]).contains("score"));
    let wide = U256::from(1) << 64;
    assert!(bad_row(&[(8, U256::from(7)), (9, U256::from(1)), (10, wide)]).contains("mask"));
    let unknown_role = words::<FlockTask::ParticipantState>(14, &[(1, U256::from(9))]);
    assert!(unknown_role.is_err() || participant(&unknown_role.unwrap()).is_err());
    assert!(round(U256::from(u64::MAX)).is_err());
}

fn log(topics: Vec<B256>, data: Vec<u8>) -> Log {
    Log {
        address: Address::ZERO,
        topics,
        data: Bytes::from(data),
        block_number: Some(U64::from(5)),
        transaction_hash: Some(B256::ZERO),
        log_index: Some(U64::from(2)),
        removed: false,
    }
}

#[test]
fn logs_of_interest_are_read_and_others_passed_over() {
    let event = FlockTask::TaskEnded {
        round: U256::from(4),
        terminated: true,
    };
    let encoded = event.encode_log_data();
    let mut ended = log(encoded.topics().to_vec(), encoded.data.to_vec());
    let read = task_log(&ended).unwrap().unwrap();
    assert_eq!(
        read.event,
        TaskEvent::TaskEnded {
            round: Round(4),
            terminated: true
        }
    );
    assert_eq!((read.block, read.log_index), (5, 2));
    ended.removed = true;
    assert_eq!(task_log(&ended).unwrap(), None, "a log that a reorg took back");
    assert_eq!(task_log(&log(vec![B256::repeat_byte(1)], vec![])).unwrap(), None);
    assert_eq!(task_log(&log(vec![], vec![])).unwrap(), None);
    let cut = log(vec![FlockTask::TaskEnded::SIGNATURE_HASH], vec![]);
    assert!(matches!(task_log(&cut), Err(ChainError::BadAnswer(_))));
}

#[test]
fn parameters_go_to_the_contract_and_come_back_the_same() {
    let asked = TaskParameters {
        metadata: "{}".to_owned(),
        definition_hash: DefinitionHash(B256::repeat_byte(1)),
        genesis_model: ModelHash(B256::repeat_byte(2)),
        total_rounds: 3,
        min_participants: 4,
        max_participants: 5,
        entry_stake: Amount::from(6),
        min_stake_threshold: Amount::from(7),
        distribution_rate: 8,
        slashed_per_stake: 9,
        bonus_ratio: 10,
        quorum_bps: 11,
        join_window: 12,
        propose_window: 13,
        commit_window: 14,
        reveal_window: 15,
        stall_timeout: 16,
        initial_reward_pool: Amount::from(17),
        allow_list_enabled: true,
    };
    let there = creation(&asked, &[Address::ZERO]).unwrap();
    let back = FlockTask::TaskParameters::abi_decode(&there.abi_encode()).unwrap();
    assert_eq!(back.allowList, [Address::ZERO]);
    assert_eq!(parameters(back), asked);
    let huge = TaskParameters {
        entry_stake: Amount(U256::MAX),
        ..asked
    };
    assert!(matches!(creation(&huge, &[]), Err(ChainError::BadAnswer(text)) if text.contains("128 bits")));
}
