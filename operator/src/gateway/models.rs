//! Models: who may read which, from whom, and the one that a Job writes.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Path, Request, State},
    http::{HeaderMap, HeaderValue, Uri, header},
    response::{IntoResponse, Response},
};
use futures::StreamExt;
use protocol::types::{Address, ModelHash};
use serde::Deserialize;

use super::{
    error::GatewayError,
    object::Owner,
    routes::{Answer, Shared, authorize, authorize_job, created, parse_hash, parse_query, with_body},
    state::Gateway,
    store::Opened,
    token::Claims,
    upload::{declared_length, receive},
    verify::verified,
};

#[derive(Deserialize)]
struct HolderQuery {
    chain: u64,
    task: Address,
    holder: Address,
}

pub(super) async fn get(State(gateway): Shared, Path(hash): Path<String>, uri: Uri, headers: HeaderMap) -> Answer {
    let claims = authorize(&gateway, &headers).await?;
    let hash = parse_hash(&hash)?;
    let limit = gateway.config.max_model_bytes;
    let (own, holders, limit) = match claims {
        Claims::Admin(_) => {
            let HolderQuery { chain, task, holder } = parse_query(&uri)?;
            let owner = Owner {
                chain,
                task,
                participant: holder,
            };
            (owner, vec![owner], limit)
        }
        Claims::Job(claims) => {
            let own = Owner {
                chain: claims.chain,
                task: claims.task,
                participant: claims.participant,
            };
            let holders: Vec<Owner> = match claims.reads.iter().find(|grant| grant.hash == hash) {
                Some(grant) => grant
                    .holders
                    .iter()
                    .map(|holder| Owner {
                        participant: *holder,
                        ..own
                    })
                    .collect(),
                // A Job started again after its pod was lost goes on with what it wrote itself.
                None if gateway.wrote(&claims.job.parse()?, hash).await? => vec![own],
                None => return Err(GatewayError::Forbidden("this hash is not among those the Job may read")),
            };
            (own, holders, limit.min(claims.max_bytes))
        }
    };
    // Each turn either answers or remembers one copy as bad.
    for _ in 0..=holders.len() {
        let opened = gateway.find(own, &holders, hash, limit).await?;
        if let Some(answer) = serve(&gateway, opened, hash).await? {
            return Ok(answer);
        }
    }
    Err(GatewayError::NotFound("no holder serves this model unbroken"))
}

/// Declares the length and cuts the connection before it is reached if the bytes are wrong; `None` if that is known
/// before the answer began.
async fn serve(gateway: &Arc<Gateway>, opened: Opened, hash: ModelHash) -> Result<Option<Response>, GatewayError> {
    let Opened { length, bytes, copy } = opened;
    let counting = Arc::clone(gateway);
    let mut stream = verified(bytes, hash)
        .map(move |block| {
            match &block {
                Ok(block) => counting.metrics.sent(block.len() as u64),
                Err(error) => {
                    counting.metrics.corrupt.inc();
                    tracing::error!(%copy, %error, "a model's bytes at rest cannot be served; the read is cut");
                    counting.store.remember_bad(copy.clone());
                }
            }
            block
        })
        .boxed();
    let first = match stream.next().await {
        Some(Err(_)) => return Ok(None),
        Some(Ok(block)) => Some(Ok(block)),
        None => None,
    };
    let mut response = Body::from_stream(futures::stream::iter(first).chain(stream)).into_response();
    response
        .headers_mut()
        .insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/octet-stream"),
    );
    Ok(Some(response))
}

pub(super) async fn put(State(gateway): Shared, Path(hash): Path<String>, request: Request) -> Answer {
    with_body(request, async |parts, body| {
        let (claims, job, owner) = authorize_job(&gateway, &parts.headers).await?;
        if !claims.write_model {
            return Err(GatewayError::Forbidden("this Job writes no model"));
        }
        let id = owner.object(parse_hash(&hash)?);
        let length = declared_length(&parts.headers, claims.max_bytes.min(gateway.config.max_model_bytes))?;
        // Known to be refused before a byte is kept; `keep_model` decides.
        if let Some(existing) = gateway
            .staging
            .model_of(&job)
            .await?
            .filter(|existing| *existing != id.hash)
        {
            return Err(GatewayError::OtherModel { existing });
        }
        let file = receive(&gateway, body, length, id.hash).await?;
        let written = gateway.staging.keep_model(&job, id, file).await?;
        if claims.publish {
            gateway.publish(id).await?;
        }
        tracing::info!(%job, object = %id, length, published = claims.publish, ?written, "model kept");
        Ok(created(
            written,
            serde_json::json!({ "model": id.hash, "published": claims.publish }),
        ))
    })
    .await
}
