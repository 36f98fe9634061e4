//! The queue over a [`Dialect`](crate::Dialect): a table of tickets, and one of the turns of projects.
//!
//! A ticket has a number, `arrival`, of its last coming into line. `due_at` is since when it can be received, or when it comes
//! out of hiding; `place` is the same, earlier by its urgency; `held` is the delivery that it is with, until that is released,
//! and means nothing when its time has passed. So nothing has to be done when a time passes.
//!
//! A ticket that is buried becomes a letter, in a table of its own, under the id that it had.
//!
//! The turn of a project is the number of its last delivery, from the same numbers, or of its first ticket.

mod handle;
mod letters;
mod publish;
mod receive;
mod settle;
mod text;
mod told;

pub use handle::SqlQueue;
