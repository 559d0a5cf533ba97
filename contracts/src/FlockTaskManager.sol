// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {Ownable2Step} from "@openzeppelin/contracts/access/Ownable2Step.sol";
import {Clones} from "@openzeppelin/contracts/proxy/Clones.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {EnumerableSet} from "@openzeppelin/contracts/utils/structs/EnumerableSet.sol";
import {FlockTask} from "./FlockTask.sol";
import {IFlockTask} from "./interfaces/IFlockTask.sol";
import {IFlockTaskManager} from "./interfaces/IFlockTaskManager.sol";
import {TaskParameterRules} from "./task/TaskParameterRules.sol";

/// @title Registry and factory of tasks
/// @notice The owner says who may create tasks and may ask a task to end early. It can touch neither stake nor rules.
contract FlockTaskManager is IFlockTaskManager, Ownable2Step, ReentrancyGuardTransient {
    using SafeERC20 for IERC20;
    using EnumerableSet for EnumerableSet.AddressSet;

    IERC20 private immutable _token;
    address private immutable _implementation;
    mapping(address => bool) private _creators;
    mapping(address creator => mapping(bytes32 salt => address)) private _taskOf;
    mapping(address => bool) private _isTask;
    EnumerableSet.AddressSet private _active;

    /// @notice Deploys the task implementation as well.
    /// @param token_ stake and reward token of every task; has to be a contract that moves exactly what it is asked to
    /// @param owner_ who allows creators
    constructor(IERC20 token_, address owner_) Ownable(owner_) {
        _token = token_;
        _implementation = address(new FlockTask(token_));
    }

    /// @inheritdoc IFlockTaskManager
    function allowCreator(address creator, bool allowed) external onlyOwner {
        _creators[creator] = allowed;
        emit CreatorAllowed(creator, allowed);
    }

    /// @inheritdoc IFlockTaskManager
    function createTask(bytes32 salt, IFlockTask.TaskParameters calldata parameters)
        external
        nonReentrant
        returns (address task)
    {
        address existing = _taskOf[msg.sender][salt];
        if (existing != address(0)) revert TaskExists(existing);
        if (!_creators[msg.sender]) revert CreatorNotAllowed(msg.sender);
        TaskParameterRules.check(parameters);

        task = Clones.cloneDeterministic(_implementation, _saltOf(msg.sender, salt));
        _taskOf[msg.sender][salt] = task;
        _isTask[task] = true;
        _active.add(task);
        emit TaskCreated(task, msg.sender, salt, parameters.modelDefinitionHash);
        FlockTask(task).initialize(msg.sender, parameters);

        uint256 pool = parameters.initialRewardPool;
        if (pool == 0) return task;
        // Somebody may have sent tokens to the predicted address: what counts is the difference.
        uint256 before = _token.balanceOf(task);
        _token.safeTransferFrom(msg.sender, task, pool);
        if (_token.balanceOf(task) != before + pool) revert InexactTransfer();
    }

    /// @inheritdoc IFlockTaskManager
    function predictTask(address creator, bytes32 salt) external view returns (address) {
        return Clones.predictDeterministicAddress(_implementation, _saltOf(creator, salt));
    }

    /// @inheritdoc IFlockTaskManager
    function finishTask(address task) external onlyOwner {
        if (!_isTask[task]) revert UnknownTask(task);
        emit TaskFinishRequested(task);
        IFlockTask(task).finishTask();
        if (IFlockTask(task).isFinished()) _prune(task);
    }

    /// @inheritdoc IFlockTaskManager
    function pruneTask(address task) external {
        if (!_active.contains(task)) revert UnknownTask(task);
        if (!IFlockTask(task).isFinished()) revert TaskStillActive(task);
        _prune(task);
    }

    function _prune(address task) private {
        if (_active.remove(task)) emit TaskPruned(task);
    }

    /// The creator is part of the salt: nobody can take another's address.
    function _saltOf(address creator, bytes32 salt) private pure returns (bytes32) {
        return keccak256(abi.encode(creator, salt));
    }

    /// @inheritdoc IFlockTaskManager
    function taskOf(address creator, bytes32 salt) external view returns (address) {
        return _taskOf[creator][salt];
    }

    /// @inheritdoc IFlockTaskManager
    function isTask(address task) external view returns (bool) {
        return _isTask[task];
    }

    /// @inheritdoc IFlockTaskManager
    function isCreatorAllowed(address creator) external view returns (bool) {
        return _creators[creator];
    }

    /// @inheritdoc IFlockTaskManager
    function getTasks() external view returns (address[] memory) {
        return _active.values();
    }

    /// @inheritdoc IFlockTaskManager
    function getTasks(uint256 offset, uint256 limit) external view returns (address[] memory) {
        uint256 length = _active.length();
        if (offset > length) offset = length;
        uint256 end = limit > length - offset ? length : offset + limit;
        return _active.values(offset, end);
    }

    /// @inheritdoc IFlockTaskManager
    function activeTasks() external view returns (uint256) {
        return _active.length();
    }

    /// @inheritdoc IFlockTaskManager
    function token() external view returns (address) {
        return address(_token);
    }

    /// @inheritdoc IFlockTaskManager
    function implementation() external view returns (address) {
        return _implementation;
    }
}
