// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IFlockTask} from "../interfaces/IFlockTask.sol";

/// @title Commitments, the tally, the outcome, and what it means for each participant
library RoundVote {
    bytes32 internal constant VOTE_DOMAIN = keccak256("FLA_VOTE_V1");

    /// What settlement does to a participant's stake of the round.
    enum Verdict {
        None,
        Good, // rewarded
        Bad // slashed
    }

    struct Ballot {
        bytes32 hash;
        uint256 mask;
        int256 score;
        uint256 stake;
        uint256 order; // rank of the commitment, 1 = first
    }

    struct Tally {
        bytes32 hash;
        uint256 mask;
        int256 score; // stake-weighted
        uint256 stake;
    }

    /// @notice What `commitVote` takes.
    function commitmentOf(
        uint256 chainId,
        address task,
        uint256 round,
        address voter,
        bytes32 aggregateHash,
        int8 score,
        uint256 includedMask,
        bytes32 salt
    ) internal pure returns (bytes32) {
        return keccak256(abi.encode(VOTE_DOMAIN, chainId, task, round, voter, aggregateHash, score, includedMask, salt));
    }

    /// @notice The group of equal (hash, mask) with the most stake; a tie goes to the group with the earliest commitment.
    function tally(Ballot[] memory ballots) internal pure returns (Tally memory best) {
        uint256 n = ballots.length;
        Tally[] memory groups = new Tally[](n);
        uint256[] memory earliest = new uint256[](n);
        uint256 count;
        for (uint256 i = 0; i < n; ++i) {
            Ballot memory b = ballots[i];
            uint256 g = 0;
            while (g < count && (groups[g].hash != b.hash || groups[g].mask != b.mask)) ++g;
            if (g == count) {
                groups[g].hash = b.hash;
                groups[g].mask = b.mask;
                earliest[g] = b.order;
                ++count;
            } else if (b.order < earliest[g]) {
                earliest[g] = b.order;
            }
            groups[g].stake += b.stake;
            groups[g].score += b.score * int256(b.stake);
        }
        uint256 bestOrder;
        for (uint256 g = 0; g < count; ++g) {
            bool better = groups[g].stake > best.stake || (groups[g].stake == best.stake && earliest[g] < bestOrder);
            if (better) {
                best = groups[g];
                bestOrder = earliest[g];
            }
        }
    }

    /// @notice The outcome of a round that has contributions.
    /// @param drawnVoterStake stake of all drawn voters, whether or not they voted
    function outcomeOf(Tally memory winner, uint256 drawnVoterStake, uint256 quorumBps)
        internal
        pure
        returns (IFlockTask.Outcome)
    {
        if (winner.stake * 10_000 <= quorumBps * drawnVoterStake) return IFlockTask.Outcome.Inconclusive;
        if (winner.score > 0) return IFlockTask.Outcome.Accepted;
        return winner.score == 0 ? IFlockTask.Outcome.Tie : IFlockTask.Outcome.Rejected;
    }

    /// @notice A proposer's column of the outcome table.
    /// @param contributed it made its deadline
    /// @param included the winning group's mask has its bit
    function proposerVerdict(IFlockTask.Outcome outcome, bool contributed, bool included)
        internal
        pure
        returns (Verdict)
    {
        if (outcome == IFlockTask.Outcome.Accepted || outcome == IFlockTask.Outcome.Tie) {
            return included ? Verdict.Good : Verdict.Bad;
        }
        if (outcome == IFlockTask.Outcome.Rejected) return Verdict.Bad;
        if (outcome == IFlockTask.Outcome.Void) return Verdict.None;
        return contributed ? Verdict.None : Verdict.Bad; // Inconclusive, Empty
    }

    /// @notice A voter's column of the outcome table.
    /// @param revealed it made its deadlines
    /// @param winning its vote is in the winning group
    function voterVerdict(IFlockTask.Outcome outcome, bool revealed, bool winning, int256 score)
        internal
        pure
        returns (Verdict)
    {
        if (outcome == IFlockTask.Outcome.Empty || outcome == IFlockTask.Outcome.Void) return Verdict.None;
        if (!revealed) return Verdict.Bad;
        if (outcome == IFlockTask.Outcome.Inconclusive) return Verdict.None;
        if (!winning) return Verdict.Bad;
        return (score > 0) == (outcome != IFlockTask.Outcome.Rejected) ? Verdict.Good : Verdict.Bad;
    }
}
