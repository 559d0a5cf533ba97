// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IFlockTask} from "../../src/interfaces/IFlockTask.sol";
import {IFlockTaskErrors} from "../../src/interfaces/IFlockTaskErrors.sol";
import {IFlockTaskManager} from "../../src/interfaces/IFlockTaskManager.sol";
import {RoundDraw} from "../../src/libraries/RoundDraw.sol";
import {RoundVote} from "../../src/libraries/RoundVote.sol";
import {Cheats} from "./Cheats.sol";

interface IMintable is IERC20 {
    function mint(address to, uint256 amount) external;
    function burn(uint256 amount) external;
}

/// A token, a manager, a task, and short words for what happens in a round.
abstract contract World is Cheats {
    uint256 internal constant E18 = 1e18;
    uint256 internal constant STAKE = 64e18;
    uint256 internal constant POOL = 300e18;
    bytes32 internal constant GENESIS = keccak256("genesis");
    bytes32 internal constant AGGREGATE = keccak256("aggregate");

    address internal immutable owner = address(uint160(0xa11ce));
    address internal immutable creator = address(uint160(0xc0ffee));
    address internal immutable keeper = address(uint160(0x6ee9e4));

    IMintable internal token;
    IFlockTaskManager internal manager;
    IFlockTask internal task;
    uint256 internal round;

    function setUp() public virtual {
        token = IMintable(vm.deployCode("FlockToken.sol:FlockToken", abi.encode(address(this))));
        manager = newManager(address(token));
        task = newTask(defaults());
    }

    // --- making things ---

    function newManager(address token_) internal returns (IFlockTaskManager m) {
        m = IFlockTaskManager(vm.deployCode("FlockTaskManager.sol:FlockTaskManager", abi.encode(token_, owner)));
        vm.prank(owner);
        m.allowCreator(creator, true);
    }

    function defaults() internal pure returns (IFlockTask.TaskParameters memory p) {
        p.metadata = '{"name":"test"}';
        p.modelDefinitionHash = keccak256("definition");
        p.genesisModelHash = GENESIS;
        p.totalNumberOfRounds = 3;
        p.minNumberOfParticipants = 2;
        p.maxNumberOfParticipants = 6;
        p.entryStake = uint128(STAKE);
        p.minStakeThreshold = 24e18;
        p.participantsDistributionRate = 0.34e18; // 2 of 6
        p.slashedPerStake = 0.125e18;
        p.bonusRatioForSlashCaller = 1000;
        p.quorumBps = 5000;
        p.joinWindow = 50;
        p.proposeWindow = 100;
        p.commitWindow = 200;
        p.revealWindow = 300;
        p.stallTimeout = 2000;
        p.initialRewardPool = uint128(POOL);
    }

    function newTask(IFlockTask.TaskParameters memory p) internal returns (IFlockTask) {
        return newTask(p, keccak256(abi.encode("salt", manager.activeTasks())));
    }

    function newTask(IFlockTask.TaskParameters memory p, bytes32 salt) internal returns (IFlockTask) {
        token.mint(creator, p.initialRewardPool);
        vm.prank(creator);
        token.approve(address(manager), p.initialRewardPool);
        vm.prank(creator);
        return IFlockTask(manager.createTask(salt, p));
    }

    function actor(uint256 i) internal pure returns (address) {
        return address(uint160(0xac700 + i));
    }

    function stake(address who, uint256 amount) internal {
        allowance(who, amount);
        vm.prank(who);
        task.stake(amount);
    }

    function allowance(address who, uint256 amount) internal {
        token.mint(who, amount);
        vm.prank(who);
        token.approve(address(task), amount);
    }

    function join(address who) internal {
        vm.prank(who);
        task.joinRound(round, 1000);
    }

    /// Actors 0..n-1 stake what `amounts` says and join, in this order.
    function enter(uint256[] memory amounts) internal {
        for (uint256 i = 0; i < amounts.length; ++i) {
            stake(actor(i), amounts[i]);
            join(actor(i));
        }
    }

    function enter(uint256 n) internal {
        uint256[] memory amounts = new uint256[](n);
        for (uint256 i = 0; i < n; ++i) {
            amounts[i] = STAKE;
        }
        enter(amounts);
    }

    function rejoin(uint256 n) internal {
        for (uint256 i = 0; i < n; ++i) {
            join(actor(i));
        }
    }

    // --- moving a round on ---

    function skip(uint256 secs) internal {
        vm.warp(block.timestamp + secs);
    }

    function skipBlocks(uint256 blocks) internal {
        vm.roll(block.number + blocks);
    }

    /// Both steps of the draw, at the earliest moment.
    function draw() internal {
        if (state().joined < task.parameters().maxNumberOfParticipants && block.timestamp < state().joinDeadline) {
            vm.warp(state().joinDeadline);
        }
        task.selectRoundParticipants(round);
        vm.roll(state().seedBlock + 1);
        task.selectRoundParticipants(round);
    }

    /// A draw that leaves join order as it is: actors 0, 1, .. are the proposers, the others the voters. For rosters up to 6.
    function drawAsJoined() internal {
        vm.warp(state().joinDeadline);
        task.selectRoundParticipants(round);
        uint256 seedBlock = state().seedBlock;
        uint256 n = state().joined;
        vm.roll(seedBlock + 1);
        uint256 nonce;
        while (!isIdentity(
                RoundDraw.shuffle(RoundDraw.seedOf(bytes32(++nonce), block.chainid, address(task), round), n)
            )) {}
        vm.setBlockhash(seedBlock, bytes32(nonce));
        task.selectRoundParticipants(round);
    }

    function isIdentity(uint256[] memory order) private pure returns (bool) {
        for (uint256 i = 0; i < order.length; ++i) {
            if (order[i] != i) return false;
        }
        return true;
    }

    function model(address who) internal view returns (bytes32) {
        return keccak256(abi.encode("model", round, who));
    }

    function contribute(address who) internal {
        bytes32 digest = state().drawDigest;
        vm.prank(who);
        task.contribute(round, digest, model(who));
    }

    function contributeAll() internal {
        for (uint256 k = 0; k < state().proposers; ++k) {
            contribute(seat(k));
        }
    }

    function saltOf(address who) internal pure returns (bytes32) {
        return keccak256(abi.encode("salt of", who));
    }

    function commitment(address who, bytes32 hash, int8 score, uint256 mask) internal view returns (bytes32) {
        return RoundVote.commitmentOf(block.chainid, address(task), round, who, hash, score, mask, saltOf(who));
    }

    function commit(address who, bytes32 hash, int8 score, uint256 mask) internal {
        bytes32 digest = state().roundDigest;
        vm.prank(who);
        task.commitVote(round, digest, commitment(who, hash, score, mask));
    }

    function reveal(address who, bytes32 hash, int8 score, uint256 mask) internal {
        vm.prank(who);
        task.revealVote(round, hash, score, mask, saltOf(who));
    }

    /// The bits of all contributions.
    function full() internal view returns (uint256) {
        return (uint256(1) << state().proposers) - 1;
    }

    /// Every voter commits to, then reveals, the same vote.
    function voteAll(bytes32 hash, int8 score, uint256 mask) internal {
        address[] memory voters = voterList();
        for (uint256 k = 0; k < voters.length; ++k) {
            commit(voters[k], hash, score, mask);
        }
        for (uint256 k = 0; k < voters.length; ++k) {
            reveal(voters[k], hash, score, mask);
        }
    }

    function finish() internal {
        vm.prank(keeper);
        task.finishRound(round);
    }

    function settle() internal {
        vm.prank(keeper);
        task.slash(round);
        round = task.currentRound();
    }

    /// A whole round in which everybody does its duty and agrees, with all of actors 0..n-1 already staked and joined.
    function playHonestRound() internal {
        draw();
        contributeAll();
        voteAll(keccak256(abi.encode(AGGREGATE, round)), 1, full());
        finish();
        settle();
    }

    // --- reading ---

    function stateOf(uint256 r) internal view returns (IFlockTask.RoundState memory s) {
        (, s,,) = task.snapshot(r, new address[](0));
    }

    function state() internal view returns (IFlockTask.RoundState memory) {
        return stateOf(round);
    }

    function taskState() internal view returns (IFlockTask.TaskState memory t) {
        (t,,,) = task.snapshot(round, new address[](0));
    }

    function rows(uint256 r) internal view returns (IFlockTask.ParticipantState[] memory list) {
        (,, list,) = task.snapshot(r, new address[](0));
    }

    function rowOf(uint256 r, address who) internal view returns (IFlockTask.ParticipantState memory) {
        IFlockTask.ParticipantState[] memory list = rows(r);
        for (uint256 k = 0; k < list.length; ++k) {
            if (list[k].account == who) return list[k];
        }
        revert("not in this round");
    }

    function account(address who) internal view virtual returns (IFlockTask.AccountState memory) {
        address[] memory list = new address[](1);
        list[0] = who;
        (,,, IFlockTask.AccountState[] memory states) = task.snapshot(round, list);
        return states[0];
    }

    /// Who was drawn into seat k (proposers first).
    function seat(uint256 k) internal view returns (address) {
        return rows(round)[k].account;
    }

    function proposer(uint256 j) internal view returns (address) {
        return seat(j);
    }

    function voter(uint256 j) internal view returns (address) {
        return seat(state().proposers + j);
    }

    function voterList() internal view returns (address[] memory list) {
        IFlockTask.ParticipantState[] memory all = rows(round);
        uint256 proposers = state().proposers;
        list = new address[](all.length - proposers);
        for (uint256 k = proposers; k < all.length; ++k) {
            list[k - proposers] = all[k].account;
        }
    }

    function phase() internal view returns (uint256) {
        return uint256(taskState().phase);
    }

    // --- checks ---

    function assertPhase(IFlockTask.Phase expected) internal view {
        vm.assertEq(phase(), uint256(expected), "phase");
    }

    function assertOutcome(IFlockTask.Outcome expected) internal view {
        vm.assertEq(uint256(state().outcome), uint256(expected), "outcome");
    }

    /// accounted = stakes + claimable + pool = everything the task was given and has not paid out.
    function assertAccounted() internal view {
        IFlockTask.TaskState memory t = taskState();
        vm.assertEq(
            uint256(t.totalStakes) + t.totalClaimable + t.rewardPool,
            token.balanceOf(address(task)),
            "accounting identity"
        );
    }

    function expectWrongPhase(IFlockTask.Phase actual) internal {
        vm.expectRevert(abi.encodeWithSelector(IFlockTaskErrors.WrongPhase.selector, actual));
    }
}
