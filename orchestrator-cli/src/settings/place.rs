//! The folder `.orchestrator`: found upwards from the current folder, as git finds its own.

use std::path::{Path, PathBuf};

/// The folder's name.
pub(crate) const FOLDER: &str = ".orchestrator";

/// The nearest `.orchestrator` folder, or where one would be made.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    folder: PathBuf,
    exists: bool,
}

impl Place {
    /// The nearest one at or above `cwd`; if there is none, the one that would be made in `cwd`.
    pub(crate) fn near(cwd: &Path) -> Self {
        let found = cwd.ancestors().map(|folder| folder.join(FOLDER)).find(|folder| folder.is_dir());
        let exists = found.is_some();
        let folder = found.unwrap_or_else(|| cwd.join(FOLDER));
        // Paths below the current folder are shown from there.
        let folder = folder.strip_prefix(cwd).map(Path::to_owned).unwrap_or(folder);
        Self { folder, exists }
    }

    /// Whether it is there.
    pub(crate) const fn exists(&self) -> bool {
        self.exists
    }

    /// The folder itself.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The configuration file in it.
    pub(crate) fn config(&self) -> PathBuf {
        self.folder.join("config.toml")
    }

    /// The default file of secrets in it.
    pub(crate) fn secrets(&self) -> PathBuf {
        self.folder.join("secrets.env")
    }

    /// The default table of prices in it.
    pub(crate) fn prices(&self) -> PathBuf {
        self.folder.join("prices.yaml")
    }

    /// The default store in it.
    pub(crate) fn state(&self) -> PathBuf {
        self.folder.join("state.db")
    }
}
