// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IFlockTask} from "./IFlockTask.sol";

/// @title Why a call to a task reverts
interface IFlockTaskErrors {
    // --- creation ---
    /// @notice A value of `TaskParameters` is out of its range.
    /// @param name the first such value
    error InvalidParameter(string name);

    // --- who and when ---
    /// @notice Only the manager that made the task may call this.
    error NotManager();
    /// @notice Only the creator of the task may call this.
    error NotCreator();
    /// @notice The task has ended: only claiming and withdrawing are left.
    error TaskOver();
    /// @notice The task still runs: nothing can be claimed yet.
    error TaskNotOver();
    /// @notice The round named in the call is not the current one.
    /// @param currentRound what the call would have to name
    error WrongRound(uint256 currentRound);
    /// @notice Nothing is known of this round yet.
    /// @param round as asked for
    error UnknownRound(uint256 round);
    /// @notice The call belongs to another phase than the round is in.
    /// @param phase the round is in
    error WrongPhase(IFlockTask.Phase phase);
    /// @notice `terminate` is possible from this time on.
    /// @param until Unix seconds
    error NotStalled(uint256 until);

    // --- staking and joining ---
    /// @notice The task has an allow list, and the account is not on it.
    /// @param account the caller
    error AccountNotAllowed(address account);
    /// @notice The account fell below the threshold in a settlement: it neither stakes nor joins again.
    /// @param account the caller
    error AccountIsRemoved(address account);
    /// @notice The first stake is below `entryStake`, or what is left is below `minStakeThreshold`.
    /// @param required smallest unit of the token
    error StakeTooSmall(uint256 required);
    /// @notice The caller has a seat in this round.
    error AlreadyJoined();
    /// @notice All seats of this round are taken.
    error RosterFull();
    /// @notice The task was created open to everybody.
    error AllowListOff();
    /// @notice The text is too long.
    /// @param length bytes given
    /// @param limit bytes allowed
    error MetadataTooLong(uint256 length, uint256 limit);

    // --- draw ---
    /// @notice Fewer than the minimum have joined, or the join window is still open and seats are left.
    /// @param joined participants so far
    /// @param joinDeadline Unix seconds
    error RosterNotReady(uint256 joined, uint256 joinDeadline);
    /// @notice The draw's second step is possible once the block number is above `seedBlock`.
    /// @param seedBlock block number
    error SeedBlockPending(uint256 seedBlock);

    // --- contributions and votes ---
    /// @notice The caller was not drawn as a proposer of this round.
    error NotProposer();
    /// @notice The caller was not drawn as a voter of this round.
    error NotVoter();
    /// @notice The caller has contributed to this round.
    error AlreadyContributed();
    /// @notice The zero hash, or the hash of the model the round started from.
    error InvalidModelHash();
    /// @notice The round is not what the call was computed from (for instance after a reorganisation of the chain).
    /// @param current what the call would have to name
    error StaleDigest(bytes32 current);
    /// @notice The caller has committed in this round.
    error AlreadyCommitted();
    /// @notice A commitment is never 0.
    error InvalidCommitment();
    /// @notice The caller has not committed in this round: there is nothing to reveal.
    error NotCommitted();
    /// @notice The caller has revealed in this round.
    error AlreadyRevealed();
    /// @notice What is revealed is not what was committed to.
    error CommitmentMismatch();
    /// @notice A score is +1 or -1.
    /// @param score as given
    error InvalidScore(int8 score);
    /// @notice A bit without a contribution, or mask 0 with anything else than (start, -1).
    /// @param includedMask as given
    error InvalidMask(uint256 includedMask);

    // --- money ---
    /// @notice The amount is 0.
    error ZeroAmount();
    /// @notice All amounts of a task together must fit 128 bits.
    error AmountTooLarge();
    /// @notice The token moved another amount than it was asked to.
    error InexactTransfer();
    /// @notice There is nothing (left) to pay.
    error NothingToClaim();
}
