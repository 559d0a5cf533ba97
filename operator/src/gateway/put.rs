//! `store put`: what no Job writes gets into the store by hand, a TorchScript module for instance.

use std::{
    fs::File,
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use anyhow::Context;
use clap::{Args, Subcommand};
use protocol::types::Address;

use super::{
    files::{BLOCK, TemporaryFile},
    object::{ObjectId, Owner},
    store::Store,
    verify::Digest,
};

/// `fl-alliance-operator store ...`
#[derive(Debug, Subcommand)]
pub enum StoreCommand {
    /// Put a file into the store under its SHA-256, and print its name there. Safe to run again.
    ///
    /// In a cluster, with the file as standard input of the gateway's container:
    /// `kubectl exec -i deploy/fl-alliance-gateway -- fl-alliance-operator store put --store /store ... < net.pt`
    Put(PutArgs),
}

/// Arguments of `store put`.
#[derive(Debug, Clone, Args)]
pub struct PutArgs {
    /// The store: an existing directory (absolute path or file:///path).
    #[arg(long, env = "FLA_GATEWAY_STORE")]
    pub store: String,
    /// EIP-155 id of the task's chain.
    #[arg(long)]
    pub chain_id: u64,
    /// Address of the task's contract.
    #[arg(long)]
    pub task: Address,
    /// Whose object it is; a module belongs to the task's creator.
    #[arg(long)]
    pub owner: Address,
    /// Folder for a copy until its hash is known, as large as the file [default: /staging/tmp, where a gateway sweeps up
    /// what is left, or the system's].
    #[arg(long)]
    pub spool: Option<PathBuf>,
    /// The file; without it standard input.
    pub file: Option<PathBuf>,
}

/// Runs one command of `store`.
///
/// # Errors
/// In words for a person: the file cannot be read or is empty, the store is not there or cannot be written.
pub async fn run_store(command: StoreCommand) -> anyhow::Result<()> {
    let StoreCommand::Put(args) = command;
    let (id, bytes) = put(&args, io::stdin()).await?;
    println!("{id} ({bytes} bytes)");
    Ok(())
}

async fn put(args: &PutArgs, input: impl Read) -> anyhow::Result<(ObjectId, u64)> {
    let store = Store::open(&args.store)?;
    // The name is the hash of all bytes, so they are written down before they have a name; a pipe cannot be read twice.
    let spool = TemporaryFile::new(&spool_folder(args));
    let (hash, bytes) = match &args.file {
        Some(path) => {
            let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
            copy(file, spool.path())
        }
        None => copy(input, spool.path()),
    }
    .context("cannot copy the file")?;
    anyhow::ensure!(bytes > 0, "there is nothing to put: the file is empty");
    let owner = Owner {
        chain: args.chain_id,
        task: args.task,
        participant: args.owner,
    };
    let id = owner.object(hash);
    store.put_file(id, spool.path()).await?;
    Ok((id, bytes))
}

/// A gateway's container can write to its volumes only.
fn spool_folder(args: &PutArgs) -> PathBuf {
    let of_gateway = Path::new("/staging/tmp");
    match &args.spool {
        Some(folder) => folder.clone(),
        None if of_gateway.is_dir() => of_gateway.to_owned(),
        None => std::env::temp_dir(),
    }
}

/// Copies to a new file; what was copied, as its hash and its length.
fn copy(mut from: impl Read, to: &Path) -> io::Result<(protocol::types::ModelHash, u64)> {
    let mut file = File::create_new(to)?;
    let mut digest = Digest::default();
    let mut block = vec![0; BLOCK];
    let mut bytes = 0;
    loop {
        let read = from.read(&mut block)?;
        if read == 0 {
            return Ok((digest.finish(), bytes));
        }
        digest.update(&block[..read]);
        file.write_all(&block[..read])?;
        bytes += read as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::verify::hash_of;

    fn args(store: &Path, file: Option<PathBuf>) -> PutArgs {
        PutArgs {
            store: store.display().to_string(),
            chain_id: 31337,
            task: Address::repeat_byte(1),
            owner: Address::repeat_byte(2),
            spool: None,
            file,
        }
    }

    #[tokio::test]
    async fn a_file_and_a_pipe_end_up_under_the_same_name_with_their_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("net.pt");
        let module = vec![7u8; 3 * BLOCK + 1];
        std::fs::write(&file, &module).unwrap();
        let store = folder.path().join("store");
        std::fs::create_dir(&store).unwrap();
        let (from_file, length) = put(&args(&store, Some(file)), io::empty()).await.unwrap();
        let (from_pipe, _) = put(&args(&store, None), &module[..]).await.unwrap();
        assert_eq!((from_file, length), (from_pipe, module.len() as u64));
        assert_eq!(from_file.hash, hash_of(&module));
        assert_eq!(std::fs::read(store.join(from_file.to_string())).unwrap(), module);
    }

    #[tokio::test]
    async fn nothing_and_nowhere_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let empty = put(&args(folder.path(), None), io::empty()).await.unwrap_err();
        assert!(empty.to_string().contains("empty"), "{empty}");
        let nowhere = put(&args(&folder.path().join("missing"), None), &b"x"[..]).await;
        assert!(nowhere.unwrap_err().to_string().contains("missing"));
    }
}
