// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IFlockTask} from "../src/interfaces/IFlockTask.sol";
import {World} from "./support/World.sol";

/// The tally and every row of the outcome table (protocol section 2, steps 6 and 7). Actors 0 and 1 are proposers, 2 to 5 voters.
contract OutcomeTest is World {
    bytes32 private constant OTHER = keccak256("other aggregate");
    uint256 private constant SLASH = STAKE / 8;

    function begin() private {
        enter(6);
        drawAsJoined();
    }

    function begin(uint256[4] memory voterStakes) private {
        uint256[] memory amounts = new uint256[](6);
        amounts[0] = STAKE;
        amounts[1] = STAKE;
        for (uint256 k = 0; k < 4; ++k) {
            amounts[2 + k] = voterStakes[k] * E18;
        }
        enter(amounts);
        drawAsJoined();
    }

    function begun(uint256[4] memory voterStakes) private {
        begin(voterStakes);
        contributeAll();
    }

    /// Commits now; `revealAll` shows the votes afterwards, in seat order.
    bytes32[4] private hashes;
    int8[4] private scores;
    uint256[4] private masks;

    function cast(uint256 k, bytes32 hash, int8 score, uint256 mask) private {
        (hashes[k], scores[k], masks[k]) = (hash, score, mask);
        commit(actor(2 + k), hash, score, mask);
    }

    function revealAndFinish() private {
        for (uint256 k = 0; k < 4; ++k) {
            if (hashes[k] != 0) {
                if (phase() != uint256(IFlockTask.Phase.Reveal)) vm.warp(state().commitDeadline);
                reveal(actor(2 + k), hashes[k], scores[k], masks[k]);
            }
        }
        finish();
    }

    /// Settles and checks who was rewarded (r), slashed (s) or left alone (-), actors 0 to 5.
    function expectFates(string memory fates) private {
        address[6] memory who;
        for (uint256 i = 0; i < 6; ++i) {
            who[i] = actor(i);
            bool bad = bytes(fates)[i] == "s";
            vm.assertEq(task.canBeSlashed(0, who[i]), bad, "canBeSlashed");
        }
        settle();
        for (uint256 i = 0; i < 6; ++i) {
            bytes1 fate = bytes(fates)[i];
            IFlockTask.ParticipantState memory row = rowOf(0, who[i]);
            vm.assertEq(row.slashed, fate == "s" ? row.stake / 8 : 0, string.concat("slashed: ", vm.toString(i)));
            vm.assertEq(row.rewarded != 0, fate == "r", string.concat("rewarded: ", vm.toString(i)));
            vm.assertEq(task.nodeScore(who[i]), row.stake - row.slashed, "stake left");
            vm.assertEq(account(who[i]).claimable, row.rewarded, "claimable");
            vm.assertTrue(!task.canBeSlashed(0, who[i]), "not twice");
        }
        assertAccounted();
    }

    // --- the table ---

    function test_accepted_rewards_included_proposers_and_the_groups_plus_ones_and_slashes_the_rest() external {
        begun([uint256(100), 64, 64, 64]);
        cast(0, AGGREGATE, 1, 1); // the second proposer's contribution was not valid
        cast(1, AGGREGATE, 1, 1);
        cast(2, AGGREGATE, -1, 1);
        cast(3, OTHER, 1, 3);
        revealAndFinish();
        assertOutcome(IFlockTask.Outcome.Accepted);
        vm.assertEq(task.globalModelHash(1), AGGREGATE, "the aggregate is next");
        expectFates("rsrrss");
        vm.assertEq(state().startModelHash, AGGREGATE, "the next round starts from it");
        vm.assertEq(state().startModelRound, 1, "round 0's aggregate");
    }

    function test_accepted_slashes_the_silent_whether_they_committed_or_not() external {
        begin([uint256(100), 100, 64, 64]);
        contribute(actor(0)); // actor 1 stays silent
        vm.warp(state().proposeDeadline);
        cast(0, AGGREGATE, 1, 1);
        cast(1, AGGREGATE, 1, 1);
        commit(actor(4), AGGREGATE, 1, 1); // never revealed
        vm.warp(state().commitDeadline);
        reveal(actor(2), AGGREGATE, 1, 1);
        reveal(actor(3), AGGREGATE, 1, 1);
        vm.warp(state().revealDeadline);
        finish();
        assertOutcome(IFlockTask.Outcome.Accepted);
        expectFates("rsrrss");
    }

    function test_a_tie_keeps_the_start_model_and_rewards_like_accepted() external {
        begun([uint256(64), 64, 64, 64]);
        cast(0, AGGREGATE, 1, 1);
        cast(1, AGGREGATE, -1, 1);
        cast(2, AGGREGATE, 1, 1);
        cast(3, AGGREGATE, -1, 1);
        revealAndFinish();
        assertOutcome(IFlockTask.Outcome.Tie);
        vm.assertEq(state().voteScore, 0, "score");
        expectFates("rsrsrs");
        vm.assertEq(state().startModelHash, GENESIS, "start");
        vm.assertEq(state().startModelRound, 0, "genesis");
    }

    function test_rejected_rolls_back_and_slashes_all_proposers_and_the_groups_plus_ones() external {
        begun([uint256(64), 64, 64, 64]);
        cast(0, AGGREGATE, -1, 1);
        cast(1, AGGREGATE, -1, 1);
        cast(2, AGGREGATE, 1, 1);
        cast(3, OTHER, -1, 3);
        revealAndFinish();
        assertOutcome(IFlockTask.Outcome.Rejected);
        vm.assertEq(state().voteScore, -int256(STAKE), "score");
        expectFates("ssrrss");
        vm.assertEq(state().startModelHash, GENESIS, "rolled back");
    }

    function test_inconclusive_slashes_only_the_silent() external {
        begin([uint256(64), 64, 64, 64]);
        contribute(actor(1)); // actor 0 stays silent
        vm.warp(state().proposeDeadline);
        cast(0, AGGREGATE, 1, 2);
        cast(1, OTHER, -1, 2);
        commit(actor(4), AGGREGATE, 1, 2); // never revealed; actor 5 never commits
        vm.warp(state().commitDeadline);
        reveal(actor(2), AGGREGATE, 1, 2);
        reveal(actor(3), OTHER, -1, 2);
        vm.warp(state().revealDeadline);
        finish();
        assertOutcome(IFlockTask.Outcome.Inconclusive);
        expectFates("s---ss");
        vm.assertEq(state().startModelHash, GENESIS, "start");
    }

    function test_empty_slashes_the_proposers_and_nobody_else() external {
        begin();
        vm.warp(state().proposeDeadline);
        finish();
        assertOutcome(IFlockTask.Outcome.Empty);
        expectFates("ss----");
        vm.assertEq(state().startModelHash, GENESIS, "start");
    }

    function test_no_valid_contribution_is_a_rejection_by_the_vote_start_minus_one_0() external {
        begun([uint256(64), 64, 64, 64]);
        for (uint256 k = 0; k < 4; ++k) {
            cast(k, GENESIS, -1, 0);
        }
        revealAndFinish();
        assertOutcome(IFlockTask.Outcome.Rejected);
        expectFates("ssrrrr");
    }

    function test_a_rejection_after_an_accepted_round_rolls_back_to_that_rounds_aggregate() external {
        begun([uint256(64), 64, 64, 64]);
        voteAll(AGGREGATE, 1, 3);
        finish();
        settle();
        rejoin(6);
        drawAsJoined();
        contributeAll();
        voteAll(OTHER, -1, 3);
        finish();
        vm.assertEq(task.globalModelHash(2), AGGREGATE, "next");
        settle();
        vm.assertEq(state().startModelHash, AGGREGATE, "start of round 2");
        vm.assertEq(state().startModelRound, 1, "still round 0's aggregate");
        vm.assertEq(task.globalModelHash(0), GENESIS, "history stays");
        vm.assertEq(task.globalModelHash(1), AGGREGATE, "history stays");
    }

    // --- the tally ---

    function test_groups_are_weighted_by_stake_not_by_heads() external {
        begun([uint256(200), 64, 64, 64]);
        cast(0, AGGREGATE, 1, 3);
        cast(1, OTHER, 1, 3);
        cast(2, OTHER, 1, 3);
        cast(3, OTHER, 1, 3);
        revealAndFinish();
        vm.assertEq(task.mostPopularHash(0), AGGREGATE, "200 beat 192");
        vm.assertEq(state().winningStake, 200e18, "winning stake");
        vm.assertEq(state().drawnVoterStake, 392e18, "all drawn voters");
        assertOutcome(IFlockTask.Outcome.Accepted);
    }

    function test_the_same_hash_with_another_mask_is_another_group() external {
        begun([uint256(64), 64, 64, 65]);
        cast(0, AGGREGATE, 1, 3);
        cast(1, AGGREGATE, 1, 1);
        cast(2, AGGREGATE, 1, 3);
        cast(3, AGGREGATE, 1, 1);
        revealAndFinish();
        vm.assertEq(state().popularMask, 1, "mask of the heavier group");
        vm.assertEq(state().winningStake, 129e18, "winning stake");
        expectFates("rssrsr");
    }

    function test_the_score_is_weighted_by_stake_inside_the_winning_group_only() external {
        begun([uint256(150), 100, 64, 64]);
        cast(0, AGGREGATE, -1, 3);
        cast(1, AGGREGATE, 1, 3);
        cast(2, OTHER, 1, 3);
        cast(3, OTHER, 1, 3);
        revealAndFinish();
        vm.assertEq(state().voteScore, -50e18, "150 against 100, the others do not count");
        assertOutcome(IFlockTask.Outcome.Rejected);
        (bytes32 popular, int256 score, bytes32 next) = task.roundResult(0);
        vm.assertEq(popular, AGGREGATE, "popular");
        vm.assertEq(score, -50e18, "score");
        vm.assertEq(next, GENESIS, "next");
    }

    function test_a_tie_between_groups_goes_to_the_earliest_commitment() external {
        IFlockTask.TaskParameters memory p = defaults();
        p.quorumBps = 4999;
        task = newTask(p);
        begun([uint256(64), 64, 64, 64]);
        cast(3, OTHER, 1, 3); // the first commitment, of the last voter
        cast(0, AGGREGATE, 1, 3);
        cast(1, AGGREGATE, 1, 3);
        cast(2, OTHER, 1, 3);
        revealAndFinish(); // in seat order: AGGREGATE is revealed first
        vm.assertEq(task.mostPopularHash(0), OTHER, "first committed, not first revealed");
    }

    function test_a_tie_needs_the_earliest_commitment_of_the_whole_group() external {
        IFlockTask.TaskParameters memory p = defaults();
        p.quorumBps = 4999;
        task = newTask(p);
        begun([uint256(64), 64, 64, 64]);
        cast(2, AGGREGATE, 1, 3);
        cast(0, OTHER, 1, 3);
        cast(1, OTHER, 1, 3);
        cast(3, AGGREGATE, 1, 3);
        revealAndFinish(); // OTHER comes first in seat order
        vm.assertEq(task.mostPopularHash(0), AGGREGATE, "its earliest member committed first");
    }

    function test_exactly_the_quorum_is_not_conclusive() external {
        begun([uint256(64), 64, 64, 64]);
        cast(0, AGGREGATE, 1, 3);
        cast(1, AGGREGATE, 1, 3);
        cast(2, OTHER, 1, 3);
        revealAndFinish();
        vm.assertEq(uint256(state().winningStake) * 2, state().drawnVoterStake, "exactly half");
        assertOutcome(IFlockTask.Outcome.Inconclusive);
    }

    function test_one_unit_above_the_quorum_is_conclusive() external {
        uint256[] memory amounts = new uint256[](6);
        for (uint256 i = 0; i < 6; ++i) {
            amounts[i] = STAKE;
        }
        amounts[2] = STAKE + 1;
        enter(amounts);
        drawAsJoined();
        contributeAll();
        cast(0, AGGREGATE, 1, 3);
        cast(1, AGGREGATE, 1, 3);
        cast(2, OTHER, 1, 3);
        revealAndFinish();
        assertOutcome(IFlockTask.Outcome.Accepted);
    }

    function test_the_quorum_counts_drawn_voters_that_stay_silent() external {
        begun([uint256(64), 64, 64, 64]);
        cast(0, AGGREGATE, 1, 3); // a lone revealer decides nothing
        revealAndFinish();
        assertOutcome(IFlockTask.Outcome.Inconclusive);
        expectFates("---sss");
    }

    function test_a_quorum_of_zero_lets_a_lone_revealer_decide() external {
        IFlockTask.TaskParameters memory p = defaults();
        p.quorumBps = 0;
        task = newTask(p);
        begun([uint256(64), 64, 64, 64]);
        cast(0, AGGREGATE, 1, 3);
        revealAndFinish();
        assertOutcome(IFlockTask.Outcome.Accepted);
    }

    function test_finishing_says_who_took_part_and_what_was_decided() external {
        begun([uint256(64), 64, 64, 64]);
        voteAll(AGGREGATE, 1, 3);
        address[] memory proposers = new address[](2);
        address[] memory voters = new address[](4);
        for (uint256 i = 0; i < 6; ++i) {
            if (i < 2) proposers[i] = actor(i);
            else voters[i - 2] = actor(i);
        }
        vm.expectEmit(address(task));
        emit IFlockTask.RoundFinished(0, proposers, voters);
        vm.expectEmit(address(task));
        emit IFlockTask.RoundDecided(0, IFlockTask.Outcome.Accepted, AGGREGATE, 3, int256(4 * STAKE), AGGREGATE);
        finish();
    }
}
