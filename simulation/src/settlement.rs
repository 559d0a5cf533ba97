//! How a round and the task end on the contract: tally, money, the next round, termination, claims.

use std::sync::Arc;

use alloy::{
    primitives::{LogData, U256},
    sol_types::SolEvent,
};
use operator::chain::bindings::FlockTask as T;
use protocol::{
    money::{self, Terms},
    types::{Address, Outcome, Phase, Role},
};

use crate::{
    contract::{Env, Revert, TaskModel, narrow, require},
    round::RoundModel,
};

impl TaskModel {
    pub(crate) fn finish(&mut self, env: &Env<'_>, logs: &mut Vec<LogData>) {
        let quorum = self.parameters.quorum_bps;
        self.current_mut().finish(quorum, env);
        let event = T::RoundFinished {
            round: U256::from(self.number()),
            proposers: Vec::new(),
            voters: Vec::new(),
        };
        logs.push(event.encode_log_data());
    }

    pub(crate) fn settle(&mut self, caller: Address, env: &Env<'_>, logs: &mut Vec<LogData>) {
        let number = self.number();
        let entries = self.current().entries(|a| self.accounts[&a].left);
        let terms = Terms {
            pool: self.pool.into(),
            rounds_left: self.parameters.total_rounds - number,
            slashed_per_stake: self.parameters.slashed_per_stake,
            bonus_ratio: self.parameters.bonus_ratio,
            rejected: self.current().outcome == Outcome::Rejected,
        };
        let money = money::settle(&terms, &entries);
        self.pool = narrow(money.pool);
        self.current_mut().settle(&money, caller, env);
        let threshold = narrow(self.parameters.min_stake_threshold);
        let seats: Vec<(Address, Role)> = self.current().seats.iter().map(|s| (s.account, s.role)).collect();
        let round = U256::from(number);
        for (k, (address, role)) in seats.into_iter().enumerate() {
            let (slashed, rewarded) = (narrow(money.slashed[k]), narrow(money.rewarded[k]));
            let account = self.account(address);
            account.claimable += rewarded;
            account.left -= slashed;
            let role = if role == Role::Proposer { "proposer" } else { "voter" }.to_owned();
            if rewarded > 0 {
                let event = T::Rewarded {
                    contributor: address,
                    amount: U256::from(rewarded),
                    round,
                    contributorType: role,
                };
                logs.push(event.encode_log_data());
            } else if slashed > 0 {
                let left = account.left;
                account.removed |= left < threshold;
                let event = T::Slashed {
                    slasher: caller,
                    contributor: address,
                    amount: U256::from(slashed),
                    round,
                    contributorType: role,
                };
                logs.push(event.encode_log_data());
                if left < threshold {
                    let event = T::Removed {
                        round,
                        account: address,
                        stakeLeft: U256::from(left),
                    };
                    logs.push(event.encode_log_data());
                }
            }
        }
        self.account(caller).claimable += narrow(money.bonus);
        let event = T::RoundSettled {
            round,
            caller,
            slashedTotal: money.slashed_total.0,
            bonus: money.bonus.0,
            pot: money.pot.0,
            rewardedTotal: money.rewarded_total.0,
        };
        logs.push(event.encode_log_data());
        self.open_next(env, logs);
    }

    fn open_next(&mut self, env: &Env<'_>, logs: &mut Vec<LogData>) {
        let (start, start_round) = self.current().next_start();
        let next = self.number() + 1;
        self.last_settled_at = env.timestamp;
        let over = next == self.parameters.total_rounds;
        let deadline = if over {
            0
        } else {
            env.timestamp + u64::from(self.parameters.join_window)
        };
        self.rounds
            .push(Arc::new(RoundModel::new(next, deadline, start, start_round)));
        if over {
            self.end(false, logs);
        }
    }

    fn end(&mut self, terminated: bool, logs: &mut Vec<LogData>) {
        self.ended = true;
        let event = T::TaskEnded {
            round: U256::from(self.number()),
            terminated,
        };
        logs.push(event.encode_log_data());
    }

    pub(crate) fn terminate(&mut self, from: Address, env: &Env<'_>, logs: &mut Vec<LogData>) -> Result<(), Revert> {
        require(!self.ended, "TaskOver")?;
        let until = self.last_settled_at + u64::from(self.parameters.stall_timeout);
        require(env.timestamp >= until, "NotStalled")?;
        if self.phase(env.timestamp) == Phase::Finish {
            self.finish(env, logs);
        }
        if self.current().outcome == Outcome::None {
            self.current_mut().void(env);
        } else {
            self.settle(from, env, logs);
        }
        if !self.ended {
            self.end(true, logs);
        }
        Ok(())
    }

    pub(crate) fn claim(&mut self, from: Address, logs: &mut Vec<LogData>) -> Result<(), Revert> {
        require(self.ended, "TaskNotOver")?;
        let number = self.number();
        let account = self.account(from);
        let amount = account.left + account.claimable;
        require(amount > 0, "NothingToClaim")?;
        account.tokens += amount;
        (account.left, account.claimable, account.claimed) = (0, 0, true);
        let event = T::Claimed {
            account: from,
            amount: U256::from(amount),
            round: U256::from(number),
            claimType: "finalReward".to_owned(),
        };
        logs.push(event.encode_log_data());
        Ok(())
    }
}
