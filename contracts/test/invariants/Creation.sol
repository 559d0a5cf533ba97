// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {Ownable2Step} from "@openzeppelin/contracts/access/Ownable2Step.sol";
import {IFlockTask} from "../../src/interfaces/IFlockTask.sol";
import {IFlockTaskManager} from "../../src/interfaces/IFlockTaskManager.sol";
import {Books} from "./Books.sol";
import {Deeds} from "./Deeds.sol";
import {MoodyToken} from "./MoodyToken.sol";

/// The function of FlockTask that the manager alone calls: its source is not imported, because whatever imports it is compiled with it.
interface IInitialise {
    function initialize(address creator_, IFlockTask.TaskParameters calldata p) external;
}

/// Tasks with parameters from all over their ranges, and everything the manager and the token let somebody do.
abstract contract Creation is Deeds {
    address internal owner; // of the manager
    mapping(uint256 epoch => IFlockTask) private _tasks;

    function luck(uint256 seed, string memory what) internal pure returns (uint256) {
        return uint256(keccak256(abi.encode(seed, what)));
    }

    function luck(uint256 seed, uint256 what) internal pure returns (uint256) {
        return uint256(keccak256(abi.encode(seed, what)));
    }

    function pick(uint256 seed, string memory what, uint256 low, uint256 high) private pure returns (uint256) {
        uint256 r = luck(seed, what);
        if (r % 8 == 0) return low;
        if (r % 8 == 1) return high;
        return low + (r >> 8) % (high - low + 1);
    }

    function someParameters(uint256 seed) private view returns (IFlockTask.TaskParameters memory p) {
        p.metadata = "{}";
        p.modelDefinitionHash = keccak256("definition");
        p.genesisModelHash = keccak256(abi.encode("genesis", seed));
        p.totalNumberOfRounds = uint32(pick(seed, "rounds", 1, 8));
        p.minNumberOfParticipants = uint16(pick(seed, "min", 2, 4));
        p.maxNumberOfParticipants = uint16(pick(seed, "max", p.minNumberOfParticipants, PARTICIPANTS));
        uint256[4] memory thresholds = [uint256(1), 7, 24e18, type(uint96).max];
        p.minStakeThreshold = uint128(thresholds[luck(seed, "threshold") % 4]);
        p.entryStake = uint128(p.minStakeThreshold * pick(seed, "entry", 1, 3));
        p.participantsDistributionRate = uint64(pick(seed, "rate", 1, 0.5e18));
        uint256 least = (1e18 + p.minStakeThreshold - 1) / p.minStakeThreshold;
        uint256 most = luck(seed, "hard") % 4 == 0 ? 1e18 : least + (1e18 - least) / 3;
        p.slashedPerStake = uint64(pick(seed, "slashed", least, most));
        p.bonusRatioForSlashCaller = uint16(pick(seed, "bonus", 0, 2000));
        p.quorumBps = luck(seed, "quorum") % 2 == 0 ? 5000 : uint16(pick(seed, "other quorum", 0, 9999));
        p.joinWindow = uint32(pick(seed, "join", 1, 100));
        p.proposeWindow = uint32(pick(seed, "propose", 1, 100));
        p.commitWindow = uint32(pick(seed, "commit", 1, 100));
        p.revealWindow = uint32(pick(seed, "reveal", 1, 100));
        uint256 windows = uint256(p.joinWindow) + p.proposeWindow + p.commitWindow + p.revealWindow;
        p.stallTimeout = uint32(pick(seed, "stall", 2 * windows, 20 * windows));
        p.initialRewardPool = uint128(pick(seed, "pool", 0, 5 * uint256(p.entryStake)));
        p.allowListEnabled = luck(seed, "allow") % 4 == 0;
        if (p.allowListEnabled) {
            p.allowList = new address[](PARTICIPANTS - 2);
            for (uint256 i = 0; i < p.allowList.length; ++i) {
                p.allowList[i] = participant(i + 1);
            }
        }
    }

    function createAs(address a, bytes32 salt, IFlockTask.TaskParameters memory p) private returns (bool) {
        give(a, p.initialRewardPool, address(manager));
        return send(a, address(manager), abi.encodeCall(IFlockTaskManager.createTask, (salt, p)));
    }

    /// Another task, from now on the one that is played.
    function open(uint256 seed) internal {
        bytes32 salt = bytes32(epoch + 1);
        address predicted = manager.predictTask(creator(), salt);
        IFlockTask.TaskParameters memory p = someParameters(seed);
        holds(createAs(creator(), salt, p), "createTask");
        same(manager.taskOf(creator(), salt), predicted, "the task of this salt");
        note(Seen.TaskCreated);
        ++epoch;
        task = IFlockTask(predicted);
        _tasks[epoch] = task;
        Books.Task storage b = book();
        b.terms = Books.Terms({
            rounds: p.totalNumberOfRounds,
            min: p.minNumberOfParticipants,
            max: p.maxNumberOfParticipants,
            threshold: p.minStakeThreshold,
            entry: p.entryStake,
            rate: p.participantsDistributionRate,
            slashed: p.slashedPerStake,
            bonus: p.bonusRatioForSlashCaller,
            quorum: p.quorumBps,
            joinWindow: p.joinWindow,
            proposeWindow: p.proposeWindow,
            commitWindow: p.commitWindow,
            revealWindow: p.revealWindow,
            stall: p.stallTimeout,
            allowList: p.allowListEnabled
        });
        for (uint256 i = 0; i < p.allowList.length; ++i) {
            b.allowed[p.allowList[i]] = true;
        }
        b.pool = p.initialRewardPool;
        b.lastSettledAt = block.timestamp;
        b.rounds[0].joinDeadline = block.timestamp + p.joinWindow;
        b.rounds[0].start = p.genesisModelHash;
    }

    /// A creation that has to fail: a used salt, a stranger, a value out of range, a token in the wrong mood, a second initialisation.
    function createBadly(uint256 seed) internal {
        IFlockTask.TaskParameters memory p = someParameters(seed);
        bytes32 salt = bytes32(type(uint256).max - epoch);
        uint256 how = luck(seed, "how") % 5;
        address a = creator();
        bool ok;
        if (how == 0) {
            salt = bytes32(1 + luck(seed, "used") % epoch);
        } else if (how == 1) {
            a = participant(seed);
        } else if (how == 2) {
            p.totalNumberOfRounds = 10_001;
        } else if (how == 3) {
            MoodyToken.Mood m = mood();
            if (p.initialRewardPool == 0 || m == MoodyToken.Mood.Calm || m == MoodyToken.Mood.CallingBack) return;
            note(Seen.TransferRefused);
        } else {
            ok = send(a, address(task), abi.encodeCall(IInitialise.initialize, (a, p)));
        }
        if (how != 4) ok = createAs(a, salt, p);
        holds(!ok, "a creation that has to fail");
        note(Seen.CreationRefused);
    }

    function doPrune(address a, uint256 which) internal {
        bool expected = which != 0 && bookOf(which).ended && !bookOf(which).pruned;
        bool ok = send(a, address(manager), abi.encodeCall(IFlockTaskManager.pruneTask, (address(_tasks[which]))));
        same(ok, expected, "pruneTask");
        if (!ok) return;
        bookOf(which).pruned = true;
        note(Seen.Pruned);
    }

    /// Nobody but the owner gets anywhere with the functions of an owner.
    function takeOver(address a, uint256 what) internal {
        bytes[5] memory onManager = [
            abi.encodeCall(IFlockTaskManager.allowCreator, (a, true)),
            abi.encodeCall(Ownable.transferOwnership, (a)),
            abi.encodeCall(Ownable.renounceOwnership, ()),
            abi.encodeCall(Ownable2Step.acceptOwnership, ()),
            abi.encodeCall(IFlockTask.finishTask, ())
        ];
        uint256 i = what % 5;
        bool ok = send(a, i == 4 ? address(task) : address(manager), onManager[i]);
        if (moody) return holds(!ok, "a stranger as owner");
        ok = ok || send(a, address(token), abi.encodeCall(token.mint, (a, 1)));
        holds(!ok, "a stranger as owner");
    }

    /// What the manager lists as active is what was created and not pruned.
    function checkManager() external view {
        uint256 active;
        for (uint256 i = 1; i <= epoch; ++i) {
            if (!bookOf(i).pruned) ++active;
            holds(manager.isTask(address(_tasks[i])), "registered for good");
        }
        same(manager.activeTasks(), active, "active tasks");
        same(manager.getTasks().length, active, "listed tasks");
    }
}
