//! Programs that behave as no server should.

use orchestrator_core::mask::Mask;
use orchestrator_core::port::plugin::{Outcome, Plugin, Stream};
use orchestrator_core::spec::retry::ErrorClass;
use orchestrator_plugins::{Mcp, McpServer};
use serde_json::{Value, json};

use crate::stage::{context, execute, failure, output, request};
use crate::{hostile, unknown};

async fn call(how: &str, more: Value) -> Outcome {
    let mcp = Mcp::default().server("bad", McpServer::command(hostile(how)));
    let mut with = json!({ "server": "bad", "tool": "tool", "timeout": "20s" });
    with.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    execute(&mcp, with).await.0
}

#[tokio::test]
async fn what_is_no_server_is_told_as_what_it_is() {
    for (how, class, told) in [
        (
            "early",
            ErrorClass::Transient,
            "it does not speak the protocol: the server has ended (exit code 4): no licence",
        ),
        ("endless", ErrorClass::Transient, "the server has written a line that is longer than 16 MiB"),
        ("other-version", ErrorClass::Failed, "Unsupported protocol version (error -32602)"),
        ("none", ErrorClass::Invalid, "has no tool `tool`; it has none"),
        ("pages", ErrorClass::Invalid, "has no tool `tool`; it has other"),
        ("schema", ErrorClass::Invalid, "says that it takes is no schema"),
        ("changed", ErrorClass::Invalid, "Unknown tool: tool (error -32602)"),
        (
            "output",
            ErrorClass::Invalid,
            "is not what it says: structured/n: \"one\" is not of type \"integer\"",
        ),
        ("no-output", ErrorClass::Invalid, "it gives no structured result, and says that it does"),
    ] {
        let (found, message) = failure(call(how, json!({})).await);
        assert!(found == class && message.contains(told), "{how}: {found:?} {message}");
    }
    let (class, message) = failure(call("nonsense", json!({ "timeout": "2s" })).await);
    assert!(
        class == ErrorClass::Timeout && message.contains("was not ready to be called within 2s"),
        "{message}"
    );
}

#[tokio::test]
async fn what_a_server_says_is_masked_before_it_is_cut() {
    let secret = "c4nary-that-sings-in-the-mine";
    let mcp = Mcp::default().server("bad", McpServer::command(hostile("careless").args([secret])));
    let folder = tempfile::tempdir().unwrap();
    let (mut context, log) = context(folder.path());
    context.mask = Mask::of([secret]);
    let (_, message) =
        failure(mcp.execute(context, request(json!({ "server": "bad", "tool": "tool" }))).await);
    assert!(message.contains("no message: `xxx") && !message.contains("c4nary"), "{message}");
    assert!(log.lines(Stream::Stderr)[0].ends_with("yyy … (cut)"), "{}", &log.text()[65_500..]);
}

#[tokio::test]
async fn a_call_without_an_end_is_of_unknown_outcome() {
    let error = unknown(call("huge", json!({})).await);
    assert!(error.message.contains("a line that is longer than 16 MiB"), "{}", error.message);
    let error = unknown(call("silent", json!({ "timeout": "3s" })).await);
    assert!(error.class == ErrorClass::Timeout, "{}", error.message);
    assert!(error.message.ends_with("the server does not answer: thinking"), "{}", error.message);
}

#[tokio::test]
async fn what_a_server_asks_is_declined_and_noise_is_borne() {
    assert_eq!(output(call("chatty", json!({ "arguments": { "a": 1 } })).await)["text"], "fine");
    let asked = output(call("asks", json!({})).await);
    assert!(asked["text"].as_str().unwrap().contains("-32601"), "{asked}");
    assert_eq!(output(call("nul", json!({})).await)["text"], "a\u{fffd}b");
}

#[test]
fn what_is_wrong_with_a_config_is_found_before() {
    let mcp = Mcp::default().server("tools", McpServer::command(hostile("none")));
    let told = |with: Value| {
        let issues = mcp.validate(&with);
        issues.iter().map(|issue| format!("{}: {}", issue.path.join("."), issue.message)).collect::<Vec<_>>()
    };
    assert_eq!(told(json!({ "server": "tools", "tool": "x", "timeout": "1m" })), [""; 0]);
    let one = "exactly one of `server`, `command` and `url` is needed";
    assert_eq!(told(json!({ "tool": "x" })), [format!(": {one}")]);
    assert_eq!(told(json!({ "server": "tools", "url": "http://a/" })), [format!("url: {one}")]);
    assert_eq!(told(json!({ "server": "tool" })), ["server: there is no server `tool`"]);
    assert_eq!(told(json!({ "server": "${{ inputs.server }}" })), [""; 0]);
    assert_eq!(told(json!({ "command": [] })), ["command: it names no program"]);
    assert!(told(json!({ "url": "ftp://a/" }))[0].starts_with("url: `ftp` is not a scheme"));
    assert!(
        told(json!({ "server": "tools", "timeout": "2d" }))[0]
            .starts_with("timeout: a call may take up to 1d")
    );
    let hint = mcp.validate(&json!({ "server": "tool" }))[0].hint.clone();
    assert_eq!(hint.as_deref(), Some("did you mean `tools`?"));
    assert!(McpServer::url("nonsense").is_err());
    let server = McpServer::url("http://a/").unwrap();
    assert!(server.clone().header("Mcp-Session-Id", "x").is_err() && server.header("X-Tenant", "a").is_ok());
    assert!(McpServer::command(hostile("none")).header("X-Tenant", "a").is_err());
}
