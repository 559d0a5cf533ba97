//! `/healthz` (the process serves), `/readyz` (what it still waits for), `/metrics`.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{Router, extract::State, http::StatusCode, routing::get};
use prometheus::{Encoder, Registry, TextEncoder};
use tokio::sync::watch;

/// Named things that must be there before the controller is ready.
#[derive(Debug, Clone, Default)]
pub(super) struct Readiness(Arc<Mutex<BTreeMap<String, bool>>>);

impl Readiness {
    pub(super) fn set(&self, what: &str, done: bool) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(what.to_owned(), done);
    }

    /// What is still waited for.
    pub(super) fn missing(&self) -> Vec<String> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter()
            .filter(|(_, done)| !**done)
            .map(|(what, _)| what.clone())
            .collect()
    }
}

/// Serves until `stopping` turns true.
pub(super) async fn serve(
    address: SocketAddr,
    registry: Registry,
    readiness: Readiness,
    mut stopping: watch::Receiver<bool>,
) -> anyhow::Result<()> {
    let app = router(registry, readiness);
    let listener = tokio::net::TcpListener::bind(address).await?;
    axum::serve(listener, app)
        .with_graceful_shutdown(async move {
            let _ = stopping.wait_for(|stop| *stop).await;
        })
        .await?;
    Ok(())
}

fn router(registry: Registry, readiness: Readiness) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready).with_state(readiness))
        .route("/metrics", get(metrics).with_state(registry))
}

async fn ready(State(readiness): State<Readiness>) -> (StatusCode, String) {
    let missing = readiness.missing();
    if missing.is_empty() {
        (StatusCode::OK, "ok\n".to_owned())
    } else {
        (
            StatusCode::SERVICE_UNAVAILABLE,
            format!("waiting for: {}\n", missing.join(", ")),
        )
    }
}

async fn metrics(State(registry): State<Registry>) -> (StatusCode, Vec<u8>) {
    let mut body = Vec::new();
    match TextEncoder::new().encode(&registry.gather(), &mut body) {
        Ok(()) => (StatusCode::OK, body),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string().into_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readiness_names_what_is_missing() {
        let readiness = Readiness::default();
        readiness.set("FLTasks", false);
        readiness.set("FLChains", true);
        assert_eq!(readiness.missing(), ["FLTasks"]);
        readiness.set("FLTasks", true);
        assert!(readiness.missing().is_empty());
    }
}
