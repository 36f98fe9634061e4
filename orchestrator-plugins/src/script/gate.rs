//! The gate through which every script goes: its process stands there until this one says that it may become the script.

use std::ffi::OsString;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Stdio;
use std::sync::LazyLock;

use rustix::process::Pid;
use tokio::process::{Child, Command};

/// Waits for the word, then becomes the script. Its standard input is the line by which the word comes. If that ends instead,
/// because this process has, it ends too: nothing of a script runs before the watchdog knows of it and its bounds hold,
/// and none goes on unnoticed. `$0` is the file to read from, the rest the command.
///
/// Descriptors that this process was itself given by whoever started it are closed: those that every shell can name.
const SH_GATE: &str = r#"read -r ORCHESTRATOR_GATE || exit 125
exec <"$0"
exec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-
exec "$@""#;

/// The same for bash, which can close all of them.
const BASH_GATE: &str = r#"read -r ORCHESTRATOR_GATE || exit 125
exec <"$0"
for ORCHESTRATOR_GATE in /dev/fd/*; do
  ORCHESTRATOR_GATE=${ORCHESTRATOR_GATE##*/}
  case $ORCHESTRATOR_GATE in 0|1|2|\*) ;; *) exec {ORCHESTRATOR_GATE}>&- ;; esac
done
exec "$@""#;

/// The shell that is the gate, and its arguments. sh starts in half the time, so bash is taken only where there is
/// something that sh cannot close. bash with `-p` reads no file that the environment names, and with `--norc` none because its
/// standard input is a socket.
fn shell() -> (&'static str, &'static [&'static str]) {
    static BASH: LazyLock<Option<&str>> = LazyLock::new(|| {
        let bash = || ["/bin/bash", "/usr/bin/bash"].into_iter().find(|bash| Path::new(bash).is_file());
        if has_inherited_beyond_nine() { bash() } else { None }
    });
    match *BASH {
        Some(bash) => (bash, &["--norc", "-p", "-c", BASH_GATE]),
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

/// Looks now which shell it is.
pub(super) fn prepare() {
    shell();
}

/// A gate that nobody stands at yet.
#[derive(Debug)]
pub(super) struct Gate {
    command: Command,
    line: UnixStream,
}

impl Gate {
    /// One for a script that reads from `stdin`; the words of a launcher, if there are any, stand before it.
    ///
    /// # Errors
    /// Where there are no more descriptors.
    pub(super) fn new(launcher: Vec<OsString>, stdin: &Path) -> io::Result<Self> {
        let (line, its_end) = UnixStream::pair()?;
        let (shell, program) = shell();
        let mut words = launcher.into_iter().chain([shell.into()]);
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words).args(program).arg(stdin).process_group(0);
        command.stdin(OwnedFd::from(its_end)).stdout(Stdio::piped()).stderr(Stdio::piped());
        Ok(Self { command, line })
    }

    /// The command, for the script's own words, where it starts and what it sees.
    pub(super) fn command(&mut self) -> &mut Command {
        &mut self.command
    }

    /// Starts the process that will be the script, with this thread's confinement. Has to be called inside of a runtime.
    ///
    /// # Errors
    /// Where it cannot be started.
    pub(super) fn start(mut self) -> io::Result<Waiting> {
        let child = self.command.spawn()?;
        Ok(Waiting { child, line: self.line })
    }
}

/// A process at the gate. Ends there when this is dropped.
#[derive(Debug)]
pub(super) struct Waiting {
    child: Child,
    line: UnixStream,
}

impl Waiting {
    /// Its number, and that of its group.
    ///
    /// # Errors
    /// Where it has none, because it was waited for.
    pub(super) fn leader(&self) -> io::Result<Pid> {
        let leader = self.child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        leader.ok_or_else(|| io::Error::other("the script has no process id"))
    }

    /// Waits until a launcher has done its part; tells whether it has, or has ended. Blocks.
    #[cfg(target_os = "linux")]
    pub(super) fn is_launched(&mut self) -> bool {
        io::Read::read_exact(&mut self.line, &mut [0]).is_ok()
    }

    /// Lets it become the script.
    pub(super) fn go(mut self) -> Child {
        // Fails where it has ended, whyever; that is told when it is waited for.
        let _ = self.line.write_all(b"\n");
        self.child
    }
}

/// Says, for a launcher, that it has done its part.
#[cfg(target_os = "linux")]
pub(super) fn launched() {
    // Fails where nobody waits for it any more, and then nobody lets it through either.
    let _ = rustix::io::write(io::stdin(), b"+");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nobody_passes_who_is_not_let_through() {
        for (shell, program) in
            [("/bin/sh", &["-c", SH_GATE][..]), ("/bin/bash", &["--norc", "-p", "-c", BASH_GATE])]
        {
            let at_the_gate = || {
                let (line, its_end) = UnixStream::pair().unwrap();
                let mut command = Command::new(shell);
                command.args(program).args(["/dev/null", "sh", "-c", "cat; echo passed"]);
                command.stdin(OwnedFd::from(its_end)).stdout(Stdio::piped());
                Gate { command, line }.start().unwrap()
            };
            let passed = at_the_gate().go().wait_with_output().await.unwrap();
            assert_eq!(passed.stdout, b"passed\n", "{shell}");
            let Waiting { child, line } = at_the_gate();
            drop(line);
            let turned_away = child.wait_with_output().await.unwrap();
            assert_eq!((turned_away.status.code(), &*turned_away.stdout), (Some(125), &b""[..]), "{shell}");
        }
    }
}
