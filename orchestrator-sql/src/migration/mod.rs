//! The tables, and how they came to be.

mod form;
mod m0001_first;
mod m0002_documents;
mod m0003_items;
mod m0004_children;
mod m0005_artifacts;
mod m0006_offers;
mod m0007_document_state;
mod m0008_keys;
mod m0009_paths;
mod m0010_turns;
mod m0011_tasks;
mod m0012_tickets;
mod m0013_letters;
mod m0014_rates;
mod migrator;

pub(crate) use migrator::{Migrator, TABLE};
