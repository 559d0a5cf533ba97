// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IFlockTask} from "./IFlockTask.sol";

/// Registry and factory of tasks. The owner allows creators; anyone may look up and prune.
interface IFlockTaskManager {
    event CreatorAllowed(address indexed creator, bool allowed);
    event TaskCreated(address indexed task, address indexed creator, bytes32 indexed salt, bytes32 modelDefinitionHash);
    event TaskPruned(address indexed task);
    event TaskFinishRequested(address indexed task);

    error TaskExists(address task);
    error CreatorNotAllowed(address creator);
    error UnknownTask(address task);
    error TaskStillActive(address task);
    error InexactTransfer();

    function allowCreator(address creator, bool allowed) external;
    /// Pulls `initialRewardPool` from the caller, deploys, initialises and funds the clone in the same call.
    function createTask(bytes32 salt, IFlockTask.TaskParameters calldata parameters) external returns (address task);
    function predictTask(address creator, bytes32 salt) external view returns (address task);
    function taskOf(address creator, bytes32 salt) external view returns (address task);
    function isTask(address task) external view returns (bool);
    function isCreatorAllowed(address creator) external view returns (bool);
    function getTasks() external view returns (address[] memory);
    function getTasks(uint256 offset, uint256 limit) external view returns (address[] memory);
    function activeTasks() external view returns (uint256);
    function pruneTask(address task) external;
    function finishTask(address task) external; // owner only
    function token() external view returns (address);
    function implementation() external view returns (address);
}
