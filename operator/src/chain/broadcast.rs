//! Signing, and what a node's refusal of a transaction means.

use alloy::{
    consensus::{SignableTransaction, TxEip1559, TxEnvelope, TxLegacy},
    eips::eip2718::Encodable2718,
    primitives::{B256, Bytes, TxKind, U256},
};

use super::{ChainError, SigningKey, calls::Call, fees::Fees};

/// A transaction ready to be broadcast, any number of times.
#[derive(Debug, Clone)]
pub(super) struct Signed {
    pub(super) hash: B256,
    pub(super) raw: Bytes,
}

/// Signs `call` at `nonce`. No value is ever sent.
pub(super) async fn sign(
    key: &SigningKey,
    chain_id: u64,
    nonce: u64,
    gas_limit: u64,
    fees: Fees,
    call: &Call,
) -> Result<Signed, ChainError> {
    let to = TxKind::Call(call.to);
    let input = Bytes::from(call.data.clone());
    let envelope: TxEnvelope = match fees {
        Fees::Dynamic { max_fee, tip } => {
            signed(
                key,
                TxEip1559 {
                    chain_id,
                    nonce,
                    gas_limit,
                    max_fee_per_gas: max_fee,
                    max_priority_fee_per_gas: tip,
                    to,
                    value: U256::ZERO,
                    access_list: Default::default(),
                    input,
                },
            )
            .await?
        }
        Fees::Legacy { gas_price } => {
            signed(
                key,
                TxLegacy {
                    chain_id: Some(chain_id),
                    nonce,
                    gas_price,
                    gas_limit,
                    to,
                    value: U256::ZERO,
                    input,
                },
            )
            .await?
        }
    };
    Ok(Signed {
        hash: *envelope.tx_hash(),
        raw: envelope.encoded_2718().into(),
    })
}

async fn signed<T: SignableTransaction<alloy::primitives::Signature>>(
    key: &SigningKey,
    transaction: T,
) -> Result<TxEnvelope, ChainError>
where
    TxEnvelope: From<alloy::consensus::Signed<T>>,
{
    let signature = key
        .sign(&transaction.signature_hash())
        .await
        .map_err(ChainError::NotSigned)?;
    Ok(transaction.into_signed(signature).into())
}

/// What a node said to a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is in the pool, or was before.
    Accepted,
    /// It has to offer more.
    TooLow,
    /// The nonce is taken; the next look at the chain tells by what.
    NonceUsed,
    Funds,
    /// Nobody knows whether it arrived.
    Unknown(ChainError),
    Refused(String),
}

pub(super) fn verdict(answer: Result<B256, ChainError>) -> Verdict {
    let text = match answer {
        Ok(_) => return Verdict::Accepted,
        Err(ChainError::BadAnswer(text) | ChainError::Reverted { reason: text }) => text,
        Err(other) => return Verdict::Unknown(other),
    };
    let lower = text.to_ascii_lowercase();
    let says = |needles: &[&str]| needles.iter().any(|n| lower.contains(n));
    if says(&["already known", "already imported", "known transaction"]) {
        Verdict::Accepted
    } else if says(&[
        "underpriced",
        "less than block base fee",
        "fee cap less",
        "fee too low",
        "gas price too low",
    ]) {
        Verdict::TooLow
    } else if says(&["nonce too low", "nonce is too low", "already been used"]) {
        Verdict::NonceUsed
    } else if says(&["insufficient funds", "insufficient balance"]) {
        Verdict::Funds
    } else {
        Verdict::Refused(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nodes_say_to_a_transaction_is_understood() {
        let cases = [
            ("already known", Verdict::Accepted),
            ("transaction already imported", Verdict::Accepted),
            ("replacement transaction underpriced", Verdict::TooLow),
            (
                "transaction underpriced: tip needed 1, tip permitted 0",
                Verdict::TooLow,
            ),
            ("max fee per gas less than block base fee: address 0x", Verdict::TooLow),
            ("nonce too low: next nonce 5, tx nonce 4", Verdict::NonceUsed),
            ("Insufficient funds for gas * price + value", Verdict::Funds),
            (
                "exceeds block gas limit",
                Verdict::Refused("exceeds block gas limit".to_owned()),
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(verdict(Err(ChainError::BadAnswer(text.to_owned()))), expected, "{text}");
        }
        let lost = ChainError::Unreachable("timed out".to_owned());
        assert_eq!(verdict(Err(lost.clone())), Verdict::Unknown(lost));
    }

    #[tokio::test]
    async fn both_kinds_of_transaction_are_signed_for_the_chain_and_by_the_key() {
        use alloy::{consensus::Transaction as _, eips::eip2718::Decodable2718};
        let key = SigningKey::from_text(&[b'1'; 64]).unwrap();
        let call = Call {
            to: alloy::primitives::Address::repeat_byte(7),
            data: vec![1, 2, 3],
        };
        for fees in [Fees::Dynamic { max_fee: 9, tip: 2 }, Fees::Legacy { gas_price: 9 }] {
            let signed = sign(&key, 31337, 4, 21_000, fees, &call).await.unwrap();
            let envelope = TxEnvelope::decode_2718(&mut signed.raw.as_ref()).unwrap();
            assert_eq!(
                (envelope.nonce(), envelope.chain_id(), envelope.max_fee_per_gas()),
                (4, Some(31337), 9)
            );
            assert_eq!(*envelope.tx_hash(), signed.hash);
            assert_eq!(envelope.input().as_ref(), [1, 2, 3]);
            let signer = envelope
                .signature()
                .recover_address_from_prehash(&envelope.signature_hash());
            assert_eq!(signer.unwrap(), key.address());
        }
    }
}
