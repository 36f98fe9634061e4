//! Looking at what an attempt has left behind: files, and changes to a repository.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;

/// Looks at a folder, and changes nothing in it.
#[async_trait]
pub trait Inspector: fmt::Debug + Send + Sync + 'static {
    /// Those of these patterns for which there is no file that holds something, each with why: `report.md: there is no such
    /// file`. A pattern is a relative path in which `*` and `?` stand for parts of a name, and `**` for any folders.
    ///
    /// # Errors
    /// Why the folder cannot be looked at, as a lowercase fragment.
    async fn missing(&self, folder: &Path, patterns: &[Arc<str>]) -> Result<Vec<String>, String>;

    /// A mark of the repository in which a folder lies: commits, changes, and files that are not part of it. Equal marks
    /// say that nothing has changed.
    ///
    /// # Errors
    /// Why it cannot be told, as a lowercase fragment: there is no repository, or no git.
    async fn repository(&self, folder: &Path) -> Result<String, String>;
}
