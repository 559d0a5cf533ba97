//! `chain deploy`: the contracts on a chain, once.

use alloy::{
    primitives::{Address, Bytes, TxKind, U256, keccak256},
    sol_types::SolValue,
};
use anyhow::{Context, bail, ensure};
use clap::Args;

use super::{
    connect::{Connection, KeyArgs, RpcArgs},
    record::{Deployed, Deployment, RecordPlace, parse_config_map},
    send::Account,
};
use crate::chain::bindings::{
    MANAGER_JSON, TASK_JSON, TOKEN_JSON, manager::FlockTaskManager as Manager, token::FlockToken as Token,
};

/// How many of the key's own earlier transactions are looked at for contracts deployed before.
const LOOK_BACK: u64 = 64;

/// Arguments of `chain deploy`.
#[derive(Debug, Clone, Args)]
pub struct DeployArgs {
    #[command(flatten)]
    pub rpc: RpcArgs,
    #[command(flatten)]
    pub key: KeyArgs,
    /// Use this ERC-20 (18 decimals, moves exactly what it is asked to) instead of deploying the test token.
    #[arg(long)]
    pub token: Option<Address>,
    /// Owner of the manager and of the test token; the key's account if absent.
    #[arg(long)]
    pub owner: Option<Address>,
    /// Accounts that may create tasks; allowed right away (the key must then own the manager).
    #[arg(long = "creator", value_name = "ADDRESS")]
    pub creators: Vec<Address>,
    /// Write the record (JSON) to this file.
    #[arg(long)]
    pub out: Option<std::path::PathBuf>,
    /// Write the record to this ConfigMap of the current cluster.
    #[arg(long, value_name = "NAMESPACE/NAME", value_parser = parse_config_map)]
    pub config_map: Option<RecordPlace>,
    /// Overwrite a record that names another chain, for instance a test chain that has begun anew.
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
}

/// Runs `chain deploy`.
pub(super) async fn run(args: DeployArgs) -> anyhow::Result<()> {
    let chain = Connection::open(&args.rpc).await?;
    let account = Account::new(chain, args.key.signer()?);
    let places = args.places();
    let deployment = deploy(&args, &account, &places).await?;
    for place in &places {
        if place.read().await?.as_ref() != Some(&deployment) {
            place.write(&deployment).await?;
            eprintln!("written to {place}");
        }
    }
    super::funds::allow(&account, deployment.manager.address, &args.creators, true).await?;
    println!("{}", serde_json::to_string_pretty(&deployment)?);
    Ok(())
}

async fn deploy(args: &DeployArgs, account: &Account, places: &[RecordPlace]) -> anyhow::Result<Deployment> {
    let identity = account.chain.identity;
    for place in places {
        let Some(found) = place.read().await? else { continue };
        if (found.chain_id, found.genesis_hash) != (identity.chain_id, identity.genesis_hash) {
            ensure!(
                args.renew,
                "{place} is a record of chain {} with genesis {}, this is chain {} with genesis {}; give --renew to \
                 overwrite it",
                found.chain_id,
                found.genesis_hash,
                identity.chain_id,
                identity.genesis_hash
            );
            continue;
        }
        verify(&account.chain, &found)
            .await
            .with_context(|| format!("the record in {place} does not hold"))?;
        eprintln!("deployed before, as recorded in {place}; every code hash is right");
        return Ok(found);
    }
    let owner = args.owner.unwrap_or_else(|| account.address());
    let earlier = earlier(account).await?;
    let token = match args.token {
        Some(address) => existing(&account.chain, address).await?,
        None => match find_token(&account.chain, &earlier, owner).await? {
            Some(found) => found,
            None => create(account, "FlockToken", TOKEN_JSON, owner.abi_encode()).await?,
        },
    };
    let manager = match find_manager(&account.chain, &earlier, token.address, owner).await? {
        Some(found) => found,
        None => {
            let arguments = (token.address, owner).abi_encode_params();
            create(account, "FlockTaskManager", MANAGER_JSON, arguments).await?
        }
    };
    let implementation = account
        .chain
        .read(manager.address, Manager::implementationCall {})
        .await?;
    let implementation = existing(&account.chain, implementation).await?;
    let code = account.chain.code(implementation.address).await?;
    ensure!(
        is_code_of(TASK_JSON, &code)?,
        "the code at {} is not that of this version's FlockTask",
        implementation.address
    );
    let implementation = Deployed {
        transaction: manager.transaction,
        block: manager.block,
        ..implementation
    };
    Ok(Deployment {
        chain_id: identity.chain_id,
        genesis_hash: identity.genesis_hash,
        owner,
        token,
        manager,
        implementation,
    })
}

/// Every contract of a record is there with the code it was recorded with.
async fn verify(chain: &Connection, deployment: &Deployment) -> anyhow::Result<()> {
    let Deployment {
        token,
        manager,
        implementation,
        ..
    } = deployment;
    for (name, deployed) in [
        ("token", token),
        ("manager", manager),
        ("implementation", implementation),
    ] {
        let found = existing(chain, deployed.address)
            .await
            .with_context(|| format!("the {name}"))?;
        ensure!(
            found.code_hash == deployed.code_hash,
            "the {name} at {} has other code",
            deployed.address
        );
    }
    let named = chain.read(manager.address, Manager::implementationCall {}).await?;
    ensure!(
        named == implementation.address,
        "the manager names another implementation, {named}"
    );
    Ok(())
}

async fn existing(chain: &Connection, address: Address) -> anyhow::Result<Deployed> {
    let code = chain.code(address).await?;
    ensure!(!code.is_empty(), "there is no contract at {address}");
    Ok(Deployed {
        address,
        code_hash: keccak256(&code),
        transaction: None,
        block: None,
    })
}

/// Contracts that this key has deployed, newest first: a run that died before it wrote its record left them.
async fn earlier(account: &Account) -> anyhow::Result<Vec<(Address, Bytes)>> {
    let next = account.nonce().await?;
    let mut found = Vec::new();
    for nonce in (next.saturating_sub(LOOK_BACK)..next).rev() {
        let address = account.address().create(nonce);
        let code = account.chain.code(address).await?;
        if !code.is_empty() {
            found.push((address, code));
        }
    }
    Ok(found)
}

async fn find_token(
    chain: &Connection,
    earlier: &[(Address, Bytes)],
    owner: Address,
) -> anyhow::Result<Option<Deployed>> {
    for (address, code) in earlier {
        if is_code_of(TOKEN_JSON, code)? && chain.read(*address, Token::ownerCall {}).await? == owner {
            eprintln!("FlockToken was deployed before: {address}");
            return existing(chain, *address).await.map(Some);
        }
    }
    Ok(None)
}

async fn find_manager(
    chain: &Connection,
    earlier: &[(Address, Bytes)],
    token: Address,
    owner: Address,
) -> anyhow::Result<Option<Deployed>> {
    for (address, code) in earlier {
        if is_code_of(MANAGER_JSON, code)?
            && chain.read(*address, Manager::tokenCall {}).await? == token
            && chain.read(*address, Manager::ownerCall {}).await? == owner
        {
            eprintln!("FlockTaskManager was deployed before: {address}");
            return existing(chain, *address).await.map(Some);
        }
    }
    Ok(None)
}

async fn create(account: &Account, name: &str, json: &str, arguments: Vec<u8>) -> anyhow::Result<Deployed> {
    let input = [bytecode(json, "bytecode")?.to_vec(), arguments].concat();
    let receipt = account
        .transact(TxKind::Create, U256::ZERO, input.into())
        .await
        .with_context(|| format!("deploying {name}"))?;
    let Some(address) = receipt.contract_address else {
        bail!("the receipt of {name} names no contract")
    };
    let code = account.chain.code(address).await?;
    ensure!(is_code_of(json, &code)?, "the code at {address} is not {name}'s");
    eprintln!("deployed {name} at {address} in block {}", receipt.block_number);
    Ok(Deployed {
        address,
        code_hash: keccak256(&code),
        transaction: Some(receipt.transaction_hash),
        block: Some(receipt.block_number.to()),
    })
}

/// `bytecode` or `deployedBytecode` of a committed contract document.
fn bytecode(json: &str, kind: &str) -> anyhow::Result<Bytes> {
    let document: serde_json::Value = serde_json::from_str(json)?;
    let object = document[kind]["object"]
        .as_str()
        .context("the contract document has no bytecode")?;
    Ok(object.parse()?)
}

/// Whether `code` is the contract's, whatever values its immutables have: the compiler leaves zeros in their places.
fn is_code_of(json: &str, code: &[u8]) -> anyhow::Result<bool> {
    let expected = bytecode(json, "deployedBytecode")?;
    ensure!(!expected.is_empty(), "the contract document has no code");
    Ok(expected.len() == code.len()
        && expected
            .iter()
            .zip(code)
            .all(|(want, found)| want == found || *want == 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_known_again_with_its_immutables_filled_in_and_not_with_anything_else_changed() {
        let expected = bytecode(MANAGER_JSON, "deployedBytecode").unwrap();
        let place = expected
            .windows(20)
            .position(|window| window.iter().all(|b| *b == 0))
            .unwrap();
        let mut code = expected.to_vec();
        code[place..place + 20].fill(0xaa);
        assert!(is_code_of(MANAGER_JSON, &code).unwrap());
        let other = expected.iter().position(|b| *b != 0).unwrap();
        code[other] ^= 1;
        assert!(!is_code_of(MANAGER_JSON, &code).unwrap());
        assert!(!is_code_of(MANAGER_JSON, &expected[1..]).unwrap());
        assert!(!is_code_of(TOKEN_JSON, &expected).unwrap());
    }
}
