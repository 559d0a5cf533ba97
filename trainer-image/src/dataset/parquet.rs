//! Tables as Parquet: all `*.parquet` files of a folder. A row's "line" is its number in the file, from 1.

use std::{fs::File, path::Path, sync::Arc};

use parquet::{
    errors::ParquetError,
    file::reader::{FileReader, SerializedFileReader},
    record::Field,
    schema::types::Type,
};

use super::{
    error::DataError,
    images::list,
    table::{Builder, Cell},
};

/// Reads all rows; returns how many files there were.
pub(super) fn read(directory: &Path, builder: &mut Builder<'_>) -> Result<usize, DataError> {
    let mut files = 0;
    for path in list(directory)? {
        if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("parquet")) {
            read_file(&path, builder)?;
            files += 1;
        }
    }
    if files == 0 {
        return Err(DataError::NoFiles {
            path: directory.to_owned(),
            wanted: "*.parquet file",
        });
    }
    Ok(files)
}

fn read_file(path: &Path, builder: &mut Builder<'_>) -> Result<(), DataError> {
    let problem = |problem: String| DataError::File {
        path: path.to_owned(),
        problem,
    };
    let broken = |error: ParquetError| problem(format!("cannot be read as Parquet: {error}"));
    let file = File::open(path).map_err(|error| problem(error.to_string()))?;
    let reader = SerializedFileReader::new(file).map_err(broken)?;
    let schema = reader.metadata().file_metadata().schema();
    let wanted = builder.names();
    let (mut fields, mut missing) = (Vec::new(), Vec::new());
    for name in &wanted {
        match schema.get_fields().iter().find(|field| field.name() == *name) {
            Some(field) if field.is_primitive() => fields.push(Arc::clone(field)),
            Some(_) => {
                return Err(problem(format!(
                    "column {name:?} holds lists or structures, not single values"
                )));
            }
            None => missing.push(format!("{name:?}")),
        }
    }
    if !missing.is_empty() {
        let first: Vec<String> = missing.iter().take(5).cloned().collect();
        return Err(problem(format!(
            "it lacks {} of the definition's columns: {}",
            missing.len(),
            first.join(", ")
        )));
    }
    let projection = Type::group_type_builder(schema.name())
        .with_fields(fields)
        .build()
        .map_err(broken)?;
    let rows = reader.get_row_iter(Some(projection)).map_err(broken)?;
    for (number, row) in rows.enumerate() {
        let row = row.map_err(broken)?;
        // Not in the order that was asked for: looked up by name.
        let texts: Vec<(&String, Option<String>)> =
            row.get_column_iter().map(|(name, field)| (name, text(field))).collect();
        let cells: Vec<Cell<'_>> = wanted
            .iter()
            .map(|name| {
                texts
                    .iter()
                    .find(|(n, _)| n == name)
                    .and_then(|(_, text)| text.as_deref())
            })
            .collect();
        builder.row(path, number as u64 + 1, &cells);
    }
    Ok(())
}

/// As a CSV file would have it.
fn text(field: &Field) -> Option<String> {
    match field {
        Field::Null => None,
        Field::Str(text) => Some(text.clone()),
        Field::Bytes(bytes) => bytes.as_utf8().ok().map(str::to_owned),
        Field::Float(value) => Some(value.to_string()),
        Field::Double(value) => Some(value.to_string()),
        other => Some(other.to_string()),
    }
}
