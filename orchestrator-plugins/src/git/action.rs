//! What a step asks for, and who does it.

use std::path::PathBuf;

use orchestrator_core::machine::StepError;
use orchestrator_core::port::plugin::{ConfigIssue, Context};
use serde::Deserialize;
use serde_json::Value;

use super::address::Address;
use super::process::Halt;
use super::{clone, commit, diff, fetch, merge, name, push, worktree};
pub(super) use crate::config::needed;
use crate::config::{self, Stage};

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Do {
    Clone,
    Fetch,
    WorktreeAdd,
    WorktreeRemove,
    Branch,
    Commit,
    Push,
    Diff,
    Merge,
}

impl Do {
    /// All of them, as they are written.
    pub(super) const ALL: [(&'static str, Self); 9] = [
        ("clone", Self::Clone),
        ("fetch", Self::Fetch),
        ("worktree_add", Self::WorktreeAdd),
        ("worktree_remove", Self::WorktreeRemove),
        ("branch", Self::Branch),
        ("commit", Self::Commit),
        ("push", Self::Push),
        ("diff", Self::Diff),
        ("merge", Self::Merge),
    ];

    /// The one that is written so.
    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(written, _)| *written == name).map(|(_, action)| *action)
    }

    fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, action)| *action == self).map_or("", |(written, _)| written)
    }

    /// The keys that it needs, and those that it takes besides. `do` is none of them.
    const fn keys(self) -> (&'static [&'static str], &'static [&'static str]) {
        match self {
            Self::Clone => (&["url", "path"], &["branch", "depth", "auth"]),
            Self::Fetch => (&[], &["repository", "remote", "branch", "prune", "auth"]),
            Self::WorktreeAdd => (&["path", "branch"], &["repository", "start"]),
            Self::WorktreeRemove => (&["path"], &["repository", "force"]),
            Self::Branch => (&["branch"], &["repository", "start", "switch"]),
            Self::Commit => (&["message"], &["repository", "paths", "author", "allow_empty"]),
            Self::Push => (&[], &["repository", "remote", "branch", "to", "force_with_lease", "auth"]),
            Self::Diff => (&[], &["repository", "from", "to", "paths", "stat", "max_bytes"]),
            Self::Merge => (&["from"], &["repository", "message", "author", "on_conflict"]),
        }
    }
}

/// A rendered `with`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Config {
    #[serde(rename = "do")]
    pub(super) action: Do,
    #[serde(default)]
    pub(super) repository: Option<String>,
    #[serde(default)]
    pub(super) url: Option<String>,
    #[serde(default)]
    pub(super) path: Option<String>,
    #[serde(default)]
    pub(super) remote: Option<String>,
    #[serde(default)]
    pub(super) branch: Option<String>,
    #[serde(default)]
    pub(super) start: Option<String>,
    #[serde(default)]
    pub(super) from: Option<String>,
    #[serde(default)]
    pub(super) to: Option<String>,
    #[serde(default)]
    pub(super) message: Option<String>,
    #[serde(default)]
    pub(super) author: Option<Author>,
    #[serde(default)]
    pub(super) paths: Option<Vec<String>>,
    #[serde(default)]
    pub(super) depth: Option<u32>,
    #[serde(default)]
    pub(super) prune: Option<bool>,
    #[serde(default)]
    pub(super) force: Option<bool>,
    #[serde(default)]
    pub(super) switch: Option<bool>,
    #[serde(default)]
    pub(super) allow_empty: Option<bool>,
    #[serde(default)]
    pub(super) stat: Option<bool>,
    #[serde(default)]
    pub(super) max_bytes: Option<u64>,
    #[serde(default)]
    pub(super) on_conflict: Option<OnConflict>,
    #[serde(default)]
    pub(super) force_with_lease: Option<Lease>,
    #[serde(default)]
    pub(super) auth: Option<Auth>,
}

/// Whom a commit is of.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Author {
    pub(super) name: String,
    pub(super) email: String,
}

/// Credentials. Not `Debug`: nobody prints them.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Auth {
    #[serde(default)]
    pub(super) username: Option<String>,
    pub(super) token: String,
}

impl std::fmt::Debug for Auth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Auth").field("username", &self.username).finish_non_exhaustive()
    }
}

/// What becomes of a step whose merge has conflicts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum OnConflict {
    #[default]
    Fail,
    Report,
}

/// On which condition a push may throw commits away.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub(super) enum Lease {
    /// The other side is where it was last seen.
    Seen(bool),
    /// It is at this commit.
    At(String),
}

impl Config {
    /// The folder of the repository.
    ///
    /// # Errors
    /// Class `invalid`, where it is no path.
    pub(super) fn folder(&self, context: &Context) -> Result<PathBuf, StepError> {
        name::place(&context.workdir, "repository", self.repository.as_deref().unwrap_or("."))
    }

    /// The folder to make or to remove.
    ///
    /// # Errors
    /// Class `invalid`, where it is no path.
    pub(super) fn place(&self, context: &Context) -> Result<PathBuf, StepError> {
        name::place(&context.workdir, "path", needed("path", self.path.as_deref())?)
    }

    /// The branch that is named, checked.
    ///
    /// # Errors
    /// Class `invalid`, where it cannot be one.
    pub(super) fn branch(&self) -> Result<Option<&str>, StepError> {
        checked("branch", self.branch.as_deref())
    }
}

/// A branch that the key `key` names, checked.
pub(super) fn checked<'a>(key: &str, value: Option<&'a str>) -> Result<Option<&'a str>, StepError> {
    if let Some(value) = value {
        name::branch(value).map_err(|why| config::invalid(format!("`{key}`: {why}")))?;
    }
    Ok(value)
}

/// What is wrong with a config, beyond its schema. Texts that are not known yet are not looked at.
pub(super) fn issues(with: &Value, stage: Stage) -> Vec<ConfigIssue> {
    let Some(action) = config::settled(with, "do").and_then(Do::named) else { return Vec::new() };
    let (needs, takes) = action.keys();
    let mut issues = config::key_issues(action.name(), with, needs, takes);
    issues.extend(name_issues(action, with, stage));
    issues
}

fn name_issues(action: Do, with: &Value, stage: Stage) -> Vec<ConfigIssue> {
    let mut issues = Vec::new();
    let mut look = |key: &str, check: &dyn Fn(&str) -> Result<(), String>| {
        if let Some(Err(why)) = stage.text(with, key).map(check) {
            issues.push(config::issue(&[key], why, None));
        }
    };
    let address = |text: &str| Address::read(text, std::path::Path::new("/")).map(drop);
    look("branch", &name::branch);
    look("start", &name::revision);
    look("from", &name::revision);
    look("url", &address);
    look("remote", &|text| if name::is_remote(text) { Ok(()) } else { address(text) });
    match action {
        Do::Push => look("to", &name::branch),
        _ => look("to", &name::revision),
    }
    for key in ["name", "email"] {
        let text = with.get("author").and_then(|author| stage.text(author, key));
        if let Some(Err(why)) = text.map(name::person) {
            issues.push(config::issue(&["author", key], why, None));
        }
    }
    issues
}

/// Does it.
///
/// # Errors
/// Why it could not be done.
pub(super) async fn carry_out(context: &Context, with: &Config) -> Result<Value, Halt> {
    match with.action {
        Do::Clone => clone::carry_out(context, with).await,
        Do::Fetch => fetch::carry_out(context, with).await,
        Do::WorktreeAdd => worktree::add(context, with).await,
        Do::WorktreeRemove => worktree::remove(context, with).await,
        Do::Branch => worktree::branch(context, with).await,
        Do::Commit => commit::carry_out(context, with).await,
        Do::Push => push::carry_out(context, with).await,
        Do::Diff => diff::carry_out(context, with).await,
        Do::Merge => merge::carry_out(context, with).await,
    }
}

/// Looks whether it has been done; `None` if not.
///
/// # Errors
/// Where that cannot be told.
pub(super) async fn look(context: &Context, with: &Config) -> Result<Option<Value>, Halt> {
    match with.action {
        Do::Clone => clone::look(context, with).await,
        Do::WorktreeAdd => worktree::look_added(context, with).await,
        Do::WorktreeRemove => worktree::look_removed(context, with).await,
        Do::Branch => worktree::look_branch(context, with).await,
        Do::Commit => commit::look(context, with).await,
        Do::Push => push::look(context, with).await,
        Do::Merge => merge::look(context, with).await,
        // A repetition of these does what one execution does.
        Do::Fetch | Do::Diff => Ok(None),
    }
}
