//! One project on GitLab.

use async_trait::async_trait;
use reqwest::{Method as Verb, StatusCode};
use serde_json::{Value, json};

use super::wire::{self, DRAFT};
use crate::forge::halt::Halt;
use crate::forge::line::{Call, Line};
use crate::forge::port::{Check, Comment, Dialect, Forge, Job, Merge, Method, Of, Pull, State, Wanted};
use crate::forge::tail::Tail;

/// A project, and the way to it.
pub(super) struct Lab<'a> {
    pub(super) line: Line<'a>,
    /// Its full path, or its id.
    pub(super) project: String,
}

impl Lab<'_> {
    /// A path below the project.
    fn below<'p>(&'p self, path: &[&'p str]) -> Vec<&'p str> {
        [&["projects", &*self.project], path].concat()
    }

    async fn request(&self, number: u64) -> Result<wire::MergeRequest, Halt> {
        let number = number.to_string();
        self.line.read(&Call::get(&self.below(&["merge_requests", &number]))).await
    }

    /// The merge requests from `head` to `base` in this state.
    async fn requests(&self, state: &str, head: &str, base: &str) -> Result<Vec<Pull>, Halt> {
        let path = self.below(&["merge_requests"]);
        let query = [("state", state), ("source_branch", head), ("target_branch", base)];
        let found: Vec<wire::MergeRequest> = self.line.list(&Call::get(&path).query(&query), None).await?;
        let fits = |request: &wire::MergeRequest| {
            request.is_own() && request.source_branch == head && request.target_branch == base
        };
        Ok(found.into_iter().filter(fits).map(Pull::from).collect())
    }

    /// The page of a merge request; a note does not say where it is.
    async fn page(&self, number: u64) -> Result<String, Halt> {
        Ok(self.pull(number).await?.url)
    }

    async fn pipelines(&self, sha: &str) -> Result<Vec<wire::Pipeline>, Halt> {
        let path = self.below(&["pipelines"]);
        let call = Call::get(&path).query(&[("sha", sha), ("order_by", "id"), ("sort", "desc")]);
        self.line.list(&call, None).await
    }
}

#[async_trait]
impl Forge for Lab<'_> {
    fn dialect(&self) -> &'static Dialect {
        self.line.dialect
    }

    async fn find(&self, head: &str, base: &str) -> Result<Option<Pull>, Halt> {
        Ok(self.requests("opened", head, base).await?.into_iter().next())
    }

    async fn ended(&self, head: &str, base: &str) -> Result<Vec<Pull>, Halt> {
        let mut all = self.requests("all", head, base).await?;
        all.retain(|pull| pull.state != State::Open);
        Ok(all)
    }

    async fn pull(&self, number: u64) -> Result<Pull, Halt> {
        Ok(self.request(number).await?.into())
    }

    async fn create(&self, wanted: &Wanted<'_>) -> Result<Option<Pull>, Halt> {
        let path = self.below(&["merge_requests"]);
        let mut body = json!({
            "source_branch": wanted.head,
            "target_branch": wanted.base,
            "title": titled(wanted.title, wanted.draft),
        });
        if let Some(text) = wanted.body {
            body["description"] = text.into();
        }
        if !wanted.labels.is_empty() {
            body["labels"] = wanted.labels.join(",").into();
        }
        let answer = self.line.ask(&Call::change(Verb::POST, &path, body)).await?;
        if answer.status == StatusCode::CONFLICT && self.line.words(&answer).contains("already exists") {
            return Ok(None);
        }
        Ok(Some(self.line.understood::<wire::MergeRequest>(&answer)?.into()))
    }

    async fn update(&self, pull: Pull, wanted: &Wanted<'_>) -> Result<Pull, Halt> {
        let number = pull.number.to_string();
        let path = self.below(&["merge_requests", &number]);
        let mut body = json!({ "title": titled(wanted.title, pull.draft) });
        if let Some(text) = wanted.body {
            body["description"] = text.into();
        }
        let missing: Vec<&str> = wanted.missing(&pull).into_iter().map(String::as_str).collect();
        if !missing.is_empty() {
            body["add_labels"] = missing.join(",").into();
        }
        let call = Call::change(Verb::PUT, &path, body);
        Ok(self.line.read::<wire::MergeRequest>(&call).await?.into())
    }

    async fn comments(&self, number: u64) -> Result<Vec<Comment>, Halt> {
        let page = self.page(number).await?;
        let number = number.to_string();
        let path = self.below(&["merge_requests", &number, "notes"]);
        let call = Call::get(&path).query(&[("order_by", "created_at"), ("sort", "asc")]);
        let notes: Vec<wire::Note> = self.line.list(&call, None).await?;
        Ok(notes.into_iter().map(|note| note.on(&page)).collect())
    }

    async fn me(&self) -> Result<Option<String>, Halt> {
        Ok(Some(self.line.read::<wire::User>(&Call::get(&["user"])).await?.username))
    }

    async fn comment(&self, number: u64, body: &str) -> Result<Comment, Halt> {
        let page = self.page(number).await?;
        let number = number.to_string();
        let path = self.below(&["merge_requests", &number, "notes"]);
        let call = Call::change(Verb::POST, &path, json!({ "body": body }));
        Ok(self.line.read::<wire::Note>(&call).await?.on(&page))
    }

    async fn edit(&self, number: u64, id: u64, body: &str) -> Result<Comment, Halt> {
        let page = self.page(number).await?;
        let (number, id) = (number.to_string(), id.to_string());
        let path = self.below(&["merge_requests", &number, "notes", &id]);
        let call = Call::change(Verb::PUT, &path, json!({ "body": body }));
        Ok(self.line.read::<wire::Note>(&call).await?.on(&page))
    }

    async fn checks(&self, sha: &str) -> Result<Vec<Check>, Halt> {
        let path = self.below(&["repository", "commits", sha, "statuses"]);
        let mut checks = wire::newest(self.line.list(&Call::get(&path), None).await?);
        checks.extend(self.pipelines(sha).await?.into_iter().next().map(Check::from));
        Ok(checks)
    }

    async fn failed_jobs(&self, of: &Of<'_>) -> Result<Vec<Job>, Halt> {
        let pipelines = match of {
            Of::Run(pipeline) => vec![*pipeline],
            Of::Sha(sha) => {
                let pipelines = self.pipelines(sha).await?;
                pipelines.iter().filter(|pipeline| pipeline.has_failed()).map(|one| one.id).collect()
            }
        };
        let mut failed = Vec::new();
        for pipeline in pipelines {
            let pipeline = pipeline.to_string();
            let path = self.below(&["pipelines", &pipeline, "jobs"]);
            let call = Call::get(&path).query(&[("scope[]", "failed")]);
            let jobs: Vec<wire::PipelineJob> = self.line.list(&call, None).await?;
            failed.extend(jobs.into_iter().map(Job::from));
        }
        Ok(failed)
    }

    async fn log(&self, job: u64, limit: usize) -> Result<Option<Tail>, Halt> {
        let job = job.to_string();
        self.line.tail(&Call::get(&self.below(&["jobs", &job, "trace"])), limit).await
    }

    async fn merge(&self, number: u64, sha: &str, method: Method) -> Result<Merge, Halt> {
        let text = number.to_string();
        let path = self.below(&["merge_requests", &text, "merge"]);
        let body = json!({ "sha": sha, "squash": method == Method::Squash });
        let answer = self.line.ask(&Call::change(Verb::PUT, &path, body)).await?;
        if !matches!(answer.status.as_u16(), 405 | 406 | 409 | 422) {
            self.line.understood::<Value>(&answer)?;
            return Ok(Merge::Done);
        }
        // The words are those of the status; why, the merge request says.
        let words = self.line.words(&answer);
        let request = self.request(number).await?;
        let told = match request.detail() {
            "" => words,
            detail => format!("{words} ({detail})"),
        };
        Ok(match Pull::from(request).mergeable {
            None => Merge::NotYet(told),
            Some(_) => Merge::Refused(told),
        })
    }
}

fn titled(title: &str, draft: bool) -> String {
    match draft {
        true => format!("{DRAFT}{title}"),
        false => title.to_owned(),
    }
}
