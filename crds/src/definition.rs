//! The training definition inside an FLTask: kept byte-exact in value, typed in the schema.
//!
//! In Rust it is the JSON value as the API server gave it, because its hash is on chain and a typed detour could drop
//! or normalise something. `protocol::definition` parses it strictly. The schema names every field, for `kubectl
//! explain` and early refusal, but prunes nothing: an unknown field must end in a wrong hash that is said, not vanish.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

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
        let integer = |min: i64, max: i64, what: &str| json!({ "type": "integer", "format": "int64", "minimum": min, "maximum": max, "description": what });
        let count = |what: &str| integer(1, 1_000_000, what);
        // Decimal strings: floats have no one spelling, so they have no hash.
        let decimal = |what: &str| {
            json!({
                "type": "string", "maxLength": 32, "pattern": "^-?[0-9]{1,12}(\\.[0-9]{1,18})?$",
                "description": format!("{what} A decimal string.")
            })
        };
        let mlp = object(json!({
            "inputs": count("Pixels of a record."),
            "hidden": {
                "type": "array", "maxItems": 16, "items": count("Width of a hidden layer."),
                "description": "Widths of the hidden layers."
            },
            "outputs": count("Classes.")
        }));
        let cnn = object(json!({
            "channels": count("Channels of an image."), "height": count("Pixels."), "width": count("Pixels."),
            "filters": {
                "type": "array", "minItems": 1, "maxItems": 8, "items": count("Filters of a layer."),
                "description": "Filters of each layer: convolution 3x3 with same padding, relu, max-pool 2."
            },
            "hidden": count("Width of the layer before the last."), "outputs": count("Classes.")
        }));
        let sgd = object(json!({
            "learningRate": decimal("Above 0, at most 1000."),
            "momentum": decimal("0 to below 1."),
            "weightDecay": decimal("0 to 1.")
        }));
        let mut document = object(json!({
            "schemaVersion": integer(1, 1, "Version of this schema."),
            "architecture": one_of(json!({ "mlp": mlp, "cnn": cnn }), "Exactly one of its keys."),
            "training": object(json!({
                "optimizer": one_of(json!({ "sgd": sgd }), "Exactly one of its keys."),
                "batchSize": integer(1, 65_536, "Records of one step."),
                "epochs": integer(1, 10_000, "Passes over the training split per round.")
            })),
            "preprocessing": object(json!({
                "mean": decimal("A pixel p becomes (p / 255 - mean) / std."),
                "std": decimal("Above 0.")
            })),
            "seed": integer(0, MAX_INTEGER, "Seed of the genesis model and of every shuffle."),
            "split": object(json!({
                "testPercent": integer(1, 90, "Share of each participant's records that is for testing.")
            })),
            "aggregation": aggregation(&integer, &decimal),
            "evaluation": object(json!({
                "metric": { "type": "string", "enum": ["accuracy", "loss"], "description": "Measured on each voter's test split." },
                "direction": {
                    "type": "string", "enum": ["higherIsBetter", "lowerIsBetter"],
                    "description": "The metric's own direction, written out."
                },
                "epsilon": decimal("Relative loss of the metric that a vote still tolerates, 0 to 1.")
            })),
            "maxModelBytes": integer(1, MAX_INTEGER, "Largest valid contribution.")
        }));
        document["description"] = json!(
            "The training definition; its SHA-256 in RFC 8785 form is on chain. All keys are required, \
             there are no defaults and no floats."
        );
        Schema::try_from(document).unwrap_or_else(|_| json_schema!({ "type": "object" }))
    }
}

fn aggregation(integer: &dyn Fn(i64, i64, &str) -> Value, decimal: &dyn Fn(&str) -> Value) -> Value {
    let mut schema = object(json!({
        "rule": {
            "type": "string", "maxLength": 64, "pattern": "^[a-z][a-zA-Z0-9-]*/v[0-9]+$",
            "description": "mean/v1, median/v1, trimmedMean/v1, krum/v1, multiKrum/v1 or clippedMean/v1: another arithmetic is another rule."
        },
        "weighted": {
            "type": "boolean",
            "description": "Weigh contributions by declared sample counts, clamped; mean/v1 and clippedMean/v1 only. A declared weight is free to inflate."
        }
    }));
    for (name, option) in [
        (
            "trim",
            integer(
                1,
                24,
                "trimmedMean/v1 only, and needed there: so many of the smallest and of the largest values of each parameter are dropped.",
            ),
        ),
        (
            "byzantine",
            integer(
                1,
                23,
                "krum/v1 and multiKrum/v1 only, and needed there: how many contributions may be anything. With less than 2 * byzantine + 3 of them the coordinate median is taken.",
            ),
        ),
        (
            "keep",
            integer(
                1,
                50,
                "multiKrum/v1 only: how many contributions are averaged. Absent: all but byzantine.",
            ),
        ),
        (
            "slashOutliers",
            decimal(
                "krum/v1 and multiKrum/v1 only: a contribution that is not kept costs its proposer stake if its score is above so many times the median score; 0: whatever its score. Absent: it costs nothing.",
            ),
        ),
        (
            "clipNorm",
            decimal(
                "clippedMean/v1 only, and needed there: the longest difference to the start model that counts in full. Above 0.",
            ),
        ),
        (
            "serverLearningRate",
            decimal(
                "The share of the way from the start model to the rule's result that is gone, above 0 and at most 1. Absent: all of it.",
            ),
        ),
    ] {
        schema["properties"][name] = option;
    }
    schema
}

/// An object that requires all its properties and prunes none.
fn object(properties: Value) -> Value {
    let required: Vec<&String> = properties.as_object().into_iter().flat_map(|p| p.keys()).collect();
    json!({
        "type": "object", "required": required, "properties": properties,
        "x-kubernetes-preserve-unknown-fields": true
    })
}

/// An object with exactly one key, which names the kind.
fn one_of(properties: Value, what: &str) -> Value {
    json!({
        "type": "object", "description": what, "minProperties": 1, "maxProperties": 1, "properties": properties,
        "x-kubernetes-preserve-unknown-fields": true
    })
}
