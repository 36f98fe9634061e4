//! The reference queue: everything in this process's memory, and as the measure of what every other queue must do.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;

use super::letters::Letters;
use crate::port::queue::{
    Capabilities, Clear, Clearing, Count, Counted, DeadLetter, Delivery, ListLetters, MAX_LETTERS, NewTicket,
    Publish, Queue, QueueError, QueueInfo, Receipt, Receive, Settle, Settled, Settlement, Wait, Woken,
};
use crate::time::{Clock, SystemClock, Timestamp};

/// A queue that keeps its tickets in memory and loses them with the process. It can do everything else.
#[derive(Debug)]
pub struct MemoryQueue {
    clock: Arc<dyn Clock>,
    lines: Mutex<Lines>,
    /// Moves when something may have become receivable other than by the clock, and when the queue is closed.
    bell: watch::Sender<()>,
    /// How many dead letters there may be of each queue.
    most_letters: u32,
}

/// Where a ticket stands among those of its project: earlier is sooner. The number tells those of one moment apart.
type Place = (i64, u64);

/// The tickets of one project in one queue.
type Line = (Arc<str>, Arc<str>);

#[derive(Debug, Default)]
struct Lines {
    closed: bool,
    kept: HashMap<u64, Kept>,
    /// The last number given to a ticket.
    tickets: u64,
    /// The last number given to a ticket that took its place in a line.
    arrivals: u64,
    /// Those that can be received, by queue and project. No line is empty.
    ready: BTreeMap<Line, BTreeMap<Place, u64>>,
    /// Those that are hidden, by when and in which order they come out.
    hidden: BTreeSet<(Timestamp, u64, u64)>,
    /// When each project was last given a ticket, as a count of tickets given. Forgotten when there are no more tickets.
    turns: HashMap<Arc<str>, u64>,
    /// How many tickets were given.
    given: u64,
    letters: Letters,
}

#[derive(Debug)]
struct Kept {
    new: NewTicket,
    /// How often it has been given out.
    count: u32,
    /// Where it is in `Lines::hidden`, while somebody has it.
    held: Option<(Timestamp, u64)>,
}

impl Default for MemoryQueue {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryQueue {
    /// An empty queue on the machine's clock.
    #[must_use]
    pub fn new() -> Self {
        Self::with_clock(Arc::new(SystemClock::from_wall_clock()))
    }

    /// An empty queue on a clock of the caller's: for simulation.
    #[must_use]
    pub fn with_clock(clock: Arc<dyn Clock>) -> Self {
        Self { clock, lines: Mutex::default(), bell: watch::Sender::new(()), most_letters: MAX_LETTERS }
    }

    /// The same, with room for so many dead letters of each queue.
    #[must_use]
    pub const fn with_letters(mut self, letters: u32) -> Self {
        self.most_letters = letters;
        self
    }

    /// The lines as they are now, unless the queue is closed. A panic while the lock was held can have happened only
    /// between whole changes, so what is behind a poisoned lock is whole.
    fn open(&self) -> Result<(MutexGuard<'_, Lines>, Timestamp), QueueError> {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.closed {
            return Err(QueueError::Unavailable("it is closed".to_owned()));
        }
        let now = self.clock.now();
        lines.let_out(now);
        Ok((lines, now))
    }
}

impl Lines {
    fn publish(&mut self, new: NewTicket, now: Timestamp) {
        self.tickets += 1;
        let (id, after) = (self.tickets, new.after);
        self.kept.insert(id, Kept { new, count: 0, held: None });
        self.hide(id, now + after);
        self.let_out(now);
    }

    /// Hides a ticket until a moment, and gives where in `hidden` it is.
    fn hide(&mut self, id: u64, until: Timestamp) -> (Timestamp, u64) {
        self.arrivals += 1;
        self.hidden.insert((until, self.arrivals, id));
        (until, self.arrivals)
    }

    /// Puts everything in line whose time has come. Its place is counted from then, not from now.
    fn let_out(&mut self, now: Timestamp) {
        while let Some((due, arrival, id)) = self.hidden.first().copied()
            && due <= now
        {
            self.hidden.pop_first();
            let Some(kept) = self.kept.get_mut(&id) else { continue };
            kept.held = None;
            let place = (due.place(kept.new.priority), arrival);
            let line = (kept.new.queue.clone(), kept.new.project.clone());
            self.ready.entry(line).or_default().insert(place, id);
        }
    }

    /// The ticket whose turn it is: of the project that was given one the longest ago, the one with the earliest place.
    /// Looks at the head of each line: it takes as long as there are projects with tickets.
    fn next(&self, queues: &[Arc<str>]) -> Option<(&Line, Place)> {
        let lines = self.ready.iter().filter(|((queue, _), _)| queues.contains(queue));
        let heads = lines.filter_map(|(line, tickets)| Some((line, *tickets.first_key_value()?.0)));
        heads.min_by_key(|((_, project), place)| (self.turns.get(project).copied().unwrap_or(0), *place))
    }

    fn take(&mut self, queues: &[Arc<str>], until: Timestamp) -> Option<Delivery> {
        let (line, place) = self.next(queues)?;
        let line = line.clone();
        let tickets = self.ready.get_mut(&line)?;
        let id = tickets.remove(&place)?;
        if tickets.is_empty() {
            self.ready.remove(&line);
        }
        self.given += 1;
        self.turns.insert(line.1, self.given);
        let held = self.hide(id, until);
        let kept = self.kept.get_mut(&id)?;
        kept.count = kept.count.saturating_add(1);
        kept.held = Some(held);
        Some(Delivery {
            // With the number of the arrival, which is given once: a count may be at its end.
            receipt: Receipt::new(format!("{id}.{}", held.1)),
            queue: kept.new.queue.clone(),
            project: kept.new.project.clone(),
            priority: kept.new.priority,
            count: kept.count,
            ticket: kept.new.ticket,
        })
    }

    fn settle(&mut self, settle: &Settle, now: Timestamp, most_letters: u32) -> Option<()> {
        let (id, arrival) = settle.receipt.as_str().split_once('.')?;
        let (id, arrival) = (id.parse().ok()?, arrival.parse::<u64>().ok()?);
        let kept = self.kept.get_mut(&id)?;
        let (until, _) = kept.held.take_if(|(_, held)| *held == arrival)?;
        self.hidden.remove(&(until, arrival, id));
        match &settle.how {
            Settlement::Done => self.forget(id),
            Settlement::Release { after } => {
                self.hide(id, now + *after);
                self.let_out(now);
            }
            Settlement::Bury { reason } => {
                let (new, count) = (kept.new.clone(), kept.count);
                let letter = |id| DeadLetter {
                    id,
                    queue: new.queue,
                    project: new.project,
                    priority: new.priority,
                    count,
                    at: now,
                    reason: reason.clone(),
                    ticket: Some(new.ticket),
                    // Numbers and ids can always be written down.
                    text: serde_json::to_string(&new.ticket).unwrap_or_default().into(),
                };
                self.letters.bury(letter, new.ticket, most_letters);
                self.forget(id);
            }
        }
        Some(())
    }

    fn clear(&mut self, clear: &Clear, now: Timestamp) -> Option<()> {
        let (letter, ticket) = self.letters.take(&clear.letter)?;
        if clear.how == Clearing::Publish {
            let DeadLetter { queue, project, priority, .. } = letter;
            let new = NewTicket { queue, project, priority, after: Duration::ZERO, ticket };
            self.publish(new, now);
        }
        Some(())
    }

    fn count(&self, queue: Arc<str>) -> Counted {
        let of_queue = self.ready.iter().filter(|((of, _), _)| *of == queue);
        let ready = of_queue.map(|(_, tickets)| tickets.len() as u64).sum();
        let all = self.kept.values().filter(|kept| kept.new.queue == queue).count() as u64;
        Counted { ready, hidden: all - ready, letters: self.letters.count(&queue), queue }
    }

    fn forget(&mut self, id: u64) {
        self.kept.remove(&id);
        if self.kept.is_empty() {
            self.turns.clear();
        }
    }
}

#[async_trait]
impl Queue for MemoryQueue {
    fn describe(&self) -> QueueInfo {
        QueueInfo {
            kind: "memory",
            location: "this process".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            can: Capabilities { durable: false, letters: self.most_letters, ..Capabilities::ALL },
        }
    }

    async fn publish(&self, publish: Publish) -> Result<(), QueueError> {
        publish.require_fit(&self.describe().can)?;
        let (mut lines, now) = self.open()?;
        publish.tickets.into_iter().for_each(|new| lines.publish(new, now));
        drop(lines);
        self.bell.send_replace(());
        Ok(())
    }

    async fn receive(&self, receive: Receive) -> Result<Vec<Delivery>, QueueError> {
        receive.require_fit()?;
        let (mut lines, now) = self.open()?;
        // What is hidden for no time is let out by the next call: one answer never has a ticket twice.
        let take = |_| lines.take(&receive.queues, now + receive.visibility);
        Ok((0..receive.max).map_while(take).collect())
    }

    async fn settle(&self, settle: Settle) -> Result<Settled, QueueError> {
        settle.require_fit(&self.describe().can)?;
        let (mut lines, now) = self.open()?;
        let settled = lines.settle(&settle, now, self.most_letters);
        drop(lines);
        if matches!(settle.how, Settlement::Release { .. }) {
            self.bell.send_replace(());
        }
        Ok(if settled.is_some() { Settled::Taken } else { Settled::Late })
    }

    async fn letters(&self, list: ListLetters) -> Result<Vec<DeadLetter>, QueueError> {
        list.require_fit(&self.describe().can)?;
        let (lines, _) = self.open()?;
        lines.letters.list(&list)
    }

    async fn clear(&self, clear: Clear) -> Result<Settled, QueueError> {
        clear.require_fit(&self.describe().can)?;
        let (mut lines, now) = self.open()?;
        let cleared = lines.clear(&clear, now);
        drop(lines);
        self.bell.send_replace(());
        Ok(if cleared.is_some() { Settled::Taken } else { Settled::Late })
    }

    async fn count(&self, count: Count) -> Result<Vec<Counted>, QueueError> {
        count.require_fit()?;
        let (lines, _) = self.open()?;
        Ok(count.queues.into_iter().map(|queue| lines.count(queue)).collect())
    }

    async fn wait(&self, wait: Wait) -> Result<Woken, QueueError> {
        wait.require_fit()?;
        let mut bell = self.bell.subscribe();
        let deadline = self.clock.now() + wait.timeout;
        loop {
            // First the bell, then the lines: what rings from here on ends the waiting below.
            bell.borrow_and_update();
            let next = {
                let (lines, now) = self.open()?;
                if lines.next(&wait.queues).is_some() {
                    return Ok(Woken::Rung);
                }
                if now >= deadline {
                    return Ok(Woken::TimedOut);
                }
                lines.hidden.first().map_or(deadline, |(due, ..)| deadline.min(*due))
            };
            tokio::select! {
                _ = bell.changed() => {}
                () = self.clock.sleep_until(next) => {}
            }
        }
    }

    async fn close(&self) -> Result<(), QueueError> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
        self.bell.send_replace(());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::RunId;
    use crate::port::queue::Ticket;

    // That it keeps its contract, the conformance kit says, on a clock that is moved by hand; this is the machine's.
    #[tokio::test(start_paused = true)]
    async fn the_clock_of_the_machine_wakes_who_waits() {
        let queue = MemoryQueue::new();
        let secs = Duration::from_secs;
        let wait = |timeout| queue.wait(Wait { queues: vec!["q".into()], timeout });
        let new = NewTicket {
            queue: "q".into(),
            project: "p".into(),
            priority: 0,
            after: secs(5),
            ticket: Ticket::Run { run: RunId::from_uuid(uuid::Uuid::now_v7()) },
        };
        queue.publish(Publish { tickets: vec![new] }).await.unwrap();
        assert_eq!(wait(secs(3)).await, Ok(Woken::TimedOut));
        assert_eq!(wait(secs(60)).await, Ok(Woken::Rung), "it is due");
        let receive = Receive { queues: vec!["q".into()], max: 1, visibility: secs(30) };
        assert_eq!(queue.receive(receive).await.unwrap().len(), 1);
        assert_eq!(wait(secs(10)).await, Ok(Woken::TimedOut));
        assert_eq!(wait(secs(60)).await, Ok(Woken::Rung), "its visibility has passed");
    }
}
