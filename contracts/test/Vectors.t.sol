// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {RoundDraw} from "../src/libraries/RoundDraw.sol";
import {RoundMoney} from "../src/libraries/RoundMoney.sol";
import {RoundVote} from "../src/libraries/RoundVote.sol";
import {Cheats} from "./support/Cheats.sol";
import {MoneyCase, MoneyRow, VectorMath} from "./support/VectorMath.sol";

/// The vectors that the Rust protocol crate is tested with hold for the contracts' own code.
contract VectorsTest is Cheats {
    function test_commitments_equal_the_shared_vectors() external view {
        string memory json = vm.readFile("test/vectors/commitment.json");
        uint256 n = cases(json);
        vm.assertGe(n, 5, "cases");
        for (uint256 i = 0; i < n; ++i) {
            string memory path = entry(i);
            bytes32 c = RoundVote.commitmentOf(
                vm.parseJsonUint(json, string.concat(path, ".chainId")),
                vm.parseJsonAddress(json, string.concat(path, ".task")),
                vm.parseJsonUint(json, string.concat(path, ".round")),
                vm.parseJsonAddress(json, string.concat(path, ".voter")),
                vm.parseJsonBytes32(json, string.concat(path, ".aggregateHash")),
                int8(vm.parseJsonInt(json, string.concat(path, ".score"))),
                vm.parseJsonUint(json, string.concat(path, ".includedMask")),
                vm.parseJsonBytes32(json, string.concat(path, ".salt"))
            );
            vm.assertEq(c, vm.parseJsonBytes32(json, string.concat(path, ".commitment")), path);
        }
    }

    function test_draws_equal_the_shared_vectors() external view {
        string memory json = vm.readFile("test/vectors/draw.json");
        uint256 total = cases(json);
        vm.assertGe(total, 5, "cases");
        for (uint256 i = 0; i < total; ++i) {
            string memory path = entry(i);
            bytes32 seed = RoundDraw.seedOf(
                vm.parseJsonBytes32(json, string.concat(path, ".seedBlockHash")),
                vm.parseJsonUint(json, string.concat(path, ".chainId")),
                vm.parseJsonAddress(json, string.concat(path, ".task")),
                vm.parseJsonUint(json, string.concat(path, ".round"))
            );
            vm.assertEq(seed, vm.parseJsonBytes32(json, string.concat(path, ".seed")), path);
            uint256 n = vm.parseJsonUint(json, string.concat(path, ".n"));
            uint256[] memory expected = vm.parseJsonUintArray(json, string.concat(path, ".order"));
            uint256[] memory order = RoundDraw.shuffle(seed, n);
            vm.assertEq(keccak256(abi.encode(order)), keccak256(abi.encode(expected)), path);
            vm.assertEq(
                RoundDraw.proposerCount(n, vm.parseJsonUint(json, string.concat(path, ".rate"))),
                vm.parseJsonUint(json, string.concat(path, ".proposers")),
                path
            );
        }
    }

    function test_settled_rounds_equal_the_shared_vectors() external view {
        string memory json = vm.readFile("test/vectors/money.json");
        uint256 total = cases(json);
        vm.assertGe(total, 5, "cases");
        for (uint256 i = 0; i < total; ++i) {
            checkMoney(json, entry(i));
        }
    }

    function checkMoney(string memory json, string memory path) private view {
        MoneyCase memory c;
        c.outcome = VectorMath.outcomeNamed(vm.parseJsonString(json, string.concat(path, ".outcome")));
        c.pool = number(json, path, ".pool");
        c.totalRounds = number(json, path, ".totalRounds");
        c.round = number(json, path, ".round");
        c.slashedPerStake = number(json, path, ".slashedPerStake");
        c.bonusRatio = number(json, path, ".bonusRatio");
        uint256 n = count(json, string.concat(path, ".participants"));
        c.rows = new MoneyRow[](n);
        for (uint256 k = 0; k < n; ++k) {
            c.rows[k] = readRow(json, string.concat(path, ".participants[", vm.toString(k), "]"));
        }
        RoundMoney.Settlement memory m = VectorMath.settle(c);
        for (uint256 k = 0; k < n; ++k) {
            string memory row = string.concat(path, ".participants[", vm.toString(k), "]");
            vm.assertEq(m.slashed[k], number(json, row, ".slashed"), row);
            vm.assertEq(m.rewarded[k], number(json, row, ".rewarded"), row);
            string memory verdict = VectorMath.verdictName(VectorMath.verdict(c.outcome, c.rows[k]));
            vm.assertEq(verdict, vm.parseJsonString(json, string.concat(row, ".verdict")), row);
        }
        vm.assertEq(m.slashedTotal, number(json, path, ".slashedTotal"), path);
        vm.assertEq(m.bonus, number(json, path, ".bonus"), path);
        vm.assertEq(m.pot, number(json, path, ".pot"), path);
        vm.assertEq(m.rewardedTotal, number(json, path, ".rewardedTotal"), path);
        vm.assertEq(m.pool, number(json, path, ".poolAfter"), path);
        vm.assertEq(c.pool + m.slashedTotal, m.pool + m.bonus + m.rewardedTotal, "conserved");
    }

    function readRow(string memory json, string memory row) private pure returns (MoneyRow memory r) {
        r.voter = keccak256(bytes(vm.parseJsonString(json, string.concat(row, ".role")))) == keccak256("voter");
        r.stake = number(json, row, ".stake");
        r.left = number(json, row, ".left");
        r.fulfilled = vm.parseJsonBool(json, string.concat(row, r.voter ? ".revealed" : ".contributed"));
        r.inside = vm.parseJsonBool(json, string.concat(row, r.voter ? ".winning" : ".included"));
        if (r.voter) r.score = vm.parseJsonInt(json, string.concat(row, ".score"));
    }

    function number(string memory json, string memory path, string memory key) private pure returns (uint256) {
        return vm.parseJsonUint(json, string.concat(path, key));
    }

    function cases(string memory json) private view returns (uint256) {
        return count(json, ".cases");
    }

    function count(string memory json, string memory list) private view returns (uint256 n) {
        while (vm.keyExistsJson(json, string.concat(list, "[", vm.toString(n), "]"))) ++n;
    }

    function entry(uint256 i) private pure returns (string memory) {
        return string.concat(".cases[", vm.toString(i), "]");
    }
}
