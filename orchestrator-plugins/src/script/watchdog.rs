//! Kills what scripts have started if this process dies without being able to do so itself.
//!
//! A shell of its own session-less process group reads from a pipe which process groups are running. When the pipe
//! ends, however this process came to its end, it kills those groups and whatever else was started by their scripts,
//! and removes the attempts' private folders. One for the whole process, started with the first script.

use std::collections::BTreeMap;
use std::fs;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::process::Pid;

use super::folder::Folder;

/// Reads `+ GROUP MARK` and `- GROUP`; the mark of a script that is not confined is `-`. With `$1` begin the names of the folders
/// to remove, and so the value of a variable that all processes carry which were started from there: the file of a script's
/// result, or a `TMPDIR`.
const PROGRAM: &str = r#"
trap '' HUP INT QUIT TERM
groups=' '
while read -r change group mark; do
  case $change in
    +) groups="$groups$group:${mark:--} " ;;
    -) case $groups in
         *" $group:"*) rest=${groups#* "$group":}; groups="${groups%% "$group":*} ${rest#* }" ;;
       esac ;;
  esac
done
if [ "$groups" != ' ' ]; then
  for entry in $groups; do kill -s KILL -- "-${entry%:*}"; done
  for entry in $groups $groups; do
    case $entry in *:-) continue ;; esac
    for found in $(grep -l -s -E -- "^Max file locks +${entry#*:} " /proc/[0-9]*/limits); do
      process=${found#/proc/}
      kill -s KILL -- "${process%/limits}"
    done
  done
  for found in $(grep -l -s -a -F -- "=$1" /proc/[0-9]*/environ); do
    process=${found#/proc/}
    kill -s KILL -- "${process%/environ}"
  done
fi
for left in "$1"*; do
  if [ -e "$left" ]; then rm -rf -- "$left" || rm -rf -- "$left"; fi
done
"#;

static WATCHDOG: Mutex<Option<Watchdog>> = Mutex::new(None);

#[derive(Debug)]
struct Watchdog {
    /// Where the attempts' folders are; absolute.
    temporary: PathBuf,
    /// How their names begin, and no others.
    prefix: String,
    /// The groups that run, and the marks of their processes.
    groups: BTreeMap<i32, String>,
    pipe: ChildStdin,
    child: Child,
}

/// A private folder for an attempt. Starts the watchdog if it does not run yet.
///
/// # Errors
/// Where the folder or the watchdog cannot be made.
pub(crate) fn folder() -> io::Result<Folder> {
    let mut held = lock();
    let watchdog = running(&mut held)?;
    Folder::create(&watchdog.temporary, &watchdog.prefix)
}

/// Starts the watchdog if it does not run yet.
///
/// # Errors
/// Where it cannot be started.
pub(super) fn start() -> io::Result<()> {
    running(&mut lock()).map(drop)
}

/// Watches over a group whose processes bear a mark, `-` for none. It is killed if this process dies.
///
/// # Errors
/// Where the watchdog has gone and cannot be started again.
pub(crate) fn watch(group: Pid, mark: String) -> io::Result<()> {
    let mut held = lock();
    let watchdog = running(&mut held)?;
    let number = group.as_raw_nonzero().get();
    let report = format!("+ {number} {mark}\n");
    watchdog.groups.insert(number, mark);
    if watchdog.child.try_wait()?.is_some() {
        // Somebody has killed it. The new one is told of all.
        return watchdog.restart();
    }
    watchdog.pipe.write_all(report.as_bytes())
}

/// Takes a group back: it has gone.
pub(crate) fn forget(group: Pid) {
    if let Some(watchdog) = lock().as_mut() {
        watchdog.groups.remove(&group.as_raw_nonzero().get());
        // One that has gone cannot kill anything, so it need not know.
        let _ = watchdog.pipe.write_all(format!("- {}\n", group.as_raw_nonzero()).as_bytes());
    }
}

fn lock() -> MutexGuard<'static, Option<Watchdog>> {
    // What a panicking holder leaves is still a list of groups.
    WATCHDOG.lock().unwrap_or_else(PoisonError::into_inner)
}

fn running<'a>(held: &'a mut MutexGuard<'_, Option<Watchdog>>) -> io::Result<&'a mut Watchdog> {
    match &mut **held {
        Some(watchdog) => Ok(watchdog),
        empty => Ok(empty.insert(Watchdog::start()?)),
    }
}

impl Watchdog {
    fn start() -> io::Result<Self> {
        // Absolute, whatever TMPDIR says: the watchdog stands elsewhere.
        let temporary = fs::canonicalize(std::env::temp_dir())?;
        // Random, because a number of a process is given again.
        let prefix = format!("orchestrator-{:016x}-", RandomState::new().build_hasher().finish());
        let (child, pipe) = spawn(&temporary.join(&prefix))?;
        Ok(Self { temporary, prefix, groups: BTreeMap::new(), pipe, child })
    }

    fn restart(&mut self) -> io::Result<()> {
        (self.child, self.pipe) = spawn(&self.temporary.join(&self.prefix))?;
        let all: String = self.groups.iter().map(|(group, mark)| format!("+ {group} {mark}\n")).collect();
        self.pipe.write_all(all.as_bytes())
    }
}

fn spawn(folders: &Path) -> io::Result<(Child, ChildStdin)> {
    let mut child = Command::new("/bin/sh")
        .args(["-c", PROGRAM, "orchestrator-watchdog"])
        .arg(folders)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .current_dir("/")
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let pipe = child.stdin.take().ok_or_else(|| io::Error::other("the watchdog has no standard input"))?;
    Ok((child, pipe))
}
