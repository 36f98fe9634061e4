//! A path such as `steps.build.version`: by far the most frequent expression, so it is evaluated without minijinja.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::spec::expr::scope::{ExprError, Reference, Scope, StepView};
use crate::spec::expr::secret::stand_in;

/// Where a path begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Root {
    Inputs,
    Env,
    Run,
    Steps,
    Item,
    Index,
    Matrix,
    Own,
    Secrets,
}

impl Root {
    pub(super) fn of(name: &str) -> Option<Self> {
        Some(match name {
            "inputs" => Self::Inputs,
            "env" => Self::Env,
            "run" => Self::Run,
            "steps" => Self::Steps,
            "item" => Self::Item,
            "index" => Self::Index,
            "matrix" => Self::Matrix,
            "self" => Self::Own,
            "secrets" => Self::Secrets,
            _ => return None,
        })
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Inputs => "inputs",
            Self::Env => "env",
            Self::Run => "run",
            Self::Steps => "steps",
            Self::Item => "item",
            Self::Index => "index",
            Self::Matrix => "matrix",
            Self::Own => "self",
            Self::Secrets => "secrets",
        }
    }
}

/// A root and the names that follow it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Path {
    pub(super) root: Root,
    pub(super) names: Box<[Arc<str>]>,
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.root.name())?;
        self.names.iter().try_for_each(|name| write!(f, ".{name}"))
    }
}

impl Path {
    /// What the path refers to, as the engine needs to know it.
    pub(super) fn reference(&self) -> Option<Reference> {
        let name = self.names.first().cloned();
        Some(match self.root {
            Root::Inputs => Reference::Input(name?),
            Root::Env => Reference::Env(name?),
            Root::Steps => Reference::Step(name?, self.names.get(1).cloned()),
            Root::Item | Root::Index => Reference::Item,
            Root::Matrix => Reference::Matrix(name),
            Root::Own => Reference::Own(name),
            Root::Secrets => Reference::Secret(name?),
            Root::Run => Reference::Verdict(name.filter(|name| ["status", "error"].contains(&&**name))?),
        })
    }

    /// The value at the end of the path.
    pub(super) fn evaluate<'s>(&self, scope: &'s Scope) -> Result<Cow<'s, Value>, ExprError> {
        resolve(self.root, &self.names, scope).ok_or_else(|| {
            let message = match self.skipped_step(scope) {
                Some(step) => format!("`{self}` is not defined: step `{step}` has no output"),
                None => format!("`{self}` is not defined"),
            };
            ExprError::new("undefined_variable", message)
        })
    }

    /// How many names lead to the value that minijinja is given; it walks on from there.
    pub(super) fn entry_len(&self) -> usize {
        let len = match self.root {
            Root::Steps => 2,
            Root::Item | Root::Index | Root::Matrix => 0,
            _ => 1,
        };
        len.min(self.names.len())
    }

    fn skipped_step(&self, scope: &Scope) -> Option<&str> {
        let name = self.names.first().filter(|_| self.root == Root::Steps)?;
        scope.steps.get(name).is_some_and(|step| step.output.is_none()).then_some(name)
    }
}

/// The value to which `names` lead from `root`.
pub(super) fn resolve<'s>(root: Root, names: &[Arc<str>], scope: &'s Scope) -> Option<Cow<'s, Value>> {
    let (start, used) = start(root, names, scope)?;
    let rest = &names[used..];
    match start {
        Cow::Borrowed(value) => {
            rest.iter().try_fold(value, |value, name| value.get(&**name)).map(Cow::Borrowed)
        }
        Cow::Owned(value) => {
            rest.iter().try_fold(&value, |value, name| value.get(&**name)).cloned().map(Cow::Owned)
        }
    }
}

/// The value from which to follow the names, and how many names were used to find it.
fn start<'s>(root: Root, names: &[Arc<str>], scope: &'s Scope) -> Option<(Cow<'s, Value>, usize)> {
    let first = names.first().map(|name| &**name);
    Some(match (root, first) {
        (Root::Inputs, _) => (Cow::Borrowed(&*scope.inputs), 0),
        (Root::Env, Some(name)) => (Cow::Owned(Value::from(scope.env.get(name)?.as_str())), 1),
        (Root::Env, None) => (Cow::Owned(whole_env(scope)), 0),
        (Root::Run, Some(name)) => (Cow::Borrowed(scope.run.get(name)?), 1),
        (Root::Run, None) => (Cow::Owned(whole_run(scope)), 0),
        (Root::Steps, Some(name)) => {
            let step = scope.steps.get(name)?;
            match names.get(1) {
                Some(field) => (step_field(step, field)?, 2),
                None => (Cow::Owned(whole_step(step)), 1),
            }
        }
        (Root::Steps | Root::Secrets, None) => return None,
        (Root::Item | Root::Matrix, _) => (Cow::Borrowed(scope.item.as_ref()?), 0),
        (Root::Own, Some(field)) => (step_field(scope.own.as_ref()?, field)?, 1),
        (Root::Own, None) => (Cow::Owned(whole_step(scope.own.as_ref()?)), 0),
        (Root::Index, _) => (Cow::Owned(Value::from(scope.index?)), 0),
        (Root::Secrets, Some(name)) => (Cow::Owned(stand_in(name).into()), 1),
    })
}

static NONE: Value = Value::Null;

/// A field of a step as expressions see it.
fn step_field<'s>(step: &'s StepView, field: &str) -> Option<Cow<'s, Value>> {
    match field {
        "status" => return Some(Cow::Owned(step.status.into())),
        "error" => return Some(Cow::Owned(step.error.as_deref().map_or(Value::Null, Value::from))),
        "attempts" => return Some(Cow::Owned(step.attempts.into())),
        "items" => return Some(step.items.as_ref().map_or(Cow::Borrowed(&NONE), Cow::Borrowed)),
        _ => {}
    }
    match step.output.as_deref() {
        None => Some(Cow::Borrowed(&NONE)),
        Some(Value::Object(fields)) => fields.get(field).map(Cow::Borrowed),
        Some(other) if field == "value" => Some(Cow::Borrowed(other)),
        Some(_) => None,
    }
}

fn whole_step(step: &StepView) -> Value {
    let mut fields = match step.output.as_deref() {
        Some(Value::Object(fields)) => fields.clone(),
        Some(other) => Map::from_iter([("value".to_owned(), other.clone())]),
        None => Map::new(),
    };
    let items = step.items.as_ref().map(|_| "items");
    for name in ["status", "error", "attempts"].into_iter().chain(items) {
        if let Some(value) = step_field(step, name) {
            fields.insert(name.to_owned(), value.into_owned());
        }
    }
    Value::Object(fields)
}

fn whole_env(scope: &Scope) -> Value {
    scope.env.iter().map(|(name, value)| (name.to_string(), Value::from(value.as_str()))).collect()
}

fn whole_run(scope: &Scope) -> Value {
    scope.run.iter().map(|(name, value)| (name.to_string(), value.clone())).collect()
}
