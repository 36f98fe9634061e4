//! What the engine's cases stand on: a plugin that does as it is told, engines with it, and what must be so of a log.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::engine::{Engine, EngineBuilder, RunHandle};
use crate::id::{RunId, StepIx};
use crate::machine::{Asked, Command, Decide, Event};
use crate::port::plugin::{Awaited, Context, Outcome, Plugin, Request};
use crate::port::store::Store;
use crate::spec::{EffectClass, Workflow};
use crate::time::{Clock, Timestamp};

/// Steps of kind `puppet` give back what their `with` says, once they have done what it tells them in `do`: `gate` (wait
/// until the gate is opened), `ask` (for an approval), `nap` (for an hour), or nothing.
#[derive(Debug)]
pub(super) struct Puppet {
    /// Who it is: told with every output.
    name: &'static str,
    /// How often each step was executed.
    executed: watch::Sender<BTreeMap<String, u32>>,
    gate: watch::Sender<bool>,
}

static ANY: LazyLock<Value> = LazyLock::new(|| json!({}));

impl Puppet {
    pub(super) fn new(name: &'static str) -> Arc<Self> {
        Arc::new(Self { name, executed: watch::Sender::default(), gate: watch::Sender::default() })
    }

    /// How often a step was executed; of a step that waits, twice for each attempt.
    pub(super) fn executed(&self, step: &str) -> u32 {
        self.executed.borrow().get(step).copied().unwrap_or(0)
    }

    /// Returns once a step is being executed.
    pub(super) async fn began(&self, step: &str) {
        let mut executed = self.executed.subscribe();
        executed.wait_for(|executed| executed.contains_key(step)).await.expect("the puppet is there");
    }

    pub(super) fn open_the_gate(&self) {
        self.gate.send_replace(true);
    }

    /// An engine with this puppet, which looks for no runs by itself.
    pub(super) fn engine(self: &Arc<Self>, store: Arc<dyn Store>) -> EngineBuilder {
        Engine::builder().plugin(self.clone()).poll(None).store(store).label(self.name)
    }
}

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
        if with["once"] == true { EffectClass::AtMostOnce } else { EffectClass::Pure }
    }

    async fn execute(&self, context: Context, request: Request) -> Outcome {
        let step = context.step.to_string();
        self.executed.send_modify(|executed| *executed.entry(step).or_default() += 1);
        let on = match request.with["do"].as_str() {
            Some("gate") => {
                let mut gate = self.gate.subscribe();
                tokio::select! {
                    _ = gate.wait_for(|open| *open) => None,
                    () = context.cancelled() => return Outcome::Stopped,
                }
            }
            Some("ask") => Some(Awaited::Approval { message: "go on?".into(), show: None }),
            Some("nap") => Some(Awaited::Pause(HOUR)),
            _ => None,
        };
        match on {
            Some(on) if context.arrival.is_none() => Outcome::Wait { on },
            _ => Outcome::Succeeded { output: json!({ "said": request.with["say"], "by": self.name }) },
        }
    }
}

pub(super) const HOUR: Duration = Duration::from_secs(3600);

/// A text too long to be kept in an event.
pub(super) fn long(text: &str) -> String {
    format!("{text} {}", ".".repeat(80))
}

/// A workflow of puppets, a line for each step, such as `b: { uses: puppet, needs: a }`.
pub(super) fn workflow(engine: &Engine, steps: &[&str]) -> Workflow {
    let text = format!("name: told\nsteps:\n  {}\n", steps.join("\n  "));
    engine.parse(&text).unwrap_or_else(|problems| panic!("{problems}\n{text}")).workflow
}

/// Says yes to an approval.
pub(super) fn approve(step: u32) -> Command {
    let asked = Asked { by: "kim".into(), reason: None };
    Command::Decide(Decide {
        step: StepIx(step).into(),
        digest: None,
        approved: true,
        asked,
        via: "kit".into(),
    })
}

/// Returns once only a person can move the run.
pub(super) async fn blocked(run: &RunHandle) {
    run.progress().wait_for(|progress| progress.status == "blocked").await.expect("its driver is there");
}

/// The kinds of a run's events, with the step that each speaks of; what must be so of every log is looked at.
pub(super) async fn log_of(store: &dyn Store, run: RunId) -> Vec<String> {
    let log = store.load(run).await.expect("the store answers").expect("the run is there");
    let numbers: Vec<u64> = log.events.iter().map(|recorded| recorded.seq).collect();
    assert_eq!(numbers, (1..=log.row.seq).collect::<Vec<_>>(), "numbered without gaps");
    let told = |event: &Event| format!("{} {:?}", event.kind(), event.unit());
    let told: Vec<String> = log.events.iter().map(|recorded| told(&recorded.event)).collect();
    let mut ends: Vec<&String> = told.iter().filter(|told| told.starts_with("step.succeeded")).collect();
    ends.sort_unstable();
    assert!(ends.windows(2).all(|pair| pair[0] != pair[1]), "each step has one end: {told:#?}");
    told
}

/// A clock that stands still.
pub(super) struct Stopped(pub(super) Timestamp);

impl fmt::Debug for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "stopped at {}", self.0)
    }
}

#[async_trait]
impl Clock for Stopped {
    fn now(&self) -> Timestamp {
        self.0
    }

    async fn sleep_until(&self, at: Timestamp) {
        if at > self.0 {
            std::future::pending::<()>().await;
        }
    }
}
