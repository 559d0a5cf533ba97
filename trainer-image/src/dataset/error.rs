//! What can be wrong with a participant's data.

use std::path::PathBuf;

use super::idx::IdxError;

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
    #[error("{}: record {record} has label {label}, but the definition has classes 0 to {}", .path.display(), .classes - 1)]
    Label {
        path: PathBuf,
        record: usize,
        label: u8,
        classes: u32,
    },
    #[error("{}: of {records} records none falls into the {part} split; more data is needed", .path.display())]
    EmptySplit {
        path: PathBuf,
        part: &'static str,
        records: usize,
    },
    #[error("the client's data format is {format}, but the definition is about {about}")]
    Format { format: &'static str, about: &'static str },
    #[error("{}: there is no {wanted} in it", .path.display())]
    NoFiles { path: PathBuf, wanted: &'static str },
    #[error("{}: {problem}", .path.display())]
    File { path: PathBuf, problem: String },
    #[error("{}: {rejected} of {records} rows are rejected, more than maxRejectedPercent {limit}; the first: {first}", .path.display())]
    Rejected {
        path: PathBuf,
        rejected: usize,
        records: usize,
        limit: u8,
        first: String,
    },
    #[error("{}: class {class:?} has {found} records in the training split; the definition wants {wanted}", .path.display())]
    FewRecords {
        path: PathBuf,
        class: String,
        found: usize,
        wanted: u32,
    },
    #[error(
        "{}: the test split has records of one class only, {class:?}; {metric} needs at least two classes there",
        .path.display()
    )]
    OneClass {
        path: PathBuf,
        class: String,
        metric: &'static str,
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
            Self::Format { .. } => "format",
            Self::NoFiles { .. } => "no-files",
            Self::File { .. } => "file",
            Self::Rejected { .. } => "rejected",
            Self::FewRecords { .. } => "few-records",
            Self::OneClass { .. } => "one-class",
        }
    }
}
