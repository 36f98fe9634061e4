//! What a crash leaves, taken up by another engine: folded from the log, by effect class.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use orchestrator_core::engine::DriveError;
use orchestrator_core::id::StepIx;
use orchestrator_core::machine::{Asked, Command};
use orchestrator_core::port::store::{Commit, RunQuery, Store as _};
use orchestrator_core::testkit::HandClock;
use orchestrator_core::value::ValueRef;
use orchestrator_core::{Engine, MemoryStore, RunId};

use crate::bench::{Puppet, engine, workflow};
use crate::brake::Brake;

/// Starts a run and crashes its engine (never stopped, its owner declared dead) once `step` has begun.
async fn crash_at(store: &Arc<MemoryStore>, puppet: &Arc<Puppet>, step: &str, steps: &str) -> RunId {
    let began = puppet.began.notified();
    let crashed: Engine = engine(puppet).store(store.clone()).start().await.unwrap();
    let run = crashed.start(workflow(&crashed, steps)).await.unwrap().id();
    if puppet.begun(step) == 0 {
        began.await;
    }
    crashed.store().retire(crashed.owner()).await.unwrap();
    run
}

#[tokio::test]
async fn harmless_steps_begin_again_and_others_wait_for_a_word() {
    let (store, lost) = (Arc::new(MemoryStore::default()), Puppet::new());
    let steps = "
        pure: { uses: puppet, with: { do: gate } }
        idempotent: { uses: puppet, with: { do: gate, effect: idempotent } }
        once: { uses: puppet, with: { do: gate, effect: at_most_once } }
        after: { uses: puppet, needs: [pure, idempotent, once] }";
    let run = crash_at(&store, &lost, "once", steps).await;
    let puppet = Puppet::new();
    let second = engine(&puppet).store(store).start().await.unwrap();
    let handle = second.drive(run).await.unwrap();
    for _ in 0..2 {
        puppet.gate.notify_one();
        handle.progress().changed().await.unwrap();
    }
    loop {
        puppet.gate.notify_one();
        let mut progress = handle.progress();
        if progress.borrow_and_update().status == "blocked" {
            break;
        }
        progress.changed().await.unwrap();
    }
    let report = handle.report().await.unwrap();
    assert_eq!(report.waiting_for.len(), 1);
    assert_eq!((&*report.waiting_for[0].name(), report.waiting_for[0].kind), ("once", "outcome_unknown"));
    assert_eq!((puppet.begun("once"), puppet.begun("pure"), puppet.begun("idempotent")), (0, 1, 1));
    let applied = Some(ValueRef::null());
    let asked = Asked { by: "kim".into(), reason: None };
    second.command(run, Command::Resolve { step: StepIx(2).into(), applied, asked }).await.unwrap();
    let report = handle.wait().await.unwrap();
    assert_eq!((report.status.as_str(), puppet.begun("once"), puppet.begun("after")), ("completed", 0, 1));
}

#[tokio::test]
async fn a_live_driver_is_not_robbed_and_a_dead_one_cannot_write() {
    let (store, puppet) = (Arc::new(MemoryStore::default()), Puppet::new());
    let first = engine(&puppet).store(store.clone()).start().await.unwrap();
    let flow = workflow(&first, "a: { uses: puppet, with: { do: gate } }");
    let run = first.start(flow).await.unwrap();
    let second = engine(&puppet).store(store.clone()).start().await.unwrap();
    let refused = second.drive(run.id()).await.unwrap_err();
    assert!(matches!(refused, DriveError::Driven { owner, .. } if owner == first.owner()));
    first.store().retire(first.owner()).await.unwrap();
    let taken = second.drive(run.id()).await.unwrap();
    // Both attempts are let through; only the second one's outcome counts.
    puppet.gate.notify_waiters();
    let mut progress = run.progress();
    progress.wait_for(|progress| !progress.driven).await.unwrap();
    puppet.gate.notify_one();
    let report = taken.wait().await.unwrap();
    assert_eq!((report.status.as_str(), report.steps[0].attempts), ("completed", 2));
}

#[tokio::test]
async fn a_run_is_taken_from_the_dead_although_somebody_says_something_to_it_at_that_moment() {
    let (store, lost) = (Arc::new(MemoryStore::default()), Puppet::new());
    let run = crash_at(&store, &lost, "a", "a: { uses: puppet, with: { do: gate } }").await;
    let puppet = Puppet::new();
    let person = engine(&puppet).store(store.clone()).start().await.unwrap();
    let brake = Brake::new(store, i64::MAX);
    let second = engine(&puppet).store(brake.clone()).start().await.unwrap();
    let asked = Asked { by: "kim".into(), reason: None };
    *brake.rival.lock().await = Some((person, run, Command::Cancel(asked)));
    let handle = second.drive(run).await.unwrap();
    assert_eq!(handle.wait().await.unwrap().status, "cancelled");
    assert!(brake.rival.lock().await.is_none(), "nobody has said anything");
}

#[tokio::test(start_paused = true)]
async fn a_due_run_is_taken_up_by_an_engine_that_looks_for_them() {
    let (store, lost) = (Arc::new(MemoryStore::default()), Puppet::new());
    let run = crash_at(&store, &lost, "a", "a: { uses: puppet, with: { do: gate } }").await;
    let puppet = Puppet::new();
    puppet.gate.notify_one();
    let looking = engine(&puppet).poll(Some(Duration::from_millis(200))).store(store).start().await.unwrap();
    while looking.report(run).await.unwrap().unwrap().status != "completed" {
        // Time is paused: this is the next turn of the engine's poll.
        tokio::time::advance(Duration::from_millis(200)).await;
    }
    assert_eq!(puppet.begun("a"), 1);
}

#[tokio::test]
async fn a_run_created_in_the_hosts_own_transaction_is_taken_up() {
    let (store, puppet) = (Arc::new(MemoryStore::default()), Puppet::new());
    let host = engine(&puppet).poll(Some(Duration::from_secs(3600))).store(store).start().await.unwrap();
    let member = host.member_for(workflow(&host, "a: { uses: puppet }")).unwrap();
    let run = member.run;
    host.store().commit(vec![member]).await;
    let mut live = host.subscribe();
    host.ring();
    while live.recv().await.is_ok() {
        if host.report(run).await.unwrap().unwrap().has_ended() {
            break;
        }
    }
    assert_eq!(puppet.begun("a"), 1);
}

#[tokio::test]
async fn what_is_known_to_have_begun_only_after_the_death_of_its_owner_is_not_dispatched() {
    let (puppet, store) = (Puppet::new(), Arc::new(MemoryStore::default()));
    let brake = Brake::losing(store.clone());
    let first = engine(&puppet).store(brake.clone()).ttl(Duration::from_secs(3)).start().await.unwrap();
    brake.known.notified().await;
    let owner = first.owner();
    let flow = workflow(&first, "        once: { uses: puppet, with: { effect: at_most_once } }");
    let starting = tokio::spawn({
        let first = first.clone();
        async move { first.start(flow).await }
    });
    brake.stuck.notified().await;
    store.retire(owner).await.unwrap();
    let run = store.list_runs(RunQuery::default()).await.unwrap().items[0].run;
    let second = engine(&puppet).store(store).start().await.unwrap();
    let handle = second.drive(run).await.unwrap();
    handle.progress().wait_for(|progress| progress.status == "blocked").await.unwrap();
    // The first is told of its death when it renews, and begins anew; then it learns what became of its commit.
    brake.known.notified().await;
    assert_ne!(first.owner(), owner);
    brake.reads.add_permits(1);
    // Whether the caller is told that the run has begun does not matter here.
    let _ = starting.await.unwrap();
    first.stop(Duration::ZERO).await;
    assert_eq!(puppet.begun("once"), 0, "dispatched under the name of a dead owner");
}

#[tokio::test]
async fn a_due_run_that_cannot_be_read_is_looked_at_once_a_minute() {
    let (puppet, clock) = (Puppet::new(), Arc::<HandClock>::default());
    let store = Arc::new(MemoryStore::with_clock(clock.clone()));
    let host = engine(&puppet).store(store.clone()).start().await.unwrap();
    let mut spoilt = host.member_for(workflow(&host, "a: { uses: puppet }")).unwrap();
    spoilt.create.as_mut().unwrap().text = "no workflow".into();
    let whole = host.member_for(workflow(&host, "b: { uses: puppet }")).unwrap();
    let (spoilt_run, whole_run) = (spoilt.run, whole.run);
    assert_eq!(store.commit(vec![spoilt]).await, [Commit::Applied]);
    let counted = Brake::new(store.clone(), i64::MAX);
    let looking = engine(&puppet).poll(Some(Duration::from_millis(200))).store(counted.clone());
    let looking = looking.clock(clock.clone()).start().await.unwrap();
    let seconds = async |seconds: u32| {
        for _ in 0..10 * seconds {
            clock.pass(Duration::from_millis(100));
            for _ in 0..50 {
                tokio::task::yield_now().await;
            }
        }
    };
    seconds(5).await;
    assert_eq!(counted.loads.load(Ordering::SeqCst), 1);
    assert_eq!(store.commit(vec![whole]).await, [Commit::Applied]);
    seconds(5).await;
    assert!(store.run(whole_run).await.unwrap().unwrap().finished_at.is_some(), "it is in nobody's way");
    let loads = counted.loads.load(Ordering::SeqCst);
    seconds(55).await;
    assert_eq!(counted.loads.load(Ordering::SeqCst), loads + 1, "perhaps somebody has mended it");
    let due = store.claim_due(9).await.unwrap();
    assert_eq!(due.iter().map(|due| due.run).collect::<Vec<_>>(), [spoilt_run]);
    looking.stop(Duration::ZERO).await;
}
