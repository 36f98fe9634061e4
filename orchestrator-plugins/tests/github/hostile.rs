//! Values that would lead elsewhere, or break out of their place: refused before anything is sent.

use orchestrator_core::port::plugin::Plugin;
use orchestrator_core::spec::retry::ErrorClass;
use orchestrator_plugins::Github;
use serde_json::{Value, json};

use crate::place::{Place, sha};

fn with(more: &Value) -> Value {
    let mut with = json!({ "repository": "acme/site", "token": "t" });
    for (key, value) in more.as_object().unwrap() {
        with[key] = value.clone();
    }
    with
}

fn open(key: &str, value: Value) -> Value {
    let mut with = with(&json!({ "do": "open", "head": "fix", "base": "main", "title": "Fix" }));
    with[key] = value;
    with
}

fn wrong() -> Vec<(&'static str, Value)> {
    let repositories = [
        "",
        "acme",
        "acme/",
        "/site",
        "acme/site/x",
        "../../user",
        "acme/..",
        "./site",
        "acme/site?x=1",
        "acme/a#b",
        "acme/%2e%2e",
        "acme/si te",
        "acme/site\n",
        "acme/\0",
        "a\u{202e}/b",
        "acme\\site",
        "@acme/site",
    ];
    let branches = ["", "-x", "../main", "a b", "a\nb", "a\0", "a..b", "refs/heads/a", "HEAD", "a?b"];
    let mut wrong: Vec<(&str, Value)> =
        repositories.map(|text| ("repository", open("repository", text.into()))).to_vec();
    wrong.extend(branches.map(|text| ("head", open("head", text.into()))));
    wrong.extend(branches.map(|text| ("base", open("base", text.into()))));
    wrong.extend(["../x:a", "a/b:c", "a:b:c", ":a", "a:"].map(|text| ("head", open("head", text.into()))));
    wrong.extend(["", " ", "a\nb", "a\u{7}"].map(|text| ("title", open("title", text.into()))));
    wrong.extend(["", "a,b", "a\nb"].map(|text| ("labels", open("labels", json!(["fine", text])))));
    let urls = [
        "",
        "ftp://a",
        "file:///etc/passwd",
        "https://u:p@a/",
        "https://a/?x=1",
        "https://a/#x",
        "api.github.com",
    ];
    wrong.extend(urls.map(|text| ("base_url", open("base_url", text.into()))));
    let checks = |key: &str, value: Value| {
        let mut with = with(&json!({ "do": "checks", "sha": sha('a') }));
        with[key] = value;
        with
    };
    let upper = sha('A');
    let shas = ["", "main", "a1b2c3", "../../../user", &upper, "\n"];
    wrong.extend(shas.map(|text| ("sha", checks("sha", text.into()))));
    wrong.extend(["", "soon", "10ms", "0s", "2d"].map(|text| ("every", checks("every", text.into()))));
    wrong.push(("require", checks("require", json!(["build", " "]))));
    let markers = ["", "a b", "--> <b>", "a--b", "a\n", "é"];
    let comment =
        |marker: &str| with(&json!({ "do": "comment", "number": 1, "body": "x", "marker": marker }));
    wrong.extend(markers.map(|text| ("marker", comment(text))));
    wrong.push(("body", with(&json!({ "do": "comment", "number": 1, "body": " \n" }))));
    wrong
        .push(("method", with(&json!({ "do": "merge", "number": 1, "sha": sha('a'), "method": "octopus" }))));
    wrong
}

#[tokio::test]
async fn they_are_found_before_and_after_rendering() {
    let place = Place::new();
    for (key, mut with) in wrong() {
        let issues = Github::default().validate(&with);
        assert!(issues.len() == 1 && issues[0].path == [key], "{with}: {issues:?}");
        let control = |c: char| c.is_control();
        assert!(!issues[0].message.contains(control), "{:?}", issues[0].message);
        if key != "base_url" {
            with["base_url"] = place.hub.url.clone().into();
        }
        let (class, message) = place.fails(with.clone()).await;
        assert_eq!(class, ErrorClass::Invalid, "{with}: {message}");
        assert!(message.starts_with(&format!("`{key}`: ")), "{with}: {message}");
    }
    assert_eq!(place.hub.received().len(), 0);
}

#[tokio::test]
async fn what_a_value_brings_is_no_expression() {
    let place = Place::new();
    for (key, value) in [
        ("repository", json!("acme/../x${{")),
        ("head", json!("a..${{ b }}")),
        ("title", json!("${{ a\nb }}")),
        ("labels", json!(["${{ a,b }}"])),
    ] {
        let mut with = open(key, value);
        assert_eq!(Github::default().validate(&with), [], "as written, nothing is known of it");
        with["base_url"] = place.hub.url.clone().into();
        let (class, message) = place.fails(with.clone()).await;
        assert_eq!(class, ErrorClass::Invalid, "{with}: {message}");
        assert!(message.starts_with(&format!("`{key}`: ")), "{with}: {message}");
    }
    assert_eq!(place.hub.received().len(), 0);
}

#[test]
fn keys_that_do_not_go_together_are_found() {
    for (with, path, expected) in [
        (json!({ "do": "open", "repository": "a/b", "token": "t" }), "", "`do: open` needs `head`"),
        (
            with(&json!({ "do": "checks", "sha": sha('a'), "head": "x" })),
            "head",
            "`head` means nothing to `do: checks`",
        ),
        (with(&json!({ "do": "logs" })), "", "exactly one of `sha` and `run`"),
        (with(&json!({ "do": "logs", "sha": sha('a'), "run": 1 })), "", "exactly one of `sha` and `run`"),
        (
            with(&json!({ "do": "logs", "run": 1, "app": { "id": 1, "private_key": "x" } })),
            "app",
            "exclude each other",
        ),
        (
            json!({ "do": "merge", "repository": "a/b", "number": 1, "sha": sha('a') }),
            "",
            "needs credentials",
        ),
    ] {
        let issues = Github::default().validate(&with);
        assert!(
            issues.iter().any(|issue| issue.path.join(".") == path && issue.message.contains(expected)),
            "{with}: {issues:?}"
        );
    }
    let open = with(&json!({
        "do": "open", "repository": "${{ inputs.repository }}", "head": "${{ inputs.head }}", "base": "main",
        "title": "${{ inputs.title }}", "labels": ["${{ inputs.label }}"],
    }));
    assert_eq!(Github::default().validate(&open), [], "what is not known yet is not judged");
    assert_eq!(
        Github::default().validate(&json!({ "do": "checks", "repository": "a/b", "sha": sha('a') })),
        []
    );
}
