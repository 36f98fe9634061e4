//! `concurrency` of a workflow: how many runs of the same key are under way at once.

use std::sync::Arc;
use std::time::Duration;

use orchestrator_core::engine::{ForkRun, stranded};
use orchestrator_core::id::{RunId, StepIx, Unit};
use orchestrator_core::machine::{Asked, Command, Decide};
use orchestrator_core::port::store::{EventsAfter, KeyQuery, Store};
use orchestrator_core::spec::Workflow;
use orchestrator_core::{Engine, MemoryStore, RunHandle, StartRun};

use crate::children::{children, family};
use crate::places::{ALL, Crowd, assert_free, engine, start, two_engines, waiting};

/// A workflow of two steps, the second after the first, of which so many runs may be under way.
fn two(limit: &str, first: &str) -> String {
    format!(
        "name: two\nconcurrency: {limit}\nsteps:\n  a: {{ uses: crowd, with: {{ do: {first} }} }}\n  b: {{ uses: crowd, needs: a }}\n"
    )
}

fn asked() -> Asked {
    Asked { by: "kim".into(), reason: None }
}

fn granted() -> Command {
    let step = Unit::of(StepIx(0));
    Command::Decide(Decide { step, digest: None, approved: true, asked: asked(), via: "host".into() })
}

/// The kinds of a run's events.
async fn kinds(store: &MemoryStore, run: RunId) -> Vec<&'static str> {
    let log = store.events_after(EventsAfter { run, after: 0, limit: 1_000 }).await.unwrap();
    log.iter().map(|recorded| recorded.event.kind()).collect()
}

/// The runs that hold places, each by itself.
async fn under_way(store: &MemoryStore) -> Vec<RunId> {
    let rows = store.holds(KeyQuery::default()).await.unwrap();
    assert!(rows.iter().all(|row| Unit::new(row.step, row.item) == Unit::RUN), "{rows:?}");
    rows.iter().map(|row| row.run).collect()
}

/// Waits for a status.
async fn until(run: &RunHandle, status: &str) {
    while run.report().await.unwrap().status != status {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn no_more_runs_are_under_way_than_the_key_allows() {
    let (crowd, store) = (Arc::<Crowd>::default(), Arc::new(MemoryStore::new()));
    let engines = two_engines(&crowd, &store).await;
    let text = two("{ key: \"k-${{ inputs.to }}\", limit: 2 }\ninputs: { to: { type: string } }", "work");
    let mut runs = Vec::new();
    for nth in 0..12 {
        let workflow = engines[nth % 2].parse(&text).unwrap().workflow;
        let to = if nth % 3 == 0 { "x" } else { "y" };
        runs.push(engines[nth % 2].start(StartRun::new(workflow).input("to", to)).await.unwrap());
    }
    for run in &runs {
        assert_eq!(run.wait().await.unwrap().status, "completed");
    }
    // Of each key: those whose first step has been at work, and whose second has not.
    let mut between = [Vec::new(), Vec::new()];
    for run in crowd.order.lock().unwrap().iter() {
        let nth = runs.iter().position(|started| started.id() == *run).unwrap();
        let between = &mut between[usize::from(nth % 3 == 0)];
        match between.iter().position(|other| other == run) {
            Some(at) => drop(between.remove(at)),
            None => between.push(*run),
        }
        assert!(between.len() <= 2, "{} are under way", between.len());
    }
    assert_eq!(crowd.of(ALL).all, 24);
    assert_free(&store).await;
}

#[tokio::test(start_paused = true)]
async fn a_run_keeps_its_place_from_its_first_step_to_its_end() {
    let (crowd, store) = (Arc::<Crowd>::default(), Arc::new(MemoryStore::new()));
    let engine = engine(&crowd, &store).slots(8).start().await.unwrap();
    let text = two("k", "ask") + "finally:\n  last: { uses: crowd, with: { key: last, do: gate } }\n";
    let first = start(&engine, &text).await;
    until(&first, "blocked").await;
    assert_eq!(under_way(&store).await, [first.id()], "it waits for a person, and keeps its place");
    let second = start(&engine, &two("k", "work")).await;
    waiting(&store, 1).await;
    let report = second.report().await.unwrap();
    assert_eq!(report.status, "pending");
    assert!(report.steps.iter().all(|step| step.status == "pending" && step.attempts == 0));
    assert_eq!(stranded(&*store, second.id()).await.unwrap(), None);
    let waits = &report.waiting_for[0];
    assert_eq!((report.waiting_for.len(), waits.kind, waits.step.clone()), (1, "concurrency", None));
    assert_eq!((waits.key.as_deref(), waits.held_by[0].run), (Some("k"), first.id()));
    assert_eq!(waits.message, format!("waits for a place under `k`, held by {}", first.id()));
    // Paused and taken up again, it has its place all the time.
    engine.command(first.id(), Command::Pause(asked())).await.unwrap();
    engine.command(first.id(), granted()).await.unwrap();
    engine.command(first.id(), Command::Resume(asked())).await.unwrap();
    crowd.has_begun("last", 1).await;
    assert_eq!(crowd.of(ALL).all, 3, "nothing of the second has begun");
    assert_eq!(under_way(&store).await, [first.id()]);
    crowd.gate.notify_one();
    assert_eq!(first.wait().await.unwrap().status, "completed");
    assert_eq!(second.wait().await.unwrap().status, "completed");
    let log = kinds(&store, second.id()).await;
    let at = |kind: &str| log.iter().position(|other| *other == kind).unwrap();
    assert!(at("run.parked") < at("run.entered") && at("run.entered") < at("step.begun"), "{log:?}");
    assert_free(&store).await;
}

#[tokio::test(start_paused = true)]
async fn those_that_came_first_go_first_and_who_is_cancelled_or_paused_leaves_the_line() {
    let (crowd, store) = (Arc::<Crowd>::default(), Arc::new(MemoryStore::new()));
    let engine = engine(&crowd, &store).start().await.unwrap();
    let first = start(&engine, &two("k", "gate")).await;
    crowd.has_begun(ALL, 1).await;
    let mut others = Vec::new();
    for nth in 1..=4 {
        // What is to run at the end, whatever came before, does not where nothing came before.
        let text = two("k", "work") + "finally:\n  last: { uses: crowd, with: { key: last } }\n";
        others.push(start(&engine, &text).await);
        waiting(&store, nth).await;
        tokio::time::advance(Duration::from_millis(2)).await;
    }
    engine.command(others[0].id(), Command::Cancel(asked())).await.unwrap();
    let report = others[0].wait().await.unwrap();
    assert_eq!(report.status, "cancelled");
    let statuses: Vec<_> = report.steps.iter().map(|step| step.status).collect();
    assert_eq!(statuses, ["cancelled", "cancelled", "skipped"]);
    engine.command(others[1].id(), Command::Pause(asked())).await.unwrap();
    waiting(&store, 2).await;
    crowd.gate.notify_one();
    for run in [&first, &others[2], &others[3]] {
        assert_eq!(run.wait().await.unwrap().status, "completed");
    }
    assert_free(&store).await;
    engine.command(others[1].id(), Command::Resume(asked())).await.unwrap();
    assert_eq!(others[1].wait().await.unwrap().status, "completed");
    let order = crowd.order.lock().unwrap().clone();
    let turns: Vec<RunId> = order.chunk_by(|one, next| one == next).map(|turn| turn[0]).collect();
    assert_eq!(turns, [first.id(), others[2].id(), others[3].id(), others[1].id()]);
    assert_eq!(crowd.of("last").all, 3, "and not of the one that never began");
    assert_free(&store).await;
}

#[tokio::test]
async fn where_all_places_are_taken_the_author_chooses_what_happens() {
    let (crowd, store) = (Arc::<Crowd>::default(), Arc::new(MemoryStore::new()));
    let engines = two_engines(&crowd, &store).await;
    let first = start(&engines[0], &two("k", "gate")).await;
    crowd.has_begun(ALL, 1).await;
    let refused = start(&engines[1], &two("{ key: k, on_full: refuse }", "work")).await.wait().await.unwrap();
    let error = refused.error.unwrap_or_default();
    assert_eq!(refused.status, "failed");
    assert_eq!(error, "no more than 1 may hold `k` at once, and `on_full` is `refuse`");
    let late = start(&engines[1], &two("{ key: k, on_full: cancel_newest }", "work")).await;
    assert_eq!(late.wait().await.unwrap().status, "cancelled");
    let waits = start(&engines[0], &two("k", "work")).await;
    waiting(&store, 1).await;
    assert_eq!(crowd.of(ALL).all, 1);
    // In another process: both came before.
    let latest = start(&engines[1], &two("{ key: k, on_full: cancel_oldest }", "work")).await;
    let mut statuses = Vec::new();
    for run in [&first, &waits, &latest] {
        statuses.push(run.wait().await.unwrap().status);
    }
    assert_eq!(statuses, ["cancelled", "cancelled", "completed"]);
    assert_free(&store).await;
}

#[tokio::test]
async fn a_run_that_goes_on_again_takes_a_place_again() {
    let (crowd, store) = (Arc::<Crowd>::default(), Arc::new(MemoryStore::new()));
    let engine = engine(&crowd, &store).start().await.unwrap();
    let first = start(&engine, &two("k", "gate")).await;
    crowd.has_begun(ALL, 1).await;
    let text = two("{ key: k, on_full: refuse }", "work");
    let refused = start(&engine, &text).await;
    assert_eq!(refused.wait().await.unwrap().status, "failed");
    let retry = || Command::Retry { steps: Vec::new(), asked: asked() };
    engine.command(refused.id(), retry()).await.unwrap();
    assert_eq!(engine.drive(refused.id()).await.unwrap().wait().await.unwrap().status, "failed");
    crowd.gate.notify_one();
    assert_eq!(first.wait().await.unwrap().status, "completed");
    let fork = engine.fork(ForkRun::new(refused.id())).await.unwrap();
    assert_eq!(fork.wait().await.unwrap().status, "completed");
    assert!(kinds(&store, fork.id()).await.contains(&"run.entered"));
    engine.command(refused.id(), retry()).await.unwrap();
    assert_eq!(engine.drive(refused.id()).await.unwrap().wait().await.unwrap().status, "completed");
    let entered = kinds(&store, refused.id()).await.into_iter().filter(|kind| *kind == "run.entered");
    assert_eq!(entered.count(), 1, "only the last generation has had a place");
    assert_free(&store).await;
}

/// The family of `one`, whose step runs `region`.
fn below(engine: &Engine, one: &str, region: &str) -> Workflow {
    let one = format!("{one}\nsteps:\n  region: {{ uses: workflow, with: {{ workflow: region }} }}\n");
    family(engine, &[("one", &one), ("region", region)])
}

#[tokio::test]
async fn the_key_of_a_child_is_of_the_child_and_what_is_above_holds_for_it() {
    let (crowd, store) = (Arc::<Crowd>::default(), Arc::new(MemoryStore::new()));
    let engine = engine(&crowd, &store).slots(8).start().await.unwrap();
    let gate = two("other", "gate");
    let parent = engine.start(below(&engine, "concurrency: k", &gate)).await.unwrap();
    crowd.has_begun(ALL, 1).await;
    let child = children(&*store, parent.id()).await[0].run;
    assert_eq!(under_way(&store).await, [parent.id(), child], "each has a place under its own key");
    let waits = start(&engine, &two("other", "work")).await;
    waiting(&store, 1).await;
    crowd.gate.notify_one();
    assert_eq!(parent.wait().await.unwrap().status, "completed");
    assert_eq!(waits.wait().await.unwrap().status, "completed");
    // Under the same key it would wait for the run that waits for it.
    let same = engine.start(below(&engine, "concurrency: other", &gate)).await.unwrap();
    crowd.has_begun(ALL, 5).await;
    assert_eq!(under_way(&store).await, [same.id()], "the parent holds the place for both");
    crowd.gate.notify_one();
    assert_eq!(same.wait().await.unwrap().status, "completed");
    // So it would under the key of the step that it carries out.
    let step = "name: one\nsteps:\n  region:\n    uses: workflow\n    with: { workflow: region }\n    concurrency: other\n";
    let by_step =
        engine.start(family(&engine, &[("one", step), ("region", &two("other", "work"))])).await.unwrap();
    assert_eq!(by_step.wait().await.unwrap().status, "completed");
    assert_free(&store).await;
}

#[tokio::test]
async fn what_is_undone_of_a_child_once_nobody_holds_a_place_for_it_needs_its_own() {
    let (crowd, store) = (Arc::<Crowd>::default(), Arc::new(MemoryStore::new()));
    let engine = engine(&crowd, &store).start().await.unwrap();
    let child =
        "concurrency: k\nsteps: { a: { uses: crowd, compensate: { uses: crowd, with: { key: undo } } } }";
    let parent = engine.start(below(&engine, "concurrency: k", child)).await.unwrap();
    assert_eq!(parent.wait().await.unwrap().status, "completed");
    let child = children(&*store, parent.id()).await[0].run;
    assert!(!kinds(&store, child).await.contains(&"run.entered"), "its parent held the place");
    let other = start(&engine, &two("k", "gate")).await;
    crowd.has_begun(ALL, 2).await;
    engine.command(child, Command::Compensate(asked())).await.unwrap();
    let undone = engine.drive(child).await.unwrap();
    waiting(&store, 1).await;
    assert_eq!((under_way(&store).await, crowd.of("undo").all), (vec![other.id()], 0));
    crowd.gate.notify_one();
    assert_eq!(other.wait().await.unwrap().status, "completed");
    undone.wait().await.unwrap();
    assert_eq!(crowd.of("undo").all, 1);
    assert_free(&store).await;
}

#[tokio::test]
async fn a_step_that_would_wait_for_its_own_run_fails_and_says_so() {
    let (crowd, store) = (Arc::<Crowd>::default(), Arc::new(MemoryStore::new()));
    let engine = engine(&crowd, &store).start().await.unwrap();
    let own = "name: own\ninputs: { k: { type: string, default: k } }\nconcurrency: k\nsteps:\n  \
               a: { uses: crowd, concurrency: \"${{ inputs.k }}\" }\n";
    let report = start(&engine, own).await.wait().await.unwrap();
    let error = report.error.unwrap_or_default();
    assert!(error.contains("under way under the key `k` already: give the two different keys"), "{error}");
    let below = below(&engine, "concurrency: k", "steps: { a: { uses: crowd, concurrency: k } }");
    let report = engine.start(below).await.unwrap().wait().await.unwrap();
    let error = report.error.unwrap_or_default();
    assert!(error.contains("under way under the key `k` already"), "{error}");
    assert_eq!(crowd.of(ALL).all, 0);
    assert_free(&store).await;
}

#[tokio::test]
async fn a_key_that_cannot_be_is_told_before_there_is_a_run() {
    let (crowd, store) = (Arc::<Crowd>::default(), Arc::new(MemoryStore::new()));
    let engine = engine(&crowd, &store).start().await.unwrap();
    let text = two("\"${{ inputs.k }}\"\ninputs: { k: { type: string } }", "work");
    let workflow = Arc::new(engine.parse(&text).unwrap().workflow);
    for (key, told) in [("", "has 0 bytes"), ("rate:x", "which is kept for `rate`")] {
        let refused = engine.start(StartRun::new(workflow.clone()).input("k", key)).await.unwrap_err();
        assert!(refused.to_string().contains(told), "{refused}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_put_off_takes_its_place_when_its_time_has_come() {
    let (crowd, store) = (Arc::<Crowd>::default(), Arc::new(MemoryStore::new()));
    let engine = engine(&crowd, &store).start().await.unwrap();
    let workflow = engine.parse(&two("k", "work")).unwrap().workflow;
    let at = store.now().await.unwrap() + Duration::from_secs(3_600);
    let put_off = engine.start(StartRun::new(workflow).not_before(at)).await.unwrap();
    let other = start(&engine, &two("k", "work")).await;
    assert_eq!(other.wait().await.unwrap().status, "completed", "nobody waits for what has not begun");
    assert_free(&store).await;
    assert_eq!(put_off.wait().await.unwrap().status, "completed");
    assert_free(&store).await;
}

#[tokio::test]
async fn the_place_of_the_dead_is_kept_for_who_goes_on() {
    let (crowd, store) = (Arc::<Crowd>::default(), Arc::new(MemoryStore::new()));
    let doomed = engine(&crowd, &store).start().await.unwrap();
    let lost = start(&doomed, &two("k", "gate")).await.id();
    crowd.has_begun(ALL, 1).await;
    let waits = start(&doomed, &two("k", "work")).await.id();
    waiting(&store, 1).await;
    let owner = store.run(lost).await.unwrap().unwrap().driver.unwrap();
    let heir = engine(&crowd, &store).poll(Some(Duration::from_millis(20))).start().await.unwrap();
    let next = start(&heir, &two("k", "work")).await;
    waiting(&store, 2).await;
    // As a sweep says of one that is gone; its engine notices, and stops what it executes.
    store.retire(owner).await.unwrap();
    crowd.has_begun(ALL, 2).await;
    assert_eq!(under_way(&store).await, [lost], "whoever begins again has its place still");
    crowd.gate.notify_waiters();
    assert_eq!(next.wait().await.unwrap().status, "completed");
    for run in [lost, waits] {
        let handle = heir.drive(run).await;
        let status = match handle {
            Ok(handle) => handle.wait().await.unwrap().status,
            Err(_) => heir.report(run).await.unwrap().unwrap().status,
        };
        assert_eq!(status, "completed");
    }
    let entered = kinds(&store, lost).await.into_iter().filter(|kind| *kind == "run.entered").count();
    assert_eq!(entered, 1, "it is taken once");
    assert_free(&store).await;
}

#[tokio::test(start_paused = true)]
async fn a_run_of_which_nothing_can_begin_keeps_nobody_out() {
    let (crowd, store) = (Arc::<Crowd>::default(), Arc::new(MemoryStore::new()));
    let [one, other] = [engine(&crowd, &store).slots(1), engine(&crowd, &store).slots(1)];
    let (one, other) = (one.start().await.unwrap(), other.start().await.unwrap());
    let completes = async |run: &RunHandle| {
        let report = tokio::time::timeout(Duration::from_secs(60), run.wait()).await;
        assert_eq!(report.expect("it goes on").unwrap().status, "completed");
    };
    let elsewhere = "name: gpu\nconcurrency: k\nsteps:\n  a: { uses: crowd, queue: gpu }\n";
    let unserved = start(&one, elsewhere).await;
    completes(&start(&one, &two("k", "work")).await).await;
    assert_eq!(unserved.report().await.unwrap().waiting_for[0].kind, "worker");
    let busy = start(&one, "name: busy\nsteps:\n  a: { uses: crowd, with: { key: busy, do: gate } }\n").await;
    crowd.has_begun("busy", 1).await;
    let without_slot = start(&one, &two("k", "work")).await;
    completes(&start(&other, &two("k", "work")).await).await;
    assert_free(&store).await;
    crowd.gate.notify_one();
    completes(&busy).await;
    completes(&without_slot).await;
    assert_free(&store).await;
}
