//! From the spec to values that building cannot fail on. What the API server's schema enforces is not checked twice;
//! what it cannot see is.

use std::collections::BTreeMap;

use crds::{
    FLClient, FLClientSpec,
    flclient::{DataVolume, FlockSdkSpec, PullPolicy},
};
use k8s_openapi::{
    api::core::v1::{
        Affinity, CSIVolumeSource, ImageVolumeSource, PersistentVolumeClaimVolumeSource, ResourceRequirements,
        Toleration, Volume,
    },
    apimachinery::pkg::{api::resource::Quantity, apis::meta::v1::OwnerReference},
};
use kube::{Resource, ResourceExt};
use protocol::{
    canonical,
    definition::ImageDigest,
    job::{Checkpoints, DataFormat, Device},
    types::{Amount, B256},
};

use crate::cluster::Key;

/// Scratch volume when the spec names none.
const DEFAULT_SCRATCH: &str = "2Gi";

/// What is wrong with a spec; the message says which field and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SpecError {
    #[error("the object has no {0}: it did not come from an API server")]
    Metadata(&'static str),
    #[error("a volume of spec.data or spec.baseModels names {0} volumes: set exactly one of pvc, csi and image")]
    DataVolume(usize),
    #[error("{field}: {value:?} is not a quantity; write for instance 500m, 2 or 4Gi")]
    Quantity { field: String, value: String },
    #[error("spec.trainer cannot be written as JSON with whole numbers: {0}")]
    Environment(String),
    #[error("spec.trainer.flockSdk.image {0:?} names no digest: write for instance registry.example/model@sha256:...")]
    Undigested(String),
    #[error("spec.trainer.flockSdk reads data of format json, and nothing else does: spec.data.format is {0}")]
    SdkFormat(&'static str),
    #[error("spec.stake is 0: name what to stake, in the token's smallest unit")]
    NoStake,
}

impl SpecError {
    /// Stable, for metrics and Events.
    pub(crate) fn category(&self) -> &'static str {
        match self {
            Self::Metadata(_) => "metadata",
            Self::DataVolume(_) => "data-volume",
            Self::Quantity { .. } => "quantity",
            Self::Environment(_) => "environment",
            Self::Undigested(_) => "image-digest",
            Self::SdkFormat(_) => "data-format",
            Self::NoStake => "no-stake",
        }
    }
}

/// An FLClient that can be worked for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ValidatedClient {
    pub(crate) key: Key,
    pub(crate) owner: OwnerReference,
    pub(crate) task: Key,
    pub(crate) stake: Amount,
    pub(crate) trainer: TrainerTemplate,
    /// Hash over what the spec says about data and trainer.
    pub(crate) environment: B256,
    pub(crate) drain: bool,
}

/// How this client's trainer pods run.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TrainerTemplate {
    pub(crate) image: String,
    pub(crate) pull_policy: Option<String>,
    pub(crate) pull_secrets: Vec<String>,
    pub(crate) resources: ResourceRequirements,
    pub(crate) node_selector: BTreeMap<String, String>,
    pub(crate) affinity: Option<Affinity>,
    pub(crate) tolerations: Vec<Toleration>,
    pub(crate) runtime_class: Option<String>,
    pub(crate) priority_class: Option<String>,
    pub(crate) queue: Option<String>,
    pub(crate) scratch_size: Quantity,
    pub(crate) shm_size: Option<Quantity>,
    pub(crate) checkpoints: Checkpoints,
    pub(crate) device: Device,
    pub(crate) data: DataMount,
    pub(crate) format: DataFormat,
    /// By name.
    pub(crate) base_models: Vec<(String, DataMount)>,
    pub(crate) flock_sdk: Option<SdkTemplate>,
}

/// The container of FLock's SDK beside the agent.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SdkTemplate {
    pub(crate) image: String,
    pub(crate) digest: ImageDigest,
    pub(crate) pull_policy: Option<String>,
    pub(crate) command: Vec<String>,
    pub(crate) args: Vec<String>,
    pub(crate) env: Vec<(String, String)>,
}

/// The data volume (its name is given where it is mounted), read-only.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct DataMount {
    pub(crate) volume: Volume,
    pub(crate) sub_path: Option<String>,
}

/// Checks one FLClient.
pub(crate) fn validate(client: &FLClient) -> Result<ValidatedClient, SpecError> {
    let namespace = client.namespace().ok_or(SpecError::Metadata("namespace"))?;
    let owner = client.controller_owner_ref(&()).ok_or(SpecError::Metadata("uid"))?;
    let spec = &client.spec;
    if spec.stake.is_zero() {
        return Err(SpecError::NoStake);
    }
    Ok(ValidatedClient {
        key: Key::new(&namespace, client.name_any()),
        owner,
        task: Key::new(&namespace, &spec.task_ref.name),
        stake: spec.stake,
        trainer: trainer(spec)?,
        environment: environment(spec)?,
        drain: spec.drain,
    })
}

fn trainer(spec: &FLClientSpec) -> Result<TrainerTemplate, SpecError> {
    let trainer = &spec.trainer;
    let resources = trainer.resources.clone().unwrap_or_default();
    for (list, quantities) in [("limits", &resources.limits), ("requests", &resources.requests)] {
        for (name, quantity) in quantities.iter().flatten() {
            check_quantity(&format!("spec.trainer.resources.{list}[{name}]"), quantity)?;
        }
    }
    let scratch_size = trainer
        .scratch_size
        .clone()
        .unwrap_or_else(|| Quantity(DEFAULT_SCRATCH.to_owned()));
    check_quantity("spec.trainer.scratchSize", &scratch_size)?;
    if let Some(size) = &trainer.shm_size {
        check_quantity("spec.trainer.shmSize", size)?;
    }
    let flock_sdk = trainer.flock_sdk.as_ref().map(sdk).transpose()?;
    if flock_sdk.is_some() != (spec.data.format == DataFormat::Json) {
        return Err(SpecError::SdkFormat(spec.data.format.as_str()));
    }
    let checkpoints = trainer.checkpoints.clone().unwrap_or_default();
    let gateway_size = checkpoints.gateway_size.as_ref();
    Ok(TrainerTemplate {
        image: trainer.image.clone(),
        pull_policy: trainer.image_pull_policy.map(|policy| policy.as_str().to_owned()),
        pull_secrets: trainer
            .image_pull_secrets
            .iter()
            .map(|secret| secret.name.clone())
            .collect(),
        resources,
        node_selector: trainer.node_selector.clone(),
        affinity: trainer.affinity.clone(),
        tolerations: trainer.tolerations.clone(),
        runtime_class: trainer.runtime_class_name.clone(),
        priority_class: trainer.priority_class_name.clone(),
        queue: trainer.queue_name.clone(),
        checkpoints: Checkpoints {
            every_seconds: checkpoints
                .every_seconds
                .unwrap_or(Checkpoints::default().every_seconds),
            scratch_bytes: Some(bytes("spec.trainer.scratchSize", &scratch_size)?),
            gateway_bytes: gateway_size
                .map(|size| bytes("spec.trainer.checkpoints.gatewaySize", size))
                .transpose()?,
        },
        scratch_size,
        shm_size: trainer.shm_size.clone(),
        device: trainer.device.unwrap_or_default(),
        data: data_mount(&spec.data.volume)?,
        format: spec.data.format.clone(),
        base_models: spec
            .base_models
            .iter()
            .map(|base| Ok((base.name.clone(), data_mount(&base.volume)?)))
            .collect::<Result<_, SpecError>>()?,
        flock_sdk,
    })
}

fn sdk(spec: &FlockSdkSpec) -> Result<SdkTemplate, SpecError> {
    let undigested = || SpecError::Undigested(spec.image.clone());
    let (_, digest) = spec.image.rsplit_once('@').ok_or_else(undigested)?;
    Ok(SdkTemplate {
        image: spec.image.clone(),
        digest: digest.parse().map_err(|_| undigested())?,
        pull_policy: spec.image_pull_policy.map(|policy| policy.as_str().to_owned()),
        command: spec.command.clone(),
        args: spec.args.clone(),
        env: spec.env.iter().map(|e| (e.name.clone(), e.value.clone())).collect(),
    })
}

fn data_mount(data: &DataVolume) -> Result<DataMount, SpecError> {
    match (&data.pvc, &data.csi, &data.image) {
        (Some(pvc), None, None) => Ok(DataMount {
            volume: Volume {
                persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
                    claim_name: pvc.claim_name.clone(),
                    read_only: Some(true),
                }),
                ..Volume::default()
            },
            sub_path: pvc.sub_path.clone(),
        }),
        (None, Some(csi), None) => Ok(DataMount {
            volume: Volume {
                csi: Some(CSIVolumeSource {
                    driver: csi.driver.clone(),
                    fs_type: csi.fs_type.clone(),
                    read_only: Some(true),
                    volume_attributes: (!csi.volume_attributes.is_empty()).then(|| csi.volume_attributes.clone()),
                    node_publish_secret_ref: None,
                }),
                ..Volume::default()
            },
            sub_path: None,
        }),
        (None, None, Some(image)) => Ok(DataMount {
            volume: Volume {
                image: Some(ImageVolumeSource {
                    reference: Some(image.reference.clone()),
                    pull_policy: image.pull_policy.map(PullPolicy::as_str).map(str::to_owned),
                }),
                ..Volume::default()
            },
            sub_path: None,
        }),
        (pvc, csi, image) => Err(SpecError::DataVolume(
            usize::from(pvc.is_some()) + usize::from(csi.is_some()) + usize::from(image.is_some()),
        )),
    }
}

/// What a Job runs on, as one hash: keccak256 of the canonical JSON of data, trainer and, if there are any, base models. Two
/// equal specs have equal hashes whatever the order of keys in the manifest.
fn environment(spec: &FLClientSpec) -> Result<B256, SpecError> {
    let text = if spec.base_models.is_empty() {
        canonical::to_string(&(&spec.data, &spec.trainer))
    } else {
        canonical::to_string(&(&spec.data, &spec.trainer, &spec.base_models))
    };
    let text = text.map_err(|e| SpecError::Environment(e.to_string()))?;
    Ok(alloy::primitives::keccak256(text))
}

/// What a suffix multiplies by.
const SUFFIXES: [(&str, f64); 16] = [
    ("", 1.0),
    ("n", 1e-9),
    ("u", 1e-6),
    ("m", 1e-3),
    ("k", 1e3),
    ("M", 1e6),
    ("G", 1e9),
    ("T", 1e12),
    ("P", 1e15),
    ("E", 1e18),
    ("Ki", 1024.0),
    ("Mi", 1048576.0),
    ("Gi", 1073741824.0),
    ("Ti", 1099511627776.0),
    ("Pi", 1125899906842624.0),
    ("Ei", 1152921504606846976.0),
];

/// The API server's own grammar: a decimal number and a suffix (`m`, `Ki`, `G`, `e3`, ...), not negative.
fn amount(field: &str, quantity: &Quantity) -> Result<f64, SpecError> {
    let text = quantity.0.strip_prefix('+').unwrap_or(&quantity.0);
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let factor = match suffix.strip_prefix(['e', 'E']).map(str::parse::<i16>) {
        Some(Ok(exponent)) => Some(10f64.powi(exponent.into())),
        _ => SUFFIXES
            .iter()
            .find(|(name, _)| *name == suffix)
            .map(|(_, factor)| *factor),
    };
    number
        .parse::<f64>()
        .ok()
        .zip(factor)
        .map(|(number, factor)| number * factor)
        .ok_or_else(|| SpecError::Quantity {
            field: field.to_owned(),
            value: quantity.0.clone(),
        })
}

fn check_quantity(field: &str, quantity: &Quantity) -> Result<(), SpecError> {
    amount(field, quantity).map(drop)
}

/// Of a size, whole bytes.
fn bytes(field: &str, quantity: &Quantity) -> Result<u64, SpecError> {
    amount(field, quantity).map(|bytes| bytes as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_the_api_server_reads_them() {
        let size = |text: &str| bytes("f", &Quantity(text.to_owned())).ok();
        for (text, expected) in [
            ("2Gi", Some(2 << 30)),
            ("1500M", Some(1_500_000_000)),
            ("1.5Ki", Some(1536)),
            ("1e3", Some(1000)),
            ("+7", Some(7)),
            ("100m", Some(0)),
            ("2E", Some(2_000_000_000_000_000_000)),
            ("", None),
            ("2 Gi", None),
            ("-1", None),
            ("2gi", None),
            ("1e", None),
        ] {
            assert_eq!(size(text), expected, "{text:?}");
        }
    }
}
