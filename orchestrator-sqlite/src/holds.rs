//! Proof of life on one host: each owner holds a lock on a file of its own, beside the database. The operating system
//! lets go of it when the process ends, however it ends. Whoever can take the lock has proved the owner's death.
//!
//! It is a record lock (`fcntl`), which belongs to the process. One that belongs to the open file (`flock`) would live on
//! for moments in a child between its `fork` and its `exec`, and its parent would be taken for alive. In return a process
//! would get its own lock a second time, and would lose it with any file of that name that it closes: see [`OURS`].

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use orchestrator_core::id::OwnerId;
use orchestrator_core::port::store::StoreError;

use crate::open::{cannot, private_folder};

/// The files whose locks this process has, of all its stores. No such file is opened, and no lock tried for, but by
/// whoever has this.
static OURS: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

fn ours() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    OURS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A lock that this process has.
#[derive(Debug)]
struct Lock {
    file: Option<File>,
    path: PathBuf,
}

impl Drop for Lock {
    fn drop(&mut self) {
        let mut ours = ours();
        ours.remove(&self.path);
        drop(self.file.take());
    }
}

/// How often a lock is tried for that somebody has. One who clears the folder has it for moments; one who goes by the
/// same id keeps it.
const PATIENCE: u32 = 100;

/// How long to wait in between.
const PAUSE: Duration = Duration::from_millis(5);

/// The locks that this store holds.
#[derive(Debug)]
pub(crate) struct Holds {
    folder: PathBuf,
    held: Mutex<HashMap<OwnerId, Lock>>,
}

impl Holds {
    /// Locks beside the database at `path`.
    pub(crate) fn beside(path: &Path) -> Self {
        let mut folder = OsString::from(path);
        folder.push("-owners");
        Self { folder: folder.into(), held: Mutex::default() }
    }

    fn held(&self) -> MutexGuard<'_, HashMap<OwnerId, Lock>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn file(&self, owner: OwnerId) -> PathBuf {
        self.folder.join(owner.to_string())
    }

    /// Takes the owner's lock. Without locks in this file system, only time proves a death. Blocks for moments.
    pub(crate) fn hold(&self, owner: OwnerId) -> Result<(), StoreError> {
        if self.held().contains_key(&owner) {
            return Err(taken(owner));
        }
        let path = self.file(owner);
        let locked = self.lock_new(&path, PATIENCE);
        self.keep(owner, &path, locked)
    }

    /// As [`Holds::hold`], without waiting for anybody: `None` where somebody has the lock, perhaps for moments.
    pub(crate) fn try_hold(&self, owner: OwnerId) -> Option<Result<(), StoreError>> {
        if self.held().contains_key(&owner) {
            return Some(Err(taken(owner)));
        }
        let path = self.file(owner);
        match self.lock_new(&path, 1) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
            locked => Some(self.keep(owner, &path, locked)),
        }
    }

    fn keep(&self, owner: OwnerId, path: &Path, locked: io::Result<Lock>) -> Result<(), StoreError> {
        match locked {
            Ok(lock) => {
                self.held().insert(owner, lock);
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                tracing::warn!(path = %path.display(), "no file locks here: an owner's death shows by its time alone");
                remove(path);
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(taken(owner)),
            Err(error) => Err(cannot(path, "lock", &error)),
        }
    }

    fn lock_new(&self, path: &Path, tries: u32) -> io::Result<Lock> {
        private_folder(&self.folder)?;
        let path = one_name(path)?;
        for patience in (0..tries).rev() {
            if let Some(lock) = Self::lock(&path)? {
                return Ok(lock);
            }
            if patience > 0 {
                std::thread::sleep(PAUSE);
            }
        }
        Err(io::ErrorKind::WouldBlock.into())
    }

    /// The lock of a file that may have to be made; `None` while somebody has it.
    fn lock(path: &Path) -> io::Result<Option<Lock>> {
        let mut ours = ours();
        if ours.contains(path) {
            return Ok(None);
        }
        loop {
            let file = lock_options().create(true).open(path)?;
            if !try_lock(&file)? {
                return Ok(None);
            }
            // Someone who clears the folder may have taken the lock first, and removed the file.
            if path.try_exists()? {
                ours.insert(path.to_owned());
                return Ok(Some(Lock { file: Some(file), path: path.to_owned() }));
            }
        }
    }

    /// Removes the owner's file, if its lock is ours or nobody's. Waits for nobody.
    pub(crate) fn let_go(&self, owner: OwnerId) {
        let path = self.file(owner);
        let held = self.held().remove(&owner);
        if held.is_some() {
            remove(&path);
        } else if let Ok(path) = one_name(&path) {
            if_nobodys(&path, || remove(&path));
        }
    }

    /// Which of these owners are dead for certain. Files of any others that are dead are removed. Blocks for moments.
    pub(crate) fn dead(&self, alive: &HashSet<OwnerId>) -> HashSet<OwnerId> {
        let Ok(folder) = fs::canonicalize(&self.folder) else { return HashSet::new() };
        let Ok(entries) = fs::read_dir(&folder) else { return HashSet::new() };
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let mut dead = HashSet::new();
        for owner in names.filter_map(|name| name.parse::<OwnerId>().ok()) {
            let path = folder.join(owner.to_string());
            if_nobodys(&path, || {
                if alive.contains(&owner) {
                    dead.insert(owner);
                } else {
                    remove(&path);
                }
            });
        }
        dead
    }
}

/// Does this while holding the lock of a file that nobody had, and lets go of it. The file goes by its one name.
fn if_nobodys(path: &Path, then: impl FnOnce()) {
    let ours = ours();
    if !ours.contains(path)
        && let Ok(file) = lock_options().open(path)
        && try_lock(&file).is_ok_and(|locked| locked)
    {
        then();
        drop(file);
    }
    drop(ours);
}

/// The one name of a file in a folder that has several.
fn one_name(path: &Path) -> io::Result<PathBuf> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    Ok(fs::canonicalize(folder)?.join(name))
}

/// Takes the lock, unless another process has it.
#[cfg(unix)]
fn try_lock(file: &File) -> io::Result<bool> {
    use rustix::fs::{FlockOperation, fcntl_lock};
    match fcntl_lock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::AGAIN | rustix::io::Errno::ACCESS) => Ok(false),
        // `ENOLCK` and its like: there are none here.
        Err(rustix::io::Errno::NOLCK | rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => {
            Err(io::ErrorKind::Unsupported.into())
        }
        Err(error) => Err(error.into()),
    }
}

/// Takes the lock, unless somebody has it.
#[cfg(not(unix))]
fn try_lock(file: &File) -> io::Result<bool> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(fs::TryLockError::WouldBlock) => Ok(false),
        Err(fs::TryLockError::Error(error)) => Err(error),
    }
}

fn taken(owner: OwnerId) -> StoreError {
    StoreError::Invalid(format!("{owner} is registered already"))
}

fn lock_options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

fn remove(path: &Path) {
    if let Err(error) = fs::remove_file(path)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::debug!(%error, path = %path.display(), "removing a lock file");
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::process::{Command, Stdio};

    use uuid::Uuid;

    use super::*;

    /// As a child has it between its `fork` and its `exec`.
    #[test]
    fn a_child_that_has_inherited_the_open_file_keeps_nobody_alive() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("state.db");
        let (one, other) = (Holds::beside(&place), Holds::beside(&place));
        let owner = OwnerId::from_uuid(Uuid::now_v7());
        one.hold(owner).unwrap();
        assert!(other.dead(&HashSet::from([owner])).is_empty(), "alive");
        assert!(matches!(other.try_hold(owner), None | Some(Err(_))), "taken");
        let file = one.held()[&owner].file.as_ref().unwrap().try_clone().unwrap();
        let mut child = Command::new("cat").stdin(Stdio::piped()).stderr(file).spawn().unwrap();
        drop(one);
        let dead = other.dead(&HashSet::from([owner]));
        drop(child.stdin.take());
        child.wait().unwrap();
        assert_eq!(dead, HashSet::from([owner]));
    }
}
