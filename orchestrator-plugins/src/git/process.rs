//! Starts `git` in a process group of its own, and sees it to its end.

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use orchestrator_core::machine::StepError;
use orchestrator_core::mask::{Mask, MaskedBytes};
use orchestrator_core::port::plugin::{Context, Stop, StopReason};
use orchestrator_core::spec::retry::ErrorClass;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin, Command};
use tokio::time::timeout;

use crate::config::invalid;

/// How long git may take to end after it was told to stop, before it is killed.
const GRACE: Duration = Duration::from_secs(5);

/// How long outputs are read after git itself has ended: an ssh that stays to serve later connections holds them open.
const LINGER: Duration = Duration::from_secs(1);

/// How much of what git complains of is kept, in bytes.
const COMPLAINT: usize = 64 << 10;

/// Why an action does not go on.
#[derive(Debug)]
pub(super) enum Halt {
    /// It has failed.
    Failed(StepError),
    /// It was told to stop, and has ended what it had started.
    Stopped(StopReason),
    /// It was ended while it changed something elsewhere, and cannot tell whether it has.
    Unknown(StepError),
}

impl From<StepError> for Halt {
    fn from(error: StepError) -> Self {
        Self::Failed(error)
    }
}

/// What to start.
#[derive(Debug)]
pub(super) struct Launch<'a> {
    pub(super) args: &'a [&'a str],
    /// Where it starts; is there.
    pub(super) folder: &'a Path,
    /// All that it sees of the environment.
    pub(super) env: Vec<(OsString, OsString)>,
    /// What it reads from its standard input.
    pub(super) input: &'a [u8],
    /// How much of its standard output is kept, in bytes.
    pub(super) limit: usize,
    /// What is kept out of its standard output, before that is cut.
    pub(super) mask: Mask,
}

/// How git has ended.
#[derive(Debug)]
pub(super) struct Ran {
    /// Its exit code; `None` if a signal has ended it.
    pub(super) code: Option<i32>,
    /// What it has written, up to the limit.
    pub(super) stdout: Vec<u8>,
    /// Whether it has written more than that.
    pub(super) cut: bool,
    /// What it has complained of.
    pub(super) stderr: String,
}

impl Ran {
    pub(super) fn success(&self) -> bool {
        self.code == Some(0)
    }

    /// What it has written, without the line end at its end.
    pub(super) fn line(&self) -> String {
        let text = String::from_utf8_lossy(&self.stdout);
        text.strip_suffix('\n').unwrap_or(&text).to_owned()
    }
}

/// Runs git once, to its end.
///
/// # Errors
/// Where it cannot be started, or was told to stop.
pub(super) async fn run(context: &Context, launch: Launch<'_>) -> Result<Ran, Halt> {
    let mut command = Command::new("git");
    command
        .args(launch.args)
        .env_clear()
        .envs(launch.env)
        .current_dir(launch.folder)
        .process_group(0)
        .kill_on_drop(true)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => invalid("there is no program `git` in PATH; install git"),
        io::ErrorKind::InvalidInput => invalid("an argument of git holds a NUL character, which none can"),
        io::ErrorKind::ArgumentListTooLong => {
            invalid("the arguments of git are longer than the system takes")
        }
        _ => StepError::new(ErrorClass::Transient, format!("cannot start git: {error}")),
    })?;
    let mut group = Group::of(&child);
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let mut out = Kept::new(launch.limit, launch.mask);
    let mut err = Kept::new(COMPLAINT, context.mask.clone());
    let status = {
        let reading = async { tokio::join!(feed(stdin, launch.input), out.read(stdout), err.read(stderr)) };
        tokio::pin!(reading);
        let mut read = false;
        let stop: Stop = context.stop.clone();
        let status = loop {
            tokio::select! {
                biased;
                status = child.wait() => break status,
                reason = stop.requested() => {
                    end(&mut child, &mut group, reason, async { if !read { reading.await; } }).await;
                    return Err(Halt::Stopped(reason));
                }
                _ = &mut reading, if !read => read = true,
            }
        };
        if !read && timeout(LINGER, &mut reading).await.is_ok() {
            group.over = true;
        }
        group.over |= read;
        status
    };
    let status = status.map_err(|error| {
        StepError::new(ErrorClass::Transient, format!("cannot tell how git ended: {error}"))
    })?;
    let stderr = String::from_utf8_lossy(&err.finish().0).into_owned();
    let (stdout, cut) = out.finish();
    Ok(Ran { code: status.code(), stdout, cut, stderr })
}

/// Ends git and what it has started.
async fn end(child: &mut Child, group: &mut Group, reason: StopReason, reading: impl Future<Output = ()>) {
    // Another owner may be executing the step already: no time to lose then.
    if reason != StopReason::Fenced {
        group.kill(Signal::TERM);
        // One that is suspended would not hear of it.
        group.kill(Signal::CONT);
        let ending = async { tokio::join!(child.wait(), reading) };
        let _ = timeout(GRACE, ending).await;
    }
    group.kill(Signal::KILL);
    let _ = timeout(GRACE, child.wait()).await;
    group.over = true;
}

/// The processes of one git. Killed when dropped before it is over.
#[derive(Debug)]
struct Group {
    leader: Option<Pid>,
    /// Nothing of it is left, or nothing that should be killed.
    over: bool,
}

impl Group {
    fn of(child: &Child) -> Self {
        let leader = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        Self { leader, over: false }
    }

    fn kill(&self, signal: Signal) {
        if let Some(leader) = self.leader {
            // Fails where nobody is left.
            let _ = kill_process_group(leader, signal);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if !self.over {
            self.kill(Signal::KILL);
        }
    }
}

async fn feed(stdin: Option<ChildStdin>, input: &[u8]) {
    if let Some(mut stdin) = stdin {
        // One that ends without reading says by its code what is wrong.
        let _ = stdin.write_all(input).await;
    }
}

/// The beginning of an output.
#[derive(Debug)]
struct Kept {
    bytes: Vec<u8>,
    limit: usize,
    cut: bool,
    mask: MaskedBytes,
}

impl Kept {
    fn new(limit: usize, mask: Mask) -> Self {
        Self { bytes: Vec::new(), limit, cut: false, mask: MaskedBytes::new(mask) }
    }

    /// Reads all of it, so that the writer is not stopped by a full pipe, and keeps what fits.
    async fn read(&mut self, from: Option<impl AsyncRead + Unpin>) {
        let Some(mut from) = from else { return };
        let mut piece = vec![0; 16 << 10];
        // An output that cannot be read is one that has ended.
        while let Ok(length @ 1..) = from.read(&mut piece).await {
            if self.mask.is_idle() {
                self.keep(&piece[..length]);
            } else {
                let decided = self.mask.take(&piece[..length]);
                self.keep(&decided);
            }
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = self.limit - self.bytes.len();
        self.bytes.extend_from_slice(&bytes[..bytes.len().min(room)]);
        self.cut |= bytes.len() > room;
    }

    fn finish(mut self) -> (Vec<u8>, bool) {
        let held = self.mask.finish();
        self.keep(&held);
        (self.bytes, self.cut)
    }
}
