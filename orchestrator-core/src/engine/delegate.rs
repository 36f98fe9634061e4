//! Steps that another run carries out: how that run is made. See [`crate::engine::attend`] for what follows.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use async_trait::async_trait;
use serde_json::{Value, json};

use crate::engine::batch::{Batch, Decided};
use crate::engine::driver::{Driver, Origin};
use crate::engine::entry::Entry;
use crate::engine::fork::FORKED_FROM;
use crate::engine::ground::Ground;
use crate::engine::loaded::Loaded;
use crate::engine::member::Draft;
use crate::engine::prepare::Done;
use crate::engine::start::created;
use crate::id::{RunId, Unit};
use crate::machine::{Begin, Prepared, RunState, StepError};
use crate::port::plugin::{ConfigIssue, Context, Outcome, Plugin, Request};
use crate::port::store::{Member, NewRun, Parent};
use crate::spec::inputs::{Given, resolve};
use crate::spec::retry::ErrorClass;
use crate::spec::{EffectClass, WORKFLOW_KIND};
use crate::time::Timestamp;
use crate::value::ValueRef;

/// Runs another workflow. Every engine has it, and carries it out itself: the plugin only says what it takes.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct SubWorkflow;

static CONFIG: LazyLock<Value> = LazyLock::new(|| {
    json!({
        "type": "object",
        "required": ["workflow"],
        "additionalProperties": false,
        "properties": {
            "workflow": {
                "type": "string",
                "minLength": 1,
                "description": "The workflow: a file beside this one, which begins with `./` or `../`, or the name of a registered workflow. Its text is pinned when the run is started.",
                "examples": ["./region.yaml"],
            },
            "inputs": {
                "type": "object",
                "additionalProperties": true,
                "description": "The inputs that the workflow is given.",
                "examples": [{ "region": "eu" }],
            },
        },
        "examples": [{ "workflow": "./region.yaml", "inputs": { "region": "eu" } }],
    })
});

static OUTPUT: LazyLock<Value> = LazyLock::new(
    || json!({ "type": "object", "additionalProperties": true, "description": "The outputs of the workflow." }),
);

#[async_trait]
impl Plugin for SubWorkflow {
    fn kind(&self) -> &str {
        WORKFLOW_KIND
    }

    fn summary(&self) -> &str {
        "runs another workflow, as a run of its own"
    }

    fn config_schema(&self) -> &Value {
        &CONFIG
    }

    fn output_schema(&self) -> &Value {
        &OUTPUT
    }

    fn effect_class(&self, _: &Value) -> EffectClass {
        EffectClass::Idempotent
    }

    fn validate(&self, with: &Value) -> Vec<ConfigIssue> {
        let workflow = with.get("workflow").and_then(Value::as_str).unwrap_or_default();
        if !workflow.contains("${{") {
            return Vec::new();
        }
        vec![ConfigIssue {
            path: vec!["workflow".to_owned()],
            message:
                "the workflow must be named without an expression: its text is pinned before the run begins"
                    .to_owned(),
            hint: Some(
                "name each workflow in a step of its own, and choose among the steps by `if`".to_owned(),
            ),
        }]
    }

    async fn execute(&self, _: Context, _: Request) -> Outcome {
        Outcome::failed(ErrorClass::Invalid, "a workflow is carried out by the engine, not by a plugin")
    }
}

/// A child in the making.
#[derive(Debug)]
pub(crate) struct Birth {
    pub(crate) step: Unit,
    member: Option<Member>,
    state: RunState,
    loaded: Arc<Loaded>,
    origin: Origin,
}

impl Birth {
    /// The member that creates it.
    pub(crate) fn take_member(&mut self) -> Option<Member> {
        self.member.take()
    }

    /// About how many bytes its creation makes a store write.
    pub(crate) fn size_hint(&self) -> usize {
        self.member.as_ref().map_or(0, Member::size_hint)
    }

    /// It exists: drives it.
    pub(crate) fn drive(self, driver: &Driver) {
        crate::failpoint!("child.created");
        let Self { state, loaded, origin, .. } = self;
        Driver::spawn_child(&driver.shared, loaded, origin, state);
    }
}

impl Driver {
    /// Makes the run that carries out a step, and what is said of it to the machine. A step that may begin becomes one
    /// that waits for its child.
    pub(crate) fn delegate(
        &self,
        step: Unit,
        begin: Begin,
        request: &Request,
        ground: Ground,
        at: Timestamp,
    ) -> Result<(Birth, Prepared), StepError> {
        let spec = self.loaded.workflow.step(step.step);
        let invalid = |message: String| StepError::new(ErrorClass::Invalid, message);
        let child = spec.options().child.as_ref().and_then(|child| self.loaded.children.get(child));
        let loaded = child.cloned().ok_or_else(|| {
            invalid(format!("the workflow of step `{}` was not known when the run was started", spec.name))
        })?;
        let resolved = resolve(&loaded.workflow, &given(request)).map_err(|problems| {
            invalid(format!("the inputs do not fit workflow `{}`: {problems}", loaded.workflow.name))
        })?;
        let (inputs, values) = ValueRef::encode(&resolved)
            .map_err(|error| invalid(format!("the inputs cannot be stored: {error}")))?;
        let run = RunId::from_uuid(self.shared.ids.uuid());
        let within = self.state.keys().chain(begin.holds.places()).cloned().collect();
        let entry = Entry::of(&loaded, run, resolved, within)?;
        let kept = ground.of(&loaded.workflow, &inputs)?;
        let origin = kept.iter().map(|kept| (FORKED_FROM.to_owned(), kept.run.to_string()));
        let root = self.origin.parent.map_or(self.run, |parent| parent.root);
        let parent = Some(Parent { run: self.run, unit: step, root });
        let new = NewRun {
            project: self.origin.project.clone(),
            workflow: loaded.workflow.name.clone(),
            revision: loaded.workflow.revision,
            text: loaded.workflow.text.clone(),
            inputs,
            labels: origin.collect(),
            priority: self.origin.priority,
            by: self.state.head().by.clone(),
            steps: loaded.plan.len() as u32,
            key: None,
            parent,
        };
        let origin = Origin { parent, ..self.origin.clone() };
        let mut state = RunState::new(run, loaded.workflow.clone(), loaded.plan.clone());
        let mut draft = Draft::new(&state, self.shared.transition(), at);
        draft.take(&mut state, created(&new, &loaded, entry).into());
        draft.values.extend(values);
        draft.create = Some(Box::new(new));
        if let Some(kept) = kept {
            kept.events.iter().for_each(|event| draft.take(&mut state, event.clone()));
            draft.values.extend_from_slice(&kept.values);
        }
        let touched = state.take_touched();
        let member = Some(draft.into_member(run, &state, &touched, None));
        let until = spec.options().timeout.map(|timeout| at + timeout.after);
        let verdict = Prepared::Delegate { begin, child: run, until };
        Ok((Birth { step, member, state, loaded, origin }, verdict))
    }
}

/// The inputs that a step gives its run.
fn given(request: &Request) -> BTreeMap<String, Given> {
    match request.with.get("inputs") {
        Some(Value::Object(inputs)) => {
            inputs.iter().map(|(name, value)| (name.clone(), Given::Value(value.clone()))).collect()
        }
        _ => BTreeMap::new(),
    }
}

impl Batch {
    /// A step that may begin becomes one that waits for the run that carries it out.
    pub(crate) fn delegate(
        &mut self,
        driver: &mut Driver,
        draft: &mut Draft,
        step: Unit,
        mut done: Done,
    ) -> Decided {
        let begins = matches!(done.verdict, Prepared::Begin(_));
        let inside = driver.state.inside(step).filter(|_| begins).cloned();
        let ground = match (inside, done.ground.take()) {
            (None, _) => Ground::Bare,
            (Some(_), Some(ground)) => ground,
            (Some(inside), None) => {
                driver.look_inside(step, inside, done);
                return Decided::Changed(false);
            }
        };
        let (Prepared::Begin(begin), Some(request)) = (done.verdict.clone(), done.request.take()) else {
            return self.say_done(driver, draft, step, done);
        };
        let placement = driver.placement(step).clone();
        if driver.is_held(step, &placement.queue) {
            driver.leave_for_later(step);
            return Decided::Changed(false);
        }
        match driver.delegate(step, begin, &request, ground, draft.at) {
            Ok((birth, verdict)) => {
                done.verdict = verdict;
                let decided = self.say_done(driver, draft, step, done);
                if matches!(decided, Decided::Changed(_)) {
                    self.bytes += birth.size_hint();
                    self.births.push(birth);
                }
                decided
            }
            Err(error) => {
                self.say_done(driver, draft, step, Done { verdict: Prepared::Fault(error), ..done })
            }
        }
    }
}
