//! A script's cell: all that confines it, and its start inside.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use orchestrator_core::machine::StepError;
use orchestrator_core::spec::{Confinement, Sandbox};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use tokio::process::{Child, Command};
use tokio::runtime::Handle;

use super::grants::{self, Grants, Place};
use super::limits::{self, Mark};
use super::watch::{self, Watched};
use super::{kernel, launcher, unavailable};

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

/// A confined script that was started.
#[derive(Debug)]
pub(in crate::script) struct Started {
    pub(in crate::script) child: Child,
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

    /// What its processes are known by.
    pub(in crate::script) const fn mark(&self) -> Mark {
        self.mark
    }

    /// What stands before the command to have it launched, if only so the store can be hidden.
    pub(in crate::script) fn launcher(&self) -> Option<Vec<OsString>> {
        if kernel::may_mount() || self.grants.hidden_within().is_empty() {
            return None;
        }
        launcher::words(&self.grants, self.confinement.network)
    }

    /// Starts `command`, which stops itself before it does anything; it goes on when all its bounds hold. The
    /// same command by a launcher, if there is one, is tried before. Blocks for a
    /// millisecond or two, and has to be called inside of a runtime.
    ///
    /// # Errors
    /// Where it cannot be confined or started.
    pub(in crate::script) fn start(
        self,
        command: Command,
        launched: Option<Command>,
    ) -> Result<Started, NotStarted> {
        if let Some(child) = launched.map(launch).transpose()?.flatten() {
            return self.bound(child, Vec::new());
        }
        let (child, closed) = self.confine(command)?;
        self.bound(child, closed)
    }

    /// Starts the command on a thread that has confined itself.
    fn confine(&self, mut command: Command) -> Result<(Child, Vec<PathBuf>), NotStarted> {
        let runtime = Handle::current();
        let (grants, network) = (self.grants.clone(), self.confinement.network);
        let own = thread::Builder::new().name("orchestrator-cell".to_owned()).stack_size(STACK);
        let confined = own.spawn(move || {
            let _entered = runtime.enter();
            let separated = kernel::confine(&grants, network).map_err(NotStarted::Unconfined)?;
            let closed = if separated { Vec::new() } else { grants.closed() };
            command.spawn().map(|child| (child, closed)).map_err(NotStarted::System)
        });
        let ended = confined.map_err(NotStarted::System)?.join();
        ended.map_err(|_| NotStarted::System(io::Error::other("a thread has panicked")))?
    }

    fn bound(&self, child: Child, closed: Vec<PathBuf>) -> Result<Started, NotStarted> {
        let leader = leader(&child)?;
        match bounded(leader, &self.confinement, self.mark) {
            Ok(watched) => Ok(Started { child, watched, closed }),
            Err(error) => {
                let _ = kill_process(leader, Signal::KILL);
                // No memory, or no more threads: that passes.
                if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::OutOfMemory) {
                    return Err(NotStarted::System(error));
                }
                Err(NotStarted::Unconfined(unavailable(&format!("the script cannot be bounded: {error}"))))
            }
        }
    }
}

/// Starts a command by the launcher; `None` where that cannot hide anything, and has started nothing.
fn launch(mut command: Command) -> Result<Option<Child>, NotStarted> {
    let child = command.spawn().map_err(NotStarted::System)?;
    match came_to(leader(&child)?).map_err(NotStarted::System)? {
        Some(launcher::CANNOT_MOUNT) => {
            launcher::give_up();
            Ok(None)
        }
        Some(launcher::CANNOT_CONFINE) => {
            Err(NotStarted::Unconfined(unavailable("the launcher could not confine itself")))
        }
        _ => Ok(Some(child)),
    }
}

fn leader(child: &Child) -> Result<Pid, NotStarted> {
    let leader = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
    leader.ok_or_else(|| NotStarted::System(io::Error::other("the script has no process id")))
}

/// Waits until a process has stopped itself; its exit code if it has ended instead.
fn came_to(process: Pid) -> io::Result<Option<i32>> {
    let until = WaitIdOptions::STOPPED | WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    loop {
        match waitid(WaitId::Pid(process), until) {
            Ok(status) => return Ok(status.and_then(|status| status.exit_status())),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Bounds a process that stops itself, and lets it go on.
fn bounded(leader: Pid, confinement: &Confinement, mark: Mark) -> io::Result<Watched> {
    came_to(leader)?;
    let watched = watch::over(leader, mark, confinement)?;
    match limits::set(leader, confinement, mark) {
        // It has ended already, whyever; that is told when it is waited for.
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error()) => {}
        other => other?,
    }
    // Fails where it has ended.
    let _ = kill_process(leader, Signal::CONT);
    Ok(watched)
}
