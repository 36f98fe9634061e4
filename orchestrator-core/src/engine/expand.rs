//! From what a step runs once for each of to the list of its items.

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::engine::loaded::{Loaded, references_of};
use crate::engine::prepare::{Done, Misrender, Preparation, referred_to, scope};
use crate::engine::values::Values;
use crate::id::{StepIx, Unit};
use crate::machine::{MAX_ITEMS, Prepared, RunState};
use crate::spec::expr::{Scope, Template, place};
use crate::spec::retry::ErrorClass;
use crate::spec::{Each, Matrix, Over};
use crate::value::ValueRef;

/// Why there is no list.
enum Fault {
    Expression(Misrender),
    Other(String),
}

impl From<Misrender> for Fault {
    fn from(error: Misrender) -> Self {
        Self::Expression(error)
    }
}

/// Makes the list of a step's items, if its condition holds.
pub(crate) fn expand(loaded: &Arc<Loaded>, state: &RunState, values: &Values, step: StepIx) -> Preparation {
    let spec = loaded.workflow.step(step);
    let missing = values.missing(referred_to(loaded, state, references_of(spec).flatten()).into_iter());
    if !missing.is_empty() {
        return Preparation::Load(missing);
    }
    let Some(each) = &spec.options().each else { return Done::bare(Prepared::Skip) };
    let scope = scope(loaded, state, values, references_of(spec).flatten(), Some(Unit::of(step)));
    let listed = scope.map_err(Fault::from).and_then(|scope| {
        if let Some(condition) = &spec.options().condition
            && !condition.evaluate(&scope).map_err(|error| Misrender::of("if", &error))?
        {
            return Ok(None);
        }
        list(each, &scope).map(Some)
    });
    let items = match listed {
        Ok(Some(items)) => items,
        Ok(None) => return Done::bare(Prepared::Skip),
        Err(Fault::Expression(error)) => return Done::bare(Prepared::Fault(error.into())),
        Err(Fault::Other(why)) => return Done::fault(ErrorClass::Invalid, why),
    };
    if items.len() > MAX_ITEMS {
        let message = format!("{} items; the limit is {MAX_ITEMS}", items.len());
        return Done::fault(ErrorClass::Invalid, message);
    }
    // Bounded just above.
    let count = items.len() as u32;
    let items = Value::Array(items);
    match ValueRef::encode(&items) {
        Ok((reference, value)) => {
            crate::failpoint!("items.expanded");
            let verdict = Prepared::Expand { items: reference, count };
            Preparation::Done(Done { value, list: Some(Arc::new(items)), ..Done::of(verdict) })
        }
        Err(error) => {
            Done::fault(ErrorClass::Invalid, format!("the list of items cannot be stored: {error}"))
        }
    }
}

fn list(each: &Each, scope: &Scope) -> Result<Vec<Value>, Fault> {
    match &each.over {
        Over::List(list) => rendered_list(list, scope, "for_each"),
        Over::Matrix(matrix) => combinations(matrix, scope),
    }
}

fn rendered_list(list: &Template, scope: &Scope, key: &str) -> Result<Vec<Value>, Fault> {
    match list.render(scope).map_err(|error| Misrender::of(key, &error))? {
        Value::Array(items) => Ok(items),
        other => {
            let place = place(key, list.line(&[]));
            Err(Fault::Other(format!("{place}: it is {}, not a list", kind(&other))))
        }
    }
}

const fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "none",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a mapping",
    }
}

/// Every combination of the axes' values, the last axis varying fastest, without those that are excluded, then those
/// that are included.
fn combinations(matrix: &Matrix, scope: &Scope) -> Result<Vec<Value>, Fault> {
    let mut found: Vec<Map<String, Value>> = vec![Map::new()];
    for (name, axis) in &matrix.axes {
        let values = rendered_list(axis, scope, &format!("strategy.matrix.{name}"))?;
        if found.len().saturating_mul(values.len()) > MAX_ITEMS {
            return Err(Fault::Other(format!("the matrix has more than {MAX_ITEMS} combinations")));
        }
        let mut longer = Vec::with_capacity(found.len() * values.len());
        for combination in &found {
            longer.extend(values.iter().map(|value| {
                let mut combination = combination.clone();
                combination.insert(name.to_string(), value.clone());
                combination
            }));
        }
        found = longer;
    }
    if matrix.axes.is_empty() {
        found.clear();
    }
    for excluded in entries(matrix.exclude.as_ref(), scope, "exclude")? {
        found.retain(|combination| excluded.iter().any(|(name, value)| combination.get(name) != Some(value)));
    }
    found.extend(entries(matrix.include.as_ref(), scope, "include")?);
    Ok(found.into_iter().map(Value::Object).collect())
}

fn entries(list: Option<&Template>, scope: &Scope, what: &str) -> Result<Vec<Map<String, Value>>, Fault> {
    let Some(list) = list else { return Ok(Vec::new()) };
    let entries = rendered_list(list, scope, &format!("strategy.matrix.{what}"))?;
    let mapping = |entry: Value| match entry {
        Value::Object(entry) => Ok(entry),
        other => {
            let place = place(&format!("strategy.matrix.{what}"), list.line(&[]));
            Err(Fault::Other(format!("{place}: it holds {}, not a mapping", kind(&other))))
        }
    };
    entries.into_iter().map(mapping).collect()
}
