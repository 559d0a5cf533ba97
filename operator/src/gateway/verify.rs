//! Bytes are what their name says, or they are not served.

use std::io;

use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use protocol::types::ModelHash;
use sha2::{Digest as _, Sha256};

/// SHA-256 as it grows.
#[derive(Debug, Default)]
pub(super) struct Digest(Sha256);

impl Digest {
    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(super) fn finish(self) -> ModelHash {
        ModelHash(<[u8; 32]>::from(self.0.finalize()).into())
    }
}

/// SHA-256 of `bytes`.
pub(super) fn hash_of(bytes: &[u8]) -> ModelHash {
    let mut digest = Digest::default();
    digest.update(bytes);
    digest.finish()
}

/// Passes `bytes` on one block late: the last is withheld until all of them hash to `expected`, so that a reader who
/// waits for the declared length never has a wrong file. Wrong bytes end in [`io::ErrorKind::InvalidData`].
pub(super) fn verified(
    bytes: impl Stream<Item = io::Result<Bytes>> + Send + Unpin + 'static,
    expected: ModelHash,
) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    struct State<S> {
        bytes: S,
        digest: Digest,
        held: Option<Bytes>,
    }
    let start = Some(State {
        bytes,
        digest: Digest::default(),
        held: None,
    });
    stream::unfold(start, move |state| async move {
        let mut state = state?;
        loop {
            match state.bytes.next().await {
                Some(Ok(block)) => {
                    state.digest.update(&block);
                    if let Some(ready) = state.held.replace(block) {
                        return Some((Ok(ready), Some(state)));
                    }
                }
                Some(Err(error)) => return Some((Err(error), None)),
                None if state.digest.finish() == expected => return state.held.map(|last| (Ok(last), None)),
                None => {
                    let wrong = io::Error::new(
                        io::ErrorKind::InvalidData,
                        "the bytes at rest are not what they should be",
                    );
                    return Some((Err(wrong), None));
                }
            }
        }
    })
    .boxed()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn pass(blocks: &[&'static [u8]], expected: ModelHash) -> (Vec<u8>, Option<io::ErrorKind>) {
        let blocks: Vec<io::Result<Bytes>> = blocks.iter().map(|block| Ok(Bytes::from_static(block))).collect();
        let mut stream = Box::pin(verified(stream::iter(blocks), expected));
        let mut passed = Vec::new();
        while let Some(block) = stream.next().await {
            match block {
                Ok(block) => passed.extend_from_slice(&block),
                Err(error) => return (passed, Some(error.kind())),
            }
        }
        (passed, None)
    }

    #[tokio::test]
    async fn right_bytes_pass_unchanged() {
        assert_eq!(
            pass(&[b"one", b"two"], hash_of(b"onetwo")).await,
            (b"onetwo".to_vec(), None)
        );
        assert_eq!(pass(&[b"one"], hash_of(b"one")).await, (b"one".to_vec(), None));
        assert_eq!(pass(&[], hash_of(b"")).await, (Vec::new(), None));
    }

    #[tokio::test]
    async fn the_last_block_of_wrong_bytes_is_never_passed() {
        let wrong = Some(io::ErrorKind::InvalidData);
        assert_eq!(
            pass(&[b"one", b"two"], hash_of(b"onetwX")).await,
            (b"one".to_vec(), wrong)
        );
        assert_eq!(pass(&[b"one"], hash_of(b"two")).await, (Vec::new(), wrong));
        assert_eq!(pass(&[], hash_of(b"x")).await, (Vec::new(), wrong));
    }
}
