// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// Keeps a hundredth of what moves, once told to.
contract FeeToken is ERC20("fee", "FEE") {
    bool public taking;

    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }

    function take(bool on) external {
        taking = on;
    }

    function _update(address from, address to, uint256 amount) internal override {
        super._update(from, to, amount);
        if (taking && from != address(0) && to != address(0)) super._update(to, address(0xfee), amount / 100);
    }
}

/// Says nothing, or says false, instead of moving anything.
contract LyingToken is ERC20("lie", "LIE") {
    uint256 public mode; // 0: honest, 1: returns false, 2: returns true without moving

    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }

    function lie(uint256 how) external {
        mode = how;
    }

    function transfer(address to, uint256 amount) public override returns (bool) {
        if (mode != 0) return mode == 2;
        return super.transfer(to, amount);
    }

    function transferFrom(address from, address to, uint256 amount) public override returns (bool) {
        if (mode != 0) return mode == 2;
        return super.transferFrom(from, to, amount);
    }
}

/// Calls back into `target` in the middle of every transfer, once armed, and remembers whether that worked.
contract CallbackToken is ERC20("callback", "CBK") {
    address public target;
    bytes public data;
    bool public succeeded;
    bytes public answer;
    uint256 public calls;

    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }

    function arm(address target_, bytes calldata data_) external {
        target = target_;
        data = data_;
    }

    function _update(address from, address to, uint256 amount) internal override {
        if (target != address(0) && from != address(0) && to != address(0)) {
            address callee = target;
            target = address(0);
            ++calls;
            (succeeded, answer) = callee.call(data);
        }
        super._update(from, to, amount);
    }
}
