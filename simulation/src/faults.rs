//! What goes wrong, how often, and whether it ever did.

use std::{borrow::Cow, collections::BTreeMap};

use serde::{Deserialize, Serialize};

use crate::random::Random;

/// Of a call.
pub(crate) type Name = Cow<'static, str>;

macro_rules! named {
    ($(#[$doc:meta])* $name:ident { $($variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub(crate) enum $name { $($variant,)* }

        impl $name {
            pub(crate) const ALL: &[Self] = &[$(Self::$variant,)*];

            pub(crate) fn text(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }
    };
}

named! {
    /// Everything that the world does to the operator.
    Fault {
        CrashBefore = "the process dies before a call",
        CrashAfter = "the process dies after a call",
        CallFails = "a call fails",
        AnswerLost = "a call happens, its answer is lost",
        CallSlow = "a call takes seconds",
        WatchBroken = "watch events are missed until a relist",
        EventLate = "a watch event comes late",
        EventTwice = "a watch event comes twice",
        RpcStale = "an endpoint stays on an old block or branch",
        RpcBlockGone = "an endpoint does not have the block",
        RpcNonceLow = "an endpoint says too low a nonce",
        RpcNonceHigh = "an endpoint says too high a nonce",
        RpcNonceOnStake = "an endpoint says too high a nonce while a client stakes",
        RpcGarbled = "an endpoint answers rubbish",
        RpcReceiptMissing = "an endpoint does not know a receipt",
        PoolForgets = "a node drops a pending transaction",
        Congestion = "a transaction waits for blocks",
        SlowBlock = "a block takes long",
        Reorg = "a reorg of 1 to 64 blocks",
        ReorgOnUs = "a reorg takes back what a client did a moment ago",
        ReorgOnDraw = "a reorg takes back a draw with its seed, or a settlement",
        GasSpike = "the price of gas jumps",
        NoFunds = "a key has no coin for gas",
        SecondLeader = "two processes lead",
        Outage = "no process is there for minutes, from a commitment on",
        Frozen = "the process stands still",
        FenceClosed = "the lease is not renewed in time",
        ClockSkew = "the wall clock is off",
        JobFails = "a Job fails",
        JobHangs = "a Job hangs",
        JobEvicted = "a pod is evicted",
        JobRubbish = "a Job returns rubbish",
        JobOtherResult = "a Job run again comes to another result",
        JobDeleted = "somebody deletes a Job",
        ResultLost = "the gateway lost a result",
        StoreFails = "the gateway refuses",
        EntryLost = "a stored vote is lost",
        Suspended = "somebody suspends the task for a while",
        ForeignTransaction = "somebody else sends with a client's key",
        ForeignCommitment = "somebody else commits with a client's key",
        Acknowledged = "somebody says that a foreign vote was theirs",
        ClientDeleted = "somebody deletes an FLClient",
        TaskDeleted = "somebody deletes the task and its clients",
        OthersLate = "other participants do nothing",
    }
}

impl Fault {
    /// After these the process that acted may have seen another chain than the one that is looked at later.
    pub(crate) const OTHER_CHAIN: [Self; 4] = [Self::Reorg, Self::ReorgOnUs, Self::ReorgOnDraw, Self::RpcStale];

    /// The highest rate, of 1000: per call, per event, per Job, or per block, as is natural.
    fn most(self) -> u32 {
        match self {
            Self::CrashBefore | Self::CrashAfter => 3,
            Self::CallFails | Self::AnswerLost => 25,
            Self::CallSlow => 40,
            Self::WatchBroken => 8,
            Self::EventLate => 200,
            Self::EventTwice => 200,
            Self::RpcStale | Self::RpcNonceLow => 20,
            Self::RpcNonceHigh => 50,
            Self::RpcNonceOnStake => 400,
            Self::RpcBlockGone | Self::RpcGarbled => 20,
            Self::RpcReceiptMissing => 200,
            Self::PoolForgets => 200,
            Self::Congestion => 300,
            Self::SlowBlock => 30,
            Self::Reorg => 25,
            Self::ReorgOnUs => 150,
            Self::ReorgOnDraw => 500,
            Self::GasSpike | Self::NoFunds => 10,
            Self::SecondLeader | Self::Frozen | Self::FenceClosed => 10,
            Self::Outage => 300,
            Self::ClockSkew => 500,
            Self::JobFails | Self::JobEvicted | Self::JobOtherResult => 300,
            Self::JobHangs | Self::JobRubbish => 150,
            Self::JobDeleted => 100,
            Self::ResultLost => 300,
            Self::StoreFails => 40,
            Self::EntryLost => 5,
            Self::Suspended => 2,
            Self::ForeignTransaction => 20,
            Self::ForeignCommitment => 100,
            Self::Acknowledged => 50,
            Self::ClientDeleted | Self::TaskDeleted => 5,
            Self::OthersLate => 150,
        }
    }
}

named! {
    /// Situations that a run should have been in, or it shows little.
    Reached {
        Joined = "a client joined a round",
        Contributed = "a client contributed",
        Committed = "a client committed",
        Revealed = "a client revealed",
        Proposer = "a client was drawn as proposer",
        Voter = "a client was drawn as voter",
        Accepted = "a round was accepted",
        Rejected = "a round was rejected",
        Inconclusive = "a round was inconclusive",
        Empty = "a round had no contribution",
        Terminated = "a stalled task was terminated",
        AllClaimed = "all clients claimed",
        Removed = "a client was removed",
        RolesRedrawn = "a reorg drew the roles anew",
        InputsReplaced = "a reorg changed a round's contributions after a vote was computed",
        OwnDropped = "a reorg dropped a transaction of ours for good",
        OwnIncludedAgain = "a transaction of ours was mined again after a reorg",
        CommitUndone = "a reorg undid a commitment of ours",
        RevealUndone = "a reorg undid a reveal of ours",
        FeeRaised = "a transaction was replaced with a higher fee",
        ForeignPending = "a process found a transaction of the one before it pending",
        VoteFound = "a vote was found stored by another process",
        VoteRebuilt = "a lost vote was rebuilt from the chain",
        ForeignNonce = "somebody else's transaction took a nonce of a client",
        ForeignReplaced = "a transaction of ours replaced a stuck one that somebody else had sent",
        ForeignCommitment = "a client stopped at a commitment that was not its own",
        KeyUsedElsewhere = "a client joined no further round because its key was used elsewhere",
        HistoryCut = "an FLRound beyond the history's limit was deleted",
        DeletedWithFinalizer = "a client was deleted that looked after its duty first",
        TaskGone = "the task and its clients were gone, and were made again",
        OwnReverted = "a transaction of ours was mined and reverted",
        PokedByUs = "draw, finish or slash was sent by a client or the keeper",
        DutyMissed = "a duty was missed",
        RevealMissed = "a reveal was missed while the process could not act",
        RevealJudged = "a landed commitment was revealed",
        CalmRoundJudged = "a round ran in calm, and it was checked that every duty was done",
    }
}

/// How often what happened, over any number of runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Coverage {
    pub(crate) faults: Vec<u64>,
    pub(crate) reached: Vec<u64>,
    /// Deaths by call: before it, after it.
    pub(crate) deaths: BTreeMap<Name, (u64, u64)>,
    pub(crate) calls: BTreeMap<Name, u64>,
    pub(crate) reorg_depths: BTreeMap<u64, u64>,
}

impl Coverage {
    pub(crate) fn new() -> Self {
        Self {
            faults: vec![0; Fault::ALL.len()],
            reached: vec![0; Reached::ALL.len()],
            ..Self::default()
        }
    }

    pub(crate) fn struck(&mut self, fault: Fault) {
        self.faults[fault as usize] += 1;
    }

    pub(crate) fn reached(&mut self, state: Reached) {
        self.reached[state as usize] += 1;
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.faults.iter_mut().zip(&other.faults) {
            *mine += theirs;
        }
        for (mine, theirs) in self.reached.iter_mut().zip(&other.reached) {
            *mine += theirs;
        }
        for (name, (before, after)) in &other.deaths {
            let mine = self.deaths.entry(name.clone()).or_default();
            (mine.0, mine.1) = (mine.0 + before, mine.1 + after);
        }
        for (name, count) in &other.calls {
            *self.calls.entry(name.clone()).or_default() += count;
        }
        for (depth, count) in &other.reorg_depths {
            *self.reorg_depths.entry(*depth).or_default() += count;
        }
    }

    /// How often what contains `text` in its name happened.
    pub(crate) fn count(&self, text: &str) -> u64 {
        let faults = Fault::ALL.iter().map(|f| (f.text(), self.faults[*f as usize]));
        let states = Reached::ALL.iter().map(|s| (s.text(), self.reached[*s as usize]));
        let named = faults.chain(states).filter(|(name, _)| name.contains(text));
        named.map(|(_, count)| count).sum()
    }

    /// What never happened.
    pub(crate) fn missing(&self) -> Vec<String> {
        let faults = Fault::ALL.iter().filter(|f| self.faults[**f as usize] == 0);
        let states = Reached::ALL.iter().filter(|s| self.reached[**s as usize] == 0);
        faults
            .map(|f| f.text().to_owned())
            .chain(states.map(|s| s.text().to_owned()))
            .collect()
    }
}

/// How often each fault strikes in one run: a few of them, each at its own rate, so that runs differ in kind.
#[derive(Debug, Clone)]
pub(crate) struct Rates(Vec<u32>);

impl Rates {
    pub(crate) fn draw(random: &mut Random) -> Self {
        let share = *random.pick(&[0, 100, 250, 400, 700]);
        let rate = |fault: &Fault| {
            let on = random.chance(share);
            // Small rates leave room for what only happens after a long quiet time.
            let per_cent = random.between(2, 100) as u32;
            if on { (fault.most() * per_cent).div_ceil(100) } else { 0 }
        };
        Self(Fault::ALL.iter().map(rate).collect())
    }

    pub(crate) fn of(&self, fault: Fault) -> u32 {
        self.0[fault as usize]
    }

    /// Whether one of them may strike.
    pub(crate) fn any(&self, faults: &[Fault]) -> bool {
        faults.iter().any(|fault| self.of(*fault) > 0)
    }

    pub(crate) fn active(&self) -> Vec<Fault> {
        Fault::ALL.iter().copied().filter(|f| self.of(*f) > 0).collect()
    }
}
