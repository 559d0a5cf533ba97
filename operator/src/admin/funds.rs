//! `chain mint`, `chain fund`, `chain allow-creator`: who has what, and who may create.

use alloy::primitives::{Address, TxKind, U256};
use anyhow::{Context, bail, ensure};
use clap::Args;
use protocol::types::Amount;

use super::{
    amount::{parse_amount, show_amount},
    connect::{Connection, KeyArgs, RpcArgs},
    record::RecordPlace,
    send::Account,
};
use crate::chain::bindings::{manager::FlockTaskManager as Manager, token::FlockToken as Token};

/// Arguments of `chain mint`.
#[derive(Debug, Clone, Args)]
pub struct MintArgs {
    #[command(flatten)]
    pub rpc: RpcArgs,
    #[command(flatten)]
    pub key: KeyArgs,
    /// The token's address.
    #[arg(long, conflicts_with = "deployment")]
    pub token: Option<Address>,
    /// Take the token from this record of `chain deploy`: a file, or configmap:<namespace>/<name>.
    #[arg(long)]
    pub deployment: Option<RecordPlace>,
    /// Who gets them; may be repeated.
    #[arg(long = "to", required = true, value_name = "ADDRESS")]
    pub to: Vec<Address>,
    /// Tokens for each: 64, 0.5, or 12wei.
    #[arg(long, value_parser = parse_amount)]
    pub amount: Amount,
    /// Give only what is missing up to the amount, so that running it again changes nothing.
    #[arg(long)]
    pub up_to: bool,
}

/// Arguments of `chain fund`.
#[derive(Debug, Clone, Args)]
pub struct FundArgs {
    #[command(flatten)]
    pub rpc: RpcArgs,
    #[command(flatten)]
    pub key: KeyArgs,
    /// Who gets them; may be repeated.
    #[arg(long = "to", required = true, value_name = "ADDRESS")]
    pub to: Vec<Address>,
    /// Native coins for each, for gas: 1, 0.05, or 12wei.
    #[arg(long, value_parser = parse_amount, required_unless_present = "tokens")]
    pub coins: Option<Amount>,
    /// Tokens for each, from the key's own balance; needs --token or --deployment.
    #[arg(long, value_parser = parse_amount)]
    pub tokens: Option<Amount>,
    /// The token's address.
    #[arg(long, conflicts_with = "deployment")]
    pub token: Option<Address>,
    /// Take the token from this record of `chain deploy`: a file, or configmap:<namespace>/<name>.
    #[arg(long)]
    pub deployment: Option<RecordPlace>,
    /// Give only what is missing up to the amounts, so that running it again changes nothing.
    #[arg(long)]
    pub up_to: bool,
}

/// Arguments of `chain allow-creator`.
#[derive(Debug, Clone, Args)]
pub struct AllowCreatorArgs {
    #[command(flatten)]
    pub rpc: RpcArgs,
    #[command(flatten)]
    pub key: KeyArgs,
    /// The manager's address.
    #[arg(long, conflicts_with = "deployment")]
    pub manager: Option<Address>,
    /// Take the manager from this record of `chain deploy`: a file, or configmap:<namespace>/<name>.
    #[arg(long)]
    pub deployment: Option<RecordPlace>,
    /// Who may create tasks; may be repeated.
    #[arg(long = "creator", required = true, value_name = "ADDRESS")]
    pub creators: Vec<Address>,
    /// Take the permission back. Tasks that exist are not touched.
    #[arg(long)]
    pub revoke: bool,
}

async fn token_of(token: Option<Address>, record: Option<&RecordPlace>) -> anyhow::Result<Address> {
    match (token, record) {
        (Some(address), _) => Ok(address),
        (None, Some(place)) => Ok(place.expect().await?.token.address),
        (None, None) => bail!("which token? give --token or --deployment"),
    }
}

fn missing(amount: Amount, has: U256, up_to: bool) -> U256 {
    if up_to { amount.0.saturating_sub(has) } else { amount.0 }
}

/// Runs `chain mint`.
pub(super) async fn mint(args: MintArgs) -> anyhow::Result<()> {
    let token = token_of(args.token, args.deployment.as_ref()).await?;
    let account = args.key.account(Connection::open(&args.rpc).await?)?;
    for to in args.to {
        let has = account.chain.read(token, Token::balanceOfCall { account: to }).await?;
        let amount = missing(args.amount, has, args.up_to);
        if amount.is_zero() {
            println!("{to} has {} tokens already", show_amount(Amount(has)));
            continue;
        }
        let receipt = account
            .call(token, Token::mintCall { to, amount })
            .await
            .with_context(|| {
                format!(
                    "minting for {to}; the key {} must own the token {token}",
                    account.address()
                )
            })?;
        println!(
            "minted {} tokens for {to} in {}",
            show_amount(Amount(amount)),
            receipt.transaction_hash
        );
    }
    Ok(())
}

/// Runs `chain fund`.
pub(super) async fn fund(args: FundArgs) -> anyhow::Result<()> {
    let token = match args.tokens {
        Some(_) => Some(token_of(args.token, args.deployment.as_ref()).await?),
        None => None,
    };
    let account = args.key.account(Connection::open(&args.rpc).await?)?;
    for to in args.to {
        if let Some(coins) = args.coins {
            let value = missing(coins, account.chain.balance(to).await?, args.up_to);
            if value.is_zero() {
                println!("{to} has enough coins already");
            } else {
                let receipt = account.transact(TxKind::Call(to), value, Default::default()).await?;
                println!(
                    "sent {} coins to {to} in {}",
                    show_amount(Amount(value)),
                    receipt.transaction_hash
                );
            }
        }
        if let (Some(tokens), Some(token)) = (args.tokens, token) {
            let has = account.chain.read(token, Token::balanceOfCall { account: to }).await?;
            let value = missing(tokens, has, args.up_to);
            if value.is_zero() {
                println!("{to} has enough tokens already");
            } else {
                let receipt = account.call(token, Token::transferCall { to, value }).await?;
                println!(
                    "sent {} tokens to {to} in {}",
                    show_amount(Amount(value)),
                    receipt.transaction_hash
                );
            }
        }
    }
    Ok(())
}

/// Runs `chain allow-creator`.
pub(super) async fn allow_creator(args: AllowCreatorArgs) -> anyhow::Result<()> {
    let manager = match (args.manager, &args.deployment) {
        (Some(address), _) => address,
        (None, Some(place)) => place.expect().await?.manager.address,
        (None, None) => bail!("which manager? give --manager or --deployment"),
    };
    let account = args.key.account(Connection::open(&args.rpc).await?)?;
    for line in allow(&account, manager, &args.creators, !args.revoke).await? {
        println!("{line}");
    }
    Ok(())
}

/// Makes it so that each of `creators` may (or may not) create tasks; says what was done.
pub(super) async fn allow(
    account: &Account,
    manager: Address,
    creators: &[Address],
    allowed: bool,
) -> anyhow::Result<Vec<String>> {
    let word = if allowed { "allowed" } else { "no longer allowed" };
    let mut said = Vec::new();
    for creator in creators.iter().copied() {
        if account
            .chain
            .read(manager, Manager::isCreatorAllowedCall { creator })
            .await?
            == allowed
        {
            said.push(format!("{creator} is {word} already"));
            continue;
        }
        let owner = account.chain.read(manager, Manager::ownerCall {}).await?;
        ensure!(
            owner == account.address(),
            "the manager {manager} is owned by {owner}; the key given is that of {}",
            account.address()
        );
        let receipt = account
            .call(manager, Manager::allowCreatorCall { creator, allowed })
            .await?;
        said.push(format!("{creator} is {word}, by {}", receipt.transaction_hash));
    }
    Ok(said)
}
