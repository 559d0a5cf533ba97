// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {RoundVote} from "./RoundVote.sol";

/// @title The money of one round: slashes, bonus, pot, rewards, in this order
/// @notice Pure, so that the same numbers can be computed and compared elsewhere. Every input is below 2^128.
library RoundMoney {
    struct Entry {
        RoundVote.Verdict verdict;
        bool voter;
        uint256 stake; // of the round
        uint256 left; // what the account still has: a slash takes no more
    }

    struct Terms {
        uint256 pool; // before the round
        uint256 roundsLeft; // this one included, >= 1
        uint256 slashedPerStake; // 1e18 = all
        uint256 bonusRatio; // of 10000
        bool rejected;
    }

    struct Settlement {
        uint256[] slashed; // by entry
        uint256[] rewarded; // by entry
        uint256 slashedTotal;
        uint256 bonus;
        uint256 pot;
        uint256 rewardedTotal;
        uint256 pool; // after the round
    }

    /// @notice Conserves: terms.pool + slashedTotal == pool + bonus + rewardedTotal.
    function settle(Terms memory terms, Entry[] memory entries) internal pure returns (Settlement memory s) {
        uint256 n = entries.length;
        s.slashed = new uint256[](n);
        s.rewarded = new uint256[](n);
        uint256 good;
        uint256 voters;
        uint256 drawn;
        for (uint256 k = 0; k < n; ++k) {
            Entry memory e = entries[k];
            drawn += e.stake;
            if (e.voter) voters += e.stake;
            if (e.verdict == RoundVote.Verdict.Good) {
                good += e.stake;
            } else if (e.verdict == RoundVote.Verdict.Bad) {
                uint256 amount = Math.min(Math.mulDiv(e.stake, terms.slashedPerStake, 1e18), e.left);
                s.slashed[k] = amount;
                s.slashedTotal += amount;
            }
        }
        s.bonus = s.slashedTotal * terms.bonusRatio / 10_000;
        s.pool = terms.pool + s.slashedTotal - s.bonus;
        s.pot = s.pool / terms.roundsLeft;
        // Otherwise voting a round down would pay its voters more than accepting it.
        if (terms.rejected) s.pot = Math.mulDiv(s.pot, voters, drawn);
        if (good == 0) return s;
        for (uint256 k = 0; k < n; ++k) {
            if (entries[k].verdict != RoundVote.Verdict.Good) continue;
            uint256 amount = Math.mulDiv(s.pot, entries[k].stake, good);
            s.rewarded[k] = amount;
            s.rewardedTotal += amount;
        }
        s.pool -= s.rewardedTotal;
    }
}
