//! HTTP calls to a real server.

mod server;
mod stage;

use std::sync::Arc;
use std::time::Duration;

use orchestrator_core::port::plugin::{Outcome, Plugin, Stop, StopReason, Stream};
use orchestrator_core::spec::EffectClass;
use orchestrator_core::spec::retry::ErrorClass;
use orchestrator_plugins::Http;
use serde_json::{Value, json};
use server::{Reply, Server, reply, reply_json};
use stage::{Log, context, failure, output, request};

/// Longer than anything here takes; reached only by what hangs.
const HANG: Duration = Duration::from_secs(60);

async fn call(with: Value) -> (Outcome, Arc<Log>) {
    tokio::time::timeout(HANG, stage::execute(&Http::default(), with)).await.expect("the call hangs")
}

fn unknown(outcome: Outcome) -> (ErrorClass, String) {
    match outcome {
        Outcome::Unknown { error } => (error.class, error.message.to_string()),
        other => panic!("expected an unknown outcome, got {other:?}"),
    }
}

#[tokio::test]
async fn a_get_gives_status_headers_text_and_json() {
    let server = Server::always(reply(
        200,
        "Content-Type: application/json\r\nX-A: 1\r\nX-A: 2\r\nSet-Cookie: s=1\r\n",
        "{\"id\": 7}",
    ))
    .await;
    let with = json!({
        "url": format!("{}/items?a=1", server.url),
        "query": { "page": 2, "label": ["x y", "ä&b"], "none": null },
        "headers": { "X-Count": 3, "Accept": "application/json" },
    });
    let (outcome, log) = call(with).await;
    let output = output(outcome);
    assert_eq!(
        (&output["status"], &output["body"], &output["json"]),
        (&json!(200), &json!("{\"id\": 7}"), &json!({ "id": 7 }))
    );
    assert_eq!(output["headers"]["x-a"], "1, 2");
    assert_eq!(output["headers"].get("set-cookie"), None);
    let received = &server.received()[0];
    assert_eq!(received.method, "GET");
    // Parameters keep their order in the config, which JSON objects sort by name.
    assert_eq!(received.target, "/items?a=1&label=x+y&label=%C3%A4%26b&page=2");
    assert_eq!((&*received.headers["x-count"], &*received.headers["accept"]), ("3", "application/json"));
    assert!(received.headers["user-agent"].starts_with("orchestrator/"));
    assert!(!received.headers.contains_key("idempotency-key"));
    let line = format!("GET {}/items: 200 OK, 9 bytes", server.url);
    assert_eq!(log.lines(Stream::System), [line]);
}

#[tokio::test]
async fn changes_carry_a_body_and_the_key_of_the_step() {
    let server = Server::always(reply(201, "", "")).await;
    for method in ["POST", "PUT", "PATCH", "DELETE"] {
        let with = json!({ "method": method, "url": server.url, "json": { "a": [1, null] }, "expect": 201 });
        assert_eq!(output(call(with).await.0)["json"], Value::Null, "{method}");
    }
    let folder = tempfile::tempdir().unwrap();
    let key = context(folder.path()).0.idempotency_key();
    for (received, method) in server.received().iter().zip(["POST", "PUT", "PATCH", "DELETE"]) {
        assert_eq!(received.method, method);
        assert_eq!(received.json(), json!({ "a": [1, null] }));
        assert_eq!(received.headers["content-type"], "application/json");
        assert_eq!(received.headers["idempotency-key"], *key);
    }
    let own = json!({ "method": "POST", "url": server.url, "body": "a=1", "headers": { "Idempotency-Key": "mine", "Content-Type": "text/x" } });
    output(call(own).await.0);
    let received = server.received().pop().unwrap();
    assert_eq!(
        (&*received.headers["idempotency-key"], &*received.headers["content-type"], &*received.body),
        ("mine", "text/x", "a=1")
    );
}

#[tokio::test]
async fn null_can_be_sent_as_json() {
    let server = Server::always(reply(200, "", "")).await;
    output(call(json!({ "method": "POST", "url": server.url, "json": null })).await.0);
    assert_eq!(server.received()[0].body, "null");
}

#[tokio::test]
async fn an_unexpected_status_fails_with_its_class_and_the_answer() {
    for (status, class) in [
        (429, ErrorClass::RateLimited),
        (408, ErrorClass::Transient),
        (500, ErrorClass::Transient),
        (503, ErrorClass::Transient),
        (401, ErrorClass::Denied),
        (403, ErrorClass::Denied),
        (404, ErrorClass::Invalid),
        (422, ErrorClass::Invalid),
        (304, ErrorClass::Failed),
    ] {
        let server = Server::always(reply(status, "retry-after: 7\r\n", "the\n  reason")).await;
        for method in ["GET", "POST"] {
            let outcome =
                call(json!({ "method": method, "url": format!("{}/x?token=secret", server.url) })).await.0;
            let Outcome::Failed { error, retry_after } = outcome else { panic!("{outcome:?}") };
            assert_eq!((error.class, retry_after), (class, Some(Duration::from_secs(7))), "{status}");
            assert!(error.message.contains(&status.to_string()), "{}", error.message);
            assert!(!error.message.contains("secret"), "{}", error.message);
            // A 304 has no body.
            assert!(status == 304 || error.message.ends_with(": the reason"), "{}", error.message);
        }
    }
}

#[tokio::test]
async fn the_author_says_which_statuses_are_expected() {
    let server = Server::always(reply(404, "", "gone")).await;
    let output = output(call(json!({ "url": server.url, "expect": ["2xx", 404] })).await.0);
    assert_eq!((&output["status"], &output["body"]), (&json!(404), &json!("gone")));
    let server = Server::always(reply(200, "", "")).await;
    assert_eq!(failure(call(json!({ "url": server.url, "expect": 201 })).await.0).0, ErrorClass::Failed);
}

#[tokio::test]
async fn a_body_longer_than_the_limit_is_not_read_to_its_end() {
    let head = "HTTP/1.1 200 OK\r\n";
    for reply in [
        Reply::Endless(format!("{head}connection: close\r\n\r\n")),
        Reply::Hang(format!("{head}content-length: 1001\r\n\r\n")),
        Reply::Raw(format!("{head}connection: close\r\n\r\n{}", "x".repeat(1001))),
    ] {
        let server = Server::always(reply).await;
        let (class, message) = failure(call(json!({ "url": server.url, "max_bytes": 1000 })).await.0);
        assert_eq!(class, ErrorClass::Invalid);
        assert!(message.contains("longer than 1000 bytes"), "{message}");
    }
    let server = Server::always(reply(200, "", &"x".repeat(1000))).await;
    assert_eq!(output(call(json!({ "url": server.url, "max_bytes": 1000 })).await.0)["status"], 200);
    // What is unexpected anyway may be as long as it likes.
    let server =
        Server::always(Reply::Endless("HTTP/1.1 500 No\r\nconnection: close\r\n\r\n".to_owned())).await;
    assert_eq!(failure(call(json!({ "url": server.url })).await.0).0, ErrorClass::Transient);
}

#[tokio::test]
async fn no_answer_in_time_is_a_timeout_or_unknown() {
    for reply in [
        Reply::Hang(String::new()),
        Reply::Hang("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc".to_owned()),
        Reply::Endless("HTTP/1.1 200 OK\r\nx-endless: ".to_owned()),
    ] {
        let server = Server::always(reply.clone()).await;
        let outcome = call(json!({ "url": server.url, "timeout": "200ms" })).await.0;
        if matches!(reply, Reply::Endless(_)) {
            // The client gives up on a header without end by itself, unless the time is up first.
            assert!(matches!(failure(outcome).0, ErrorClass::Timeout | ErrorClass::Transient));
        } else {
            assert_eq!(failure(outcome).0, ErrorClass::Timeout);
            let with = json!({ "method": "POST", "url": server.url, "timeout": "200ms" });
            assert_eq!(unknown(call(with).await.0).0, ErrorClass::Timeout);
        }
    }
}

#[tokio::test]
async fn a_connection_that_breaks_leaves_a_change_unknown() {
    for text in ["", "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc", "nonsense\r\n\r\n"] {
        let server = Server::always(Reply::Raw(text.to_owned())).await;
        assert_eq!(failure(call(json!({ "url": server.url })).await.0).0, ErrorClass::Transient, "{text:?}");
        let (class, message) = unknown(call(json!({ "method": "POST", "url": server.url })).await.0);
        assert_eq!(class, ErrorClass::Transient, "{text:?}");
        assert!(message.starts_with(&format!("POST {}/: the connection broke", server.url)), "{message}");
    }
}

#[tokio::test]
async fn where_nobody_listens_nothing_was_sent() {
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    for url in [format!("http://{closed}"), "http://no-such-host.invalid".to_owned()] {
        let (class, message) = failure(call(json!({ "method": "POST", "url": url })).await.0);
        assert_eq!(class, ErrorClass::Transient);
        assert!(message.contains("cannot connect"), "{message}");
    }
}

#[tokio::test]
async fn redirects_are_followed_up_to_a_number() {
    let server =
        Server::start(|request| match request.target.strip_prefix('/').and_then(|n| n.parse::<u32>().ok()) {
            Some(0) | None => reply(200, "", "there"),
            Some(n) => reply(302, &format!("location: /{}\r\n", n - 1), ""),
        })
        .await;
    assert_eq!(output(call(json!({ "url": format!("{}/5", server.url) })).await.0)["body"], "there");
    let (class, message) = failure(call(json!({ "url": format!("{}/6", server.url) })).await.0);
    assert_eq!(class, ErrorClass::Failed);
    assert!(message.contains("more than 5 redirects"), "{message}");
}

#[tokio::test]
async fn redirects_go_nowhere_else_and_take_no_credentials() {
    let other = Server::always(reply(200, "", "")).await;
    let to = format!("location: {}/\r\n", other.url);
    let server = Server::start(move |_| reply(307, &to, "")).await;
    let headers =
        json!({ "Authorization": "Bearer secret", "Cookie": "a=b", "X-Api-Key": "k", "Accept": "a/b" });
    output(call(json!({ "url": server.url, "headers": headers })).await.0);
    let received = &other.received()[0];
    assert_eq!(received.headers["accept"], "a/b");
    for name in ["authorization", "cookie", "x-api-key", "referer"] {
        assert_eq!(received.headers.get(name), None);
    }
    for place in ["file:///etc/passwd", "ftp://127.0.0.1/x"] {
        let server = Server::always(reply(302, &format!("location: {place}\r\n"), "")).await;
        assert!(matches!(call(json!({ "url": server.url })).await.0, Outcome::Failed { .. }), "{place}");
    }
}

#[tokio::test]
async fn odd_bodies_become_text_that_can_be_kept() {
    let server =
        Server::always(reply(200, "content-type: application/json\r\n", "{\"a\\u0000\": [\"b\\u0000\"]}"))
            .await;
    assert_eq!(
        output(call(json!({ "url": server.url })).await.0)["json"],
        json!({ "a\u{fffd}": ["b\u{fffd}"] })
    );
    let server = Server::always(reply(200, "content-type: application/json\r\n", "not json\0")).await;
    let output = output(call(json!({ "url": server.url })).await.0);
    assert_eq!((&output["json"], &output["body"]), (&Value::Null, &json!("not json\u{fffd}")));
    let deep = format!("{}{}", "[".repeat(110), "]".repeat(110));
    let server = Server::always(reply(200, "", &deep)).await;
    let (class, message) = failure(call(json!({ "url": server.url })).await.0);
    assert!(class == ErrorClass::Invalid && message.contains("nested deeper"), "{message}");
}

#[tokio::test]
async fn what_cannot_be_sent_is_refused_by_name_and_sends_nothing() {
    let server = Server::always(reply(200, "", "")).await;
    let url = &server.url;
    for (with, expected) in [
        (json!({ "url": "nonsense" }), "`url`: `nonsense` is not a URL"),
        (json!({ "url": "ftp://host" }), "`ftp` is not a scheme"),
        (json!({ "url": "http://" }), "`url`"),
        (json!({ "url": url, "method": "FETCH" }), "`method`: `FETCH`"),
        (json!({ "url": url, "headers": { "a b": 1 } }), "`headers`: `a b` is not the name"),
        (json!({ "url": url, "headers": { "": 1 } }), "`headers`: `` is not the name"),
        (json!({ "url": url, "headers": { "A": "x\r\nB: y" } }), "the value of `A` holds a line end"),
        (json!({ "url": url, "headers": { "A": [] } }), "`A` is not a text"),
        (json!({ "url": url, "headers": { "Content-Length": 5 } }), "`Content-Length` cannot be set"),
        (json!({ "url": url, "query": { "a": {} } }), "`query.a` is not a text"),
        (json!({ "url": url, "timeout": "0s" }), "`timeout`"),
        (json!({ "url": url, "timeout": "2h" }), "`timeout`"),
        (json!({ "url": url, "expect": "ok" }), "`expect`"),
        (json!({ "url": url, "method": "POST", "json": 1, "body": "x" }), "exclude each other"),
        (json!({ "url": url, "bdy": 1 }), "unknown field `bdy`"),
        (json!({ "url": 5 }), "`with` does not fit"),
    ] {
        let (class, message) = failure(call(with.clone()).await.0);
        assert_eq!(class, ErrorClass::Invalid, "{with}");
        assert!(message.contains(expected), "{with}: {message}");
    }
    assert_eq!(server.received(), []);
}

#[tokio::test]
async fn a_stop_ends_a_read_at_once_and_leaves_a_change_unknown() {
    for (method, reason) in [
        ("GET", StopReason::Cancelled),
        ("GET", StopReason::TimedOut),
        ("POST", StopReason::Shutdown),
        ("POST", StopReason::TimedOut),
        ("POST", StopReason::Fenced),
    ] {
        let server = Server::always(Reply::Hang(String::new())).await;
        let folder = tempfile::tempdir().unwrap();
        let (mut context, _) = context(folder.path());
        let (stopper, stop) = Stop::pair();
        context.stop = stop;
        let with = json!({ "method": method, "url": server.url, "timeout": "1h" });
        let outcome = tokio::spawn(async move { Http::default().execute(context, request(with)).await });
        server.asked().await;
        stopper.stop(reason);
        let outcome = outcome.await.unwrap();
        match (method, reason) {
            ("GET", StopReason::TimedOut) => assert_eq!(failure(outcome).0, ErrorClass::Timeout),
            ("GET", _) => assert_eq!(outcome, Outcome::Stopped),
            (_, StopReason::TimedOut) => assert_eq!(unknown(outcome).0, ErrorClass::Timeout),
            _ => assert!(unknown(outcome).1.contains("stopped before the answer came")),
        }
    }
}

#[tokio::test]
async fn an_answer_that_comes_soon_after_a_stop_still_counts() {
    let (let_go, held) = std::sync::mpsc::channel::<()>();
    let held = std::sync::Mutex::new(held);
    let server = Server::start(move |_| {
        held.lock().unwrap().recv().unwrap();
        reply(200, "", "done")
    });
    let server = server.await;
    let folder = tempfile::tempdir().unwrap();
    let (mut context, _) = context(folder.path());
    let (stopper, stop) = Stop::pair();
    context.stop = stop;
    let with = json!({ "method": "POST", "url": server.url });
    stopper.stop(StopReason::Shutdown);
    let_go.send(()).unwrap();
    assert_eq!(output(Http::default().execute(context, request(with)).await)["body"], "done");
}

#[test]
fn configs_are_checked_as_written() {
    let problems = |with: Value| -> Vec<String> {
        let issues = Http::default().validate(&with).into_iter();
        issues.map(|issue| format!("{}: {}", issue.path.join("."), issue.message)).collect()
    };
    let open = json!({
        "method": "${{ inputs.m }}", "url": "${{ inputs.u }}", "headers": { "A": "${{ inputs.a }}" },
        "expect": "${{ inputs.e }}", "timeout": "${{ inputs.t }}", "json": "${{ steps.a.json }}",
    });
    assert_eq!(problems(open), [""; 0]);
    assert_eq!(
        problems(json!({ "url": "gopher://x" })),
        ["url: `gopher` is not a scheme that can be called; use http or https"]
    );
    assert_eq!(
        problems(
            json!({ "url": "http://x", "json": 1, "body": "x", "timeout": "soon", "expect": 99, "headers": { "a b": 1 } })
        ),
        [
            "timeout: `soon` is not a duration such as 10s, 5m or 1h30m",
            "expect: `99` is not a status such as 201, 2xx or 200-204",
            "body: `json` and `body` exclude each other",
            "json: there is a body but no `method`, and that means GET",
            "headers.a b: `a b` is not the name of a header",
        ]
    );
}

#[test]
fn what_a_call_does_is_said_beforehand() {
    let http = Http::default();
    assert_eq!(
        http.reaches(&json!({ "url": "https://u:p@host/a?token=1" })),
        ["sends a GET request to https://host/a"]
    );
    assert_eq!(
        http.reaches(&json!({ "method": "POST", "url": "${{ inputs.url }}" })),
        ["sends a POST request to ${{ inputs.url }}"]
    );
    for (with, class) in [
        (json!({}), EffectClass::Pure),
        (json!({ "method": "HEAD" }), EffectClass::Pure),
        (json!({ "method": "DELETE" }), EffectClass::Idempotent),
        (json!({ "method": "${{ inputs.m }}" }), EffectClass::Idempotent),
    ] {
        assert_eq!(http.effect_class(&with), class, "{with}");
    }
}

#[tokio::test]
async fn one_instance_serves_many_calls_at_once() {
    let server = Server::start(|request| reply_json(200, &json!(request.target))).await;
    let http = Arc::new(Http::default());
    let calls = (0..50).map(|n| {
        let (http, with) = (http.clone(), json!({ "url": format!("{}/{n}", server.url) }));
        tokio::spawn(async move { output(stage::execute(&*http, with).await.0)["json"].clone() })
    });
    for (n, call) in calls.collect::<Vec<_>>().into_iter().enumerate() {
        assert_eq!(call.await.unwrap(), json!(format!("/{n}")));
    }
}
