//! Tasks: steps that nobody's process executes.

/// The kind of a step that is offered to whoever comes for it from outside, a person, an agent or a script, and is executed by
/// whoever claims it.
pub const TASK_KIND: &str = "task";
