// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// One federated-learning task: staking, draw, contributions, commit-reveal votes, finish, slash (settlement), claim.
/// Amounts are in the token's smallest unit, times in Unix seconds, windows in seconds, ratios as named.
interface IFlockTask {
    enum Role {
        None,
        Voter,
        Proposer
    }

    /// A pure view of stored times and `block.timestamp`.
    enum Phase {
        Join, // roster open
        Draw, // roster closed, waiting for the seed block or for the draw's second step
        Propose,
        Commit,
        Reveal,
        Finish, // windows are over, `finishRound` is due
        Settle, // finished, `slash` is due
        Ended // the task is over: everybody claims
    }

    enum Outcome {
        None,
        Accepted,
        Tie,
        Rejected,
        Inconclusive,
        Empty,
        Void // ended by `terminate` before its windows were over: no money moved
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
        uint64 participantsDistributionRate; // share of proposers, 1e18-scaled
        uint64 slashedPerStake; // 1e18 = all
        uint16 bonusRatioForSlashCaller; // of 10000
        uint16 quorumBps; // of 10000
        uint32 joinWindow;
        uint32 proposeWindow;
        uint32 commitWindow;
        uint32 revealWindow;
        uint32 stallTimeout;
        uint128 initialRewardPool;
        bool allowListEnabled;
        address[] allowList;
    }

    /// What changes about the task as a whole.
    struct TaskState {
        uint32 currentRound; // == totalNumberOfRounds once all are settled
        Phase phase; // of the current round
        bool finishRequested; // the manager asked to end after the running round
        uint32 participants; // accounts that ever staked
        uint128 totalStakes;
        uint128 totalClaimable;
        uint128 rewardPool;
        uint64 lastSettledAt; // or creation
        uint64 createdAt;
        uint64 createdBlock;
        address creator;
        address manager;
        address token;
    }

    /// One round as a whole; zero where it has not happened yet.
    struct RoundState {
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
        uint64 seedBlock; // 0 until the draw's first step
        uint64 drawnAt;
        uint64 proposeDeadline;
        uint64 commitOpen; // 0 until known
        uint64 commitDeadline;
        uint64 revealOpen;
        uint64 revealDeadline;
        uint64 finishedAt;
        uint64 settledAt;
        uint64 drawnBlock;
        uint64 finishedBlock;
        uint64 settledBlock;
        bytes32 startModelHash; // globalModelHash(round)
        uint32 startModelRound; // 0: genesis; r + 1: the aggregate accepted in round r
        bytes32 popularHash;
        uint256 popularMask;
        int256 voteScore; // stake-weighted, inside the winning group
        uint128 winningStake;
        uint128 drawnVoterStake;
        bytes32 nextHash;
        bytes32 drawDigest; // roundDigest right after the draw
        bytes32 roundDigest; // rolling keccak of draw and contributions
        uint128 slashedTotal;
        uint128 bonus;
        uint128 pot;
        uint128 rewardedTotal;
        address slashCaller;
    }

    /// One participant in one round, in draw order once drawn (proposers first, in seat order), in join order before.
    struct ParticipantState {
        address account;
        Role role;
        uint32 sampleCount;
        uint128 stake; // roundStakedTokens, fixed at joinRound
        bytes32 contribution; // 0: none
        uint64 contributedBlock;
        bytes32 commitment; // 0: none
        uint64 committedBlock;
        bytes32 voteHash; // 0: not revealed
        int8 voteScore;
        uint256 voteMask;
        uint64 revealedBlock;
        uint128 slashed;
        uint128 rewarded;
    }

    /// One account in the task, whether or not it takes part in the round.
    struct AccountState {
        address account;
        bool allowed; // by the allow list, or it is off
        bool everStaked;
        bool removed;
        bool claimed;
        uint128 stakeLeft; // nodeScore
        uint128 claimable; // rewards and bonuses credited, paid at the end
        uint32 roundsJoined; // rounds joined so far
        uint256 tokenBalance; // token.balanceOf(account)
        uint256 allowance; // token.allowance(account, task)
        uint256 nativeBalance; // account.balance, wei
    }

    // --- participants ---
    function stake(uint256 amount) external;
    function setNodeMetadata(string calldata nodeMetadata) external;
    function joinRound(uint256 round, uint32 sampleCount) external;
    function contribute(uint256 round, bytes32 drawDigest, bytes32 modelHash) external;
    function commitVote(uint256 round, bytes32 roundDigest, bytes32 commitment) external;
    function revealVote(uint256 round, bytes32 aggregateHash, int8 score, uint256 includedMask, bytes32 salt) external;
    function claimRewards() external;

    // --- anyone ---
    function fundRewardPool(uint256 amount) external;
    function selectRoundParticipants(uint256 round) external;
    function finishRound(uint256 round) external;
    function slash(uint256 round) external;
    function terminate() external;

    // --- creator, manager ---
    function allowParticipants(address[] calldata accounts) external;
    function withdrawRemainder() external;
    function finishTask() external; // manager only

    // --- one view for a controller ---
    /// State of the task, of `round`, its participants, and the named accounts: all at one block.
    function snapshot(uint256 round, address[] calldata accounts)
        external
        view
        returns (TaskState memory, RoundState memory, ParticipantState[] memory, AccountState[] memory);
    function parameters() external view returns (TaskParameters memory);

    // --- views under FLock's names ---
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

    // --- events (FLock's names kept where they exist) ---
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
