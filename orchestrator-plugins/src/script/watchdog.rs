//! Kills what scripts have started if this process dies without being able to do so itself.
//!
//! A shell of its own session-less process group reads from a pipe which process groups are running. When the pipe
//! ends, however this process came to its end, it kills those groups and whatever else was started by their scripts,
//! and removes the folder that holds the attempts' private folders. One for the whole process, started with the first
//! script.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::process::Pid;

use super::folder::{self, Folder};

/// Reads `+ GROUP MARK` and `- GROUP`; the mark of a script that is not confined is `-`. `$1` is the folder to remove, `$2` begins
/// the value of a variable that all processes carry which were started from there: the file of a script's result, or a `TMPDIR`.
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
  for found in $(grep -l -s -a -F -- "$2" /proc/[0-9]*/environ); do
    process=${found#/proc/}
    kill -s KILL -- "${process%/environ}"
  done
fi
if [ -e "$1" ]; then rm -rf -- "$1" || rm -rf -- "$1"; fi
"#;

static WATCHDOG: Mutex<Option<Watchdog>> = Mutex::new(None);

#[derive(Debug)]
struct Watchdog {
    /// Holds the attempts' folders; private, absolute.
    root: PathBuf,
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
    // Made under the lock, so that nobody removes the folder around it meanwhile.
    let mut held = lock();
    let root = &running(&mut held)?.root;
    if !root.exists() {
        // It was empty, or something that tidies the folder for temporary files has removed it. Fails if somebody else
        // has made one there meanwhile.
        DirBuilder::new().mode(0o700).create(root)?;
    }
    Folder::create(root)
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
        if watchdog.groups.is_empty() {
            // Fails where an attempt has its folder in it. What is gone needs no process to remove it.
            let _ = fs::remove_dir(&watchdog.root);
        }
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
        let root = folder::private("orchestrator-").tempdir()?.keep();
        // Absolute, whatever TMPDIR says: the watchdog stands elsewhere.
        let root = fs::canonicalize(root)?;
        let (child, pipe) = spawn(&root)?;
        Ok(Self { root, groups: BTreeMap::new(), pipe, child })
    }

    fn restart(&mut self) -> io::Result<()> {
        (self.child, self.pipe) = spawn(&self.root)?;
        let all: String = self.groups.iter().map(|(group, mark)| format!("+ {group} {mark}\n")).collect();
        self.pipe.write_all(all.as_bytes())
    }
}

fn spawn(root: &std::path::Path) -> io::Result<(Child, ChildStdin)> {
    let mut marker = std::ffi::OsString::from("=");
    marker.push(root);
    marker.push("/");
    let mut child = Command::new("/bin/sh")
        .args(["-c", PROGRAM, "orchestrator-watchdog"])
        .arg(root)
        .arg(marker)
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
