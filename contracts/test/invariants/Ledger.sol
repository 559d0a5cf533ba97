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

    // Whose money the last deed can have moved: looking at everybody after every call would be most of the work.
    address[] private _touched;
    bool private _everybodyTouched;

    modifier deed() {
        delete _touched;
        _everybodyTouched = false;
        _;
    }

    function touch(address a) internal {
        if (_everybodyTouched) return;
        if (_touched.length == 3) _everybodyTouched = true;
        else _touched.push(a);
    }

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
        _everybodyTouched = true;
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
        same(seedBlock, block.number + 4, "the seed block is four blocks ahead");
        if (r.seedBlock == 0) {
            bool due = block.timestamp >= r.joinDeadline && r.roster.length >= book().terms.min;
            holds(due || r.roster.length == book().terms.max, "the roster closed too early");
            note(Seen.DrawFixed);
        } else {
            holds(block.number > r.seedBlock + 256, "a seed is replaced only once its hash is gone");
            note(Seen.DrawReset);
        }
        r.seedBlock = seedBlock;
    }

    function drawn(Books.Round storage r, IFlockTask.RoundState memory s, IFlockTask.ParticipantState[] memory list)
        private
    {
        uint256 n = r.roster.length;
        holds(block.number > r.seedBlock, "drawn after the seed block");
        same(list.length, n, "the drawn are those who joined");
        uint256 proposers = n * book().terms.rate / 1e18;
        if (proposers < 1) proposers = 1;
        if (proposers > n - 1) proposers = n - 1;
        same(s.proposers, proposers, "number of proposers");
        for (uint256 k = 0; k < n; ++k) {
            Books.Place storage place = r.places[list[k].account];
            holds(place.taken && place.seat == type(uint256).max, "everybody who joined, once");
            place.seat = k;
            place.proposer = k < proposers;
            holds((list[k].role == IFlockTask.Role.Proposer) == place.proposer, "role");
            same(list[k].stake, place.stake, "the stake of the round");
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
        same(uint256(s.outcome), uint256(d.outcome), "outcome");
        same(s.popularHash, d.hash, "popular hash");
        same(s.popularMask, d.mask, "popular mask");
        same(s.voteScore, d.score, "vote score");
        same(s.nextHash, next(r), "next model");
        for (uint256 k = 0; k < list.length && !s.settled; ++k) {
            bool bad = Rules.judge(d, list[k]) == -1;
            same(task.canBeSlashed(book().round, list[k].account), bad, "canBeSlashed");
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
        holds(r.finished && r.decision.outcome != IFlockTask.Outcome.Void, "only a decided round is settled");
        Rules.Part[] memory people = parts(r);
        Rules.Money memory m = Rules.settle(
            Rules.Terms(b.pool, b.terms.rounds, b.round, b.terms.slashed, b.terms.bonus), r.decision, people
        );
        same(s.slashedTotal, m.slashedTotal, "slashed in all");
        same(s.bonus, m.bonus, "bonus");
        same(s.pot, m.pot, "pot");
        same(s.rewardedTotal, m.rewardedTotal, "rewarded in all");
        same(s.slashCaller, caller, "who settled");
        holds(m.rewardedTotal <= m.pot, "no more than the pot is paid");
        b.pool = m.pool;
        b.stakes -= m.slashedTotal;
        b.credits += m.bonus + m.rewardedTotal;
        b.credited[caller] += m.bonus;
        b.earned[caller] += m.bonus;
        for (uint256 k = 0; k < people.length; ++k) {
            same(list[k].account, people[k].account, "seat");
            same(list[k].slashed, m.slashed[k], "slash");
            same(list[k].rewarded, m.rewarded[k], "reward");
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
        holds(!b.removed[a], "removed twice");
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

    /// The accounting identity, the money of whom the last deed can have touched to the unit, every latch and clock of the round.
    function check() external view {
        compare(_everybodyTouched ? everyone : _touched);
    }

    function checkEverybody() external view {
        Books.Task storage b = book();
        uint256 stakes;
        uint256 credits;
        for (uint256 i = 0; i < everyone.length; ++i) {
            stakes += b.staked[everyone[i]];
            credits += b.credited[everyone[i]];
        }
        same(b.stakes, stakes, "sum of stakes");
        same(b.credits, credits, "sum of credits");
        compare(everyone);
    }

    function compare(address[] memory who) private view {
        Books.Task storage b = book();
        (IFlockTask.TaskState memory t, IFlockTask.RoundState memory s,, IFlockTask.AccountState[] memory list) =
            task.snapshot(b.round, who);
        for (uint256 i = 0; i < list.length; ++i) {
            address a = who[i];
            same(list[i].stakeLeft, b.staked[a], "stake left");
            same(list[i].claimable, b.credited[a], "claimable");
            same(list[i].removed, b.removed[a], "removed for good");
            same(list[i].claimed, b.paidOut[a] != 0, "claimed");
            same(
                b.paidOut[a] + b.staked[a] + b.credited[a] + b.lost[a],
                b.paidIn[a] + b.earned[a],
                "nobody takes out more than stake plus rewards less slashes"
            );
        }
        same(t.totalStakes, b.stakes, "all stakes");
        same(t.totalClaimable, b.credits, "all credits");
        same(t.rewardPool, b.pool, "pool");
        uint256 accounted = uint256(t.totalStakes) + t.totalClaimable + t.rewardPool;
        same(token.balanceOf(address(task)), accounted + b.donated, "balance = accounted + donations");
        same(uint256(t.phase), uint256(phase()), "phase");
        same(t.finishRequested, b.finishRequested, "finish requested");
        same(t.participants, b.members, "accounts that ever staked");
        same(t.lastSettledAt, b.lastSettledAt, "last settlement");
        compareRound(t, s, running());
    }

    function compareRound(IFlockTask.TaskState memory t, IFlockTask.RoundState memory s, Books.Round storage r)
        private
        view
    {
        same(t.currentRound, book().round, "round");
        same(s.startModelHash, r.start, "start model");
        same(s.joinDeadline, r.joinDeadline, "join deadline");
        same(s.joined, r.roster.length, "joined");
        same(s.committed, r.commits, "committed");
        same(s.revealed, r.reveals, "revealed");
        same(s.roundDigest, r.digest, "digest");
    }
}
