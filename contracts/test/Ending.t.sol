// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IFlockTask} from "../src/interfaces/IFlockTask.sol";
import {IFlockTaskErrors} from "../src/interfaces/IFlockTaskErrors.sol";
import {World} from "./support/World.sol";

/// How a task ends and everybody gets out (protocol section 2, step 9).
contract EndingTest is World {
    function finishTask() private {
        vm.prank(owner);
        manager.finishTask(address(task));
    }

    function claim(address who) private returns (uint256 paid) {
        uint256 before = token.balanceOf(who);
        vm.prank(who);
        task.claimRewards();
        paid = token.balanceOf(who) - before;
    }

    function withdraw() private {
        vm.prank(creator);
        task.withdrawRemainder();
    }

    /// Everybody claims, the creator withdraws, and nothing is left.
    function emptyTheTask() private {
        for (uint256 i = 0; i < 6; ++i) {
            IFlockTask.AccountState memory a = account(actor(i));
            vm.assertEq(claim(actor(i)), uint256(a.stakeLeft) + a.claimable, "stake left plus rewards");
        }
        if (account(keeper).claimable != 0) claim(keeper);
        if (task.rewardPool() != 0) withdraw();
        vm.assertEq(token.balanceOf(address(task)), 0, "nothing is locked");
        vm.assertEq(task.getTotalStakes(), 0, "no stakes");
    }

    function expectOver() private {
        vm.expectRevert(IFlockTaskErrors.TaskOver.selector);
    }

    // --- after T rounds ---

    function playAll() private {
        enter(6);
        for (uint256 i = 0; i < 3; ++i) {
            if (i != 0) rejoin(6);
            vm.assertTrue(!task.isFinished(), "not before the last settlement");
            playHonestRound();
        }
    }

    function test_the_task_is_finished_with_the_settlement_of_its_last_round() external {
        enter(6);
        playHonestRound();
        rejoin(6);
        playHonestRound();
        rejoin(6);
        draw();
        contributeAll();
        voteAll(AGGREGATE, 1, 3);
        finish();
        vm.assertTrue(!task.isFinished(), "not yet settled");
        vm.expectEmit(address(task));
        emit IFlockTask.TaskEnded(3, false);
        settle();
        vm.assertTrue(task.isFinished(), "finished");
        vm.assertEq(task.currentRound(), 3, "all rounds are settled");
        assertPhase(IFlockTask.Phase.Ended);
        vm.assertEq(task.globalModelHash(3), AGGREGATE, "the final model");
        vm.assertEq(state().joinDeadline, 0, "no further round opens");
    }

    function test_after_the_end_nothing_but_claiming_is_possible() external {
        playAll();
        expectOver();
        task.stake(STAKE);
        expectOver();
        task.fundRewardPool(1);
        expectOver();
        join(actor(0));
        expectOver();
        task.selectRoundParticipants(3);
        expectOver();
        task.contribute(2, 0, 0);
        expectOver();
        task.commitVote(2, 0, 0);
        expectOver();
        task.revealVote(2, 0, 1, 1, 0);
        expectOver();
        task.finishRound(2);
        expectOver();
        task.slash(2);
        skip(90 days);
        expectOver();
        task.terminate();
        expectOver();
        finishTask();
        emptyTheTask();
    }

    function test_claiming_pays_stake_and_rewards_once() external {
        playAll();
        uint256 owed = STAKE + account(actor(0)).claimable;
        vm.assertTrue(owed > STAKE, "rewarded");
        vm.expectEmit(address(task));
        emit IFlockTask.Claimed(actor(0), owed, 3, "finalReward");
        vm.assertEq(claim(actor(0)), owed, "paid");
        vm.assertTrue(account(actor(0)).claimed, "claimed");
        vm.assertEq(task.nodeScore(actor(0)), 0, "no stake left");
        assertAccounted();
        vm.expectRevert(IFlockTaskErrors.NothingToClaim.selector);
        vm.prank(actor(0));
        task.claimRewards();
        vm.expectRevert(IFlockTaskErrors.NothingToClaim.selector);
        vm.prank(actor(50));
        task.claimRewards();
    }

    function test_claiming_and_withdrawing_before_the_end_is_refused() external {
        enter(6);
        playHonestRound();
        vm.expectRevert(IFlockTaskErrors.TaskNotOver.selector);
        vm.prank(actor(0));
        task.claimRewards();
        vm.expectRevert(IFlockTaskErrors.TaskNotOver.selector);
        vm.prank(creator);
        task.withdrawRemainder();
    }

    function test_only_the_creator_withdraws_the_remainder_and_only_the_remainder() external {
        finishTask();
        vm.expectRevert(IFlockTaskErrors.NotCreator.selector);
        vm.prank(owner);
        task.withdrawRemainder();
        token.mint(address(task), 5); // a donation
        vm.expectEmit(address(task));
        emit IFlockTask.RemainderWithdrawn(creator, POOL);
        withdraw();
        vm.assertEq(token.balanceOf(creator), POOL, "the pool");
        vm.assertEq(token.balanceOf(address(task)), 5, "the donation is nobody's");
        vm.expectRevert(IFlockTaskErrors.NothingToClaim.selector);
        vm.prank(creator);
        task.withdrawRemainder();
    }

    function test_claims_and_withdrawal_can_come_in_any_order() external {
        enter(6);
        playHonestRound();
        finishTask();
        withdraw();
        for (uint256 i = 6; i > 0; --i) {
            claim(actor(i - 1));
        }
        vm.assertEq(token.balanceOf(address(task)), 0, "nothing is locked");
    }

    // --- finishTask ---

    function test_finishing_before_the_draw_ends_the_task_at_once() external {
        enter(6);
        vm.expectEmit(address(task));
        emit IFlockTask.TaskEnded(0, false);
        finishTask();
        vm.assertTrue(task.isFinished(), "ended");
        assertOutcome(IFlockTask.Outcome.Void);
        vm.assertEq(claim(actor(0)), STAKE, "no money moved");
    }

    function test_finishing_after_the_roster_closed_lets_the_round_end_and_settle_first() external {
        enter(6);
        task.selectRoundParticipants(0);
        finishTask();
        vm.assertTrue(!task.isFinished(), "the seed may be known to the owner");
        vm.assertTrue(taskState().finishRequested, "requested");
        vm.roll(state().seedBlock + 1);
        task.selectRoundParticipants(0);
        contributeAll();
        finishTask(); // again: harmless
        voteAll(AGGREGATE, 1, 3);
        finish();
        vm.assertTrue(!task.isFinished(), "not settled");
        vm.expectEmit(address(task));
        emit IFlockTask.TaskEnded(1, false);
        settle();
        vm.assertTrue(task.isFinished(), "ended with the settlement");
        vm.assertEq(task.globalModelHash(1), AGGREGATE, "the last result counts");
        vm.assertTrue(account(actor(0)).claimable != 0 || account(actor(1)).claimable != 0, "rewards are paid");
        emptyTheTask();
    }

    function test_a_lost_round_cannot_be_voided_by_finishing_the_task() external {
        enter(6);
        draw();
        contributeAll();
        voteAll(AGGREGATE, -1, 3);
        address loser = proposer(0);
        finishTask();
        finish();
        settle();
        vm.assertEq(task.nodeScore(loser), STAKE - STAKE / 8, "slashed all the same");
        emptyTheTask();
    }

    function test_finishing_between_finish_and_settlement_waits_for_the_settlement() external {
        enter(6);
        draw();
        contributeAll();
        voteAll(AGGREGATE, 1, 3);
        finish();
        finishTask();
        vm.assertTrue(!task.isFinished(), "not settled");
        settle();
        vm.assertTrue(task.isFinished(), "ended");
        emptyTheTask();
    }

    // --- terminate ---

    function test_terminating_needs_a_stall() external {
        enter(6);
        uint256 until = block.timestamp + 2000;
        vm.warp(until - 1);
        vm.expectRevert(abi.encodeWithSelector(IFlockTaskErrors.NotStalled.selector, until));
        task.terminate();
        vm.warp(until);
        vm.expectEmit(address(task));
        emit IFlockTask.TaskEnded(0, true);
        vm.prank(keeper);
        task.terminate();
        vm.assertTrue(task.isFinished(), "ended");
        emptyTheTask();
    }

    function test_the_stall_counts_from_the_last_settlement() external {
        enter(6);
        skip(1500);
        playHonestRound();
        skip(1999);
        vm.expectRevert(abi.encodeWithSelector(IFlockTaskErrors.NotStalled.selector, block.timestamp + 1));
        task.terminate();
        skip(1);
        task.terminate();
    }

    function test_too_few_participants_for_ever_end_in_a_termination() external {
        enter(1);
        skip(2000);
        task.terminate();
        vm.assertEq(claim(actor(0)), STAKE, "out again");
        withdraw();
        vm.assertEq(token.balanceOf(address(task)), 0, "nothing is locked");
    }

    function test_a_round_whose_windows_are_over_is_finished_and_settled_before_terminating() external {
        enter(6);
        draw();
        contributeAll();
        voteAll(AGGREGATE, -1, 3);
        address loser = proposer(1);
        skip(2000);
        vm.prank(keeper);
        task.terminate();
        IFlockTask.RoundState memory s = stateOf(0);
        vm.assertEq(uint256(s.outcome), uint256(IFlockTask.Outcome.Rejected), "decided");
        vm.assertTrue(s.settled, "settled");
        vm.assertEq(task.nodeScore(loser), STAKE - STAKE / 8, "slashed");
        vm.assertEq(account(keeper).claimable, STAKE / 8 * 2 / 10, "bonus for the caller");
        vm.assertTrue(task.isFinished(), "ended");
        emptyTheTask();
    }

    function test_a_finished_round_is_settled_before_terminating() external {
        enter(6);
        draw();
        vm.warp(state().proposeDeadline);
        finish();
        skip(2000);
        vm.prank(keeper);
        task.terminate();
        vm.assertTrue(stateOf(0).settled, "settled");
        emptyTheTask();
    }

    function test_a_running_round_is_void_when_the_task_is_terminated() external {
        enter(6);
        skip(1999);
        draw();
        contributeAll();
        commit(voter(0), AGGREGATE, 1, 3);
        skip(1);
        bytes32 digest = task.roundDigest(0);
        address late = voter(1);
        vm.expectEmit(address(task));
        emit IFlockTask.RoundDecided(0, IFlockTask.Outcome.Void, 0, 0, 0, GENESIS);
        task.terminate();
        assertOutcome(IFlockTask.Outcome.Void);
        vm.assertTrue(!state().settled, "no money moved");
        vm.assertEq(task.currentRound(), 0, "not counted");
        expectOver();
        vm.prank(late);
        task.commitVote(0, digest, keccak256("c"));
        for (uint256 i = 0; i < 6; ++i) {
            vm.assertTrue(!task.canBeSlashed(0, actor(i)), "nobody is slashed");
        }
        emptyTheTask();
        vm.assertEq(token.balanceOf(creator), POOL, "the whole pool");
    }

    function test_terminating_the_last_round_by_settling_it_ends_the_task_the_ordinary_way() external {
        IFlockTask.TaskParameters memory p = defaults();
        p.totalNumberOfRounds = 1;
        task = newTask(p);
        enter(6);
        draw();
        contributeAll();
        voteAll(AGGREGATE, 1, 3);
        skip(2000);
        vm.expectEmit(address(task));
        emit IFlockTask.TaskEnded(1, false);
        task.terminate();
        vm.assertEq(task.globalModelHash(1), AGGREGATE, "final model");
        emptyTheTask();
    }
}
