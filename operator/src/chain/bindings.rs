//! Rust types of the contracts.
//!
//! The registry and the token come straight from the committed ABI, one module per contract since each ABI brings its
//! own copy of the shared structs. The task is written out by hand: `sol!` stops at 24 fields, and `RoundState` has 37.
//! A static struct is encoded as its fields in a row, so two halves in its place read the same bytes; a test compares
//! every signature here with the committed ABI.

#![allow(missing_debug_implementations, unreachable_pub, clippy::too_many_arguments)]

pub use task::FlockTask;

pub mod manager {
    alloy::sol!(
        #[sol(all_derives)]
        FlockTaskManager,
        "../contracts/abi/FlockTaskManager.json"
    );
}

pub mod token {
    alloy::sol!(
        #[sol(all_derives)]
        FlockToken,
        "../contracts/abi/FlockToken.json"
    );
}

/// The committed ABI and bytecode of a contract, as JSON text.
pub const TASK_JSON: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../contracts/abi/FlockTask.json"));
pub const MANAGER_JSON: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../contracts/abi/FlockTaskManager.json"
));
pub const TOKEN_JSON: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../contracts/abi/FlockToken.json"));

mod task {
    alloy::sol! {
        #[sol(all_derives)]
        interface FlockTask {
            enum Role {
                None,
                Voter,
                Proposer
            }

            enum Phase {
                Join,
                Draw,
                Propose,
                Commit,
                Reveal,
                Finish,
                Settle,
                Ended
            }

            enum Outcome {
                None,
                Accepted,
                Tie,
                Rejected,
                Inconclusive,
                Empty,
                Void
            }

            struct TaskParameters {
                string metadata;
                bytes32 modelDefinitionHash;
                bytes32 genesisModelHash;
                uint32 totalNumberOfRounds;
                uint16 minNumberOfParticipants;
                uint16 maxNumberOfParticipants;
                uint128 entryStake;
                uint128 minStakeThreshold;
                uint64 participantsDistributionRate;
                uint64 slashedPerStake;
                uint16 bonusRatioForSlashCaller;
                uint16 quorumBps;
                uint32 joinWindow;
                uint32 proposeWindow;
                uint32 commitWindow;
                uint32 revealWindow;
                uint32 stallTimeout;
                uint128 initialRewardPool;
                bool allowListEnabled;
                address[] allowList;
            }

            struct TaskState {
                uint32 currentRound;
                Phase phase;
                bool finishRequested;
                uint32 participants;
                uint128 totalStakes;
                uint128 totalClaimable;
                uint128 rewardPool;
                uint64 lastSettledAt;
                uint64 createdAt;
                uint64 createdBlock;
                address creator;
                address manager;
                address token;
            }

            struct RoundHead {
                uint32 round;
                Phase phase;
                Outcome outcome;
                bool settled;
                uint16 joined;
                uint16 proposers;
                uint16 contributed;
                uint16 committed;
                uint16 revealed;
                uint64 joinDeadline;
                uint64 seedBlock;
                uint64 drawnAt;
                uint64 proposeDeadline;
                uint64 commitOpen;
                uint64 commitDeadline;
                uint64 revealOpen;
                uint64 revealDeadline;
                uint64 finishedAt;
                uint64 settledAt;
                uint64 drawnBlock;
                uint64 finishedBlock;
                uint64 settledBlock;
            }

            struct RoundTail {
                bytes32 startModelHash;
                uint32 startModelRound;
                bytes32 popularHash;
                uint256 popularMask;
                int256 voteScore;
                uint128 winningStake;
                uint128 drawnVoterStake;
                bytes32 nextHash;
                bytes32 drawDigest;
                bytes32 roundDigest;
                uint128 slashedTotal;
                uint128 bonus;
                uint128 pot;
                uint128 rewardedTotal;
                address slashCaller;
            }

            struct ParticipantState {
                address account;
                Role role;
                uint32 sampleCount;
                uint128 stake;
                bytes32 contribution;
                uint64 contributedBlock;
                bytes32 commitment;
                uint64 committedBlock;
                bytes32 voteHash;
                int8 voteScore;
                uint256 voteMask;
                uint64 revealedBlock;
                uint128 slashed;
                uint128 rewarded;
            }

            struct AccountState {
                address account;
                bool allowed;
                bool everStaked;
                bool removed;
                bool claimed;
                uint128 stakeLeft;
                uint128 claimable;
                uint32 roundsJoined;
                uint256 tokenBalance;
                uint256 allowance;
                uint256 nativeBalance;
            }

            function stake(uint256 amount) external;
            function setNodeMetadata(string calldata nodeMetadata) external;
            function joinRound(uint256 round, uint32 sampleCount) external;
            function contribute(uint256 round, bytes32 drawDigest, bytes32 modelHash) external;
            function commitVote(uint256 round, bytes32 roundDigest, bytes32 commitment) external;
            function revealVote(uint256 round, bytes32 aggregateHash, int8 score, uint256 includedMask, bytes32 salt) external;
            function claimRewards() external;

            function fundRewardPool(uint256 amount) external;
            function selectRoundParticipants(uint256 round) external;
            function finishRound(uint256 round) external;
            function slash(uint256 round) external;
            function terminate() external;

            function allowParticipants(address[] calldata accounts) external;
            function withdrawRemainder() external;
            function finishTask() external;

            function snapshot(uint256 round, address[] calldata accounts)
                external
                view
                returns (TaskState memory state, RoundHead memory head, RoundTail memory tail, ParticipantState[] memory participants, AccountState[] memory accounts);
            function parameters() external view returns (TaskParameters memory);

            function currentRound() external view returns (uint256);
            function participantRoles(uint256 round, address account) external view returns (uint256);
            function contributions(uint256 round, address account) external view returns (bytes32);
            function votes(uint256 round, address account)
                external
                view
                returns (bytes32 voteHash, int8 voteScore, uint256 voteMask);
            function roundResult(uint256 round) external view returns (bytes32 popularHash, int256 voteScore, bytes32 nextHash);
            function globalModelHash(uint256 round) external view returns (bytes32);
            function roundStakedTokens(uint256 round, address account) external view returns (uint256);
            function nodeScore(address account) external view returns (uint256);
            function nodeMetadata(address account) external view returns (string memory);
            function rewardPool() external view returns (uint256);
            function canBeSlashed(uint256 round, address account) external view returns (bool);
            function hasRoundFinished(uint256 round) external view returns (bool);
            function isFinished() external view returns (bool);
            function allContributed(uint256 round) external view returns (bool);
            function enoughParticipantsJoined(uint256 round) external view returns (bool);
            function mostPopularHash(uint256 round) external view returns (bytes32);
            function getTotalStakes() external view returns (uint256);
            function roundDigest(uint256 round) external view returns (bytes32);

            event Staked(address indexed proposer, uint256 amount);
            event NodeMetadataSet(address indexed account);
            event RewardPoolFunded(address indexed funder, uint256 amount);
            event ParticipantAllowed(address indexed account);
            event Joined(uint256 indexed round, address indexed account, uint256 stake, uint32 sampleCount);
            event DrawFixed(uint256 indexed round, uint256 seedBlock, uint256 participants);
            event DrawReset(uint256 indexed round, uint256 seedBlock);
            event RolesDrawn(uint256 indexed round, bytes32 seed, address[] proposers, address[] voters);
            event Contributed(uint256 indexed round, address indexed account, uint256 seat, bytes32 modelHash);
            event VoteCommitted(uint256 indexed round, address indexed account, bytes32 commitment);
            event VoteRevealed(
                uint256 indexed round, address indexed account, bytes32 aggregateHash, int8 score, uint256 includedMask
            );
            event RoundFinished(uint256 indexed round, address[] proposers, address[] voters);
            event RoundDecided(
                uint256 indexed round,
                Outcome outcome,
                bytes32 popularHash,
                uint256 includedMask,
                int256 voteScore,
                bytes32 nextHash
            );
            event Slashed(
                address slasher, address indexed contributor, uint256 amount, uint256 indexed round, string contributorType
            );
            event Rewarded(address indexed contributor, uint256 amount, uint256 indexed round, string contributorType);
            event RoundSettled(
                uint256 indexed round,
                address indexed caller,
                uint256 slashedTotal,
                uint256 bonus,
                uint256 pot,
                uint256 rewardedTotal
            );
            event Removed(uint256 indexed round, address indexed account, uint256 stakeLeft);
            event TaskEnded(uint256 indexed round, bool terminated);
            event Claimed(address indexed account, uint256 amount, uint256 indexed round, string claimType);
            event RemainderWithdrawn(address indexed creator, uint256 amount);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use alloy::{
        json_abi::{JsonAbi, Param},
        sol_types::{SolInterface, SolStruct},
    };

    use super::*;

    fn abi() -> JsonAbi {
        let json: serde_json::Value = serde_json::from_str(TASK_JSON).unwrap();
        serde_json::from_value(json["abi"].clone()).unwrap()
    }

    /// Types of a struct's fields: "uint32,uint8".
    fn fields<T: SolStruct>() -> String {
        let root = T::eip712_root_type();
        let (_, fields) = root.trim_end_matches(')').split_once('(').unwrap();
        fields
            .split(',')
            .map(|f| f.split_once(' ').unwrap().0)
            .collect::<Vec<_>>()
            .join(",")
    }

    fn types(outputs: &[Param]) -> Vec<String> {
        outputs.iter().map(|p| p.selector_type().into_owned()).collect()
    }

    #[test]
    fn every_function_and_event_written_out_here_is_the_committed_abis() {
        let abi = abi();
        let functions: BTreeSet<[u8; 4]> = abi.functions().map(|f| f.selector().0).collect();
        let ours: BTreeSet<[u8; 4]> = FlockTask::FlockTaskCalls::selectors().collect();
        assert!(
            ours.len() > 30 && ours.is_subset(&functions),
            "{:?}",
            ours.difference(&functions)
        );
        let events: BTreeSet<[u8; 32]> = abi.events().map(|e| e.selector().0).collect();
        let ours: BTreeSet<[u8; 32]> = FlockTask::FlockTaskEvents::SELECTORS.iter().copied().collect();
        assert!(
            ours.len() > 15 && ours.is_subset(&events),
            "{:?}",
            ours.difference(&events)
        );
        for event in abi.events() {
            let indexed = event.inputs.iter().filter(|input| input.indexed).count();
            let written = [
                ("Claimed", 2),
                ("Rewarded", 2),
                ("Slashed", 2),
                ("Joined", 2),
                ("TaskEnded", 1),
            ];
            for (name, count) in written {
                assert!(
                    event.name != name || indexed == count,
                    "{name} has {indexed} indexed inputs"
                );
            }
        }
    }

    #[test]
    fn two_halves_of_a_round_read_the_same_bytes_as_the_contracts_struct() {
        let abi = abi();
        let snapshot = &abi.function("snapshot").unwrap()[0];
        let round = format!(
            "({},{})",
            fields::<FlockTask::RoundHead>(),
            fields::<FlockTask::RoundTail>()
        );
        let expected = [
            format!("({})", fields::<FlockTask::TaskState>()),
            round,
            format!("({})[]", fields::<FlockTask::ParticipantState>()),
            format!("({})[]", fields::<FlockTask::AccountState>()),
        ];
        assert_eq!(types(&snapshot.outputs), expected);
        let parameters = &abi.function("parameters").unwrap()[0];
        assert_eq!(
            types(&parameters.outputs),
            [format!("({})", fields::<FlockTask::TaskParameters>())]
        );
    }
}
