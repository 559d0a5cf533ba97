//! What an interrupted training goes on from: parameters, optimizer, place in the order of records, and everything else
//! that has a say in the next step, so that the model in the end is bit for bit the one an undisturbed training makes.
//!
//! A checkpoint is written beside its name and renamed, in the scratch volume, and handed to the gateway where the input
//! says so. One that cannot be read, is damaged or is of another training is passed over with a line in the log: the
//! worst that can happen is to begin again.

use std::{
    cell::OnceCell,
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime},
};

use protocol::job::Checkpoints;
use rand::{RngCore, SeedableRng, rngs::StdRng};

use crate::{
    failure::Failure,
    gateway::{GatewayError, retry},
    job::Job,
    training::{Position, Snapshot},
};

mod file;
mod key;
mod upload;

pub(crate) use file::{Header, Opened, Part};
use file::{Unusable, Written};
use key::{Key, Machine};
use upload::Uploader;

/// Writing may take one part in so many of the time, and so may handing in.
const SHARE: u32 = 10;
/// For asking the gateway for one.
const PATIENCE: Duration = Duration::from_secs(30);

/// Writes and finds the checkpoints of one Job.
pub(crate) struct Keeper<'a> {
    job: &'a Job,
    terms: Checkpoints,
    key: OnceCell<Key>,
    path: PathBuf,
    /// When the next one is due.
    next: Instant,
    /// There is no room for any.
    off: bool,
    uploader: Option<Uploader>,
}

impl<'a> Keeper<'a> {
    pub(crate) fn new(job: &'a Job) -> Self {
        let terms = job.input.document.checkpoints.unwrap_or_default();
        let name = format!("fl-alliance-checkpoint-{:.16}", hash_text(job));
        Self {
            terms,
            key: OnceCell::new(),
            path: job.scratch_root().join(name),
            next: Instant::now() + Duration::from_secs(terms.every_seconds.into()),
            off: false,
            uploader: None,
            job,
        }
    }

    /// For the last good parameters of a large network.
    pub(crate) fn good_path(&self) -> PathBuf {
        self.job.scratch_folder().join("good")
    }

    fn name(&self) -> &str {
        self.path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
    }

    fn beside(&self, ending: &str) -> PathBuf {
        self.path.with_extension(ending)
    }

    /// Reads all records, so it is made when it is needed.
    fn key(&self) -> Result<&Key, Failure> {
        if self.key.get().is_none() {
            let _ = self.key.set(Key::of(self.job)?);
        }
        self.key.get().ok_or_else(|| Failure::Io {
            path: self.path.clone(),
            error: io::ErrorKind::Other.into(),
        })
    }

    /// The latest checkpoint of this training that is at hand, here or at the gateway.
    pub(crate) fn find(&self) -> Option<Opened> {
        let here = self.usable(&self.path, "in the scratch volume");
        let there = self.fetch();
        match (here, there) {
            (Some(here), Some(there)) if there.header.position.steps > here.header.position.steps => Some(there),
            (Some(here), _) => Some(here),
            (None, there) => there,
        }
    }

    fn fetch(&self) -> Option<Opened> {
        let limit = self.terms.gateway_bytes?;
        let path = self.beside("fetched");
        let until = SystemTime::now() + PATIENCE;
        let fetched = retry(until, "checkpoint", || {
            self.job.gateway.fetch_checkpoint(self.name(), &path, limit)
        });
        match fetched {
            Ok(true) => {
                let opened = self.usable(&path, "at the gateway");
                // It stays open for whoever reads it.
                let _ = fs::remove_file(&path);
                opened
            }
            Ok(false) => None,
            Err(error) => {
                println!("checkpoint: the gateway cannot be asked for one: {error}");
                None
            }
        }
    }

    fn usable(&self, path: &Path, place: &str) -> Option<Opened> {
        let opened = Opened::open(path).and_then(|opened| {
            let key = self.key().map_err(|error| io::Error::other(error.to_string()))?;
            match key.difference(&opened.header.key) {
                Some(what) => Err(Unusable::Foreign(what)),
                None => Ok(opened),
            }
        });
        match opened {
            Ok(opened) => {
                let (then, now) = (&opened.header.machine, Machine::here(self.job));
                println!("checkpoint: one {place} is of step {}", opened.header.position.steps);
                if *then != now {
                    println!(
                        "checkpoint: it was made on {} with {} threads and {}, this is {} with {} and {}: the last bits of \
                         the model may be others than without the interruption",
                        then.device, then.threads, then.instructions, now.device, now.threads, now.instructions
                    );
                }
                Some(opened)
            }
            Err(Unusable::Io(error)) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                println!("checkpoint: the one {place} is passed over: {error}");
                None
            }
        }
    }

    /// Says why an opened checkpoint was not used after all.
    pub(crate) fn pass_over(&self) {
        println!("checkpoint: the one found is passed over: {}", Unusable::Tensors);
    }

    /// Whether one should be made now, between two steps.
    pub(crate) fn is_due(&self) -> bool {
        self.job.termination.asked() || (!self.off && Instant::now() >= self.next)
    }

    /// Makes one. If the process was told to stop this ends it; that a checkpoint cannot be written does not.
    pub(crate) fn keep(&mut self, position: &Position, snapshot: &Snapshot<'_>) -> Result<(), Failure> {
        let began = Instant::now();
        let kept = if self.off { None } else { self.write(position, snapshot) };
        let pause = Duration::from_secs(self.terms.every_seconds.into());
        self.next = Instant::now() + pause.max(began.elapsed() * SHARE);
        let stopping = self.job.termination.asked();
        let fits = kept.filter(|kept| self.terms.gateway_bytes.is_some_and(|most| kept.bytes <= most));
        if stopping {
            return Err(Failure::Stopped {
                step: position.steps,
                here: kept.is_some(),
                gateway: fits.is_some_and(|written| self.hand_in(written)),
            });
        }
        if let Some(written) = fits {
            let name = self.name().to_owned();
            let uploader = self
                .uploader
                .get_or_insert_with(|| Uploader::start(self.job.gateway.clone(), name, pause));
            if let Ok(file) = File::open(&self.path) {
                uploader.offer(file, written.hash, position.steps);
            }
        } else if let (Some(kept), Some(most)) = (kept, self.terms.gateway_bytes) {
            println!(
                "checkpoint: {} bytes are more than the {most} that may go through the gateway; it stays in the scratch \
                 volume",
                kept.bytes
            );
            self.terms.gateway_bytes = None;
        }
        Ok(())
    }

    fn write(&mut self, position: &Position, snapshot: &Snapshot<'_>) -> Option<Written> {
        let part = self.beside("part");
        let mut write = || {
            let parts = snapshot.parts();
            let io = |error| Failure::Io {
                path: part.clone(),
                error,
            };
            let sizes = parts.each_ref().map(Part::size);
            let needed = sizes.iter().sum::<u64>();
            if let Some(problem) = self.no_room(needed, sizes[0]).map_err(io)? {
                println!("checkpoint: none is made: {problem}");
                self.off = true;
                return Ok(None);
            }
            let header = Header {
                key: self.key()?.clone(),
                machine: Machine::here(self.job),
                position: position.clone(),
                optimizer_steps: snapshot.optimizer.steps(),
                parts: sizes,
            };
            let began = Instant::now();
            let written = file::write(&part, &header, &parts)?;
            fs::rename(&part, &self.path).map_err(io)?;
            sync_folder(&self.path).map_err(io)?;
            println!(
                "checkpoint: step {} kept, {} bytes in {:.1} s",
                position.steps,
                written.bytes,
                began.elapsed().as_secs_f64()
            );
            Ok::<_, Failure>(Some(written))
        };
        match write() {
            Ok(written) => written,
            Err(error) => {
                println!("checkpoint: it cannot be written, training goes on: {error}");
                let _ = fs::remove_file(&part);
                None
            }
        }
    }

    /// Whether a checkpoint and what is handed in later leave the scratch volume below its size: more, and the pod is
    /// evicted.
    fn no_room(&self, checkpoint: u64, model: u64) -> io::Result<Option<String>> {
        let Some(limit) = self.terms.scratch_bytes else {
            return Ok(None);
        };
        let needed = used(self.job.scratch_root())? + checkpoint + model;
        Ok((needed > limit).then(|| {
            format!("with it the scratch volume would hold {needed} bytes of {limit}; raise spec.trainer.scratchSize")
        }))
    }

    /// Before the process ends: as much patience as there is time.
    fn hand_in(&self, written: Written) -> bool {
        let left = self.job.termination.left().saturating_sub(Duration::from_secs(1));
        let done = retry(SystemTime::now() + left, "checkpoint", || {
            let file = File::open(&self.path).map_err(|error| GatewayError::Io {
                path: self.path.clone(),
                error,
            })?;
            self.job.gateway.put_checkpoint(self.name(), file, written.hash)
        });
        match done {
            Ok(()) => true,
            Err(error) => {
                println!("checkpoint: the gateway has not got it: {error}");
                false
            }
        }
    }

    /// The key of this training's noise: made once, kept as long as its checkpoint, and never handed to anybody. With it
    /// a training that goes on here draws the same noise; one that goes on elsewhere draws fresh noise, which hides as
    /// much.
    pub(crate) fn noise_key(&self) -> [u8; 32] {
        let path = self.beside("key");
        if let Ok(Ok(key)) = fs::read(&path).map(|bytes| <[u8; 32]>::try_from(bytes.as_slice())) {
            return key;
        }
        let mut key = [0u8; 32];
        StdRng::from_os_rng().fill_bytes(&mut key);
        if let Err(error) = write_secret(&path, &key) {
            println!("checkpoint: the key of the noise cannot be kept: {error}");
        }
        key
    }

    /// What is handed in takes the place of what was kept for the worst.
    pub(crate) fn forget(&mut self) {
        self.uploader = None;
        for path in [&self.path, &self.beside("key"), &self.beside("part")] {
            let _ = fs::remove_file(path);
        }
        self.job.gateway.drop_checkpoint(self.name());
    }
}

impl std::fmt::Debug for Keeper<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keeper")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

fn hash_text(job: &Job) -> String {
    let text = job.identity().hash().to_string();
    text.trim_start_matches("0x").to_owned()
}

fn sync_folder(file: &Path) -> io::Result<()> {
    match file.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

fn write_secret(path: &Path, key: &[u8]) -> io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(key)?;
    file.sync_all()
}

/// Bytes of all files below a folder.
fn used(folder: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let about = match entry.metadata() {
            Ok(about) => about,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        bytes += if about.is_dir() {
            used(&entry.path())?
        } else {
            about.len()
        };
    }
    Ok(bytes)
}
