//! Pausing, cancelling, stopping in an orderly way.

use std::sync::Arc;
use std::time::Duration;

use orchestrator_core::MemoryStore;
use orchestrator_core::machine::{Asked, Command};

use crate::bench::{Puppet, engine, workflow};

fn asked() -> Asked {
    Asked { by: "kim".into(), reason: None }
}

/// Waits until a step has begun once more than `times`.
async fn begun(puppet: &Puppet, step: &str, times: u32) {
    loop {
        let began = puppet.began.notified();
        if puppet.begun(step) > times {
            return;
        }
        began.await;
    }
}

#[tokio::test]
async fn a_pause_lets_what_runs_end_and_begins_nothing() {
    let puppet = Puppet::new();
    let engine = engine(&puppet).start().await.unwrap();
    let flow = workflow(
        &engine,
        "
        a: { uses: puppet, with: { do: gate } }
        b: { uses: puppet, needs: a }",
    );
    let run = engine.start(flow).await.unwrap();
    begun(&puppet, "a", 0).await;
    assert!(engine.command(run.id(), Command::Pause(asked())).await.unwrap().changed);
    assert!(!engine.command(run.id(), Command::Pause(asked())).await.unwrap().changed);
    puppet.gate.notify_one();
    run.progress().wait_for(|progress| progress.done == 1).await.unwrap();
    assert_eq!((run.report().await.unwrap().status.as_str(), puppet.begun("b")), ("paused", 0));
    engine.command(run.id(), Command::Resume(asked())).await.unwrap();
    assert_eq!(run.wait().await.unwrap().status, "completed");
}

#[tokio::test]
async fn a_cancel_from_elsewhere_stops_what_runs_and_ends_the_run() {
    let (puppet, store) = (Puppet::new(), Arc::new(MemoryStore::default()));
    let first = engine(&puppet).store(store.clone()).start().await.unwrap();
    let second = engine(&puppet).store(store).start().await.unwrap();
    let flow = workflow(
        &first,
        "
        a: { uses: puppet, with: { do: gate } }
        b: { uses: puppet, needs: a }
        c: { uses: puppet, with: { do: approval } }",
    );
    let run = first.start(flow).await.unwrap();
    begun(&puppet, "a", 0).await;
    second.command(run.id(), Command::Cancel(asked())).await.unwrap();
    let report = run.wait().await.unwrap();
    assert_eq!(report.status, "cancelled");
    assert!(report.steps.iter().all(|step| step.status == "cancelled"), "{report:#?}");
}

#[tokio::test]
async fn an_orderly_stop_records_interrupted_and_the_run_goes_on_elsewhere() {
    let (puppet, store) = (Puppet::new(), Arc::new(MemoryStore::default()));
    let first = engine(&puppet).store(store.clone()).start().await.unwrap();
    let steps = "
        a: { uses: puppet }
        b: { uses: puppet, needs: a, with: { do: gate, effect: at_most_once } }";
    let run = first.start(workflow(&first, steps)).await.unwrap();
    begun(&puppet, "b", 0).await;
    first.stop(Duration::ZERO).await;
    assert!(!run.progress().borrow().driven);
    let second = engine(&puppet).store(store).start().await.unwrap();
    let again = second.drive(run.id()).await.unwrap();
    begun(&puppet, "b", 1).await;
    puppet.gate.notify_one();
    let report = again.wait().await.unwrap();
    assert_eq!(report.status, "completed");
    assert_eq!((puppet.begun("a"), report.steps[1].attempts), (1, 2));
}
