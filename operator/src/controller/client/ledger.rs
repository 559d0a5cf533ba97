//! The vote ledger: what was, or is about to be, committed, stored before it is broadcast.
//!
//! One immutable Secret per (chain, task, round, voter, digest) in the operator's namespace, without owner, so that
//! neither deleting the FLClient nor its namespace loses a salt. Create-only: what is stored wins over a re-run.

use std::collections::BTreeMap;

use crds::names;
use k8s_openapi::{ByteString, api::core::v1::Secret, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use protocol::{
    action::VoteToRecord,
    client::LedgerEntry,
    commitment::LedgerKey,
    types::{Address, B256, Commitment, IncludedMask, ModelHash, Round, RoundDigest, Score},
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::{
    cluster::{Cluster, ClusterError, Created, Key},
    controller::context::Context,
    randomness::Randomness,
};

/// Name of the seed's Secret. Salts derive from it, so a lost entry can be rebuilt: back it up.
pub(crate) const SEED_SECRET: &str = "fl-alliance-ledger-seed";
const SEED_FIELD: &str = "seed";
const SEED_BYTES: usize = 32;
const VOTE_FIELD: &str = "vote.json";
const VOTE_VERSION: u32 = 1;

/// What can go wrong with the ledger. No message contains a salt or the seed.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    #[error("Secret {0} in the operator's namespace is not a vote of this ledger ({1}); restore it from a backup")]
    Corrupt(String, &'static str),
    #[error(
        "Secret {SEED_SECRET} in the operator's namespace has no {SEED_BYTES}-byte field {SEED_FIELD:?}; restore it from a backup"
    )]
    Seed,
    #[error("no randomness from the operating system: {0}")]
    Randomness(String),
}

impl LedgerError {
    /// Stable, for metrics and Events.
    pub fn category(&self) -> &'static str {
        match self {
            Self::Cluster(error) => error.category(),
            Self::Corrupt(..) => "ledger-corrupt",
            Self::Seed => "ledger-seed",
            Self::Randomness(_) => "randomness",
        }
    }
}

/// Name of the Secret of one vote: a hash, since the parts together are longer than a name may be.
pub(crate) fn secret_name(key: &LedgerKey) -> String {
    let mut hasher = Sha256::new();
    hasher.update(key.chain_id.to_be_bytes());
    hasher.update(key.task);
    hasher.update(key.round.0.to_be_bytes());
    hasher.update(key.voter);
    hasher.update(key.round_digest.0);
    format!("fl-alliance-vote-{}", hex::encode(&hasher.finalize()[..20]))
}

/// The stored document.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct StoredVote {
    version: u32,
    chain_id: u64,
    task: Address,
    round: Round,
    voter: Address,
    round_digest: RoundDigest,
    hash: ModelHash,
    score: Score,
    mask: IncludedMask,
    salt: B256,
    commitment: Commitment,
}

/// What a commitment on chain is to this ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Evidence {
    /// Its entry is here.
    Recorded,
    /// It has no entry, but its salt is of our seed: an entry that was lost.
    OfOurSeed,
    /// Its salt is of our seed, and the entry here says otherwise: a second operator with a copy of our Secrets.
    OfACopy(LedgerEntry),
    /// Neither entry nor seed explain it.
    Foreign,
}

impl Evidence {
    pub(crate) fn is_foreign(&self) -> bool {
        matches!(self, Self::OfACopy(_) | Self::Foreign)
    }
}

/// The ledger in one operator's namespace.
#[derive(Clone, Copy)]
pub(crate) struct Ledger<'a> {
    cluster: &'a dyn Cluster,
    randomness: &'a dyn Randomness,
    namespace: &'a str,
}

impl<'a> Ledger<'a> {
    pub(crate) fn new(ctx: &'a Context) -> Self {
        Self {
            cluster: ctx.cluster.as_ref(),
            randomness: ctx.randomness.as_ref(),
            namespace: &ctx.settings.namespace,
        }
    }

    /// The stored vote, checked: its commitment follows from its own fields, and it is the vote asked for.
    pub(crate) async fn find(&self, key: &LedgerKey) -> Result<Option<LedgerEntry>, LedgerError> {
        let name = secret_name(key);
        let Some(secret) = self.cluster.secret(&Key::new(self.namespace, &name)).await? else {
            return Ok(None);
        };
        read(&secret, key)
            .map(Some)
            .map_err(|why| LedgerError::Corrupt(name, why))
    }

    /// Stores a vote, or returns the one that is stored already.
    pub(crate) async fn record(&self, key: &LedgerKey, vote: &VoteToRecord) -> Result<LedgerEntry, LedgerError> {
        if let Some(stored) = self.find(key).await? {
            return Ok(stored);
        }
        let seed = self.seed().await?;
        self.store(key.entry(&seed, vote.hash, vote.score, vote.mask)).await
    }

    /// Finds the vote behind a commitment whose entry is lost, among `candidates`, and stores it again.
    pub(crate) async fn rebuild(
        &self,
        key: &LedgerKey,
        commitment: Commitment,
        candidates: Vec<(ModelHash, Score, IncludedMask)>,
    ) -> Result<Option<LedgerEntry>, LedgerError> {
        let seed = self.seed().await?;
        match key.rebuild(&seed, commitment, candidates) {
            Some(entry) => self.store(entry).await.map(Some),
            None => Ok(None),
        }
    }

    /// Where a commitment on chain comes from.
    pub(crate) async fn explain(
        &self,
        key: &LedgerKey,
        commitment: Commitment,
        candidates: Vec<(ModelHash, Score, IncludedMask)>,
    ) -> Result<Evidence, LedgerError> {
        let stored = match self.find(key).await {
            Ok(stored) => stored,
            // Damaged is as good as lost: the seed decides.
            Err(LedgerError::Corrupt(..)) => None,
            Err(error) => return Err(error),
        };
        if stored.as_ref().is_some_and(|entry| entry.commitment == commitment) {
            return Ok(Evidence::Recorded);
        }
        let seed = self.seed().await?;
        let remade = key.rebuild(&seed, commitment, candidates);
        Ok(match (stored, remade) {
            (None, Some(_)) => Evidence::OfOurSeed,
            (Some(_), Some(entry)) => Evidence::OfACopy(entry),
            (_, None) => Evidence::Foreign,
        })
    }

    async fn store(&self, entry: LedgerEntry) -> Result<LedgerEntry, LedgerError> {
        let key = entry.key();
        match self
            .cluster
            .create_secret(self.namespace, &secret(&entry, self.namespace))
            .await?
        {
            Created::New => Ok(entry),
            // Somebody was faster (a second replica): theirs is the vote.
            Created::Existed => self
                .find(&key)
                .await?
                .ok_or_else(|| LedgerError::Corrupt(secret_name(&key), "it was there and is gone")),
        }
    }

    /// The seed, made on first use and never again.
    async fn seed(&self) -> Result<Zeroizing<[u8; SEED_BYTES]>, LedgerError> {
        let key = Key::new(self.namespace, SEED_SECRET);
        if let Some(secret) = self.cluster.secret(&key).await? {
            return seed_of(&secret);
        }
        let mut seed = Zeroizing::new([0u8; SEED_BYTES]);
        self.randomness.fill(seed.as_mut()).map_err(LedgerError::Randomness)?;
        let secret = Secret {
            metadata: metadata(SEED_SECRET, self.namespace),
            type_: Some(names::SECRET_TYPE_LEDGER_SEED.to_owned()),
            immutable: Some(true),
            data: Some(BTreeMap::from([(SEED_FIELD.to_owned(), ByteString(seed.to_vec()))])),
            string_data: None,
        };
        match self.cluster.create_secret(self.namespace, &secret).await? {
            Created::New => Ok(seed),
            Created::Existed => seed_of(&self.cluster.secret(&key).await?.ok_or(LedgerError::Seed)?),
        }
    }
}

fn seed_of(secret: &Secret) -> Result<Zeroizing<[u8; SEED_BYTES]>, LedgerError> {
    let bytes = secret
        .data
        .as_ref()
        .and_then(|data| data.get(SEED_FIELD))
        .ok_or(LedgerError::Seed)?;
    let seed: [u8; SEED_BYTES] = bytes.0.as_slice().try_into().map_err(|_| LedgerError::Seed)?;
    Ok(Zeroizing::new(seed))
}

fn metadata(name: &str, namespace: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_owned()),
        namespace: Some(namespace.to_owned()),
        labels: Some(BTreeMap::from([(
            names::LABEL_MANAGED_BY.to_owned(),
            names::MANAGED_BY.to_owned(),
        )])),
        ..ObjectMeta::default()
    }
}

fn secret(entry: &LedgerEntry, namespace: &str) -> Secret {
    let document = StoredVote {
        version: VOTE_VERSION,
        chain_id: entry.chain_id,
        task: entry.task,
        round: entry.round,
        voter: entry.voter,
        round_digest: entry.round_digest,
        hash: entry.hash,
        score: entry.score,
        mask: entry.mask,
        salt: entry.salt,
        commitment: entry.commitment,
    };
    let mut metadata = metadata(&secret_name(&entry.key()), namespace);
    // For people who look at backups; nothing reads them back.
    metadata.annotations = Some(BTreeMap::from([
        ("fl-alliance.io/chain-id".to_owned(), entry.chain_id.to_string()),
        ("fl-alliance.io/contract".to_owned(), entry.task.to_string()),
        ("fl-alliance.io/round".to_owned(), entry.round.to_string()),
        ("fl-alliance.io/voter".to_owned(), entry.voter.to_string()),
    ]));
    Secret {
        metadata,
        type_: Some(names::SECRET_TYPE_VOTE.to_owned()),
        immutable: Some(true),
        data: Some(BTreeMap::from([(
            VOTE_FIELD.to_owned(),
            ByteString(serde_json::json!(document).to_string().into_bytes()),
        )])),
        string_data: None,
    }
}

fn read(secret: &Secret, key: &LedgerKey) -> Result<LedgerEntry, &'static str> {
    if secret.type_.as_deref() != Some(names::SECRET_TYPE_VOTE) {
        return Err("its type is another");
    }
    let bytes = secret
        .data
        .as_ref()
        .and_then(|data| data.get(VOTE_FIELD))
        .ok_or("it has no vote.json")?;
    let stored: StoredVote = serde_json::from_slice(&bytes.0).map_err(|_| "vote.json cannot be read")?;
    if stored.version != VOTE_VERSION {
        return Err("its version is not known");
    }
    let entry = LedgerEntry {
        chain_id: stored.chain_id,
        task: stored.task,
        round: stored.round,
        voter: stored.voter,
        round_digest: stored.round_digest,
        hash: stored.hash,
        score: stored.score,
        mask: stored.mask,
        salt: stored.salt,
        commitment: stored.commitment,
    };
    if entry.key() != *key {
        return Err("it is another vote than its name says");
    }
    if !entry.is_consistent() {
        return Err("its commitment does not follow from its vote");
    }
    Ok(entry)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{FakeCluster, Faults, model};

    const NAMESPACE: &str = "fl-alliance";

    fn ledger(cluster: &FakeCluster) -> Ledger<'_> {
        Ledger {
            cluster,
            randomness: &crate::randomness::SystemRandomness,
            namespace: NAMESPACE,
        }
    }

    fn key() -> LedgerKey {
        LedgerKey {
            chain_id: 31337,
            task: Address::repeat_byte(1),
            round: Round(3),
            voter: Address::repeat_byte(2),
            round_digest: RoundDigest(B256::repeat_byte(3)),
        }
    }

    fn vote(byte: u8) -> VoteToRecord {
        VoteToRecord {
            round: Round(3),
            round_digest: key().round_digest,
            hash: model(byte),
            score: Score::For,
            mask: IncludedMask(1),
        }
    }

    #[tokio::test]
    async fn the_first_vote_stored_is_the_one_that_counts() {
        let cluster = FakeCluster::new(Faults::default());
        let ledger = ledger(&cluster);
        let first = ledger.record(&key(), &vote(7)).await.unwrap();
        assert_eq!(ledger.record(&key(), &vote(8)).await.unwrap(), first);
        assert_eq!(ledger.find(&key()).await.unwrap(), Some(first.clone()));
        let other_inputs = LedgerKey {
            round_digest: RoundDigest(B256::repeat_byte(4)),
            ..key()
        };
        assert_eq!(ledger.find(&other_inputs).await.unwrap(), None);
        let immutable = cluster.edit(|state| {
            let ours = |secret: &&Secret| secret.immutable == Some(true) && secret.metadata.owner_references.is_none();
            state.secrets.values().filter(ours).count()
        });
        assert_eq!(immutable, 2, "the vote and the seed");
    }

    #[tokio::test]
    async fn a_damaged_or_swapped_entry_is_not_used() {
        let cluster = FakeCluster::new(Faults::default());
        let ledger = ledger(&cluster);
        ledger.record(&key(), &vote(7)).await.unwrap();
        let name = Key::new(NAMESPACE, secret_name(&key()));
        let stored = cluster.edit(|state| state.secrets[&name].clone());
        let text = String::from_utf8(stored.data.clone().unwrap()[VOTE_FIELD].0.clone()).unwrap();
        for (from, to) in [
            ("\"score\":1", "\"score\":-1"),
            ("\"round\":3", "\"round\":4"),
            ("{", ""),
        ] {
            let mut damaged = stored.clone();
            let changed = text.replacen(from, to, 1);
            assert_ne!(changed, text);
            damaged
                .data
                .as_mut()
                .unwrap()
                .insert(VOTE_FIELD.to_owned(), ByteString(changed.into_bytes()));
            cluster.edit(|state| state.secrets.insert(name.clone(), damaged));
            let error = ledger.find(&key()).await.unwrap_err();
            assert_eq!(error.category(), "ledger-corrupt", "{from}");
        }
    }
}
