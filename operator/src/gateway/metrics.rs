//! What the gateway counts. Labels are bounded: route, method, status, reason, direction; never a hash, Job or text.

use std::time::Duration;

use prometheus::{HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry, TextEncoder};

#[derive(Debug)]
pub(super) struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    refusals: IntCounterVec,
    seconds: HistogramVec,
    bytes: IntCounterVec,
    pub(super) uploads: IntGauge,
    pub(super) corrupt: IntCounter,
    pub(super) checkpoints: IntGauge,
}

impl Metrics {
    pub(super) fn new() -> Result<Self, prometheus::Error> {
        let metrics = Self {
            registry: Registry::new(),
            requests: IntCounterVec::new(
                Opts::new("fl_alliance_gateway_requests_total", "Requests answered."),
                &["route", "method", "status"],
            )?,
            refusals: IntCounterVec::new(
                Opts::new(
                    "fl_alliance_gateway_refusals_total",
                    "Requests refused or failed, by reason.",
                ),
                &["reason"],
            )?,
            seconds: HistogramVec::new(
                HistogramOpts::new(
                    "fl_alliance_gateway_request_seconds",
                    "Time until a request's answer began; for uploads this includes receiving them.",
                )
                .buckets(vec![0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 60.0, 300.0]),
                &["route"],
            )?,
            bytes: IntCounterVec::new(
                Opts::new(
                    "fl_alliance_gateway_model_bytes_total",
                    "Model bytes received and sent.",
                ),
                &["direction"],
            )?,
            uploads: IntGauge::new("fl_alliance_gateway_uploads", "Uploads being received.")?,
            corrupt: IntCounter::new(
                "fl_alliance_gateway_corrupt_reads_total",
                "Reads cut because the bytes at rest were not what their name says.",
            )?,
            checkpoints: IntGauge::new("fl_alliance_gateway_checkpoints", "Jobs whose checkpoint is kept.")?,
        };
        metrics.registry.register(Box::new(metrics.requests.clone()))?;
        metrics.registry.register(Box::new(metrics.refusals.clone()))?;
        metrics.registry.register(Box::new(metrics.seconds.clone()))?;
        metrics.registry.register(Box::new(metrics.bytes.clone()))?;
        metrics.registry.register(Box::new(metrics.uploads.clone()))?;
        metrics.registry.register(Box::new(metrics.corrupt.clone()))?;
        metrics.registry.register(Box::new(metrics.checkpoints.clone()))?;
        Ok(metrics)
    }

    pub(super) fn request(&self, route: &str, method: &str, status: u16, took: Duration) {
        self.requests
            .with_label_values(&[route, method, status.to_string().as_str()])
            .inc();
        self.seconds.with_label_values(&[route]).observe(took.as_secs_f64());
    }

    pub(super) fn refusal(&self, reason: &str) {
        self.refusals.with_label_values(&[reason]).inc();
    }

    pub(super) fn received(&self, bytes: u64) {
        self.bytes.with_label_values(&["in"]).inc_by(bytes);
    }

    pub(super) fn sent(&self, bytes: u64) {
        self.bytes.with_label_values(&["out"]).inc_by(bytes);
    }

    /// The Prometheus text format.
    pub(super) fn text(&self) -> Result<String, prometheus::Error> {
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }
}
