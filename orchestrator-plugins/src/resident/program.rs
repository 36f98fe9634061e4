//! A program that runs in a process group of its own.

use std::collections::VecDeque;
use std::io;
use std::process::{ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use orchestrator_core::machine::StepError;
use orchestrator_core::spec::retry::ErrorClass;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use super::executable::Executable;
use crate::config::invalid;
use crate::script::folder::Folder;
use crate::script::stray::{self, Marker};
use crate::script::watchdog;

/// Waits for a word, then becomes the program. The word comes when the watchdog knows of the process group, so that the program
/// never runs unwatched; if this process dies before, it never comes. Descriptors that this process was itself given by
/// whoever started it are closed: those that every shell can name.
const GATE: &str = r#"read -r word || exit 125
unset word
exec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-
exec "$@""#;

/// How many of the last lines of stderr are quoted, and how many characters of each.
const QUOTED_LINES: usize = 3;
const QUOTED_CHARS: usize = 300;

/// How long a killed process may take to be gone. Longer means that the system holds it, and nothing can be done.
const DEATH: Duration = Duration::from_secs(2);

/// What it is spoken to by.
#[derive(Debug)]
pub(crate) struct Streams {
    pub(crate) stdin: ChildStdin,
    pub(crate) stdout: ChildStdout,
    pub(crate) stderr: ChildStderr,
}

/// A running program. Dropping it kills it and all that it has started; if this process dies, the watchdog does.
#[derive(Debug)]
pub(crate) struct Program {
    // Dropped before the child, which then only has to be reaped.
    group: Group,
    child: Child,
    /// Holds its `TMPDIR`.
    _folder: Folder,
}

impl Program {
    /// Starts it.
    ///
    /// # Errors
    /// Class `invalid` if it is not there or cannot be executed, `transient` where the system lacks something.
    pub(crate) async fn start(executable: &Executable) -> Result<(Self, Streams), StepError> {
        let path = executable.find()?;
        let lacking = |error: io::Error| match error.kind() {
            io::ErrorKind::InvalidInput => {
                invalid("an argument or a variable of it holds a NUL character, which none can")
            }
            _ => StepError::new(ErrorClass::Transient, format!("cannot start a process: {error}")),
        };
        let folder = watchdog::folder().map_err(lacking)?;
        let scratch = folder.scratch();
        let environment = executable.environment(&scratch);
        let mut child = Command::new("/bin/sh")
            .args(["-c", GATE, "orchestrator-plugin"])
            .arg(path)
            .args(executable.arguments())
            .env_clear()
            .envs(environment)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(lacking)?;
        let leader = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        let leader = leader.ok_or_else(|| lacking(io::Error::other("it has no process id")))?;
        let mark = [b"TMPDIR=", scratch.as_os_str().as_encoded_bytes()].concat();
        // From here on whatever fails ends it.
        let group = Group { leader, marker: Marker::Environment(mark), over: false };
        watchdog::watch(leader, "-".to_owned()).map_err(lacking)?;
        let streams = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(mut stdin), Some(stdout), Some(stderr)) = streams else {
            return Err(lacking(io::Error::other("it has no standard streams")));
        };
        // One that has ended already is noticed by who reads from it.
        let _ = stdin.write_all(b"\n").await;
        Ok((Self { group, child, _folder: folder }, Streams { stdin, stdout, stderr }))
    }

    /// Waits for the end of the program itself.
    ///
    /// # Errors
    /// Where the system cannot tell.
    pub(crate) async fn wait(&mut self) -> io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// Ends it: it has `patience` to do so by itself, after it was told by the end of its standard input.
    pub(crate) async fn end(mut self, patience: Duration) {
        if timeout(patience, self.child.wait()).await.is_err() {
            let _ = kill_process_group(self.group.leader, Signal::TERM);
            let _ = timeout(patience, self.child.wait()).await;
        }
        let (leader, marker) = (self.group.leader, self.group.marker.clone());
        // Looks through every process of the machine. Cannot panic.
        let _ = tokio::task::spawn_blocking(move || stray::kill_all(leader, &marker)).await;
        let _ = timeout(DEATH, self.child.wait()).await;
        self.group.over = true;
    }
}

/// The processes of a program. See `script::process` for why the number of the leader stays its own.
#[derive(Debug)]
struct Group {
    leader: Pid,
    marker: Marker,
    /// Whether they are known to be gone.
    over: bool,
}

impl Drop for Group {
    fn drop(&mut self) {
        if !self.over {
            stray::kill_all(self.leader, &self.marker);
        }
        watchdog::forget(self.leader);
    }
}

/// The last lines that a program has complained with.
#[derive(Debug, Default)]
pub(crate) struct LastWords(Mutex<VecDeque<String>>);

impl LastWords {
    /// Remembers a line.
    pub(crate) fn add(&self, line: &str) {
        if line.trim().is_empty() {
            return;
        }
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if last.len() == QUOTED_LINES {
            last.pop_front();
        }
        last.push_back(line.chars().take(QUOTED_CHARS).collect());
    }

    /// `: LINES`, for the end of a message; empty if there are none.
    pub(crate) fn quoted(&self) -> String {
        let last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.iter()
            .enumerate()
            .map(|(at, line)| format!("{}{line}", if at == 0 { ": " } else { "\n" }))
            .collect()
    }
}

/// How a program has ended, in words.
pub(crate) fn ending(status: &io::Result<ExitStatus>) -> String {
    use std::os::unix::process::ExitStatusExt as _;
    match status {
        Ok(status) => match (status.code(), status.signal()) {
            (Some(code), _) => format!("exit code {code}"),
            (None, Some(signal)) => format!("signal {signal}"),
            (None, None) => "in an unknown way".to_owned(),
        },
        Err(error) => format!("the system cannot tell how: {error}"),
    }
}
