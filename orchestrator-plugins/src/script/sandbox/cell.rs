//! A script's cell: all that confines it, and its start inside.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::thread;

use landlock::RulesetCreated;
use orchestrator_core::machine::StepError;
use orchestrator_core::spec::{Confinement, Sandbox};
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::grants::{self, Grants, Place};
use super::limits::{self, Mark};
use super::watch::{self, Watched};
use super::{kernel, launcher, unavailable};
use crate::script::gate::{Gate, Waiting};

/// How much stack the thread has that starts a script: it makes a few lists of paths.
const STACK: usize = 512 << 10;

/// What confines a script.
#[derive(Debug)]
pub(in crate::script) struct Cell {
    confinement: Arc<Confinement>,
    grants: Grants,
    mark: Mark,
}

/// Why a script was not started.
#[derive(Debug)]
pub(in crate::script) enum NotStarted {
    /// The system's word.
    System(io::Error),
    /// It could not be confined.
    Unconfined(StepError),
}

/// A script that is confined and bounded, as far as the gate.
#[derive(Debug)]
pub(in crate::script) struct Started {
    pub(in crate::script) waiting: Waiting,
    pub(in crate::script) watched: Watched,
    /// Folders in which it cannot make anything, because something hidden lies there.
    pub(in crate::script) closed: Vec<PathBuf>,
}

impl Cell {
    /// What will confine a script; `None` where its author wants it unconfined.
    ///
    /// # Errors
    /// Class `invalid` where something that the step grants is not there, `denied` where nothing can be confined.
    pub(in crate::script) fn of(sandbox: &Sandbox, place: &Place<'_>) -> Result<Option<Self>, StepError> {
        let confinement = match sandbox {
            Sandbox::None => return Ok(None),
            Sandbox::Confined(confinement) => confinement.clone(),
            _ => return Err(unavailable("this version does not know how the step is to be confined")),
        };
        let mark = Mark::new().ok_or_else(|| {
            unavailable(
                "this process is itself confined by another one, or has a limit of file locks (`ulimit -x`)",
            )
        })?;
        Ok(Some(Self { grants: grants::of(place, &confinement)?, confinement, mark }))
    }

    /// What stands before the command to have it launched, if only so the store can be hidden.
    pub(in crate::script) fn launcher(&self) -> Option<Vec<OsString>> {
        if kernel::may_mount() || self.grants.hidden_within().is_empty() {
            return None;
        }
        launcher::words(&self.grants, self.confinement.network)
    }

    /// Has a process stand at the gate, confined and bounded. A gate behind a launcher, if there is one, is tried before. Has to
    /// be called inside of a runtime.
    ///
    /// # Errors
    /// Where it cannot be confined or started.
    pub(in crate::script) async fn start(
        self,
        gate: Gate,
        launched: Option<Gate>,
    ) -> Result<Started, NotStarted> {
        let Self { confinement, grants, mark } = self;
        let (grants, network, runtime) = (Arc::new(grants), confinement.network, Handle::current());
        let (give, given) = mpsc::channel();
        let (tell, told) = oneshot::channel();
        let own = thread::Builder::new().name("orchestrator-cell".to_owned()).stack_size(STACK);
        // What is launched makes its own.
        let makes_rules = launched.is_none();
        let shared = grants.clone();
        let own = own.spawn(move || {
            let _entered = runtime.enter();
            let rules = || given.recv().unwrap_or_else(|_| kernel::rules(&shared));
            // If nobody waits for it any more, it is dropped, and ends at the gate.
            let _ = tell.send(enter(&shared, network, rules, gate, launched));
        });
        own.map_err(NotStarted::System)?;
        if makes_rules {
            // They take as long as it takes the thread to begin and to have its mounts.
            let _ = give.send(kernel::rules(&grants));
        }
        drop(give);
        let told = told.await;
        let (waiting, closed) =
            told.map_err(|_| NotStarted::System(io::Error::other("a thread has panicked")))??;
        let watched = bounded(waiting.leader().map_err(NotStarted::System)?, &confinement, mark)?;
        Ok(Started { waiting, watched, closed })
    }
}

/// Confines this thread, and starts a process at the gate; also names the folders in which that cannot make anything.
fn enter(
    grants: &Grants,
    network: bool,
    rules: impl FnOnce() -> Result<RulesetCreated, StepError>,
    gate: Gate,
    launched: Option<Gate>,
) -> Result<(Waiting, Vec<PathBuf>), NotStarted> {
    if let Some(waiting) = launched.map(launch).transpose()?.flatten() {
        return Ok((waiting, Vec::new()));
    }
    let separated = kernel::confine(grants, network, rules).map_err(NotStarted::Unconfined)?;
    let closed = if separated { Vec::new() } else { grants.closed() };
    Ok((gate.start().map_err(NotStarted::System)?, closed))
}

/// Has a process launched; `None` where the launcher cannot hide anything, and has started nothing.
fn launch(gate: Gate) -> Result<Option<Waiting>, NotStarted> {
    let mut waiting = gate.start().map_err(NotStarted::System)?;
    if waiting.is_launched() {
        return Ok(Some(waiting));
    }
    match exit_code(waiting.leader().map_err(NotStarted::System)?).map_err(NotStarted::System)? {
        Some(launcher::CANNOT_MOUNT) => {
            launcher::give_up();
            Ok(None)
        }
        Some(launcher::CANNOT_CONFINE) => {
            Err(NotStarted::Unconfined(unavailable("the launcher could not confine itself")))
        }
        _ => Ok(Some(waiting)),
    }
}

/// Waits until a process has ended, and leaves it for others to wait for.
fn exit_code(process: Pid) -> io::Result<Option<i32>> {
    loop {
        match waitid(WaitId::Pid(process), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT) {
            Ok(status) => return Ok(status.and_then(|status| status.exit_status())),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Bounds a process that waits at the gate.
fn bounded(leader: Pid, confinement: &Confinement, mark: Mark) -> Result<Watched, NotStarted> {
    let bound = || {
        let watched = watch::over(leader, mark, confinement)?;
        match limits::set(leader, confinement, mark) {
            // It has ended already, whyever; that is told when it is waited for.
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error()) => {}
            other => other?,
        }
        Ok(watched)
    };
    bound().map_err(|error: io::Error| match error.kind() {
        // No memory, or no more threads: that passes.
        io::ErrorKind::WouldBlock | io::ErrorKind::OutOfMemory => NotStarted::System(error),
        _ => NotStarted::Unconfined(unavailable(&format!("the script cannot be bounded: {error}"))),
    })
}
