//! An endpoint in front of a chain that answers some calls in its own way, as hosted ones do.

use std::sync::Arc;

use axum::{Json, Router, extract::State, routing::post};
use serde_json::{Value, json};

/// Sees the method, the parameters, and (after the chain was asked) the answer; may put another in its place.
type Rule = Arc<dyn Fn(&str, &Value, Option<Value>) -> Option<Value> + Send + Sync>;

#[derive(Clone)]
struct Front {
    chain: String,
    rule: Rule,
    client: reqwest::Client,
}

/// Serves until the test ends; returns the URL. A rule that gives something without having seen an answer keeps the
/// call from the chain.
pub(super) async fn front(
    chain: String,
    rule: impl Fn(&str, &Value, Option<Value>) -> Option<Value> + Send + Sync + 'static,
) -> String {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let state = Front {
        chain,
        rule: Arc::new(rule),
        client: reqwest::Client::new(),
    };
    let app = Router::new().route("/", post(answer)).with_state(state);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    url
}

async fn answer(State(front): State<Front>, Json(call): Json<Value>) -> Json<Value> {
    let method = call["method"].as_str().unwrap_or_default();
    let own = |answer: Option<Value>| {
        (front.rule)(method, &call["params"], answer).map(|mut answer| {
            answer["jsonrpc"] = json!("2.0");
            answer["id"] = call["id"].clone();
            Json(answer)
        })
    };
    if let Some(answer) = own(None) {
        return answer;
    }
    let body = serde_json::to_vec(&call).unwrap();
    let request = front
        .client
        .post(&front.chain)
        .header("content-type", "application/json");
    let answer = request.body(body).send().await.unwrap().bytes().await.unwrap();
    let answer: Value = serde_json::from_slice(&answer).unwrap();
    own(Some(answer.clone())).unwrap_or(Json(answer))
}

/// A JSON-RPC error.
pub(super) fn refusal(message: &str) -> Value {
    json!({"error": {"code": -32000, "message": message}})
}
