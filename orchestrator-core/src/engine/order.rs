//! What it takes to execute an attempt without the log of its run: who offers it writes this, who claims it reads it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::engine::driver::Driver;
use crate::id::{RunId, Unit};
use crate::machine::{Arrival, StepError, arrived};
use crate::spec::EffectClass;
use crate::spec::retry::ErrorClass;
use crate::value::{Digest, StoredValue, ValueRef};

/// The longest order that stands in the row of its offer, in bytes; a longer one is a value of the run.
const BESIDE: usize = 4 << 10;

/// What it takes. Stored: what is added later must have a default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Order {
    /// The text that says what the step is.
    pub(crate) revision: Digest,
    /// The name under which it was started.
    pub(crate) workflow: Arc<str>,
    /// The run in whose workspace it starts.
    pub(crate) root: RunId,
    pub(crate) effect: EffectClass,
    pub(crate) request: ValueRef,
    /// What it has waited for, and got.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) arrival: Option<Arrival>,
    /// Why an earlier attempt was not good enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) feedback: Option<Arc<str>>,
}

/// What an attempt is offered with.
#[derive(Debug)]
pub(crate) struct Terms {
    pub(crate) order: ValueRef,
    /// The value that the order refers to, where it is long.
    pub(crate) value: Option<StoredValue>,
    pub(crate) priority: i32,
    /// What a task says of itself.
    pub(crate) task: Option<Arc<str>>,
}

impl Driver {
    /// What an attempt of a step is offered with.
    pub(crate) fn terms(
        &self,
        step: Unit,
        effect: EffectClass,
        request: ValueRef,
        task: Option<Arc<str>>,
    ) -> Result<Terms, StepError> {
        let slot = self.state.slot(step);
        // Also of one that had to wait for a place in between.
        let arrival = arrived(&slot.state).as_deref().cloned();
        let order = Order {
            revision: self.loaded.workflow.revision,
            workflow: self.loaded.workflow.name.clone(),
            root: self.origin.parent.map_or(self.run, |parent| parent.root),
            effect,
            request,
            arrival,
            feedback: slot.feedback().cloned(),
        };
        let invalid =
            |why: String| StepError::new(ErrorClass::Invalid, format!("it cannot be offered: {why}"));
        let priority = self.origin.priority;
        let body = serde_json::to_string(&order).map_err(|error| invalid(error.to_string()))?;
        if body.len() <= BESIDE {
            return Ok(Terms { order: ValueRef::Inline(body.into()), value: None, priority, task });
        }
        let (order, value) = ValueRef::from_json(body.into()).map_err(|error| invalid(error.to_string()))?;
        Ok(Terms { order, value, priority, task })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn orders_are_stored_in_these_words() {
        let order = Order {
            revision: Digest::of(b"text"),
            workflow: "a".into(),
            root: RunId::from_uuid(Uuid::from_u128(7)),
            effect: EffectClass::AtMostOnce,
            request: ValueRef::Inline("{\"with\":null}".into()),
            arrival: None,
            feedback: None,
        };
        let text = serde_json::to_string(&order).unwrap();
        let digest = order.revision;
        let rest = r#""workflow":"a","root":"run_00000000000000000000000000000007","effect":"at_most_once""#;
        let expected =
            format!(r#"{{"revision":"{digest}",{rest},"request":{{"inline":"{{\"with\":null}}"}}}}"#);
        assert_eq!(text, expected);
        assert_eq!(serde_json::from_str::<Order>(&text).unwrap(), order);
    }
}
