//! Pipelines: waited for, judged with the commit's statuses, and what their failed jobs have said.

use std::time::Duration;

use orchestrator_core::port::plugin::{Awaited, Outcome, Stream};
use serde_json::{Value, json};

use crate::place::{Place, also, sha};

fn checks(more: &Value) -> Value {
    also(json!({ "do": "checks", "sha": sha('a') }), more)
}

fn status(id: u64, name: &str, status: &str, may_fail: bool) -> Value {
    json!({ "id": id, "name": name, "status": status, "allow_failure": may_fail, "target_url": format!("https://ci/{id}") })
}

fn pipeline(id: u64, status: &str) -> Value {
    json!({ "id": id, "sha": sha('a'), "status": status, "web_url": format!("https://ci/p{id}") })
}

async fn waits(place: &Place, with: &Value) -> String {
    let (outcome, log) = place.execute(with).await;
    assert_eq!(outcome, Outcome::Wait { on: Awaited::Pause(Duration::from_secs(30)) });
    log.lines(Stream::System).remove(0)
}

#[tokio::test]
async fn they_are_waited_for_until_the_pipeline_has_ended() {
    let place = Place::new();
    assert!(waits(&place, &checks(&json!({}))).await.ends_with("waiting for the first of them"));
    // One that nobody has to start, one that must be started, and one that is to come.
    place.lab.with(|lab| {
        lab.statuses = vec![
            status(1, "build", "success", false),
            status(2, "docs", "manual", true),
            status(3, "deploy", "manual", false),
        ];
        lab.pipelines = vec![pipeline(5, "running")];
    });
    assert!(
        waits(&place, &checks(&json!({})))
            .await
            .ends_with("2 of 4 checks have ended; waiting for deploy, pipeline")
    );
    place.lab.with(|lab| {
        lab.statuses[2] = status(3, "deploy", "success", false);
        lab.statuses.push(status(4, "lint", "failed", true));
        lab.pipelines[0] = pipeline(5, "success");
    });
    assert!(waits(&place, &checks(&json!({ "require": ["scan"] }))).await.ends_with("waiting for scan"));
    let output = place.gives(&checks(&json!({}))).await;
    assert_eq!(output["conclusion"], "success", "lint may fail");
    let names: Vec<&str> =
        output["checks"].as_array().unwrap().iter().map(|check| check["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["build", "deploy", "docs", "lint", "pipeline"]);
    assert_eq!(
        output["checks"][4],
        json!({ "name": "pipeline", "status": "success", "conclusion": "success", "url": "https://ci/p5" })
    );
}

#[tokio::test]
async fn the_newest_pipeline_counts() {
    let place = Place::new();
    place.lab.with(|lab| {
        lab.page = 1;
        // In whatever order they come.
        lab.statuses = vec![
            status(9, "build", "success", false),
            status(1, "build", "failed", false),
            status(2, "test", "failed", false),
            status(8, "test", "success", false),
        ];
        lab.pipelines = vec![pipeline(5, "failed"), pipeline(6, "success")];
    });
    assert_eq!(place.gives(&checks(&json!({}))).await["conclusion"], "success");
    place.lab.with(|lab| lab.statuses[0] = status(9, "build", "canceled", false));
    let (_, message) = place.fails(&checks(&json!({}))).await;
    assert_eq!(message, format!("checks of {} have failed: build (canceled, https://ci/9)", sha('a')));
    let output = place.gives(&checks(&json!({ "fail": false }))).await;
    assert_eq!(output["conclusion"], "failure");
}

#[tokio::test]
async fn logs_of_failed_jobs_are_given() {
    let place = Place::new();
    let job = |id: u64, pipeline: u64, status: &str| json!({ "id": id, "name": format!("j{id}"), "status": status, "web_url": null, "pipeline": { "id": pipeline } });
    place.lab.with(|lab| {
        lab.pipelines = vec![pipeline(5, "failed"), pipeline(6, "success")];
        lab.jobs = vec![job(1, 5, "success"), job(2, 5, "failed"), job(3, 6, "failed"), job(4, 5, "failed")];
        lab.traces.insert(2, format!("{}\nerror\n", "x".repeat(2_000)));
    });
    let output = place.gives(&json!({ "do": "logs", "sha": sha('a'), "max_kib": 1 })).await;
    assert_eq!(
        output["jobs"],
        json!([
            { "id": 2, "name": "j2", "conclusion": "failed", "url": null, "log": "error\n", "truncated": true },
            { "id": 4, "name": "j4", "conclusion": "failed", "url": null, "log": null, "truncated": false },
        ])
    );
    let output = place.gives(&json!({ "do": "logs", "run": 6 })).await;
    assert_eq!(output["jobs"][0]["id"], 3);
}
