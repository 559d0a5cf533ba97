// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IFlockTask} from "../../src/interfaces/IFlockTask.sol";
import {IFlockTaskManager} from "../../src/interfaces/IFlockTaskManager.sol";
import {RoundVote} from "../../src/libraries/RoundVote.sol";
import {Cheats} from "../support/Cheats.sol";
import {IMintable} from "../support/World.sol";

/// What the attackers of a history do; everybody else is honest.
enum Strategy {
    Honest,
    Lazy, // right hash, always +1
    AlwaysNo, // right hash, always -1
    Copier, // hands in another proposer's hash, another voter's commitment
    NeverReveals, // contributes but serves nobody, commits but does not reveal
    ServesSome, // serves its contribution to six in ten voters, votes honestly
    Poisoner, // ruins every aggregate it is part of, votes honestly
    Flip, // colluders: poison, and vote the opposite of the truth
    Split // colluders: serve a contribution to just as many honest voters as make a majority with themselves
}

struct Scenario {
    Strategy strategy;
    uint256 attackers; // of PARTICIPANTS
    uint64 slashedPerStake;
    uint256 voteError; // of 1000: an honest voter's score is wrong
    uint256 badRounds; // of 1000: an aggregate of honest contributions is worse than its start model
}

/// Sums over all rounds and over all attackers, or all honest participants, in the token's smallest unit.
struct Result {
    uint256 rounds;
    uint256 attackersSlashed;
    uint256 attackersRewarded;
    uint256 honestSlashed;
    uint256 honestRewarded;
    uint256 attackersRemoved;
    uint256 honestRemoved;
    uint256 accepted;
    uint256 rejected;
    uint256 poisoned; // rounds whose next model contains a poisoned contribution
}

/// One task from the first stake to the last settlement, played on the real contract.
contract Simulation is Cheats {
    uint256 public constant PARTICIPANTS = 40;
    uint256 public constant ROUNDS = 30;
    uint256 public constant STAKE = 64e18;
    // As in samples/: 1000 tokens for ten rounds of ten participants.
    uint256 public constant POT_SHARE = 10e18;
    uint256 public constant POOL = POT_SHARE * PARTICIPANTS * ROUNDS;
    uint256 private constant WINDOW = 100;
    address private constant KEEPER = address(uint160(0x6ee9e4));

    IMintable private immutable _token;
    IFlockTaskManager private immutable _manager;

    // --- one history ---
    IFlockTask private task;
    Scenario private sc;
    bytes32 private seed;
    Result private played; // but for the sums

    /// What a round's participants did and know, in draw order.
    struct Play {
        uint256 round;
        uint256 n;
        uint256 proposers;
        IFlockTask.ParticipantState[] rows;
        bytes32 startModel;
        bool bad;
        uint256 servedToAll;
        uint256 servedToSome;
        uint256 poison;
        uint256[] seen; // by voter: the bits it could fetch
        Vote[] votes;
    }

    struct Vote {
        bytes32 hash;
        int8 score;
        uint256 mask;
        bytes32 salt;
    }

    constructor(IMintable token_, IFlockTaskManager manager_) {
        (_token, _manager) = (token_, manager_);
    }

    /// Plays a whole task. The result sums up the first `scenario.attackers` accounts; `again` does so for another number.
    function run(Scenario calldata scenario, uint256 number) external returns (Result memory result) {
        sc = scenario;
        seed = keccak256(abi.encode("attack table", number));
        createAndStake(keccak256(abi.encode(scenario, number)));
        for (uint256 round = 0; round < ROUNDS; ++round) {
            try this.playRound(round) returns (bool accepted, bool rejected, bool poisoned) {
                ++result.rounds;
                if (accepted) ++result.accepted;
                if (rejected) ++result.rejected;
                if (poisoned) ++result.poisoned;
            } catch Error(string memory reason) {
                require(keccak256(bytes(reason)) == keccak256("too few"), reason);
                break;
            }
        }
        played = result;
        return again(scenario.attackers);
    }

    /// The last history, with the first `attackers` accounts as one side and all others as the other: what attackers would have
    /// had, had they stayed honest.
    function again(uint256 attackers) public view returns (Result memory result) {
        result = played;
        addUp(result, attackers);
    }

    function createAndStake(bytes32 salt) private {
        IFlockTask.TaskParameters memory p;
        p.modelDefinitionHash = keccak256("definition");
        p.genesisModelHash = keccak256("genesis");
        p.totalNumberOfRounds = uint32(ROUNDS);
        p.minNumberOfParticipants = 2;
        p.maxNumberOfParticipants = uint16(PARTICIPANTS);
        p.entryStake = uint128(STAKE);
        p.minStakeThreshold = 24e18;
        p.participantsDistributionRate = 0.1e18;
        p.slashedPerStake = sc.slashedPerStake;
        p.bonusRatioForSlashCaller = 1000;
        p.quorumBps = 5000;
        (p.joinWindow, p.proposeWindow, p.commitWindow, p.revealWindow) =
        (uint32(WINDOW), uint32(WINDOW), uint32(WINDOW), uint32(WINDOW));
        p.stallTimeout = 90 days;
        p.initialRewardPool = uint128(POOL);
        _token.mint(address(this), POOL);
        _token.approve(address(_manager), POOL);
        task = IFlockTask(_manager.createTask(salt, p));
        for (uint256 i = 0; i < PARTICIPANTS; ++i) {
            _token.mint(actor(i), STAKE);
            vm.prank(actor(i));
            _token.approve(address(task), STAKE);
            vm.prank(actor(i));
            task.stake(STAKE);
        }
    }

    function addUp(Result memory result, uint256 attackers) private view {
        address[] memory all = new address[](PARTICIPANTS);
        for (uint256 i = 0; i < PARTICIPANTS; ++i) {
            all[i] = actor(i);
        }
        (,,, IFlockTask.AccountState[] memory accounts) = task.snapshot(0, all);
        for (uint256 i = 0; i < PARTICIPANTS; ++i) {
            IFlockTask.AccountState memory a = accounts[i];
            if (i < attackers) {
                result.attackersSlashed += STAKE - a.stakeLeft;
                result.attackersRewarded += a.claimable;
                if (a.removed) ++result.attackersRemoved;
            } else {
                result.honestSlashed += STAKE - a.stakeLeft;
                result.honestRewarded += a.claimable;
                if (a.removed) ++result.honestRemoved;
            }
        }
    }

    function actor(uint256 i) private pure returns (address) {
        return address(uint160(0xac7000 + i));
    }

    function attacks(address who) private view returns (bool) {
        return uint160(who) - 0xac7000 < sc.attackers;
    }

    function attacks(address who, Strategy strategy) private view returns (bool) {
        return sc.strategy == strategy && attacks(who);
    }

    /// True `perMille` of 1000 times, always the same for the same seed, round, thing and who.
    function chance(uint256 perMille, uint256 round, string memory what, address who) private view returns (bool) {
        return uint256(keccak256(abi.encode(seed, round, what, who))) % 1000 < perMille;
    }

    // --- one round ---

    function playRound(uint256 round) external returns (bool accepted, bool rejected, bool poisoned) {
        Play memory p = draw(round);
        contribute(p);
        serve(p);
        vote(p);
        vm.prank(KEEPER);
        task.finishRound(round);
        vm.prank(KEEPER);
        task.slash(round);
        (, IFlockTask.RoundState memory s,,) = task.snapshot(round, new address[](0));
        accepted = s.outcome == IFlockTask.Outcome.Accepted;
        rejected = s.outcome == IFlockTask.Outcome.Rejected;
        poisoned = accepted && s.popularMask & p.poison != 0;
    }

    function draw(uint256 round) private returns (Play memory p) {
        for (uint256 i = 0; i < PARTICIPANTS; ++i) {
            vm.prank(actor(i));
            try task.joinRound(round, 1) {} catch {} // the removed
        }
        vm.warp(block.timestamp + WINDOW);
        if (!task.enoughParticipantsJoined(round)) revert("too few");
        task.selectRoundParticipants(round);
        uint256 seedBlock = block.number + 4;
        vm.roll(seedBlock + 1);
        vm.setBlockhash(seedBlock, keccak256(abi.encode(seed, round)));
        task.selectRoundParticipants(round);
        IFlockTask.RoundState memory s;
        (, s, p.rows,) = task.snapshot(round, new address[](0));
        (p.round, p.n, p.proposers, p.startModel) = (round, s.joined, s.proposers, s.startModelHash);
        p.bad = chance(sc.badRounds, round, "bad", address(0));
    }

    function modelOf(Play memory p, address who) private pure returns (bytes32) {
        return keccak256(abi.encode("model", p.round, who));
    }

    function contribute(Play memory p) private {
        (, IFlockTask.RoundState memory s,,) = task.snapshot(p.round, new address[](0));
        bytes32 another;
        for (uint256 k = 0; k < p.proposers; ++k) {
            if (!attacks(p.rows[k].account, Strategy.Copier)) another = modelOf(p, p.rows[k].account);
        }
        for (uint256 k = 0; k < p.proposers; ++k) {
            address who = p.rows[k].account;
            bool copies = attacks(who, Strategy.Copier) && another != 0;
            vm.prank(who);
            task.contribute(p.round, s.drawDigest, copies ? another : modelOf(p, who));
            // A copy names another proposer in its metadata, so it is invalid for everybody.
            if (copies || attacks(who, Strategy.NeverReveals)) continue;
            if (attacks(who, Strategy.ServesSome) || attacks(who, Strategy.Split)) p.servedToSome |= 1 << k;
            else p.servedToAll |= 1 << k;
            if (attacks(who, Strategy.Poisoner) || attacks(who, Strategy.Flip)) p.poison |= 1 << k;
        }
    }

    /// Who can fetch what.
    function serve(Play memory p) private view {
        p.seen = new uint256[](p.n);
        uint256 colluding;
        uint256 voters;
        for (uint256 k = p.proposers; k < p.n; ++k) {
            voters += p.rows[k].stake;
            if (attacks(p.rows[k].account, Strategy.Split)) colluding += p.rows[k].stake;
        }
        for (uint256 k = p.proposers; k < p.n; ++k) {
            address who = p.rows[k].account;
            bool served;
            if (sc.strategy == Strategy.Split) {
                served = attacks(who);
                // Just enough for a majority with the colluders' own votes.
                if (!served && colluding * 2 <= voters) {
                    served = true;
                    colluding += p.rows[k].stake;
                }
            } else {
                served = chance(600, p.round, "served", who);
            }
            p.seen[k] = served ? p.servedToAll | p.servedToSome : p.servedToAll;
        }
    }

    function choose(Play memory p, uint256 k) private view returns (Vote memory v) {
        address who = p.rows[k].account;
        v.salt = keccak256(abi.encode(seed, p.round, who));
        v.mask = p.seen[k];
        if (v.mask == 0) {
            (v.hash, v.score) = (p.startModel, -1);
            return v;
        }
        v.hash = keccak256(abi.encode("aggregate", p.round, v.mask));
        bool good = !p.bad && v.mask & p.poison == 0;
        if (attacks(who, Strategy.Lazy)) good = true;
        else if (attacks(who, Strategy.AlwaysNo)) good = false;
        else if (attacks(who, Strategy.Flip)) good = !good;
        else if (!attacks(who, Strategy.Split) && chance(sc.voteError, p.round, "error", who)) good = !good;
        v.score = good ? int8(1) : int8(-1);
    }

    function vote(Play memory p) private {
        p.votes = new Vote[](p.n);
        bytes32 digest = task.roundDigest(p.round);
        bytes32 seenCommitment = keccak256("none yet");
        // Copiers wait for somebody to copy from, in committing as in revealing.
        for (uint256 pass = 0; pass < 2; ++pass) {
            for (uint256 k = p.proposers; k < p.n; ++k) {
                address who = p.rows[k].account;
                bool copies = attacks(who, Strategy.Copier);
                if (copies != (pass == 1)) continue;
                p.votes[k] = choose(p, k);
                if (!copies) seenCommitment = commitmentOf(p, who, p.votes[k]);
                else if (p.n - p.proposers > 1) p.votes[k].salt = p.votes[k == p.proposers ? k + 1 : k - 1].salt;
                vm.prank(who);
                task.commitVote(p.round, digest, seenCommitment);
            }
        }
        bool silent;
        for (uint256 k = p.proposers; k < p.n; ++k) {
            address who = p.rows[k].account;
            Vote memory v = p.votes[k];
            if (attacks(who, Strategy.NeverReveals)) {
                silent = true;
                continue;
            }
            vm.prank(who);
            try task.revealVote(p.round, v.hash, v.score, v.mask, v.salt) {
                require(!attacks(who, Strategy.Copier), "a copied commitment was opened");
            } catch {
                require(attacks(who, Strategy.Copier), "an honest reveal was refused");
                silent = true;
            }
        }
        if (silent) vm.warp(block.timestamp + WINDOW);
    }

    function commitmentOf(Play memory p, address who, Vote memory v) private view returns (bytes32) {
        return RoundVote.commitmentOf(block.chainid, address(task), p.round, who, v.hash, v.score, v.mask, v.salt);
    }
}

/// Where simulations are made.
abstract contract Stage is Cheats {
    function newSimulation() internal returns (Simulation made) {
        IMintable token = IMintable(vm.deployCode("FlockToken.sol:FlockToken", abi.encode(address(this))));
        IFlockTaskManager manager =
            IFlockTaskManager(vm.deployCode("FlockTaskManager.sol:FlockTaskManager", abi.encode(token, address(this))));
        made = new Simulation(token, manager);
        // The simulation mints what its accounts stake.
        (bool ok,) = address(token).call(abi.encodeWithSignature("transferOwnership(address)", address(made)));
        require(ok, "ownership");
        manager.allowCreator(address(made), true);
    }
}
