//! Starts a script in a process group of its own, and sees it and all that it starts to their end.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use orchestrator_core::failpoint;
use orchestrator_core::machine::StepError;
use orchestrator_core::port::plugin::{Stop, StopReason};
use orchestrator_core::spec::retry::ErrorClass;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::capture::Capture;
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

/// Tells the watchdog of its group, waits (stopped) until a confined script's bounds hold, then becomes the interpreter. `$1`
/// is the mark of its processes, `-` for one that is not confined. Its standard input is the watchdog's line, which it lets go
/// of before it waits: it must end when this process does. As it is
/// the script's own process that reports, before it does anything else, no script goes on unnoticed if this process
/// dies in between; and nobody waits for the watchdog. `$0` is the file to read from, the rest the command.
///
/// Descriptors that this process was itself given by whoever started it are closed: those that every shell can name.
const SH_GATE: &str = r#"echo "+ $$ $1" >&0 || exit 125
exec <"$0"
case $1 in -) ;; *) kill -s STOP $$ ;; esac
shift
exec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-
exec "$@""#;

/// The same for bash, which can close all of them.
const BASH_GATE: &str = r#"echo "+ $$ $1" >&0 || exit 125
exec <"$0"
case $1 in -) ;; *) kill -s STOP $$ ;; esac
shift
for ORCHESTRATOR_GATE in /dev/fd/*; do
  ORCHESTRATOR_GATE=${ORCHESTRATOR_GATE##*/}
  case $ORCHESTRATOR_GATE in 0|1|2|\*) ;; *) exec {ORCHESTRATOR_GATE}>&- ;; esac
done
exec "$@""#;

/// The shell that is the gate, and its arguments. sh starts in half the time, so bash is taken only where there is
/// something that sh cannot close. bash with `-p` reads no file that the environment names.
fn gate() -> (&'static str, &'static [&'static str]) {
    static BASH: LazyLock<Option<&str>> = LazyLock::new(|| {
        let bash = || ["/bin/bash", "/usr/bin/bash"].into_iter().find(|bash| Path::new(bash).is_file());
        if has_inherited_beyond_nine() { bash() } else { None }
    });
    match *BASH {
        Some(bash) => (bash, &["-p", "-c", BASH_GATE]),
        None => ("/bin/sh", &["-c", SH_GATE]),
    }
}

/// Whether a child of this process would be given descriptors with numbers of two digits. What Rust opens is never
/// passed on, so it is enough to look once.
fn has_inherited_beyond_nine() -> bool {
    let Ok(entries) = std::fs::read_dir("/proc/self/fdinfo") else { return cfg!(not(target_os = "linux")) };
    let numbers = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    numbers.filter(|number| *number > 9).any(|number| {
        let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{number}")).unwrap_or_default();
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
        let flags = flags.and_then(|flags| u32::from_str_radix(flags.trim(), 8).ok());
        flags.is_some_and(|flags| flags & CLOSE_ON_EXEC == 0)
    })
}

/// `O_CLOEXEC` as Linux shows it, on every architecture but alpha, parisc and sparc.
const CLOSE_ON_EXEC: u32 = 0o2_000_000;

/// Does now what the first script would wait for.
pub(super) fn prepare() {
    // Whoever needs it tries again, and tells why it fails.
    let _ = watchdog::start();
    gate();
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
    /// The command that starts it, by way of the gate, and before that of a launcher if there are words for one.
    fn command(&self, line: Stdio, mark: &str, launcher: Vec<OsString>) -> Command {
        let (shell, program) = gate();
        let mut words = launcher.into_iter().chain([shell.into()]);
        let mut command = Command::new(words.next().unwrap_or_default());
        command
            .args(words)
            .args(program)
            .arg(self.stdin)
            .arg(mark)
            .arg(&self.interpreter.program)
            .args(self.interpreter.options)
            .arg(self.script)
            .args(&self.args)
            .env_clear()
            .envs(&self.env)
            .current_dir(self.start)
            .process_group(0)
            .stdin(line)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
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
        let line = || {
            watchdog::line()
                .map_err(|error| transient(format!("cannot watch over the script's processes: {error}")))
        };
        let mark = cell.as_ref().map_or_else(|| "-".to_owned(), |cell| cell.mark().number().to_string());
        let command = launch.command(line()?, &mark, Vec::new());
        failpoint!("script.spawn.before");
        let Some(cell) = cell else {
            let child = { command }.spawn().map_err(|error| not_started(&error, launch))?;
            let started = Self::of(child, Marker::Environment(marker(&launch.env)), None, Vec::new());
            return started.map_err(|error| not_started(&error, launch));
        };
        let launched = match cell.launcher() {
            Some(words) => Some(launch.command(line()?, &mark, words)),
            None => None,
        };
        let started = tokio::task::spawn_blocking(move || {
            let Started { child, watched, closed } = cell.start(command, launched)?;
            // Made here: if nobody waits for it any more, it is dropped, and ends the script.
            Self::of(child, Marker::Limit(watched.mark()), Some(watched), closed).map_err(NotStarted::System)
        });
        let started = started.await.unwrap_or_else(|error| match error.try_into_panic() {
            // It is this plugin's, wherever it happens.
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(error) => Err(NotStarted::System(io::Error::other(error))),
        });
        started.map_err(|error| match error {
            NotStarted::System(error) => not_started(&error, launch),
            NotStarted::Unconfined(error) => error,
        })
    }

    fn of(child: Child, marker: Marker, watched: Option<Watched>, closed: Vec<PathBuf>) -> io::Result<Self> {
        let leader = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        let leader = leader.ok_or_else(|| io::Error::other("the script has no process id"))?;
        let mark =
            watched.as_ref().map_or_else(|| "-".to_owned(), |watched| watched.mark().number().to_string());
        let group = Group { leader, marker, begun: Instant::now(), over: false, watched };
        failpoint!("script.spawn.before_noted");
        watchdog::note(leader, mark);
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

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::process::CommandExt;

    use rustix::process::{WaitId, WaitIdOptions, waitid};

    use super::*;

    #[test]
    fn a_gate_that_waits_does_not_hold_the_watchdogs_line() {
        for (shell, gate) in [("/bin/sh", SH_GATE), ("/bin/bash", BASH_GATE)] {
            let (mut watchdog, line) = io::pipe().unwrap();
            let mut gate = std::process::Command::new(shell)
                .args(["-c", gate, "/dev/null", "7", "/bin/true"])
                .process_group(0)
                .stdin(line)
                .spawn()
                .unwrap();
            let pid = Pid::from_raw(i32::try_from(gate.id()).unwrap()).unwrap();
            let stopped = waitid(WaitId::Pid(pid), WaitIdOptions::STOPPED).unwrap().unwrap();
            assert!(stopped.stopped(), "{shell}");
            // The command holds a line as long as it lives, and it does no more: the end comes only if the gate has none.
            let mut told = String::new();
            watchdog.read_to_string(&mut told).unwrap();
            assert_eq!(told, format!("+ {pid} 7\n"), "{shell}");
            kill_process_group(pid, Signal::CONT).unwrap();
            assert!(gate.wait().unwrap().success(), "{shell}");
        }
    }
}
