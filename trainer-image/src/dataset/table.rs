//! Rows of a table become numbers: columns by the definition, scaling fitted on the training split.

use std::{collections::HashMap, path::Path};

use protocol::{
    definition::{ColumnRole, LabelKind, MissingNumber, OtherCategory, Scaling, Table},
    split,
    types::Address,
};

use super::{Features, Labels, Records, error::DataError};

/// What stands for a value that is not there, in any case; an empty cell does too.
const MISSING: [&str; 6] = ["na", "n/a", "nan", "null", "none", "?"];
/// Rejected rows that are named.
const NAMED: usize = 20;

/// One value of a row as text; `None`: not there.
pub(super) type Cell<'a> = Option<&'a str>;

/// Collects rows. Their cells come in the order of [`Builder::names`].
pub(super) struct Builder<'a> {
    table: &'a Table,
    categories: Vec<HashMap<&'a str, usize>>,
    classes: HashMap<&'a str, i64>,
    participant: Address,
    test_percent: u8,
    width: usize,
    /// Row by row, NaN for what is missing.
    values: Vec<f64>,
    labels: Vec<f64>,
    is_test: Vec<bool>,
    records: usize,
    rejected: usize,
    rejections: Vec<String>,
    record: Vec<u8>,
}

impl<'a> Builder<'a> {
    pub(super) fn new(table: &'a Table, participant: Address, test_percent: u8) -> Self {
        let index = |names: &'a [String]| names.iter().enumerate().map(|(i, name)| (name.as_str(), i)).collect();
        let categories = table
            .columns
            .iter()
            .map(|column| match &column.role {
                ColumnRole::Number(_) => HashMap::new(),
                ColumnRole::Category(category) => index(&category.categories),
            })
            .collect();
        let classes = match &table.label.kind {
            LabelKind::Class(label) => label.classes.iter().map(String::as_str).zip(0..).collect(),
            LabelKind::Number(_) => HashMap::new(),
        };
        Self {
            table,
            categories,
            classes,
            participant,
            test_percent,
            width: usize::try_from(table.width()).unwrap_or(usize::MAX),
            values: Vec::new(),
            labels: Vec::new(),
            is_test: Vec::new(),
            records: 0,
            rejected: 0,
            rejections: Vec::new(),
            record: Vec::new(),
        }
    }

    /// Columns that are wanted: those of the definition, then the label.
    pub(super) fn names(&self) -> Vec<&'a str> {
        let columns = self.table.columns.iter().map(|column| column.name.as_str());
        columns.chain([self.table.label.name.as_str()]).collect()
    }

    /// A row that is rejected before its cells could be looked at.
    pub(super) fn reject(&mut self, file: &Path, line: u64, why: &str) {
        self.records += 1;
        self.rejected += 1;
        if self.rejections.len() < NAMED {
            let file = file.file_name().unwrap_or_default().to_string_lossy();
            self.rejections.push(format!("{file}:{line}: {why}"));
        }
    }

    pub(super) fn row(&mut self, file: &Path, line: u64, cells: &[Cell<'_>]) {
        let start = self.values.len();
        match self.convert(cells) {
            Ok(label) => {
                self.records += 1;
                self.labels.push(label);
                let is_test = self.for_testing(cells);
                self.is_test.push(is_test);
            }
            Err(why) => {
                self.values.truncate(start);
                self.reject(file, line, &why);
            }
        }
    }

    /// A record, for the split, is the text of its cells in the definition's order, the label last, with a byte 31 after
    /// each: neither columns that are not used nor the order of the file's columns matter.
    fn for_testing(&mut self, cells: &[Cell<'_>]) -> bool {
        self.record.clear();
        for cell in cells {
            self.record
                .extend_from_slice(value(*cell).unwrap_or_default().as_bytes());
            self.record.push(31);
        }
        split::is_test(self.participant, &self.record, self.test_percent)
    }

    /// Appends the row's inputs and returns its label, or says why not.
    fn convert(&mut self, cells: &[Cell<'_>]) -> Result<f64, String> {
        let table = self.table;
        for ((column, categories), cell) in table.columns.iter().zip(&self.categories).zip(cells) {
            let name = &column.name;
            let value = value(*cell);
            match (&column.role, value) {
                (ColumnRole::Number(_), Some(text)) => self.values.push(number(name, text)?),
                (ColumnRole::Number(role), None) => match role.missing {
                    MissingNumber::Reject => return Err(format!("column {name:?} is empty")),
                    MissingNumber::Mean => self.values.push(f64::NAN),
                },
                (ColumnRole::Category(role), value) => {
                    let found = value.and_then(|text| categories.get(text));
                    let policy = if value.is_some() { role.unknown } else { role.missing };
                    if found.is_none() && policy == OtherCategory::Reject {
                        return Err(match value {
                            Some(text) => format!("column {name:?} has {}, which is no category of it", shown(text)),
                            None => format!("column {name:?} is empty"),
                        });
                    }
                    let start = self.values.len();
                    self.values.resize(start + role.categories.len(), 0.0);
                    if let Some(&found) = found {
                        self.values[start + found] = 1.0;
                    }
                }
            }
        }
        let name = &table.label.name;
        let text = cells
            .last()
            .and_then(|cell| value(*cell))
            .ok_or_else(|| format!("label {name:?} is empty"))?;
        match &table.label.kind {
            LabelKind::Number(_) => number(name, text),
            LabelKind::Class(_) => match self.classes.get(text) {
                Some(&class) => Ok(class as f64),
                None => Err(format!("label {name:?} has {}, which is no class of it", shown(text))),
            },
        }
    }

    /// All rows, scaled.
    pub(super) fn finish(mut self, path: &Path, files: usize) -> Result<Records, DataError> {
        if self.records == 0 {
            return Err(DataError::Empty { path: path.to_owned() });
        }
        let limit = self.table.max_rejected_percent;
        if self.rejected * 100 > self.records * usize::from(limit) || self.labels.is_empty() {
            return Err(DataError::Rejected {
                path: path.to_owned(),
                rejected: self.rejected,
                records: self.records,
                limit,
                first: self.rejections.first().cloned().unwrap_or_default(),
            });
        }
        let mut at = 0;
        for column in &self.table.columns {
            if let ColumnRole::Number(role) = &column.role {
                let (mean, std) = match &role.scaling {
                    Scaling::None(_) => (0.0, 1.0),
                    Scaling::Fixed(scale) => (scale.mean.to_f64(), scale.std.to_f64()),
                    Scaling::Fitted(_) => self.fit(at).ok_or_else(|| DataError::File {
                        path: path.to_owned(),
                        problem: format!("column {:?} has no number in the training split", column.name),
                    })?,
                };
                for value in self.values.iter_mut().skip(at).step_by(self.width) {
                    *value = if value.is_nan() { 0.0 } else { (*value - mean) / std };
                }
            }
            at += usize::try_from(column.role.width()).unwrap_or(0);
        }
        let labels = match &self.table.label.kind {
            LabelKind::Class(_) => Labels::Classes(self.labels.iter().map(|&l| l as i64).collect()),
            LabelKind::Number(scale) => {
                let (mean, std) = (scale.mean.to_f64(), scale.std.to_f64());
                Labels::Numbers(self.labels.iter().map(|l| ((l - mean) / std) as f32).collect())
            }
        };
        Ok(Records {
            path: path.to_owned(),
            features: Features::Numbers(self.values.iter().map(|&v| v as f32).collect()),
            labels,
            inputs: self.width,
            is_test: self.is_test,
            files,
            rejected: self.rejected,
            rejections: self.rejections,
        })
    }

    /// Mean and standard deviation of an input over the training split. What does not vary is only shifted.
    fn fit(&self, input: usize) -> Option<(f64, f64)> {
        let column = || {
            let values = self.values.iter().skip(input).step_by(self.width);
            let known = values
                .zip(&self.is_test)
                .filter(|(value, test)| !**test && !value.is_nan());
            known.map(|(value, _)| *value)
        };
        let count = column().count() as f64;
        let mean = column().sum::<f64>() / count;
        let variance = column().map(|value| (value - mean).powi(2)).sum::<f64>() / count;
        let std = variance.sqrt();
        (count > 0.0).then_some((mean, if std > 1e-12 * mean.abs().max(1e-12) { std } else { 1.0 }))
    }
}

/// A cell's value; `None` for what stands for a missing one.
fn value<'a>(cell: Cell<'a>) -> Cell<'a> {
    let text = cell?.trim();
    (!text.is_empty() && !MISSING.iter().any(|missing| text.eq_ignore_ascii_case(missing))).then_some(text)
}

fn number(column: &str, text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() && value.abs() <= f64::from(f32::MAX) => Ok(value),
        _ => Err(format!("column {column:?} has {}, which is no number", shown(text))),
    }
}

/// A value in a message: short, and never more than its start, since logs and status leave the participant's hands.
fn shown(text: &str) -> String {
    let mut short: String = text.chars().take(12).collect();
    if short.len() < text.len() {
        short.push_str("...");
    }
    format!("{short:?}")
}
