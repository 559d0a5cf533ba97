// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Checks} from "./Checks.sol";

/// How often a history came to each place worth coming to. An invariant that never saw a rejected round says nothing about one.
abstract contract Figures is Checks {
    enum Seen {
        CallAccepted,
        CallRefused,
        TaskCreated,
        CreationRefused,
        AcceptedRound,
        TiedRound,
        RejectedRound,
        InconclusiveRound,
        EmptyRound,
        VoidRound,
        NobodyGood,
        GroupsOfEqualStake,
        WithoutAnyModel,
        ExcludedProposer,
        SilentProposer,
        SilentVoter,
        UnrevealedVote,
        DrawFixed,
        DrawReset,
        TopUpAfterDraw,
        Removal,
        RemovedRefused,
        StrangerBonus,
        SelfSlash,
        LastRoundSettled,
        FinishedAtOnce,
        FinishedAfterTheRound,
        TerminatedVoid,
        TerminatedAfterSettling,
        Claim,
        Remainder,
        Donation,
        Pruned,
        TransferRefused,
        FeeOnClaim,
        ReentryRefused,
        ReentryHarmless,
        LeftToStrangers
    }

    uint256 private constant KINDS = 38; // as many as `Seen` has
    uint256[KINDS] private _seen;

    function names() private pure returns (string[KINDS] memory) {
        return [
            "calls to the contracts, accepted",
            "calls to the contracts, refused",
            "tasks created",
            "creations refused",
            "rounds accepted",
            "rounds tied",
            "rounds rejected",
            "rounds inconclusive",
            "rounds empty",
            "rounds void",
            "rounds decided with nobody to reward",
            "rounds with two heaviest groups",
            "rounds decided by (start, -1, 0)",
            "proposers left out by the mask",
            "proposers silent",
            "voters silent",
            "commitments never revealed",
            "rosters closed",
            "seeds aged out",
            "top-ups after the draw",
            "removals",
            "removed accounts turned away",
            "bonuses to somebody outside the round",
            "bonuses to somebody slashed by the same call",
            "tasks ended by their last round",
            "tasks finished at once",
            "tasks finished after the running round",
            "terminations with a void round",
            "terminations after settling",
            "claims",
            "remainders withdrawn",
            "donations",
            "tasks pruned",
            "transfers the token failed",
            "claims the token took a fee from",
            "re-entries refused",
            "re-entries booked",
            "tasks left to strangers"
        ];
    }

    function note(Seen what) internal {
        ++_seen[uint256(what)];
    }

    function seen(Seen what) public view returns (uint256) {
        return _seen[uint256(what)];
    }

    /// The name of the first of `kinds` that was never reached; empty if there is none.
    function missing(Seen[] memory kinds) public view returns (string memory) {
        for (uint256 i = 0; i < kinds.length; ++i) {
            if (seen(kinds[i]) == 0) return names()[uint256(kinds[i])];
        }
        return "";
    }

    /// Appends "count<TAB>name" lines to a file in the folder that FUZZ_FIGURES names, if it does; hack/fuzz.sh sums them up.
    function writeFigures(string calldata campaign) external {
        string memory folder = vm.envOr("FUZZ_FIGURES", string(""));
        if (bytes(folder).length == 0) return;
        string[KINDS] memory name = names();
        string memory text = "";
        for (uint256 i = 0; i < KINDS; ++i) {
            text = string.concat(text, i == 0 ? "" : "\n", vm.toString(_seen[i]), "\t", name[i]);
        }
        vm.writeLine(string.concat(folder, "/", campaign, ".tsv"), text);
    }
}
