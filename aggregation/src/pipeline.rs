//! Pieces made by several threads, used by one, in order.

use std::{
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread,
};

/// Buffers per thread: one is filled, one waits, one is used.
const BUFFERS: usize = 3;

/// Has `produce` fill a buffer for every number below `count` and gives the buffers to `consume` in ascending order.
/// With one thread everything happens in it; otherwise `threads` of them produce and the caller consumes. A producer's
/// state is made once per thread by `state`. `lost` is the error when a producer panicked.
pub(crate) fn in_order<B: Send, S, E: Send>(
    count: u64,
    threads: usize,
    buffer: impl Fn() -> B + Sync,
    state: impl Fn() -> S + Sync,
    produce: impl Fn(u64, &mut S, &mut B) -> Result<(), E> + Sync,
    mut consume: impl FnMut(&B) -> Result<(), E>,
    lost: impl Fn() -> E,
) -> Result<(), E> {
    let threads = threads.min(usize::try_from(count).unwrap_or(usize::MAX));
    if threads <= 1 {
        let (mut buffer, mut state) = (buffer(), state());
        return (0..count).try_for_each(|number| {
            produce(number, &mut state, &mut buffer)?;
            consume(&buffer)
        });
    }
    let (buffer, state, produce) = (&buffer, &state, &produce);
    thread::scope(|scope| {
        let lanes: Vec<_> = (0..threads as u64)
            .map(|lane| {
                let (to_us, full) = sync_channel::<Result<B, E>>(BUFFERS);
                let (free, empty) = sync_channel::<B>(BUFFERS);
                scope.spawn(move || {
                    let mut state = state();
                    let mut spare: Vec<B> = (0..BUFFERS).map(|_| buffer()).collect();
                    for number in (lane..count).step_by(threads) {
                        let Some(mut buffer) = spare.pop().or_else(|| empty.recv().ok()) else {
                            return;
                        };
                        let made = produce(number, &mut state, &mut buffer).map(|()| buffer);
                        if to_us.send(made).is_err() {
                            return;
                        }
                    }
                });
                (full, free)
            })
            .collect();
        (0..count).try_for_each(|number| take(&lanes[(number % threads as u64) as usize], &mut consume, &lost))
    })
}

type Lane<B, E> = (Receiver<Result<B, E>>, SyncSender<B>);

fn take<B, E>(
    (full, free): &Lane<B, E>,
    consume: &mut impl FnMut(&B) -> Result<(), E>,
    lost: &impl Fn() -> E,
) -> Result<(), E> {
    let buffer = full.recv().unwrap_or_else(|_| Err(lost()))?;
    consume(&buffer)?;
    // A producer that has made its last piece takes none back.
    let _ = free.send(buffer);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn squares(count: u64, threads: usize, fail_at: Option<u64>) -> Result<Vec<u64>, String> {
        let mut seen = Vec::new();
        in_order(
            count,
            threads,
            || 0u64,
            || (),
            |number, (), buffer| {
                *buffer = number * number;
                match fail_at {
                    Some(at) if at == number => Err(format!("failed at {number}")),
                    _ => Ok(()),
                }
            },
            |&square| {
                seen.push(square);
                Ok(())
            },
            || "lost".to_owned(),
        )?;
        Ok(seen)
    }

    #[test]
    fn pieces_come_in_order_whatever_the_number_of_threads() {
        let expected: Vec<u64> = (0..100).map(|n| n * n).collect();
        for threads in [1, 2, 3, 7, 200] {
            assert_eq!(squares(100, threads, None).as_ref(), Ok(&expected));
            assert_eq!(squares(0, threads, None), Ok(vec![]));
        }
    }

    #[test]
    fn the_first_error_in_order_ends_it() {
        for threads in [1, 2, 3, 7] {
            assert_eq!(squares(100, threads, Some(41)), Err("failed at 41".to_owned()));
        }
    }

    #[test]
    fn a_consumer_that_fails_stops_the_producers() {
        for threads in [1, 4] {
            let done = in_order(
                1_000_000,
                threads,
                || 0u64,
                || (),
                |number, (), buffer| {
                    *buffer = number;
                    Ok(())
                },
                |&number| if number == 10 { Err("full") } else { Ok(()) },
                || "lost",
            );
            assert_eq!(done, Err("full"));
        }
    }
}
