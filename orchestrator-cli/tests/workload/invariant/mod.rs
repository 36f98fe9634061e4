//! What must hold of every episode, an invariant a file: what is looked at, under which column it counts, and a fault of
//! our own that it has to find.

mod at_most_once;
mod attempts;
mod decided;
mod decisions;
mod end;
mod fold;
mod gone;
mod held;
mod idempotent;
mod integrity;
mod list;
mod logical;
mod lost;
mod numbers;
mod order;
mod results;
mod rights;
mod sample;
mod stuck;
mod transitions;

pub(crate) use list::{ALL, Column, Invariant, OF_FLEETS, violations};
