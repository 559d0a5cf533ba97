// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// An ERC-20 that turns on its users and calms down again, as often as it is told to. It can also be a participant itself.
contract MoodyToken is ERC20("moody", "MOOD") {
    enum Mood {
        Calm,
        Reverting,
        SayingNo, // returns false
        Lying, // returns true, moves nothing
        TakingAFee,
        CallingBack
    }

    error NotNow();

    Mood public mood;
    address public target;
    bytes public data;
    bool public called;
    bool public succeeded;

    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }

    function burn(uint256 amount) external {
        _burn(msg.sender, amount);
    }

    function be(Mood mood_) external {
        mood = mood_;
    }

    /// What to call, once, in the middle of the next transfer.
    function arm(address target_, bytes calldata data_) external {
        (target, data, called, succeeded) = (target_, data_, false, false);
    }

    function transfer(address to, uint256 amount) public override returns (bool) {
        if (mood == Mood.SayingNo || mood == Mood.Lying) return mood == Mood.Lying;
        return super.transfer(to, amount);
    }

    function transferFrom(address from, address to, uint256 amount) public override returns (bool) {
        if (mood == Mood.SayingNo || mood == Mood.Lying) return mood == Mood.Lying;
        return super.transferFrom(from, to, amount);
    }

    function _update(address from, address to, uint256 amount) internal override {
        bool moving = from != address(0) && to != address(0);
        if (moving && mood == Mood.Reverting) revert NotNow();
        if (moving && mood == Mood.CallingBack && target != address(0)) {
            address callee = target;
            target = address(0);
            called = true;
            (succeeded,) = callee.call(data);
        }
        super._update(from, to, amount);
        if (moving && mood == Mood.TakingAFee) super._update(to, address(0xfee), (amount + 99) / 100);
    }
}
