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

    /// @notice Adds to the caller's stake. Anybody who is not removed and, where there is an allow list, is on it; while the task
    /// runs. The first time it must reach `entryStake`. Later stake counts from the next round joined on.
    /// @dev Reverts `TaskOver`, `AccountIsRemoved`, `ZeroAmount`, `AmountTooLarge`, `AccountNotAllowed` and `StakeTooSmall` (the
    /// first time), `InexactTransfer`, or as the token does without an allowance.
    /// @param amount smallest unit of the token, pulled from the caller, who has approved the task for it
    function stake(uint256 amount) external;

    /// @notice Stores the caller's own description. Anybody, at any time; nothing in the contract depends on it.
    /// @dev Reverts `MetadataTooLong`.
    /// @param metadata at most 1024 bytes, replaces what was there
    function setNodeMetadata(string calldata metadata) external;

    /// @notice Takes a seat in the current round while its roster is open (until the draw's first step, also after the join
    /// deadline). Anybody whose stake left reaches `minStakeThreshold`. That stake counts for this round and stays what it is now,
    /// whatever is staked later.
    /// @dev Reverts `TaskOver`, `WrongRound`, `WrongPhase`, `AccountIsRemoved`, `StakeTooSmall`, `AlreadyJoined`, `RosterFull`.
    /// @param round the current one; a call meant for an earlier round reverts
    /// @param sampleCount how many records the caller trains on; nothing on chain depends on it
    function joinRound(uint256 round, uint32 sampleCount) external;

    /// @notice Hands in a drawn proposer's model, once, in the propose window.
    /// @dev Reverts `TaskOver`, `WrongRound`, `WrongPhase`, `NotProposer`, `AlreadyContributed`, `StaleDigest`, `InvalidModelHash`.
    /// @param round the current one
    /// @param drawDigest `RoundState.drawDigest` that the model was computed from; reverts `StaleDigest` if it moved
    /// @param modelHash SHA-256 of the model file; neither zero nor the start model's
    function contribute(uint256 round, bytes32 drawDigest, bytes32 modelHash) external;

    /// @notice Commits a drawn voter to a vote, once, in the commit window.
    /// @dev Reverts `TaskOver`, `WrongRound`, `AlreadyCommitted`, `WrongPhase`, `NotVoter`, `StaleDigest`, `InvalidCommitment`.
    /// @param round the current one
    /// @param digest `RoundState.roundDigest` that the vote was computed from; reverts `StaleDigest` if it moved
    /// @param commitment keccak256(abi.encode(keccak256("FLA_VOTE_V1"), chainid, task, round, voter, hash, score, mask, salt)), not 0
    function commitVote(uint256 round, bytes32 digest, bytes32 commitment) external;

    /// @notice Opens the caller's commitment, once, in the reveal window.
    /// @dev Reverts `TaskOver`, `WrongRound`, `AlreadyRevealed`, `WrongPhase`, `NotVoter`, `NotCommitted`, `CommitmentMismatch`,
    /// `InvalidScore`, `InvalidModelHash`, `InvalidMask`.
    /// @param round the current one
    /// @param aggregateHash SHA-256 of the aggregate the caller computed, or the start model's hash with mask 0
    /// @param score +1 (at least as good as the start model) or -1
    /// @param includedMask bit j: the contribution in seat j was fetched and valid. A bit without a contribution reverts; 0 is
    /// only for the vote (start, -1, 0)
    /// @param salt the secret that the commitment was made with
    function revealVote(uint256 round, bytes32 aggregateHash, int8 score, uint256 includedMask, bytes32 salt) external;

    /// @notice Pays the caller all it has in the task, stake left plus what was credited, after the end. Anybody, at any time then.
    /// @dev Reverts `TaskNotOver`, `NothingToClaim`, `InexactTransfer`.
    function claimRewards() external;

    // --- anyone ---

    /// @notice Adds to the reward pool, for good. Anybody, while the task runs.
    /// @dev Reverts `TaskOver`, `ZeroAmount`, `AmountTooLarge`, `InexactTransfer`, or as the token does without an allowance.
    /// @param amount smallest unit of the token, pulled from the caller, who has approved the task for it
    function fundRewardPool(uint256 amount) external;

    /// @notice The draw, in two calls by anybody. The first closes the roster (full, or the join deadline is over and enough joined)
    /// and names a seed block, four blocks on; the second, once that block is mined, draws the roles. If its hash has aged out,
    /// names another block instead.
    /// @dev Reverts `TaskOver`, `WrongRound`, `RosterNotReady`, `SeedBlockPending`, `WrongPhase` (drawn already).
    /// @param round the current one
    function selectRoundParticipants(uint256 round) external;

    /// @notice Counts the votes and decides the round, once its windows are over or everybody has acted. Anybody.
    /// @dev Reverts `TaskOver`, `WrongRound`, `WrongPhase`.
    /// @param round the current one
    function finishRound(uint256 round) external;

    /// @notice Settles a finished round, all its money in this one call: slashes, the caller's bonus, pool, rewards; removes who
    /// fell below the threshold; then opens the next round or ends the task. Anybody.
    /// @dev Reverts `TaskOver`, `WrongRound`, `WrongPhase`.
    /// @param round the current one
    function slash(uint256 round) external;

    /// @notice Ends the task if no round was settled for `stallTimeout`. A round whose windows are over is finished and settled
    /// first, any other is void. Anybody.
    /// @dev Reverts `TaskOver`, `NotStalled`.
    function terminate() external;

    // --- creator, manager ---

    /// @notice Adds accounts to the allow list. Creator only, at any time; nobody is ever taken off it.
    /// @dev Reverts `NotCreator`, `AllowListOff`.
    /// @param accounts may repeat who is on it already
    function allowParticipants(address[] calldata accounts) external;

    /// @notice Pays the creator what is left of the reward pool, after the end. Creator only.
    /// @dev Reverts `NotCreator`, `TaskNotOver`, `NothingToClaim`, `InexactTransfer`.
    function withdrawRemainder() external;

    /// @notice Ends the task at once before the current round's roster is closed; afterwards that round is played and settled
    /// first. Manager only, whose owner asks for it.
    /// @dev Reverts `NotManager`, `TaskOver`.
    function finishTask() external;

    // --- one view for a controller ---

    /// @notice The task, one round, its participants, and the named accounts, all at one block. Past rounds stay readable for ever.
    /// @dev Reverts `UnknownRound` for a round after the current one.
    /// @param round current or earlier; after T settled rounds also T, whose start model is the final model
    /// @param accounts any addresses, answered in the same order
    /// @return task the task as a whole, now
    /// @return state the round as a whole
    /// @return participants who joined it: in draw order once drawn, before in join order
    /// @return asked one row for each of `accounts`
    function snapshot(uint256 round, address[] calldata accounts)
        external
        view
        returns (
            TaskState memory task,
            RoundState memory state,
            ParticipantState[] memory participants,
            AccountState[] memory asked
        );

    /// @notice What the task was created with.
    /// @return p as given to `createTask`, but `allowList` comes back empty: ask `snapshot` about accounts
    function parameters() external view returns (TaskParameters memory p);

    // --- views under FLock's names ---

    /// @notice The round being played; the number of rounds once all are settled.
    /// @return round from 0
    function currentRound() external view returns (uint256 round);

    /// @notice The role of an account in a round.
    /// @param round any
    /// @param account any
    /// @return role 0 none (or not drawn yet), 1 voter, 2 proposer
    function participantRoles(uint256 round, address account) external view returns (uint256 role);

    /// @notice What a proposer contributed.
    /// @param round any
    /// @param account any
    /// @return modelHash SHA-256 of the model file; 0 if none
    function contributions(uint256 round, address account) external view returns (bytes32 modelHash);

    /// @notice A revealed vote; zeros if none.
    /// @param round any
    /// @param account any
    /// @return voteHash SHA-256 of the aggregate
    /// @return voteScore +1 or -1
    /// @return voteMask bit j: with the contribution in seat j
    function votes(uint256 round, address account)
        external
        view
        returns (bytes32 voteHash, int8 voteScore, uint256 voteMask);

    /// @notice The result of a finished round; zeros before.
    /// @param round any
    /// @return popularHash what the heaviest group voted for; 0 if nobody revealed
    /// @return voteScore of that group: its stake voting +1 less its stake voting -1, smallest unit of the token
    /// @return nextHash the next round's start model
    function roundResult(uint256 round) external view returns (bytes32 popularHash, int256 voteScore, bytes32 nextHash);

    /// @notice The model a round starts from.
    /// @param round any
    /// @return modelHash SHA-256 of the model file; 0 while not decided
    function globalModelHash(uint256 round) external view returns (bytes32 modelHash);

    /// @notice The stake an account joined a round with.
    /// @param round any
    /// @param account any
    /// @return amount smallest unit of the token; 0 if it did not join
    function roundStakedTokens(uint256 round, address account) external view returns (uint256 amount);

    /// @notice The stake an account has left.
    /// @param account any
    /// @return amount smallest unit of the token; 0 once claimed
    function nodeScore(address account) external view returns (uint256 amount);

    /// @notice What an account said about itself.
    /// @param account any
    /// @return metadata as given to `setNodeMetadata`: foreign text, not to be trusted
    function nodeMetadata(address account) external view returns (string memory metadata);

    /// @notice What is left to pay out as rewards.
    /// @return amount smallest unit of the token
    function rewardPool() external view returns (uint256 amount);

    /// @notice Whether `slash` of this round, finished but not settled, would take stake from this account.
    /// @param round any
    /// @param account any
    /// @return yes false before the round is finished and after it is settled
    function canBeSlashed(uint256 round, address account) external view returns (bool yes);

    /// @notice Whether a round is decided (its settlement may still be due).
    /// @param round any
    /// @return yes true also for a void round
    function hasRoundFinished(uint256 round) external view returns (bool yes);

    /// @notice Whether the task has ended: nothing but claiming and withdrawing is left.
    /// @return yes for good
    function isFinished() external view returns (bool yes);

    /// @notice Whether every drawn proposer of a round has contributed.
    /// @param round any
    /// @return yes false before the draw
    function allContributed(uint256 round) external view returns (bool yes);

    /// @notice Whether the minimum number of participants has joined a round.
    /// @param round any
    /// @return yes the roster can be closed once the join deadline is over
    function enoughParticipantsJoined(uint256 round) external view returns (bool yes);

    /// @notice What the heaviest group of a finished round voted for.
    /// @param round any
    /// @return modelHash SHA-256 of the aggregate; 0 before, or if nobody revealed
    function mostPopularHash(uint256 round) external view returns (bytes32 modelHash);

    /// @notice The sum of all stakes left.
    /// @return amount smallest unit of the token
    function getTotalStakes() external view returns (uint256 amount);

    /// @notice The digest of a round's draw and contributions, which a vote names.
    /// @param round any
    /// @return digest keccak256(abi.encode(digest before, seat, hash)) over the contributions in the order they came, starting from
    /// the draw's digest; 0 before the draw
    function roundDigest(uint256 round) external view returns (bytes32 digest);

    // --- events (FLock's names kept where they exist) ---

    /// @notice Stake was added.
    /// @param proposer the account (FLock's name; it has no role yet)
    /// @param amount what was added, smallest unit of the token, as everywhere below
    event Staked(address indexed proposer, uint256 amount);

    /// @notice An account described itself anew.
    /// @param account whose `nodeMetadata` changed
    event NodeMetadataSet(address indexed account);

    /// @notice The reward pool grew.
    /// @param funder who paid
    /// @param amount what was added
    event RewardPoolFunded(address indexed funder, uint256 amount);

    /// @notice An account was put on the allow list.
    /// @param account may stake from now on
    event ParticipantAllowed(address indexed account);

    /// @notice An account took a seat in a round.
    /// @param round from 0, as everywhere below
    /// @param account who
    /// @param stake counts for this round
    /// @param sampleCount as declared
    event Joined(uint256 indexed round, address indexed account, uint256 stake, uint32 sampleCount);

    /// @notice The roster is closed: the draw's first step.
    /// @param round whose roster
    /// @param seedBlock the block whose hash will be the seed
    /// @param participants how many joined
    event DrawFixed(uint256 indexed round, uint256 seedBlock, uint256 participants);

    /// @notice The seed block's hash had aged out; another block will be used for the same roster.
    /// @param round whose draw
    /// @param seedBlock the new one
    event DrawReset(uint256 indexed round, uint256 seedBlock);

    /// @notice The roles are drawn.
    /// @param round of these roles
    /// @param seed of the shuffle
    /// @param proposers in seat order
    /// @param voters in seat order, after the proposers
    event RolesDrawn(uint256 indexed round, bytes32 seed, address[] proposers, address[] voters);

    /// @notice A proposer handed in its model.
    /// @param round of the contribution
    /// @param account the proposer
    /// @param seat its place among the proposers, and its bit in every mask
    /// @param modelHash SHA-256 of the model file
    event Contributed(uint256 indexed round, address indexed account, uint256 seat, bytes32 modelHash);

    /// @notice A voter committed to a vote.
    /// @param round of the vote
    /// @param account the voter
    /// @param commitment see `commitVote`
    event VoteCommitted(uint256 indexed round, address indexed account, bytes32 commitment);

    /// @notice A voter opened its commitment.
    /// @param round of the vote
    /// @param account the voter
    /// @param aggregateHash what it computed
    /// @param score +1 or -1
    /// @param includedMask bit j: with the contribution in seat j
    event VoteRevealed(
        uint256 indexed round, address indexed account, bytes32 aggregateHash, int8 score, uint256 includedMask
    );

    /// @notice The votes of a round are counted.
    /// @param round finished, not yet settled
    /// @param proposers in seat order
    /// @param voters in seat order
    event RoundFinished(uint256 indexed round, address[] proposers, address[] voters);

    /// @notice What became of a round.
    /// @param round finished or void
    /// @param outcome decides models and money
    /// @param popularHash what the heaviest group voted for
    /// @param includedMask of that group
    /// @param voteScore of that group: its stake voting +1 less its stake voting -1
    /// @param nextHash the model the next round starts from
    event RoundDecided(
        uint256 indexed round,
        Outcome outcome,
        bytes32 popularHash,
        uint256 includedMask,
        int256 voteScore,
        bytes32 nextHash
    );

    /// @notice An account lost stake in a settlement.
    /// @param slasher who called `slash` (or `terminate`)
    /// @param contributor who lost
    /// @param amount what it lost
    /// @param round that was settled
    /// @param contributorType "proposer" or "voter"
    event Slashed(
        address slasher, address indexed contributor, uint256 amount, uint256 indexed round, string contributorType
    );

    /// @notice An account was credited in a settlement; paid after the end.
    /// @param contributor who gains
    /// @param amount what is credited
    /// @param round that was settled
    /// @param contributorType "proposer", "voter", or "slasher" for the bonus of the caller
    event Rewarded(address indexed contributor, uint256 amount, uint256 indexed round, string contributorType);

    /// @notice A round's money has moved.
    /// @param round that was settled
    /// @param caller who gets the bonus
    /// @param slashedTotal sum of all slashes
    /// @param bonus part of it, to the caller
    /// @param pot what the round had to give
    /// @param rewardedTotal what was credited of it; the rest stays in the pool
    event RoundSettled(
        uint256 indexed round,
        address indexed caller,
        uint256 slashedTotal,
        uint256 bonus,
        uint256 pot,
        uint256 rewardedTotal
    );

    /// @notice An account fell below `minStakeThreshold` and is out for good.
    /// @param round whose settlement did it
    /// @param account neither stakes nor joins again
    /// @param stakeLeft claimable at the end
    event Removed(uint256 indexed round, address indexed account, uint256 stakeLeft);

    /// @notice The task is over: everybody claims.
    /// @param round the current one at the end; the number of rounds if all were settled
    /// @param terminated by `terminate`
    event TaskEnded(uint256 indexed round, bool terminated);

    /// @notice An account was paid all it had.
    /// @param account who
    /// @param amount stake left and credits
    /// @param round the current one at the end
    /// @param claimType "finalReward"
    event Claimed(address indexed account, uint256 amount, uint256 indexed round, string claimType);

    /// @notice The creator took what was left of the pool.
    /// @param creator who
    /// @param amount what was left
    event RemainderWithdrawn(address indexed creator, uint256 amount);
}
