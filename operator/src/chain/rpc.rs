//! Several endpoints of one chain used as one: sticky, with failover, never going backwards.
//!
//! An endpoint is used only after it named the expected chain. It is left when it does not answer, answers rubbish, or
//! is behind a block already seen; the next one that answers is kept until it fails in turn.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Instant,
};

use alloy::primitives::{B256, U64};
use serde::de::DeserializeOwned;
use serde_json::{Value, json, value::RawValue};

use super::{
    ChainError, ChainIdentity, ChainMetrics,
    refusals::{Failure, classify, worst},
    transport::{CallError, Transport},
    wire::Header,
};
use crate::clock::Clock;

/// What is expected of the endpoints.
#[derive(Debug, Clone)]
pub struct RpcConfig {
    /// Label of metrics and logs: the FLChain's name.
    pub chain: String,
    /// Endpoints that name another chain are not used. `None` (an administrator's command) trusts the first.
    pub expected: Option<ChainIdentity>,
    /// A head older than this makes the other endpoints be asked for a newer one. Seconds.
    pub stale_after: u64,
}

struct Endpoint {
    transport: Arc<dyn Transport>,
    /// It has named the expected chain since it was last in trouble.
    admitted: AtomicBool,
}

/// The endpoints of one chain.
pub struct Rpc {
    config: RpcConfig,
    endpoints: Vec<Endpoint>,
    current: AtomicUsize,
    /// Number of the newest block seen or mined into. Heads below it are old.
    seen: AtomicU64,
    /// When (wall clock) the other endpoints were last asked for a newer head.
    compared_at: AtomicU64,
    identity: Mutex<Option<ChainIdentity>>,
    clock: Arc<dyn Clock>,
    metrics: Option<ChainMetrics>,
    gate: tokio::sync::Semaphore,
}

impl std::fmt::Debug for Rpc {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let hosts: Vec<_> = self.endpoints.iter().map(|e| e.transport.host()).collect();
        f.debug_struct("Rpc")
            .field("chain", &self.config.chain)
            .field("endpoints", &hosts)
            .finish_non_exhaustive()
    }
}

enum Ask<'a> {
    /// The newest block, not below one seen before.
    Head,
    Call(&'a str, Value),
}

/// Calls in flight at once. Public endpoints limit rates; a reconcile needs few.
const CONCURRENT_CALLS: usize = 16;

impl Rpc {
    pub fn new(
        config: RpcConfig,
        transports: Vec<Arc<dyn Transport>>,
        clock: Arc<dyn Clock>,
        metrics: Option<ChainMetrics>,
    ) -> Self {
        let endpoints = transports
            .into_iter()
            .map(|transport| Endpoint {
                transport,
                admitted: AtomicBool::new(false),
            })
            .collect();
        Self {
            identity: Mutex::new(config.expected),
            config,
            endpoints,
            current: AtomicUsize::new(0),
            seen: AtomicU64::new(0),
            compared_at: AtomicU64::new(0),
            clock,
            metrics,
            gate: tokio::sync::Semaphore::new(CONCURRENT_CALLS),
        }
    }

    pub fn chain(&self) -> &str {
        &self.config.chain
    }

    pub(super) fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    pub(super) fn metrics(&self) -> Option<&ChainMetrics> {
        self.metrics.as_ref()
    }

    /// From now on heads below `block` are old: a transaction of ours was mined in it.
    pub fn observe(&self, block: u64) {
        self.seen.fetch_max(block, Ordering::Relaxed);
    }

    /// Identity of the chain behind the endpoint in use.
    pub async fn identity(&self) -> Result<ChainIdentity, ChainError> {
        let id: U64 = self.call("eth_chainId", json!([])).await?;
        let genesis: Option<Header> = self.call("eth_getBlockByNumber", json!(["0x0", false])).await?;
        let genesis = genesis.ok_or_else(|| ChainError::BadAnswer("there is no genesis block".to_owned()))?;
        Ok(ChainIdentity {
            chain_id: id.to(),
            genesis_hash: genesis.hash,
        })
    }

    /// Identity as expected or first seen; asks only if neither is known.
    pub async fn identity_known(&self) -> Result<ChainIdentity, ChainError> {
        let known = *self.identity.lock().unwrap_or_else(PoisonError::into_inner);
        match known {
            Some(identity) => Ok(identity),
            None => self.identity().await,
        }
    }

    /// Host of the endpoint in use, once one was admitted.
    pub fn endpoint(&self) -> Option<String> {
        let current = self.endpoints.get(self.current.load(Ordering::Relaxed))?;
        current
            .admitted
            .load(Ordering::Relaxed)
            .then(|| current.transport.host().to_owned())
    }

    /// The newest block of the endpoint in use, never below one seen before.
    pub async fn head(&self) -> Result<Header, ChainError> {
        let raw = self.attempt(&Ask::Head).await?;
        let header: Header = parse(&raw).map_err(ChainError::BadAnswer)?;
        let header = match self.newer_elsewhere(&header).await {
            Some(newer) => newer,
            None => header,
        };
        self.observe(header.number.to());
        if let Some(metrics) = &self.metrics {
            metrics.head(&self.config.chain, header.number.to(), header.timestamp.to());
        }
        Ok(header)
    }

    /// One call at the endpoint in use, or at the next one that answers.
    pub async fn call<T: DeserializeOwned>(&self, method: &str, params: Value) -> Result<T, ChainError> {
        let raw = self.attempt(&Ask::Call(method, params)).await?;
        parse(&raw).map_err(|e| ChainError::BadAnswer(format!("{method}: {e}")))
    }

    /// Asks the current endpoint, then the others in turn. Definite answers end it.
    async fn attempt(&self, ask: &Ask<'_>) -> Result<Box<RawValue>, ChainError> {
        if self.endpoints.is_empty() {
            return Err(ChainError::Unreachable("no endpoint is configured".to_owned()));
        }
        let first = self.current.load(Ordering::Relaxed) % self.endpoints.len();
        let mut failures = Vec::new();
        for step in 0..self.endpoints.len() {
            let index = (first + step) % self.endpoints.len();
            let outcome = match self.admit(index, step > 0).await {
                Ok(()) => self.ask(index, ask).await.map_err(|e| classify(&e, self.host(index))),
                Err(error) => Err(error),
            };
            match outcome {
                Ok(value) => {
                    self.settle_on(first, index);
                    return Ok(value);
                }
                Err(Failure::Answer(error)) => {
                    self.settle_on(first, index);
                    return Err(error);
                }
                Err(Failure::Endpoint(error)) => {
                    if matches!(error, ChainError::Unreachable(_)) {
                        self.endpoints[index].admitted.store(false, Ordering::Relaxed);
                    }
                    tracing::debug!(chain = %self.config.chain, endpoint = index, %error, "endpoint passed over");
                    failures.push(error);
                }
            }
        }
        Err(worst(failures))
    }

    async fn ask(&self, index: usize, ask: &Ask<'_>) -> Result<Box<RawValue>, CallError> {
        match ask {
            Ask::Head => self.raw_head(index).await.map(|(raw, _)| raw),
            Ask::Call(method, params) => self.raw(index, method, params.clone()).await,
        }
    }

    fn host(&self, index: usize) -> &str {
        self.endpoints[index].transport.host()
    }

    fn settle_on(&self, from: usize, to: usize) {
        if from != to
            && self
                .current
                .compare_exchange(from, to, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
        {
            tracing::warn!(chain = %self.config.chain, from = self.host(from), to = self.host(to), "changed endpoint");
            if let Some(metrics) = &self.metrics {
                metrics.failover(&self.config.chain, from);
            }
        }
    }

    /// Makes sure that the endpoint serves the right chain and, when it is about to take over, is not behind.
    async fn admit(&self, index: usize, taking_over: bool) -> Result<(), Failure> {
        let on = |e: &CallError| classify(e, self.host(index));
        if !self.endpoints[index].admitted.load(Ordering::Relaxed) {
            let found = self.name_chain(index).await.map_err(|e| on(&e))?;
            let mut identity = self.identity.lock().unwrap_or_else(PoisonError::into_inner);
            if *identity.get_or_insert(found) != found {
                return Err(Failure::Endpoint(ChainError::WrongChain {
                    id: found.chain_id,
                    genesis: found.genesis_hash.to_string(),
                }));
            }
            self.endpoints[index].admitted.store(true, Ordering::Relaxed);
        }
        if taking_over {
            self.raw_head(index).await.map_err(|e| on(&e))?;
        }
        Ok(())
    }

    async fn name_chain(&self, index: usize) -> Result<ChainIdentity, CallError> {
        let id: U64 = parse_call(&self.raw(index, "eth_chainId", json!([])).await?)?;
        let genesis = self.raw(index, "eth_getBlockByNumber", json!(["0x0", false])).await?;
        let genesis: Option<Header> = parse_call(&genesis)?;
        let genesis = genesis.ok_or_else(|| CallError::Garbled("it has no genesis block".to_owned()))?;
        Ok(ChainIdentity {
            chain_id: id.to(),
            genesis_hash: genesis.hash,
        })
    }

    /// The endpoint's newest block; [`CallError::Behind`] if it is below the newest seen.
    async fn raw_head(&self, index: usize) -> Result<(Box<RawValue>, Header), CallError> {
        let raw = self
            .raw(index, "eth_getBlockByNumber", json!(["latest", false]))
            .await?;
        let header: Option<Header> = parse_call(&raw)?;
        let header = header.ok_or_else(|| CallError::Garbled("it has no newest block".to_owned()))?;
        let (number, seen) = (header.number.to::<u64>(), self.seen.load(Ordering::Relaxed));
        if number < seen {
            return Err(CallError::Behind { head: number, seen });
        }
        Ok((raw, header))
    }

    /// When our head is old, perhaps only our endpoint stands still: asks the others, and moves to one that is ahead.
    async fn newer_elsewhere(&self, header: &Header) -> Option<Header> {
        let now = self.clock.now().0;
        let stale = now.saturating_sub(header.timestamp.to()) > self.config.stale_after;
        let due = now.saturating_sub(self.compared_at.load(Ordering::Relaxed)) >= self.config.stale_after;
        if !(stale && due && self.endpoints.len() > 1) {
            return None;
        }
        self.compared_at.store(now, Ordering::Relaxed);
        let current = self.current.load(Ordering::Relaxed) % self.endpoints.len();
        for step in 1..self.endpoints.len() {
            let index = (current + step) % self.endpoints.len();
            if self.admit(index, false).await.is_err() {
                continue;
            }
            if let Ok((_, other)) = self.raw_head(index).await
                && other.number > header.number
            {
                self.settle_on(current, index);
                return Some(other);
            }
        }
        None
    }

    async fn raw(&self, index: usize, method: &str, params: Value) -> Result<Box<RawValue>, CallError> {
        let _permit = self.gate.acquire().await;
        let started = Instant::now();
        let outcome = self.endpoints[index].transport.call(method, params).await;
        if let Some(metrics) = &self.metrics {
            let label = outcome.as_ref().err().map_or("ok", CallError::outcome);
            metrics.request(
                &self.config.chain,
                index,
                method,
                label,
                started.elapsed().as_secs_f64(),
            );
        }
        outcome
    }

    /// Block parameter that pins a read to a block by its hash (EIP-1898).
    pub fn at(hash: B256) -> Value {
        json!({"blockHash": hash})
    }
}

fn parse<T: DeserializeOwned>(raw: &RawValue) -> Result<T, String> {
    serde_json::from_str(raw.get()).map_err(|e| format!("{:?} at column {}", e.classify(), e.column()))
}

fn parse_call<T: DeserializeOwned>(raw: &RawValue) -> Result<T, CallError> {
    parse(raw).map_err(CallError::Garbled)
}

#[cfg(test)]
#[path = "rpc_tests.rs"]
mod tests;
