//! Prometheus metrics with bounded labels: never a round, a hash, a Job or an error text.

use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry};

/// All metrics of the controller; registered once.
#[derive(Debug)]
pub struct Metrics {
    pub registry: Registry,
    /// Reconciles by kind and outcome (`ok` or the error's category).
    pub reconciles: IntCounterVec,
    /// Seconds a reconcile took, by kind.
    pub reconcile_seconds: HistogramVec,
    /// Calls handed to the sender by chain, action and outcome (`mined`, `failed` or the error's category). What the
    /// sender made of them (replacements, fees) is counted in `fl_alliance_transactions_total` beside it.
    pub transactions: IntCounterVec,
    /// Jobs by namespace, step and outcome (`started`, `succeeded`, `failed`, `discarded`).
    pub jobs: IntCounterVec,
    /// Unix time of the next deadline this client must meet; 0: none.
    pub duty_deadline: IntGaugeVec,
    /// Duties whose window closed before they were done.
    pub duties_missed: IntCounterVec,
    /// Native balance of a key in gwei, by namespace and client.
    pub key_balance_gwei: IntGaugeVec,
    /// 1 while the chain holds a vote of this client's key that this operator did not record.
    pub key_used_elsewhere: IntGaugeVec,
}

impl Metrics {
    /// # Errors
    /// Only if two metrics had the same name, which the tests rule out.
    pub fn new() -> Result<Self, prometheus::Error> {
        let counter = |name: &str, help: &str, labels: &[&str]| IntCounterVec::new(Opts::new(name, help), labels);
        let gauge = |name: &str, help: &str, labels: &[&str]| IntGaugeVec::new(Opts::new(name, help), labels);
        let metrics = Self {
            registry: Registry::new(),
            reconciles: counter(
                "fl_alliance_reconciles_total",
                "Reconciles by kind and outcome",
                &["kind", "outcome"],
            )?,
            reconcile_seconds: HistogramVec::new(
                HistogramOpts::new("fl_alliance_reconcile_duration_seconds", "Seconds a reconcile took"),
                &["kind"],
            )?,
            transactions: counter(
                "fl_alliance_sends_total",
                "Calls handed to the sender, by chain, action and outcome",
                &["chain", "action", "outcome"],
            )?,
            jobs: counter(
                "fl_alliance_jobs_total",
                "Trainer Jobs by namespace, step and outcome",
                &["namespace", "step", "outcome"],
            )?,
            duty_deadline: gauge(
                "fl_alliance_duty_deadline_timestamp_seconds",
                "Unix time by which this client must act; 0: nothing due",
                &["namespace", "client"],
            )?,
            duties_missed: counter(
                "fl_alliance_duties_missed_total",
                "Duties whose window closed before they were done",
                &["namespace", "client", "duty"],
            )?,
            key_balance_gwei: gauge(
                "fl_alliance_key_balance_gwei",
                "Native balance of a client's key",
                &["namespace", "client"],
            )?,
            key_used_elsewhere: gauge(
                "fl_alliance_key_used_elsewhere",
                "1 while the chain holds a vote of this key that this operator did not record",
                &["namespace", "client"],
            )?,
        };
        let collectors: [Box<dyn prometheus::core::Collector>; 8] = [
            Box::new(metrics.reconciles.clone()),
            Box::new(metrics.reconcile_seconds.clone()),
            Box::new(metrics.transactions.clone()),
            Box::new(metrics.jobs.clone()),
            Box::new(metrics.duty_deadline.clone()),
            Box::new(metrics.duties_missed.clone()),
            Box::new(metrics.key_balance_gwei.clone()),
            Box::new(metrics.key_used_elsewhere.clone()),
        ];
        for collector in collectors {
            metrics.registry.register(collector)?;
        }
        Ok(metrics)
    }
}

#[cfg(test)]
mod tests {
    use super::Metrics;

    #[test]
    fn all_metrics_register_under_one_prefix() {
        let metrics = Metrics::new().unwrap();
        // The chains' metrics share the registry.
        crate::chain::ChainMetrics::new(&metrics.registry).unwrap();
        metrics.key_balance_gwei.with_label_values(&["tenant", "client"]).set(7);
        let families = metrics.registry.gather();
        assert!(families.iter().any(|f| f.name() == "fl_alliance_key_balance_gwei"));
    }
}
