// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title Who becomes proposer, who voter
/// @notice Fisher-Yates over join order from a seed that nobody knew while the roster was open.
library RoundDraw {
    /// @notice The seed of a round: the hash of its seed block, bound to chain, task and round.
    function seedOf(bytes32 seedBlockHash, uint256 chainId, address task, uint256 round)
        internal
        pure
        returns (bytes32)
    {
        return keccak256(abi.encode(seedBlockHash, chainId, task, round));
    }

    /// @notice `order[k]` is the join index (0..n-1) of the participant drawn into seat k.
    function shuffle(bytes32 seed, uint256 n) internal pure returns (uint256[] memory order) {
        order = new uint256[](n);
        for (uint256 i = 0; i < n; ++i) {
            order[i] = i;
        }
        for (uint256 i = n - 1; i > 0; --i) {
            uint256 j = uint256(keccak256(abi.encode(seed, i))) % (i + 1);
            (order[i], order[j]) = (order[j], order[i]);
        }
    }

    /// @notice How many of `n` (>= 2) are proposers: max(1, min(n - 1, floor(n * rate / 1e18))).
    function proposerCount(uint256 n, uint256 rate) internal pure returns (uint256 count) {
        count = n * rate / 1e18;
        if (count > n - 1) count = n - 1;
        if (count == 0) count = 1;
    }
}
