//! What is to be started.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use orchestrator_core::machine::StepError;

use crate::config::invalid;

/// The variables of this process that every such program sees.
const INHERITED: [&str; 4] = ["HOME", "LANG", "PATH", "TZ"];

/// Where programs are looked for if this process does not say.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// An executable, its arguments, and what it sees of the environment: `HOME`, `LANG`, `PATH` and `TZ` of this process, a
/// `TMPDIR` of its own, and what is said here.
#[derive(Clone, PartialEq, Eq)]
pub struct Executable {
    program: String,
    args: Vec<String>,
    inherited: Vec<String>,
    set: BTreeMap<String, String>,
}

impl Executable {
    /// A program: a path if there is a `/` in it, else a name that is looked for in `PATH`.
    #[must_use]
    pub fn new(program: impl Into<String>) -> Self {
        Self { program: program.into(), args: Vec::new(), inherited: Vec::new(), set: BTreeMap::new() }
    }

    /// Its arguments.
    #[must_use]
    pub fn args<T: Into<String>>(mut self, args: impl IntoIterator<Item = T>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Lets it see a variable of this process, if that is set.
    #[must_use]
    pub fn inherit(mut self, name: impl Into<String>) -> Self {
        self.inherited.push(name.into());
        self
    }

    /// Sets a variable for it. The value may be secret: it is never shown.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.set.insert(name.into(), value.into());
        self
    }

    /// The program as it was named.
    #[must_use]
    pub fn program(&self) -> &str {
        &self.program
    }

    pub(crate) fn arguments(&self) -> &[String] {
        &self.args
    }

    /// Where the program is.
    ///
    /// # Errors
    /// Class `invalid` if it is not there, or cannot be executed.
    pub(crate) fn find(&self) -> Result<PathBuf, StepError> {
        let path = Path::new(&self.program);
        if self.program.contains('/') {
            return match std::fs::metadata(path) {
                Err(error) => Err(invalid(format!("{}: {error}", self.program))),
                Ok(found) if is_executable(&found) => {
                    // What is started stands where this process does, so that the path leads to the same.
                    Ok(path.to_owned())
                }
                Ok(_) => Err(invalid(format!("{0} cannot be executed; try `chmod +x {0}`", self.program))),
            };
        }
        let folders = std::env::var_os("PATH").unwrap_or_else(|| DEFAULT_PATH.into());
        std::env::split_paths(&folders)
            .map(|folder| folder.join(path))
            .find(|path| std::fs::metadata(path).is_ok_and(|found| is_executable(&found)))
            .ok_or_else(|| invalid(format!("there is no program `{}` in PATH", self.program)))
    }

    /// All that it sees of the environment.
    pub(crate) fn environment(&self, scratch: &Path) -> BTreeMap<OsString, OsString> {
        let names = INHERITED.iter().copied().chain(self.inherited.iter().map(String::as_str));
        let mut seen: BTreeMap<OsString, OsString> =
            names.filter_map(|name| Some((name.into(), std::env::var_os(name)?))).collect();
        seen.entry("PATH".into()).or_insert_with(|| DEFAULT_PATH.into());
        seen.extend(self.set.iter().map(|(name, value)| (name.into(), value.into())));
        // By this its processes are known, wherever they hide.
        seen.insert("TMPDIR".into(), scratch.into());
        seen
    }
}

impl fmt::Debug for Executable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Executable")
            .field("program", &self.program)
            .field("args", &self.args.len())
            .finish_non_exhaustive()
    }
}

fn is_executable(found: &std::fs::Metadata) -> bool {
    found.is_file() && found.permissions().mode() & 0o111 != 0
}
