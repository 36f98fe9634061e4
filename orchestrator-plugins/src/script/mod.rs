//! `script`: runs bash, python or any interpreter.

mod attempt;
mod capture;
mod environment;
mod folder;
mod interpreter;
mod plugin;
mod process;
mod result;
mod sandbox;
mod stray;
mod watchdog;

pub use plugin::Script;
pub use sandbox::{SandboxReport, confine_if_asked};
