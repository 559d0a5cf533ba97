// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IFlockTask} from "../src/interfaces/IFlockTask.sol";
import {IFlockTaskErrors} from "../src/interfaces/IFlockTaskErrors.sol";
import {World} from "./support/World.sol";

/// The one view of a controller (protocol section 1): everything of a round at a block, for the current round and every earlier one.
contract SnapshotTest is World {
    function test_rows_are_in_join_order_before_the_draw_and_in_draw_order_after() external {
        enter(6);
        IFlockTask.ParticipantState[] memory list = rows(0);
        for (uint256 i = 0; i < 6; ++i) {
            vm.assertEq(list[i].account, actor(i), "join order");
            vm.assertEq(uint256(list[i].role), 0, "no role yet");
        }
        draw();
        list = rows(0);
        for (uint256 k = 0; k < 6; ++k) {
            vm.assertEq(uint256(list[k].role), k < 2 ? 2 : 1, "proposers first");
        }
    }

    function test_an_earlier_round_reads_the_same_for_ever() external {
        enter(6);
        draw();
        contribute(proposer(1));
        vm.warp(state().proposeDeadline);
        for (uint256 k = 0; k < 3; ++k) {
            commit(voter(k), AGGREGATE, 1, 2);
        }
        vm.warp(state().commitDeadline);
        for (uint256 k = 0; k < 3; ++k) {
            reveal(voter(k), AGGREGATE, 1, 2);
        }
        finish();
        address silent = voter(3);
        address lazy = proposer(0);
        address good = proposer(1);
        settle();
        bytes32 stateBefore = keccak256(abi.encode(stateOf(0)));
        bytes32 rowsBefore = keccak256(abi.encode(rows(0)));

        vm.assertEq(task.participantRoles(0, silent), 1, "role");
        vm.assertEq(rowOf(0, silent).slashed, STAKE / 8, "slashed");
        vm.assertEq(rowOf(0, lazy).slashed, STAKE / 8, "slashed");
        vm.assertTrue(rowOf(0, good).rewarded != 0, "rewarded");

        rejoin(6);
        playHonestRound();
        skip(10_000);
        skipBlocks(100);
        vm.assertEq(keccak256(abi.encode(stateOf(0))), stateBefore, "round");
        vm.assertEq(keccak256(abi.encode(rows(0))), rowsBefore, "participants");
        vm.assertEq(task.participantRoles(0, lazy), 2, "role in an earlier round");
        vm.assertEq(task.contributions(0, good) != 0, true, "contribution in an earlier round");
        vm.assertEq(task.roundStakedTokens(0, silent), STAKE, "stake in an earlier round");
        (bytes32 hash,,) = task.votes(0, silent);
        vm.assertEq(hash, bytes32(0), "no vote");
        vm.assertEq(uint256(stateOf(0).phase), uint256(IFlockTask.Phase.Ended), "an earlier round is over");
        vm.assertTrue(stateOf(0).settled, "and settled");
    }

    function test_a_voided_rounds_deadlines_stand_still() external {
        enter(6);
        skip(1999);
        draw();
        contribute(proposer(0));
        skip(1);
        task.terminate();
        bytes32 before = keccak256(abi.encode(state()));
        vm.assertEq(state().commitOpen, 0, "never opened");
        skip(10_000);
        vm.assertEq(keccak256(abi.encode(state())), before, "stands still");
    }

    function test_someone_who_was_not_in_a_round_has_nothing_in_it() external {
        enter(5);
        draw();
        stake(actor(5), STAKE);
        vm.assertEq(task.participantRoles(0, actor(5)), 0, "no role");
        vm.assertEq(task.roundStakedTokens(0, actor(5)), 0, "no stake");
        vm.assertEq(task.contributions(0, actor(5)), bytes32(0), "no contribution");
        skip(100);
        finish();
        vm.assertTrue(!task.canBeSlashed(0, actor(5)), "no slash");
        settle();
        vm.prank(actor(5));
        task.joinRound(1, 1);
        vm.assertEq(task.participantRoles(0, actor(5)), 0, "still no role in round 0");
        vm.assertEq(task.roundStakedTokens(0, actor(5)), 0, "still no stake in round 0");
    }

    function test_a_round_nobody_knows_is_refused() external {
        vm.expectRevert(abi.encodeWithSelector(IFlockTaskErrors.UnknownRound.selector, 1));
        task.snapshot(1, new address[](0));
        vm.assertEq(task.globalModelHash(1), bytes32(0), "no model of a round to come");
    }

    function test_accounts_come_in_the_order_asked_for() external {
        stake(actor(0), STAKE);
        address[] memory ask = new address[](3);
        ask[0] = keeper;
        ask[1] = actor(0);
        ask[2] = keeper;
        (,,, IFlockTask.AccountState[] memory states) = task.snapshot(0, ask);
        vm.assertEq(states.length, 3, "all");
        vm.assertEq(states[0].account, keeper, "first");
        vm.assertEq(states[1].stakeLeft, STAKE, "second");
        vm.assertTrue(!states[2].everStaked, "third");
    }

    function test_a_round_of_100_fits_64_kilobytes() external {
        IFlockTask.TaskParameters memory p = defaults();
        p.maxNumberOfParticipants = 100;
        task = newTask(p);
        enter(100);
        draw();
        address[] memory one = new address[](1);
        (bool ok, bytes memory answer) =
            address(task).staticcall(abi.encodeCall(IFlockTask.snapshot, (uint256(0), one)));
        vm.assertTrue(ok, "call");
        vm.assertLt(answer.length, 64 * 1024, "size");
    }
}
