//! The command line of the trainer.
#![forbid(unsafe_code)]

use std::{path::PathBuf, process, sync::Arc};

use clap::{Args, Parser, Subcommand};
use protocol::{
    architecture::TensorType,
    definition::TaskDefinition,
    job::{DataFormat, ExitCode, INPUT_DIRECTORY, SCRATCH_DIRECTORY, Step},
};

use trainer_image::{
    by_hand, device,
    failure::Failure,
    flock_sdk::Agent,
    gateway,
    input::Input,
    job::Job,
    report::{self, TerminationLog},
    steps,
    termination::Termination,
};

const ABOUT: &str = "Trains and judges models for one participant of an FL Alliance task.

Reads <input-dir>/input.json (what to do), token and ca.crt (for the gateway). Models come from and go to the gateway
named in the input document; with a gateway of file:///some/folder they are files there, named by their SHA-256, and
the result is result.json: that is how to take part by hand.

Progress goes to standard output; its last line is the result as JSON, or on failure standard error has one line
starting with 'error:'.";

const EXIT_CODES: &str = "Exit codes:
   0  done
   1  worth another try (network, gateway not reachable)
  64  the data or the base model cannot be read or do not fit the definition
  65  the definition cannot be run
  66  out of memory
  67  the input document is not what this trainer understands
  68  the requested device is not there
  69  the gateway refused this job
 143  stopped by SIGTERM: start it again; a training goes on from its checkpoint";

#[derive(Parser)]
#[command(name = "fl-alliance-trainer", version, about = ABOUT, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Find out whether everything is there: definition, data, device, gateway. Runs one batch.
    Check(Common),
    /// Train from the round's start model and hand in a contribution.
    Train(Common),
    /// Fetch and aggregate the round's contributions, compare with the start model, hand in the aggregate.
    Vote(Common),
    /// Evaluate a model file on data, outside any task: one line of JSON with the metric and the loss.
    Evaluate(Evaluate),
    /// Print the `architecture` of a definition for a TorchScript file.
    Describe(Describe),
    /// Print the manifest of a folder with a base model; put it into the folder as manifest.json.
    Manifest {
        /// The folder.
        folder: PathBuf,
    },
    /// Say what this machine or container has to compute with: processors, and GPUs or why none is found.
    Devices,
}

#[derive(Args)]
struct Describe {
    /// The TorchScript file.
    #[arg(long)]
    module: PathBuf,
    /// Train the parameters whose names match; * stands for anything. May be given more than once.
    #[arg(long, default_value = "*")]
    train: Vec<String>,
    /// What the trained parameters travel as: F32, BF16 or F16. Training computes on 32-bit floats in any case.
    #[arg(long, default_value = "F32", value_parser = tensor_type)]
    dtype: TensorType,
    /// Folder of a base model (with manifest.json) that the file leaves frozen parameters to.
    #[arg(long)]
    base_model: Option<PathBuf>,
    /// What the module puts before the names of the base model's tensors.
    #[arg(long, requires = "base_model")]
    base_prefix: Option<String>,
    /// Shape of one record, without the batch: 1,28,28.
    #[arg(long, value_delimiter = ',')]
    input_shape: Vec<u32>,
}

#[derive(Args)]
struct Evaluate {
    /// The training definition (JSON).
    #[arg(long)]
    definition: PathBuf,
    /// The model file [default: the definition's genesis model].
    #[arg(long)]
    model: Option<PathBuf>,
    /// The TorchScript file of a definition that names one.
    #[arg(long)]
    module: Option<PathBuf>,
    /// Folder of the module's base model, if it has one.
    #[arg(long)]
    base_model: Option<PathBuf>,
    /// Folder with the records; all of them are used.
    #[arg(long)]
    data: PathBuf,
    /// idx, csv, parquet or imageFolder.
    #[arg(long, default_value = "idx", value_parser = data_format)]
    format: DataFormat,
}

fn tensor_type(text: &str) -> Result<TensorType, String> {
    serde_json::from_value(text.into()).map_err(|error| error.to_string())
}

fn data_format(text: &str) -> Result<DataFormat, String> {
    serde_json::from_value(text.into()).map_err(|error| error.to_string())
}

#[derive(Args)]
struct Common {
    /// Folder with input.json, and token and ca.crt if the gateway wants them.
    #[arg(long, default_value = INPUT_DIRECTORY)]
    input_dir: PathBuf,
    /// Folder for temporary files (as large as all contributions together) [default: /scratch, or the system's if there
    /// is none].
    #[arg(long)]
    scratch: Option<PathBuf>,
    /// File for the result or error line [default: /dev/termination-log if it exists].
    #[arg(long)]
    termination_log: Option<PathBuf>,
    /// Where the container of a task for FLock's SDK listens.
    #[arg(long, default_value = "127.0.0.1:5000")]
    flock_sdk: String,
}

fn main() -> process::ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Printing can fail only if nobody listens.
            let _ = error.print();
            return if error.use_stderr() {
                code(ExitCode::Input)
            } else {
                code(ExitCode::Ok)
            };
        }
    };
    let (step, common) = match cli.command {
        Command::Check(common) => (Step::Check, common),
        Command::Train(common) => (Step::Train, common),
        Command::Vote(common) => (Step::Vote, common),
        Command::Evaluate(args) => {
            let question = by_hand::Question {
                definition: &args.definition,
                model: args.model.as_deref(),
                module: args.module.as_deref(),
                base_model: args.base_model.as_deref(),
                data: &args.data,
                format: args.format,
            };
            return answer(by_hand::evaluate_file(&question, &std::env::temp_dir()));
        }
        Command::Describe(args) => {
            let folder = args.base_model.as_deref();
            return answer(by_hand::describe_module(&by_hand::Module {
                file: &args.module,
                base: folder.map(|folder| (folder, args.base_prefix.as_deref())),
                patterns: &args.train,
                dtype: args.dtype,
                input_shape: &args.input_shape,
            }));
        }
        Command::Manifest { folder } => return answer(by_hand::manifest(&folder)),
        Command::Devices => return answer(Ok(device::found())),
    };
    let log = TerminationLog::new(common.termination_log.clone());
    let termination = Termination::watch(log.clone()).unwrap_or_else(|error| {
        eprintln!("SIGTERM will not be answered: {error}");
        Arc::default()
    });
    match run(step, common, termination) {
        Ok(line) => {
            log.write(&line);
            println!("{line}");
            code(ExitCode::Ok)
        }
        Err(failure) => {
            let line = report::error_line(&failure);
            log.write(&line);
            eprintln!("{line}");
            code(failure.exit_code())
        }
    }
}

fn answer(done: Result<String, Failure>) -> process::ExitCode {
    match done {
        Ok(line) => {
            println!("{line}");
            code(ExitCode::Ok)
        }
        Err(failure) => {
            eprintln!("{}", report::error_line(&failure));
            code(failure.exit_code())
        }
    }
}

fn code(code: ExitCode) -> process::ExitCode {
    process::ExitCode::from(code as u8)
}

fn run(step: Step, common: Common, termination: Arc<Termination>) -> Result<String, Failure> {
    let scratch = common.scratch.unwrap_or_else(|| {
        let mounted = PathBuf::from(SCRATCH_DIRECTORY);
        if mounted.is_dir() {
            mounted
        } else {
            std::env::temp_dir()
        }
    });
    // Cheap checks first: a wrong definition is reported before gigabytes are read.
    let input = Input::read(&common.input_dir, step)?;
    let definition = input.definition()?;
    let gateway = gateway::connect(&input)?;
    if let Some(line) = report::earlier(&*gateway, &input) {
        println!("an earlier pod of this job has handed in the result");
        return Ok(line);
    }
    let definition = match definition {
        TaskDefinition::Trainer(definition) => *definition,
        TaskDefinition::FlockSdk(definition) => {
            let agent = Agent::new(input, definition, gateway, &scratch, &common.flock_sdk)?;
            let outcome = agent.run(step)?;
            return report::deliver(agent.input(), agent.gateway(), outcome);
        }
    };
    let job = Job::prepare(input, definition, gateway, &scratch, termination)?;
    let outcome = match step {
        Step::Check => steps::check(&job)?,
        Step::Train => steps::train(&job)?,
        Step::Vote => steps::vote::vote(&job)?,
    };
    report::deliver(&job.input, &*job.gateway, outcome)
}
