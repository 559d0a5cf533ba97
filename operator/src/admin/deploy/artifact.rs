//! The committed contracts: what creates them, and what their code must be once they are there.

use alloy::primitives::{Address, B256, Bytes, keccak256};
use anyhow::{Context, ensure};
use serde::Deserialize;

/// Width of an immutable in the code: the compiler pushes a whole word.
const WORD: usize = 32;

/// A document of `contracts/abi`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    bytecode: Creation,
    deployed_bytecode: Runtime,
}

#[derive(Debug, Deserialize)]
struct Creation {
    object: Bytes,
}

#[derive(Debug, Deserialize)]
struct Runtime {
    object: Bytes,
    /// By immutable, in the order of declaration: where its value stands.
    immutables: Vec<Vec<usize>>,
}

/// One contract as it will be, or has to be, on a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Artifact {
    pub(super) name: &'static str,
    pub(super) address: Address,
    /// Creation code with its arguments.
    pub(super) creation: Bytes,
    /// The exact code at `address`, immutables filled in.
    pub(super) code: Bytes,
}

impl Artifact {
    pub(super) fn code_hash(&self) -> B256 {
        keccak256(&self.code)
    }
}

/// Creation code with encoded constructor arguments behind it.
pub(super) fn creation(json: &str, arguments: &[u8]) -> anyhow::Result<Bytes> {
    let document = document(json)?;
    Ok([&document.bytecode.object, arguments].concat().into())
}

/// The code that stays on chain, with these values in the places of the immutables (all of ours are addresses).
pub(super) fn code(json: &str, immutables: &[Address]) -> anyhow::Result<Bytes> {
    let Runtime {
        object,
        immutables: places,
    } = document(json)?.deployed_bytecode;
    ensure!(!object.is_empty(), "the contract document has no code");
    ensure!(
        places.len() == immutables.len(),
        "the contract has {} immutables, {} values were given",
        places.len(),
        immutables.len()
    );
    let mut code = object.to_vec();
    for (places, value) in places.iter().zip(immutables) {
        for &start in places {
            let place = start.checked_add(WORD).and_then(|end| code.get_mut(start..end));
            place
                .context("an immutable lies outside the code")?
                .copy_from_slice(value.into_word().as_slice());
        }
    }
    Ok(code.into())
}

fn document(json: &str) -> anyhow::Result<Document> {
    serde_json::from_str(json).context("reading a committed contract")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain::bindings::{MANAGER_JSON, TASK_JSON, TOKEN_JSON};

    #[test]
    fn immutables_are_filled_in_where_the_compiler_left_zeros_and_nowhere_else() {
        let (first, second) = (Address::repeat_byte(0xaa), Address::repeat_byte(0xbb));
        for json in [MANAGER_JSON, TASK_JSON] {
            let blank = code(json, &[Address::ZERO; 2]).unwrap();
            assert_eq!(blank, document(json).unwrap().deployed_bytecode.object);
            let filled = code(json, &[first, second]).unwrap();
            let changed: Vec<(u8, u8)> = blank
                .iter()
                .zip(&filled)
                .map(|(a, b)| (*a, *b))
                .filter(|(a, b)| a != b)
                .collect();
            assert!(changed.iter().all(|(before, _)| *before == 0));
            for byte in [0xaa, 0xbb] {
                let count = changed.iter().filter(|(_, after)| *after == byte).count();
                assert!(count >= 20 && count % 20 == 0, "{count} bytes of {byte:x}");
            }
        }
    }

    #[test]
    fn a_wrong_number_of_immutables_is_refused() {
        assert!(code(TOKEN_JSON, &[]).is_ok());
        assert!(code(TOKEN_JSON, &[Address::ZERO]).is_err());
        assert!(code(MANAGER_JSON, &[Address::ZERO]).is_err());
    }

    #[test]
    fn arguments_follow_the_creation_code() {
        let bare = creation(TOKEN_JSON, &[]).unwrap();
        let with = creation(TOKEN_JSON, &[7; 32]).unwrap();
        assert!(bare.len() > 1000);
        assert_eq!((&with[..bare.len()], &with[bare.len()..]), (&bare[..], &[7u8; 32][..]));
    }
}
