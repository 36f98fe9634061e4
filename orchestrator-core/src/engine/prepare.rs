//! Preparing a step: evaluates its condition, renders its request, asks the policy. What comes of it enters the
//! machine as a command.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context as TaskContext, Poll, Waker};

use serde_json::Value;

use crate::engine::case::Case;
use crate::engine::driver::Driver;
use crate::engine::expand::expand;
use crate::engine::fetch::poll_policy;
use crate::engine::ground::Ground;
use crate::engine::judge::judge;
use crate::engine::loaded::{Loaded, references_of};
use crate::engine::places::holds_of;
use crate::engine::tasks::guarded;
use crate::engine::values::Values;
use crate::id::Unit;
use crate::machine::{Intent, Prepared, RunState, StepError, StepState};
use crate::port::plugin::Request;
use crate::port::policy::Decision;
use crate::spec::expr::{ExprError, Reference, Scope, SecretPlace, StepView, Template, place};
use crate::spec::retry::ErrorClass;
use crate::spec::schema::check_value;
use crate::spec::{Stage, StepSpec};
use crate::time::Timestamp;
use crate::value::{Digest, StoredValue, ValueRef, check_storable};

/// What preparing gave.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "taken apart where it is returned")]
pub(crate) enum Preparation {
    /// A command for the machine, and what has to be written with it.
    Done(Done),
    /// These outputs have to be loaded first.
    Load(Vec<ValueRef>),
    /// The policy needs time.
    Judge(Box<Adjourned>),
}

/// A finished preparation.
#[derive(Debug, Clone)]
pub(crate) struct Done {
    pub(crate) verdict: Prepared,
    pub(crate) decision: Option<Decision>,
    pub(crate) value: Option<StoredValue>,
    /// The request, for dispatch without reading it back.
    pub(crate) request: Option<Arc<Request>>,
    /// The list of items, for preparing them before it is in the store.
    pub(crate) list: Option<Arc<Value>>,
    /// What the run of the step keeps of an earlier one, once that has been looked up.
    pub(crate) ground: Option<Ground>,
}

impl Done {
    /// A verdict that leaves nothing to be written.
    pub(crate) const fn of(verdict: Prepared) -> Self {
        Self { verdict, decision: None, value: None, request: None, list: None, ground: None }
    }

    pub(crate) fn bare(verdict: Prepared) -> Preparation {
        Preparation::Done(Self::of(verdict))
    }

    pub(crate) fn fault(class: ErrorClass, message: impl Into<String>) -> Preparation {
        Self::bare(Prepared::Fault(StepError::new(class, message)))
    }
}

/// A case whose ruling takes time, with what the policy is told of its run.
#[derive(Debug)]
pub(crate) struct Adjourned {
    pub(crate) case: Case,
    pub(crate) project: Arc<str>,
    pub(crate) by: Arc<str>,
    pub(crate) loaded: Arc<Loaded>,
}

/// Prepares a ready step that may begin, as far as that is possible at once.
pub(crate) fn prepare(driver: &Driver, step: Unit, now: Timestamp) -> Preparation {
    let Driver { shared, loaded, origin, state, values, .. } = driver;
    let project = &origin.project;
    let spec = loaded.workflow.step(step.step);
    if step.item().is_none() && spec.options().each.is_some() {
        return expand(loaded, state, values, step.step);
    }
    let slot = state.slot(step);
    if let Some(output) = slot.to_judge() {
        return judge(shared, loaded, state, values, step, output);
    }
    let missing = missing_values(loaded, state, values, step, slot.request.as_ref());
    if !missing.is_empty() {
        return Preparation::Load(missing);
    }
    let Some(plugin) = shared.registry.get(&spec.uses) else {
        return Done::fault(ErrorClass::Invalid, format!("there is no plugin `{}`", spec.uses));
    };
    let (request, reference, value) = match &slot.request {
        Some(reference) => match values.request(reference) {
            Ok(request) => (request, reference.clone(), None),
            Err(error) => return Done::fault(ErrorClass::Invalid, error),
        },
        None => match render(loaded, state, values, step, spec) {
            Ok(Some(rendered)) => match misfit(spec, plugin.config_schema(), &rendered.0.with) {
                Some(misfit) => return Done::fault(ErrorClass::Invalid, misfit),
                None => rendered,
            },
            Ok(None) => return Done::bare(Prepared::Skip),
            Err(fault) => return Done::bare(Prepared::Fault(fault)),
        },
    };
    let effect = match spec.options().effect {
        Some(effect) => effect,
        None => match guarded(|| plugin.effect_class(&request.with)) {
            Ok(effect) => effect,
            Err(said) => {
                return Done::fault(ErrorClass::PluginPanicked, format!("the plugin panicked: {said}"));
            }
        },
    };
    let holds = match holds_of(loaded, state, values, step) {
        Ok(holds) => holds,
        Err(fault) => return Done::bare(Prepared::Fault(fault)),
    };
    let case = Case {
        step,
        holds,
        run: state.run(),
        owner: driver.owner(),
        effect,
        request,
        reference,
        value,
        granted: slot.granted().copied(),
    };
    // Most policies answer without waiting for anything.
    let digest = case.digest();
    let by = &state.head().by;
    let polled = {
        let ruling = pin!(shared.policy.evaluate(case.question(&loaded.workflow, project, by, digest)));
        poll_policy(ruling, &mut TaskContext::from_waker(Waker::noop()))
    };
    match polled {
        Poll::Ready(ruling) => Preparation::Done(case.close(shared, ruling, digest, now)),
        Poll::Pending => Preparation::Judge(Box::new(Adjourned {
            case,
            project: project.clone(),
            by: by.clone(),
            loaded: loaded.clone(),
        })),
    }
}

/// What does not fit the plugin's schema. Constants were checked when the workflow was read.
fn misfit(spec: &StepSpec, schema: &Value, with: &Value) -> Option<String> {
    if spec.with.as_constant().is_some() {
        return None;
    }
    let issues = check_value(schema, with);
    let told = issues.iter().map(|issue| {
        let path = issue.path.iter().fold(String::from("with"), |path, key| path + "." + key);
        format!("{}: {}", place(&path, spec.with.line(&issue.path)), issue.message)
    });
    let told: Vec<String> = told.collect();
    (!told.is_empty()).then(|| told.join("; "))
}

/// The request of a step that is given nothing, its stored form, and the digest of that.
pub(crate) static NOTHING: LazyLock<(Arc<Request>, ValueRef, Digest)> = LazyLock::new(|| {
    let stored = ValueRef::Inline(Arc::from(r#"{"with":null}"#));
    let digest = stored.digest();
    (Arc::new(Request::default()), stored, digest)
});

/// The parts of a rendered request: itself, what the event holds, what is kept beside the log.
type Rendered = (Arc<Request>, ValueRef, Option<StoredValue>);

fn render(
    loaded: &Loaded,
    state: &RunState,
    values: &Values,
    step: Unit,
    spec: &StepSpec,
) -> Result<Option<Rendered>, StepError> {
    let fault = |key: &'static str| move |error: ExprError| StepError::from(Misrender::of(key, &error));
    let options = spec.options();
    let constant = spec.with.as_constant();
    let plain = options.condition.is_none() && options.env.is_empty() && loaded.workflow.env.is_empty();
    let request = match constant {
        Some(Value::Null) if plain => return Ok(Some((NOTHING.0.clone(), NOTHING.1.clone(), None))),
        Some(with) if plain => Request { with: with.clone(), ..Request::default() },
        _ => {
            let references = references_of(spec).flatten();
            let scope = scope(loaded, state, values, references, Some(step)).map_err(StepError::from)?;
            // Of items it was judged before there were any.
            let judged = step.item().is_some() && state.slot(step).stage != Stage::Compensation;
            if let Some(condition) = options.condition.as_ref().filter(|_| !judged)
                && !condition.evaluate(&scope).map_err(fault("if"))?
            {
                return Ok(None);
            }
            let mut env: BTreeMap<String, String> =
                scope.env.iter().map(|(name, text)| (name.to_string(), text.clone())).collect();
            let mut secrets = Vec::new();
            let own = render_env("env", &options.env, &scope, &mut secrets).map_err(StepError::from)?;
            env.extend(own.into_iter().map(|(name, text)| (name.to_string(), text)));
            let (with, mut of_with) = spec.with.render_placed(&scope).map_err(fault("with"))?;
            of_with.iter_mut().for_each(|place| place.put_under("with"));
            secrets.append(&mut of_with);
            Request { with, env, secrets }
        }
    };
    stored_form(request).map(Some)
}

/// An expression that could not be evaluated, told with its key and its line.
#[derive(Debug)]
pub(crate) struct Misrender(String);

impl Misrender {
    pub(crate) fn of(key: &str, error: &ExprError) -> Self {
        Self(error.told(key))
    }
}

impl From<Misrender> for StepError {
    fn from(Misrender(message): Misrender) -> Self {
        Self::new(ErrorClass::Template, message)
    }
}

/// `key` is where the variables are written. Also tells where secrets stand in them.
pub(crate) fn render_env<'a>(
    key: &str,
    env: impl IntoIterator<Item = (&'a Arc<str>, &'a Template)>,
    scope: &Scope,
    secrets: &mut Vec<SecretPlace>,
) -> Result<BTreeMap<Arc<str>, String>, Misrender> {
    let render = |(name, template): (&'a Arc<str>, &'a Template)| {
        let rendered = template.render_text_placed(scope);
        let (text, own) = rendered.map_err(|error| Misrender::of(&format!("{key}.{name}"), &error))?;
        for mut place in own {
            place.put_under(name);
            place.put_under("env");
            secrets.push(place);
        }
        Ok((name.clone(), text))
    };
    env.into_iter().map(render).collect()
}

/// The request, and its stored form. Its digest is what policies judge and approvals are bound to.
fn stored_form(request: Request) -> Result<Rendered, StepError> {
    let unstorable = |why: &dyn std::fmt::Display| {
        StepError::new(ErrorClass::Invalid, format!("the request cannot be stored: {why}"))
    };
    check_storable(&request.with).map_err(|error| unstorable(&error))?;
    let body = serde_json::to_string(&request).map_err(|error| unstorable(&error))?;
    let (reference, value) = ValueRef::from_json(body.into()).map_err(|error| unstorable(&error))?;
    Ok((Arc::new(request), reference, value))
}

/// What the expressions refer to and what is not at hand.
fn missing_values(
    loaded: &Loaded,
    state: &RunState,
    values: &Values,
    step: Unit,
    request: Option<&ValueRef>,
) -> Vec<ValueRef> {
    if let Some(request) = request {
        return values.missing(std::iter::once(request));
    }
    let spec = loaded.workflow.step(step.step);
    if spec.with.as_constant().is_some() && spec.options.is_none() && loaded.workflow.env.is_empty() {
        return Vec::new();
    }
    let needed = referred_to(loaded, state, references_of(spec).flatten()).into_iter();
    values.missing(
        needed.chain(state.list_of(step)).chain(undone(state, step).and_then(|unit| output_of(state, unit))),
    )
}

/// The values that these references need, and the run's inputs.
pub(crate) fn referred_to<'a>(
    loaded: &Loaded,
    state: &'a RunState,
    references: impl Iterator<Item = &'a Reference>,
) -> Vec<&'a ValueRef> {
    let mut found = vec![&state.head().inputs];
    for reference in references {
        let Reference::Step(name, field) = reference else { continue };
        let Some(step) = loaded.find(name) else { continue };
        found.extend(output_of(state, step.into()));
        if let Some(fan) = state.fan(step)
            && field.as_deref().is_none_or(|field| field == "items")
        {
            let items = (0..fan.count).map(|item| Unit::item_of(step, item));
            found.extend(items.filter_map(|item| output_of(state, item)));
        }
    }
    found
}

/// What a compensation undoes: the step, or the item of it.
fn undone(state: &RunState, unit: Unit) -> Option<Unit> {
    let step = state.workflow().stages.undone_by(unit.step)?;
    Some(Unit::new(step, unit.item()))
}

fn output_of(state: &RunState, unit: Unit) -> Option<&ValueRef> {
    match &state.slot(unit).state {
        StepState::Succeeded { output } => Some(output),
        _ => None,
    }
}

/// What expressions may look at, the rendered environment of the workflow included. `step` is the one they belong to;
/// without one they are the run's outputs.
pub(crate) fn scope<'a>(
    loaded: &Loaded,
    state: &RunState,
    values: &Values,
    references: impl Iterator<Item = &'a Reference>,
    step: Option<Unit>,
) -> Result<Scope, Misrender> {
    let mut scope =
        Scope { inputs: values.get(&state.head().inputs).unwrap_or_default(), ..Scope::default() };
    for reference in references {
        if let Reference::Step(name, field) = reference
            && let Some(step) = loaded.find(name)
        {
            let with_items = field.as_deref().is_none_or(|field| field == "items");
            let entry = scope.steps.entry(name.clone());
            let known = entry.or_insert_with(|| view(state, values, step.into(), with_items));
            if with_items && known.items.is_none() {
                *known = view(state, values, step.into(), true);
            }
        }
    }
    scope.run.insert("id".into(), state.run().to_string().into());
    scope.run.insert("workflow".into(), (*loaded.workflow.name).into());
    if let Some(step) = step
        && let Some(item) = step.item()
    {
        let list = state.list_of(step).and_then(|list| values.get(list));
        scope.item = list.and_then(|list| list.get(item as usize).cloned());
        scope.index = Some(item);
    }
    if let Some(verdict) = &state.head().verdict {
        let error = verdict.error.as_ref().map(|error| &*error.message);
        scope.run.insert("status".into(), verdict.status.as_str().into());
        scope.run.insert("error".into(), error.into());
    }
    scope.own = step.and_then(|step| undone(state, step)).map(|unit| view(state, values, unit, false));
    match step {
        Some(step) => scope.standing = state.standing(step),
        None => scope.standing.cancelled = state.head().intent == Intent::Cancel,
    }
    // No secret can stand there.
    scope.env = render_env("the workflow's env", &loaded.workflow.env, &scope, &mut Vec::new())?;
    Ok(scope)
}

/// The values that the run's outputs refer to and that are not at hand.
pub(crate) fn missing_outputs(loaded: &Loaded, state: &RunState, values: &Values) -> Vec<ValueRef> {
    let references = loaded.workflow.outputs.values().flat_map(Template::references);
    values.missing(referred_to(loaded, state, references).into_iter())
}

/// The run's outputs: one object.
pub(crate) fn render_outputs(
    loaded: &Loaded,
    state: &RunState,
    values: &Values,
) -> Result<(ValueRef, Option<StoredValue>), StepError> {
    let outputs = &loaded.workflow.outputs;
    let references = outputs.values().chain(loaded.workflow.env.values()).flat_map(Template::references);
    let scope = scope(loaded, state, values, references, None)?;
    let mut rendered = serde_json::Map::new();
    for (name, template) in outputs {
        let value = template.render(&scope);
        let value = value.map_err(|error| Misrender::of(&format!("outputs.{name}"), &error))?;
        rendered.insert(name.to_string(), value);
    }
    ValueRef::encode(&Value::Object(rendered)).map_err(|error| {
        StepError::new(ErrorClass::Invalid, format!("the outputs cannot be stored: {error}"))
    })
}

pub(crate) fn view(state: &RunState, values: &Values, unit: Unit, with_items: bool) -> StepView {
    let slot = state.slot(unit);
    let (output, error) = match &slot.state {
        StepState::Succeeded { output } => (values.get(output), None),
        StepState::Failed { error } => (None, Some(error.message.to_string())),
        _ => (None, None),
    };
    let fan = state.fan(unit.step).filter(|_| with_items && unit.item().is_none());
    let items = fan.map(|fan| {
        let items = (0..fan.count).map(|item| view(state, values, Unit::item_of(unit.step, item), false));
        items.map(item_value).collect::<Value>()
    });
    StepView { status: slot.state.shown(), output, error, attempts: slot.attempts, items }
}

/// An item as expressions see it.
fn item_value(view: StepView) -> Value {
    let output = view.output.map_or(Value::Null, Arc::unwrap_or_clone);
    serde_json::json!({ "status": view.status, "output": output, "error": view.error })
}
