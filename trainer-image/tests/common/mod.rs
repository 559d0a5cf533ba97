//! A small task in a folder: synthetic images, an input document, and the binary run on them.

#![allow(dead_code, reason = "every file of tests uses another part of it")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::{SystemTime, UNIX_EPOCH},
};

use protocol::{
    definition::Definition,
    genesis,
    job::{DataFormat, Device, JobIdentity, JobInput, JobResult, Seat, Step, StepResult},
    types::{Address, B256, DefinitionHash, ModelHash, Round, RoundDigest, Timestamp},
};

pub(crate) const TASK: Address = Address::repeat_byte(0x7A);

pub(crate) const MLP: &str = r#"{"mlp":{"inputs":64,"hidden":[16],"outputs":4}}"#;
pub(crate) const CNN: &str = r#"{"cnn":{"channels":1,"height":8,"width":8,"filters":[4,8],"hidden":16,"outputs":4}}"#;

pub(crate) fn definition(architecture: &str, epochs: u32) -> String {
    let json = format!(
        r#"{{"schemaVersion":1,"architecture":{architecture},
            "training":{{"optimizer":{{"sgd":{{"learningRate":"0.05","momentum":"0.9","weightDecay":"0.0001"}}}},
            "batchSize":16,"epochs":{epochs}}},"preprocessing":{{"mean":"0.5","std":"0.25"}},"seed":5,
            "split":{{"testPercent":25}},"aggregation":{{"rule":"mean/v1","weighted":false}},
            "evaluation":{{"metric":"accuracy","direction":"higherIsBetter","epsilon":"0.05"}},
            "maxModelBytes":1048576}}"#
    );
    Definition::parse(json.as_bytes()).unwrap().canonical().to_owned()
}

pub(crate) fn participant(number: u8) -> Address {
    Address::repeat_byte(number)
}

/// A folder with data for each participant, a folder that plays the gateway, and what one runs there.
pub(crate) struct Site {
    pub(crate) root: tempfile::TempDir,
    pub(crate) definition: String,
}

impl Site {
    pub(crate) fn new(definition: String) -> Self {
        let root = tempfile::tempdir().unwrap();
        for folder in ["store", "scratch"] {
            fs::create_dir(root.path().join(folder)).unwrap();
        }
        Self { root, definition }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    pub(crate) fn genesis(&self) -> ModelHash {
        genesis::hash(&Definition::parse(self.definition.as_bytes()).unwrap()).unwrap()
    }

    /// 8 x 8 images of four classes: class k has its quadrant bright, under noise. `relabel` is what a poisoner does.
    pub(crate) fn write_data(&self, number: u8, records: u32, relabel: impl Fn(u8) -> u8) -> PathBuf {
        let folder = self.path(&format!("data-{number}"));
        fs::create_dir_all(&folder).unwrap();
        let mut state = u32::from(number) * 7919 + 1;
        let mut noise = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        let mut images = [&[0, 0, 8, 3][..], &records.to_be_bytes(), &[0, 0, 0, 8, 0, 0, 0, 8]].concat();
        let mut labels = [&[0, 0, 8, 1][..], &records.to_be_bytes()].concat();
        for _ in 0..records {
            let class = noise() % 4;
            for pixel in 0..64u8 {
                let quadrant = pixel / 32 * 2 + pixel % 8 / 4;
                images.push(noise() / 2 + if quadrant == class { 60 } else { 0 });
            }
            labels.push(relabel(class));
        }
        fs::write(folder.join("images-idx3-ubyte"), images).unwrap();
        fs::write(folder.join("labels-idx1-ubyte"), labels).unwrap();
        folder
    }

    pub(crate) fn input(&self, step: Step, number: u8, round: u32, start: ModelHash, seats: Vec<Seat>) -> JobInput {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        JobInput {
            version: 1,
            identity: JobIdentity {
                chain_id: 31337,
                task: TASK,
                participant: participant(number),
                step,
                definition: Definition::parse(self.definition.as_bytes())
                    .map_or(DefinitionHash::ZERO, |definition| definition.hash()),
                round: Round(round),
                start_model: start,
                digest: RoundDigest::ZERO,
                seats,
                environment: B256::ZERO,
            },
            definition: self.definition.clone(),
            genesis_model: Definition::parse(self.definition.as_bytes())
                .map_or(ModelHash::ZERO, |definition| genesis::hash(&definition).unwrap()),
            gateway: format!("file://{}", self.path("store").display()),
            data_directory: self.path(&format!("data-{number}")).display().to_string(),
            data_format: DataFormat::Idx,
            device: Device::Cpu,
            finish_by: Timestamp(now + 600),
            fetch_until: Timestamp(now),
            checkpoints: None,
            base_directories: Vec::new(),
            base_verified: None,
        }
    }

    pub(crate) fn command(&self, step: Step, document: &serde_json::Value) -> Command {
        let folder = self.path(&format!("input-{}", step.as_str()));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("input.json"), document.to_string()).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_fl-alliance-trainer"));
        command
            .arg(step.as_str())
            .arg("--input-dir")
            .arg(folder)
            .arg("--scratch")
            .arg(self.path("scratch"))
            .arg("--termination-log")
            .arg(self.path("termination-log"))
            // As the image does: threads that spin ruin a machine that tests share.
            .env("OMP_WAIT_POLICY", "passive")
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn run_document(&self, step: Step, document: &serde_json::Value) -> Run {
        self.finish(&mut self.command(step, document))
    }

    fn finish(&self, command: &mut Command) -> Run {
        let output = command.output().unwrap();
        let termination = fs::read_to_string(self.path("termination-log")).unwrap_or_default();
        assert_eq!(
            fs::read_dir(self.path("scratch")).unwrap().count(),
            0,
            "scratch space is left behind"
        );
        Run {
            output,
            termination,
            store: self.path("store"),
        }
    }

    /// With arguments of its own.
    pub(crate) fn run_with(&self, input: &JobInput, arguments: &[&str]) -> Run {
        let document = serde_json::to_value(input).unwrap();
        self.finish(self.command(input.identity.step, &document).args(arguments))
    }

    pub(crate) fn run(&self, input: &JobInput) -> Run {
        self.run_document(input.identity.step, &serde_json::to_value(input).unwrap())
    }
}

/// What a process left.
pub(crate) struct Run {
    output: Output,
    pub(crate) termination: String,
    store: PathBuf,
}

impl Run {
    pub(crate) fn code(&self) -> i32 {
        self.output.status.code().unwrap()
    }

    pub(crate) fn stdout(&self) -> String {
        String::from_utf8(self.output.stdout.clone()).unwrap()
    }

    pub(crate) fn stderr(&self) -> String {
        String::from_utf8(self.output.stderr.clone()).unwrap()
    }

    /// The result, which must be the same line in all three places.
    pub(crate) fn result(&self) -> StepResult {
        assert_eq!(self.code(), 0, "{}{}", self.stdout(), self.stderr());
        let line = self.stdout().lines().last().unwrap().to_owned();
        assert_eq!(self.termination, line);
        assert_eq!(
            fs::read_to_string(self.store.join("result.json")).unwrap().trim_end(),
            line
        );
        let result: JobResult = serde_json::from_str(&line).unwrap();
        assert_eq!(result.version, 1);
        result.outcome
    }

    /// Exit code and the one line about the failure, which must be the same in both places.
    pub(crate) fn failure(&self) -> (i32, String) {
        let line = self.stderr().lines().last().unwrap_or_default().to_owned();
        assert!(line.starts_with("error: "), "{line}");
        assert_eq!(self.termination, line);
        (self.code(), line)
    }
}

pub(crate) fn size(path: &Path) -> u64 {
    fs::metadata(path).unwrap().len()
}
