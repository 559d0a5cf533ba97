//! The agent beside a container of FLock's SDK: it fetches models, has the container train, evaluate and aggregate by
//! `POST /call`, and hands in what comes of it. It knows the gateway's token and never what is in a model; the container
//! knows what is in a model and never the token.
//!
//! Nothing here uses libtorch, and no model is ever in memory: parameters pass from file to socket and back in blocks.

mod answer;
mod body;
mod container;
mod dataset;
mod parameters;
mod steps;

pub use container::ContainerError;

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};

use protocol::{
    definition::SdkDefinition,
    job::{JobIdentity, Stage, Step, StepResult},
    model::{ModelError, write_opaque_genesis},
    types::ModelHash,
};
use tempfile::TempDir;

use crate::{
    failure::Failure,
    gateway::{Gateway, GatewayError, retry},
    input::Input,
    reporter::Reporter,
};
use container::Container;
use parameters::Parameters;

/// Shortest time a download is given.
const SHORTEST_FETCH: Duration = Duration::from_secs(20);

/// What the three steps share.
pub struct Agent {
    input: Input,
    definition: SdkDefinition,
    gateway: Arc<dyn Gateway>,
    container: Container,
    reporter: Reporter,
    scratch: TempDir,
}

impl std::fmt::Debug for Agent {
    /// The identity says which; the token stays out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Agent")
            .field("identity", self.identity())
            .finish_non_exhaustive()
    }
}

impl Agent {
    /// `container`: where it listens, `127.0.0.1:5000` in a pod.
    pub fn new(
        input: Input,
        definition: SdkDefinition,
        gateway: Arc<dyn Gateway>,
        scratch: &Path,
        container: &str,
    ) -> Result<Self, Failure> {
        let wanted = definition.flock_sdk().cpu;
        if wanted.rust_name() != std::env::consts::ARCH {
            return Err(ContainerError::Cpu { wanted }.into());
        }
        let scratch = tempfile::Builder::new()
            .prefix("fl-alliance-")
            .tempdir_in(scratch)
            .map_err(|error| Failure::Io {
                path: scratch.to_owned(),
                error,
            })?;
        Ok(Self {
            container: Container::new(container),
            reporter: Reporter::start(gateway.clone()),
            input,
            definition,
            gateway,
            scratch,
        })
    }

    pub fn run(&self, step: Step) -> Result<StepResult, Failure> {
        match step {
            Step::Check => steps::check(self),
            Step::Train => steps::train(self),
            Step::Vote => steps::vote(self),
        }
    }

    pub fn input(&self) -> &Input {
        &self.input
    }

    pub fn gateway(&self) -> &dyn Gateway {
        &*self.gateway
    }

    fn identity(&self) -> &JobIdentity {
        &self.input.document.identity
    }

    /// The round's start model: no parameters if it is the genesis model (always so in round 0), fetched otherwise.
    fn start_model(&self) -> Result<Parameters, Failure> {
        let expected = self.identity().start_model;
        let path = self.scratch.path().join("start");
        if self.identity().round.0 == 0 || expected == self.input.document.genesis_model {
            let derived = write_opaque_genesis(std::io::sink())?;
            return if derived == expected {
                Ok(Parameters::none())
            } else {
                Err(Failure::Genesis { expected, derived })
            };
        }
        self.reporter.stage(Stage::Fetching);
        let (until, limit) = (self.input.finish_by(), self.definition.max_model_bytes());
        retry(until, "start model", || {
            let left = until.duration_since(SystemTime::now()).unwrap_or_default();
            self.gateway.fetch(expected, &path, limit, left.max(SHORTEST_FETCH))
        })?;
        println!("start model {expected} fetched");
        Parameters::of_aggregate(&path).map_err(|error| match error {
            ModelError::Io(error) => Failure::Io { path, error },
            error => Failure::StartModel(error),
        })
    }

    /// Hands the step's model in.
    fn upload(&self, hash: ModelHash, path: &Path) -> Result<(), GatewayError> {
        self.reporter.stage(Stage::HandingIn);
        retry(self.input.hand_in_by(), "upload", || self.gateway.put_model(hash, path))?;
        println!("model {hash} handed in");
        Ok(())
    }
}
