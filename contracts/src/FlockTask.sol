// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Initializable} from "@openzeppelin/contracts/proxy/utils/Initializable.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IFlockTask} from "./interfaces/IFlockTask.sol";
import {TaskRounds} from "./task/TaskRounds.sol";
import {TaskStorage} from "./task/TaskStorage.sol";
import {TaskViews} from "./task/TaskViews.sol";

/// @title One federated-learning task
/// @notice Deployed once by the manager; every task is a minimal clone of it with parameters that never change. There is no
/// pause, no upgrade and no setter. This file holds what accounts do outside of rounds: staking, funding, claiming.
contract FlockTask is TaskRounds, TaskViews, Initializable {
    uint256 private constant NODE_METADATA_LIMIT = 1024; // bytes

    /// @notice The implementation behind the clones of the manager that deploys it. It is never a task itself.
    /// @param token_ stake and reward token of every task
    constructor(IERC20 token_) TaskStorage(token_, msg.sender) {
        _disableInitializers();
    }

    /// @notice Starts a clone as a task, in the call that deployed it. Manager only, once. The initial pool is credited here and
    /// moved by the manager in the same call.
    /// @dev Reverts `NotManager`, `InvalidInitialization`.
    /// @param creator_ may extend the allow list and takes the remainder of the pool in the end
    /// @param p already checked by the manager (its code has the room for that)
    function initialize(address creator_, TaskParameters calldata p) external initializer {
        if (msg.sender != _manager) revert NotManager();
        _settings = Settings({
            joinWindow: p.joinWindow,
            proposeWindow: p.proposeWindow,
            commitWindow: p.commitWindow,
            revealWindow: p.revealWindow,
            stallTimeout: p.stallTimeout,
            totalNumberOfRounds: uint16(p.totalNumberOfRounds),
            currentRound: 0,
            quorumBps: p.quorumBps,
            bonusRatio: p.bonusRatioForSlashCaller,
            minParticipants: uint8(p.minNumberOfParticipants),
            maxParticipants: uint8(p.maxNumberOfParticipants),
            allowList: p.allowListEnabled,
            ended: false
        });
        _entryStake = p.entryStake;
        _minStakeThreshold = p.minStakeThreshold;
        _distributionRate = p.participantsDistributionRate;
        _slashedPerStake = p.slashedPerStake;
        _initialRewardPool = p.initialRewardPool;
        _rewardPool = p.initialRewardPool;
        _modelDefinitionHash = p.modelDefinitionHash;
        _metadata = p.metadata;
        _creator = creator_;
        _createdAt = uint40(block.timestamp);
        _createdBlock = uint40(block.number);
        _lastSettledAt = uint40(block.timestamp);
        _rounds[0].startModelHash = p.genesisModelHash;
        _rounds[0].progress.joinDeadline = uint40(block.timestamp + p.joinWindow);
        _allow(p.allowList);
    }

    /// @inheritdoc IFlockTask
    function stake(uint256 amount) external nonReentrant {
        if (_settings.ended) revert TaskOver();
        Account storage a = _accounts[msg.sender];
        if (a.removed) revert AccountIsRemoved(msg.sender);
        uint128 checked = _checkedAmount(amount);
        if (a.id == 0) {
            if (_settings.allowList && !a.allowed) revert AccountNotAllowed(msg.sender);
            if (amount < _entryStake) revert StakeTooSmall(_entryStake);
            uint32 id = _accountCount + 1;
            _accountCount = id;
            _accountList[id] = msg.sender;
            a.id = id;
        }
        a.stakeLeft += checked;
        _totalStakes += checked;
        emit Staked(msg.sender, amount);
        _pull(amount);
    }

    /// @inheritdoc IFlockTask
    function setNodeMetadata(string calldata metadata) external {
        uint256 length = bytes(metadata).length;
        if (length > NODE_METADATA_LIMIT) revert MetadataTooLong(length, NODE_METADATA_LIMIT);
        _nodeMetadata[msg.sender] = metadata;
        emit NodeMetadataSet(msg.sender);
    }

    /// @inheritdoc IFlockTask
    function fundRewardPool(uint256 amount) external nonReentrant {
        if (_settings.ended) revert TaskOver();
        _rewardPool += _checkedAmount(amount);
        emit RewardPoolFunded(msg.sender, amount);
        _pull(amount);
    }

    /// @inheritdoc IFlockTask
    function allowParticipants(address[] calldata accounts) external {
        if (msg.sender != _creator) revert NotCreator();
        if (!_settings.allowList) revert AllowListOff();
        _allow(accounts);
    }

    function _allow(address[] calldata accounts) private {
        for (uint256 i = 0; i < accounts.length; ++i) {
            _accounts[accounts[i]].allowed = true;
            emit ParticipantAllowed(accounts[i]);
        }
    }

    /// @inheritdoc IFlockTask
    function claimRewards() external nonReentrant {
        if (!_settings.ended) revert TaskNotOver();
        Account storage a = _accounts[msg.sender];
        uint128 staked = a.stakeLeft;
        uint128 credited = a.claimable;
        uint256 amount = uint256(staked) + credited;
        if (amount == 0) revert NothingToClaim();
        a.stakeLeft = 0;
        a.claimable = 0;
        a.claimed = true;
        _totalStakes -= staked;
        _totalClaimable -= credited;
        emit Claimed(msg.sender, amount, _settings.currentRound, "finalReward");
        _pay(msg.sender, amount);
    }

    /// @inheritdoc IFlockTask
    function withdrawRemainder() external nonReentrant {
        if (msg.sender != _creator) revert NotCreator();
        if (!_settings.ended) revert TaskNotOver();
        uint256 amount = _rewardPool;
        if (amount == 0) revert NothingToClaim();
        _rewardPool = 0;
        emit RemainderWithdrawn(msg.sender, amount);
        _pay(msg.sender, amount);
    }
}
