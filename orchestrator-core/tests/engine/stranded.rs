//! No run is left behind, and one that is planted is found.

use std::sync::Arc;

use orchestrator_core::engine::stranded;
use orchestrator_core::id::OwnerId;
use orchestrator_core::machine::DriverTaken;
use orchestrator_core::port::store::{Commit, Member};
use orchestrator_core::{Engine, MemoryStore, RunId};
use uuid::Uuid;

use crate::bench::{Puppet, engine, workflow};

/// A run that a host has written into the store, spoilt.
pub(crate) async fn planted(spoil: impl FnOnce(&mut Member)) -> (Engine, RunId) {
    let engine = engine(&Puppet::new()).store(Arc::new(MemoryStore::default())).start().await.unwrap();
    let mut member = engine.member_for(workflow(&engine, "a: { uses: puppet }")).unwrap();
    spoil(&mut member);
    let run = member.run;
    assert_eq!(engine.store().commit(vec![member]).await, [Commit::Applied]);
    (engine, run)
}

pub(crate) async fn why(engine: &Engine, run: RunId) -> Option<String> {
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
