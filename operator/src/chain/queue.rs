//! What one key has to send: reveals first, then by deadline, then in the order asked.

use protocol::types::Timestamp;
use tokio::sync::oneshot;

use super::{ChainError, Mined, calls::Call};

pub(super) type Answer = Result<Mined, ChainError>;

/// One call, and everybody who waits for it.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) call: Call,
    /// Stable name for logs and metrics.
    pub(super) action: &'static str,
    /// Chain time after which the call would only revert.
    pub(super) deadline: Option<Timestamp>,
    pub(super) waiters: Vec<oneshot::Sender<Answer>>,
    order: Order,
}

/// Smaller goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Order {
    not_a_reveal: bool,
    deadline: u64,
    arrival: u64,
}

impl Job {
    /// Nobody waits for the answer any more.
    pub(super) fn abandoned(&self) -> bool {
        self.waiters.iter().all(oneshot::Sender::is_closed)
    }

    pub(super) fn answer(self, answer: &Answer) {
        for waiter in self.waiters {
            // Whoever stopped waiting does not mind.
            let _ = waiter.send(answer.clone());
        }
    }
}

/// Calls waiting for their turn, and the one whose turn it is.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: Vec<Job>,
    running: Option<(Call, Vec<oneshot::Sender<Answer>>)>,
    arrivals: u64,
}

impl Queue {
    /// Asks for a call. The same call asked for twice is sent once, and both get the answer.
    pub(super) fn push(
        &mut self,
        call: Call,
        action: &'static str,
        deadline: Option<Timestamp>,
    ) -> oneshot::Receiver<Answer> {
        let (waiter, answer) = oneshot::channel();
        if let Some((_, late)) = self.running.as_mut().filter(|(running, _)| *running == call) {
            late.push(waiter);
            return answer;
        }
        if let Some(job) = self.waiting.iter_mut().find(|job| job.call == call) {
            job.waiters.push(waiter);
            return answer;
        }
        self.arrivals += 1;
        let order = Order {
            not_a_reveal: action != "revealVote",
            deadline: deadline.map_or(u64::MAX, |d| d.0),
            arrival: self.arrivals,
        };
        self.waiting.push(Job {
            call,
            action,
            deadline,
            waiters: vec![waiter],
            order,
        });
        answer
    }

    /// The most urgent call that somebody still waits for.
    pub(super) fn take(&mut self) -> Option<Job> {
        self.waiting.retain(|job| !job.abandoned());
        let next = self
            .waiting
            .iter()
            .enumerate()
            .min_by_key(|(_, job)| job.order)
            .map(|(index, _)| index)?;
        let job = self.waiting.swap_remove(next);
        self.running = Some((job.call.clone(), Vec::new()));
        Some(job)
    }

    /// Whether somebody waits for a more urgent call than this one.
    pub(super) fn more_urgent_than(&self, job: &Job) -> bool {
        self.waiting
            .iter()
            .any(|other| other.order < job.order && !other.abandoned())
    }

    /// The running call steps back, nothing of it having been broadcast.
    pub(super) fn put_back(&mut self, mut job: Job) {
        job.waiters
            .extend(self.running.take().into_iter().flat_map(|(_, late)| late));
        self.waiting.push(job);
    }

    /// The running call is over: its answer goes to all who asked for it, also while it ran.
    pub(super) fn finish(&mut self, mut job: Job, answer: &Answer) {
        job.waiters
            .extend(self.running.take().into_iter().flat_map(|(_, late)| late));
        job.answer(answer);
    }

    pub(super) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.running.is_none()
    }
}

#[cfg(test)]
mod tests {
    use protocol::types::Address;

    use super::*;

    fn call(n: u8) -> Call {
        Call {
            to: Address::ZERO,
            data: vec![n],
        }
    }

    fn mined() -> Answer {
        Err(ChainError::NotMined("x".to_owned()))
    }

    #[test]
    fn reveals_go_first_then_deadlines_then_arrival() {
        let mut queue = Queue::default();
        let _answers = [
            queue.push(call(1), "slash", None),
            queue.push(call(2), "contribute", Some(Timestamp(100))),
            queue.push(call(3), "commitVote", Some(Timestamp(50))),
            queue.push(call(4), "finishRound", None),
            queue.push(call(5), "revealVote", Some(Timestamp(900))),
        ];
        let mut order = Vec::new();
        while let Some(job) = queue.take() {
            order.push(job.call.data[0]);
            queue.finish(job, &mined());
        }
        assert_eq!(order, [5, 3, 2, 1, 4]);
        assert!(queue.is_idle());
    }

    #[test]
    fn a_call_nobody_waits_for_any_more_is_not_sent() {
        let mut queue = Queue::default();
        drop(queue.push(call(1), "slash", None));
        let _kept = queue.push(call(2), "slash", None);
        assert_eq!(queue.take().map(|job| job.call), Some(call(2)));
    }

    #[test]
    fn the_same_call_is_sent_once_and_everybody_hears_of_it() {
        let mut queue = Queue::default();
        let mut first = queue.push(call(1), "slash", None);
        let mut second = queue.push(call(1), "slash", None);
        let job = queue.take().unwrap();
        let mut third = queue.push(call(1), "slash", None);
        assert!(queue.take().is_none(), "the same call must not run twice");
        // `take` found nothing and must not have forgotten what runs.
        queue.finish(job, &mined());
        for answer in [&mut first, &mut second, &mut third] {
            assert_eq!(answer.try_recv().unwrap(), mined());
        }
    }

    #[test]
    fn a_running_call_that_steps_back_keeps_its_place_and_its_waiters() {
        let mut queue = Queue::default();
        let mut poke = queue.push(call(1), "slash", None);
        let job = queue.take().unwrap();
        let mut late = queue.push(call(1), "slash", None);
        assert!(!queue.more_urgent_than(&job));
        let _reveal = queue.push(call(2), "revealVote", Some(Timestamp(9)));
        assert!(queue.more_urgent_than(&job));
        queue.put_back(job);
        let reveal = queue.take().unwrap();
        assert_eq!(reveal.action, "revealVote");
        queue.finish(reveal, &mined());
        let job = queue.take().unwrap();
        queue.finish(job, &mined());
        assert!(poke.try_recv().is_ok() && late.try_recv().is_ok());
    }
}
