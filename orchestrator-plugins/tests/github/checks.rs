//! Checks: waited for without a slot, judged together.

use std::time::Duration;

use orchestrator_core::machine::Arrival;
use orchestrator_core::port::plugin::{Awaited, Outcome, Stream};
use orchestrator_core::spec::retry::ErrorClass;
use orchestrator_core::time::wall_clock;
use serde_json::{Value, json};

use crate::double::{Fault, Reply};
use crate::place::{Place, sha};
use crate::stage::{failure, output};

fn checks(more: &Value) -> Value {
    let mut with = json!({ "do": "checks", "sha": sha('a') });
    for (key, value) in more.as_object().unwrap() {
        with[key] = value.clone();
    }
    with
}

fn run(name: &str, conclusion: Option<&str>) -> Value {
    let status = if conclusion.is_some() { "completed" } else { "in_progress" };
    json!({ "name": name, "status": status, "conclusion": conclusion, "html_url": format!("https://ci/{name}") })
}

fn pause(outcome: Outcome) -> Duration {
    match outcome {
        Outcome::Wait { on: Awaited::Pause(pause) } => pause,
        other => panic!("expected a pause, got {other:?}"),
    }
}

#[tokio::test]
async fn they_are_waited_for_until_all_have_ended() {
    let place = Place::new();
    let with = checks(&json!({ "every": "45s", "require": ["deploy"] }));
    // None yet is not well.
    let (outcome, log) = place.execute(with.clone()).await;
    assert_eq!(pause(outcome), Duration::from_secs(45));
    assert_eq!(log.lines(Stream::System), ["0 of 0 checks have ended; waiting for deploy"]);
    place.hub.with(|hub| {
        hub.check_runs = vec![run("build", Some("success")), run("test", None)];
        hub.statuses = vec![json!({ "context": "lint", "state": "success", "target_url": null })];
    });
    let (outcome, log) = place.goes_on(with.clone(), Some(Arrival::Due)).await;
    pause(outcome);
    assert_eq!(log.lines(Stream::System), ["2 of 3 checks have ended; waiting for deploy, test"]);
    // All have ended, and one that is required has not come.
    place.hub.with(|hub| hub.check_runs[1] = run("test", Some("neutral")));
    pause(place.goes_on(with.clone(), Some(Arrival::Due)).await.0);
    place.hub.with(|hub| {
        hub.statuses.push(json!({ "context": "deploy", "state": "success", "target_url": "https://d" }));
    });
    let output = output(place.goes_on(with, Some(Arrival::Due)).await.0);
    assert_eq!((&output["conclusion"], &output["sha"]), (&json!("success"), &json!(sha('a'))));
    assert_eq!(
        output["checks"],
        json!([
            { "name": "build", "status": "completed", "conclusion": "success", "url": "https://ci/build" },
            { "name": "test", "status": "completed", "conclusion": "neutral", "url": "https://ci/test" },
            { "name": "lint", "status": "success", "conclusion": "success", "url": null },
            { "name": "deploy", "status": "success", "conclusion": "success", "url": "https://d" },
        ])
    );
}

#[tokio::test]
async fn a_job_that_waits_for_another_is_waited_for_too() {
    let place = Place::new();
    let suite = |status: &str, runs: u64| json!({ "id": 1, "status": status, "conclusion": null, "latest_check_runs_count": runs, "app": { "name": "Actions" } });
    place.hub.with(|hub| {
        hub.check_runs = vec![run("build", Some("success"))];
        // An app that makes no checks has a suite that never ends.
        hub.suites = vec![suite("queued", 0), suite("in_progress", 1)];
    });
    let (outcome, log) = place.execute(checks(&json!({}))).await;
    assert_eq!(pause(outcome), Duration::from_secs(30));
    assert_eq!(log.lines(Stream::System), ["1 of 2 checks have ended; waiting for Actions"]);
    place.hub.with(|hub| hub.suites[1] = suite("completed", 1));
    assert_eq!(place.gives(checks(&json!({}))).await["conclusion"], "success");
}

#[tokio::test]
async fn a_workflow_that_is_held_before_its_first_job_is_waited_for() {
    let place = Place::new();
    let suite = |status: &str, slug: &str| json!({ "id": 1, "status": status, "conclusion": null, "latest_check_runs_count": 0, "app": { "name": slug, "slug": slug } });
    for status in ["queued", "pending"] {
        place.hub.with(|hub| {
            hub.check_runs = vec![run("lint", Some("success"))];
            hub.suites = vec![suite("queued", "renovate"), suite(status, "github-actions")];
        });
        let (outcome, log) = place.execute(checks(&json!({}))).await;
        assert_eq!(pause(outcome), Duration::from_secs(30), "{status}");
        assert_eq!(log.lines(Stream::System), ["1 of 2 checks have ended; waiting for github-actions"]);
    }
    place.hub.with(|hub| hub.suites[1] = suite("completed", "github-actions"));
    assert_eq!(place.gives(checks(&json!({}))).await["conclusion"], "success");
}

#[tokio::test]
async fn one_that_has_failed_fails_the_step_unless_it_says() {
    for conclusion in ["failure", "timed_out", "cancelled", "action_required", "stale", "startup_failure"] {
        let place = Place::new();
        place
            .hub
            .with(|hub| hub.check_runs = vec![run("build", Some(conclusion)), run("test", Some("success"))]);
        let (class, message) = place.fails(checks(&json!({}))).await;
        assert_eq!(class, ErrorClass::Failed);
        let expected = format!("checks of {} have failed: build ({conclusion}, https://ci/build)", sha('a'));
        assert_eq!(message, expected);
        let output = place.gives(checks(&json!({ "fail": false }))).await;
        assert_eq!(
            (&output["conclusion"], &output["checks"][0]["conclusion"]),
            (&json!("failure"), &json!(conclusion))
        );
    }
    let place = Place::new();
    place.hub.with(|hub| hub.statuses = vec![json!({ "context": "lint", "state": "error" })]);
    assert!(place.fails(checks(&json!({}))).await.1.ends_with("lint (error)"));
}

#[tokio::test]
async fn many_come_in_pages() {
    let place = Place::new();
    place.hub.with(|hub| {
        hub.page = 7;
        hub.check_runs = (0..30).map(|n| run(&format!("c{n}"), Some("success"))).collect();
        hub.statuses = (0..15).map(|n| json!({ "context": format!("s{n}"), "state": "success" })).collect();
    });
    assert_eq!(place.gives(checks(&json!({}))).await["checks"].as_array().unwrap().len(), 45);
    place.hub.with(|hub| hub.check_runs[29] = run("c29", Some("failure")));
    assert!(place.fails(checks(&json!({}))).await.1.contains("c29 (failure"));
}

#[tokio::test]
async fn a_limit_makes_the_pause_longer() {
    let place = Place::new();
    let with = checks(&json!({ "every": "10s" }));
    let limited = |reply: Reply| place.hub.fault("GET", "check-runs", Fault::Instead(reply));
    limited(Reply::message(403, "You have exceeded a secondary rate limit.").header("retry-after", "90"));
    let (outcome, log) = place.execute(with.clone()).await;
    assert_eq!(pause(outcome), Duration::from_secs(90));
    assert!(
        log.text().contains("secondary rate limit") && log.text().contains("again in 90s"),
        "{}",
        log.text()
    );
    let reset = (wall_clock().as_millis() / 1_000 + 600).to_string();
    let spent = Reply::message(403, "API rate limit exceeded for user ID 1.");
    limited(spent.header("x-ratelimit-remaining", "0").header("x-ratelimit-reset", &reset));
    let pause = pause(place.goes_on(with, Some(Arrival::Due)).await.0);
    assert!(pause > Duration::from_secs(500) && pause <= Duration::from_secs(600), "{pause:?}");
}

#[tokio::test]
async fn a_look_that_fails_is_made_again_but_for_the_first() {
    let place = Place::new();
    let away = || place.hub.fault("GET", "check-runs", Fault::Instead(Reply::text(502, "<html>no</html>")));
    away();
    assert_eq!(place.fails(checks(&json!({}))).await.0, ErrorClass::Transient);
    away();
    let (outcome, log) = place.goes_on(checks(&json!({})), Some(Arrival::Due)).await;
    assert_eq!(pause(outcome), Duration::from_secs(30));
    assert!(log.text().contains("502 Bad Gateway"), "{}", log.text());
    // What will not pass is not waited for.
    place.hub.fault("GET", "check-runs", Fault::Instead(Reply::message(404, "Not Found")));
    let (class, _) = failure(place.goes_on(checks(&json!({})), Some(Arrival::Due)).await.0);
    assert_eq!(class, ErrorClass::Invalid);
}

#[tokio::test]
async fn those_of_a_public_repository_take_no_credentials() {
    let place = Place::new();
    place.hub.with(|hub| hub.check_runs = vec![run("build", Some("success"))]);
    place.gives(checks(&json!({ "token": null }))).await;
    assert!(place.hub.received().iter().all(|request| request.bearer().is_none()));
}
