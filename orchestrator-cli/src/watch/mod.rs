//! A run as it moves, on a terminal: what is known of it, how that is drawn, and the screen it is drawn on.

mod frame;
mod known;
mod line;
mod screen;

pub(crate) use frame::{Frame, afterwards, frame};
pub(crate) use known::Known;
pub(crate) use screen::{Keys, Screen};
