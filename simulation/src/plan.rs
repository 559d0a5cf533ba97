//! What one seed decides before anything runs.

use protocol::{
    draw::RATE_ONE,
    snapshot::TaskParameters,
    types::{DefinitionHash, ModelHash},
};

use crate::{
    contract::trained,
    faults::{Fault, Rates},
    random::Random,
    time::Millis,
};

pub(crate) const START: u64 = 1_800_000_000;
pub(crate) const STAKE: u128 = 64_000_000_000_000_000_000;
/// What every account of ours holds for gas.
pub(crate) const COIN: u128 = 10_000_000_000_000_000_000;
/// Seconds between blocks.
pub(crate) const BLOCK: u64 = 4;

/// A bug put into the operator's ports, to see that the simulation finds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    /// A vote is stored only after its commitment was sent.
    LedgerWrittenAfterSending,
    /// Neither vote nor seed reach the API server: they are known to the process alone.
    SaltNotStored,
    /// A nonce once seen is not believed to go back.
    NonceCachedAcrossReorg,
    /// The result of a Job counts for the next one, whatever its input.
    ResultOfOtherInput,
    /// A vote is revealed as soon as it is committed.
    RevealBeforeWindow,
    /// Nobody looks whether a call has taken effect before it is sent.
    EffectNotLookedFor,
    /// A broadcast whose answer was lost counts as one that never happened.
    LostAnswerIsFailure,
    /// State from before one's own last transaction is decided on.
    StaleSnapshot,
    /// Nothing is ever cleaned up.
    SecretsLeft,
    /// A stored vote or seed that is not found at once is made anew and overwritten.
    LedgerOverwritten,
    /// A stake goes out at any nonce that an endpoint says, also at one that its state does not know.
    StakeAtMadeUpNonce,
}

impl Bug {
    pub const ALL: [Self; 11] = [
        Self::LedgerWrittenAfterSending,
        Self::SaltNotStored,
        Self::NonceCachedAcrossReorg,
        Self::ResultOfOtherInput,
        Self::RevealBeforeWindow,
        Self::EffectNotLookedFor,
        Self::LostAnswerIsFailure,
        Self::StaleSnapshot,
        Self::SecretsLeft,
        Self::LedgerOverwritten,
        Self::StakeAtMadeUpNonce,
    ];
}

/// A call at which the first process to make it so often dies: chance alone hardly ever finds the rare ones.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Death {
    pub(crate) call: &'static str,
    pub(crate) nth: u64,
    pub(crate) before: bool,
}

/// Every call of the operator, those made seldom more than once.
const CALLS: [&str; 49] = [
    "apply_client_status",
    "apply_round",
    "apply_task_status",
    "create_job",
    "create_secret",
    "delete_job",
    "delete_job",
    "delete_job",
    "delete_round",
    "delete_round",
    "delete_round",
    "delete_round",
    "delete_secret",
    "delete_secret",
    "delete_secret",
    "eth_call",
    "eth_chainId",
    "eth_estimateGas",
    "eth_estimateGas",
    "eth_getBalance",
    "eth_getBalance",
    "eth_getBlockByHash",
    "eth_getBlockByNumber",
    "eth_getCode",
    "eth_getCode",
    "eth_getLogs",
    "eth_getTransactionCount",
    "eth_getTransactionReceipt",
    "eth_maxPriorityFeePerGas",
    "eth_sendRawTransaction",
    "eth_sendRawTransaction",
    "eth_sendRawTransaction",
    "jobs",
    "open_key",
    "open_key",
    "pods",
    "publish",
    "publish",
    "publish",
    "publish_event",
    "result",
    "secret",
    "set_client_finalizer",
    "set_client_finalizer",
    "set_client_finalizer",
    "set_task_finalizer",
    "set_task_finalizer",
    "sign",
    "sign",
];

/// Everything a run starts from.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// Participants whose FLClients this operator has.
    pub(crate) clients: usize,
    /// Participants elsewhere.
    pub(crate) others: usize,
    pub(crate) keeper: bool,
    pub(crate) endpoints: usize,
    pub(crate) depth: u32,
    /// Wei per gas.
    pub(crate) fee_cap: Option<u128>,
    /// Keys are in a service, not in Secrets.
    pub(crate) remote_keys: bool,
    /// FLRounds that are kept.
    pub(crate) history: Option<u32>,
    /// From then on nothing goes wrong.
    pub(crate) calm_at: Millis,
    pub(crate) rates: Rates,
    pub(crate) death: Option<Death>,
    /// Chance of 1000 that a call takes a little while even if all is well.
    pub(crate) latency: u32,
    pub(crate) parameters: TaskParameters,
}

impl Plan {
    pub(crate) fn draw(random: &mut Random, definition: DefinitionHash) -> Self {
        // Small runs are over sooner, so that there are more of them.
        let clients = *random.pick(&[1, 1, 2]);
        let others = *random.pick(&[3, 4, 4, 5]) - clients;
        let rates = Rates::draw(random);
        let quiet = rates.active().is_empty();
        let death = Death {
            call: CALLS[random.below(CALLS.len() as u64) as usize],
            nth: *random.pick(&[1, 1, 1, 1, 2, 3, 8]),
            before: random.chance(500),
        };
        let death = random.chance(400).then_some(death);
        // With a limit of one every further round deletes an FLRound.
        let deletes = death.is_some_and(|death| death.call == "delete_round");
        let history = (deletes || random.chance(250)).then_some(1);
        let participants = (clients + others) as u16;
        let rounds = *random.pick(&[1, 1, 1, 2, 2, 3]);
        let shortest = *random.pick(&[80, 200, 200]);
        let windows = (
            random.between(20, 60) as u32,
            random.between(80, 140) as u32,
            random.between(120, 200) as u32,
            random.between(shortest, 320) as u32,
        );
        let (join, propose, commit, reveal) = windows;
        Self {
            clients,
            others,
            keeper: random.chance(500),
            endpoints: random.between(1, 2) as usize,
            depth: *random.pick(&[0, 1, 2, 3, 5, 8]),
            remote_keys: random.chance(700),
            history,
            fee_cap: random.chance(500).then_some(100_000_000_000),
            calm_at: START * 1000 + if quiet { 0 } else { random.between(30_000, 450_000) },
            latency: *random.pick(&[0, 50, 200]),
            rates,
            death,
            parameters: TaskParameters {
                metadata: "{}".to_owned(),
                definition_hash: definition,
                genesis_model: ModelHash(trained(Default::default(), Default::default(), 0).0),
                total_rounds: rounds,
                min_participants: 3,
                max_participants: participants.max(3),
                entry_stake: STAKE.into(),
                // With the larger one a single slash removes.
                min_stake_threshold: random.pick(&[STAKE / 2, STAKE / 10 * 9]).to_owned().into(),
                distribution_rate: RATE_ONE / 3,
                slashed_per_stake: RATE_ONE / 8,
                bonus_ratio: 1000,
                quorum_bps: 5000,
                join_window: join,
                propose_window: propose,
                commit_window: commit,
                reveal_window: reveal,
                stall_timeout: 2 * (join + propose + commit + reveal),
                initial_reward_pool: (100 * STAKE).into(),
                allow_list_enabled: false,
            },
        }
    }

    /// The rate at this moment.
    pub(crate) fn rate(&self, fault: Fault, now: Millis) -> u32 {
        if now >= self.calm_at { 0 } else { self.rates.of(fault) }
    }

    pub(crate) fn summary(&self) -> String {
        let faults: Vec<String> = self
            .rates
            .active()
            .into_iter()
            .map(|f| format!("{f:?} {}", self.rates.of(f)))
            .collect();
        let p = &self.parameters;
        format!(
            "{} clients, {} others, keeper {}, {} endpoints, {} confirmations, fee cap {:?}, history {:?}, keys in a service {}, {} rounds of {}+{}+{}+{} s, \
             calm after {} s, death {:?}, faults of 1000: {}",
            self.clients,
            self.others,
            self.keeper,
            self.endpoints,
            self.depth,
            self.fee_cap,
            self.history,
            self.remote_keys,
            p.total_rounds,
            p.join_window,
            p.propose_window,
            p.commit_window,
            p.reveal_window,
            (self.calm_at - START * 1000) / 1000,
            self.death.map(|death| (death.call, death.nth, death.before)),
            faults.join(", ")
        )
    }
}
