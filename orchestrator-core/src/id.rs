//! Identities. Every id is a UUIDv7 made by the engine (never by a backend), so ids sort by time of creation.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A text that is not an id of the expected kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a {kind} id")]
pub struct InvalidId {
    kind: &'static str,
    text: String,
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Uuid);

        impl $name {
            /// The prefix of the printed form.
            pub const PREFIX: &'static str = $prefix;

            /// Wraps a UUID that a backend has stored.
            #[must_use]
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The UUID to store.
            #[must_use]
            pub const fn as_uuid(&self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0.as_simple())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                let invalid = || InvalidId { kind: $kind, text: text.chars().take(80).collect() };
                let hex = text.strip_prefix($prefix).unwrap_or(text);
                Uuid::try_parse(hex).map(Self).map_err(|_| invalid())
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;

            fn try_from(text: String) -> Result<Self, InvalidId> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.to_string()
            }
        }
    };
}

id!(
    /// One execution of a workflow. Printed as `run_` and 32 hex digits.
    RunId, "run", "run_"
);
id!(
    /// One incarnation of a process that executes work; new at every start. Printed as `own_` and 32 hex digits.
    OwnerId, "owner", "own_"
);
id!(
    /// One committed change of a run: the events written together carry the same one, so that a commit whose
    /// answer was lost can recognise itself. Printed as `txn_` and 32 hex digits.
    TransitionId, "transition", "txn_"
);
id!(
    /// One policy decision. Printed as `pdr_` and 32 hex digits.
    DecisionId, "decision", "pdr_"
);
id!(
    /// One document, such as a registered workflow. Printed as `doc_` and 32 hex digits.
    DocumentId, "document", "doc_"
);

impl RunId {
    /// The smallest and the largest id that begin with these hex digits (lower case, without [`RunId::PREFIX`]);
    /// `None` if no id can.
    #[must_use]
    pub fn range_of_prefix(hex_prefix: &str) -> Option<(Self, Self)> {
        let hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
        if hex_prefix.len() > 32 || !hex_prefix.chars().all(hex) {
            return None;
        }
        let fill = |digit: char| {
            let text: String = hex_prefix.chars().chain(std::iter::repeat(digit)).take(32).collect();
            Uuid::try_parse(&text).ok().map(Self)
        };
        Some((fill('0')?, fill('f')?))
    }
}

/// Makes ids. A seam: the simulator brings a seeded one.
pub trait Ids: fmt::Debug + Send + Sync + 'static {
    /// A fresh UUIDv7.
    fn uuid(&self) -> Uuid;
}

/// Ids from the operating system's clock, each larger than the one before, and random bits that are unlike those of any
/// other process: 62 of them, drawn from a seed that is taken once. Ids are names, not secrets.
#[derive(Debug)]
pub struct SystemIds {
    seed: u64,
    /// Milliseconds and, below them, a count of 12 bits: what the next id must exceed.
    last: AtomicU64,
}

impl Default for SystemIds {
    fn default() -> Self {
        // Asking the operating system for random numbers for each id costs a system call per id. The time is not wanted here,
        // and there is none in a UUID before 1970.
        let drawn = Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, 0, 0));
        Self { seed: drawn.as_u128() as u64, last: AtomicU64::new(0) }
    }
}

impl Ids for SystemIds {
    fn uuid(&self) -> Uuid {
        let now = u64::try_from(crate::time::wall_clock().as_millis()).unwrap_or(0) << 12;
        let next = |last: u64| now.max(last + 1);
        // More than 4,096 ids in a millisecond borrow from the next: they stay in order.
        let last = self.last.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(next(last)));
        let stamp = last.map_or(now, next);
        let mut tail = [0; 10];
        tail[..2].copy_from_slice(&(stamp as u16 & 0xfff).to_be_bytes());
        tail[2..].copy_from_slice(&mix(self.seed ^ stamp).to_be_bytes());
        uuid::Builder::from_unix_timestamp_millis(stamp >> 12, &tail).into_uuid()
    }
}

/// The finaliser of SplitMix64 (Steele, Lea, Flood 2014): spreads every input bit over the output.
pub(crate) const fn mix(mut z: u64) -> u64 {
    z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The position of a step in its workflow's revision. A run is pinned to its revision and a plan only grows, so the
/// position means the same step for as long as the run exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StepIx(pub u32);

impl StepIx {
    /// As an index into a slice of steps.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// What is attempted in a run: a step, or one item of a step that runs once for each of many.
///
/// Stored and printed as the position of the step, or as a pair of that and the position of the item.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Unit {
    /// The step.
    pub step: StepIx,
    /// The item's position and one more; 0: the step itself.
    rank: u32,
}

impl Unit {
    /// The run itself, among those that hold places: no step, for no workflow has so many.
    pub const RUN: Self = Self { step: StepIx(u32::MAX), rank: 0 };

    /// A step itself.
    #[must_use]
    pub const fn of(step: StepIx) -> Self {
        Self { step, rank: 0 }
    }

    /// A step itself, or an item of it.
    #[must_use]
    pub const fn new(step: StepIx, item: Option<u32>) -> Self {
        match item {
            None => Self::of(step),
            Some(item) => Self::item_of(step, item),
        }
    }

    /// An item of a step: 0, 1, 2 …
    #[must_use]
    pub const fn item_of(step: StepIx, item: u32) -> Self {
        Self { step, rank: item + 1 }
    }

    /// All the items that a step could have, for looking into an ordered set of units.
    #[must_use]
    pub const fn items_of(step: StepIx) -> std::ops::RangeInclusive<Self> {
        Self { step, rank: 1 }..=Self { step, rank: u32::MAX }
    }

    /// The item; `None` for the step itself.
    #[must_use]
    pub const fn item(self) -> Option<u32> {
        self.rank.checked_sub(1)
    }

    /// 0 for a step itself, 1, 2, 3 … for its items: how stores keep which it is.
    #[must_use]
    pub const fn rank(self) -> u32 {
        self.rank
    }

    /// What a store has kept.
    #[must_use]
    pub const fn from_rank(step: StepIx, rank: u32) -> Self {
        Self { step, rank }
    }
}

impl From<StepIx> for Unit {
    fn from(step: StepIx) -> Self {
        Self::of(step)
    }
}

impl fmt::Debug for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.item() {
            None => write!(f, "{}", self.step.0),
            Some(item) => write!(f, "{}[{item}]", self.step.0),
        }
    }
}

impl Serialize for Unit {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.item() {
            None => self.step.serialize(serializer),
            Some(item) => (self.step, item).serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Unit {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(UnitVisitor)
    }
}

/// Tells the two written forms apart by what comes first: logs are long, and this is read once for each event.
struct UnitVisitor;

impl<'de> serde::de::Visitor<'de> for UnitVisitor {
    type Value = Unit;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the position of a step, or of a step and of an item")
    }

    fn visit_u64<E: serde::de::Error>(self, step: u64) -> Result<Unit, E> {
        let step = u32::try_from(step).map_err(|_| E::custom("no workflow has so many steps"))?;
        Ok(Unit::of(StepIx(step)))
    }

    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut pair: A) -> Result<Unit, A::Error> {
        match (pair.next_element()?, pair.next_element()?) {
            (Some(step), Some(item)) if item < u32::MAX => Ok(Unit::item_of(step, item)),
            _ => Err(serde::de::Error::custom("not a step and an item")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_differ_and_sort_by_time() {
        let (ids, others) = (SystemIds::default(), SystemIds::default());
        let made: Vec<Uuid> = (0..10_000).map(|_| ids.uuid()).collect();
        assert!(made.is_sorted_by(|one, next| one < next));
        assert!(made.iter().all(|id| id.get_version_num() == 7));
        let mut all: Vec<Uuid> = made.into_iter().chain((0..10_000).map(|_| others.uuid())).collect();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 20_000);
    }

    #[test]
    fn ids_read_back_as_they_are_printed() {
        let id = RunId::from_uuid(SystemIds::default().uuid());
        assert_eq!(id.to_string().parse::<RunId>(), Ok(id));
        assert_eq!(id.to_string().len(), 36);
        assert!("run_xyz".parse::<RunId>().is_err());
    }

    #[test]
    fn a_unit_is_written_as_a_position_or_as_two() {
        for (unit, text) in [(Unit::of(StepIx(3)), "3"), (Unit::item_of(StepIx(3), 0), "[3,0]")] {
            assert_eq!(serde_json::to_string(&unit).unwrap(), text);
            assert_eq!(serde_json::from_str::<Unit>(text).unwrap(), unit);
        }
        for wrong in ["-1", "4294967296", "[3]", "[3,4294967295]", "[3,1,2]", "\"3\""] {
            assert!(serde_json::from_str::<Unit>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_prefix_names_a_range_of_ids() {
        let id: RunId = "run_0193abcd000070008000000000000001".parse().unwrap();
        let (first, last) = RunId::range_of_prefix("0193ab").unwrap();
        assert!(first <= id && id <= last);
        let (first, last) = RunId::range_of_prefix("0193ac").unwrap();
        assert!(id < first && first < last);
        assert_eq!(RunId::range_of_prefix(""), RunId::range_of_prefix("").filter(|(a, b)| a < b));
        assert_eq!(RunId::range_of_prefix("0193AB"), None);
        assert_eq!(RunId::range_of_prefix(&"0".repeat(33)), None);
    }
}
