//! Which paths a script may use.

use std::ffi::OsStr;
use std::fs;
use std::path::{Component, Path, PathBuf};

use orchestrator_core::machine::StepError;
use orchestrator_core::spec::Confinement;
use serde::{Deserialize, Serialize};

use super::system;
use crate::config::invalid;

/// How many entries the folders around what is hidden may have, where each of them has to be granted for itself.
const ENTRIES: usize = 10_000;

/// The paths that a script may use.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Grants {
    /// Read and executed.
    pub(super) read: Vec<PathBuf>,
    /// Also written, made and removed. Real paths.
    pub(super) write: Vec<PathBuf>,
    /// Hidden wherever they lie in what may be written. Real paths of what exists.
    pub(super) hidden: Vec<PathBuf>,
}

/// What the grants of a script follow from.
#[derive(Debug)]
pub(in crate::script) struct Place<'a> {
    /// The folder of the run.
    pub(in crate::script) workdir: &'a Path,
    /// Where the script starts.
    pub(in crate::script) start: &'a Path,
    /// The attempt's private folder.
    pub(in crate::script) private: &'a Path,
    /// The `PATH` of the step.
    pub(in crate::script) path: &'a OsStr,
    /// The program that runs the script.
    pub(in crate::script) interpreter: &'a Path,
    /// What belongs to the store.
    pub(in crate::script) protected: &'a [PathBuf],
}

/// What a script at this place may use.
///
/// # Errors
/// Class `invalid` where a path that the step grants does not exist, or where the script would start outside of all that it
/// may use.
pub(super) fn of(place: &Place<'_>, confinement: &Confinement) -> Result<Grants, StepError> {
    let home = std::env::home_dir().and_then(|home| home.canonicalize().ok());
    let home = home.as_deref().filter(|home| *home != Path::new("/"));
    let workdir = place.workdir.canonicalize().map_err(|error| {
        invalid(format!("the folder of the run, `{}`, cannot be entered: {error}", place.workdir.display()))
    })?;
    if workdir == Path::new("/") {
        return Err(invalid(
            "a script cannot be confined to `/`; start the run in another folder, or say `sandbox: none`",
        ));
    }
    let mut read = system::readable().to_vec();
    read.extend(home.into_iter().flat_map(system::readable_at_home));
    let mut tools = Vec::new();
    for folder in std::env::split_paths(place.path).filter(|folder| folder.is_absolute()) {
        let Ok(folder) = folder.canonicalize() else { continue };
        // Part of what every script may read.
        if system::readable().iter().any(|granted| folder.starts_with(granted)) {
            continue;
        }
        // What lies there can be written by scripts: it must not choose what they may reach.
        if !folder.starts_with(&workdir) {
            tools.extend(system::toolchain(&folder, home));
        }
    }
    // Each takes a rule, and what lies in another needs none.
    tools.sort_unstable();
    tools.dedup_by(|path, before| path.starts_with(before));
    read.extend(tools);
    read.push(place.interpreter.to_owned());
    let mut named = Vec::new();
    for path in &confinement.read {
        let (given, path) = (path, expand(path, &workdir, home)?);
        if !path.starts_with(&workdir) {
            named.push(real(&path, "read", given)?);
        }
    }
    let mut write = vec![workdir.clone(), place.private.to_owned()];
    for path in &confinement.write {
        let (given, path) = (path, expand(path, &workdir, home)?);
        if given.ends_with('/') {
            make(&path, given)?;
        }
        if !path.starts_with(&workdir) {
            let path = real(&path, "write", given)?;
            named.push(path.clone());
            write.push(path);
        }
    }
    let store = place.protected.iter().filter_map(|path| path.canonicalize().ok());
    let credentials =
        home.into_iter().flat_map(system::credentials).filter_map(|path| path.canonicalize().ok());
    // The author may grant credentials by their name; the store never.
    let credentials = credentials.filter(|path| !named.iter().any(|named| path.starts_with(named)));
    let hidden = store.chain(credentials).filter(|path| *path != workdir).collect();
    read.extend(named);
    let grants = Grants { read, write, hidden };
    grants.check_start(place)?;
    Ok(grants)
}

impl Grants {
    fn check_start(&self, place: &Place<'_>) -> Result<(), StepError> {
        let within = place.start.canonicalize().is_ok_and(|start| {
            self.write.iter().chain(&self.read).any(|granted| start.starts_with(granted))
                && !self.hidden.iter().any(|hidden| start.starts_with(hidden))
        });
        if within {
            return Ok(());
        }
        Err(invalid(format!(
            "`working_directory`: `{}` lies outside of what the script may use; grant it under `sandbox.read` or `sandbox.write`",
            place.start.display()
        )))
    }

    /// What is hidden inside of what may be written, with nothing that lies in another.
    pub(super) fn hidden_within(&self) -> Vec<&Path> {
        let within = |path: &&PathBuf| self.write.iter().any(|granted| path.starts_with(granted));
        let mut hidden: Vec<&Path> = self.hidden.iter().filter(within).map(PathBuf::as_path).collect();
        hidden.sort_unstable();
        hidden.dedup_by(|path, before| path.starts_with(before));
        hidden
    }

    /// The folders in which something is hidden.
    pub(super) fn closed(&self) -> Vec<PathBuf> {
        let mut closed: Vec<PathBuf> =
            self.hidden_within().into_iter().filter_map(|hidden| Some(hidden.parent()?.to_owned())).collect();
        closed.dedup();
        closed
    }

    /// What may be written, spelled out around what is hidden: where something is hidden in a folder, each other entry of
    /// that folder. What is made in it later is not granted.
    ///
    /// # Errors
    /// Class `invalid` where there are too many of them.
    pub(super) fn around_hidden(&self) -> Result<Vec<PathBuf>, StepError> {
        let hidden = self.hidden_within();
        let mut granted = Vec::new();
        let mut open = self.write.clone();
        while let Some(path) = open.pop() {
            if hidden.contains(&path.as_path()) {
                continue;
            }
            if !hidden.iter().any(|hidden| hidden.starts_with(&path)) {
                granted.push(path);
                continue;
            }
            let entries = fs::read_dir(&path).into_iter().flatten().flatten();
            // A script can have made a link to anywhere.
            let entries = entries.filter(|entry| entry.file_type().is_ok_and(|kind| !kind.is_symlink()));
            open.extend(entries.map(|entry| entry.path()));
            if open.len() + granted.len() > ENTRIES {
                return Err(invalid(format!(
                    "`{}` has too many entries to hide the store in it; keep the store elsewhere (`--store`)",
                    path.display()
                )));
            }
        }
        Ok(granted)
    }
}

/// The path that an author means, without `.` and `..` in it.
fn expand(given: &str, workdir: &Path, home: Option<&Path>) -> Result<PathBuf, StepError> {
    let path = match given.strip_prefix('~') {
        Some(rest) => {
            let home =
                home.ok_or_else(|| invalid(format!("`sandbox`: `{given}`: nobody knows the user's folder")))?;
            home.join(rest.trim_start_matches('/'))
        }
        None => workdir.join(given),
    };
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(plain.pop()),
            Component::CurDir => {}
            part => plain.push(part),
        }
    }
    Ok(plain)
}

fn real(path: &Path, key: &str, given: &str) -> Result<PathBuf, StepError> {
    path.canonicalize().map_err(|error| {
        let hint = if key == "write" {
            "; make it before, or let its name end with `/` to have it made"
        } else {
            ""
        };
        invalid(format!("`sandbox.{key}`: `{given}` cannot be granted: {error}{hint}"))
    })
}

fn make(path: &Path, given: &str) -> Result<(), StepError> {
    // Something that is there, also a link that leads nowhere, stays as it is.
    if path.symlink_metadata().is_ok() {
        return Ok(());
    }
    fs::create_dir_all(path)
        .map_err(|error| invalid(format!("`sandbox.write`: cannot make `{given}`: {error}")))
}
