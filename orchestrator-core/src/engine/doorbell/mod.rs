//! A queue as a doorbell between engines: what a commit leaves to others is rung for once it is written, and who hears it looks
//! at the store at once. A ring says nothing that is not in the store, so one that is lost, late or doubled changes nothing.

mod hear;
mod ring;

pub use hear::RUNS_QUEUE;
pub(crate) use hear::hear;
pub(crate) use ring::{Doorbell, Ring, ring_out, rings_of};
