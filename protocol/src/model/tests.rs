use safetensors::SafeTensors;
use sha2::{Digest, Sha256};

use super::*;
use crate::{
    architecture::{Dtype, TensorSpec},
    types::{Address, Round},
};

fn specs() -> Vec<TensorSpec> {
    let spec = |name: &str, shape: &[usize]| TensorSpec {
        name: name.into(),
        shape: shape.into(),
        dtype: Dtype::F32,
    };
    vec![spec("b", &[2, 2]), spec("a.weight", &[3]), spec("B", &[1])]
}

fn contribution() -> Metadata {
    Metadata::contribution(Address::repeat_byte(0xAB), Round(7), Address::repeat_byte(0xCD))
}

fn file(metadata: &Metadata) -> Vec<u8> {
    let layout = Layout::new(&specs(), metadata).unwrap();
    let mut out = Vec::new();
    let mut writer = ModelWriter::new(&layout, &mut out).unwrap();
    writer.write_f32(&[1.0, 2.0, 3.0]).unwrap();
    writer.write_f32(&[4.0, 5.0, 6.0, 7.0, 8.0]).unwrap();
    let name = writer.finish().unwrap();
    assert_eq!(name.to_string(), hex::encode(Sha256::digest(&out)));
    out
}

fn read(bytes: &[u8]) -> Result<ModelHeader, ModelError> {
    ModelHeader::read(&mut &bytes[..], bytes.len() as u64)
}

/// A file with this header (padded or not, as given) and `data` bytes of zeros.
fn raw(json: &str, data: usize) -> Vec<u8> {
    let mut bytes = (json.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(json.as_bytes());
    bytes.resize(bytes.len() + data, 0);
    bytes
}

#[test]
fn the_canonical_header_is_as_specified() {
    let bytes = file(&contribution());
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    assert_eq!((8 + length) % 8, 0);
    let json = std::str::from_utf8(&bytes[8..8 + length]).unwrap();
    assert_eq!(
        json.trim_end_matches(' '),
        concat!(
            r#"{"__metadata__":{"proposer":"0xcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd","round":"7","#,
            r#""task":"0xabababababababababababababababababababab"},"#,
            r#""B":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"#,
            r#""a.weight":{"dtype":"F32","shape":[3],"data_offsets":[4,16]},"#,
            r#""b":{"dtype":"F32","shape":[2,2],"data_offsets":[16,32]}}"#
        )
    );
    assert_eq!(bytes.len(), 8 + length + 32);
}

#[test]
fn other_readers_find_the_tensors() {
    let bytes = file(&Metadata::none());
    let upstream = SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(
        upstream.tensor("a.weight").unwrap().data(),
        [2.0f32, 3.0, 4.0].map(f32::to_le_bytes).concat()
    );
}

#[test]
fn a_written_file_is_read_back_and_meets_its_own_requirements() {
    for metadata in [Metadata::none(), contribution()] {
        let bytes = file(&metadata);
        let header = read(&bytes).unwrap();
        header.require(&specs(), &metadata).unwrap();
        let layout = Layout::new(&specs(), &metadata).unwrap();
        assert_eq!(header.tensors(), layout.tensors());
        assert_eq!(header.header_len(), layout.header().len() as u64);
        assert_eq!(layout.file_len(), bytes.len() as u64);
    }
}

#[test]
fn files_of_other_writers_are_read_if_they_mean_one_thing() {
    let json = r#"{"b":{"shape":[2,2],"data_offsets":[0,16],"dtype":"F32"},
        "a.weight":{"dtype":"F32","shape":[3],"data_offsets":[16,28]},"B":{"dtype":"F32","shape":[1],"data_offsets":[28,32]}}"#;
    let header = read(&raw(json, 32)).unwrap();
    header.require(&specs(), &Metadata::none()).unwrap();
    assert_eq!(header.tensor("a.weight").map(|t| (t.start, t.size())), Some((16, 12)));
}

#[test]
fn broken_headers_are_refused() {
    let one = r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#;
    assert!(read(&raw(one, 4)).is_ok());
    let cases = [
        (raw(one, 3), "length"),
        (raw(one, 5), "length"),
        (vec![1, 2, 3], "truncated"),
        (raw(one, 4)[..20].to_vec(), "truncated"),
        ((MAX_HEADER_BYTES + 1).to_le_bytes().to_vec(), "header-too-large"),
        (u64::MAX.to_le_bytes().to_vec(), "header-too-large"),
        (raw(&format!(" {one}"), 4), "header"),
        (raw("[]", 0), "header"),
        (raw("{", 0), "header"),
        (raw(&one.replace("[0,4]", "[4,8]"), 8), "header"),
        (raw(&one.replace("[0,4]", "[0,8]"), 8), "header"),
        (raw(&one.replace("[1]", "[18446744073709551615,2]"), 4), "header"),
        (
            raw(
                &one.replace("\"dtype\":\"F32\"", "\"dtype\":\"F32\",\"dtype\":\"F32\""),
                4,
            ),
            "header",
        ),
        (
            raw(
                r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#,
                4,
            ),
            "header",
        ),
        (raw(r#"{"__metadata__":{"x":"1","x":"2"}}"#, 0), "header"),
        (raw(&one.replace("F32", "F64").replace("[0,4]", "[0,8]"), 8), "dtype"),
    ];
    for (bytes, category) in cases {
        let error = read(&bytes).expect_err(&format!("{:?}", String::from_utf8_lossy(&bytes)));
        assert_eq!(
            error.category(),
            category,
            "{error}: {:?}",
            String::from_utf8_lossy(&bytes)
        );
    }
}

#[test]
fn tensors_and_metadata_must_be_exactly_the_expected_ones() {
    let header = read(&file(&contribution())).unwrap();
    let category = |specs: &[TensorSpec], metadata: &Metadata| header.require(specs, metadata).unwrap_err().category();
    assert_eq!(category(&specs(), &Metadata::none()), "metadata");
    let foreign = Metadata::contribution(Address::repeat_byte(0xAB), Round(7), Address::repeat_byte(0xCE));
    assert_eq!(category(&specs(), &foreign), "metadata");
    assert_eq!(category(&specs()[..2], &contribution()), "unexpected-tensor");
    let mut more = specs();
    more.push(TensorSpec {
        name: "c".into(),
        shape: vec![1],
        dtype: Dtype::F32,
    });
    assert_eq!(category(&more, &contribution()), "missing-tensor");
    let mut flat = specs();
    flat[0].shape = vec![4];
    assert_eq!(category(&flat, &contribution()), "shape");
    let mut half = specs();
    half[0].dtype = Dtype::F16;
    assert_eq!(category(&half, &contribution()), "dtype");
}

#[test]
fn a_writer_takes_exactly_the_promised_bytes() {
    let layout = Layout::new(&specs(), &Metadata::none()).unwrap();
    let mut writer = ModelWriter::new(&layout, Vec::new()).unwrap();
    writer.write_bytes(&[0; 31]).unwrap();
    assert_eq!(writer.write_bytes(&[0; 2]).unwrap_err().category(), "incomplete");
    assert_eq!(writer.finish().unwrap_err().category(), "incomplete");
}

#[test]
fn sizes_that_overflow_are_refused() {
    let huge = [TensorSpec {
        name: "a".into(),
        shape: vec![usize::MAX, 2],
        dtype: Dtype::F32,
    }];
    assert_eq!(
        Layout::new(&huge, &Metadata::none()).unwrap_err().category(),
        "overflow"
    );
}
