//! The sender in every kind of weather, a row each. Queue, worker, fees and the choice of endpoints are the real ones; the
//! node and the clock are not: a sleep is a block of twelve seconds.

mod rows;
mod stage;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use alloy::primitives::Address;
use protocol::types::Timestamp;

use self::{
    rows::rows,
    stage::{Blocks, Chain, Endpoint, NONCE, START, Tx},
};
use super::{
    ChainError, Confirmations, EvmReader, Mined, SigningKey,
    calls::Call,
    rpc::{Rpc, RpcConfig},
    send_state::Policy,
    sender::{EvmSender, SenderConfig},
    transport::Transport,
};

type Answer = Result<Mined, ChainError>;

/// One kind of weather.
struct Row {
    says: &'static str,
    /// Before anything is sent.
    given: fn(&mut Chain),
    /// Before the first, second, ... block.
    each: fn(&mut Chain, u64),
    fee_cap: Option<u128>,
    /// Seconds from the start.
    deadline: Option<u64>,
    calls: u8,
    holds: fn(&Chain, &[Answer]),
}

impl Default for Row {
    fn default() -> Self {
        Self {
            says: "",
            given: |_| {},
            each: |_, _| {},
            fee_cap: None,
            deadline: None,
            calls: 1,
            holds: mined_once,
        }
    }
}

/// The call succeeded, as one transaction of ours.
fn mined_once(chain: &Chain, answers: &[Answer]) {
    assert!(
        answers.iter().all(|a| a.as_ref().is_ok_and(|m| m.success)),
        "{answers:?}"
    );
    let ours = chain.mined.iter().filter(|(tx, _)| tx.ours).count();
    assert_eq!(ours, answers.len(), "one transaction a call: {:?}", chain.mined);
}

fn fails_as(answers: &[Answer], category: &str) {
    let error = answers[0].as_ref().expect_err("a failure");
    assert_eq!(error.category(), category, "{error}");
}

/// Nonces of what was offered, and how the price rose.
fn raised_at_one_nonce(chain: &Chain) {
    assert!(chain.offers.len() >= 2, "{:?}", chain.offers);
    assert!(chain.offers.iter().all(|tx| tx.nonce == NONCE), "{:?}", chain.offers);
    let enough = |pair: &[Tx]| pair[1].most * 10 >= pair[0].most * 11;
    assert!(chain.offers.windows(2).all(enough), "{:?}", chain.offers);
}

async fn play(row: &Row) -> (Arc<Mutex<Chain>>, Vec<Answer>) {
    let chain = Arc::new(Mutex::new(Chain::new()));
    (row.given)(&mut chain.lock().unwrap());
    let clock = Arc::new(Blocks {
        chain: chain.clone(),
        each: row.each,
    });
    let endpoint = |number| -> Arc<dyn Transport> {
        let chain = chain.clone();
        Arc::new(Endpoint { number, chain })
    };
    let config = RpcConfig {
        chain: "test".to_owned(),
        expected: None,
        stale_after: 3600,
    };
    let rpc = Arc::new(Rpc::new(config, vec![endpoint(0), endpoint(1)], clock, None));
    let reader = Arc::new(EvmReader::new(rpc, Confirmations::Depth(1)));
    let leader = chain.clone();
    let sending = SenderConfig {
        policy: Policy {
            fee_cap: row.fee_cap,
            ..Policy::default()
        },
        poll: Duration::from_secs(1),
        fence: Arc::new(move || leader.lock().unwrap().leader),
    };
    let key = SigningKey::from_text(&[b'1'; 64]).unwrap();
    let sender = EvmSender::start(key, 7, reader, sending);
    let deadline = row.deadline.map(|seconds| Timestamp(START + seconds));
    let calls = (0..row.calls).map(|n| {
        let call = Call {
            to: Address::repeat_byte(7),
            data: vec![n],
        };
        sender.send_call(call, "test", deadline)
    });
    let answers = futures::future::join_all(calls).await;
    (chain, answers)
}

#[tokio::test]
async fn the_sender_does_what_each_row_says() {
    let rows = rows();
    let mut names: Vec<&str> = rows.iter().map(|row| row.says).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), rows.len(), "two rows say the same");
    let mut failed = Vec::new();
    for row in &rows {
        let (chain, answers) = play(row).await;
        let chain = chain.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let holds = std::panic::AssertUnwindSafe(|| {
            (row.holds)(&chain, &answers);
            assert!(chain.most_pending <= 1, "two of ours were pending at once");
        });
        if std::panic::catch_unwind(holds).is_err() {
            failed.push(format!("{}: {answers:?}, offered {:?}", row.says, chain.offers));
        }
    }
    assert!(
        failed.is_empty(),
        "{} of {} rows fail:\n{}",
        failed.len(),
        rows.len(),
        failed.join("\n")
    );
}
