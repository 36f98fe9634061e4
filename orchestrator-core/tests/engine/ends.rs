//! How runs end.

use orchestrator_core::engine::{RunReport, StartError, quick_step_fn};
use orchestrator_core::{Engine, StartRun, Workflow};
use serde_json::json;

use crate::bench::{Puppet, engine, workflow};

fn statuses(report: &RunReport) -> Vec<(&str, &str)> {
    report.steps.iter().map(|step| (&*step.id, step.status)).collect()
}

async fn run(steps: &str) -> (RunReport, std::sync::Arc<Puppet>) {
    let puppet = Puppet::new();
    let engine = engine(&puppet).start().await.unwrap();
    let handle = engine.start(workflow(&engine, steps)).await.unwrap();
    (handle.wait().await.unwrap(), puppet)
}

#[tokio::test(start_paused = true)]
async fn fan_out_and_fan_in_complete_and_pass_outputs() {
    let (report, _) = run("
        a: { uses: puppet, with: { value: 1 } }
        b: { uses: puppet, needs: a, with: { value: \"${{ steps.a.value }}\" } }
        c: { uses: puppet, needs: a, with: { value: \"${{ steps.a.value + 1 }}\" } }
        d: { uses: puppet, needs: [b, c], with: { sum: \"${{ steps.b.value + steps.c.value }}\" } }")
    .await;
    assert_eq!(report.status, "completed", "{report:#?}");
    assert_eq!(report.output::<serde_json::Value>("d").unwrap(), json!({ "sum": 3 }));
}

#[tokio::test(start_paused = true)]
async fn a_failure_skips_what_needs_it_and_leaves_the_rest_alone() {
    let (report, puppet) = run("
        a: { uses: puppet, with: { do: fail } }
        b: { uses: puppet, needs: a }
        c: { uses: puppet, needs: b }
        d: { uses: puppet }
        e: { uses: puppet, needs: b, if: failure() }
        f: { uses: puppet, needs: b, if: always() }")
    .await;
    assert_eq!(report.status, "failed");
    let expected = [
        ("a", "failed"),
        ("b", "skipped"),
        ("c", "skipped"),
        ("d", "completed"),
        ("e", "completed"),
        ("f", "completed"),
    ];
    assert_eq!(statuses(&report), expected);
    assert_eq!(report.error.as_deref(), Some("step `a` failed: as told"));
    assert_eq!(puppet.begun("b"), 0);
}

#[tokio::test(start_paused = true)]
async fn retries_wait_and_send_the_same_bytes_under_one_key() {
    let (report, puppet) = run("
        a: { uses: puppet, with: { do: flaky, times: 2 }, retry: { max_attempts: 3, initial: 10s } }
        k: { uses: puppet, needs: a, with: { do: key } }")
    .await;
    assert_eq!(report.status, "completed", "{report:#?}");
    assert_eq!((report.steps[0].attempts, puppet.begun("a")), (3, 3));
    let spent = report.finished_at.unwrap().since(report.created_at);
    assert!(spent.as_secs() >= 15, "two waits of at least half of 10 s and 20 s: {spent:?}");
}

#[tokio::test(start_paused = true)]
async fn retries_end_and_a_class_that_is_not_named_is_not_retried() {
    let (report, puppet) = run("
        a: { uses: puppet, with: { do: fail }, retry: { max_attempts: 4 } }
        b: { uses: puppet, with: { do: fail }, retry: { max_attempts: 4, on: [timeout] } }")
    .await;
    assert_eq!(statuses(&report), [("a", "failed"), ("b", "failed")]);
    assert_eq!((puppet.begun("a"), puppet.begun("b")), (4, 1));
}

#[tokio::test(start_paused = true)]
async fn a_panic_fails_its_step_alone() {
    let (report, _) = run("
        a: { uses: puppet, with: { do: panic } }
        b: { uses: puppet }")
    .await;
    assert_eq!(statuses(&report), [("a", "failed"), ("b", "completed")]);
    assert!(report.steps[0].error.as_deref().unwrap().contains("panicked: as told"));
}

#[tokio::test(start_paused = true)]
async fn a_timeout_stops_the_attempt_even_if_it_does_not_listen() {
    let puppet = Puppet::new();
    let engine = engine(&puppet).start().await.unwrap();
    let flow = workflow(
        &engine,
        "
        a: { uses: puppet, with: { do: gate }, timeout: 5s }
        b: { uses: puppet, with: { do: stubborn }, timeout: 5s }
        c: { uses: puppet, with: { do: stubborn, effect: at_most_once }, timeout: 5s }
        d: { uses: puppet, needs: a, if: failure() }",
    );
    let handle = engine.start(flow).await.unwrap();
    handle.progress().wait_for(|progress| progress.status == "blocked").await.unwrap();
    let report = handle.report().await.unwrap();
    assert_eq!(
        statuses(&report),
        [("a", "failed"), ("b", "failed"), ("c", "outcome_unknown"), ("d", "completed")]
    );
    assert!(report.steps[0].error.as_deref().unwrap().contains("timeout of 5s"), "{report:#?}");
}

#[tokio::test(start_paused = true)]
async fn fifty_starts_with_one_key_make_one_run() {
    let puppet = Puppet::new();
    let engine = engine(&puppet).start().await.unwrap();
    let flow = std::sync::Arc::new(workflow(&engine, "a: { uses: puppet }"));
    let starts: Vec<_> = (0..50)
        .map(|_| {
            let (engine, flow) = (engine.clone(), flow.clone());
            tokio::spawn(
                async move { engine.start(StartRun::new(flow).idempotency_key("k")).await.unwrap().id() },
            )
        })
        .collect();
    let mut runs = Vec::new();
    for start in starts {
        runs.push(start.await.unwrap());
    }
    runs.dedup();
    assert_eq!(runs.len(), 1);
    assert_eq!(engine.drive(runs[0]).await.unwrap().wait().await.unwrap().status, "completed");
    assert_eq!(puppet.begun("a"), 1);
    let other = workflow(&engine, "b: { uses: puppet }");
    let refused = engine.start(StartRun::new(other).idempotency_key("k")).await.unwrap_err();
    assert!(matches!(refused, StartError::KeyReused { run } if run == runs[0]));
}

#[tokio::test(start_paused = true)]
async fn typed_steps_pass_typed_values() {
    let engine = Engine::builder()
        .step("add", |(a, b): (i64, i64)| async move { Ok(a + b) })
        .step("refuse", |(): ()| async move { Err::<(), _>(std::io::Error::other("no").into()) })
        .start()
        .await
        .unwrap();
    let flow: Workflow = engine
        .parse("name: t\nsteps:\n  a: {uses: add, with: [1, 2]}\n  b: {uses: refuse, needs: a}\n")
        .unwrap()
        .workflow;
    let report = engine.start(flow).await.unwrap().wait().await.unwrap();
    assert_eq!(report.output::<i64>("a").unwrap(), 3);
    assert_eq!(report.steps[1].error.as_deref(), Some("no"));
}

#[tokio::test(start_paused = true)]
async fn quick_steps_end_at_once_or_go_on_elsewhere_and_may_panic() {
    let engine = Engine::builder()
        .plugin(quick_step_fn("at_once", |n: u64| async move { Ok(n + 1) }))
        .plugin(quick_step_fn("later", |n: u64| async move {
            tokio::task::yield_now().await;
            Ok(n + 1)
        }))
        .plugin(quick_step_fn("panic", |(): ()| async move { if true { panic!("as told") } else { Ok(()) } }))
        .start()
        .await
        .unwrap();
    let flow = "name: t\nsteps:\n  a: {uses: at_once, with: 1}\n  p: {uses: panic}\n  b: {uses: later, needs: a, \
                with: \"${{ steps.a.value }}\"}\n  c: {uses: at_once, needs: b, with: \"${{ steps.b.value }}\"}\n";
    let report = engine.start(engine.parse(flow).unwrap().workflow).await.unwrap().wait().await.unwrap();
    assert_eq!((report.status.as_str(), report.output::<u64>("c").unwrap()), ("failed", 4));
    assert!(report.error.unwrap().contains("panicked: as told"));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_rendered_names_its_key_and_its_line() {
    let puppet = Puppet::new();
    let engine = engine(&puppet).start().await.unwrap();
    // A line each, from the third one on; what comes of it is known only when the run goes.
    let flow = "one: { uses: puppet, with: { n: null } }
        a: { uses: puppet, needs: one, with: { deep: [x, { b: \"${{ steps.one.nothing.x }}\" }] } }
        b: { uses: puppet, needs: one, if: steps.one.nothing.x == 1 }
        c: { uses: puppet, needs: one, if: steps.one.n }
        d: { uses: puppet, needs: one, env: { OK: x, X: \"${{ steps.one.n + 1 }}\" } }
        e: { uses: puppet, needs: one, for_each: \"${{ steps.one.n }}\" }
        f: { uses: puppet, needs: one, strategy: { matrix: { v: \"${{ steps.one.n }}\" } } }
        g: { uses: puppet, needs: one, with: x, repeat: { until: self.nothing.x, max: 2 } }";
    let report = engine.start(workflow(&engine, flow)).await.unwrap().wait().await.unwrap();
    let errors: Vec<&str> = report.steps.iter().filter_map(|step| step.error.as_deref()).collect();
    let places = [
        "with.deep.1.b (line 4): ",
        "if (line 5): ",
        "if (line 6): ",
        "env.X (line 7): ",
        "for_each (line 8): ",
        "strategy.matrix.v (line 9): ",
        "repeat.until (line 10): ",
    ];
    assert_eq!(errors.len(), places.len(), "{errors:#?}");
    for (error, place) in errors.iter().zip(places) {
        assert!(error.starts_with(place), "{place}{errors:#?}");
    }
}
