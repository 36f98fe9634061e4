//! The values a driver has at hand: outputs that expressions refer to, inputs, requests.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

use crate::engine::shared::Shared;
use crate::id::RunId;
use crate::machine::{Arrival, StepError};
use crate::port::plugin::Request;
use crate::port::store::StoreError;
use crate::spec::retry::ErrorClass;
use crate::value::{Digest, ValueRef};

/// How many bytes of encoded values one driver keeps at hand; older ones are loaded again when they are wanted.
const BUDGET: usize = 16 << 20;

/// Values by digest, bounded.
#[derive(Debug, Default)]
pub(crate) struct Values {
    held: HashMap<Digest, (Arc<Value>, usize)>,
    order: VecDeque<Digest>,
    bytes: usize,
}

impl Values {
    /// Keeps a value at hand, at least until [`Values::trim`].
    pub(crate) fn keep(&mut self, reference: &ValueRef, value: Arc<Value>) {
        let ValueRef::Stored(stored) = reference else { return };
        let size = usize::try_from(stored.len).unwrap_or(usize::MAX);
        if self.held.insert(stored.digest, (value, size)).is_none() {
            self.order.push_back(stored.digest);
            self.bytes = self.bytes.saturating_add(size);
        }
    }

    /// Lets go of the oldest values beyond the budget.
    pub(crate) fn trim(&mut self) {
        while self.bytes > BUDGET {
            if let Some((_, size)) = self.order.pop_front().and_then(|oldest| self.held.remove(&oldest)) {
                self.bytes -= size;
            } else {
                return;
            }
        }
    }

    /// A value; `None` if it has to be loaded first.
    pub(crate) fn get(&self, reference: &ValueRef) -> Option<Arc<Value>> {
        match reference {
            // What is inline was encoded by us: it reads.
            ValueRef::Inline(body) => serde_json::from_str(body).ok().map(Arc::new),
            ValueRef::Stored(stored) => self.held.get(&stored.digest).map(|(value, _)| value.clone()),
        }
    }

    /// Those that have to be loaded first.
    pub(crate) fn missing<'a>(&self, references: impl Iterator<Item = &'a ValueRef>) -> Vec<ValueRef> {
        let at_hand = |reference: &ValueRef| match reference {
            ValueRef::Inline(_) => true,
            ValueRef::Stored(stored) => self.held.contains_key(&stored.digest),
        };
        references.filter(|reference| !at_hand(reference)).cloned().collect()
    }

    /// What has arrived, as a plugin is told it: the data of a signal is inline.
    pub(crate) fn arrived(&self, arrival: &Arrival) -> Arrival {
        let mut arrival = arrival.clone();
        if let Arrival::Signal(signal) = &mut arrival
            && let Some(data) = self.get(&signal.data)
        {
            signal.data = ValueRef::Inline(data.to_string().into());
        }
        arrival
    }

    /// A stored request.
    pub(crate) fn request(&self, reference: &ValueRef) -> Result<Arc<Request>, String> {
        let body = self.get(reference).ok_or("the stored request is gone")?;
        Request::deserialize(&*body)
            .map(Arc::new)
            .map_err(|error| format!("the stored request does not read: {error}"))
    }
}

/// A value from the store; tried until the store answers.
pub(crate) async fn load_value(
    shared: &Shared,
    run: RunId,
    reference: &ValueRef,
) -> Result<Arc<serde_json::Value>, StoreError> {
    let body = match reference {
        ValueRef::Inline(body) => body.clone(),
        ValueRef::Stored(stored) => loop {
            match shared.store.value(run, stored.digest).await {
                Ok(Some(body)) => break body,
                Ok(None) => return Err(StoreError::Corrupt(format!("value {} is gone", stored.digest))),
                Err(error) if error.is_retryable() => {
                    tracing::warn!(%run, %error, "a value cannot be loaded yet");
                    let again = shared.clock.now() + std::time::Duration::from_millis(200);
                    shared.clock.sleep_until(again).await;
                }
                Err(error) => return Err(error),
            }
        },
    };
    serde_json::from_str(&body)
        .map(Arc::new)
        .map_err(|error| StoreError::Corrupt(format!("value {} does not read: {error}", reference.digest())))
}

/// A value that cannot be loaded, as what happens to whoever needs it.
pub(crate) fn unloadable(error: &StoreError) -> StepError {
    StepError::new(ErrorClass::Invalid, format!("a value it needs cannot be loaded: {error}"))
}
