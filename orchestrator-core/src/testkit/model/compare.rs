//! Two stores, one story.

use std::fmt;
use std::sync::Arc;

use super::draw::{Dice, Op, Turn};
use super::shrink::shortest;
use super::world::World;
use crate::memory::MemoryStore;
use crate::port::store::Store;
use crate::testkit::Backend;

/// Which worlds are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Model {
    /// The seed of the first world; each other has one more.
    pub seed: u64,
    /// How many worlds; each is a fresh place.
    pub worlds: u32,
    /// How many operations in each.
    pub length: usize,
}

impl Default for Model {
    fn default() -> Self {
        Self { seed: 1, worlds: 24, length: 40 }
    }
}

/// The seed of the first world, where it is not 1.
const SEED: &str = "ORCHESTRATOR_KIT_SEED";

/// How many worlds, where it is not 24.
const WORLDS: &str = "ORCHESTRATOR_KIT_WORLDS";

impl Model {
    /// As the environment variables `ORCHESTRATOR_KIT_SEED` and `ORCHESTRATOR_KIT_WORLDS` say, and as ever where they say
    /// nothing.
    ///
    /// # Panics
    /// If one of them is no number.
    #[must_use]
    pub fn from_env() -> Self {
        let number = |name: &str| {
            let text = std::env::var(name).ok()?;
            Some(text.parse().unwrap_or_else(|_| panic!("{name} is `{text}`, which is no number")))
        };
        let usual = Self::default();
        let worlds = number(WORLDS).map_or(usual.worlds, |worlds| u32::try_from(worlds).unwrap_or(u32::MAX));
        Self { seed: number(SEED).unwrap_or(usual.seed), worlds, ..usual }
    }
}

/// Where a store has answered otherwise than the one in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The seed of the world.
    pub seed: u64,
    /// As few operations as still show it, in order. Runs and owners go by small numbers, `handle` is one of two.
    pub operations: Vec<String>,
    /// The store in memory.
    pub memory: String,
    /// The store that is compared with it.
    pub store: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, operations, memory, store } = self;
        writeln!(f, "the store in memory answers otherwise, after these {} operations:", operations.len())?;
        operations.iter().try_for_each(|operation| writeln!(f, "  {operation}"))?;
        writeln!(f, "memory: {memory}\nstore:  {store}")?;
        write!(f, "this world again: {SEED}={seed} {WORLDS}=1")
    }
}

impl std::error::Error for Difference {}

/// Does the same to a backend's stores and to the store in memory, and compares what they answer and hold.
///
/// # Errors
/// The first [`Difference`] that is found, with the shortest operations that show it.
pub async fn compare(backend: impl Backend, model: Model) -> Result<(), Difference> {
    compare_all(&backend, model).await
}

pub(in crate::testkit) async fn compare_all(backend: &dyn Backend, model: Model) -> Result<(), Difference> {
    for seed in (model.seed..).take(model.worlds as usize) {
        let turns = Dice::new(seed).turns(model.length);
        let Some(first) = differ(backend, seed, &turns).await else { continue };
        let (turns, found) = shortest(backend, seed, turns, first).await;
        let told = |Turn { handle, op }: &Turn| format!("handle {handle}: {op:?}");
        return Err(Difference {
            seed,
            operations: turns.iter().map(told).collect(),
            memory: found.memory,
            store: found.store,
        });
    }
    Ok(())
}

/// Two answers that should be one.
#[derive(Debug)]
pub(super) struct Found {
    /// After how many operations.
    pub(super) after: usize,
    memory: String,
    store: String,
}

/// Does all of it to both, in fresh places; `None` if there is no difference.
pub(super) async fn differ(backend: &dyn Backend, seed: u64, turns: &[Turn]) -> Option<Found> {
    let (world, memory) = (World::new(seed), MemoryStore::new());
    let place = backend.fresh().await;
    let mut handles: [Arc<dyn Store>; 2] = [place.open().await, place.open().await];
    for (number, Turn { handle, op }) in turns.iter().enumerate() {
        if *op == Op::Reopen && place.keeps() {
            let _ = handles[1].close().await;
            handles[1] = place.open().await;
        }
        // The first handle stays open: a backend may take that as proof that whom it has registered lives.
        let handle = if matches!(op, Op::Register { .. }) { 0 } else { *handle };
        let members = world.members(op, number, &memory).await;
        let right = world.answer(&memory, op, &members).await;
        let given = world.answer(&*handles[handle], op, &members).await;
        if right != given {
            return Some(Found { after: number + 1, memory: right, store: given });
        }
    }
    let (right, given) = (world.holds(&memory).await, world.holds(&*handles[0]).await);
    let mut both = right.into_iter().zip(given);
    let (memory, store) = both.find(|(right, given)| right != given)?;
    Some(Found { after: turns.len(), memory, store })
}
