//! What GitHub's REST API gives, as far as it matters here.

use orchestrator_core::time::Timestamp;
use serde::Deserialize;

use crate::forge::port::{self, Check, Job, Pull, State, Verdict};

#[derive(Debug, Deserialize)]
pub(super) struct PullRequest {
    number: u64,
    html_url: String,
    state: String,
    title: String,
    #[serde(default)]
    body: Option<String>,
    #[serde(default)]
    draft: bool,
    pub(super) head: End,
    pub(super) base: End,
    created_at: Timestamp,
    #[serde(default)]
    merged_at: Option<String>,
    #[serde(default)]
    merge_commit_sha: Option<String>,
    /// Not in lists.
    #[serde(default)]
    mergeable: Option<bool>,
    #[serde(default)]
    labels: Vec<Label>,
}

#[derive(Debug, Deserialize)]
pub(super) struct End {
    sha: String,
    #[serde(rename = "ref")]
    pub(super) branch: String,
    /// `OWNER:BRANCH`
    pub(super) label: String,
    /// Gone with its fork.
    #[serde(default)]
    repo: Option<Repository>,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
struct Repository {
    full_name: String,
}

impl PullRequest {
    /// Whether it is from a branch of the repository itself. A fork of the same owner has the same label.
    pub(super) fn is_own(&self) -> bool {
        self.head.repo.is_some() && self.head.repo == self.base.repo
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Label {
    pub(super) name: String,
}

impl From<PullRequest> for Pull {
    fn from(pull: PullRequest) -> Self {
        let state = match (pull.merged_at, &*pull.state) {
            (Some(_), _) => State::Merged,
            (None, "open") => State::Open,
            (None, _) => State::Closed,
        };
        Self {
            number: pull.number,
            url: pull.html_url,
            title: pull.title,
            body: pull.body.unwrap_or_default(),
            labels: pull.labels.into_iter().map(|label| label.name).collect(),
            draft: pull.draft,
            state,
            created_at: pull.created_at,
            sha: Some(pull.head.sha),
            // Before, it is that of a trial.
            merge_sha: pull.merge_commit_sha.filter(|_| state == State::Merged),
            mergeable: pull.mergeable,
        }
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct IssueComment {
    id: u64,
    html_url: String,
    #[serde(default)]
    body: Option<String>,
    /// Gone with its account.
    #[serde(default)]
    user: Option<User>,
}

#[derive(Debug, Deserialize)]
pub(super) struct User {
    pub(super) login: String,
    #[serde(default, rename = "type")]
    kind: String,
}

impl From<IssueComment> for port::Comment {
    fn from(comment: IssueComment) -> Self {
        Self {
            id: comment.id,
            url: comment.html_url,
            body: comment.body.unwrap_or_default(),
            by_bot: comment.user.as_ref().is_some_and(|user| user.kind == "Bot"),
            author: comment.user.map(|user| user.login).unwrap_or_default(),
        }
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct CheckRun {
    name: String,
    status: String,
    #[serde(default)]
    conclusion: Option<String>,
    #[serde(default)]
    html_url: Option<String>,
}

impl From<CheckRun> for Check {
    fn from(run: CheckRun) -> Self {
        let verdict = match (&*run.status, run.conclusion.as_deref()) {
            ("completed", Some("success" | "neutral" | "skipped")) => Verdict::Well,
            ("completed", _) => Verdict::Failed,
            _ => Verdict::Pending,
        };
        Self { name: run.name, status: run.status, conclusion: run.conclusion, url: run.html_url, verdict }
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Status {
    context: String,
    state: String,
    #[serde(default)]
    target_url: Option<String>,
}

impl From<Status> for Check {
    fn from(status: Status) -> Self {
        let verdict = match &*status.state {
            "success" => Verdict::Well,
            "pending" => Verdict::Pending,
            _ => Verdict::Failed,
        };
        let conclusion = (verdict != Verdict::Pending).then(|| status.state.clone());
        Self { name: status.context, status: status.state, conclusion, url: status.target_url, verdict }
    }
}

/// The checks that one app makes of a commit, which come one after the other.
#[derive(Debug, Deserialize)]
pub(super) struct CheckSuite {
    #[serde(default)]
    status: Option<String>,
    #[serde(default)]
    latest_check_runs_count: u64,
    #[serde(default)]
    app: Option<Maker>,
}

/// The app that makes checks.
#[derive(Debug, Deserialize)]
struct Maker {
    name: String,
    #[serde(default)]
    slug: String,
}

impl CheckSuite {
    /// What is still to come of it. One in which there was never a check says nothing: every app that may make checks has one.
    /// Not so that of a workflow, which is there because the workflow is to run: it may be held by another run of its group.
    pub(super) fn rest(self) -> Option<Check> {
        let status = self.status.filter(|status| status != "completed")?;
        let is_workflow = self.app.as_ref().is_some_and(|app| app.slug == "github-actions");
        let name = self.app.map_or_else(|| "an app".to_owned(), |app| app.name);
        let check = Check { name, status, conclusion: None, url: None, verdict: Verdict::Pending };
        (is_workflow || self.latest_check_runs_count > 0).then_some(check)
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct WorkflowRun {
    pub(super) id: u64,
    #[serde(default)]
    conclusion: Option<String>,
}

impl WorkflowRun {
    pub(super) fn has_failed(&self) -> bool {
        is_failure(self.conclusion.as_deref())
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct WorkflowJob {
    id: u64,
    name: String,
    #[serde(default)]
    conclusion: Option<String>,
    #[serde(default)]
    html_url: Option<String>,
}

impl WorkflowJob {
    /// The job, if it has failed.
    pub(super) fn failed(self) -> Option<Job> {
        let conclusion = self.conclusion.filter(|conclusion| is_failure(Some(conclusion)))?;
        Some(Job { id: self.id, name: self.name, conclusion, url: self.html_url })
    }
}

fn is_failure(conclusion: Option<&str>) -> bool {
    matches!(conclusion, Some("failure" | "timed_out" | "startup_failure" | "cancelled"))
}
