//! An engine on the store, and nothing in its way.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::testkit::Place;
use crate::testkit::cases::lists::moved;
use crate::testkit::puppet::{HOUR, Puppet, Stopped, approve, blocked, log_of, long, workflow};
use crate::testkit::sample::due_runs;

pub(super) async fn a_chain_runs_to_its_end(place: Arc<dyn Place>) {
    let (puppet, store) = (Puppet::new("one"), place.open().await);
    let engine = puppet.engine(store.clone()).start().await.expect("an engine");
    let steps = [
        &*format!("a: {{ uses: puppet, with: {{ say: \"{}\" }} }}", long("a")),
        "b: { uses: puppet, needs: a, with: { say: \"${{ steps.a.said }} b\" } }",
        "c: { uses: puppet, needs: b, with: { say: \"${{ steps.b.said }} c\" } }",
    ];
    let run = engine.start(workflow(&engine, &steps)).await.expect("a run");
    let report = run.wait().await.expect("a report");
    assert_eq!((report.status.as_str(), report.error.as_deref()), ("completed", None));
    let said: Value = report.output("c").expect("what the last step gave");
    assert_eq!(said["said"], format!("{} b c", long("a")));
    let steps: Vec<_> = report.steps.iter().map(|step| (&*step.id, step.status, step.attempts)).collect();
    assert_eq!(steps, [("a", "completed", 1), ("b", "completed", 1), ("c", "completed", 1)]);
    assert_eq!(store.decisions(run.id()).await.expect("decisions").len(), 3, "each was asked for");
    let told = log_of(&*store, run.id()).await;
    let at = |what: &str| told.iter().position(|told| told == what);
    assert!(at("step.succeeded Some(0)") < at("step.begun Some(1)"), "{told:#?}");
    assert_eq!(told.last().map(String::as_str), Some("run.ended None"), "{told:#?}");
}

pub(super) async fn what_fans_out_comes_together(place: Arc<dyn Place>) {
    let (puppet, store) = (Puppet::new("one"), place.open().await);
    let engine = puppet.engine(store.clone()).start().await.expect("an engine");
    let words: Vec<String> = (0..20).map(|number| long(&number.to_string())).collect();
    let list = format!("list: {{ uses: puppet, with: {{ say: {} }} }}", json!(words));
    let steps = [
        &*list,
        "left: { uses: puppet, needs: list }",
        "each: { uses: puppet, needs: list, for_each: \"${{ steps.list.said }}\", with: { say: \"${{ item }}\" } }",
        "all: { uses: puppet, needs: [left, each], with: { say: \"${{ steps.each.items }}\" } }",
    ];
    let run = engine.start(workflow(&engine, &steps)).await.expect("a run");
    let report = run.wait().await.expect("a report");
    assert_eq!((report.status.as_str(), report.error.as_deref()), ("completed", None));
    let all: Value = report.output("all").expect("what came together");
    let said = all["said"].as_array().into_iter().flatten().map(|item| &item["output"]["said"]);
    assert_eq!(said.collect::<Vec<_>>(), words.iter().collect::<Vec<_>>(), "each item, in order");
    assert_eq!(puppet.executed("each"), 20);
    assert_eq!(report.steps.len(), 4 + 20);
    assert!(
        report.steps.iter().all(|step| step.status == "completed" && step.attempts <= 1),
        "{:?}",
        report.steps
    );
    log_of(&*store, run.id()).await;
}

pub(super) async fn an_approval_comes_from_another_handle(place: Arc<dyn Place>) {
    let (here, there) = (Puppet::new("here"), Puppet::new("there"));
    let driving = here.engine(place.open().await).start().await.expect("an engine");
    let other = there.engine(place.open().await).start().await.expect("another engine");
    let steps = ["a: { uses: puppet, with: { do: ask } }", "b: { uses: puppet, needs: a }"];
    let run = driving.start(workflow(&driving, &steps)).await.expect("a run");
    blocked(&run).await;
    let query = crate::port::store::ApprovalQuery { open: true, ..Default::default() };
    let open = other.store().approvals(query.clone()).await.expect("approvals").items;
    assert_eq!(open.iter().map(|row| (row.run, &*row.name)).collect::<Vec<_>>(), [(run.id(), "a")]);
    let marked = driving.store().change_mark().await.expect("a mark");
    let receipt = other.command(run.id(), approve(0)).await.expect("it is open");
    assert!(receipt.changed && receipt.driven, "the driver lives, and goes on by itself: {receipt:?}");
    // How its driver comes to know.
    moved(&**driving.store(), marked).await;
    let report = run.wait().await.expect("a report");
    assert_eq!(report.status, "completed");
    assert_eq!((here.executed("b"), there.executed("b")), (1, 0));
    assert_eq!(other.store().approvals(query).await.expect("approvals").items, []);
}

pub(super) async fn a_timer_outlives_the_engine_that_set_it(place: Arc<dyn Place>) {
    let (first, second) = (Puppet::new("first"), Puppet::new("second"));
    let store = place.open().await;
    // By its clock, two hours behind the store's, the hour of rest has just begun; by the store's it is over.
    let clock = Stopped(store.now().await.expect("the time") - HOUR * 2);
    let until = clock.0 + HOUR;
    let engine = first.engine(store.clone()).clock(Arc::new(clock)).start().await.expect("an engine");
    let steps = ["a: { uses: puppet, with: { do: nap } }"];
    let run = engine.start(workflow(&engine, &steps)).await.expect("a run");
    let mut progress = run.progress();
    let rests = |told: &Vec<String>| told.iter().any(|told| told == "step.waiting Some(0)");
    while !rests(&log_of(&*store, run.id()).await) {
        progress.changed().await.expect("its driver is there");
    }
    let due = store.run(run.id()).await.expect("an answer").and_then(|row| row.due_at);
    assert_eq!(due, Some(until), "when it is due is written with the event");
    assert_eq!(due_runs(&*store, 9).await.expect("what is due"), [], "its driver lives");
    engine.stop(HOUR).await;
    assert_eq!(
        due_runs(&*store, 9).await.expect("what is due"),
        [run.id()],
        "nobody drives it, and it is due"
    );
    let engine = second.engine(store.clone()).start().await.expect("another engine");
    let report = engine.drive(run.id()).await.expect("the run").wait().await.expect("a report");
    assert_eq!((report.status.as_str(), second.executed("a")), ("completed", 1));
}
