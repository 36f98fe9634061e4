//! What is on a ticket.

use serde::{Deserialize, Serialize};

use crate::id::{RunId, StepIx, Unit};

/// A message of a queue: ids only, never what is to be done. Stored as JSON, `{"kind":"run","run":"run_…"}`; the names are
/// for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Ticket {
    /// A run that somebody should drive.
    Run {
        /// The run.
        run: RunId,
    },
    /// One attempt of a step that is offered to whoever executes it elsewhere.
    Step(StepTicket),
}

impl Ticket {
    /// The run that it speaks of.
    #[must_use]
    pub const fn run(&self) -> RunId {
        match self {
            Self::Run { run } => *run,
            Self::Step(step) => step.run,
        }
    }
}

/// One attempt of a step, as the store names it: a claim of it is compared with all of this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StepTicket {
    /// The run.
    pub run: RunId,
    /// How often the run has been reopened, and one more.
    pub generation: u32,
    /// The step, by its position in the workflow.
    pub step: StepIx,
    /// The item, if the step runs once for each of many: 0, 1, 2 …, less than `u32::MAX`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item: Option<u32>,
    /// Which time it is that a step repeats itself: 0 for the first, and where nothing is repeated.
    #[serde(default)]
    pub iteration: u32,
    /// The attempt: 1, 2, 3 …
    pub attempt: u32,
    /// The right that was given out with the offer; a later one makes this ticket void. At most `i64::MAX`.
    pub epoch: u64,
}

impl StepTicket {
    /// The step, or the item of it.
    #[must_use]
    pub const fn unit(&self) -> Unit {
        Unit::new(self.step, self.item)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tickets_are_stored_in_these_words() {
        let run: RunId = "run_0193abcd000070008000000000000001".parse().unwrap();
        let step = StepTicket {
            run,
            generation: 2,
            step: StepIx(3),
            item: Some(4),
            iteration: 5,
            attempt: 6,
            epoch: 7,
        };
        let written = [
            (Ticket::Run { run }, r#"{"kind":"run","run":"run_0193abcd000070008000000000000001"}"#),
            (
                Ticket::Step(step),
                r#"{"kind":"step","run":"run_0193abcd000070008000000000000001","generation":2,"step":3,"item":4,"iteration":5,"attempt":6,"epoch":7}"#,
            ),
            (
                Ticket::Step(StepTicket { item: None, ..step }),
                r#"{"kind":"step","run":"run_0193abcd000070008000000000000001","generation":2,"step":3,"iteration":5,"attempt":6,"epoch":7}"#,
            ),
        ];
        for (ticket, text) in written {
            assert_eq!(serde_json::to_string(&ticket).unwrap(), text);
            assert_eq!(serde_json::from_str::<Ticket>(text).unwrap(), ticket);
            assert_eq!(ticket.run(), run);
        }
        assert!(serde_json::from_str::<Ticket>(r#"{"kind":"walk"}"#).is_err());
    }
}
