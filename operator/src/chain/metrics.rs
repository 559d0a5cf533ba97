//! Counters of a chain's calls and transactions. Labels are bounded: chain, endpoint index, method, action, outcome.

use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry};

/// Shared by all chains of a process. Cloning shares the counters.
#[derive(Debug, Clone)]
pub struct ChainMetrics {
    requests: IntCounterVec,
    seconds: HistogramVec,
    failovers: IntCounterVec,
    transactions: IntCounterVec,
    head_number: IntGaugeVec,
    head_timestamp: IntGaugeVec,
}

impl ChainMetrics {
    /// Registers everything at `registry`; fails if that was done before.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counter = |name: &str, help: &str, labels: &[&str]| {
            register(registry, IntCounterVec::new(Opts::new(name, help), labels)?)
        };
        let gauge = |name: &str, help: &str| register(registry, IntGaugeVec::new(Opts::new(name, help), &["chain"])?);
        Ok(Self {
            requests: counter(
                "fl_alliance_rpc_requests_total",
                "JSON-RPC calls by chain, endpoint (index in the Secret), method and outcome",
                &["chain", "endpoint", "method", "outcome"],
            )?,
            seconds: register(
                registry,
                HistogramVec::new(
                    HistogramOpts::new("fl_alliance_rpc_request_seconds", "Duration of JSON-RPC calls")
                        .buckets(vec![0.005, 0.02, 0.1, 0.5, 2.0, 10.0]),
                    &["chain", "method"],
                )?,
            )?,
            failovers: counter(
                "fl_alliance_rpc_failovers_total",
                "Switches to another endpoint, by the endpoint left",
                &["chain", "endpoint"],
            )?,
            transactions: counter(
                "fl_alliance_transactions_total",
                "Transactions by action and outcome (sent, bumped, mined, reverted, failed)",
                &["chain", "action", "outcome"],
            )?,
            head_number: gauge("fl_alliance_chain_head_block", "Number of the newest block seen")?,
            head_timestamp: gauge(
                "fl_alliance_chain_head_timestamp_seconds",
                "Timestamp of the newest block seen",
            )?,
        })
    }

    pub(super) fn request(&self, chain: &str, endpoint: usize, method: &str, outcome: &str, seconds: f64) {
        self.requests
            .with_label_values(&[chain, &endpoint.to_string(), method, outcome])
            .inc();
        self.seconds.with_label_values(&[chain, method]).observe(seconds);
    }

    pub(super) fn failover(&self, chain: &str, endpoint: usize) {
        self.failovers.with_label_values(&[chain, &endpoint.to_string()]).inc();
    }

    pub(super) fn transaction(&self, chain: &str, action: &str, outcome: &str) {
        self.transactions.with_label_values(&[chain, action, outcome]).inc();
    }

    pub(super) fn head(&self, chain: &str, number: u64, timestamp: u64) {
        self.head_number
            .with_label_values(&[chain])
            .set(number.try_into().unwrap_or(i64::MAX));
        self.head_timestamp
            .with_label_values(&[chain])
            .set(timestamp.try_into().unwrap_or(i64::MAX));
    }
}

fn register<C: prometheus::core::Collector + Clone + 'static>(
    registry: &Registry,
    collector: C,
) -> Result<C, prometheus::Error> {
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_and_transactions_are_counted_under_bounded_labels() {
        let registry = Registry::new();
        let metrics = ChainMetrics::new(&registry).unwrap();
        metrics.request("devnet", 0, "eth_call", "ok", 0.01);
        metrics.request("devnet", 0, "eth_call", "ok", 0.01);
        metrics.failover("devnet", 0);
        metrics.transaction("devnet", "contribute", "mined");
        metrics.head("devnet", 7, 1000);
        assert_eq!(
            metrics
                .requests
                .with_label_values(&["devnet", "0", "eth_call", "ok"])
                .get(),
            2
        );
        let families = registry.gather();
        assert_eq!(families.len(), 6);
        for family in &families {
            assert!(family.name().starts_with("fl_alliance_"), "{}", family.name());
            for label in family.get_metric().iter().flat_map(|m| m.get_label()) {
                let known = ["chain", "endpoint", "method", "outcome", "action"];
                assert!(known.contains(&label.name()), "{}", label.name());
            }
        }
        assert!(
            ChainMetrics::new(&registry).is_err(),
            "registering twice is an error, not a panic"
        );
    }
}
