//! The schemas of `with` and of the output.

use serde_json::{Value, json};

use super::action::Do;
use super::checks::EVERY;
use super::logs::{JOBS, MAX_KIB, MAX_KIB_MAX};
use super::port::Dialect;

/// A commit, in examples.
pub(super) const SHA: &str = "0123456789abcdef0123456789abcdef01234567";

fn text(description: &str, example: &str) -> Value {
    json!({ "type": "string", "minLength": 1, "description": description, "examples": [example] })
}

fn texts(description: &str, example: &[&str]) -> Value {
    json!({
        "type": "array",
        "items": { "type": "string", "minLength": 1 },
        "description": description,
        "examples": [example],
    })
}

fn number(description: &str, example: u64) -> Value {
    json!({ "type": "integer", "minimum": 1, "description": description, "examples": [example] })
}

/// The schema of `with`, but for `repository` and how an app logs in, which each forge has of its own.
pub(super) fn config(dialect: &Dialect, repository: &Value, examples: &Value, app: Option<Value>) -> Value {
    let (pull, name) = (dialect.pull, dialect.name);
    let actions: Vec<&str> = Do::ALL.iter().map(|(written, _)| *written).collect();
    let mut config = json!({
        "type": "object",
        "required": ["do", "repository"],
        "additionalProperties": false,
        "properties": {
            "do": { "type": "string", "enum": actions, "description": "What to do." },
            "repository": repository,
            "base_url": {
                "type": "string", "minLength": 1, "default": dialect.base_url,
                "description": format!("Where the API of {name} is, https; http only on this machine."),
            },
            "token": {
                "type": "string", "minLength": 1, "secret": true,
                "description": "The token, from a secret. Only `checks` may go without credentials.",
                "examples": ["${{ secrets.FORGE_TOKEN }}"],
            },
            "head": text("open: the branch that is proposed.", "fix-typo"),
            "base": text("open: the branch that it is proposed to.", "main"),
            "title": text("open: the title, in one line.", "Fix a typo"),
            "body": text("open: the description; not given, the one there stays. comment: the text.", "All checks are green."),
            "draft": {
                "type": "boolean", "default": false,
                "description": format!("open: whether a new {pull} is a draft; one that is there stays what it is."),
            },
            "labels": texts("open: labels to add; others stay.", &["automation"]),
            "number": number(&format!("comment, merge: the number of the {pull}."), 7),
            "marker": text(
                "comment: which comment this is. One with this marker is given the new text; without a marker each step writes one of its own.",
                "report",
            ),
            "sha": text(
                "checks, logs, merge: the full name of a commit. merge: what the head must be.",
                SHA,
            ),
            "every": {
                "type": "string", "minLength": 1, "default": EVERY,
                "description": "checks: how long to wait between two looks, 1s to 1d.",
                "examples": ["1m"],
            },
            "require": texts("checks: names that must be among them.", &["build", "test"]),
            "fail": {
                "type": "boolean", "default": true,
                "description": "checks: whether a check that has failed fails the step; if not, `conclusion` tells.",
                "examples": [false],
            },
            "run": number(run(dialect), 1_234),
            "max_kib": {
                "type": "integer", "minimum": 1, "maximum": MAX_KIB_MAX, "default": MAX_KIB,
                "description": "logs: how much of the end of each log is given, in KiB.",
                "examples": [16],
            },
            "method": {
                "type": "string", "enum": dialect.methods, "default": "merge",
                "description": "merge: how the commits become part of the base.",
            },
        },
        "examples": examples,
    });
    if let (Some(app), Some(properties)) = (app, config["properties"].as_object_mut()) {
        properties.insert("app".to_owned(), app);
    }
    config
}

fn run(dialect: &Dialect) -> &'static str {
    match dialect.kind {
        "gitlab" => "logs: the id of a pipeline, in place of `sha`.",
        _ => "logs: the id of a run of a workflow, in place of `sha`.",
    }
}

/// The schema of the output.
pub(super) fn output(dialect: &Dialect) -> Value {
    let pull = dialect.pull;
    let check = json!({
        "type": "object",
        "required": ["name", "status", "conclusion", "url"],
        "properties": {
            "name": { "type": "string", "description": "Its name." },
            "status": { "type": "string", "description": "Where it stands, in the words of the service." },
            "conclusion": { "type": "string", "description": "How it has ended, in the words of the service." },
            "url": { "type": "string", "description": "Where people look at it; null if nobody says." },
        },
    });
    let job = json!({
        "type": "object",
        "required": ["id", "name", "conclusion", "url", "log", "truncated"],
        "properties": {
            "id": { "type": "integer", "description": "Its id." },
            "name": { "type": "string", "description": "Its name." },
            "conclusion": { "type": "string", "description": "How it has ended." },
            "url": { "type": "string", "description": "Where people look at it; null if nobody says." },
            "log": { "type": "string", "description": "The end of its log; null if there is none, or none any more." },
            "truncated": { "type": "boolean", "description": "Whether the log is longer." },
        },
    });
    json!({
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "number": { "type": "integer", "description": format!("open, comment, merge: the number of the {pull}.") },
            "url": { "type": "string", "description": format!("open, merge: the page of the {pull}. comment: that of the comment.") },
            "state": { "type": "string", "description": "open, merge: open, closed or merged." },
            "draft": { "type": "boolean", "description": "open: whether it is a draft." },
            "sha": { "type": "string", "description": "open, checks, merge: the commit at the head; null from open while that is not known." },
            "created": { "type": "boolean", "description": "open, comment: false if it was there." },
            "id": { "type": "integer", "description": "comment: the id of the comment." },
            "conclusion": { "type": "string", "description": "checks: success or failure." },
            "checks": { "type": "array", "items": check, "description": "checks: all of them, as {name, status, conclusion, url}." },
            "jobs": { "type": "array", "items": job, "description": format!("logs: the jobs that have failed, at most {JOBS}, as {{id, name, conclusion, url, log, truncated}}.") },
            "truncated": { "type": "boolean", "description": "logs: whether more jobs have failed." },
            "merged": { "type": "boolean", "description": "merge: true." },
            "merge_sha": { "type": "string", "description": "merge: the commit that the base has by it." },
        },
        "examples": [{
            "number": 7,
            "url": "https://forge.example.com/acme/site/7",
            "state": "open",
            "draft": false,
            "sha": SHA,
            "created": true,
        }],
    })
}
