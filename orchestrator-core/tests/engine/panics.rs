//! What panics and is none of the engine's own: only its step suffers.

use std::sync::Arc;

use async_trait::async_trait;
use orchestrator_core::port::plugin::{Context, Outcome, Plugin, Request};
use orchestrator_core::port::policy::{PolicyEngine, PolicyError, PolicyRequest, Ruling, Verdict};
use orchestrator_core::spec::EffectClass;
use serde_json::{Value, json};

use crate::bench::{Puppet, engine, workflow};

/// Panics where its step says: at once, or once it is asked on a task of its own.
#[derive(Debug)]
struct Nervous;

#[async_trait]
impl PolicyEngine for Nervous {
    async fn evaluate(&self, request: PolicyRequest<'_>) -> Result<Ruling, PolicyError> {
        if request.step == "later" {
            tokio::task::yield_now().await;
        }
        assert!(request.step == "fine", "as told");
        Ok(Ruling { verdict: Verdict::Allow, policy: "nervous@1".into(), rule: None, reason: None })
    }
}

#[tokio::test(start_paused = true)]
async fn a_policy_that_panics_has_not_decided_and_its_gate_stays_shut() {
    let puppet = Puppet::new();
    let engine = engine(&puppet).policy(Arc::new(Nervous)).start().await.unwrap();
    let flow = workflow(
        &engine,
        "
        once: { uses: puppet }
        later: { uses: puppet }
        fine: { uses: puppet }",
    );
    let report = engine.start(flow).await.unwrap().wait().await.unwrap();
    let told: Vec<_> = report.steps.iter().map(|step| (&*step.id, step.status)).collect();
    assert_eq!(told, [("once", "failed"), ("later", "failed"), ("fine", "completed")]);
    for step in &report.steps[..2] {
        assert!(step.error.as_deref().unwrap().contains("it panicked: as told"), "{step:?}");
    }
    assert_eq!((puppet.begun("once"), puppet.begun("later")), (0, 0));
}

/// Does not even know how harmful it is.
#[derive(Debug)]
struct Clueless(Value);

#[async_trait]
impl Plugin for Clueless {
    fn kind(&self) -> &'static str {
        "clueless"
    }

    fn summary(&self) -> &'static str {
        "panics before it is executed"
    }

    fn config_schema(&self) -> &Value {
        &self.0
    }

    fn output_schema(&self) -> &Value {
        &self.0
    }

    fn effect_class(&self, _: &Value) -> EffectClass {
        panic!("as told")
    }

    async fn execute(&self, _: Context, _: Request) -> Outcome {
        Outcome::Succeeded { output: Value::Null }
    }
}

#[tokio::test(start_paused = true)]
async fn a_plugin_that_panics_before_it_is_executed_fails_its_step_alone() {
    let puppet = Puppet::new();
    let engine = engine(&puppet).plugin(Arc::new(Clueless(json!({})))).start().await.unwrap();
    let flow = "name: t\nsteps:\n  a: { uses: clueless }\n  b: { uses: puppet }\n";
    let report = engine.start(engine.parse(flow).unwrap().workflow).await.unwrap().wait().await.unwrap();
    let told: Vec<_> = report.steps.iter().map(|step| (&*step.id, step.status)).collect();
    assert_eq!(told, [("a", "failed"), ("b", "completed")]);
    assert!(report.steps[0].error.as_deref().unwrap().contains("the plugin panicked: as told"));
}
