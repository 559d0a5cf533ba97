//! What the three steps share: input, data, device, gateway, scratch space, start model.

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use protocol::{definition::Definition, genesis, job::JobIdentity, types::ModelHash};
use tch::Device;
use tempfile::TempDir;

use crate::{
    dataset::Dataset,
    device,
    examples::Examples,
    failure::Failure,
    gateway::{Gateway, GatewayError, retry},
    input::Input,
    network::Network,
    threads,
};

/// Everything a step works with.
pub struct Job {
    pub input: Input,
    pub definition: Definition,
    pub device: Device,
    pub gateway: Box<dyn Gateway>,
    pub data: Dataset,
    pub examples: Examples,
    scratch: TempDir,
}

impl std::fmt::Debug for Job {
    /// The identity says which; the token stays out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Job")
            .field("identity", self.identity())
            .finish_non_exhaustive()
    }
}

impl Job {
    /// Chooses threads and device, reads the data.
    pub fn prepare(
        input: Input,
        definition: Definition,
        gateway: Box<dyn Gateway>,
        scratch: &Path,
    ) -> Result<Self, Failure> {
        let threads = threads::for_training(&definition);
        tch::set_num_threads(i32::try_from(threads).unwrap_or(1));
        let device = device::select(input.document.device)?;
        let scratch = tempfile::Builder::new()
            .prefix("fl-alliance-")
            .tempdir_in(scratch)
            .map_err(|error| Failure::Io {
                path: scratch.to_owned(),
                error,
            })?;
        let document = &input.document;
        let data = Dataset::read(
            Path::new(&document.data_directory),
            &document.data_format,
            &definition,
            document.identity.participant,
        )?;
        let examples = Examples::new(&data, &definition.preprocessing, device)?;
        println!(
            "data: {} records to train on, {} to test on, {} classes; device {}, {threads} threads",
            data.train.len(),
            data.test.len(),
            data.classes,
            device::name(device),
        );
        Ok(Self {
            input,
            definition,
            device,
            gateway,
            data,
            examples,
            scratch,
        })
    }

    pub fn identity(&self) -> &JobIdentity {
        &self.input.document.identity
    }

    pub fn scratch_folder(&self) -> &Path {
        self.scratch.path()
    }

    /// Writes a file into the scratch space.
    pub fn write<T>(
        &self,
        name: &str,
        write: impl FnOnce(&mut BufWriter<File>) -> Result<T, Failure>,
    ) -> Result<(PathBuf, T), Failure> {
        let path = self.scratch.path().join(name);
        let io = |error| Failure::Io {
            path: path.clone(),
            error,
        };
        let mut out = BufWriter::with_capacity(1 << 18, File::create(&path).map_err(io)?);
        let written = write(&mut out)?;
        out.flush().map_err(io)?;
        Ok((path, written))
    }

    /// Derives the genesis model into the scratch space.
    pub fn genesis(&self) -> Result<(PathBuf, ModelHash), Failure> {
        self.write("genesis", |out| Ok(genesis::write(&self.definition, out)?))
    }

    /// The round's start model: derived if it is the genesis model (always so in round 0), fetched otherwise.
    pub fn start_model(&self) -> Result<PathBuf, Failure> {
        let expected = self.identity().start_model;
        if self.identity().round.0 == 0 || expected == self.input.document.genesis_model {
            let (path, derived) = self.genesis()?;
            return if derived == expected {
                Ok(path)
            } else {
                Err(Failure::Genesis { expected, derived })
            };
        }
        let path = self.scratch.path().join("start");
        let until = self.input.finish_by();
        retry(until, "start model", || {
            let left = until.duration_since(SystemTime::now()).unwrap_or_default();
            self.gateway.fetch(
                expected,
                &path,
                self.definition.max_model_bytes,
                left.max(Duration::from_secs(20)),
            )
        })?;
        println!("start model {expected} fetched");
        Ok(path)
    }

    pub fn load(&self, path: &Path) -> Result<Network, Failure> {
        Network::load(&self.definition.architecture, path, self.device)
    }

    /// Hands the step's model in.
    pub fn upload(&self, hash: ModelHash, path: &Path) -> Result<(), GatewayError> {
        retry(self.input.hand_in_by(), "upload", || self.gateway.put_model(hash, path))?;
        println!("model {hash} handed in");
        Ok(())
    }
}
