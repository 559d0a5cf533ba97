// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IFlockTask} from "./IFlockTask.sol";

/// @title Registry and factory of tasks
/// @notice The owner allows creators; anyone may look up and prune.
interface IFlockTaskManager {
    /// @notice An account may create tasks from now on, or no longer.
    /// @param creator who
    /// @param allowed which
    event CreatorAllowed(address indexed creator, bool allowed);

    /// @notice A task was deployed, started and funded.
    /// @param task where
    /// @param creator who
    /// @param salt its name among the creator's own
    /// @param modelDefinitionHash SHA-256 of the training definition
    event TaskCreated(address indexed task, address indexed creator, bytes32 indexed salt, bytes32 modelDefinitionHash);

    /// @notice A finished task was taken off the active ones.
    /// @param task which
    event TaskPruned(address indexed task);

    /// @notice The owner asked a task to end.
    /// @param task which
    event TaskFinishRequested(address indexed task);

    /// @notice The caller has used this salt already.
    /// @param task what it made with it
    error TaskExists(address task);

    /// @notice The owner has not allowed the caller to create tasks.
    /// @param creator the caller
    error CreatorNotAllowed(address creator);

    /// @notice Not a task of this manager, or (pruning) not an active one.
    /// @param task as given
    error UnknownTask(address task);

    /// @notice A task that runs cannot be pruned.
    /// @param task as given
    error TaskStillActive(address task);

    /// @notice The token moved another amount than it was asked to.
    error InexactTransfer();

    /// @notice Allows or disallows an account to create tasks. Owner only; tasks that exist are not touched.
    /// @dev Reverts `OwnableUnauthorizedAccount`.
    /// @param creator any account
    /// @param allowed from now on
    function allowCreator(address creator, bool allowed) external;

    /// @notice Deploys, initialises and funds a task in one call; allowed creators only. Pulls `initialRewardPool` from the caller,
    /// who has approved the manager for it.
    /// @dev Reverts `TaskExists`, `CreatorNotAllowed`, `InvalidParameter`, `InexactTransfer`, or as the token does without an
    /// allowance.
    /// @param salt names the task among the caller's own: a repeat reverts `TaskExists` whatever the arguments, so that a creator
    /// that lost track finds its task again
    /// @param parameters fixed for ever; reverts `InvalidParameter` with the name of the first one out of range
    /// @return task the address that `predictTask` foretells
    function createTask(bytes32 salt, IFlockTask.TaskParameters calldata parameters) external returns (address task);

    /// @notice The address that `createTask` by this creator with this salt has or will have.
    /// @param creator any account
    /// @param salt any
    /// @return task there may be nothing there yet
    function predictTask(address creator, bytes32 salt) external view returns (address task);

    /// @notice The existing task of a creator's salt.
    /// @param creator any account
    /// @param salt any
    /// @return task 0 if none
    function taskOf(address creator, bytes32 salt) external view returns (address task);

    /// @notice Whether this manager made the task, active or not.
    /// @param task any address
    /// @return yes its code and its parameters are then what this manager allows
    function isTask(address task) external view returns (bool yes);

    /// @notice Whether an account may create tasks.
    /// @param creator any account
    /// @return yes at this moment
    function isCreatorAllowed(address creator) external view returns (bool yes);

    /// @notice All tasks that are active: created and not pruned. Use the paged form where there can be many.
    /// @return tasks in no order
    function getTasks() external view returns (address[] memory tasks);

    /// @notice A page of the active tasks. Pruning can change the order.
    /// @param offset how many to leave out
    /// @param limit how many at most
    /// @return tasks fewer than `limit`, or none, where the list ends
    function getTasks(uint256 offset, uint256 limit) external view returns (address[] memory tasks);

    /// @notice How many tasks are active.
    /// @return count the length of `getTasks()`
    function activeTasks() external view returns (uint256 count);

    /// @notice Takes a finished task off the active ones. Anybody.
    /// @dev Reverts `UnknownTask`, `TaskStillActive`.
    /// @param task finished and not yet pruned
    function pruneTask(address task) external;

    /// @notice Asks a task to end, at once or after its running round (see `IFlockTask.finishTask`). Owner only.
    /// @dev Reverts `OwnableUnauthorizedAccount`, `UnknownTask`, `TaskOver`.
    /// @param task one of this manager
    function finishTask(address task) external;

    /// @notice Stake and reward token of every task of this manager.
    /// @return an ERC-20
    function token() external view returns (address);

    /// @notice The contract that every task is a minimal clone of.
    /// @return never a task itself
    function implementation() external view returns (address);
}
