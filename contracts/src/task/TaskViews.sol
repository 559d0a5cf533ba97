// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IFlockTask} from "../interfaces/IFlockTask.sol";
import {RoundClock} from "../libraries/RoundClock.sol";
import {RoundVote} from "../libraries/RoundVote.sol";
import {TaskSettlement} from "./TaskSettlement.sol";

/// @title Everything that can be read, of the current round and of every earlier one
abstract contract TaskViews is TaskSettlement {
    /// @inheritdoc IFlockTask
    function snapshot(uint256 round, address[] calldata accounts)
        external
        view
        returns (TaskState memory, RoundState memory, ParticipantState[] memory, AccountState[] memory)
    {
        if (round > _settings.currentRound) revert UnknownRound(round);
        return (_taskState(), _roundState(round), _participantStates(round), _accountStates(accounts));
    }

    function _taskState() private view returns (TaskState memory t) {
        t.currentRound = _settings.currentRound;
        t.phase = _settings.ended ? Phase.Ended : _phaseOf(_rounds[_settings.currentRound]);
        t.finishRequested = _finishRequested;
        t.participants = _accountCount;
        t.totalStakes = _totalStakes;
        t.totalClaimable = _totalClaimable;
        t.rewardPool = _rewardPool;
        t.lastSettledAt = _lastSettledAt;
        t.createdAt = _createdAt;
        t.createdBlock = _createdBlock;
        t.creator = _creator;
        t.manager = _manager;
        t.token = address(_token);
    }

    function _roundState(uint256 round) private view returns (RoundState memory s) {
        Round storage r = _rounds[round];
        RoundClock.Progress memory p = r.progress;
        // What was not known when the round ended stays unknown: a finished round's clock stands still.
        uint256 moment = r.finishedAt == 0 ? block.timestamp : r.finishedAt;
        RoundClock.Times memory times = RoundClock.read(p, _windows(), moment);
        s.round = uint32(round);
        s.settled = r.settledAt != 0;
        if (s.settled || _settings.ended) s.phase = Phase.Ended;
        else s.phase = _phaseOf(r);
        s.outcome = r.outcome;
        s.joined = p.joined;
        s.proposers = p.proposers;
        s.contributed = uint16(_ones(p.contributedMask));
        s.committed = p.committed;
        s.revealed = p.revealed;
        s.joinDeadline = p.joinDeadline;
        s.seedBlock = p.seedBlock;
        s.drawnAt = p.drawnAt;
        s.proposeDeadline = uint64(times.proposeDeadline);
        s.commitOpen = uint64(times.commitOpen);
        s.commitDeadline = uint64(times.commitDeadline);
        s.revealOpen = uint64(times.revealOpen);
        s.revealDeadline = uint64(times.revealDeadline);
        s.finishedAt = r.finishedAt;
        s.settledAt = r.settledAt;
        s.drawnBlock = r.drawnBlock;
        s.finishedBlock = r.finishedBlock;
        s.settledBlock = r.settledBlock;
        s.startModelHash = r.startModelHash;
        s.startModelRound = r.startModelRound;
        s.popularHash = r.popularHash;
        s.popularMask = r.popularMask;
        s.voteScore = r.voteScore;
        s.winningStake = r.winningStake;
        s.drawnVoterStake = r.drawnVoterStake;
        if (r.outcome != Outcome.None) s.nextHash = _nextHash(r);
        s.drawDigest = r.drawDigest;
        s.roundDigest = r.roundDigest;
        s.slashedTotal = r.slashedTotal;
        s.bonus = r.bonus;
        s.pot = r.pot;
        s.rewardedTotal = r.rewardedTotal;
        s.slashCaller = r.slashCaller;
    }

    function _participantStates(uint256 round) private view returns (ParticipantState[] memory list) {
        Round storage r = _rounds[round];
        (Seat[] memory seats, address[] memory accounts) = _seats(r);
        bool drawn = r.progress.drawnAt != 0;
        uint256 proposers = r.progress.proposers;
        list = new ParticipantState[](seats.length);
        for (uint256 k = 0; k < seats.length; ++k) {
            Seat memory seat = seats[k];
            ParticipantState memory s = list[k];
            s.account = accounts[k];
            s.sampleCount = seat.sampleCount;
            s.stake = seat.stake;
            if (drawn && k < proposers) {
                s.role = Role.Proposer;
                s.contribution = seat.content;
                s.contributedBlock = seat.actedBlock;
            } else if (drawn) {
                s.role = Role.Voter;
                s.commitment = seat.content;
                s.committedBlock = seat.actedBlock;
                s.voteHash = seat.voteHash;
                s.voteScore = seat.voteScore;
                s.voteMask = seat.voteMask;
                s.revealedBlock = seat.revealedBlock;
            }
            if (seat.settledAmount == 0) continue;
            if (_verdict(r, k < proposers, seat) == RoundVote.Verdict.Good) s.rewarded = seat.settledAmount;
            else s.slashed = seat.settledAmount;
        }
    }

    function _accountStates(address[] calldata accounts) private view returns (AccountState[] memory list) {
        list = new AccountState[](accounts.length);
        for (uint256 i = 0; i < accounts.length; ++i) {
            AccountState memory s = list[i];
            Account storage a = _accounts[accounts[i]];
            s.account = accounts[i];
            s.allowed = !_settings.allowList || a.allowed;
            s.everStaked = a.id != 0;
            s.removed = a.removed;
            s.claimed = a.claimed;
            s.stakeLeft = a.stakeLeft;
            s.claimable = a.claimable;
            s.roundsJoined = a.roundsJoined;
            s.tokenBalance = _token.balanceOf(accounts[i]);
            s.allowance = _token.allowance(accounts[i], address(this));
            s.nativeBalance = accounts[i].balance;
        }
    }

    /// @inheritdoc IFlockTask
    function parameters() external view returns (TaskParameters memory p) {
        Settings memory s = _settings;
        p.metadata = _metadata;
        p.modelDefinitionHash = _modelDefinitionHash;
        p.genesisModelHash = _rounds[0].startModelHash;
        p.totalNumberOfRounds = s.totalNumberOfRounds;
        p.minNumberOfParticipants = s.minParticipants;
        p.maxNumberOfParticipants = s.maxParticipants;
        p.entryStake = _entryStake;
        p.minStakeThreshold = _minStakeThreshold;
        p.participantsDistributionRate = _distributionRate;
        p.slashedPerStake = _slashedPerStake;
        p.bonusRatioForSlashCaller = s.bonusRatio;
        p.quorumBps = s.quorumBps;
        p.joinWindow = s.joinWindow;
        p.proposeWindow = s.proposeWindow;
        p.commitWindow = s.commitWindow;
        p.revealWindow = s.revealWindow;
        p.stallTimeout = s.stallTimeout;
        p.initialRewardPool = _initialRewardPool;
        p.allowListEnabled = s.allowList;
    }

    /// @inheritdoc IFlockTask
    function currentRound() external view returns (uint256) {
        return _settings.currentRound;
    }

    /// @inheritdoc IFlockTask
    function participantRoles(uint256 round, address account) external view returns (uint256) {
        return uint256(_roleOf(round, _find(round, account)));
    }

    /// @inheritdoc IFlockTask
    function contributions(uint256 round, address account) external view returns (bytes32) {
        Seat storage seat = _find(round, account);
        return _roleOf(round, seat) == Role.Proposer ? seat.content : bytes32(0);
    }

    /// @inheritdoc IFlockTask
    function votes(uint256 round, address account)
        external
        view
        returns (bytes32 voteHash, int8 voteScore, uint256 voteMask)
    {
        Seat storage seat = _find(round, account);
        return (seat.voteHash, seat.voteScore, seat.voteMask);
    }

    /// @inheritdoc IFlockTask
    function roundResult(uint256 round)
        external
        view
        returns (bytes32 popularHash, int256 voteScore, bytes32 nextHash)
    {
        Round storage r = _rounds[round];
        if (r.outcome == Outcome.None) return (0, 0, 0);
        return (r.popularHash, r.voteScore, _nextHash(r));
    }

    /// @inheritdoc IFlockTask
    function globalModelHash(uint256 round) external view returns (bytes32) {
        if (round <= _settings.currentRound) return _rounds[round].startModelHash;
        Round storage r = _rounds[round - 1];
        return r.outcome == Outcome.None ? bytes32(0) : _nextHash(r);
    }

    /// @inheritdoc IFlockTask
    function roundStakedTokens(uint256 round, address account) external view returns (uint256) {
        return _find(round, account).stake;
    }

    /// @inheritdoc IFlockTask
    function nodeScore(address account) external view returns (uint256) {
        return _accounts[account].stakeLeft;
    }

    /// @inheritdoc IFlockTask
    function nodeMetadata(address account) external view returns (string memory) {
        return _nodeMetadata[account];
    }

    /// @inheritdoc IFlockTask
    function rewardPool() external view returns (uint256) {
        return _rewardPool;
    }

    /// @inheritdoc IFlockTask
    function canBeSlashed(uint256 round, address account) external view returns (bool) {
        Round storage r = _rounds[round];
        if (r.outcome == Outcome.None || r.settledAt != 0) return false;
        Seat memory seat = _find(round, account);
        return seat.id != 0 && _verdict(r, seat.position < r.progress.proposers, seat) == RoundVote.Verdict.Bad;
    }

    /// @inheritdoc IFlockTask
    function hasRoundFinished(uint256 round) external view returns (bool) {
        return _rounds[round].outcome != Outcome.None;
    }

    /// @inheritdoc IFlockTask
    function isFinished() external view returns (bool) {
        return _settings.ended;
    }

    /// @inheritdoc IFlockTask
    function allContributed(uint256 round) external view returns (bool) {
        return RoundClock.allContributed(_rounds[round].progress);
    }

    /// @inheritdoc IFlockTask
    function enoughParticipantsJoined(uint256 round) external view returns (bool) {
        return _rounds[round].progress.joined >= _settings.minParticipants;
    }

    /// @inheritdoc IFlockTask
    function mostPopularHash(uint256 round) external view returns (bytes32) {
        return _rounds[round].popularHash;
    }

    /// @inheritdoc IFlockTask
    function getTotalStakes() external view returns (uint256) {
        return _totalStakes;
    }

    /// @inheritdoc IFlockTask
    function roundDigest(uint256 round) external view returns (bytes32) {
        return _rounds[round].roundDigest;
    }

    function _roleOf(uint256 round, Seat storage seat) private view returns (Role) {
        RoundClock.Progress storage p = _rounds[round].progress;
        if (seat.id == 0 || p.drawnAt == 0) return Role.None;
        return seat.position < p.proposers ? Role.Proposer : Role.Voter;
    }

    /// An account's seat, with id 0 if it has none. Only the last round joined is indexed: an earlier one is searched for, in
    /// views only.
    function _find(uint256 round, address account) private view returns (Seat storage) {
        Account storage a = _accounts[account];
        Round storage r = _rounds[round];
        if (a.joinedRound == round + 1) return r.seats[a.seat];
        uint256 n = r.progress.joined;
        for (uint256 i = 0; i < n; ++i) {
            if (r.seats[i].id == a.id) return r.seats[i];
        }
        return r.seats[NOBODY];
    }

    function _ones(uint256 mask) private pure returns (uint256 count) {
        for (; mask != 0; mask &= mask - 1) {
            ++count;
        }
    }
}
