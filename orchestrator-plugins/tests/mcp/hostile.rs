//! Services that behave as no server should, and what they lead to.

use std::sync::Arc;

use orchestrator_core::port::plugin::Outcome;
use orchestrator_core::spec::retry::ErrorClass;
use orchestrator_plugins::{Mcp, McpServer};
use serde_json::{Value, json};

use crate::listener::Listener;
use crate::server::{Received, Reply, Server, reply, reply_json};
use crate::stage::{execute_with, failure, output};
use crate::unknown;

/// Speaks the protocol, but for the answer to a call.
fn speaks(received: &Received, called: impl Fn(&Value) -> Reply) -> Reply {
    if received.method != "POST" {
        return reply(405, "", "");
    }
    let message = received.json();
    let answer =
        |result: Value| reply_json(200, &json!({ "jsonrpc": "2.0", "id": message["id"], "result": result }));
    match message["method"].as_str().unwrap() {
        "initialize" => answer(json!({
            "protocolVersion": message["params"]["protocolVersion"],
            "capabilities": { "tools": {} },
            "serverInfo": { "name": "hostile", "version": "1" },
        })),
        "tools/list" => answer(json!({ "tools": [{ "name": "tool", "inputSchema": { "type": "object" } }] })),
        "tools/call" => called(&message),
        _ => reply(202, "", ""),
    }
}

async fn call(url: &str, grants: &[&str]) -> Outcome {
    let with = json!({ "url": url, "tool": "tool", "headers": { "Authorization": "Bearer t0ken" }, "timeout": "20s" });
    execute_with(&Mcp::default(), with, grants).await.0
}

/// More than anybody wants to read.
fn long(begins: &str) -> Reply {
    Reply::Pieces(begins.to_owned(), 400, Arc::default())
}

fn place(server: &Server) -> String {
    server.url.strip_prefix("http://").unwrap().to_owned()
}

#[tokio::test]
async fn what_is_not_granted_is_not_connected_to() {
    let listener = Listener::everywhere();
    let port = listener.port;
    for host in ["127.0.0.1", "localhost", "[::1]", "0x7f.1", "2130706433"] {
        let (class, message) = failure(call(&format!("http://{host}:{port}/mcp"), &[]).await);
        assert!(
            class == ErrorClass::Denied && message.contains("not the public internet"),
            "{host}: {message}"
        );
    }
    assert_eq!(listener.seen(), 0);
}

#[tokio::test]
async fn a_redirect_leads_only_where_is_granted() {
    let private = Listener::everywhere();
    let to = format!("location: http://127.0.0.1:{}/mcp\r\n", private.port);
    for status in [307, 308] {
        let headers = to.clone();
        let server = Server::start(move |_| reply(status, &headers, "")).await;
        let (class, message) = failure(call(&server.url, &[&place(&server)]).await);
        assert!(class == ErrorClass::Denied && message.contains("not the public internet"), "{message}");
        // Also of one that the host program trusts, and in the middle.
        let mcp = Mcp::default().server("trusted", McpServer::url(&server.url).unwrap());
        let with = json!({ "server": "trusted", "tool": "tool" });
        let (class, message) = failure(execute_with(&mcp, with, &[]).await.0);
        assert!(class == ErrorClass::Denied, "{message}");
    }
    let headers = to.clone();
    let server = Server::start(move |received| speaks(received, |_| reply(307, &headers, ""))).await;
    let (class, message) = failure(call(&server.url, &[&place(&server)]).await);
    assert_eq!(class, ErrorClass::Denied, "{message}");
    assert_eq!(private.seen(), 0);
    // One that asks for something else to be fetched is not followed at all.
    let server = Server::start(move |_| reply(302, &to, "")).await;
    let (_, message) = failure(call(&server.url, &["127.0.0.1:*"]).await);
    assert!(message.contains("unexpected status 302"), "{message}");
    assert_eq!(private.seen(), 0);
}

#[tokio::test]
async fn headers_and_the_session_go_along_and_events_are_read() {
    let server = Server::start(|received| {
        if received.method == "DELETE" {
            return reply(200, "", "");
        }
        match speaks(received, |message| {
            let result = json!({ "content": [{ "type": "text", "text": "fine" }] });
            let answer = json!({ "jsonrpc": "2.0", "id": message["id"], "result": result });
            reply(
                200,
                "content-type: text/event-stream; charset=utf-8\r\n",
                &format!(": hello\n\nevent: message\ndata: {answer}\n\n"),
            )
        }) {
            Reply::Raw(text) => Reply::Raw(text.replacen("\r\n", "\r\nmcp-session-id: s1\r\n", 1)),
            other => other,
        }
    })
    .await;
    assert_eq!(output(call(&server.url, &[&place(&server)]).await)["text"], "fine");
    let received = server.received();
    assert!(received.iter().all(|message| message.headers["authorization"] == "Bearer t0ken"));
    let methods: Vec<&str> = received.iter().map(|message| message.method.as_str()).collect();
    assert_eq!(methods, ["POST", "POST", "POST", "POST", "DELETE"]);
    assert!(received[1..].iter().all(|message| message.headers["mcp-session-id"] == "s1"));
}

#[tokio::test]
async fn what_is_no_answer_is_told_as_what_it_is() {
    for (answer, class, told) in [
        (
            reply(500, "", "out of order"),
            ErrorClass::Transient,
            "unexpected status 500 Internal Server Error: out of order",
        ),
        (reply(401, "", ""), ErrorClass::Denied, "unexpected status 401"),
        (reply(429, "retry-after: 7\r\n", ""), ErrorClass::RateLimited, "unexpected status 429"),
        (reply(404, "", ""), ErrorClass::Invalid, "unexpected status 404"),
        (
            reply(200, "content-type: text/html\r\n", "<html>"),
            ErrorClass::Transient,
            "the answer is no message",
        ),
        (long("HTTP/1.1 200 OK\r\n\r\n"), ErrorClass::Invalid, "longer than 16777216 bytes"),
    ] {
        let server = Server::start(move |_| answer.clone()).await;
        let (found, message) = failure(call(&server.url, &[&place(&server)]).await);
        assert!(found == class && message.contains(told), "{found:?} {message}");
    }
    let (class, message) = failure(call("http://127.0.0.1:1/mcp", &["127.0.0.1:1"]).await);
    assert!(class == ErrorClass::Transient && message.contains("cannot connect"), "{message}");
}

#[tokio::test]
async fn a_call_whose_answer_does_not_come_is_of_unknown_outcome() {
    for answer in [
        Reply::Reset(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{".to_owned(),
        ),
        Reply::Raw("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n: nothing\n\n".to_owned()),
        long("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: "),
    ] {
        let shown = format!("{answer:?}");
        let server = Server::start(move |received| speaks(received, |_| answer.clone())).await;
        let error = unknown(call(&server.url, &[&place(&server)]).await);
        assert_eq!(error.class, ErrorClass::Transient, "{shown}: {}", error.message);
    }
    // An error is an answer.
    let refused = |message: &Value| {
        let error = json!({ "code": -32603, "message": "cannot" });
        reply_json(200, &json!({ "jsonrpc": "2.0", "id": message["id"], "error": error }))
    };
    let server = Server::start(move |received| speaks(received, refused)).await;
    let (class, message) = failure(call(&server.url, &[&place(&server)]).await);
    assert!(class == ErrorClass::Failed && message.contains("cannot (error -32603)"), "{message}");
}
