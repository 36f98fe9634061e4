//! The bench that the engine's tests stand on: workflows from model values, and plugins that do as they are told.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use orchestrator_core::engine::{Engine, EngineBuilder};
use orchestrator_core::port::plugin::{Awaited, Context, ExpectedSignal, Outcome, Plugin, Request, Stream};
use orchestrator_core::spec::retry::ErrorClass;
use orchestrator_core::spec::{EffectClass, Workflow};
use serde_json::{Value, json};
use tokio::sync::Notify;

/// Counts what its steps do, and does what their `with` says: `{do: ok|fail|flaky|wait|pause|hang|panic|ask}`.
#[derive(Default)]
pub(crate) struct Puppet {
    begun: Mutex<HashMap<String, u32>>,
    pub(crate) began: Notify,
    pub(crate) gate: Notify,
}

impl fmt::Debug for Puppet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Puppet")
    }
}

impl Puppet {
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    /// How often a step was executed.
    pub(crate) fn begun(&self, step: &str) -> u32 {
        self.begun.lock().unwrap().get(step).copied().unwrap_or(0)
    }
}

static ANY: LazyLock<Value> = LazyLock::new(|| json!({}));

#[async_trait]
impl Plugin for Puppet {
    fn kind(&self) -> &'static str {
        "puppet"
    }

    fn summary(&self) -> &'static str {
        "does what it is told"
    }

    fn config_schema(&self) -> &Value {
        &ANY
    }

    fn output_schema(&self) -> &Value {
        &ANY
    }

    fn effect_class(&self, with: &Value) -> EffectClass {
        match with["effect"].as_str() {
            Some("at_most_once") => EffectClass::AtMostOnce,
            Some("idempotent") => EffectClass::Idempotent,
            _ => EffectClass::Pure,
        }
    }

    fn signal(&self, with: &Value) -> Option<ExpectedSignal> {
        let name = with["name"].as_str().map(str::to_owned);
        (with["do"] == "signal").then(|| ExpectedSignal { name, schema: with.get("schema").cloned() })
    }

    async fn execute(&self, context: Context, request: Request) -> Outcome {
        let times = {
            let mut begun = self.begun.lock().unwrap();
            let times = begun.entry(context.step.to_string()).or_default();
            *times += 1;
            *times
        };
        self.began.notify_waiters();
        let with = &request.with;
        match with["do"].as_str().unwrap_or("ok") {
            "fail" => Outcome::failed(ErrorClass::Failed, "as told"),
            "flaky" if u64::from(times) <= with["times"].as_u64().unwrap_or(1) => {
                Outcome::failed(ErrorClass::Transient, format!("failure {times}"))
            }
            "gate" => {
                tokio::select! {
                    () = self.gate.notified() => Outcome::Succeeded { output: json!({ "times": times }) },
                    () = context.cancelled() => Outcome::Stopped,
                }
            }
            "stubborn" => {
                std::future::pending::<()>().await;
                Outcome::Stopped
            }
            "panic" => panic!("as told"),
            "unknown" => Outcome::Unknown {
                error: orchestrator_core::machine::StepError::new(
                    ErrorClass::Transient,
                    "the line went dead",
                ),
            },
            "approval" => match context.arrival {
                None => Outcome::Wait {
                    on: Awaited::Approval { message: "go on?".into(), show: Some(json!("x".repeat(200))) },
                },
                Some(arrival) => Outcome::Succeeded { output: serde_json::to_value(arrival).unwrap() },
            },
            "nap" => match context.arrival {
                None => Outcome::Wait { on: Awaited::Pause(Duration::from_secs(60)) },
                Some(_) => Outcome::Succeeded { output: json!("rested") },
            },
            "signal" => match context.arrival {
                None => {
                    Outcome::Wait { on: Awaited::Signal { name: with["name"].as_str().unwrap().to_owned() } }
                }
                Some(arrival) => Outcome::Succeeded { output: serde_json::to_value(arrival).unwrap() },
            },
            "say" => {
                ["one", "two"].iter().for_each(|line| context.log.line(Stream::Stdout, line));
                Outcome::Succeeded { output: json!(null) }
            }
            "heard" => Outcome::Succeeded { output: json!({ "heard": context.feedback.as_deref() }) },
            "key" => Outcome::Succeeded { output: json!(context.idempotency_key()) },
            _ => Outcome::Succeeded { output: with.clone() },
        }
    }
}

/// An engine with the puppet, on a memory store of its own.
pub(crate) fn engine(puppet: &Arc<Puppet>) -> EngineBuilder {
    Engine::builder().plugin(puppet.clone()).poll(None)
}

/// A workflow whose steps are all puppets, from YAML steps such as `a: {with: {do: fail}}`.
pub(crate) fn workflow(engine: &Engine, steps: &str) -> Workflow {
    let mut text = String::from("name: test\nsteps:\n");
    for line in steps.lines().filter(|line| !line.trim().is_empty()) {
        text.push_str("  ");
        text.push_str(line.trim_start_matches("        "));
        text.push('\n');
    }
    engine.parse(&text).unwrap_or_else(|problems| panic!("{problems}\n{text}")).workflow
}
