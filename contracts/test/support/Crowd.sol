// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IFlockTask} from "../../src/interfaces/IFlockTask.sol";
import {IFlockTaskManager} from "../../src/interfaces/IFlockTaskManager.sol";
import {RoundVote} from "../../src/libraries/RoundVote.sol";
import {Cheats} from "./Cheats.sol";
import {IMintable} from "./World.sol";

/// Eight accounts that do anything at any time, mostly at the wrong one; what the task refuses is not an error here.
contract Crowd is Cheats {
    struct Vote {
        bytes32 hash;
        int8 score;
        uint256 mask;
    }

    IFlockTask public immutable task;
    IFlockTaskManager public immutable manager;
    IMintable public immutable token;
    address public immutable owner;
    address public immutable creator;

    uint256 public constant SIZE = 8;
    mapping(address => uint256) public paidIn; // stake
    mapping(address => uint256) public paidOut;
    mapping(address => bool) public everRemoved;
    mapping(uint256 round => mapping(address => Vote)) private cast;
    uint256 public funded;
    uint256 public settled;

    constructor(IFlockTask task_, IFlockTaskManager manager_, IMintable token_, address owner_, address creator_) {
        (task, manager, token, owner, creator) = (task_, manager_, token_, owner_, creator_);
    }

    function actor(uint256 i) public pure returns (address) {
        return address(uint160(0xc0de00 + i % SIZE));
    }

    function saltOf(address a) private pure returns (bytes32) {
        return keccak256(abi.encode("salt of", a));
    }

    function current() private view returns (uint256, IFlockTask.RoundState memory s) {
        uint256 round = task.currentRound();
        (, s,,) = task.snapshot(round, new address[](0));
        return (round, s);
    }

    function stake(uint256 who, uint256 amount) external {
        address a = actor(who);
        amount = 1 + amount % 200e18;
        token.mint(a, amount);
        vm.prank(a);
        token.approve(address(task), amount);
        vm.prank(a);
        try task.stake(amount) {
            require(!everRemoved[a], "a removed account staked");
            paidIn[a] += amount;
        } catch {}
    }

    function fund(uint256 amount) external {
        amount = 1 + amount % 100e18;
        token.mint(address(this), amount);
        token.approve(address(task), amount);
        try task.fundRewardPool(amount) {
            funded += amount;
        } catch {}
    }

    function join(uint256 who) external {
        address a = actor(who);
        uint256 round = task.currentRound();
        vm.prank(a);
        try task.joinRound(round, uint32(who)) {
            require(!everRemoved[a], "a removed account joined");
        } catch {}
    }

    function joinAll() external {
        for (uint256 i = 0; i < SIZE; ++i) {
            uint256 round = task.currentRound();
            vm.prank(actor(i));
            try task.joinRound(round, 1) {} catch {}
        }
    }

    function select(uint256 blocks) external {
        uint256 round = task.currentRound();
        vm.roll(block.number + blocks % 400);
        try task.selectRoundParticipants(round) {} catch {}
    }

    function contribute(uint256 who, uint256 hash) external {
        (uint256 round, IFlockTask.RoundState memory s) = current();
        vm.prank(actor(who));
        try task.contribute(round, s.drawDigest, keccak256(abi.encode(hash % 5))) {} catch {}
    }

    function commit(uint256 who, uint256 choice) external {
        (uint256 round, IFlockTask.RoundState memory s) = current();
        address a = actor(who);
        Vote memory v = Vote(
            choice % 4 == 0 ? s.startModelHash : keccak256(abi.encode(choice % 3)),
            choice % 5 < 2 ? int8(-1) : int8(1),
            choice % 4 == 0 ? 0 : choice % 4
        );
        bytes32 c = RoundVote.commitmentOf(block.chainid, address(task), round, a, v.hash, v.score, v.mask, saltOf(a));
        vm.prank(a);
        try task.commitVote(round, s.roundDigest, c) {
            require(cast[round][a].hash == 0, "a second commitment");
            cast[round][a] = v;
        } catch {}
    }

    function reveal(uint256 who) external {
        uint256 round = task.currentRound();
        address a = actor(who);
        Vote memory v = cast[round][a];
        vm.prank(a);
        try task.revealVote(round, v.hash, v.score, v.mask, saltOf(a)) {} catch {}
    }

    function finish() external {
        uint256 round = task.currentRound();
        try task.finishRound(round) {} catch {}
    }

    function settle(uint256 who) external {
        uint256 round = task.currentRound();
        uint256[] memory before = new uint256[](SIZE);
        for (uint256 i = 0; i < SIZE; ++i) {
            before[i] = task.nodeScore(actor(i));
        }
        vm.prank(actor(who));
        try task.slash(round) {
            ++settled;
            for (uint256 i = 0; i < SIZE; ++i) {
                require(task.nodeScore(actor(i)) <= before[i], "a settlement added stake");
            }
        } catch {}
        noteRemovals();
    }

    /// Does what the phase asks for, with some luck missing: without it few random histories would see a second round.
    function advance(uint256 seed) external {
        for (uint256 steps = 1 + seed % 6; steps > 0; --steps) {
            step(uint256(keccak256(abi.encode(seed, steps))));
        }
    }

    function step(uint256 seed) private {
        (, IFlockTask.RoundState memory s) = current();
        if (s.phase == IFlockTask.Phase.Join) {
            this.joinAll();
            if (block.timestamp < s.joinDeadline) vm.warp(s.joinDeadline);
            this.select(0);
        } else if (s.phase == IFlockTask.Phase.Draw) {
            if (block.number <= s.seedBlock) vm.roll(s.seedBlock + 1);
            this.select(0);
        } else if (s.phase == IFlockTask.Phase.Finish) {
            this.finish();
        } else if (s.phase == IFlockTask.Phase.Settle) {
            this.settle(seed);
        } else {
            everybody(s.phase, seed);
        }
    }

    function everybody(IFlockTask.Phase phase, uint256 seed) private {
        for (uint256 i = 0; i < SIZE; ++i) {
            uint256 luck = uint256(keccak256(abi.encode(seed, i)));
            if (luck % 8 == 0) continue;
            if (phase == IFlockTask.Phase.Propose) this.contribute(i, luck);
            else if (phase == IFlockTask.Phase.Commit) this.commit(i, luck % 5 == 0 ? luck : seed);
            else if (phase == IFlockTask.Phase.Reveal) this.reveal(i);
        }
        (, IFlockTask.RoundState memory s) = current();
        if (s.phase != phase) return;
        uint256 deadline = phase == IFlockTask.Phase.Propose
            ? s.proposeDeadline
            : phase == IFlockTask.Phase.Commit ? s.commitDeadline : s.revealDeadline;
        if (deadline > block.timestamp) vm.warp(deadline);
    }

    function noteRemovals() private {
        address[] memory ask = new address[](SIZE);
        for (uint256 i = 0; i < SIZE; ++i) {
            ask[i] = actor(i);
        }
        (,,, IFlockTask.AccountState[] memory states) = task.snapshot(task.currentRound(), ask);
        for (uint256 i = 0; i < SIZE; ++i) {
            require(states[i].removed || !everRemoved[ask[i]], "a removed account is back");
            if (states[i].removed) everRemoved[ask[i]] = true;
        }
    }

    function wait(uint256 secs) external {
        vm.warp(block.timestamp + secs % 150);
        vm.roll(block.number + 1);
    }

    function waitLong(uint256 secs) external {
        if (uint256(keccak256(abi.encode(secs))) % 16 == 0) vm.warp(block.timestamp + 1000);
    }

    function terminate() external {
        vm.prank(actor(0));
        try task.terminate() {} catch {}
        noteRemovals();
    }

    function finishTask(uint256 luck) external {
        if (uint256(keccak256(abi.encode(luck))) % 32 != 0) return; // or no history would last long
        vm.prank(owner);
        try manager.finishTask(address(task)) {} catch {}
    }

    function claim(uint256 who) external {
        address a = actor(who);
        uint256 before = token.balanceOf(a);
        vm.prank(a);
        try task.claimRewards() {
            paidOut[a] += token.balanceOf(a) - before;
        } catch {}
    }

    function withdraw() external {
        vm.prank(creator);
        try task.withdrawRemainder() {} catch {}
    }
}
