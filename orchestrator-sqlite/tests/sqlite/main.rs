//! The SQLite store: the kit that every store must pass, and what is SQLite's own.

mod artifacts;
mod conformance;
mod copies;
mod dropped;
mod faults;
mod files;
mod hosts;
mod place;
mod queue;
