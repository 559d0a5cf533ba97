//! What the three steps share: input, data, device, gateway, scratch space, start model.

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use protocol::{
    architecture::Architecture,
    definition::Definition,
    genesis,
    job::{BaseReport, JobIdentity, Stage},
    types::ModelHash,
};
use tch::Device;

use crate::{
    base::Base,
    dataset::{Dataset, Features},
    device,
    examples::Examples,
    failure::Failure,
    gateway::{Gateway, GatewayError, retry},
    input::Input,
    network::{ModuleError, ModuleFiles, Network},
    reporter::Reporter,
    scratch::Scratch,
    termination::Termination,
    threads,
};

/// Everything a step works with.
pub struct Job {
    pub input: Input,
    pub definition: Definition,
    pub device: Device,
    pub gateway: Arc<dyn Gateway>,
    pub data: Dataset,
    pub examples: Examples,
    pub reporter: Reporter,
    /// The file of an architecture that has one.
    module: Option<PathBuf>,
    /// What the file leaves to a volume.
    base: Option<Base>,
    /// Whether the process was told to stop.
    pub termination: Arc<Termination>,
    scratch: Scratch,
    scratch_root: PathBuf,
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
        gateway: Arc<dyn Gateway>,
        scratch: &Path,
        termination: Arc<Termination>,
    ) -> Result<Self, Failure> {
        let threads = threads::for_training(&definition);
        tch::set_num_threads(i32::try_from(threads).unwrap_or(1));
        let device = device::select(input.document.device)?;
        let scratch_root = scratch.to_owned();
        let scratch = Scratch::new(&scratch_root).map_err(|error| Failure::Io {
            path: scratch_root.clone(),
            error,
        })?;
        let reporter = Reporter::start(gateway.clone());
        reporter.stage(Stage::Reading);
        let document = &input.document;
        let mut data = Dataset::read(
            Path::new(&document.data_directory),
            &document.data_format,
            &definition,
            document.identity.participant,
        )?;
        data.describe();
        let examples = Examples::new(&data, &definition, device)?;
        // They are on the device now.
        data.features = Features::Pixels(Vec::new());
        println!("device: {}, {threads} threads", device::name(device));
        let mut job = Self {
            input,
            definition,
            device,
            gateway,
            data,
            examples,
            reporter,
            module: None,
            base: None,
            termination,
            scratch,
            scratch_root,
        };
        // What is here first: a wrong volume is told before anything is fetched.
        job.base = job.find_base()?;
        job.module = job.fetch_module()?;
        Ok(job)
    }

    fn find_base(&self) -> Result<Option<Base>, Failure> {
        let Architecture::Torchscript(script) = &self.definition.architecture else {
            return Ok(None);
        };
        let Some(wanted) = &script.base_model else {
            return Ok(None);
        };
        self.reporter.stage(Stage::Reading);
        let document = &self.input.document;
        Ok(Some(Base::find(
            &document.base_directories,
            wanted.manifest,
            document.base_verified,
            |line| println!("{line}"),
        )?))
    }

    /// The base model that was found, for the result.
    pub fn base_report(&self) -> Option<BaseReport> {
        self.base.as_ref().map(|base| base.report)
    }

    fn module_files(&self) -> Option<ModuleFiles<'_>> {
        self.module.as_deref().map(|file| ModuleFiles {
            file,
            base: self.base.as_ref(),
        })
    }

    fn fetch_module(&self) -> Result<Option<PathBuf>, Failure> {
        let Architecture::Torchscript(script) = &self.definition.architecture else {
            return Ok(None);
        };
        self.reporter.stage(Stage::Fetching);
        let path = self.scratch.path().join("module");
        let until = self.input.finish_by();
        retry(until, "module", || {
            let left = until.duration_since(SystemTime::now()).unwrap_or_default();
            self.gateway.fetch(
                script.module,
                &path,
                script.module_bytes,
                left.max(Duration::from_secs(20)),
            )
        })?;
        println!("module {} fetched", script.module);
        Ok(Some(path))
    }

    pub fn identity(&self) -> &JobIdentity {
        &self.input.document.identity
    }

    /// Goes away with the process.
    pub fn scratch_folder(&self) -> &Path {
        self.scratch.path()
    }

    /// What is here stays for the next process.
    pub fn scratch_root(&self) -> &Path {
        &self.scratch_root
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

    /// Derives the genesis model (or takes it from the module) into the scratch space.
    pub fn genesis(&self) -> Result<(PathBuf, ModelHash), Failure> {
        match (&self.definition.architecture, self.module_files()) {
            (Architecture::Torchscript(script), Some(module)) => {
                let (path, found) =
                    self.write("genesis", |out| Network::write_initial(&self.definition, module, out))?;
                let expected = script.initial_model;
                if found == expected {
                    Ok((path, found))
                } else {
                    Err(ModuleError::Initial { expected, found }.into())
                }
            }
            _ => self.write("genesis", |out| Ok(genesis::write(&self.definition, out)?)),
        }
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
        self.reporter.stage(Stage::Fetching);
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
        Network::load(&self.definition, path, self.module_files(), self.device)
    }

    /// Hands the step's model in.
    pub fn upload(&self, hash: ModelHash, path: &Path) -> Result<(), GatewayError> {
        self.reporter.stage(Stage::HandingIn);
        retry(self.input.hand_in_by(), "upload", || self.gateway.put_model(hash, path))?;
        println!("model {hash} handed in");
        Ok(())
    }
}
