//! The IDX format of MNIST: magic, dimensions as big-endian u32, then unsigned bytes. Plain or gzipped.

use std::{
    fs::File,
    io::{self, BufReader, Read},
    path::{Path, PathBuf},
};

use flate2::read::MultiGzDecoder;

/// Name of the file of images in the data folder, with or without `.gz`.
pub const IMAGES: &str = "images-idx3-ubyte";
/// Name of the file of labels in the data folder, with or without `.gz`.
pub const LABELS: &str = "labels-idx1-ubyte";

#[derive(Debug, thiserror::Error)]
pub enum IdxError {
    #[error("{} has neither {name} nor {name}.gz", .directory.display())]
    Missing { directory: PathBuf, name: &'static str },
    #[error("{}: {error}", .path.display())]
    Io { path: PathBuf, error: io::Error },
    #[error("{}: not an IDX file of unsigned bytes with {dimensions} dimensions: it starts with {found:02x?}", .path.display())]
    Magic {
        path: PathBuf,
        dimensions: u8,
        found: [u8; 4],
    },
    #[error("{}: its header declares {declared} bytes of data, but it ends after {found}", .path.display())]
    Short { path: PathBuf, declared: u64, found: u64 },
    #[error("{}: there are bytes after the {declared} its header declares", .path.display())]
    Long { path: PathBuf, declared: u64 },
    #[error("{}: its header declares more data than memory can hold ({declared} bytes)", .path.display())]
    TooLarge { path: PathBuf, declared: u128 },
}

impl IdxError {
    pub fn category(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "missing",
            Self::Io { .. } => "io",
            Self::Magic { .. } => "magic",
            Self::Short { .. } | Self::Long { .. } => "length",
            Self::TooLarge { .. } => "too-large",
        }
    }
}

/// One IDX file in memory.
#[derive(Debug)]
pub struct Idx<const D: usize> {
    pub path: PathBuf,
    /// Outermost first: records, then rows and columns.
    pub dimensions: [usize; D],
    pub data: Vec<u8>,
}

impl<const D: usize> Idx<D> {
    /// Reads `name` or `name.gz` from `directory`; the plain file wins.
    pub fn read(directory: &Path, name: &'static str) -> Result<Self, IdxError> {
        let plain = directory.join(name);
        let packed = directory.join(format!("{name}.gz"));
        let (path, gz) = if plain.exists() {
            (plain, false)
        } else if packed.exists() {
            (packed, true)
        } else {
            return Err(IdxError::Missing {
                directory: directory.to_owned(),
                name,
            });
        };
        let io = |error| IdxError::Io {
            path: path.clone(),
            error,
        };
        let file = BufReader::with_capacity(1 << 18, File::open(&path).map_err(io)?);
        if gz {
            Self::parse(path.clone(), MultiGzDecoder::new(file))
        } else {
            Self::parse(path.clone(), file)
        }
    }

    fn parse(path: PathBuf, mut reader: impl Read) -> Result<Self, IdxError> {
        let io = |error: io::Error| IdxError::Io {
            path: path.clone(),
            error,
        };
        let mut magic = [0u8; 4];
        let read = read_up_to(&mut reader, &mut magic).map_err(io)?;
        if read < 4 || magic != [0, 0, 8, D as u8] {
            return Err(IdxError::Magic {
                path,
                dimensions: D as u8,
                found: magic,
            });
        }
        let mut dimensions = [0usize; D];
        for (i, dimension) in dimensions.iter_mut().enumerate() {
            let mut field = [0u8; 4];
            if read_up_to(&mut reader, &mut field).map_err(io)? < 4 {
                return Err(IdxError::Short {
                    path,
                    declared: (4 * D) as u64,
                    found: (4 * i) as u64,
                });
            }
            *dimension = u32::from_be_bytes(field) as usize;
        }
        let declared = dimensions.iter().map(|&d| d as u128).product::<u128>();
        let too_large = || IdxError::TooLarge {
            path: path.clone(),
            declared,
        };
        let length = usize::try_from(declared).map_err(|_| too_large())?;
        // Grows with what is really there, so that a lying header costs nothing.
        let mut data = Vec::new();
        data.try_reserve(length.min(1 << 26)).map_err(|_| too_large())?;
        reader.by_ref().take(length as u64).read_to_end(&mut data).map_err(io)?;
        if data.len() < length {
            return Err(IdxError::Short {
                path,
                declared: length as u64,
                found: data.len() as u64,
            });
        }
        if read_up_to(&mut reader, &mut [0u8]).map_err(io)? > 0 {
            return Err(IdxError::Long {
                path,
                declared: length as u64,
            });
        }
        Ok(Self { path, dimensions, data })
    }
}

fn read_up_to(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    fn labels(bytes: &[u8]) -> Result<Idx<1>, IdxError> {
        Idx::parse("labels".into(), bytes)
    }

    #[test]
    fn labels_are_read() {
        let idx = labels(&[0, 0, 8, 1, 0, 0, 0, 3, 7, 8, 9]).unwrap();
        assert_eq!((idx.dimensions, idx.data), ([3], vec![7, 8, 9]));
    }

    #[test]
    fn a_wrong_magic_a_short_and_a_long_file_are_told_apart() {
        assert_eq!(labels(&[0, 0, 8, 3, 0, 0, 0, 0]).unwrap_err().category(), "magic");
        assert_eq!(labels(&[0, 0]).unwrap_err().category(), "magic");
        assert_eq!(labels(&[0, 0, 8, 1, 0, 0]).unwrap_err().category(), "length");
        assert_eq!(
            labels(&[0, 0, 8, 1, 0, 0, 0, 3, 7]).unwrap_err().to_string(),
            "labels: its header declares 3 bytes of data, but it ends after 1"
        );
        assert_eq!(
            labels(&[0, 0, 8, 1, 0, 0, 0, 1, 7, 7]).unwrap_err().category(),
            "length"
        );
    }

    #[test]
    fn a_header_that_lies_about_its_size_costs_no_memory() {
        let error = labels(&[0, 0, 8, 1, 255, 255, 255, 255, 1]).unwrap_err();
        assert_eq!(error.category(), "length");
        let mut cube = vec![0, 0, 8, 3];
        cube.extend([255; 12]);
        assert_eq!(
            Idx::<3>::parse("images".into(), &*cube).unwrap_err().category(),
            "too-large"
        );
    }

    #[test]
    fn gzipped_files_are_read_and_a_missing_one_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let mut gz = GzEncoder::new(
            File::create(folder.path().join("labels-idx1-ubyte.gz")).unwrap(),
            Compression::fast(),
        );
        gz.write_all(&[0, 0, 8, 1, 0, 0, 0, 1, 5]).unwrap();
        gz.finish().unwrap();
        assert_eq!(Idx::<1>::read(folder.path(), LABELS).unwrap().data, [5]);
        let error = Idx::<3>::read(folder.path(), IMAGES).unwrap_err().to_string();
        assert!(
            error.ends_with("has neither images-idx3-ubyte nor images-idx3-ubyte.gz"),
            "{error}"
        );
    }
}
