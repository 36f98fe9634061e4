//! A world: one thread, one seed, virtual time. What happens in it, in its order, is a hash.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use orchestrator_core::id::Ids;
use orchestrator_core::time::{Clock, SystemClock, Timestamp};
use uuid::Uuid;

use crate::bugs::Bug;
use crate::dice::{Chance, Dice, Die};

/// When every world begins.
pub(crate) const BEGIN: Timestamp = Timestamp::from_millis(1_700_000_000_000);

/// One world.
#[derive(Debug)]
pub(crate) struct World {
    /// True time, which is the store's.
    pub(crate) clock: SystemClock,
    /// What is built wrong on purpose.
    pub(crate) bug: Option<Bug>,
    /// Whether time starts runs too.
    pub(crate) ticks: bool,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    chance: Chance,
    dice: Dice,
    trace: Trace,
    broken: Option<String>,
    ids: u64,
}

/// What has happened, as a hash and, if wanted, in words.
#[derive(Debug)]
struct Trace {
    hash: u64,
    choices: u64,
    events: u64,
    words: Option<String>,
}

/// What a world has come to.
#[derive(Debug)]
pub(crate) struct Told {
    /// Of every choice of the scheduler and every event.
    pub(crate) hash: u64,
    pub(crate) choices: u64,
    pub(crate) events: u64,
    pub(crate) hits: BTreeMap<&'static str, u64>,
    pub(crate) dice: Vec<Die>,
    pub(crate) broken: Option<String>,
    pub(crate) words: String,
    pub(crate) lasted: Duration,
}

impl World {
    pub(crate) fn new(seed: u64, off: &[Die], bug: Option<Bug>, in_words: bool) -> Arc<Self> {
        let mut chance = Chance::new(seed);
        let dice = Dice::drawn(&mut chance).without(off);
        let trace = Trace { hash: 0, choices: 0, events: 0, words: in_words.then(String::new) };
        let inner = Inner { chance, dice, trace, broken: None, ids: 0 };
        let clock = SystemClock::anchored_at(BEGIN);
        Arc::new(Self { clock, bug, ticks: seed % 4 == 1, inner: Mutex::new(inner) })
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }

    /// Takes a chance.
    pub(crate) fn chance<T>(&self, draw: impl FnOnce(&mut Chance) -> T) -> T {
        draw(&mut self.inner().chance)
    }

    /// Whether a fault happens here, once in a thousand times `permille`.
    pub(crate) fn roll(&self, die: Die, permille: u64) -> bool {
        let mut inner = self.inner();
        // Drawn also where the die is off: the rest of the world stays as alike as it can when one is taken away.
        let falls = inner.chance.permille(permille) && inner.dice.is_on(die);
        if falls {
            inner.dice.count(die);
        }
        falls
    }

    pub(crate) fn is_on(&self, die: Die) -> bool {
        self.inner().dice.is_on(die)
    }

    /// A fault has happened that was not rolled for.
    pub(crate) fn count(&self, die: Die) {
        self.inner().dice.count(die);
    }

    /// Something has happened that is no fault, and that every battery must have met.
    pub(crate) fn saw(&self, what: &'static str) {
        self.inner().dice.saw(what);
    }

    pub(crate) fn heal(&self) {
        self.inner().dice.heal();
        self.tell(|| "-- healed".into());
    }

    pub(crate) fn is(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }

    /// The scheduler has chosen a task.
    pub(crate) fn chosen(&self, node: usize, task: u64) {
        let mut inner = self.inner();
        inner.trace.choices += 1;
        inner.trace.mix(node as u64 ^ task << 8);
    }

    /// Something that can be told has happened.
    pub(crate) fn tell(&self, words: impl FnOnce() -> String) {
        let at = self.clock.now().since(BEGIN).as_millis();
        let mut inner = self.inner();
        inner.trace.events += 1;
        let words = words();
        words.bytes().for_each(|byte| inner.trace.mix(u64::from(byte)));
        if let Some(kept) = &mut inner.trace.words {
            let _ = writeln!(kept, "{at:>7} ms  {words}");
        }
    }

    /// A promise is broken. The first time counts.
    pub(crate) fn broken(&self, what: impl Into<String>) {
        let what = what.into();
        self.tell(|| format!("BROKEN: {what}"));
        self.inner().broken.get_or_insert(what);
    }

    pub(crate) fn is_broken(&self) -> bool {
        self.inner().broken.is_some()
    }

    pub(crate) fn told(&self) -> Told {
        let mut inner = self.inner();
        Told {
            hash: inner.trace.hash,
            choices: inner.trace.choices,
            events: inner.trace.events,
            hits: inner.dice.hits().clone(),
            dice: inner.dice.are_on().to_vec(),
            broken: inner.broken.clone(),
            words: inner.trace.words.take().unwrap_or_default(),
            lasted: self.clock.now().since(BEGIN),
        }
    }

    /// Passes true time, of which there is as much as there need be: the world's time is paused.
    pub(crate) async fn pass(&self, millis: u64) {
        self.clock.sleep_until(self.clock.now() + Duration::from_millis(millis)).await;
    }
}

impl Trace {
    fn mix(&mut self, value: u64) {
        // FNV-1a, a word at a time.
        self.hash = (self.hash ^ value).wrapping_mul(0x0100_0000_01b3);
    }
}

impl Ids for World {
    fn uuid(&self) -> Uuid {
        let millis = u64::try_from(self.clock.now().as_millis()).unwrap_or(0);
        let mut inner = self.inner();
        inner.ids += 1;
        let count = inner.ids;
        let mut tail = [0; 10];
        tail[2..].copy_from_slice(&count.to_be_bytes());
        uuid::Builder::from_unix_timestamp_millis(millis, &tail).into_uuid()
    }
}
