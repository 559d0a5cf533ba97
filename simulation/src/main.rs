//! `simulate`: runs seeds, replays one, and shows that planted bugs are found.

use std::{
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Instant,
};

use anyhow::{bail, ensure};
use clap::Parser;
use simulation::{Bug, Report, report::Totals, run};

/// A run is a million small allocations.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The controller in a simulated world.
#[derive(Debug, Parser)]
#[command(name = "simulate", version)]
struct Args {
    /// Replay this one seed.
    #[arg(long)]
    seed: Option<u64>,
    /// Print what happens, line by line.
    #[arg(long)]
    trace: bool,
    /// How many seeds to run.
    #[arg(long, default_value_t = 1000)]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Plant this bug.
    #[arg(long)]
    bug: Option<String>,
    /// Run each planted bug until it is found.
    #[arg(long)]
    planted: bool,
    /// Run every seed twice, and compare the traces.
    #[arg(long)]
    twice: bool,
    /// Run the seeds that once showed something (`simulation/seeds.txt`).
    #[arg(long)]
    regressions: bool,
    /// List those of the seeds that run into the fault or the situation whose text contains this.
    #[arg(long, value_name = "TEXT")]
    reaching: Option<String>,
    /// Keep figures in this file, and go on from there; a seed that fails is noted, and the others are still run.
    #[arg(long)]
    resume: Option<PathBuf>,
    /// With --resume: so many failed seeds are enough.
    #[arg(long, default_value_t = 20)]
    failures: usize,
    /// Threads; default: as many as there are cores.
    #[arg(long)]
    threads: Option<usize>,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let bug = match &args.bug {
        Some(name) => Some(bug(name)?),
        None => None,
    };
    if let Some(seed) = args.seed {
        return replay(seed, bug, args.trace);
    }
    if args.planted {
        return planted(&args);
    }
    if args.regressions {
        return regressions(&args);
    }
    if args.twice {
        return twice(&args);
    }
    if let Some(text) = &args.reaching {
        return reaching(&args, text);
    }
    match args.resume.clone() {
        Some(file) => soak(&args, &file),
        None => many(&args, bug),
    }
}

fn bug(name: &str) -> anyhow::Result<Bug> {
    let found = Bug::ALL.into_iter().find(|bug| format!("{bug:?}") == name);
    match found {
        Some(bug) => Ok(bug),
        None => bail!("there is no bug {name:?}: {:?}", Bug::ALL),
    }
}

fn replay(seed: u64, bug: Option<Bug>, trace: bool) -> anyhow::Result<()> {
    let report = run(seed, bug, true);
    println!("seed {seed}: {}", report.plan);
    let shown = if trace { report.lines.len() } else { 60 };
    for line in &report.lines[report.lines.len().saturating_sub(shown)..] {
        println!("{line}");
    }
    println!(
        "{} events, {} calls, {} virtual seconds, trace {:016x}",
        report.events, report.calls, report.seconds, report.hash
    );
    for violation in &report.violations {
        println!("VIOLATION: {violation}");
    }
    ensure!(report.violations.is_empty(), "seed {seed} breaks a promise");
    Ok(())
}

fn threads(args: &Args) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    args.threads.unwrap_or(cores).max(1)
}

/// Runs seeds on all threads until `enough` of them have failed or all are done.
fn sweep(seeds: std::ops::Range<u64>, threads: usize, bug: Option<Bug>, enough: usize) -> (Totals, Vec<Report>) {
    let next = AtomicU64::new(seeds.start);
    let stop = AtomicBool::new(false);
    let failed = Mutex::new(Vec::new());
    let totals = Mutex::new(Totals::default());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let mut mine = Totals::default();
                while !stop.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        break;
                    }
                    let report = run(seed, bug, false);
                    mine.add(&report);
                    if !report.violations.is_empty() {
                        let mut failed = failed.lock().unwrap_or_else(PoisonError::into_inner);
                        failed.push(report);
                        stop.fetch_or(failed.len() >= enough, Ordering::Relaxed);
                    }
                }
                totals.lock().unwrap_or_else(PoisonError::into_inner).merge(&mine);
            });
        }
    });
    let mut failed = failed.into_inner().unwrap_or_else(PoisonError::into_inner);
    failed.sort_by_key(|report| report.seed);
    (totals.into_inner().unwrap_or_else(PoisonError::into_inner), failed)
}

fn many(args: &Args, bug: Option<Bug>) -> anyhow::Result<()> {
    let started = Instant::now();
    let (totals, failed) = sweep(args.from..args.from + args.seeds, threads(args), bug, 1);
    let seconds = started.elapsed().as_secs_f64();
    print!("{}", totals.table());
    println!(
        "{} runs in {seconds:.1} s ({:.0} a second), {:.1} virtual days, {} calls",
        totals.runs,
        totals.runs as f64 / seconds,
        totals.seconds as f64 / 86_400.0,
        totals.calls
    );
    if let Some(report) = failed.first() {
        println!("seed {} breaks a promise; the end of its trace:", report.seed);
        let _ = replay(report.seed, bug, false);
        bail!("see all of it with: simulate --seed {} --trace", report.seed);
    }
    let missing = totals.missing();
    ensure!(
        args.seeds < 10_000 || missing.is_empty(),
        "the runs show too little, these never happened: {}",
        missing.join("; ")
    );
    Ok(())
}

/// One seed a line, perhaps the planted bug that it finds, and behind `#` why it is kept.
const SEEDS: &str = include_str!("../seeds.txt");

/// Every kept seed passes. That it still finds its bug is no promise: what a seed does changes with what a run draws.
fn regressions(args: &Args) -> anyhow::Result<()> {
    let (mut count, mut finds, mut of) = (0, 0, 0);
    for line in SEEDS.lines() {
        let words = line.split('#').next().unwrap_or_default();
        let mut words = words.split_whitespace();
        let Some(seed) = words.next() else { continue };
        let seed = seed.parse()?;
        if !run(seed, None, false).violations.is_empty() {
            return replay(seed, None, args.trace);
        }
        count += 1;
        if let Some(name) = words.next() {
            of += 1;
            finds += u32::from(!run(seed, Some(bug(name)?), false).violations.is_empty());
        }
    }
    ensure!(count > 0, "there are no regression seeds");
    println!("{count} regression seeds pass; {finds} of {of} still find the bug they are kept for");
    Ok(())
}

fn reaching(args: &Args, text: &str) -> anyhow::Result<()> {
    let mut found = 0;
    for seed in args.from..args.from + args.seeds {
        let report = run(seed, None, false);
        let reached = report.reached(text);
        if reached > 0 {
            println!(
                "seed {seed}: {reached} times; {} calls, {} virtual seconds",
                report.calls, report.seconds
            );
            found += 1;
        }
    }
    println!("{found} of {} seeds", args.seeds);
    Ok(())
}

fn twice(args: &Args) -> anyhow::Result<()> {
    for seed in args.from..args.from + args.seeds {
        let (first, second) = (run(seed, None, false), run(seed, None, true));
        ensure!(
            (first.hash, first.events, first.calls) == (second.hash, second.events, second.calls),
            "seed {seed} gave two different runs: traces {:016x} and {:016x}",
            first.hash,
            second.hash
        );
    }
    println!("{} seeds gave the same run twice", args.seeds);
    Ok(())
}

/// Seeds between two lines of progress.
const CHUNK: u64 = 5_000;

/// Any number of seeds, in pieces; what is done is kept in `file`.
fn soak(args: &Args, file: &Path) -> anyhow::Result<()> {
    let mut totals = match std::fs::read_to_string(file) {
        Ok(text) => Totals::from_json(&text)?,
        Err(_) => Totals::default(),
    };
    // What was mended since passes now.
    totals
        .failed
        .retain(|seed, _| !run(*seed, None, false).violations.is_empty());
    let started = Instant::now();
    let before = totals.runs;
    while totals.runs < args.seeds && totals.failed.len() < args.failures {
        let from = args.from + totals.runs;
        let until = (from + CHUNK).min(args.from + args.seeds);
        // A piece is done as a whole: what is counted is what lies behind.
        let (chunk, failed) = sweep(from..until, threads(args), None, usize::MAX);
        for report in failed {
            println!("seed {} breaks a promise: {}", report.seed, report.violations[0]);
        }
        totals.merge(&chunk);
        let partial = file.with_extension("partial");
        std::fs::write(&partial, totals.to_json())?;
        std::fs::rename(&partial, file)?;
        let rate = (totals.runs - before) as f64 / started.elapsed().as_secs_f64();
        let left = (args.seeds - totals.runs) as f64 / rate / 60.0;
        println!(
            "{} of {} seeds, {rate:.0} a second, {left:.0} minutes left",
            totals.runs, args.seeds
        );
    }
    print!("{}", totals.table());
    println!(
        "{} runs, {:.1} virtual years, {} calls",
        totals.runs,
        totals.seconds as f64 / 31_557_600.0,
        totals.calls
    );
    let failed: Vec<String> = totals.failed.keys().map(u64::to_string).collect();
    ensure!(
        failed.is_empty(),
        "{} seeds break a promise; see each with: simulate --trace --seed {}",
        failed.len(),
        failed.join(", ")
    );
    let missing = totals.missing();
    ensure!(
        missing.is_empty(),
        "the runs show too little, these never happened: {}",
        missing.join("; ")
    );
    Ok(())
}

fn planted(args: &Args) -> anyhow::Result<()> {
    let mut unfound = Vec::new();
    for bug in Bug::ALL {
        let started = Instant::now();
        let (totals, failed) = sweep(0..args.seeds, threads(args), Some(bug), 1);
        match failed.first() {
            Some(report) => println!(
                "{bug:?}: found by seed {} after {} runs, {:.1} s: {}",
                report.seed,
                totals.runs,
                started.elapsed().as_secs_f64(),
                report.violations[0]
            ),
            None => unfound.push(format!("{bug:?}")),
        }
    }
    ensure!(
        unfound.is_empty(),
        "not found in {} seeds: {}",
        args.seeds,
        unfound.join(", ")
    );
    Ok(())
}
