//! A node of one's own, with the contracts deployed.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use alloy::{
    node_bindings::{Anvil, AnvilInstance},
    primitives::{Address, B256, Bytes, U64, U256},
    sol_types::{SolCall, SolValue},
};
use operator::{
    chain::{
        Chain, ChainHub, ChainIdentity, ChainReader, Confirmations, EvmReader, HubConfig, Senders, SigningKey,
        bindings::{manager::FlockTaskManager as M, token::FlockToken},
        rpc::{Rpc, RpcConfig},
        sender::EvmSender,
        transport::{HttpTransport, Transport},
    },
    clock::SystemClock,
};
use protocol::{
    snapshot::TaskParameters,
    types::{Amount, DefinitionHash, ModelHash},
};
use serde_json::{Value, json};

/// Longest any test waits for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Devnet {
    anvil: AnvilInstance,
    transport: Arc<dyn Transport>,
    pub(crate) token: Address,
    pub(crate) manager: Address,
    pub(crate) senders: Senders,
    /// Whether senders may broadcast.
    pub(crate) lease: Arc<AtomicBool>,
}

fn anvil_program() -> PathBuf {
    if let Some(path) = std::env::var_os("ANVIL") {
        return path.into();
    }
    let own = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.build/tools/bin/anvil"));
    if own.exists() { own } else { "anvil".into() }
}

pub(crate) fn tokens(n: u64) -> Amount {
    Amount(U256::from(n) * U256::from(10).pow(U256::from(18)))
}

/// Waits until `what` gives a value.
pub(crate) async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(value) = look().await {
            return value;
        }
        assert!(started.elapsed() < PATIENCE, "waited too long: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

impl Devnet {
    /// A node that mines at once, and no contracts.
    pub(crate) fn bare(extra: &[&str]) -> Self {
        Self::at_port(0, extra)
    }

    /// The same at a port; 0: any free one.
    pub(crate) fn at_port(port: u16, extra: &[&str]) -> Self {
        let program = anvil_program();
        let anvil = Anvil::at(&program)
            .port(port)
            .args(["--prune-history", "500"])
            .args(extra)
            .try_spawn()
            .unwrap_or_else(|e| {
                panic!(
                    "{} does not start ({e}): run `hack/tools.sh` or set ANVIL",
                    program.display()
                )
            });
        let url = anvil.endpoint_url();
        let transport = Arc::new(HttpTransport::new(url, Duration::from_secs(10)).unwrap());
        Self {
            anvil,
            transport,
            token: Address::ZERO,
            manager: Address::ZERO,
            senders: Senders::default(),
            lease: Arc::new(AtomicBool::new(true)),
        }
    }

    /// A node with token and registry, both owned by account 0, which may also create tasks.
    pub(crate) async fn with_contracts() -> Self {
        let mut net = Self::bare(&[]);
        let owner = net.key(0).address();
        let token = net.deploy("FlockToken", owner.abi_encode()).await;
        let manager = net.deploy("FlockTaskManager", (token, owner).abi_encode_params()).await;
        net.token = token;
        net.manager = manager;
        net.transact(
            0,
            manager,
            M::allowCreatorCall {
                creator: owner,
                allowed: true,
            },
        )
        .await;
        for account in 0..8 {
            let to = net.key(account).address();
            net.transact(
                0,
                token,
                FlockToken::mintCall {
                    to,
                    amount: tokens(10_000).0,
                },
            )
            .await;
        }
        net
    }

    pub(crate) fn url(&self) -> url::Url {
        self.anvil.endpoint_url()
    }

    pub(crate) fn transport(&self) -> Arc<dyn Transport> {
        self.transport.clone()
    }

    pub(crate) fn key(&self, index: usize) -> SigningKey {
        SigningKey::from_text(hex::encode(self.anvil.keys()[index].to_bytes()).as_bytes()).unwrap()
    }

    /// The node's own answer.
    pub(crate) async fn node<T: serde::de::DeserializeOwned>(&self, method: &str, params: Value) -> T {
        let raw = self
            .transport
            .call(method, params)
            .await
            .unwrap_or_else(|e| panic!("{method}: {e}"));
        serde_json::from_str(raw.get()).unwrap_or_else(|e| panic!("{method}: {e}: {raw}"))
    }

    pub(crate) async fn mine(&self, blocks: u64) {
        for _ in 0..blocks {
            let _: Value = self.node("evm_mine", json!([])).await;
        }
    }

    pub(crate) async fn automine(&self, on: bool) {
        let _: Value = self.node("evm_setAutomine", json!([on])).await;
    }

    pub(crate) async fn base_fee(&self, wei: u64) {
        let _: Value = self
            .node("anvil_setNextBlockBaseFeePerGas", json!([U64::from(wei)]))
            .await;
    }

    /// Blocks from now on hold no more gas than this: what does not fit stays in the pool.
    pub(crate) async fn block_gas(&self, gas: u64) {
        let _: Value = self.node("evm_setBlockGasLimit", json!([U64::from(gas)])).await;
    }

    pub(crate) async fn nonce(&self, account: Address, tag: &str) -> u64 {
        self.node::<U64>("eth_getTransactionCount", json!([account, tag]))
            .await
            .to()
    }

    async fn mined(&self, hash: B256) -> Value {
        let receipt: Value = until("a receipt", async || {
            self.node::<Option<Value>>("eth_getTransactionReceipt", json!([hash]))
                .await
        })
        .await;
        assert_eq!(receipt["status"], "0x1", "{receipt}");
        receipt
    }

    /// A call by one of the node's own accounts, not through our sender.
    pub(crate) async fn transact<C: SolCall>(&self, from: usize, to: Address, call: C) {
        let data = Bytes::from(call.abi_encode());
        let transaction = json!([{"from": self.key(from).address(), "to": to, "data": data}]);
        let hash = self.node("eth_sendTransaction", transaction).await;
        self.mined(hash).await;
    }

    async fn deploy(&self, name: &str, arguments: Vec<u8>) -> Address {
        let path = format!("{}/../contracts/abi/{name}.json", env!("CARGO_MANIFEST_DIR"));
        let json: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let bytecode = json["bytecode"]["object"]
            .as_str()
            .or(json["bytecode"].as_str())
            .unwrap();
        let mut code = hex::decode(bytecode.trim_start_matches("0x")).unwrap();
        code.extend(arguments);
        let transaction = json!([{"from": self.key(0).address(), "data": Bytes::from(code)}]);
        let hash = self.node("eth_sendTransaction", transaction).await;
        self.mined(hash).await["contractAddress"]
            .as_str()
            .unwrap()
            .parse()
            .unwrap()
    }

    pub(crate) async fn identity(&self) -> ChainIdentity {
        self.reader_over(vec![self.transport()]).identity().await.unwrap()
    }

    pub(crate) fn reader_over(&self, transports: Vec<Arc<dyn Transport>>) -> EvmReader {
        let config = RpcConfig {
            chain: "test".to_owned(),
            expected: None,
            stale_after: 3600,
        };
        let rpc = Rpc::new(config, transports, Arc::new(SystemClock), None);
        EvmReader::new(Arc::new(rpc), Confirmations::Depth(2))
    }

    pub(crate) fn reader(&self) -> EvmReader {
        self.reader_over(vec![self.transport()])
    }

    pub(crate) async fn hub_config(&self) -> HubConfig {
        HubConfig {
            name: "test".to_owned(),
            identity: self.identity().await,
            urls: vec![self.url()],
            confirmations: Confirmations::Depth(2),
            max_fee_per_gas: None,
            block_time: Some(0),
        }
    }

    pub(crate) fn open(&self, config: HubConfig) -> ChainHub {
        let lease = self.lease.clone();
        let fence = Arc::new(move || lease.load(Ordering::SeqCst));
        ChainHub::open(config, self.senders.clone(), fence, Arc::new(SystemClock), None).unwrap()
    }

    pub(crate) fn open_over(&self, config: HubConfig, transports: Vec<Arc<dyn Transport>>) -> ChainHub {
        let lease = self.lease.clone();
        let fence = Arc::new(move || lease.load(Ordering::SeqCst));
        ChainHub::over(
            config,
            transports,
            self.senders.clone(),
            fence,
            Arc::new(SystemClock),
            None,
        )
    }

    pub(crate) async fn hub(&self) -> ChainHub {
        self.open(self.hub_config().await)
    }

    /// The registry's own handle, which can send any call.
    pub(crate) fn sender(&self, hub: &ChainHub, account: usize) -> Arc<EvmSender> {
        hub.evm_sender(&self.key(account))
    }

    /// Parameters of a task for exactly four participants, two of them proposers.
    pub(crate) fn parameters(&self) -> TaskParameters {
        TaskParameters {
            metadata: r#"{"name":"test"}"#.to_owned(),
            definition_hash: DefinitionHash(B256::repeat_byte(0xd1)),
            genesis_model: ModelHash(B256::repeat_byte(0x60)),
            total_rounds: 2,
            min_participants: 4,
            max_participants: 4,
            entry_stake: tokens(64),
            min_stake_threshold: tokens(24),
            distribution_rate: 500_000_000_000_000_000,
            slashed_per_stake: 125_000_000_000_000_000,
            bonus_ratio: 1000,
            quorum_bps: 5000,
            join_window: 3600,
            propose_window: 3600,
            commit_window: 3600,
            reveal_window: 3600,
            stall_timeout: 30 * 24 * 3600,
            initial_reward_pool: tokens(1000),
            allow_list_enabled: false,
        }
    }

    /// A task created through the sender of account 0.
    pub(crate) async fn task(&self, hub: &ChainHub) -> Address {
        let creator = hub.sender(&self.key(0));
        creator
            .create_task(self.manager, B256::repeat_byte(1), &self.parameters(), &[])
            .await
            .unwrap()
    }
}

/// Counts calls by method on their way to a real endpoint.
pub(crate) struct Counting {
    inner: Arc<dyn Transport>,
    calls: std::sync::Mutex<std::collections::BTreeMap<String, u32>>,
}

impl Counting {
    pub(crate) fn new(inner: Arc<dyn Transport>) -> Arc<Self> {
        Arc::new(Self {
            inner,
            calls: Default::default(),
        })
    }

    /// What was called since the last time.
    pub(crate) fn take(&self) -> std::collections::BTreeMap<String, u32> {
        std::mem::take(&mut self.calls.lock().unwrap())
    }
}

#[async_trait::async_trait]
impl Transport for Counting {
    async fn call(
        &self,
        method: &str,
        params: Value,
    ) -> Result<Box<serde_json::value::RawValue>, operator::chain::transport::CallError> {
        *self.calls.lock().unwrap().entry(method.to_owned()).or_default() += 1;
        self.inner.call(method, params).await
    }

    fn host(&self) -> &str {
        self.inner.host()
    }
}
