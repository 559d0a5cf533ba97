// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Rules} from "./Rules.sol";

/// What is kept beside a task, from the calls alone: never read back from what it is compared with.
library Books {
    struct Terms {
        uint256 rounds;
        uint256 min;
        uint256 max;
        uint256 threshold;
        uint256 entry;
        uint256 rate;
        uint256 slashed;
        uint256 bonus;
        uint256 quorum;
        uint256 joinWindow;
        uint256 proposeWindow;
        uint256 commitWindow;
        uint256 revealWindow;
        uint256 stall;
        bool allowList;
    }

    struct Vote {
        bytes32 hash;
        int8 score;
        uint256 mask;
        bytes32 salt;
    }

    struct Place {
        bool taken;
        bool proposer;
        uint256 seat;
        uint256 stake;
        bytes32 contribution;
        bytes32 commitment;
        uint256 order;
        Vote intended; // what the commitment stands for, if it was an honest one
        bool revealed;
        Vote vote;
    }

    struct Round {
        address[] roster; // join order; draw order once drawn
        mapping(address => Place) places;
        uint256 joinDeadline;
        uint256 seedBlock;
        uint256 drawnAt;
        uint256 proposers;
        uint256 mask;
        uint256 contributedAt;
        uint256 commits;
        uint256 committedAt;
        uint256 reveals;
        bytes32 start;
        bytes32 drawDigest;
        bytes32 digest;
        bool finished;
        Rules.Decision decision;
    }

    struct Task {
        Terms terms;
        uint256 round;
        uint256 lastSettledAt;
        uint256 members; // accounts that ever staked
        bool finishRequested;
        bool ended;
        bool pruned;
        uint256 pool;
        uint256 stakes; // of everybody
        uint256 credits;
        uint256 donated;
        mapping(address => bool) allowed;
        mapping(address => bool) member;
        mapping(address => bool) removed;
        mapping(address => uint256) staked;
        mapping(address => uint256) credited;
        mapping(address => uint256) paidIn;
        mapping(address => uint256) earned;
        mapping(address => uint256) lost;
        mapping(address => uint256) paidOut;
        mapping(uint256 => Round) rounds;
    }
}
