//! Starts a script in a process group of its own, and sees it and all that it starts to their end.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use orchestrator_core::failpoint;
use orchestrator_core::machine::StepError;
use orchestrator_core::port::plugin::{Stop, StopReason};
use orchestrator_core::spec::retry::ErrorClass;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::Child;
use tokio::time::timeout;

use super::capture::Capture;
use super::gate::{self, Gate, Waiting};
use super::interpreter::Interpreter;
use super::sandbox::{Cell, Excess, NotStarted, Started, Watched};
use super::stray::{self, Marker};
use super::{environment, watchdog};
use crate::config::invalid;

/// How long a script that was told to stop may take to do so, before it is killed.
const GRACE: Duration = Duration::from_secs(5);

/// How long outputs that are still open are read after the script itself has ended: a `>(tee log)` may have something
/// to finish.
const LINGER: Duration = Duration::from_secs(1);

/// How long outputs are read after everything that could be found was killed.
const DRAIN: Duration = Duration::from_millis(250);

/// How long a killed process may take to be gone. Longer means that the system holds it, and nothing can be done.
const DEATH: Duration = Duration::from_secs(2);

/// Does now what the first script would wait for.
pub(super) fn prepare() {
    // Whoever needs it tries again, and tells why it fails.
    let _ = watchdog::start();
    gate::prepare();
}

/// What to start.
#[derive(Debug)]
pub(super) struct Launch<'a> {
    pub(super) interpreter: &'a Interpreter,
    /// The file that holds the script.
    pub(super) script: &'a Path,
    /// The script's arguments.
    pub(super) args: Vec<String>,
    /// What it reads from.
    pub(super) stdin: &'a Path,
    /// Where it starts.
    pub(super) start: &'a Path,
    /// All that it sees of the environment.
    pub(super) env: BTreeMap<OsString, OsString>,
}

impl Launch<'_> {
    /// The gate that it goes through, and before that a launcher if there are words for one.
    fn gate(&self, launcher: Vec<OsString>) -> io::Result<Gate> {
        let mut gate = Gate::new(launcher, self.stdin)?;
        gate.command()
            .arg(&self.interpreter.program)
            .args(self.interpreter.options)
            .arg(self.script)
            .args(&self.args)
            .env_clear()
            .envs(&self.env)
            .current_dir(self.start);
        Ok(gate)
    }
}

/// How a script came to its end.
#[derive(Debug)]
pub(super) enum Ended {
    /// By itself.
    Itself(ExitStatus),
    /// Because it was told to stop.
    Stopped(StopReason),
}

/// A running script. Dropping it kills what it has started.
#[derive(Debug)]
pub(super) struct Process {
    // Dropped before the child, which then only has to be reaped.
    group: Group,
    child: Child,
    /// Folders in which it cannot make anything.
    closed: Vec<PathBuf>,
}

impl Process {
    /// Starts a script, in a cell if it has one.
    ///
    /// # Errors
    /// Class `invalid` where it cannot be started as asked, `denied` where it cannot be confined, `transient` where the system
    /// lacks something.
    pub(super) async fn start(launch: &Launch<'_>, cell: Option<Cell>) -> Result<Self, StepError> {
        let system = |error: io::Error| not_started(&error, launch);
        let gate = launch.gate(Vec::new()).map_err(system)?;
        failpoint!("script.spawn.before");
        let process = match cell {
            None => {
                let marker = Marker::Environment(marker(&launch.env));
                gate.start().and_then(|waiting| Self::of(waiting, marker, None, Vec::new()))
            }
            Some(cell) => {
                let launched = cell.launcher().map(|words| launch.gate(words)).transpose().map_err(system)?;
                let started = cell.start(gate, launched).await.map_err(|error| match error {
                    NotStarted::System(error) => system(error),
                    NotStarted::Unconfined(error) => error,
                })?;
                let Started { waiting, watched, closed } = started;
                Self::of(waiting, Marker::Limit(watched.mark()), Some(watched), closed)
            }
        };
        process.map_err(system)
    }

    /// Has the watchdog know of it, and lets it go on.
    fn of(
        waiting: Waiting,
        marker: Marker,
        watched: Option<Watched>,
        closed: Vec<PathBuf>,
    ) -> io::Result<Self> {
        let leader = waiting.leader()?;
        let mark =
            watched.as_ref().map_or_else(|| "-".to_owned(), |watched| watched.mark().number().to_string());
        let group = Group { leader, marker, begun: Instant::now(), over: false, watched };
        failpoint!("script.spawn.before_noted");
        watchdog::watch(leader, mark)?;
        let child = waiting.go();
        failpoint!("step.dispatch.after_spawn");
        Ok(Self { group, child, closed })
    }

    /// What it writes.
    pub(super) fn outputs(
        &mut self,
    ) -> (Option<tokio::process::ChildStdout>, Option<tokio::process::ChildStderr>) {
        (self.child.stdout.take(), self.child.stderr.take())
    }

    /// Sees the script to its end, by itself or because `stop` asks for it. Afterwards nothing of its group is alive.
    ///
    /// # Errors
    /// Where the system cannot tell how it ended.
    pub(super) async fn end(&mut self, output: &mut Capture<'_>, stop: &mut Stop) -> io::Result<Ended> {
        let reason = tokio::select! {
            biased;
            status = self.child.wait() => {
                let status = status?;
                self.settle(output).await;
                return Ok(Ended::Itself(status));
            }
            reason = stop.requested() => reason,
            never = output.follow() => match never {},
        };
        if let Some(status) = self.child.try_wait()? {
            self.settle(output).await;
            return Ok(Ended::Itself(status));
        }
        self.stop(reason, output).await;
        Ok(Ended::Stopped(reason))
    }

    /// The script has ended: reads what is left of its outputs, and ends what it has left running.
    async fn settle(&mut self, output: &mut Capture<'_>) {
        if timeout(LINGER, output.drain()).await.is_err() {
            self.group.kill_all().await;
            let all_read = timeout(DRAIN, output.drain()).await.is_ok();
            output.note("ended what the script had left running in the background");
            if !all_read {
                output.note("a process that could not be found still holds an output of the script open; what it writes is not kept");
            }
        } else if !self.group.gone_within(DRAIN).await {
            // Its outputs are closed, so a process that has left the group may be a daemon and is left alone, if the script
            // is not confined.
            let _ = kill_process_group(self.group.leader, Signal::KILL);
            output.note("ended what the script had left running in the background");
        }
        if self.group.kill_left().await {
            output.note("ended what the script had left running outside of its process group");
        }
        self.group.gone_within(DEATH).await;
        self.group.over = true;
    }

    /// Folders in which it cannot make anything, because the store lies there.
    pub(super) fn closed(&self) -> &[PathBuf] {
        &self.closed
    }

    /// What the script has used too much of and was ended for, if it was.
    pub(super) fn excess(&self) -> Option<Excess> {
        self.group.watched.as_ref().and_then(Watched::excess)
    }

    async fn stop(&mut self, reason: StopReason, output: &mut Capture<'_>) {
        // Another owner may be executing the step already: no time to lose then.
        if reason != StopReason::Fenced {
            output.note("told the script to stop");
            let _ = kill_process_group(self.group.leader, Signal::TERM);
            // One that is suspended would not hear of it.
            let _ = kill_process_group(self.group.leader, Signal::CONT);
            failpoint!("script.stop.told");
            let ending = async {
                tokio::select! {
                    _ = self.child.wait() => {}
                    never = output.follow() => match never {},
                }
                output.drain().await;
            };
            if timeout(GRACE, ending).await.is_err() {
                output.note(&format!("killed the script: it had not stopped after {} s", GRACE.as_secs()));
            }
        }
        self.group.kill_all().await;
        failpoint!("script.stop.killed");
        let _ = timeout(DEATH, self.child.wait()).await;
        let _ = timeout(DRAIN, output.drain()).await;
        self.group.gone_within(DEATH).await;
        self.group.over = true;
    }
}

/// The processes of a script.
///
/// The leader's number can pass to another process only when the leader was reaped and no process is left in the
/// group, and the system counts through all other numbers first.
#[derive(Debug)]
struct Group {
    leader: Pid,
    /// What all of them carry.
    marker: Marker,
    begun: Instant,
    /// Whether they are known to be gone.
    over: bool,
    /// What watches over a confined script.
    watched: Option<Watched>,
}

impl Group {
    /// Kills what a confined script has left running, wherever it hides; tells whether there was anything.
    async fn kill_left(&self) -> bool {
        if !matches!(self.marker, Marker::Limit(_)) {
            return false;
        }
        // Numbers of processes only grow until they begin again from below, which takes far longer than this.
        let young = self.begun.elapsed() < Duration::from_secs(1);
        if young && stray::none_since(self.leader, &self.marker) {
            return false;
        }
        let above = if young { self.leader.as_raw_nonzero().get() } else { 0 };
        let marker = self.marker.clone();
        // Cannot panic.
        tokio::task::spawn_blocking(move || stray::kill_marked(&marker, above)).await.unwrap_or_default()
    }

    async fn kill_all(&self) {
        let (leader, marker) = (self.leader, self.marker.clone());
        // Looks through every process of the machine. Cannot panic.
        let _ = tokio::task::spawn_blocking(move || stray::kill_all(leader, &marker)).await;
    }

    /// Whether no process of the group is alive, now or before `patience` ends. There is no event to wait for.
    async fn gone_within(&self, patience: Duration) -> bool {
        let gone = async {
            while stray::members(self.leader) > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(patience, gone).await.is_ok()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if !self.over {
            stray::kill_all(self.leader, &self.marker);
        }
        watchdog::forget(self.leader);
    }
}

fn marker(env: &BTreeMap<OsString, OsString>) -> Vec<u8> {
    let value = env.get(std::ffi::OsStr::new(environment::RESULT)).cloned().unwrap_or_default();
    [environment::RESULT.as_bytes(), b"=", value.as_encoded_bytes()].concat()
}

fn not_started(error: &io::Error, launch: &Launch<'_>) -> StepError {
    match error.kind() {
        io::ErrorKind::ArgumentListTooLong => {
            let variables = launch.env.iter().map(|(name, value)| (value.len(), name.to_string_lossy()));
            let longest = variables.max_by_key(|(length, _)| *length);
            let (length, name) = longest.unwrap_or_default();
            invalid(format!(
                "the script's environment and arguments are longer than the system takes (longest: `{name}`, {length} bytes); pass large values through `stdin`"
            ))
        }
        io::ErrorKind::InvalidInput => {
            invalid("an argument of the script holds a NUL character, which none can")
        }
        _ => transient(format!("cannot start a process: {error}")),
    }
}

pub(super) fn transient(message: impl Into<String>) -> StepError {
    StepError::new(ErrorClass::Transient, message)
}
