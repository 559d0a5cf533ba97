// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {IFlockTask} from "../interfaces/IFlockTask.sol";
import {RoundClock} from "../libraries/RoundClock.sol";
import {RoundMoney} from "../libraries/RoundMoney.sol";
import {RoundVote} from "../libraries/RoundVote.sol";
import {TaskStorage} from "./TaskStorage.sol";

/// @title How a round ends: finish (tally and outcome), slash (all money of the round, once), and the end of the task
abstract contract TaskSettlement is TaskStorage, ReentrancyGuardTransient {
    /// @inheritdoc IFlockTask
    function finishRound(uint256 round) external {
        Round storage r = _current(round);
        Phase phase = _phaseOf(r);
        if (phase != Phase.Finish) revert WrongPhase(phase);
        _finish(round, r);
    }

    /// @inheritdoc IFlockTask
    function slash(uint256 round) external nonReentrant {
        Round storage r = _current(round);
        Phase phase = _phaseOf(r);
        if (phase != Phase.Settle) revert WrongPhase(phase);
        _settle(round, r);
    }

    /// @inheritdoc IFlockTask
    function terminate() external nonReentrant {
        if (_settings.ended) revert TaskOver();
        uint256 until = uint256(_lastSettledAt) + _settings.stallTimeout;
        if (block.timestamp < until) revert NotStalled(until);
        uint256 round = _settings.currentRound;
        Round storage r = _rounds[round];
        if (_phaseOf(r) == Phase.Finish) _finish(round, r);
        if (r.outcome != Outcome.None) _settle(round, r);
        else _void(round, r);
        if (!_settings.ended) _end(true);
    }

    /// @inheritdoc IFlockTask
    function finishTask() external {
        if (msg.sender != _manager) revert NotManager();
        if (_settings.ended) revert TaskOver();
        uint256 round = _settings.currentRound;
        Round storage r = _rounds[round];
        // From the draw's first step on the seed can be known to somebody, so that round counts.
        if (r.progress.seedBlock != 0) {
            _finishRequested = true;
            return;
        }
        _void(round, r);
        _end(false);
    }

    function _phaseOf(Round storage r) internal view returns (Phase) {
        if (r.outcome != Outcome.None) return Phase.Settle;
        return RoundClock.read(r.progress, _windows(), block.timestamp).phase;
    }

    function _finish(uint256 round, Round storage r) private {
        RoundClock.Progress memory p = r.progress;
        (Seat[] memory seats, address[] memory accounts) = _seats(r);
        RoundVote.Ballot[] memory ballots = new RoundVote.Ballot[](p.revealed);
        address[] memory proposers = new address[](p.proposers);
        address[] memory voters = new address[](p.joined - p.proposers);
        uint256 drawnVoterStake;
        uint256 count;
        for (uint256 k = 0; k < seats.length; ++k) {
            if (k < p.proposers) {
                proposers[k] = accounts[k];
                continue;
            }
            Seat memory seat = seats[k];
            voters[k - p.proposers] = accounts[k];
            drawnVoterStake += seat.stake;
            if (seat.voteHash == 0) continue;
            ballots[count++] =
                RoundVote.Ballot(seat.voteHash, seat.voteMask, seat.voteScore, seat.stake, seat.commitOrder);
        }
        RoundVote.Tally memory winner = RoundVote.tally(ballots);
        Outcome outcome =
            p.contributedMask == 0 ? Outcome.Empty : RoundVote.outcomeOf(winner, drawnVoterStake, _settings.quorumBps);

        r.outcome = outcome;
        r.finishedAt = uint40(block.timestamp);
        r.finishedBlock = uint40(block.number);
        r.popularHash = winner.hash;
        r.popularMask = uint56(winner.mask);
        r.voteScore = int136(winner.score);
        r.winningStake = uint128(winner.stake);
        r.drawnVoterStake = uint128(drawnVoterStake);
        emit RoundFinished(round, proposers, voters);
        emit RoundDecided(round, outcome, winner.hash, winner.mask, winner.score, _nextHash(r));
    }

    function _nextHash(Round storage r) internal view returns (bytes32) {
        return r.outcome == Outcome.Accepted ? r.popularHash : r.startModelHash;
    }

    function _verdict(Round storage r, bool proposer, Seat memory seat) internal view returns (RoundVote.Verdict) {
        if (proposer) {
            bool included = (r.popularMask >> seat.position) & 1 == 1;
            return RoundVote.proposerVerdict(r.outcome, seat.content != 0, included);
        }
        bool winning = seat.voteHash == r.popularHash && seat.voteMask == r.popularMask;
        return RoundVote.voterVerdict(r.outcome, seat.voteHash != 0, winning, seat.voteScore);
    }

    function _settle(uint256 round, Round storage r) private {
        (Seat[] memory seats, address[] memory accounts) = _seats(r);
        uint256 proposers = r.progress.proposers;
        RoundMoney.Entry[] memory entries = new RoundMoney.Entry[](seats.length);
        for (uint256 k = 0; k < seats.length; ++k) {
            entries[k] = RoundMoney.Entry(
                _verdict(r, k < proposers, seats[k]), k >= proposers, seats[k].stake, _accounts[accounts[k]].stakeLeft
            );
        }
        RoundMoney.Settlement memory m = RoundMoney.settle(
            RoundMoney.Terms(
                _rewardPool,
                _settings.totalNumberOfRounds - round,
                _slashedPerStake,
                _settings.bonusRatio,
                r.outcome == Outcome.Rejected
            ),
            entries
        );

        _totalStakes -= uint128(m.slashedTotal);
        _totalClaimable += uint128(m.bonus + m.rewardedTotal);
        _rewardPool = uint128(m.pool);
        r.slashedTotal = uint128(m.slashedTotal);
        r.bonus = uint128(m.bonus);
        r.pot = uint128(m.pot);
        r.rewardedTotal = uint128(m.rewardedTotal);
        r.slashCaller = msg.sender;
        r.settledAt = uint40(block.timestamp);
        r.settledBlock = uint40(block.number);
        for (uint256 k = 0; k < seats.length; ++k) {
            _apply(round, r, seats[k], accounts[k], m.slashed[k], m.rewarded[k], proposers);
        }
        if (m.bonus != 0) {
            _accounts[msg.sender].claimable += uint128(m.bonus);
            emit Rewarded(msg.sender, m.bonus, round, "slasher");
        }
        emit RoundSettled(round, msg.sender, m.slashedTotal, m.bonus, m.pot, m.rewardedTotal);
        _openNext(round, r);
    }

    function _apply(
        uint256 round,
        Round storage r,
        Seat memory seat,
        address account,
        uint256 slashed,
        uint256 rewarded,
        uint256 proposers
    ) private {
        if (slashed == 0 && rewarded == 0) return;
        string memory role = seat.position < proposers ? "proposer" : "voter";
        Account storage a = _accounts[account];
        Seat storage stored = r.seats[a.seat];
        if (rewarded != 0) {
            a.claimable += uint128(rewarded);
            stored.settledAmount = uint128(rewarded);
            emit Rewarded(account, rewarded, round, role);
            return;
        }
        uint128 left = a.stakeLeft - uint128(slashed);
        a.stakeLeft = left;
        stored.settledAmount = uint128(slashed);
        emit Slashed(msg.sender, account, slashed, round, role);
        if (left < _minStakeThreshold) {
            a.removed = true;
            emit Removed(round, account, left);
        }
    }

    function _openNext(uint256 round, Round storage r) private {
        uint256 next = round + 1;
        Round storage n = _rounds[next];
        n.startModelHash = _nextHash(r);
        n.startModelRound = r.outcome == Outcome.Accepted ? uint32(next) : r.startModelRound;
        _settings.currentRound = uint16(next);
        _lastSettledAt = uint40(block.timestamp);
        if (next == _settings.totalNumberOfRounds || _finishRequested) {
            _end(false);
        } else {
            n.progress.joinDeadline = uint40(block.timestamp + _settings.joinWindow);
        }
    }

    /// A round that will never be settled: no money moves.
    function _void(uint256 round, Round storage r) private {
        r.outcome = Outcome.Void;
        r.finishedAt = uint40(block.timestamp);
        r.finishedBlock = uint40(block.number);
        emit RoundDecided(round, Outcome.Void, 0, 0, 0, r.startModelHash);
    }

    function _end(bool terminated) private {
        _settings.ended = true;
        emit TaskEnded(_settings.currentRound, terminated);
    }
}
