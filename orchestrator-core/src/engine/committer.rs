//! Group commit: while one transaction is in flight, members from all runs gather; the next transaction takes them. A store that
//! writes several at the same time gets as many lanes, and each run has one of them.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{mpsc, oneshot};

use crate::engine::doorbell::{Doorbell, Ring, rings_of};
use crate::engine::tasks::Tasks;
use crate::port::store::{Commit, MAX_BATCH_BYTES, MAX_BATCH_MEMBERS, Member, Store};

/// Where members are handed in.
#[derive(Debug, Clone)]
pub(crate) struct Committer {
    lanes: Arc<[mpsc::UnboundedSender<Submission>]>,
    /// How many drivers there are, each of which has one member in flight at most.
    drivers: Arc<AtomicUsize>,
}

#[derive(Debug)]
struct Submission {
    member: Member,
    reply: oneshot::Sender<Commit>,
}

/// After this many turns of the scheduler in which nobody handed in a member, the batch is closed. Two: one for those
/// that the last commit has just woken, one for those whom they wake. Costs an idle writer a few microseconds.
const QUIET_TURNS: u32 = 2;

impl Committer {
    /// Starts the writer of `store`. It ends when the last handle is gone.
    pub(crate) fn start(store: &Arc<dyn Store>, tasks: &Tasks, bell: Option<&Arc<Doorbell>>) -> Self {
        let drivers = Arc::new(AtomicUsize::new(0));
        let lanes = store.describe().lanes.max(1);
        let lane = |_| {
            let (inbox, receiver) = mpsc::unbounded_channel();
            tasks.spawn(write(store.clone(), receiver, drivers.clone(), lanes, bell.cloned()));
            inbox
        };
        Self { lanes: (0..lanes).map(lane).collect(), drivers }
    }

    /// So many drivers may hand in members: when all have, there is nobody to wait for.
    pub(crate) fn expect(&self, drivers: usize) {
        self.drivers.store(drivers, Ordering::Relaxed);
    }

    /// Hands in a member. The answer comes when its transaction is over; a caller that goes away changes nothing.
    pub(crate) fn submit(&self, member: Member) -> oneshot::Receiver<Commit> {
        let (reply, answer) = oneshot::channel();
        // If the writer is gone, the dropped reply tells.
        let lane = member.run.as_uuid().as_u128() % self.lanes.len() as u128;
        let _ = self.lanes[lane as usize].send(Submission { member, reply });
        answer
    }
}

async fn write(
    store: Arc<dyn Store>,
    mut inbox: mpsc::UnboundedReceiver<Submission>,
    drivers: Arc<AtomicUsize>,
    lanes: usize,
    bell: Option<Arc<Doorbell>>,
) {
    let mut held: Vec<Submission> = Vec::new();
    // Those whom the last commit has woken may hand in as many again.
    let mut last = 0;
    loop {
        if held.is_empty() {
            match inbox.recv().await {
                Some(first) => held.push(first),
                None => return,
            }
        }
        // About as many runs as there are in a lane.
        let all = drivers.load(Ordering::Relaxed).div_ceil(lanes).max(last).clamp(1, MAX_BATCH_MEMBERS);
        gather(&mut inbox, &mut held, all).await;
        let (members, replies): (Vec<_>, Vec<_>) =
            take_batch(&mut held).into_iter().map(|submission| (submission.member, submission.reply)).unzip();
        last = replies.len();
        crate::failpoint!("committer.taken");
        let mut rings: Vec<Vec<Ring>> =
            if bell.is_some() { members.iter().map(rings_of).collect() } else { Vec::new() };
        let answers = store.commit(members).await;
        for (nth, (reply, answer)) in replies.into_iter().zip(answers).enumerate() {
            if let Some(bell) = &bell
                && matches!(answer, Commit::Applied | Commit::Ambiguous)
            {
                bell.ring(std::mem::take(&mut rings[nth]));
            }
            let _ = reply.send(answer);
        }
    }
}

/// Takes what was handed in, and waits for more while that is less than is to be expected.
async fn gather(inbox: &mut mpsc::UnboundedReceiver<Submission>, held: &mut Vec<Submission>, all: usize) {
    let mut quiet = 0;
    loop {
        let before = held.len();
        while let Ok(submission) = inbox.try_recv() {
            held.push(submission);
        }
        quiet = if held.len() == before { quiet + 1 } else { 0 };
        if quiet == QUIET_TURNS || held.len() >= all {
            return;
        }
        tokio::task::yield_now().await;
    }
}

/// Takes the longest prefix that fits a batch: one member per run, bounded in members and bytes.
fn take_batch(held: &mut Vec<Submission>) -> Vec<Submission> {
    let mut runs = HashSet::new();
    let mut bytes = 0;
    let mut count = 0;
    for submission in held.iter() {
        bytes += submission.member.size_hint();
        let full = count == MAX_BATCH_MEMBERS || (count > 0 && bytes > MAX_BATCH_BYTES);
        if full || !runs.insert(submission.member.run) {
            break;
        }
        count += 1;
    }
    held.drain(..count).collect()
}
