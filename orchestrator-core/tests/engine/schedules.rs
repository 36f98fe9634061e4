//! Schedules: one run for each of their times, whoever looks, dies, sleeps or is late.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use orchestrator_core::MemoryStore;
use orchestrator_core::engine::{Engine, StoredSchedule, read_schedules, sync_schedules};
use orchestrator_core::id::{DocumentId, Ids, SystemIds};
use orchestrator_core::port::store::{
    DeleteDocument, DocumentQuery, EventsAfter, NewRevision, Put, Registered, RunQuery, RunRow, Store,
};
use orchestrator_core::schedule::{KIND, Missed, Overlap, Schedule};
use orchestrator_core::time::{Clock, SystemClock, Timestamp};
use orchestrator_core::value::Digest;

use crate::bench::{Puppet, engine};
use crate::brake::Brake;

const MINUTE: Duration = Duration::from_secs(60);

const FLOW: &str =
    "name: report\ninputs: { at: { type: string, default: '' } }\nsteps: { a: { uses: puppet } }";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A store whose clock stands at half past eight, and goes with Tokio's.
fn store() -> Arc<MemoryStore> {
    Arc::new(MemoryStore::with_clock(Arc::new(SystemClock::anchored_at(at("2026-05-04T08:30:00Z")))))
}

/// The engine of a worker.
async fn worker(puppet: &Arc<Puppet>, store: Arc<dyn Store>) -> Engine {
    let worker = engine(puppet).store(store).poll(Some(Duration::from_millis(200))).schedules();
    worker.start().await.unwrap()
}

async fn register(store: &dyn Store, text: &str) {
    let new = NewRevision {
        id: DocumentId::from_uuid(SystemIds::default().uuid()),
        project: "default".into(),
        name: "report".into(),
        revision: Digest::of(text.as_bytes()),
        text: text.into(),
        by: "kim".into(),
        at: store.now().await.unwrap(),
        expected: None,
    };
    assert!(matches!(store.register_workflow(new).await.unwrap(), Registered::New(_) | Registered::Same(_)));
}

async fn make(store: &dyn Store, schedule: Schedule) -> StoredSchedule {
    let id = DocumentId::from_uuid(SystemIds::default().uuid());
    let now = store.now().await.unwrap();
    let made = StoredSchedule::new(id, "default", "nightly", schedule, now).unwrap();
    assert_eq!(store.put_document(made.put(now)).await.unwrap(), Put::Written(1));
    kept(store, "nightly").await.unwrap()
}

async fn kept(store: &dyn Store, name: &str) -> Option<StoredSchedule> {
    let query = DocumentQuery { name: Some(name.to_owned()), ..DocumentQuery::default() };
    read_schedules(store, query).await.unwrap().items.pop()
}

async fn change(store: &dyn Store, change: impl FnOnce(&mut StoredSchedule)) {
    let mut stored = kept(store, "nightly").await.unwrap();
    change(&mut stored);
    let put = stored.put(store.now().await.unwrap());
    assert!(matches!(store.put_document(put).await.unwrap(), Put::Written(_)));
}

async fn runs(store: &dyn Store) -> Vec<RunRow> {
    let query = RunQuery { limit: 1_000, ..RunQuery::default() };
    let mut rows = store.list_runs(query).await.unwrap().items;
    rows.reverse();
    rows
}

/// When each run was created, in minutes after half past eight.
async fn minutes(store: &dyn Store) -> Vec<u64> {
    let begin = at("2026-05-04T08:30:00Z");
    runs(store).await.iter().map(|row| row.created_at.since(begin).as_secs() / 60).collect()
}

/// Lets time pass on Tokio's clock, which goes from one sleeper to the next as soon as all are asleep.
async fn pass(time: Duration) {
    let clock = SystemClock::anchored_at(Timestamp::default());
    clock.sleep_until(clock.now() + time).await;
}

fn every_other_minute() -> Schedule {
    Schedule::new("report", "*/2 * * * *", "UTC")
}

#[tokio::test(start_paused = true)]
async fn a_run_is_started_at_each_of_its_times_by_whoever_looks() {
    let (puppet, store) = (Puppet::new(), store());
    register(&*store, FLOW).await;
    let mut schedule = every_other_minute();
    schedule.time_input = Some("at".into());
    let made = make(&*store, schedule).await;
    assert_eq!(made.next, Some(at("2026-05-04T08:32:00Z")));
    // Three of them look at the same moments.
    let mut engines = Vec::new();
    for _ in 0..3 {
        engines.push(worker(&puppet, store.clone()).await);
    }
    pass(7 * MINUTE).await;
    assert_eq!(minutes(&*store).await, [2, 4, 6]);
    assert_eq!(puppet.begun("a"), 3);
    let rows = runs(&*store).await;
    assert!(
        rows.iter().all(|row| &*row.new.by == "schedule/nightly" && row.new.labels["schedule"] == "nightly")
    );
    assert!(rows.iter().all(|row| &*row.status == "completed"), "{rows:?}");
    assert_eq!(rows[2].new.labels["scheduled_at"], "2026-05-04T08:36:00.000Z");
    let late = rows[0].created_at.since(at("2026-05-04T08:32:00Z"));
    assert!(late < Duration::from_millis(500), "{late:?} late");
    let report = engines[0].report(rows[1].run).await.unwrap().unwrap();
    assert_eq!(report.inputs["at"], "2026-05-04T08:34:00.000Z");
    let stored = kept(&*store, "nightly").await.unwrap();
    assert_eq!(stored.past.last_fire, Some(at("2026-05-04T08:36:00Z")));
    assert_eq!((stored.past.last_run, stored.past.last_missed), (Some(rows[2].run), None));
    assert_eq!(
        (stored.next, stored.number),
        (Some(at("2026-05-04T08:38:00Z")), 4),
        "moved on once for each time"
    );
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_was_not_told_to_leaves_schedules_alone() {
    let (puppet, store) = (Puppet::new(), store());
    register(&*store, FLOW).await;
    make(&*store, every_other_minute()).await;
    let idle =
        engine(&puppet).store(store.clone()).poll(Some(Duration::from_millis(200))).start().await.unwrap();
    pass(5 * MINUTE).await;
    assert!(runs(&*store).await.is_empty());
    idle.stop(Duration::ZERO).await;
}

#[tokio::test(start_paused = true)]
async fn who_dies_between_starting_and_moving_on_leaves_one_run() {
    let (puppet, store) = (Puppet::new(), store());
    register(&*store, FLOW).await;
    let made = make(&*store, every_other_minute()).await;
    // Its changes of documents never arrive, as if it had died before each.
    let dying = worker(&puppet, Brake::without_documents(store.clone())).await;
    pass(3 * MINUTE).await;
    assert_eq!(minutes(&*store).await, [2]);
    assert_eq!(kept(&*store, "nightly").await.unwrap(), made, "nothing was moved on");
    let next = worker(&puppet, store.clone()).await;
    pass(Duration::from_secs(2)).await;
    assert_eq!(minutes(&*store).await, [2], "the run that is there is that of the time");
    let moved = kept(&*store, "nightly").await.unwrap();
    assert_eq!(moved.past.last_run, Some(runs(&*store).await[0].run));
    assert_eq!(moved.next, Some(at("2026-05-04T08:34:00Z")));
    dying.stop(Duration::ZERO).await;
    next.stop(Duration::ZERO).await;
}

#[tokio::test(start_paused = true)]
async fn what_was_missed_in_a_long_sleep_follows_the_policy() {
    for (missed, window, expected) in [
        (Missed::Skip, None, 0),
        (Missed::RunOnce, None, 1),
        (Missed::RunOnce, Some(MINUTE), 0),
        (Missed::RunAll, None, 18),
        (Missed::RunAll, Some(60 * MINUTE), 6),
    ] {
        let (puppet, store) = (Puppet::new(), store());
        register(&*store, FLOW).await;
        let mut schedule = Schedule::new("report", "*/10 * * * *", "UTC");
        (schedule.missed, schedule.time_input) = (missed, Some("at".into()));
        schedule.set_window(window);
        make(&*store, schedule).await;
        // Three hours, in which nobody is there, and five minutes.
        pass(185 * MINUTE).await;
        let worker = worker(&puppet, store.clone()).await;
        pass(3 * MINUTE).await;
        let rows = runs(&*store).await;
        assert_eq!(rows.len(), expected, "{missed:?} {window:?}");
        let mut times = Vec::new();
        for row in &rows {
            times.push(worker.report(row.run).await.unwrap().unwrap().inputs["at"].to_string());
        }
        assert!(times.is_sorted(), "{times:?}");
        if expected > 0 {
            assert_eq!(times.last().unwrap(), "\"2026-05-04T11:30:00.000Z\"");
        }
        let stored = kept(&*store, "nightly").await.unwrap();
        assert_eq!(stored.next, Some(at("2026-05-04T11:40:00Z")), "{missed:?}");
        assert_eq!(stored.past.last_missed.is_some(), expected < 18, "{missed:?} {window:?}");
        worker.stop(Duration::ZERO).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_schedule_that_is_paused_starts_nothing_and_makes_up_for_nothing() {
    let (puppet, store) = (Puppet::new(), store());
    register(&*store, FLOW).await;
    let mut schedule = every_other_minute();
    schedule.missed = Missed::RunAll;
    make(&*store, schedule).await;
    let worker = worker(&puppet, store.clone()).await;
    pass(3 * MINUTE).await;
    change(&*store, StoredSchedule::pause).await;
    pass(6 * MINUTE).await;
    assert_eq!(minutes(&*store).await, [2]);
    let now = store.now().await.unwrap();
    change(&*store, |stored| stored.resume(now).unwrap()).await;
    pass(2 * MINUTE).await;
    assert_eq!(minutes(&*store).await, [2, 10]);
    worker.stop(Duration::ZERO).await;
}

#[tokio::test(start_paused = true)]
async fn a_changed_schedule_counts_from_now() {
    let (puppet, store) = (Puppet::new(), store());
    register(&*store, FLOW).await;
    make(&*store, Schedule::new("report", "0 9 1 1 *", "UTC")).await;
    let worker = worker(&puppet, store.clone()).await;
    pass(3 * MINUTE).await;
    let now = store.now().await.unwrap();
    change(&*store, |stored| stored.revise(every_other_minute(), now).unwrap()).await;
    pass(4 * MINUTE).await;
    assert_eq!(minutes(&*store).await, [4, 6]);
    let stored = kept(&*store, "nightly").await.unwrap();
    let delete = DeleteDocument {
        project: "default".into(),
        kind: KIND.into(),
        name: "nightly".into(),
        expected: stored.number,
    };
    assert!(store.delete_document(delete).await.unwrap());
    pass(5 * MINUTE).await;
    assert_eq!(minutes(&*store).await, [4, 6]);
    worker.stop(Duration::ZERO).await;
}

#[tokio::test(start_paused = true)]
async fn a_run_that_has_not_ended_is_left_alone_or_not_waited_for() {
    for (overlap, expected) in [(Overlap::Allow, vec![2, 4, 6]), (Overlap::Skip, vec![2, 6])] {
        let (puppet, store) = (Puppet::new(), store());
        register(&*store, &FLOW.replace("uses: puppet", "uses: puppet, with: { do: gate }")).await;
        let mut schedule = every_other_minute();
        schedule.overlap = overlap;
        make(&*store, schedule).await;
        let worker = worker(&puppet, store.clone()).await;
        pass(5 * MINUTE).await;
        let stored = kept(&*store, "nightly").await.unwrap();
        let missed = (overlap == Overlap::Skip).then(|| at("2026-05-04T08:34:00Z"));
        assert_eq!(stored.past.last_missed, missed);
        puppet.gate.notify_waiters();
        pass(2 * MINUTE).await;
        assert_eq!(minutes(&*store).await, expected, "{overlap:?}");
        worker.stop(Duration::ZERO).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_that_has_not_ended_gives_way_to_the_next_one_that_starts() {
    let (puppet, store) = (Puppet::new(), store());
    let flow = FLOW.replace("uses: puppet", "uses: puppet, with: { do: gate }");
    register(&*store, &flow).await;
    let mut schedule = every_other_minute();
    schedule.overlap = Overlap::CancelOldest;
    make(&*store, schedule).await;
    let worker = worker(&puppet, store.clone()).await;
    let statuses = async || {
        let rows = runs(&*store).await;
        rows.into_iter().map(|row| (row.status.to_string(), row.run)).collect::<Vec<_>>()
    };
    pass(3 * MINUTE).await;
    let [(first, one)] = &statuses().await[..] else { panic!("one run") };
    assert_eq!(first, "running");
    // No other can be started in its stead.
    register(&*store, "name: report\nsteps: {}").await;
    pass(2 * MINUTE).await;
    assert_eq!(statuses().await[0].0, "running");
    register(&*store, &flow).await;
    pass(2 * MINUTE).await;
    let both = statuses().await;
    let told: Vec<&str> = both.iter().map(|(status, _)| &**status).collect();
    assert_eq!(told, ["cancelled", "running"]);
    let events = store.events_after(EventsAfter { run: *one, after: 0, limit: 100 }).await.unwrap();
    let log = format!("{events:?}");
    assert!(log.contains("schedule/nightly") && log.contains(&both[1].1.to_string()), "{log}");
    worker.stop(Duration::ZERO).await;
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_started_is_told_and_does_not_spin() {
    let wrong_input = FLOW.replace("{ type: string, default: '' }", "{ type: integer }");
    let unknown_plugin = FLOW.replace("puppet", "wizard");
    for (text, told) in [
        (None, "there is no registered workflow `report`"),
        (Some(wrong_input.as_str()), "the inputs do not fit the workflow"),
        (Some(unknown_plugin.as_str()), "no engine has a plugin that its workflow needs"),
        (Some("name: report\nsteps: {}"), "a workflow has at least one step"),
    ] {
        let (puppet, store) = (Puppet::new(), store());
        if let Some(text) = text {
            register(&*store, text).await;
        }
        make(&*store, every_other_minute()).await;
        let worker = worker(&puppet, store.clone()).await;
        pass(7 * MINUTE / 2).await;
        let stored = kept(&*store, "nightly").await.unwrap();
        let failing = stored.past.last_error.expect(told);
        assert!(failing.message.contains(told), "{failing:?}");
        assert_eq!(failing.fire, at("2026-05-04T08:32:00Z"));
        assert_eq!((stored.past.last_missed, stored.number), (Some(failing.fire), 2), "written down once");
        // Once it can be, it is.
        register(&*store, FLOW).await;
        pass(MINUTE).await;
        let stored = kept(&*store, "nightly").await.unwrap();
        assert_eq!((stored.past.last_error, minutes(&*store).await), (None, vec![4]), "{told}");
        worker.stop(Duration::ZERO).await;
    }
}

#[tokio::test]
async fn what_the_text_says_becomes_what_is_kept() {
    let (store, ids) = (store(), SystemIds::default());
    let sync = async |on: &str| {
        register(&*store, &format!("{on}\n{FLOW}")).await;
        sync_schedules(&*store, &ids, "default", "report").await.unwrap()
    };
    let list = async || {
        let items = read_schedules(&*store, DocumentQuery::default()).await.unwrap().items;
        items.into_iter().map(|row| (row.name.to_string(), row)).collect::<BTreeMap<_, _>>()
    };
    let both =
        "on: { schedule: [{ cron: '0 9 * * *', zone: Europe/Berlin, time_input: at }, { cron: '@hourly' }] }";
    let synced = sync(both).await;
    assert_eq!(synced.created, ["report/1", "report/2"]);
    let first = list().await;
    assert_eq!(first["report/1"].next, Some(at("2026-05-05T07:00:00Z")));
    assert!(first["report/1"].schedule.of_text && &*first["report/1"].schedule.workflow == "report");
    // The same again, and a text that says the same of them: nothing changes.
    assert_eq!(sync(both).await, Default::default());
    assert_eq!(sync(&format!("# more\n{both}")).await, Default::default());
    assert_eq!(list().await, first);
    // Another time for one, while it is paused; the other goes.
    let mut paused = first["report/1"].clone();
    paused.pause();
    store.put_document(paused.put(store.now().await.unwrap())).await.unwrap();
    let synced = sync("on: { schedule: { cron: '0 10 * * *', missed: skip } }").await;
    assert_eq!((synced.changed, synced.removed), (vec!["report/1".to_owned()], vec!["report/2".to_owned()]));
    let second = list().await;
    let row = &second["report/1"];
    assert_eq!((second.len(), row.id, row.paused, row.next), (1, first["report/1"].id, true, None));
    assert_eq!(
        (&*row.schedule.cron, &*row.schedule.zone, row.schedule.missed),
        ("0 10 * * *", "UTC", Missed::Skip)
    );
    assert_eq!(sync("# none").await.removed, ["report/1"]);
    assert!(list().await.is_empty());
}
