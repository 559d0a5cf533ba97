// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Result, Scenario, Simulation, Stage, Strategy} from "./Simulation.sol";

interface FileVm {
    function writeLine(string calldata path, string calldata line) external;
    function envOr(string calldata name, uint256 otherwise) external view returns (uint256);
    function pauseGasMetering() external;
}

/// Plays every attack in many histories on the real contract and writes one line per history, from which `attacks.sh` makes the
/// tables of docs/attacks.md. The seeds are 0, 1, 2, ..: the same tables every time.
contract AttackTable is Stage {
    string private path;
    Simulation private simulation;

    function test_paper_profile() external {
        profile("paper", 0.125e18);
    }

    function test_default_profile() external {
        profile("default", 0.05e18);
    }

    function profile(string memory name, uint64 slashedPerStake) private {
        FileVm(address(vm)).pauseGasMetering();
        path = string.concat(vm.projectRoot(), "/../.build/contracts/attacks/", name, ".csv");
        vm.writeFile(
            path,
            "strategy,attackers,voteError,badRounds,seed,rounds,attackersSlashed,attackersRewarded,honestSlashed,honestRewarded,attackersRemoved,honestRemoved,accepted,rejected,poisoned\n"
        );
        simulation = newSimulation();
        // What honest accounts get in the same histories: to compare with.
        honest(slashedPerStake, 0);
        honest(slashedPerStake, 50);
        honest(slashedPerStake, 200);
        play(Strategy.Lazy, 1, slashedPerStake, 0);
        play(Strategy.Lazy, 1, slashedPerStake, 50);
        play(Strategy.Lazy, 1, slashedPerStake, 200);
        play(Strategy.AlwaysNo, 1, slashedPerStake, 50);
        play(Strategy.Copier, 1, slashedPerStake, 50);
        play(Strategy.NeverReveals, 1, slashedPerStake, 50);
        play(Strategy.ServesSome, 1, slashedPerStake, 50);
        groups(Strategy.Poisoner, slashedPerStake, 2);
        groups(Strategy.Flip, slashedPerStake, 7);
        groups(Strategy.Split, slashedPerStake, 7);
    }

    /// 2.5, 10, 20, 30, 35, 40 and 45 % of 40 participants.
    function sizes() private pure returns (uint8[7] memory) {
        return [1, 4, 8, 12, 14, 16, 18];
    }

    function groups(Strategy strategy, uint64 slashedPerStake, uint256 count) private {
        for (uint256 i = strategy == Strategy.Flip ? 1 : 0; i < count; ++i) {
            play(strategy, sizes()[i], slashedPerStake, 50);
        }
    }

    function seedsFor(uint256 attackers) private view returns (uint256) {
        return FileVm(address(vm)).envOr("ATTACK_SEEDS", attackers == 1 ? uint256(40) : 20);
    }

    function honest(uint64 slashedPerStake, uint256 badRounds) private {
        Scenario memory s = Scenario(Strategy.Honest, 1, slashedPerStake, 50, badRounds);
        for (uint256 seed = 0; seed < seedsFor(1); ++seed) {
            this.history(s, seed, sizes());
        }
    }

    function play(Strategy strategy, uint8 attackers, uint64 slashedPerStake, uint256 badRounds) private {
        Scenario memory s = Scenario(strategy, attackers, slashedPerStake, 50, badRounds);
        for (uint256 seed = 0; seed < seedsFor(attackers); ++seed) {
            this.history(s, seed, [attackers, 0, 0, 0, 0, 0, 0]);
        }
    }

    /// In a frame of its own: the memory of a history goes with it.
    function history(Scenario calldata s, uint256 seed, uint8[7] calldata counts) external {
        simulation.run(s, seed);
        for (uint256 i = 0; i < counts.length && counts[i] != 0; ++i) {
            Result memory r = simulation.again(counts[i]);
            string memory line = join(uint256(s.strategy), counts[i], s.voteError);
            line = string.concat(line, join(s.badRounds, seed, r.rounds));
            line = string.concat(line, join(r.attackersSlashed, r.attackersRewarded, r.honestSlashed));
            line = string.concat(line, join(r.honestRewarded, r.attackersRemoved, r.honestRemoved));
            FileVm(address(vm)).writeLine(path, string.concat(line, join(r.accepted, r.rejected, r.poisoned)));
        }
    }

    function join(uint256 a, uint256 b, uint256 c) private pure returns (string memory) {
        return string.concat(vm.toString(a), ",", vm.toString(b), ",", vm.toString(c), ",");
    }
}
