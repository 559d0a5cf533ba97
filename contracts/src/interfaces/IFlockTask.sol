// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title One federated-learning task: staking, draw, contributions, commit-reveal votes, finish, slash (settlement), claim
/// @notice Amounts are in the token's smallest unit, times in Unix seconds, windows in seconds and half-open (open <= now < deadline),
/// rounds count from 0, ratios as named. Reverts are the custom errors of `IFlockTaskErrors`.
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
        Ended // the task is over: everybody claims (of an earlier round: it is settled)
    }

    enum Outcome {
        None,
        Accepted,
        Tie,
        Rejected,
        Inconclusive,
        Empty,
        Void // the task ended (`terminate`, or `finishTask` before a draw) before this round could be settled: no money moved
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

    /// @notice Adds `amount` to the caller's stake; needs an allowance for exactly that. The first time it must reach `entryStake`.
    /// Refused for removed accounts, for accounts not on an enabled allow list, and after the end of the task.
    function stake(uint256 amount) external;

    /// @notice Stores the caller's own description, at most 1024 bytes. Nothing in the contract depends on it.
    function setNodeMetadata(string calldata nodeMetadata) external;

    /// @notice Takes a seat in the current round while its roster is open. The caller's whole stake, which must reach
    /// `minStakeThreshold`, counts for this round and stays what it is now, whatever is staked later.
    /// @param sampleCount how many records the caller trains on; nothing on chain depends on it
    function joinRound(uint256 round, uint32 sampleCount) external;

    /// @notice Hands in a drawn proposer's model, once, in the propose window.
    /// @param drawDigest `RoundState.drawDigest` that the model was computed from; reverts `StaleDigest` if it moved
    /// @param modelHash SHA-256 of the model file; neither zero nor the start model's
    function contribute(uint256 round, bytes32 drawDigest, bytes32 modelHash) external;

    /// @notice Commits a drawn voter to a vote, once, in the commit window.
    /// @param roundDigest `RoundState.roundDigest` that the vote was computed from; reverts `StaleDigest` if it moved
    /// @param commitment keccak256(abi.encode(keccak256("FLA_VOTE_V1"), chainid, task, round, voter, hash, score, mask, salt))
    function commitVote(uint256 round, bytes32 roundDigest, bytes32 commitment) external;

    /// @notice Opens the caller's commitment, once, in the reveal window.
    /// @param aggregateHash SHA-256 of the aggregate the caller computed, or the start model's hash with mask 0
    /// @param score +1 or -1
    /// @param includedMask bit j: the contribution in seat j was fetched and valid. A bit without a contribution reverts; 0 is
    /// only for the vote (start, -1, 0)
    function revealVote(uint256 round, bytes32 aggregateHash, int8 score, uint256 includedMask, bytes32 salt) external;

    /// @notice After the end: pays the caller all it has in the task, stake left plus what was credited.
    function claimRewards() external;

    // --- anyone ---

    /// @notice Adds `amount` of the caller's tokens to the reward pool. Refused after the end.
    function fundRewardPool(uint256 amount) external;

    /// @notice The draw, in two calls. The first closes the roster (full, or the join deadline is over and enough joined) and names
    /// a seed block; the second, once that block is mined, draws the roles. If its hash has aged out, names another block instead.
    function selectRoundParticipants(uint256 round) external;

    /// @notice Counts the votes and decides the round, in phase Finish.
    function finishRound(uint256 round) external;

    /// @notice Settles a finished round, all its money in this one call: slashes, the caller's bonus, pool, rewards; removes who
    /// fell below the threshold; then opens the next round or ends the task.
    function slash(uint256 round) external;

    /// @notice Ends the task if no round was settled for `stallTimeout`. A round whose windows are over is finished and settled
    /// first, any other is void.
    function terminate() external;

    // --- creator, manager ---

    /// @notice Adds accounts to the allow list. Creator only; nobody is ever taken off it.
    function allowParticipants(address[] calldata accounts) external;

    /// @notice After the end: pays the creator what is left of the reward pool.
    function withdrawRemainder() external;

    /// @notice Manager only. Ends the task at once before the current round's roster is closed; afterwards that round is played and
    /// settled first.
    function finishTask() external;

    // --- one view for a controller ---

    /// @notice The task, one round, its participants, and the named accounts, all at one block. Past rounds stay readable for ever;
    /// reverts `UnknownRound` for a round after the current one.
    /// @param round current or earlier; after T settled rounds also T, whose start model is the final model
    /// @param accounts any addresses, answered in the same order
    function snapshot(uint256 round, address[] calldata accounts)
        external
        view
        returns (TaskState memory, RoundState memory, ParticipantState[] memory, AccountState[] memory);

    /// @notice What the task was created with. `allowList` comes back empty: ask `snapshot` about accounts.
    function parameters() external view returns (TaskParameters memory);

    // --- views under FLock's names ---

    /// @notice The round being played; the number of rounds once all are settled.
    function currentRound() external view returns (uint256);

    /// @notice 0 none (or not drawn yet), 1 voter, 2 proposer.
    function participantRoles(uint256 round, address account) external view returns (uint256);

    /// @notice The hash a proposer contributed; 0 if none.
    function contributions(uint256 round, address account) external view returns (bytes32);

    /// @notice A revealed vote; zeros if none.
    function votes(uint256 round, address account)
        external
        view
        returns (bytes32 voteHash, int8 voteScore, uint256 voteMask);

    /// @notice Of a finished round: hash of the heaviest group, its stake-weighted score, the next round's start model. Zeros before.
    function roundResult(uint256 round) external view returns (bytes32 popularHash, int256 voteScore, bytes32 nextHash);

    /// @notice The model a round starts from; 0 while not decided.
    function globalModelHash(uint256 round) external view returns (bytes32);

    /// @notice The stake an account joined a round with; 0 if it did not.
    function roundStakedTokens(uint256 round, address account) external view returns (uint256);

    /// @notice The stake an account has left; 0 once claimed.
    function nodeScore(address account) external view returns (uint256);

    /// @notice What an account said about itself.
    function nodeMetadata(address account) external view returns (string memory);

    /// @notice What is left to pay out as rewards.
    function rewardPool() external view returns (uint256);

    /// @notice Whether `slash` of this round, finished but not settled, would take stake from this account.
    function canBeSlashed(uint256 round, address account) external view returns (bool);

    /// @notice Whether a round is decided (its settlement may still be due).
    function hasRoundFinished(uint256 round) external view returns (bool);

    /// @notice Whether the task has ended: nothing but claiming is left.
    function isFinished() external view returns (bool);

    /// @notice Whether every drawn proposer of a round has contributed.
    function allContributed(uint256 round) external view returns (bool);

    /// @notice Whether the minimum number of participants has joined a round.
    function enoughParticipantsJoined(uint256 round) external view returns (bool);

    /// @notice The hash of the heaviest group of a finished round; 0 before, or if nobody revealed.
    function mostPopularHash(uint256 round) external view returns (bytes32);

    /// @notice The sum of all stakes left.
    function getTotalStakes() external view returns (uint256);

    /// @notice keccak256(abi.encode(digest before, seat, hash)) over the contributions in the order they came, starting from the
    /// draw's digest; 0 before the draw.
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
