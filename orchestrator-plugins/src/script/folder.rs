//! The private folder of an attempt: the script, its input, its result and its `TMPDIR`.

use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// A folder that only this user can enter. Removed when dropped.
#[derive(Debug)]
pub(crate) struct Folder {
    // Taken when it is removed.
    held: Option<TempDir>,
    path: PathBuf,
}

impl Folder {
    /// Makes one inside `parent`, whose name begins with `prefix`.
    pub(super) fn create(parent: &Path, prefix: &str) -> io::Result<Self> {
        let private = Permissions::from_mode(0o700);
        let held = tempfile::Builder::new().prefix(prefix).permissions(private).tempdir_in(parent)?;
        let path = held.path().to_owned();
        let folder = Self { held: Some(held), path };
        DirBuilder::new().mode(0o700).create(folder.scratch())?;
        folder.write("output", b"")?;
        Ok(folder)
    }

    /// Writes a file that only this user can read, and gives its path.
    pub(super) fn write(&self, name: &str, content: &[u8]) -> io::Result<PathBuf> {
        let path = self.path.join(name);
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?.write_all(content)?;
        Ok(path)
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The folder that the script knows as `TMPDIR`.
    pub(crate) fn scratch(&self) -> PathBuf {
        self.path.join("tmp")
    }

    /// The file that the script may leave its result in.
    pub(super) fn result(&self) -> PathBuf {
        self.path.join("output")
    }

    /// Whether the script has left nothing in its `TMPDIR`, so that removing takes no time worth mentioning.
    pub(super) fn is_small(&self) -> bool {
        fs::read_dir(self.scratch()).is_ok_and(|mut entries| entries.next().is_none())
    }

    /// Removes it and all that is in it. May take long; not for the threads of an async runtime.
    pub(super) fn remove(mut self) -> io::Result<()> {
        let Some(held) = self.held.take() else { return Ok(()) };
        let path = held.keep();
        fs::remove_dir_all(&path).or_else(|_| {
            open_up(&path);
            fs::remove_dir_all(&path)
        })
    }
}

/// Gives the owner every right on the folders under `path`, as far as that is possible: what lies in a folder without
/// write permission cannot be removed.
fn open_up(path: &Path) {
    let mut folders = vec![path.to_owned()];
    while let Some(folder) = folders.pop() {
        if fs::set_permissions(&folder, Permissions::from_mode(0o700)).is_err() {
            continue;
        }
        let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
        // The type of the entry itself: a symbolic link to a folder is not followed.
        folders.extend(
            entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|e| e.path()),
        );
    }
}
