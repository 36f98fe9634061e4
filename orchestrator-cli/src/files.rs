//! Writing files of a user.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use crate::exit::Exit;
use crate::output::Problem;

/// Replaces the content of a file as a whole: whoever reads it sees the old or the new one. Its mode is kept, and a
/// link goes on leading to it.
pub(crate) fn replace(path: &Path, content: &[u8]) -> Result<(), Problem> {
    let real = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    write_beside(&real, content).map_err(|error| cannot_write(path, &error))
}

/// Writes a file that is not there yet, as a whole, and tells whether it was not there. What has its name has its content,
/// also after a loss of power. Of several who do so at the same moment the last one wins.
pub(crate) fn create(path: &Path, content: &[u8]) -> Result<bool, Problem> {
    if path.symlink_metadata().is_ok() {
        return Ok(false);
    }
    write_beside(path, content).map_err(|error| cannot_write(path, &error))?;
    Ok(true)
}

fn write_beside(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{}.part", std::process::id()));
    let part = path.with_file_name(name);
    let written = write_synced(&part, content).and_then(|()| {
        if let Ok(old) = fs::metadata(path) {
            fs::set_permissions(&part, old.permissions())?;
        }
        fs::rename(&part, path)
    });
    if written.is_err() {
        // What is left of an attempt that has failed; if it is not there, all the better.
        let _ = fs::remove_file(&part);
    }
    written
}

fn write_synced(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(content)?;
    file.sync_all()
}

/// How a failed write is told.
pub(crate) fn cannot_write(path: &Path, error: &io::Error) -> Problem {
    let exit = match error.kind() {
        ErrorKind::PermissionDenied => Exit::Denied,
        _ => Exit::Unavailable,
    };
    Problem::new(exit, "cannot_write", format!("cannot write {}: {error}", path.display()))
}

/// How `to` is called by someone who stands in the folder `from`; both absolute, without `.` and `..`.
pub(crate) fn relative(from: &Path, to: &Path) -> PathBuf {
    let common = from.components().zip(to.components()).take_while(|(a, b)| a == b).count();
    let mut path = PathBuf::new();
    from.components().skip(common).for_each(|_| path.push(".."));
    path.extend(to.components().skip(common));
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_created_whole_or_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.toml");
        assert!(create(&path, b"one").unwrap());
        assert!(!create(&path, b"two").unwrap());
        assert_eq!(fs::read(&path).unwrap(), b"one");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
        assert!(create(&folder.path().join("none/a.toml"), b"one").is_err());
    }

    #[test]
    fn paths_lead_from_one_folder_to_another() {
        let of = |from: &str, to: &str| relative(Path::new(from), Path::new(to)).display().to_string();
        assert_eq!(of("/a/b", "/a/b/c.json"), "c.json");
        assert_eq!(of("/a/b/c", "/a/x/y.json"), "../../x/y.json");
        assert_eq!(of("/", "/a"), "a");
    }
}
