//! Records that are images: a pair of IDX files, or a folder for each class.

use std::{
    fs,
    path::{Path, PathBuf},
};

use image::{ImageReader, imageops::FilterType};
use protocol::{
    definition::{Data, Definition, Fit, Images},
    split,
    types::Address,
};

use super::{
    Features, Labels, Records,
    error::DataError,
    idx::{IMAGES, Idx, IdxError, LABELS},
};

/// A record, for the split, is its pixels followed by its label byte.
pub(super) fn read_idx(directory: &Path, definition: &Definition, participant: Address) -> Result<Records, DataError> {
    let images = Idx::<3>::read(directory, IMAGES).map_err(memory)?;
    let labels = Idx::<1>::read(directory, LABELS).map_err(memory)?;
    let [count, height, width] = images.dimensions;
    if count != labels.data.len() {
        return Err(DataError::Counts {
            images_path: images.path,
            images: count,
            labels_path: labels.path,
            labels: labels.data.len(),
        });
    }
    if count == 0 {
        return Err(DataError::Empty { path: images.path });
    }
    check_size(&images.path, height, width, definition)?;
    let classes = definition.classes().unwrap_or(0);
    if let Some((record, &label)) = labels.data.iter().enumerate().find(|(_, l)| u32::from(**l) >= classes) {
        return Err(DataError::Label {
            path: labels.path,
            record,
            label,
            classes,
        });
    }
    let inputs = height * width;
    let mut record = vec![0u8; inputs + 1];
    let is_test = images
        .data
        .chunks_exact(inputs)
        .zip(&labels.data)
        .map(|(pixels, label)| {
            record[..inputs].copy_from_slice(pixels);
            record[inputs] = *label;
            split::is_test(participant, &record, definition.split.test_percent)
        })
        .collect();
    Ok(Records {
        path: images.path,
        features: Features::Pixels(images.data),
        labels: Labels::Classes(labels.data.iter().map(|&l| i64::from(l)).collect()),
        inputs,
        is_test,
        files: 2,
        rejected: 0,
        rejections: Vec::new(),
    })
}

fn memory(error: IdxError) -> DataError {
    match error {
        IdxError::TooLarge { path, .. } => DataError::Memory { path },
        IdxError::Io { path, error } if error.kind() == std::io::ErrorKind::OutOfMemory => DataError::Memory { path },
        other => DataError::Idx(other),
    }
}

fn check_size(path: &Path, height: usize, width: usize, definition: &Definition) -> Result<(), DataError> {
    let wanted = match &definition.data {
        Some(Data::Images(images)) => Some([images.channels, images.height, images.width]),
        _ => definition.architecture.image(),
    };
    let inputs = definition.architecture.inputs();
    let (fits, expected) = match wanted {
        Some([channels, h, w]) => (
            (1, height, width) == (channels, h as usize, w as usize),
            format!("{h} x {w} with {channels} channels"),
        ),
        None => ((height * width) as u64 == inputs, format!("{inputs} pixels")),
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

/// A record, for the split, is its pixels (channel by channel) followed by the name of its class.
pub(super) fn read_folder(
    directory: &Path,
    images: &Images,
    test_percent: u8,
    participant: Address,
) -> Result<Records, DataError> {
    for entry in list(directory)? {
        let name = entry.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if entry.is_dir() && name != "lost+found" && !images.classes.contains(&name) {
            return Err(DataError::File {
                path: entry,
                problem: "this folder is none of the definition's classes".into(),
            });
        }
    }
    let inputs = images.channels as usize * images.height as usize * images.width as usize;
    let (mut pixels, mut labels, mut is_test) = (Vec::new(), Vec::new(), Vec::new());
    let mut record = Vec::new();
    for (class, name) in images.classes.iter().enumerate() {
        let folder = directory.join(name);
        if !folder.is_dir() {
            continue;
        }
        for path in list(&folder)? {
            let extension = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
            if !["png", "jpg", "jpeg"].contains(&&*extension) {
                return Err(DataError::File {
                    path,
                    problem: "not a PNG or JPEG file (.png, .jpg, .jpeg)".into(),
                });
            }
            let start = pixels.len();
            decode(&path, images, &mut pixels)?;
            record.clear();
            record.extend_from_slice(&pixels[start..]);
            record.extend_from_slice(name.as_bytes());
            is_test.push(split::is_test(participant, &record, test_percent));
            labels.push(class as i64);
        }
    }
    if labels.is_empty() {
        return Err(DataError::NoFiles {
            path: directory.to_owned(),
            wanted: "folder with images named as one of the definition's classes",
        });
    }
    Ok(Records {
        path: directory.to_owned(),
        files: labels.len(),
        features: Features::Pixels(pixels),
        labels: Labels::Classes(labels),
        inputs,
        is_test,
        rejected: 0,
        rejections: Vec::new(),
    })
}

/// What is in a folder, in order of names, without what starts with a dot.
pub(super) fn list(directory: &Path) -> Result<Vec<PathBuf>, DataError> {
    let problem = |error: std::io::Error| DataError::File {
        path: directory.to_owned(),
        problem: error.to_string(),
    };
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).map_err(problem)? {
        let path = entry.map_err(problem)?.path();
        let hidden = path
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if !hidden {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Appends an image's pixels, channel by channel.
fn decode(path: &Path, wanted: &Images, pixels: &mut Vec<u8>) -> Result<(), DataError> {
    let problem = |problem: String| DataError::File {
        path: path.to_owned(),
        problem,
    };
    let mut image = ImageReader::open(path)
        .and_then(ImageReader::with_guessed_format)
        .map_err(|error| problem(error.to_string()))?
        .decode()
        .map_err(|error| problem(format!("cannot be decoded: {error}")))?;
    if (image.height(), image.width()) != (wanted.height, wanted.width) {
        if wanted.fit == Fit::Exact {
            return Err(DataError::Size {
                path: path.to_owned(),
                found: format!("{} x {}", image.height(), image.width()),
                expected: format!("{} x {}", wanted.height, wanted.width),
            });
        }
        image = image.resize_exact(wanted.width, wanted.height, FilterType::Triangle);
    }
    if wanted.channels == 1 {
        pixels.extend_from_slice(image.to_luma8().as_raw());
    } else {
        let colours = image.to_rgb8();
        for channel in 0..3 {
            pixels.extend(colours.as_raw().iter().skip(channel).step_by(3));
        }
    }
    Ok(())
}
