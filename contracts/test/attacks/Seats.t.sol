// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IFlockTask} from "../../src/interfaces/IFlockTask.sol";
import {IFlockTaskErrors} from "../../src/interfaces/IFlockTaskErrors.sol";
import {IFlockTaskManager} from "../../src/interfaces/IFlockTaskManager.sol";
import {World} from "../support/World.sol";

/// Attacks on who gets a seat, which one, and how much it weighs.
contract SeatAttacksTest is World {
    function closeRoster() private returns (uint256 seedBlock) {
        vm.warp(state().joinDeadline);
        task.selectRoundParticipants(round);
        return state().seedBlock;
    }

    function test_shopping_for_a_seed_by_choosing_moment_and_caller_changes_nothing() external {
        enter(6);
        uint256 seedBlock = closeRoster();
        bytes32 seats;
        uint256[4] memory delays = [uint256(1), 2, 100, 256];
        for (uint256 i = 0; i < delays.length; ++i) {
            uint256 before = vm.snapshotState();
            vm.roll(seedBlock + delays[i]);
            vm.warp(block.timestamp + 1 + i);
            vm.prank(actor(i));
            task.selectRoundParticipants(0);
            bytes32 now_ = keccak256(abi.encode(seat(0), seat(1), seat(2), seat(3), seat(4), seat(5)));
            vm.assertTrue(i == 0 || seats == now_, "the draw is the seed block's, whoever asks and whenever");
            seats = now_;
            vm.assertTrue(vm.revertToState(before), "again");
        }
    }

    function test_the_seed_block_is_unknown_to_whoever_closes_the_roster() external {
        enter(6);
        uint256 closedAt = block.number;
        uint256 seedBlock = closeRoster();
        vm.assertEq(seedBlock, closedAt + 4, "in the future");
        for (uint256 number = closedAt; number <= seedBlock; ++number) {
            vm.roll(number);
            vm.expectRevert(abi.encodeWithSelector(IFlockTaskErrors.SeedBlockPending.selector, seedBlock));
            task.selectRoundParticipants(0);
        }
    }

    function test_letting_a_seed_age_out_needs_everybody_to_look_away() external {
        enter(6);
        uint256 seedBlock = closeRoster();
        // The attacker has seen the hash and does not like it; any other account draws.
        vm.roll(seedBlock + 6);
        vm.prank(keeper);
        task.selectRoundParticipants(0);
        vm.assertTrue(state().drawnAt != 0, "drawn");
        expectWrongPhase(IFlockTask.Phase.Propose);
        task.selectRoundParticipants(0);
    }

    function test_an_aged_out_seed_buys_another_unknown_one_for_the_same_roster() external {
        enter(6);
        uint256 seedBlock = closeRoster();
        vm.roll(seedBlock + 300);
        task.selectRoundParticipants(0);
        vm.assertEq(state().seedBlock, block.number + 4, "unknown again");
        vm.assertEq(state().drawnAt, 0, "nothing drawn");
        address late = actor(6);
        stake(late, STAKE);
        expectWrongPhase(IFlockTask.Phase.Draw);
        join(late);
        // And it cannot go on for ever: after the stall anybody ends the task and everybody gets out.
        vm.warp(block.timestamp + task.parameters().stallTimeout);
        vm.prank(keeper);
        task.terminate();
        vm.prank(actor(0));
        task.claimRewards();
        vm.assertEq(token.balanceOf(actor(0)), STAKE, "whole");
    }

    function test_topping_up_after_the_draw_adds_neither_weight_nor_reward() external {
        enter(6);
        drawAsJoined();
        address greedy = voter(0);
        stake(greedy, 1000 * E18);
        contributeAll();
        voteAll(AGGREGATE, 1, 3);
        finish();
        vm.assertEq(state().winningStake, 4 * STAKE, "four seats of the stake they joined with");
        address modest = voter(1);
        settle();
        vm.assertEq(rowOf(0, greedy).rewarded, rowOf(0, modest).rewarded, "equal pay");
        vm.assertEq(task.nodeScore(greedy), STAKE + 1000 * E18, "the top-up counts from the next round on");
    }

    function test_joining_after_the_draws_first_step_is_refused() external {
        enter(5);
        address late = actor(5);
        stake(late, STAKE);
        uint256 seedBlock = closeRoster();
        expectWrongPhase(IFlockTask.Phase.Draw);
        join(late);
        vm.roll(seedBlock + 1);
        task.selectRoundParticipants(0);
        expectWrongPhase(IFlockTask.Phase.Propose);
        join(late);
        vm.assertEq(state().joined, 5, "five seats");
    }

    // --- many accounts ---

    uint256 private constant HONEST = 10;

    function sybilTask(bool allowList) private {
        IFlockTask.TaskParameters memory p = defaults();
        p.maxNumberOfParticipants = 100;
        p.participantsDistributionRate = 0.1e18;
        p.allowListEnabled = allowList;
        if (allowList) {
            p.allowList = new address[](HONEST);
            for (uint256 i = 0; i < HONEST; ++i) {
                p.allowList[i] = actor(i);
            }
        }
        task = newTask(p);
    }

    function test_a_hundred_sybil_seats_find_no_way_past_an_allow_list() external {
        sybilTask(true);
        enter(HONEST);
        for (uint256 i = 0; i < 100; ++i) {
            address sybil = actor(1000 + i);
            allowance(sybil, STAKE);
            vm.expectRevert(abi.encodeWithSelector(IFlockTaskErrors.AccountNotAllowed.selector, sybil));
            vm.prank(sybil);
            task.stake(STAKE);
            vm.expectRevert(abi.encodeWithSelector(IFlockTaskErrors.StakeTooSmall.selector, 24e18));
            vm.prank(sybil);
            task.joinRound(0, 1);
        }
        playHonestRound();
        vm.assertEq(stateOf(0).joined, HONEST, "the listed alone");
        vm.assertEq(uint256(stateOf(0).outcome), uint256(IFlockTask.Outcome.Accepted), "and they decide");
    }

    function test_a_hundred_sybil_seats_take_over_an_open_task_for_their_stake() external {
        // Known limit: an open task has no Sybil resistance beyond the price of the seats.
        sybilTask(false);
        enter(HONEST);
        uint256 paid;
        for (uint256 i = 0; i < 100 - HONEST; ++i) {
            stake(actor(1000 + i), STAKE);
            join(actor(1000 + i));
            paid += STAKE;
        }
        stake(actor(2000), STAKE);
        vm.expectRevert(IFlockTaskErrors.RosterFull.selector);
        join(actor(2000));
        draw();
        contributeAll();
        bytes32 evil = keccak256("evil");
        address[] memory v = voterList();
        for (uint256 k = 0; k < v.length; ++k) {
            commit(v[k], isSybil(v[k]) ? evil : AGGREGATE, 1, full());
        }
        for (uint256 k = 0; k < v.length; ++k) {
            reveal(v[k], isSybil(v[k]) ? evil : AGGREGATE, 1, full());
        }
        finish();
        settle();
        vm.assertEq(task.globalModelHash(1), evil, "their model");
        vm.assertEq(paid, 90 * STAKE, "for ninety stakes at risk");
        for (uint256 k = 0; k < v.length; ++k) {
            vm.assertTrue(isSybil(v[k]) == (rowOf(0, v[k]).slashed == 0), "honest voters lose an eighth each");
        }
    }

    function isSybil(address a) private pure returns (bool) {
        return uint160(a) >= uint160(actor(1000));
    }

    function test_coming_back_after_removal_takes_a_new_account_and_a_new_stake() external {
        IFlockTask.TaskParameters memory p = defaults();
        p.slashedPerStake = 0.7e18; // one lost round removes
        task = newTask(p);
        enter(6);
        drawAsJoined();
        address lost = voter(0);
        contributeAll();
        for (uint256 k = 1; k < 4; ++k) {
            commit(voter(k), AGGREGATE, 1, 3);
        }
        vm.warp(state().commitDeadline);
        for (uint256 k = 1; k < 4; ++k) {
            reveal(voter(k), AGGREGATE, 1, 3);
        }
        finish();
        settle();
        allowance(lost, 1000 * E18);
        vm.expectRevert(abi.encodeWithSelector(IFlockTaskErrors.AccountIsRemoved.selector, lost));
        vm.prank(lost);
        task.stake(1000 * E18);
        vm.expectRevert(abi.encodeWithSelector(IFlockTaskErrors.AccountIsRemoved.selector, lost));
        join(lost);
        address fresh = actor(6);
        allowance(fresh, STAKE - 1);
        vm.expectRevert(abi.encodeWithSelector(IFlockTaskErrors.StakeTooSmall.selector, STAKE));
        vm.prank(fresh);
        task.stake(STAKE - 1);
        stake(fresh, STAKE);
        join(fresh);
        vm.assertEq(task.nodeScore(lost), STAKE * 3 / 10, "what was slashed stays slashed");
    }

    function test_front_running_a_creation_with_the_creators_salt_gets_another_address() external {
        address thief = actor(9);
        vm.prank(owner);
        manager.allowCreator(thief, true);
        bytes32 salt = keccak256("seen in the mempool");
        address predicted = manager.predictTask(creator, salt);
        IFlockTask.TaskParameters memory p = defaults();
        p.initialRewardPool = 0;
        vm.prank(thief);
        address theirs = manager.createTask(salt, p);
        vm.assertTrue(theirs != predicted, "their own corner of addresses");
        vm.assertEq(address(newTask(defaults(), salt)), predicted, "the creator gets what was predicted");
        vm.expectRevert(abi.encodeWithSelector(IFlockTaskManager.TaskExists.selector, predicted));
        vm.prank(creator);
        manager.createTask(salt, p);
    }
}
