// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IFlockTask} from "../../src/interfaces/IFlockTask.sol";
import {World} from "../support/World.sol";

/// Tasks at the edge of what `createTask` takes (one step beyond is refused: Manager.t.sol) are played like any other.
contract ParameterAttacksTest is World {
    function playAndLeave(uint256 n, uint256 each) private {
        uint256[] memory amounts = new uint256[](n);
        for (uint256 i = 0; i < n; ++i) {
            amounts[i] = each;
        }
        enter(amounts);
        playHonestRound();
        vm.assertEq(uint256(stateOf(0).outcome), uint256(IFlockTask.Outcome.Accepted), "accepted");
        assertAccounted();
        if (!task.isFinished()) {
            vm.prank(owner);
            manager.finishTask(address(task));
        }
        uint256 paid;
        for (uint256 i = 0; i < n; ++i) {
            vm.prank(actor(i));
            task.claimRewards();
            paid += token.balanceOf(actor(i));
        }
        if (task.rewardPool() != 0) {
            vm.prank(creator);
            task.withdrawRemainder();
        }
        vm.assertTrue(paid >= n * each, "nobody honest lost anything");
        vm.assertEq(token.balanceOf(address(task)), 0, "nothing is locked");
    }

    function test_two_participants_and_the_smallest_rate() external {
        IFlockTask.TaskParameters memory p = defaults();
        p.maxNumberOfParticipants = 2;
        p.participantsDistributionRate = 1;
        task = newTask(p);
        playAndLeave(2, STAKE);
        vm.assertEq(stateOf(0).proposers, 1, "one proposes, one votes");
    }

    function test_a_hundred_participants_and_the_largest_rate() external {
        IFlockTask.TaskParameters memory p = defaults();
        p.minNumberOfParticipants = 100;
        p.maxNumberOfParticipants = 100;
        p.participantsDistributionRate = 0.5e18;
        task = newTask(p);
        playAndLeave(100, STAKE);
        vm.assertEq(stateOf(0).proposers, 50, "fifty propose");
        vm.assertEq(stateOf(0).popularMask, (1 << 50) - 1, "a mask of fifty bits");
    }

    function test_windows_of_one_second() external {
        IFlockTask.TaskParameters memory p = defaults();
        (p.joinWindow, p.proposeWindow, p.commitWindow, p.revealWindow) = (1, 1, 1, 1);
        p.stallTimeout = 8;
        task = newTask(p);
        playAndLeave(6, STAKE);
    }

    function test_windows_of_thirty_days_at_their_last_second() external {
        IFlockTask.TaskParameters memory p = defaults();
        (p.joinWindow, p.proposeWindow, p.commitWindow, p.revealWindow) = (1, 15 days - 1, 15 days, 15 days);
        p.stallTimeout = 90 days;
        task = newTask(p);
        enter(6);
        draw();
        vm.warp(state().proposeDeadline - 1);
        contributeAll();
        vm.warp(state().commitDeadline - 1);
        for (uint256 k = 0; k < 4; ++k) {
            commit(voter(k), AGGREGATE, 1, 3);
        }
        vm.warp(state().revealDeadline - 1);
        for (uint256 k = 0; k < 4; ++k) {
            reveal(voter(k), AGGREGATE, 1, 3);
        }
        finish();
        settle();
        vm.assertEq(task.currentRound(), 1, "offsets of weeks fit where they are kept");
    }

    function test_the_longest_single_window_and_the_offsets_it_makes() external {
        IFlockTask.TaskParameters memory p = defaults();
        (p.joinWindow, p.proposeWindow, p.commitWindow, p.revealWindow) = (1, 30 days, 1, 1);
        p.stallTimeout = 90 days;
        task = newTask(p);
        enter(6);
        draw();
        vm.warp(state().proposeDeadline - 1);
        contributeAll();
        vm.assertEq(state().commitOpen, block.timestamp, "to the second");
    }

    function test_stakes_of_one_unit_and_a_slash_of_all() external {
        IFlockTask.TaskParameters memory p = defaults();
        (p.entryStake, p.minStakeThreshold, p.slashedPerStake) = (1, 1, 1e18);
        p.initialRewardPool = 1;
        task = newTask(p);
        playAndLeave(6, 1);
    }

    function test_a_slash_of_exactly_one_unit() external {
        IFlockTask.TaskParameters memory p = defaults();
        (p.minStakeThreshold, p.slashedPerStake) = (24e18, 1); // 24 units of 1e18: floor(64) units
        task = newTask(p);
        enter(6);
        drawAsJoined();
        vm.warp(state().proposeDeadline);
        finish();
        settle();
        vm.assertEq(rowOf(0, actor(0)).slashed, 64, "a billionth of a billionth of the stake");
        vm.assertEq(stateOf(0).bonus, 12, "a tenth of 128, rounded down");
        assertAccounted();
    }

    function test_slashing_all_removes_at_once_and_a_second_slash_has_nothing_to_take() external {
        IFlockTask.TaskParameters memory p = defaults();
        p.slashedPerStake = 1e18;
        task = newTask(p);
        enter(6);
        drawAsJoined();
        address gone = proposer(0);
        vm.warp(state().proposeDeadline);
        finish();
        settle();
        vm.assertEq(task.nodeScore(gone), 0, "all of it");
        vm.assertTrue(account(gone).removed, "removed");
        vm.assertEq(task.rewardPool(), POOL + 2 * STAKE * 9 / 10, "to the pool");
    }

    function test_no_pool_no_bonus_and_the_highest_quorum() external {
        IFlockTask.TaskParameters memory p = defaults();
        (p.initialRewardPool, p.bonusRatioForSlashCaller, p.quorumBps) = (0, 0, 9999);
        task = newTask(p);
        playAndLeave(6, STAKE);
    }

    function test_a_single_round_pays_the_whole_pool() external {
        IFlockTask.TaskParameters memory p = defaults();
        p.totalNumberOfRounds = 1;
        task = newTask(p);
        playAndLeave(6, STAKE);
        vm.assertEq(stateOf(0).pot, POOL, "all of it");
    }

    function test_ten_thousand_rounds_pay_a_ten_thousandth() external {
        IFlockTask.TaskParameters memory p = defaults();
        p.totalNumberOfRounds = 10_000;
        task = newTask(p);
        playAndLeave(6, STAKE);
        vm.assertEq(stateOf(0).pot, POOL / 10_000, "the first share");
    }

    function test_amounts_up_to_the_last_of_128_bits() external {
        IFlockTask.TaskParameters memory p = defaults();
        p.initialRewardPool = uint128(type(uint128).max - 6 * (type(uint128).max / 7));
        task = newTask(p);
        playAndLeave(6, type(uint128).max / 7);
    }
}
