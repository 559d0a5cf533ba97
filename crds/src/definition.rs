//! The training definition inside an FLTask: kept byte-exact in value, typed in the schema.
//!
//! In Rust it is the JSON value as the API server gave it, because its hash is on chain and a typed detour could drop
//! or normalise something. `protocol::definition` parses it strictly. The schema names every field, for `kubectl
//! explain` and early refusal, but prunes nothing: an unknown field must end in a wrong hash that is said, not vanish.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

mod parts;

use parts::{
    aggregation, architecture, choice, data, decimal, flock_sdk, integer, object, object_with, scale, training,
};

/// The largest integer every JSON reader keeps.
const MAX_INTEGER: i64 = 9_007_199_254_740_991;

/// A training definition as written by its author.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DefinitionDocument(pub Value);

impl JsonSchema for DefinitionDocument {
    fn schema_name() -> Cow<'static, str> {
        "DefinitionDocument".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let mut document = object_with(
            json!({
                "schemaVersion": integer(1, 1, "Version of this schema."),
                "evaluation": object(json!({
                    "metric": choice(
                        &["accuracy", "loss", "auroc", "f1", "macroF1", "rmse"],
                        "Measured on each voter's test split."
                    ),
                    "direction": choice(&["higherIsBetter", "lowerIsBetter"], "The metric's own direction, written out."),
                    "epsilon": decimal("Relative loss of the metric that a vote still tolerates, 0 to 1.")
                })),
                "maxModelBytes": integer(1, MAX_INTEGER, "Largest valid contribution.")
            }),
            json!({
                "architecture": architecture(),
                "training": training(),
                "seed": integer(0, MAX_INTEGER, "Seed of the genesis model and of every shuffle."),
                "split": object(json!({
                    "testPercent": integer(1, 90, "Share of each participant's records that is for testing.")
                })),
                "aggregation": aggregation(),
                "flockSdk": flock_sdk(),
                "weights": choice(
                    &["bf16", "f16"],
                    "Element type of model files; left out: 32-bit floats. Training computes on 32-bit copies."
                ),
                "preprocessing": scale("A pixel p becomes (p / 255 - mean) / std. For images only."),
                "data": data()
            }),
        );
        document["description"] = json!(
            "The training definition; its SHA-256 in RFC 8785 form is on chain. There are no defaults and no floats: a key \
             that may be left out is a feature that is not used."
        );
        let ours = ["architecture", "training", "seed", "split", "aggregation"];
        let mut rules: Vec<Value> = ours
            .iter()
            .map(|field| {
                json!({
                    "rule": format!("has(self.flockSdk) || has(self.{field})"),
                    "fieldPath": format!(".{field}"), "reason": "FieldValueRequired",
                    "message": format!("{field} is required, unless flockSdk names a container")
                })
            })
            .collect();
        rules.push(json!({
            "rule": "!has(self.flockSdk) || (!has(self.architecture) && !has(self.training) && !has(self.seed) && \
                     !has(self.split) && !has(self.aggregation) && !has(self.preprocessing) && !has(self.data) && \
                     !has(self.weights))",
            "message": "with flockSdk there is no architecture, training, seed, split, aggregation, preprocessing, data or \
                        weights: the container has its own"
        }));
        document["x-kubernetes-validations"] = rules.into();
        Schema::try_from(document).unwrap_or_else(|_| json_schema!({ "type": "object" }))
    }
}
