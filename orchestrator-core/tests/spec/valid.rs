//! Workflows that are right.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use orchestrator_core::id::StepIx;
use orchestrator_core::spec::expr::{Reference, Scope, StepView};
use orchestrator_core::spec::retry::{Backoff, ErrorClass};
use orchestrator_core::spec::{EffectClass, InputKind, OnExpiry, Sandbox, Workflow, parse};
use serde_json::{Value, json};

use crate::catalog::plugins;

/// The example of the README, with the keys that are supported.
pub(crate) const EXAMPLE: &str = include_str!("example.yaml");

pub(crate) fn parsed(text: &str) -> Workflow {
    match parse(text, &plugins()) {
        Ok(parsed) => {
            assert_eq!(parsed.warnings, [], "{text}");
            parsed.workflow
        }
        Err(diagnostics) => panic!("{diagnostics}\n{text}"),
    }
}

fn ended(output: Value) -> StepView {
    StepView { status: "completed", output: Some(Arc::new(output)), error: None, attempts: 1, items: None }
}

#[test]
fn every_supported_key_is_read() {
    let workflow = parsed(EXAMPLE);
    assert_eq!(&*workflow.name, "release-notes");
    assert_eq!(workflow.inputs["count"].default, Some(json!(50)));
    assert_eq!(workflow.inputs["url"].kind, InputKind::String);
    assert_eq!(workflow.env["LANG"].as_constant(), Some(&json!("C.UTF-8")));
    let names: Vec<&str> = workflow.steps.iter().map(|step| &*step.name).collect();
    assert_eq!(names, ["log", "notes", "review", "publish"]);
    let [log, notes, review, publish] = &workflow.steps[..] else { panic!("four steps") };

    assert_eq!(&*log.uses, "script");
    assert_eq!(log.with.as_constant(), Some(&json!({"run": "git log --oneline -n \"$COUNT\""})));
    assert_eq!(log.options().effect, Some(EffectClass::Pure));
    assert_eq!(log.options().sandbox, Some(Sandbox::None));
    let mut scope = Scope { inputs: Arc::new(json!({"count": 50, "model": "mock"})), ..Scope::default() };
    assert_eq!(log.options().env["COUNT"].render_text(&scope).unwrap(), "50");

    assert_eq!(notes.needs, [StepIx(0)]);
    let retry = notes.options().retry.as_ref().unwrap();
    assert_eq!((retry.max_attempts, retry.backoff), (3, Backoff::Exponential));
    assert_eq!((retry.initial, retry.max), (Duration::from_secs(1), Duration::from_secs(30)));
    assert_eq!(retry.on, [ErrorClass::Transient, ErrorClass::Timeout]);
    assert_eq!(notes.options().timeout.unwrap().after, Duration::from_secs(120));
    let stdout = Reference::Step("log".into(), Some("stdout".into()));
    assert_eq!(notes.with.references(), [Reference::Input("model".into()), stdout]);
    scope.steps.insert("log".into(), ended(json!({"stdout": "abc"})));
    let rendered = notes.with.render(&scope).unwrap();
    assert_eq!(rendered, json!({"model": "mock", "prompt": "Write release notes for:\nabc\n"}));

    let timeout = review.options().timeout.unwrap();
    assert_eq!((timeout.after, timeout.then), (Duration::from_secs(86_400), OnExpiry::Reject));

    assert!(!publish.judges_its_needs());
    scope.steps = BTreeMap::from([("review".into(), ended(json!({"approved": true})))]);
    assert_eq!(publish.options().condition.as_ref().unwrap().evaluate(&scope), Ok(true));
    assert_eq!(workflow.outputs["notes"].references().len(), 1);
    assert_eq!(&*workflow.text, EXAMPLE);
}
