//! Watching the store: what others have committed to runs driven here, and runs that nobody drives.

use std::collections::{HashMap, HashSet};
use std::future::poll_fn;
use std::sync::{Arc, Weak};
use std::task::Poll;
use std::time::Duration;

use crate::engine::error::DriveError;
use crate::engine::note::Note;
use crate::engine::shared::Shared;
use crate::engine::turns::Turns;
use crate::id::RunId;
use crate::port::store::{Store, StoreError};
use crate::time::Timestamp;

/// How often to ask whether another process has committed something.
const LOOK: Duration = Duration::from_millis(20);

/// How soon an engine that drives nothing looks again after something has changed.
const SOON: Duration = Duration::from_millis(4);

/// How often a run is taken up though others wait for slots here.
const ANYWAY: Duration = Duration::from_secs(5);

/// How long a run is left alone that could not be read: perhaps somebody mends it.
const UNREADABLE: Duration = Duration::from_secs(60);

/// How many due runs are looked at a time.
const CLAIM: usize = 64;

/// How many of them are taken up before it is looked again.
const AT_ONCE: usize = 8;

/// How long a change may stay unnoticed that the store has not told: whoever should have told it may have died.
const UNTOLD: Duration = Duration::from_secs(1);

/// Tells drivers when the log of their run has grown by another's hand, and rings when a run may be due.
pub(crate) async fn watch_changes(shared: Weak<Shared>, claims: bool) {
    let mut seen = None;
    let mut looked = None;
    let mut swept: Option<Timestamp> = None;
    loop {
        let Some(held) = shared.upgrade() else { return };
        let (clock, store, rung) = (held.clock.clone(), held.store.clone(), held.rung.clone());
        drop(held);
        let next = clock.now() + LOOK;
        let is_rung = tokio::select! {
            biased;
            () = rung.notified() => true,
            () = clock.sleep_until(next) => false,
            () = changed(&*store, seen) => false,
        };
        drop(store);
        let Some(shared) = shared.upgrade() else { return };
        if !claims && shared.actors().is_empty() {
            continue;
        }
        shared.look_for_the_lost();
        shared.look_for_colleagues().await;
        let depends = !shared.away().is_empty() || !shared.parked().is_empty();
        if depends && swept.is_none_or(|swept| clock.now().since(swept) >= UNTOLD) {
            // Somebody has to notice that those who execute for us, or stand before us in a line, are dead.
            swept = Some(clock.now());
            shared.sweep().await;
            // Whoever has claimed a task and is dead may have what is waited for here, and nobody drives that run.
            if !shared.parked().is_empty() {
                let shared = shared.clone();
                shared.clone().tasks.spawn(async move {
                    if let Err(error) = shared.tend_abandoned_tasks().await {
                        tracing::debug!(%error, "cannot see to tasks whose claims are over");
                    }
                });
            }
        }
        let mark = match shared.store.change_mark().await {
            Ok(mark) => mark,
            Err(error) => {
                tracing::debug!(%error, "cannot look for changes");
                continue;
            }
        };
        if let Err(error) = shared.look_for_paused_queues(mark).await {
            tracing::debug!(%error, "cannot look which queues are paused");
        }
        let is_due = looked.is_none_or(|looked| clock.now().since(looked) >= UNTOLD);
        let has_changed = seen != Some(mark);
        if !has_changed && !is_due && !is_rung {
            continue;
        }
        shared.bell.notify_one();
        shared.look_for_stops().await;
        if shared.actors().is_empty() || tell_the_changed(&shared).await {
            (seen, looked) = (Some(mark), Some(clock.now()));
        }
        // What else changes within this time is told together. Whoever drives nothing has nobody to tell, and work to find.
        let is_idle = has_changed && shared.actors().is_empty();
        clock.sleep_until(if is_idle { next.min(clock.now() + SOON) } else { next }).await;
    }
}

async fn changed(store: &dyn Store, seen: Option<u64>) {
    match seen {
        Some(seen) => store.changed_since(seen).await,
        None => std::future::pending().await,
    }
}

/// Whether everybody concerned was told.
async fn tell_the_changed(shared: &Arc<Shared>) -> bool {
    let runs: Vec<RunId> = shared.actors().keys().copied().collect();
    let Ok(heads) = shared.store.heads(&runs).await else { return false };
    for (run, seq) in heads {
        if let Some(actor) = shared.actor(run)
            && actor.progress.borrow().seq < seq
        {
            let _ = actor.mailbox.send(Note::Changed);
        }
    }
    let away: Vec<RunId> = shared.away().iter().copied().collect();
    away.into_iter().for_each(|run| shared.tell(run, Note::Delivered));
    shared.look_for_places().await;
    shared.look_elsewhere().await.is_ok()
}

/// Takes up due runs that nobody alive drives: at the latest every `every`, and sooner when something may have become due
/// and there is room for it.
pub(crate) async fn claim_due_runs(shared: Weak<Shared>, every: Duration) {
    let (mut strangers, mut turns) = (Strangers::default(), Turns::default());
    let mut next = None;
    let mut last: Option<Timestamp> = None;
    loop {
        let Some(held) = shared.upgrade() else { return };
        if held.is_stopping() {
            return;
        }
        let clock = held.clock.clone();
        let regular = next.is_none_or(|next| clock.now() >= next);
        if regular {
            next = Some(clock.now() + every);
            held.sweep().await;
        }
        // Where a run waits for a slot already, the next is for others; but for one now and then, of which perhaps only the
        // time is over for something.
        let is_full = held.waiting() > 0 || held.holds_enough();
        let room = if is_full { 0 } else { 2 * held.slots.available_permits() };
        let anyway = regular && (!is_full || last.is_none_or(|last| clock.now().since(last) >= ANYWAY));
        if room > 0 || anyway {
            last = Some(clock.now());
            claim(&held, room.max(1), &mut strangers, &mut turns).await;
        }
        held.claim_offers().await;
        let mut stopping = held.stopping.subscribe();
        let bell = held.bell.notified();
        let until = next.unwrap_or_else(|| clock.now());
        tokio::select! {
            biased;
            _ = stopping.wait_for(|stopping| *stopping) => return,
            () = bell => {}
            () = clock.sleep_until(until) => {}
        }
    }
}

/// Due runs that are left alone: asking again would find the same.
#[derive(Debug, Default)]
struct Strangers {
    /// They need what this engine does not have.
    ever: HashSet<RunId>,
    /// They could not be read, and are looked at again at this time.
    until: HashMap<RunId, Timestamp>,
}

impl Strangers {
    fn len(&self) -> usize {
        self.ever.len() + self.until.len()
    }

    fn contains(&self, run: &RunId) -> bool {
        self.ever.contains(run) || self.until.contains_key(run)
    }

    /// What could not be read is in nobody's way, and told of at most once in this time.
    fn put_off(&mut self, run: RunId, now: Timestamp, error: &DriveError) {
        tracing::warn!(%run, %error, "leaving a due run alone for {UNREADABLE:?}");
        self.until.insert(run, now + UNREADABLE);
    }
}

/// Takes up so many runs of those that are due, and looks again soon where there may be more: whoever has come meanwhile waits
/// for no longer than these take.
async fn claim(shared: &Arc<Shared>, room: usize, strangers: &mut Strangers, turns: &mut Turns) {
    let now = shared.clock.now();
    strangers.until.retain(|_, until| *until > now);
    let mut due = match shared.store.claim_due(CLAIM + strangers.len()).await {
        Ok(due) => due,
        Err(error) => {
            tracing::warn!(%error, "cannot look for due runs");
            return;
        }
    };
    due.retain(|due| !strangers.contains(&due.run));
    let chosen = turns.choose(due, room.min(AT_ONCE), shared.owner());
    if chosen.len() == AT_ONCE {
        shared.bell.notify_one();
    }
    let taken = chosen.iter().map(|run| shared.take_up_due(*run)).collect();
    for (run, taken) in chosen.into_iter().zip(together(taken).await) {
        match taken {
            Ok(Taken::Up) => tracing::debug!(%run, "took up a due run"),
            Ok(Taken::Over) => tracing::debug!(%run, "a run that has ended was due"),
            Ok(Taken::LeftAlone) => _ = strangers.ever.insert(run),
            Err(DriveError::Driven { .. } | DriveError::Stopping) => {}
            Err(error @ DriveError::UnknownPlugin { .. }) => {
                tracing::warn!(%run, %error, "leaving a due run to an engine that can execute it");
                strangers.ever.insert(run);
            }
            Err(error @ DriveError::Store(StoreError::Corrupt(_))) => strangers.put_off(run, now, &error),
            Err(error) => tracing::warn!(%run, %error, "cannot take up a due run"),
        }
    }
}

/// What became of a due run.
enum Taken {
    Up,
    /// It has ended. Something may have been delivered for it.
    Over,
    /// It has the label of those that are none of ours.
    LeftAlone,
}

/// Carries out all of these at the same time, in the task of the caller: what they commit is written together.
async fn together<T>(tasks: Vec<impl Future<Output = T>>) -> Vec<T> {
    let mut tasks: Vec<_> = tasks.into_iter().map(|task| (Box::pin(task), None)).collect();
    poll_fn(|cx| {
        for (task, answer) in tasks.iter_mut().filter(|(_, answer)| answer.is_none()) {
            if let Poll::Ready(ready) = task.as_mut().poll(cx) {
                *answer = Some(ready);
            }
        }
        if tasks.iter().all(|(_, answer)| answer.is_some()) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    tasks.into_iter().filter_map(|(_, answer)| answer).collect()
}

impl Shared {
    /// Marks as dead who is dead. What was rung for them is for nobody.
    async fn sweep(self: &Arc<Self>) {
        match self.store.sweep().await {
            Ok(dead) if dead.is_empty() => {}
            Ok(dead) => self.forget_the_dead(dead),
            Err(error) => tracing::debug!(%error, "cannot look for dead owners"),
        }
    }

    async fn take_up_due(self: &Arc<Self>, run: RunId) -> Result<Taken, DriveError> {
        if self.is_left_alone(run).await? {
            return Ok(Taken::LeftAlone);
        }
        match self.drive(run).await? {
            Some(_) => Ok(Taken::Up),
            None => {
                self.drop_deliveries(run).await?;
                Ok(Taken::Over)
            }
        }
    }

    /// Whether a run, or the one that somebody has started above it, has the label of runs that are none of ours.
    async fn is_left_alone(&self, run: RunId) -> Result<bool, StoreError> {
        let Some(label) = &self.leaves else { return Ok(false) };
        let Some(mut row) = self.store.run(run).await? else { return Ok(false) };
        if let Some(parent) = row.new.parent
            && let Some(root) = self.store.run(parent.root).await?
        {
            row = root;
        }
        Ok(row.new.labels.contains_key(label))
    }
}

/// A number that says nothing of the one that it was made from: the last step of SplitMix64 (Steele, Lea, Flood 2014).
pub(crate) const fn mixed(number: u128) -> u64 {
    let mut mixed = (number ^ (number >> 64)) as u64;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
