use std::collections::BTreeMap;

use crate::{
    canonical::write_string,
    types::{Address, Round},
};

/// The `__metadata__` of a model file. None and empty are the same.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Metadata(BTreeMap<String, String>);

impl Metadata {
    /// What aggregates and the genesis model carry: their bytes must depend on nothing but the tensors.
    pub fn none() -> Self {
        Self::default()
    }

    /// What a contribution carries, so that a copied file is not a valid contribution of somebody else.
    pub fn contribution(task: Address, round: Round, proposer: Address) -> Self {
        Self::from_pairs([
            ("task", format!("{task:#x}")),
            ("round", round.to_string()),
            ("proposer", format!("{proposer:#x}")),
        ])
    }

    /// The longest contribution metadata there can be.
    pub(crate) fn widest() -> Self {
        Self::contribution(Address::ZERO, Round(u32::MAX), Address::ZERO)
    }

    fn from_pairs<const N: usize>(pairs: [(&str, String); N]) -> Self {
        Self(pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
    }

    pub(super) fn from_map(map: BTreeMap<String, String>) -> Self {
        Self(map)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// Compact JSON, keys in ascending byte order.
    pub(super) fn to_json(&self) -> String {
        let mut out = String::from("{");
        for (i, (key, value)) in self.0.iter().enumerate() {
            if i > 0 {
                out.push(',');
            }
            write_string(key, &mut out);
            out.push(':');
            write_string(value, &mut out);
        }
        out.push('}');
        out
    }
}
