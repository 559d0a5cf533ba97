//! Aggregation speed from files in the page cache, beside a read probe over the same files in the same run.
//!
//!     cargo bench -p aggregation -- --inputs 8 --parameters 25000000 --repeats 5
//!
//! The probe reads every input with positioned reads of the same size from the same number of threads and adds the
//! words up. Rates count input plus output bytes (the probe: input). `combine` is the mean alone, `aggregate` validates
//! first (SHA-256 and every value of every input), which is what a vote does. The peak is the process's.

use std::{
    env, fs,
    fs::File,
    io::{BufWriter, Write},
    num::NonZeroUsize,
    path::{Path, PathBuf},
    thread,
    time::Instant,
};

use aggregation::{Contribution, ModelSource, Options, ReadAt, Rule, aggregate, combine, validate};
use protocol::{
    architecture::{Architecture, Mlp},
    definition,
    model::{Layout, Metadata, ModelWriter},
    types::{Address, ModelHash, Round},
};

const TASK: Address = Address::repeat_byte(1);

struct Settings {
    inputs: u32,
    parameters: u32,
    repeats: u32,
    threads: Vec<usize>,
    folder: PathBuf,
}

fn settings() -> Settings {
    let arguments: Vec<String> = env::args().collect();
    let value = |name: &str| {
        arguments
            .iter()
            .position(|a| a == name)
            .and_then(|i| arguments.get(i + 1))
    };
    let number = |name: &str, default| value(name).map_or(default, |v| v.parse().expect("a number"));
    let cpus = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    Settings {
        inputs: number("--inputs", 8),
        parameters: number("--parameters", 5_000_000),
        repeats: number("--repeats", 5),
        threads: value("--threads").map_or(if cpus > 1 { vec![1, cpus] } else { vec![1] }, |v| {
            v.split(',').map(|n| n.parse().expect("a number")).collect()
        }),
        folder: value("--folder").map_or_else(env::temp_dir, PathBuf::from),
    }
}

fn write_model(rule: &Rule, metadata: &Metadata, path: &Path, seed: u32) -> ModelHash {
    let layout = Layout::new(&rule.architecture.tensors(), metadata).expect("a layout");
    let out = BufWriter::with_capacity(1 << 20, File::create(path).expect("a file"));
    let mut writer = ModelWriter::new(&layout, out).expect("a header");
    let mut state = seed;
    let mut left = layout.data_len() as usize / 4;
    let mut block = vec![0f32; 4096];
    while left > 0 {
        let n = left.min(block.len());
        for value in &mut block[..n] {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *value = (state >> 8) as f32 / 8_388_608.0 - 1.0;
        }
        writer.write_f32(&block[..n]).expect("data");
        left -= n;
    }
    writer.finish().expect("a model")
}

fn probe(contributions: &[Contribution], options: &Options) -> u64 {
    let threads = options.threads.get() as u64;
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|t| {
                scope.spawn(move || {
                    let mut block = vec![0u8; options.input_block];
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

fn peak_mib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|l| l.starts_with("VmHWM:"));
    line.and_then(|l| l.split_whitespace().nth(1)?.parse::<u64>().ok())
        .unwrap_or(0)
        / 1024
}

/// Best and median of some rates.
fn summary(mut rates: Vec<f64>) -> String {
    rates.sort_by(f64::total_cmp);
    format!("{:6.2} {:6.2}", rates[rates.len() - 1], rates[rates.len() / 2])
}

fn main() {
    let settings = settings();
    let folder = settings
        .folder
        .join(format!("aggregation-bench-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder");
    let hidden = (settings.parameters / (784 + 10 + 1)).max(1);
    let rule = Rule {
        architecture: Architecture::Mlp(Mlp {
            inputs: 784,
            hidden: vec![hidden],
            outputs: 10,
        }),
        aggregation: definition::Aggregation {
            rule: definition::Rule::MeanV1,
            weighted: false,
        },
        max_model_bytes: u64::MAX,
        task: TASK,
        round: Round(0),
    };
    let path = folder.join("start");
    let start = ModelSource::open(write_model(&rule, &Metadata::none(), &path, 99), &path).expect("a file");
    let contributions: Vec<Contribution> = (0..settings.inputs)
        .map(|seat| {
            let proposer = Address::repeat_byte(seat as u8 + 2);
            let path = folder.join(seat.to_string());
            let hash = write_model(&rule, &Metadata::contribution(TASK, Round(0), proposer), &path, seat);
            let source = ModelSource::open(hash, &path).expect("a file");
            Contribution {
                seat,
                proposer,
                sample_count: 1,
                source,
            }
        })
        .collect();
    let model = contributions[0].source.reader().size().expect("a size");
    let input = model * u64::from(settings.inputs);
    println!(
        "{} inputs of {:.1} MB, from files; GB/s best and median of {}",
        settings.inputs,
        model as f64 / 1e6,
        settings.repeats
    );
    println!("peak before: {} MiB", peak_mib());
    println!("threads |   read probe |      combine | to a file    |    aggregate");
    for threads in &settings.threads {
        let options = Options {
            threads: NonZeroUsize::new(*threads).expect("not 0"),
            ..Options::default()
        };
        let headers = || -> Vec<_> {
            let verdicts = validate(&rule, &start, &contributions, &options).expect("readable files");
            contributions
                .iter()
                .zip(verdicts)
                .map(|(c, v)| (c, v.expect("valid")))
                .collect()
        };
        let valid = headers();
        let (mut probes, mut means, mut written, mut whole) = (vec![], vec![], vec![], vec![]);
        for _ in 0..settings.repeats {
            let rate = |bytes: u64, began: Instant| bytes as f64 / 1e9 / began.elapsed().as_secs_f64();
            let began = Instant::now();
            std::hint::black_box(probe(&contributions, &options));
            probes.push(rate(input, began));

            let began = Instant::now();
            combine(&rule, valid.clone(), &mut std::io::sink(), &options).expect("a mean");
            means.push(rate(input + model, began));

            let began = Instant::now();
            let mut file = File::create(folder.join("out")).expect("a file");
            combine(&rule, valid.clone(), &mut file, &options).expect("a mean");
            written.push(rate(input + model, began));

            let began = Instant::now();
            let mut file = BufWriter::new(File::create(folder.join("out")).expect("a file"));
            aggregate(&rule, &start, &contributions, &mut file, &options).expect("an aggregate");
            file.flush().expect("a file");
            whole.push(rate(input + model, began));
        }
        let columns: Vec<String> = [probes, means, written, whole].into_iter().map(summary).collect();
        println!("{threads:7} | {}", columns.join("| "));
    }
    println!("peak after: {} MiB", peak_mib());
    fs::remove_dir_all(&folder).expect("to clean up");
}
