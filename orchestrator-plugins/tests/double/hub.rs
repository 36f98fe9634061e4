//! A double of GitHub's REST API, with one repository: `acme/site`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use super::{Api, Received, Reply, Server, page};

/// Whom a token is of, and whether GitHub tells them so.
#[derive(Debug, Clone)]
pub(crate) struct Who {
    pub(crate) login: String,
    pub(crate) is_told: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct Pull {
    pub(crate) title: String,
    pub(crate) body: Option<String>,
    pub(crate) draft: bool,
    pub(crate) labels: Vec<String>,
    /// `OWNER:BRANCH`
    pub(crate) head: String,
    pub(crate) base: String,
    /// The repository that its branch is in.
    pub(crate) from: String,
    /// `open` or `closed`.
    pub(crate) state: String,
    /// The head at the time of the merge, and what came of it.
    pub(crate) merged: Option<(String, String)>,
    pub(crate) mergeable: Option<bool>,
    pub(crate) created_at: String,
}

/// An app, installed in the repository with id 55 unless it is not.
pub(crate) struct App {
    /// Whether a signed word is that of the app.
    pub(crate) knows: Box<dyn Fn(&str) -> bool + Send>,
    pub(crate) installed: bool,
    /// How long its tokens hold, as RFC 3339 of their end.
    pub(crate) until: String,
    pub(crate) issued: usize,
}

pub(crate) struct Hub {
    url: String,
    pub(crate) tokens: BTreeMap<String, Who>,
    pub(crate) app: Option<App>,
    /// Branches, as `OWNER:BRANCH`, and their commits. Not looked at where there is a repository.
    pub(crate) heads: BTreeMap<String, String>,
    /// A bare repository, which then has the branches.
    pub(crate) repository: Option<PathBuf>,
    pub(crate) pulls: Vec<Pull>,
    /// Number of the pull, author, body.
    pub(crate) comments: Vec<(u64, String, String)>,
    /// Lists as they are given.
    pub(crate) check_runs: Vec<Value>,
    pub(crate) statuses: Vec<Value>,
    pub(crate) suites: Vec<Value>,
    pub(crate) runs: Vec<Value>,
    pub(crate) jobs: Vec<Value>,
    /// What is answered to who asks for a log.
    pub(crate) logs: BTreeMap<u64, Reply>,
    /// Whether lists are filtered by the head that is asked for: GitHub gives all where it does not understand it.
    pub(crate) filters: bool,
    /// The longest page of a list.
    pub(crate) page: usize,
    /// Checks come by themselves: none at the first look, one that runs at the second, then its success.
    pub(crate) ci: bool,
    looks: BTreeMap<String, usize>,
}

impl Hub {
    /// A hub that knows the token `token-of-ada`.
    pub(crate) fn start() -> Server<Self> {
        let ada = Who { login: "ada".to_owned(), is_told: true };
        Server::start(|url| Self {
            url: url.to_owned(),
            tokens: BTreeMap::from([("token-of-ada".to_owned(), ada)]),
            app: None,
            heads: BTreeMap::new(),
            repository: None,
            pulls: Vec::new(),
            comments: Vec::new(),
            check_runs: Vec::new(),
            statuses: Vec::new(),
            suites: Vec::new(),
            runs: Vec::new(),
            jobs: Vec::new(),
            logs: BTreeMap::new(),
            filters: true,
            page: 100,
            ci: false,
            looks: BTreeMap::new(),
        })
    }

    fn head(&self, label: &str) -> Option<String> {
        match &self.repository {
            None => self.heads.get(label).cloned(),
            Some(path) => {
                git(path, &["rev-parse", "--verify", "-q", &format!("refs/heads/{}", branch(label))])
            }
        }
    }

    fn shown(&self, at: usize) -> Value {
        let pull = &self.pulls[at];
        let number = at + 1;
        let head = match &pull.merged {
            Some((head, _)) => head.clone(),
            None => self.head(&pull.head).unwrap_or_default(),
        };
        let labels: Vec<Value> = pull.labels.iter().map(|name| json!({ "id": 1, "name": name })).collect();
        json!({
            "id": 1_000 + number,
            "number": number,
            "html_url": format!("{}/acme/site/pull/{number}", self.url),
            "state": pull.state,
            "title": pull.title,
            "body": pull.body,
            "draft": pull.draft,
            "labels": labels,
            "user": { "login": "ada" },
            "head": { "label": pull.head, "ref": branch(&pull.head), "sha": head, "repo": { "full_name": pull.from } },
            "base": { "label": format!("acme:{}", pull.base), "ref": pull.base, "sha": "0".repeat(40), "repo": { "full_name": "acme/site" } },
            "created_at": pull.created_at,
            "merged_at": pull.merged.as_ref().map(|_| "2026-11-29T12:00:00Z"),
            "merged": pull.merged.is_some(),
            "merge_commit_sha": pull.merged.as_ref().map_or_else(|| "f".repeat(40), |(_, merge)| merge.clone()),
            "mergeable": if pull.state == "open" { pull.mergeable } else { None },
        })
    }

    fn who(&self, request: &Received) -> Result<Option<&Who>, Reply> {
        let Some(bearer) = request.bearer() else { return Ok(None) };
        self.tokens.get(bearer).map(Some).ok_or_else(|| Reply::message(401, "Bad credentials"))
    }

    fn of_app(&mut self, request: &Received, path: &[&str]) -> Option<Reply> {
        let expected = matches!(path, ["app", ..] | ["repos", "acme", "site", "installation"]);
        let app = self.app.as_mut().filter(|_| expected)?;
        if !request.bearer().is_some_and(|word| (app.knows)(word)) {
            return Some(Reply::message(401, "A JSON web token could not be decoded"));
        }
        Some(match (&*request.method, path) {
            ("GET", ["app"]) => Reply::json(200, &json!({ "id": 4711, "slug": "robot" })),
            ("GET", ["repos", ..]) if app.installed => Reply::json(200, &json!({ "id": 55 })),
            ("POST", ["app", "installations", "55", "access_tokens"]) => {
                app.issued += 1;
                let token = format!("ghs_{}", app.issued);
                let reply = json!({
                    "token": token,
                    "expires_at": app.until,
                    "permissions": { "contents": "write" },
                    "repositories": request.body["repositories"],
                });
                self.tokens.insert(token, Who { login: "robot[bot]".to_owned(), is_told: false });
                Reply::json(201, &reply)
            }
            _ => Reply::message(404, "Not Found"),
        })
    }

    fn pulls(&mut self, request: &Received) -> Reply {
        if request.method == "GET" {
            let asked = |key: &str, value: &str| request.query.get(key).is_none_or(|wanted| wanted == value);
            let fits = |pull: &Pull| {
                let head = request.query.get("head").filter(|_| self.filters);
                asked("state", &pull.state)
                    && asked("base", &pull.base)
                    && head.is_none_or(|head| *head == pull.head)
            };
            let found: Vec<Value> =
                (0..self.pulls.len()).filter(|at| fits(&self.pulls[*at])).map(|at| self.shown(at)).collect();
            return page(&self.url, request, self.page, &found, None);
        }
        let text = |key: &str| request.body[key].as_str().map(str::to_owned);
        let (Some(head), Some(base), Some(title)) = (text("head"), text("base"), text("title")) else {
            return Reply::message(422, "Invalid request.");
        };
        let head = if head.contains(':') { head } else { format!("acme:{head}") };
        let wrong = |error: Value| {
            Reply::json(422, &json!({ "message": "Validation Failed", "errors": [error], "status": "422" }))
        };
        if self.head(&head).is_none() {
            return wrong(json!({ "resource": "PullRequest", "field": "head", "code": "invalid" }));
        }
        let from = format!("{}/site", head.split(':').next().unwrap_or_default());
        let is_same =
            |pull: &Pull| pull.state == "open" && pull.head == head && pull.base == base && pull.from == from;
        if self.pulls.iter().any(is_same) {
            let message = format!("A pull request already exists for {head}.");
            return wrong(json!({ "resource": "PullRequest", "code": "custom", "message": message }));
        }
        self.pulls.push(Pull {
            title,
            body: text("body"),
            draft: request.body["draft"] == true,
            labels: Vec::new(),
            from,
            head,
            base,
            state: "open".to_owned(),
            merged: None,
            mergeable: Some(true),
            created_at: "2026-11-29T12:00:00Z".to_owned(),
        });
        Reply::json(201, &self.shown(self.pulls.len() - 1))
    }

    fn merge(&mut self, at: usize, request: &Received) -> Reply {
        let pull = self.pulls[at].clone();
        let head = self.head(&pull.head).unwrap_or_default();
        if pull.draft || pull.mergeable == Some(false) || pull.state != "open" {
            return Reply::message(405, "Pull Request is not mergeable");
        }
        if request.body["sha"].as_str() != Some(&head) {
            return Reply::message(409, "Head branch was modified. Review and try the merge again.");
        }
        let merge = match &self.repository {
            None => "e".repeat(40),
            Some(path) => merged(path, &pull.base, &head).expect("it merges"),
        };
        self.pulls[at].state = "closed".to_owned();
        self.pulls[at].merged = Some((head, merge.clone()));
        Reply::json(
            200,
            &json!({ "sha": merge, "merged": true, "message": "Pull Request successfully merged" }),
        )
    }

    fn comment(&self, at: usize) -> Value {
        let (number, author, body) = &self.comments[at];
        json!({
            "id": 9_000 + at,
            "html_url": format!("{}/acme/site/pull/{number}#issuecomment-{}", self.url, 9_000 + at),
            "body": body,
            "user": { "login": author, "type": if author.ends_with("[bot]") { "Bot" } else { "User" } },
        })
    }

    /// What the checks of a commit are by now, where they come by themselves.
    fn look(&mut self, sha: &str) {
        if self.ci {
            let looks = self.looks.entry(sha.to_owned()).or_default();
            *looks += 1;
            let run = |status: &str, conclusion: Option<&str>| {
                vec![json!({ "name": "build", "status": status, "conclusion": conclusion, "html_url": null })]
            };
            self.check_runs = match looks {
                1 => Vec::new(),
                2 => run("in_progress", None),
                _ => run("completed", Some("success")),
            };
        }
    }

    fn commit(&mut self, request: &Received, sha: &str, what: &str) -> Option<Reply> {
        if what == "check-runs" {
            self.look(sha);
        }
        let (entries, key) = match what {
            "check-runs" => (&self.check_runs, "check_runs"),
            "status" => (&self.statuses, "statuses"),
            "check-suites" => (&self.suites, "check_suites"),
            _ => return None,
        };
        Some(page(&self.url, request, self.page, entries, Some(key)))
    }

    fn actions(&self, request: &Received, path: &[&str]) -> Option<Reply> {
        let listed = |entries: &[Value], key| page(&self.url, request, self.page, entries, Some(key));
        Some(match path {
            ["runs"] => {
                let of =
                    |run: &&Value| request.query.get("head_sha").is_none_or(|sha| run["head_sha"] == **sha);
                listed(&self.runs.iter().filter(of).cloned().collect::<Vec<_>>(), "workflow_runs")
            }
            ["runs", id, "jobs"] => {
                let run: u64 = id.parse().ok()?;
                let of = |job: &&Value| job["run_id"] == run;
                listed(&self.jobs.iter().filter(of).cloned().collect::<Vec<_>>(), "jobs")
            }
            ["jobs", id, "logs"] => self.logs.get(&id.parse().ok()?)?.clone(),
            _ => return None,
        })
    }

    fn on_pull(&mut self, request: &Received, number: &str, path: &[&str], author: &str) -> Option<Reply> {
        let at = number.parse::<usize>().ok()?.checked_sub(1).filter(|at| *at < self.pulls.len())?;
        Some(match (&*request.method, path) {
            ("GET", ["pulls"]) => Reply::json(200, &self.shown(at)),
            ("PATCH", ["pulls"]) => {
                let text = |key: &str| request.body[key].as_str().map(str::to_owned);
                let pull = &mut self.pulls[at];
                pull.title = text("title").unwrap_or_else(|| pull.title.clone());
                pull.body = text("body").or_else(|| pull.body.clone());
                Reply::json(200, &self.shown(at))
            }
            ("PUT", ["pulls", "merge"]) => self.merge(at, request),
            ("POST", ["issues", "labels"]) => {
                let new = request.body["labels"].as_array()?.iter().filter_map(Value::as_str);
                self.pulls[at].labels.extend(new.map(str::to_owned));
                Reply::json(200, &self.shown(at)["labels"])
            }
            ("GET", ["issues", "comments"]) => {
                let on = |at: &usize| self.comments[*at].0.to_string() == number;
                let all: Vec<Value> =
                    (0..self.comments.len()).filter(on).map(|at| self.comment(at)).collect();
                page(&self.url, request, self.page, &all, None)
            }
            ("POST", ["issues", "comments"]) => {
                let body = request.body["body"].as_str()?.to_owned();
                self.comments.push((number.parse().ok()?, author.to_owned(), body));
                Reply::json(201, &self.comment(self.comments.len() - 1))
            }
            _ => return None,
        })
    }

    fn routed(&mut self, request: &Received) -> Result<Option<Reply>, Reply> {
        let path: Vec<&str> = request.path.iter().map(String::as_str).collect();
        if let Some(reply) = self.of_app(request, &path) {
            return Ok(Some(reply));
        }
        let who = self.who(request)?.cloned();
        let author = who.as_ref().map(|who| who.login.clone()).unwrap_or_default();
        if path == ["user"] {
            let told = who.filter(|who| who.is_told);
            let refused = || Reply::message(403, "Resource not accessible by integration");
            return Ok(Some(told.map_or_else(refused, |who| {
                Reply::json(200, &json!({ "login": who.login, "type": "User" }))
            })));
        }
        let ["repos", "acme", "site", below @ ..] = &path[..] else { return Ok(None) };
        if who.is_none() && (request.method != "GET" || below.first() == Some(&"actions")) {
            return Err(Reply::message(401, "Requires authentication"));
        }
        Ok(match (&*request.method, below) {
            ("GET" | "POST", ["pulls"]) => Some(self.pulls(request)),
            ("PATCH", ["issues", "comments", id]) => {
                let at = id.parse::<usize>().ok().and_then(|id| id.checked_sub(9_000));
                at.filter(|at| *at < self.comments.len()).map(|at| {
                    self.comments[at].2 = request.body["body"].as_str().unwrap_or_default().to_owned();
                    Reply::json(200, &self.comment(at))
                })
            }
            (_, [what @ ("pulls" | "issues"), number, rest @ ..]) => {
                let path: Vec<&str> = std::iter::once(*what).chain(rest.iter().copied()).collect();
                self.on_pull(request, number, &path, &author)
            }
            ("GET", ["commits", sha, what]) => self.commit(request, sha, what),
            ("GET", ["actions", rest @ ..]) => self.actions(request, rest),
            _ => None,
        })
    }
}

impl Api for Hub {
    fn answer(&mut self, request: &Received) -> Reply {
        let header = |name: &str| request.headers.get(name).map(String::as_str);
        // GitHub refuses those without a user agent; the others are what it asks for.
        let is_proper = header("accept") == Some("application/vnd.github+json")
            && header("x-github-api-version") == Some("2022-11-28")
            && header("user-agent").is_some_and(|agent| agent.starts_with("orchestrator/"));
        if !is_proper {
            return Reply::message(400, "Request forbidden by administrative rules.");
        }
        match self.routed(request) {
            Ok(Some(reply)) | Err(reply) => reply,
            Ok(None) => Reply::message(404, "Not Found"),
        }
    }
}

fn branch(label: &str) -> &str {
    label.split_once(':').map_or(label, |(_, branch)| branch)
}

/// What git prints in a bare repository; `None` where it fails.
fn git(repository: &Path, args: &[&str]) -> Option<String> {
    let mut git = Command::new("git");
    git.arg("-C").arg(repository).args(args);
    git.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
    for who in ["AUTHOR", "COMMITTER"] {
        git.env(format!("GIT_{who}_NAME"), "Hub").env(format!("GIT_{who}_EMAIL"), "hub@example.org");
    }
    let output = git.output().expect("git starts");
    let text = String::from_utf8(output.stdout).expect("git prints UTF-8");
    output.status.success().then(|| text.trim_end().to_owned())
}

/// Merges a commit into a branch of a bare repository.
fn merged(repository: &Path, base: &str, head: &str) -> Option<String> {
    let base = format!("refs/heads/{base}");
    let tree = git(repository, &["merge-tree", "--write-tree", &base, head])?;
    let merge = git(repository, &["commit-tree", &tree, "-p", &base, "-p", head, "-m", "Merge"])?;
    git(repository, &["update-ref", &base, &merge])?;
    Some(merge)
}
