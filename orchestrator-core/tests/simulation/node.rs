//! Machines and the processes on them: what polls an engine's tasks, and what its clock shows.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::task::{Context, Poll, Wake, Waker};

use async_trait::async_trait;
use orchestrator_core::port::executor::{Executor, Task};
use orchestrator_core::time::{Clock, Timestamp};

use crate::dice::Die;
use crate::world::World;

/// A process: alive, standing still, or dead. It has one thread, which polls one task after the other.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) world: Arc<World>,
    /// Which machine it runs on.
    pub(crate) node: usize,
    /// Which process of the world it is.
    pub(crate) number: usize,
    pub(crate) clock: NodeClock,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    is_dead: bool,
    is_still: bool,
    tasks: BTreeMap<u64, Task>,
    begun: u64,
    /// Those that want to be polled. A set: in which order they were woken must not matter, for that is not the same each
    /// time (a `watch` of Tokio wakes in an order of its own).
    ready: BTreeSet<u64>,
    /// The one that was polled last.
    last: u64,
    /// Wakes the thread.
    thread: Option<Waker>,
    /// After how many polls it dies.
    dies_in: Option<u64>,
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inner").field("is_dead", &self.is_dead).finish_non_exhaustive()
    }
}

impl Process {
    pub(crate) fn new(world: &Arc<World>, node: usize, number: usize) -> Arc<Self> {
        let (world, clock, inner) = (world.clone(), NodeClock::new(world), Mutex::default());
        let process = Arc::new(Self { world, node, number, clock, inner });
        tokio::spawn(Thread(process.clone()));
        process
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.inner().is_dead
    }

    pub(crate) fn is_still(&self) -> bool {
        self.inner().is_still
    }

    /// Changes something, and has the thread look at it.
    fn change(&self, change: impl FnOnce(&mut Inner)) {
        let thread = {
            let mut inner = self.inner();
            change(&mut inner);
            inner.thread.take()
        };
        if let Some(thread) = thread {
            thread.wake();
        }
    }

    /// It dies as with `kill -9`: no task of it is polled again.
    pub(crate) fn kill(&self) {
        if self.is_dead() {
            return;
        }
        self.world.tell(|| format!("process {} on node {} dies", self.number, self.node));
        self.change(|inner| inner.is_dead = true);
    }

    /// It dies after so many polls of its tasks: at any await.
    pub(crate) fn kill_after(&self, polls: u64) {
        self.inner().dies_in = Some(polls);
    }

    /// It stands still, as with `SIGSTOP`.
    pub(crate) fn stand(&self) {
        self.inner().is_still = true;
        self.world.tell(|| format!("process {} stands still", self.number));
    }

    /// It goes on where it stood.
    pub(crate) fn go_on(&self) {
        self.world.tell(|| format!("process {} goes on", self.number));
        self.change(|inner| inner.is_still = false);
    }

    /// Whether it is time to die.
    fn is_to_die(&self) -> bool {
        match &mut self.inner().dies_in {
            Some(0) => true,
            Some(polls) => {
                *polls -= 1;
                false
            }
            None => false,
        }
    }

    /// The task to poll next: the one after the last, or any.
    fn choose(&self) -> Option<(u64, Task)> {
        let ready: Vec<u64> = {
            let mut inner = self.inner();
            let Inner { ready, tasks, .. } = &mut *inner;
            // Some are woken after their end.
            ready.retain(|task| tasks.contains_key(task));
            let after = inner.ready.range(inner.last + 1..);
            after.chain(inner.ready.range(..=inner.last)).copied().collect()
        };
        let first = *ready.first()?;
        let chosen = match ready.len() as u64 {
            many @ 2.. if self.world.is_on(Die::PassedOver) => {
                ready[self.world.chance(|chance| chance.below(many)) as usize]
            }
            _ => first,
        };
        if chosen != first {
            self.world.count(Die::PassedOver);
        }
        self.world.chosen(self.node, chosen);
        let mut inner = self.inner();
        inner.ready.remove(&chosen);
        inner.last = chosen;
        inner.tasks.remove(&chosen).map(|task| (chosen, task))
    }
}

impl Executor for Process {
    fn spawn(&self, task: Task) {
        if self.is_dead() {
            return;
        }
        self.change(|inner| {
            inner.begun += 1;
            let number = inner.begun;
            inner.tasks.insert(number, task);
            inner.ready.insert(number);
        });
    }
}

/// The thread of a process. The world gives it a turn for each poll.
struct Thread(Arc<Process>);

impl Future for Thread {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let process = &self.0;
        process.inner().thread = Some(cx.waker().clone());
        if !process.is_dead() && !process.is_still() {
            if process.is_to_die() {
                process.kill();
            } else if let Some((number, mut task)) = process.choose() {
                let waker = Waker::from(Arc::new(Alarm { process: Arc::downgrade(process), number }));
                if task.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
                    process.inner().tasks.insert(number, task);
                }
                cx.waker().wake_by_ref();
            }
        }
        if !process.is_dead() {
            return Poll::Pending;
        }
        // Outside of the lock: what is dropped may wake others.
        let dropped = std::mem::take(&mut process.inner().tasks);
        drop(dropped);
        Poll::Ready(())
    }
}

/// Wakes a task.
struct Alarm {
    process: Weak<Process>,
    number: u64,
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        if let Some(process) = self.process.upgrade() {
            process.change(|inner| inner.ready.extend([self.number]));
        }
    }
}

/// What a process takes for the time: true time when it began, and from there on a monotonic clock that may run fast or slow,
/// leap ahead or stand still. It never goes back.
#[derive(Debug)]
pub(crate) struct NodeClock {
    world: Arc<World>,
    started: Timestamp,
    /// Milliseconds that it shows when a thousand have passed.
    rate: u64,
    shift: Mutex<Shift>,
}

#[derive(Debug, Default)]
struct Shift {
    ahead: u64,
    behind: u64,
    last: i64,
}

impl NodeClock {
    fn new(world: &Arc<World>) -> Self {
        let drifts = world.roll(Die::Drift, 700);
        let rate = if drifts { world.chance(|chance| chance.between(900, 1_100)) } else { 1_000 };
        let (world, started) = (world.clone(), world.clock.now());
        Self { world, started, rate, shift: Mutex::default() }
    }

    pub(crate) fn leap_ahead(&self, millis: u64) {
        self.shift.lock().unwrap().ahead += millis;
    }

    /// It has stood still for so long.
    pub(crate) fn fall_behind(&self, millis: u64) {
        self.shift.lock().unwrap().behind += millis;
    }
}

#[async_trait]
impl Clock for NodeClock {
    fn now(&self) -> Timestamp {
        let passed = self.world.clock.now().since(self.started).as_millis() as u64 * self.rate / 1_000;
        let mut shift = self.shift.lock().unwrap();
        let shown = (self.started.as_millis() + (passed + shift.ahead) as i64) - shift.behind as i64;
        shift.last = shift.last.max(shown);
        Timestamp::from_millis(shift.last)
    }

    async fn sleep_until(&self, at: Timestamp) {
        loop {
            let now = self.now();
            if now >= at {
                return;
            }
            // Looks again within a second: it may have leapt.
            let millis = (at.since(now).as_millis() as u64).min(1_000) * 1_000 / self.rate + 1;
            self.world.pass(millis).await;
        }
    }
}

#[async_trait]
impl Clock for Process {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    async fn sleep_until(&self, at: Timestamp) {
        self.clock.sleep_until(at).await;
    }
}
