//! Engines that end, in every way, and others that go on.

use std::sync::Arc;
use std::thread::JoinHandle;

use serde_json::Value;
use tokio::sync::oneshot;

use crate::engine::DriveError;
use crate::id::{OwnerId, RunId, StepIx};
use crate::machine::{Asked, Command};
use crate::port::store::StoreError;
use crate::testkit::Place;
use crate::testkit::puppet::{HOUR, Puppet, log_of, long, workflow};
use crate::value::ValueRef;

/// An engine in a runtime of its own, with a handle of its own: it dies with the runtime, in the middle of whatever it
/// does, as with a process.
struct Life {
    owner: OwnerId,
    run: RunId,
    end: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Life {
    async fn begin(place: Arc<dyn Place>, puppet: Arc<Puppet>, steps: &'static [&'static str]) -> Self {
        let (tell, told) = oneshot::channel();
        let (end, ended) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let mut runtime = tokio::runtime::Builder::new_current_thread();
            let runtime = runtime.enable_all().build().expect("a runtime");
            runtime.block_on(async move {
                let engine = puppet.engine(place.open().await).start().await.expect("an engine");
                let run = engine.start(workflow(&engine, steps)).await.expect("a run");
                let _ = tell.send((engine.owner(), run.id()));
                let _ = ended.await;
            });
            runtime.shutdown_background();
        });
        let (owner, run) = told.await.expect("an engine that has started a run");
        Self { owner, run, end, thread }
    }

    /// Ends it, without a word to the store.
    async fn end(self) -> (OwnerId, RunId) {
        drop(self.end);
        let joined = tokio::task::spawn_blocking(move || self.thread.join()).await;
        joined.expect("a thread that waits").expect("an engine that ends");
        (self.owner, self.run)
    }
}

pub(super) async fn a_run_goes_on_after_its_engine_has_died(place: Arc<dyn Place>) {
    const STEPS: &[&str] = &[
        "a: { uses: puppet, with: { say: done } }",
        "b: { uses: puppet, needs: a, with: { do: gate, say: \"${{ steps.a.said }}\" } }",
        "c: { uses: puppet, needs: a, with: { do: gate, once: true } }",
        "d: { uses: puppet, needs: [b, c] }",
    ];
    let (dead, heir) = (Puppet::new("dead"), Puppet::new("heir"));
    let life = Life::begin(place.clone(), dead.clone(), STEPS).await;
    dead.began("b").await;
    dead.began("c").await;
    let (owner, run) = life.end().await;

    let store = place.open().await;
    let engine = heir.engine(store.clone()).start().await.expect("an engine");
    let driver = store.run(run).await.expect("an answer").expect("the run").driver;
    assert_eq!(driver, Some(owner), "the store holds that the dead one drives it");
    store.retire(owner).await.expect("its death is known from here on");
    heir.open_the_gate();
    let handle = engine.drive(run).await.expect("the run of a dead driver");
    // What must be done at most once is not done again: somebody has to say what has become of it.
    handle.progress().wait_for(|progress| progress.status == "blocked").await.expect("its driver is there");
    assert_eq!((heir.executed("a"), heir.executed("b"), heir.executed("c")), (0, 1, 0));
    let asked = Asked { by: "kim".into(), reason: None };
    let resolve = Command::Resolve { step: StepIx(2).into(), applied: Some(ValueRef::null()), asked };
    engine.command(run, resolve).await.expect("it is open");
    let report = handle.wait().await.expect("a report");
    let attempts: Vec<u32> = report.steps.iter().map(|step| step.attempts).collect();
    assert_eq!((report.status.as_str(), attempts), ("completed", vec![1, 2, 1, 1]));
    let said: Value = report.output("b").expect("what the heir gave");
    assert_eq!((said["said"].as_str(), said["by"].as_str()), (Some("done"), Some("heir")));
    log_of(&*store, run).await;
}

pub(super) async fn the_late_outcome_of_a_zombie_does_not_count(place: Arc<dyn Place>) {
    let (zombie, heir) = (Puppet::new("zombie"), Puppet::new("heir"));
    let first = zombie.engine(place.open().await).start().await.expect("an engine");
    let steps = ["a: { uses: puppet, with: { do: gate } }", "b: { uses: puppet, needs: a }"];
    let run = first.start(workflow(&first, &steps)).await.expect("a run");
    zombie.began("a").await;
    let store = place.open().await;
    store.retire(first.owner()).await.expect("it is taken for dead");

    let second = heir.engine(store.clone()).start().await.expect("another engine");
    let taken = second.drive(run.id()).await.expect("the run of a dead driver");
    heir.began("a").await;
    // It lives on, and comes with an outcome.
    zombie.open_the_gate();
    run.progress()
        .wait_for(|progress| !progress.driven)
        .await
        .expect("it comes to know that it has lost the run");
    heir.open_the_gate();
    let report = taken.wait().await.expect("a report");
    let said: Value = report.output("a").expect("what the heir gave");
    assert_eq!((report.status.as_str(), said["by"].as_str()), ("completed", Some("heir")));
    assert_eq!((zombie.executed("b"), heir.executed("b")), (0, 1));
    let row = store.run(run.id()).await.expect("an answer").expect("the run");
    assert_eq!(row.driver_epoch, 2, "each driver has an epoch of its own");
    log_of(&*store, run.id()).await;
}

pub(super) async fn a_run_goes_on_in_a_place_that_was_closed_if_that_keeps(place: Arc<dyn Place>) {
    let (first, second) = (Puppet::new("first"), Puppet::new("second"));
    let store = place.open().await;
    let engine = first.engine(store.clone()).start().await.expect("an engine");
    let said = format!("a: {{ uses: puppet, with: {{ say: \"{}\" }} }}", long("a"));
    let steps = [
        &*said,
        "b: { uses: puppet, needs: a, with: { do: gate, say: \"${{ steps.a.said }}\" } }",
        "c: { uses: puppet, needs: b }",
    ];
    let run = engine.start(workflow(&engine, &steps)).await.expect("a run").id();
    first.began("b").await;
    engine.stop(std::time::Duration::ZERO).await;
    store.close().await.expect("closed");
    drop((engine, store));

    second.open_the_gate();
    let engine = second.engine(place.open().await).start().await;
    if !place.keeps() {
        // Closed for good, or empty: not a place in which half of a run is left.
        match engine {
            Err(StoreError::Unavailable(_)) => {}
            Err(error) => panic!("closed is `Unavailable`: {error}"),
            Ok(engine) => {
                let gone = engine.drive(run).await.expect_err("the run is gone");
                assert!(matches!(gone, DriveError::NotFound(_)), "{gone}");
            }
        }
        return;
    }
    let engine = engine.expect("an engine on what was kept");
    let report = engine.drive(run).await.expect("the run").wait().await.expect("a report");
    assert_eq!((report.status.as_str(), second.executed("a"), second.executed("b")), ("completed", 0, 1));
    let said: Value = report.output("b").expect("what the second gave");
    assert_eq!(said["said"], long("a"));
    log_of(&**engine.store(), run).await;
    engine.stop(HOUR).await;
}
