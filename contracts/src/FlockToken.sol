// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// @title The stake token of test nets
/// @notice A plain ERC-20 with 18 decimals. Its owner mints without a limit, so it has no value anywhere.
contract FlockToken is ERC20, Ownable {
    /// @param owner_ who may mint
    constructor(address owner_) ERC20("FLock test token", "FLT") Ownable(owner_) {}

    /// @notice Makes tokens out of nothing. Owner only.
    /// @dev Reverts `OwnableUnauthorizedAccount`, `ERC20InvalidReceiver`.
    /// @param to who gets them
    /// @param amount smallest unit
    function mint(address to, uint256 amount) external onlyOwner {
        _mint(to, amount);
    }

    /// @notice Destroys tokens of the caller's own. Anybody.
    /// @dev Reverts `ERC20InsufficientBalance`.
    /// @param amount smallest unit
    function burn(uint256 amount) external {
        _burn(msg.sender, amount);
    }
}
