//! Whose word counts: a file that was found above the current folder may be anybody's.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use crate::exit::Exit;
use crate::output::Problem;

/// Writable by the group, or by all others.
const WRITABLE: u32 = 0o022;

/// Checks that nobody but the user `me` and root can have written a file that was found, of which `held` is known and which names
/// with `key` what is started. The folder that holds it counts too, and if that is a link, whoever has made the link.
///
/// # Errors
/// Who else can have written it, and what to do.
pub(super) fn check(path: &Path, held: &Metadata, me: u32, key: &str) -> Result<(), Problem> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let looked = |looked: std::io::Result<Metadata>| {
        looked.map_err(|error| refused(path, key, &format!("{}: {error}", folder.display())))
    };
    let (link, within) = (looked(folder.symlink_metadata())?, looked(folder.metadata())?);
    for (whose, held) in [(path, held), (folder, &link), (folder, &within)] {
        let owner = held.uid();
        if owner != 0 && owner != me {
            let who = format!("{} belongs to another user (number {owner})", whose.display());
            return Err(refused(path, key, &who).hint(format!(
                "look at what it starts; if you trust it, name it: `--config {0}`, or make it yours: `chown`",
                path.display()
            )));
        }
        // Everybody may write to a link, as it seems, and nobody does.
        if !held.is_symlink() && held.mode() & WRITABLE != 0 {
            let who = format!("others can write to {}", whose.display());
            return Err(refused(path, key, &who).hint(format!(
                "look at what it starts, then: `chmod go-w {0} {1}`; or name the file: `--config {1}`",
                folder.display(),
                path.display()
            )));
        }
    }
    Ok(())
}

fn refused(path: &Path, key: &str, why: &str) -> Problem {
    let title = format!("{}: `{key}` names what is started, and {why}", path.display());
    Problem::new(Exit::Invalid, "config_untrusted", title)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_another_user_is_not_trusted_and_one_of_root_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.toml");
        std::fs::write(&path, "").unwrap();
        let owner = path.metadata().unwrap().uid();
        if owner == 0 {
            check(&path, &path.metadata().unwrap(), 4711, "plugins").unwrap();
            std::os::unix::fs::chown(&path, Some(4711), None).unwrap();
        }
        let held = path.metadata().unwrap();
        let problem = check(&path, &held, held.uid() + 1, "plugins").unwrap_err();
        let told = format!("`plugins` names what is started, and {} belongs to another user", path.display());
        assert!(problem.title().contains(&told), "{}", problem.title());
        assert_eq!(problem.exit(), Exit::Invalid);
        check(&path, &held, held.uid(), "plugins").unwrap();
    }
}
