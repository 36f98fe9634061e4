//! Steps that another run carries out.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use orchestrator_core::engine::{CommandError, RunReport, StartError};
use orchestrator_core::id::StepIx;
use orchestrator_core::machine::{Asked, Command, Decide, Intent};
use orchestrator_core::port::store::{NewRevision, RunQuery, RunRow, Store};
use orchestrator_core::spec::{Found, ParseOptions, Sources, Workflow};
use orchestrator_core::value::Digest;
use orchestrator_core::{Engine, MemoryStore, RunId, StartRun};
use serde_json::json;

use crate::bench::{Puppet, engine};
use crate::brake::Brake;

/// Texts by name; a reference is a name.
#[derive(Debug)]
struct Texts(BTreeMap<&'static str, String>);

impl Sources for Texts {
    fn find(&self, _: &str, reference: &str) -> Found {
        match self.0.get(reference) {
            Some(text) => {
                Found::Text { key: reference.into(), name: reference.into(), text: text.as_str().into() }
            }
            None => Found::Missing { message: format!("there is no `{reference}`"), hint: None },
        }
    }
}

/// The first of these texts, with the others below it.
pub(crate) fn family(engine: &Engine, texts: &[(&'static str, &str)]) -> Workflow {
    let sources = Texts(texts.iter().map(|(name, text)| (*name, (*text).to_owned())).collect());
    let (name, text) = texts[0];
    let options = ParseOptions::default().default_name(name).sources(name, &sources);
    engine.parse_with(text, &options).unwrap_or_else(|problems| panic!("{problems}")).workflow
}

const REGION: &str = "
inputs: { region: { type: string }, how: { type: string, default: ok } }
steps:
  deploy: { uses: puppet, with: { do: \"${{ inputs.how }}\", to: \"${{ inputs.region }}\", times: 1 } }
outputs: { where: \"${{ steps.deploy.to }}\" }
";

const ONE: &str = "
steps:
  region: { uses: workflow, with: { workflow: region, inputs: { region: eu } } }
  after: { uses: puppet, needs: region, with: { text: \"${{ steps.region.where }}\" } }
outputs: { text: \"${{ steps.after.text }}\" }
";

pub(crate) async fn children(store: &dyn Store, parent: RunId) -> Vec<RunRow> {
    let query = RunQuery { parent: Some(parent), limit: usize::MAX, ..RunQuery::default() };
    let mut rows = store.list_runs(query).await.unwrap().items;
    rows.reverse();
    rows
}

async fn done(engine: &Engine, workflow: Workflow) -> RunReport {
    engine.start(workflow).await.unwrap().wait().await.unwrap()
}

fn asked() -> Asked {
    Asked { by: "kim".into(), reason: None }
}

#[tokio::test]
async fn a_child_gives_its_outputs_and_is_a_run_of_its_own() {
    let puppet = Puppet::new();
    let engine = engine(&puppet).start().await.unwrap();
    let report = done(&engine, family(&engine, &[("one", ONE), ("region", REGION)])).await;
    assert_eq!((report.status.as_str(), &report.outputs), ("completed", &json!({ "text": "eu" })));
    assert_eq!(report.steps[0].output, json!({ "where": "eu" }));
    let children = children(&**engine.store(), report.run_id).await;
    assert_eq!(children.len(), 1);
    assert_eq!((&*children[0].status, &*children[0].new.workflow), ("completed", "region"));
    assert_eq!(report.steps[0].child, Some(children[0].run));
    let top = RunQuery { top: true, ..RunQuery::default() };
    assert_eq!(engine.store().list_runs(top).await.unwrap().items.len(), 1);
}

#[tokio::test]
async fn each_item_has_a_child_and_the_slots_are_for_those_who_work() {
    let puppet = Puppet::new();
    let engine = engine(&puppet).slots(1).start().await.unwrap();
    let text = "
steps:
  all:
    uses: workflow
    for_each: [a, b, c, d]
    with: { workflow: middle, inputs: { region: \"${{ item }}\" } }
outputs: { all: \"${{ steps.all.items|map(attribute='output')|map(attribute='where')|list }}\" }
";
    let middle = "
inputs: { region: { type: string } }
steps:
  below: { uses: workflow, with: { workflow: region, inputs: { region: \"${{ inputs.region }}\" } } }
outputs: { where: \"${{ steps.below.where }}\" }
";
    let report =
        done(&engine, family(&engine, &[("all", text), ("middle", middle), ("region", REGION)])).await;
    assert_eq!(report.outputs, json!({ "all": ["a", "b", "c", "d"] }), "{:?}", report.error);
    assert_eq!(children(&**engine.store(), report.run_id).await.len(), 4);
    assert_eq!(puppet.begun("deploy"), 4);
}

#[tokio::test]
async fn a_failed_child_fails_its_step_and_retry_makes_another() {
    let puppet = Puppet::new();
    let engine = engine(&puppet).start().await.unwrap();
    let flaky = ONE.replace("region: eu }", "region: eu, how: flaky }");
    let report = done(&engine, family(&engine, &[("one", &flaky), ("region", REGION)])).await;
    assert_eq!(report.status, "failed");
    let error = report.steps[0].error.as_deref().unwrap();
    assert!(error.contains("run_") && error.contains("step `deploy` failed: failure 1"), "{error}");

    let puppet = Puppet::new();
    let engine = crate::bench::engine(&puppet).start().await.unwrap();
    let retried =
        flaky.replace("eu, how: flaky } }", "eu, how: flaky } }, retry: { on: [transient], initial: 1ms }");
    let report = done(&engine, family(&engine, &[("one", &retried), ("region", REGION)])).await;
    assert_eq!((report.status.as_str(), report.steps[0].attempts), ("completed", 2));
    let rows = children(&**engine.store(), report.run_id).await;
    assert_eq!(rows.iter().map(|row| &*row.status).collect::<Vec<_>>(), ["failed", "completed"]);
    let retry = Command::Retry { steps: Vec::new(), asked: asked() };
    let refused = engine.command(rows[0].run, retry).await.unwrap_err();
    assert!(matches!(refused, CommandError::OfParent { parent, .. } if parent == report.run_id), "{refused}");
}

#[tokio::test]
async fn inputs_that_do_not_fit_fail_the_step_before_there_is_a_child() {
    let engine = engine(&Puppet::new()).start().await.unwrap();
    let text = ONE.replace("region: eu }", "region: \"${{ [1]|first }}\" }");
    let report = done(&engine, family(&engine, &[("one", &text), ("region", REGION)])).await;
    let error = report.steps[0].error.as_deref().unwrap();
    assert!(error.contains("inputs.region: expected type string"), "{error}");
    assert!(children(&**engine.store(), report.run_id).await.is_empty());
}

#[tokio::test]
async fn cancelling_goes_down_and_the_parent_ends_after_its_children() {
    let puppet = Puppet::new();
    let engine = engine(&puppet).start().await.unwrap();
    let text = ONE.replace("region: eu }", "region: eu, how: gate }");
    let began = puppet.began.notified();
    let handle = engine.start(family(&engine, &[("one", &text), ("region", REGION)])).await.unwrap();
    began.await;
    engine.command(handle.id(), Command::Cancel(asked())).await.unwrap();
    let report = handle.wait().await.unwrap();
    let rows = children(&**engine.store(), handle.id()).await;
    assert_eq!(
        (report.status.as_str(), report.steps[0].status, &*rows[0].status),
        ("cancelled", "cancelled", "cancelled")
    );
    assert!(rows[0].finished_at <= report.finished_at);
}

#[tokio::test]
async fn a_child_that_someone_cancels_fails_its_step() {
    let puppet = Puppet::new();
    let engine = engine(&puppet).start().await.unwrap();
    let text = ONE.replace("region: eu }", "region: eu, how: gate }");
    let began = puppet.began.notified();
    let handle = engine.start(family(&engine, &[("one", &text), ("region", REGION)])).await.unwrap();
    began.await;
    let child = children(&**engine.store(), handle.id()).await[0].run;
    engine.command(child, Command::Cancel(asked())).await.unwrap();
    let report = handle.wait().await.unwrap();
    assert_eq!((report.status.as_str(), report.steps[0].status), ("failed", "failed"));
    assert!(report.steps[0].error.as_deref().unwrap().contains("was cancelled"));
}

#[tokio::test]
async fn pausing_goes_down_and_so_does_resuming() {
    let puppet = Puppet::new();
    let engine = engine(&puppet).start().await.unwrap();
    let two = "
steps:
  first: { uses: puppet, with: { do: gate } }
  second: { uses: puppet, needs: first }
";
    let text = "
steps:
  below: { uses: workflow, with: { workflow: two } }
";
    let began = puppet.began.notified();
    let handle = engine.start(family(&engine, &[("one", text), ("two", two)])).await.unwrap();
    began.await;
    let child = engine.drive(children(&**engine.store(), handle.id()).await[0].run).await.unwrap();
    engine.command(handle.id(), Command::Pause(asked())).await.unwrap();
    child.progress().wait_for(|progress| progress.status == "paused").await.unwrap();
    puppet.gate.notify_one();
    child.progress().wait_for(|progress| progress.done == 1).await.unwrap();
    assert_eq!(puppet.begun("second"), 0);
    engine.command(handle.id(), Command::Resume(asked())).await.unwrap();
    let report = handle.wait().await.unwrap();
    assert_eq!((report.status.as_str(), puppet.begun("second")), ("completed", 1));
    assert_eq!(children(&**engine.store(), handle.id()).await[0].intent, Intent::Proceed);
}

#[tokio::test]
async fn a_child_that_takes_too_long_is_stopped_and_its_step_fails() {
    let puppet = Puppet::new();
    let engine = engine(&puppet).start().await.unwrap();
    let text = ONE.replace("region: eu } }", "region: eu, how: gate } }, timeout: 20ms");
    let report = done(&engine, family(&engine, &[("one", &text), ("region", REGION)])).await;
    assert_eq!((report.status.as_str(), report.steps[0].status), ("failed", "failed"));
    assert!(report.steps[0].error.as_deref().unwrap().contains("did not end in time"));
    assert_eq!(&*children(&**engine.store(), report.run_id).await[0].status, "cancelled");
}

#[tokio::test]
async fn whoever_waits_for_a_person_says_so_at_every_level() {
    let puppet = Puppet::new();
    let engine = engine(&puppet).start().await.unwrap();
    let below = |workflow: &str| {
        format!("\nsteps:\n  below: {{ uses: workflow, with: {{ workflow: {workflow} }} }}\n")
    };
    let ask = "\nsteps:\n  ask: { uses: puppet, with: { do: approval } }\n";
    let texts = [("one", below("two")), ("two", below("three")), ("three", ask.to_owned())];
    let texts: Vec<_> = texts.iter().map(|(name, text)| (*name, text.as_str())).collect();
    let handle = engine.start(family(&engine, &texts)).await.unwrap();
    handle.progress().wait_for(|progress| progress.status == "blocked").await.unwrap();
    let report = handle.report().await.unwrap();
    let waiting = report.waiting_for.iter().find(|waiting| waiting.needs_someone()).expect("an approval");
    assert_eq!((waiting.kind, &*waiting.name(), report.status.as_str()), ("approval", "ask", "blocked"));
    assert_ne!(waiting.run, handle.id());
    let decide =
        Decide { step: StepIx(0).into(), digest: None, approved: true, asked: asked(), via: "cli".into() };
    engine.command(waiting.run, Command::Decide(decide)).await.unwrap();
    assert_eq!(handle.wait().await.unwrap().status, "completed");
}

#[tokio::test]
async fn registered_workflows_are_pinned_when_the_run_starts() {
    let store = Arc::new(MemoryStore::default());
    let puppet = Puppet::new();
    let engine = engine(&puppet).store(store.clone()).start().await.unwrap();
    let unresolved = engine.parse(&format!("name: one{ONE}")).unwrap().workflow;
    let refused = engine.start(unresolved).await.unwrap_err();
    assert!(refused.to_string().contains("there is no registered workflow `region`"), "{refused}");
    register(&store, "region", REGION).await;
    let gated = ONE.replace("  region:", "  first: { uses: puppet, with: { do: gate } }\n  region:");
    let gated = gated.replace("{ uses: workflow,", "{ uses: workflow, needs: first,");
    let workflow = engine.parse(&format!("name: one{gated}")).unwrap().workflow;
    let began = puppet.began.notified();
    let handle = engine.start(workflow).await.unwrap();
    began.await;
    register(&store, "region", "name: region\nsteps: { other: { uses: puppet, with: { do: fail } } }\n")
        .await;
    puppet.gate.notify_one();
    let report = handle.wait().await.unwrap();
    assert_eq!(
        (report.status.as_str(), &report.outputs),
        ("completed", &json!({ "text": "eu" })),
        "{:?}",
        report.error
    );
}

async fn register(store: &MemoryStore, name: &str, text: &str) {
    let new = NewRevision {
        id: orchestrator_core::id::DocumentId::from_uuid(uuid::Uuid::now_v7()),
        project: StartRun::DEFAULT_PROJECT.into(),
        name: name.into(),
        revision: Digest::of(text.as_bytes()),
        text: text.into(),
        by: "kim".into(),
        at: store.now().await.unwrap(),
        expected: None,
    };
    store.register_workflow(new).await.unwrap();
}

#[tokio::test]
async fn a_workflow_that_is_not_known_cannot_be_started() {
    let engine = engine(&Puppet::new()).start().await.unwrap();
    let text = format!("name: one{ONE}").replace("workflow: region", "workflow: ./region.yaml");
    let refused = engine.start(engine.parse(&text).unwrap().workflow).await.unwrap_err();
    assert!(matches!(refused, StartError::UnknownWorkflow { .. }), "{refused}");
    assert!(engine.store().list_runs(RunQuery::default()).await.unwrap().items.is_empty());
}

#[tokio::test]
async fn after_a_crash_between_any_two_commits_every_child_exists_once_and_the_run_completes() {
    const PAIR: &str = "
steps:
  each:
    uses: workflow
    for_each: [eu, us]
    with: { workflow: middle, inputs: { region: \"${{ item }}\" } }
  after: { uses: puppet, needs: each }
";
    const MIDDLE: &str = "
inputs: { region: { type: string } }
steps:
  below: { uses: workflow, with: { workflow: region, inputs: { region: \"${{ inputs.region }}\" } } }
";
    let mut crashes = 0;
    for commits in 1.. {
        let store = Arc::new(MemoryStore::default());
        let brake = Brake::new(store.clone(), commits);
        let first = engine(&Puppet::new()).store(brake.clone()).start().await.unwrap();
        let texts = [("pair", PAIR), ("middle", MIDDLE), ("region", REGION)];
        let handle = first.start(family(&first, &texts)).await.unwrap();
        let mut progress = handle.progress();
        let ended = tokio::select! {
            () = brake.stuck.notified() => false,
            ended = progress.wait_for(|progress| progress.ended) => ended.is_ok(),
        };
        if ended {
            break;
        }
        crashes += 1;
        store.retire(first.owner()).await.unwrap();
        // Nothing is known to the second but what the store holds: no file, no text.
        let puppet = Puppet::new();
        let second = engine(&puppet).store(store.clone()).start().await.unwrap();
        let report = second.drive(handle.id()).await.unwrap().wait().await.unwrap();
        assert_eq!(report.status, "completed", "after {commits} commits: {:?}", report.error);
        let all = RunQuery { limit: usize::MAX, ..RunQuery::default() };
        let rows = store.list_runs(all).await.unwrap().items;
        let names: Vec<&str> = rows.iter().map(|row| &*row.new.workflow).collect();
        let count = |wanted: &str| names.iter().filter(|name| **name == wanted).count();
        assert_eq!((count("pair"), count("middle"), count("region")), (1, 2, 2), "after {commits} commits");
        assert!(rows.iter().all(|row| &*row.status == "completed"), "after {commits} commits");
    }
    assert!(crashes >= 6, "only {crashes} places to crash at");
}

#[tokio::test]
async fn a_thousand_children_of_one_step_all_end() {
    let puppet = Puppet::new();
    let engine = engine(&puppet).start().await.unwrap();
    let text = "
steps:
  all: { uses: workflow, for_each: \"${{ range(1000)|list }}\", with: { workflow: region, inputs: { region: x } } }
";
    let report = done(&engine, family(&engine, &[("all", text), ("region", REGION)])).await;
    assert_eq!((report.status.as_str(), puppet.begun("deploy")), ("completed", 1_000), "{:?}", report.error);
    engine.stop(Duration::ZERO).await;
}
