//! Which program runs a script, and with which arguments before the script's file.

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use orchestrator_core::machine::StepError;

use crate::config::invalid;

/// A program that runs script files.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Interpreter {
    /// Its path.
    pub(super) program: PathBuf,
    /// What comes before the script's file.
    pub(super) options: &'static [&'static str],
    /// The name of the script's file: some programs go by its ending.
    pub(super) file: &'static str,
}

struct Dialect {
    names: &'static [&'static str],
    options: &'static [&'static str],
    file: &'static str,
}

/// As GitHub Actions runs it: the first failing command ends the script, also inside a pipeline; no start-up files.
const BASH: Dialect = Dialect {
    names: &["bash"],
    options: &["--noprofile", "--norc", "-e", "-o", "pipefail"],
    file: "script.sh",
};

const SH: Dialect = Dialect { names: &["sh"], options: &["-e"], file: "script.sh" };

/// Unbuffered, so that lines show when they are printed.
const PYTHON: Dialect = Dialect { names: &["python3", "python"], options: &["-u"], file: "script.py" };

const PYTHON3: Dialect = Dialect { names: &["python3"], options: &["-u"], file: "script.py" };

/// Finds the interpreter that the author has named, or the default one.
///
/// # Errors
/// Class `invalid` where there is no such program.
pub(super) fn find(shell: Option<&str>, path: &OsStr, start: &Path) -> Result<Interpreter, StepError> {
    let known: &[Dialect] = match shell {
        None => &[BASH, SH],
        Some("bash") => &[BASH],
        Some("sh") => &[SH],
        Some("python") => &[PYTHON],
        Some("python3") => &[PYTHON3],
        Some(other) => {
            let program = look_up(other, path, start).ok_or_else(|| missing(other))?;
            return Ok(Interpreter { program, options: &[], file: "script" });
        }
    };
    known
        .iter()
        .find_map(|dialect| {
            let program = dialect.names.iter().find_map(|name| look_up(name, path, start))?;
            Some(Interpreter { program, options: dialect.options, file: dialect.file })
        })
        .ok_or_else(|| missing(shell.unwrap_or("bash")))
}

fn missing(shell: &str) -> StepError {
    invalid(format!(
        "`shell`: there is no program `{shell}` on the PATH of the step; install it, or give its path"
    ))
}

/// The program called `name`: a path, relative to where the script starts, or a name on `path`.
fn look_up(name: &str, path: &OsStr, start: &Path) -> Option<PathBuf> {
    if name.contains('/') {
        return Some(start.join(name)).filter(|program| is_executable(program));
    }
    std::env::split_paths(path)
        .map(|folder| start.join(folder).join(name))
        .find(|program| is_executable(program))
}

fn is_executable(program: &Path) -> bool {
    program.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder_with(programs: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for program in programs {
            let path = folder.path().join(program);
            std::fs::write(&path, "").unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        folder
    }

    fn found(shell: Option<&str>, programs: &[&str]) -> Option<(String, &'static [&'static str])> {
        let folder = folder_with(programs);
        let interpreter = find(shell, folder.path().as_os_str(), Path::new("/")).ok()?;
        let name = interpreter.program.file_name()?.to_str()?.to_owned();
        Some((name, interpreter.options))
    }

    #[test]
    fn sh_stands_in_for_bash_only_where_nobody_asked_for_bash() {
        assert_eq!(found(None, &["bash", "sh"]).unwrap(), ("bash".to_owned(), BASH.options));
        assert_eq!(found(None, &["sh"]).unwrap(), ("sh".to_owned(), SH.options));
        assert_eq!(found(Some("bash"), &["sh"]), None);
    }

    #[test]
    fn python_goes_by_either_name() {
        assert_eq!(found(Some("python"), &["python"]).unwrap().0, "python");
        assert_eq!(found(Some("python"), &["python", "python3"]).unwrap().0, "python3");
        assert_eq!(found(Some("python3"), &["python"]), None);
    }

    #[test]
    fn any_other_program_is_found_by_name_or_by_path_and_must_be_executable() {
        let folder = folder_with(&["mine"]);
        let path = folder.path().as_os_str();
        let expected = folder.path().join("mine");
        assert_eq!(find(Some("mine"), path, Path::new("/")).unwrap().program, expected);
        assert_eq!(
            find(Some("./mine"), OsStr::new(""), folder.path()).unwrap().program,
            folder.path().join("./mine")
        );
        std::fs::set_permissions(&expected, std::fs::Permissions::from_mode(0o644)).unwrap();
        let error = find(Some("mine"), path, Path::new("/")).unwrap_err();
        assert!(error.message.contains("no program `mine`"), "{}", error.message);
    }
}
