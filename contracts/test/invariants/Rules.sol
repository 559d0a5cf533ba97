// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IFlockTask} from "../../src/interfaces/IFlockTask.sol";

/// Sections 2.6, 2.7 and 3 of the specification written down a second time, as plainly as possible and without a look at src/.
library Rules {
    struct Part {
        address account;
        bool proposer;
        uint256 seat; // of a proposer: its bit in masks
        uint256 stake;
        uint256 left;
        bool acted; // contributed, or revealed
        uint256 order; // of the commitment
        bytes32 hash;
        int8 score;
        uint256 mask;
    }

    struct Decision {
        IFlockTask.Outcome outcome;
        bytes32 hash;
        uint256 mask;
        int256 score;
        bool contested; // another group had as much stake
    }

    struct Money {
        uint256 pool;
        uint256 bonus;
        uint256 pot;
        uint256 slashedTotal;
        uint256 rewardedTotal;
        uint256[] slashed;
        uint256[] rewarded;
    }

    struct Terms {
        uint256 pool;
        uint256 rounds; // T
        uint256 round; // i
        uint256 slashedPerStake;
        uint256 bonusRatio;
    }

    struct Group {
        uint256 weight;
        int256 score;
        uint256 earliest;
    }

    function together(Part memory a, Part memory b) private pure returns (bool) {
        return a.acted && b.acted && !a.proposer && !b.proposer && a.hash == b.hash && a.mask == b.mask;
    }

    /// Stake, score and earliest commitment of the group that voter `i` is in.
    function groupOf(Part[] memory parts, uint256 i) private pure returns (Group memory g) {
        g.earliest = type(uint256).max;
        for (uint256 j = 0; j < parts.length; ++j) {
            if (!together(parts[i], parts[j])) continue;
            g.weight += parts[j].stake;
            g.score += int256(parts[j].stake) * parts[j].score;
            if (parts[j].order < g.earliest) g.earliest = parts[j].order;
        }
    }

    function decide(Part[] memory parts, uint256 quorumBps) internal pure returns (Decision memory d) {
        bool contributions;
        uint256 voterStake;
        Group memory best;
        for (uint256 i = 0; i < parts.length; ++i) {
            if (parts[i].proposer) {
                contributions = contributions || parts[i].acted;
                continue;
            }
            voterStake += parts[i].stake;
            if (!parts[i].acted) continue;
            Group memory g = groupOf(parts, i);
            if (g.weight == best.weight && g.earliest != best.earliest) d.contested = true;
            if (g.weight > best.weight) d.contested = false;
            if (g.weight > best.weight || (g.weight == best.weight && g.earliest < best.earliest)) {
                best = g;
                d.hash = parts[i].hash;
                d.mask = parts[i].mask;
                d.score = g.score;
            }
        }
        if (!contributions) d.outcome = IFlockTask.Outcome.Empty;
        else if (best.weight * 10000 <= quorumBps * voterStake) d.outcome = IFlockTask.Outcome.Inconclusive;
        else if (d.score > 0) d.outcome = IFlockTask.Outcome.Accepted;
        else if (d.score < 0) d.outcome = IFlockTask.Outcome.Rejected;
        else d.outcome = IFlockTask.Outcome.Tie;
    }

    /// The outcome table: 1 rewarded, -1 slashed, 0 neither.
    function judge(Decision memory d, Part memory p) internal pure returns (int256) {
        bool rejected = d.outcome == IFlockTask.Outcome.Rejected;
        if (d.outcome == IFlockTask.Outcome.Empty) return p.proposer ? -1 : int256(0);
        if (!p.acted) return -1;
        if (d.outcome == IFlockTask.Outcome.Inconclusive) return 0;
        if (p.proposer) return rejected || (d.mask >> p.seat) % 2 == 0 ? -1 : int256(1);
        if (p.hash != d.hash || p.mask != d.mask) return -1;
        return rejected ? -int256(p.score) : int256(p.score);
    }

    function settle(Terms memory t, Decision memory d, Part[] memory parts) internal pure returns (Money memory m) {
        m.slashed = new uint256[](parts.length);
        m.rewarded = new uint256[](parts.length);
        uint256 good;
        uint256 voters;
        uint256 drawn;
        for (uint256 k = 0; k < parts.length; ++k) {
            Part memory p = parts[k];
            int256 verdict = judge(d, p);
            drawn += p.stake;
            if (!p.proposer) voters += p.stake;
            if (verdict == 1) good += p.stake;
            if (verdict != -1) continue;
            m.slashed[k] = p.stake * t.slashedPerStake / 1e18;
            if (m.slashed[k] > p.left) m.slashed[k] = p.left;
            m.slashedTotal += m.slashed[k];
        }
        m.bonus = m.slashedTotal * t.bonusRatio / 10000;
        m.pool = t.pool + (m.slashedTotal - m.bonus);
        m.pot = m.pool / (t.rounds - t.round);
        if (d.outcome == IFlockTask.Outcome.Rejected) m.pot = m.pot * voters / drawn;
        for (uint256 k = 0; k < parts.length; ++k) {
            if (judge(d, parts[k]) == 1) m.rewarded[k] = m.pot * parts[k].stake / good;
            m.rewardedTotal += m.rewarded[k];
        }
        m.pool -= m.rewardedTotal;
    }
}
