// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IFlockTask} from "../src/interfaces/IFlockTask.sol";
import {IFlockTaskErrors} from "../src/interfaces/IFlockTaskErrors.sol";
import {RoundVote} from "../src/libraries/RoundVote.sol";
import {World} from "./support/World.sol";

/// Commit and reveal (protocol section 2, steps 4 and 5): 2 proposers, 4 voters, windows of 200 s and 300 s.
contract VoteTest is World {
    function setUp() public override {
        super.setUp();
        enter(6);
        draw();
    }

    function expectCommit(bytes memory reason, address who, bytes32 digest, bytes32 c) private {
        vm.expectRevert(reason);
        vm.prank(who);
        task.commitVote(0, digest, c);
    }

    function expectReveal(bytes memory reason, address who, bytes32 hash, int8 score, uint256 mask) private {
        vm.expectRevert(reason);
        reveal(who, hash, score, mask);
    }

    function commitAll(bytes32 hash, int8 score, uint256 mask) private {
        for (uint256 k = 0; k < 4; ++k) {
            commit(voter(k), hash, score, mask);
        }
    }

    // --- commit ---

    function test_a_commitment_is_stored_with_its_block() external {
        contributeAll();
        skipBlocks(2);
        address v = voter(1);
        bytes32 c = commitment(v, AGGREGATE, 1, 3);
        bytes32 digest = task.roundDigest(0);
        vm.expectEmit(address(task));
        emit IFlockTask.VoteCommitted(0, v, c);
        vm.prank(v);
        task.commitVote(0, digest, c);
        vm.assertEq(rowOf(0, v).commitment, c, "commitment");
        vm.assertEq(rowOf(0, v).committedBlock, block.number, "block");
        vm.assertEq(state().committed, 1, "count");
        vm.assertEq(rowOf(0, v).contribution, bytes32(0), "not a contribution");
    }

    function test_only_drawn_voters_commit() external {
        contributeAll();
        bytes32 digest = task.roundDigest(0);
        bytes memory reason = abi.encodeWithSelector(IFlockTaskErrors.NotVoter.selector);
        expectCommit(reason, proposer(0), digest, keccak256("c"));
        expectCommit(reason, keeper, digest, keccak256("c"));
    }

    function test_a_voter_commits_once() external {
        contributeAll();
        commit(voter(0), AGGREGATE, 1, 3);
        expectCommit(
            abi.encodeWithSelector(IFlockTaskErrors.AlreadyCommitted.selector),
            voter(0),
            task.roundDigest(0),
            keccak256("another")
        );
    }

    function test_the_zero_commitment_is_refused() external {
        contributeAll();
        expectCommit(
            abi.encodeWithSelector(IFlockTaskErrors.InvalidCommitment.selector), voter(0), task.roundDigest(0), 0
        );
    }

    function test_a_commitment_names_the_contributions_it_was_computed_from() external {
        contributeAll();
        bytes32 digest = task.roundDigest(0);
        bytes memory reason = abi.encodeWithSelector(IFlockTaskErrors.StaleDigest.selector, digest);
        expectCommit(reason, voter(0), state().drawDigest, keccak256("c"));
    }

    function test_committing_before_the_contributions_are_in_is_refused() external {
        contribute(proposer(0));
        expectCommit(
            abi.encodeWithSelector(IFlockTaskErrors.WrongPhase.selector, IFlockTask.Phase.Propose),
            voter(0),
            task.roundDigest(0),
            keccak256("c")
        );
    }

    function test_the_commit_window_is_half_open() external {
        contributeAll();
        uint256 deadline = state().commitDeadline;
        vm.warp(deadline - 1);
        commit(voter(0), AGGREGATE, 1, 3);
        vm.warp(deadline);
        expectCommit(
            abi.encodeWithSelector(IFlockTaskErrors.WrongPhase.selector, IFlockTask.Phase.Reveal),
            voter(1),
            task.roundDigest(0),
            keccak256("c")
        );
    }

    function test_reveal_opens_with_the_last_missing_commitment() external {
        contributeAll();
        skip(7);
        for (uint256 k = 0; k < 3; ++k) {
            commit(voter(k), AGGREGATE, 1, 3);
        }
        assertPhase(IFlockTask.Phase.Commit);
        vm.assertEq(state().revealOpen, 0, "not known yet");
        expectReveal(
            abi.encodeWithSelector(IFlockTaskErrors.WrongPhase.selector, IFlockTask.Phase.Commit),
            voter(0),
            AGGREGATE,
            1,
            3
        );
        skip(5);
        commit(voter(3), AGGREGATE, 1, 3);
        assertPhase(IFlockTask.Phase.Reveal);
        vm.assertEq(state().revealOpen, block.timestamp, "now");
        vm.assertEq(state().revealDeadline, block.timestamp + 300, "reveal window");
    }

    function test_with_a_commitment_missing_reveal_opens_at_the_deadline() external {
        contributeAll();
        commit(voter(0), AGGREGATE, 1, 3);
        uint256 deadline = state().commitDeadline;
        vm.warp(deadline + 11);
        assertPhase(IFlockTask.Phase.Reveal);
        vm.assertEq(state().revealOpen, deadline, "at the deadline");
        vm.assertEq(state().revealDeadline, deadline + 300, "reveal window");
    }

    function test_without_any_commitment_the_round_is_over_at_the_commit_deadline() external {
        contributeAll();
        vm.warp(state().commitDeadline - 1);
        expectWrongPhase(IFlockTask.Phase.Commit);
        task.finishRound(0);
        skip(1);
        assertPhase(IFlockTask.Phase.Finish);
        finish();
        assertOutcome(IFlockTask.Outcome.Inconclusive);
    }

    // --- reveal ---

    function test_a_reveal_is_stored_with_its_block() external {
        contributeAll();
        commitAll(AGGREGATE, -1, 2);
        skipBlocks(5);
        vm.expectEmit(address(task));
        emit IFlockTask.VoteRevealed(0, voter(2), AGGREGATE, -1, 2);
        reveal(voter(2), AGGREGATE, -1, 2);
        (bytes32 hash, int8 score, uint256 mask) = task.votes(0, voter(2));
        vm.assertEq(hash, AGGREGATE, "hash");
        vm.assertEq(int256(score), -1, "score");
        vm.assertEq(mask, 2, "mask");
        vm.assertEq(rowOf(0, voter(2)).revealedBlock, block.number, "block");
        vm.assertEq(state().revealed, 1, "count");
    }

    function test_what_is_revealed_must_be_what_was_committed() external {
        contributeAll();
        commitAll(AGGREGATE, 1, 3);
        bytes memory reason = abi.encodeWithSelector(IFlockTaskErrors.CommitmentMismatch.selector);
        expectReveal(reason, voter(0), keccak256("other"), 1, 3);
        expectReveal(reason, voter(0), AGGREGATE, -1, 3);
        expectReveal(reason, voter(0), AGGREGATE, 1, 1);
        address v = voter(0);
        vm.expectRevert(reason);
        vm.prank(v);
        task.revealVote(0, AGGREGATE, 1, 3, keccak256("another salt"));
        reveal(v, AGGREGATE, 1, 3);
    }

    function test_a_copied_commitment_cannot_be_revealed() external {
        contributeAll();
        address honest = voter(0);
        address copier = voter(1);
        bytes32 copied = commitment(honest, AGGREGATE, 1, 3);
        bytes32 digest = task.roundDigest(0);
        commit(honest, AGGREGATE, 1, 3);
        vm.prank(copier);
        task.commitVote(0, digest, copied);
        vm.warp(state().commitDeadline);
        reveal(honest, AGGREGATE, 1, 3);
        bytes32 revealedSalt = saltOf(honest);
        vm.expectRevert(IFlockTaskErrors.CommitmentMismatch.selector);
        vm.prank(copier);
        task.revealVote(0, AGGREGATE, 1, 3, revealedSalt);
    }

    function test_a_commitment_for_another_chain_task_or_round_cannot_be_revealed() external {
        contributeAll();
        bytes32 digest = task.roundDigest(0);
        address[4] memory who = [voter(0), voter(1), voter(2), voter(3)];
        bytes32[4] memory foreign = [
            RoundVote.commitmentOf(1, address(task), 0, who[0], AGGREGATE, 1, 3, saltOf(who[0])),
            RoundVote.commitmentOf(block.chainid, address(manager), 0, who[1], AGGREGATE, 1, 3, saltOf(who[1])),
            RoundVote.commitmentOf(block.chainid, address(task), 1, who[2], AGGREGATE, 1, 3, saltOf(who[2])),
            RoundVote.commitmentOf(block.chainid, address(task), 0, who[0], AGGREGATE, 1, 3, saltOf(who[3]))
        ];
        for (uint256 k = 0; k < 4; ++k) {
            vm.prank(who[k]);
            task.commitVote(0, digest, foreign[k]);
        }
        for (uint256 k = 0; k < 4; ++k) {
            expectReveal(abi.encodeWithSelector(IFlockTaskErrors.CommitmentMismatch.selector), who[k], AGGREGATE, 1, 3);
        }
    }

    function test_a_voter_reveals_once() external {
        contributeAll();
        commitAll(AGGREGATE, 1, 3);
        reveal(voter(0), AGGREGATE, 1, 3);
        expectReveal(abi.encodeWithSelector(IFlockTaskErrors.AlreadyRevealed.selector), voter(0), AGGREGATE, 1, 3);
    }

    function test_only_committers_reveal() external {
        contributeAll();
        commit(voter(0), AGGREGATE, 1, 3);
        vm.warp(state().commitDeadline);
        expectReveal(abi.encodeWithSelector(IFlockTaskErrors.NotCommitted.selector), voter(1), AGGREGATE, 1, 3);
        expectReveal(abi.encodeWithSelector(IFlockTaskErrors.NotVoter.selector), proposer(0), AGGREGATE, 1, 3);
        expectReveal(abi.encodeWithSelector(IFlockTaskErrors.NotVoter.selector), keeper, AGGREGATE, 1, 3);
    }

    function test_the_score_is_plus_or_minus_one() external {
        contributeAll();
        int8[4] memory scores = [int8(0), 2, -2, type(int8).max];
        for (uint256 k = 0; k < 4; ++k) {
            commit(voter(k), AGGREGATE, scores[k], 3);
        }
        for (uint256 k = 0; k < 4; ++k) {
            expectReveal(
                abi.encodeWithSelector(IFlockTaskErrors.InvalidScore.selector, scores[k]),
                voter(k),
                AGGREGATE,
                scores[k],
                3
            );
        }
    }

    function test_a_bit_for_a_proposer_without_contribution_is_refused() external {
        contribute(proposer(1));
        vm.warp(state().proposeDeadline);
        uint256[4] memory masks = [uint256(1), 3, 4, 2];
        for (uint256 k = 0; k < 4; ++k) {
            commit(voter(k), AGGREGATE, 1, masks[k]);
        }
        for (uint256 k = 0; k < 3; ++k) {
            expectReveal(
                abi.encodeWithSelector(IFlockTaskErrors.InvalidMask.selector, masks[k]),
                voter(k),
                AGGREGATE,
                1,
                masks[k]
            );
        }
        reveal(voter(3), AGGREGATE, 1, 2);
    }

    function test_high_mask_bits_do_not_wrap() external {
        contributeAll();
        uint256 mask = (uint256(1) << 56) | 3;
        commitAll(AGGREGATE, 1, mask);
        expectReveal(abi.encodeWithSelector(IFlockTaskErrors.InvalidMask.selector, mask), voter(0), AGGREGATE, 1, mask);
    }

    function test_mask_0_is_only_for_the_start_model_with_score_minus_one() external {
        contributeAll();
        commit(voter(0), AGGREGATE, -1, 0);
        commit(voter(1), GENESIS, 1, 0);
        commit(voter(2), AGGREGATE, 1, 0);
        commit(voter(3), GENESIS, -1, 0);
        bytes memory reason = abi.encodeWithSelector(IFlockTaskErrors.InvalidMask.selector, 0);
        expectReveal(reason, voter(0), AGGREGATE, -1, 0);
        expectReveal(reason, voter(1), GENESIS, 1, 0);
        expectReveal(reason, voter(2), AGGREGATE, 1, 0);
        reveal(voter(3), GENESIS, -1, 0);
    }

    function test_a_vote_for_the_zero_hash_is_refused() external {
        contributeAll();
        commitAll(0, 1, 3);
        expectReveal(abi.encodeWithSelector(IFlockTaskErrors.InvalidModelHash.selector), voter(0), 0, 1, 3);
    }

    function test_the_reveal_window_is_half_open() external {
        contributeAll();
        commitAll(AGGREGATE, 1, 3);
        uint256 deadline = state().revealDeadline;
        vm.warp(deadline - 1);
        reveal(voter(0), AGGREGATE, 1, 3);
        vm.warp(deadline);
        expectReveal(
            abi.encodeWithSelector(IFlockTaskErrors.WrongPhase.selector, IFlockTask.Phase.Finish),
            voter(1),
            AGGREGATE,
            1,
            3
        );
    }

    // --- finish ---

    function test_finish_is_due_when_every_committer_has_revealed() external {
        contributeAll();
        commit(voter(0), AGGREGATE, 1, 3);
        commit(voter(1), AGGREGATE, 1, 3);
        vm.warp(state().commitDeadline);
        reveal(voter(0), AGGREGATE, 1, 3);
        expectWrongPhase(IFlockTask.Phase.Reveal);
        task.finishRound(0);
        reveal(voter(1), AGGREGATE, 1, 3);
        assertPhase(IFlockTask.Phase.Finish);
        finish();
        assertPhase(IFlockTask.Phase.Settle);
    }

    function test_finish_is_due_at_the_reveal_deadline() external {
        contributeAll();
        commitAll(AGGREGATE, 1, 3);
        uint256 deadline = state().revealDeadline;
        vm.warp(deadline - 1);
        assertPhase(IFlockTask.Phase.Reveal);
        vm.warp(deadline);
        assertPhase(IFlockTask.Phase.Finish);
        vm.assertTrue(!task.hasRoundFinished(0), "a transaction is due");
        finish();
        vm.assertTrue(task.hasRoundFinished(0), "finished");
        vm.assertEq(state().finishedBlock, block.number, "block");
        vm.assertEq(state().finishedAt, block.timestamp, "time");
    }

    function test_a_round_finishes_once() external {
        contributeAll();
        voteAll(AGGREGATE, 1, 3);
        finish();
        expectWrongPhase(IFlockTask.Phase.Settle);
        task.finishRound(0);
    }

    function test_a_stalled_round_always_moves_on() external {
        // Nobody but a keeper acts from here on, in any of the phases of the three rounds of the task.
        vm.warp(block.timestamp + 1 days);
        finish(); // no contribution
        settle();
        rejoin(6);
        draw();
        contribute(proposer(0));
        skip(1 days);
        finish(); // no commitment
        settle();
        rejoin(6);
        draw();
        contribute(proposer(0));
        vm.warp(state().proposeDeadline);
        commit(voter(0), AGGREGATE, 1, 1);
        skip(1 days);
        finish(); // no reveal
        assertOutcome(IFlockTask.Outcome.Inconclusive);
        settle();
        vm.assertTrue(task.isFinished(), "finished");
    }
}
