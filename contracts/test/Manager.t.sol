// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Initializable} from "@openzeppelin/contracts/proxy/utils/Initializable.sol";
import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {IFlockTask} from "../src/interfaces/IFlockTask.sol";
import {IFlockTaskErrors} from "../src/interfaces/IFlockTaskErrors.sol";
import {IFlockTaskManager} from "../src/interfaces/IFlockTaskManager.sol";
import {World} from "./support/World.sol";

interface IInitialize {
    function initialize(address creator, IFlockTask.TaskParameters calldata p) external;
}

/// Registry and factory (protocol section 1).
contract ManagerTest is World {
    bytes32 private constant SALT = keccak256("a salt");

    function test_only_creators_the_owner_allowed_can_create() external {
        address stranger = actor(1);
        vm.expectRevert(abi.encodeWithSelector(IFlockTaskManager.CreatorNotAllowed.selector, stranger));
        vm.prank(stranger);
        manager.createTask(SALT, defaults());

        vm.expectRevert(abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, stranger));
        vm.prank(stranger);
        manager.allowCreator(stranger, true);

        vm.prank(owner);
        manager.allowCreator(creator, false);
        vm.assertTrue(!manager.isCreatorAllowed(creator), "disallowed again");
        vm.expectRevert(abi.encodeWithSelector(IFlockTaskManager.CreatorNotAllowed.selector, creator));
        vm.prank(creator);
        manager.createTask(SALT, defaults());
    }

    function test_creating_deploys_initialises_and_funds_in_one_call() external {
        address predicted = manager.predictTask(creator, SALT);
        token.mint(predicted, 5); // a donation before the task exists must not matter
        IFlockTask created = newTask(defaults(), SALT);
        vm.assertEq(address(created), predicted, "address");
        vm.assertEq(manager.taskOf(creator, SALT), predicted, "taskOf");
        vm.assertTrue(manager.isTask(predicted), "registered");
        vm.assertEq(token.balanceOf(predicted), POOL + 5, "funded");
        vm.assertEq(created.rewardPool(), POOL, "pool without the donation");
        vm.assertEq(created.globalModelHash(0), GENESIS, "genesis");
        vm.assertEq(predicted.code.length, 45, "an ERC-1167 clone");
        (IFlockTask.TaskState memory t,,,) = created.snapshot(0, new address[](0));
        vm.assertEq(t.creator, creator, "creator");
        vm.assertEq(t.manager, address(manager), "manager");
        vm.assertEq(t.token, address(token), "token");
        vm.assertEq(t.createdBlock, block.number, "created block");
        vm.assertEq(t.createdAt, block.timestamp, "created at");
    }

    function test_parameters_are_read_back_as_given() external {
        IFlockTask.TaskParameters memory p = defaults();
        p.allowListEnabled = true;
        IFlockTask created = newTask(p, SALT);
        vm.assertEq(keccak256(abi.encode(created.parameters())), keccak256(abi.encode(p)), "parameters");
    }

    function test_a_repeated_salt_names_the_existing_task_whatever_the_arguments() external {
        address first = address(newTask(defaults(), SALT));
        IFlockTask.TaskParameters memory broken;
        vm.expectRevert(abi.encodeWithSelector(IFlockTaskManager.TaskExists.selector, first));
        vm.prank(creator);
        manager.createTask(SALT, broken);
        vm.prank(owner);
        manager.allowCreator(creator, false);
        vm.expectRevert(abi.encodeWithSelector(IFlockTaskManager.TaskExists.selector, first));
        vm.prank(creator);
        manager.createTask(SALT, defaults());
    }

    function test_nobody_can_take_another_creators_salt() external {
        address other = actor(7);
        vm.prank(owner);
        manager.allowCreator(other, true);
        IFlockTask.TaskParameters memory p = defaults();
        p.initialRewardPool = 0;
        vm.prank(other);
        address theirs = manager.createTask(SALT, p);
        address ours = address(newTask(p, SALT));
        vm.assertTrue(theirs != ours, "different addresses");
        vm.assertEq(theirs, manager.predictTask(other, SALT), "theirs");
        vm.assertEq(ours, manager.predictTask(creator, SALT), "ours");
    }

    function test_creating_fails_as_a_whole_if_the_pool_cannot_be_pulled() external {
        vm.expectRevert();
        vm.prank(creator);
        manager.createTask(SALT, defaults());
        vm.assertEq(manager.taskOf(creator, SALT), address(0), "nothing registered");
        vm.assertEq(manager.predictTask(creator, SALT).code.length, 0, "nothing deployed");
    }

    function test_neither_a_task_nor_the_implementation_can_be_initialised_again() external {
        IInitialize implementation = IInitialize(manager.implementation());
        vm.expectRevert(Initializable.InvalidInitialization.selector);
        vm.prank(address(manager));
        implementation.initialize(creator, defaults());
        vm.expectRevert(Initializable.InvalidInitialization.selector);
        vm.prank(address(manager));
        IInitialize(address(task)).initialize(creator, defaults());
    }

    function test_a_clone_made_by_somebody_else_cannot_be_initialised() external {
        // The same ERC-1167 code, deployed without the manager.
        address clone = address(0xc10e);
        vm.etch(clone, address(task).code);
        vm.expectRevert(IFlockTaskErrors.NotManager.selector);
        IInitialize(clone).initialize(creator, defaults());
    }

    function test_active_tasks_are_listed_in_pages_and_pruned_by_anyone_once_finished() external {
        address a = address(task);
        address b = address(newTask(defaults(), "b"));
        address c = address(newTask(defaults(), "c"));
        vm.assertEq(manager.activeTasks(), 3, "active");
        vm.assertEq(manager.getTasks().length, 3, "all");
        vm.assertEq(manager.getTasks(1, 1).length, 1, "a page");
        vm.assertEq(manager.getTasks(1, 1)[0], b, "the second");
        vm.assertEq(manager.getTasks(2, type(uint256).max)[0], c, "an open page");
        vm.assertEq(manager.getTasks(3, 5).length, 0, "past the end");
        vm.assertEq(manager.getTasks(type(uint256).max, 5).length, 0, "far past the end");

        vm.expectRevert(abi.encodeWithSelector(IFlockTaskManager.TaskStillActive.selector, a));
        manager.pruneTask(a);
        skip(2000);
        task.terminate();
        vm.expectEmit(address(manager));
        emit IFlockTaskManager.TaskPruned(a);
        vm.prank(actor(3));
        manager.pruneTask(a);
        vm.assertEq(manager.activeTasks(), 2, "one less");
        vm.assertTrue(manager.isTask(a), "still known");
        vm.expectRevert(abi.encodeWithSelector(IFlockTaskManager.UnknownTask.selector, a));
        manager.pruneTask(a);
    }

    function test_only_the_owner_finishes_a_task_and_only_through_the_manager() external {
        vm.expectRevert(abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, creator));
        vm.prank(creator);
        manager.finishTask(address(task));
        vm.expectRevert(IFlockTaskErrors.NotManager.selector);
        vm.prank(owner);
        task.finishTask();
        vm.expectRevert(abi.encodeWithSelector(IFlockTaskManager.UnknownTask.selector, address(token)));
        vm.prank(owner);
        manager.finishTask(address(token));
        vm.prank(owner);
        manager.finishTask(address(task));
        vm.assertTrue(task.isFinished(), "finished");
        vm.assertEq(manager.activeTasks(), 0, "pruned in the same call");
    }

    // --- parameter ranges ---

    function expectInvalid(IFlockTask.TaskParameters memory p, string memory name) private {
        vm.expectRevert(abi.encodeWithSelector(IFlockTaskErrors.InvalidParameter.selector, name));
        vm.prank(creator);
        manager.createTask(SALT, p);
    }

    function expectValid(IFlockTask.TaskParameters memory p) private {
        newTask(p);
    }

    function test_metadata_has_at_most_4096_bytes() external {
        IFlockTask.TaskParameters memory p = defaults();
        p.metadata = string(new bytes(4097));
        expectInvalid(p, "metadata");
        p.metadata = string(new bytes(4096));
        expectValid(p);
    }

    function test_zero_hashes_are_refused() external {
        IFlockTask.TaskParameters memory p = defaults();
        p.modelDefinitionHash = 0;
        expectInvalid(p, "modelDefinitionHash");
        p = defaults();
        p.genesisModelHash = 0;
        expectInvalid(p, "genesisModelHash");
    }

    function test_a_task_has_1_to_10000_rounds() external {
        IFlockTask.TaskParameters memory p = defaults();
        p.totalNumberOfRounds = 0;
        expectInvalid(p, "totalNumberOfRounds");
        p.totalNumberOfRounds = 10_001;
        expectInvalid(p, "totalNumberOfRounds");
        p.totalNumberOfRounds = 10_000;
        expectValid(p);
        p.totalNumberOfRounds = 1;
        expectValid(p);
    }

    function test_participants_are_2_to_100_and_in_order() external {
        IFlockTask.TaskParameters memory p = defaults();
        p.minNumberOfParticipants = 1;
        expectInvalid(p, "minNumberOfParticipants");
        p.minNumberOfParticipants = 7;
        expectInvalid(p, "maxNumberOfParticipants");
        p.minNumberOfParticipants = 2;
        p.maxNumberOfParticipants = 101;
        expectInvalid(p, "maxNumberOfParticipants");
        p.maxNumberOfParticipants = 256 + 50; // must not wrap
        expectInvalid(p, "maxNumberOfParticipants");
        p.maxNumberOfParticipants = 100;
        expectValid(p);
        p.maxNumberOfParticipants = 2;
        expectValid(p);
    }

    function test_the_share_of_proposers_is_above_0_and_at_most_half() external {
        IFlockTask.TaskParameters memory p = defaults();
        p.participantsDistributionRate = 0;
        expectInvalid(p, "participantsDistributionRate");
        p.participantsDistributionRate = 0.5e18 + 1;
        expectInvalid(p, "participantsDistributionRate");
        p.participantsDistributionRate = 0.5e18;
        expectValid(p);
        p.participantsDistributionRate = 1;
        expectValid(p);
    }

    function test_every_slash_takes_at_least_one_unit_and_at_most_the_stake() external {
        IFlockTask.TaskParameters memory p = defaults();
        p.slashedPerStake = 0;
        expectInvalid(p, "slashedPerStake");
        p.slashedPerStake = 1e18 + 1;
        expectInvalid(p, "slashedPerStake");
        p.slashedPerStake = 1e18;
        expectValid(p);
        p.slashedPerStake = 0.5e18;
        p.minStakeThreshold = 1;
        expectInvalid(p, "minStakeThreshold");
        p.minStakeThreshold = 2;
        expectValid(p);
        p.minStakeThreshold = 0;
        p.slashedPerStake = 1e18;
        expectInvalid(p, "minStakeThreshold");
    }

    function test_the_entry_stake_is_enough_to_join() external {
        IFlockTask.TaskParameters memory p = defaults();
        p.entryStake = p.minStakeThreshold - 1;
        expectInvalid(p, "entryStake");
        p.entryStake = p.minStakeThreshold;
        expectValid(p);
    }

    function test_bonus_and_quorum_stay_in_range() external {
        IFlockTask.TaskParameters memory p = defaults();
        p.bonusRatioForSlashCaller = 2001;
        expectInvalid(p, "bonusRatioForSlashCaller");
        p.bonusRatioForSlashCaller = 2000;
        p.quorumBps = 10_000;
        expectInvalid(p, "quorumBps");
        p.quorumBps = 9999;
        expectValid(p);
        p.quorumBps = 0;
        p.bonusRatioForSlashCaller = 0;
        expectValid(p);
    }

    function test_windows_last_1_second_to_30_days() external {
        string[4] memory names = ["joinWindow", "proposeWindow", "commitWindow", "revealWindow"];
        for (uint256 i = 0; i < 4; ++i) {
            IFlockTask.TaskParameters memory p = defaults();
            p.stallTimeout = 90 days;
            setWindow(p, i, 0);
            expectInvalid(p, names[i]);
            setWindow(p, i, 30 days + 1);
            expectInvalid(p, names[i]);
            setWindow(p, i, 30 days);
            expectValid(p);
            setWindow(p, i, 1);
            expectValid(p);
        }
    }

    function setWindow(IFlockTask.TaskParameters memory p, uint256 i, uint32 value) private pure {
        if (i == 0) p.joinWindow = value;
        else if (i == 1) p.proposeWindow = value;
        else if (i == 2) p.commitWindow = value;
        else p.revealWindow = value;
    }

    function test_the_stall_timeout_is_twice_the_windows_to_90_days() external {
        IFlockTask.TaskParameters memory p = defaults();
        p.stallTimeout = 2 * 650 - 1;
        expectInvalid(p, "stallTimeout");
        p.stallTimeout = 2 * 650;
        expectValid(p);
        p.stallTimeout = 90 days + 1;
        expectInvalid(p, "stallTimeout");
        p.stallTimeout = 90 days;
        expectValid(p);
    }

    function test_an_allow_list_without_the_switch_is_refused() external {
        IFlockTask.TaskParameters memory p = defaults();
        p.allowList = new address[](1);
        expectInvalid(p, "allowList");
        p.allowListEnabled = true;
        expectValid(p);
    }
}
