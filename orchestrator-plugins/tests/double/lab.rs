//! A double of GitLab's REST API, with one project: `acme/web/site`, whose id is 42.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Api, Received, Reply, Server, page};

#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) title: String,
    pub(crate) description: Option<String>,
    pub(crate) labels: Vec<String>,
    pub(crate) source: String,
    pub(crate) target: String,
    /// The id of the project that the branch is in.
    pub(crate) source_project: u64,
    /// `opened`, `closed`, `locked` or `merged`.
    pub(crate) state: String,
    pub(crate) detail: String,
    pub(crate) has_conflicts: bool,
    pub(crate) created_at: String,
    /// The head when it was merged.
    pub(crate) merged: Option<String>,
}

pub(crate) struct Lab {
    url: String,
    /// Tokens, and whose they are.
    pub(crate) tokens: BTreeMap<String, String>,
    pub(crate) heads: BTreeMap<String, String>,
    pub(crate) requests: Vec<Request>,
    /// Number of the merge request, author, body.
    pub(crate) notes: Vec<(u64, String, String)>,
    /// Lists as they are given.
    pub(crate) statuses: Vec<Value>,
    pub(crate) pipelines: Vec<Value>,
    pub(crate) jobs: Vec<Value>,
    pub(crate) traces: BTreeMap<u64, String>,
    pub(crate) page: usize,
    /// What it was told in lines of descriptions and notes.
    pub(crate) actions: Vec<String>,
}

impl Lab {
    /// A lab that knows the token `token-of-ada`.
    pub(crate) fn start() -> Server<Self> {
        Server::start(|url| Self {
            url: url.to_owned(),
            tokens: BTreeMap::from([("token-of-ada".to_owned(), "ada".to_owned())]),
            heads: BTreeMap::new(),
            requests: Vec::new(),
            notes: Vec::new(),
            statuses: Vec::new(),
            pipelines: Vec::new(),
            jobs: Vec::new(),
            traces: BTreeMap::new(),
            page: 100,
            actions: Vec::new(),
        })
    }

    /// What is left of a text once its quick actions are carried out.
    fn left(&mut self, text: Option<String>) -> Option<String> {
        let text = text?.replace('\r', "");
        let is_action = |line: &&str| {
            let name = line.strip_prefix('/').and_then(|rest| rest.split(' ').next());
            matches!(name, Some("merge" | "approve" | "close" | "assign"))
        };
        let (actions, left): (Vec<&str>, Vec<&str>) = text.lines().partition(is_action);
        self.actions.extend(actions.into_iter().map(str::to_owned));
        Some(left.join("\n"))
    }

    fn shown(&self, at: usize) -> Value {
        let request = &self.requests[at];
        let number = at + 1;
        let head = request.merged.clone().or_else(|| self.heads.get(&request.source).cloned());
        json!({
            "id": 7_000 + number,
            "iid": number,
            "web_url": format!("{}/acme/web/site/-/merge_requests/{number}", self.url),
            "state": request.state,
            "title": request.title,
            "description": request.description,
            "draft": request.title.starts_with("Draft: "),
            "labels": request.labels,
            "sha": head,
            "source_branch": request.source,
            "target_branch": request.target,
            "source_project_id": request.source_project,
            "target_project_id": 42,
            "created_at": request.created_at,
            "merge_commit_sha": request.merged.as_ref().map(|_| "e".repeat(40)),
            "squash_commit_sha": null,
            "has_conflicts": request.has_conflicts,
            "detailed_merge_status": request.detail,
        })
    }

    fn requests(&mut self, request: &Received) -> Reply {
        if request.method == "GET" {
            let asked = |key: &str, value: &str| request.query.get(key).is_none_or(|wanted| wanted == value);
            let fits = |one: &Request| {
                (request.query.get("state").is_some_and(|state| state == "all") || asked("state", &one.state))
                    && asked("source_branch", &one.source)
                    && asked("target_branch", &one.target)
            };
            let found: Vec<Value> = (0..self.requests.len())
                .filter(|at| fits(&self.requests[*at]))
                .map(|at| self.shown(at))
                .collect();
            return page(&self.url, request, self.page, &found, None);
        }
        let text = |key: &str| request.body[key].as_str().map(str::to_owned);
        let (Some(source), Some(target), Some(title)) =
            (text("source_branch"), text("target_branch"), text("title"))
        else {
            return Reply::json(400, &json!({ "error": "source_branch is missing" }));
        };
        if !self.heads.contains_key(&source) {
            let wrong = json!({ "message": { "source_branch": ["does not exist"] } });
            return Reply::json(422, &wrong);
        }
        let is_same = |one: &Request| one.state == "opened" && one.source == source && one.target == target;
        if let Some(at) = self.requests.iter().position(|one| is_same(one) && one.source_project == 42) {
            let message =
                format!("Another open merge request already exists for this source branch: !{}", at + 1);
            return Reply::json(409, &json!({ "message": [message] }));
        }
        let labels = text("labels").unwrap_or_default();
        let description = self.left(text("description"));
        self.requests.push(Request {
            title,
            description,
            labels: labels.split(',').filter(|label| !label.is_empty()).map(str::to_owned).collect(),
            source,
            target,
            source_project: 42,
            state: "opened".to_owned(),
            detail: "mergeable".to_owned(),
            has_conflicts: false,
            created_at: "2026-11-29T12:00:00.123Z".to_owned(),
            merged: None,
        });
        Reply::json(201, &self.shown(self.requests.len() - 1))
    }

    fn merge(&mut self, at: usize, request: &Received) -> Reply {
        let one = &self.requests[at];
        let head = self.heads.get(&one.source).cloned().unwrap_or_default();
        let is_draft = one.title.starts_with("Draft: ");
        if one.state != "opened" || is_draft || one.detail != "mergeable" {
            return Reply::message(405, "405 Method Not Allowed");
        }
        if request.body["sha"].as_str() != Some(&head) {
            return Reply::message(409, "SHA does not match HEAD of source branch: ...");
        }
        let one = &mut self.requests[at];
        (one.state, one.merged) = ("merged".to_owned(), Some(head));
        Reply::json(200, &self.shown(at))
    }

    fn note(&self, at: usize) -> Value {
        let (_, author, body) = &self.notes[at];
        json!({ "id": 9_000 + at, "body": body, "system": false, "author": { "id": 1, "username": author } })
    }

    fn on_request(&mut self, request: &Received, number: &str, rest: &[&str], author: &str) -> Option<Reply> {
        let at = number.parse::<usize>().ok()?.checked_sub(1).filter(|at| *at < self.requests.len())?;
        let text = |key: &str| request.body[key].as_str().map(str::to_owned);
        Some(match (&*request.method, rest) {
            ("GET", []) => Reply::json(200, &self.shown(at)),
            ("PUT", []) => {
                let description = self.left(text("description"));
                let one = &mut self.requests[at];
                one.title = text("title").unwrap_or_else(|| one.title.clone());
                one.description = description.or_else(|| one.description.clone());
                one.labels.extend(
                    text("add_labels").iter().flat_map(|labels| labels.split(',')).map(str::to_owned),
                );
                Reply::json(200, &self.shown(at))
            }
            ("PUT", ["merge"]) => self.merge(at, request),
            ("GET", ["notes"]) => {
                let on = |at: &usize| self.notes[*at].0.to_string() == number;
                let all: Vec<Value> = (0..self.notes.len()).filter(on).map(|at| self.note(at)).collect();
                page(&self.url, request, self.page, &all, None)
            }
            ("POST", ["notes"]) => {
                let body = self.left(text("body"))?;
                self.notes.push((number.parse().ok()?, author.to_owned(), body));
                Reply::json(201, &self.note(self.notes.len() - 1))
            }
            ("PUT", ["notes", id]) => {
                let note = id.parse::<usize>().ok()?.checked_sub(9_000)?;
                let body = self.left(text("body"))?;
                self.notes.get_mut(note)?.2 = body;
                Reply::json(200, &self.note(note))
            }
            _ => return None,
        })
    }

    fn routed(&mut self, request: &Received) -> Option<Reply> {
        let path: Vec<&str> = request.path.iter().map(String::as_str).collect();
        let author = match request.bearer().map(|token| self.tokens.get(token).cloned()) {
            None if request.method == "GET" => String::new(),
            Some(Some(author)) => author,
            _ => return Some(Reply::message(401, "401 Unauthorized")),
        };
        let listed = |entries: Vec<Value>| page(&self.url, request, self.page, &entries, None);
        // A path that is not encoded is that of something else.
        let ["api", "v4", "projects", "acme/web/site" | "42", below @ ..] = &path[..] else {
            let is_user = path == ["api", "v4", "user"];
            return is_user.then(|| Reply::json(200, &json!({ "id": 1, "username": author })));
        };
        match (&*request.method, below) {
            ("GET" | "POST", ["merge_requests"]) => Some(self.requests(request)),
            (_, ["merge_requests", number, rest @ ..]) => self.on_request(request, number, rest, &author),
            ("GET", ["repository", "commits", _, "statuses"]) => Some(listed(self.statuses.clone())),
            ("GET", ["pipelines"]) => {
                let of = |one: &&Value| request.query.get("sha").is_none_or(|sha| one["sha"] == **sha);
                let mut found: Vec<Value> = self.pipelines.iter().filter(of).cloned().collect();
                if request.query.get("sort").is_some_and(|sort| sort == "desc") {
                    found.sort_by_key(|one| std::cmp::Reverse(one["id"].as_u64()));
                }
                Some(listed(found))
            }
            ("GET", ["pipelines", id, "jobs"]) => {
                let (scope, pipeline) = (request.query.get("scope[]"), id.parse::<u64>().ok()?);
                let of = |job: &&Value| {
                    job["pipeline"]["id"] == pipeline && scope.is_none_or(|scope| job["status"] == **scope)
                };
                Some(listed(self.jobs.iter().filter(of).cloned().collect()))
            }
            ("GET", ["jobs", id, "trace"]) => Some(Reply::text(200, self.traces.get(&id.parse().ok()?)?)),
            _ => None,
        }
    }
}

impl Api for Lab {
    fn answer(&mut self, request: &Received) -> Reply {
        self.routed(request).unwrap_or_else(|| Reply::message(404, "404 Project Not Found"))
    }
}
