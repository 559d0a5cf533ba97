// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {IMintable, World} from "../support/World.sol";
import {Figures} from "./Figures.sol";
import {Handler} from "./Handler.sol";
import {MoodyToken} from "./MoodyToken.sol";

/// Stateful fuzzing: what holds after every call of any history. The rules are in Rules.sol, what is compared in Ledger.sol, what may
/// pass in Deeds.sol.
abstract contract Campaign is World {
    struct FuzzSelector {
        address addr;
        bytes4[] selectors;
    }

    Handler internal handler;

    function campaign() internal pure virtual returns (string memory);

    function setUpHandler(bool moody) internal {
        manager = newManager(address(token));
        address[] memory everyone = new address[](10);
        for (uint256 i = 0; i < 8; ++i) {
            everyone[i] = actor(i);
        }
        if (moody) everyone[7] = address(token); // a token that takes part
        (everyone[8], everyone[9]) = (keeper, creator);
        handler = new Handler(manager, token, everyone, owner, moody);
        if (!moody) Ownable(address(token)).transferOwnership(address(handler));
        handler.begin();
    }

    function targetContracts() external view returns (address[] memory list) {
        list = new address[](1);
        list[0] = address(handler);
    }

    /// One sender: who calls the contracts is the handler's choice.
    function targetSenders() external view returns (address[] memory list) {
        list = new address[](1);
        list[0] = address(this);
    }

    function deeds() internal pure returns (bytes4[] memory list) {
        bytes4[34] memory all = [
            Handler.stake.selector,
            Handler.fund.selector,
            Handler.donate.selector,
            Handler.claim.selector,
            Handler.withdraw.selector,
            Handler.join.selector,
            Handler.select.selector,
            Handler.contribute.selector,
            Handler.commit.selector,
            Handler.reveal.selector,
            Handler.reveal.selector,
            Handler.finish.selector,
            Handler.slash.selector,
            Handler.terminate.selector,
            Handler.finishTask.selector,
            Handler.allow.selector,
            Handler.describe.selector,
            Handler.create.selector,
            Handler.prune.selector,
            Handler.administrate.selector,
            Handler.upset.selector,
            Handler.upset.selector,
            Handler.wait.selector,
            Handler.waitLong.selector,
            Handler.everybodyAgrees.selector,
            Handler.everybodyObjects.selector,
            Handler.everybodyAgrees.selector,
            Handler.everybodyAgrees.selector,
            Handler.scoresDiffer.selector,
            Handler.scoresDiffer.selector,
            Handler.groupsDiffer.selector,
            Handler.someAreLazy.selector,
            Handler.nobodyFindsAModel.selector,
            Handler.hardlyAnybodyActs.selector
        ];
        list = new bytes4[](all.length);
        for (uint256 i = 0; i < all.length; ++i) {
            list[i] = all[i];
        }
    }

    function targetSelectors() external view returns (FuzzSelector[] memory list) {
        list = new FuzzSelector[](1);
        list[0] = FuzzSelector(address(handler), deeds());
    }

    /// Whatever history came before, strangers wind the task up and everybody gets out what is due.
    function afterInvariant() external {
        handler.checkManager();
        handler.checkEverybody();
        handler.windUp();
        handler.checkEverybody();
        handler.writeFigures(campaign());
    }

    /// The fuzzer promises nothing about where its histories lead, so the same deeds in a fixed pseudo-random order have to lead
    /// everywhere: otherwise the invariant would be about less than it says.
    function visit(uint256 calls, Figures.Seen[] memory kinds) internal {
        bytes4[] memory list = deeds();
        for (uint256 i = 0; i < calls; ++i) {
            uint256 r = uint256(keccak256(abi.encode("visit", i)));
            (bool ok, bytes memory why) = address(handler).call(abi.encodeWithSelector(list[r % list.length], r));
            if (!ok) {
                assembly {
                    revert(add(why, 32), mload(why))
                }
            }
            if (i % 16 == 0) handler.checkEverybody();
        }
        vm.assertEq(handler.missing(kinds), "", "never reached");
        handler.windUp();
        handler.checkEverybody();
    }

    function kindsBetween(Figures.Seen first, Figures.Seen last) internal pure returns (Figures.Seen[] memory kinds) {
        kinds = new Figures.Seen[](uint256(last) - uint256(first) + 1);
        for (uint256 i = 0; i < kinds.length; ++i) {
            kinds[i] = Figures.Seen(uint256(first) + i);
        }
    }
}

contract InvariantsTest is Campaign {
    function campaign() internal pure override returns (string memory) {
        return "plain";
    }

    function setUp() public override {
        token = IMintable(vm.deployCode("FlockToken.sol:FlockToken", abi.encode(address(this))));
        setUpHandler(false);
    }

    function invariant_money_and_rounds_follow_the_specification() external view {
        handler.check();
    }

    function test_the_deeds_lead_everywhere() external {
        visit(3500, kindsBetween(Figures.Seen.CallAccepted, Figures.Seen.Pruned));
    }
}

contract HostileTokenInvariantsTest is Campaign {
    function campaign() internal pure override returns (string memory) {
        return "hostile-token";
    }

    function setUp() public override {
        token = IMintable(address(new MoodyToken()));
        setUpHandler(true);
    }

    function invariant_a_token_that_reverts_lies_takes_fees_or_calls_back_changes_nothing() external view {
        handler.check();
    }

    function test_the_tokens_moods_lead_everywhere() external {
        visit(1500, kindsBetween(Figures.Seen.TransferRefused, Figures.Seen.LeftToStrangers));
    }
}
