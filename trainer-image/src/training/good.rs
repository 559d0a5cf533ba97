//! The last parameters that were known to be finite: what is handed in if later ones are not.

use std::{
    fs::File,
    io::{BufWriter, Read, Write},
    path::PathBuf,
};

use tch::{Kind, Tensor};

use crate::{
    checkpoint::{Opened, Part},
    failure::Failure,
    network::Network,
    tensors,
};

/// More than this is kept in a file: of a large network a second copy is memory that a pod may not have.
const MOST_IN_MEMORY: u64 = 256 << 20;

#[derive(Debug)]
pub(crate) struct Good {
    held: Held,
    path: PathBuf,
}

#[derive(Debug)]
enum Held {
    Nothing,
    Memory(Vec<Tensor>),
    File { bytes: u64 },
}

impl Good {
    /// `path`: for the file, if there is to be one.
    pub(super) fn new(path: PathBuf) -> Self {
        Self {
            held: Held::Nothing,
            path,
        }
    }

    pub(super) fn is_some(&self) -> bool {
        !matches!(self.held, Held::Nothing)
    }

    fn io(&self, error: std::io::Error) -> Failure {
        Failure::Io {
            path: self.path.clone(),
            error,
        }
    }

    pub(super) fn keep(&mut self, network: &Network) -> Result<(), Failure> {
        let size = tensors::size(network.parameters());
        if size <= MOST_IN_MEMORY {
            self.held = Held::Memory(network.snapshot()?);
            return Ok(());
        }
        let mut out = BufWriter::new(File::create(&self.path).map_err(|error| self.io(error))?);
        let mut buffer = Vec::new();
        for parameter in network.parameters() {
            tensors::read(parameter, Kind::Float, &mut buffer, |piece| {
                out.write_all(piece).map_err(|error| self.io(error))
            })?;
        }
        out.flush().map_err(|error| self.io(error))?;
        self.held = Held::File { bytes: size };
        Ok(())
    }

    pub(super) fn restore(&self, network: &mut Network) -> Result<(), Failure> {
        match &self.held {
            Held::Nothing => {}
            Held::Memory(snapshot) => network.restore(snapshot)?,
            Held::File { .. } => {
                let mut file = File::open(&self.path).map_err(|error| self.io(error))?;
                let mut buffer = Vec::new();
                for parameter in network.parameters() {
                    tensors::fill(parameter, Kind::Float, &mut buffer, |piece| {
                        file.read_exact(piece).map_err(|error| self.io(error))
                    })?;
                }
            }
        }
        Ok(())
    }

    pub(super) fn part(&self) -> Part<'_> {
        match &self.held {
            Held::Nothing => Part::Tensors(Vec::new()),
            Held::Memory(snapshot) => Part::Tensors(snapshot.iter().collect()),
            Held::File { bytes } => Part::File {
                path: &self.path,
                bytes: *bytes,
            },
        }
    }

    /// The next part of a checkpoint.
    pub(super) fn resume(&mut self, opened: &mut Opened, network: &Network) -> Result<(), Failure> {
        let size = tensors::size(network.parameters());
        if size <= MOST_IN_MEMORY {
            let snapshot = network.snapshot()?;
            opened.fill(&snapshot)?;
            self.held = Held::Memory(snapshot);
        } else {
            opened.copy(size, &self.path)?;
            self.held = Held::File { bytes: size };
        }
        Ok(())
    }
}
