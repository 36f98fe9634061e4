//! What `http` sends and what it makes of answers: bodies, credentials, checks, and servers that behave as none should.

mod server;
mod stage;

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use orchestrator_core::port::plugin::{Outcome, Plugin};
use orchestrator_core::spec::EffectClass;
use orchestrator_core::spec::retry::ErrorClass;
use orchestrator_plugins::Http;
use serde_json::{Value, json};
use server::{Received, Reply, Server, reply, reply_json};
use stage::{context, failure, output, request};

/// Longer than anything here takes.
const HANG: Duration = Duration::from_secs(60);

async fn call_in(folder: &Path, with: Value) -> Outcome {
    let (context, _) = context(folder);
    let call = async { Http::default().execute(context, request(with)).await };
    tokio::time::timeout(HANG, call).await.expect("the call hangs")
}

async fn call(with: Value) -> Outcome {
    call_in(tempfile::tempdir().unwrap().path(), with).await
}

/// What a server of its own gets when this is sent.
async fn sent(folder: &Path, mut with: Value) -> Received {
    let server = Server::always(reply(200, "", "")).await;
    with["url"] = json!(server.url);
    output(call_in(folder, with).await);
    server.received().remove(0)
}

#[tokio::test]
async fn a_form_is_sent_as_browsers_send_it() {
    let form = json!({ "a b": "x&y=z", "n": 1, "list": ["ä", true], "none": null });
    let got = sent(Path::new("."), json!({ "method": "POST", "form": form })).await;
    assert_eq!(got.headers["content-type"], "application/x-www-form-urlencoded");
    assert_eq!(got.body, "a+b=x%26y%3Dz&list=%C3%A4&list=true&n=1");
    let got = sent(Path::new("."), json!({ "method": "POST", "form": {} })).await;
    assert_eq!(got.body, "");
}

#[tokio::test]
async fn parts_are_texts_and_files_and_the_same_on_every_attempt() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("out")).unwrap();
    fs::write(folder.path().join("out/a.txt"), "the file").unwrap();
    let parts = json!({
        "title": "Hello",
        "many": [1, { "text": "{}", "type": "application/json", "filename": "x\"y.json" }],
        "report": { "file": "./out/a.txt", "type": "text/plain" },
        "raw": { "file": "out/a.txt", "filename": "b.bin" },
    });
    let with = json!({ "method": "POST", "multipart": parts });
    let got = sent(folder.path(), with.clone()).await;
    let kind = &got.headers["content-type"];
    let boundary = kind.strip_prefix("multipart/form-data; boundary=").unwrap_or_else(|| panic!("{kind}"));
    let expected = [
        "Content-Disposition: form-data; name=\"many\"\r\n\r\n1",
        "Content-Disposition: form-data; name=\"many\"; filename=\"x%22y.json\"\r\nContent-Type: application/json\r\n\r\n{}",
        "Content-Disposition: form-data; name=\"raw\"; filename=\"b.bin\"\r\nContent-Type: application/octet-stream\r\n\r\nthe file",
        "Content-Disposition: form-data; name=\"report\"; filename=\"a.txt\"\r\nContent-Type: text/plain\r\n\r\nthe file",
        "Content-Disposition: form-data; name=\"title\"\r\n\r\nHello",
    ];
    let expected: String = expected.iter().map(|part| format!("--{boundary}\r\n{part}\r\n")).collect();
    assert_eq!(got.body, format!("{expected}--{boundary}--\r\n"));
    assert_eq!(sent(folder.path(), with).await.body, got.body);
    // A part that holds what would separate it, is separated by something else.
    let tricky = json!({ "method": "POST", "multipart": { "title": format!("--{boundary}") } });
    assert!(sent(folder.path(), tricky).await.headers["content-type"] != *kind);
}

#[tokio::test]
async fn a_file_is_sent_if_it_lies_below_the_folder_of_the_run() {
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("secret"), "secret").unwrap();
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.bin"), "content").unwrap();
    std::os::unix::fs::symlink(outside.path().join("secret"), folder.path().join("link")).unwrap();
    let got = sent(folder.path(), json!({ "method": "PUT", "body_file": "a.bin" })).await;
    assert_eq!((&*got.body, &*got.headers["content-type"]), ("content", "application/octet-stream"));
    let server = Server::always(reply(200, "", "")).await;
    let absolute = outside.path().join("secret");
    for (path, why) in [
        ("../secret", "not a path below"),
        (absolute.to_str().unwrap(), "not a path below"),
        ("a/../../secret", "not a path below"),
        ("link", "leads out of the folder"),
        ("missing", "No such file"),
        (".", "is not a file"),
        ("", "not a path below"),
    ] {
        let with = json!({ "method": "PUT", "url": server.url, "body_file": path });
        let part = json!({ "method": "PUT", "url": server.url, "multipart": { "p": { "file": path } } });
        for with in [with, part] {
            let (class, message) = failure(call_in(folder.path(), with).await);
            assert_eq!(class, ErrorClass::Invalid);
            assert!(message.contains(why), "{path}: {message}");
        }
    }
    assert_eq!(server.received(), []);
}

#[tokio::test]
async fn credentials_become_a_header_and_nothing_else() {
    for (auth, header) in [
        (
            json!({ "basic": { "username": "Aladdin", "password": "open sesame" } }),
            "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==",
        ),
        (json!({ "basic": { "username": "", "password": "ä:" } }), "Basic OsOkOg=="),
        (json!({ "bearer": "t0ken" }), "Bearer t0ken"),
    ] {
        assert_eq!(sent(Path::new("."), json!({ "auth": auth })).await.headers["authorization"], header);
    }
    let server = Server::always(reply(200, "", "")).await;
    for (with, why) in [
        (json!({ "auth": {} }), "exactly one of"),
        (
            json!({ "auth": { "bearer": "secret", "basic": { "username": "a", "password": "secret" } } }),
            "exactly one of",
        ),
        (json!({ "auth": { "bearer": "secret\r\nX: y" } }), "a line end"),
        (json!({ "auth": { "basic": { "username": "a:b", "password": "secret" } } }), "no colon"),
        (
            json!({ "auth": { "bearer": "secret" }, "headers": { "authorization": "x" } }),
            "exclude each other",
        ),
        (json!({ "url": "http://me:secret@127.0.0.1/" }), "no user and no password"),
    ] {
        let mut with = with;
        if with.get("url").is_none() {
            with["url"] = json!(server.url);
        }
        let (class, message) = failure(call(with.clone()).await);
        assert_eq!(class, ErrorClass::Invalid, "{with}");
        assert!(message.contains(why) && !message.contains("secret"), "{message}");
    }
    assert_eq!(server.received(), []);
}

#[tokio::test]
async fn a_check_judges_the_answer() {
    let answer = json!({ "state": "queued", "items": [1, 2] });
    let server = Server::always(reply_json(202, &answer)).await;
    for (check, holds) in [
        ("self.json.state == 'queued'", true),
        ("self.json['items'] | length == 2 and self.json.state != 'done'", true),
        ("self.headers['content-type'] is startingwith 'application/json'", true),
        ("'queued' in self.body", true),
        ("self.json.state == 'done'", false),
    ] {
        let outcome = call(json!({ "url": server.url, "check": check })).await;
        if holds {
            output(outcome);
        } else {
            let (class, message) = failure(outcome);
            assert_eq!(class, ErrorClass::Failed);
            let said = "`check` does not hold of the answer: self.json.state == 'done', 202 Accepted: {";
            assert!(message.contains(said), "{message}");
        }
    }
    // What has another shape, does not hold either.
    for check in ["self.json.missing.deeper", "self.json.state"] {
        let (class, message) = failure(call(json!({ "url": server.url, "check": check })).await);
        assert!(class == ErrorClass::Failed && message.contains("`check` cannot be told"), "{message}");
    }
    // An answer of an unexpected status is judged by its status.
    let failed = Server::always(reply(500, "", "")).await;
    assert_eq!(failure(call(json!({ "url": failed.url, "check": "true" })).await).0, ErrorClass::Transient);
}

#[test]
fn bodies_checks_and_credentials_are_looked_at_as_written() {
    let problems = |with: Value| -> Vec<String> {
        let issues = Http::default().validate(&with).into_iter();
        issues.map(|issue| format!("{}: {}", issue.path.join("."), issue.message)).collect()
    };
    let with = |key: &str, value: Value| json!({ "method": "POST", "url": "https://x/", key: value });
    for (with, expected) in [
        (with("check", json!("self.json.ok")), vec![]),
        (
            with("check", json!("${{ self.json.ok }}")),
            vec!["check: it is an expression by itself, without `${{ }}`, and sees only `self`"],
        ),
        (with("check", json!("inputs.x")), vec!["check: it sees only the answer, as `self`"]),
        (
            with("check", json!("self.code == 1")),
            vec!["check: an answer has no `code`; it has headers, body, json"],
        ),
        (
            with("check", json!("self.status == 200")),
            vec![
                "check: `self.status` is the status of the step; `expect` says which statuses of the answer are right",
            ],
        ),
        (
            with("check", json!("success()")),
            vec!["check: it is about the answer: `success()` and its like have no place in it"],
        ),
        (
            with("body_file", json!("../x")),
            vec!["body_file: `../x` is not a path below the folder of the run"],
        ),
        (with("body_file", json!("${{ inputs.x }}")), vec![]),
        (with("auth", json!({})), vec!["auth: exactly one of `basic` and `bearer` is needed"]),
        (with("auth", json!({ "bearer": "x" })), vec![]),
        (
            json!({ "url": "https://x/", "form": {} }),
            vec!["form: there is a body but no `method`, and that means GET"],
        ),
        (
            json!({ "url": "https://x/", "method": "POST", "form": {}, "multipart": {} }),
            vec!["multipart: `form` and `multipart` exclude each other"],
        ),
        (json!({ "url": "https://u:p@x/" }), vec!["url: a URL holds no user and no password"]),
    ] {
        assert_eq!(problems(with.clone()), expected, "{with}");
    }
    assert!(problems(with("check", json!("self.json.ok &&"))).len() == 1);
    assert_eq!(Http::default().effect_class(&json!({ "method": "OPTIONS" })), EffectClass::Pure);
}

#[tokio::test]
async fn an_expected_redirect_is_an_answer() {
    let server = Server::always(reply(302, "location: http://169.254.169.254/\r\n", "")).await;
    let got = output(call(json!({ "url": server.url, "expect": [302] })).await);
    assert_eq!(
        (&got["status"], &got["headers"]["location"]),
        (&json!(302), &json!("http://169.254.169.254/"))
    );
}

#[tokio::test]
async fn a_redirect_repeats_the_body_or_fetches_as_its_status_says() {
    for (status, method, body) in [(307, "POST", "x"), (308, "POST", "x"), (303, "GET", ""), (302, "GET", "")]
    {
        let server = Server::start(move |request| match &*request.target {
            "/" => reply(status, "location: /then\r\n", ""),
            _ => reply(200, "", "there"),
        })
        .await;
        let with = json!({ "method": "POST", "url": server.url, "body": "x", "headers": { "X-Key": "k" } });
        assert_eq!(output(call(with).await)["body"], "there");
        let then = server.received().pop().unwrap();
        assert_eq!((&*then.method, &*then.body, &*then.headers["x-key"]), (method, body, "k"), "{status}");
    }
    // A change that was made, and an answer that leads to nobody: it may have been carried out.
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let server = Server::always(reply(303, &format!("location: http://{closed}/\r\n"), "")).await;
    let outcome = call(json!({ "method": "POST", "url": server.url })).await;
    assert!(matches!(outcome, Outcome::Unknown { .. }), "{outcome:?}");
}

#[tokio::test]
async fn nothing_is_decompressed_so_there_is_no_bomb() {
    // A thousand bytes that a client which believes the header would make a million of.
    let bomb = "x".repeat(1_000);
    for coding in ["gzip", "deflate", "br", "zstd"] {
        let server = Server::always(reply(200, &format!("content-encoding: {coding}\r\n"), &bomb)).await;
        let got = output(call(json!({ "url": server.url, "max_bytes": 1_000 })).await);
        assert_eq!(got["body"].as_str().unwrap().len(), 1_000);
        assert!(!server.received()[0].headers.contains_key("accept-encoding"));
    }
}

#[tokio::test]
async fn servers_that_break_the_rules_are_failures_with_a_class() {
    let ok = "HTTP/1.1 200 OK\r\n";
    for (reply, class) in [
        (Reply::Reset(String::new()), ErrorClass::Transient),
        (Reply::Reset(format!("{ok}content-length: 9\r\n\r\nabc")), ErrorClass::Transient),
        (Reply::Raw(format!("{ok}content-length: 9\r\n\r\nabc")), ErrorClass::Transient),
        (Reply::Raw(format!("{ok}content-length: -1\r\n\r\nabc")), ErrorClass::Transient),
        (Reply::Raw(format!("{ok}content-length: 1, 2\r\n\r\nabc")), ErrorClass::Transient),
        (Reply::Raw(format!("{ok}content-length: 1\r\ncontent-length: 2\r\n\r\nabc")), ErrorClass::Transient),
        (Reply::Raw(format!("{ok}content-length: 99999999999999999999\r\n\r\nabc")), ErrorClass::Transient),
        (Reply::Raw(format!("{ok}content-length: 9999999999\r\n\r\nabc")), ErrorClass::Invalid),
        (Reply::Raw(format!("{ok}content-length: 18446744073709551614\r\n\r\nabc")), ErrorClass::Transient),
        (Reply::Raw(format!("{ok}transfer-encoding: chunked\r\n\r\nzz\r\nabc")), ErrorClass::Transient),
        (Reply::Raw(format!("{ok}transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n")), ErrorClass::Transient),
        (Reply::Raw(format!("{ok}a b: c\r\n\r\nabc")), ErrorClass::Transient),
        (Reply::Raw(format!("{ok}x: {}\r\n\r\n", "y".repeat(1 << 20))), ErrorClass::Transient),
        (Reply::Raw("SSH-2.0-OpenSSH_9.6\r\n".to_owned()), ErrorClass::Transient),
        (Reply::Raw("HTTP/1.1 99 No\r\n\r\n".to_owned()), ErrorClass::Transient),
        // A drop at a time, without end: the time is up.
        (
            Reply::Endless(format!("{ok}transfer-encoding: chunked\r\n\r\n1\r\nx\r\nfffffff\r\n")),
            ErrorClass::Timeout,
        ),
    ] {
        let server = Server::always(reply.clone()).await;
        let (timeout, max) = match class {
            ErrorClass::Timeout => ("300ms", 3 << 20),
            _ => ("50s", 1_000),
        };
        let with = json!({ "url": server.url, "timeout": timeout, "max_bytes": max });
        let (found, message) = failure(call(with).await);
        let drowned = class == ErrorClass::Timeout && found == ErrorClass::Invalid;
        assert!(found == class || drowned, "{reply:?}: {found:?} {message}");
    }
}

/// The most memory that this process has had so far, in KiB.
#[cfg(target_os = "linux")]
fn most_memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_of_a_gibibyte_takes_no_more_memory_than_its_limit() {
    const PIECES: usize = 16 << 10;
    let gibibyte = PIECES << 16;
    let http = Http::default();
    let folder = tempfile::tempdir().unwrap();
    // The client and its certificates are there before.
    let small = Server::always(reply(200, "", "")).await;
    output(http.execute(context(folder.path()).0, request(json!({ "url": small.url }))).await);
    let before = most_memory();
    let taken = Arc::new(AtomicUsize::new(0));
    let limit = 1 << 20;
    for (head, class) in [
        ("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n".to_owned(), ErrorClass::Invalid),
        (format!("HTTP/1.1 200 OK\r\ncontent-length: {gibibyte}\r\n\r\n"), ErrorClass::Invalid),
        (
            format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{gibibyte:x}\r\n"),
            ErrorClass::Invalid,
        ),
        ("HTTP/1.1 500 No\r\nconnection: close\r\n\r\n".to_owned(), ErrorClass::Transient),
    ] {
        let server = Server::always(Reply::Pieces(head, PIECES, taken.clone())).await;
        let with = json!({ "url": server.url, "max_bytes": limit });
        assert_eq!(failure(http.execute(context(folder.path()).0, request(with)).await).0, class);
    }
    let (grown, sent) = ((most_memory() - before) >> 10, taken.load(Ordering::SeqCst) >> 4);
    println!("4 answers of 1024 MiB each: memory grew by {grown} MiB, {sent} MiB were sent in all");
    assert!(grown <= 16, "{grown} MiB");
    // What fits into the buffers of the sockets comes on top of what is read.
    assert!(sent <= 64, "{sent} MiB");
}
