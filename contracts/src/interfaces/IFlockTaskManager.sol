// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IFlockTask} from "./IFlockTask.sol";

/// @title Registry and factory of tasks
/// @notice The owner allows creators; anyone may look up and prune.
interface IFlockTaskManager {
    event CreatorAllowed(address indexed creator, bool allowed);
    event TaskCreated(address indexed task, address indexed creator, bytes32 indexed salt, bytes32 modelDefinitionHash);
    event TaskPruned(address indexed task);
    event TaskFinishRequested(address indexed task);

    /// The caller has used this salt already, for this task.
    error TaskExists(address task);
    error CreatorNotAllowed(address creator);
    /// Not a task of this manager, or (pruning) not an active one.
    error UnknownTask(address task);
    error TaskStillActive(address task);
    /// The token moved another amount than it was asked to.
    error InexactTransfer();

    /// @notice Allows or disallows an account to create tasks. Owner only; tasks that exist are not touched.
    function allowCreator(address creator, bool allowed) external;

    /// @notice Deploys, initialises and funds a task in one call; allowed creators only. Pulls `initialRewardPool` from the caller.
    /// @param salt names the task among the caller's own: a repeat reverts `TaskExists` whatever the arguments, so that a creator
    /// that lost track finds its task again
    /// @param parameters fixed for ever; reverts `InvalidParameter` with the name of the first one out of range
    function createTask(bytes32 salt, IFlockTask.TaskParameters calldata parameters) external returns (address task);

    /// @notice The address that `createTask` by this creator with this salt has or will have.
    function predictTask(address creator, bytes32 salt) external view returns (address task);

    /// @notice The existing task of a creator's salt; 0 if none.
    function taskOf(address creator, bytes32 salt) external view returns (address task);

    /// @notice Whether this manager made the task, active or not.
    function isTask(address task) external view returns (bool);

    /// @notice Whether an account may create tasks.
    function isCreatorAllowed(address creator) external view returns (bool);

    /// @notice All tasks that are active: created and not pruned. Use the paged form where there can be many.
    function getTasks() external view returns (address[] memory);

    /// @notice Active tasks `offset` to `offset + limit - 1`, as far as there are. Pruning can change the order.
    function getTasks(uint256 offset, uint256 limit) external view returns (address[] memory);

    /// @notice How many tasks are active.
    function activeTasks() external view returns (uint256);

    /// @notice Takes a finished task off the active ones. Anyone.
    function pruneTask(address task) external;

    /// @notice Asks a task to end, at once or after its running round (see `IFlockTask.finishTask`). Owner only.
    function finishTask(address task) external;

    /// @notice Stake and reward token of every task of this manager.
    function token() external view returns (address);

    /// @notice The contract that every task is a minimal clone of.
    function implementation() external view returns (address);
}
