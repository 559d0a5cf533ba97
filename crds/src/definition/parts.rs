//! The schema's parts, and what they are built from.

use serde_json::{Value, json};

const COUNT: i64 = 1_000_000;

pub(super) fn integer(min: i64, max: i64, what: &str) -> Value {
    json!({ "type": "integer", "format": "int64", "minimum": min, "maximum": max, "description": what })
}

fn count(what: &str) -> Value {
    integer(1, COUNT, what)
}

/// Decimal strings: floats have no one spelling, so they have no hash.
pub(super) fn decimal(what: &str) -> Value {
    json!({
        "type": "string", "maxLength": 32, "pattern": "^-?[0-9]{1,12}(\\.[0-9]{1,18})?$",
        "description": format!("{what} A decimal string.")
    })
}

pub(super) fn choice(values: &[&str], what: &str) -> Value {
    json!({ "type": "string", "enum": values, "description": what })
}

fn hash(what: &str) -> Value {
    json!({ "type": "string", "pattern": "^[0-9a-f]{64}$", "maxLength": 64, "description": what })
}

fn text(max: u32, what: &str) -> Value {
    json!({ "type": "string", "minLength": 1, "maxLength": max, "description": what })
}

fn list(min: u32, max: u32, items: Value, what: &str) -> Value {
    json!({ "type": "array", "minItems": min, "maxItems": max, "items": items, "description": what })
}

pub(super) fn scale(what: &str) -> Value {
    let mut scale = object(json!({ "mean": decimal("Subtracted."), "std": decimal("Divided by; above 0.") }));
    scale["description"] = json!(what);
    scale
}

pub(super) fn architecture() -> Value {
    let image = json!({
        "channels": count("Channels of an image."), "height": count("Pixels."), "width": count("Pixels."),
        "outputs": count("One for each class, or 1.")
    });
    let of_images = |more: Value| {
        let mut all = image.clone();
        for (key, value) in more.as_object().into_iter().flatten() {
            all[key] = value.clone();
        }
        object(all)
    };
    one_of(
        json!({
            "mlp": object(json!({
                "inputs": count("Pixels of a record, or what a table's columns become."),
                "hidden": list(0, 16, count("Width of a hidden layer."), "Widths of the hidden layers."),
                "outputs": count("One for each class, or 1.")
            })),
            "cnn": of_images(json!({
                "filters": list(1, 8, count("Filters of a layer."),
                    "Filters of each layer: convolution 3x3 with same padding, relu, max-pool 2."),
                "hidden": count("Width of the layer before the last.")
            })),
            "logistic": object(json!({
                "inputs": count("What a table's columns become, or pixels of a record."),
                "outputs": count("One for each class, or 1.")
            })),
            "resnet": of_images(json!({
                "filters": list(1, 6, count("Filters of a stage."), "Filters of each stage; every stage but the first halves the image."),
                "blocks": integer(1, 64, "Residual blocks of each stage: with three stages 1 makes a ResNet-8, 3 a ResNet-20."),
                "groups": integer(1, 4096, "Groups of the group normalisations; must divide all filters.")
            })),
            "torchscript": object_with(json!({
                "module": hash("SHA-256 of the module's file."),
                "moduleBytes": integer(1, 1 << 42, "Length of the module's file."),
                "initialModel": hash("The genesis model: the listed tensors as the file has them."),
                "inputShape": list(1, 4, count("Length of a dimension."), "Of one record, without the batch."),
                "outputs": count("Numbers that forward gives for a record."),
                "tensors": list(1, 8192, object(json!({
                    "name": text(512, "As the module names its parameter."),
                    "shape": json!({ "type": "array", "maxItems": 8, "items": integer(1, 1 << 31, "Length of a dimension.") }),
                    "dtype": choice(&["F32", "BF16", "F16"], "Element type in which it travels.")
                })), "Parameters that are trained and travel; all others are frozen.")
            }), json!({ "baseModel": base_model() }))
        }),
        "Exactly one of its keys.",
    )
}

fn base_model() -> Value {
    let mut base = object_with(
        json!({ "manifest": hash("SHA-256 of the manifest, which names the files.") }),
        json!({ "prefix": text(256, "Put before the names of its tensors, where the module names them so.") }),
    );
    base["description"] =
        json!("Frozen parameters that are not in the module's file but on a volume of every participant (baseModels).");
    base
}

pub(super) fn flock_sdk() -> Value {
    let mut container = object(json!({
        "image": json!({
            "type": "string", "pattern": "^sha256:[0-9a-f]{64}$", "maxLength": 71,
            "description": "Digest of the container's image; every participant runs this one."
        }),
        "cpu": choice(&["amd64", "arm64"], "What it runs on: another processor may add up in another order.")
    }));
    container["description"] = json!(
        "A task for containers of FLock's SDK: the container trains, evaluates and aggregates, and its models are bytes to \
         everybody else."
    );
    container
}

pub(super) fn training() -> Value {
    let adam = object(json!({
        "learningRate": decimal("Above 0, at most 1000."), "beta1": decimal("0 to below 1."),
        "beta2": decimal("0 to below 1."), "epsilon": decimal("Above 0, at most 1."),
        "weightDecay": decimal("0 to 1.")
    }));
    let sgd = object_with(
        json!({
            "learningRate": decimal("Above 0, at most 1000."), "momentum": decimal("0 to below 1."),
            "weightDecay": decimal("0 to 1.")
        }),
        json!({ "nesterov": { "type": "boolean", "enum": [true], "description": "Nesterov's momentum; left out if not." } }),
    );
    object_with(
        json!({
            "optimizer": one_of(json!({ "sgd": sgd, "adam": adam, "adamW": adam }), "Exactly one of its keys."),
            "batchSize": integer(1, 65_536, "Records of one step.")
        }),
        json!({
            "epochs": integer(1, 10_000, "Passes over the training split per round. Either this or steps."),
            "steps": integer(1, 10_000_000, "Batches per round. Either this or epochs."),
            "loss": choice(&["crossEntropy", "binaryCrossEntropy", "meanSquaredError"], "Left out: crossEntropy."),
            "schedule": one_of(json!({
                "step": object(json!({
                    "everySteps": integer(1, 1_000_000, "Steps between two changes."),
                    "factor": decimal("Multiplied by this; above 0, at most 1.")
                })),
                "cosine": object(json!({ "finalFactor": decimal("What is left at the round's end, 0 to 1.") }))
            }), "Of the learning rate within a round: exactly one of its keys. Left out: constant."),
            "warmUpSteps": integer(1, 1_000_000, "The learning rate grows linearly in the first steps of a round."),
            "roundDecay": decimal("The learning rate of round r is multiplied by this to the power r; above 0, at most 1."),
            "clipNorm": decimal("Gradients are scaled down to this norm, all tensors together."),
            "precision": choice(&["bf16"], "bf16: forward and backward in bfloat16, weights in 32 bits. Left out: 32 bits."),
            "earlyStop": object(json!({
                "patience": integer(1, 1000, "Epochs without improvement of the training loss after which the round's training ends."),
                "minImprovement": decimal("Relative improvement that counts, 0 to 1.")
            })),
            "privacy": object(json!({
                "clipNorm": decimal("Every record's gradient is scaled down to this norm; above 0."),
                "noiseMultiplier": decimal("Standard deviation of the noise on the sum, in clipping norms; 0.1 to 1000."),
                "delta": decimal("At which the spent epsilon is reported; above 0, at most 0.01.")
            }))
        }),
    )
}

pub(super) fn aggregation() -> Value {
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

pub(super) fn data() -> Value {
    let name = || text(128, "As the header writes it.");
    let empty = || object(json!({}));
    let min_records = || {
        integer(
            0,
            1 << 31,
            "Records of every class that a training split must have; 0: it may lack some.",
        )
    };
    let classes = |what: &str| list(2, 65_536, text(128, "Name of a class."), what);
    let number = object(json!({
        "missing": choice(&["reject", "mean"], "A value that is not there: the row is rejected, or the mean takes its place."),
        "scaling": one_of(json!({
            "fitted": empty(), "fixed": scale("The same for everybody."), "none": empty()
        }), "Exactly one of its keys: fitted on the participant's own training split, fixed, or none.")
    }));
    let category = object(json!({
        "categories": list(1, 4096, text(128, "A value."), "One input for each."),
        "missing": choice(&["reject", "noCategory"], "A value that is not there: the row is rejected, or all inputs are 0."),
        "unknown": choice(&["reject", "noCategory"], "A value that is not listed: the row is rejected, or all inputs are 0.")
    }));
    let table = object(json!({
        "columns": list(1, 4096, object(json!({
            "name": name(),
            "role": one_of(json!({ "number": number, "category": category }), "Exactly one of its keys.")
        })), "In the order in which they enter the network; columns of the data that are not listed are not looked at."),
        "label": object(json!({
            "name": name(),
            "kind": one_of(json!({
                "class": object(json!({
                    "classes": classes("As written in the data; of two, the second is the positive one."),
                    "minRecords": min_records()
                })),
                "number": scale("A number to be predicted; the network learns (x - mean) / std.")
            }), "Exactly one of its keys.")
        })),
        "maxRejectedPercent": integer(0, 100, "With more than this share of rows rejected the data are refused.")
    }));
    let images = object(json!({
        "channels": integer(1, 3, "1 (grey) or 3 (colour): what is read is converted."),
        "height": integer(1, 4096, "Pixels."), "width": integer(1, 4096, "Pixels."),
        "fit": choice(&["exact", "scale"], "An image of another size is refused, or scaled."),
        "classes": classes("Names of the classes: in image folders the folders' names."),
        "minRecords": min_records()
    }));
    one_of(
        json!({ "images": images, "table": table }),
        "What a record is: exactly one of its keys. Left out: images whose labels are numbers from 0.",
    )
}

/// An object that requires all its properties and prunes none.
pub(super) fn object(properties: Value) -> Value {
    object_with(properties, json!({}))
}

/// An object with properties that are required and such that may be left out; it prunes none.
pub(super) fn object_with(required: Value, optional: Value) -> Value {
    let names: Vec<String> = required
        .as_object()
        .into_iter()
        .flat_map(|p| p.keys().cloned())
        .collect();
    let mut properties = required;
    for (key, value) in optional.as_object().into_iter().flatten() {
        properties[key] = value.clone();
    }
    let mut object = json!({
        "type": "object", "properties": properties, "x-kubernetes-preserve-unknown-fields": true
    });
    if !names.is_empty() {
        object["required"] = json!(names);
    }
    object
}

/// An object with exactly one key, which names the kind.
fn one_of(properties: Value, what: &str) -> Value {
    json!({
        "type": "object", "description": what, "minProperties": 1, "maxProperties": 1, "properties": properties,
        "x-kubernetes-preserve-unknown-fields": true
    })
}
