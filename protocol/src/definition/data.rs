//! What a record is. How a participant's files are read is its own business; what comes out is the same for everybody,
//! or models would not fit together: columns and categories are listed here and not looked up in anybody's data.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::{
    DefinitionError,
    checks::{Empty, count, number},
};
use crate::decimal::Decimal;

/// Most classes a label may have.
const MAX_CLASSES: u64 = 65_536;

/// (pixel / 255 - mean) / std.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Preprocessing {
    pub mean: Decimal,
    /// Above 0.
    pub std: Decimal,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Split {
    /// 1..=90 percent of the records are for testing.
    pub test_percent: u8,
}

/// One of. A definition without `data` takes images whose labels are numbers from 0.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Data {
    Images(Images),
    Table(Table),
}

/// Images of one size with named classes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Images {
    /// 1 (grey) or 3 (colour): what is read is converted.
    pub channels: u32,
    pub height: u32,
    pub width: u32,
    pub fit: Fit,
    /// Class 0, 1, ...: in image folders the folders' names.
    pub classes: Vec<String>,
    /// A participant's training split must have this many records of every class; 0: it may lack some.
    pub min_records: u32,
}

/// What is done with an image of another size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Fit {
    /// Refused.
    Exact,
    /// Scaled, whatever its proportions.
    Scale,
}

/// Rows of named columns. Columns that are not listed are not looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Table {
    /// In the order in which they enter the network.
    pub columns: Vec<Column>,
    pub label: Label,
    /// 0..=100: with more than this share of rows rejected the data are refused.
    pub max_rejected_percent: u8,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Column {
    pub name: String,
    pub role: ColumnRole,
}

/// One of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ColumnRole {
    /// One input.
    Number(NumberColumn),
    /// One input for each category, 1 for the row's and 0 for the others.
    Category(CategoryColumn),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NumberColumn {
    pub missing: MissingNumber,
    pub scaling: Scaling,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum MissingNumber {
    /// The row is rejected.
    Reject,
    /// The mean that `scaling` subtracts takes its place.
    Mean,
}

/// (x - mean) / std. One of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Scaling {
    /// Mean and standard deviation of the participant's own training split: nothing about the data leaves it, but the
    /// same value may enter two participants' networks as two numbers.
    Fitted(Empty),
    /// The same for everybody.
    Fixed(Preprocessing),
    /// As it is.
    None(Empty),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CategoryColumn {
    pub categories: Vec<String>,
    pub missing: OtherCategory,
    /// A value that is not listed.
    pub unknown: OtherCategory,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum OtherCategory {
    /// The row is rejected.
    Reject,
    /// All inputs of the column are 0.
    NoCategory,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Label {
    pub name: String,
    pub kind: LabelKind,
}

/// One of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum LabelKind {
    Class(ClassLabel),
    /// A number to be predicted; the network learns (x - mean) / std.
    Number(Preprocessing),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClassLabel {
    /// As written in the data; of two, the second is the positive one.
    pub classes: Vec<String>,
    /// A participant's training split must have this many records of every class; 0: it may lack some.
    pub min_records: u32,
}

impl Preprocessing {
    pub(super) fn check(&self, names: [&'static str; 2]) -> Result<(), DefinitionError> {
        number(names[0], &self.mean, "between -1000000000 and 1000000000", |x| {
            x.abs() <= 1e9
        })?;
        number(names[1], &self.std, "between 0.000001 and 1000000000", |x| {
            (1e-6..=1e9).contains(&x)
        })
    }
}

impl ColumnRole {
    /// Inputs of the network.
    pub fn width(&self) -> u64 {
        match self {
            Self::Number(_) => 1,
            Self::Category(column) => column.categories.len() as u64,
        }
    }
}

impl Table {
    /// Inputs of the network.
    pub fn width(&self) -> u64 {
        self.columns.iter().map(|column| column.role.width()).sum()
    }
}

impl Data {
    /// Names of the classes; `None` if the label is a number.
    pub fn classes(&self) -> Option<&[String]> {
        match self {
            Self::Images(images) => Some(&images.classes),
            Self::Table(table) => match &table.label.kind {
                LabelKind::Class(label) => Some(&label.classes),
                LabelKind::Number(_) => None,
            },
        }
    }

    /// Records of every class that a training split must have.
    pub fn min_records(&self) -> u32 {
        match self {
            Self::Images(images) => images.min_records,
            Self::Table(table) => match &table.label.kind {
                LabelKind::Class(label) => label.min_records,
                LabelKind::Number(_) => 0,
            },
        }
    }

    pub(super) fn check(&self) -> Result<(), DefinitionError> {
        match self {
            Self::Images(images) => images.check(),
            Self::Table(table) => table.check(),
        }
    }
}

impl Images {
    fn check(&self) -> Result<(), DefinitionError> {
        if ![1, 3].contains(&self.channels) {
            return Err(DefinitionError::Range {
                field: "data.images.channels",
                value: self.channels.to_string(),
                expected: "1 or 3",
            });
        }
        for (field, side) in [("data.images.height", self.height), ("data.images.width", self.width)] {
            count(field, side.into(), 1..=4096, "between 1 and 4096")?;
        }
        names("data.images.classes", &self.classes, 2..=MAX_CLASSES)?;
        match self
            .classes
            .iter()
            .find(|name| name.contains('/') || name.starts_with('.'))
        {
            Some(name) => Err(DefinitionError::Range {
                field: "data.images.classes",
                value: format!("{name:?}"),
                expected: "names of folders: without slashes, not starting with a dot",
            }),
            None => Ok(()),
        }
    }
}

impl Table {
    fn check(&self) -> Result<(), DefinitionError> {
        count(
            "the number of data.table.columns",
            self.columns.len() as u64,
            1..=4096,
            "between 1 and 4096",
        )?;
        let columns: Vec<String> = self
            .columns
            .iter()
            .map(|column| column.name.clone())
            .chain([self.label.name.clone()])
            .collect();
        names("the names of data.table.columns and label", &columns, 1..=4097)?;
        for column in &self.columns {
            match &column.role {
                ColumnRole::Number(number) => number.check()?,
                ColumnRole::Category(category) => names(
                    "data.table.columns.role.category.categories",
                    &category.categories,
                    1..=4096,
                )?,
            }
        }
        count(
            "data.table.maxRejectedPercent",
            self.max_rejected_percent.into(),
            0..=100,
            "between 0 and 100",
        )?;
        match &self.label.kind {
            LabelKind::Class(label) => names("data.table.label.kind.class.classes", &label.classes, 2..=MAX_CLASSES),
            LabelKind::Number(scale) => {
                scale.check(["data.table.label.kind.number.mean", "data.table.label.kind.number.std"])
            }
        }
    }
}

impl NumberColumn {
    fn check(&self) -> Result<(), DefinitionError> {
        match &self.scaling {
            Scaling::Fixed(scale) => scale.check([
                "data.table.columns.role.number.scaling.fixed.mean",
                "data.table.columns.role.number.scaling.fixed.std",
            ]),
            Scaling::None(_) if self.missing == MissingNumber::Mean => Err(DefinitionError::Fit(
                "data.table.columns: a number without scaling has no mean that could stand for what is missing".into(),
            )),
            Scaling::Fitted(_) | Scaling::None(_) => Ok(()),
        }
    }
}

/// Distinct, not empty, of a length one can read, without what files cannot hold or readers trim.
fn names(field: &'static str, names: &[String], number: std::ops::RangeInclusive<u64>) -> Result<(), DefinitionError> {
    let refuse = |value: String, expected| Err(DefinitionError::Range { field, value, expected });
    if !number.contains(&(names.len() as u64)) {
        return refuse(
            format!("{} names", names.len()),
            "as many as there may be (classes: 2 to 65536, categories: 1 to 4096)",
        );
    }
    let mut seen = HashSet::new();
    for name in names {
        let plain = !name.is_empty() && name.len() <= 128 && name.trim() == name && !name.contains(char::is_control);
        if !plain {
            return refuse(
                format!("{name:?}"),
                "1 to 128 bytes without control characters, and without spaces at the ends",
            );
        }
        if !seen.insert(name.as_str()) {
            return refuse(format!("{name:?} twice"), "distinct names");
        }
    }
    Ok(())
}
