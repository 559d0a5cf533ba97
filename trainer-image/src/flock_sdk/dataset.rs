//! The participant's records are the container's business; how many there are is the chain's.

use std::{fs::File, io::BufReader, path::Path};

use protocol::job::{DataReport, SDK_DATA_FILE};
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::dataset::DataError;

/// Counts the objects of the array in `dataset.json`, one at a time.
pub(super) fn count(folder: &Path) -> Result<DataReport, DataError> {
    let path = folder.join(SDK_DATA_FILE);
    let file = File::open(&path).map_err(|error| DataError::File {
        path: path.clone(),
        problem: error.to_string(),
    })?;
    let mut reader = serde_json::Deserializer::from_reader(BufReader::with_capacity(1 << 18, file));
    let counted = reader.deserialize_seq(Records).and_then(|n| reader.end().map(|()| n));
    // The position alone: the parser's words would quote the record.
    let records = counted.map_err(|error| DataError::File {
        path: path.clone(),
        problem: if error.is_io() {
            // A folder, for instance: what a mount makes of a file that is not there.
            error.to_string()
        } else {
            format!(
                "line {}, column {}: this is not what an array of objects has there",
                error.line(),
                error.column()
            )
        },
    })?;
    if records == 0 {
        return Err(DataError::Empty { path });
    }
    Ok(DataReport {
        files: 1,
        records: u32::try_from(records).unwrap_or(u32::MAX),
        ..DataReport::default()
    })
}

struct Records;

impl<'de> Visitor<'de> for Records {
    type Value = u64;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an array of objects")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut records: A) -> Result<u64, A::Error> {
        let mut count = 0;
        while records.next_element::<Record>()?.is_some() {
            count += 1;
        }
        Ok(count)
    }
}

struct Record;

impl<'de> serde::Deserialize<'de> for Record {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Fields;

        impl<'de> Visitor<'de> for Fields {
            type Value = Record;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Record, A::Error> {
                while fields.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Record)
            }
        }

        from.deserialize_map(Fields)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn counted(text: &str) -> Result<u32, String> {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(SDK_DATA_FILE), text).unwrap();
        count(folder.path())
            .map(|report| report.records)
            .map_err(|error| error.to_string().replace(&*folder.path().to_string_lossy(), ""))
    }

    #[test]
    fn records_are_counted() {
        assert_eq!(counted(r#"[{"a": 1}, {"a": [{}, "]"]}, {}]"#), Ok(3));
    }

    #[test]
    fn what_is_no_array_of_objects_is_refused_by_position_and_never_quoted() {
        let message = counted("[{\"name\": \"Ada\"},\n \"Grace\"]").unwrap_err();
        assert!(message.contains("dataset.json: line 2, column "), "{message}");
        for wrong in ["[]", "{}", "[1]", "[{\"a\": 1}", "[{}] x", ""] {
            let message = counted(wrong).unwrap_err();
            assert!(!message.contains("Grace"), "{message}");
        }
    }

    #[test]
    fn a_folder_without_the_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let message = count(folder.path()).unwrap_err().to_string();
        assert!(message.contains("dataset.json"), "{message}");
        fs::create_dir(folder.path().join(SDK_DATA_FILE)).unwrap();
        let message = count(folder.path()).unwrap_err().to_string();
        assert!(message.contains("directory"), "{message}");
    }
}
