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
        ("/preprocessing/mean", json!("-1000000001"), "range"),
        ("/seed", json!(1u64 << 53), "range"),
        ("/seed", json!(1.5), "syntax"),
        ("/split/testPercent", json!(0), "range"),
        ("/split/testPercent", json!(91), "range"),
        ("/aggregation/rule", json!("mean/v2"), "syntax"),
        ("/evaluation/epsilon", json!("1.01"), "range"),
        ("/evaluation/epsilon", json!("-0.1"), "range"),
        ("/evaluation/direction", json!("lowerIsBetter"), "range"),
        ("/architecture/mlp/outputs", json!(0), "architecture"),
        ("/architecture/mlp/outputs", json!(1), "fit"),
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

/// The example as a table: two columns of numbers and one of three categories.
fn table() -> Value {
    let mut document = example();
    document.as_object_mut().unwrap().remove("preprocessing");
    document["architecture"] = json!({"mlp": {"inputs": 5, "hidden": [8], "outputs": 2}});
    document["data"] = json!({"table": {
        "columns": [
            {"name": "age", "role": {"number": {"missing": "mean", "scaling": {"fitted": {}}}}},
            {"name": "dose", "role": {"number": {"missing": "reject", "scaling": {"fixed": {"mean": "1", "std": "2"}}}}},
            {"name": "site", "role": {"category": {
                "categories": ["a", "b", "c"], "missing": "noCategory", "unknown": "reject"
            }}}
        ],
        "label": {"name": "ill", "kind": {"class": {"classes": ["no", "yes"], "minRecords": 5}}},
        "maxRejectedPercent": 5
    }});
    document
}

fn parse(document: &Value) -> Result<Definition, DefinitionError> {
    Definition::parse(document.to_string().as_bytes())
}

#[test]
fn a_key_that_is_not_used_is_absent_and_neither_null_nor_false_stands_for_it() {
    let mut document = example();
    let plain = parse(&document).unwrap();
    for key in [
        "steps",
        "loss",
        "schedule",
        "warmUpSteps",
        "roundDecay",
        "clipNorm",
        "precision",
        "earlyStop",
        "privacy",
    ] {
        document["training"][key] = Value::Null;
        assert_eq!(parse(&document).unwrap_err().category(), "syntax", "{key}");
        document["training"].as_object_mut().unwrap().remove(key);
    }
    for key in ["data", "preprocessing", "weights"] {
        let before = document[key].clone();
        document[key] = Value::Null;
        assert_eq!(parse(&document).unwrap_err().category(), "syntax", "{key}");
        document[key] = before;
        if document[key].is_null() {
            document.as_object_mut().unwrap().remove(key);
        }
    }
    document["training"]["optimizer"]["sgd"]["nesterov"] = json!(false);
    assert_eq!(parse(&document).unwrap_err().category(), "syntax");
    document["training"]["optimizer"]["sgd"]["nesterov"] = json!(true);
    assert_ne!(parse(&document).unwrap().hash(), plain.hash());
}

#[test]
fn everything_there_is_to_training_comes_back_as_it_was_written() {
    let mut document = table();
    let settings = json!({"learningRate": "0.001", "beta1": "0.9", "beta2": "0.999", "epsilon": "0.00000001", "weightDecay": "0.01"});
    document["training"] = json!({
        "optimizer": {"adamW": settings}, "batchSize": 32, "epochs": 5, "loss": "crossEntropy",
        "schedule": {"cosine": {"finalFactor": "0.1"}}, "warmUpSteps": 10, "roundDecay": "0.99", "clipNorm": "1",
        "precision": "bf16", "earlyStop": {"patience": 2, "minImprovement": "0.001"}
    });
    let definition = parse(&document).unwrap();
    let written: Value = serde_json::from_str(definition.canonical()).unwrap();
    assert_eq!(written, document);
    let bad = [
        ("/training/optimizer/adamW/beta2", json!("1"), "range"),
        ("/training/optimizer/adamW/epsilon", json!("0"), "range"),
        ("/training/schedule/cosine/finalFactor", json!("1.1"), "range"),
        ("/training/warmUpSteps", json!(0), "range"),
        ("/training/roundDecay", json!("0"), "range"),
        ("/training/clipNorm", json!("0"), "range"),
        ("/training/precision", json!("f16"), "syntax"),
        ("/training/earlyStop/patience", json!(0), "range"),
        ("/training/loss", json!("hinge"), "syntax"),
    ];
    for (pointer, value, category) in bad {
        let mut document = document.clone();
        *document.pointer_mut(pointer).unwrap() = value;
        assert_eq!(parse(&document).unwrap_err().category(), category, "{pointer}");
    }
}

#[test]
fn a_round_has_a_length_in_epochs_or_in_steps() {
    let mut document = example();
    document["training"]["steps"] = json!(100);
    assert!(
        parse(&document)
            .unwrap_err()
            .to_string()
            .contains("both epochs and steps")
    );
    document["training"].as_object_mut().unwrap().remove("epochs");
    assert!(parse(&document).is_ok());
    document["training"]["earlyStop"] = json!({"patience": 1, "minImprovement": "0"});
    assert_eq!(parse(&document).unwrap_err().category(), "fit");
    document["training"].as_object_mut().unwrap().remove("earlyStop");
    document["training"].as_object_mut().unwrap().remove("steps");
    assert!(
        parse(&document)
            .unwrap_err()
            .to_string()
            .contains("neither epochs nor steps")
    );
}

#[test]
fn what_cannot_be_run_is_refused_in_words() {
    let cases: [(&str, Value, &str); 11] = [
        (
            "/architecture/mlp/inputs",
            json!(4),
            "the table's columns make 5 inputs",
        ),
        (
            "/architecture/mlp/outputs",
            json!(3),
            "crossEntropy does not fit 2 classes and 3 outputs",
        ),
        (
            "/training/loss",
            json!("binaryCrossEntropy"),
            "does not fit 2 classes and 2 outputs",
        ),
        (
            "/training/loss",
            json!("meanSquaredError"),
            "does not fit 2 classes and 2 outputs",
        ),
        (
            "/evaluation/metric",
            json!("rmse"),
            "rmse is for a label that is a number",
        ),
        (
            "/preprocessing",
            json!({"mean": "0", "std": "1"}),
            "preprocessing is of pixels",
        ),
        ("/data/table/columns/1/name", json!("age"), "\"age\" twice"),
        ("/data/table/label/name", json!("age"), "\"age\" twice"),
        ("/data/table/label/kind/class/classes", json!(["no"]), "1 names"),
        (
            "/data/table/columns/0/role/number/scaling",
            json!({"none": {}}),
            "no mean that could stand",
        ),
        (
            "/architecture",
            json!({"cnn": {"channels": 1, "height": 1, "width": 5, "filters": [2], "hidden": 2, "outputs": 2}}),
            "cannot be halved",
        ),
    ];
    assert!(parse(&table()).is_ok());
    for (pointer, value, part) in cases {
        let mut document = table();
        document["training"]["loss"] = json!("crossEntropy");
        document["preprocessing"] = Value::Null;
        if pointer == "/evaluation/metric" {
            document["evaluation"]["direction"] = json!("lowerIsBetter");
        }
        *document.pointer_mut(pointer).unwrap() = value;
        if document["preprocessing"].is_null() {
            document.as_object_mut().unwrap().remove("preprocessing");
        }
        let error = parse(&document).unwrap_err().to_string();
        assert!(error.contains(part), "{pointer}: {error}");
    }
    let mut f1_of_ten = example();
    f1_of_ten["evaluation"]["metric"] = json!("f1");
    assert!(parse(&f1_of_ten).unwrap_err().to_string().contains("macroF1"));
    let mut without = example();
    without.as_object_mut().unwrap().remove("preprocessing");
    assert!(parse(&without).unwrap_err().to_string().contains("preprocessing"));
}

#[test]
fn one_output_for_two_classes_and_one_for_a_number_are_fine() {
    let mut binary = table();
    binary["architecture"] = json!({"logistic": {"inputs": 5, "outputs": 1}});
    binary["training"]["loss"] = json!("binaryCrossEntropy");
    binary["evaluation"] = json!({"metric": "auroc", "direction": "higherIsBetter", "epsilon": "0.05"});
    assert_eq!(parse(&binary).unwrap().classes(), Some(2));
    let mut regression = table();
    regression["architecture"] = json!({"logistic": {"inputs": 5, "outputs": 1}});
    regression["training"]["loss"] = json!("meanSquaredError");
    regression["data"]["table"]["label"]["kind"] = json!({"number": {"mean": "2.07", "std": "1.15"}});
    regression["evaluation"] = json!({"metric": "rmse", "direction": "lowerIsBetter", "epsilon": "0.05"});
    assert_eq!(parse(&regression).unwrap().classes(), None);
}

#[test]
fn a_module_lists_what_is_trained_and_names_its_own_start() {
    let mut document = example();
    let initial = "ab".repeat(32);
    document["architecture"] = json!({"torchscript": {
        "module": "cd".repeat(32), "moduleBytes": 100_000, "initialModel": initial, "inputShape": [1, 28, 28],
        "outputs": 10, "tensors": [{"name": "head.weight", "shape": [10, 784], "dtype": "F32"}]
    }});
    let definition = parse(&document).unwrap();
    assert_eq!(definition.architecture.tensors()[0].shape, [10, 784]);
    assert_eq!(crate::genesis::hash(&definition).unwrap().to_string(), initial);
    assert!(crate::genesis::write(&definition, std::io::sink()).is_err());
    document["training"]["precision"] = json!("bf16");
    assert_eq!(parse(&document).unwrap_err().category(), "fit");
    document["training"].as_object_mut().unwrap().remove("precision");
    let tensor = document["architecture"]["torchscript"]["tensors"][0].clone();
    document["architecture"]["torchscript"]["tensors"] = json!([tensor, tensor]);
    assert!(parse(&document).unwrap_err().to_string().contains("listed twice"));
}

#[test]
fn privacy_refuses_what_it_could_not_account_for() {
    let mut document = table();
    document["training"]["privacy"] = json!({"clipNorm": "1", "noiseMultiplier": "1.1", "delta": "0.00001"});
    let error = parse(&document).unwrap_err().to_string();
    assert!(
        error.contains("column \"age\" is scaled by what its values are"),
        "{error}"
    );
    document["data"]["table"]["columns"][0]["role"]["number"]["scaling"] =
        json!({"fixed": {"mean": "40", "std": "20"}});
    assert!(parse(&document).is_ok());
    for (key, value) in [
        ("clipNorm", json!("1")),
        ("earlyStop", json!({"patience": 1, "minImprovement": "0"})),
    ] {
        let mut document = document.clone();
        document["training"][key] = value;
        assert_eq!(parse(&document).unwrap_err().category(), "fit", "{key}");
    }
    for (key, value) in [
        ("noiseMultiplier", "0.05"),
        ("delta", "0"),
        ("delta", "0.1"),
        ("clipNorm", "0"),
    ] {
        let mut document = document.clone();
        document["training"]["privacy"][key] = json!(value);
        assert_eq!(parse(&document).unwrap_err().category(), "range", "{key}");
    }
}
