// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Cheats} from "../support/Cheats.sol";

/// Assertions that cost next to nothing while they hold: a call to a cheat code is ten times dearer than the comparison, and after every
/// call of a million there are dozens.
abstract contract Checks is Cheats {
    function same(uint256 left, uint256 right, string memory what) internal pure {
        if (left != right) vm.assertEq(left, right, what);
    }

    function same(int256 left, int256 right, string memory what) internal pure {
        if (left != right) vm.assertEq(left, right, what);
    }

    function same(bytes32 left, bytes32 right, string memory what) internal pure {
        if (left != right) vm.assertEq(left, right, what);
    }

    function same(address left, address right, string memory what) internal pure {
        if (left != right) vm.assertEq(left, right, what);
    }

    function same(bool left, bool right, string memory what) internal pure {
        if (left != right) vm.assertEq(left, right, what);
    }

    function holds(bool condition, string memory what) internal pure {
        if (!condition) vm.assertTrue(false, what);
    }
}
