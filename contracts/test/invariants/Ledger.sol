// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IFlockTask} from "../../src/interfaces/IFlockTask.sol";
import {IFlockTaskManager} from "../../src/interfaces/IFlockTaskManager.sol";
import {IMintable} from "../support/World.sol";
import {Books} from "./Books.sol";
import {Figures} from "./Figures.sol";
import {Rules} from "./Rules.sol";

/// Follows one task at a time from round to round, predicts what it decides and pays, and compares.
abstract contract Ledger is Figures {
    uint256 public constant PARTICIPANTS = 8;

    IFlockTaskManager public manager;
    IMintable public token;
    IFlockTask public task;
    address[] internal everyone; // participants first, then a keeper, then the creator
    uint256 internal epoch;
    mapping(uint256 epoch => Books.Task) private _books;

    function book() internal view returns (Books.Task storage) {
        return _books[epoch];
    }

    function bookOf(uint256 which) internal view returns (Books.Task storage) {
        return _books[which];
    }

    function running() internal view returns (Books.Round storage) {
        return book().rounds[book().round];
    }

    function participant(uint256 i) internal view returns (address) {
        return everyone[i % PARTICIPANTS];
    }

    function keeper() internal view returns (address) {
        return everyone[PARTICIPANTS];
    }

    function creator() internal view returns (address) {
        return everyone[PARTICIPANTS + 1];
    }

    // --- the clock of section 2, from what was booked ---

    function commitOpen() internal view returns (uint256) {
        Books.Round storage r = running();
        return r.contributedAt != 0 ? r.contributedAt : r.drawnAt + book().terms.proposeWindow;
    }

    function revealOpen() internal view returns (uint256) {
        Books.Round storage r = running();
        return r.committedAt != 0 ? r.committedAt : commitOpen() + book().terms.commitWindow;
    }

    function phase() internal view returns (IFlockTask.Phase) {
        Books.Round storage r = running();
        if (book().ended) return IFlockTask.Phase.Ended;
        if (r.finished) return IFlockTask.Phase.Settle;
        if (r.seedBlock == 0) return IFlockTask.Phase.Join;
        if (r.drawnAt == 0) return IFlockTask.Phase.Draw;
        if (block.timestamp < commitOpen()) return IFlockTask.Phase.Propose;
        if (r.contributedAt == 0 && r.mask == 0) return IFlockTask.Phase.Finish;
        if (block.timestamp < revealOpen()) return IFlockTask.Phase.Commit;
        if (r.commits == r.reveals) return IFlockTask.Phase.Finish;
        bool open = block.timestamp < revealOpen() + book().terms.revealWindow;
        return open ? IFlockTask.Phase.Reveal : IFlockTask.Phase.Finish;
    }

    // --- what a call that anybody may send brought about ---

    /// Books a draw, a decision, a settlement or an end that the last call brought about; `caller` gets the bonus.
    function observe(address caller) internal {
        Books.Task storage b = book();
        (IFlockTask.TaskState memory t, IFlockTask.RoundState memory s, IFlockTask.ParticipantState[] memory list,) =
            task.snapshot(b.round, new address[](0));
        Books.Round storage r = running();
        if (s.seedBlock != r.seedBlock) closedOrReset(r, s.seedBlock);
        if (r.drawnAt == 0 && s.drawnAt != 0) drawn(r, s, list);
        if (!r.finished && s.outcome != IFlockTask.Outcome.None) finished(r, s);
        if (s.settled) settled(r, caller, s, list);
        if (!b.ended && t.phase == IFlockTask.Phase.Ended) b.ended = true;
    }

    function closedOrReset(Books.Round storage r, uint256 seedBlock) private {
        vm.assertEq(seedBlock, block.number + 4, "the seed block is four blocks ahead");
        if (r.seedBlock == 0) {
            bool due = block.timestamp >= r.joinDeadline && r.roster.length >= book().terms.min;
            vm.assertTrue(due || r.roster.length == book().terms.max, "the roster closed too early");
            note(Seen.DrawFixed);
        } else {
            vm.assertTrue(block.number > r.seedBlock + 256, "a seed is replaced only once its hash is gone");
            note(Seen.DrawReset);
        }
        r.seedBlock = seedBlock;
    }

    function drawn(Books.Round storage r, IFlockTask.RoundState memory s, IFlockTask.ParticipantState[] memory list)
        private
    {
        uint256 n = r.roster.length;
        vm.assertTrue(block.number > r.seedBlock, "drawn after the seed block");
        vm.assertEq(list.length, n, "the drawn are those who joined");
        uint256 proposers = n * book().terms.rate / 1e18;
        if (proposers < 1) proposers = 1;
        if (proposers > n - 1) proposers = n - 1;
        vm.assertEq(s.proposers, proposers, "number of proposers");
        for (uint256 k = 0; k < n; ++k) {
            Books.Place storage place = r.places[list[k].account];
            vm.assertTrue(place.taken && place.seat == type(uint256).max, "everybody who joined, once");
            place.seat = k;
            place.proposer = k < proposers;
            vm.assertTrue((list[k].role == IFlockTask.Role.Proposer) == place.proposer, "role");
            vm.assertEq(list[k].stake, place.stake, "the stake of the round");
            r.roster[k] = list[k].account;
        }
        r.drawnAt = block.timestamp;
        r.proposers = proposers;
        r.drawDigest = s.drawDigest;
        r.digest = s.drawDigest;
    }

    function parts(Books.Round storage r) private view returns (Rules.Part[] memory list) {
        list = new Rules.Part[](r.roster.length);
        for (uint256 k = 0; k < list.length; ++k) {
            address a = r.roster[k];
            Books.Place storage p = r.places[a];
            bool acted = p.proposer ? p.contribution != 0 : p.revealed;
            list[k] = Rules.Part(
                a, p.proposer, p.seat, p.stake, book().staked[a], acted, p.order, p.vote.hash, p.vote.score, p.vote.mask
            );
        }
    }

    function finished(Books.Round storage r, IFlockTask.RoundState memory s) private {
        r.finished = true;
        if (s.outcome == IFlockTask.Outcome.Void) {
            r.decision.outcome = s.outcome;
            note(Seen.VoidRound);
            return;
        }
        Rules.Part[] memory list = parts(r);
        Rules.Decision memory d = Rules.decide(list, book().terms.quorum);
        r.decision = d;
        vm.assertEq(uint256(s.outcome), uint256(d.outcome), "outcome");
        vm.assertEq(s.popularHash, d.hash, "popular hash");
        vm.assertEq(s.popularMask, d.mask, "popular mask");
        vm.assertEq(s.voteScore, d.score, "vote score");
        vm.assertEq(s.nextHash, next(r), "next model");
        for (uint256 k = 0; k < list.length && !s.settled; ++k) {
            bool bad = Rules.judge(d, list[k]) == -1;
            vm.assertEq(task.canBeSlashed(book().round, list[k].account), bad, "canBeSlashed");
        }
        note(Seen(uint256(Seen.AcceptedRound) + uint256(d.outcome) - uint256(IFlockTask.Outcome.Accepted)));
        if (d.contested) note(Seen.GroupsOfEqualStake);
        if (d.hash == r.start && d.hash != 0 && d.outcome == IFlockTask.Outcome.Rejected) note(Seen.WithoutAnyModel);
    }

    function next(Books.Round storage r) private view returns (bytes32) {
        return r.decision.outcome == IFlockTask.Outcome.Accepted ? r.decision.hash : r.start;
    }

    function settled(
        Books.Round storage r,
        address caller,
        IFlockTask.RoundState memory s,
        IFlockTask.ParticipantState[] memory list
    ) private {
        Books.Task storage b = book();
        vm.assertTrue(r.finished && r.decision.outcome != IFlockTask.Outcome.Void, "only a decided round is settled");
        Rules.Part[] memory people = parts(r);
        Rules.Money memory m = Rules.settle(
            Rules.Terms(b.pool, b.terms.rounds, b.round, b.terms.slashed, b.terms.bonus), r.decision, people
        );
        vm.assertEq(s.slashedTotal, m.slashedTotal, "slashed in all");
        vm.assertEq(s.bonus, m.bonus, "bonus");
        vm.assertEq(s.pot, m.pot, "pot");
        vm.assertEq(s.rewardedTotal, m.rewardedTotal, "rewarded in all");
        vm.assertEq(s.slashCaller, caller, "who settled");
        vm.assertTrue(m.rewardedTotal <= m.pot, "no more than the pot is paid");
        b.pool = m.pool;
        b.credited[caller] += m.bonus;
        b.earned[caller] += m.bonus;
        for (uint256 k = 0; k < people.length; ++k) {
            vm.assertEq(list[k].account, people[k].account, "seat");
            vm.assertEq(list[k].slashed, m.slashed[k], "slash");
            vm.assertEq(list[k].rewarded, m.rewarded[k], "reward");
            pay(b, people[k].account, m.slashed[k], m.rewarded[k]);
        }
        count(r, caller, m, people);
        bytes32 start = next(r);
        b.round += 1;
        b.lastSettledAt = block.timestamp;
        if (b.round == b.terms.rounds || b.finishRequested) {
            b.ended = true;
            note(b.round == b.terms.rounds ? Seen.LastRoundSettled : Seen.FinishedAfterTheRound);
        } else {
            running().joinDeadline = block.timestamp + b.terms.joinWindow;
        }
        running().start = start;
    }

    function pay(Books.Task storage b, address a, uint256 slashed, uint256 rewarded) private {
        b.staked[a] -= slashed;
        b.lost[a] += slashed;
        b.credited[a] += rewarded;
        b.earned[a] += rewarded;
        if (slashed == 0 || b.staked[a] >= b.terms.threshold) return;
        vm.assertTrue(!b.removed[a], "removed twice");
        b.removed[a] = true;
        note(Seen.Removal);
    }

    function count(Books.Round storage r, address caller, Rules.Money memory m, Rules.Part[] memory people) private {
        uint256 good;
        for (uint256 k = 0; k < people.length; ++k) {
            Rules.Part memory p = people[k];
            int256 verdict = Rules.judge(r.decision, p);
            if (verdict == 1) ++good;
            if (p.proposer && !p.acted) note(Seen.SilentProposer);
            if (p.proposer && p.acted && r.decision.hash != 0 && (r.decision.mask >> p.seat) & 1 == 0) {
                note(Seen.ExcludedProposer);
            }
            if (!p.proposer && !p.acted) note(p.order == 0 ? Seen.SilentVoter : Seen.UnrevealedVote);
            if (p.account == caller && m.slashed[k] != 0 && m.bonus != 0) note(Seen.SelfSlash);
        }
        if (good == 0) note(Seen.NobodyGood);
        if (m.bonus != 0 && !r.places[caller].taken) note(Seen.StrangerBonus);
    }

    // --- after every call ---

    /// The accounting identity, everybody's money to the unit, and every latch and clock of the running round.
    function check() external view {
        Books.Task storage b = book();
        Books.Round storage r = running();
        (IFlockTask.TaskState memory t, IFlockTask.RoundState memory s,, IFlockTask.AccountState[] memory list) =
            task.snapshot(b.round, everyone);
        uint256 stakes;
        uint256 credits;
        for (uint256 i = 0; i < list.length; ++i) {
            address a = everyone[i];
            stakes += b.staked[a];
            credits += b.credited[a];
            vm.assertEq(list[i].stakeLeft, b.staked[a], "stake left");
            vm.assertEq(list[i].claimable, b.credited[a], "claimable");
            vm.assertEq(list[i].removed, b.removed[a], "removed for good");
            vm.assertEq(list[i].claimed, b.paidOut[a] != 0, "claimed");
            vm.assertEq(
                b.paidOut[a] + b.staked[a] + b.credited[a] + b.lost[a],
                b.paidIn[a] + b.earned[a],
                "nobody takes out more than stake plus rewards less slashes"
            );
        }
        vm.assertEq(t.totalStakes, stakes, "sum of stakes");
        vm.assertEq(t.totalClaimable, credits, "sum of credits");
        vm.assertEq(t.rewardPool, b.pool, "pool");
        uint256 accounted = uint256(t.totalStakes) + t.totalClaimable + t.rewardPool;
        vm.assertEq(token.balanceOf(address(task)), accounted + b.donated, "balance = accounted + donations");
        vm.assertEq(t.currentRound, b.round, "round");
        vm.assertEq(uint256(t.phase), uint256(phase()), "phase");
        vm.assertEq(t.finishRequested, b.finishRequested, "finish requested");
        vm.assertEq(t.participants, b.members, "accounts that ever staked");
        vm.assertEq(t.lastSettledAt, b.lastSettledAt, "last settlement");
        vm.assertEq(s.startModelHash, r.start, "start model");
        vm.assertEq(s.joinDeadline, r.joinDeadline, "join deadline");
        vm.assertEq(s.joined, r.roster.length, "joined");
        vm.assertEq(s.committed, r.commits, "committed");
        vm.assertEq(s.revealed, r.reveals, "revealed");
        vm.assertEq(s.roundDigest, r.digest, "digest");
    }
}
