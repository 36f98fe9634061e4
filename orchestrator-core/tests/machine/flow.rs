//! Random workflows: small graphs with every kind of step the machine tells apart.

use std::sync::Arc;
use std::time::Duration;

use indexmap::IndexMap;
use orchestrator_core::id::StepIx;
use orchestrator_core::plan::Plan;
use orchestrator_core::spec::expr::{Condition, Template};
use orchestrator_core::spec::retry::{Backoff, ErrorClass, RetryPolicy};
use orchestrator_core::spec::{EffectClass, Stages, StepOptions, StepSpec, TASK_KIND, Workflow};
use orchestrator_core::value::Digest;
use proptest::prelude::*;
use serde_json::Value;

/// A step of a random workflow.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    /// Positions of the steps it needs.
    pub(crate) needs: Vec<u32>,
    /// What a repetition would do.
    pub(crate) effect: EffectClass,
    /// Its `retry:`, if it has one.
    pub(crate) retry: Option<RetryPolicy>,
    /// Whether it has an `if:` that asks for the status of its needs itself.
    pub(crate) judges: bool,
    /// Whether it is a task, where it is offered.
    pub(crate) task: bool,
}

impl Shape {
    /// A step without `retry:`.
    pub(crate) fn new(needs: &[u32], effect: EffectClass) -> Self {
        Self { needs: needs.to_vec(), effect, retry: None, judges: false, task: false }
    }

    /// The same, with `if: always()`.
    pub(crate) fn judging(self) -> Self {
        Self { judges: true, ..self }
    }

    /// The same, as a task.
    pub(crate) fn claimable(self) -> Self {
        Self { task: true, ..self }
    }

    /// The same, with `retry:`.
    pub(crate) fn retried(self, max_attempts: u32) -> Self {
        let policy = RetryPolicy {
            max_attempts,
            backoff: Backoff::Exponential,
            initial: Duration::from_millis(20),
            max: Duration::from_millis(80),
            on: Vec::new(),
        };
        Self { retry: Some(policy), ..self }
    }
}

/// The workflow of these steps, with its plan.
pub(crate) fn workflow(shapes: &[Shape]) -> (Arc<Workflow>, Arc<Plan>) {
    let steps = shapes.iter().enumerate().map(|(ix, shape)| StepSpec {
        name: format!("s{ix}").into(),
        uses: if shape.task { TASK_KIND } else { "test" }.into(),
        with: Arc::new(Template::constant(Value::Null)),
        needs: shape.needs.iter().copied().map(StepIx).collect(),
        options: Some(Box::new(StepOptions {
            condition: shape.judges.then(|| Condition::compile("always()").expect("it compiles")),
            retry: shape.retry.clone(),
            effect: Some(shape.effect),
            ..StepOptions::default()
        })),
    });
    let workflow = Workflow {
        name: "random".into(),
        description: None,
        inputs: IndexMap::new(),
        env: IndexMap::new(),
        secrets: Vec::new(),
        steps: steps.collect(),
        stages: Stages::default(),
        deadline: None,
        concurrency: None,
        permissions: orchestrator_core::spec::Permissions::default(),
        schedules: Vec::new(),
        outputs: IndexMap::new(),
        text: "".into(),
        revision: Digest::of(b""),
        children: IndexMap::new(),
        edition: Digest::of(b""),
    };
    let plan = Plan::new(workflow.steps.iter().map(|step| &*step.needs)).expect("no cycle");
    (Arc::new(workflow), Arc::new(plan))
}

/// Graphs of one to seven steps. The order of the text is not the order of the needs.
pub(crate) fn shapes() -> impl Strategy<Value = Vec<Shape>> {
    prop::collection::vec((any::<u8>(), effects(), retries(), 0..16u8), 1..=7).prop_flat_map(|ranked| {
        let places: Vec<u32> = (0..ranked.len() as u32).collect();
        (Just(ranked), Just(places).prop_shuffle()).prop_map(|(ranked, places)| {
            let mut placed: Vec<(u32, Shape)> = Vec::new();
            for (rank, (mask, effect, retry, kind)) in ranked.into_iter().enumerate() {
                // A step may need those of lower rank; half the bits, so that some graphs are wide.
                let needs = (0..rank).filter(|need| mask & (1 << need) != 0).map(|need| places[need]);
                placed.push((
                    places[rank],
                    Shape { needs: needs.collect(), effect, retry, judges: kind % 4 == 0, task: kind < 4 },
                ));
            }
            placed.sort_by_key(|(place, _)| *place);
            placed.into_iter().map(|(_, shape)| shape).collect()
        })
    })
}

fn effects() -> impl Strategy<Value = EffectClass> {
    prop_oneof![Just(EffectClass::Pure), Just(EffectClass::Idempotent), Just(EffectClass::AtMostOnce)]
}

fn retries() -> impl Strategy<Value = Option<RetryPolicy>> {
    let policy =
        (1..=5u32, any::<bool>(), any::<bool>()).prop_map(|(max_attempts, fixed, only_transient)| {
            RetryPolicy {
                max_attempts,
                backoff: if fixed { Backoff::Fixed } else { Backoff::Exponential },
                initial: Duration::from_millis(20),
                max: Duration::from_millis(80),
                on: if only_transient { vec![ErrorClass::Transient] } else { Vec::new() },
            }
        });
    prop_oneof![1 => Just(None), 3 => policy.prop_map(Some)]
}
