//! The rules, pure: no clock, no randomness, no I/O. Commands in, events out; state is a fold over events; effects are
//! derived from state.

mod apply;
mod change;
mod command;
mod deadline;
mod decide;
mod event;
mod failure;
mod fan;
mod index;
mod invariant;
mod kind;
mod outstanding;
mod positions;
mod slot;
mod stage;
mod state;
pub mod transitions;
mod wait;

pub(crate) use apply::apply_at;
pub use apply::{IllegalTransition, apply, fold};
pub use command::{Asked, Begin, Command, Decide, Fence, Finished, Prepared, Rejection};
pub(crate) use decide::decide_into;
pub use decide::{decide, fork};
pub use event::*;
pub use failure::{AfterLoss, StepError};
pub use fan::{Fan, Items, MAX_ITEMS};
pub use invariant::{Violation, check};
pub use kind::StepKind;
pub use outstanding::{Effect, effect_of, outstanding, wake_at};
pub(crate) use outstanding::{is_to_conclude, next_timer};
pub use slot::Slot;
pub use stage::Verdict;
pub use state::{Head, Intent, RunState, SkipReason, StepState};
pub use wait::{Arrival, WaitOn};
