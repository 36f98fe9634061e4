//! Group commit: while one transaction is in flight, members from all runs gather; the next transaction takes them.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{mpsc, oneshot};

use crate::engine::tasks::Tasks;
use crate::port::store::{Commit, MAX_BATCH_BYTES, MAX_BATCH_MEMBERS, Member, Store};

/// Where members are handed in.
#[derive(Debug, Clone)]
pub(crate) struct Committer {
    inbox: mpsc::UnboundedSender<Submission>,
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
    pub(crate) fn start(store: Arc<dyn Store>, tasks: &Tasks) -> Self {
        let (inbox, receiver) = mpsc::unbounded_channel();
        let drivers = Arc::new(AtomicUsize::new(0));
        tasks.spawn(write(store, receiver, drivers.clone()));
        Self { inbox, drivers }
    }

    /// So many drivers may hand in members: when all have, there is nobody to wait for.
    pub(crate) fn expect(&self, drivers: usize) {
        self.drivers.store(drivers, Ordering::Relaxed);
    }

    /// Hands in a member. The answer comes when its transaction is over; a caller that goes away changes nothing.
    pub(crate) fn submit(&self, member: Member) -> oneshot::Receiver<Commit> {
        let (reply, answer) = oneshot::channel();
        // If the writer is gone, the dropped reply tells.
        let _ = self.inbox.send(Submission { member, reply });
        answer
    }
}

async fn write(
    store: Arc<dyn Store>,
    mut inbox: mpsc::UnboundedReceiver<Submission>,
    drivers: Arc<AtomicUsize>,
) {
    let mut held: Vec<Submission> = Vec::new();
    loop {
        if held.is_empty() {
            match inbox.recv().await {
                Some(first) => held.push(first),
                None => return,
            }
        }
        gather(&mut inbox, &mut held, &drivers).await;
        let (members, replies): (Vec<_>, Vec<_>) =
            take_batch(&mut held).into_iter().map(|submission| (submission.member, submission.reply)).unzip();
        crate::failpoint!("committer.taken");
        let answers = store.commit(members).await;
        for (reply, answer) in replies.into_iter().zip(answers) {
            let _ = reply.send(answer);
        }
    }
}

async fn gather(
    inbox: &mut mpsc::UnboundedReceiver<Submission>,
    held: &mut Vec<Submission>,
    drivers: &AtomicUsize,
) {
    let mut quiet = 0;
    let all = drivers.load(Ordering::Relaxed).clamp(1, MAX_BATCH_MEMBERS);
    while quiet < QUIET_TURNS && held.len() < all {
        let before = held.len();
        while let Ok(submission) = inbox.try_recv() {
            held.push(submission);
        }
        quiet = if held.len() == before { quiet + 1 } else { 0 };
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
