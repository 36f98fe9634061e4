//! Creating runs that are left to whoever looks for due ones: one, or many at once.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::oneshot;

use crate::engine::error::StartError;
use crate::engine::shared::Shared;
use crate::engine::start::StartRun;
use crate::id::RunId;
use crate::port::store::{Commit, MAX_BATCH_BYTES, MAX_BATCH_MEMBERS, Member, StoreError};

/// How many runs of one call are on their way at a time: while one group of each lane is written, the next gathers.
const AHEAD: usize = 4 * MAX_BATCH_MEMBERS;

/// How many bytes they come to; one that is larger goes alone.
const AHEAD_BYTES: usize = 4 * MAX_BATCH_BYTES;

/// After so many runs others get a turn of the scheduler: to make one takes some microseconds.
const TURN: usize = 64;

/// A run of several that are created in one call.
enum Ahead {
    /// It is on its way to the store.
    Handed { member: Box<Member>, bytes: usize, answer: oneshot::Receiver<Commit> },
    /// It will not be created.
    Refused(StartError),
}

impl Shared {
    /// Creates a run and leaves it to whoever looks for due runs; a repeated start answers with the first run.
    pub(crate) async fn enqueue(self: &Arc<Self>, start: StartRun) -> Result<RunId, StartError> {
        let start = self.with_children(start).await?;
        let member = self.creating_member(start)?;
        let run = member.run;
        let answer = self.submit_creation(member).await?;
        self.enqueued(run, answer)
    }

    /// As [`Shared::enqueue`], of many: an answer for each, in their order.
    pub(crate) async fn enqueue_all(
        self: &Arc<Self>,
        starts: impl Iterator<Item = StartRun>,
    ) -> Vec<Result<RunId, StartError>> {
        let mut answers = Vec::with_capacity(starts.size_hint().0);
        let mut ahead = VecDeque::new();
        let mut held = 0;
        // Why the store cannot be had, once it cannot.
        let mut gone: Option<String> = None;
        for (number, start) in starts.enumerate() {
            let next = match &gone {
                Some(why) => Ahead::Refused(StoreError::Unavailable(why.clone()).into()),
                None => self.hand_in(start).await,
            };
            held += next.bytes();
            ahead.push_back(next);
            while ahead.len() > AHEAD || held > AHEAD_BYTES {
                let Some(first) = ahead.pop_front() else { break };
                held -= first.bytes();
                answers.push(self.settled(first, &mut gone).await);
            }
            if number % TURN == TURN - 1 {
                tokio::task::yield_now().await;
            }
        }
        for next in ahead {
            answers.push(self.settled(next, &mut gone).await);
        }
        answers
    }

    async fn hand_in(&self, start: StartRun) -> Ahead {
        let made = match self.with_children(start).await {
            Ok(start) => self.creating_member(start),
            Err(error) => Err(error),
        };
        match made {
            Ok(member) => {
                let (bytes, answer) = (member.size_hint(), self.committer.submit(member.clone()));
                let member = Box::new(member);
                Ahead::Handed { member, bytes, answer }
            }
            Err(error) => Ahead::Refused(error),
        }
    }

    async fn settled(&self, next: Ahead, gone: &mut Option<String>) -> Result<RunId, StartError> {
        let (member, answer) = match next {
            Ahead::Handed { member, answer, .. } => (member, answer),
            Ahead::Refused(error) => return Err(error),
        };
        let run = member.run;
        match self.settle_creation(&member, answer).await {
            Ok(answer) => self.enqueued(run, answer),
            Err(error) => {
                if let StoreError::Unavailable(why) = &error {
                    gone.get_or_insert_with(|| why.clone());
                }
                Err(error.into())
            }
        }
    }

    fn enqueued(&self, run: RunId, answer: Commit) -> Result<RunId, StartError> {
        match answer {
            Commit::Applied => {
                self.bell.notify_one();
                Ok(run)
            }
            Commit::Duplicate { run, same: true } => Ok(run),
            Commit::Duplicate { run, same: false } => Err(StartError::KeyReused { run }),
            Commit::Invalid(why) => Err(StartError::Invalid(why)),
            _ => Err(StoreError::Busy.into()),
        }
    }

    /// Hands in a member that creates a run, until it is known what became of it: applied, refused, or not written after
    /// many trials.
    pub(crate) async fn submit_creation(&self, member: Member) -> Result<Commit, StoreError> {
        let answer = self.committer.submit(member.clone());
        self.settle_creation(&member, answer).await
    }

    /// As [`Shared::submit_creation`], of what was handed in once.
    async fn settle_creation(
        &self,
        member: &Member,
        mut answer: oneshot::Receiver<Commit>,
    ) -> Result<Commit, StoreError> {
        const TRIALS: usize = 64;
        let mut trials = 1;
        loop {
            match answer.await.unwrap_or(Commit::Ambiguous) {
                // Nobody else can know of this run: it is there, or it is not.
                Commit::Conflict | Commit::Ambiguous if self.store.run(member.run).await?.is_some() => {
                    return Ok(Commit::Applied);
                }
                Commit::Unavailable(why) => return Err(StoreError::Unavailable(why)),
                Commit::Busy | Commit::Ambiguous if trials < TRIALS => trials += 1,
                settled => return Ok(settled),
            }
            answer = self.committer.submit(member.clone());
        }
    }
}

impl Ahead {
    const fn bytes(&self) -> usize {
        match self {
            Self::Handed { bytes, .. } => *bytes,
            Self::Refused(_) => 0,
        }
    }
}
