use serde_json::{Value, json};

use super::*;

const EXAMPLE: &str = include_str!("example.json");

fn example() -> Value {
    serde_json::from_str(EXAMPLE).unwrap()
}

/// The example with one value replaced.
fn with(pointer: &str, value: Value) -> Result<Definition, DefinitionError> {
    let mut document = example();
    *document.pointer_mut(pointer).unwrap() = value;
    Definition::parse(document.to_string().as_bytes())
}

#[test]
fn the_canonical_form_and_hash_do_not_depend_on_how_it_was_written() {
    let definition = Definition::parse(EXAMPLE.as_bytes()).unwrap();
    assert_eq!(
        definition.canonical(),
        concat!(
            r#"{"aggregation":{"rule":"mean/v1","weighted":false},"#,
            r#""architecture":{"mlp":{"hidden":[200],"inputs":784,"outputs":10}},"#,
            r#""evaluation":{"direction":"higherIsBetter","epsilon":"0.05","metric":"accuracy"},"#,
            r#""maxModelBytes":16777216,"preprocessing":{"mean":"0.2860","std":"0.3530"},"#,
            r#""schemaVersion":1,"seed":1,"split":{"testPercent":20},"training":{"batchSize":64,"epochs":1,"#,
            r#""optimizer":{"sgd":{"learningRate":"0.05","momentum":"0.9","weightDecay":"0"}}}}"#
        )
    );
    assert_eq!(
        definition.hash().to_string(),
        hex::encode(Sha256::digest(definition.canonical()))
    );
    let again = Definition::parse_expecting(definition.canonical().as_bytes(), definition.hash()).unwrap();
    assert_eq!(again, definition);
    let through_serde: Definition = serde_json::from_value(serde_json::to_value(&definition).unwrap()).unwrap();
    assert_eq!(through_serde, definition);
}

#[test]
fn a_definition_that_hashes_to_something_else_is_refused() {
    let error = Definition::parse_expecting(EXAMPLE.as_bytes(), DefinitionHash::ZERO).unwrap_err();
    assert_eq!(error.category(), "hash");
}

#[test]
fn missing_unknown_and_repeated_keys_are_refused_by_name() {
    for key in ["schemaVersion", "seed", "split", "maxModelBytes", "aggregation"] {
        let mut document = example();
        document.as_object_mut().unwrap().remove(key);
        let error = Definition::parse(document.to_string().as_bytes()).unwrap_err();
        assert!(error.to_string().contains(key), "{error}");
    }
    let mut document = example();
    document["training"]["warmup"] = json!(1);
    assert!(
        Definition::parse(document.to_string().as_bytes())
            .unwrap_err()
            .to_string()
            .contains("warmup")
    );
    let twice = EXAMPLE.replacen("\"seed\": 1,", "\"seed\": 1, \"seed\": 2,", 1);
    assert!(
        Definition::parse(twice.as_bytes())
            .unwrap_err()
            .to_string()
            .contains("seed")
    );
    assert!(
        with("/architecture", json!({"transformer": {}}))
            .unwrap_err()
            .to_string()
            .contains("transformer")
    );
}

#[test]
fn every_range_is_checked() {
    let cases = [
        ("/schemaVersion", json!(2), "version"),
        ("/training/optimizer/sgd/learningRate", json!("0"), "range"),
        ("/training/optimizer/sgd/learningRate", json!("1001"), "range"),
        ("/training/optimizer/sgd/momentum", json!("1"), "range"),
        ("/training/optimizer/sgd/weightDecay", json!("1.1"), "range"),
        ("/training/optimizer/sgd/weightDecay", json!(0), "syntax"),
        ("/training/batchSize", json!(0), "range"),
        ("/training/epochs", json!(0), "range"),
        ("/training/epochs", json!(-1), "syntax"),
        ("/preprocessing/std", json!("0"), "range"),
        ("/preprocessing/mean", json!("-1000001"), "range"),
        ("/seed", json!(1u64 << 53), "range"),
        ("/seed", json!(1.5), "syntax"),
        ("/split/testPercent", json!(0), "range"),
        ("/split/testPercent", json!(91), "range"),
        ("/aggregation/rule", json!("mean/v2"), "syntax"),
        ("/evaluation/epsilon", json!("1.01"), "range"),
        ("/evaluation/epsilon", json!("-0.1"), "range"),
        ("/evaluation/direction", json!("lowerIsBetter"), "range"),
        ("/architecture/mlp/outputs", json!(1), "architecture"),
        ("/maxModelBytes", json!(600_000), "model-too-large"),
    ];
    for (pointer, value, category) in cases {
        let error = with(pointer, value.clone()).expect_err(&format!("{pointer} = {value}"));
        assert_eq!(error.category(), category, "{pointer} = {value}: {error}");
    }
    assert!(with("/split/testPercent", json!(90)).is_ok());
    assert!(with("/preprocessing/mean", json!("-0.5")).is_ok());
}

#[test]
fn a_document_that_is_too_large_is_not_parsed() {
    let padded = format!("{EXAMPLE}{}", " ".repeat(MAX_DEFINITION_BYTES));
    assert_eq!(
        Definition::parse(padded.as_bytes()).unwrap_err().category(),
        "too-large"
    );
}
