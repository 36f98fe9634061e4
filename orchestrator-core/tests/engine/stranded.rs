//! No run is left behind, and one that is planted is found.

use std::collections::BTreeMap;
use std::sync::Arc;

use orchestrator_core::engine::stranded;
use orchestrator_core::id::{OwnerId, StepIx};
use orchestrator_core::machine::{Asked, Command, DriverTaken, StepOffered};
use orchestrator_core::port::store::{Commit, Member};
use orchestrator_core::spec::EffectClass;
use orchestrator_core::value::ValueRef;
use orchestrator_core::{Engine, MemoryStore, RunId};
use uuid::Uuid;

use crate::bench::{Puppet, engine, workflow};

/// A run that a host has written into the store, spoilt.
async fn planted(spoil: impl FnOnce(&mut Member)) -> (Engine, RunId) {
    let engine = engine(&Puppet::new()).store(Arc::new(MemoryStore::default())).start().await.unwrap();
    let mut member = engine.member_for(workflow(&engine, "a: { uses: puppet }")).unwrap();
    spoil(&mut member);
    let run = member.run;
    assert_eq!(engine.store().commit(vec![member]).await, [Commit::Applied]);
    (engine, run)
}

async fn why(engine: &Engine, run: RunId) -> Option<String> {
    stranded(&**engine.store(), run).await.unwrap()
}

#[tokio::test]
async fn a_run_that_is_due_is_not_stranded_and_neither_is_one_that_waits_or_has_ended() {
    let (engine, run) = planted(|_| {}).await;
    assert_eq!(why(&engine, run).await, None);
    engine.drive(run).await.unwrap().wait().await.unwrap();
    assert_eq!(why(&engine, run).await, None);
    let asks = workflow(&engine, "a: { uses: puppet, with: { do: approval } }");
    let asks = engine.start(asks).await.unwrap();
    asks.progress().wait_for(|progress| progress.status == "blocked").await.unwrap();
    engine.stop(std::time::Duration::ZERO).await;
    assert_eq!(why(&engine, asks.id()).await, None);
}

/// A run that a driver has let go when it had offered its first step.
async fn offered() -> (Engine, RunId) {
    planted(|member| {
        let offered = StepOffered {
            step: StepIx(0).into(),
            attempt: 1,
            epoch: 1,
            effect: EffectClass::AtMostOnce,
            request: ValueRef::Inline("{\"with\":{}}".into()),
            decision: None,
            queue: "elsewhere".into(),
            labels: BTreeMap::new(),
        };
        member.events.push(offered.into());
        member.summary.due_at = None;
    })
    .await
}

#[tokio::test]
async fn a_run_that_waits_for_who_executes_what_it_offers_is_not_stranded() {
    let (engine, run) = offered().await;
    assert_eq!(why(&engine, run).await, None);
}

#[tokio::test]
async fn what_is_offered_is_taken_back_when_the_run_is_cancelled() {
    let (engine, run) = offered().await;
    let asked = Asked { by: "kim".into(), reason: None };
    engine.command(run, Command::Cancel(asked)).await.unwrap();
    let row = engine.store().run(run).await.unwrap().unwrap();
    assert!(row.due_at.is_some(), "somebody has to take it back");
    let report = engine.drive(run).await.unwrap().wait().await.unwrap();
    assert_eq!((report.status.as_str(), report.steps[0].status), ("cancelled", "cancelled"));
    let log = engine.store().load(run).await.unwrap().unwrap();
    let kinds: Vec<&str> = log.events.iter().map(|recorded| recorded.event.kind()).collect();
    assert!(kinds.contains(&"step.withdrawn"), "{kinds:?}");
}

#[tokio::test]
async fn a_run_whose_row_says_never_is_found() {
    let (engine, run) = planted(|member| member.summary.due_at = None).await;
    assert!(why(&engine, run).await.unwrap().ends_with("and its row says never"));
}

#[tokio::test]
async fn a_run_whose_driver_nobody_could_ever_find_dead_is_found() {
    let stranger = OwnerId::from_uuid(Uuid::from_u128(7));
    let (engine, run) = planted(|member| {
        member.events.push(DriverTaken { owner: stranger, epoch: 1 }.into());
        member.summary.driver = Some(stranger);
        member.summary.driver_epoch = 1;
    })
    .await;
    assert!(why(&engine, run).await.unwrap().ends_with("whom the store does not know"));
}
