// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IFlockTask} from "../src/interfaces/IFlockTask.sol";
import {IFlockTaskErrors} from "../src/interfaces/IFlockTaskErrors.sol";
import {World} from "./support/World.sol";

/// Settlement to the unit (protocol section 3). Actors 0 and 1 are proposers, 2 to 5 voters.
contract MoneyTest is World {
    bytes32 private constant OTHER = keccak256("other aggregate");

    function begin() private {
        uint256[] memory amounts = new uint256[](6);
        for (uint256 i = 0; i < 6; ++i) {
            amounts[i] = STAKE + i * 7e18 + i;
        }
        enter(amounts);
        drawAsJoined();
    }

    function stakeOf(uint256 i) private pure returns (uint256) {
        return STAKE + i * 7e18 + i;
    }

    /// Voters 2, 3, 4 vote `score` for everything; voter 5 is in another group.
    function vote(int8 score) private {
        contributeAll();
        for (uint256 i = 2; i < 6; ++i) {
            commit(actor(i), i == 5 ? OTHER : AGGREGATE, score, 3);
        }
        for (uint256 i = 2; i < 6; ++i) {
            reveal(actor(i), i == 5 ? OTHER : AGGREGATE, score, 3);
        }
        finish();
    }

    function test_an_accepted_round_pays_and_takes_exactly() external {
        begin();
        vote(1);
        uint256 slashed = stakeOf(5) * 0.125e18 / 1e18;
        uint256 bonus = slashed * 1000 / 10_000;
        uint256 pot = (POOL + slashed - bonus) / 3;
        uint256 good = stakeOf(0) + stakeOf(1) + stakeOf(2) + stakeOf(3) + stakeOf(4);
        uint256 paid;
        for (uint256 i = 0; i < 5; ++i) {
            paid += pot * stakeOf(i) / good;
        }
        vm.expectEmit(address(task));
        emit IFlockTask.Rewarded(actor(0), pot * stakeOf(0) / good, 0, "proposer");
        vm.expectEmit(address(task));
        emit IFlockTask.Rewarded(actor(1), pot * stakeOf(1) / good, 0, "proposer");
        vm.expectEmit(address(task));
        emit IFlockTask.Rewarded(actor(2), pot * stakeOf(2) / good, 0, "voter");
        vm.expectEmit(address(task));
        emit IFlockTask.Rewarded(actor(3), pot * stakeOf(3) / good, 0, "voter");
        vm.expectEmit(address(task));
        emit IFlockTask.Rewarded(actor(4), pot * stakeOf(4) / good, 0, "voter");
        vm.expectEmit(address(task));
        emit IFlockTask.Slashed(keeper, actor(5), slashed, 0, "voter");
        vm.expectEmit(address(task));
        emit IFlockTask.Rewarded(keeper, bonus, 0, "slasher");
        vm.expectEmit(address(task));
        emit IFlockTask.RoundSettled(0, keeper, slashed, bonus, pot, paid);
        settle();

        for (uint256 i = 0; i < 5; ++i) {
            vm.assertEq(account(actor(i)).claimable, pot * stakeOf(i) / good, "reward");
            vm.assertEq(task.nodeScore(actor(i)), stakeOf(i), "rewards never count as stake");
        }
        vm.assertEq(account(keeper).claimable, bonus, "bonus");
        vm.assertEq(task.rewardPool(), POOL + slashed - bonus - paid, "pool keeps the rest and the dust");
        IFlockTask.RoundState memory s = stateOf(0);
        vm.assertEq(s.slashedTotal, slashed, "slashed total");
        vm.assertEq(s.bonus, bonus, "bonus");
        vm.assertEq(s.pot, pot, "pot");
        vm.assertEq(s.rewardedTotal, paid, "rewarded total");
        vm.assertEq(s.slashCaller, keeper, "caller");
        vm.assertEq(s.settledBlock, block.number, "block");
        assertAccounted();
    }

    function test_a_rejected_round_pays_only_the_voters_share_of_the_pot() external {
        begin();
        vote(-1);
        settle();
        uint256 slashed = stakeOf(0) / 8 + stakeOf(1) / 8 + stakeOf(5) / 8;
        uint256 bonus = slashed / 10;
        uint256 voters = stakeOf(2) + stakeOf(3) + stakeOf(4) + stakeOf(5);
        uint256 pot = (POOL + slashed - bonus) / 3 * voters / (voters + stakeOf(0) + stakeOf(1));
        uint256 good = stakeOf(2) + stakeOf(3) + stakeOf(4);
        vm.assertEq(stateOf(0).pot, pot, "pot");
        uint256 paid;
        for (uint256 i = 2; i < 5; ++i) {
            vm.assertEq(account(actor(i)).claimable, pot * stakeOf(i) / good, "reward");
            paid += pot * stakeOf(i) / good;
        }
        vm.assertEq(task.rewardPool(), POOL + slashed - bonus - paid, "pool");
        assertAccounted();
    }

    function test_when_nobody_is_good_the_pool_keeps_everything() external {
        begin();
        vm.warp(state().proposeDeadline);
        finish();
        settle();
        uint256 slashed = stakeOf(0) / 8 + stakeOf(1) / 8;
        vm.assertEq(stateOf(0).rewardedTotal, 0, "nothing paid");
        vm.assertEq(task.rewardPool(), POOL + slashed - slashed / 10, "pool");
        vm.assertEq(account(keeper).claimable, slashed / 10, "bonus");
        assertAccounted();
    }

    function test_the_pot_divides_the_pool_by_the_rounds_left() external {
        enter(6);
        for (uint256 i = 0; i < 3; ++i) {
            if (i != 0) rejoin(6);
            uint256 pool = task.rewardPool();
            playHonestRound();
            vm.assertEq(stateOf(i).pot, pool / (3 - i), "pot");
        }
        vm.assertLt(task.rewardPool(), 6, "only dust is left after the last round");
        assertAccounted();
    }

    function test_the_slash_is_a_share_of_the_rounds_stake_not_of_a_top_up() external {
        begin();
        stake(actor(5), 100e18);
        vote(1);
        settle();
        vm.assertEq(rowOf(0, actor(5)).slashed, stakeOf(5) / 8, "slash");
        vm.assertEq(task.nodeScore(actor(5)), stakeOf(5) - stakeOf(5) / 8 + 100e18, "the top-up stays");
    }

    function test_a_top_up_after_the_draw_moves_neither_votes_nor_rewards() external {
        begin();
        stake(actor(2), 1000e18);
        vote(1);
        settle();
        vm.assertEq(stateOf(0).winningStake, stakeOf(2) + stakeOf(3) + stakeOf(4), "winning stake");
        vm.assertEq(
            uint256(rowOf(0, actor(2)).rewarded) * 1000 / stakeOf(2),
            uint256(rowOf(0, actor(3)).rewarded) * 1000 / stakeOf(3),
            "reward by the round's stake"
        );
    }

    function test_slashing_everything_leaves_nothing_but_never_less() external {
        IFlockTask.TaskParameters memory p = defaults();
        p.slashedPerStake = 1e18;
        task = newTask(p);
        begin();
        vote(1);
        settle();
        vm.assertEq(task.nodeScore(actor(5)), 0, "all gone");
        vm.assertTrue(account(actor(5)).removed, "removed");
        assertAccounted();
    }

    function test_a_round_is_settled_once() external {
        begin();
        vote(1);
        settle();
        vm.expectRevert(abi.encodeWithSelector(IFlockTaskErrors.WrongRound.selector, 1));
        task.slash(0);
        expectWrongPhase(IFlockTask.Phase.Join);
        task.slash(1);
    }

    function test_settling_before_finishing_is_refused() external {
        begin();
        contributeAll();
        voteAll(AGGREGATE, 1, 3);
        expectWrongPhase(IFlockTask.Phase.Finish);
        task.slash(0);
    }

    function test_the_next_round_and_claims_wait_for_the_settlement() external {
        begin();
        vote(1);
        vm.expectRevert(abi.encodeWithSelector(IFlockTaskErrors.WrongRound.selector, 0));
        vm.prank(actor(2));
        task.joinRound(1, 1);
        vm.expectRevert(IFlockTaskErrors.TaskNotOver.selector);
        vm.prank(actor(2));
        task.claimRewards();
    }

    function test_who_settles_changes_nobodys_money_but_the_bonus() external {
        begin();
        vote(1);
        vm.prank(actor(5)); // even the one that is slashed
        task.slash(0);
        uint256 slashed = stakeOf(5) / 8;
        vm.assertEq(account(actor(5)).claimable, slashed / 10, "bonus");
        vm.assertEq(task.nodeScore(actor(5)), stakeOf(5) - slashed, "a tenth back is no gain");
        assertAccounted();
    }

    function test_without_a_bonus_ratio_nobody_gets_a_bonus() external {
        IFlockTask.TaskParameters memory p = defaults();
        p.bonusRatioForSlashCaller = 0;
        task = newTask(p);
        begin();
        vote(1);
        settle();
        vm.assertEq(account(keeper).claimable, 0, "no bonus");
        vm.assertEq(stateOf(0).slashedTotal, stakeOf(5) / 8, "slashed all the same");
        assertAccounted();
    }

    function test_an_empty_pool_pays_what_was_slashed() external {
        IFlockTask.TaskParameters memory p = defaults();
        p.initialRewardPool = 0;
        task = newTask(p);
        begin();
        vote(1);
        settle();
        uint256 slashed = stakeOf(5) / 8;
        vm.assertEq(stateOf(0).pot, (slashed - slashed / 10) / 3, "pot");
        assertAccounted();
    }

    // --- removal ---

    /// Actor 5 is on the losing side until it falls below the threshold of 24: 64, 56, 49, 42.9, 37.5, 32.8, 28.7, 25.1, 22.
    function loseUntilRemoved() private returns (uint256 rounds) {
        IFlockTask.TaskParameters memory p = defaults();
        p.totalNumberOfRounds = 20;
        task = newTask(p);
        enter(6);
        while (true) {
            drawAsJoined();
            vote(1);
            settle();
            ++rounds;
            assertAccounted();
            if (account(actor(5)).removed) return rounds;
            rejoin(6);
        }
    }

    function test_an_account_below_the_threshold_after_a_settlement_is_removed() external {
        vm.assertEq(loseUntilRemoved(), 8, "eight lost votes");
        vm.assertLt(task.nodeScore(actor(5)), 24e18, "below the threshold");
        vm.assertTrue(!account(actor(4)).removed, "nobody else");
    }

    function test_a_removed_account_can_neither_join_nor_stake_again() external {
        loseUntilRemoved();
        bytes memory reason = abi.encodeWithSelector(IFlockTaskErrors.AccountIsRemoved.selector, actor(5));
        vm.expectRevert(reason);
        join(actor(5));
        allowance(actor(5), 1000e18);
        vm.expectRevert(reason);
        vm.prank(actor(5));
        task.stake(1000e18);
    }

    function test_a_removed_account_claims_what_is_left_in_the_end() external {
        loseUntilRemoved();
        skip(2000);
        task.terminate();
        uint256 left = task.nodeScore(actor(5));
        vm.prank(actor(5));
        task.claimRewards();
        vm.assertEq(token.balanceOf(actor(5)), left, "claimed");
        assertAccounted();
    }

    function test_removal_is_announced() external {
        IFlockTask.TaskParameters memory p = defaults();
        p.slashedPerStake = 0.8e18;
        task = newTask(p);
        begin();
        vote(1);
        vm.expectEmit(address(task));
        emit IFlockTask.Removed(0, actor(5), stakeOf(5) - stakeOf(5) * 0.8e18 / 1e18);
        settle();
    }

    function test_a_slash_that_leaves_the_threshold_does_not_remove() external {
        IFlockTask.TaskParameters memory p = defaults();
        p.slashedPerStake = 0.625e18; // 64 -> 24, exactly the threshold
        task = newTask(p);
        enter(6);
        drawAsJoined();
        vote(1);
        settle();
        vm.assertEq(task.nodeScore(actor(5)), 24e18, "at the threshold");
        vm.assertTrue(!account(actor(5)).removed, "not removed");
        join(actor(5));
    }

    function test_a_top_up_before_the_settlement_keeps_an_account_in() external {
        IFlockTask.TaskParameters memory p = defaults();
        p.slashedPerStake = 0.8e18;
        task = newTask(p);
        begin();
        stake(actor(5), 24e18);
        vote(1);
        settle();
        vm.assertTrue(!account(actor(5)).removed, "without the top-up it would be below 24");
    }
}
