//! Logs of jobs that have failed: from another host, without the token, masked before they are cut.

use orchestrator_core::mask::Mask;
use orchestrator_core::port::plugin::Plugin;
use orchestrator_core::spec::retry::ErrorClass;
use serde_json::{Value, json};

use crate::double::Reply;
use crate::double::hub::Hub;
use crate::place::{Place, sha};
use crate::stage;

fn jobs() -> Vec<Value> {
    let job = |id: u64, run: u64, name: &str, conclusion: Option<&str>| json!({ "id": id, "run_id": run, "name": name, "status": "completed", "conclusion": conclusion, "html_url": format!("https://ci/{id}") });
    vec![
        job(1, 10, "build", Some("success")),
        job(2, 10, "test", Some("failure")),
        job(3, 11, "lint", Some("timed_out")),
        job(4, 11, "docs", None),
        job(5, 12, "other", Some("failure")),
    ]
}

/// Two runs for the commit have failed, one has not; the storage of logs is another server.
fn place() -> (Place, crate::double::Server<Hub>) {
    let (place, storage) = (Place::new(), Hub::start());
    storage.with(|hub| {
        hub.jobs = Vec::new();
    });
    let run =
        |id: u64, sha: &str, conclusion: &str| json!({ "id": id, "head_sha": sha, "conclusion": conclusion });
    place.hub.with(|hub| {
        hub.runs = vec![
            run(10, &sha('a'), "failure"),
            run(11, &sha('a'), "timed_out"),
            run(12, &sha('b'), "failure"),
            run(13, &sha('a'), "success"),
        ];
        hub.jobs = jobs();
        for id in [2, 3, 5] {
            let to = format!("{}/storage/{id}?sig=abc", storage.url);
            hub.logs.insert(id, Reply::text(302, "").header("location", &to));
        }
    });
    (place, storage)
}

fn stored(storage: &crate::double::Server<Hub>, id: u64, text: &str) {
    storage.fault("GET", &format!("storage/{id}"), crate::double::Fault::Instead(Reply::text(200, text)));
}

#[tokio::test]
async fn they_come_from_another_host_that_sees_no_token() {
    let (place, storage) = place();
    stored(&storage, 2, "one\ntwo\nerror: three\n");
    stored(&storage, 3, "slow\0\n");
    let output = place.gives(json!({ "do": "logs", "sha": sha('a') })).await;
    assert_eq!(
        output,
        json!({ "truncated": false, "jobs": [
            { "id": 2, "name": "test", "conclusion": "failure", "url": "https://ci/2", "log": "one\ntwo\nerror: three\n", "truncated": false },
            { "id": 3, "name": "lint", "conclusion": "timed_out", "url": "https://ci/3", "log": "slow\u{fffd}\n", "truncated": false },
        ]})
    );
    let seen = storage.received();
    assert_eq!(
        seen.iter().map(|request| &*request.target).collect::<Vec<_>>(),
        ["/storage/2?sig=abc", "/storage/3?sig=abc"]
    );
    for request in seen {
        assert_eq!(request.bearer(), None);
        assert!(!format!("{request:?}").contains("token-of-ada"), "{request:?}");
    }
    assert!(place.hub.received().iter().all(|request| request.bearer() == Some("token-of-ada")));
}

#[tokio::test]
async fn a_hop_that_is_not_granted_is_refused() {
    let (place, storage) = place();
    stored(&storage, 2, "log");
    let folder = tempfile::tempdir().unwrap();
    let (mut context, _) = stage::context(folder.path());
    context.network = stage::granted(&[place.hub.url.trim_start_matches("http://")]);
    let request = stage::request(place.with(&json!({ "do": "logs", "run": 10 })));
    let (class, message) = stage::failure(place.github.execute(context, request).await);
    assert_eq!(class, ErrorClass::Denied);
    let grant = format!("network: [\"{}\"]", storage.url.trim_start_matches("http://"));
    assert!(message.contains(&grant), "{message}");
    assert_eq!(storage.received().len(), 0);
}

#[tokio::test]
async fn the_end_is_given_and_secrets_are_masked_before() {
    let (place, storage) = place();
    let log: String = (0..400).map(|n| format!("line {n} of the log, with hunter2-secret in it\n")).collect();
    stored(&storage, 2, &log);
    let folder = tempfile::tempdir().unwrap();
    let (mut context, _) = stage::context(folder.path());
    context.mask = Mask::of(["hunter2-secret"]);
    let request = stage::request(place.with(&json!({ "do": "logs", "run": 10, "max_kib": 1 })));
    let output = stage::output(place.github.execute(context, request).await);
    let job = &output["jobs"][0];
    let text = job["log"].as_str().unwrap();
    assert_eq!(job["truncated"], true);
    assert!(
        text.len() <= 1024
            && text.starts_with("line ")
            && text.ends_with("line 399 of the log, with *** in it\n")
    );
    assert!(text.lines().all(|line| line.contains("***")), "{text}");
}

#[tokio::test]
async fn a_log_that_is_gone_is_none() {
    let (place, storage) = place();
    place.hub.with(|hub| {
        hub.logs.insert(2, Reply::message(410, "Server Error"));
        hub.logs.remove(&3);
    });
    let output = place.gives(json!({ "do": "logs", "sha": sha('a') })).await;
    assert_eq!((&output["jobs"][0]["log"], &output["jobs"][1]["log"]), (&Value::Null, &Value::Null));
    // Nothing has failed.
    assert_eq!(place.gives(json!({ "do": "logs", "sha": sha('c') })).await["jobs"], json!([]));
    assert_eq!(storage.received().len(), 0);
}

#[tokio::test]
async fn so_many_are_given() {
    let (place, _storage) = place();
    place.hub.with(|hub| {
        hub.page = 8;
        hub.jobs = (100..125)
            .map(|id| json!({ "id": id, "run_id": 10, "name": "x", "conclusion": "failure" }))
            .collect();
    });
    let output = place.gives(json!({ "do": "logs", "run": 10 })).await;
    assert_eq!((output["jobs"].as_array().unwrap().len(), &output["truncated"]), (20, &json!(true)));
}
