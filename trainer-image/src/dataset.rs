//! The participant's data: read, checked against the definition, split into training and testing.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use protocol::{architecture::Architecture, definition::Definition, job::DataFormat, split, types::Address};

use crate::idx::{IMAGES, Idx, IdxError, LABELS};

#[derive(Debug, thiserror::Error)]
pub enum DataError {
    #[error("{0}")]
    Idx(#[from] IdxError),
    #[error("{}: there is not enough memory for it", .path.display())]
    Memory { path: PathBuf },
    #[error("{}: there are no records in it", .path.display())]
    Empty { path: PathBuf },
    #[error("{} has {images} records, but {} has {labels}", .images_path.display(), .labels_path.display())]
    Counts {
        images_path: PathBuf,
        images: usize,
        labels_path: PathBuf,
        labels: usize,
    },
    #[error("{}: its images are {found}, but the definition expects {expected}", .path.display())]
    Size {
        path: PathBuf,
        found: String,
        expected: String,
    },
    #[error("{}: record {record} has label {label}, but the definition has classes 0 to {}", .path.display(), .outputs - 1)]
    Label {
        path: PathBuf,
        record: usize,
        label: u8,
        outputs: u32,
    },
    #[error("{}: of {records} records none falls into the {part} split; more data is needed", .path.display())]
    EmptySplit {
        path: PathBuf,
        part: &'static str,
        records: usize,
    },
}

impl DataError {
    pub fn category(&self) -> &'static str {
        match self {
            Self::Idx(error) => error.category(),
            Self::Memory { .. } => "memory",
            Self::Empty { .. } => "empty",
            Self::Counts { .. } => "counts",
            Self::Size { .. } => "size",
            Self::Label { .. } => "label",
            Self::EmptySplit { .. } => "empty-split",
        }
    }
}

/// All records and which of them are for what.
#[derive(Debug)]
pub struct Dataset {
    /// Record by record, `inputs` bytes each.
    pub images: Vec<u8>,
    pub labels: Vec<u8>,
    /// Bytes of one record.
    pub inputs: usize,
    /// Numbers of the records to train on, ascending.
    pub train: Vec<i64>,
    /// Numbers of the records to test on, ascending.
    pub test: Vec<i64>,
    /// Distinct labels.
    pub classes: u32,
}

impl Dataset {
    /// Reads the data volume. A record, for the split, is its pixels followed by its label.
    pub fn read(
        directory: &Path,
        format: &DataFormat,
        definition: &Definition,
        participant: Address,
    ) -> Result<Self, DataError> {
        let DataFormat::Idx = format;
        let images = Idx::<3>::read(directory, IMAGES).map_err(memory)?;
        let labels = Idx::<1>::read(directory, LABELS).map_err(memory)?;
        let [records, height, width] = images.dimensions;
        if records != labels.data.len() {
            return Err(DataError::Counts {
                images_path: images.path,
                images: records,
                labels_path: labels.path,
                labels: labels.data.len(),
            });
        }
        if records == 0 {
            return Err(DataError::Empty { path: images.path });
        }
        check_size(&images.path, height, width, &definition.architecture)?;
        let outputs = definition.architecture.outputs();
        if let Some((record, &label)) = labels.data.iter().enumerate().find(|(_, l)| u32::from(**l) >= outputs) {
            return Err(DataError::Label {
                path: labels.path,
                record,
                label,
                outputs,
            });
        }
        let inputs = height * width;
        let (mut train, mut test) = (Vec::new(), Vec::new());
        let mut record = vec![0u8; inputs + 1];
        for (number, (pixels, label)) in images.data.chunks_exact(inputs).zip(&labels.data).enumerate() {
            record[..inputs].copy_from_slice(pixels);
            record[inputs] = *label;
            let part = if split::is_test(participant, &record, definition.split.test_percent) {
                &mut test
            } else {
                &mut train
            };
            part.push(number as i64);
        }
        for (part, name) in [(&train, "training"), (&test, "test")] {
            if part.is_empty() {
                return Err(DataError::EmptySplit {
                    path: images.path,
                    part: name,
                    records,
                });
            }
        }
        let classes = labels.data.iter().collect::<BTreeSet<_>>().len() as u32;
        Ok(Self {
            images: images.data,
            labels: labels.data,
            inputs,
            train,
            test,
            classes,
        })
    }
}

fn memory(error: IdxError) -> DataError {
    match error {
        IdxError::TooLarge { path, .. } => DataError::Memory { path },
        IdxError::Io { path, error } if error.kind() == std::io::ErrorKind::OutOfMemory => DataError::Memory { path },
        other => DataError::Idx(other),
    }
}

fn check_size(path: &Path, height: usize, width: usize, architecture: &Architecture) -> Result<(), DataError> {
    let (fits, expected) = match architecture {
        Architecture::Mlp(mlp) => (height * width == mlp.inputs as usize, format!("{} pixels", mlp.inputs)),
        Architecture::Cnn(cnn) => (
            (1, height, width) == (cnn.channels, cnn.height as usize, cnn.width as usize),
            format!("{} x {} with {} channels", cnn.height, cnn.width, cnn.channels),
        ),
    };
    if fits {
        return Ok(());
    }
    let found = format!("{height} x {width} ({} pixels, 1 channel)", height * width);
    Err(DataError::Size {
        path: path.to_owned(),
        found,
        expected,
    })
}
