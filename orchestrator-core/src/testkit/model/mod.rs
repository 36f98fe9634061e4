//! The store's answers against those of the store in memory. Operations are drawn by chance from a seed; both stores are
//! given the same ones, and whatever they answer, and hold at the end, must be the same.

mod compare;
mod draw;
mod shrink;
mod world;

pub(super) use compare::compare_all;
pub use compare::{Difference, Model, compare};
pub(super) use draw::Dice;
