//! A vote: fetch, validate, aggregate, compare.

use std::path::{Path, PathBuf};

use aggregation::{Contribution, ModelSource, Options, Refusal, Rule, aggregate};
use protocol::{
    job::{ExcludedSeat, Stage, StepResult, VoteResult},
    types::{ModelHash, Score},
    vote,
};

use super::fetch::{Fetched, fetch_all};
use crate::{
    evaluate::{decimal, evaluate},
    failure::Failure,
    job::Job,
    threads,
};

/// Fetches the contributions, aggregates the valid ones and judges the aggregate on the own test split.
pub fn vote(job: &Job) -> Result<StepResult, Failure> {
    let start = job.start_model()?;
    let fetched = fetch_all(
        &job.input,
        &*job.gateway,
        job.scratch_folder(),
        job.definition.max_model_bytes,
    )?;
    let mut excluded = Vec::new();
    let mut contributions = Vec::new();
    for (number, seat) in job.identity().seats.iter().enumerate() {
        let number = number as u32;
        match (&fetched[number as usize], seat.contribution) {
            (Fetched::File(path), Some(hash)) => contributions.push(Contribution {
                seat: number,
                proposer: seat.proposer,
                sample_count: seat.sample_count,
                source: open(hash, path)?,
            }),
            (Fetched::Failed(reason), _) => excluded.push((number, reason.clone())),
            _ => excluded.push((number, "no contribution".to_owned())),
        }
    }
    job.reporter.stage(Stage::Aggregating);
    let (path, done) = combine(job, &start, &contributions)?;
    for (seat, refusal) in &done.excluded {
        excluded.push((*seat, explain(refusal)));
    }
    excluded.sort();
    for (seat, reason) in &excluded {
        println!("vote: seat {seat} is left out: {reason}");
    }
    println!(
        "vote: {} of {} seats are included",
        done.mask.count(),
        job.identity().seats.len()
    );
    let named = job.definition.aggregation.rule.as_str();
    match done.fallback {
        Some(rule) => println!("vote: these are too few for {named}; combined by {}", rule.as_str()),
        None if done.unused.is_empty() => println!("vote: combined by {named}"),
        None => println!(
            "vote: combined by {named}, which made no use of seats {:?}",
            done.unused
        ),
    }
    job.reporter.stage(Stage::Evaluating);
    let (score, metrics) = judge(job, &start, (done.mask.count() > 0).then_some(&*path))?;
    if done.mask.count() > 0 {
        job.upload(done.hash, &path)?;
    }
    println!(
        "vote: start {}, aggregate {}, score {:+}",
        metrics.0,
        metrics.1,
        i8::from(score)
    );
    Ok(StepResult::Vote(VoteResult {
        aggregate: done.hash,
        score,
        mask: done.mask,
        start_metric: metrics.0,
        aggregate_metric: metrics.1,
        excluded: excluded
            .into_iter()
            .map(|(seat, reason)| ExcludedSeat {
                seat,
                reason: shorten(&reason),
            })
            .collect(),
        fallback: done.fallback.map(|rule| rule.as_str().to_owned()),
        unused: done.unused,
    }))
}

fn explain(refusal: &Refusal) -> String {
    match refusal {
        // Valid, but left out all the same.
        Refusal::Outlier { .. } => refusal.to_string(),
        other => format!("invalid ({}): {other}", other.category()),
    }
}

fn open(hash: ModelHash, path: &Path) -> Result<ModelSource, Failure> {
    ModelSource::open(hash, path).map_err(|error| Failure::Io {
        path: path.to_owned(),
        error,
    })
}

fn combine(
    job: &Job,
    start: &Path,
    contributions: &[Contribution],
) -> Result<(PathBuf, aggregation::Aggregate), Failure> {
    let identity = job.identity();
    let rule = Rule::new(&job.definition, identity.task, identity.round);
    let start = open(identity.start_model, start)?;
    let options = Options {
        threads: threads::available(),
        ..Options::default()
    };
    job.write("aggregate", |out| {
        Ok(aggregate(&rule, &start, contributions, out, &options)?)
    })
}

/// The score and both metrics. Without an aggregate: -1, as the protocol says, and the start's metric twice.
fn judge(job: &Job, start: &Path, aggregate: Option<&Path>) -> Result<(Score, (String, String)), Failure> {
    let evaluation = &job.definition.evaluation;
    let mut start = job.load(start)?;
    let stop = job.input.finish_by();
    let Some(aggregate) = aggregate else {
        let scores = evaluate(&[&start], &job.examples, &job.data.test, &job.definition, stop)?;
        let metric = decimal(scores[0].metric(evaluation.metric));
        return Ok((Score::Against, (metric.clone(), metric)));
    };
    let aggregate = start.load_beside(aggregate, job.device)?;
    let scores = evaluate(
        &[&start, &aggregate],
        &job.examples,
        &job.data.test,
        &job.definition,
        stop,
    )?;
    if scores[0].records < job.data.test.len() {
        println!(
            "vote: time is up; compared on {} of {} test records",
            scores[0].records,
            job.data.test.len()
        );
    }
    let [old, new] = [scores[0].metric(evaluation.metric), scores[1].metric(evaluation.metric)];
    let score = vote::rule(evaluation.direction, old, new, evaluation.epsilon.to_f64());
    Ok((score, (decimal(old), decimal(new))))
}

/// At most 20 words.
fn shorten(reason: &str) -> String {
    reason.split_whitespace().take(20).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_cut_at_twenty_words() {
        let long = "word ".repeat(30);
        assert_eq!(shorten(&long).split(' ').count(), 20);
        assert_eq!(shorten("two words"), "two words");
    }
}
