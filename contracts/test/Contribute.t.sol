// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IFlockTask} from "../src/interfaces/IFlockTask.sol";
import {IFlockTaskErrors} from "../src/interfaces/IFlockTaskErrors.sol";
import {World} from "./support/World.sol";

/// Propose (protocol section 2, step 3): 2 proposers, 4 voters, a window of 100 s.
contract ContributeTest is World {
    function setUp() public override {
        super.setUp();
        enter(6);
        draw();
    }

    function expectContribute(bytes memory reason, address who, bytes32 digest, bytes32 hash) private {
        vm.expectRevert(reason);
        vm.prank(who);
        task.contribute(0, digest, hash);
    }

    function test_a_contribution_is_stored_with_seat_and_block() external {
        bytes32 digest = state().drawDigest;
        skipBlocks(3);
        vm.expectEmit(address(task));
        emit IFlockTask.Contributed(0, proposer(1), 1, keccak256("m"));
        address second = proposer(1);
        vm.prank(second);
        task.contribute(0, digest, keccak256("m"));
        vm.assertEq(task.contributions(0, second), keccak256("m"), "hash");
        vm.assertEq(rowOf(0, second).contributedBlock, block.number, "block");
        vm.assertEq(state().contributed, 1, "count");
        vm.assertTrue(!task.allContributed(0), "one is missing");
        vm.assertEq(task.contributions(0, proposer(0)), bytes32(0), "the other");
    }

    function test_only_drawn_proposers_contribute() external {
        bytes32 digest = state().drawDigest;
        bytes memory reason = abi.encodeWithSelector(IFlockTaskErrors.NotProposer.selector);
        expectContribute(reason, voter(0), digest, keccak256("m"));
        expectContribute(reason, keeper, digest, keccak256("m"));
    }

    function test_a_proposer_contributes_once() external {
        bytes32 digest = state().drawDigest;
        address first = proposer(0);
        contribute(first);
        expectContribute(
            abi.encodeWithSelector(IFlockTaskErrors.AlreadyContributed.selector), first, digest, keccak256("other")
        );
    }

    function test_the_zero_hash_and_the_start_hash_are_refused() external {
        bytes32 digest = state().drawDigest;
        bytes memory reason = abi.encodeWithSelector(IFlockTaskErrors.InvalidModelHash.selector);
        expectContribute(reason, proposer(0), digest, 0);
        expectContribute(reason, proposer(0), digest, GENESIS);
    }

    function test_the_start_hash_of_a_later_round_is_refused_too() external {
        contributeAll();
        voteAll(AGGREGATE, 1, 3);
        finish();
        settle();
        rejoin(6);
        draw();
        bytes32 digest = state().drawDigest;
        address first = proposer(0);
        vm.expectRevert(IFlockTaskErrors.InvalidModelHash.selector);
        vm.prank(first);
        task.contribute(1, digest, AGGREGATE);
        vm.prank(first);
        task.contribute(1, digest, GENESIS); // a new model as far as this round is concerned
    }

    function test_a_contribution_names_the_draw_it_was_computed_from() external {
        bytes32 digest = state().drawDigest;
        bytes memory reason = abi.encodeWithSelector(IFlockTaskErrors.StaleDigest.selector, digest);
        expectContribute(reason, proposer(0), keccak256("another draw"), keccak256("m"));
        contribute(proposer(1));
        // Another's contribution moves the round's digest, not the draw's part.
        expectContribute(reason, proposer(0), task.roundDigest(0), keccak256("m"));
        contribute(proposer(0));
    }

    function test_each_contribution_extends_the_round_digest_by_seat_and_hash() external {
        bytes32 digest = state().drawDigest;
        contribute(proposer(1));
        digest = keccak256(abi.encode(digest, uint256(1), model(proposer(1))));
        vm.assertEq(task.roundDigest(0), digest, "after the first");
        contribute(proposer(0));
        digest = keccak256(abi.encode(digest, uint256(0), model(proposer(0))));
        vm.assertEq(task.roundDigest(0), digest, "after the second");
        vm.assertTrue(state().drawDigest != digest, "the draw's part stays");
    }

    function test_the_window_is_half_open() external {
        uint256 deadline = state().proposeDeadline;
        vm.assertEq(deadline, block.timestamp + 100, "draw + window");
        bytes32 digest = state().drawDigest;
        vm.warp(deadline - 1);
        contribute(proposer(0));
        vm.warp(deadline);
        expectContribute(
            abi.encodeWithSelector(IFlockTaskErrors.WrongPhase.selector, IFlockTask.Phase.Commit),
            proposer(1),
            digest,
            keccak256("m")
        );
    }

    function test_contributing_before_the_draw_is_refused() external {
        contributeAll();
        voteAll(AGGREGATE, 1, 3);
        finish();
        settle();
        rejoin(6);
        expectWrongPhase(IFlockTask.Phase.Join);
        vm.prank(actor(0));
        task.contribute(1, 0, keccak256("m"));
    }

    function test_commit_opens_with_the_last_missing_contribution() external {
        skip(10);
        contribute(proposer(0));
        assertPhase(IFlockTask.Phase.Propose);
        vm.assertEq(state().commitOpen, 0, "not known yet");
        skip(10);
        contribute(proposer(1));
        assertPhase(IFlockTask.Phase.Commit);
        vm.assertTrue(task.allContributed(0), "all");
        vm.assertEq(state().commitOpen, block.timestamp, "now");
        vm.assertEq(state().commitDeadline, block.timestamp + 200, "commit window");
    }

    function test_with_a_contribution_missing_commit_opens_at_the_deadline() external {
        contribute(proposer(0));
        uint256 deadline = state().proposeDeadline;
        vm.warp(deadline + 30);
        assertPhase(IFlockTask.Phase.Commit);
        vm.assertEq(state().commitOpen, deadline, "at the deadline, not when somebody looks");
        vm.assertEq(state().commitDeadline, deadline + 200, "commit window");
    }

    function test_without_any_contribution_the_round_is_over_at_the_deadline() external {
        vm.warp(state().proposeDeadline - 1);
        assertPhase(IFlockTask.Phase.Propose);
        expectWrongPhase(IFlockTask.Phase.Propose);
        task.finishRound(0);
        skip(1);
        assertPhase(IFlockTask.Phase.Finish);
        vm.assertEq(state().commitOpen, 0, "no vote");
        finish();
        assertOutcome(IFlockTask.Outcome.Empty);
    }
}
