//! Tasks: claimed from outside, renewed, done, failed, given back, lost.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use orchestrator_core::engine::{
    ClaimTask, ClaimedTask, FindTasks, NewTask, Obstacle, PauseQueue, TASK_QUEUE, TaskEnd, TaskError,
    TaskRight, TaskType, pause_queue, stranded,
};
use orchestrator_core::id::{DocumentId, RunId};
use orchestrator_core::machine::{Asked, Command};
use orchestrator_core::port::store::{KeyQuery, RunQuery, Store};
use orchestrator_core::testkit::HandClock;
use orchestrator_core::{Engine, MemoryStore, RunHandle, StartRun};
use serde_json::json;
use uuid::Uuid;

async fn engine(store: &Arc<MemoryStore>) -> Engine {
    Engine::builder().store(store.clone()).start().await.unwrap()
}

async fn create(engine: &Engine, title: &str, more: impl FnOnce(&mut NewTask)) -> RunHandle {
    let mut new = NewTask::new(title);
    more(&mut new);
    engine.create_task(new).await.unwrap()
}

fn by(name: &str) -> ClaimTask {
    ClaimTask { by: name.to_owned(), ..ClaimTask::default() }
}

fn right(claimed: &ClaimedTask) -> TaskRight {
    TaskRight { run: claimed.task.ticket.run, token: claimed.token }
}

fn writes(path: &str) -> impl FnOnce(&mut NewTask) + use<'_> {
    move |new| new.writes = vec![path.to_owned()]
}

fn done() -> TaskEnd {
    TaskEnd::Done(json!({}))
}

async fn claim(engine: &Engine, name: &str) -> Option<ClaimedTask> {
    engine.claim_task(&by(name)).await.unwrap()
}

async fn titles(engine: &Engine, find: FindTasks) -> Vec<String> {
    let tasks = engine.open_tasks(&find).await.unwrap();
    tasks.iter().map(|task| task.brief.title.to_string()).collect()
}

/// A process that has created tasks and is gone.
async fn leave(engine: Engine) {
    engine.stop(Duration::ZERO).await;
}

async fn status(engine: &Engine, run: RunId) -> (String, &'static str) {
    let report = engine.report(run).await.unwrap().unwrap();
    (report.status, report.steps[0].status)
}

#[tokio::test]
async fn a_task_is_claimed_by_one_and_done() {
    let store = Arc::new(MemoryStore::new());
    let maker = engine(&store).await;
    let task = create(&maker, "mend it", |new| {
        (new.prompt, new.data) = ("all of it".into(), json!({ "issue": 7 }));
        (new.kind, new.priority) = (TaskType::Bug, 2);
        new.labels = [("area".to_owned(), "login".to_owned())].into();
    });
    let task = task.await.id();
    leave(maker).await;
    let worker = engine(&store).await;
    let report = worker.report(task).await.unwrap().unwrap();
    assert_eq!((&*report.status, report.steps[0].status), ("blocked", "queued"));
    assert_eq!(report.waiting_for.iter().map(|waiting| waiting.kind).collect::<Vec<_>>(), ["task"]);
    assert_eq!(stranded(&*store, task).await.unwrap(), None);
    let claimed = claim(&worker, "ana").await.expect("a task");
    assert_eq!((&*claimed.prompt, &claimed.data), ("all of it", &json!({ "issue": 7 })));
    assert_eq!((claimed.task.brief.kind, claimed.task.priority), (TaskType::Bug, 2));
    assert_eq!(claimed.task.ticket.attempt, 1);
    assert!(claim(&worker, "ben").await.is_none(), "it is claimed");
    assert_eq!(status(&worker, task).await, ("running".to_owned(), "claimed"));
    assert_eq!(stranded(&*store, task).await.unwrap(), None);
    let named = ClaimTask { find: FindTasks { run: Some(task), ..FindTasks::default() }, ..by("ben") };
    let refused = worker.claim_task(&named).await.unwrap_err().to_string();
    assert!(refused.contains("ana has claimed it, until "), "{refused}");
    let beat = worker.renew_claim(right(&claimed), None).await.unwrap();
    assert!(!beat.stop);
    let end = || TaskEnd::Done(json!({ "commit": "c0ffee" }));
    worker.end_task(right(&claimed), end()).await.unwrap();
    worker.end_task(right(&claimed), end()).await.expect("whoever has not heard the answer says it again");
    for otherwise in [TaskEnd::Released, TaskEnd::Done(json!({ "commit": "another" }))] {
        let refused = worker.end_task(right(&claimed), otherwise).await.unwrap_err();
        assert!(matches!(refused, TaskError::Over { .. }), "{refused}");
    }
    let report = worker.report(task).await.unwrap().unwrap();
    assert_eq!((&*report.status, &report.steps[0].output), ("completed", &json!({ "commit": "c0ffee" })));
    let late = worker.renew_claim(right(&claimed), None).await.unwrap_err();
    assert!(matches!(late, TaskError::Over { .. }), "{late}");
    let gone = worker.claim_task(&named).await.unwrap_err().to_string();
    assert_eq!(gone, format!("{task} has completed"));
}

#[tokio::test]
async fn a_claim_that_nobody_renews_is_over() {
    let clock = Arc::<HandClock>::default();
    let store = Arc::new(MemoryStore::with_clock(clock.clone()));
    let maker = engine(&store).await;
    let task = create(&maker, "long", |new| new.claim_ttl = Duration::from_secs(5)).await.id();
    leave(maker).await;
    let worker = engine(&store).await;
    let first = claim(&worker, "ana").await.expect("a task");
    clock.pass(Duration::from_secs(4));
    worker.renew_claim(right(&first), None).await.unwrap();
    clock.pass(Duration::from_secs(4));
    assert!(claim(&worker, "ben").await.is_none(), "it was renewed");
    clock.pass(Duration::from_secs(2));
    let second = claim(&worker, "ben").await.expect("the first is over");
    assert_eq!(second.task.ticket.attempt, 2);
    for late in [
        worker.end_task(right(&first), TaskEnd::Done(json!({ "by": "ana" }))).await.unwrap_err(),
        worker.renew_claim(right(&first), None).await.unwrap_err(),
    ] {
        assert!(matches!(late, TaskError::Over { .. }), "{late}");
    }
    worker.end_task(right(&second), TaskEnd::Done(json!({ "by": "ben" }))).await.unwrap();
    let report = worker.report(task).await.unwrap().unwrap();
    assert_eq!(report.steps[0].output, json!({ "by": "ben" }));
}

#[tokio::test]
async fn what_is_claimed_holds_its_paths_and_what_is_open_does_not() {
    let store = Arc::new(MemoryStore::new());
    let engine = engine(&store).await;
    let first = create(&engine, "the whole of src", writes("src")).await.id();
    create(&engine, "a part of it", writes("src/a.rs")).await;
    create(&engine, "docs", writes("docs")).await;
    assert_eq!(store.holds(KeyQuery::default()).await.unwrap(), [], "nobody has claimed any");
    let one = claim(&engine, "ana").await.expect("a task");
    assert_eq!(one.task.ticket.run, first);
    let other = claim(&engine, "ben").await.expect("a task that is not in the way");
    assert_eq!(&*other.task.brief.title, "docs");
    assert!(claim(&engine, "cem").await.is_none());
    let all = engine.open_tasks(&FindTasks { all: true, ..FindTasks::default() }).await.unwrap();
    let told: Vec<String> =
        all.iter().filter_map(|task| task.obstacle.as_ref()).map(ToString::to_string).collect();
    let held = format!("the paths `src/a.rs`: held by {first}");
    assert!(told[0].starts_with("ana has claimed it, until "), "{told:?}");
    assert_eq!((&*told[1], told.len()), (&*held, 3));
    engine.end_task(right(&one), done()).await.unwrap();
    let rest = claim(&engine, "cem").await.expect("the paths are free");
    assert_eq!(&*rest.task.brief.title, "a part of it");
    for claimed in [&other, &rest] {
        engine.end_task(right(claimed), done()).await.unwrap();
    }
    assert_eq!(store.holds(KeyQuery::default()).await.unwrap(), []);
}

#[tokio::test]
async fn the_paths_of_a_claim_that_is_over_are_free() {
    let clock = Arc::<HandClock>::default();
    let store = Arc::new(MemoryStore::with_clock(clock.clone()));
    let engine = engine(&store).await;
    create(&engine, "first", |new| {
        new.writes = vec!["src".into()];
        new.claim_ttl = Duration::from_secs(2);
    })
    .await;
    create(&engine, "second", writes("src/b.rs")).await;
    let lost = claim(&engine, "ana").await.expect("a task");
    assert!(claim(&engine, "ben").await.is_none(), "its paths are held");
    clock.pass(Duration::from_secs(3));
    let second = claim(&engine, "ben").await.expect("the paths are free");
    assert_eq!(&*second.task.brief.title, "second", "what is open again has waited for less long");
    engine.end_task(right(&second), TaskEnd::Released).await.unwrap();
    let again = claim(&engine, "cem").await.expect("open again");
    assert_eq!((again.task.ticket.run, again.task.ticket.attempt), (lost.task.ticket.run, 2));
    engine.end_task(right(&again), done()).await.unwrap();
    let second = claim(&engine, "ana").await.expect("what was given back");
    engine.end_task(right(&second), done()).await.unwrap();
    assert_eq!(store.holds(KeyQuery::default()).await.unwrap(), []);
}

#[tokio::test]
async fn a_task_waits_for_the_runs_that_it_depends_on() {
    let store = Arc::new(MemoryStore::new());
    let engine = engine(&store).await;
    let first = create(&engine, "first", |_| {}).await.id();
    create(&engine, "second", |new| {
        new.depends_on = vec![first];
        new.priority = 9;
    })
    .await;
    assert_eq!(titles(&engine, FindTasks::default()).await, ["first"]);
    let all = engine.open_tasks(&FindTasks { all: true, ..FindTasks::default() }).await.unwrap();
    assert_eq!(all[0].obstacle, Some(Obstacle::Depends(first, Some("blocked".into()))));
    let claimed = claim(&engine, "ana").await.expect("the first");
    assert!(claim(&engine, "ben").await.is_none());
    engine.end_task(right(&claimed), done()).await.unwrap();
    assert_eq!(&*claim(&engine, "ben").await.expect("the second").task.brief.title, "second");
}

#[tokio::test]
async fn what_fails_can_be_tried_again_as_often_as_it_says() {
    let store = Arc::new(MemoryStore::new());
    let engine = engine(&store).await;
    let fails = |message: &str, for_good| TaskEnd::Failed { message: message.to_owned(), for_good };
    let task = create(&engine, "hard", |new| new.attempts = Some(2)).await.id();
    for attempt in 1..=2 {
        // A moment after a failure.
        let claimed = loop {
            match claim(&engine, "ana").await {
                Some(claimed) => break claimed,
                None => tokio::task::yield_now().await,
            }
        };
        assert_eq!(claimed.task.ticket.attempt, attempt);
        engine.end_task(right(&claimed), fails("too hard", false)).await.unwrap();
    }
    let report = engine.report(task).await.unwrap().unwrap();
    assert_eq!((&*report.status, report.steps[0].error.as_deref()), ("failed", Some("too hard")));
    let task = create(&engine, "wrong", |new| new.attempts = Some(5)).await.id();
    let claimed = claim(&engine, "ana").await.expect("a task");
    engine.end_task(right(&claimed), fails("nobody can do this", true)).await.unwrap();
    assert_eq!(status(&engine, task).await.0, "failed");
    let odd = create(&engine, "odd", |_| {}).await.id();
    let claimed = claim(&engine, "ana").await.expect("a task");
    let refused = engine.end_task(right(&claimed), TaskEnd::Done(json!([1]))).await.unwrap_err();
    assert!(matches!(refused, TaskError::Invalid(_)), "{refused}");
    engine.end_task(right(&claimed), done()).await.unwrap();
    assert_eq!(status(&engine, odd).await.0, "completed");
}

#[tokio::test]
async fn whoever_looks_finds_what_it_can_do() {
    let store = Arc::new(MemoryStore::new());
    let engine = engine(&store).await;
    let labels = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    create(&engine, "gpu", |new| new.requires = labels(&[("gpu", "yes")])).await;
    create(&engine, "docs", |new| {
        new.kind = TaskType::Docs;
        new.labels = labels(&[("area", "login")]);
    })
    .await;
    create(&engine, "elsewhere", |new| new.queue = "other".into()).await;
    let find = FindTasks::default;
    assert_eq!(titles(&engine, find()).await, ["docs", "elsewhere"]);
    let has = labels(&[("gpu", "yes")]);
    assert_eq!(titles(&engine, FindTasks { has, ..find() }).await, ["gpu", "docs", "elsewhere"]);
    let kinds = vec![TaskType::Docs, TaskType::Bug];
    assert_eq!(titles(&engine, FindTasks { kinds, ..find() }).await, ["docs"]);
    let area = labels(&[("area", "login")]);
    assert_eq!(titles(&engine, FindTasks { labels: area, ..find() }).await, ["docs"]);
    let queues = vec!["other".into()];
    assert_eq!(titles(&engine, FindTasks { queues, ..find() }).await, ["elsewhere"]);
    let pause = PauseQueue {
        id: DocumentId::from_uuid(Uuid::from_u128(1)),
        queue: TASK_QUEUE.into(),
        by: "ana".into(),
    };
    pause_queue(&*store, pause).await.unwrap();
    assert_eq!(titles(&engine, find()).await, ["elsewhere"]);
}

#[tokio::test]
async fn of_twenty_who_claim_a_hundred_tasks_each_is_claimed_once() {
    let store = Arc::new(MemoryStore::new());
    let maker = engine(&store).await;
    for nth in 0..100 {
        create(&maker, &format!("task {nth}"), |_| {}).await;
    }
    leave(maker).await;
    let mut claimers = Vec::new();
    for nth in 0..20 {
        let store = store.clone();
        claimers.push(tokio::spawn(async move {
            let engine = engine(&store).await;
            let mut mine = Vec::new();
            while let Some(claimed) = claim(&engine, &format!("claimer {nth}")).await {
                mine.push(claimed.task.ticket.run);
                engine.end_task(right(&claimed), done()).await.unwrap();
            }
            leave(engine).await;
            mine
        }));
    }
    let mut all = Vec::new();
    for claimer in claimers {
        all.extend(claimer.await.unwrap());
    }
    assert_eq!((all.len(), all.iter().collect::<BTreeSet<_>>().len()), (100, 100));
    let looker = engine(&store).await;
    for run in all {
        assert_eq!(status(&looker, run).await.0, "completed");
    }
}

#[tokio::test]
async fn a_step_of_a_workflow_can_be_a_task() {
    let store = Arc::new(MemoryStore::new());
    let engine = engine(&store).await;
    let text = "name: release\ninputs:\n  what: { type: string }\nsteps:\n  check:\n    uses: task\n    \
                with: { title: \"Check ${{ inputs.what }}\", type: review }\n    paths: [docs]\n  each:\n    \
                uses: task\n    needs: check\n    for_each: [1, 2]\n    \
                with: { title: \"Item ${{ item }} of ${{ steps.check.by }}\" }\n";
    let workflow = engine.parse(text).unwrap().workflow;
    let run = engine.start(StartRun::new(workflow).input("what", "it")).await.unwrap();
    let mut progress = run.progress();
    progress.wait_for(|progress| progress.status == "blocked").await.unwrap();
    let claimed = claim(&engine, "ana").await.expect("a task");
    assert_eq!((&*claimed.task.brief.title, &*claimed.task.brief.step), ("Check it", "check"));
    engine.end_task(right(&claimed), TaskEnd::Done(json!({ "by": "ana" }))).await.unwrap();
    let mut seen = BTreeSet::new();
    while seen.len() < 2 {
        progress.wait_for(|progress| progress.status == "blocked").await.unwrap();
        let claimed = claim(&engine, "ben").await.expect("an item");
        seen.insert((claimed.task.brief.title.to_string(), claimed.task.brief.step.to_string()));
        engine.end_task(right(&claimed), done()).await.unwrap();
    }
    let item = |number: u32| (format!("Item {} of ana", number + 1), format!("each[{number}]"));
    assert_eq!(seen, [item(0), item(1)].into());
    assert_eq!(run.wait().await.unwrap().status, "completed");
}

#[tokio::test]
async fn whoever_has_claimed_what_is_cancelled_is_told_to_stop() {
    let store = Arc::new(MemoryStore::new());
    let engine = engine(&store).await;
    let task = create(&engine, "in vain", writes("src")).await.id();
    let open = create(&engine, "not begun", |_| {}).await.id();
    let claimed = claim(&engine, "ana").await.expect("a task");
    for run in [task, open] {
        engine.command(run, Command::Cancel(Asked::default())).await.unwrap();
    }
    assert!(engine.renew_claim(right(&claimed), None).await.unwrap().stop);
    assert!(claim(&engine, "ben").await.is_none());
    engine.end_task(right(&claimed), TaskEnd::Released).await.unwrap();
    for run in [task, open] {
        let report = engine.drive(run).await.unwrap().wait().await.unwrap();
        assert_eq!(report.status, "cancelled");
    }
    assert_eq!(store.holds(KeyQuery::default()).await.unwrap(), []);
}

#[tokio::test]
async fn who_waits_for_what_a_lost_claim_holds_sees_to_it() {
    let clock = Arc::<HandClock>::default();
    let store = Arc::new(MemoryStore::with_clock(clock.clone()));
    let maker = engine(&store).await;
    create(&maker, "left", |new| {
        new.writes = vec!["src".into()];
        new.claim_ttl = Duration::from_secs(2);
    })
    .await;
    claim(&maker, "ana").await.expect("a task");
    leave(maker).await;
    let waiter =
        Engine::builder().store(store.clone()).step("say", async |_: serde_json::Value| Ok(json!({})));
    let waiter = waiter.start().await.unwrap();
    let text = "name: waits\nsteps:\n  a: { uses: say, paths: [src/a.rs] }\n";
    let run = waiter.start(StartRun::new(waiter.parse(text).unwrap().workflow)).await.unwrap();
    while store.waiters(KeyQuery::default()).await.unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    clock.pass(Duration::from_secs(3));
    assert_eq!(run.wait().await.unwrap().status, "completed", "nobody else is there");
}

#[tokio::test]
async fn whoever_renews_a_claim_past_the_deadline_hears_of_it() {
    let clock = Arc::<HandClock>::default();
    let store = Arc::new(MemoryStore::with_clock(clock.clone()));
    let maker = engine(&store).await;
    create(&maker, "late", |new| new.deadline = Some(Duration::from_secs(5))).await;
    let claimed = claim(&maker, "ana").await.expect("a task");
    leave(maker).await;
    clock.pass(Duration::from_secs(6));
    let claimer = engine(&store).await;
    assert!(claimer.renew_claim(right(&claimed), None).await.unwrap().stop);
    let long = Some(Duration::from_secs(8 * 24 * 3600));
    let refused = claimer.renew_claim(right(&claimed), long).await.unwrap_err();
    assert!(matches!(refused, TaskError::Invalid(_)), "{refused}");
}

#[tokio::test]
async fn a_paused_task_is_not_claimed() {
    let store = Arc::new(MemoryStore::new());
    let engine = engine(&store).await;
    let task = create(&engine, "later", |_| {}).await.id();
    engine.command(task, Command::Pause(Asked::default())).await.unwrap();
    assert!(claim(&engine, "ana").await.is_none());
    engine.command(task, Command::Resume(Asked::default())).await.unwrap();
    let handle = engine.drive(task).await.unwrap();
    handle.progress().wait_for(|progress| progress.status == "blocked").await.unwrap();
    assert!(claim(&engine, "ana").await.is_some());
}

#[tokio::test]
async fn what_cannot_be_a_task_says_so() {
    let store = Arc::new(MemoryStore::new());
    let engine = engine(&store).await;
    let spoil: [fn(&mut NewTask); 5] = [
        |new| new.title = "t".repeat(501),
        |new| new.labels = [("area".to_owned(), "l".repeat(256))].into(),
        |new| new.writes = vec!["../up".into()],
        |new| new.queue = "two words".into(),
        |new| new.claim_ttl = Duration::from_millis(1),
    ];
    for spoil in spoil {
        let mut new = NewTask::new("a task");
        spoil(&mut new);
        assert!(matches!(engine.create_task(new).await, Err(TaskError::Invalid(_))));
    }
    assert_eq!(store.list_runs(RunQuery::default()).await.unwrap().items, [], "nothing was started");
    // In a workflow what is too long shows when it is rendered.
    let text = format!("name: w\nsteps:\n  a: {{ uses: task, with: {{ title: {} }} }}\n", "t".repeat(501));
    let workflow = engine.parse(&text).unwrap().workflow;
    let report = engine.start(StartRun::new(workflow)).await.unwrap().wait().await.unwrap();
    assert!(report.error.as_deref().unwrap_or_default().contains("501 bytes"), "{:?}", report.error);
    for (key, text) in [("timeout", "1m"), ("qa", "{ message: ok? }"), ("sandbox", "none")] {
        let text = format!("name: w\nsteps:\n  a: {{ uses: task, with: {{ title: t }}, {key}: {text} }}\n");
        let problems = engine.parse(&text).unwrap_err().to_string();
        assert!(problems.contains(&format!("a task has no `{key}`")), "{problems}");
    }
    let text = "name: w\nsteps:\n  a: { uses: task, with: { title: t, labels: { floor: 3 } } }\n";
    let problems = engine.parse(text).unwrap_err().to_string();
    assert!(problems.contains("`3` is no text"), "{problems}");
    let short = ClaimTask { ttl: Some(Duration::from_millis(1)), ..by("ana") };
    assert!(matches!(engine.claim_task(&short).await, Err(TaskError::Invalid(_))));
}
