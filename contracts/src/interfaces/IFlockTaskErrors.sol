// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IFlockTask} from "./IFlockTask.sol";

/// @title Why a call to a task reverts
interface IFlockTaskErrors {
    // --- creation ---
    /// A value of `TaskParameters` is out of its range.
    error InvalidParameter(string name);

    // --- who and when ---
    error NotManager();
    error NotCreator();
    /// The task has ended: only claiming and withdrawing are left.
    error TaskOver();
    /// The task still runs: nothing can be claimed yet.
    error TaskNotOver();
    /// The round named in the call is not the current one.
    error WrongRound(uint256 currentRound);
    /// Nothing is known of this round yet.
    error UnknownRound(uint256 round);
    /// The call belongs to another phase than the round is in.
    error WrongPhase(IFlockTask.Phase phase);
    /// `terminate` is possible from this time on.
    error NotStalled(uint256 until);

    // --- staking and joining ---
    error AccountNotAllowed(address account);
    error AccountIsRemoved(address account);
    error StakeTooSmall(uint256 required);
    error AlreadyJoined();
    error RosterFull();
    error AllowListOff();
    error MetadataTooLong(uint256 length, uint256 limit);

    // --- draw ---
    /// Fewer than the minimum have joined, or the join window is still open and seats are left.
    error RosterNotReady(uint256 joined, uint256 joinDeadline);
    /// The draw's second step is possible once the block number is above `seedBlock`.
    error SeedBlockPending(uint256 seedBlock);

    // --- contributions and votes ---
    error NotProposer();
    error NotVoter();
    error AlreadyContributed();
    /// The zero hash, or the hash of the model the round started from.
    error InvalidModelHash();
    /// The round is not what the call was computed from (for instance after a reorganisation of the chain).
    error StaleDigest(bytes32 current);
    error AlreadyCommitted();
    error InvalidCommitment();
    error NotCommitted();
    error AlreadyRevealed();
    /// What is revealed is not what was committed to.
    error CommitmentMismatch();
    error InvalidScore(int8 score);
    /// A bit without a contribution, or mask 0 with anything else than (start, -1).
    error InvalidMask(uint256 includedMask);

    // --- money ---
    error ZeroAmount();
    /// All amounts of a task together must fit 128 bits.
    error AmountTooLarge();
    /// The token moved another amount than it was asked to.
    error InexactTransfer();
    error NothingToClaim();
}
