// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IFlockTask} from "../../src/interfaces/IFlockTask.sol";
import {IFlockTaskErrors} from "../../src/interfaces/IFlockTaskErrors.sol";
import {World} from "../support/World.sol";

/// Attacks on stakes, rewards and the end of a task. Actors 0 and 1 are proposers, 2 to 5 voters of equal stake.
contract MoneyAttacksTest is World {
    uint256 private constant SLASH = STAKE / 8;

    /// A round that everybody loses: no contribution is the proposers' fault, and they settle it themselves.
    function test_slashing_oneself_for_the_bonus_loses_at_least_four_fifths() external {
        IFlockTask.TaskParameters memory p = defaults();
        p.bonusRatioForSlashCaller = 2000; // the most there can be
        task = newTask(p);
        enter(6);
        drawAsJoined();
        vm.warp(state().proposeDeadline);
        finish();
        address a = proposer(0);
        vm.prank(a);
        task.slash(0);
        // Even with all slashed accounts in one hand: two slashes out, a fifth of them back.
        vm.assertEq(task.nodeScore(a) + task.nodeScore(actor(1)), 2 * STAKE - 2 * SLASH, "out");
        vm.assertEq(account(a).claimable, 2 * SLASH / 5, "back");
        vm.assertEq(task.rewardPool(), POOL + 2 * SLASH * 4 / 5, "the rest is everybody's");
        assertAccounted();
    }

    function test_a_round_in_which_nobody_is_good_pays_nobody() external {
        enter(6);
        drawAsJoined();
        contributeAll();
        // A conclusive round always has somebody to pay, so nobody is good only where no vote counts: here all commit to nonsense.
        for (uint256 k = 0; k < 4; ++k) {
            commit(voter(k), AGGREGATE, 1, 0);
        }
        for (uint256 k = 0; k < 4; ++k) {
            address v = voter(k);
            bytes32 salt = saltOf(v);
            vm.expectRevert(abi.encodeWithSelector(IFlockTaskErrors.InvalidMask.selector, 0));
            vm.prank(v);
            task.revealVote(0, AGGREGATE, 1, 0, salt);
        }
        vm.warp(state().revealDeadline);
        finish();
        assertOutcome(IFlockTask.Outcome.Inconclusive);
        settle();
        vm.assertEq(stateOf(0).rewardedTotal, 0, "nobody is paid");
        vm.assertEq(task.rewardPool(), POOL + 4 * SLASH - 4 * SLASH / 10, "the pool keeps it");
        assertAccounted();
    }

    function test_a_tie_pays_the_yes_votes_and_keeps_the_start_model() external {
        enter(6);
        drawAsJoined();
        contributeAll();
        for (uint256 k = 0; k < 4; ++k) {
            commit(voter(k), AGGREGATE, k < 2 ? int8(1) : int8(-1), 3);
        }
        for (uint256 k = 0; k < 4; ++k) {
            reveal(voter(k), AGGREGATE, k < 2 ? int8(1) : int8(-1), 3);
        }
        finish();
        assertOutcome(IFlockTask.Outcome.Tie);
        settle();
        vm.assertEq(task.globalModelHash(1), GENESIS, "not adopted");
        for (uint256 i = 0; i < 6; ++i) {
            vm.assertEq(rowOf(0, actor(i)).slashed, i < 4 ? 0 : SLASH, "the no votes pay");
        }
    }

    function test_a_late_settlement_pays_the_same_as_a_prompt_one() external {
        enter(6);
        drawAsJoined();
        contributeAll();
        voteAll(AGGREGATE, 1, 1);
        finish();
        uint256 before = vm.snapshotState();
        uint256[6] memory prompt;
        vm.prank(keeper);
        task.slash(0);
        for (uint256 i = 0; i < 6; ++i) {
            prompt[i] = task.nodeScore(actor(i)) + account(actor(i)).claimable;
        }
        vm.assertTrue(vm.revertToState(before), "again");
        skip(1999);
        stake(actor(4), 77 * E18); // and whatever else happens in between
        vm.prank(actor(3));
        task.slash(0);
        for (uint256 i = 0; i < 6; ++i) {
            uint256 extra = i == 4 ? 77 * E18 : i == 3 ? stateOf(0).bonus : 0;
            vm.assertEq(task.nodeScore(actor(i)) + account(actor(i)).claimable, prompt[i] + extra, "the same money");
        }
    }

    // --- the end, in every order ---

    function attempt(uint256 what) private returns (bool ok) {
        bytes memory data;
        address from = keeper;
        if (what == 0) data = abi.encodeCall(IFlockTask.finishRound, (0));
        else if (what == 1) data = abi.encodeCall(IFlockTask.slash, (0));
        else if (what == 2) (from, data) = (creator, abi.encodeCall(IFlockTask.withdrawRemainder, ()));
        else (from, data) = (actor(what - 3), abi.encodeCall(IFlockTask.claimRewards, ()));
        vm.prank(from);
        (ok,) = address(task).call(data);
    }

    /// The k-th permutation of finish, slash, withdraw, and the claims of a winner and a loser.
    function permutation(uint256 k) private pure returns (uint256[5] memory order) {
        uint256[5] memory left = [uint256(0), 1, 2, 3, 8];
        for (uint256 i = 0; i < 5; ++i) {
            uint256 n = 5 - i;
            uint256 pick = k % n;
            k /= n;
            order[i] = left[pick];
            left[pick] = left[n - 1];
        }
    }

    function test_finishing_settling_and_claiming_around_the_last_round_pay_the_same_in_every_order() external {
        IFlockTask.TaskParameters memory p = defaults();
        p.totalNumberOfRounds = 1;
        task = newTask(p);
        enter(6);
        drawAsJoined();
        contributeAll();
        for (uint256 k = 0; k < 4; ++k) {
            commit(voter(k), AGGREGATE, k == 3 ? int8(-1) : int8(1), 3);
        }
        for (uint256 k = 0; k < 4; ++k) {
            reveal(voter(k), AGGREGATE, k == 3 ? int8(-1) : int8(1), 3);
        }
        uint256 reward = (POOL + SLASH - SLASH / 10) / 5;
        for (uint256 k = 0; k < 120; ++k) {
            uint256 before = vm.snapshotState();
            uint256[5] memory order = permutation(k);
            // What comes too early is refused, so up to three passes of the same order do everything.
            uint256 claims;
            for (uint256 pass = 0; pass < 3; ++pass) {
                for (uint256 i = 0; i < 5; ++i) {
                    bool ok = attempt(order[i]);
                    vm.assertTrue(!ok || order[i] < 2 || task.isFinished(), "nothing is paid before the end");
                    if (ok && order[i] >= 3) ++claims;
                }
            }
            vm.assertEq(claims, 2, "each claim is paid once");
            vm.assertEq(token.balanceOf(actor(0)), STAKE + reward, "the winner's");
            vm.assertEq(token.balanceOf(actor(5)), STAKE - SLASH, "the loser's");
            vm.assertTrue(vm.revertToState(before), "again");
        }
    }

    function test_the_owner_cannot_void_a_lost_round_by_finishing_the_task() external {
        enter(6);
        drawAsJoined();
        contributeAll();
        voteAll(AGGREGATE, -1, 3);
        vm.prank(owner);
        manager.finishTask(address(task));
        vm.assertTrue(!task.isFinished(), "the round is played out");
        finish();
        settle();
        vm.assertEq(rowOf(0, actor(0)).slashed, SLASH, "and paid for");
        vm.assertTrue(task.isFinished(), "then the task ends");
    }

    function test_terminating_a_live_round_is_refused_in_every_phase_until_the_stall() external {
        uint256 until = block.timestamp + task.parameters().stallTimeout;
        enter(6);
        refused(until, IFlockTask.Phase.Join);
        vm.warp(state().joinDeadline);
        task.selectRoundParticipants(0);
        refused(until, IFlockTask.Phase.Draw);
        vm.roll(state().seedBlock + 1);
        task.selectRoundParticipants(0);
        refused(until, IFlockTask.Phase.Propose);
        contributeAll();
        refused(until, IFlockTask.Phase.Commit);
        for (uint256 k = 0; k < 4; ++k) {
            commit(voter(k), AGGREGATE, -1, 3);
        }
        refused(until, IFlockTask.Phase.Reveal);
        for (uint256 k = 0; k < 4; ++k) {
            reveal(voter(k), AGGREGATE, -1, 3);
        }
        refused(until, IFlockTask.Phase.Finish);
        finish();
        refused(until, IFlockTask.Phase.Settle);
        // The losers wait for the stall instead: terminating settles the round all the same.
        vm.warp(until);
        address loser = proposer(0);
        vm.prank(loser);
        task.terminate();
        vm.assertEq(rowOf(0, loser).slashed, SLASH, "slashed");
    }

    function refused(uint256 until, IFlockTask.Phase p) private {
        assertPhase(p);
        vm.expectRevert(abi.encodeWithSelector(IFlockTaskErrors.NotStalled.selector, until));
        task.terminate();
    }
}
