//! From a definition's rule and the valid contributions to what is computed of them.

use std::io;

use protocol::{
    definition,
    model::{Layout, Metadata, ModelHeader},
};

use crate::{
    AggregationError, Combined, Contribution, Rule,
    clipping::Clipped,
    columns::Failed,
    combine::{Formula, Job},
    distance::{Pairs, all_pairs, squared},
    krum,
    mean::{Mean, clamped_weights},
    options::Options,
    order::{Median, TrimmedMean},
    refusal::Refusal,
    source::ReadAt,
    tensors::{Segment, joined, tensors},
    validity::Start,
};

/// The valid contributions in seat order, and behind them the start model.
pub(crate) struct Inputs<'a> {
    aggregation: &'a definition::Aggregation,
    contributions: Vec<&'a Contribution>,
    readers: Vec<&'a dyn ReadAt>,
    /// Of single tensors, with the offsets of all inputs.
    tensors: Vec<Segment>,
}

/// What is done with which of the inputs.
struct Plan {
    formula: Formula,
    /// Indices of the contributions that take part, ascending.
    used: Vec<usize>,
    outliers: Vec<(usize, Refusal)>,
    fallback: Option<definition::Rule>,
}

impl Plan {
    fn all(formula: Formula, n: usize) -> Self {
        Self {
            formula,
            used: (0..n).collect(),
            outliers: Vec::new(),
            fallback: None,
        }
    }

    /// What is done where too few contributions are included for the named rule. Never the mean: whoever withholds
    /// contributions would choose it.
    fn fallback(n: usize) -> Self {
        Self {
            fallback: Some(definition::Rule::MedianV1),
            ..Self::all(Formula::Median(Median::new(n)), n)
        }
    }
}

impl<'a> Inputs<'a> {
    pub(crate) fn new(
        rule: &'a Rule,
        start: &Start<'a>,
        mut valid: Vec<(&'a Contribution, ModelHeader)>,
    ) -> Result<Self, AggregationError> {
        valid.sort_by_key(|(contribution, _)| contribution.seat);
        let layout = Layout::new(&rule.tensors, &Metadata::none()).map_err(AggregationError::Model)?;
        let headers: Vec<&ModelHeader> = valid.iter().map(|(_, header)| header).chain([start.header()]).collect();
        let tensors = tensors(&layout, &headers).map_err(AggregationError::Model)?;
        let contributions: Vec<&Contribution> = valid.into_iter().map(|(contribution, _)| contribution).collect();
        let sources = contributions.iter().map(|contribution| contribution.source.reader());
        Ok(Self {
            aggregation: &rule.aggregation,
            readers: sources.chain([start.reader()]).collect(),
            contributions,
            tensors,
        })
    }

    /// Computes the result and hands its bytes to `write` in order.
    pub(crate) fn combine(
        self,
        options: &Options,
        write: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<Combined, AggregationError> {
        let n = self.contributions.len();
        let plan = self.plan(options)?;
        let rate = self.aggregation.server_learning_rate.as_ref().map(|rate| rate.to_f64());
        let mut inputs = plan.used.clone();
        if rate.is_some() || matches!(plan.formula, Formula::Clipped(_)) {
            inputs.push(n);
        }
        let segments = self.tensors.iter().map(|tensor| Segment {
            dtype: tensor.dtype,
            output: tensor.output.clone(),
            inputs: inputs.iter().map(|&input| tensor.inputs[input]).collect(),
        });
        let job = Job {
            readers: &inputs.iter().map(|&input| self.readers[input]).collect::<Vec<_>>(),
            segments: &joined(segments.collect()),
            formula: &plan.formula,
            rate,
        };
        job.run(options, write).map_err(|failed| {
            self.explain(match failed {
                Failed::Read { input, error } => Failed::Read {
                    input: inputs[input],
                    error,
                },
                other => other,
            })
        })?;
        let seat = |index: usize| self.contributions[index].seat;
        let outlier = |index: &usize| plan.outliers.iter().any(|(other, _)| other == index);
        Ok(Combined {
            unused: (0..n)
                .filter(|index| !plan.used.contains(index) && !outlier(index))
                .map(seat)
                .collect(),
            outliers: plan
                .outliers
                .into_iter()
                .map(|(index, why)| (seat(index), why))
                .collect(),
            fallback: plan.fallback,
        })
    }

    fn plan(&self, options: &Options) -> Result<Plan, AggregationError> {
        let n = self.contributions.len();
        let aggregation = self.aggregation;
        Ok(match aggregation.rule {
            definition::Rule::MeanV1 => Plan::all(Formula::Mean(Mean::new(&self.weights())), n),
            definition::Rule::MedianV1 => Plan::all(Formula::Median(Median::new(n)), n),
            definition::Rule::TrimmedMeanV1 => match aggregation.trim.unwrap_or(0) as usize {
                trim if n > 2 * trim => Plan::all(Formula::TrimmedMean(TrimmedMean::new(n, trim)), n),
                _ => Plan::fallback(n),
            },
            definition::Rule::KrumV1 | definition::Rule::MultiKrumV1 => match krum::keeps(aggregation, n) {
                Some(keep) => self.select(keep, options)?,
                None => Plan::fallback(n),
            },
            definition::Rule::ClippedMeanV1 => {
                let to_start = Pairs {
                    first: n,
                    seconds: (0..n).collect(),
                };
                let lengths =
                    squared(&self.readers, &self.tensors, &[to_start], options).map_err(|e| self.explain(e))?;
                let norm = aggregation
                    .clip_norm
                    .as_ref()
                    .map_or(f64::INFINITY, |norm| norm.to_f64());
                Plan::all(Formula::Clipped(Clipped::new(&self.weights(), &lengths, norm)), n)
            }
        })
    }

    fn select(&self, keep: usize, options: &Options) -> Result<Plan, AggregationError> {
        let n = self.contributions.len();
        let distances =
            squared(&self.readers[..n], &self.tensors, &all_pairs(n), options).map_err(|e| self.explain(e))?;
        let selection = krum::select(self.aggregation, n, keep, &distances);
        let mut outliers: Vec<(usize, Refusal)> = selection
            .outliers
            .into_iter()
            .map(|(index, outlier)| (index, outlier.into()))
            .collect();
        outliers.sort_by_key(|(index, _)| *index);
        Ok(Plan {
            formula: Formula::Mean(Mean::new(&vec![1; keep])),
            used: selection.kept,
            outliers,
            fallback: None,
        })
    }

    fn weights(&self) -> Vec<u64> {
        if self.aggregation.weighted {
            clamped_weights(&self.contributions.iter().map(|c| c.sample_count).collect::<Vec<_>>())
        } else {
            vec![1; self.contributions.len()]
        }
    }

    fn explain(&self, failed: Failed) -> AggregationError {
        match failed {
            Failed::Write(error) => AggregationError::Output(error),
            Failed::Lost => AggregationError::Lost,
            Failed::Read { input, error } => match self.contributions.get(input) {
                Some(contribution) => AggregationError::Unreadable {
                    seat: contribution.seat,
                    error,
                },
                None => AggregationError::StartUnreadable(error),
            },
        }
    }
}
