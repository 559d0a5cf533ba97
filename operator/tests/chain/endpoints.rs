//! Several endpoints of one chain, some of them bad.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use async_trait::async_trait;
use operator::chain::{
    ChainError, ChainReader,
    transport::{CallError, HttpTransport, Transport},
};
use serde_json::{Value, json, value::RawValue};

use crate::devnet::Devnet;

/// A real endpoint that can be made to stand still at a block.
pub(crate) struct Lagging {
    pub(crate) inner: Arc<dyn Transport>,
    pub(crate) head: u64,
    pub(crate) still: Arc<AtomicBool>,
}

#[async_trait]
impl Transport for Lagging {
    async fn call(&self, method: &str, params: Value) -> Result<Box<RawValue>, CallError> {
        if self.still.load(Ordering::SeqCst) && method == "eth_getBlockByNumber" && params[0] == "latest" {
            return self
                .inner
                .call(method, json!([format!("{:#x}", self.head), false]))
                .await;
        }
        self.inner.call(method, params).await
    }

    fn host(&self) -> &str {
        "lagging"
    }
}

fn dead() -> Arc<dyn Transport> {
    let url = "http://127.0.0.1:9/".parse().unwrap();
    Arc::new(HttpTransport::new(url, std::time::Duration::from_secs(1)).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_first_endpoint_is_passed_over_and_the_second_is_kept() {
    let net = Devnet::bare(&[]);
    net.mine(3).await;
    let reader = net.reader_over(vec![dead(), net.transport()]);
    assert_eq!(reader.rpc().endpoint(), None);
    assert_eq!(reader.head().await.unwrap().number, 3);
    assert_eq!(reader.rpc().endpoint().as_deref(), Some(net.transport().host()));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_falls_behind_is_left_for_one_that_does_not() {
    let net = Devnet::bare(&[]);
    net.mine(2).await;
    let still = Arc::new(AtomicBool::new(false));
    let lagging = Arc::new(Lagging {
        inner: net.transport(),
        head: 1,
        still: still.clone(),
    });
    let reader = net.reader_over(vec![lagging.clone(), net.transport()]);
    assert_eq!(reader.head().await.unwrap().number, 2);
    assert_eq!(reader.rpc().endpoint().as_deref(), Some("lagging"));
    still.store(true, Ordering::SeqCst);
    net.mine(1).await;
    assert_eq!(reader.head().await.unwrap().number, 3);
    assert_eq!(reader.rpc().endpoint().as_deref(), Some(net.transport().host()));

    // Alone it is not believed: better no answer than an old one.
    still.store(false, Ordering::SeqCst);
    let reader = net.reader_over(vec![lagging]);
    assert_eq!(reader.head().await.unwrap().number, 3);
    still.store(true, Ordering::SeqCst);
    assert_eq!(reader.head().await, Err(ChainError::Lagging { head: 1, seen: 3 }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_below_our_own_last_mined_transaction_is_old() {
    let net = Devnet::bare(&[]);
    net.mine(2).await;
    let reader = net.reader();
    reader.rpc().observe(5);
    assert_eq!(reader.head().await, Err(ChainError::Lagging { head: 2, seen: 5 }));
    net.mine(3).await;
    assert_eq!(reader.head().await.unwrap().number, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_of_another_chain_is_not_used() {
    let (net, other) = (Devnet::bare(&[]), Devnet::bare(&["--chain-id", "5"]));
    let reader = net.reader_over(vec![net.transport(), other.transport()]);
    assert_eq!(reader.identity().await.unwrap().chain_id, 31337);
    drop(net);
    assert!(matches!(reader.head().await, Err(ChainError::WrongChain { id: 5, .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn confirmed_means_so_many_blocks_or_finalized() {
    let net = Devnet::bare(&["--slots-in-an-epoch", "1"]);
    net.mine(9).await;
    let reader = net.reader();
    let head = reader.head().await.unwrap();
    assert_eq!(reader.confirmed_block(&head).await.unwrap(), 7);
    let finalized = operator::chain::EvmReader::new(reader.rpc().clone(), operator::chain::Confirmations::Finalized);
    let confirmed = finalized.confirmed_block(&head).await.unwrap();
    assert!((6..9).contains(&confirmed), "{confirmed}");
}
