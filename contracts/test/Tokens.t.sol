// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {IFlockTask} from "../src/interfaces/IFlockTask.sol";
import {IFlockTaskErrors} from "../src/interfaces/IFlockTaskErrors.sol";
import {IFlockTaskManager} from "../src/interfaces/IFlockTaskManager.sol";
import {CallbackToken, FeeToken, LyingToken} from "./support/HostileTokens.sol";
import {IMintable, World} from "./support/World.sol";

/// Tokens that take a fee, lie or call back (protocol section 3, last sentence).
contract TokensTest is World {
    function useToken(address hostile) private {
        token = IMintable(hostile);
        manager = newManager(hostile);
        task = newTask(defaults());
    }

    function test_a_token_that_takes_a_fee_is_refused() external {
        FeeToken fee = new FeeToken();
        useToken(address(fee));
        fee.take(true);
        allowance(actor(0), STAKE);
        vm.expectRevert(IFlockTaskErrors.InexactTransfer.selector);
        vm.prank(actor(0));
        task.stake(STAKE);
        vm.expectRevert(IFlockTaskErrors.InexactTransfer.selector);
        vm.prank(actor(0));
        task.fundRewardPool(STAKE);

        token.mint(creator, POOL);
        vm.prank(creator);
        token.approve(address(manager), POOL);
        vm.expectRevert(IFlockTaskManager.InexactTransfer.selector);
        vm.prank(creator);
        manager.createTask("another", defaults());
    }

    function test_a_token_that_lies_is_refused() external {
        LyingToken liar = new LyingToken();
        useToken(address(liar));
        allowance(actor(0), 2 * STAKE);
        liar.lie(1);
        vm.expectRevert(abi.encodeWithSelector(SafeERC20.SafeERC20FailedOperation.selector, address(liar)));
        vm.prank(actor(0));
        task.stake(STAKE);
        liar.lie(2);
        vm.expectRevert(IFlockTaskErrors.InexactTransfer.selector);
        vm.prank(actor(0));
        task.stake(STAKE);

        liar.lie(0);
        vm.prank(actor(0));
        task.stake(STAKE);
        vm.prank(owner);
        manager.finishTask(address(task));
        liar.lie(2);
        vm.expectRevert(IFlockTaskErrors.InexactTransfer.selector);
        vm.prank(actor(0));
        task.claimRewards();
        vm.assertEq(task.nodeScore(actor(0)), STAKE, "still there");
    }

    function test_a_token_that_calls_back_gets_nowhere() external {
        CallbackToken callback = new CallbackToken();
        useToken(address(callback));
        stake(actor(0), STAKE);
        expectGuarded(callback, abi.encodeCall(IFlockTask.fundRewardPool, (1)));
        stake(actor(0), 1);
        checkGuarded(callback);

        vm.prank(owner);
        manager.finishTask(address(task));
        expectGuarded(callback, abi.encodeCall(IFlockTask.claimRewards, ()));
        vm.prank(actor(0));
        task.claimRewards();
        checkGuarded(callback);
        expectGuarded(callback, abi.encodeCall(IFlockTask.withdrawRemainder, ()));
        vm.prank(creator);
        task.withdrawRemainder();
        checkGuarded(callback);
        vm.assertEq(token.balanceOf(address(task)), 0, "each was paid once");
        vm.assertEq(token.balanceOf(actor(0)), STAKE + 1, "the stake");
    }

    function expectGuarded(CallbackToken callback, bytes memory data) private {
        callback.arm(address(task), data);
    }

    function checkGuarded(CallbackToken callback) private view {
        vm.assertTrue(callback.calls() != 0 && !callback.succeeded(), "called back and failed");
        vm.assertEq(
            bytes32(callback.answer()),
            bytes32(ReentrancyGuardTransient.ReentrancyGuardReentrantCall.selector),
            "because of the guard"
        );
    }

    function test_creating_a_task_inside_the_creation_of_a_task_is_refused() external {
        CallbackToken callback = new CallbackToken();
        useToken(address(callback));
        callback.arm(address(manager), abi.encodeCall(IFlockTaskManager.createTask, ("inner", defaults())));
        newTask(defaults(), "outer");
        checkGuarded(callback);
    }
}
