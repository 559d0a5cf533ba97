// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IFlockTask} from "../src/interfaces/IFlockTask.sol";
import {RoundDraw} from "../src/libraries/RoundDraw.sol";
import {RoundMoney} from "../src/libraries/RoundMoney.sol";
import {RoundVote} from "../src/libraries/RoundVote.sol";
import {Cheats} from "../test/support/Cheats.sol";
import {MoneyCase, MoneyRow, VectorMath} from "../test/support/VectorMath.sol";

/// Writes test/vectors/*.json from the contracts' own libraries: `forge script script/WriteVectors.s.sol`.
contract WriteVectors is Cheats {
    address private constant TASK = 0x75537828f2ce51be7289709686A69CbFDbB714F1;
    uint256 private constant E18 = 1e18;

    function run() external {
        write("commitment.json", commitments());
        write("draw.json", draws());
        write("money.json", moneys());
    }

    function write(string memory name, string memory cases) private {
        vm.writeFile(
            string.concat(vm.projectRoot(), "/test/vectors/", name),
            string.concat('{\n  "cases": [\n', cases, "\n  ]\n}\n")
        );
    }

    // --- commitments ---

    function commitments() private pure returns (string memory) {
        address voter = 0x70997970C51812dc3A010C7d01b50e0d17dc79C8;
        bytes32 model = sha256("model");
        bytes32 salt = keccak256("salt");
        string memory s = commitment(31337, TASK, 0, voter, model, 1, 1, salt);
        s = string.concat(s, ",\n", commitment(31337, TASK, 1, voter, model, -1, 3, salt));
        s = string.concat(s, ",\n", commitment(1, TASK, 0, voter, sha256("start"), -1, 0, salt));
        s = string.concat(
            s, ",\n", commitment(8453, address(1), 9999, address(type(uint160).max), model, 1, 5, bytes32(0))
        );
        s = string.concat(
            s, ",\n", commitment(31337, TASK, 2, voter, bytes32(type(uint256).max), -1, (uint256(1) << 50) - 1, salt)
        );
        return string.concat(
            s, ",\n", commitment(type(uint64).max, TASK, 7, voter, model, 1, uint256(1) << 49, bytes32(uint256(1)))
        );
    }

    function commitment(
        uint256 chainId,
        address task,
        uint256 round,
        address voter,
        bytes32 model,
        int8 score,
        uint256 mask,
        bytes32 salt
    ) private pure returns (string memory s) {
        bytes32 c = RoundVote.commitmentOf(chainId, task, round, voter, model, score, mask, salt);
        s = string.concat("    {", text("chainId", vm.toString(chainId)), ", ", text("task", vm.toString(task)), ", ");
        s = string.concat(s, bare("round", vm.toString(round)), ", ", text("voter", vm.toString(voter)), ",\n     ");
        s = string.concat(s, text("aggregateHash", vm.toString(model)), ", ", bare("score", vm.toString(score)), ", ");
        s = string.concat(s, text("includedMask", vm.toString(mask)), ",\n     ", text("salt", vm.toString(salt)));
        s = string.concat(s, ",\n     ", text("commitment", vm.toString(c)), "}");
    }

    // --- draws ---

    function draws() private pure returns (string memory) {
        string memory s = draw(keccak256("a"), 31337, 0, 2, 0.1e18);
        s = string.concat(s, ",\n", draw(keccak256("b"), 31337, 1, 6, 0.34e18));
        s = string.concat(s, ",\n", draw(keccak256("c"), 1, 0, 10, 0.1e18));
        s = string.concat(s, ",\n", draw(keccak256("d"), 8453, 9999, 19, 0.1e18));
        s = string.concat(s, ",\n", draw(bytes32(uint256(1)), 31337, 4, 20, 0.5e18));
        s = string.concat(s, ",\n", draw(keccak256("e"), 31337, 5, 3, 1));
        return string.concat(s, ",\n", draw(bytes32(type(uint256).max), 31337, 6, 100, 0.5e18));
    }

    function draw(bytes32 blockHash, uint256 chainId, uint256 round, uint256 n, uint256 rate)
        private
        pure
        returns (string memory s)
    {
        bytes32 seed = RoundDraw.seedOf(blockHash, chainId, TASK, round);
        uint256[] memory order = RoundDraw.shuffle(seed, n);
        string memory list;
        for (uint256 k = 0; k < n; ++k) {
            list = string.concat(list, k == 0 ? "" : ", ", vm.toString(order[k]));
        }
        s = string.concat("    {", text("seedBlockHash", vm.toString(blockHash)), ",\n     ");
        s = string.concat(s, text("chainId", vm.toString(chainId)), ", ", text("task", vm.toString(TASK)), ", ");
        s = string.concat(s, bare("round", vm.toString(round)), ",\n     ", text("seed", vm.toString(seed)), ",\n     ");
        s = string.concat(s, bare("n", vm.toString(n)), ", ", text("rate", vm.toString(rate)), ", ");
        s = string.concat(s, bare("proposers", vm.toString(RoundDraw.proposerCount(n, rate))), ",\n     ");
        s = string.concat(s, bare("order", string.concat("[", list, "]")), "}");
    }

    // --- money ---

    function moneys() private pure returns (string memory s) {
        MoneyRow[] memory rows = new MoneyRow[](6);
        rows[0] = MoneyRow(false, 64 * E18, 64 * E18, true, true, 0);
        rows[1] = MoneyRow(false, 70 * E18, 70 * E18, true, false, 0);
        rows[2] = MoneyRow(true, 64 * E18, 64 * E18, true, true, 1);
        rows[3] = MoneyRow(true, 100 * E18 + 1, 100 * E18 + 1, true, true, -1);
        rows[4] = MoneyRow(true, 64 * E18 + 7, 64 * E18 + 7, true, false, 1);
        rows[5] = MoneyRow(true, 24 * E18, 30 * E18, false, false, 0);
        uint256 pool = 1000 * E18 + 3;
        s = money(MoneyCase("accepted", IFlockTask.Outcome.Accepted, pool, 10, 0, 0.125e18, 1000, rows));
        s = join(s, money(MoneyCase("tie", IFlockTask.Outcome.Tie, pool, 10, 3, 0.05e18, 1000, rows)));
        s = join(s, money(MoneyCase("rejected", IFlockTask.Outcome.Rejected, pool, 10, 9, 0.125e18, 2000, rows)));
        s = join(
            s, money(MoneyCase("inconclusive", IFlockTask.Outcome.Inconclusive, pool, 10, 4, 0.125e18, 1000, rows))
        );
        s = join(
            s,
            money(MoneyCase("accepted, no bonus, last round", IFlockTask.Outcome.Accepted, pool, 3, 2, 1e18, 0, rows))
        );
        s = join(
            s, money(MoneyCase("accepted, empty pool", IFlockTask.Outcome.Accepted, 0, 10_000, 0, 0.05e18, 1000, rows))
        );
        MoneyRow[] memory silent = new MoneyRow[](3);
        silent[0] = MoneyRow(false, 64 * E18, 64 * E18, false, false, 0);
        silent[1] = MoneyRow(true, 64 * E18, 64 * E18, false, false, 0);
        silent[2] = MoneyRow(true, 65 * E18, 65 * E18, false, false, 0);
        s = join(s, money(MoneyCase("empty", IFlockTask.Outcome.Empty, pool, 10, 1, 0.125e18, 1000, silent)));
        s = join(
            s, money(MoneyCase("nobody votes", IFlockTask.Outcome.Inconclusive, pool, 10, 1, 0.125e18, 1000, silent))
        );
        MoneyRow[] memory odd = new MoneyRow[](4);
        odd[0] = MoneyRow(false, 11, 11, true, true, 0);
        odd[1] = MoneyRow(true, 13, 13, true, true, 1);
        odd[2] = MoneyRow(true, 17, 17, true, true, -1);
        odd[3] = MoneyRow(true, 19, 5, true, false, -1);
        s = join(
            s, money(MoneyCase("small numbers round down", IFlockTask.Outcome.Accepted, 101, 7, 2, 0.3e18, 999, odd))
        );
        s = join(
            s, money(MoneyCase("small numbers, rejected", IFlockTask.Outcome.Rejected, 101, 7, 2, 0.9e18, 999, odd))
        );
        uint256 huge = 2 ** 125;
        odd[0].stake = huge;
        odd[0].left = huge;
        odd[1].stake = huge - 1;
        odd[1].left = huge - 1;
        return join(s, money(MoneyCase("huge numbers", IFlockTask.Outcome.Accepted, 2 ** 126, 2, 0, 0.05e18, 1, odd)));
    }

    function join(string memory a, string memory b) private pure returns (string memory) {
        return string.concat(a, ",\n", b);
    }

    function money(MoneyCase memory c) private pure returns (string memory s) {
        RoundMoney.Settlement memory m = VectorMath.settle(c);
        s = string.concat(
            "    {", text("name", c.name), ", ", text("outcome", VectorMath.outcomeName(c.outcome)), ",\n     "
        );
        s = string.concat(
            s, text("pool", vm.toString(c.pool)), ", ", bare("totalRounds", vm.toString(c.totalRounds)), ", "
        );
        s = string.concat(s, bare("round", vm.toString(c.round)), ", ");
        s = string.concat(s, text("slashedPerStake", vm.toString(c.slashedPerStake)), ", ");
        s = string.concat(s, bare("bonusRatio", vm.toString(c.bonusRatio)), ',\n     "participants": [\n');
        for (uint256 k = 0; k < c.rows.length; ++k) {
            s = string.concat(s, k == 0 ? "" : ",\n", row(c, m, k));
        }
        s = string.concat(s, "\n     ],\n     ", text("slashedTotal", vm.toString(m.slashedTotal)), ", ");
        s = string.concat(s, text("bonus", vm.toString(m.bonus)), ", ", text("pot", vm.toString(m.pot)), ", ");
        s = string.concat(s, text("rewardedTotal", vm.toString(m.rewardedTotal)), ", ");
        s = string.concat(s, text("poolAfter", vm.toString(m.pool)), "}");
    }

    function row(MoneyCase memory c, RoundMoney.Settlement memory m, uint256 k) private pure returns (string memory s) {
        MoneyRow memory r = c.rows[k];
        s = string.concat("       {", text("role", r.voter ? "voter" : "proposer"), ", ");
        s = string.concat(s, text("stake", vm.toString(r.stake)), ", ", text("left", vm.toString(r.left)), ", ");
        s = string.concat(s, bare(r.voter ? "revealed" : "contributed", r.fulfilled ? "true" : "false"), ", ");
        s = string.concat(s, bare(r.voter ? "winning" : "included", r.inside ? "true" : "false"), ", ");
        if (r.voter) s = string.concat(s, bare("score", vm.toString(r.score)), ", ");
        s = string.concat(s, text("verdict", VectorMath.verdictName(VectorMath.verdict(c.outcome, r))), ", ");
        s = string.concat(s, text("slashed", vm.toString(m.slashed[k])), ", ");
        s = string.concat(s, text("rewarded", vm.toString(m.rewarded[k])), "}");
    }

    function text(string memory key, string memory value) private pure returns (string memory) {
        return string.concat('"', key, '": "', value, '"');
    }

    function bare(string memory key, string memory value) private pure returns (string memory) {
        return string.concat('"', key, '": ', value);
    }
}
