// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IFlockTask} from "../../src/interfaces/IFlockTask.sol";
import {IFlockTaskErrors} from "../../src/interfaces/IFlockTaskErrors.sol";
import {RoundVote} from "../../src/libraries/RoundVote.sol";
import {World} from "../support/World.sol";

/// Attacks on commitments, reveals and the count. Actors 0 and 1 are proposers, 2 to 5 voters of equal stake.
contract VoteAttacksTest is World {
    uint256 private constant SLASH = STAKE / 8;
    bytes32 private constant EVIL = keccak256("what the attacker trained");

    function begin() private {
        enter(6);
        drawAsJoined();
        contributeAll();
    }

    function test_copying_a_commitment_costs_the_copier_a_slash() external {
        begin();
        bytes32 copied = commitment(voter(0), AGGREGATE, 1, 3);
        bytes32 digest = task.roundDigest(0);
        for (uint256 k = 0; k < 3; ++k) {
            commit(voter(k), AGGREGATE, 1, 3);
        }
        vm.prank(voter(3));
        task.commitVote(0, digest, copied);
        for (uint256 k = 0; k < 3; ++k) {
            reveal(voter(k), AGGREGATE, 1, 3);
        }
        // Everything about the copied vote is public now, and still nothing opens it: the preimage names the voter.
        bytes32 salt = saltOf(voter(0));
        address copier = voter(3);
        vm.expectRevert(IFlockTaskErrors.CommitmentMismatch.selector);
        vm.prank(copier);
        task.revealVote(0, AGGREGATE, 1, 3, salt);
        vm.warp(state().revealDeadline);
        finish();
        assertOutcome(IFlockTask.Outcome.Accepted);
        settle();
        vm.assertEq(rowOf(0, copier).slashed, SLASH, "slashed as silent");
        vm.assertTrue(rowOf(0, actor(2)).rewarded > 0, "the copied voter is paid all the same");
    }

    function test_the_same_vote_of_another_task_or_chain_or_round_has_another_commitment() external {
        begin();
        address v = voter(0);
        bytes32 here = commitment(v, AGGREGATE, 1, 3);
        IFlockTask first = task;
        task = newTask(defaults());
        vm.assertTrue(commitment(v, AGGREGATE, 1, 3) != here, "another task");
        task = first;
        round = 1;
        vm.assertTrue(commitment(v, AGGREGATE, 1, 3) != here, "another round");
        round = 0;
        commit(v, AGGREGATE, 1, 3);
        vm.warp(state().commitDeadline);
        // A fork of the chain keeps the commitment, not its meaning.
        vm.chainId(block.chainid + 1);
        bytes32 salt = saltOf(v);
        vm.expectRevert(IFlockTaskErrors.CommitmentMismatch.selector);
        vm.prank(v);
        task.revealVote(0, AGGREGATE, 1, 3, salt);
    }

    function test_the_last_revealer_can_only_make_a_round_inconclusive_and_only_at_the_price_of_a_slash() external {
        begin();
        // Half of the stake votes for the aggregate, a quarter against it: the decision hangs on whether actor 5 opens its vote.
        commit(actor(2), AGGREGATE, 1, 3);
        commit(actor(3), AGGREGATE, 1, 3);
        commit(actor(4), AGGREGATE, -1, 3);
        commit(actor(5), EVIL, 1, 3);
        reveal(actor(2), AGGREGATE, 1, 3);
        reveal(actor(3), AGGREGATE, 1, 3);
        uint256 before = vm.snapshotState();
        vm.warp(state().revealDeadline);
        finish();
        assertOutcome(IFlockTask.Outcome.Inconclusive); // half is not a majority, two commitments stayed shut
        settle();
        for (uint256 i = 0; i < 6; ++i) {
            vm.assertEq(rowOf(0, actor(i)).slashed, i < 4 ? 0 : SLASH, "only who stayed silent pays");
        }
        vm.assertTrue(vm.revertToState(before), "again");
        round = 0;
        reveal(actor(4), AGGREGATE, -1, 3);
        vm.warp(state().revealDeadline);
        finish();
        assertOutcome(IFlockTask.Outcome.Accepted); // three quarters, 2 : 1
        settle();
        vm.assertEq(rowOf(0, actor(5)).slashed, SLASH, "withholding did not help and cost the same");
    }

    function test_withholding_a_reveal_neither_stalls_the_round_nor_goes_unpunished() external {
        begin();
        for (uint256 k = 0; k < 4; ++k) {
            commit(voter(k), AGGREGATE, 1, 3);
        }
        for (uint256 k = 1; k < 4; ++k) {
            reveal(voter(k), AGGREGATE, 1, 3);
        }
        address withholder = voter(0);
        vm.warp(state().revealDeadline);
        finish();
        settle();
        IFlockTask.ParticipantState memory row = rowOf(0, withholder);
        vm.assertEq(row.slashed, SLASH, "slashed");
        vm.assertEq(row.rewarded, 0, "and not paid");
        vm.assertEq(task.currentRound(), 1, "the next round is open");
    }

    /// All that there is to guess about a vote: two scores, a few hashes, 2^proposers masks. Which guess fits; 24 if none does.
    function guess(address v, bytes32 target, bytes32 salt) private view returns (uint256 i) {
        for (i = 0; i < 24 && guessed(i, v, salt) != target; ++i) {}
    }

    function guessed(uint256 i, address v, bytes32 salt) private view returns (bytes32) {
        bytes32[3] memory hashes = [GENESIS, EVIL, AGGREGATE];
        int8 score = i % 2 == 0 ? int8(-1) : int8(1);
        return RoundVote.commitmentOf(block.chainid, address(task), 0, v, hashes[i / 8], score, i / 2 % 4, salt);
    }

    function test_brute_forcing_a_commitment_needs_the_salt() external {
        begin();
        address careless = voter(0);
        address careful = voter(1);
        bytes32 predictable = keccak256(abi.encode(careless, uint256(0))); // address and round: everybody can compute it
        bytes32 random = 0x8f1c5f0b6d1e44f2a9d3c07be65a1274d0c98e3b2f7a61550e4d9bc3a87f6e21;
        bytes32 digest = task.roundDigest(0);
        bytes32 weak = RoundVote.commitmentOf(block.chainid, address(task), 0, careless, AGGREGATE, 1, 3, predictable);
        bytes32 strong = RoundVote.commitmentOf(block.chainid, address(task), 0, careful, AGGREGATE, 1, 3, random);
        vm.prank(careless);
        task.commitVote(0, digest, weak);
        vm.prank(careful);
        task.commitVote(0, digest, strong);
        // AGGREGATE, +1, mask 3 is the last of the 24.
        vm.assertEq(guess(careless, weak, predictable), 23, "with a known salt 24 guesses read the vote");
        vm.assertEq(guess(careful, strong, random), 23, "these are the right guesses");
        // 32 unknown bytes in the preimage: one bit off is as far away as anything.
        for (uint256 bit = 0; bit < 256; ++bit) {
            vm.assertEq(guess(careful, strong, random ^ bytes32(1 << bit)), 24, "a near miss says nothing");
        }
        IFlockTask.ParticipantState memory row = rowOf(0, careful);
        vm.assertTrue(
            row.voteHash == 0 && row.voteScore == 0 && row.voteMask == 0, "nor does the contract before the reveal"
        );
    }

    function test_one_lone_revealer_decides_nothing_below_the_quorum() external {
        begin();
        address lone = voter(0);
        commit(lone, EVIL, 1, 3);
        vm.warp(state().commitDeadline);
        reveal(lone, EVIL, 1, 3);
        finish();
        assertOutcome(IFlockTask.Outcome.Inconclusive);
        settle();
        vm.assertEq(task.globalModelHash(1), GENESIS, "the start model stays");
        vm.assertEq(account(lone).claimable, 0, "nothing for being alone");
        vm.assertEq(account(actor(3)).stakeLeft, STAKE - SLASH, "the silent are slashed");
    }

    /// A drawn set of one proposer and 20 voters: 7 vote together, 13 honest ones fall apart into groups that are all smaller.
    function group(uint16 quorumBps) private {
        IFlockTask.TaskParameters memory p = defaults();
        p.maxNumberOfParticipants = 21;
        p.participantsDistributionRate = 0.05e18;
        p.quorumBps = quorumBps;
        task = newTask(p);
        enter(21);
        draw();
        contributeAll();
        address[] memory v = voterList();
        for (uint256 k = 0; k < 20; ++k) {
            (bytes32 hash, int8 score) = voteOf(k);
            commit(v[k], hash, score, 1);
        }
        for (uint256 k = 0; k < 20; ++k) {
            (bytes32 hash, int8 score) = voteOf(k);
            reveal(v[k], hash, score, 1);
        }
        finish();
    }

    function voteOf(uint256 k) private pure returns (bytes32, int8) {
        return k < 7 ? (EVIL, int8(1)) : (keccak256(abi.encode("honest", k % 3)), int8(-1));
    }

    function test_a_group_of_35_percent_against_split_honest_votes_gets_nothing_adopted() external {
        group(5000);
        assertOutcome(IFlockTask.Outcome.Inconclusive);
        vm.assertEq(state().popularHash, EVIL, "although it is the largest");
        settle();
        vm.assertEq(task.globalModelHash(1), GENESIS, "not adopted");
        vm.assertEq(stateOf(0).slashedTotal, 0, "and no honest voter is slashed");
    }

    function test_a_quorum_below_a_half_would_let_the_35_percent_win() external {
        group(3400);
        assertOutcome(IFlockTask.Outcome.Accepted);
        settle();
        vm.assertEq(task.globalModelHash(1), EVIL, "which is why the default is 5000");
    }

    function test_a_majority_of_one_wins_the_round_but_no_more_than_the_round() external {
        // Known limit: safety needs honest stake above half of every drawn voter set.
        begin();
        for (uint256 k = 0; k < 4; ++k) {
            commit(voter(k), k < 3 ? EVIL : AGGREGATE, 1, 3);
        }
        for (uint256 k = 0; k < 4; ++k) {
            reveal(voter(k), k < 3 ? EVIL : AGGREGATE, 1, 3);
        }
        finish();
        address honest = voter(3);
        settle();
        vm.assertEq(task.globalModelHash(1), EVIL, "adopted");
        vm.assertEq(rowOf(0, honest).slashed, SLASH, "an eighth of the honest voter's stake, not all of it");
    }

    function test_a_mask_bit_for_an_absent_proposer_wastes_the_commitment() external {
        enter(6);
        drawAsJoined();
        contribute(proposer(0));
        vm.warp(state().proposeDeadline);
        address v = voter(0);
        commit(v, AGGREGATE, 1, 3);
        for (uint256 k = 1; k < 4; ++k) {
            commit(voter(k), AGGREGATE, 1, 1);
        }
        bytes32 salt = saltOf(v);
        vm.expectRevert(abi.encodeWithSelector(IFlockTaskErrors.InvalidMask.selector, 3));
        vm.prank(v);
        task.revealVote(0, AGGREGATE, 1, 3, salt);
        for (uint256 k = 1; k < 4; ++k) {
            reveal(voter(k), AGGREGATE, 1, 1);
        }
        vm.warp(state().revealDeadline);
        finish();
        settle();
        vm.assertEq(rowOf(0, v).slashed, SLASH, "it cannot be opened: silent");
        vm.assertEq(rowOf(0, actor(1)).slashed, SLASH, "nor did it get the absent proposer in");
    }
}
