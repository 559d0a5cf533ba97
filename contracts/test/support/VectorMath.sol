// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IFlockTask} from "../../src/interfaces/IFlockTask.sol";
import {RoundMoney} from "../../src/libraries/RoundMoney.sol";
import {RoundVote} from "../../src/libraries/RoundVote.sol";

/// One participant of a money vector: what it did, in draw order.
struct MoneyRow {
    bool voter;
    uint256 stake;
    uint256 left;
    bool fulfilled; // contributed or revealed
    bool inside; // proposer: included by the winning mask; voter: in the winning group
    int256 score; // voters that revealed
}

struct MoneyCase {
    string name;
    IFlockTask.Outcome outcome;
    uint256 pool;
    uint256 totalRounds;
    uint256 round;
    uint256 slashedPerStake;
    uint256 bonusRatio;
    MoneyRow[] rows;
}

library VectorMath {
    function verdict(IFlockTask.Outcome outcome, MoneyRow memory row) internal pure returns (RoundVote.Verdict) {
        return row.voter
            ? RoundVote.voterVerdict(outcome, row.fulfilled, row.inside, row.score)
            : RoundVote.proposerVerdict(outcome, row.fulfilled, row.inside);
    }

    function settle(MoneyCase memory c) internal pure returns (RoundMoney.Settlement memory) {
        RoundMoney.Entry[] memory entries = new RoundMoney.Entry[](c.rows.length);
        for (uint256 k = 0; k < c.rows.length; ++k) {
            MoneyRow memory row = c.rows[k];
            entries[k] = RoundMoney.Entry(verdict(c.outcome, row), row.voter, row.stake, row.left);
        }
        bool rejected = c.outcome == IFlockTask.Outcome.Rejected;
        return RoundMoney.settle(
            RoundMoney.Terms(c.pool, c.totalRounds - c.round, c.slashedPerStake, c.bonusRatio, rejected), entries
        );
    }

    function outcomeName(IFlockTask.Outcome outcome) internal pure returns (string memory) {
        string[7] memory names = ["None", "Accepted", "Tie", "Rejected", "Inconclusive", "Empty", "Void"];
        return names[uint256(outcome)];
    }

    function outcomeNamed(string memory name) internal pure returns (IFlockTask.Outcome) {
        for (uint256 i = 0; i < 7; ++i) {
            if (keccak256(bytes(outcomeName(IFlockTask.Outcome(i)))) == keccak256(bytes(name))) {
                return IFlockTask.Outcome(i);
            }
        }
        revert(name);
    }

    function verdictName(RoundVote.Verdict v) internal pure returns (string memory) {
        if (v == RoundVote.Verdict.Good) return "good";
        return v == RoundVote.Verdict.Bad ? "bad" : "none";
    }
}
