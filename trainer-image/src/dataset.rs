//! The participant's data: read, checked against the definition, split into training and testing.

use std::path::{Path, PathBuf};

use protocol::{
    definition::{Data, Definition, Metric},
    job::{ClassCount, DataFormat, DataReport},
    types::Address,
};

mod csv;
mod error;
pub mod idx;
mod images;
mod parquet;
mod table;
#[cfg(test)]
mod tests;

pub use error::DataError;
use table::Builder;

/// Rejected records and classes that go into the result; all that is kept goes into the log.
const REPORTED_REJECTIONS: usize = 5;
const REPORTED_CLASSES: usize = 16;
/// Longest text of one of them, in bytes.
const REPORTED_BYTES: usize = 100;

/// Inputs of all records, record by record.
#[derive(Debug)]
pub enum Features {
    /// To be scaled by the definition's preprocessing.
    Pixels(Vec<u8>),
    /// As the network takes them.
    Numbers(Vec<f32>),
}

#[derive(Debug)]
pub enum Labels {
    Classes(Vec<i64>),
    /// Scaled as the definition says.
    Numbers(Vec<f32>),
}

impl Labels {
    pub fn len(&self) -> usize {
        match self {
            Self::Classes(labels) => labels.len(),
            Self::Numbers(labels) => labels.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What a reader found.
struct Records {
    /// The folder or file that messages name.
    path: PathBuf,
    features: Features,
    labels: Labels,
    inputs: usize,
    is_test: Vec<bool>,
    files: usize,
    rejected: usize,
    rejections: Vec<String>,
}

/// All records and which of them are for what.
#[derive(Debug)]
pub struct Dataset {
    pub features: Features,
    pub labels: Labels,
    /// Numbers of one record.
    pub inputs: usize,
    /// Numbers of the records to train on, ascending.
    pub train: Vec<i64>,
    /// Numbers of the records to test on, ascending.
    pub test: Vec<i64>,
    /// Distinct labels; 0 if the label is a number.
    pub classes: u32,
    pub report: DataReport,
    /// Every rejected record that was kept for the log.
    pub rejections: Vec<String>,
}

impl Dataset {
    /// Reads the data volume.
    pub fn read(
        directory: &Path,
        format: &DataFormat,
        definition: &Definition,
        participant: Address,
    ) -> Result<Self, DataError> {
        let test_percent = definition.split.test_percent;
        let about = match &definition.data {
            Some(Data::Table(_)) => "a table: csv or parquet",
            Some(Data::Images(_)) => "images with named classes: imageFolder or idx",
            None => "images without named classes: idx",
        };
        let records = match (format, &definition.data) {
            (DataFormat::Idx, None | Some(Data::Images(_))) => images::read_idx(directory, definition, participant)?,
            (DataFormat::ImageFolder, Some(Data::Images(wanted))) => {
                images::read_folder(directory, wanted, test_percent, participant)?
            }
            (DataFormat::Csv | DataFormat::Parquet, Some(Data::Table(table))) => {
                let mut builder = Builder::new(table, participant, test_percent);
                let files = match format {
                    DataFormat::Csv => csv::read(directory, &mut builder)?,
                    _ => parquet::read(directory, &mut builder)?,
                };
                builder.finish(directory, files)?
            }
            _ => {
                return Err(DataError::Format {
                    format: format.as_str(),
                    about,
                });
            }
        };
        Self::split(records, definition)
    }

    fn split(records: Records, definition: &Definition) -> Result<Self, DataError> {
        let numbers = |part: bool| {
            let all = records.is_test.iter().zip(0i64..);
            all.filter(|(test, _)| **test == part)
                .map(|(_, number)| number)
                .collect::<Vec<_>>()
        };
        let (train, test) = (numbers(false), numbers(true));
        for (part, name) in [(&train, "training"), (&test, "test")] {
            if part.is_empty() {
                return Err(DataError::EmptySplit {
                    path: records.path,
                    part: name,
                    records: records.labels.len(),
                });
            }
        }
        let counts = count_classes(&records.labels, &records.is_test, definition);
        check_classes(&records.path, &counts, definition)?;
        let shorten = |text: &str| text.chars().take(REPORTED_BYTES).collect::<String>();
        let report = DataReport {
            files: narrow(records.files),
            records: narrow(records.labels.len() + records.rejected),
            rejected: narrow(records.rejected),
            rejections: records
                .rejections
                .iter()
                .take(REPORTED_REJECTIONS)
                .map(|r| shorten(r))
                .collect(),
            classes: counts.iter().take(REPORTED_CLASSES).cloned().collect(),
        };
        Ok(Self {
            features: records.features,
            labels: records.labels,
            inputs: records.inputs,
            train,
            test,
            classes: narrow(counts.iter().filter(|count| count.train + count.test > 0).count()),
            report,
            rejections: records.rejections,
        })
    }

    /// What was read, for the log.
    pub fn describe(&self) {
        let report = &self.report;
        println!(
            "data: {} records in {} files, {} rejected; {} to train on, {} to test on, {} classes",
            report.records,
            report.files,
            report.rejected,
            self.train.len(),
            self.test.len(),
            self.classes
        );
        for rejection in &self.rejections {
            println!("data: rejected {rejection}");
        }
        if self.rejections.len() < report.rejected as usize {
            println!(
                "data: ... and {} more",
                report.rejected as usize - self.rejections.len()
            );
        }
        for class in &report.classes {
            println!(
                "data: class {:?}: {} to train on, {} to test on",
                class.name, class.train, class.test
            );
        }
    }
}

fn narrow(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

fn count_classes(labels: &Labels, is_test: &[bool], definition: &Definition) -> Vec<ClassCount> {
    let (Labels::Classes(labels), Some(classes)) = (labels, definition.classes()) else {
        return Vec::new();
    };
    let names = definition.data.as_ref().and_then(Data::classes);
    let mut counts: Vec<ClassCount> = (0..classes as usize)
        .map(|class| ClassCount {
            name: names.map_or_else(|| class.to_string(), |names| names[class].clone()),
            ..ClassCount::default()
        })
        .collect();
    for (&label, &test) in labels.iter().zip(is_test) {
        let count = &mut counts[label as usize];
        if test {
            count.test += 1;
        } else {
            count.train += 1;
        }
    }
    counts
}

/// What the definition wants of every class, and what its metric needs to be a number at all.
fn check_classes(path: &Path, counts: &[ClassCount], definition: &Definition) -> Result<(), DataError> {
    let wanted = definition.data.as_ref().map_or(0, Data::min_records);
    if let Some(few) = counts.iter().find(|count| count.train < wanted) {
        return Err(DataError::FewRecords {
            path: path.to_owned(),
            class: few.name.clone(),
            found: few.train as usize,
            wanted,
        });
    }
    let metric = definition.evaluation.metric;
    let tested: Vec<&ClassCount> = counts.iter().filter(|count| count.test > 0).collect();
    if let (Metric::Auroc, [only]) = (metric, &tested[..]) {
        return Err(DataError::OneClass {
            path: path.to_owned(),
            class: only.name.clone(),
            metric: metric.as_str(),
        });
    }
    Ok(())
}
