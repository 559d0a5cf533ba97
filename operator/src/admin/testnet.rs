//! A chain of a test's own, and a task played on it through the real contracts.

use std::{path::PathBuf, sync::atomic::AtomicU64};

use alloy::{
    node_bindings::{Anvil, AnvilInstance},
    primitives::{Address, B256, U64, U256},
};
use clap::Parser;
use crds::FLRound;
use protocol::{
    commitment::Vote,
    snapshot::TaskSnapshot,
    types::{IncludedMask, ModelHash, Role, Round, Score},
};
use serde_json::json;
use tempfile::TempDir;

use super::{Account, ChainCommand, Connection, Deployment, RecordPlace, RpcArgs, connect::parse_key, show::reader};
use crate::{
    chain::{
        ChainReader,
        bindings::{
            FlockTask,
            manager::{FlockTaskManager as Manager, IFlockTask::TaskParameters},
            token::FlockToken as Token,
        },
    },
    controller::task::mirror::{RoundTransactions, flround},
};

/// The command line of `chain`, without the binary around it.
#[derive(Debug, Parser)]
struct Tool {
    #[command(subcommand)]
    command: ChainCommand,
}

pub(super) struct Testnet {
    anvil: AnvilInstance,
    pub(super) directory: TempDir,
    pub(super) chain: Connection,
}

impl Testnet {
    pub(super) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// The same with more arguments for anvil.
    pub(super) async fn start_with(extra: &[&str]) -> Self {
        let binary = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.build/tools/bin/anvil"));
        assert!(binary.exists(), "this test needs anvil: run hack/tools.sh first");
        let directory = tempfile::tempdir().unwrap();
        let cache = directory.path().join("anvil").display().to_string();
        // Two chains must not look the same, so each begins at a second of its own.
        static BEGAN: AtomicU64 = AtomicU64::new(1_700_000_000);
        let began = BEGAN.fetch_add(1, std::sync::atomic::Ordering::SeqCst).to_string();
        let anvil = Anvil::at(binary)
            .args(["--cache-path", &cache, "--timestamp", &began])
            .args(extra)
            .spawn();
        let chain = Connection::open(&RpcArgs {
            rpc_url: anvil.endpoint_url(),
            wait: 20,
        })
        .await
        .unwrap();
        Self {
            anvil,
            directory,
            chain,
        }
    }

    /// One of the accounts that have coins from the start.
    pub(super) fn account(&self, index: usize) -> Account {
        Account::new(
            self.chain.clone(),
            parse_key(&hex::encode(self.anvil.keys()[index].to_bytes())).unwrap(),
        )
    }

    pub(super) fn address(&self, index: usize) -> Address {
        self.anvil.addresses()[index]
    }

    pub(super) fn path(&self, name: &str) -> String {
        self.directory.path().join(name).display().to_string()
    }

    pub(super) fn url(&self) -> String {
        self.anvil.endpoint()
    }

    /// Runs one `chain` command as typed, with the key of an account.
    pub(super) async fn run(&self, key: usize, words: &[&str]) -> anyhow::Result<()> {
        self.run_at(&self.url(), key, words).await
    }

    /// The same through another endpoint of the chain.
    pub(super) async fn run_at(&self, url: &str, key: usize, words: &[&str]) -> anyhow::Result<()> {
        let key_file = self.path(&format!("key-{key}"));
        std::fs::write(&key_file, hex::encode(self.anvil.keys()[key].to_bytes())).unwrap();
        let mut line = vec!["chain", words[0], "--rpc-url", url];
        if !matches!(words[0], "show-task" | "compare") {
            line.extend(["--key-file", &key_file]);
        }
        line.extend(&words[1..]);
        super::run(Tool::try_parse_from(line)?.command).await
    }

    pub(super) async fn deployed(&self) -> Deployment {
        let out = self.path("contracts.json");
        self.run(0, &["deploy", "--out", &out]).await.unwrap();
        RecordPlace::File(out.into()).expect().await.unwrap()
    }

    /// Mines so many blocks, the first of them so many seconds later.
    pub(super) async fn advance(&self, seconds: u64, blocks: u64) {
        let _: serde_json::Value = self.chain.rpc.call("evm_increaseTime", json!([seconds])).await.unwrap();
        let _: serde_json::Value = self
            .chain
            .rpc
            .call("anvil_mine", json!([U64::from(blocks)]))
            .await
            .unwrap();
    }

    pub(super) async fn snapshot(&self, task: Address, round: u32) -> TaskSnapshot {
        let reader = reader(&self.chain);
        let head = reader.head().await.unwrap();
        reader.snapshot(task, &head, Some(Round(round)), &[]).await.unwrap()
    }

    /// A task of `rounds` rounds, its pool paid by account 0.
    pub(super) async fn create_task(&self, deployment: &Deployment, rounds: u32) -> Address {
        let owner = self.account(0);
        let pool = 100 * TOKEN;
        let (token, manager) = (deployment.token.address, deployment.manager.address);
        self.run(
            0,
            &[
                "allow-creator",
                "--manager",
                &manager.to_string(),
                "--creator",
                &owner.address().to_string(),
            ],
        )
        .await
        .unwrap();
        owner
            .call(
                token,
                Token::mintCall {
                    to: owner.address(),
                    amount: U256::from(pool),
                },
            )
            .await
            .unwrap();
        owner
            .call(
                token,
                Token::approveCall {
                    spender: manager,
                    value: U256::from(pool),
                },
            )
            .await
            .unwrap();
        let salt = B256::repeat_byte(5);
        let parameters = TaskParameters {
            metadata: "{}".to_owned(),
            modelDefinitionHash: B256::repeat_byte(1),
            genesisModelHash: B256::repeat_byte(2),
            totalNumberOfRounds: rounds,
            minNumberOfParticipants: 4,
            maxNumberOfParticipants: 4,
            entryStake: 64 * TOKEN,
            minStakeThreshold: 24 * TOKEN,
            participantsDistributionRate: 250_000_000_000_000_000,
            slashedPerStake: 125_000_000_000_000_000,
            bonusRatioForSlashCaller: 1000,
            quorumBps: 5000,
            joinWindow: 60,
            proposeWindow: 60,
            commitWindow: 60,
            revealWindow: 60,
            stallTimeout: 480,
            initialRewardPool: pool,
            allowListEnabled: false,
            allowList: Vec::new(),
        };
        owner
            .call(manager, Manager::createTaskCall { salt, parameters })
            .await
            .unwrap();
        self.chain
            .read(
                manager,
                Manager::taskOfCall {
                    creator: owner.address(),
                    salt,
                },
            )
            .await
            .unwrap()
    }

    /// Accounts 1 to 4 stake 64 tokens each.
    pub(super) async fn stake(&self, deployment: &Deployment, task: Address) {
        let token = deployment.token.address;
        let value = U256::from(64 * TOKEN);
        for index in 1..=4 {
            let account = self.account(index);
            self.account(0)
                .call(
                    token,
                    Token::mintCall {
                        to: account.address(),
                        amount: value,
                    },
                )
                .await
                .unwrap();
            account
                .call(token, Token::approveCall { spender: task, value })
                .await
                .unwrap();
            account
                .call(task, FlockTask::stakeCall { amount: value })
                .await
                .unwrap();
        }
    }

    /// Plays one round to its settlement: one proposer contributes, two voters agree on +1, one voter stays silent.
    /// Account 5, a stranger, sends the pokes and earns the bonus.
    pub(super) async fn play_round(&self, task: Address, number: u32) {
        let (round, poker) = (U256::from(number), self.account(5));
        for index in 1..=4 {
            self.account(index)
                .call(task, FlockTask::joinRoundCall { round, sampleCount: 10 })
                .await
                .unwrap();
        }
        poker
            .call(task, FlockTask::selectRoundParticipantsCall { round })
            .await
            .unwrap();
        self.advance(1, 6).await;
        poker
            .call(task, FlockTask::selectRoundParticipantsCall { round })
            .await
            .unwrap();

        let drawn = self.snapshot(task, number).await;
        let by_address = |address| {
            (1..=4)
                .map(|i| self.account(i))
                .find(|a| a.address() == address)
                .unwrap()
        };
        let model = B256::repeat_byte(0x40 + number as u8);
        for row in drawn.participants.iter().filter(|row| row.role == Role::Proposer) {
            let draw_digest = drawn.round.draw_digest.0;
            let call = FlockTask::contributeCall {
                round,
                drawDigest: draw_digest,
                modelHash: model,
            };
            by_address(row.account).call(task, call).await.unwrap();
        }

        let round_digest = self.snapshot(task, number).await.round.round_digest.0;
        let voters: Vec<Address> = drawn
            .participants
            .iter()
            .filter(|row| row.role == Role::Voter)
            .map(|row| row.account)
            .take(2)
            .collect();
        let (hash, salt) = (ModelHash(B256::repeat_byte(0x80 + number as u8)), B256::repeat_byte(9));
        for voter in &voters {
            let vote = Vote {
                chain_id: self.chain.identity.chain_id,
                task,
                round: Round(number),
                voter: *voter,
                hash,
                score: Score::For,
                mask: IncludedMask(1),
            };
            let commitment = vote.commitment(salt).0;
            let call = FlockTask::commitVoteCall {
                round,
                roundDigest: round_digest,
                commitment,
            };
            by_address(*voter).call(task, call).await.unwrap();
        }
        self.advance(61, 1).await;
        for voter in &voters {
            let call = FlockTask::revealVoteCall {
                round,
                aggregateHash: hash.0,
                score: 1,
                includedMask: U256::from(1),
                salt,
            };
            by_address(*voter).call(task, call).await.unwrap();
        }
        poker.call(task, FlockTask::finishRoundCall { round }).await.unwrap();
        poker.call(task, FlockTask::slashCall { round }).await.unwrap();
    }

    /// The FLRound that the controller would write.
    pub(super) async fn mirror(&self, task: Address, number: u32) -> FLRound {
        let snapshot = self.snapshot(task, number).await;
        let logs = reader(&self.chain)
            .task_logs(task, 0, snapshot.block.number)
            .await
            .unwrap();
        let transactions = RoundTransactions::of(Round(number), &logs);
        flround("demo", "team", None, &snapshot, &transactions, snapshot.block.number)
    }
}

/// One token, in its smallest unit.
pub(super) const TOKEN: u128 = 1_000_000_000_000_000_000;
