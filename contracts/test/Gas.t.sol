// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Ownable2Step} from "@openzeppelin/contracts/access/Ownable2Step.sol";
import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {IFlockTask} from "../src/interfaces/IFlockTask.sol";
import {IFlockTaskManager} from "../src/interfaces/IFlockTaskManager.sol";
import {IMintable, World} from "./support/World.sol";

interface SnapshotVm {
    function snapshotValue(string calldata group, string calldata name, uint256 value) external;
}

/// What every call that changes state costs as a transaction of its own (21000 and calldata included, refunds not taken off).
/// The figures are committed in snapshots/ and compared on every run; contracts/README.md shows them.
/// forge-config: default.isolate = true
contract GasTest is World {
    uint256 private constant SMALL = 90_000;
    uint256 private constant LARGE = 10_000_000;
    string private constant DRAW_1 = "selectRoundParticipants, step 1";
    string private constant DRAW_2 = "selectRoundParticipants, step 2";

    string[] private names;
    mapping(string name => uint256) private worst; // of all calls so far
    mapping(string name => mapping(uint256 round => uint256)) private execution; // worst of a round, calldata taken off
    mapping(uint256 round => uint256) private wholeRound; // sum of all calls
    uint256 private tasksMade;

    // --- measuring ---

    function send(string memory what, address from, address to, bytes memory data) private {
        vm.prank(from);
        (bool ok,) = to.call(data);
        require(ok, what);
        uint256 gas = vm.lastCallGas().gasTotalUsed;
        if (worst[what] == 0) names.push(what);
        if (gas > worst[what]) worst[what] = gas;
        uint256 bare = gas - costOf(data);
        if (bare > execution[what][round]) execution[what][round] = bare;
        wholeRound[round] += gas;
    }

    /// A hash has a zero byte now and then, which costs 12 less.
    function costOf(bytes memory data) private pure returns (uint256 gas) {
        for (uint256 i = 0; i < data.length; ++i) {
            gas += data[i] == 0 ? 4 : 16;
        }
    }

    function record(string memory group, string memory what, uint256 gas) private {
        SnapshotVm(address(vm)).snapshotValue(group, what, gas);
    }

    /// Writes what was measured since the last time and forgets it.
    function recordAll(string memory group, string memory suffix) private {
        for (uint256 i = 0; i < names.length; ++i) {
            record(group, string.concat(names[i], suffix), worst[names[i]]);
        }
        forget();
    }

    function forget() private {
        for (uint256 i = 0; i < names.length; ++i) {
            worst[names[i]] = 0;
        }
        delete names;
    }

    function groupOf(uint256 n) private pure returns (string memory) {
        return string.concat("participants-", vm.toString(n));
    }

    function checkLimits() private view {
        string[4] memory small = ["joinRound", "contribute", "commitVote", "revealVote"];
        for (uint256 i = 0; i < 4; ++i) {
            vm.assertTrue(worst[small[i]] != 0, small[i]);
            vm.assertLt(worst[small[i]], SMALL, small[i]);
        }
        string[4] memory large = [DRAW_1, DRAW_2, "finishRound", "slash"];
        for (uint256 i = 0; i < 4; ++i) {
            vm.assertTrue(worst[large[i]] != 0, large[i]);
            vm.assertLt(worst[large[i]], LARGE, large[i]);
        }
    }

    // --- playing ---

    function parametersFor(uint16 n) private pure returns (IFlockTask.TaskParameters memory p) {
        p = defaults();
        p.minNumberOfParticipants = n;
        p.maxNumberOfParticipants = n;
        p.participantsDistributionRate = 0.1e18;
        p.totalNumberOfRounds = 1000;
    }

    function begin(IFlockTask.TaskParameters memory p) private {
        task = newTask(p, keccak256(abi.encode(++tasksMade)));
        round = 0;
        for (uint256 i = 0; i < p.maxNumberOfParticipants; ++i) {
            allowance(actor(i), STAKE + i);
            send("stake", actor(i), address(task), abi.encodeCall(task.stake, (STAKE + i)));
        }
    }

    function joinAndDraw(uint256 n) private {
        for (uint256 i = 0; i < n; ++i) {
            send("joinRound", actor(i), address(task), abi.encodeCall(task.joinRound, (round, 1000)));
        }
        send(DRAW_1, keeper, address(task), abi.encodeCall(task.selectRoundParticipants, (round)));
        vm.roll(state().seedBlock + 1);
        send(DRAW_2, keeper, address(task), abi.encodeCall(task.selectRoundParticipants, (round)));
    }

    /// Every voter votes `score`, in as many different groups as asked for.
    function vote(uint256 n, uint256 groups, int8 score) private {
        IFlockTask.RoundState memory s = state();
        IFlockTask.ParticipantState[] memory drawn = rows(round);
        for (uint256 k = 0; k < s.proposers; ++k) {
            bytes memory data = abi.encodeCall(task.contribute, (round, s.drawDigest, keccak256(abi.encode(k))));
            send("contribute", drawn[k].account, address(task), data);
        }
        bytes32 digest = state().roundDigest;
        uint256 mask = full();
        for (uint256 k = s.proposers; k < n; ++k) {
            bytes32 c = commitment(drawn[k].account, keccak256(abi.encode("vote", k % groups)), score, mask);
            send("commitVote", drawn[k].account, address(task), abi.encodeCall(task.commitVote, (round, digest, c)));
        }
        for (uint256 k = s.proposers; k < n; ++k) {
            address who = drawn[k].account;
            bytes32 hash = keccak256(abi.encode("vote", k % groups));
            bytes memory data = abi.encodeCall(task.revealVote, (round, hash, score, mask, saltOf(who)));
            send("revealVote", who, address(task), data);
        }
    }

    /// Gives the memory of a round back at its end: fifty of them would not fit.
    modifier scratch() {
        uint256 free;
        assembly {
            free := mload(0x40)
        }
        _;
        assembly {
            mstore(0x40, free)
        }
    }

    function play(uint256 n, uint256 groups, int8 score) private scratch {
        joinAndDraw(n);
        vote(n, groups, score);
        send("finishRound", keeper, address(task), abi.encodeCall(task.finishRound, (round)));
        send("slash", keeper, address(task), abi.encodeCall(task.slash, (round)));
        round = task.currentRound();
    }

    // --- what is committed ---

    function test_rounds_at_10_participants() external {
        roundsAt(10, 50);
    }

    function test_rounds_at_100_participants() external {
        roundsAt(100, 10);
    }

    /// A tenth proposers, everybody does its duty. Round 0 costs more in two calls: `slash` credits every account for the first
    /// time, and the draw writes to a slot that from then on holds where the start model came from.
    function roundsAt(uint16 n, uint256 last) private {
        begin(parametersFor(n));
        play(n, 1, 1);
        recordAll(groupOf(n), ", round 0");
        for (uint256 i = 1; i <= last; ++i) {
            play(n, 1, 1);
        }
        string[8] memory calls =
            ["joinRound", DRAW_1, DRAW_2, "contribute", "commitVote", "revealVote", "finishRound", "slash"];
        for (uint256 i = 0; i < 8; ++i) {
            uint256 early = execution[calls[i]][1];
            vm.assertTrue(early != 0, calls[i]);
            vm.assertEq(execution[calls[i]][last], early, calls[i]);
            vm.assertGe(execution[calls[i]][0], early, calls[i]);
        }
        checkLimits();
        record(groupOf(n), "whole round, per participant", wholeRound[1] / n);
        record(groupOf(n), "whole round, the last, per participant", wholeRound[last] / n);
        recordAll(groupOf(n), "");
    }

    function test_the_worst_round_at_10_participants() external {
        worstAt(10);
    }

    function test_the_worst_round_at_100_participants() external {
        worstAt(100);
    }

    /// Half are proposers, so that the digest has the most to cover. The costliest settlement is one that credits everybody for
    /// the first time, or one that slashes and removes everybody; the costliest tally has every voter in a group of its own.
    function worstAt(uint16 n) private {
        IFlockTask.TaskParameters memory p = parametersFor(n);
        p.participantsDistributionRate = 0.5e18;
        p.quorumBps = 0; // or a vote in so many groups would be inconclusive and slash nobody
        p.slashedPerStake = 1e18;
        begin(p);
        forget();
        play(n, 1, 1);
        play(n, n / 2, -1);
        checkLimits();
        recordAll(groupOf(n), ", worst");
    }

    function test_the_costliest_end_at_10_participants() external {
        costliestEndAt(10);
    }

    function test_the_costliest_end_at_100_participants() external {
        costliestEndAt(100);
    }

    /// `terminate` of a round that still has to be finished and settled does both.
    function costliestEndAt(uint16 n) private {
        IFlockTask.TaskParameters memory p = parametersFor(n);
        p.participantsDistributionRate = 0.5e18;
        begin(p);
        joinAndDraw(n);
        vote(n, 1, 1);
        vm.warp(block.timestamp + p.stallTimeout);
        forget();
        send("terminate", keeper, address(task), abi.encodeCall(task.terminate, ()));
        vm.assertLt(worst["terminate"], LARGE, "terminate");
        recordAll(groupOf(n), "");
    }

    function test_calls_outside_of_rounds_at_10_participants() external {
        outsideAt(10);
    }

    function test_calls_outside_of_rounds_at_100_participants() external {
        outsideAt(100);
    }

    function outsideAt(uint16 n) private {
        createWithAllowList(n);
        begin(parametersFor(n));
        forget();
        allowance(actor(0), 2);
        send("stake, again", actor(0), address(task), abi.encodeCall(task.stake, (1)));
        send("fundRewardPool", actor(0), address(task), abi.encodeCall(task.fundRewardPool, (1)));
        string memory text = string(abi.encodePacked(new bytes32[](32)));
        bytes memory filled = bytes(text);
        for (uint256 i = 0; i < filled.length; ++i) {
            filled[i] = "x";
        }
        send("setNodeMetadata, 1024 bytes", actor(0), address(task), abi.encodeCall(task.setNodeMetadata, (text)));
        recordAll(groupOf(n), "");
        joinAndDraw(n);
        drawAnew(n);
        endAndClaim(n);
        recordAll(groupOf(n), "");
    }

    /// The seed block's hash ages out before the draw's second step.
    function drawAnew(uint16 n) private {
        IFlockTask before = task;
        begin(parametersFor(n));
        for (uint256 i = 0; i < n; ++i) {
            join(actor(i));
        }
        task.selectRoundParticipants(0);
        vm.roll(state().seedBlock + 8192);
        forget();
        send(
            "selectRoundParticipants, again",
            keeper,
            address(task),
            abi.encodeCall(task.selectRoundParticipants, (round))
        );
        task = before;
        round = task.currentRound();
    }

    function endAndClaim(uint16 n) private {
        send(
            "manager.finishTask, round running",
            owner,
            address(manager),
            abi.encodeCall(manager.finishTask, (address(task)))
        );
        recordAll(groupOf(n), "");
        vote(n, 1, 1);
        finish();
        settle();
        vm.assertTrue(task.isFinished(), "ended");
        forget();
        send("claimRewards", actor(n - 1), address(task), abi.encodeCall(task.claimRewards, ()));
        send("withdrawRemainder", creator, address(task), abi.encodeCall(task.withdrawRemainder, ()));
        send("manager.pruneTask", keeper, address(manager), abi.encodeCall(manager.pruneTask, (address(task))));
        task = newTask(parametersFor(n), keccak256("unused"));
        send(
            "manager.finishTask, before a draw",
            owner,
            address(manager),
            abi.encodeCall(manager.finishTask, (address(task)))
        );
    }

    function createWithAllowList(uint16 n) private {
        IFlockTask.TaskParameters memory p = parametersFor(n);
        token.mint(creator, p.initialRewardPool);
        vm.prank(creator);
        token.approve(address(manager), p.initialRewardPool);
        p.allowListEnabled = true;
        p.allowList = new address[](n);
        for (uint256 i = 0; i < n; ++i) {
            p.allowList[i] = actor(i);
        }
        bytes32 salt = keccak256("allow list");
        bytes memory data = abi.encodeCall(IFlockTaskManager.createTask, (salt, p));
        send("manager.createTask, all on the allow list", creator, address(manager), data);
        address made = manager.taskOf(creator, salt);
        address[] memory more = new address[](n);
        for (uint256 i = 0; i < n; ++i) {
            more[i] = actor(1000 + i);
        }
        send("allowParticipants, all at once", creator, made, abi.encodeCall(IFlockTask.allowParticipants, (more)));
        p.allowListEnabled = false;
        p.allowList = new address[](0);
        token.mint(creator, p.initialRewardPool);
        vm.prank(creator);
        token.approve(address(manager), p.initialRewardPool);
        data = abi.encodeCall(IFlockTaskManager.createTask, (keccak256("open"), p));
        send("manager.createTask, open", creator, address(manager), data);
        recordAll(groupOf(n), "");
    }

    function test_calls_without_participants() external {
        address heir = actor(1);
        send("manager.allowCreator", owner, address(manager), abi.encodeCall(manager.allowCreator, (actor(0), true)));
        handOver("manager", address(manager), owner, heir);
        send("token.mint", address(this), address(token), abi.encodeCall(IMintable.mint, (actor(0), E18)));
        send("token.approve", actor(0), address(token), abi.encodeCall(token.approve, (actor(2), E18)));
        send("token.transfer", actor(0), address(token), abi.encodeCall(token.transfer, (actor(1), E18 / 4)));
        send(
            "token.transferFrom",
            actor(2),
            address(token),
            abi.encodeCall(token.transferFrom, (actor(0), actor(1), E18 / 4))
        );
        send("token.burn", actor(0), address(token), abi.encodeCall(IMintable.burn, (E18 / 4)));
        bytes memory give = abi.encodeCall(Ownable.transferOwnership, (heir));
        send("token.transferOwnership", address(this), address(token), give);
        bytes memory drop = abi.encodeCall(Ownable.renounceOwnership, ());
        send("token.renounceOwnership", heir, address(token), drop);
        recordAll("any", "");
    }

    function handOver(string memory what, address which, address from, address to) private {
        bytes memory give = abi.encodeCall(Ownable.transferOwnership, (to));
        send(string.concat(what, ".transferOwnership"), from, which, give);
        bytes memory take = abi.encodeCall(Ownable2Step.acceptOwnership, ());
        send(string.concat(what, ".acceptOwnership"), to, which, take);
        bytes memory drop = abi.encodeCall(Ownable.renounceOwnership, ());
        send(string.concat(what, ".renounceOwnership"), to, which, drop);
    }
}
