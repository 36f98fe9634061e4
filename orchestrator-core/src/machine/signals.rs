//! Signals: which are kept for want of a step that waits, and which step is the next to take one.

use std::sync::Arc;

use crate::id::Unit;
use crate::machine::state::RunState;
use crate::machine::step_state::StepState;
use crate::machine::wait::{Arrival, Signal};
use crate::time::Timestamp;
use crate::value::ValueRef;

/// The most signals that a run keeps for steps that do not wait yet.
pub const MAX_SIGNALS: usize = 1_000;

/// The longest data of a signal, in bytes of its JSON encoding (64 KiB).
pub const SIGNAL_LIMIT: u64 = 64 << 10;

/// The longest name of a signal, in bytes.
pub const SIGNAL_NAME_LIMIT: usize = 200;

/// The signals that no step has taken yet, in the order in which they were given. A copy costs nothing.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Kept(Option<Arc<Vec<Arc<Signal>>>>);

impl Kept {
    /// All of them, the oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Signal> {
        self.0.iter().flat_map(|kept| kept.iter()).map(|signal| &**signal)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |kept| kept.len())
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The oldest of a name.
    #[must_use]
    pub fn first(&self, name: &str) -> Option<&Signal> {
        self.iter().find(|signal| &*signal.name == name)
    }

    pub(crate) fn keep(&mut self, signal: Signal) {
        Arc::make_mut(self.0.get_or_insert_default()).push(Arc::new(signal));
    }

    /// Takes out the oldest of its name, which must be this one.
    pub(crate) fn take(&mut self, signal: &Signal) -> Result<(), String> {
        let at = self.iter().position(|kept| kept.name == signal.name);
        let (Some(at), Some(kept)) = (at, &mut self.0) else {
            return Err(format!("takes a signal `{}` that nobody has given", signal.name));
        };
        // When it was given is what the commit says, which is not known while it is decided.
        if (&kept[at].data, &kept[at].by) != (&signal.data, &signal.by) {
            return Err(format!("takes a signal `{}` out of turn", signal.name));
        }
        Arc::make_mut(kept).remove(at);
        if kept.is_empty() {
            self.0 = None;
        }
        Ok(())
    }
}

impl StepState {
    /// The data of the signal that has come for it, if one has.
    pub(crate) fn signalled(&self) -> Option<&ValueRef> {
        match self {
            Self::Arrived { arrival, .. } | Self::Parked { arrival: Some(arrival), .. } => match &**arrival {
                Arrival::Signal(signal) => Some(&signal.data),
                _ => None,
            },
            _ => None,
        }
    }
}

impl RunState {
    /// The signals that no step has taken yet.
    #[must_use]
    pub const fn signals(&self) -> &Kept {
        &self.head.signals
    }

    /// Who takes the next signal of a name: of those whose time to wait is not over, the one that has waited longest;
    /// of those that began together, the first in the order of the text. Gives its attempt too.
    pub(crate) fn next_to_take(&self, name: &Arc<str>, now: Timestamp) -> Option<(Unit, u32)> {
        let first = (name.clone(), Timestamp::from_millis(i64::MIN), 0);
        let waiting = self.index.listening.range(first..).take_while(|(of, ..)| of == name);
        waiting.map(|(.., at)| *at).find_map(|at| match &self.slots[at as usize].state {
            StepState::Waiting { attempt, until, .. } if until.is_none_or(|until| until > now) => {
                Some((self.unit_at(at), *attempt))
            }
            _ => None,
        })
    }
}
