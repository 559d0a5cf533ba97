// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IFlockTask} from "../../src/interfaces/IFlockTask.sol";
import {IFlockTaskManager} from "../../src/interfaces/IFlockTaskManager.sol";
import {IMintable} from "../support/World.sol";
import {Books} from "./Books.sol";
import {MoodyToken} from "./MoodyToken.sol";
import {Play} from "./Play.sol";

/// What the fuzzer calls: single calls by anybody at any moment, mostly the wrong ones, and steps of a played round.
contract Handler is Play {
    constructor(IFlockTaskManager manager_, IMintable token_, address[] memory everyone_, address owner_, bool moody_) {
        (manager, token, everyone, owner, moody) = (manager_, token_, everyone_, owner_, moody_);
    }

    function begin() external {
        open(1);
    }

    // --- single calls ---

    function stake(uint256 seed) external deed {
        doStake(anybody(seed), luck(seed, "odd") % 8 == 0 ? luck(seed, "amount") % 3 : someStake(seed));
    }

    function fund(uint256 seed) external deed {
        doFund(anybody(seed), luck(seed, "amount") % (4 * book().terms.entry));
    }

    function donate(uint256 seed) external deed {
        doDonate(anybody(seed), luck(seed, "amount") % 1e18);
    }

    function claim(uint256 seed) external deed {
        doClaim(anybody(seed));
    }

    function withdraw(uint256 seed) external deed {
        doWithdraw(luck(seed, "who") % 4 == 0 ? anybody(seed) : creator());
    }

    function join(uint256 seed) external deed {
        doJoin(anybody(seed), someRound(seed));
    }

    function select(uint256 seed) external deed {
        doSelect(anybody(seed), someRound(seed));
    }

    function contribute(uint256 seed) external deed {
        bytes32 digest = luck(seed, "stale") % 8 == 0 ? running().start : running().drawDigest;
        bytes32 hash = keccak256(abi.encode(luck(seed, "hash") % 5));
        if (luck(seed, "bad hash") % 8 == 0) hash = luck(seed, "which") % 2 == 0 ? bytes32(0) : running().start;
        doContribute(seated(seed), someRound(seed), digest, hash);
    }

    function commit(uint256 seed) external deed {
        address a = seated(seed);
        Books.Vote memory v = anyVote(seed, a);
        bytes32 digest = luck(seed, "stale") % 8 == 0 ? running().drawDigest : running().digest;
        uint256 trick = luck(seed, "trick") % 16;
        bytes32 c = commitmentOf(a, v);
        if (trick == 0) c = 0;
        else if (trick < 3) c = running().places[participant(luck(seed, "copied"))].commitment;
        doCommit(a, someRound(seed), digest, c, v);
    }

    function reveal(uint256 seed) external deed {
        address a = seated(seed);
        uint256 trick = luck(seed, "trick") % 8;
        Books.Vote memory v = running().places[a].intended;
        if (trick == 0) v = anyVote(seed, a);
        else if (trick == 1) v = running().places[seated(luck(seed, "copied"))].intended;
        else if (trick == 2) v.salt = bytes32(luck(seed, "salt"));
        doReveal(a, someRound(seed), v);
    }

    function finish(uint256 seed) external deed {
        doFinish(anybody(seed), someRound(seed));
    }

    function slash(uint256 seed) external deed {
        doSlash(anybody(seed), someRound(seed));
    }

    function terminate(uint256 seed) external deed {
        uint256 until = book().lastSettledAt + book().terms.stall;
        uint256 when = luck(seed, "when") % 24;
        // At the very second, one before, or (mostly) just now.
        if (when < 2 && !book().ended && block.timestamp + when < until) vm.warp(until - when);
        doTerminate(anybody(seed));
    }

    function finishTask(uint256 seed) external deed {
        doFinishTask(luck(seed, "really") % 3 == 0 ? owner : anybody(seed));
    }

    function allow(uint256 seed) external deed {
        address[] memory list = new address[](1);
        list[0] = anybody(seed);
        address a = luck(seed, "caller") % 4 == 0 ? anybody(luck(seed, "who")) : creator();
        bool ok = send(a, address(task), abi.encodeCall(IFlockTask.allowParticipants, (list)));
        same(ok, a == creator() && book().terms.allowList, "allowParticipants");
        if (ok) book().allowed[list[0]] = true;
    }

    function describe(uint256 seed) external deed {
        bytes memory text = new bytes(luck(seed, "length") % 2048);
        bool ok = send(anybody(seed), address(task), abi.encodeCall(IFlockTask.setNodeMetadata, (string(text))));
        same(ok, text.length <= 1024, "setNodeMetadata");
    }

    function create(uint256 seed) external deed {
        createBadly(seed);
    }

    function prune(uint256 seed) external deed {
        doPrune(anybody(seed), luck(seed, "epoch") % (epoch + 1));
    }

    function administrate(uint256 seed) external deed {
        takeOver(anybody(seed), luck(seed, "what"));
    }

    /// The token's next moods, and what it calls in the middle of a transfer.
    function upset(uint256 seed) external deed {
        if (!moody) return;
        MoodyToken t = MoodyToken(address(token));
        uint256 how = luck(seed, "mood") % 12;
        t.be(how < 3 ? MoodyToken.Mood.Calm : how < 8 ? MoodyToken.Mood.CallingBack : MoodyToken.Mood(how - 7));
        uint256 round = book().round;
        bytes[10] memory calls = [
            abi.encodeCall(IFlockTask.joinRound, (round, 1)),
            abi.encodeCall(IFlockTask.joinRound, (round, 1)),
            abi.encodeCall(IFlockTask.finishRound, (round)),
            abi.encodeCall(IFlockTask.selectRoundParticipants, (round)),
            abi.encodeCall(IFlockTask.slash, (round)),
            abi.encodeCall(IFlockTask.terminate, ()),
            abi.encodeCall(IFlockTask.stake, (1)),
            abi.encodeCall(IFlockTask.fundRewardPool, (1)),
            abi.encodeCall(IFlockTask.claimRewards, ()),
            abi.encodeCall(IFlockTask.withdrawRemainder, ())
        ];
        bytes memory data = calls[luck(seed, "call") % calls.length];
        if (luck(seed, "due") % 4 != 0 && phase() == IFlockTask.Phase.Join) data = calls[0];
        if (luck(seed, "due") % 4 != 0 && phase() == IFlockTask.Phase.Draw) data = calls[3];
        if (luck(seed, "due") % 4 != 0 && phase() == IFlockTask.Phase.Finish) data = calls[2];
        armed = Armed(bytes4(data), address(task), round);
        give(address(t), 1, address(task)); // so that only the guard stands in the way
        t.arm(address(task), data);
        if (luck(seed, "now") % 2 == 0) doFund(anybody(seed), 1);
    }

    // --- time ---

    function wait(uint256 seed) external deed {
        vm.warp(block.timestamp + luck(seed, "seconds") % 40);
        vm.roll(block.number + luck(seed, "blocks") % 12);
    }

    function waitLong(uint256 seed) external deed {
        if (luck(seed, "really") % 4 != 0) return; // or few rounds would see anything but their deadlines
        vm.warp(block.timestamp + luck(seed, "seconds") % (book().terms.stall / 2));
        vm.roll(block.number + luck(seed, "blocks") % 400);
    }

    // --- whole steps ---

    function everybodyAgrees(uint256 seed) external deed {
        play(seed, Camp.Honest);
    }

    function everybodyObjects(uint256 seed) external deed {
        play(seed, Camp.Objecting);
    }

    function scoresDiffer(uint256 seed) external deed {
        play(seed, Camp.Torn);
    }

    function groupsDiffer(uint256 seed) external deed {
        play(seed, Camp.Split);
    }

    function someAreLazy(uint256 seed) external deed {
        play(seed, Camp.Lazy);
    }

    function nobodyFindsAModel(uint256 seed) external deed {
        play(seed, Camp.Empty);
    }

    function hardlyAnybodyActs(uint256 seed) external deed {
        play(seed, Camp.Absent);
    }
}
