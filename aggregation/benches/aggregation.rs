//! Aggregation speed from files in the page cache, beside a read probe over the same files in the same run, and beside
//! other people's aggregation of the same bytes if `--peers PYTHON` names an interpreter that has it (`peers.py`).
//!
//!     cargo bench -p aggregation --bench aggregation -- --dtype bf16 --inputs 8 --parameters 25000000 --repeats 5
//!
//! The probe reads every input with positioned reads of the same size from the same number of threads and adds the
//! words up; it is taken before and after each rule, so that every rate has its own. Rates count input plus output bytes
//! (the probe: input); those per CPU second hold on a machine that others use too. Rules compute and hand over their
//! result; `named file` also hashes and writes it, and `vote` validates everything first (SHA-256 and every value of
//! every input), which is what a vote does.

use std::{
    cell::RefCell,
    env, fs,
    fs::File,
    hint::black_box,
    io::{BufWriter, Write},
    num::NonZeroUsize,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Instant,
};

use aggregation::{Contribution, ModelSource, Options, Rule, Vectors, aggregate, combine, combine_with, validate};
use protocol::{
    architecture::{Dtype, TensorSpec},
    definition::{self, Aggregation},
    model::{Metadata, ModelHeader},
    types::{Address, Round},
};

mod measure;

use measure::{peak, probe, processor_seconds, reset_peak, write_model};

const TASK: Address = Address::repeat_byte(1);
const TENSORS: usize = 10;

struct Settings {
    dtype: Dtype,
    inputs: u32,
    parameters: usize,
    repeats: u32,
    threads: Vec<usize>,
    folder: PathBuf,
    peers: Option<PathBuf>,
    /// Only the mean and the vote.
    short: bool,
}

fn settings() -> Settings {
    let arguments: Vec<String> = env::args().collect();
    let value = |name: &str| {
        arguments
            .iter()
            .position(|a| a == name)
            .and_then(|i| arguments.get(i + 1))
    };
    let number = |name: &str, default: u32| value(name).map_or(default, |v| v.parse().expect("a number"));
    let cpus = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    Settings {
        dtype: match value("--dtype").map_or("f32", |name| name) {
            "f32" => Dtype::F32,
            "bf16" => Dtype::Bf16,
            "f16" => Dtype::F16,
            other => panic!("--dtype is {other}: f32, bf16 or f16"),
        },
        inputs: number("--inputs", 8),
        parameters: number("--parameters", 5_000_000) as usize,
        repeats: number("--repeats", 5),
        threads: value("--threads").map_or(if cpus > 1 { vec![1, cpus] } else { vec![1] }, |v| {
            v.split(',').map(|n| n.parse().expect("a number")).collect()
        }),
        folder: value("--folder").map_or_else(env::temp_dir, PathBuf::from),
        peers: value("--peers").map(PathBuf::from),
        short: arguments.iter().any(|a| a == "--short"),
    }
}

/// One line of the table, by its medians.
struct Row {
    rule: String,
    /// With the widest registers.
    widest: bool,
    threads: usize,
    rate: f64,
    /// To the probe.
    ratio: f64,
    /// MiB.
    peak: f64,
}

struct Bench {
    rows: RefCell<Vec<Row>>,
    rule: Rule,
    start: ModelSource,
    contributions: Vec<Contribution>,
    input: u64,
    output: u64,
    repeats: u32,
    folder: PathBuf,
}

impl Bench {
    fn rates(&self, name: &str, threads: usize, options: &str, mut work: impl FnMut()) {
        let (mut rates, mut probes, mut ratios) = (vec![], vec![], vec![]);
        let (mut peaks, mut worked, mut probed) = (0f64, 0.0, 0.0);
        let mut probe = || {
            let (began, spent) = (Instant::now(), processor_seconds());
            black_box(probe(&self.contributions, threads));
            probed += processor_seconds() - spent;
            self.input as f64 / 1e9 / began.elapsed().as_secs_f64()
        };
        let mut before = probe();
        for _ in 0..self.repeats {
            reset_peak();
            let (began, spent) = (Instant::now(), processor_seconds());
            work();
            worked += processor_seconds() - spent;
            let rate = (self.input + self.output) as f64 / 1e9 / began.elapsed().as_secs_f64();
            peaks = peaks.max(peak());
            let after = probe();
            rates.push(rate);
            probes.push(before);
            ratios.push(2.0 * rate / (before + after));
            before = after;
        }
        let best = |values: &mut Vec<f64>| {
            values.sort_by(f64::total_cmp);
            (values[values.len() - 1], values[values.len() / 2])
        };
        let ((rate, usual), (read, usual_read), (_, ratio)) = (best(&mut rates), best(&mut probes), best(&mut ratios));
        let per_second = |bytes: u64, times: u32, seconds: f64| bytes as f64 * f64::from(times) / 1e9 / seconds;
        let cost = per_second(self.input + self.output, self.repeats, worked);
        let read_cost = per_second(self.input, self.repeats + 1, probed);
        println!(
            "{name:16} {options:8} {threads:7} | {rate:6.2} {usual:6.2} | {read:6.2} {usual_read:6.2} | {:5.2} {ratio:5.2} | {cost:6.2} {read_cost:6.2} {:5.2} | {peaks:5.0}",
            rate / read,
            cost / read_cost
        );
        self.rows.borrow_mut().push(Row {
            rule: name.to_owned(),
            widest: options == Vectors::widest().name(),
            threads,
            rate: usual,
            ratio,
            peak: peaks,
        });
    }

    fn row<T>(&self, rule: &str, threads: usize, of: impl Fn(&Row) -> T) -> Option<T> {
        let rows = self.rows.borrow();
        let mut rows = rows.iter();
        rows.find(|row| row.widest && row.rule == rule && row.threads == threads)
            .map(of)
    }

    /// What was aimed for, beside what the medians say.
    fn goals(&self, threads: usize) {
        let mean = self.row("mean/v1", threads, |row| row.rate);
        let shares = ["median/v1", "trimmedMean/v1"].map(|rule| {
            let rate = self.row(rule, threads, |row| row.rate);
            rate.zip(mean)
                .map(|(rate, mean)| format!("; {rule} at {:.2} of the mean (0.25)", rate / mean))
        });
        let rows = self.rows.borrow();
        let peak = rows.iter().filter(|row| row.threads == threads).map(|row| row.peak);
        let blocks = (self.contributions.len() * Options::default().input_block) as f64;
        println!(
            "goals, {threads} threads: mean at {:.2} of the probe (0.8){}; peak {:.0} MiB (below {:.0})",
            self.row("mean/v1", threads, |row| row.ratio).unwrap_or(f64::NAN),
            shares.into_iter().flatten().collect::<String>(),
            peak.fold(0.0, f64::max),
            (1.2 * self.output as f64 + blocks) / f64::from(1 << 20),
        );
    }

    fn run(&self, settings: &Settings, threads: usize) {
        let options = Options {
            threads: NonZeroUsize::new(threads).expect("not 0"),
            ..Options::default()
        };
        let verdicts = validate(&self.rule, &self.start, &self.contributions, &options).expect("readable files");
        let valid: Vec<(&Contribution, ModelHeader)> = self
            .contributions
            .iter()
            .zip(verdicts)
            .map(|(c, verdict)| (c, verdict.expect("a valid file")))
            .collect();
        let widest = Vectors::widest();
        for vectors in Vectors::available() {
            let options = Options { vectors, ..options };
            let rules = self.rules();
            // Narrower registers: what they cost a mean and a sort.
            let known = rules.iter().take(match (settings.short, vectors == widest) {
                (true, _) => 1,
                (false, true) => rules.len(),
                (false, false) => 2,
            });
            for aggregation in known {
                let rule = Rule {
                    aggregation: aggregation.clone(),
                    ..self.rule.clone()
                };
                self.rates(aggregation.rule.as_str(), threads, vectors.name(), || {
                    let done = combine_with(&rule, &self.start, valid.clone(), &options, |bytes| {
                        black_box(bytes);
                        Ok(())
                    });
                    assert!(done.expect("a result").fallback.is_none());
                });
            }
        }
        self.rates("mean, named file", threads, widest.name(), || {
            let mut file = File::create(self.folder.join("out")).expect("a file");
            combine(&self.rule, &self.start, valid.clone(), &mut file, &options).expect("a mean");
        });
        self.rates("mean, vote", threads, widest.name(), || {
            let mut file = BufWriter::new(File::create(self.folder.join("out")).expect("a file"));
            aggregate(&self.rule, &self.start, &self.contributions, &mut file, &options).expect("an aggregate");
            file.flush().expect("a file");
        });
    }

    /// The mean first.
    fn rules(&self) -> Vec<Aggregation> {
        let inputs = self.contributions.len() as u32;
        let plain = Aggregation::plain;
        vec![
            plain(definition::Rule::MeanV1),
            plain(definition::Rule::MedianV1),
            Aggregation {
                trim: Some(inputs / 4),
                ..plain(definition::Rule::TrimmedMeanV1)
            },
            Aggregation {
                clip_norm: Some("1".parse().expect("a decimal")),
                ..plain(definition::Rule::ClippedMeanV1)
            },
            Aggregation {
                byzantine: Some(1),
                ..plain(definition::Rule::KrumV1)
            },
            Aggregation {
                byzantine: Some(1),
                ..plain(definition::Rule::MultiKrumV1)
            },
        ]
    }
}

fn main() {
    let settings = settings();
    let folder = settings
        .folder
        .join(format!("aggregation-bench-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder");
    let tensors: Vec<TensorSpec> = (0..TENSORS)
        .map(|i| TensorSpec {
            name: format!("layer.{i}"),
            shape: vec![settings.parameters / TENSORS],
            dtype: settings.dtype,
        })
        .collect();
    let path = folder.join("start");
    let start = write_model(&tensors, &Metadata::none(), &path, 99);
    let start = ModelSource::open(start, &path).expect("a file");
    let contributions: Vec<Contribution> = (0..settings.inputs)
        .map(|seat| {
            let proposer = Address::repeat_byte(seat as u8 + 2);
            let path = folder.join(format!("input-{seat:02}"));
            let metadata = Metadata::contribution(TASK, Round(0), proposer);
            let hash = write_model(&tensors, &metadata, &path, seat);
            let source = ModelSource::open(hash, &path).expect("a file");
            Contribution {
                seat,
                proposer,
                sample_count: 1,
                source,
            }
        })
        .collect();
    let output = contributions[0].source.reader().size().expect("a size");
    let bench = Bench {
        rows: RefCell::default(),
        rule: Rule {
            tensors,
            aggregation: Aggregation::plain(definition::Rule::MeanV1),
            max_model_bytes: u64::MAX,
            task: TASK,
            round: Round(0),
        },
        start,
        contributions,
        input: output * u64::from(settings.inputs),
        output,
        repeats: settings.repeats,
        folder: folder.clone(),
    };
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!(
        "\n{} inputs of {} parameters {}, {:.1} MB each; load {}",
        settings.inputs,
        settings.parameters,
        settings.dtype.as_str(),
        output as f64 / 1e6,
        load.trim()
    );
    println!(
        "best and median of {}; read: the probe; CPU-s: of all threads; peak: resident memory",
        settings.repeats
    );
    println!(
        "                                  |     GB/s      |   read GB/s   |  rate/read  |    GB/CPU-s, read     |  peak"
    );
    println!(
        "rule             registers threads |  best    med |   best    med |  best   med |  rule   read ratio    |   MiB"
    );
    for threads in &settings.threads {
        bench.run(&settings, *threads);
    }
    for threads in &settings.threads {
        bench.goals(*threads);
    }
    if let Some(python) = &settings.peers {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers.py");
        // With our mean's rates, to be compared with at once.
        let rate = |&threads: &usize| bench.row("mean/v1", threads, |row| format!("{threads}={}", row.rate));
        let threads: Vec<String> = settings.threads.iter().filter_map(rate).collect();
        let done = Command::new(python)
            .arg(script)
            .arg(&folder)
            .arg(settings.repeats.to_string())
            .args(threads)
            .status();
        match done {
            Ok(status) if status.success() => {}
            other => eprintln!("the peers could not be measured: {other:?}"),
        }
    }
    fs::remove_dir_all(&folder).expect("to clean up");
}
