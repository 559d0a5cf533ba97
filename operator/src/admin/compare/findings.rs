//! What a comparison found.

use std::fmt::Display;

#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) differences: Vec<String>,
    /// Worth knowing, not wrong.
    pub(super) notes: Vec<String>,
    /// Values looked at: a comparison of nothing must not look like agreement.
    pub(super) checked: usize,
}

impl Findings {
    pub(super) fn differ(&mut self, what: String) {
        self.differences.push(what);
    }

    pub(super) fn note(&mut self, what: String) {
        self.notes.push(what);
    }

    /// Both must be the same.
    pub(super) fn same<T: PartialEq + Display>(&mut self, what: impl Display, said: T, on_chain: T) {
        self.checked += 1;
        if said != on_chain {
            self.differ(format!("{what}: FLRound says {said}, the chain {on_chain}"));
        }
    }

    /// Both must be there and the same, or (unless `complete`) the mirror may not have it yet.
    pub(super) fn same_if_said<T: PartialEq + Display>(
        &mut self,
        what: impl Display,
        said: Option<T>,
        on_chain: Option<T>,
        complete: bool,
    ) {
        self.checked += 1;
        match (said, on_chain) {
            (Some(said), Some(on_chain)) if said == on_chain => {}
            (Some(said), Some(on_chain)) => self.differ(format!("{what}: FLRound says {said}, the chain {on_chain}")),
            (Some(said), None) => self.differ(format!("{what}: FLRound says {said}, the chain has none")),
            (None, Some(on_chain)) if complete => {
                self.differ(format!("{what}: FLRound says nothing, the chain {on_chain}"));
            }
            (None, _) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unsaid_value_differs_only_where_everything_must_be_said() {
        let mut findings = Findings::default();
        findings.same_if_said("a", None, Some(1), false);
        findings.same_if_said("b", Some(1), Some(1), true);
        findings.same_if_said::<u8>("c", None, None, true);
        assert!(findings.differences.is_empty());
        findings.same_if_said("d", None, Some(1), true);
        findings.same_if_said("e", Some(1), None, false);
        findings.same_if_said("f", Some(1), Some(2), false);
        findings.same("g", 1, 2);
        assert_eq!(findings.differences.len(), 4);
        assert_eq!(findings.checked, 7);
    }
}
