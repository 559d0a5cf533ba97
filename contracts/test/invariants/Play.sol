// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IFlockTask} from "../../src/interfaces/IFlockTask.sol";
import {Books} from "./Books.sol";
import {Creation} from "./Creation.sol";
import {MoodyToken} from "./MoodyToken.sol";

/// Actors that know the protocol: honest, lazy and hostile ones play rounds to their end, which single random calls hardly ever do.
abstract contract Play is Creation {
    enum Camp {
        Honest, // all vote for one aggregate
        Objecting, // all vote it down
        Torn, // one aggregate, opposite scores
        Split, // two aggregates, or one with different masks
        Lazy, // every second duty is missed
        Empty, // nobody could use a single contribution
        Absent // hardly anybody acts
    }

    // --- choices ---

    function anybody(uint256 seed) internal view returns (address) {
        return everyone[luck(seed, "anybody") % everyone.length];
    }

    /// Mostly somebody of the running round.
    function seated(uint256 seed) internal view returns (address) {
        uint256 n = running().roster.length;
        if (n == 0 || luck(seed, "outsider") % 8 == 0) return anybody(seed);
        return running().roster[luck(seed, "seated") % n];
    }

    function someRound(uint256 seed) internal view returns (uint256) {
        uint256 odd = luck(seed, "round") % 32;
        uint256 round = book().round;
        if (odd == 0) return round + 1;
        if (odd == 1 && round > 0) return round - 1;
        return round;
    }

    function someStake(uint256 seed) internal view returns (uint256) {
        uint256 entry = book().terms.entry;
        uint256 how = luck(seed, "stake") % 4;
        if (how < 2) return entry;
        return how == 2 ? entry + luck(seed, "more") % (2 * entry) : 1 + luck(seed, "less") % entry;
    }

    function saltOf(address a) private view returns (bytes32) {
        return keccak256(abi.encode("salt", a, epoch, book().round));
    }

    function anyVote(uint256 seed, address a) internal view returns (Books.Vote memory) {
        bytes32[4] memory hashes = [bytes32(0), running().start, keccak256("A"), keccak256("B")];
        int8[8] memory scores = [int8(1), 1, 1, -1, -1, -1, 0, 2];
        return Books.Vote(
            hashes[luck(seed, "vote hash") % 4],
            scores[luck(seed, "vote score") % 8],
            luck(seed, "vote mask") % (2 << running().proposers),
            saltOf(a)
        );
    }

    function voteOf(Camp camp, uint256 seed, address a, uint256 i) private view returns (Books.Vote memory v) {
        Books.Round storage r = running();
        v = Books.Vote(keccak256(abi.encode("aggregate", book().round)), 1, r.mask, saltOf(a));
        uint256 own = luck(seed, i);
        if (camp == Camp.Objecting) v.score = -1;
        if (camp == Camp.Torn) v.score = i % 2 == 0 ? int8(1) : int8(-1);
        if (camp == Camp.Split) {
            if (own % 2 == 0) v.hash = keccak256("another aggregate");
            if (own % 8 < 3) v.mask = r.mask & ~(r.mask & (~r.mask + 1)); // without its lowest bit
        }
        if (camp == Camp.Lazy && luck(seed, "fewer") % 2 == 0) v.mask = r.mask & ~(r.mask & (~r.mask + 1));
        if (camp == Camp.Empty || v.mask == 0) (v.hash, v.score, v.mask) = (r.start, -1, 0);
    }

    function acts(Camp camp, uint256 seed, uint256 i) private pure returns (bool) {
        uint256 own = luck(seed, i + 100);
        if (camp == Camp.Lazy) return own % 2 == 0;
        if (camp == Camp.Absent) return own % 8 == 0;
        return own % 16 != 0;
    }

    // --- steps ---

    function play(uint256 seed, Camp camp) internal {
        for (uint256 steps = 1 + luck(seed, "steps") % 2; steps > 0; --steps) {
            step(luck(seed, steps), camp);
        }
    }

    function step(uint256 seed, Camp camp) private {
        IFlockTask.Phase p = phase();
        uint256 round = book().round;
        if (p == IFlockTask.Phase.Join) {
            gather(seed);
        } else if (p == IFlockTask.Phase.Draw) {
            uint256 late = luck(seed, "late") % 16 == 0 ? 400 : 1;
            if (block.number < running().seedBlock + late) vm.roll(running().seedBlock + late);
            doSelect(anybody(seed), round);
        } else if (p == IFlockTask.Phase.Finish) {
            if (!stalled(seed)) doFinish(anybody(seed), round);
        } else if (p == IFlockTask.Phase.Settle) {
            if (!stalled(seed)) doSlash(anybody(seed), round);
        } else if (p == IFlockTask.Phase.Ended) {
            clear(seed);
        } else if (luck(seed, "leave") % 128 == 0) {
            abandon();
        } else {
            act(p, seed, camp);
        }
    }

    /// Now and then nobody sends what is due until the task can be terminated.
    function stalled(uint256 seed) private returns (bool yes) {
        yes = luck(seed, "stalled") % 24 == 0;
        if (!yes) return false;
        uint256 until = book().lastSettledAt + book().terms.stall;
        if (block.timestamp < until) vm.warp(until);
        doTerminate(anybody(seed));
    }

    function gather(uint256 seed) private {
        Books.Task storage b = book();
        Books.Round storage r = running();
        for (uint256 k = 0; k < PARTICIPANTS; ++k) {
            address a = participant(k + seed % PARTICIPANTS);
            if (luck(seed, k) % 8 == 0 || r.places[a].taken) continue;
            if (b.staked[a] < b.terms.threshold) {
                if (b.removed[a] || (b.terms.allowList && !b.allowed[a])) continue;
                doStake(a, luck(seed, k) % 3 == 0 ? someStake(luck(seed, k)) : b.terms.entry);
            }
            if (mayJoin(a, b.round) || luck(seed, k) % 4 == 0) doJoin(a, b.round);
        }
        if (r.seedBlock != 0) return; // a token called in the middle of it
        if (r.roster.length >= b.terms.min) {
            if (block.timestamp < r.joinDeadline) vm.warp(r.joinDeadline);
            doSelect(anybody(seed), b.round);
        } else if (luck(seed, "give up") % 4 == 0) {
            abandon();
        }
    }

    function act(IFlockTask.Phase p, uint256 seed, Camp camp) private {
        Books.Round storage r = running();
        for (uint256 k = 0; k < r.roster.length; ++k) {
            address a = r.roster[k];
            if (!acts(camp, seed, k) || phase() != p) continue;
            Books.Place storage place = r.places[a];
            if (p == IFlockTask.Phase.Propose) {
                if (place.proposer) doContribute(a, book().round, r.drawDigest, keccak256(abi.encode("model", a)));
            } else if (place.proposer) {
                continue;
            } else if (p == IFlockTask.Phase.Commit) {
                Books.Vote memory v = voteOf(camp, seed, a, k);
                doCommit(a, book().round, r.digest, commitmentOf(a, v), v);
            } else if (place.commitment != 0) {
                doReveal(a, book().round, place.intended);
            }
        }
        if (phase() == p) vm.warp(deadline(p));
    }

    function deadline(IFlockTask.Phase p) private view returns (uint256) {
        Books.Terms storage t = book().terms;
        if (p == IFlockTask.Phase.Propose) return running().drawnAt + t.proposeWindow;
        if (p == IFlockTask.Phase.Commit) return commitOpen() + t.commitWindow;
        return revealOpen() + t.revealWindow;
    }

    // --- ends ---

    /// Whatever happened: with nobody but a stranger acting, five calls end the round and the task.
    function abandon() internal {
        uint256 calls;
        uint256 round = book().round;
        while (!book().ended && book().round == round && calls < 10) {
            IFlockTask.Phase p = phase();
            if (p == IFlockTask.Phase.Join) {
                if (running().roster.length < book().terms.min) break;
                if (block.timestamp < running().joinDeadline) vm.warp(running().joinDeadline);
                doSelect(keeper(), round);
            } else if (p == IFlockTask.Phase.Draw) {
                if (block.number <= running().seedBlock) vm.roll(running().seedBlock + 1);
                doSelect(keeper(), round);
            } else if (p == IFlockTask.Phase.Finish) {
                doFinish(keeper(), round);
            } else if (p == IFlockTask.Phase.Settle) {
                doSlash(keeper(), round);
            } else {
                vm.warp(deadline(p));
                continue;
            }
            ++calls;
        }
        if (!book().ended) {
            uint256 until = book().lastSettledAt + book().terms.stall;
            if (block.timestamp < until) vm.warp(until);
            doTerminate(keeper());
            ++calls;
        }
        holds(book().ended, "a stranger ends any task");
        // Two steps of a draw (once more if its seed aged out meanwhile), finish, slash, terminate.
        holds(calls < 7, "in a bounded number of calls");
        note(Seen.LeftToStrangers);
    }

    /// The task has ended: everybody claims in some order, nothing stays behind, and another task begins.
    function clear(uint256 seed) internal {
        claims(seed);
        if (moody) {
            MoodyToken(address(token)).be(MoodyToken.Mood.Calm);
            claims(seed);
        }
        same(token.balanceOf(address(task)), book().donated, "nothing is locked");
        if (luck(seed, "prune") % 2 == 0) doPrune(anybody(seed), epoch);
        open(seed);
    }

    function claims(uint256 seed) private {
        uint256 n = everyone.length;
        for (uint256 i = 0; i < n; ++i) {
            if (luck(seed, "remainder") % n == i) doWithdraw(creator());
            doClaim(everyone[(i + seed % n) % n]);
        }
    }

    /// The end of a history: whatever state it left behind is wound up, too.
    function windUp() external {
        if (!book().ended) abandon();
        clear(epoch);
    }
}
