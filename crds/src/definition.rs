//! The training definition inside an FLTask: kept byte-exact in value, typed in the schema.
//!
//! In Rust it is the JSON value as the API server gave it, because its hash is on chain and a typed detour could drop
//! or normalise something. `protocol::definition` parses it strictly. The schema names every field, for `kubectl
//! explain` and early refusal, but prunes nothing: an unknown field must end in a wrong hash that is said, not vanish.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

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
        let count = json!({ "type": "integer", "format": "int64", "minimum": 1, "maximum": 1_000_000 });
        // Decimal strings: floats have no one spelling, so they have no hash.
        let decimal = json!({ "type": "string", "maxLength": 32, "pattern": "^-?[0-9]{1,12}(\\.[0-9]{1,18})?$" });
        let mlp = object(json!({
            "inputs": count,
            "hidden": { "type": "array", "maxItems": 16, "items": count },
            "outputs": count
        }));
        let cnn = object(json!({
            "channels": count, "height": count, "width": count,
            "filters": { "type": "array", "minItems": 1, "maxItems": 8, "items": count },
            "hidden": count, "outputs": count
        }));
        let sgd = object(json!({ "learningRate": decimal, "momentum": decimal, "weightDecay": decimal }));
        let mut document = object(json!({
            "schemaVersion": { "type": "integer", "format": "int64", "minimum": 1, "maximum": 1 },
            "architecture": one_of(json!({ "mlp": mlp, "cnn": cnn })),
            "training": object(json!({
                "optimizer": one_of(json!({ "sgd": sgd })),
                "batchSize": count,
                "epochs": count
            })),
            "preprocessing": object(json!({ "mean": decimal, "std": decimal })),
            "seed": { "type": "integer", "format": "int64", "minimum": 0, "maximum": 9_007_199_254_740_991_i64 },
            "split": object(json!({
                "testPercent": { "type": "integer", "format": "int64", "minimum": 1, "maximum": 99 }
            })),
            "aggregation": object(json!({
                "rule": { "type": "string", "maxLength": 64, "pattern": "^[a-z][a-zA-Z0-9-]*/v[0-9]+$" },
                "weighted": { "type": "boolean" }
            })),
            "evaluation": object(json!({
                "metric": { "type": "string", "enum": ["accuracy", "loss"] },
                "direction": { "type": "string", "enum": ["higherIsBetter", "lowerIsBetter"] },
                "epsilon": decimal
            })),
            "maxModelBytes": {
                "type": "integer", "format": "int64", "minimum": 1, "maximum": 9_007_199_254_740_991_i64
            }
        }));
        document["description"] = json!(
            "The training definition; its SHA-256 in RFC 8785 form is on chain. All keys are required, \
             there are no defaults and no floats."
        );
        Schema::try_from(document).unwrap_or_else(|_| json_schema!({ "type": "object" }))
    }
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
fn one_of(properties: Value) -> Value {
    json!({
        "type": "object", "minProperties": 1, "maxProperties": 1, "properties": properties,
        "x-kubernetes-preserve-unknown-fields": true
    })
}
