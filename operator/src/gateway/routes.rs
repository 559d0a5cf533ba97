//! The HTTP API: who may do what, and what each answer means.

use std::{sync::Arc, time::Instant};

use axum::{
    Json, Router,
    body::BodyDataStream,
    extract::{MatchedPath, Path, Query, Request, State},
    http::{HeaderMap, Method, StatusCode, Uri, header, request::Parts},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{delete, get, post, put},
};
use protocol::{
    job::MAX_RESULT_BYTES,
    types::{Address, ModelHash},
};
use serde::{Deserialize, de::DeserializeOwned};

use super::{
    checkpoint,
    error::{GatewayError, Refusal},
    models,
    object::{JobKey, ObjectId, Owner},
    progress,
    staging::Written,
    state::Gateway,
    token::{Claims, JobClaims, TokenError},
    upload::{declared_length, drain, receive_small},
    verify::hash_of,
};

/// Largest definition document, in bytes.
pub const MAX_DEFINITION_BYTES: u64 = 1024 * 1024;

pub(super) type Shared = State<Arc<Gateway>>;
pub(super) type Answer = Result<Response, GatewayError>;

/// All routes of one gateway.
pub fn router(gateway: Arc<Gateway>) -> Router {
    Router::new()
        .route("/v1/models/{hash}", get(models::get).put(models::put))
        .route("/v1/job", get(get_job))
        .route("/v1/results", put(put_result))
        .route("/v1/results/{namespace}/{job}", get(get_result))
        .route("/v1/progress", put(progress::put))
        .route("/v1/progress/{namespace}/{job}", get(progress::get))
        .route("/v1/checkpoint", get(checkpoint::get))
        .route("/v1/checkpoints/{hash}", put(checkpoint::put))
        .route("/v1/publish", post(publish))
        .route("/v1/definitions/{hash}", get(get_definition).put(put_definition))
        .route("/v1/tasks", delete(delete_task))
        .route("/v1/staged", delete(delete_staged))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .fallback(|| async { GatewayError::NotFound("there is no such route") })
        .method_not_allowed_fallback(|| async {
            (
                StatusCode::METHOD_NOT_ALLOWED,
                Json(serde_json::json!({"error": "MethodNotAllowed", "message": ""})),
            )
        })
        .layer(middleware::from_fn_with_state(Arc::clone(&gateway), observe))
        .with_state(gateway)
}

/// Counts and logs every request; never a token, a query or a header.
async fn observe(State(gateway): Shared, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map_or("other", MatchedPath::as_str);
    let method = match *request.method() {
        Method::GET => "GET",
        Method::PUT => "PUT",
        Method::POST => "POST",
        Method::DELETE => "DELETE",
        _ => "other",
    };
    let path = request.uri().path().to_owned();
    let response = next.run(request).await;
    let (status, took) = (response.status().as_u16(), began.elapsed());
    gateway.metrics.request(route, method, status, took);
    let ms = took.as_millis() as u64;
    match response.extensions().get::<Refusal>() {
        Some(Refusal(reason, detail)) => {
            gateway.metrics.refusal(reason);
            if status >= 500 {
                tracing::error!(method, path, status, ms, reason, detail, "request failed");
            } else if status == 404 {
                // Asked for until it is there: results by the controller, contributions by voters.
                tracing::debug!(method, path, status, ms, reason, detail, "request refused");
            } else {
                tracing::warn!(method, path, status, ms, reason, detail, "request refused");
            }
        }
        // Every few seconds from every running Job.
        None if route.starts_with("/v1/progress") => tracing::debug!(method, path, status, ms, "request answered"),
        None if route.starts_with("/v1/") => tracing::info!(method, path, status, ms, "request answered"),
        None => tracing::debug!(method, path, status, ms, "request answered"),
    }
    response
}

pub(super) async fn authorize(gateway: &Gateway, headers: &HeaderMap) -> Result<Claims, GatewayError> {
    let header = headers.get(header::AUTHORIZATION).ok_or(TokenError::Missing)?;
    let value = header.to_str().map_err(|_| TokenError::Invalid("it is not text"))?;
    let token = match value.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim(),
        _ => return Err(TokenError::Missing.into()),
    };
    Ok(gateway.verify(token).await?)
}

pub(super) async fn authorize_job(
    gateway: &Gateway,
    headers: &HeaderMap,
) -> Result<(JobClaims, JobKey, Owner), GatewayError> {
    match authorize(gateway, headers).await? {
        Claims::Job(claims) => {
            let job = claims.job.parse()?;
            let owner = Owner {
                chain: claims.chain,
                task: claims.task,
                participant: claims.participant,
            };
            Ok((claims, job, owner))
        }
        Claims::Admin(_) => Err(GatewayError::Forbidden("this takes a Job's token")),
    }
}

pub(super) async fn authorize_admin(gateway: &Gateway, headers: &HeaderMap) -> Result<(), GatewayError> {
    match authorize(gateway, headers).await? {
        Claims::Admin(_) => Ok(()),
        Claims::Job(_) => Err(GatewayError::Forbidden("this takes the controller's token")),
    }
}

pub(super) fn parse_hash(text: &str) -> Result<ModelHash, GatewayError> {
    text.parse()
        .map_err(|error: protocol::types::ParseError| GatewayError::BadRequest(error.to_string()))
}

pub(super) fn parse_query<T: DeserializeOwned>(uri: &Uri) -> Result<T, GatewayError> {
    Query::try_from_uri(uri)
        .map(|Query(value)| value)
        .map_err(|error| GatewayError::BadRequest(format!("the query is not as documented: {}", error.body_text())))
}

#[derive(Deserialize)]
struct OwnerQuery {
    chain: u64,
    task: Address,
    participant: Address,
}

impl From<OwnerQuery> for Owner {
    fn from(
        OwnerQuery {
            chain,
            task,
            participant,
        }: OwnerQuery,
    ) -> Self {
        Self {
            chain,
            task,
            participant,
        }
    }
}

#[derive(Deserialize)]
struct HashQuery {
    hash: ModelHash,
}

/// Runs a handler that reads a body; a refusal is sent only after some of the rest was read.
pub(super) async fn with_body<F>(request: Request, handle: F) -> Answer
where
    F: AsyncFnOnce(&Parts, &mut BodyDataStream) -> Answer,
{
    let (parts, body) = request.into_parts();
    let mut body = body.into_data_stream();
    let answer = handle(&parts, &mut body).await;
    if answer.is_err() {
        drain(&mut body).await;
    }
    answer
}

pub(super) fn created(written: Written, body: serde_json::Value) -> Response {
    let status = match written {
        Written::First => StatusCode::CREATED,
        Written::Same => StatusCode::OK,
    };
    (status, Json(body)).into_response()
}

/// What this Job has written so far: for a pod that takes over from a lost one.
async fn get_job(State(gateway): Shared, headers: HeaderMap) -> Answer {
    let (_, job, _) = authorize_job(&gateway, &headers).await?;
    let model = gateway.staging.model_of(&job).await?;
    let result = gateway.staging.result_of(&job).await?;
    Ok(Json(serde_json::json!({ "model": model, "result": result })).into_response())
}

async fn put_result(State(gateway): Shared, request: Request) -> Answer {
    with_body(request, async |parts, body| {
        let (_, job, owner) = authorize_job(&gateway, &parts.headers).await?;
        let bytes = receive_small(&gateway, body, MAX_RESULT_BYTES as u64).await?;
        let line = String::from_utf8(bytes).map_err(|_| GatewayError::BadResult)?;
        let line = line.strip_suffix('\n').unwrap_or(&line).to_owned();
        let is_object = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(&line).is_ok();
        if !is_object || line.contains(['\n', '\r']) {
            return Err(GatewayError::BadResult);
        }
        let written = gateway.record_result(&job, owner, line).await?;
        tracing::info!(%job, ?written, "result kept");
        Ok(created(written, serde_json::json!({})))
    })
    .await
}

async fn get_result(
    State(gateway): Shared,
    Path((namespace, job)): Path<(String, String)>,
    headers: HeaderMap,
) -> Answer {
    authorize_admin(&gateway, &headers).await?;
    let job = JobKey::new(&namespace, &job)?;
    let line = gateway
        .staging
        .result_of(&job)
        .await?
        .ok_or(GatewayError::NotFound("this Job has written no result"))?;
    Ok(([(header::CONTENT_TYPE, "application/json")], line).into_response())
}

async fn publish(State(gateway): Shared, uri: Uri, headers: HeaderMap) -> Answer {
    authorize_admin(&gateway, &headers).await?;
    let owner: Owner = parse_query::<OwnerQuery>(&uri)?.into();
    let id = owner.object(parse_query::<HashQuery>(&uri)?.hash);
    gateway.publish(id).await?;
    tracing::info!(object = %id, "published");
    Ok(Json(serde_json::json!({})).into_response())
}

async fn put_definition(State(gateway): Shared, Path(hash): Path<String>, request: Request) -> Answer {
    with_body(request, async |parts, body| {
        authorize_admin(&gateway, &parts.headers).await?;
        let owner: Owner = parse_query::<OwnerQuery>(&parts.uri)?.into();
        let id = owner.object(parse_hash(&hash)?);
        declared_length(&parts.headers, MAX_DEFINITION_BYTES)?;
        let bytes = receive_small(&gateway, body, MAX_DEFINITION_BYTES).await?;
        let actual = hash_of(&bytes);
        if actual != id.hash {
            return Err(GatewayError::WrongBytes {
                declared: id.hash,
                actual,
            });
        }
        gateway.store.put_bytes(id, bytes.into()).await?;
        Ok(Json(serde_json::json!({})).into_response())
    })
    .await
}

async fn get_definition(State(gateway): Shared, Path(hash): Path<String>, uri: Uri, headers: HeaderMap) -> Answer {
    authorize_admin(&gateway, &headers).await?;
    let owner: Owner = parse_query::<OwnerQuery>(&uri)?.into();
    let id: ObjectId = owner.object(parse_hash(&hash)?);
    let bytes = gateway.store.bytes(id, MAX_DEFINITION_BYTES).await?;
    let bytes = bytes.ok_or(GatewayError::NotFound("this participant serves no such definition"))?;
    Ok(([(header::CONTENT_TYPE, "application/json")], bytes).into_response())
}

async fn delete_task(State(gateway): Shared, uri: Uri, headers: HeaderMap) -> Answer {
    authorize_admin(&gateway, &headers).await?;
    let owner: Owner = parse_query::<OwnerQuery>(&uri)?.into();
    gateway.remove_task(owner).await?;
    tracing::info!(%owner, "everything of this participant in this task is removed");
    Ok(Json(serde_json::json!({})).into_response())
}

async fn delete_staged(State(gateway): Shared, uri: Uri, headers: HeaderMap) -> Answer {
    authorize_admin(&gateway, &headers).await?;
    let owner: Owner = parse_query::<OwnerQuery>(&uri)?.into();
    gateway.staging.remove_all(owner).await?;
    tracing::info!(%owner, "what this participant never published in this task is removed");
    Ok(Json(serde_json::json!({})).into_response())
}

async fn ready(State(gateway): Shared) -> Response {
    match gateway.check().await {
        Ok(()) => "ok\n".into_response(),
        Err(error) => {
            let mut response = error.into_response();
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            response
        }
    }
}

async fn metrics(State(gateway): Shared) -> Answer {
    let text = gateway
        .metrics
        .text()
        .map_err(|error| GatewayError::Setup(error.to_string()))?;
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response())
}
