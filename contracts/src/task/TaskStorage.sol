// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {IFlockTask} from "../interfaces/IFlockTask.sol";
import {IFlockTaskErrors} from "../interfaces/IFlockTaskErrors.sol";
import {RoundClock} from "../libraries/RoundClock.sol";

/// @title Where a task keeps what it knows, and how tokens move
/// @notice Packed for gas: joining, contributing, committing and revealing each stay below 90k, and nothing is ever summed over
/// rounds. Times and block numbers have 40 bits, round numbers 16 (at most 10000), seats 8 (at most 100).
abstract contract TaskStorage is IFlockTask, IFlockTaskErrors {
    using SafeERC20 for IERC20;

    /// One slot that nearly every call reads: parameters, and the two things that change with a settlement.
    struct Settings {
        uint32 joinWindow;
        uint32 proposeWindow;
        uint32 commitWindow;
        uint32 revealWindow;
        uint32 stallTimeout;
        uint16 totalNumberOfRounds;
        uint16 currentRound;
        uint16 quorumBps;
        uint16 bonusRatio;
        uint8 minParticipants;
        uint8 maxParticipants;
        bool allowList;
        bool ended;
    }

    struct Account {
        uint128 stakeLeft;
        uint32 id; // place in `_accountList` + 1; 0: never staked
        uint16 joinedRound; // the last round joined + 1
        uint16 roundsJoined;
        uint8 seat; // join index in that round
        bool allowed;
        bool removed;
        bool claimed;
        uint128 claimable;
    }

    /// A participant of one round, kept under its join index. Joining writes the first two slots, so that what follows changes a
    /// used slot and writes at most one new one.
    struct Seat {
        uint128 stake;
        uint128 settledAmount; // the reward if the outcome table says so, else the slash
        uint32 id;
        uint32 sampleCount;
        uint40 actedBlock; // contributed (proposer) or committed (voter)
        uint40 revealedBlock;
        uint56 voteMask;
        int8 voteScore;
        uint8 position; // draw order, once drawn
        uint8 commitOrder; // 1 = first
        bytes32 content; // contribution (proposer) or commitment (voter)
        bytes32 voteHash;
    }

    struct Round {
        RoundClock.Progress progress;
        uint40 drawnBlock;
        uint40 finishedAt;
        uint40 finishedBlock;
        uint40 settledAt;
        uint40 settledBlock;
        uint32 startModelRound;
        Outcome outcome;
        bytes32 startModelHash;
        bytes32 drawDigest;
        bytes32 roundDigest;
        bytes32 popularHash;
        uint56 popularMask;
        int136 voteScore;
        uint128 winningStake;
        uint128 drawnVoterStake;
        uint128 slashedTotal;
        uint128 bonus;
        uint128 pot;
        uint128 rewardedTotal;
        address slashCaller;
        mapping(uint256 joinIndex => Seat) seats;
    }

    /// A join index that nobody has (they end at 99): the empty seat.
    uint256 internal constant NOBODY = type(uint8).max;

    /// The same for every task of one manager, so they live in the implementation's code.
    IERC20 internal immutable _token;
    address internal immutable _manager;

    Settings internal _settings;
    uint128 internal _entryStake;
    uint128 internal _minStakeThreshold;
    uint64 internal _distributionRate;
    uint64 internal _slashedPerStake;
    uint128 internal _initialRewardPool;
    bytes32 internal _modelDefinitionHash;
    string internal _metadata;

    address internal _creator;
    uint40 internal _createdAt;
    uint40 internal _createdBlock;

    uint128 internal _totalStakes;
    uint128 internal _totalClaimable;

    uint128 internal _rewardPool;
    uint40 internal _lastSettledAt;
    uint32 internal _accountCount;
    bool internal _finishRequested;

    mapping(uint256 id => address) internal _accountList; // from 1
    mapping(address => Account) internal _accounts;
    mapping(address => string) internal _nodeMetadata;
    mapping(uint256 round => Round) internal _rounds;

    constructor(IERC20 token_, address manager_) {
        _token = token_;
        _manager = manager_;
    }

    /// The current round's storage if `round` names it and the task still runs.
    function _current(uint256 round) internal view returns (Round storage) {
        if (_settings.ended) revert TaskOver();
        if (round != _settings.currentRound) revert WrongRound(_settings.currentRound);
        return _rounds[round];
    }

    function _windows() internal view returns (RoundClock.Windows memory) {
        Settings storage s = _settings;
        return RoundClock.Windows(s.proposeWindow, s.commitWindow, s.revealWindow);
    }

    function _seats(Round storage r) internal view returns (Seat[] memory seats, address[] memory accounts) {
        uint256 n = r.progress.joined;
        bool drawn = r.progress.drawnAt != 0;
        seats = new Seat[](n);
        accounts = new address[](n);
        for (uint256 i = 0; i < n; ++i) {
            Seat memory seat = r.seats[i];
            uint256 place = drawn ? seat.position : i;
            seats[place] = seat;
            accounts[place] = _accountList[seat.id];
        }
    }

    /// Stakes, credits and pool: what the task owes. Its balance is never below this.
    function _accounted() internal view returns (uint256) {
        return uint256(_totalStakes) + _totalClaimable + _rewardPool;
    }

    /// Takes exactly `amount` from the caller. Effects come first; a token that moves anything else is refused.
    function _pull(uint256 amount) internal {
        uint256 before = _token.balanceOf(address(this));
        _token.safeTransferFrom(msg.sender, address(this), amount);
        if (_token.balanceOf(address(this)) != before + amount) revert InexactTransfer();
    }

    function _pay(address to, uint256 amount) internal {
        uint256 before = _token.balanceOf(address(this));
        _token.safeTransfer(to, amount);
        if (_token.balanceOf(address(this)) + amount != before) revert InexactTransfer();
    }

    /// Refuses amounts with which a sum inside the task could leave 128 bits.
    function _checkedAmount(uint256 amount) internal view returns (uint128) {
        if (amount == 0) revert ZeroAmount();
        if (amount > type(uint128).max || _accounted() + amount > type(uint128).max) revert AmountTooLarge();
        return uint128(amount);
    }
}
