//! Places under keys: how many attempts that name the same key are executed at once, over all runs.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use orchestrator_core::engine::{Engine, EngineBuilder, stranded};
use orchestrator_core::id::{RunId, StepIx, Unit};
use orchestrator_core::machine::{Asked, Command, Event};
use orchestrator_core::port::plugin::{Awaited, Context, Outcome, Plugin, Request};
use orchestrator_core::port::store::{EventsAfter, KeyQuery, Store};
use orchestrator_core::spec::EffectClass;
use orchestrator_core::{MemoryStore, RunHandle, StartRun};
use serde_json::{Value, json};
use tokio::sync::Notify;

/// Counts who is at work under each key, as its steps say it.
#[derive(Debug, Default)]
pub(crate) struct Crowd {
    counts: Mutex<BTreeMap<String, Count>>,
    /// The runs whose steps were at work, in that order.
    pub(crate) order: Mutex<Vec<RunId>>,
    began: Notify,
    pub(crate) gate: Notify,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) now: u32,
    pub(crate) most: u32,
    pub(crate) all: u32,
}

impl Crowd {
    pub(crate) fn of(&self, key: &str) -> Count {
        self.counts.lock().unwrap().get(key).copied().unwrap_or_default()
    }

    fn enter(&self, key: &str) {
        let mut counts = self.counts.lock().unwrap();
        let count = counts.entry(key.to_owned()).or_default();
        count.now += 1;
        count.all += 1;
        count.most = count.most.max(count.now);
        self.began.notify_waiters();
    }

    fn leave(&self, key: &str) {
        self.counts.lock().unwrap().get_mut(key).unwrap().now -= 1;
    }

    /// Returns when so many have been at work under a key.
    pub(crate) async fn has_begun(&self, key: &str, all: u32) {
        loop {
            let began = self.began.notified();
            if self.of(key).all >= all {
                return;
            }
            began.await;
        }
    }
}

/// Under which all are counted.
pub(crate) const ALL: &str = "all";

static ANY: LazyLock<Value> = LazyLock::new(|| json!({}));

#[async_trait]
impl Plugin for Crowd {
    fn kind(&self) -> &'static str {
        "crowd"
    }

    fn summary(&self) -> &'static str {
        "counts who is at work"
    }

    fn config_schema(&self) -> &Value {
        &ANY
    }

    fn output_schema(&self) -> &Value {
        &ANY
    }

    fn effect_class(&self, _: &Value) -> EffectClass {
        EffectClass::Pure
    }

    async fn execute(&self, context: Context, request: Request) -> Outcome {
        let key = request.with["key"].as_str().unwrap_or("k").to_owned();
        let how = request.with["do"].as_str().unwrap_or("work");
        if how == "ask" && context.arrival.is_none() {
            return Outcome::Wait { on: Awaited::Approval { message: "go on?".into(), show: None } };
        }
        self.order.lock().unwrap().push(context.run);
        self.enter(&key);
        self.enter(ALL);
        let outcome = match how {
            "gate" => tokio::select! {
                () = self.gate.notified() => Outcome::Succeeded { output: json!(null) },
                () = context.cancelled() => Outcome::Stopped,
            },
            _ => {
                // Others have a chance to be at work at the same time.
                for _ in 0..20 {
                    tokio::task::yield_now().await;
                }
                Outcome::Succeeded { output: json!(null) }
            }
        };
        self.leave(&key);
        self.leave(ALL);
        outcome
    }
}

pub(crate) fn engine(crowd: &Arc<Crowd>, store: &Arc<MemoryStore>) -> EngineBuilder {
    Engine::builder().plugin(crowd.clone()).store(store.clone()).poll(None)
}

/// Two on one store.
pub(crate) async fn two_engines(crowd: &Arc<Crowd>, store: &Arc<MemoryStore>) -> [Engine; 2] {
    [engine(crowd, store).start().await.unwrap(), engine(crowd, store).start().await.unwrap()]
}

pub(crate) async fn start(engine: &Engine, text: &str) -> RunHandle {
    let workflow = engine.parse(text).unwrap_or_else(|problems| panic!("{problems}\n{text}")).workflow;
    engine.start(StartRun::new(workflow)).await.unwrap()
}

fn one(how: &str) -> String {
    format!("name: one\nsteps:\n  a: {{ uses: crowd, with: {{ do: {how} }}, concurrency: k }}\n")
}

fn asked() -> Asked {
    Asked { by: "kim".into(), reason: None }
}

/// Nothing is held, nobody waits.
pub(crate) async fn assert_free(store: &MemoryStore) {
    assert_eq!(store.holds(KeyQuery::default()).await.unwrap(), []);
    assert_eq!(store.waiters(KeyQuery::default()).await.unwrap(), []);
}

/// Returns when so many runs wait for a place.
pub(crate) async fn waiting(store: &MemoryStore, runs: usize) {
    while store.waiters(KeyQuery::default()).await.unwrap().len() != runs {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn of_many_items_no_more_are_executed_at_once_than_the_key_allows() {
    let (crowd, store) = (Arc::<Crowd>::default(), Arc::new(MemoryStore::new()));
    let engine = engine(&crowd, &store).slots(8).start().await.unwrap();
    let items: Vec<u32> = (0..40).collect();
    let text = format!(
        "name: many\nsteps:\n  a: {{ uses: crowd, for_each: {items:?}, concurrency: {{ key: k, limit: 3 }} }}\n"
    );
    let report = start(&engine, &text).await.wait().await.unwrap();
    assert_eq!(report.status, "completed", "{:?}", report.error);
    assert_eq!(crowd.of("k"), Count { now: 0, most: 3, all: 40 });
    assert_free(&store).await;
}

#[tokio::test(start_paused = true)]
async fn items_with_keys_of_their_own_do_not_wait_for_each_other() {
    let (crowd, store) = (Arc::<Crowd>::default(), Arc::new(MemoryStore::new()));
    let engine = engine(&crowd, &store).slots(8).start().await.unwrap();
    let text = "name: hosts\nsteps:\n  a:\n    uses: crowd\n    for_each: [x, y, x, y, x, y]\n    \
                with: { key: \"${{ item }}\" }\n    concurrency: { key: \"host-${{ item }}\" }\n";
    let report = start(&engine, text).await.wait().await.unwrap();
    assert_eq!(report.status, "completed", "{:?}", report.error);
    assert_eq!([crowd.of("x"), crowd.of("y")], [Count { now: 0, most: 1, all: 3 }; 2]);
    assert_eq!(crowd.of(ALL).most, 2, "one of each");
    assert_free(&store).await;
}

#[tokio::test]
async fn runs_of_several_engines_take_turns() {
    let (crowd, store) = (Arc::<Crowd>::default(), Arc::new(MemoryStore::new()));
    let engines = two_engines(&crowd, &store).await;
    let text = "name: turns\nsteps:\n  a: { uses: crowd, concurrency: k }\n  b: { uses: crowd, needs: a, concurrency: k }\n";
    let mut runs = Vec::new();
    for nth in 0..10 {
        runs.push(start(&engines[nth % 2], text).await);
    }
    for run in runs {
        assert_eq!(run.wait().await.unwrap().status, "completed");
    }
    assert_eq!(crowd.of("k"), Count { now: 0, most: 1, all: 20 });
    assert_free(&store).await;
}

#[tokio::test(start_paused = true)]
async fn those_that_have_waited_longest_go_first() {
    let (crowd, store) = (Arc::<Crowd>::default(), Arc::new(MemoryStore::new()));
    let engine = engine(&crowd, &store).start().await.unwrap();
    let first = start(&engine, &one("gate")).await;
    crowd.has_begun("k", 1).await;
    let mut others = Vec::new();
    for nth in 1..=3 {
        others.push(start(&engine, &one("work")).await);
        waiting(&store, nth).await;
        tokio::time::advance(Duration::from_millis(2)).await;
    }
    let report = others[0].report().await.unwrap();
    assert_eq!(report.status, "pending", "it waits for no person");
    assert_eq!(report.steps[0].status, "queued");
    assert_eq!(stranded(&*store, others[0].id()).await.unwrap(), None);
    crowd.gate.notify_one();
    let mut runs = vec![first.id()];
    assert_eq!(first.wait().await.unwrap().status, "completed");
    for other in &others {
        runs.push(other.id());
        assert_eq!(other.wait().await.unwrap().status, "completed");
    }
    assert_eq!(*crowd.order.lock().unwrap(), runs);
    assert_free(&store).await;
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_a_person_holds_nothing_and_goes_on_in_its_turn() {
    let (crowd, store) = (Arc::<Crowd>::default(), Arc::new(MemoryStore::new()));
    let engine = engine(&crowd, &store).start().await.unwrap();
    let asks = start(&engine, &one("ask")).await;
    while asks.report().await.unwrap().status != "blocked" {
        tokio::task::yield_now().await;
    }
    assert_free(&store).await;
    let other = start(&engine, &one("gate")).await;
    crowd.has_begun("k", 1).await;
    let step = Unit::of(StepIx(0));
    let decide = orchestrator_core::machine::Decide {
        step,
        digest: None,
        approved: true,
        asked: asked(),
        via: "host".into(),
    };
    engine.command(asks.id(), Command::Decide(decide)).await.unwrap();
    waiting(&store, 1).await;
    assert_eq!(asks.report().await.unwrap().status, "running");
    crowd.gate.notify_one();
    assert_eq!(asks.wait().await.unwrap().status, "completed");
    assert_eq!(other.wait().await.unwrap().status, "completed");
    assert_eq!(crowd.of("k").most, 1);
    assert_free(&store).await;
}

#[tokio::test(start_paused = true)]
async fn who_is_cancelled_or_paused_leaves_the_line() {
    let (crowd, store) = (Arc::<Crowd>::default(), Arc::new(MemoryStore::new()));
    let engine = engine(&crowd, &store).start().await.unwrap();
    let first = start(&engine, &one("gate")).await;
    crowd.has_begun("k", 1).await;
    let cancelled = start(&engine, &one("work")).await;
    waiting(&store, 1).await;
    let paused = start(&engine, &one("work")).await;
    waiting(&store, 2).await;
    let last = start(&engine, &one("work")).await;
    waiting(&store, 3).await;
    engine.command(cancelled.id(), Command::Cancel(asked())).await.unwrap();
    assert_eq!(cancelled.wait().await.unwrap().status, "cancelled");
    engine.command(paused.id(), Command::Pause(asked())).await.unwrap();
    waiting(&store, 1).await;
    crowd.gate.notify_one();
    assert_eq!(first.wait().await.unwrap().status, "completed");
    assert_eq!(last.wait().await.unwrap().status, "completed", "whoever is paused stands in nobody's way");
    assert_free(&store).await;
    engine.command(paused.id(), Command::Resume(asked())).await.unwrap();
    assert_eq!(paused.wait().await.unwrap().status, "completed");
    assert_eq!(crowd.of("k"), Count { now: 0, most: 1, all: 3 });
    assert_free(&store).await;
}

#[tokio::test(start_paused = true)]
async fn a_step_that_does_not_want_to_wait_fails() {
    let (crowd, store) = (Arc::<Crowd>::default(), Arc::new(MemoryStore::new()));
    let engine = engine(&crowd, &store).start().await.unwrap();
    let first = start(&engine, &one("gate")).await;
    crowd.has_begun("k", 1).await;
    let text = "name: no\nsteps:\n  a: { uses: crowd, concurrency: { key: k, on_full: refuse } }\n";
    let report = start(&engine, text).await.wait().await.unwrap();
    let error = report.error.unwrap_or_default();
    assert_eq!(
        (report.status.as_str(), error.contains("no more than 1 may hold `k`")),
        ("failed", true),
        "{error}"
    );
    crowd.gate.notify_one();
    assert_eq!(first.wait().await.unwrap().status, "completed");
    assert_free(&store).await;
}

/// A run of one step that wants this where it is too many.
fn on_full(word: &str, how: &str, limit: u32) -> String {
    format!(
        "name: {word}\nsteps:\n  a: {{ uses: crowd, with: {{ do: {how} }}, concurrency: {{ key: k, limit: {limit}, on_full: {word} }} }}\n"
    )
}

#[tokio::test]
async fn the_latest_goes_and_those_before_it_are_cancelled() {
    let (crowd, store) = (Arc::<Crowd>::default(), Arc::new(MemoryStore::new()));
    let engines = two_engines(&crowd, &store).await;
    let mut runs = vec![start(&engines[0], &one("gate")).await];
    crowd.has_begun("k", 1).await;
    // Waits behind the first.
    runs.push(start(&engines[0], &one("work")).await);
    waiting(&store, 1).await;
    // In another process: both came before.
    runs.push(start(&engines[1], &on_full("cancel_oldest", "work", 1)).await);
    let mut statuses = Vec::new();
    for run in &runs {
        statuses.push(run.wait().await.unwrap().status);
    }
    assert_eq!(statuses, ["cancelled", "cancelled", "completed"]);
    let log = store.events_after(EventsAfter { run: runs[0].id(), after: 0, limit: 99 }).await.unwrap();
    let told = log.iter().find_map(|recorded| match &recorded.event {
        Event::IntentChanged(changed) => Some((changed.by.to_string(), changed.reason.clone()?.to_string())),
        _ => None,
    });
    let why = format!(
        "{} wants a place under `k`, of which there are 1, and `on_full` is `cancel_oldest`",
        runs[2].id()
    );
    assert_eq!(told, Some(("concurrency".to_owned(), why)));
    assert_free(&store).await;
}

#[tokio::test]
async fn no_more_are_cancelled_than_are_in_the_way() {
    let (crowd, store) = (Arc::<Crowd>::default(), Arc::new(MemoryStore::new()));
    let engine = engine(&crowd, &store).slots(8).start().await.unwrap();
    let text = on_full("cancel_oldest", "gate", 2);
    let mut runs = Vec::new();
    for nth in 1..=4 {
        runs.push(start(&engine, &text).await);
        crowd.has_begun("k", nth).await;
    }
    for run in &runs[..2] {
        assert_eq!(run.wait().await.unwrap().status, "cancelled");
    }
    crowd.gate.notify_waiters();
    for run in &runs[2..] {
        assert_eq!(run.wait().await.unwrap().status, "completed");
    }
    assert_eq!(crowd.of("k"), Count { now: 0, most: 2, all: 4 });
    assert_free(&store).await;
}

#[tokio::test]
async fn who_comes_too_late_is_cancelled_and_a_run_is_in_its_own_way() {
    let (crowd, store) = (Arc::<Crowd>::default(), Arc::new(MemoryStore::new()));
    let engine = engine(&crowd, &store).slots(8).start().await.unwrap();
    let first = start(&engine, &one("gate")).await;
    crowd.has_begun("k", 1).await;
    let late = start(&engine, &on_full("cancel_newest", "work", 1)).await.wait().await.unwrap();
    assert_eq!((late.status.as_str(), late.steps[0].status), ("cancelled", "cancelled"));
    crowd.gate.notify_one();
    assert_eq!(first.wait().await.unwrap().status, "completed");
    let items = "name: items\nsteps:\n  a:\n    uses: crowd\n    for_each: [1, 2, 3]\n    \
                 concurrency: { key: k, on_full: cancel_oldest }\n";
    let report = start(&engine, items).await.wait().await.unwrap();
    assert_eq!(report.status, "completed", "{:?}", report.error);
    assert_eq!(crowd.of("k").all, 4);
    assert_free(&store).await;
}

#[tokio::test]
async fn the_dead_hold_until_their_loss_is_known_and_no_longer() {
    let (crowd, store) = (Arc::<Crowd>::default(), Arc::new(MemoryStore::new()));
    let doomed = engine(&crowd, &store).start().await.unwrap();
    let lost = start(&doomed, &one("gate")).await.id();
    crowd.has_begun("k", 1).await;
    let owner = store.run(lost).await.unwrap().unwrap().driver.unwrap();
    let heir = engine(&crowd, &store).poll(Some(Duration::from_millis(20))).start().await.unwrap();
    let next = start(&heir, &one("work")).await;
    waiting(&store, 1).await;
    // As a sweep says of one that is gone; its engine notices, and stops what it executes.
    store.retire(owner).await.unwrap();
    // Whoever begins again with the commit that says it was lost keeps its place.
    crowd.has_begun("k", 2).await;
    // Whoever is dead and does not know it works on: nothing that it says counts.
    crowd.gate.notify_waiters();
    assert_eq!(next.wait().await.unwrap().status, "completed", "the place was given on");
    let log = store.events_after(EventsAfter { run: lost, after: 0, limit: 100 }).await.unwrap();
    assert!(log.iter().any(|recorded| matches!(recorded.event, Event::StepLost(_))));
    assert!(matches!(log.last().unwrap().event, Event::RunEnded(_)), "{log:?}");
    assert_eq!(crowd.of("k").all, 3);
    assert_free(&store).await;
}
