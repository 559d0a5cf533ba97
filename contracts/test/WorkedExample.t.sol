// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IFlockTask} from "../src/interfaces/IFlockTask.sol";
import {World} from "./support/World.sol";

/// The example of docs/contracts.md, with the numbers that the page shows.
contract WorkedExampleTest is World {
    function test_the_worked_example_of_the_documentation() external {
        IFlockTask.TaskParameters memory p = defaults();
        p.totalNumberOfRounds = 10;
        p.slashedPerStake = 0.05e18;
        p.initialRewardPool = 1000e18;
        task = newTask(p);
        uint256[] memory stakes = new uint256[](6);
        for (uint256 i = 0; i < 6; ++i) {
            stakes[i] = i == 3 ? 80e18 : 64e18;
        }
        enter(stakes);
        drawAsJoined(); // Ann, Bob propose; Cem, Dot, Eve, Fay vote
        contributeAll();
        for (uint256 i = 2; i < 6; ++i) {
            commit(actor(i), AGGREGATE, i == 4 ? int8(-1) : int8(1), 3);
        }
        for (uint256 i = 2; i < 5; ++i) {
            reveal(actor(i), AGGREGATE, i == 4 ? int8(-1) : int8(1), 3);
        }
        vm.warp(state().revealDeadline); // Fay is silent
        finish();
        settle();

        IFlockTask.RoundState memory s = stateOf(0);
        vm.assertEq(uint256(s.outcome), uint256(IFlockTask.Outcome.Accepted), "outcome");
        vm.assertEq(s.drawnVoterStake, 272_000000000000000000, "stake of all drawn voters");
        vm.assertEq(s.winningStake, 208_000000000000000000, "stake of the winning group");
        vm.assertEq(s.voteScore, 80_000000000000000000, "vote score");
        vm.assertEq(s.slashedTotal, 6_400000000000000000, "slashed");
        vm.assertEq(s.bonus, 640000000000000000, "bonus");
        vm.assertEq(s.pot, 100_576000000000000000, "pot");
        vm.assertEq(s.rewardedTotal, 100_575999999999999999, "rewarded");
        for (uint256 i = 0; i < 3; ++i) {
            vm.assertEq(account(actor(i)).claimable, 23_664941176470588235, "Ann, Bob, Cem");
            vm.assertEq(task.nodeScore(actor(i)), 64_000000000000000000, "stake of Ann, Bob, Cem");
        }
        vm.assertEq(account(actor(3)).claimable, 29_581176470588235294, "Dot");
        vm.assertEq(task.nodeScore(actor(4)), 60_800000000000000000, "Eve");
        vm.assertEq(task.nodeScore(actor(5)), 60_800000000000000000, "Fay");
        vm.assertEq(account(keeper).claimable, 640000000000000000, "keeper");
        IFlockTask.TaskState memory t = taskState();
        vm.assertEq(t.totalStakes, 393_600000000000000000, "stakes");
        vm.assertEq(t.totalClaimable, 101_215999999999999999, "claimable");
        vm.assertEq(t.rewardPool, 905_184000000000000001, "pool");
        vm.assertEq(token.balanceOf(address(task)), 1400_000000000000000000, "all of it");
    }
}
