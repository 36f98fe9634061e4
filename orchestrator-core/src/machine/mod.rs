//! The rules, pure: no clock, no randomness, no I/O. Commands in, events out; state is a fold over events; effects are
//! derived from state.

mod apply;
mod beginning;
mod change;
mod command;
mod deadline;
mod decide;
mod ending;
mod event;
mod failure;
mod fan;
mod index;
mod inside;
mod invariant;
mod kind;
mod outstanding;
mod pins;
mod positions;
mod signals;
mod slot;
mod stage;
mod state;
mod subject;
pub mod transitions;
mod wait;
mod waiting;

pub(crate) use apply::apply_at;
pub use apply::{IllegalTransition, apply, fold};
pub use command::{Asked, Begin, ChildEnd, Command, Decide, Fence, Finished, Judge, Prepared, Rejection};
pub(crate) use decide::decide_into;
pub use decide::{decide, fork, fork_failed, fork_inside};
pub use ending::{Ending, KeptAs};
pub use event::*;
pub use failure::{AfterLoss, StepError};
pub use fan::{Fan, Items, MAX_ITEMS};
pub use inside::Inside;
pub use invariant::{Violation, check};
pub use kind::StepKind;
pub use outstanding::{Effect, effect_of, is_to_stop, outstanding, wake_at};
pub(crate) use outstanding::{is_away, is_to_conclude, next_timer, offered, withdraws};
pub use pins::{Pin, Pins};
pub use signals::{Kept, MAX_SIGNALS, SIGNAL_LIMIT, SIGNAL_NAME_LIMIT};
pub use slot::Slot;
pub use stage::Verdict;
pub use state::{Head, Intent, RunState, SkipReason, StepState};
pub use wait::{Arrival, Signal, WaitOn};
