//! What a decision asks for, as data: the operator carries it out, the simulation records it.

use crate::{
    job::JobIdentity,
    types::{Address, Amount, B256, Commitment, IncludedMask, ModelHash, Round, RoundDigest, Score, Timestamp},
};

/// The answer of `decide`: what to do now, and in one phrase what is being waited for.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// In order of urgency (reveals first).
    pub actions: Vec<Action>,
    pub step: ClientStep,
    pub awaiting: Option<Awaiting>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Create the Job if no Job with this identity exists.
    StartJob(JobRequest),
    /// Nobody wants this Job's result any more.
    DeleteJob {
        name: String,
    },
    /// Store a vote before its commitment is broadcast. If an entry for the same (chain, task, round, voter, digest)
    /// exists, that one wins. The salt is filled in by whoever holds the ledger seed.
    RecordVote(VoteToRecord),
    /// Make a model of ours readable by others.
    Publish {
        model: ModelHash,
    },
    Send(Transaction),
    /// Look again at this time even if nothing wakes us.
    WaitUntil(Timestamp),
    /// Stop this client: something only a person can resolve.
    Stop(StopReason),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobRequest {
    pub identity: JobIdentity,
    pub finish_by: Timestamp,
    pub fetch_until: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VoteToRecord {
    pub round: Round,
    pub round_digest: RoundDigest,
    pub hash: ModelHash,
    pub score: Score,
    pub mask: IncludedMask,
}

/// One contract call. Each names the state it was computed from or can happen once only.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Transaction {
    Approve {
        token: Address,
        amount: Amount,
    },
    Stake {
        amount: Amount,
    },
    JoinRound {
        round: Round,
        sample_count: u32,
    },
    Contribute {
        round: Round,
        draw_digest: RoundDigest,
        model: ModelHash,
    },
    CommitVote {
        round: Round,
        round_digest: RoundDigest,
        commitment: Commitment,
    },
    RevealVote {
        round: Round,
        hash: ModelHash,
        score: Score,
        mask: IncludedMask,
        salt: B256,
    },
    SelectRoundParticipants {
        round: Round,
    },
    FinishRound {
        round: Round,
    },
    Slash {
        round: Round,
    },
    Terminate,
    ClaimRewards,
}

impl std::fmt::Debug for Transaction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl Transaction {
    /// Stable name for logs, Events and metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Approve { .. } => "approve",
            Self::Stake { .. } => "stake",
            Self::JoinRound { .. } => "joinRound",
            Self::Contribute { .. } => "contribute",
            Self::CommitVote { .. } => "commitVote",
            Self::RevealVote { .. } => "revealVote",
            Self::SelectRoundParticipants { .. } => "selectRoundParticipants",
            Self::FinishRound { .. } => "finishRound",
            Self::Slash { .. } => "slash",
            Self::Terminate => "terminate",
            Self::ClaimRewards => "claimRewards",
        }
    }

    /// Whether anyone may send it: such a call is worth only a try (`estimateGas` first, staggered by rank).
    pub fn is_poke(&self) -> bool {
        matches!(
            self,
            Self::SelectRoundParticipants { .. } | Self::FinishRound { .. } | Self::Slash { .. } | Self::Terminate
        )
    }
}

/// Where a client stands, as shown in `kubectl get flclients` (column STEP).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ClientStep {
    Suspended,
    Checking,
    Staking,
    Joining,
    Joined,
    Training,
    Contributing,
    Contributed,
    Waiting,
    Evaluating,
    Committing,
    Committed,
    Revealing,
    Revealed,
    Drained,
    Removed,
    Claiming,
    Claimed,
    Stopped,
}

impl ClientStep {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Suspended => "Suspended",
            Self::Checking => "Checking",
            Self::Staking => "Staking",
            Self::Joining => "Joining",
            Self::Joined => "Joined",
            Self::Training => "Training",
            Self::Contributing => "Contributing",
            Self::Contributed => "Contributed",
            Self::Waiting => "Waiting",
            Self::Evaluating => "Evaluating",
            Self::Committing => "Committing",
            Self::Committed => "Committed",
            Self::Revealing => "Revealing",
            Self::Revealed => "Revealed",
            Self::Drained => "Drained",
            Self::Removed => "Removed",
            Self::Claiming => "Claiming",
            Self::Claimed => "Claimed",
            Self::Stopped => "Stopped",
        }
    }
}

/// One sentence for `Ready`: what is awaited, from whom, until when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Awaiting {
    pub what: String,
    pub until: Option<Timestamp>,
}

/// Why a client stops by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StopReason {
    /// The chain holds a commitment of this key that the ledger does not know.
    ForeignCommitment { commitment: Commitment },
    /// This participant derives another genesis model than the chain's.
    GenesisMismatch { derived: ModelHash },
    /// Not on the task's allow list.
    NotAllowed,
    /// `spec.stake` is below the task's entry stake.
    StakeBelowEntry { entry: Amount },
    /// The key holds too few tokens to stake.
    NotEnoughTokens { balance: Amount },
}
