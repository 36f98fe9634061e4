//! Where the workflows come from that steps name: files beside the text that names them, and registered workflows.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use orchestrator_core::engine::{RegisteredTexts, names_a_file};
use orchestrator_core::port::store::Store;
use orchestrator_core::spec::{self, Found, Sources};

use crate::output::Problem;
use crate::registered::PROJECT;
use crate::source;

/// How what is called by a path is called, so that the same file is the same.
const FILE: &str = "file:";

/// The workflows below one.
#[derive(Debug, Default)]
pub(crate) struct Below {
    /// Why no file may be named, if that is so.
    no_files: Option<&'static str>,
    registered: RegisteredTexts,
}

impl Below {
    /// For a text that is to be registered.
    pub(crate) fn of_registered() -> Self {
        let why = "a registered workflow cannot run a file: it may be gone when the run starts";
        Self { no_files: Some(why), ..Self::default() }
    }

    /// Takes a text for a registered one.
    pub(crate) fn know(&mut self, name: &str, text: Arc<str>) {
        self.registered.know(name, text);
    }

    /// Fetches the registered workflows that were asked for since the last call. Tells whether any were.
    ///
    /// # Errors
    /// Exit 7 if the store does not answer.
    pub(crate) async fn fetch(&mut self, store: &Arc<dyn Store>) -> Result<bool, Problem> {
        Ok(self.registered.fetch(&**store, PROJECT).await?)
    }

    fn file(&self, from: &str, reference: &str) -> Found {
        let missing = |message: String, hint: Option<String>| Found::Missing { message, hint };
        if let Some(why) = self.no_files {
            let stem = Path::new(reference).file_stem().map(|stem| stem.to_string_lossy().into_owned());
            let name = stem.unwrap_or_else(|| reference.to_owned());
            let hint = format!("register {reference} first, and write `workflow: {name}`");
            return missing(why.to_owned(), Some(hint));
        }
        let Some(from) = from.strip_prefix(FILE) else {
            let message = "a registered workflow cannot run a file".to_owned();
            return missing(message, Some("register that file too, and name it".to_owned()));
        };
        let folder = Path::new(from).parent().unwrap_or(Path::new("."));
        let path = folder.join(reference);
        let read = match source::read(&path, spec::parse::MAX_BYTES as u64, "workflow") {
            Ok(read) => read,
            Err(problem) => {
                let shown = |text: &str| text.replace(&format!("{}/", folder.display()), "");
                let beside = |text: &str| text.replace(&format!("{}/", folder.display()), "./");
                return missing(shown(problem.title()), problem.way_out().map(beside));
            }
        };
        let Ok(text) = spec::decode(&read.bytes) else {
            return missing(format!("{reference} is not UTF-8"), Some("save it as UTF-8".to_owned()));
        };
        let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        Found::Text { key: key_of(&path), name, text: text.into() }
    }
}

impl Sources for Below {
    fn find(&self, from: &str, reference: &str) -> Found {
        if names_a_file(reference) {
            return self.file(from, reference);
        }
        self.registered.find(from, reference)
    }
}

/// What a file is called by those that it names, and by those that name it.
pub(crate) fn key_of(path: &Path) -> String {
    let whole =
        path.canonicalize().or_else(|_| std::path::absolute(path)).unwrap_or_else(|_| PathBuf::from(path));
    format!("{FILE}{}", whole.display())
}
