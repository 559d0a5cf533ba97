//! The participant's data: where it is and how it is read.

// The KubeSchema derive repeats each struct inside a function, where `pub` reaches nobody.
#![allow(unreachable_pub)]

use std::collections::BTreeMap;

use kube::KubeSchema;
use protocol::job::DataFormat;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::PullPolicy;

/// The data and how to read it. It is mounted read-only into trainer pods and goes nowhere else.
#[derive(JsonSchema, Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DataSpec {
    pub volume: DataVolume,
    #[schemars(schema_with = "data_format")]
    pub format: DataFormat,
}

/// A volume with a base model.
#[derive(JsonSchema, Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BaseModelVolume {
    #[schemars(schema_with = "base_model_name")]
    pub name: String,
    pub volume: DataVolume,
}

fn base_model_name(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "type": "string", "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", "maxLength": 40 })
}

/// Where the data is: exactly one of. Host paths are not offered, they would reach other tenants' files.
#[derive(KubeSchema, Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("(has(self.pvc) ? 1 : 0) + (has(self.csi) ? 1 : 0) + (has(self.image) ? 1 : 0) == 1")
        .message("exactly one of pvc, csi and image must be set")
)]
pub struct DataVolume {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pvc: Option<PvcVolume>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub csi: Option<CsiVolume>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageVolume>,
}

/// A PersistentVolumeClaim in the same namespace.
#[derive(KubeSchema, Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PvcVolume {
    #[schemars(schema_with = "crate::schema::object_name")]
    pub claim_name: String,
    /// Folder inside the volume; its root if absent. Relative, without "..".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    #[x_kube(validation = Rule::new("!self.startsWith('/') && !self.split('/').exists(part, part == '..')")
        .message("subPath must be relative and without '..'"))]
    pub sub_path: Option<String>,
}

/// An inline CSI volume, read-only.
#[derive(JsonSchema, Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CsiVolume {
    #[schemars(length(min = 1, max = 253))]
    pub driver: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub fs_type: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "volume_attributes")]
    pub volume_attributes: BTreeMap<String, String>,
}

/// An OCI image or artifact mounted as a volume.
#[derive(JsonSchema, Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageVolume {
    #[schemars(length(min = 1, max = 512))]
    pub reference: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull_policy: Option<PullPolicy>,
}

fn data_format(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "string", "enum": ["idx", "csv", "parquet", "imageFolder", "json"],
        "description": "idx: two files of the IDX format (optionally .gz), images-idx3-ubyte and labels-idx1-ubyte. \
                        csv: all *.csv files (optionally .gz), each with a header line; comma, semicolon or tab. \
                        parquet: all *.parquet files. imageFolder: a folder of PNG and JPEG files for each class, named \
                        as the class. json: one file dataset.json, an array of objects, for flockSdk."
    })
}

fn volume_attributes(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "object", "maxProperties": 32,
        "additionalProperties": { "type": "string", "maxLength": 512 }
    })
}
