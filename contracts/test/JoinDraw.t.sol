// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IFlockTask} from "../src/interfaces/IFlockTask.sol";
import {IFlockTaskErrors} from "../src/interfaces/IFlockTaskErrors.sol";
import {RoundDraw} from "../src/libraries/RoundDraw.sol";
import {Vm} from "./support/Cheats.sol";
import {World} from "./support/World.sol";

/// Join and draw (protocol section 2, steps 1 and 2).
contract JoinDrawTest is World {
    // --- join ---

    function test_joining_fixes_stake_and_sample_count_for_the_round() external {
        stake(actor(0), STAKE);
        vm.expectEmit(address(task));
        emit IFlockTask.Joined(0, actor(0), STAKE, 77);
        vm.prank(actor(0));
        task.joinRound(0, 77);
        stake(actor(0), 1e18); // topping up after joining counts from the next round only
        vm.assertEq(task.roundStakedTokens(0, actor(0)), STAKE, "stake of the round");
        vm.assertEq(rowOf(0, actor(0)).sampleCount, 77, "sample count");
        vm.assertEq(task.nodeScore(actor(0)), STAKE + 1e18, "stake left");
        vm.assertEq(account(actor(0)).roundsJoined, 1, "rounds joined");
    }

    function test_joining_twice_is_refused() external {
        stake(actor(0), STAKE);
        join(actor(0));
        vm.expectRevert(IFlockTaskErrors.AlreadyJoined.selector);
        join(actor(0));
    }

    function test_joining_without_the_threshold_is_refused() external {
        vm.expectRevert(abi.encodeWithSelector(IFlockTaskErrors.StakeTooSmall.selector, 24e18));
        join(actor(0));
    }

    function test_joining_another_round_than_the_current_is_refused() external {
        stake(actor(0), STAKE);
        vm.expectRevert(abi.encodeWithSelector(IFlockTaskErrors.WrongRound.selector, 0));
        vm.prank(actor(0));
        task.joinRound(1, 1);
    }

    function test_a_full_roster_takes_nobody_else() external {
        enter(6);
        stake(actor(6), STAKE);
        vm.expectRevert(IFlockTaskErrors.RosterFull.selector);
        join(actor(6));
    }

    function test_joining_stays_open_after_the_deadline_until_the_draws_first_step() external {
        enter(2);
        stake(actor(2), STAKE);
        stake(actor(3), STAKE);
        skip(50 + 1000);
        join(actor(2));
        task.selectRoundParticipants(0);
        expectWrongPhase(IFlockTask.Phase.Draw);
        join(actor(3));
        vm.roll(state().seedBlock + 1);
        task.selectRoundParticipants(0);
        expectWrongPhase(IFlockTask.Phase.Propose);
        join(actor(3));
    }

    function test_the_next_join_deadline_counts_from_the_settlement() external {
        vm.assertEq(state().joinDeadline, block.timestamp + 50, "from creation");
        enter(6);
        playHonestRound();
        vm.assertEq(state().joinDeadline, block.timestamp + 50, "from settlement");
        vm.assertEq(taskState().lastSettledAt, block.timestamp, "last settled");
    }

    // --- draw, first step ---

    function test_the_draw_waits_for_the_deadline_unless_the_roster_is_full() external {
        enter(5);
        uint256 deadline = state().joinDeadline;
        vm.warp(deadline - 1);
        vm.expectRevert(abi.encodeWithSelector(IFlockTaskErrors.RosterNotReady.selector, 5, deadline));
        task.selectRoundParticipants(0);
        vm.warp(deadline);
        vm.expectEmit(address(task));
        emit IFlockTask.DrawFixed(0, block.number + 4, 5);
        task.selectRoundParticipants(0);
        assertPhase(IFlockTask.Phase.Draw);
        vm.assertEq(state().seedBlock, block.number + 4, "seed block");
    }

    function test_a_full_roster_is_drawn_at_once() external {
        enter(6);
        vm.assertTrue(block.timestamp < state().joinDeadline, "before the deadline");
        task.selectRoundParticipants(0);
        assertPhase(IFlockTask.Phase.Draw);
    }

    function test_too_few_participants_wait_in_join() external {
        enter(1);
        vm.assertTrue(!task.enoughParticipantsJoined(0), "not enough");
        skip(1000);
        vm.expectRevert(abi.encodeWithSelector(IFlockTaskErrors.RosterNotReady.selector, 1, state().joinDeadline));
        task.selectRoundParticipants(0);
        assertPhase(IFlockTask.Phase.Join);
        stake(actor(1), STAKE);
        join(actor(1));
        vm.assertTrue(task.enoughParticipantsJoined(0), "enough");
        task.selectRoundParticipants(0);
    }

    // --- draw, second step ---

    function test_roles_cannot_be_drawn_before_the_seed_block_is_known() external {
        enter(6);
        task.selectRoundParticipants(0);
        uint256 seedBlock = state().seedBlock;
        vm.roll(seedBlock);
        vm.expectRevert(abi.encodeWithSelector(IFlockTaskErrors.SeedBlockPending.selector, seedBlock));
        task.selectRoundParticipants(0);
        vm.roll(seedBlock + 1);
        task.selectRoundParticipants(0);
        assertPhase(IFlockTask.Phase.Propose);
        expectWrongPhase(IFlockTask.Phase.Propose);
        task.selectRoundParticipants(0);
    }

    function test_the_roles_are_the_permutation_of_the_seed_blocks_hash() external {
        enter(6);
        task.selectRoundParticipants(0);
        uint256 seedBlock = state().seedBlock;
        vm.roll(seedBlock + 3);
        vm.setBlockhash(seedBlock, keccak256("the seed block"));
        bytes32 seed = keccak256(abi.encode(keccak256("the seed block"), block.chainid, address(task), uint256(0)));
        (address[] memory proposers, address[] memory voters) = expectedRoles(seed, 6, 2);
        vm.expectEmit(address(task));
        emit IFlockTask.RolesDrawn(0, seed, proposers, voters);
        task.selectRoundParticipants(0);

        IFlockTask.ParticipantState[] memory list = rows(0);
        for (uint256 k = 0; k < 6; ++k) {
            address expected = k < 2 ? proposers[k] : voters[k - 2];
            vm.assertEq(list[k].account, expected, "draw order");
            vm.assertEq(task.participantRoles(0, expected), k < 2 ? 2 : 1, "role");
        }
        vm.assertEq(task.participantRoles(0, keeper), 0, "no role");
        vm.assertEq(state().drawnBlock, seedBlock + 3, "drawn block");
        vm.assertEq(state().drawnAt, block.timestamp, "drawn at");
    }

    /// Written out again, independently of the contract's library.
    function expectedRoles(bytes32 seed, uint256 n, uint256 p)
        private
        pure
        returns (address[] memory proposers, address[] memory voters)
    {
        address[] memory order = new address[](n);
        for (uint256 i = 0; i < n; ++i) {
            order[i] = actor(i);
        }
        for (uint256 i = n - 1; i > 0; --i) {
            uint256 j = uint256(keccak256(abi.encode(seed, i))) % (i + 1);
            address moved = order[i];
            order[i] = order[j];
            order[j] = moved;
        }
        proposers = new address[](p);
        voters = new address[](n - p);
        for (uint256 k = 0; k < n; ++k) {
            if (k < p) proposers[k] = order[k];
            else voters[k - p] = order[k];
        }
    }

    function test_a_seed_block_up_to_256_back_counts_without_a_history_contract() external {
        enter(6);
        task.selectRoundParticipants(0);
        vm.roll(state().seedBlock + 256);
        task.selectRoundParticipants(0);
        assertPhase(IFlockTask.Phase.Propose);
    }

    function test_a_seed_block_that_aged_out_fixes_another_with_the_same_roster() external {
        vm.etch(HISTORY, ""); // a chain without EIP-2935
        enter(6);
        task.selectRoundParticipants(0);
        vm.roll(state().seedBlock + 257);
        vm.expectEmit(address(task));
        emit IFlockTask.DrawReset(0, block.number + 4);
        task.selectRoundParticipants(0);
        assertPhase(IFlockTask.Phase.Draw);
        vm.assertEq(state().joined, 6, "same roster");
        vm.assertEq(state().seedBlock, block.number + 4, "new seed block");
        stake(actor(6), STAKE);
        expectWrongPhase(IFlockTask.Phase.Draw);
        join(actor(6));
        vm.roll(state().seedBlock + 1);
        task.selectRoundParticipants(0);
        assertPhase(IFlockTask.Phase.Propose);
    }

    address private constant HISTORY = 0x0000F90827F1C53a10cb7A02335B175320002935;

    function test_an_older_seed_block_is_taken_from_the_history_contract() external {
        // Answers every block number with a hash (push32 0x42.., mstore, return).
        vm.etch(HISTORY, abi.encodePacked(hex"7f", bytes32(uint256(0x42)), hex"60005260206000f3"));
        enter(6);
        task.selectRoundParticipants(0);
        vm.roll(state().seedBlock + 5000);
        bytes32 seed = RoundDraw.seedOf(bytes32(uint256(0x42)), block.chainid, address(task), 0);
        vm.recordLogs();
        task.selectRoundParticipants(0);
        assertPhase(IFlockTask.Phase.Propose);
        Vm.Log[] memory logs = vm.getRecordedLogs();
        (bytes32 used,,) = abi.decode(logs[0].data, (bytes32, address[], address[]));
        vm.assertEq(used, seed, "seed");
    }

    function test_the_seed_depends_on_chain_task_and_round() external pure {
        bytes32 h = keccak256("h");
        bytes32 seed = RoundDraw.seedOf(h, 1, address(1), 0);
        vm.assertTrue(seed != RoundDraw.seedOf(h, 2, address(1), 0), "chain");
        vm.assertTrue(seed != RoundDraw.seedOf(h, 1, address(2), 0), "task");
        vm.assertTrue(seed != RoundDraw.seedOf(h, 1, address(1), 1), "round");
    }

    function test_there_is_at_least_one_proposer_and_at_least_one_voter() external pure {
        vm.assertEq(RoundDraw.proposerCount(2, 1), 1, "never none");
        vm.assertEq(RoundDraw.proposerCount(2, 0.5e18), 1, "half of two");
        vm.assertEq(RoundDraw.proposerCount(3, 1e18), 2, "never all");
        vm.assertEq(RoundDraw.proposerCount(19, 0.1e18), 1, "rounded down");
        vm.assertEq(RoundDraw.proposerCount(20, 0.1e18), 2, "a tenth");
        vm.assertEq(RoundDraw.proposerCount(100, 0.5e18), 50, "half");
    }

    function testFuzz_every_draw_is_a_permutation(bytes32 seed, uint256 n) external pure {
        n = 2 + n % 99;
        uint256[] memory order = RoundDraw.shuffle(seed, n);
        uint256 seen;
        for (uint256 k = 0; k < n; ++k) {
            seen |= 1 << order[k];
        }
        vm.assertEq(seen, (uint256(1) << n) - 1, "each once");
    }

    function test_every_participant_becomes_proposer_about_equally_often() external pure {
        uint256[6] memory count;
        for (uint256 i = 0; i < 1200; ++i) {
            uint256[] memory order = RoundDraw.shuffle(keccak256(abi.encode("fair", i)), 6);
            count[order[0]]++;
            count[order[1]]++;
        }
        // 400 expected each, standard deviation 16.
        for (uint256 k = 0; k < 6; ++k) {
            vm.assertTrue(count[k] > 330 && count[k] < 470, "fair");
        }
    }

    function test_anyone_may_draw() external {
        enter(6);
        vm.prank(keeper);
        task.selectRoundParticipants(0);
        vm.roll(state().seedBlock + 1);
        vm.prank(actor(99));
        task.selectRoundParticipants(0);
        assertPhase(IFlockTask.Phase.Propose);
    }

    function test_the_digest_names_the_draw() external {
        vm.assertEq(task.roundDigest(0), bytes32(0), "none before");
        enter(6);
        draw();
        vm.assertTrue(state().drawDigest != 0, "set by the draw");
        vm.assertEq(task.roundDigest(0), state().drawDigest, "equal until contributions come");
    }
}
