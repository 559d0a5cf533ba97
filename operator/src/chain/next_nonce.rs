//! What is asked before an approval or a stake goes out: whether its nonce is the next one by the chain's state, and not only
//! by an endpoint's count; and whether in that same state its effect is not there yet.
//!
//! A call sent above a gap in the nonces waits there, and is carried out when the gap is filled: at worst after the same
//! call was sent again below. Everything else can happen once only, or does the same again; a stake is taken twice, if an
//! approval is there twice. The token takes an approval again, so that trying it out does not show what its receipt would
//! have: that it was mined.

use alloy::{
    primitives::{Address, Bytes, U256},
    sol_types::SolCall,
};
use serde_json::json;

use super::{
    ChainError,
    bindings::{FlockTask, token::FlockToken},
    calls::Call,
    reader::EvmReader,
    rpc::Rpc,
    wire::Header,
};

/// The call that can take effect twice.
const STAKE: &str = "stake";
/// The call that lets it: a second one, left above a gap, waits for a reorg to put it between two stakes.
const APPROVE: &str = "approve";
/// Refusals after which the count is believed: not every node creates contracts in `eth_call`.
const REFUSALS: u32 = 3;
/// Makes a contract whose code is its own address: `ADDRESS PUSH1 0 MSTORE PUSH1 32 PUSH1 0 RETURN`.
const OWN_ADDRESS: [u8; 9] = [0x30, 0x60, 0x00, 0x52, 0x60, 0x20, 0x60, 0x00, 0xf3];

/// Asks for one call.
#[derive(Debug, Default)]
pub(super) struct NextNonce {
    /// In a row.
    refused: u32,
}

impl NextNonce {
    /// Whether this call may go out at `nonce`: of all that have this nonce only one is ever mined.
    ///
    /// # Errors
    /// [`ChainError::Reverted`] also if the call's effect is there already.
    pub(super) async fn allows(
        &mut self,
        action: &str,
        reader: &EvmReader,
        call: &Call,
        from: Address,
        nonce: u64,
        head: &Header,
    ) -> Result<bool, ChainError> {
        match action {
            STAKE => unstaked(reader, call.to, from, head).await?,
            APPROVE => unapproved(reader, call, from, head).await?,
            _ => return Ok(true),
        }
        self.is_next(reader.rpc(), from, nonce, head).await
    }

    /// The address of a contract that the account would create depends on its nonce in the state at `head`. An endpoint
    /// that counts from a cache, or from another node than it reads state from, is found out.
    async fn is_next(&mut self, rpc: &Rpc, from: Address, nonce: u64, head: &Header) -> Result<bool, ChainError> {
        let data = Bytes::from_static(&OWN_ADDRESS);
        let params = json!([{"from": from, "data": data}, Rpc::at(head.hash)]);
        let created: Result<Bytes, ChainError> = rpc.call("eth_call", params).await;
        let refusal = match created {
            Ok(code) if code.len() == 32 => {
                let next = code[12..] == *from.create(nonce).as_slice();
                if !next {
                    tracing::warn!(address = %from, nonce, "the endpoint counts transactions that its state does not know");
                }
                return Ok(next);
            }
            Ok(code) => format!("eth_call created {} bytes", code.len()),
            Err(ChainError::BadAnswer(why) | ChainError::Reverted { reason: why }) => why,
            Err(error) => return Err(error),
        };
        self.refused += 1;
        let believed = self.refused >= REFUSALS;
        tracing::warn!(address = %from, nonce, why = refusal, believed, "the endpoint does not show the next nonce");
        Ok(believed)
    }
}

async fn unstaked(reader: &EvmReader, task: Address, from: Address, head: &Header) -> Result<(), ChainError> {
    let call = FlockTask::snapshotCall {
        round: U256::ZERO,
        accounts: vec![from],
    };
    let accounts = reader.view(task, &call, head.hash).await?.accounts;
    if accounts.iter().any(|account| account.everStaked) {
        return Err(ChainError::Reverted {
            reason: format!("{from} has staked already"),
        });
    }
    Ok(())
}

async fn unapproved(reader: &EvmReader, call: &Call, owner: Address, head: &Header) -> Result<(), ChainError> {
    let Ok(FlockToken::approveCall { spender, value }) = FlockToken::approveCall::abi_decode(&call.data) else {
        return Ok(());
    };
    let allowance = FlockToken::allowanceCall { owner, spender };
    if reader.view(call.to, &allowance, head.hash).await? == value {
        return Err(ChainError::Reverted {
            reason: format!("{spender} may take {value} of {owner} already"),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use alloy::primitives::B256;
    use async_trait::async_trait;
    use serde_json::{Value, value::RawValue};

    use super::*;
    use crate::{
        chain::{
            Confirmations, calls,
            rpc::RpcConfig,
            transport::{CallError, Transport},
        },
        clock::SystemClock,
    };

    /// A node whose state has this nonce; `None`: it does not create contracts. Nothing but 64 is allowed to anybody.
    struct Node(Option<u64>);

    const FROM: Address = Address::repeat_byte(7);

    #[async_trait]
    impl Transport for Node {
        async fn call(&self, method: &str, params: Value) -> Result<Box<RawValue>, CallError> {
            let answer = match (method, self.0) {
                ("eth_chainId", _) => json!("0x1"),
                ("eth_getBlockByNumber", _) => header(),
                (_, _) if params[0].get("to").is_some() => json!(B256::from(U256::from(64))),
                (_, Some(nonce)) => json!(FROM.create(nonce).into_word()),
                (_, None) => {
                    return Err(CallError::Rpc {
                        code: -32000,
                        message: "to is missing".to_owned(),
                        data: None,
                    });
                }
            };
            RawValue::from_string(answer.to_string()).map_err(|error| CallError::Garbled(error.to_string()))
        }

        fn host(&self) -> &str {
            "node"
        }
    }

    fn header() -> Value {
        json!({"number": "0x0", "timestamp": "0x1", "hash": B256::ZERO, "parentHash": B256::ZERO})
    }

    fn rpc(node: Node) -> Rpc {
        let config = RpcConfig {
            chain: "test".to_owned(),
            expected: None,
            stale_after: u64::MAX,
        };
        Rpc::new(config, vec![Arc::new(node)], Arc::new(SystemClock), None)
    }

    async fn asked(node: Node, nonce: u64, times: usize) -> Vec<bool> {
        let rpc = rpc(node);
        let head: Header = serde_json::from_value(header()).unwrap();
        let mut next = NextNonce::default();
        let mut answers = Vec::new();
        for _ in 0..times {
            answers.push(next.is_next(&rpc, FROM, nonce, &head).await.unwrap());
        }
        answers
    }

    async fn allows(action: &str, call: &Call, nonce: u64) -> Result<bool, ChainError> {
        let reader = EvmReader::new(Arc::new(rpc(Node(Some(4)))), Confirmations::Depth(0));
        let head: Header = serde_json::from_value(header()).unwrap();
        let mut next = NextNonce::default();
        next.allows(action, &reader, call, FROM, nonce, &head).await
    }

    fn approval(amount: u64) -> Call {
        calls::approve(Address::repeat_byte(8), Address::repeat_byte(9), U256::from(amount))
    }

    #[tokio::test]
    async fn an_approval_left_above_a_gap_would_let_a_second_stake_through() {
        assert_eq!(allows(APPROVE, &approval(65), 4).await, Ok(true));
        assert_eq!(allows(APPROVE, &approval(65), 5).await, Ok(false));
    }

    #[tokio::test]
    async fn an_approval_that_is_there_already_is_not_sent_again() {
        let refused = allows(APPROVE, &approval(64), 4).await;
        assert!(
            matches!(&refused, Err(ChainError::Reverted { reason }) if reason.contains("already")),
            "{refused:?}"
        );
    }

    #[tokio::test]
    async fn what_can_happen_once_only_goes_out_at_the_nonce_that_the_endpoint_counts() {
        assert_eq!(allows("joinRound", &approval(64), 5).await, Ok(true));
    }

    #[tokio::test]
    async fn a_stake_goes_out_at_the_nonce_of_the_state_alone() {
        assert_eq!(asked(Node(Some(4)), 4, 1).await, [true]);
        assert_eq!(asked(Node(Some(4)), 5, 4).await, [false; 4]);
    }

    #[tokio::test]
    async fn a_node_that_never_shows_its_nonce_is_believed_in_the_end() {
        assert_eq!(asked(Node(None), 5, 4).await, [false, false, true, true]);
    }
}
