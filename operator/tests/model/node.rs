//! A node that mines when told, at the time it is told, for whoever it is told.

use std::{path::PathBuf, sync::Arc, time::Duration};

use alloy::{
    node_bindings::{Anvil, AnvilInstance},
    primitives::{Address, B256, Bytes, U64, U256, address, keccak256},
    sol_types::{SolCall, SolValue},
};
use operator::{
    chain::{
        Confirmations, EvmReader,
        bindings::{MANAGER_JSON, TOKEN_JSON, manager::FlockTaskManager as Manager, token::FlockToken as Token},
        rpc::{Rpc, RpcConfig},
        transport::HttpTransport,
    },
    clock::SystemClock,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// Accounts that may take part; as many as a round can hold.
pub(crate) const CROWD: usize = 100;
/// Every task has this salt, so that its address is known before it exists.
pub(crate) const SALT: B256 = B256::repeat_byte(7);

/// One call in a block.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    from: Address,
    to: Address,
    data: Bytes,
}

impl Call {
    pub(crate) fn new<C: SolCall>(from: Address, to: Address, call: &C) -> Self {
        Self {
            from,
            to,
            data: call.abi_encode().into(),
        }
    }
}

/// What became of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Done {
    pub(crate) succeeded: bool,
    /// Its place in the block.
    pub(crate) index: u64,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Head {
    pub(crate) number: u64,
    pub(crate) time: u64,
}

pub(crate) struct Node {
    anvil: AnvilInstance,
    http: reqwest::Client,
    pub(crate) token: Address,
    pub(crate) manager: Address,
    /// Where every history begins.
    origin: Value,
    pub(crate) owner: Address,
    pub(crate) task: Address,
    pub(crate) crowd: Vec<Address>,
}

fn somebody(name: &str) -> Address {
    Address::from_word(keccak256(name))
}

impl Node {
    pub(crate) async fn start() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let program = match std::env::var_os("ANVIL") {
            Some(path) => path.into(),
            None => PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.build/tools/bin/anvil")),
        };
        assert!(program.exists(), "this test needs anvil: run hack/tools.sh first");
        let anvil = Anvil::at(program)
            .args(["--no-mining", "--auto-impersonate", "--timestamp", "1700000000"])
            .args(["--base-fee", "0", "--gas-price", "0", "--disable-min-priority-fee"])
            .args(["--gas-limit", "4000000000"])
            .spawn();
        let mut node = Self {
            anvil,
            http: reqwest::Client::new(),
            token: Address::ZERO,
            manager: Address::ZERO,
            origin: Value::Null,
            owner: somebody("owner"),
            task: Address::ZERO,
            crowd: (0..CROWD).map(|i| somebody(&format!("participant {i}"))).collect(),
        };
        node.prepare().await;
        node
    }

    /// Deploys, hands out tokens and approves the task that is to come.
    async fn prepare(&mut self) {
        let owner = self.owner;
        self.token = self.create(TOKEN_JSON, owner.abi_encode()).await;
        self.manager = self.create(MANAGER_JSON, (self.token, owner).abi_encode_params()).await;
        let (token, manager) = (self.token, self.manager);
        let predict = Manager::predictTaskCall {
            creator: owner,
            salt: SALT,
        };
        self.task = self.view(manager, &predict).await;
        let allow = Manager::allowCreatorCall {
            creator: owner,
            allowed: true,
        };
        self.must(vec![Call::new(owner, manager, &allow)]).await;
        let holders: Vec<Address> = self.crowd.iter().copied().chain([owner]).collect();
        for holder in &holders {
            let amount = U256::from(1) << 126;
            let mint = Token::mintCall { to: *holder, amount };
            self.must(vec![Call::new(owner, token, &mint)]).await;
        }
        let approve = |from, spender| {
            let value = U256::MAX;
            Call::new(from, token, &Token::approveCall { spender, value })
        };
        self.must(holders.iter().map(|holder| approve(*holder, self.task)).collect())
            .await;
        self.must(vec![approve(owner, manager)]).await;
        self.origin = self.rpc("evm_snapshot", json!([])).await;
    }

    pub(crate) fn chain_id(&self) -> u64 {
        self.anvil.chain_id()
    }

    /// Forgets the last history.
    pub(crate) async fn begin_again(&mut self) {
        assert!(self.rpc::<bool>("evm_revert", json!([self.origin])).await);
        self.origin = self.rpc("evm_snapshot", json!([])).await;
    }

    async fn create(&self, json: &str, arguments: Vec<u8>) -> Address {
        let document: Value = serde_json::from_str(json).unwrap();
        let code: Bytes = document["bytecode"]["object"].as_str().unwrap().parse().unwrap();
        let data = Bytes::from([&code[..], &arguments].concat());
        let request = json!([{"from": self.owner, "data": data, "gas": "0xf00000", "gasPrice": "0x0"}]);
        let hash: B256 = self.rpc("eth_sendTransaction", request).await;
        let _: Value = self.rpc("evm_mine", json!([])).await;
        let receipt: Value = self.rpc("eth_getTransactionReceipt", json!([hash])).await;
        assert_eq!(receipt["status"], "0x1");
        receipt["contractAddress"].as_str().unwrap().parse().unwrap()
    }

    async fn must(&self, calls: Vec<Call>) {
        let time = self.head().await.time + 1;
        let done = self.block(time, &calls).await;
        assert!(done.iter().all(|done| done.succeeded));
    }

    /// All calls in one block at one time, in an order that the node chooses; what became of each. No two may be of one
    /// account.
    pub(crate) async fn block(&self, time: u64, calls: &[Call]) -> Vec<Done> {
        let requests = calls.iter().map(|call| {
            let Call { from, to, data } = call;
            let transaction = json!([{"from": from, "to": to, "data": data, "gas": "0xa00000", "gasPrice": "0x0"}]);
            ("eth_sendTransaction", transaction)
        });
        let hashes = self.batch(requests.collect()).await;
        let _: Value = self.rpc("evm_mine", json!([time])).await;
        if calls.is_empty() {
            return Vec::new();
        }
        let receipts: Vec<Value> = self.rpc("eth_getBlockReceipts", json!(["latest"])).await;
        assert_eq!(receipts.len(), calls.len(), "every call is in the block");
        let of = |hash: &Value| {
            receipts
                .iter()
                .find(|receipt| receipt["transactionHash"] == *hash)
                .unwrap()
        };
        hashes
            .iter()
            .map(|hash| {
                let receipt = of(hash);
                let index: U64 = serde_json::from_value(receipt["transactionIndex"].clone()).unwrap();
                Done {
                    succeeded: receipt["status"] == "0x1",
                    index: index.to(),
                }
            })
            .collect()
    }

    /// Blocks without anything in them, a second apart.
    pub(crate) async fn mine(&self, blocks: u64) {
        let _: Value = self.rpc("anvil_mine", json!([U64::from(blocks), "0x1"])).await;
    }

    /// Makes it a chain without EIP-2935, which knows the hashes of the last 256 blocks only.
    pub(crate) async fn forget_old_hashes(&self) {
        const HISTORY: Address = address!("0000F90827F1C53a10cb7A02335B175320002935");
        let _: Value = self.rpc("anvil_setCode", json!([HISTORY, "0x"])).await;
    }

    pub(crate) async fn head(&self) -> Head {
        let block: Value = self.rpc("eth_getBlockByNumber", json!(["latest", false])).await;
        let of = |name: &str| serde_json::from_value::<U64>(block[name].clone()).unwrap().to();
        Head {
            number: of("number"),
            time: of("timestamp"),
        }
    }

    pub(crate) async fn block_hash(&self, number: u64) -> B256 {
        let block: Value = self
            .rpc("eth_getBlockByNumber", json!([U64::from(number), false]))
            .await;
        block["hash"].as_str().unwrap().parse().unwrap()
    }

    pub(crate) async fn view<C: SolCall>(&self, to: Address, call: &C) -> C::Return {
        let data = Bytes::from(call.abi_encode());
        let answer: Bytes = self.rpc("eth_call", json!([{"to": to, "data": data}, "latest"])).await;
        C::abi_decode_returns(&answer).unwrap()
    }

    /// Token balances.
    pub(crate) async fn balances(&self, accounts: &[Address]) -> Vec<U256> {
        let calls = accounts.iter().map(|account| {
            let data = Bytes::from(Token::balanceOfCall { account: *account }.abi_encode());
            ("eth_call", json!([{"to": self.token, "data": data}, "latest"]))
        });
        let answers = self.batch(calls.collect()).await;
        answers
            .iter()
            .map(|answer| answer.as_str().unwrap().parse().unwrap())
            .collect()
    }

    /// A reader that has seen nothing yet: after `begin_again` blocks come twice.
    pub(crate) fn reader(&self) -> EvmReader {
        let transport = HttpTransport::new(self.anvil.endpoint_url(), Duration::from_secs(30)).unwrap();
        let config = RpcConfig {
            chain: "model".to_owned(),
            expected: None,
            stale_after: u64::MAX,
        };
        let rpc = Rpc::new(config, vec![Arc::new(transport)], Arc::new(SystemClock), None);
        EvmReader::new(Arc::new(rpc), Confirmations::Depth(0))
    }

    async fn rpc<T: DeserializeOwned>(&self, method: &str, params: Value) -> T {
        let mut answers = self.batch(vec![(method, params)]).await;
        let answer = answers.remove(0);
        serde_json::from_value(answer.clone()).unwrap_or_else(|e| panic!("{method}: {e}: {answer}"))
    }

    async fn batch(&self, calls: Vec<(&str, Value)>) -> Vec<Value> {
        if calls.is_empty() {
            return Vec::new();
        }
        let body: Vec<Value> = calls
            .iter()
            .enumerate()
            .map(|(id, (method, params))| json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}))
            .collect();
        let request = self
            .http
            .post(self.anvil.endpoint())
            .header("content-type", "application/json");
        let answer = request.body(serde_json::to_vec(&body).unwrap()).send().await.unwrap();
        let mut answers: Vec<Value> = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
        answers.sort_by_key(|answer| answer["id"].as_u64());
        assert_eq!(answers.len(), calls.len());
        answers
            .into_iter()
            .zip(calls)
            .map(|(mut answer, (method, _))| {
                assert!(answer["error"].is_null(), "{method}: {}", answer["error"]);
                answer["result"].take()
            })
            .collect()
    }
}
