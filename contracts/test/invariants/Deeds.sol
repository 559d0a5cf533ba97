// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {IFlockTask} from "../../src/interfaces/IFlockTask.sol";
import {RoundVote} from "../../src/libraries/RoundVote.sol";
import {IMintable} from "../support/World.sol";
import {Books} from "./Books.sol";
import {Ledger} from "./Ledger.sol";
import {MoodyToken} from "./MoodyToken.sol";

/// Every state-changing function of a task, each with the exact condition under which the specification lets it pass: a call that is
/// accepted against it breaks safety, a call that is refused against it breaks liveness. Both fail the test, and so does every
/// refusal without a custom error.
abstract contract Deeds is Ledger {
    bool internal moody; // the token is a MoodyToken

    function send(address from, address to, bytes memory data) internal returns (bool ok) {
        bytes memory answer;
        touch(from);
        vm.prank(from);
        (ok, answer) = to.call(data);
        note(ok ? Seen.CallAccepted : Seen.CallRefused);
        if (ok) return true;
        holds(answer.length >= 4, "refused without a reason");
        bytes4 reason = bytes4(answer);
        holds(reason != 0x4e487b71, "a panic");
        holds(reason != 0x08c379a0, "a string instead of a custom error");
    }

    function mood() internal view returns (MoodyToken.Mood) {
        return moody ? MoodyToken(address(token)).mood() : MoodyToken.Mood.Calm;
    }

    /// Whether the token moves exactly what it is asked to take from somebody.
    function pulls() internal returns (bool yes) {
        yes = mood() == MoodyToken.Mood.Calm || mood() == MoodyToken.Mood.CallingBack;
        if (!yes) note(Seen.TransferRefused);
    }

    /// Whether it moves exactly what it is asked to pay out, seen from the task: a fee is the receiver's loss.
    function pays() internal returns (bool yes) {
        yes = mood() == MoodyToken.Mood.TakingAFee;
        if (yes) note(Seen.FeeOnClaim);
        else yes = pulls();
    }

    function give(address a, uint256 amount, address spender) internal {
        token.mint(a, amount);
        vm.prank(a);
        token.approve(spender, amount);
    }

    // --- money ---

    function doStake(address a, uint256 amount) internal {
        Books.Task storage b = book();
        bool expected = !b.ended && !b.removed[a] && amount != 0;
        if (!b.member[a]) expected = expected && (!b.terms.allowList || b.allowed[a]) && amount >= b.terms.entry;
        if (expected) expected = pulls();
        if (b.removed[a]) note(Seen.RemovedRefused);
        give(a, amount, address(task));
        bool ok = send(a, address(task), abi.encodeCall(IFlockTask.stake, (amount)));
        same(ok, expected, "stake");
        if (ok) {
            b.staked[a] += amount;
            b.stakes += amount;
            b.paidIn[a] += amount;
            if (!b.member[a]) ++b.members;
            b.member[a] = true;
            Books.Round storage r = running();
            if (r.places[a].taken && r.drawnAt != 0 && !r.finished) note(Seen.TopUpAfterDraw);
        }
        afterTransfer(ok);
    }

    function doFund(address a, uint256 amount) internal {
        bool expected = !book().ended && amount != 0 && pulls();
        give(a, amount, address(task));
        bool ok = send(a, address(task), abi.encodeCall(IFlockTask.fundRewardPool, (amount)));
        same(ok, expected, "fundRewardPool");
        if (ok) book().pool += amount;
        afterTransfer(ok);
    }

    function doDonate(address a, uint256 amount) internal {
        if (mood() != MoodyToken.Mood.Calm) return;
        token.mint(a, amount);
        vm.prank(a);
        require(token.transfer(address(task), amount), "donated");
        book().donated += amount;
        note(Seen.Donation);
    }

    function doClaim(address a) internal {
        Books.Task storage b = book();
        uint256 due = b.staked[a] + b.credited[a];
        bool expected = b.ended && due != 0 && pays();
        uint256 held = token.balanceOf(address(task));
        bool ok = send(a, address(task), abi.encodeCall(IFlockTask.claimRewards, ()));
        same(ok, expected, "claimRewards");
        if (ok) {
            same(held - token.balanceOf(address(task)), due, "the claim is stake left plus credits");
            b.stakes -= b.staked[a];
            b.credits -= b.credited[a];
            b.staked[a] = 0;
            b.credited[a] = 0;
            b.paidOut[a] += due;
            note(Seen.Claim);
        }
        afterTransfer(ok);
    }

    function doWithdraw(address a) internal {
        Books.Task storage b = book();
        bool expected = a == creator() && b.ended && b.pool != 0 && pays();
        uint256 held = token.balanceOf(address(task));
        bool ok = send(a, address(task), abi.encodeCall(IFlockTask.withdrawRemainder, ()));
        same(ok, expected, "withdrawRemainder");
        if (ok) {
            same(held - token.balanceOf(address(task)), b.pool, "the remainder is the pool");
            b.pool = 0;
            note(Seen.Remainder);
        }
        afterTransfer(ok);
    }

    // --- a round ---

    function mayJoin(address a, uint256 round) internal view returns (bool) {
        Books.Task storage b = book();
        Books.Round storage r = running();
        return !b.ended && round == b.round && r.seedBlock == 0 && !b.removed[a] && b.staked[a] >= b.terms.threshold
            && !r.places[a].taken && r.roster.length < b.terms.max;
    }

    function bookJoin(address a) internal {
        Books.Round storage r = running();
        r.roster.push(a);
        Books.Place storage p = r.places[a];
        p.taken = true;
        p.stake = book().staked[a];
        p.seat = type(uint256).max; // until drawn
    }

    function doJoin(address a, uint256 round) internal {
        bool expected = mayJoin(a, round);
        if (book().removed[a]) note(Seen.RemovedRefused);
        bool ok = send(a, address(task), abi.encodeCall(IFlockTask.joinRound, (round, 1)));
        same(ok, expected, "joinRound");
        if (ok) bookJoin(a);
    }

    function doSelect(address a, uint256 round) internal {
        Books.Task storage b = book();
        Books.Round storage r = running();
        bool due =
            r.roster.length == b.terms.max || (block.timestamp >= r.joinDeadline && r.roster.length >= b.terms.min);
        if (r.seedBlock != 0) due = r.drawnAt == 0 && block.number > r.seedBlock;
        bool expected = !b.ended && round == b.round && due;
        bool ok = send(a, address(task), abi.encodeCall(IFlockTask.selectRoundParticipants, (round)));
        same(ok, expected, "selectRoundParticipants");
        if (ok) observe(a);
    }

    function doContribute(address a, uint256 round, bytes32 digest, bytes32 hash) internal {
        Books.Round storage r = running();
        Books.Place storage p = r.places[a];
        bool expected = round == book().round && phase() == IFlockTask.Phase.Propose && p.taken && p.proposer
            && p.contribution == 0 && digest == r.drawDigest && hash != 0 && hash != r.start;
        bool ok = send(a, address(task), abi.encodeCall(IFlockTask.contribute, (round, digest, hash)));
        same(ok, expected, "contribute");
        if (!ok) return;
        p.contribution = hash;
        r.mask |= 1 << p.seat;
        r.digest = keccak256(abi.encode(r.digest, p.seat, hash));
        if (r.mask == (1 << r.proposers) - 1) r.contributedAt = block.timestamp;
    }

    function commitmentOf(address a, Books.Vote memory v) internal view returns (bytes32) {
        return RoundVote.commitmentOf(block.chainid, address(task), book().round, a, v.hash, v.score, v.mask, v.salt);
    }

    function doCommit(address a, uint256 round, bytes32 digest, bytes32 commitment, Books.Vote memory intended)
        internal
    {
        Books.Round storage r = running();
        Books.Place storage p = r.places[a];
        bool expected = round == book().round && phase() == IFlockTask.Phase.Commit && p.taken && !p.proposer
            && p.commitment == 0 && digest == r.digest && commitment != 0;
        bool ok = send(a, address(task), abi.encodeCall(IFlockTask.commitVote, (round, digest, commitment)));
        same(ok, expected, "commitVote");
        if (!ok) return;
        p.commitment = commitment;
        p.order = ++r.commits;
        p.intended = intended;
        if (r.commits == r.roster.length - r.proposers) r.committedAt = block.timestamp;
    }

    function sound(Books.Round storage r, Books.Vote memory v) private view returns (bool) {
        if (v.score != 1 && v.score != -1) return false;
        if (v.mask == 0) return v.score == -1 && v.hash == r.start;
        return v.hash != 0 && v.mask & r.mask == v.mask;
    }

    function doReveal(address a, uint256 round, Books.Vote memory v) internal {
        Books.Round storage r = running();
        Books.Place storage p = r.places[a];
        bool expected = round == book().round && phase() == IFlockTask.Phase.Reveal && p.commitment != 0 && !p.revealed
            && p.commitment == commitmentOf(a, v) && sound(r, v);
        bool ok =
            send(a, address(task), abi.encodeCall(IFlockTask.revealVote, (round, v.hash, v.score, v.mask, v.salt)));
        same(ok, expected, "revealVote");
        if (!ok) return;
        p.revealed = true;
        p.vote = v;
        ++r.reveals;
    }

    function doFinish(address a, uint256 round) internal {
        bool expected = round == book().round && phase() == IFlockTask.Phase.Finish;
        bool ok = send(a, address(task), abi.encodeCall(IFlockTask.finishRound, (round)));
        same(ok, expected, "finishRound");
        if (ok) observe(a);
    }

    function doSlash(address a, uint256 round) internal {
        bool expected = round == book().round && phase() == IFlockTask.Phase.Settle;
        bool ok = send(a, address(task), abi.encodeCall(IFlockTask.slash, (round)));
        same(ok, expected, "slash");
        if (ok) observe(a);
    }

    // --- ends ---

    function doTerminate(address a) internal {
        Books.Task storage b = book();
        bool expected = !b.ended && block.timestamp >= b.lastSettledAt + b.terms.stall;
        IFlockTask.Phase p = phase();
        uint256 round = b.round;
        bool ok = send(a, address(task), abi.encodeCall(IFlockTask.terminate, ()));
        same(ok, expected, "terminate");
        if (!ok) return;
        observe(a);
        bool settles = p == IFlockTask.Phase.Finish || p == IFlockTask.Phase.Settle;
        same(b.round, settles ? round + 1 : round, "a round that is over is settled, any other is not");
        holds(b.ended, "terminated");
        note(settles ? Seen.TerminatedAfterSettling : Seen.TerminatedVoid);
    }

    function doFinishTask(address a) internal {
        Books.Task storage b = book();
        bool expected = a == Ownable(address(manager)).owner() && !b.ended;
        bool closed = running().seedBlock != 0;
        bool ok = send(a, address(manager), abi.encodeCall(manager.finishTask, (address(task))));
        same(ok, expected, "finishTask");
        if (!ok) return;
        if (closed) b.finishRequested = true;
        observe(a);
        same(b.ended, !closed, "ended at once, but only before the roster closed");
        if (b.ended) {
            b.pruned = true;
            note(Seen.FinishedAtOnce);
        }
    }

    // --- what a token does in the middle of a transfer ---

    struct Armed {
        bytes4 what;
        address task;
        uint256 round;
    }

    Armed internal armed; // what the token will call

    /// Books what the token's own call in the middle of the last transfer brought about.
    function afterTransfer(bool outer) private {
        if (!moody || mood() != MoodyToken.Mood.CallingBack) return;
        MoodyToken t = MoodyToken(address(token));
        if (!outer || !t.called()) return;
        bytes4 what = armed.what;
        bool guarded = what == IFlockTask.stake.selector || what == IFlockTask.claimRewards.selector
            || what == IFlockTask.slash.selector || what == IFlockTask.terminate.selector
            || what == IFlockTask.fundRewardPool.selector || what == IFlockTask.withdrawRemainder.selector;
        if (guarded) holds(!t.succeeded(), "re-entered a function that moves money");
        if (what == IFlockTask.joinRound.selector) {
            bool expected = armed.task == address(task) && mayJoin(address(t), armed.round);
            same(t.succeeded(), expected, "joinRound in the middle of a transfer");
            if (t.succeeded()) bookJoin(address(t));
        }
        if (t.succeeded()) observe(address(t));
        note(t.succeeded() ? Seen.ReentryHarmless : Seen.ReentryRefused);
        t.arm(address(0), "");
    }
}
