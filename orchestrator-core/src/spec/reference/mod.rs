//! The keys of the language, as one table: the reader takes its keys from it, editors their schema, the page its words.
//!
//! A key is one entry of the list of its [`Section`]. An entry marked [`Key::later`] is refused with
//! `not_supported_yet`; without the mark the reader must read it, and tests fail where it does not.

mod concurrency;
mod editor;
mod form;
mod page;
mod paths;
mod rate;
mod sandbox;
mod step;
mod strategy;
mod triggers;
mod workflow;

pub use concurrency::CONCURRENCY;
pub use editor::{Kind, json_schema};
pub use form::{Form, Key, Section};
pub use page::{keys_table, kind_tables};
pub use paths::PATHS;
pub use rate::RATE;
pub use sandbox::SANDBOX;
pub use step::{COMPENSATE, EVIDENCE, PERMISSIONS, QA, REPEAT, RETRY, STEP, TIMEOUT};
pub use strategy::STRATEGY;
pub use triggers::{ON, SCHEDULE};
pub use workflow::{DEFAULTS, INPUT, WORKFLOW, sections};
