//! Programs that stay: started once, spoken to over their standard streams, and ended with all that they have started.

mod executable;
mod lines;
mod program;

pub use executable::Executable;
pub(crate) use lines::{Line, Lines};
pub(crate) use program::{LastWords, Program, Streams, ending};
