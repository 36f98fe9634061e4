//! Rates: how many attempts that name the same key begin within some time, over all runs.

use std::sync::Arc;
use std::time::Duration;

use orchestrator_core::MemoryStore;
use orchestrator_core::engine::{EngineBuilder, stranded};
use orchestrator_core::id::RunId;
use orchestrator_core::machine::{Asked, Command, Event};
use orchestrator_core::port::store::{EventsAfter, KeyQuery, Store};
use orchestrator_core::time::{Clock, SystemClock, Timestamp};

use crate::places::{self, Crowd, assert_free, start, waiting};

/// One that counts as alive for longer than any test lasts on Tokio's clock, which leaps.
fn engine(crowd: &Arc<Crowd>, store: &Arc<MemoryStore>) -> EngineBuilder {
    places::engine(crowd, store).ttl(Duration::from_secs(7 * 86_400))
}

const MINUTE: Duration = Duration::from_secs(60);

/// When attempts of these runs have begun.
async fn begun(store: &MemoryStore, runs: &[RunId]) -> Vec<Timestamp> {
    let mut times = Vec::new();
    for run in runs {
        let events = store.events_after(EventsAfter { run: *run, after: 0, limit: 10_000 }).await.unwrap();
        times.extend(
            events.iter().filter(|event| matches!(event.event, Event::StepBegun(_))).map(|event| event.at),
        );
    }
    times.sort_unstable();
    times
}

/// Of any so many of them in a row, the last is at least so much later than the one before the first.
fn assert_rate(times: &[Timestamp], limit: usize, per: Duration) {
    for pair in times.windows(limit + 1) {
        assert!(pair[limit].since(pair[0]) >= per, "{} more within {per:?}: {times:?}", limit + 1);
    }
}

fn items(many: usize, rate: &str) -> String {
    let items: Vec<usize> = (0..many).collect();
    format!("name: many\nsteps:\n  a: {{ uses: crowd, for_each: {items:?}, rate: {rate} }}\n")
}

#[tokio::test(start_paused = true)]
async fn within_any_minute_no_more_attempts_begin_than_the_rate_allows() {
    let (crowd, store) = (Arc::<Crowd>::default(), Arc::new(MemoryStore::new()));
    let engine = engine(&crowd, &store).slots(4).start().await.unwrap();
    let run = start(&engine, &items(35, "{ key: api, limit: 10, per: 1m }")).await;
    let report = run.wait().await.unwrap();
    assert_eq!(report.status, "completed", "{:?}", report.error);
    let times = begun(&store, &[run.id()]).await;
    assert_eq!(times.len(), 35);
    assert_rate(&times, 10, MINUTE);
    // A 64th of it later each time, and not more: the 35th begins in the fourth minute.
    let all = times[34].since(times[0]);
    assert!(all < 3 * (MINUTE + MINUTE / 60), "{all:?}: {times:?}");
    assert_free(&store).await;
}

#[tokio::test(start_paused = true)]
async fn every_time_that_a_step_begins_counts() {
    let (crowd, store) = (Arc::<Crowd>::default(), Arc::new(MemoryStore::new()));
    let engine = engine(&crowd, &store).start().await.unwrap();
    let text = "name: again\nsteps:\n  a: { uses: crowd, repeat: { until: \"false\", max: 4 }, continue-on-error: true,\n       \
                rate: { key: api, limit: 2, per: 1m } }\n  \
                b: { uses: crowd, needs: a, rate: { key: api, limit: 2, per: 1m } }\n";
    let run = start(&engine, text).await;
    assert_eq!(run.wait().await.unwrap().status, "completed");
    let times = begun(&store, &[run.id()]).await;
    assert_eq!(times.len(), 5);
    assert_rate(&times, 2, MINUTE);
}

#[tokio::test(start_paused = true)]
async fn a_step_keeps_all_its_rates() {
    let (crowd, store) = (Arc::<Crowd>::default(), Arc::new(MemoryStore::new()));
    let engine = engine(&crowd, &store).start().await.unwrap();
    let rates = "[{ key: api, limit: 2, per: 1s }, { key: api, limit: 5, per: 1m }]";
    let run = start(&engine, &items(11, rates)).await;
    assert_eq!(run.wait().await.unwrap().status, "completed");
    let times = begun(&store, &[run.id()]).await;
    assert_eq!(times.len(), 11);
    assert_rate(&times, 2, Duration::from_secs(1));
    assert_rate(&times, 5, MINUTE);
    assert!(times[10].since(times[0]) < 3 * MINUTE, "neither holds up the other for long: {times:?}");
}

#[tokio::test(start_paused = true)]
async fn runs_of_several_engines_share_a_rate_and_take_turns() {
    let (crowd, store) = (Arc::<Crowd>::default(), Arc::new(MemoryStore::new()));
    let engines = [(); 2].map(|()| engine(&crowd, &store).start());
    let [one, other] = engines;
    let engines = [one.await.unwrap(), other.await.unwrap()];
    let mut runs = Vec::new();
    for nth in 0..6 {
        runs.push(start(&engines[nth % 2], &items(4, "{ key: api, limit: 3, per: 1m }")).await);
        tokio::time::advance(Duration::from_millis(5)).await;
    }
    let mut ends = Vec::new();
    for run in &runs {
        assert_eq!(run.wait().await.unwrap().status, "completed");
        ends.push(*begun(&store, &[run.id()]).await.last().unwrap());
    }
    let ids: Vec<RunId> = runs.iter().map(|run| run.id()).collect();
    let times = begun(&store, &ids).await;
    assert_eq!(times.len(), 24);
    assert_rate(&times, 3, MINUTE);
    // 24 at 3 a minute, the first three at once and of the first run; the others come to their ends in the last rounds, for they
    // take turns.
    let (first, last) = (times[0], times[23]);
    assert!(last.since(first) < 8 * MINUTE, "{times:?}");
    assert!(ends[1..].iter().all(|end| last.since(*end) <= 3 * MINUTE), "{ends:?}");
    assert_free(&store).await;
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_its_turn_says_so_and_can_be_cancelled() {
    let (crowd, store) = (Arc::<Crowd>::default(), Arc::new(MemoryStore::new()));
    let engine = engine(&crowd, &store).start().await.unwrap();
    let text = items(1, "{ key: api, limit: 1, per: 1h }");
    assert_eq!(start(&engine, &text).await.wait().await.unwrap().status, "completed");
    let second = start(&engine, &text).await;
    waiting(&store, 1).await;
    let third = start(&engine, &text).await;
    waiting(&store, 2).await;
    let report = second.report().await.unwrap();
    let told = &report.waiting_for[0];
    assert_eq!((told.kind, told.key.as_deref()), ("rate", Some("api")));
    assert_eq!(told.message, "waits for its turn: no more than 1 may begin under `api` in 1h");
    assert_eq!(stranded(&*store, second.id()).await.unwrap(), None);
    engine.command(second.id(), Command::Cancel(Asked { by: "kim".into(), reason: None })).await.unwrap();
    assert_eq!(second.wait().await.unwrap().status, "cancelled");
    assert_eq!(third.wait().await.unwrap().status, "completed");
    assert_rate(&begun(&store, &[third.id()]).await, 1, MINUTE);
    assert_free(&store).await;
}

#[tokio::test(start_paused = true)]
async fn what_was_begun_counts_for_whoever_goes_on() {
    let (crowd, store) = (Arc::<Crowd>::default(), Arc::new(MemoryStore::new()));
    let first = engine(&crowd, &store).start().await.unwrap();
    let run = start(&first, &items(4, "{ key: api, limit: 2, per: 1m }")).await.id();
    crowd.has_begun("k", 2).await;
    first.stop(Duration::from_secs(1)).await;
    assert_eq!(store.waiters(KeyQuery::default()).await.unwrap(), [], "nobody drives it");
    let second = engine(&crowd, &store).start().await.unwrap();
    let report = second.drive(run).await.unwrap().wait().await.unwrap();
    assert_eq!(report.status, "completed", "{:?}", report.error);
    assert_rate(&begun(&store, &[run]).await, 2, MINUTE);
}

#[tokio::test(start_paused = true)]
async fn a_key_that_cannot_be_is_the_steps_failure() {
    let (crowd, store) = (Arc::<Crowd>::default(), Arc::new(MemoryStore::new()));
    let engine = engine(&crowd, &store).start().await.unwrap();
    for (rate, told) in [
        (
            "{ key: \"${{ inputs.long }}\", limit: 1, per: 1s }",
            "the key of `rate` has 201 bytes, and must have 1 to 200",
        ),
        (
            "{ key: \"${{ inputs.none }}\", limit: 1, per: 1s }",
            "the key of `rate` has 0 bytes, and must have 1 to 200",
        ),
        (
            "[{ key: k, limit: 1, per: 1s }, { key: \"${{ inputs.k }}\", limit: 2, per: 1000ms }]",
            "two rates of the step have the key `k` and are about the same time",
        ),
    ] {
        let inputs = format!(
            "{{ k: {{ type: string, default: k }}, none: {{ type: string, default: '' }}, long: {{ type: string, default: {} }} }}",
            "k".repeat(201)
        );
        let text =
            format!("name: wrong\ninputs: {inputs}\nsteps:\n  a:\n    uses: crowd\n    rate: {rate}\n");
        let report = start(&engine, &text).await.wait().await.unwrap();
        assert_eq!(report.steps[0].error.as_deref(), Some(told));
    }
}

#[tokio::test(start_paused = true)]
async fn what_has_waited_for_its_turn_is_refused_where_others_hold_its_place() {
    let (crowd, store) = (Arc::<Crowd>::default(), Arc::new(MemoryStore::new()));
    let engine = engine(&crowd, &store).start().await.unwrap();
    let first = "name: first\nsteps:\n  a: { uses: crowd, rate: { key: api, limit: 1, per: 1m } }\n";
    assert_eq!(start(&engine, first).await.wait().await.unwrap().status, "completed");
    let both = "name: both\nsteps:\n  a: { uses: crowd, concurrency: { key: k, on_full: refuse }, rate: { key: api, limit: 1, per: 1m } }\n";
    let both = start(&engine, both).await;
    waiting(&store, 1).await;
    // While it waits, another takes the place.
    let holds = "name: holds\nsteps:\n  a: { uses: crowd, with: { do: gate, key: h }, concurrency: k }\n";
    let holds = start(&engine, holds).await;
    crowd.has_begun("h", 1).await;
    let report = both.wait().await.unwrap();
    assert_eq!(report.status, "failed", "{:?}", report.waiting_for);
    crowd.gate.notify_one();
    assert_eq!(holds.wait().await.unwrap().status, "completed");
    assert_free(&store).await;
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_paused_in_its_turn_begins_nothing_until_it_is_resumed() {
    let (crowd, store) = (Arc::<Crowd>::default(), Arc::new(MemoryStore::new()));
    let engine = engine(&crowd, &store).slots(1).start().await.unwrap();
    let text = "name: gated\nsteps:\n  a: { uses: crowd, for_each: [1, 2, 3], with: { do: gate }, rate: { key: api, limit: 2, per: 1m } }\n";
    let run = start(&engine, text).await;
    crowd.has_begun("k", 1).await;
    let asked = || Asked { by: "kim".into(), reason: None };
    engine.command(run.id(), Command::Pause(asked())).await.unwrap();
    crowd.gate.notify_one();
    // On Tokio's clock, which goes from one sleeper to the next.
    let clock = SystemClock::anchored_at(Timestamp::default());
    clock.sleep_until(clock.now() + 5 * MINUTE).await;
    assert_eq!(crowd.of("k").all, 1);
    assert_eq!(store.waiters(KeyQuery::default()).await.unwrap(), [], "it has left the line");
    engine.command(run.id(), Command::Resume(asked())).await.unwrap();
    for nth in 2..=3 {
        crowd.has_begun("k", nth).await;
        crowd.gate.notify_one();
    }
    assert_eq!(run.wait().await.unwrap().status, "completed");
    assert_free(&store).await;
}
