//! The server by the official SDK, over its standard streams and by HTTP.

use std::io::BufRead as _;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use orchestrator_core::port::plugin::{Outcome, Plugin, Request, Stop, StopReason, Stream};
use orchestrator_core::spec::retry::ErrorClass;
use orchestrator_core::spec::{EffectClass, Sandbox};
use orchestrator_plugins::{Mcp, McpServer};
use serde_json::{Value, json};

use crate::alive::Alive;
use crate::stage::{Log, context, execute, failure, granted, output, request};
use crate::{HANG, file, python, real, unknown};

/// The real server by HTTP. Ends with the test.
struct Served {
    child: Child,
    url: String,
    place: String,
}

impl Served {
    fn start() -> Self {
        let mut child = Command::new(python())
            .args([file("server.py"), "http".to_owned()])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut port = String::new();
        std::io::BufReader::new(child.stdout.take().unwrap()).read_line(&mut port).unwrap();
        let place = format!("127.0.0.1:{}", port.trim());
        Self { child, url: format!("http://{place}/mcp"), place }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn plugin() -> Mcp {
    Mcp::default().server("tools", McpServer::command(real()))
}

/// What a step says of each way to the same server.
fn ways(served: &Served) -> [Value; 2] {
    [json!({ "server": "tools" }), json!({ "url": served.url })]
}

fn with(way: &Value, tool: &str, arguments: Value) -> Value {
    let mut with = way.clone();
    let fields = with.as_object_mut().unwrap();
    fields.insert("tool".to_owned(), tool.into());
    fields.insert("arguments".to_owned(), arguments);
    with
}

#[tokio::test]
async fn a_tool_is_called_over_both_ways() {
    let served = Served::start();
    for way in ways(&served) {
        let plugin = plugin();
        let call = async |tool: &str, arguments: Value| execute(&plugin, with(&way, tool, arguments)).await.0;
        let sum = output(call("add", json!({ "a": 1, "b": 2 })).await);
        assert_eq!((&sum["structured"], &sum["text"]), (&json!({ "result": 3 }), &json!("3")));
        let greeting = output(call("greet", json!({ "name": "world" })).await);
        let block = json!([{ "type": "text", "text": "hello world" }]);
        assert_eq!(greeting, json!({ "text": "hello world", "structured": null, "content": block }));
        let picture = output(call("picture", json!({})).await);
        assert_eq!(picture["text"], "");
        assert_eq!(
            (&picture["content"][0]["type"], &picture["content"][0]["mimeType"]),
            (&json!("image"), &json!("image/png"))
        );

        let (class, message) = failure(call("fail", json!({ "why": "no reason" })).await);
        assert!(
            class == ErrorClass::Failed && message.contains("has failed") && message.contains("no reason"),
            "{message}"
        );
        let (class, message) = failure(call("ad", json!({})).await);
        assert!(
            class == ErrorClass::Invalid && message.ends_with("has no tool `ad`; did you mean `add`?"),
            "{message}"
        );
        let (_, message) = failure(call("quux", json!({})).await);
        assert!(message.contains("it has add, greet, environment"), "{message}");
        let (class, message) = failure(call("add", json!({ "a": "one" })).await);
        assert_eq!(class, ErrorClass::Invalid);
        assert!(message.contains("arguments/a: \"one\" is not of type \"integer\""), "{message}");
        assert!(message.contains("arguments: \"b\" is a required property"), "{message}");
    }
}

/// Executes the tool that works until it is told to stop, and stops it once it has begun.
async fn worked(plugin: &Mcp, way: &Value, reason: StopReason) -> (Outcome, Arc<Log>, String) {
    worked_as(EffectClass::AtMostOnce, plugin, way, reason).await
}

/// The same, where the step says what a repetition would do.
async fn worked_as(
    effect: EffectClass,
    plugin: &Mcp,
    way: &Value,
    reason: StopReason,
) -> (Outcome, Arc<Log>, String) {
    let folder = tempfile::tempdir().unwrap();
    let said = folder.path().join("said");
    let (mut context, log) = context(folder.path());
    let (stopper, stop) = Stop::pair();
    (context.stop, context.effect) = (stop, effect);
    let executed = plugin.execute(context, request(with(way, "work", json!({ "file": said }))));
    let stopping = async {
        log.line_with("info: working").await;
        stopper.stop(reason);
    };
    let both = async { tokio::join!(executed, stopping) };
    let (outcome, ()) = tokio::time::timeout(HANG, both).await.expect("it hangs");
    (outcome, log, std::fs::read_to_string(said).unwrap_or_default())
}

#[tokio::test]
async fn progress_is_told_and_who_is_stopped_is_told_so() {
    let served = Served::start();
    for way in ways(&served) {
        let (outcome, log, said) = worked(&plugin(), &way, StopReason::Cancelled).await;
        let error = unknown(outcome);
        assert!(error.message.ends_with("cancelled before there was a result"), "{}", error.message);
        assert_eq!(log.lines(Stream::System).last().unwrap(), "progress 1/3: begun");
        // By HTTP the server hears of it as soon, but we do not wait for what it does then.
        if way.get("server").is_some() {
            assert_eq!(said, "told to stop");
        }
        let error = unknown(worked(&plugin(), &way, StopReason::TimedOut).await.0);
        assert!(
            error.class == ErrorClass::Timeout && error.message.contains("no result in time"),
            "{}",
            error.message
        );
    }
}

#[tokio::test]
async fn a_call_that_may_be_repeated_is_stopped_and_not_unknown() {
    let way = json!({ "server": "tools" });
    let worked = |reason| {
        let way = way.clone();
        async move { worked_as(EffectClass::Idempotent, &plugin(), &way, reason).await.0 }
    };
    assert_eq!(worked(StopReason::Shutdown).await, Outcome::Stopped);
    assert_eq!(unknown(worked(StopReason::TimedOut).await).class, ErrorClass::Timeout);
}

#[tokio::test]
async fn the_time_of_a_call_is_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let mut with = with(&json!({ "server": "tools" }), "work", json!({ "file": folder.path().join("said") }));
    with["timeout"] = json!("3s");
    let error = unknown(execute(&plugin(), with).await.0);
    assert!(
        error.class == ErrorClass::Timeout && error.message.contains("no result in time"),
        "{}",
        error.message
    );
}

#[tokio::test]
async fn a_server_that_dies_leaves_the_outcome_open() {
    let served = Served::start();
    let [stdio, http] = ways(&served);
    let error = unknown(execute(&plugin(), with(&stdio, "die", json!({}))).await.0);
    assert!(
        error.message.contains("the server has ended (exit code 7): ")
            && error.message.contains("out of ink"),
        "{}",
        error.message
    );
    let error = unknown(execute(&plugin(), with(&http, "die", json!({}))).await.0);
    assert!(
        error.class == ErrorClass::Transient && error.message.contains(&served.place),
        "{}",
        error.message
    );
}

#[tokio::test]
async fn a_program_sees_little_and_is_gone_afterwards() {
    let (mut context, _) = context(&std::env::temp_dir());
    context.sandbox = Sandbox::None;
    let env = [("TOKEN".to_owned(), "t0ken".to_owned())].into();
    let command = [python().display().to_string(), file("server.py"), "stdio".to_owned()];
    let with = json!({ "command": command, "tool": "environment" });
    let request = Request { env, ..request(with.clone()) };
    let seen = output(Mcp::default().execute(context, request).await)["structured"].clone();
    let mut names: Vec<&str> = seen.as_object().unwrap().keys().map(String::as_str).collect();
    names.retain(|name| {
        !["HOME", "LANG", "TZ", "LC_CTYPE", "PWD", "_", "SHLVL", "OLDPWD", "pid"].contains(name)
    });
    assert_eq!(names, ["PATH", "TMPDIR", "TOKEN"]);
    let pid = seen["pid"].as_str().unwrap().parse().unwrap();
    assert!(Alive::find(pid).is_none(), "it is still there");

    let (class, message) = failure(execute(&Mcp::default(), with).await.0);
    assert!(class == ErrorClass::Denied && message.contains("add `sandbox: none` to the step"), "{message}");
}

#[tokio::test]
async fn an_attempt_that_is_dropped_takes_its_server_along() {
    let folder = tempfile::tempdir().unwrap();
    let (context, log) = context(folder.path());
    let said = folder.path().join("said");
    let plugin = plugin();
    let executed = plugin
        .execute(context, request(with(&json!({ "server": "tools" }), "work", json!({ "file": said }))));
    let mut executed = executed;
    tokio::select! {
        outcome = &mut executed => panic!("it has ended: {outcome:?}"),
        _ = log.line_with("info: working") => {}
    }
    let process = child_of_ours();
    drop(executed);
    process.ends().await;
}

/// The process of ours that runs the server.
fn child_of_ours() -> Alive {
    let me = std::process::id().to_string();
    let threads = std::fs::read_dir("/proc/self/task").unwrap();
    let lists =
        threads.map(|thread| std::fs::read_to_string(thread.unwrap().path().join("children")).unwrap());
    let children: Vec<i32> = lists
        .flat_map(|list| list.split_whitespace().map(|pid| pid.parse().unwrap()).collect::<Vec<i32>>())
        .collect();
    let runs = |pid: &&i32| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains("server.py")
    };
    let pid = children.iter().find(runs).unwrap_or_else(|| panic!("no server below {me}"));
    Alive::open(*pid)
}

#[tokio::test]
async fn tools_are_listed_with_their_schemas() {
    let served = Served::start();
    let plugin = plugin().server("service", McpServer::url(&served.url).unwrap());
    for server in ["tools", "service"] {
        let (mut context, _) = context(&std::env::temp_dir());
        // Whoever has named the address may reach it.
        context.network = granted(&[]);
        let tools = plugin.tools(server, &context).await.unwrap();
        let add = tools.iter().find(|tool| tool.name == "add").unwrap();
        assert_eq!(add.input_schema["required"], json!(["a", "b"]));
        assert_eq!(add.description.as_deref(), Some("Adds two numbers."));
        assert_eq!(add.annotations.as_ref().unwrap()["readOnlyHint"], true);
        assert!(add.output_schema.is_some());
    }
    let (context, _) = context(&std::env::temp_dir());
    let error = plugin.tools("tool", &context).await.unwrap_err();
    assert!(error.message.contains("did you mean `tools`?"), "{}", error.message);
}

#[test]
fn what_a_tool_says_of_itself_changes_no_class() {
    assert_eq!(plugin().effect_class(&json!({ "server": "tools", "tool": "add" })), EffectClass::AtMostOnce);
    let reaches = plugin().reaches(&json!({ "server": "tools", "tool": "add" }));
    assert!(reaches[0].starts_with("calls the tool add of the server tools (/"), "{reaches:?}");
}
