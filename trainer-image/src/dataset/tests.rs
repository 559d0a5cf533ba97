use std::{fs, path::Path};

use protocol::{definition::Definition, job::DataFormat, types::Address};
use serde_json::{Value, json};

use super::*;

/// Two numbers and a colour; classes a and b.
fn definition(change: impl FnOnce(&mut Value)) -> Definition {
    let number = |missing: &str, scaling: Value| json!({"number": {"missing": missing, "scaling": scaling}});
    let mut document = json!({
        "schemaVersion": 1,
        "architecture": {"logistic": {"inputs": 4, "outputs": 2}},
        "training": {
            "optimizer": {"sgd": {"learningRate": "0.1", "momentum": "0", "weightDecay": "0"}},
            "batchSize": 4, "epochs": 1
        },
        "data": {"table": {
            "columns": [
                {"name": "size", "role": number("mean", json!({"fitted": {}}))},
                {"name": "count", "role": number("reject", json!({"fixed": {"mean": "1", "std": "2"}}))},
                {"name": "colour", "role": {"category": {
                    "categories": ["red", "blue"], "missing": "noCategory", "unknown": "reject"
                }}}
            ],
            "label": {"name": "kind", "kind": {"class": {"classes": ["a", "b"], "minRecords": 0}}},
            "maxRejectedPercent": 60
        }},
        "seed": 1, "split": {"testPercent": 50},
        "aggregation": {"rule": "mean/v1", "weighted": false},
        "evaluation": {"metric": "accuracy", "direction": "higherIsBetter", "epsilon": "0.05"},
        "maxModelBytes": 4096
    });
    change(&mut document);
    Definition::parse(document.to_string().as_bytes()).unwrap()
}

fn read(folder: &Path, format: DataFormat, definition: &Definition) -> Result<Dataset, DataError> {
    Dataset::read(folder, &format, definition, Address::repeat_byte(1))
}

fn csv(text: &str, definition: &Definition) -> Result<Dataset, DataError> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("rows.csv"), text).unwrap();
    read(folder.path(), DataFormat::Csv, definition)
}

const HEADER: &str = "kind,size,count,colour,note\n";

/// `count` rows, each another.
fn rows(count: u32) -> String {
    (0..count)
        .map(|i| {
            format!(
                "{},{}.5,{i},{},x\n",
                ["a", "b"][i as usize % 2],
                i * 3,
                ["red", "blue", ""][i as usize % 3]
            )
        })
        .collect()
}

fn numbers(data: &Dataset) -> &[f32] {
    match &data.features {
        Features::Numbers(numbers) => numbers,
        Features::Pixels(_) => panic!("numbers are expected"),
    }
}

#[test]
fn columns_are_found_by_name_and_become_inputs_in_the_definitions_order() {
    let data = csv(&format!("{HEADER}{}", rows(40)), &definition(|_| {})).unwrap();
    assert_eq!((data.inputs, data.train.len() + data.test.len()), (4, 40));
    let row = |i: usize| &numbers(&data)[4 * i..4 * i + 4];
    assert_eq!(row(3)[1..], [1.0, 1.0, 0.0], "(3 - 1) / 2, red");
    assert_eq!(row(4)[1..], [1.5, 0.0, 1.0], "blue");
    assert_eq!(row(5)[1..], [2.0, 0.0, 0.0], "no colour");
    let Labels::Classes(labels) = &data.labels else {
        panic!("classes are expected")
    };
    assert_eq!(labels[..4], [0, 1, 0, 1]);
    assert_eq!(
        data.report.classes.iter().map(|c| &*c.name).collect::<Vec<_>>(),
        ["a", "b"]
    );
    assert_eq!(
        (data.report.records, data.report.rejected, data.report.files),
        (40, 0, 1)
    );
}

#[test]
fn scaling_is_fitted_on_the_training_split_alone() {
    let data = csv(&format!("{HEADER}{}", rows(60)), &definition(|_| {})).unwrap();
    let of = |records: &[i64]| {
        let values: Vec<f64> = records
            .iter()
            .map(|&r| f64::from(numbers(&data)[4 * r as usize]))
            .collect();
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / values.len() as f64;
        (mean, variance.sqrt())
    };
    let (mean, std) = of(&data.train);
    assert!(mean.abs() < 1e-6 && (std - 1.0).abs() < 1e-6, "{mean} {std}");
    let (mean, std) = of(&data.test);
    assert!(mean.abs() > 1e-3 && (std - 1.0).abs() > 1e-3, "{mean} {std}");
}

#[test]
fn what_is_missing_or_wrong_is_treated_as_the_definition_says_and_named_by_line() {
    let bad = "a,NaN,1,red,x\n\
               a,,2,blue,x\n\
               a,1,,red,x\n\
               a,1,many,red,x\n\
               a,1,3,green,x\n\
               c,1,3,red,x\n\
               ,1,3,red,x\n\
               a,inf,3,red,x\n\
               a,1,3\n";
    let data = csv(&format!("{HEADER}{bad}{}", rows(40)), &definition(|_| {})).unwrap();
    assert_eq!((data.report.records, data.report.rejected), (49, 7));
    // The two rows without a size are there, at the mean.
    assert_eq!((numbers(&data)[0], numbers(&data)[4]), (0.0, 0.0));
    assert_eq!(
        data.rejections,
        [
            r#"rows.csv:4: column "count" is empty"#,
            r#"rows.csv:5: column "count" has "many", which is no number"#,
            r#"rows.csv:6: column "colour" has "green", which is no category of it"#,
            r#"rows.csv:7: label "kind" has "c", which is no class of it"#,
            r#"rows.csv:8: label "kind" is empty"#,
            r#"rows.csv:9: column "size" has "inf", which is no number"#,
            "rows.csv:10: 3 fields, but the header has 5",
        ]
    );
    assert_eq!(data.report.rejections, data.rejections[..5]);
}

#[test]
fn too_many_rejected_rows_refuse_the_data_and_name_the_first() {
    let strict = definition(|d| d["data"]["table"]["maxRejectedPercent"] = json!(4));
    let text = format!("{HEADER}{}a,1,x,red,\n", rows(20));
    let error = csv(&text, &strict).unwrap_err();
    assert_eq!(error.category(), "rejected");
    assert!(error.to_string().contains("1 of 21 rows are rejected"), "{error}");
    assert!(
        error.to_string().contains(r#"rows.csv:22: column "count" has "x""#),
        "{error}"
    );
    let lenient = definition(|d| d["data"]["table"]["maxRejectedPercent"] = json!(5));
    assert!(csv(&text, &lenient).is_ok());
}

#[test]
fn the_split_does_not_depend_on_the_order_of_rows_or_columns_or_on_unused_ones() {
    let definition = definition(|d| {
        let unscaled = json!({"missing": "reject", "scaling": {"none": {}}});
        d["data"]["table"]["columns"][0]["role"]["number"] = unscaled;
    });
    let tested = |data: &Dataset| {
        let mut sizes: Vec<String> = data
            .test
            .iter()
            .map(|&r| numbers(data)[4 * r as usize].to_string())
            .collect();
        sizes.sort();
        sizes
    };
    let first = csv(&format!("{HEADER}{}", rows(40)), &definition).unwrap();
    let mut reversed: Vec<String> = rows(40).lines().map(str::to_owned).collect();
    reversed.reverse();
    let turned: String = reversed
        .iter()
        .map(|row| {
            let f: Vec<&str> = row.split(',').collect();
            format!("{};{};other;{};{}\n", f[3], f[1], f[2], f[0])
        })
        .collect();
    let second = csv(&format!("colour;size;remark;count;kind\n{turned}"), &definition).unwrap();
    assert_eq!(tested(&first), tested(&second));
    assert!(!tested(&first).is_empty());
}

#[test]
fn a_header_without_a_column_and_a_folder_without_files_are_named() {
    let error = csv("kind,size\na,1\n", &definition(|_| {})).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with(r#"rows.csv: its header lacks 2 of the definition's columns: "count", "colour""#),
        "{error}"
    );
    let twice = csv("kind,size,size,count,colour\n", &definition(|_| {})).unwrap_err();
    assert!(twice.to_string().contains(r#"column "size" twice"#), "{twice}");
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(
        read(folder.path(), DataFormat::Csv, &definition(|_| {}))
            .unwrap_err()
            .category(),
        "no-files"
    );
    assert_eq!(
        read(folder.path(), DataFormat::Idx, &definition(|_| {}))
            .unwrap_err()
            .category(),
        "format"
    );
    let error = csv(HEADER, &definition(|_| {})).unwrap_err();
    assert_eq!(error.category(), "empty");
}

#[test]
fn a_class_with_too_few_records_is_named() {
    let wants = definition(|d| d["data"]["table"]["label"]["kind"]["class"]["minRecords"] = json!(30));
    let error = csv(&format!("{HEADER}{}", rows(40)), &wants).unwrap_err();
    assert_eq!(error.category(), "few-records");
    assert!(error.to_string().contains(r#"class "a" has"#), "{error}");
    let ranked = definition(|d| d["evaluation"]["metric"] = json!("auroc"));
    let error = csv(&format!("{HEADER}{}", rows(40).replace("b,", "a,")), &ranked).unwrap_err();
    assert_eq!(error.category(), "one-class");
}

#[test]
fn a_label_that_is_a_number_is_scaled() {
    let regression = definition(|d| {
        d["data"]["table"]["label"] = json!({"name": "size", "kind": {"number": {"mean": "1.5", "std": "2"}}});
        d["data"]["table"]["columns"][0]["name"] = json!("other");
        d["training"]["loss"] = json!("meanSquaredError");
        d["architecture"]["logistic"]["outputs"] = json!(1);
        d["evaluation"] = json!({"metric": "rmse", "direction": "lowerIsBetter", "epsilon": "0.05"});
    });
    let text = format!("kind,size,count,colour,note\n{}", rows(20))
        .replacen("note", "other", 1)
        .replace(",x\n", ",7\n");
    let data = csv(&text, &regression).unwrap();
    let Labels::Numbers(labels) = &data.labels else {
        panic!("numbers are expected")
    };
    assert_eq!(labels[..3], [-0.5, 1.0, 2.5]);
    assert_eq!((data.classes, data.report.classes.len()), (0, 0));
}

#[test]
fn parquet_is_read_as_the_same_rows_of_csv_would_be() {
    // python -c 'import pyarrow as pa, pyarrow.parquet as pq; pq.write_table(pa.table({"size":
    // pa.array([1.5,None,2.5,float("nan"),10.0],pa.float64()),"count":pa.array([1,2,3,4,5],pa.int32()),"colour":
    // pa.array(["red","blue",None,"red","green"]),"unused":pa.array([True,False,True,None,True]),"kind":
    // pa.array(["a","b","a","b","a"])}),"small.parquet",compression="snappy")'
    let folder = tempfile::tempdir().unwrap();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/small.parquet");
    fs::copy(source, folder.path().join("small.parquet")).unwrap();
    let definition = definition(|_| {});
    let rows = "kind,size,count,colour\na,1.5,1,red\nb,,2,blue\na,2.5,3,\nb,NaN,4,red\na,10,5,green\n";
    let text = tempfile::tempdir().unwrap();
    fs::write(text.path().join("rows.csv"), rows).unwrap();
    // Of so few records some participants would keep none for testing.
    let (found, same) = (1..20)
        .find_map(|number| {
            let who = Address::repeat_byte(number);
            let found = Dataset::read(folder.path(), &DataFormat::Parquet, &definition, who).ok()?;
            Some((
                found,
                Dataset::read(text.path(), &DataFormat::Csv, &definition, who).unwrap(),
            ))
        })
        .unwrap();
    assert_eq!(numbers(&found), numbers(&same));
    assert_eq!((&found.train, &found.test), (&same.train, &same.test));
    assert_eq!(
        found.rejections,
        [r#"small.parquet:5: column "colour" has "green", which is no category of it"#]
    );
    fs::write(folder.path().join("other.parquet"), b"PAR1 not really").unwrap();
    let error = read(folder.path(), DataFormat::Parquet, &definition).unwrap_err();
    assert!(
        error.to_string().contains("other.parquet: cannot be read as Parquet"),
        "{error}"
    );
}

fn image_definition(fit: &str, channels: u32) -> Definition {
    let inputs = 16 * channels;
    definition(|d| {
        d["data"] = json!({"images": {
            "channels": channels, "height": 4, "width": 4, "fit": fit, "classes": ["cat", "dog"], "minRecords": 0
        }});
        d["preprocessing"] = json!({"mean": "0.5", "std": "0.5"});
        d["architecture"]["logistic"]["inputs"] = json!(inputs);
    })
}

fn image(path: &Path, side: u32, shade: u8) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let colour = ::image::Rgb([shade, 0, 255]);
    ::image::RgbImage::from_pixel(side, side, colour).save(path).unwrap();
}

#[test]
fn image_folders_are_classes_and_pixels_come_channel_by_channel() {
    let folder = tempfile::tempdir().unwrap();
    for i in 0..12u8 {
        image(&folder.path().join(format!("cat/{i}.png")), 4, i);
        image(&folder.path().join(format!("dog/{i}.jpg")), 8, 100 + i);
    }
    fs::create_dir(folder.path().join("lost+found")).unwrap();
    let data = read(folder.path(), DataFormat::ImageFolder, &image_definition("scale", 3)).unwrap();
    assert_eq!(
        (data.inputs, data.train.len() + data.test.len(), data.classes),
        (48, 24, 2)
    );
    let Features::Pixels(pixels) = &data.features else {
        panic!("pixels are expected")
    };
    // The second file by name is 1.png.
    assert_eq!(
        (&pixels[48..64], &pixels[64..80], &pixels[80..96]),
        (&[1; 16][..], &[0; 16][..], &[255; 16][..])
    );

    let error = read(folder.path(), DataFormat::ImageFolder, &image_definition("exact", 3)).unwrap_err();
    assert_eq!(error.category(), "size");
    assert!(error.to_string().contains("dog/0.jpg: its images are 8 x 8"), "{error}");

    fs::write(folder.path().join("cat/bad.png"), b"no image").unwrap();
    let error = read(folder.path(), DataFormat::ImageFolder, &image_definition("scale", 1)).unwrap_err();
    assert!(error.to_string().contains("cat/bad.png: cannot be decoded"), "{error}");
    fs::remove_file(folder.path().join("cat/bad.png")).unwrap();
    fs::create_dir(folder.path().join("bird")).unwrap();
    let error = read(folder.path(), DataFormat::ImageFolder, &image_definition("scale", 1)).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("bird: this folder is none of the definition's classes"),
        "{error}"
    );
}
