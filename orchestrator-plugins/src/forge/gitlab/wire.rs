//! What GitLab's REST API gives, as far as it matters here.

use std::collections::BTreeMap;

use orchestrator_core::time::Timestamp;
use serde::Deserialize;

use crate::forge::port::{self, Check, Job, Pull, State, Verdict};

/// How the title of a draft begins.
pub(super) const DRAFT: &str = "Draft: ";

#[derive(Debug, Deserialize)]
pub(super) struct MergeRequest {
    iid: u64,
    web_url: String,
    state: String,
    title: String,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    draft: bool,
    #[serde(default)]
    labels: Vec<String>,
    #[serde(default)]
    sha: Option<String>,
    pub(super) source_branch: String,
    pub(super) target_branch: String,
    created_at: Timestamp,
    source_project_id: Option<u64>,
    target_project_id: Option<u64>,
    #[serde(default)]
    merge_commit_sha: Option<String>,
    #[serde(default)]
    squash_commit_sha: Option<String>,
    #[serde(default)]
    has_conflicts: bool,
    #[serde(default)]
    detailed_merge_status: Option<String>,
}

impl MergeRequest {
    /// Whether it is from a branch of the project itself: a fork may have one of the same name.
    pub(super) fn is_own(&self) -> bool {
        self.source_project_id == self.target_project_id
    }

    /// Why it cannot be merged, in GitLab's words.
    pub(super) fn detail(&self) -> &str {
        self.detailed_merge_status.as_deref().unwrap_or_default()
    }

    fn mergeable(&self) -> Option<bool> {
        const FINDING_OUT: [&str; 5] =
            ["unchecked", "checking", "preparing", "approvals_syncing", "cannot_be_merged_recheck"];
        // Locked while it is merged.
        if self.state == "locked" || FINDING_OUT.contains(&self.detail()) {
            return None;
        }
        Some(!self.has_conflicts && self.detail() != "conflict")
    }
}

impl From<MergeRequest> for Pull {
    fn from(request: MergeRequest) -> Self {
        let mergeable = request.mergeable();
        let state = match &*request.state {
            "merged" => State::Merged,
            "opened" | "locked" => State::Open,
            _ => State::Closed,
        };
        let title = request.title.strip_prefix(DRAFT).filter(|_| request.draft).unwrap_or(&request.title);
        // A fast-forward makes no commit.
        let merged = request.merge_commit_sha.or(request.squash_commit_sha).or_else(|| request.sha.clone());
        Self {
            number: request.iid,
            url: request.web_url,
            title: title.to_owned(),
            body: request.description.unwrap_or_default(),
            labels: request.labels,
            draft: request.draft,
            state,
            created_at: request.created_at,
            sha: request.sha,
            merge_sha: merged.filter(|_| state == State::Merged),
            mergeable,
        }
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Note {
    id: u64,
    body: String,
    author: User,
}

#[derive(Debug, Deserialize)]
pub(super) struct User {
    pub(super) username: String,
}

impl Note {
    /// The note as a comment on what is at `page`.
    pub(super) fn on(self, page: &str) -> port::Comment {
        port::Comment {
            id: self.id,
            url: format!("{page}#note_{}", self.id),
            body: self.body,
            author: self.author.username,
            by_bot: false,
        }
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Status {
    id: u64,
    name: String,
    status: String,
    #[serde(default)]
    target_url: Option<String>,
    #[serde(default)]
    allow_failure: bool,
}

impl From<Status> for Check {
    fn from(status: Status) -> Self {
        check(status.name, status.status, status.target_url, status.allow_failure)
    }
}

/// The newest of each name: those of an older pipeline for the same commit do not count.
pub(super) fn newest(mut statuses: Vec<Status>) -> Vec<Check> {
    statuses.sort_by_key(|status| status.id);
    let newest: BTreeMap<String, Status> =
        statuses.into_iter().map(|status| (status.name.clone(), status)).collect();
    newest.into_values().map(Check::from).collect()
}

#[derive(Debug, Deserialize)]
pub(super) struct Pipeline {
    pub(super) id: u64,
    status: String,
    #[serde(default)]
    web_url: Option<String>,
}

impl Pipeline {
    pub(super) fn has_failed(&self) -> bool {
        matches!(&*self.status, "failed" | "canceled")
    }
}

impl From<Pipeline> for Check {
    fn from(pipeline: Pipeline) -> Self {
        check("pipeline".to_owned(), pipeline.status, pipeline.web_url, false)
    }
}

fn check(name: String, status: String, url: Option<String>, may_fail: bool) -> Check {
    let verdict = match &*status {
        "success" | "skipped" => Verdict::Well,
        // One that may fail nobody has to start, either.
        "failed" | "canceled" | "manual" if may_fail => Verdict::Well,
        "failed" | "canceled" => Verdict::Failed,
        _ => Verdict::Pending,
    };
    let conclusion = (verdict != Verdict::Pending).then(|| status.clone());
    Check { name, status, conclusion, url, verdict }
}

#[derive(Debug, Deserialize)]
pub(super) struct PipelineJob {
    id: u64,
    name: String,
    status: String,
    #[serde(default)]
    web_url: Option<String>,
}

impl From<PipelineJob> for Job {
    fn from(job: PipelineJob) -> Self {
        Self { id: job.id, name: job.name, conclusion: job.status, url: job.web_url }
    }
}
