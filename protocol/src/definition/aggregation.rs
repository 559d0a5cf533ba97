//! How contributions are combined into the next model.
//!
//! What a rule does to every bit is specified in the crate `aggregation`. Here is what a definition may say about it: a
//! key that its rule does not use must be absent, not null, so that a definition means what it says and has one form.

use serde::{Deserialize, Deserializer, Serialize};

use super::{DefinitionError, count, number};
use crate::decimal::Decimal;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Aggregation {
    pub rule: Rule,
    /// Weigh by declared sample counts, clamped; false: every contribution counts the same. Only means can be weighted.
    pub weighted: bool,
    /// `trimmedMean/v1`: so many of the smallest and so many of the largest values of each parameter are dropped.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub trim: Option<u32>,
    /// `krum/v1`, `multiKrum/v1`: the number of contributions that may be anything, Krum's f.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub byzantine: Option<u32>,
    /// `multiKrum/v1`: how many contributions are averaged, Multi-Krum's m. Absent: all but `byzantine`.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub keep: Option<u32>,
    /// `krum/v1`, `multiKrum/v1`: a contribution that is not kept loses its bit in the mask, and with it a slash of its
    /// stake, if its score is above so many times the lower median of all scores. Absent: it keeps its bit.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub slash_outliers: Option<Decimal>,
    /// `clippedMean/v1`: the longest difference to the start model (Euclidean, over all parameters) that counts in full.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub clip_norm: Option<Decimal>,
    /// Any rule: the share of the way from the start model to the rule's result that is gone. Absent: all of it.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub server_learning_rate: Option<Decimal>,
}

/// Aggregation rules carry versions: another arithmetic is another rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Rule {
    #[serde(rename = "mean/v1")]
    MeanV1,
    #[serde(rename = "median/v1")]
    MedianV1,
    #[serde(rename = "trimmedMean/v1")]
    TrimmedMeanV1,
    #[serde(rename = "krum/v1")]
    KrumV1,
    #[serde(rename = "multiKrum/v1")]
    MultiKrumV1,
    #[serde(rename = "clippedMean/v1")]
    ClippedMeanV1,
}

impl Rule {
    pub const ALL: [Self; 6] = [
        Self::MeanV1,
        Self::MedianV1,
        Self::TrimmedMeanV1,
        Self::KrumV1,
        Self::MultiKrumV1,
        Self::ClippedMeanV1,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::MeanV1 => "mean/v1",
            Self::MedianV1 => "median/v1",
            Self::TrimmedMeanV1 => "trimmedMean/v1",
            Self::KrumV1 => "krum/v1",
            Self::MultiKrumV1 => "multiKrum/v1",
            Self::ClippedMeanV1 => "clippedMean/v1",
        }
    }

    /// Whether it scores contributions by their distances and keeps the best.
    pub fn selects(self) -> bool {
        matches!(self, Self::KrumV1 | Self::MultiKrumV1)
    }
}

/// A key that is there has a value: null is not another way to leave it out.
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

impl Aggregation {
    /// A rule without any option.
    pub fn plain(rule: Rule) -> Self {
        Self {
            rule,
            weighted: false,
            trim: None,
            byzantine: None,
            keep: None,
            slash_outliers: None,
            clip_norm: None,
            server_learning_rate: None,
        }
    }

    pub(super) fn check(&self) -> Result<(), DefinitionError> {
        use Rule::{ClippedMeanV1, KrumV1, MeanV1, MultiKrumV1, TrimmedMeanV1};
        if self.weighted && !matches!(self.rule, MeanV1 | ClippedMeanV1) {
            return Err(misplaced(
                "aggregation.weighted",
                "true",
                "false with every rule but mean/v1 and clippedMean/v1",
            ));
        }
        self.needed(
            "aggregation.trim",
            self.trim,
            &[TrimmedMeanV1],
            "given with trimmedMean/v1 and with no other rule",
        )?;
        self.needed(
            "aggregation.byzantine",
            self.byzantine,
            &[KrumV1, MultiKrumV1],
            "given with krum/v1 and multiKrum/v1 and with no other rule",
        )?;
        self.needed(
            "aggregation.clipNorm",
            self.clip_norm.as_ref(),
            &[ClippedMeanV1],
            "given with clippedMean/v1 and with no other rule",
        )?;
        if self.keep.is_some() && self.rule != MultiKrumV1 {
            return Err(misplaced(
                "aggregation.keep",
                "given",
                "absent with every rule but multiKrum/v1",
            ));
        }
        if self.slash_outliers.is_some() && !self.rule.selects() {
            return Err(misplaced(
                "aggregation.slashOutliers",
                "given",
                "absent with every rule but krum/v1 and multiKrum/v1",
            ));
        }
        // At most 50 of 100 participants propose, and Krum needs 2f + 3 of them.
        for (field, value, most, expected) in [
            ("aggregation.trim", self.trim, 24, "between 1 and 24"),
            ("aggregation.byzantine", self.byzantine, 23, "between 1 and 23"),
            ("aggregation.keep", self.keep, 50, "between 1 and 50"),
        ] {
            if let Some(value) = value {
                count(field, value.into(), 1..=most, expected)?;
            }
        }
        if let Some(factor) = &self.slash_outliers {
            number("aggregation.slashOutliers", factor, "between 0 and 1000000", |x| {
                (0.0..=1e6).contains(&x)
            })?;
        }
        if let Some(norm) = &self.clip_norm {
            number("aggregation.clipNorm", norm, "above 0 and at most 1000000000000", |x| {
                x > 0.0 && x <= 1e12
            })?;
        }
        // Never above 1: then the next model lies between two finite ones and is finite.
        if let Some(rate) = &self.server_learning_rate {
            number("aggregation.serverLearningRate", rate, "above 0 and at most 1", |x| {
                x > 0.0 && x <= 1.0
            })?;
        }
        Ok(())
    }

    fn needed<T>(
        &self,
        field: &'static str,
        value: Option<T>,
        by: &[Rule],
        expected: &'static str,
    ) -> Result<(), DefinitionError> {
        match (value.is_some(), by.contains(&self.rule)) {
            (true, false) => Err(misplaced(field, "given", expected)),
            (false, true) => Err(misplaced(field, "absent", expected)),
            _ => Ok(()),
        }
    }
}

fn misplaced(field: &'static str, value: &str, expected: &'static str) -> DefinitionError {
    DefinitionError::Range {
        field,
        value: value.to_owned(),
        expected,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::definition::Definition;

    fn with(aggregation: Value) -> Result<Definition, DefinitionError> {
        let mut document: Value = serde_json::from_str(include_str!("example.json")).unwrap();
        document["aggregation"] = aggregation;
        Definition::parse(document.to_string().as_bytes())
    }

    #[test]
    fn every_rule_is_written_as_it_is_named() {
        for rule in Rule::ALL {
            assert_eq!(serde_json::to_value(rule).unwrap(), json!(rule.as_str()));
        }
    }

    #[test]
    fn options_that_are_not_used_leave_no_trace_in_the_canonical_form() {
        for (aggregation, canonical) in [
            (
                json!({"rule": "mean/v1", "weighted": true}),
                r#""aggregation":{"rule":"mean/v1","weighted":true}"#,
            ),
            (
                json!({"rule": "trimmedMean/v1", "weighted": false, "trim": 2}),
                r#""aggregation":{"rule":"trimmedMean/v1","trim":2,"weighted":false}"#,
            ),
            (
                json!({"weighted": false, "rule": "multiKrum/v1", "slashOutliers": "2.5", "byzantine": 1, "keep": 3}),
                r#""aggregation":{"byzantine":1,"keep":3,"rule":"multiKrum/v1","slashOutliers":"2.5","weighted":false}"#,
            ),
            (
                json!({"rule": "clippedMean/v1", "weighted": true, "clipNorm": "1.5", "serverLearningRate": "0.5"}),
                r#""aggregation":{"clipNorm":"1.5","rule":"clippedMean/v1","serverLearningRate":"0.5","weighted":true}"#,
            ),
        ] {
            let definition = with(aggregation).unwrap();
            assert!(definition.canonical().contains(canonical), "{}", definition.canonical());
            let again = Definition::parse_expecting(definition.canonical().as_bytes(), definition.hash()).unwrap();
            assert_eq!(again, definition);
        }
    }

    #[test]
    fn an_option_is_there_where_its_rule_uses_it_and_nowhere_else() {
        let wrong = [
            (json!({"rule": "trimmedMean/v1", "weighted": false}), "trim is absent"),
            (
                json!({"rule": "mean/v1", "weighted": false, "trim": 1}),
                "trim is given",
            ),
            (json!({"rule": "krum/v1", "weighted": false}), "byzantine is absent"),
            (
                json!({"rule": "median/v1", "weighted": false, "byzantine": 1}),
                "byzantine is given",
            ),
            (
                json!({"rule": "krum/v1", "weighted": false, "byzantine": 1, "keep": 2}),
                "keep is given",
            ),
            (
                json!({"rule": "median/v1", "weighted": false, "slashOutliers": "3"}),
                "slashOutliers is given",
            ),
            (
                json!({"rule": "clippedMean/v1", "weighted": false}),
                "clipNorm is absent",
            ),
            (
                json!({"rule": "mean/v1", "weighted": false, "clipNorm": "1"}),
                "clipNorm is given",
            ),
            (json!({"rule": "median/v1", "weighted": true}), "weighted is true"),
            (
                json!({"rule": "multiKrum/v1", "weighted": true, "byzantine": 1}),
                "weighted is true",
            ),
        ];
        for (aggregation, words) in wrong {
            let error = with(aggregation.clone()).expect_err(&aggregation.to_string());
            assert_eq!(error.category(), "range", "{aggregation}: {error}");
            assert!(error.to_string().contains(words), "{aggregation}: {error}");
        }
    }

    #[test]
    fn options_have_ranges_and_are_never_null() {
        let krum = |field: &str, value: Value| {
            let mut aggregation = json!({"rule": "multiKrum/v1", "weighted": false, "byzantine": 1});
            aggregation[field] = value;
            with(aggregation)
        };
        let clipped = |field: &str, value: Value| {
            let mut aggregation = json!({"rule": "clippedMean/v1", "weighted": false, "clipNorm": "1"});
            aggregation[field] = value;
            with(aggregation)
        };
        let trimmed = |value: Value| with(json!({"rule": "trimmedMean/v1", "weighted": false, "trim": value}));
        for (definition, category) in [
            (krum("byzantine", json!(0)), "range"),
            (krum("byzantine", json!(24)), "range"),
            (krum("keep", json!(0)), "range"),
            (krum("keep", json!(51)), "range"),
            (krum("keep", Value::Null), "syntax"),
            (krum("slashOutliers", json!("-1")), "range"),
            (krum("slashOutliers", json!(true)), "syntax"),
            (krum("slashOutliers", Value::Null), "syntax"),
            (clipped("clipNorm", json!("0")), "range"),
            (clipped("clipNorm", json!(1.5)), "syntax"),
            (clipped("serverLearningRate", json!("0")), "range"),
            (clipped("serverLearningRate", json!("1.5")), "range"),
            (clipped("serverLearningRate", Value::Null), "syntax"),
            (trimmed(json!(0)), "range"),
            (trimmed(json!(25)), "range"),
            (trimmed(Value::Null), "syntax"),
        ] {
            assert_eq!(definition.unwrap_err().category(), category);
        }
        assert!(krum("slashOutliers", json!("0")).is_ok());
        assert!(krum("byzantine", json!(23)).is_ok());
        assert!(clipped("serverLearningRate", json!("1")).is_ok());
    }
}
