//! Where there is no Linux, nothing confines a script: only `sandbox: none` runs one.

use std::convert::Infallible;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use orchestrator_core::machine::StepError;
use orchestrator_core::spec::Sandbox;

use super::unavailable;
use crate::script::gate::{Gate, Waiting};

#[derive(Debug)]
pub(in crate::script) struct Place<'a> {
    pub(in crate::script) workdir: &'a Path,
    pub(in crate::script) start: &'a Path,
    pub(in crate::script) private: &'a Path,
    pub(in crate::script) path: &'a OsStr,
    pub(in crate::script) interpreter: &'a Path,
    pub(in crate::script) protected: &'a [PathBuf],
}

#[derive(Debug)]
pub(in crate::script) struct Cell(Infallible);

#[derive(Debug)]
pub(in crate::script) enum NotStarted {
    System(io::Error),
    Unconfined(StepError),
}

#[derive(Debug)]
pub(in crate::script) struct Started {
    pub(in crate::script) waiting: Waiting,
    pub(in crate::script) watched: Watched,
    pub(in crate::script) closed: Vec<PathBuf>,
}

#[derive(Debug)]
pub(in crate::script) struct Watched(Infallible);

#[derive(Debug, Clone, Copy)]
pub(crate) struct Mark(Infallible);

#[derive(Debug, Clone, Copy)]
pub(in crate::script) enum Excess {
    Processes { found: u32, allowed: u32 },
    Memory { found: u64, allowed: u64 },
}

/// Confines this process and becomes a script's, if it was started for that: never, where there is no Linux.
pub fn confine_if_asked() {}

impl Cell {
    pub(in crate::script) fn launcher(&self) -> Option<Vec<std::ffi::OsString>> {
        match self.0 {}
    }

    pub(in crate::script) fn of(sandbox: &Sandbox, _: &Place<'_>) -> Result<Option<Self>, StepError> {
        if sandbox.is_none() {
            return Ok(None);
        }
        Err(unavailable("scripts are confined on Linux only"))
    }

    pub(in crate::script) async fn start(self, _: Gate, _: Option<Gate>) -> Result<Started, NotStarted> {
        match self.0 {}
    }
}

impl Watched {
    pub(in crate::script) fn excess(&self) -> Option<Excess> {
        match self.0 {}
    }

    pub(in crate::script) fn mark(&self) -> Mark {
        match self.0 {}
    }
}

impl Mark {
    pub(in crate::script) fn number(self) -> u64 {
        match self.0 {}
    }
}
