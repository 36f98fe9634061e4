//! Waiting for signals.

use std::sync::Arc;
use std::time::Duration;

use orchestrator_core::engine::CommandError;
use orchestrator_core::machine::{Asked, Command, Rejection, SIGNAL_LIMIT};
use orchestrator_core::value::ValueRef;
use orchestrator_core::{Engine, MemoryStore, RunHandle};
use serde_json::{Value, json};

use crate::bench::{Puppet, engine, workflow};

const PAID: &str = "a: { uses: puppet, with: { do: signal, name: paid } }";

fn kim() -> Asked {
    Asked { by: "kim".into(), reason: None }
}

async fn give(engine: &Engine, run: &RunHandle, name: &str, data: Value) -> Result<(), CommandError> {
    engine.signal(run.id(), name, &data, kim()).await.map(drop)
}

async fn blocked(run: &RunHandle) {
    run.progress().wait_for(|progress| progress.status == "blocked").await.unwrap();
}

/// The data of the signal that a step was given.
fn data(output: &Value) -> Value {
    serde_json::from_str(output["signal"]["data"]["inline"].as_str().unwrap()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_signal_is_given_once_and_however_long_it_is_the_plugin_has_all_of_it() {
    let puppet = Puppet::new();
    let engine = engine(&puppet).start().await.unwrap();
    let run = engine.start(workflow(&engine, PAID)).await.unwrap();
    blocked(&run).await;
    let waiting = run.report().await.unwrap().waiting_for;
    assert_eq!((waiting[0].kind, waiting[0].signal.as_deref()), ("signal", Some("paid")));
    assert!(waiting[0].needs_someone());
    let long = json!({ "text": "x".repeat(10_000) });
    give(&engine, &run, "paid", long.clone()).await.unwrap();
    let report = run.wait().await.unwrap();
    let output: Value = report.output("a").unwrap();
    assert_eq!((data(&output), &output["signal"]["by"]), (long, &json!("kim")));
    assert_eq!((report.steps[0].attempts, puppet.begun("a")), (1, 2));
    let late = give(&engine, &run, "paid", json!(1)).await.unwrap_err();
    assert!(matches!(late, CommandError::Rejected(Rejection::Ended("completed"))), "{late}");
}

#[tokio::test(start_paused = true)]
async fn a_second_engine_signals_while_the_first_drives_and_what_comes_early_is_kept() {
    let (puppet, store) = (Puppet::new(), Arc::new(MemoryStore::default()));
    let first = engine(&puppet).store(store.clone()).start().await.unwrap();
    let second = engine(&puppet).store(store).start().await.unwrap();
    let flow = "a: { uses: puppet, with: { do: signal, name: paid } }
        b: { uses: puppet, needs: a, with: { do: signal, name: paid } }";
    let run = first.start(workflow(&first, flow)).await.unwrap();
    blocked(&run).await;
    for number in 1..=2 {
        give(&second, &run, "paid", json!(number)).await.unwrap();
    }
    let report = run.wait().await.unwrap();
    assert_eq!(report.status, "completed");
    let given = ["a", "b"].map(|step| data(&report.output::<Value>(step).unwrap()));
    assert_eq!(given, [json!(1), json!(2)]);
}

#[tokio::test(start_paused = true)]
async fn what_no_step_waits_for_is_refused() {
    let puppet = Puppet::new();
    let engine = engine(&puppet).start().await.unwrap();
    let flow =
        "a: { uses: puppet, with: { do: signal, name: paid, schema: { type: object, required: [amount] } } }";
    let run = engine.start(workflow(&engine, flow)).await.unwrap();
    blocked(&run).await;
    let before = run.report().await.unwrap().seq;
    let unknown = give(&engine, &run, "piad", json!(null)).await.unwrap_err();
    assert!(matches!(&unknown, CommandError::UnknownSignal { known, .. } if known == &["paid"]), "{unknown}");
    for wrong in [json!(1), json!({}), json!({ "amount": "a\0b" })] {
        let refused = give(&engine, &run, "paid", wrong).await.unwrap_err();
        assert!(matches!(refused, CommandError::InvalidSignal(_)), "{refused}");
    }
    let long = json!({ "amount": "x".repeat(SIGNAL_LIMIT as usize) });
    let refused = give(&engine, &run, "paid", long).await.unwrap_err();
    assert!(matches!(refused, CommandError::Rejected(Rejection::SignalTooLong(_))), "{refused}");
    assert_eq!(run.report().await.unwrap().seq, before, "nothing was written");
    let data = ValueRef::Inline("{\"amount\": 1}".into());
    engine.command(run.id(), Command::Signal { name: "paid".into(), data, asked: kim() }).await.unwrap();
    assert_eq!(run.wait().await.unwrap().status, "completed");
}

#[tokio::test(start_paused = true)]
async fn a_step_that_waits_in_vain_fails() {
    let puppet = Puppet::new();
    let engine = engine(&puppet).start().await.unwrap();
    let flow = "a: { uses: puppet, with: { do: signal, name: paid }, timeout: 1h }";
    let run = engine.start(workflow(&engine, flow)).await.unwrap();
    let report = run.wait().await.unwrap();
    assert_eq!(report.steps[0].error.as_deref(), Some("the signal `paid` has not come in time"));
    assert!(report.finished_at.unwrap().since(report.created_at) >= Duration::from_secs(3_600));
}

#[tokio::test(start_paused = true)]
async fn every_item_waits_for_its_own() {
    let puppet = Puppet::new();
    let engine = engine(&puppet).start().await.unwrap();
    let flow = "a: { uses: puppet, for_each: [x, y], with: { do: signal, name: \"paid-${{ item }}\" } }";
    let run = engine.start(workflow(&engine, flow)).await.unwrap();
    blocked(&run).await;
    // `with` as written has a name in it that is an expression; the puppet takes it as it is.
    for (name, number) in [("paid-y", 2), ("paid-x", 1)] {
        let data = ValueRef::Inline(number.to_string().into());
        engine.command(run.id(), Command::Signal { name: name.into(), data, asked: kim() }).await.unwrap();
    }
    let report = run.wait().await.unwrap();
    let outputs: Vec<Value> = report.steps[1..].iter().map(|step| data(&step.output)).collect();
    assert_eq!(outputs, [json!(1), json!(2)]);
}
