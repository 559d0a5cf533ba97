// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Blockhash} from "@openzeppelin/contracts/utils/Blockhash.sol";
import {IFlockTask} from "../interfaces/IFlockTask.sol";
import {RoundClock} from "../libraries/RoundClock.sol";
import {RoundDraw} from "../libraries/RoundDraw.sol";
import {RoundVote} from "../libraries/RoundVote.sol";
import {TaskStorage} from "./TaskStorage.sol";

/// @title What participants do in a round: join, be drawn, contribute, commit, reveal
abstract contract TaskRounds is TaskStorage {
    bytes32 private constant DRAW_DOMAIN = keccak256("FLA_DRAW_V1");
    uint256 private constant SEED_DELAY = 4; // blocks

    /// @inheritdoc IFlockTask
    function joinRound(uint256 round, uint32 sampleCount) external {
        Round storage r = _current(round);
        RoundClock.Progress storage p = r.progress;
        if (p.seedBlock != 0) revert WrongPhase(RoundClock.read(p, _windows(), block.timestamp).phase);
        Account storage a = _accounts[msg.sender];
        if (a.removed) revert AccountIsRemoved(msg.sender);
        uint128 staked = a.stakeLeft;
        if (staked < _minStakeThreshold) revert StakeTooSmall(_minStakeThreshold);
        if (a.joinedRound == round + 1) revert AlreadyJoined();
        uint8 index = p.joined;
        if (index == _settings.maxParticipants) revert RosterFull();

        p.joined = index + 1;
        a.joinedRound = uint16(round + 1);
        a.roundsJoined += 1;
        a.seat = index;
        Seat storage seat = r.seats[index];
        seat.stake = staked;
        seat.id = a.id;
        seat.sampleCount = sampleCount;
        emit Joined(round, msg.sender, staked, sampleCount);
    }

    /// @inheritdoc IFlockTask
    function selectRoundParticipants(uint256 round) external {
        Round storage r = _current(round);
        RoundClock.Progress storage p = r.progress;
        uint256 joined = p.joined;
        uint256 seedBlock = p.seedBlock;
        if (seedBlock == 0) {
            bool full = joined == _settings.maxParticipants;
            bool due = block.timestamp >= p.joinDeadline && joined >= _settings.minParticipants;
            if (!full && !due) revert RosterNotReady(joined, p.joinDeadline);
            p.seedBlock = uint40(block.number + SEED_DELAY);
            emit DrawFixed(round, block.number + SEED_DELAY, joined);
            return;
        }
        if (p.drawnAt != 0) revert WrongPhase(RoundClock.read(p, _windows(), block.timestamp).phase);
        if (block.number <= seedBlock) revert SeedBlockPending(seedBlock);
        bytes32 seedBlockHash = Blockhash.blockHash(seedBlock);
        if (seedBlockHash == 0) {
            p.seedBlock = uint40(block.number + SEED_DELAY);
            emit DrawReset(round, block.number + SEED_DELAY);
            return;
        }
        _draw(round, r, RoundDraw.seedOf(seedBlockHash, block.chainid, address(this), round));
    }

    function _draw(uint256 round, Round storage r, bytes32 seed) private {
        uint256 n = r.progress.joined;
        uint256 proposers = RoundDraw.proposerCount(n, _distributionRate);
        uint256[] memory order = RoundDraw.shuffle(seed, n);
        address[] memory proposerList = new address[](proposers);
        address[] memory voterList = new address[](n - proposers);
        for (uint256 k = 0; k < n; ++k) {
            Seat storage seat = r.seats[order[k]];
            seat.position = uint8(k);
            address account = _accountList[seat.id];
            if (k < proposers) proposerList[k] = account;
            else voterList[k - proposers] = account;
        }
        bytes32 digest = keccak256(
            abi.encode(
                DRAW_DOMAIN, block.chainid, address(this), round, r.startModelHash, seed, proposerList, voterList
            )
        );
        r.drawDigest = digest;
        r.roundDigest = digest;
        r.drawnBlock = uint40(block.number);
        r.progress.drawnAt = uint40(block.timestamp);
        r.progress.proposers = uint8(proposers);
        emit RolesDrawn(round, seed, proposerList, voterList);
    }

    /// @inheritdoc IFlockTask
    function contribute(uint256 round, bytes32 drawDigest, bytes32 modelHash) external {
        Round storage r = _current(round);
        RoundClock.Progress memory p = r.progress;
        Seat storage seat = _ownSeat(r, round);
        _requirePhase(p, Phase.Propose, seat);
        uint256 position = seat.position;
        if (position >= p.proposers) revert NotProposer();
        if (seat.content != 0) revert AlreadyContributed();
        if (drawDigest != r.drawDigest) revert StaleDigest(r.drawDigest);
        if (modelHash == 0 || modelHash == r.startModelHash) revert InvalidModelHash();

        seat.content = modelHash;
        seat.actedBlock = uint40(block.number);
        p.contributedMask |= uint56(1 << position);
        r.progress.contributedMask = p.contributedMask;
        if (RoundClock.allContributed(p)) r.progress.contributedAfter = uint24(block.timestamp - p.drawnAt);
        r.roundDigest = keccak256(abi.encode(r.roundDigest, position, modelHash));
        emit Contributed(round, msg.sender, position, modelHash);
    }

    /// @inheritdoc IFlockTask
    function commitVote(uint256 round, bytes32 digest, bytes32 commitment) external {
        Round storage r = _current(round);
        RoundClock.Progress memory p = r.progress;
        Seat storage seat = _ownSeat(r, round);
        if (seat.content != 0 && p.drawnAt != 0 && seat.position >= p.proposers) revert AlreadyCommitted();
        _requirePhase(p, Phase.Commit, seat);
        if (seat.position < p.proposers) revert NotVoter();
        if (digest != r.roundDigest) revert StaleDigest(r.roundDigest);
        if (commitment == 0) revert InvalidCommitment();

        seat.content = commitment;
        seat.actedBlock = uint40(block.number);
        p.committed += 1;
        seat.commitOrder = p.committed;
        r.progress.committed = p.committed;
        if (RoundClock.allCommitted(p)) r.progress.committedAfter = uint24(block.timestamp - p.drawnAt);
        emit VoteCommitted(round, msg.sender, commitment);
    }

    /// @inheritdoc IFlockTask
    function revealVote(uint256 round, bytes32 aggregateHash, int8 score, uint256 includedMask, bytes32 salt) external {
        Round storage r = _current(round);
        RoundClock.Progress memory p = r.progress;
        Seat storage seat = _ownSeat(r, round);
        if (seat.voteHash != 0) revert AlreadyRevealed();
        _requirePhase(p, Phase.Reveal, seat);
        if (seat.position < p.proposers) revert NotVoter();
        bytes32 commitment = seat.content;
        if (commitment == 0) revert NotCommitted();
        if (
            commitment
                != RoundVote.commitmentOf(
                    block.chainid, address(this), round, msg.sender, aggregateHash, score, includedMask, salt
                )
        ) revert CommitmentMismatch();
        if (score != 1 && score != -1) revert InvalidScore(score);
        if (aggregateHash == 0) revert InvalidModelHash();
        if (includedMask & ~uint256(p.contributedMask) != 0) revert InvalidMask(includedMask);
        if (includedMask == 0 && (score != -1 || aggregateHash != r.startModelHash)) revert InvalidMask(0);

        seat.voteHash = aggregateHash;
        seat.voteMask = uint56(includedMask);
        seat.voteScore = score;
        seat.revealedBlock = uint40(block.number);
        r.progress.revealed = p.revealed + 1;
        emit VoteRevealed(round, msg.sender, aggregateHash, score, includedMask);
    }

    /// The caller's seat in the current round; its id is 0 if it has none.
    function _ownSeat(Round storage r, uint256 round) private view returns (Seat storage) {
        Account storage a = _accounts[msg.sender];
        return r.seats[a.joinedRound == round + 1 ? a.seat : NOBODY];
    }

    function _requirePhase(RoundClock.Progress memory p, Phase wanted, Seat storage seat) private view {
        Phase phase = RoundClock.read(p, _windows(), block.timestamp).phase;
        if (phase != wanted) revert WrongPhase(phase);
        if (seat.id == 0) {
            if (wanted == Phase.Propose) revert NotProposer();
            revert NotVoter();
        }
    }
}
