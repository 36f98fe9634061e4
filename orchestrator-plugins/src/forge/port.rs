//! What a forge has to be able to do, in words that are nobody's own: a *pull* is a pull request, or a merge request.

use async_trait::async_trait;
use orchestrator_core::time::Timestamp;
use serde::Deserialize;

use super::halt::Halt;
use super::tail::Tail;

/// What is known of a forge before anything is sent.
#[derive(Debug)]
pub(super) struct Dialect {
    /// The kind of step.
    pub(super) kind: &'static str,
    /// What people call it.
    pub(super) name: &'static str,
    /// What it calls a pull.
    pub(super) pull: &'static str,
    /// Where its API is if the author does not say.
    pub(super) base_url: &'static str,
    /// The ways to merge that there are.
    pub(super) methods: &'static [&'static str],
    /// The keys of which one gives the credentials.
    pub(super) credentials: &'static [&'static str],
    /// Checks the name of a repository.
    pub(super) repository: fn(&str) -> Result<(), String>,
    /// Checks the name of a branch that is proposed.
    pub(super) head: fn(&str) -> Result<(), String>,
    /// Checks the title of a pull.
    pub(super) title: fn(&str) -> Result<(), String>,
    /// A description or a comment as it has to be sent so that all of it is text, and nothing in it is carried out.
    pub(super) text: fn(&str) -> String,
}

/// Talks to a forge about one repository.
#[async_trait]
pub(super) trait Forge: Send + Sync {
    fn dialect(&self) -> &'static Dialect;

    /// The open pull from `head` to `base`, if there is one.
    async fn find(&self, head: &str, base: &str) -> Result<Option<Pull>, Halt>;

    /// The pulls from `head` to `base` that have been closed or merged.
    async fn ended(&self, head: &str, base: &str) -> Result<Vec<Pull>, Halt>;

    async fn pull(&self, number: u64) -> Result<Pull, Halt>;

    /// Opens a pull; `None` if there is one from this head to this base.
    async fn create(&self, wanted: &Wanted<'_>) -> Result<Option<Pull>, Halt>;

    /// Gives an open pull the title, the body and the labels that are wanted.
    async fn update(&self, pull: Pull, wanted: &Wanted<'_>) -> Result<Pull, Halt>;

    /// All comments on a pull, the oldest first.
    async fn comments(&self, number: u64) -> Result<Vec<Comment>, Halt>;

    /// The name under which the credentials write; `None` if they are a program's, which is not told.
    ///
    /// # Errors
    /// Where nobody says who writes.
    async fn me(&self) -> Result<Option<String>, Halt>;

    async fn comment(&self, number: u64, body: &str) -> Result<Comment, Halt>;

    async fn edit(&self, number: u64, id: u64, body: &str) -> Result<Comment, Halt>;

    /// The latest checks of a commit.
    async fn checks(&self, sha: &str) -> Result<Vec<Check>, Halt>;

    /// The jobs that have failed.
    async fn failed_jobs(&self, of: &Of<'_>) -> Result<Vec<Job>, Halt>;

    /// The last `limit` bytes of a job's log; `None` if there is none, or none any more.
    async fn log(&self, job: u64, limit: usize) -> Result<Option<Tail>, Halt>;

    /// Merges a pull whose head is `sha`.
    async fn merge(&self, number: u64, sha: &str, method: Method) -> Result<Merge, Halt>;
}

/// What a pull is to be like.
#[derive(Debug)]
pub(super) struct Wanted<'w> {
    pub(super) head: &'w str,
    pub(super) base: &'w str,
    pub(super) title: &'w str,
    pub(super) body: Option<&'w str>,
    /// Only of a new one.
    pub(super) draft: bool,
    /// Those that it has besides stay.
    pub(super) labels: &'w [String],
}

#[derive(Debug)]
pub(super) struct Pull {
    pub(super) number: u64,
    pub(super) url: String,
    /// Without the mark of a draft.
    pub(super) title: String,
    pub(super) body: String,
    pub(super) labels: Vec<String>,
    pub(super) draft: bool,
    pub(super) state: State,
    pub(super) created_at: Timestamp,
    /// The commit at its head; some forges take a moment to know it.
    pub(super) sha: Option<String>,
    /// The commit that the base had once it was merged.
    pub(super) merge_sha: Option<String>,
    /// Whether it can be merged; `None` while that is being found out.
    pub(super) mergeable: Option<bool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Open,
    Closed,
    Merged,
}

impl State {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Closed => "closed",
            Self::Merged => "merged",
        }
    }
}

#[derive(Debug)]
pub(super) struct Comment {
    pub(super) id: u64,
    pub(super) body: String,
    pub(super) url: String,
    pub(super) author: String,
    /// Whether a program has written it.
    pub(super) by_bot: bool,
}

/// One check of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Check {
    pub(super) name: String,
    /// In the forge's words.
    pub(super) status: String,
    /// In the forge's words, once it has ended.
    pub(super) conclusion: Option<String>,
    pub(super) url: Option<String>,
    pub(super) verdict: Verdict,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Pending,
    Well,
    Failed,
}

/// Whose jobs are meant.
#[derive(Debug)]
pub(super) enum Of<'o> {
    Sha(&'o str),
    Run(u64),
}

#[derive(Debug)]
pub(super) struct Job {
    pub(super) id: u64,
    pub(super) name: String,
    pub(super) conclusion: String,
    pub(super) url: Option<String>,
}

/// How a pull becomes part of its base.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Method {
    #[default]
    Merge,
    Squash,
    Rebase,
}

impl Method {
    #[cfg(feature = "github")]
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Merge => "merge",
            Self::Squash => "squash",
            Self::Rebase => "rebase",
        }
    }
}

/// What came of asking for a merge.
#[derive(Debug)]
pub(super) enum Merge {
    Done,
    /// It was refused, with these words.
    Refused(String),
    /// It may be taken in a moment: the base has moved, or the forge is still finding out.
    NotYet(String),
}
