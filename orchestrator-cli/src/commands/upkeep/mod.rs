//! Keeping a store well.

mod copies;
mod kept;
mod migrate;
mod moving;
mod place;
mod prune;
mod survey;

pub(crate) use copies::{backup, restore};
pub(crate) use migrate::migrate;
pub(crate) use prune::prune;
pub(crate) use survey::store;
