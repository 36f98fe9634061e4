//! `script`: runs bash, python or any interpreter.

mod artifacts;
mod attempt;
pub(crate) mod capture;
mod environment;
pub(crate) mod folder;
mod gate;
mod interpreter;
mod plain;
mod plugin;
mod process;
mod result;
mod sandbox;
pub(crate) mod stray;
pub(crate) mod watchdog;

pub use plugin::Script;
pub use sandbox::{SandboxReport, confine_if_asked};
