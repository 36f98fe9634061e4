//! One repository on GitHub.

use async_trait::async_trait;
use orchestrator_core::machine::StepError;
use reqwest::{Method as Verb, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::wire;
use crate::config::invalid;
use crate::forge::halt::Halt;
use crate::forge::line::{Call, Line};
use crate::forge::port::{Check, Comment, Dialect, Forge, Job, Merge, Method, Of, Pull, Verdict, Wanted};
use crate::forge::tail::Tail;

/// A repository, and the way to it.
pub(super) struct Hub<'a> {
    pub(super) line: Line<'a>,
    pub(super) owner: &'a str,
    pub(super) name: &'a str,
    /// The name under which an app writes, which only the app itself is told.
    pub(super) app: Option<&'a super::app::Login<'a>>,
}

/// The owner and the name of a repository.
///
/// # Errors
/// Class `invalid`, where it is not two.
pub(super) fn parts(repository: &str) -> Result<(&str, &str), StepError> {
    repository.split_once('/').ok_or_else(|| invalid("`repository` is not OWNER/NAME"))
}

impl Hub<'_> {
    /// A path below the repository.
    fn below<'p>(&'p self, path: &[&'p str]) -> Vec<&'p str> {
        [&["repos", self.owner, self.name], path].concat()
    }

    /// A branch with whose it is: this repository's, unless it says.
    fn labelled(&self, head: &str) -> String {
        match head.contains(':') {
            true => head.to_owned(),
            false => format!("{}:{head}", self.owner),
        }
    }

    /// The pull requests from `head` to `base` in this state.
    async fn pulls(&self, state: &str, head: &str, base: &str) -> Result<Vec<Pull>, Halt> {
        let (path, label) = (self.below(&["pulls"]), self.labelled(head));
        let call = Call::get(&path).query(&[("state", state), ("head", &label), ("base", base)]);
        let pulls: Vec<wire::PullRequest> = self.line.list(&call, None).await?;
        // A filter that GitHub does not understand is none.
        let fits = |pull: &wire::PullRequest| {
            pull.head.label.eq_ignore_ascii_case(&label)
                && label.ends_with(&format!(":{}", pull.head.branch))
                && pull.base.branch == base
                && (head.contains(':') || pull.is_own())
        };
        Ok(pulls.into_iter().filter(fits).map(Pull::from).collect())
    }

    async fn add_labels(&self, number: u64, labels: &[&String]) -> Result<Vec<String>, Halt> {
        let number = number.to_string();
        let path = self.below(&["issues", &number, "labels"]);
        let call = Call::change(Verb::POST, &path, json!({ "labels": labels }));
        let labels: Vec<wire::Label> = self.line.read(&call).await?;
        Ok(labels.into_iter().map(|label| label.name).collect())
    }

    async fn runs_of(&self, sha: &str) -> Result<Vec<u64>, Halt> {
        let path = self.below(&["actions", "runs"]);
        let call = Call::get(&path).query(&[("head_sha", sha)]);
        let runs: Vec<wire::WorkflowRun> = self.line.list(&call, Some("workflow_runs")).await?;
        Ok(runs.iter().filter(|run| run.has_failed()).map(|run| run.id).collect())
    }
}

#[async_trait]
impl Forge for Hub<'_> {
    fn dialect(&self) -> &'static Dialect {
        self.line.dialect
    }

    async fn find(&self, head: &str, base: &str) -> Result<Option<Pull>, Halt> {
        Ok(self.pulls("open", head, base).await?.into_iter().next())
    }

    async fn ended(&self, head: &str, base: &str) -> Result<Vec<Pull>, Halt> {
        self.pulls("closed", head, base).await
    }

    async fn pull(&self, number: u64) -> Result<Pull, Halt> {
        let number = number.to_string();
        let pull: wire::PullRequest = self.line.read(&Call::get(&self.below(&["pulls", &number]))).await?;
        Ok(pull.into())
    }

    async fn create(&self, wanted: &Wanted<'_>) -> Result<Option<Pull>, Halt> {
        let path = self.below(&["pulls"]);
        let mut body = json!({
            "title": wanted.title,
            "head": wanted.head,
            "base": wanted.base,
            "draft": wanted.draft,
        });
        if let Some(text) = wanted.body {
            body["body"] = text.into();
        }
        let answer = self.line.ask(&Call::change(Verb::POST, &path, body)).await?;
        let is_there = answer.status == StatusCode::UNPROCESSABLE_ENTITY
            && self.line.words(&answer).contains("pull request already exists");
        if is_there {
            return Ok(None);
        }
        Ok(Some(self.line.understood::<wire::PullRequest>(&answer)?.into()))
    }

    async fn update(&self, mut pull: Pull, wanted: &Wanted<'_>) -> Result<Pull, Halt> {
        if !wanted.is_told_by(&pull) {
            let number = pull.number.to_string();
            let path = self.below(&["pulls", &number]);
            let mut body = json!({ "title": wanted.title });
            if let Some(text) = wanted.body {
                body["body"] = text.into();
            }
            let call = Call::change(Verb::PATCH, &path, body);
            pull = self.line.read::<wire::PullRequest>(&call).await?.into();
        }
        let missing = wanted.missing(&pull);
        if !missing.is_empty() {
            pull.labels = self.add_labels(pull.number, &missing).await?;
        }
        Ok(pull)
    }

    async fn comments(&self, number: u64) -> Result<Vec<Comment>, Halt> {
        let number = number.to_string();
        let path = self.below(&["issues", &number, "comments"]);
        let comments: Vec<wire::IssueComment> = self.line.list(&Call::get(&path), None).await?;
        Ok(comments.into_iter().map(Comment::from).collect())
    }

    async fn me(&self) -> Result<Option<String>, Halt> {
        if let Some(app) = self.app {
            return app.name(&self.line).await.map(Some);
        }
        let answer = self.line.ask(&Call::get(&["user"])).await?;
        // A token of an action is not told whose it is. Any other refusal, a limit among them, tells nothing of who writes: a
        // person's own comment would be taken for a stranger's, and written again.
        let is_program = answer.status == StatusCode::FORBIDDEN
            && self.line.words(&answer).contains("not accessible by integration");
        match is_program {
            true => Ok(None),
            false => Ok(Some(self.line.understood::<wire::User>(&answer)?.login)),
        }
    }

    async fn comment(&self, number: u64, body: &str) -> Result<Comment, Halt> {
        let number = number.to_string();
        let path = self.below(&["issues", &number, "comments"]);
        let call = Call::change(Verb::POST, &path, json!({ "body": body }));
        Ok(self.line.read::<wire::IssueComment>(&call).await?.into())
    }

    async fn edit(&self, _: u64, id: u64, body: &str) -> Result<Comment, Halt> {
        let id = id.to_string();
        let path = self.below(&["issues", "comments", &id]);
        let call = Call::change(Verb::PATCH, &path, json!({ "body": body }));
        Ok(self.line.read::<wire::IssueComment>(&call).await?.into())
    }

    async fn checks(&self, sha: &str) -> Result<Vec<Check>, Halt> {
        let commit = self.below(&["commits", sha]);
        let of = |what| [&*commit, &[what]].concat();
        let runs: Vec<wire::CheckRun> =
            self.line.list(&Call::get(&of("check-runs")), Some("check_runs")).await?;
        let statuses: Vec<wire::Status> = self.line.list(&Call::get(&of("status")), Some("statuses")).await?;
        let mut checks: Vec<Check> = runs.into_iter().map(Check::from).collect();
        checks.extend(statuses.into_iter().map(Check::from));
        // Of a workflow whose jobs wait for each other, the later ones are not there yet when the first has ended.
        if !checks.is_empty() && checks.iter().all(|check| check.verdict != Verdict::Pending) {
            let suites: Vec<wire::CheckSuite> =
                self.line.list(&Call::get(&of("check-suites")), Some("check_suites")).await?;
            checks.extend(suites.into_iter().filter_map(wire::CheckSuite::rest));
        }
        Ok(checks)
    }

    async fn failed_jobs(&self, of: &Of<'_>) -> Result<Vec<Job>, Halt> {
        let runs = match of {
            Of::Run(run) => vec![*run],
            Of::Sha(sha) => self.runs_of(sha).await?,
        };
        let mut failed = Vec::new();
        for run in runs {
            let run = run.to_string();
            let path = self.below(&["actions", "runs", &run, "jobs"]);
            let jobs: Vec<wire::WorkflowJob> = self.line.list(&Call::get(&path), Some("jobs")).await?;
            failed.extend(jobs.into_iter().filter_map(wire::WorkflowJob::failed));
        }
        Ok(failed)
    }

    async fn log(&self, job: u64, limit: usize) -> Result<Option<Tail>, Halt> {
        let job = job.to_string();
        self.line.tail(&Call::get(&self.below(&["actions", "jobs", &job, "logs"])), limit).await
    }

    async fn merge(&self, number: u64, sha: &str, method: Method) -> Result<Merge, Halt> {
        let number = number.to_string();
        let path = self.below(&["pulls", &number, "merge"]);
        let body = json!({ "sha": sha, "merge_method": method.name() });
        let answer = self.line.ask(&Call::change(Verb::PUT, &path, body)).await?;
        let words = self.line.words(&answer);
        Ok(match answer.status {
            StatusCode::METHOD_NOT_ALLOWED if words.contains("Base branch was modified") => {
                Merge::NotYet(words)
            }
            // Draft, conflicts, rules that are not met; another head; a message that does not fit.
            StatusCode::METHOD_NOT_ALLOWED | StatusCode::CONFLICT | StatusCode::UNPROCESSABLE_ENTITY => {
                Merge::Refused(words)
            }
            _ => {
                self.line.understood::<Value>(&answer)?;
                Merge::Done
            }
        })
    }
}

/// The id of something.
#[derive(Debug, Deserialize)]
pub(super) struct Id {
    pub(super) id: u64,
}
