//! What is told while a run is driven here: a line per step that moves, plain lines, or JSON Lines.

mod bars;
mod tell;
mod view;

pub(crate) use tell::Teller;
pub(crate) use view::View;
