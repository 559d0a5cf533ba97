// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IFlockTask} from "../src/interfaces/IFlockTask.sol";
import {World} from "./support/World.sol";

/// What each call costs as a transaction of its own (21000 included), at 6 and at 100 participants, half of them proposers:
/// bounded, and the same in a late round as in an early one.
/// forge-config: default.isolate = true
contract GasTest is World {
    uint256 private constant SMALL = 90_000;
    uint256 private constant LARGE = 10_000_000;

    event GasUsed(string what, uint256 participants, uint256 first, uint256 worst);

    struct Worst {
        uint256 first;
        uint256 worst;
    }

    mapping(string => Worst) private used;
    string[] private names;

    function note(string memory what) private {
        uint256 gas = vm.lastCallGas().gasTotalUsed;
        Worst storage w = used[what];
        if (w.first == 0) {
            w.first = gas;
            names.push(what);
        }
        if (gas > w.worst) w.worst = gas;
    }

    function report(uint256 n) private {
        for (uint256 i = 0; i < names.length; ++i) {
            emit GasUsed(names[i], n, used[names[i]].first, used[names[i]].worst);
        }
    }

    function begin(uint16 n) private {
        IFlockTask.TaskParameters memory p = defaults();
        p.minNumberOfParticipants = n;
        p.maxNumberOfParticipants = n;
        p.participantsDistributionRate = 0.5e18;
        p.totalNumberOfRounds = 10;
        task = newTask(p);
        for (uint256 i = 0; i < n; ++i) {
            stake(actor(i), STAKE + i);
            note("stake");
        }
    }

    /// A round in which voters vote as `groups` different groups, so that the tally is as long as it can be.
    function play(uint256 n, uint256 groups, int8 score) private {
        address[] memory list = new address[](n);
        for (uint256 i = 0; i < n; ++i) {
            vm.prank(actor(i));
            task.joinRound(round, 1000);
            note("joinRound");
        }
        task.selectRoundParticipants(round);
        note("selectRoundParticipants, first step");
        vm.roll(state().seedBlock + 1);
        task.selectRoundParticipants(round);
        note("selectRoundParticipants, second step");
        IFlockTask.RoundState memory s = state();
        IFlockTask.ParticipantState[] memory drawn = rows(round);
        for (uint256 k = 0; k < n; ++k) {
            list[k] = drawn[k].account;
        }
        for (uint256 k = 0; k < s.proposers; ++k) {
            vm.prank(list[k]);
            task.contribute(round, s.drawDigest, keccak256(abi.encode(round, k)));
            note("contribute");
        }
        bytes32 digest = state().roundDigest;
        uint256 mask = (uint256(1) << s.proposers) - 1;
        for (uint256 k = s.proposers; k < n; ++k) {
            bytes32 c = commitment(list[k], keccak256(abi.encode(k % groups)), score, mask);
            vm.prank(list[k]);
            task.commitVote(round, digest, c);
            note("commitVote");
        }
        for (uint256 k = s.proposers; k < n; ++k) {
            vm.prank(list[k]);
            task.revealVote(round, keccak256(abi.encode(k % groups)), score, mask, saltOf(list[k]));
            note("revealVote");
        }
        vm.prank(keeper);
        task.finishRound(round);
        note("finishRound");
        vm.prank(keeper);
        task.slash(round);
        note("slash");
        round = task.currentRound();
    }

    function check() private view {
        string[4] memory small = ["joinRound", "contribute", "commitVote", "revealVote"];
        for (uint256 i = 0; i < 4; ++i) {
            vm.assertLt(used[small[i]].worst, SMALL, small[i]);
        }
        string[4] memory large =
            ["selectRoundParticipants, first step", "selectRoundParticipants, second step", "finishRound", "slash"];
        for (uint256 i = 0; i < 4; ++i) {
            vm.assertTrue(used[large[i]].worst != 0, large[i]);
            vm.assertLt(used[large[i]].worst, LARGE, large[i]);
        }
    }

    function test_6_participants_stay_below_the_gas_limits() external {
        begin(6);
        play(6, 1, 1);
        play(6, 3, -1);
        report(6);
        check();
    }

    function test_100_participants_stay_below_the_gas_limits() external {
        begin(100);
        play(100, 1, 1); // everybody is paid
        play(100, 50, -1); // every voter its own group
        report(100);
        check();
    }

    function test_nothing_grows_with_the_rounds_played() external {
        begin(6);
        play(6, 1, -1);
        play(6, 1, -1);
        uint256[8] memory early = snapshotOfWorst();
        for (uint256 i = 0; i < 6; ++i) {
            play(6, 1, -1);
        }
        uint256[8] memory late = snapshotOfWorst();
        for (uint256 i = 0; i < 8; ++i) {
            // Calldata differs by a few bytes that are zero or not: 16 gas each.
            vm.assertLt(late[i], early[i] + 1000, "grows");
        }
    }

    function snapshotOfWorst() private view returns (uint256[8] memory worst) {
        for (uint256 i = 0; i < 8; ++i) {
            worst[i] = used[names[i]].worst;
        }
    }
}
