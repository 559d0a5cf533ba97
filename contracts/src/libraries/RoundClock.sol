// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IFlockTask} from "../interfaces/IFlockTask.sol";

/// @title When which window of a round is open
/// @notice Pure: the phase follows from stored times, counts and now, so that no transaction is needed to advance it.
library RoundClock {
    /// One storage slot. Offsets are seconds after `drawnAt` and mean something only once the count they belong to is full.
    struct Progress {
        uint40 joinDeadline;
        uint40 seedBlock;
        uint40 drawnAt;
        uint24 contributedAfter; // the last missing contribution
        uint24 committedAfter; // the last missing commitment
        uint56 contributedMask; // bit j: the proposer in seat j has contributed
        uint8 joined;
        uint8 proposers;
        uint8 committed;
        uint8 revealed;
    }

    /// Seconds.
    struct Windows {
        uint256 propose;
        uint256 commit;
        uint256 reveal;
    }

    /// Unix seconds; 0 while not known.
    struct Times {
        IFlockTask.Phase phase;
        uint256 proposeDeadline;
        uint256 commitOpen;
        uint256 commitDeadline;
        uint256 revealOpen;
        uint256 revealDeadline;
    }

    /// @notice Whether every drawn proposer has contributed.
    function allContributed(Progress memory p) internal pure returns (bool) {
        return p.drawnAt != 0 && p.contributedMask == (uint256(1) << p.proposers) - 1;
    }

    /// @notice Whether every drawn voter has committed.
    function allCommitted(Progress memory p) internal pure returns (bool) {
        return p.drawnAt != 0 && p.committed == uint256(p.joined) - p.proposers;
    }

    /// @notice Phase (from Join to Finish) and deadlines at time `moment`. Windows are half-open: open <= moment < deadline.
    function read(Progress memory p, Windows memory w, uint256 moment) internal pure returns (Times memory t) {
        if (p.seedBlock == 0) return t; // Join is the zero phase
        if (p.drawnAt == 0) {
            t.phase = IFlockTask.Phase.Draw;
            return t;
        }
        t.proposeDeadline = p.drawnAt + w.propose;
        if (allContributed(p)) {
            t.commitOpen = uint256(p.drawnAt) + p.contributedAfter;
        } else {
            if (moment < t.proposeDeadline) {
                t.phase = IFlockTask.Phase.Propose;
                return t;
            }
            if (p.contributedMask == 0) {
                t.phase = IFlockTask.Phase.Finish;
                return t;
            }
            t.commitOpen = t.proposeDeadline;
        }
        t.commitDeadline = t.commitOpen + w.commit;
        if (allCommitted(p)) {
            t.revealOpen = uint256(p.drawnAt) + p.committedAfter;
        } else {
            if (moment < t.commitDeadline) {
                t.phase = IFlockTask.Phase.Commit;
                return t;
            }
            if (p.committed == 0) {
                t.phase = IFlockTask.Phase.Finish;
                return t;
            }
            t.revealOpen = t.commitDeadline;
        }
        t.revealDeadline = t.revealOpen + w.reveal;
        t.phase =
            p.revealed < p.committed && moment < t.revealDeadline ? IFlockTask.Phase.Reveal : IFlockTask.Phase.Finish;
    }
}
