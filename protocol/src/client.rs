//! What is local about one participant: what its FLClient asks for, its Jobs and their results, its vote ledger.

use crate::{
    job::{JobIdentity, JobResult},
    types::{Address, Amount, B256, Commitment, IncludedMask, ModelHash, Round, RoundDigest, Score, Timestamp},
};

/// Everything a decision needs besides the chain.
#[derive(Debug, Clone, PartialEq)]
pub struct ClientView {
    pub participant: Address,
    /// Staked once, never topped up.
    pub stake: Amount,
    /// `spec.suspend` of the task: do nothing at all.
    pub suspended: bool,
    /// Finish the current duty, join no more (`spec.drain`, or the FLClient is being deleted).
    pub draining: bool,
    /// Hash over what the FLClient says about data and trainer; part of every Job's identity.
    pub environment: B256,
    pub jobs: Vec<JobView>,
    /// Entries of this participant for the current round.
    pub ledger: Vec<LedgerEntry>,
    /// Everything at or below this block is deep enough (`confirmations`).
    pub confirmed_block: u64,
    /// The wall clock; whether a window is open is judged by the snapshot's block instead.
    pub now: Timestamp,
    /// Seconds between blocks, for the reserve before a deadline.
    pub block_time: u64,
    /// Whether this operator also sends pokes for the task, and after how many seconds (rank by hash).
    pub poke_delay: Option<u64>,
    /// `terminate` and `claimRewards` are sent by the operator (true unless the user wants to do it by hand).
    pub claim: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub struct JobView {
    /// Kubernetes name.
    pub name: String,
    pub identity: JobIdentity,
    pub state: JobState,
}

#[derive(Debug, Clone, PartialEq)]
pub enum JobState {
    Pending,
    Running,
    Succeeded(Box<JobResult>),
    /// `retry`: the failure may go away (a disruption, the network).
    Failed {
        retry: bool,
    },
}

/// One stored vote: what was, or is about to be, committed. Immutable once stored.
#[derive(Clone, PartialEq, Eq)]
pub struct LedgerEntry {
    pub chain_id: u64,
    pub task: Address,
    pub round: Round,
    pub voter: Address,
    /// The digest of the round the vote was computed from.
    pub round_digest: RoundDigest,
    pub hash: ModelHash,
    pub score: Score,
    pub mask: IncludedMask,
    pub salt: B256,
    pub commitment: Commitment,
}

impl std::fmt::Debug for LedgerEntry {
    /// The salt stays out of logs: with it the vote could be read off the commitment.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LedgerEntry")
            .field("task", &self.task)
            .field("round", &self.round)
            .field("voter", &self.voter)
            .field("commitment", &self.commitment)
            .finish_non_exhaustive()
    }
}
