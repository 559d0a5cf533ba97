//! What a deployment comes to, before anything is sent: every address and every byte of code follows from factory,
//! salt, owner and token.

use alloy::{
    primitives::{Address, B256, keccak256},
    sol_types::SolValue,
};

use super::artifact::{Artifact, code, creation};
use crate::chain::bindings::{MANAGER_JSON, TASK_JSON, TOKEN_JSON};

/// The token that tasks will stake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum TokenPlan {
    /// Our test token.
    Ours(Artifact),
    Existing(Address),
}

impl TokenPlan {
    pub(super) fn address(&self) -> Address {
        match self {
            Self::Ours(artifact) => artifact.address,
            Self::Existing(address) => *address,
        }
    }
}

/// One deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) factory: Address,
    pub(super) salt: B256,
    pub(super) owner: Address,
    pub(super) token: TokenPlan,
    pub(super) manager: Artifact,
    /// Deployed by the manager's constructor; its creation code is part of the manager's.
    pub(super) implementation: Artifact,
}

impl Plan {
    pub(super) fn new(factory: Address, salt: B256, owner: Address, token: Option<Address>) -> anyhow::Result<Self> {
        let token = match token {
            Some(address) => TokenPlan::Existing(address),
            None => {
                let creation = creation(TOKEN_JSON, &owner.abi_encode())?;
                TokenPlan::Ours(Artifact {
                    name: "FlockToken",
                    address: factory.create2(salt, keccak256(&creation)),
                    creation,
                    code: code(TOKEN_JSON, &[])?,
                })
            }
        };
        // The owner is part of what the address is made of: whoever sends this, nobody else can own the manager there.
        let creation = creation(MANAGER_JSON, &(token.address(), owner).abi_encode_params())?;
        let manager = factory.create2(salt, keccak256(&creation));
        // A contract's own first creation has nonce 1 (EIP-161).
        let implementation = manager.create(1);
        Ok(Self {
            factory,
            salt,
            owner,
            manager: Artifact {
                name: "FlockTaskManager",
                address: manager,
                creation,
                code: code(MANAGER_JSON, &[token.address(), implementation])?,
            },
            implementation: Artifact {
                name: "FlockTask",
                address: implementation,
                creation: Default::default(),
                code: code(TASK_JSON, &[token.address(), manager])?,
            },
            token,
        })
    }

    /// What the factory has to make, in this order.
    pub(super) fn made(&self) -> impl Iterator<Item = &Artifact> {
        let token = match &self.token {
            TokenPlan::Ours(artifact) => Some(artifact),
            TokenPlan::Existing(_) => None,
        };
        token.into_iter().chain([&self.manager])
    }
}

/// 0x and 64 hex digits, or a small number.
pub(super) fn parse_salt(text: &str) -> Result<B256, String> {
    if let Ok(number) = text.parse::<u64>() {
        return Ok(B256::left_padding_from(&number.to_be_bytes()));
    }
    text.parse()
        .map_err(|_| "expected a number, or 0x and 64 hex digits".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(factory: u8, salt: u8, owner: u8, token: Option<u8>) -> Plan {
        let address = Address::repeat_byte;
        Plan::new(
            address(factory),
            B256::repeat_byte(salt),
            address(owner),
            token.map(address),
        )
        .unwrap()
    }

    #[test]
    fn addresses_follow_from_factory_salt_owner_and_token_and_from_nothing_else() {
        let one = plan(1, 2, 3, Some(4));
        assert_eq!(one, plan(1, 2, 3, Some(4)));
        let others = [
            plan(9, 2, 3, Some(4)),
            plan(1, 9, 3, Some(4)),
            plan(1, 2, 9, Some(4)),
            plan(1, 2, 3, Some(9)),
            plan(1, 2, 3, None),
        ];
        for other in others {
            assert_ne!(one.manager.address, other.manager.address);
            assert_ne!(one.implementation.address, other.implementation.address);
        }
    }

    #[test]
    fn salts_are_numbers_or_whole_words() {
        assert_eq!(parse_salt("0"), Ok(B256::ZERO));
        assert_eq!(parse_salt("258").unwrap()[30..], [1, 2]);
        let word = B256::repeat_byte(0x5a);
        assert_eq!(parse_salt(&word.to_string()), Ok(word));
        for bad in ["", "-1", "0x12", "hello"] {
            assert!(parse_salt(bad).is_err(), "{bad:?}");
        }
    }
}
