//! Plugins that can look whether an effect has happened, where nobody knows.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock};

use async_trait::async_trait;
use orchestrator_core::engine::Engine;
use orchestrator_core::id::StepIx;
use orchestrator_core::machine::{Asked, Command, StepError};
use orchestrator_core::port::plugin::{Context, Outcome, Plugin, Reconciled, Request};
use orchestrator_core::port::store::Store;
use orchestrator_core::spec::EffectClass;
use orchestrator_core::spec::retry::ErrorClass;
use orchestrator_core::{MemoryStore, RunHandle};
use serde_json::{Value, json};
use tokio::sync::Notify;

/// Loses the line to whatever it does on its first attempt, and can look: `{finds: applied|nothing|unknown|panic|gate}`.
#[derive(Debug, Default)]
struct Looker {
    executed: AtomicU32,
    looked: AtomicU32,
    looks: Notify,
    gate: Notify,
}

static ANY: LazyLock<Value> = LazyLock::new(|| json!({}));

#[async_trait]
impl Plugin for Looker {
    fn kind(&self) -> &'static str {
        "looker"
    }

    fn summary(&self) -> &'static str {
        "looks"
    }

    fn config_schema(&self) -> &Value {
        &ANY
    }

    fn output_schema(&self) -> &Value {
        &ANY
    }

    fn effect_class(&self, _: &Value) -> EffectClass {
        EffectClass::AtMostOnce
    }

    async fn execute(&self, context: Context, request: Request) -> Outcome {
        self.executed.fetch_add(1, Ordering::SeqCst);
        match u64::from(context.attempt) <= request.with["times"].as_u64().unwrap_or(1) {
            true => Outcome::Unknown { error: StepError::new(ErrorClass::Transient, "the line went dead") },
            false => Outcome::Succeeded { output: json!({ "did": context.attempt }) },
        }
    }

    async fn reconcile(&self, context: Context, request: Request) -> Reconciled {
        self.looked.fetch_add(1, Ordering::SeqCst);
        self.looks.notify_one();
        match request.with["finds"].as_str() {
            Some("applied") => {
                Reconciled::Applied(json!({ "found": context.attempt, "pad": "x".repeat(100) }))
            }
            Some("nothing") => Reconciled::NotApplied,
            Some("panic") => panic!("as told"),
            Some("gate") => {
                self.gate.notified().await;
                Reconciled::Applied(json!({ "found": context.attempt }))
            }
            _ => Reconciled::Unknown,
        }
    }
}

async fn started(looker: &Arc<Looker>, store: &Arc<dyn Store>, with: &str) -> RunHandle {
    started_by(looker, store, with).await.1
}

async fn started_by(looker: &Arc<Looker>, store: &Arc<dyn Store>, with: &str) -> (Engine, RunHandle) {
    let engine =
        Engine::builder().plugin(looker.clone()).store(store.clone()).poll(None).start().await.unwrap();
    let text = format!(
        "name: look\nsteps:\n  a: {{ uses: looker, with: {with} }}\noutputs: {{ found: \"${{{{ steps.a }}}}\" }}\n"
    );
    let flow = engine.parse(&text).unwrap().workflow;
    let run = engine.start(flow).await.unwrap();
    (engine, run)
}

fn memory() -> Arc<dyn Store> {
    Arc::<MemoryStore>::default()
}

async fn waits(run: &RunHandle) {
    run.progress().wait_for(|progress| progress.status == "blocked").await.unwrap();
}

fn counts(looker: &Looker) -> (u32, u32) {
    (looker.executed.load(Ordering::SeqCst), looker.looked.load(Ordering::SeqCst))
}

#[tokio::test]
async fn what_has_happened_is_found_and_the_run_goes_on() {
    let looker = Arc::<Looker>::default();
    let run = started(&looker, &memory(), "{ finds: applied }").await;
    let report = run.wait().await.unwrap();
    assert_eq!((report.status.as_str(), report.steps[0].attempts), ("completed", 1));
    assert_eq!(report.outputs["found"]["found"], 1);
    assert_eq!(counts(&looker), (1, 1));
}

#[tokio::test]
async fn what_has_not_happened_is_done_again() {
    let looker = Arc::<Looker>::default();
    let run = started(&looker, &memory(), "{ finds: nothing }").await;
    let report = run.wait().await.unwrap();
    assert_eq!((report.status.as_str(), report.steps[0].attempts), ("completed", 2));
    assert_eq!(report.steps[0].output["did"], 2);
    assert_eq!(counts(&looker), (2, 1));
}

#[tokio::test]
async fn what_cannot_be_told_waits_for_a_person() {
    for with in ["{ finds: unknown }", "{ finds: panic }"] {
        let looker = Arc::<Looker>::default();
        let run = started(&looker, &memory(), with).await;
        waits(&run).await;
        assert_eq!(run.report().await.unwrap().steps[0].status, "outcome_unknown");
        assert_eq!(counts(&looker), (1, 1), "it is asked once");
    }
}

#[tokio::test]
async fn nobody_is_called_while_a_plugin_looks_and_a_late_answer_settles_no_later_attempt() {
    let (looker, store) = (Arc::<Looker>::default(), memory());
    let run = started(&looker, &store, "{ finds: gate, times: 2 }").await;
    looker.looks.notified().await;
    assert_eq!(run.progress().borrow().status, "running");
    // Somebody else says that the first attempt had no effect; of the second one nobody knows either.
    let other = Engine::builder().plugin(looker.clone()).store(store).poll(None).start().await.unwrap();
    let asked = Asked { by: "someone".into(), reason: None };
    let resolve = Command::Resolve { step: StepIx(0).into(), applied: None, asked };
    other.command(run.id(), resolve).await.unwrap();
    looker.looks.notified().await;
    assert_eq!(counts(&looker), (2, 2));
    // The first answer comes only now, then the second.
    looker.gate.notify_one();
    tokio::task::yield_now().await;
    looker.gate.notify_one();
    let report = run.wait().await.unwrap();
    assert_eq!((report.status.as_str(), &report.outputs["found"]["found"]), ("completed", &json!(2)));
    assert_eq!(counts(&looker), (2, 2));
}

#[tokio::test]
async fn whoever_takes_a_run_over_asks_too() {
    let (looker, store) = (Arc::<Looker>::default(), memory());
    let (first, run) = started_by(&looker, &store, "{ finds: unknown }").await;
    waits(&run).await;
    first.stop(std::time::Duration::ZERO).await;
    let second = Engine::builder().plugin(looker.clone()).store(store).poll(None).start().await.unwrap();
    let run = second.drive(run.id()).await.unwrap();
    waits(&run).await;
    assert_eq!(counts(&looker), (1, 2));
}
