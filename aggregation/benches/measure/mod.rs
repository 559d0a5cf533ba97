//! Files to aggregate, and what is measured of reading them.

use std::{
    fs::{self, File},
    io::BufWriter,
    path::Path,
    thread,
};

use aggregation::{Contribution, Options, ReadAt};
use protocol::{
    architecture::{Dtype, TensorSpec},
    model::{Layout, Metadata, ModelWriter},
    types::ModelHash,
};

pub(crate) fn write_model(tensors: &[TensorSpec], metadata: &Metadata, path: &Path, seed: u32) -> ModelHash {
    let layout = Layout::new(tensors, metadata).expect("a layout");
    let out = BufWriter::with_capacity(1 << 20, File::create(path).expect("a file"));
    let mut writer = ModelWriter::new(&layout, out).expect("a header");
    let dtype = tensors[0].dtype;
    let mut state = seed;
    let mut left = layout.data_len() as usize;
    let mut block = Vec::with_capacity(1 << 16);
    while left > 0 {
        block.clear();
        while block.len() < left.min(1 << 16) {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            // Between 1 and 2, or between -2 and -1: every bit of the mantissa at random.
            let (sign, mantissa) = (state & 0x8000_0000, state & 0x007f_ffff);
            match dtype {
                Dtype::F32 => block.extend((sign | 0x3f80_0000 | mantissa).to_le_bytes()),
                Dtype::Bf16 => block.extend((((sign | 0x3f80_0000 | mantissa) >> 16) as u16).to_le_bytes()),
                Dtype::F16 => block.extend(((sign >> 16 | 0x3c00 | mantissa >> 13) as u16).to_le_bytes()),
            }
        }
        writer.write_bytes(&block).expect("data");
        left -= block.len();
    }
    writer.finish().expect("a model")
}

pub(crate) fn probe(contributions: &[Contribution], threads: usize) -> u64 {
    let threads = threads as u64;
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|t| {
                scope.spawn(move || {
                    let mut block = vec![0u8; Options::default().input_block];
                    let mut sum = 0u64;
                    for contribution in contributions {
                        let reader: &dyn ReadAt = contribution.source.reader();
                        let size = reader.size().expect("a size");
                        let (mut at, end) = (size * t / threads, size * (t + 1) / threads);
                        while at < end {
                            let n = (end - at).min(block.len() as u64) as usize;
                            reader.read_exact_at(&mut block[..n], at).expect("a read");
                            for word in block[..n].as_chunks::<8>().0 {
                                sum = sum.wrapping_add(u64::from_le_bytes(*word));
                            }
                            at += n as u64;
                        }
                    }
                    sum
                })
            })
            .collect();
        workers
            .into_iter()
            .map(|w| w.join().expect("a worker"))
            .fold(0, u64::wrapping_add)
    })
}

/// Seconds that processors spent on this process, all its threads together, in the program and in the kernel.
pub(crate) fn processor_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // Behind the name, which may hold anything: state is the first field, user and system time are the 12th and 13th.
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: f64 = fields.skip(11).take(2).filter_map(|n| n.parse::<f64>().ok()).sum();
    // Linux has shown times in hundredths of a second on every machine for twenty years.
    ticks / 100.0
}

/// Peak resident memory in MiB since the last [`reset_peak`].
pub(crate) fn peak() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|l| l.starts_with("VmHWM:"));
    let kib: f64 = line
        .and_then(|l| l.split_whitespace().nth(1)?.parse().ok())
        .unwrap_or(f64::NAN);
    kib / 1024.0
}

pub(crate) fn reset_peak() {
    // What the kernel's documentation calls resetting the peak resident set size.
    let _ = fs::write("/proc/self/clear_refs", "5");
}
