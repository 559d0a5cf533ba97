// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IFlockTask} from "../interfaces/IFlockTask.sol";
import {IFlockTaskErrors} from "../interfaces/IFlockTaskErrors.sol";

/// @title The ranges of a task's parameters
library TaskParameterRules {
    /// @notice Reverts `InvalidParameter` with the name of the first value out of range.
    function check(IFlockTask.TaskParameters calldata p) internal pure {
        _require(bytes(p.metadata).length <= 4096, "metadata");
        _require(p.modelDefinitionHash != 0, "modelDefinitionHash");
        _require(p.genesisModelHash != 0, "genesisModelHash");
        _require(p.totalNumberOfRounds >= 1 && p.totalNumberOfRounds <= 10_000, "totalNumberOfRounds");
        _require(p.minNumberOfParticipants >= 2, "minNumberOfParticipants");
        _require(
            p.maxNumberOfParticipants >= p.minNumberOfParticipants && p.maxNumberOfParticipants <= 100,
            "maxNumberOfParticipants"
        );
        _require(
            p.participantsDistributionRate != 0 && p.participantsDistributionRate <= 0.5e18,
            "participantsDistributionRate"
        );
        _require(p.slashedPerStake != 0 && p.slashedPerStake <= 1e18, "slashedPerStake");
        // Every slash takes at least one unit.
        _require(uint256(p.minStakeThreshold) * p.slashedPerStake >= 1e18, "minStakeThreshold");
        // Else an account could enter with a stake that cannot join.
        _require(p.entryStake >= p.minStakeThreshold, "entryStake");
        _require(p.bonusRatioForSlashCaller <= 2_000, "bonusRatioForSlashCaller");
        _require(p.quorumBps < 10_000, "quorumBps");
        _window(p.joinWindow, "joinWindow");
        _window(p.proposeWindow, "proposeWindow");
        _window(p.commitWindow, "commitWindow");
        _window(p.revealWindow, "revealWindow");
        uint256 windows = uint256(p.joinWindow) + p.proposeWindow + p.commitWindow + p.revealWindow;
        _require(p.stallTimeout >= 2 * windows && p.stallTimeout <= 90 days, "stallTimeout");
        _require(p.allowListEnabled || p.allowList.length == 0, "allowList");
    }

    function _window(uint256 window, string memory name) private pure {
        _require(window >= 1 && window <= 30 days, name);
    }

    function _require(bool ok, string memory name) private pure {
        if (!ok) revert IFlockTaskErrors.InvalidParameter(name);
    }
}
