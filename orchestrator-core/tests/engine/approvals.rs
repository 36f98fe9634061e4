//! Waiting for people and for moments.

use std::sync::Arc;

use orchestrator_core::engine::CommandError;
use orchestrator_core::id::StepIx;
use orchestrator_core::machine::{Asked, Command, Decide, Rejection};
use orchestrator_core::port::policy::{PolicyEngine, PolicyError, PolicyRequest, Ruling, Verdict};
use orchestrator_core::value::Digest;
use orchestrator_core::{Engine, MemoryStore, RunHandle};
use serde_json::{Value, json};

use crate::bench::{Puppet, engine, workflow};

fn decide(step: u32, approved: bool, digest: Option<Digest>) -> Command {
    let asked = Asked { by: "kim".into(), reason: Some("fine".into()) };
    Command::Decide(Decide { step: StepIx(step).into(), digest, approved, asked, via: "test".into() })
}

async fn blocked(run: &RunHandle) {
    run.progress().wait_for(|progress| progress.status == "blocked").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn one_decision_counts_and_later_ones_are_told_so() {
    let puppet = Puppet::new();
    let engine = engine(&puppet).start().await.unwrap();
    let flow = workflow(&engine, "a: { uses: puppet, with: { do: approval } }");
    let run = engine.start(flow).await.unwrap();
    blocked(&run).await;
    let waiting = run.report().await.unwrap().waiting_for;
    assert_eq!((waiting[0].kind, &*waiting[0].message), ("approval", "go on?"));
    assert_eq!(waiting[0].show, Some(json!("x".repeat(200))));
    let wrong = engine.command(run.id(), decide(0, true, Some(Digest::of(b"else")))).await.unwrap_err();
    assert!(matches!(wrong, CommandError::Rejected(Rejection::NotOpen(_))));
    engine.command(run.id(), decide(0, true, waiting[0].digest)).await.unwrap();
    let again = engine.command(run.id(), decide(0, false, None)).await.unwrap_err();
    assert!(matches!(again, CommandError::Rejected(_)));
    let report = run.wait().await.unwrap();
    let output: Value = report.output("a").unwrap();
    assert_eq!(output["decision"]["by"], "kim");
    assert_eq!((report.steps[0].attempts, puppet.begun("a")), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn a_second_engine_decides_while_the_first_drives() {
    let (puppet, store) = (Puppet::new(), Arc::new(MemoryStore::default()));
    let first = engine(&puppet).store(store.clone()).start().await.unwrap();
    let second = engine(&puppet).store(store).start().await.unwrap();
    let run = first.start(workflow(&first, "a: { uses: puppet, with: { do: approval } }")).await.unwrap();
    blocked(&run).await;
    let receipt = second.command(run.id(), decide(0, true, None)).await.unwrap();
    assert!(receipt.changed && receipt.driven);
    assert_eq!(run.wait().await.unwrap().status, "completed");
}

#[tokio::test(start_paused = true)]
async fn an_unanswered_approval_becomes_what_its_timeout_says() {
    let puppet = Puppet::new();
    let engine = engine(&puppet).start().await.unwrap();
    let flow = workflow(
        &engine,
        "
        a: { uses: puppet, with: { do: approval }, timeout: { after: 10m, then: reject } }
        b: { uses: puppet, with: { do: approval }, timeout: 5m }",
    );
    let report = engine.start(flow).await.unwrap().wait().await.unwrap();
    assert_eq!(report.output::<Value>("a").unwrap(), json!({ "expired": { "then": "reject" } }));
    assert_eq!(report.steps[1].error.as_deref(), Some("nobody decided in time"));
    assert!(report.finished_at.unwrap().since(report.created_at).as_secs() >= 600);
}

#[tokio::test(start_paused = true)]
async fn a_nap_takes_its_time_without_a_slot() {
    let puppet = Puppet::new();
    let engine = engine(&puppet).slots(1).start().await.unwrap();
    let flow = workflow(
        &engine,
        "
        a: { uses: puppet, with: { do: nap } }
        b: { uses: puppet }",
    );
    let report = engine.start(flow).await.unwrap().wait().await.unwrap();
    assert_eq!(report.output::<String>("a").unwrap(), "rested");
    assert!(report.steps[1].finished_at < report.steps[0].finished_at);
}

/// Asks about steps called `ask`, refuses steps called `deny`, and cannot decide about steps called `broken`.
#[derive(Debug)]
struct Strict;

#[async_trait::async_trait]
impl PolicyEngine for Strict {
    async fn evaluate(&self, request: PolicyRequest<'_>) -> Result<Ruling, PolicyError> {
        // A policy that needs time is asked on a task of its own.
        tokio::task::yield_now().await;
        let verdict = match request.step {
            "ask" => Verdict::Ask { message: "may it?".into(), timeout: None },
            "deny" => Verdict::Deny,
            "broken" => return Err(PolicyError("out of order".into())),
            _ => Verdict::Allow,
        };
        Ok(Ruling { verdict, policy: "strict@1".into(), rule: None, reason: Some("because".into()) })
    }
}

#[tokio::test(start_paused = true)]
async fn a_policy_asks_denies_and_fails_closed_and_every_ruling_is_kept() {
    let puppet = Puppet::new();
    let engine: Engine = engine(&puppet).policy(Arc::new(Strict)).start().await.unwrap();
    let flow = workflow(
        &engine,
        "
        ask: { uses: puppet }
        deny: { uses: puppet }
        broken: { uses: puppet }
        free: { uses: puppet }",
    );
    let run = engine.start(flow).await.unwrap();
    blocked(&run).await;
    assert_eq!(puppet.begun("ask"), 0);
    engine.command(run.id(), decide(0, true, None)).await.unwrap();
    let report = run.wait().await.unwrap();
    let statuses: Vec<_> = report.steps.iter().map(|step| step.status).collect();
    assert_eq!(statuses, ["completed", "failed", "failed", "completed"]);
    assert_eq!((puppet.begun("ask"), puppet.begun("deny"), puppet.begun("broken")), (1, 0, 0));
    let decisions = engine.store().decisions(run.id()).await.unwrap();
    let mut words: Vec<_> = decisions.iter().map(|decision| (decision.step.0, &*decision.verdict)).collect();
    words.sort_unstable();
    assert_eq!(words, [(0, "allow"), (0, "ask"), (1, "deny"), (2, "deny"), (3, "allow")]);
}
