//! What all sites of a run share: the devnet chart with its contracts, and the store. Test money by the command line an
//! administrator has.

use std::{path::Path, process::Command, sync::Arc, time::Duration};

use alloy::{
    primitives::Address,
    providers::{Provider, ProviderBuilder},
};
use anyhow::{Context, Result, bail};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, Client};
use operator::{
    admin::{Account, Connection, Deployment, RpcArgs},
    chain::{
        ChainReader, Confirmations, EvmReader,
        rpc::{Rpc, RpcConfig},
        transport::HttpTransport,
    },
    clock::SystemClock,
};
use protocol::{snapshot::TaskSnapshot, types::Round};
use serde_json::json;

use crate::{
    cluster,
    depot::Depot,
    env,
    forward::Forward,
    helm,
    key::TestKey,
    shell::run,
    wait::{Look, until},
};

/// Chart and release of the CRDs, and where Helm keeps the record of it.
pub const CRDS: &str = "fl-alliance-crds";
pub const CRDS_NAMESPACE: &str = "fla-crds";
/// Where the chain runs.
pub const NAMESPACE: &str = "fla-devnet";
const RELEASE: &str = "devnet";
/// First and second key of anvil's well-known mnemonic: the first owns the contracts, the second has coins.
const OWNER: &str = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";
const BANK: &str = "59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d";

/// A running devnet, reachable from here.
#[derive(Debug)]
pub struct Devnet {
    pub deployment: Deployment,
    pub depot: Depot,
    forward: Forward,
    /// Owner and bank have one nonce each.
    one_at_a_time: tokio::sync::Mutex<()>,
}

impl Devnet {
    /// Installs CRDs, depot and chain, and waits until the contracts are deployed.
    pub async fn install(client: &Client) -> Result<Self> {
        helm::install(CRDS, CRDS, CRDS_NAMESPACE, &json!({"keep": false}))?;
        let depot = Depot::open(client).await?;
        cluster::namespace(client, NAMESPACE).await?;
        helm::install(
            RELEASE,
            "fl-alliance-devnet",
            NAMESPACE,
            &json!({
                "image": {"repository": env::image_repository("devnet"), "tag": "dev", "pullPolicy": env::pull_policy()},
                // Enough history for `chain compare` at the end of a long run.
                "chain": {"keepStates": 2000, "persist": true},
                "deploy": {"mint": {"accounts": []}},
                "resources": {"requests": {"cpu": "10m", "memory": "64Mi"}},
            }),
        )?;
        let maps: Api<ConfigMap> = Api::namespaced(client.clone(), NAMESPACE);
        let deployment = until("the contracts to be deployed", Duration::from_secs(180), || async {
            let map = maps.get_opt(RELEASE).await?;
            let document = map.and_then(|m| m.data).and_then(|mut d| d.remove("deployment.json"));
            Ok(match document {
                Some(text) => Look::Done(serde_json::from_str(&text)?),
                None => Look::Not("no ConfigMap yet".to_owned()),
            })
        })
        .await?;
        Ok(Self {
            deployment,
            depot,
            forward: Forward::start(NAMESPACE, &format!("svc/{RELEASE}"), 8545)?,
            one_at_a_time: tokio::sync::Mutex::new(()),
        })
    }

    /// As this process reaches it.
    pub fn url(&self) -> String {
        self.forward.url()
    }

    /// As pods reach it.
    pub fn cluster_url(&self) -> String {
        format!("http://{RELEASE}.{NAMESPACE}.svc:8545")
    }

    pub fn manager(&self) -> Address {
        self.deployment.manager.address
    }

    pub fn token(&self) -> Address {
        self.deployment.token.address
    }

    /// The chain as the operator's own tools read it.
    pub async fn connect(&self) -> Result<Connection> {
        let rpc_url = self.url().parse().context("the forwarded address is no URL")?;
        Connection::open(&RpcArgs { rpc_url, wait: 30 }).await
    }

    /// A task at the newest block, as the operator reads it; the current round if none is named.
    pub async fn snapshot(&self, task: Address, round: Option<u32>, accounts: &[Address]) -> Result<TaskSnapshot> {
        let url = self.url().parse().context("the forwarded address is no URL")?;
        let transport = HttpTransport::new(url, Duration::from_secs(20)).map_err(anyhow::Error::msg)?;
        let config = RpcConfig {
            chain: "e2e".to_owned(),
            expected: None,
            stale_after: u64::MAX,
        };
        let rpc = Arc::new(Rpc::new(config, vec![Arc::new(transport)], Arc::new(SystemClock), None));
        let reader = EvmReader::new(rpc, Confirmations::Depth(0));
        let head = reader.head().await?;
        Ok(reader.snapshot(task, &head, round.map(Round), accounts).await?)
    }

    /// Transactions an account has sent.
    pub async fn nonce(&self, account: Address) -> Result<u64> {
        let provider = ProviderBuilder::new().connect_http(self.url().parse()?);
        Ok(provider.get_transaction_count(account).await?)
    }

    /// The chain with a key to send with.
    pub async fn account(&self, key: &TestKey) -> Result<Account> {
        Ok(Account::new(self.connect().await?, key.signer().clone()))
    }

    /// `fl-alliance-operator chain ...`, with the owner's key unless another is given.
    ///
    /// # Errors
    /// With all it printed if it exits non-zero.
    pub async fn tool(&self, key: &str, arguments: &[String]) -> Result<String> {
        let (url, key, arguments) = (self.url(), key.to_owned(), arguments.to_vec());
        tokio::task::spawn_blocking(move || chain_tool(&url, &key, &arguments)).await?
    }

    /// `chain ...` by the contracts' owner.
    pub async fn owner_tool(&self, arguments: &[String]) -> Result<String> {
        let _turn = self.one_at_a_time.lock().await;
        self.tool(OWNER, arguments).await
    }

    /// Gives each account tokens (whole) and coins for gas.
    pub async fn fund(&self, accounts: &[Address], tokens: u128) -> Result<()> {
        let _turn = self.one_at_a_time.lock().await;
        let to = accounts.iter().flat_map(|a| ["--to".to_owned(), a.to_string()]);
        let mint = words(&[
            "mint",
            "--token",
            &self.token().to_string(),
            "--amount",
            &tokens.to_string(),
        ]);
        let mint: Vec<String> = mint.into_iter().chain(to.clone()).collect();
        let coins: Vec<String> = words(&["fund", "--coins", "10"]).into_iter().chain(to).collect();
        let (minted, funded) = tokio::join!(self.tool(OWNER, &mint), self.tool(BANK, &coins));
        minted.and(funded).map(drop)
    }

    /// Coins only, or tokens only, to one account.
    pub async fn send_coins(&self, to: Address) -> Result<()> {
        let _turn = self.one_at_a_time.lock().await;
        let coins = words(&["fund", "--coins", "10", "--to", &to.to_string()]);
        self.tool(BANK, &coins).await.map(drop)
    }

    /// Mints whole tokens to one account.
    pub async fn mint(&self, to: Address, tokens: u128) -> Result<()> {
        let token = self.token().to_string();
        let mint = words(&[
            "mint",
            "--token",
            &token,
            "--amount",
            &tokens.to_string(),
            "--to",
            &to.to_string(),
        ]);
        self.owner_tool(&mint).await.map(drop)
    }

    /// Lets an account create tasks.
    pub async fn allow_creator(&self, creator: Address) -> Result<()> {
        let manager = self.manager().to_string();
        let allow = words(&[
            "allow-creator",
            "--manager",
            &manager,
            "--creator",
            &creator.to_string(),
        ]);
        self.owner_tool(&allow).await.map(drop)
    }

    /// `chain compare`: the FLRounds of a task against the chain, to the wei.
    pub async fn compare(&self, namespace: &str, task: &str) -> Result<String> {
        self.tool(OWNER, &words(&["compare", "--namespace", namespace, "--task", task]))
            .await
    }
}

/// Arguments.
pub fn words(text: &[&str]) -> Vec<String> {
    text.iter().map(|&word| word.to_owned()).collect()
}

fn chain_tool(url: &str, key: &str, arguments: &[String]) -> Result<String> {
    let program = env::built("fl-alliance-operator");
    if !Path::new(&program).exists() {
        bail!("{} is not there: run hack/images.sh", program.display());
    }
    run(Command::new(program)
        .arg("chain")
        .args(arguments)
        .env("FLA_RPC_URL", url)
        .env("FLA_PRIVATE_KEY", key))
}
