//! A table from check to vote, as processes: Breast Cancer Wisconsin (hack/table.py writes the file).

mod common;

use std::fs;

use common::*;
use protocol::{
    job::{DataFormat, JobInput, Seat, Step, StepResult},
    types::{ModelHash, Score},
};
use serde_json::{Value, json};

const TABLE: &str = include_str!("data/breast-cancer.csv");

fn definition(architecture: &Value, loss: &str, metric: &str, format: impl Fn(&mut Value)) -> String {
    let header: Vec<&str> = TABLE.lines().next().unwrap().split(',').collect();
    let columns: Vec<Value> = header[..header.len() - 1]
        .iter()
        .map(|name| json!({"name": name, "role": {"number": {"missing": "reject", "scaling": {"fitted": {}}}}}))
        .collect();
    let mut document = json!({
        "schemaVersion": 1,
        "architecture": architecture,
        "training": {
            "optimizer": {"adamW": {
                "learningRate": "0.01", "beta1": "0.9", "beta2": "0.999", "epsilon": "0.00000001", "weightDecay": "0.01"
            }},
            "batchSize": 16, "epochs": 10, "loss": loss, "schedule": {"cosine": {"finalFactor": "0.1"}},
            "warmUpSteps": 5, "clipNorm": "5", "earlyStop": {"patience": 3, "minImprovement": "0.001"}
        },
        "data": {"table": {
            "columns": columns,
            "label": {"name": "diagnosis", "kind": {"class": {"classes": ["malignant", "benign"], "minRecords": 10}}},
            "maxRejectedPercent": 2
        }},
        "seed": 7, "split": {"testPercent": 25},
        "aggregation": {"rule": "mean/v1", "weighted": false},
        "evaluation": {"metric": metric, "direction": "higherIsBetter", "epsilon": "0.05"},
        "maxModelBytes": 1_048_576
    });
    format(&mut document);
    protocol::definition::Definition::parse(document.to_string().as_bytes())
        .unwrap()
        .canonical()
        .to_owned()
}

/// Deals the rows out to three participants.
fn write_rows(site: &Site, spoil: impl Fn(usize, &str) -> String) {
    let mut lines = TABLE.lines();
    let header = lines.next().unwrap();
    let mut files = vec![format!("{header}\n"); 3];
    for (i, row) in lines.enumerate() {
        files[i % 3].push_str(&format!("{}\n", spoil(i, row)));
    }
    for (number, text) in (1..).zip(files) {
        let folder = site.path(&format!("data-{number}"));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("rows.csv"), text).unwrap();
    }
}

fn input(site: &Site, step: Step, number: u8, round: u32, start: ModelHash, seats: Vec<Seat>) -> JobInput {
    JobInput {
        data_format: DataFormat::Csv,
        ..site.input(step, number, round, start, seats)
    }
}

/// Mean and standard deviation of the columns, roughly: what participants could agree on.
fn fix_scaling(document: &mut Value) {
    let rows: Vec<Vec<f64>> = TABLE
        .lines()
        .skip(1)
        .map(|row| row.split(',').map_while(|cell| cell.parse().ok()).collect())
        .collect();
    for (i, column) in document["data"]["table"]["columns"]
        .as_array_mut()
        .unwrap()
        .iter_mut()
        .enumerate()
    {
        let mean = rows.iter().map(|row| row[i]).sum::<f64>() / rows.len() as f64;
        let variance = rows.iter().map(|row| (row[i] - mean).powi(2)).sum::<f64>() / rows.len() as f64;
        column["role"]["number"]["scaling"] =
            json!({"fixed": {"mean": format!("{mean:.4}"), "std": format!("{:.6}", variance.sqrt())}});
    }
}

/// Two proposers and a voter for two rounds; the start's and the aggregate's metric of each round.
fn play(site: &Site) -> Vec<f64> {
    let mut start = site.genesis();
    let mut metrics = Vec::new();
    for round in 0..2 {
        let seats: Vec<Seat> = (1..=2)
            .map(|number| {
                let run = site.run(&input(site, Step::Train, number, round, start, vec![]));
                let StepResult::Train(result) = run.result() else {
                    panic!("a training is expected")
                };
                assert!(!result.stopped_early);
                Seat {
                    proposer: participant(number),
                    sample_count: 100,
                    contribution: Some(result.model),
                }
            })
            .collect();
        let StepResult::Vote(vote) = site.run(&input(site, Step::Vote, 3, round, start, seats)).result() else {
            panic!("a vote is expected")
        };
        assert_eq!((vote.score, vote.mask.0), (Score::For, 0b11));
        metrics.extend([vote.start_metric, vote.aggregate_metric].map(|text| text.parse::<f64>().unwrap()));
        start = vote.aggregate;
    }
    metrics
}

#[test]
fn a_check_reports_rows_classes_and_rejected_lines() {
    let mlp = json!({"mlp": {"inputs": 30, "hidden": [16], "outputs": 2}});
    let site = Site::new(definition(&mlp, "crossEntropy", "accuracy", |_| {}));
    write_rows(&site, |i, row| {
        if i == 3 {
            row.replacen(',', ",?,", 1)
        } else {
            row.to_owned()
        }
    });
    let run = site.run(&input(&site, Step::Check, 1, 0, ModelHash::ZERO, vec![]));
    let StepResult::Check(result) = run.result() else {
        panic!("a check is expected")
    };
    let data = result.data.unwrap();
    assert_eq!((data.files, data.records, data.rejected), (1, 190, 1));
    assert_eq!(data.rejections, ["rows.csv:3: 32 fields, but the header has 31"]);
    assert_eq!(
        data.classes.iter().map(|c| &*c.name).collect::<Vec<_>>(),
        ["malignant", "benign"]
    );
    assert_eq!(data.classes.iter().map(|c| c.train + c.test).sum::<u32>(), 189);
    assert_eq!(result.classes, 2);
    assert!(
        run.stdout().contains("data: rejected rows.csv:3: 32 fields"),
        "{}",
        run.stdout()
    );
}

#[test]
fn an_mlp_on_a_table_reaches_ninety_four_percent() {
    let mlp = json!({"mlp": {"inputs": 30, "hidden": [16], "outputs": 2}});
    let site = Site::new(definition(&mlp, "crossEntropy", "accuracy", |_| {}));
    write_rows(&site, |_, row| row.to_owned());
    let metrics = play(&site);
    assert!(metrics[3] >= 0.94, "{metrics:?}");
    assert!(metrics[1] > metrics[0] + 0.1, "{metrics:?}");
}

#[test]
fn a_logistic_regression_is_judged_by_auroc_and_f1() {
    let logistic = json!({"logistic": {"inputs": 30, "outputs": 1}});
    for (metric, least) in [("auroc", 0.98), ("f1", 0.94)] {
        let site = Site::new(definition(&logistic, "binaryCrossEntropy", metric, |_| {}));
        write_rows(&site, |_, row| row.to_owned());
        let metrics = play(&site);
        assert!(metrics[3] >= least, "{metric}: {metrics:?}");
    }
}

#[test]
fn a_number_is_predicted_better_round_by_round() {
    let logistic = json!({"logistic": {"inputs": 29, "outputs": 1}});
    let definition = definition(&logistic, "meanSquaredError", "rmse", |document| {
        document["data"]["table"]["columns"].as_array_mut().unwrap().remove(0);
        document["data"]["table"]["label"] =
            json!({"name": "mean_radius", "kind": {"number": {"mean": "14.1", "std": "3.5"}}});
        document["evaluation"]["direction"] = json!("lowerIsBetter");
        document["training"]["steps"] = json!(100);
        let training = document["training"].as_object_mut().unwrap();
        training.remove("epochs");
        training.remove("earlyStop");
    });
    let site = Site::new(definition);
    write_rows(&site, |_, row| row.to_owned());
    let metrics = play(&site);
    // The column's standard deviation is 3.5: what a guess at the mean would give.
    assert!(metrics[0] > 2.0 && metrics[3] < 0.8, "{metrics:?}");
    assert!(metrics[3] < metrics[1], "{metrics:?}");
}

#[test]
fn a_table_with_other_columns_ends_with_64() {
    let mlp = json!({"mlp": {"inputs": 30, "hidden": [16], "outputs": 2}});
    let site = Site::new(definition(&mlp, "crossEntropy", "accuracy", |_| {}));
    let folder = site.path("data-1");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("rows.csv"), "a,b\n1,2\n").unwrap();
    let (code, line) = site
        .run(&input(&site, Step::Check, 1, 0, ModelHash::ZERO, vec![]))
        .failure();
    assert_eq!(code, 64);
    assert!(
        line.contains("rows.csv: its header lacks 31 of the definition's columns"),
        "{line}"
    );
}

#[test]
fn a_private_training_still_learns_and_says_what_it_spent() {
    let logistic = json!({"logistic": {"inputs": 30, "outputs": 2}});
    let definition = definition(&logistic, "crossEntropy", "accuracy", |document| {
        fix_scaling(document);
        let training = document["training"].as_object_mut().unwrap();
        training.remove("clipNorm");
        training.remove("earlyStop");
        let privacy = json!({"clipNorm": "1", "noiseMultiplier": "2", "delta": "0.001"});
        training.insert("privacy".into(), privacy);
    });
    let site = Site::new(definition);
    write_rows(&site, |_, row| row.to_owned());
    let run = site.run(&input(&site, Step::Train, 1, 0, site.genesis(), vec![]));
    let StepResult::Train(result) = run.result() else {
        panic!("a training is expected")
    };
    let spent = result.privacy.unwrap();
    let epsilon: f64 = spent.epsilon.parse().unwrap();
    assert!((0.5..10.0).contains(&epsilon), "{epsilon}");
    assert_eq!(spent.delta, "0.001");
    let accuracy: f64 = result.test_metric.parse().unwrap();
    assert!(accuracy > 0.8, "{accuracy}");
    // Noise that could be repeated would hide nothing.
    let StepResult::Train(again) = site
        .run(&input(&site, Step::Train, 1, 0, site.genesis(), vec![]))
        .result()
    else {
        panic!("a training is expected")
    };
    assert_ne!(again.model, result.model);
}
