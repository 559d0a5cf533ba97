//! Tables as text: all `*.csv` and `*.csv.gz` files of a folder, each with a header line.

use std::{
    fs::File,
    io::{BufReader, Read},
    path::Path,
};

use csv::{ByteRecord, ReaderBuilder, StringRecord};
use flate2::read::MultiGzDecoder;

use super::{
    error::DataError,
    images::list,
    table::{Builder, Cell},
};

const DELIMITERS: [u8; 3] = [b',', b';', b'\t'];

/// Reads all rows; returns how many files there were.
pub(super) fn read(directory: &Path, builder: &mut Builder<'_>) -> Result<usize, DataError> {
    let mut files = 0;
    for path in list(directory)? {
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        if name.ends_with(".csv") || name.ends_with(".csv.gz") {
            read_file(&path, name.ends_with(".gz"), builder)?;
            files += 1;
        }
    }
    if files == 0 {
        return Err(DataError::NoFiles {
            path: directory.to_owned(),
            wanted: "*.csv or *.csv.gz file",
        });
    }
    Ok(files)
}

fn read_file(path: &Path, packed: bool, builder: &mut Builder<'_>) -> Result<(), DataError> {
    let problem = |problem: String| DataError::File {
        path: path.to_owned(),
        problem,
    };
    let open = || -> Result<Box<dyn Read>, DataError> {
        let file = BufReader::with_capacity(1 << 18, File::open(path).map_err(|error| problem(error.to_string()))?);
        Ok(if packed {
            Box::new(MultiGzDecoder::new(file))
        } else {
            Box::new(file)
        })
    };
    let wanted = builder.names();
    let mut best: Option<(usize, u8, StringRecord)> = None;
    for delimiter in DELIMITERS {
        let mut reader = ReaderBuilder::new().delimiter(delimiter).from_reader(open()?);
        let header = reader.headers().map_err(|error| problem(error.to_string()))?.clone();
        let header: StringRecord = header
            .iter()
            .map(|name| name.trim().trim_start_matches('\u{feff}'))
            .collect();
        let found = wanted.iter().filter(|name| header.iter().any(|h| h == **name)).count();
        if best.as_ref().is_none_or(|(most, _, _)| found > *most) {
            best = Some((found, delimiter, header));
        }
    }
    let (_, delimiter, header) = best.ok_or_else(|| problem("it has no header line".into()))?;
    let columns = columns(&header, &wanted).map_err(problem)?;
    let mut reader = ReaderBuilder::new()
        .delimiter(delimiter)
        .flexible(true)
        .from_reader(open()?);
    let mut record = ByteRecord::new();
    let mut cells: Vec<Cell<'_>>;
    while reader
        .read_byte_record(&mut record)
        .map_err(|error| problem(error.to_string()))?
    {
        let line = record.position().map_or(0, csv::Position::line);
        if record.len() != header.len() {
            let why = format!("{} fields, but the header has {}", record.len(), header.len());
            builder.reject(path, line, &why);
            continue;
        }
        let texts: Result<Vec<&str>, _> = columns.iter().map(|&i| std::str::from_utf8(&record[i])).collect();
        match texts {
            Ok(texts) => {
                cells = texts.into_iter().map(Some).collect();
                builder.row(path, line, &cells);
            }
            Err(_) => builder.reject(path, line, "not UTF-8 text"),
        }
    }
    Ok(())
}

/// Where the wanted columns are.
fn columns(header: &StringRecord, wanted: &[&str]) -> Result<Vec<usize>, String> {
    let (mut places, mut missing) = (Vec::new(), Vec::new());
    for name in wanted {
        let mut found = header.iter().enumerate().filter(|(_, column)| column == name);
        match (found.next(), found.next()) {
            (Some((place, _)), None) => places.push(place),
            (Some(_), Some(_)) => return Err(format!("its header has column {name:?} twice")),
            (None, _) => missing.push(format!("{name:?}")),
        }
    }
    if missing.is_empty() {
        return Ok(places);
    }
    let first: Vec<String> = missing.iter().take(5).cloned().collect();
    Err(format!(
        "its header lacks {} of the definition's columns: {}",
        missing.len(),
        first.join(", ")
    ))
}
