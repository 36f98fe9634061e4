//! Paths of workspaces: attempts that would be in each other's way are not executed at once, in one run or in many.

use std::sync::Arc;
use std::time::Duration;

use orchestrator_core::MemoryStore;
use orchestrator_core::StartRun;
use orchestrator_core::engine::{Engine, stranded};
use orchestrator_core::machine::{Asked, Command};
use orchestrator_core::spec::inputs::Given;
use serde_json::json;

use crate::brake::Brake;
use crate::places::{ALL, Count, Crowd, assert_free, engine, start, two_engines, waiting};

/// A run of one step with these keys.
fn one(keys: &str) -> String {
    format!("name: one\nsteps:\n  a: {{ uses: crowd, {keys} }}\n")
}

#[tokio::test(start_paused = true)]
async fn within_a_run_only_those_go_together_that_are_in_nobodys_way() {
    let (crowd, store) = (Arc::<Crowd>::default(), Arc::new(MemoryStore::new()));
    let engine = engine(&crowd, &store).slots(8).start().await.unwrap();
    let text = "name: folders\nsteps:\n  a:\n    uses: crowd\n    for_each: [x, y, x, y, x, y]\n    \
                with: { key: \"${{ item }}\" }\n    paths: [\"crates/${{ item }}/src\"]\n";
    let report = start(&engine, text).await.wait().await.unwrap();
    assert_eq!(report.status, "completed", "{:?}", report.error);
    assert_eq!([crowd.of("x"), crowd.of("y")], [Count { now: 0, most: 1, all: 3 }; 2]);
    assert_eq!(crowd.of(ALL).most, 2, "one of each");
    assert_free(&store).await;
}

#[tokio::test]
async fn runs_of_several_engines_are_never_in_each_others_way() {
    let (crowd, store) = (Arc::<Crowd>::default(), Arc::new(MemoryStore::new()));
    let engines = two_engines(&crowd, &store).await;
    // Whoever writes is alone; those who read are not in each other's way.
    let writes = one("with: { key: writes }, paths: [src/lib.rs]");
    let reads = one("with: { key: reads }, paths: { read: [\"src/*.rs\", docs] }");
    let elsewhere = one("with: { key: elsewhere }, paths: { write: [src], workspace: other }");
    let mut runs = Vec::new();
    for nth in 0..12 {
        let text = [&writes, &reads, &elsewhere][nth % 3];
        runs.push(start(&engines[nth % 2], text).await);
    }
    for run in runs {
        assert_eq!(run.wait().await.unwrap().status, "completed");
    }
    assert_eq!(crowd.of("writes"), Count { now: 0, most: 1, all: 4 });
    assert_eq!((crowd.of("reads").all, crowd.of("elsewhere").all), (4, 4));
    assert_free(&store).await;
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_says_for_what_and_who_has_it() {
    let (crowd, store) = (Arc::<Crowd>::default(), Arc::new(MemoryStore::new()));
    let engine = engine(&crowd, &store).start().await.unwrap();
    let first = start(&engine, &one("with: { do: gate }, paths: [src]")).await;
    crowd.has_begun("k", 1).await;
    let other = start(&engine, &one("with: { do: gate, key: docs }, paths: [docs]")).await;
    crowd.has_begun("docs", 1).await;
    let waits = start(&engine, &one("paths: { write: [src/a.rs], read: [README.md] }")).await;
    waiting(&store, 1).await;
    let report = waits.report().await.unwrap();
    assert_eq!((&*report.status, report.steps[0].status), ("pending", "queued"));
    let told = &report.waiting_for[0];
    assert_eq!((told.kind, told.key.as_deref()), ("paths", Some("paths:default")));
    let held = format!("waits for the paths `src/a.rs`, `README.md` to read, held by a of {}", first.id());
    assert_eq!(told.message, held, "and nobody names who holds what is not in the way");
    assert_eq!(told.held_by.iter().map(|holder| holder.run).collect::<Vec<_>>(), [first.id()]);
    let json = serde_json::to_value(told).unwrap();
    assert_eq!(json["paths"], json!({ "read": ["README.md"], "write": ["src/a.rs"] }));
    assert_eq!(stranded(&*store, waits.id()).await.unwrap(), None);
    crowd.gate.notify_waiters();
    for run in [first, other, waits] {
        assert_eq!(run.wait().await.unwrap().status, "completed");
    }
    assert_free(&store).await;
}

#[tokio::test]
async fn who_needs_a_place_and_paths_takes_both_and_nobody_waits_for_ever() {
    let (crowd, store) = (Arc::<Crowd>::default(), Arc::new(MemoryStore::new()));
    let engines = two_engines(&crowd, &store).await;
    // Each pair of these meets somewhere, in another order each time.
    let all = [
        one("concurrency: one, paths: [src]"),
        one("concurrency: two, paths: [src/a.rs]"),
        one("concurrency: one, paths: [docs]"),
        one("concurrency: { key: two, limit: 2 }, paths: { read: [docs, src] }"),
        "name: many\nsteps:\n  a: { uses: crowd, for_each: [1, 2, 3], concurrency: one, paths: [\"**/*.md\"] }\n".into(),
    ];
    let mut runs = Vec::new();
    for nth in 0..30 {
        runs.push(start(&engines[nth % 2], &all[nth % all.len()]).await);
    }
    for run in runs {
        let report =
            tokio::time::timeout(Duration::from_secs(60), run.wait()).await.expect("it ends").unwrap();
        assert_eq!(report.status, "completed", "{:?}", report.error);
    }
    assert_eq!(crowd.of(ALL).all, 6 * 4 + 6 * 3);
    assert_free(&store).await;
}

/// A run is told that it was given what one of its steps has taken meanwhile, and another one still waits for.
#[tokio::test(start_paused = true)]
async fn what_is_told_late_is_given_to_nobody_twice() {
    let (crowd, store) = (Arc::<Crowd>::default(), Arc::new(MemoryStore::new()));
    let late = Engine::builder().plugin(crowd.clone()).store(Brake::late(store.clone())).poll(None);
    let engine = late.slots(8).start().await.unwrap();
    let first = start(&engine, &one("with: { do: gate }, paths: [src]")).await;
    crowd.has_begun("k", 1).await;
    let text = "name: items\nsteps:\n  a: { uses: crowd, for_each: [1, 2, 3, 4], paths: [src/lib.rs], with: { do: gate } }\n";
    let items = start(&engine, text).await;
    waiting(&store, 1).await;
    for all in 1..=5 {
        crowd.has_begun("k", all).await;
        // Others look who was given something, while one is at work and the others wait.
        for _ in 0..10 {
            tokio::time::advance(Duration::from_millis(25)).await;
        }
        crowd.gate.notify_one();
    }
    assert_eq!(first.wait().await.unwrap().status, "completed");
    let report = items.wait().await.unwrap();
    assert_eq!(report.status, "completed", "{:?}", report.error);
    assert_eq!(crowd.of("k"), Count { now: 0, most: 1, all: 5 });
    assert_free(&store).await;
}

#[tokio::test(start_paused = true)]
async fn who_is_cancelled_lets_those_behind_it_go() {
    let (crowd, store) = (Arc::<Crowd>::default(), Arc::new(MemoryStore::new()));
    let engine = engine(&crowd, &store).start().await.unwrap();
    let first = start(&engine, &one("with: { do: gate }, paths: [src]")).await;
    crowd.has_begun("k", 1).await;
    let wide = start(&engine, &one("paths: [.]")).await;
    waiting(&store, 1).await;
    let behind = start(&engine, &one("with: { key: docs }, paths: [docs]")).await;
    waiting(&store, 2).await;
    let told = &behind.report().await.unwrap().waiting_for[0];
    assert_eq!(told.message, "waits for the paths `docs`", "whoever came earlier goes first");
    engine.command(wide.id(), Command::Cancel(Asked { by: "kim".into(), reason: None })).await.unwrap();
    assert_eq!(wide.wait().await.unwrap().status, "cancelled");
    assert_eq!(behind.wait().await.unwrap().status, "completed");
    crowd.gate.notify_one();
    assert_eq!(first.wait().await.unwrap().status, "completed");
    assert_free(&store).await;
}

#[tokio::test(start_paused = true)]
async fn paths_may_come_from_inputs_and_are_looked_at_then() {
    let (crowd, store) = (Arc::<Crowd>::default(), Arc::new(MemoryStore::new()));
    let engine = engine(&crowd, &store).start().await.unwrap();
    let text = "name: given\ninputs: { paths: { type: array } }\nsteps:\n  \
                a: { uses: crowd, paths: \"${{ inputs.paths }}\" }\n";
    let workflow = || engine.parse(text).unwrap_or_else(|problems| panic!("{problems}")).workflow;
    for (paths, error) in [
        (json!(["src", "docs"]), None),
        (json!([]), None),
        (json!(["../etc"]), Some("the path `../etc` has `..`; paths stay below the workspace")),
        (json!([1]), Some("`paths.write` is neither a path nor a list of paths")),
    ] {
        let start = StartRun::new(workflow()).inputs([("paths".to_owned(), Given::Value(paths.clone()))]);
        let report = engine.start(start).await.unwrap().wait().await.unwrap();
        let told = report.error.unwrap_or_default();
        assert_eq!(report.status, if error.is_some() { "failed" } else { "completed" }, "{paths}: {told}");
        assert!(told.contains(error.unwrap_or_default()), "{paths}: {told}");
    }
    assert_free(&store).await;
}
