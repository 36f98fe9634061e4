//! Proof of life on one host: each owner holds a lock on a file of its own, beside the database. The operating system
//! lets go of it when the process ends, however it ends. Whoever can take the lock has proved the owner's death.
//!
//! The lock belongs to the open file, which no child inherits.

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use orchestrator_core::id::OwnerId;
use orchestrator_core::port::store::StoreError;

use crate::open::{cannot, private_folder};

/// How often a lock is tried for that somebody has. One who clears the folder has it for moments; one who goes by the
/// same id keeps it.
const PATIENCE: u32 = 100;

/// How long to wait in between.
const PAUSE: Duration = Duration::from_millis(5);

/// The locks that this store holds.
#[derive(Debug)]
pub(crate) struct Holds {
    folder: PathBuf,
    held: Mutex<HashMap<OwnerId, File>>,
}

impl Holds {
    /// Locks beside the database at `path`.
    pub(crate) fn beside(path: &Path) -> Self {
        let mut folder = OsString::from(path);
        folder.push("-owners");
        Self { folder: folder.into(), held: Mutex::default() }
    }

    fn held(&self) -> MutexGuard<'_, HashMap<OwnerId, File>> {
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

    fn keep(&self, owner: OwnerId, path: &Path, locked: io::Result<File>) -> Result<(), StoreError> {
        match locked {
            Ok(file) => {
                self.held().insert(owner, file);
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

    fn lock_new(&self, path: &Path, tries: u32) -> io::Result<File> {
        private_folder(&self.folder)?;
        for patience in (0..tries).rev() {
            let file = lock_options().create(true).open(path)?;
            match file.try_lock() {
                // Someone who clears the folder may have taken the lock first, and removed the file.
                Ok(()) if path.try_exists()? => return Ok(file),
                Ok(()) => {}
                Err(TryLockError::WouldBlock) if patience > 0 => std::thread::sleep(PAUSE),
                Err(error) => return Err(error.into()),
            }
        }
        Err(io::ErrorKind::WouldBlock.into())
    }

    /// Removes the owner's file, if its lock is ours or nobody's. Waits for nobody.
    pub(crate) fn let_go(&self, owner: OwnerId) {
        let path = self.file(owner);
        let held = self.held().remove(&owner);
        if held.is_some() || self.take_over(&path).is_some() {
            remove(&path);
        }
    }

    /// Which of these owners are dead for certain. Files of any others that are dead are removed. Blocks for moments.
    pub(crate) fn dead(&self, alive: &HashSet<OwnerId>) -> HashSet<OwnerId> {
        let Ok(entries) = fs::read_dir(&self.folder) else { return HashSet::new() };
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let mut dead = HashSet::new();
        for owner in names.filter_map(|name| name.parse::<OwnerId>().ok()) {
            let path = self.file(owner);
            let Some(lock) = self.take_over(&path) else { continue };
            if alive.contains(&owner) {
                dead.insert(owner);
            } else {
                remove(&path);
            }
            drop(lock);
        }
        dead
    }

    /// The lock of a file that nobody holds.
    fn take_over(&self, path: &Path) -> Option<File> {
        let file = lock_options().open(path).ok()?;
        file.try_lock().is_ok().then_some(file)
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
