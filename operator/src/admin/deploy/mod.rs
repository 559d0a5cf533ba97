//! `chain deploy`: the contracts on a chain, once, at addresses that are the same on every chain.

mod artifact;
mod estimate;
mod factory;
mod files;
mod plan;
#[cfg(test)]
mod tests;
mod token;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use alloy::primitives::{Address, B256, Bytes, TxKind, U256, hex, keccak256};
use anyhow::{Context, bail, ensure};
use clap::Args;
use serde_json::json;

use self::{
    artifact::Artifact,
    factory::FactoryChoice,
    files::{ChainNames, parse_name},
    plan::{Plan, TokenPlan, parse_salt},
};
use super::{
    connect::{Connection, KeyArgs, RpcArgs},
    record::{Deployed, Deployment, RecordPlace, parse_config_map},
    send::{Account, Receipt},
};
use crate::chain::{ChainError, bindings::manager::FlockTaskManager as Manager};

/// Arguments of `chain deploy`.
#[derive(Debug, Clone, Args)]
pub struct DeployArgs {
    #[command(flatten)]
    pub rpc: RpcArgs,
    #[command(flatten)]
    pub key: KeyArgs,
    /// Use this ERC-20 (it must move exactly what it is asked to) instead of deploying the test token.
    #[arg(long)]
    pub token: Option<Address>,
    /// Owner of the manager and of the test token; the key's account if absent. It is part of the addresses.
    #[arg(long)]
    pub owner: Option<Address>,
    /// A number, or 0x and 64 hex digits; part of the addresses. The same owner has one deployment for each salt.
    #[arg(long, default_value = "0", value_parser = parse_salt)]
    pub salt: B256,
    /// The CREATE2 factory, part of the addresses: `well-known` (the deterministic deployment proxy), `own` (one that the
    /// key's first transaction on the chain deploys, where the well-known one cannot be), or an address with the same code.
    #[arg(long, default_value_t = FactoryChoice::WellKnown)]
    pub factory: FactoryChoice,
    /// Accounts that may create tasks; allowed right away (the key must then own the manager).
    #[arg(long = "creator", value_name = "ADDRESS")]
    pub creators: Vec<Address>,
    /// Send nothing: print the addresses, what is there already, and what the rest costs. With --owner no key is needed.
    #[arg(long)]
    pub dry_run: bool,
    /// Write the record (JSON) to this file.
    #[arg(long)]
    pub out: Option<PathBuf>,
    /// Write the record to this ConfigMap of the current cluster.
    #[arg(long, value_name = "NAMESPACE/NAME", value_parser = parse_config_map)]
    pub config_map: Option<RecordPlace>,
    /// Write values for the chart fl-alliance to this file: `helm install -f FILE`.
    #[arg(long, value_name = "FILE")]
    pub write_values: Option<PathBuf>,
    /// Write an FLChain to this file: `kubectl apply -f FILE`.
    #[arg(long, value_name = "FILE")]
    pub write_manifest: Option<PathBuf>,
    /// Name of the FLChain in the files; chain-<id> if absent.
    #[arg(long, value_name = "NAME", value_parser = parse_name)]
    pub chain_name: Option<String>,
    /// Secret with the RPC URLs that the files refer to; <chain name>-rpc if absent.
    #[arg(long, value_name = "NAME")]
    pub rpc_secret: Option<String>,
    /// Overwrite a record of other contracts, for instance of a test chain that has begun anew.
    #[arg(long)]
    pub renew: bool,
}

impl DeployArgs {
    fn places(&self) -> Vec<RecordPlace> {
        self.out
            .iter()
            .cloned()
            .map(RecordPlace::File)
            .chain(self.config_map.clone())
            .collect()
    }

    fn plan(&self, key: Address) -> anyhow::Result<Plan> {
        let owner = self.owner.unwrap_or(key);
        ensure!(!owner.is_zero(), "the owner may not be the zero address");
        Plan::new(self.factory.address(key), self.salt, owner, self.token)
    }
}

/// Runs `chain deploy`.
pub(super) async fn run(args: DeployArgs) -> anyhow::Result<()> {
    let chain = Connection::open(&args.rpc).await?;
    if args.dry_run {
        println!("{}", estimate::dry_run(&args, &chain).await?);
        return Ok(());
    }
    let account = args.key.account(chain)?;
    let places = args.places();
    let deployment = deploy(&args, &account, &places).await?;
    for place in &places {
        if place.read().await?.as_ref() != Some(&deployment) {
            place.write(&deployment).await?;
            eprintln!("written to {place}");
        }
    }
    let names = ChainNames::new(
        deployment.chain_id,
        args.chain_name.as_deref(),
        args.rpc_secret.as_deref(),
    );
    if let Some(path) = &args.write_values {
        write(path, &files::values(&deployment, &names)?)?;
    }
    if let Some(path) = &args.write_manifest {
        write(path, &files::manifest(&deployment, &names)?)?;
    }
    super::funds::allow(&account, deployment.manager.address, &args.creators, true).await?;
    println!("{}", serde_json::to_string_pretty(&deployment)?);
    Ok(())
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(path, text).with_context(|| format!("writing {}", path.display()))?;
    eprintln!("written to {}", path.display());
    Ok(())
}

async fn deploy(args: &DeployArgs, account: &Account, places: &[RecordPlace]) -> anyhow::Result<Deployment> {
    let chain = &account.chain;
    let plan = args.plan(account.address())?;
    let recorded = recorded(args, chain, &plan, places).await?;
    check_chain(chain).await?;
    if let TokenPlan::Existing(token) = plan.token {
        token::check(chain, token, &[account.address(), plan.owner]).await?;
    }
    args.factory.ensure(account).await?;
    let mut made = BTreeMap::new();
    for artifact in plan.made() {
        if let Some(receipt) = place(account, &plan, artifact).await? {
            made.insert(artifact.address, receipt);
        }
    }
    let found = found(chain, &plan, &made).await?;
    // What was written down when the chain could still tell is kept.
    Ok(match recorded {
        Some(before) => Deployment {
            token: keep_origin(found.token, &before.token),
            manager: keep_origin(found.manager, &before.manager),
            implementation: keep_origin(found.implementation, &before.implementation),
            ..found
        },
        None => found,
    })
}

/// A record of these very contracts. Records of others are not overwritten unless asked for.
async fn recorded(
    args: &DeployArgs,
    chain: &Connection,
    plan: &Plan,
    places: &[RecordPlace],
) -> anyhow::Result<Option<Deployment>> {
    let identity = chain.identity;
    let mut recorded = None;
    for place in places {
        let Some(found) = place.read().await? else { continue };
        let same_chain = (found.chain_id, found.genesis_hash) == (identity.chain_id, identity.genesis_hash);
        let same_contracts =
            (found.token.address, found.manager.address) == (plan.token.address(), plan.manager.address);
        if same_chain && same_contracts {
            recorded = Some(found);
            continue;
        }
        ensure!(
            args.renew || same_chain,
            "{place} is a record of chain {} with genesis {}, this is chain {} with genesis {}; give --renew to overwrite \
             it",
            found.chain_id,
            found.genesis_hash,
            identity.chain_id,
            identity.genesis_hash
        );
        ensure!(
            args.renew,
            "{place} is a record of other contracts on this chain (manager {}); with this owner, salt, token, factory and \
             version of the program the manager is {}. Give --renew to overwrite the record",
            found.manager.address,
            plan.manager.address
        );
    }
    Ok(recorded)
}

fn keep_origin(found: Deployed, before: &Deployed) -> Deployed {
    Deployed {
        transaction: found.transaction.or(before.transaction),
        block: found.block.or(before.block),
        ..found
    }
}

/// Runs two of the opcodes that came with Cancun and that the contracts need.
async fn check_chain(chain: &Connection) -> anyhow::Result<()> {
    // tstore(0, 0), mcopy(0, 0, 0), stop
    let program = Bytes::from_static(&hex!("5f5f5d5f5f5f5e00"));
    match chain
        .rpc
        .call::<Bytes>("eth_call", json!([{"input": program}, "latest"]))
        .await
    {
        Ok(_) => Ok(()),
        Err(ChainError::Unreachable(text)) => bail!(ChainError::Unreachable(text)),
        Err(error) => Err(error).context(
            "this chain does not run transient storage and MCOPY (the Cancun upgrade), which the contracts need",
        ),
    }
}

/// Deploys one contract unless it is there; either way its code is verified.
async fn place(account: &Account, plan: &Plan, artifact: &Artifact) -> anyhow::Result<Option<Receipt>> {
    let Artifact { name, address, .. } = artifact;
    if is_there(&account.chain, artifact).await? {
        eprintln!("{name} is there: {address}");
        return Ok(None);
    }
    let input = [plan.salt.as_slice(), &artifact.creation].concat();
    let sent = account
        .transact(TxKind::Call(plan.factory), U256::ZERO, input.into())
        .await;
    // Somebody else may have deployed it in the meantime, which is as good: the address stands for the code and owner.
    let there = is_there(&account.chain, artifact).await?;
    match sent {
        Ok(receipt) if there => {
            eprintln!("deployed {name} at {address} in block {}", receipt.block_number);
            Ok(Some(receipt))
        }
        Ok(receipt) => bail!(
            "transaction {} was mined, but {name} is not at {address}: this chain derives addresses in a way of its own",
            receipt.transaction_hash
        ),
        Err(_) if there => Ok(None),
        Err(error) => Err(error).with_context(|| format!("deploying {name}")),
    }
}

/// Whether the contract is at its address, with exactly the code it must have.
async fn is_there(chain: &Connection, artifact: &Artifact) -> anyhow::Result<bool> {
    let code = chain.code(artifact.address).await?;
    ensure!(
        code.is_empty() || code == artifact.code,
        "the code at {} is not that of this version's {}",
        artifact.address,
        artifact.name
    );
    Ok(!code.is_empty())
}

/// The plan as it stands on the chain, everything verified. `made`: what this run has deployed.
async fn found(chain: &Connection, plan: &Plan, made: &BTreeMap<Address, Receipt>) -> anyhow::Result<Deployment> {
    let Plan {
        manager,
        implementation,
        ..
    } = plan;
    for artifact in plan.made().chain([implementation]) {
        ensure!(
            is_there(chain, artifact).await?,
            "{} is not at {}",
            artifact.name,
            artifact.address
        );
    }
    let named = chain.read(manager.address, Manager::implementationCall {}).await?;
    ensure!(
        named == implementation.address,
        "the manager names another implementation, {named}"
    );
    let origin = async |address| match made.get(&address) {
        Some(receipt) => (Some(receipt.transaction_hash), Some(receipt.block_number.to())),
        None => token::origin(chain, address).await,
    };
    let (transaction, block) = origin(manager.address).await;
    let deployed = |artifact: &Artifact| Deployed {
        address: artifact.address,
        code_hash: artifact.code_hash(),
        transaction,
        block,
    };
    let token = match &plan.token {
        TokenPlan::Existing(address) => Deployed {
            address: *address,
            code_hash: keccak256(chain.code(*address).await?),
            transaction: None,
            block: None,
        },
        TokenPlan::Ours(artifact) => {
            let (transaction, block) = origin(artifact.address).await;
            Deployed {
                transaction,
                block,
                ..deployed(artifact)
            }
        }
    };
    let owner = chain.read(manager.address, Manager::ownerCall {}).await?;
    if owner != plan.owner {
        eprintln!("note: {} has handed the manager over to {owner}", plan.owner);
    }
    Ok(Deployment {
        chain_id: chain.identity.chain_id,
        genesis_hash: chain.identity.genesis_hash,
        factory: plan.factory,
        salt: plan.salt,
        owner,
        token,
        manager: deployed(manager),
        implementation: deployed(implementation),
    })
}
