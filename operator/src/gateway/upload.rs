//! Receiving a model: hashed while it streams to a file that nobody sees until it is right.

use std::{sync::Arc, time::Duration};

use axum::{
    body::BodyDataStream,
    http::{HeaderMap, header},
};
use futures::StreamExt;
use protocol::types::ModelHash;
use tokio::{io::AsyncWriteExt, time::timeout};

use super::{error::GatewayError, files::TemporaryFile, state::Gateway, verify::Digest};

/// What is read and thrown away after a refusal, so that the sender gets to read why.
const MAX_DRAINED: u64 = 64 * 1024 * 1024;
const DRAIN_TIME: Duration = Duration::from_secs(10);

/// The declared length; a body without one is refused.
pub(super) fn declared_length(headers: &HeaderMap, limit: u64) -> Result<u64, GatewayError> {
    let length = headers
        .get(header::CONTENT_LENGTH)
        .ok_or(GatewayError::LengthRequired)?;
    let length: u64 = length
        .to_str()
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| GatewayError::BadRequest("Content-Length is not a number".to_owned()))?;
    if length > limit {
        Err(GatewayError::TooLarge { length, limit })
    } else {
        Ok(length)
    }
}

/// A file of exactly `length` bytes that hash to `declared`, synced to the disk.
pub(super) async fn receive(
    gateway: &Gateway,
    body: &mut BodyDataStream,
    length: u64,
    declared: ModelHash,
) -> Result<TemporaryFile, GatewayError> {
    let idle = gateway.config.idle_timeout;
    let slots = Arc::clone(&gateway.upload_slots);
    let _slot = timeout(idle, slots.acquire_owned())
        .await
        .map_err(|_| GatewayError::Busy)?
        .map_err(|_| GatewayError::Busy)?;
    let _counted = Counted::new(gateway);

    let target = gateway.staging.temporary();
    let file = tokio::fs::File::create_new(target.path())
        .await
        .map_err(GatewayError::staging)?;
    let mut file = tokio::io::BufWriter::with_capacity(1024 * 1024, file);
    let mut digest = Digest::default();
    let mut received = 0u64;
    while let Some(block) = timeout(idle, body.next()).await.map_err(|_| GatewayError::Incomplete)? {
        let block = block.map_err(|_| GatewayError::Incomplete)?;
        received = received.saturating_add(block.len() as u64);
        if received > length {
            return Err(GatewayError::TooLarge {
                length: received,
                limit: length,
            });
        }
        gateway.metrics.received(block.len() as u64);
        digest.update(&block);
        file.write_all(&block).await.map_err(GatewayError::staging)?;
    }
    if received != length {
        return Err(GatewayError::Incomplete);
    }
    let actual = digest.finish();
    if actual != declared {
        return Err(GatewayError::WrongBytes { declared, actual });
    }
    file.flush().await.map_err(GatewayError::staging)?;
    file.get_ref().sync_all().await.map_err(GatewayError::staging)?;
    Ok(target)
}

/// A small body, whole.
pub(super) async fn receive_small(
    gateway: &Gateway,
    body: &mut BodyDataStream,
    limit: u64,
) -> Result<Vec<u8>, GatewayError> {
    let mut all = Vec::new();
    let idle = gateway.config.idle_timeout;
    while let Some(block) = timeout(idle, body.next()).await.map_err(|_| GatewayError::Incomplete)? {
        let block = block.map_err(|_| GatewayError::Incomplete)?;
        let length = (all.len() + block.len()) as u64;
        if length > limit {
            return Err(GatewayError::TooLarge { length, limit });
        }
        all.extend_from_slice(&block);
    }
    Ok(all)
}

/// Reads on for a while after a refusal: closing at once would reset the connection and lose the answer.
pub(super) async fn drain(body: &mut BodyDataStream) {
    let reading = async {
        let mut read = 0u64;
        while let Some(Ok(block)) = body.next().await {
            read = read.saturating_add(block.len() as u64);
            if read > MAX_DRAINED {
                break;
            }
        }
    };
    // Running out of time is as good as done.
    let _ = timeout(DRAIN_TIME, reading).await;
}

struct Counted<'a>(&'a Gateway);

impl<'a> Counted<'a> {
    fn new(gateway: &'a Gateway) -> Self {
        gateway.metrics.uploads.inc();
        Self(gateway)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.metrics.uploads.dec();
    }
}
