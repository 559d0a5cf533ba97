//! Calls to the container, one at a time, each bounded by the window it is for.

use std::{
    io::{BufReader, Read},
    net::{SocketAddr, TcpStream, ToSocketAddrs},
    path::Path,
    thread,
    time::{Duration, Instant, SystemTime},
};

use protocol::{
    definition::Cpu,
    job::{ExitCode, SDK_PORT},
    model::{Metadata, OpaqueHeader},
    types::ModelHash,
};
use ureq::{Agent, Body as AnswerBody, SendBody, http::Response};

use super::{
    answer::{self, AnswerError},
    body::Body,
    parameters::{Parameters, Unsealed},
};
use crate::failure::Failure;

/// Between two looks whether it listens, and between two words about that.
const LOOK: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(10));
/// For everything of an answer but parameters.
const MAX_SMALL: u64 = 256 << 10;
const BLOCK: usize = 256 << 10;

#[derive(Debug, thiserror::Error)]
pub enum ContainerError {
    #[error("this task's container runs on {} only; this machine is another", .wanted.as_str())]
    Cpu { wanted: Cpu },
    #[error("it did not listen on port {SDK_PORT} in the time there was; see its log")]
    NotReady,
    #[error("it ended or closed the connection during {method}; see its log")]
    Ended { method: &'static str },
    #[error("it did not answer {method} in the time there was")]
    TimedOut { method: &'static str },
    #[error("it answered {method} with status {status} ({exception}); see its log")]
    Failed {
        method: &'static str,
        status: u16,
        exception: String,
    },
    /// The same, where trying again would give the same: in the check.
    #[error("it cannot {method} here: status {status} ({exception}); see its log")]
    Unfit {
        method: &'static str,
        status: u16,
        exception: String,
    },
    #[error("its answer to {method} cannot be used: {problem}")]
    Wrong { method: &'static str, problem: String },
}

impl ContainerError {
    pub fn category(&self) -> &'static str {
        match self {
            Self::Cpu { .. } => "cpu",
            Self::NotReady => "not-ready",
            Self::Ended { .. } => "ended",
            Self::TimedOut { .. } => "timed-out",
            Self::Failed { .. } => "failed",
            Self::Unfit { .. } => "unfit",
            Self::Wrong { .. } => "wrong-answer",
        }
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            // Stake is at risk: what broke once may work the second time.
            Self::NotReady | Self::Ended { .. } | Self::TimedOut { .. } | Self::Failed { .. } => ExitCode::Transient,
            Self::Cpu { .. } | Self::Unfit { .. } | Self::Wrong { .. } => ExitCode::Definition,
        }
    }

    /// Whether what was sent may be to blame.
    pub(super) fn blames_input(&self) -> bool {
        matches!(self, Self::Ended { .. } | Self::Failed { .. })
    }
}

/// Where to put a model that the container makes.
pub(super) struct Target<'a> {
    pub(super) path: &'a Path,
    pub(super) metadata: &'a Metadata,
    /// Of the whole file.
    pub(super) max_bytes: u64,
}

pub(super) struct Container {
    agent: Agent,
    /// `host:port`.
    address: String,
}

impl Container {
    pub(super) fn new(address: &str) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            .build();
        Self {
            agent: config.into(),
            address: address.to_owned(),
        }
    }

    /// Until it listens. It starts before the agent, but a large network takes its time to load.
    pub(super) fn wait(&self, until: SystemTime) -> Result<(), ContainerError> {
        let began = Instant::now();
        let mut said = Duration::ZERO;
        while !self.listens() {
            if SystemTime::now() >= until {
                return Err(ContainerError::NotReady);
            }
            if began.elapsed() >= said + LOOK.1 {
                said = began.elapsed();
                println!("waiting for the container to listen, {} s so far", said.as_secs());
            }
            thread::sleep(LOOK.0);
        }
        Ok(())
    }

    fn listens(&self) -> bool {
        let addresses: Vec<SocketAddr> = self
            .address
            .to_socket_addrs()
            .map(Iterator::collect)
            .unwrap_or_default();
        addresses
            .iter()
            .any(|address| TcpStream::connect_timeout(address, Duration::from_secs(1)).is_ok())
    }

    pub(super) fn train(
        &self,
        start: &Parameters,
        target: &Target<'_>,
        until: SystemTime,
    ) -> Result<(Parameters, ModelHash), Failure> {
        self.make("train", Body::of_one("train", start), target, until)
    }

    /// Of at least one; their order is part of what is asked.
    pub(super) fn aggregate(
        &self,
        list: &[&Parameters],
        target: &Target<'_>,
        until: SystemTime,
    ) -> Result<(Parameters, ModelHash), Failure> {
        self.make("aggregate", Body::of_many("aggregate", list), target, until)
    }

    pub(super) fn evaluate(&self, parameters: &Parameters, until: SystemTime) -> Result<f64, ContainerError> {
        let method = "evaluate";
        let mut response = self.call(method, Body::of_one(method, parameters), until)?;
        let text = small(&mut response).map_err(|_| broken(method, until))?;
        answer::accuracy(&text).map_err(|error| ContainerError::Wrong {
            method,
            problem: error.to_string(),
        })
    }

    fn make(
        &self,
        method: &'static str,
        body: Body,
        target: &Target<'_>,
        until: SystemTime,
    ) -> Result<(Parameters, ModelHash), Failure> {
        let io = |error| Failure::Io {
            path: target.path.to_owned(),
            error,
        };
        let mut model = Unsealed::create(target.path).map_err(io)?;
        let mut response = self.call(method, body, until)?;
        let reader = response.body_mut().with_config().limit(u64::MAX).reader();
        let limit = target.max_bytes.saturating_sub(OpaqueHeader::BYTES as u64);
        let wrong = |problem: String| ContainerError::Wrong { method, problem };
        let received = answer::parameters(BufReader::with_capacity(BLOCK, reader), &mut model, limit);
        let bytes = received.map_err(|error| match error {
            // A full scratch volume is found out when the file is sealed or sent; what breaks here is the connection.
            AnswerError::Io(_) => broken(method, until),
            AnswerError::Wrong(problem) => wrong(problem.to_owned()),
            AnswerError::TooLarge(_) => wrong(format!(
                "it is larger than the definition's maxModelBytes, {}",
                target.max_bytes
            )),
        })?;
        if bytes == 0 {
            return Err(wrong("it has no parameters".to_owned()).into());
        }
        Ok(model.seal(target.metadata)?)
    }

    fn call(
        &self,
        method: &'static str,
        body: Body,
        until: SystemTime,
    ) -> Result<Response<AnswerBody>, ContainerError> {
        // It may just be coming back.
        self.wait(until)?;
        let left = until.duration_since(SystemTime::now()).unwrap_or_default();
        if left.is_zero() {
            return Err(ContainerError::TimedOut { method });
        }
        let length = body.length();
        let began = Instant::now();
        let answered = self
            .agent
            .post(format!("http://{}/call", self.address))
            .header("content-type", "application/json")
            .header("content-length", length.to_string())
            .config()
            .timeout_global(Some(left))
            .build()
            .send(SendBody::from_owned_reader(body));
        let mut response = answered.map_err(|error| {
            println!("{method}: {error}");
            broken(method, until)
        })?;
        let seconds = began.elapsed().as_secs_f64();
        println!("{method}: {length} bytes sent, answered after {seconds:.1} s");
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let page = small(&mut response).unwrap_or_default();
        let exception = match answer::exception(&page) {
            Some((name, line)) => {
                // The whole line may quote a record: it stays in this log.
                println!("{method}: {line}");
                name
            }
            None => "no reason given".to_owned(),
        };
        Err(ContainerError::Failed {
            method,
            status: status.as_u16(),
            exception,
        })
    }
}

/// Why a call came to nothing: the time, or the container.
fn broken(method: &'static str, until: SystemTime) -> ContainerError {
    if SystemTime::now() >= until {
        ContainerError::TimedOut { method }
    } else {
        ContainerError::Ended { method }
    }
}

/// An answer that is not a model.
fn small(response: &mut Response<AnswerBody>) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    let reader = response.body_mut().with_config().limit(u64::MAX).reader();
    reader.take(MAX_SMALL).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
