use std::sync::atomic::AtomicU32;

use async_trait::async_trait;
use protocol::types::Timestamp;

use super::*;

type Script = dyn Fn(&str, &Value) -> Result<Value, CallError> + Send + Sync;

/// An endpoint that says what a script says, and counts how often it was asked anything but who it is.
struct Fake {
    name: &'static str,
    script: Box<Script>,
    asked: AtomicU32,
}

#[async_trait]
impl Transport for Fake {
    async fn call(&self, method: &str, params: Value) -> Result<Box<RawValue>, CallError> {
        if method == "eth_chainId" {
            return raw(json!("0x7"));
        }
        if method == "eth_getBlockByNumber" && params[0] == "0x0" {
            return raw(header(0, 0));
        }
        self.asked.fetch_add(1, Ordering::SeqCst);
        raw((self.script)(method, &params)?)
    }

    fn host(&self) -> &str {
        self.name
    }
}

fn raw(value: Value) -> Result<Box<RawValue>, CallError> {
    Ok(RawValue::from_string(value.to_string()).unwrap())
}

fn header(number: u64, timestamp: u64) -> Value {
    let hash = B256::with_last_byte(number as u8);
    json!({"number": U64::from(number), "hash": hash, "parentHash": hash, "timestamp": U64::from(timestamp)})
}

fn fake(
    name: &'static str,
    script: impl Fn(&str, &Value) -> Result<Value, CallError> + Send + Sync + 'static,
) -> Arc<Fake> {
    Arc::new(Fake {
        name,
        script: Box::new(script),
        asked: AtomicU32::new(0),
    })
}

/// Answers `answer` to everything, at head 10 of time 1000.
fn steady(name: &'static str, answer: Result<Value, CallError>) -> Arc<Fake> {
    fake(name, move |method, _| match method {
        "eth_getBlockByNumber" => Ok(header(10, 1000)),
        _ => answer.clone(),
    })
}

struct Still(u64);

impl Clock for Still {
    fn now(&self) -> Timestamp {
        Timestamp(self.0)
    }

    fn sleep(&self, _: std::time::Duration) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(std::future::ready(()))
    }
}

fn over_at(now: u64, endpoints: &[Arc<Fake>]) -> Rpc {
    let config = RpcConfig {
        chain: "test".to_owned(),
        expected: None,
        stale_after: 60,
    };
    let transports = endpoints.iter().map(|e| e.clone() as Arc<dyn Transport>).collect();
    Rpc::new(config, transports, Arc::new(Still(now)), None)
}

fn over(endpoints: &[Arc<Fake>]) -> Rpc {
    over_at(1000, endpoints)
}

fn refused(code: i64, message: &str) -> CallError {
    CallError::Rpc {
        code,
        message: message.to_owned(),
        data: None,
    }
}

async fn ask(rpc: &Rpc) -> Result<Value, ChainError> {
    rpc.call("eth_call", json!([])).await
}

#[tokio::test]
async fn an_endpoint_in_trouble_is_left_and_the_next_is_kept() {
    let troubles = [
        CallError::Transport("timed out".to_owned()),
        CallError::RateLimited,
        CallError::Garbled("not JSON".to_owned()),
        refused(-32601, "the method eth_call does not exist"),
        refused(-32000, "header not found"),
        refused(-32001, "Resource not found"),
        refused(-32000, "missing trie node 1234 (path ) <nil>"),
    ];
    for trouble in troubles {
        let (bad, good) = (steady("bad", Err(trouble.clone())), steady("good", Ok(json!(42))));
        let rpc = over(&[bad.clone(), good.clone()]);
        assert_eq!(ask(&rpc).await, Ok(json!(42)), "{trouble:?}");
        assert_eq!(rpc.endpoint().as_deref(), Some("good"), "{trouble:?}");
        let asked = bad.asked.load(Ordering::SeqCst);
        assert_eq!(ask(&rpc).await, Ok(json!(42)));
        assert_eq!(bad.asked.load(Ordering::SeqCst), asked, "sticky after {trouble:?}");
    }
}

#[tokio::test]
async fn the_chains_own_answers_are_not_asked_for_again() {
    let revert = CallError::Rpc {
        code: 3,
        message: "execution reverted".to_owned(),
        data: Some(vec![0xde, 0xad]),
    };
    let cases = [
        (
            revert,
            ChainError::Reverted {
                reason: "unknown error 0xdead".to_owned(),
            },
        ),
        (
            refused(-32000, "execution reverted: no"),
            ChainError::Reverted {
                reason: "no".to_owned(),
            },
        ),
        (
            refused(-32000, "nonce too low"),
            ChainError::BadAnswer("nonce too low".to_owned()),
        ),
    ];
    for (answer, expected) in cases {
        let (first, second) = (steady("first", Err(answer)), steady("second", Ok(json!(1))));
        let rpc = over(&[first, second.clone()]);
        assert_eq!(ask(&rpc).await, Err(expected));
        assert_eq!(second.asked.load(Ordering::SeqCst), 0);
        assert_eq!(rpc.endpoint().as_deref(), Some("first"));
    }
}

#[tokio::test]
async fn of_several_failures_the_one_to_act_on_is_told() {
    let down = || steady("down", Err(CallError::Transport("cannot connect".to_owned())));
    let gone = steady("gone", Err(refused(-32000, "unknown block")));
    assert_eq!(
        ask(&over(&[down(), gone])).await,
        Err(ChainError::BlockGone("unknown block".to_owned()))
    );
    let error = ask(&over(&[down(), down()])).await.unwrap_err();
    assert_eq!(
        error,
        ChainError::Unreachable("down: cannot connect; down: cannot connect".to_owned())
    );
    assert!(matches!(ask(&over(&[])).await, Err(ChainError::Unreachable(_))));
}

#[tokio::test]
async fn an_endpoint_behind_a_block_already_seen_does_not_take_over() {
    let healthy = Arc::new(AtomicBool::new(true));
    let first = fake("first", {
        let healthy = healthy.clone();
        move |_, _| match healthy.load(Ordering::SeqCst) {
            true => Ok(header(20, 1000)),
            false => Err(CallError::RateLimited),
        }
    });
    let behind = steady("behind", Ok(json!(1)));
    let rpc = over(&[first, behind.clone()]);
    assert_eq!(rpc.head().await.unwrap().number.to::<u64>(), 20);
    healthy.store(false, Ordering::SeqCst);
    assert_eq!(ask(&rpc).await, Err(ChainError::Lagging { head: 10, seen: 20 }));
    assert_eq!(
        rpc.head().await.unwrap_err(),
        ChainError::Lagging { head: 10, seen: 20 }
    );
}

#[tokio::test]
async fn a_head_that_stands_still_is_compared_with_the_other_endpoints() {
    let still = steady("still", Ok(json!(1)));
    let ahead = fake("ahead", |_, _| Ok(header(15, 1900)));
    let rpc = over_at(2000, &[still.clone(), ahead.clone()]);
    assert_eq!(rpc.head().await.unwrap().number.to::<u64>(), 15);
    assert_eq!(rpc.endpoint().as_deref(), Some("ahead"));
    // A young head is not compared.
    let ahead = fake("ahead", |_, _| Ok(header(15, 1900)));
    let rpc = over_at(1010, &[still, ahead.clone()]);
    assert_eq!(rpc.head().await.unwrap().number.to::<u64>(), 10);
    assert_eq!(ahead.asked.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn an_endpoint_that_names_another_chain_than_expected_is_not_asked() {
    let endpoint = steady("other", Ok(json!(1)));
    let expected = Some(ChainIdentity {
        chain_id: 8,
        genesis_hash: B256::ZERO,
    });
    let config = RpcConfig {
        chain: "test".to_owned(),
        expected,
        stale_after: 60,
    };
    let rpc = Rpc::new(config, vec![endpoint.clone()], Arc::new(Still(0)), None);
    assert!(matches!(ask(&rpc).await, Err(ChainError::WrongChain { id: 7, .. })));
    assert_eq!(endpoint.asked.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn an_answer_of_another_shape_is_a_bad_answer() {
    let rpc = over(&[steady("odd", Ok(json!("text")))]);
    let answer: Result<U64, _> = rpc.call("eth_blockNumber", json!([])).await;
    assert!(matches!(answer, Err(ChainError::BadAnswer(_))), "{answer:?}");
}

#[tokio::test]
async fn a_log_query_that_is_too_much_is_halved_until_it_is_not() {
    let queries = Arc::new(Mutex::new(Vec::new()));
    let endpoint = fake("small", {
        let queries = queries.clone();
        move |method, params| {
            assert_eq!(method, "eth_getLogs");
            let bound =
                |key: &str| u64::from_str_radix(params[0][key].as_str().unwrap().trim_start_matches("0x"), 16).unwrap();
            let (from, to) = (bound("fromBlock"), bound("toBlock"));
            if to - from >= 300 {
                return Err(refused(-32005, "query returned more than 10000 results"));
            }
            queries.lock().unwrap().push((from, to));
            Ok(json!([{
                "address": alloy::primitives::Address::ZERO, "topics": [], "data": "0x",
                "blockNumber": U64::from(from), "transactionHash": B256::ZERO, "logIndex": "0x0",
            }]))
        }
    });
    let reader = crate::chain::EvmReader::new(Arc::new(over(&[endpoint])), crate::chain::Confirmations::Depth(1));
    let logs = reader.logs(&[], 5, 1000).await.unwrap();
    let queries = queries.lock().unwrap().clone();
    assert_eq!(logs.len(), queries.len());
    assert_eq!((queries[0].0, queries[queries.len() - 1].1), (5, 1000));
    assert!(
        queries.windows(2).all(|w| w[0].1 + 1 == w[1].0),
        "no gap, no overlap: {queries:?}"
    );
}
