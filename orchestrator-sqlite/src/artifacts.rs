//! Large values as files in a folder beside the database, `PATH-artifacts/ab/cdef…` by the digits of their digests.
//!
//! Several processes write and sweep the folder without waiting for each other. A file gets its name once it is whole
//! and on the disk. Putting what is there makes it young again, and then looks whether it still is there; sweeping
//! takes a file's name away first, and then looks whether it has become young: so one of the two notices the other.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use orchestrator_core::failpoint;
use orchestrator_core::port::artifact::{Artifact, ArtifactStore};
use orchestrator_core::port::store::StoreError;
use orchestrator_core::value::Digest;
use orchestrator_sql::{artifact_fault, joined};

use crate::open::{cannot, private_folder};

/// What the name of the folder has beyond that of the database.
pub(crate) const BESIDE: &str = "-artifacts";

/// How the names end of files that are being written, or are about to be removed.
const UNFINISHED: &str = ".partial";

/// What an artifact that is not there means to one who copies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missing {
    /// That it is no longer named.
    IsFine,
    /// That the store has lost it.
    IsFault,
}

/// A folder of artifacts. It is made with the first of them.
#[derive(Debug, Clone)]
pub(crate) struct Folder {
    path: PathBuf,
}

impl Folder {
    /// That of the database at `path`.
    pub(crate) fn beside(path: &Path) -> Self {
        let mut folder = OsString::from(path);
        folder.push(BESIDE);
        Self { path: folder.into() }
    }

    fn file(&self, digest: Digest) -> PathBuf {
        let digits = hex(digest);
        let (first, rest) = digits.split_at(2);
        self.path.join(first).join(rest)
    }

    /// As [`ArtifactStore::put`]. Blocks.
    pub(crate) fn write(&self, digest: Digest, body: &[u8]) -> Result<(), StoreError> {
        let path = self.file(digest);
        let failed = |error: io::Error| cannot(&path, "write", &error);
        if !is_kept(&path, body.len() as u64) {
            let partial = self.unfinished(digest);
            let written = self.write_as(&partial, &path, body);
            if written.is_err() {
                let _ = fs::remove_file(&partial);
            }
            written.map_err(failed)?;
        }
        // Also where it was there: whoever wrote it may not have come so far yet.
        let folders = [path.parent(), Some(&*self.path), self.path.parent()];
        for folder in folders.into_iter().flatten() {
            File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
        }
        Ok(())
    }

    fn write_as(&self, partial: &Path, path: &Path, body: &[u8]) -> io::Result<()> {
        for folder in [Some(&*self.path), path.parent()].into_iter().flatten() {
            private_folder(folder)?;
        }
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(partial)?;
        file.write_all(body)?;
        failpoint!("artifact.written");
        file.sync_all()?;
        failpoint!("artifact.synced");
        fs::rename(partial, path)?;
        failpoint!("artifact.renamed");
        Ok(())
    }

    /// A name that nobody else uses, in the folder of the artifact: a file system may be mounted below.
    fn unfinished(&self, digest: Digest) -> PathBuf {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let (process, count) = (std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let mut name = self.file(digest).into_os_string();
        name.push(format!(".{process}.{count}{UNFINISHED}"));
        name.into()
    }

    /// As [`ArtifactStore::get`]. Blocks.
    pub(crate) fn read(&self, digest: Digest) -> Result<Option<Vec<u8>>, StoreError> {
        let path = self.file(digest);
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(cannot(&path, "read", &error)),
        }
    }

    /// Copies artifacts from another folder, the digest of each compared. The error names the first that cannot be
    /// copied because it is not there or not whole. Blocks.
    pub(crate) fn copy(&self, from: &Self, named: &[Digest], missing: Missing) -> Result<(), StoreError> {
        for digest in named {
            let bytes = from.read(*digest)?;
            match (artifact_fault(*digest, bytes.as_deref()), bytes) {
                (None, Some(bytes)) => self.write(*digest, &bytes)?,
                (_, None) if missing == Missing::IsFine => {}
                (fault, _) => return Err(from.at_fault(*digest, fault.unwrap_or("missing"))),
            }
        }
        Ok(())
    }

    /// Makes sure that artifacts are there and whole. Blocks.
    pub(crate) fn verify(&self, named: &[Digest]) -> Result<(), StoreError> {
        for digest in named {
            if let Some(fault) = artifact_fault(*digest, self.read(*digest)?.as_deref()) {
                return Err(self.at_fault(*digest, fault));
            }
        }
        Ok(())
    }

    fn at_fault(&self, digest: Digest, fault: &str) -> StoreError {
        StoreError::Corrupt(format!("{}: the artifact {digest} is {fault}", self.file(digest).display()))
    }

    /// Every file in the folders of the folder, with what it is.
    fn entries(&self) -> Result<Vec<(PathBuf, fs::Metadata)>, StoreError> {
        let mut entries = Vec::new();
        for folder in files_of(&self.path)? {
            // What somebody else has put there is none of ours.
            if folder.is_dir() {
                for path in files_of(&folder)? {
                    // Someone else may have removed it since.
                    if let Ok(found) = fs::symlink_metadata(&path)
                        && found.is_file()
                    {
                        entries.push((path, found));
                    }
                }
            }
        }
        Ok(entries)
    }

    /// As [`ArtifactStore::list`]. Blocks.
    pub(crate) fn all(&self) -> Result<Vec<Artifact>, StoreError> {
        let entries = self.entries()?.into_iter();
        Ok(entries
            .filter_map(|(path, found)| Some(Artifact { digest: digest_of(&path)?, len: found.len() }))
            .collect())
    }

    /// As [`ArtifactStore::sweep`]. Blocks.
    pub(crate) fn clear(&self, named: &HashSet<Digest>, idle: Duration) -> Result<u64, StoreError> {
        let mut gone = 0;
        for (path, found) in self.entries()? {
            if !is_idle(&found, idle) {
                continue;
            }
            let failed = |error: io::Error| cannot(&path, "remove", &error);
            match digest_of(&path) {
                Some(digest) if !named.contains(&digest) => {
                    gone += u64::from(self.remove(&path, digest, idle).map_err(failed)?);
                }
                None if path.to_string_lossy().ends_with(UNFINISHED) => {
                    fs::remove_file(&path).or_else(is_gone).map_err(failed)?;
                }
                _ => {}
            }
        }
        Ok(gone)
    }

    /// Removes a file, unless somebody has put it since.
    fn remove(&self, path: &Path, digest: Digest, idle: Duration) -> io::Result<bool> {
        let away = self.unfinished(digest);
        if let Err(error) = fs::rename(path, &away) {
            return is_gone(error).map(|()| false);
        }
        if is_idle(&fs::symlink_metadata(&away)?, idle) {
            return fs::remove_file(&away).map(|()| true);
        }
        fs::rename(&away, path).map(|()| false)
    }
}

/// Whether the file is there with this length. If so, it is young from now on.
fn is_kept(path: &Path, len: u64) -> bool {
    let renewed = OpenOptions::new().write(true).open(path).and_then(|file| {
        file.set_modified(SystemTime::now())?;
        Ok(file.metadata()?.len())
    });
    // Where any of this fails it is written anew.
    renewed.is_ok_and(|found| found == len) && path.exists()
}

fn is_idle(found: &fs::Metadata, idle: Duration) -> bool {
    // One from the future is young.
    found.modified().is_ok_and(|at| at.elapsed().is_ok_and(|age| age >= idle))
}

fn is_gone(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

/// What is in a folder; nothing if there is none.
fn files_of(folder: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let read = || fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect();
    match read() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        found => found.map_err(|error: io::Error| cannot(folder, "read", &error)),
    }
}

fn hex(digest: Digest) -> String {
    digest.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The digest that a file is called by.
fn digest_of(path: &Path) -> Option<Digest> {
    let first = path.parent()?.file_name()?.to_str()?;
    format!("{first}{}", path.file_name()?.to_str()?).parse().ok()
}

/// Does something where it may block.
pub(crate) async fn apart<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    joined(tokio::task::spawn_blocking(work)).await?
}

#[async_trait]
impl ArtifactStore for Folder {
    async fn put(&self, digest: Digest, body: Arc<str>) -> Result<(), StoreError> {
        let folder = self.clone();
        apart(move || folder.write(digest, body.as_bytes())).await
    }

    async fn get(&self, digest: Digest) -> Result<Option<Vec<u8>>, StoreError> {
        let folder = self.clone();
        apart(move || folder.read(digest)).await
    }

    async fn list(&self) -> Result<Vec<Artifact>, StoreError> {
        let folder = self.clone();
        apart(move || folder.all()).await
    }

    async fn sweep(&self, named: HashSet<Digest>, idle: Duration) -> Result<u64, StoreError> {
        let folder = self.clone();
        apart(move || folder.clear(&named, idle)).await
    }

    fn place(&self, digest: Digest) -> String {
        self.file(digest).display().to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn folder() -> (tempfile::TempDir, Folder) {
        let temporary = tempfile::tempdir().unwrap();
        let folder = Folder::beside(&temporary.path().join("state.db"));
        (temporary, folder)
    }

    fn age(path: &Path) {
        let file = OpenOptions::new().write(true).open(path).unwrap();
        file.set_modified(SystemTime::now() - 2 * HOUR).unwrap();
    }

    #[test]
    fn what_is_put_is_there_once() {
        let (_temporary, folder) = folder();
        assert_eq!(folder.all().unwrap(), []);
        let digest = Digest::of(b"some");
        assert_eq!(folder.read(digest).unwrap(), None);
        for _ in 0..2 {
            folder.write(digest, b"some").unwrap();
            assert_eq!(folder.all().unwrap(), [Artifact { digest, len: 4 }]);
            assert_eq!(folder.entries().unwrap().len(), 1, "nothing unfinished is left");
        }
        assert_eq!(folder.read(digest).unwrap().as_deref(), Some(b"some".as_slice()));
        // One that has lost its end is not taken for what is put.
        fs::write(folder.file(digest), "so").unwrap();
        folder.write(digest, b"some").unwrap();
        assert_eq!(folder.read(digest).unwrap().as_deref(), Some(b"some".as_slice()));
    }

    #[test]
    fn sweeping_leaves_what_is_named_or_young() {
        let (_temporary, folder) = folder();
        let [named, old, young, again] = [b"named", b"old..", b"young", b"again"].map(|body| {
            folder.write(Digest::of(body), body).unwrap();
            Digest::of(body)
        });
        for digest in [named, old, again] {
            age(&folder.file(digest));
        }
        folder.write(again, b"again").unwrap();
        let [left, fresh] = [old, young].map(|digest| folder.unfinished(digest));
        fs::write(&left, "l").unwrap();
        fs::write(&fresh, "f").unwrap();
        age(&left);
        let foreign = folder.path.join("note.txt");
        fs::write(&foreign, "").unwrap();
        age(&foreign);
        assert_eq!(folder.clear(&HashSet::from([named]), HOUR).unwrap(), 1);
        let mut kept: Vec<Digest> = folder.all().unwrap().iter().map(|artifact| artifact.digest).collect();
        kept.sort_unstable();
        let mut expected = [named, young, again];
        expected.sort_unstable();
        assert_eq!(kept, expected);
        assert!(!left.exists() && fresh.exists() && foreign.exists());
    }

    #[test]
    fn one_that_becomes_young_while_it_is_swept_stays() {
        let (_temporary, folder) = folder();
        let digest = Digest::of(b"some");
        folder.write(digest, b"some").unwrap();
        // It was old when it was looked at, and has been put since.
        assert!(!folder.remove(&folder.file(digest), digest, HOUR).unwrap());
        assert_eq!(folder.read(digest).unwrap().as_deref(), Some(b"some".as_slice()));
        age(&folder.file(digest));
        assert!(folder.remove(&folder.file(digest), digest, HOUR).unwrap());
        assert!(!folder.remove(&folder.file(digest), digest, HOUR).unwrap(), "somebody else was faster");
    }
}
