//! What is told while a run is driven here: a line per step that moves, plain lines, or JSON Lines; and while something
//! long is done, how much of it.

mod bars;
mod counter;
mod tell;
mod view;

pub(crate) use counter::Counter;
pub(crate) use tell::{Teller, began};
pub(crate) use view::View;
