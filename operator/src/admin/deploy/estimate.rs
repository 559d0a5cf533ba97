//! `chain deploy --dry-run`: what would be where, and what it would cost.

use std::fmt;

use alloy::primitives::{Address, B256, U64, U256};
use protocol::types::Amount;
use serde_json::json;

use super::{
    DeployArgs, check_chain, is_there,
    plan::TokenPlan,
    token::{self, Transfers},
};
use crate::admin::{amount::show_amount, connect::Connection};

/// Gas of the transaction that puts a missing CREATE2 factory on the chain, rounded up.
const FACTORY_GAS: u64 = 100_000;

/// One contract of the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) name: &'static str,
    pub(super) address: Address,
    /// `None` for an existing token.
    pub(super) code_hash: Option<B256>,
    pub(super) there: bool,
    /// What its transaction takes, if it is not there.
    pub(super) gas: u64,
}

/// What `chain deploy` would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Estimate {
    pub(super) chain_id: u64,
    pub(super) genesis_hash: B256,
    pub(super) key: Address,
    pub(super) owner: Address,
    pub(super) lines: Vec<Line>,
    /// Wei per gas at present.
    pub(super) gas_price: U256,
    /// Coins that go elsewhere than into gas: for the factory's presigned transaction.
    pub(super) beside: U256,
    pub(super) balance: U256,
    transfers: Option<Transfers>,
}

impl Estimate {
    pub(super) fn gas(&self) -> u64 {
        self.lines.iter().map(|line| line.gas).sum()
    }

    pub(super) fn cost(&self) -> U256 {
        self.gas_price * U256::from(self.gas()) + self.beside
    }
}

/// Reads and simulates; sends nothing.
pub(super) async fn dry_run(args: &DeployArgs, chain: &Connection) -> anyhow::Result<Estimate> {
    let key = match (args.key.signer(), args.owner) {
        (Ok(signer), _) => signer.address(),
        // The addresses depend on the owner alone, unless the factory is to be the key's own.
        (Err(_), Some(owner)) if args.factory != super::FactoryChoice::Own => owner,
        (Err(error), _) => return Err(error),
    };
    let plan = args.plan(key)?;
    check_chain(chain).await?;
    let factory_there = args.factory.is_there(chain, key).await?;
    let beside = if factory_there {
        U256::ZERO
    } else {
        args.factory.price(chain).await?
    };
    let mut lines = vec![Line {
        name: "factory",
        address: plan.factory,
        code_hash: None,
        there: factory_there,
        gas: if factory_there { 0 } else { FACTORY_GAS },
    }];
    let mut transfers = None;
    if let TokenPlan::Existing(address) = plan.token {
        transfers = Some(token::check(chain, address, &[key, plan.owner]).await?);
        lines.push(Line {
            name: "token",
            address,
            code_hash: None,
            there: true,
            gas: 0,
        });
    }
    for artifact in plan.made() {
        let there = is_there(chain, artifact).await?;
        // As a plain creation: the factory, which may not be there yet, adds next to nothing.
        let gas = if there {
            0
        } else {
            let request = json!([{"from": key, "input": artifact.creation}]);
            chain.rpc.call::<U64>("eth_estimateGas", request).await?.to()
        };
        lines.push(Line {
            name: artifact.name,
            address: artifact.address,
            code_hash: Some(artifact.code_hash()),
            there,
            gas,
        });
    }
    lines.push(Line {
        name: plan.implementation.name,
        address: plan.implementation.address,
        code_hash: Some(plan.implementation.code_hash()),
        there: is_there(chain, &plan.implementation).await?,
        // Its gas is part of the manager's.
        gas: 0,
    });
    Ok(Estimate {
        chain_id: chain.identity.chain_id,
        genesis_hash: chain.identity.genesis_hash,
        key,
        owner: plan.owner,
        lines,
        gas_price: chain.rpc.call("eth_gasPrice", json!([])).await?,
        beside,
        balance: chain.balance(key).await?,
        transfers,
    })
}

impl fmt::Display for Estimate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "chain {} with genesis {}", self.chain_id, self.genesis_hash)?;
        writeln!(f, "owner {}", self.owner)?;
        for line in &self.lines {
            write!(f, "{:<17}{}", line.name, line.address)?;
            if let Some(hash) = line.code_hash {
                write!(f, " code {hash}")?;
            }
            match (line.there, line.gas) {
                (true, _) => writeln!(f, " is there")?,
                (false, 0) => writeln!(f, " to be deployed with the manager")?,
                (false, gas) => writeln!(f, " to be deployed, about {gas} gas")?,
            }
        }
        if let Some(Transfers::Exact) = self.transfers {
            writeln!(f, "the token moves exactly what it is asked to")?;
        }
        let coins = |wei: U256| show_amount(Amount(wei));
        write!(
            f,
            "cost: about {} coins ({} gas at {} wei",
            coins(self.cost()),
            self.gas(),
            self.gas_price
        )?;
        if !self.beside.is_zero() {
            write!(
                f,
                ", and {} for the factory's presigned transaction",
                coins(self.beside)
            )?;
        }
        write!(f, "); {} holds {}", self.key, coins(self.balance))
    }
}
