// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {IFlockTask} from "../src/interfaces/IFlockTask.sol";
import {IFlockTaskErrors} from "../src/interfaces/IFlockTaskErrors.sol";
import {IMintable, World} from "./support/World.sol";

/// What accounts do outside of rounds: stake, fund, describe themselves, be allowed.
contract StakingTest is World {
    function test_the_first_stake_must_reach_the_entry_stake() external {
        allowance(actor(0), STAKE);
        vm.expectRevert(abi.encodeWithSelector(IFlockTaskErrors.StakeTooSmall.selector, STAKE));
        vm.prank(actor(0));
        task.stake(STAKE - 1);
        vm.expectEmit(address(task));
        emit IFlockTask.Staked(actor(0), STAKE);
        vm.prank(actor(0));
        task.stake(STAKE);
        vm.assertEq(task.nodeScore(actor(0)), STAKE, "nodeScore");
        vm.assertEq(task.getTotalStakes(), STAKE, "total");
        vm.assertEq(taskState().participants, 1, "participants");
        assertAccounted();
    }

    function test_later_stakes_may_be_of_any_size_but_zero() external {
        stake(actor(0), STAKE);
        stake(actor(0), 1);
        vm.assertEq(task.nodeScore(actor(0)), STAKE + 1, "topped up");
        vm.assertEq(taskState().participants, 1, "one participant still");
        vm.expectRevert(IFlockTaskErrors.ZeroAmount.selector);
        vm.prank(actor(0));
        task.stake(0);
    }

    function test_staking_needs_the_tokens_and_the_approval() external {
        vm.expectRevert();
        vm.prank(actor(0));
        task.stake(STAKE);
        vm.assertTrue(!account(actor(0)).everStaked, "nothing happened");
    }

    function test_amounts_that_could_leave_128_bits_are_refused() external {
        uint256 room = type(uint128).max - POOL;
        allowance(actor(0), room + 1);
        vm.expectRevert(IFlockTaskErrors.AmountTooLarge.selector);
        vm.prank(actor(0));
        task.stake(room + 1);
        vm.expectRevert(IFlockTaskErrors.AmountTooLarge.selector);
        vm.prank(actor(0));
        task.stake(uint256(type(uint128).max) + 1 + STAKE);
        vm.prank(actor(0));
        task.stake(room);
        vm.expectRevert(IFlockTaskErrors.AmountTooLarge.selector);
        task.fundRewardPool(1);
    }

    function test_with_an_allow_list_only_the_listed_can_stake() external {
        IFlockTask.TaskParameters memory p = defaults();
        p.allowListEnabled = true;
        p.allowList = new address[](1);
        p.allowList[0] = actor(0);
        task = newTask(p);
        stake(actor(0), STAKE);
        vm.assertTrue(account(actor(0)).allowed && !account(actor(1)).allowed, "allowed");
        allowance(actor(1), STAKE);
        vm.expectRevert(abi.encodeWithSelector(IFlockTaskErrors.AccountNotAllowed.selector, actor(1)));
        vm.prank(actor(1));
        task.stake(STAKE);

        address[] memory more = new address[](1);
        more[0] = actor(1);
        vm.expectRevert(IFlockTaskErrors.NotCreator.selector);
        vm.prank(owner);
        task.allowParticipants(more);
        vm.expectEmit(address(task));
        emit IFlockTask.ParticipantAllowed(actor(1));
        vm.prank(creator);
        task.allowParticipants(more);
        vm.prank(actor(1));
        task.stake(STAKE);
    }

    function test_an_open_task_has_no_list_to_extend() external {
        vm.assertTrue(account(actor(5)).allowed, "open to everybody");
        vm.expectRevert(IFlockTaskErrors.AllowListOff.selector);
        vm.prank(creator);
        task.allowParticipants(new address[](1));
    }

    function test_node_metadata_has_at_most_1024_bytes() external {
        vm.expectRevert(abi.encodeWithSelector(IFlockTaskErrors.MetadataTooLong.selector, 1025, 1024));
        task.setNodeMetadata(string(new bytes(1025)));
        vm.expectEmit(address(task));
        emit IFlockTask.NodeMetadataSet(actor(0));
        vm.prank(actor(0));
        task.setNodeMetadata('{"dataset_size":1}');
        vm.assertEq(task.nodeMetadata(actor(0)), '{"dataset_size":1}', "metadata");
    }

    function test_anyone_can_fund_the_pool() external {
        allowance(keeper, 7);
        vm.expectEmit(address(task));
        emit IFlockTask.RewardPoolFunded(keeper, 7);
        vm.prank(keeper);
        task.fundRewardPool(7);
        vm.assertEq(task.rewardPool(), POOL + 7, "pool");
        assertAccounted();
        vm.expectRevert(IFlockTaskErrors.ZeroAmount.selector);
        task.fundRewardPool(0);
    }

    function test_donations_belong_to_nobody() external {
        token.mint(address(task), 9);
        IFlockTask.TaskState memory t = taskState();
        vm.assertEq(uint256(t.totalStakes) + t.totalClaimable + t.rewardPool, POOL, "not accounted");
    }

    function test_an_account_reads_back_what_it_holds() external {
        allowance(actor(0), STAKE + 11);
        vm.deal(actor(0), 5);
        vm.prank(actor(0));
        task.stake(STAKE);
        IFlockTask.AccountState memory a = account(actor(0));
        vm.assertEq(a.account, actor(0), "account");
        vm.assertTrue(a.everStaked && !a.removed && !a.claimed, "flags");
        vm.assertEq(a.stakeLeft, STAKE, "stake left");
        vm.assertEq(a.tokenBalance, 11, "token balance");
        vm.assertEq(a.allowance, 11, "allowance");
        vm.assertEq(a.nativeBalance, 5, "native balance");
    }

    function test_only_the_tokens_owner_mints_and_only_holders_burn() external {
        IMintable t = token;
        vm.expectRevert(abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, actor(0)));
        vm.prank(actor(0));
        t.mint(actor(0), 1);
        t.mint(actor(0), 3);
        vm.prank(actor(0));
        t.burn(2);
        vm.assertEq(t.balanceOf(actor(0)), 1, "burnt");
        vm.expectRevert();
        vm.prank(actor(0));
        t.burn(2);
    }
}
