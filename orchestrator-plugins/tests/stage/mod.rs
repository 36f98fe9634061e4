//! What the tests give a plugin to work with, and a way to see what it does.

#![allow(dead_code, reason = "each test binary uses its own part of the stage")]

use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;

use orchestrator_core::port::plugin::{Context, LogSink, Outcome, Plugin, Request, Stream};
use orchestrator_core::spec::permissions::NetworkPermissions;
use orchestrator_core::spec::retry::ErrorClass;
use serde_json::Value;
use tokio::sync::Notify;

/// Keeps every line, and lets a test wait for one.
#[derive(Debug, Default)]
pub(crate) struct Log {
    lines: Mutex<Vec<(Stream, String)>>,
    new: Notify,
}

impl LogSink for Log {
    fn line(&self, stream: Stream, text: &str) {
        self.lines.lock().unwrap().push((stream, text.to_owned()));
        self.new.notify_waiters();
    }
}

impl Log {
    /// All lines of `stream`.
    pub(crate) fn lines(&self, stream: Stream) -> Vec<String> {
        let lines = self.lines.lock().unwrap();
        lines.iter().filter(|(of, _)| *of == stream).map(|(_, line)| line.clone()).collect()
    }

    /// Everything, for looking something up in it.
    pub(crate) fn text(&self) -> String {
        self.lines.lock().unwrap().iter().map(|(_, line)| format!("{line}\n")).collect()
    }

    /// Returns what follows `prefix` on the first line that begins with it, as soon as there is one.
    pub(crate) async fn line_with(&self, prefix: &str) -> String {
        let mut seen = 0;
        loop {
            let mut new = std::pin::pin!(self.new.notified());
            new.as_mut().enable();
            let found = {
                let lines = self.lines.lock().unwrap();
                let unseen = &lines[seen..];
                seen = lines.len();
                unseen.iter().find_map(|(_, line)| line.strip_prefix(prefix).map(str::to_owned))
            };
            match found {
                Some(rest) => return rest,
                None => new.await,
            }
        }
    }
}

/// A context whose lines are kept.
pub(crate) fn context(folder: &Path) -> (Context, Arc<Log>) {
    let log = Arc::new(Log::default());
    let run = "run_0193b5a0000070008000000000000001".parse().unwrap();
    let mut context = Context::detached(run, "build", folder);
    context.log = log.clone();
    // The servers of the tests.
    context.network = granted(&["127.0.0.1:*"]);
    (context, log)
}

/// What a workflow grants that says so.
pub(crate) fn granted(destinations: &[&str]) -> Arc<NetworkPermissions> {
    Arc::new(destinations.iter().map(|text| text.parse().unwrap()).collect())
}

/// As [`execute`], with nothing granted but this.
pub(crate) async fn execute_with(
    plugin: &dyn Plugin,
    with: Value,
    destinations: &[&str],
) -> (Outcome, Arc<Log>) {
    let folder = tempfile::tempdir().unwrap();
    let (mut context, log) = context(folder.path());
    context.network = granted(destinations);
    context.effect = plugin.effect_class(&with);
    (plugin.execute(context, request(with)).await, log)
}

pub(crate) fn request(with: Value) -> Request {
    Request { with, ..Request::default() }
}

/// Executes `with` in a folder of its own, and gives the outcome and the log.
pub(crate) async fn execute(plugin: &dyn Plugin, with: Value) -> (Outcome, Arc<Log>) {
    let folder = tempfile::tempdir().unwrap();
    let (mut context, log) = context(folder.path());
    context.effect = plugin.effect_class(&with);
    (plugin.execute(context, request(with)).await, log)
}

/// The output of an attempt that has to have succeeded.
pub(crate) fn output(outcome: Outcome) -> Value {
    match outcome {
        Outcome::Succeeded { output } => output,
        other => panic!("expected success, got {other:?}"),
    }
}

/// The class and the message of an attempt that has to have failed.
pub(crate) fn failure(outcome: Outcome) -> (ErrorClass, String) {
    match outcome {
        Outcome::Failed { error, .. } => (error.class, error.message.to_string()),
        other => panic!("expected a failure, got {other:?}"),
    }
}
