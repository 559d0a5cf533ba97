// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {IFlockTask} from "../src/interfaces/IFlockTask.sol";
import {Crowd} from "./support/Crowd.sol";
import {World} from "./support/World.sol";

/// What holds after every call of any history (stateful fuzzing), and that every history can be brought to its end by anybody.
contract InvariantsTest is World {
    event Reached(uint256 rounds, uint256 settled);

    Crowd private crowd;

    function setUp() public override {
        super.setUp();
        IFlockTask.TaskParameters memory p = defaults();
        p.totalNumberOfRounds = 6;
        p.slashedPerStake = 0.4e18;
        task = newTask(p);
        crowd = new Crowd(task, manager, token, owner, creator);
        Ownable(address(token)).transferOwnership(address(crowd));
        for (uint256 i = 0; i < 5; ++i) {
            crowd.stake(i, 100e18);
        }
    }

    function targetContracts() external view returns (address[] memory list) {
        list = new address[](1);
        list[0] = address(crowd);
    }

    function accounts() private view returns (IFlockTask.TaskState memory t, IFlockTask.AccountState[] memory list) {
        address[] memory ask = new address[](crowd.SIZE());
        for (uint256 i = 0; i < ask.length; ++i) {
            ask[i] = crowd.actor(i);
        }
        (t,,, list) = task.snapshot(task.currentRound(), ask);
    }

    function invariant_the_task_owes_exactly_what_it_holds() external view {
        (IFlockTask.TaskState memory t, IFlockTask.AccountState[] memory list) = accounts();
        vm.assertEq(
            uint256(t.totalStakes) + t.totalClaimable + t.rewardPool,
            token.balanceOf(address(task)),
            "accounted = balance"
        );
        uint256 stakes;
        uint256 claimable;
        for (uint256 i = 0; i < list.length; ++i) {
            stakes += list[i].stakeLeft;
            claimable += list[i].claimable;
        }
        vm.assertEq(stakes, t.totalStakes, "sum of stakes");
        vm.assertEq(claimable, t.totalClaimable, "sum of credits");
    }

    function checkNobodyTakesOutMoreThanStakePlusRewardsLessSlashes() private view {
        uint256 rounds = task.currentRound();
        for (uint256 i = 0; i < crowd.SIZE(); ++i) {
            address who = crowd.actor(i);
            uint256 due = crowd.paidIn(who);
            for (uint256 r = 0; r < rounds; ++r) {
                IFlockTask.RoundState memory s = stateOf(r);
                if (s.slashCaller == who) due += s.bonus;
                IFlockTask.ParticipantState[] memory list = rows(r);
                for (uint256 k = 0; k < list.length; ++k) {
                    if (list[k].account == who) due = due + list[k].rewarded - list[k].slashed;
                }
            }
            IFlockTask.AccountState memory a = account(who);
            vm.assertEq(crowd.paidOut(who) + a.stakeLeft + a.claimable, due, "to the unit");
        }
    }

    function checkSettledRoundsConserve() private view {
        for (uint256 r = 0; r < task.currentRound(); ++r) {
            IFlockTask.RoundState memory s = stateOf(r);
            vm.assertTrue(s.settled, "every earlier round is settled");
            uint256 slashed;
            uint256 rewarded;
            IFlockTask.ParticipantState[] memory list = rows(r);
            for (uint256 k = 0; k < list.length; ++k) {
                vm.assertTrue(list[k].slashed == 0 || list[k].rewarded == 0, "never both");
                slashed += list[k].slashed;
                rewarded += list[k].rewarded;
            }
            vm.assertEq(slashed, s.slashedTotal, "slashed");
            vm.assertEq(rewarded, s.rewardedTotal, "rewarded");
            vm.assertTrue(s.rewardedTotal <= s.pot, "no more than the pot");
        }
    }

    function account(address who) internal view override returns (IFlockTask.AccountState memory) {
        address[] memory ask = new address[](1);
        ask[0] = who;
        (,,, IFlockTask.AccountState[] memory states) = task.snapshot(0, ask);
        return states[0];
    }

    /// Whatever happened, a bounded number of calls that anybody may send ends the task, and everybody gets out.
    function afterInvariant() external {
        emit Reached(task.currentRound(), crowd.settled());
        checkSettledRoundsConserve();
        checkNobodyTakesOutMoreThanStakePlusRewardsLessSlashes();
        uint256 calls;
        while (!task.isFinished()) {
            vm.assertLt(++calls, 20, "a bounded number of calls");
            vm.warp(block.timestamp + 2000);
            task.terminate();
        }
        for (uint256 i = 0; i < crowd.SIZE(); ++i) {
            crowd.claim(i);
        }
        checkNobodyTakesOutMoreThanStakePlusRewardsLessSlashes();
        if (account(address(this)).claimable != 0) task.claimRewards();
        crowd.withdraw();
        vm.assertEq(token.balanceOf(address(task)), 0, "nothing is locked");
    }
}
