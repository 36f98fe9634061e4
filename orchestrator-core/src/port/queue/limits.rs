//! What a queue refuses, whichever it is.

use std::sync::Arc;
use std::time::Duration;

use crate::spec::is_queue_name;

use super::{
    Capabilities, Clear, Count, ListLetters, MAX_REASON, Publish, QueueError, Receive, Settle, Settlement,
    Wait,
};

/// The longest name of a project on a ticket, in bytes.
pub const MAX_PROJECT: usize = 400;

/// How many tickets one call publishes or receives.
pub const MAX_TICKETS: usize = 256;

/// How many queues one call names.
pub const MAX_QUEUES: usize = 64;

/// The longest receipt, in bytes.
pub const MAX_RECEIPT: usize = 200;

/// The longest time that a ticket can be hidden, or be waited for: 366 days.
pub const MAX_DELAY: Duration = Duration::from_secs(366 * 24 * 3600);

fn require(holds: bool, otherwise: &str) -> Result<(), QueueError> {
    if holds { Ok(()) } else { Err(QueueError::Invalid(otherwise.to_owned())) }
}

fn require_able(able: bool, name: &'static str) -> Result<(), QueueError> {
    if able { Ok(()) } else { Err(QueueError::Unsupported(name)) }
}

fn require_name(queue: &str) -> Result<(), QueueError> {
    require(is_queue_name(queue), "the name of a queue is 1 to 64 letters, digits, `_`, `-` and `.`")
}

fn require_queues(queues: &[Arc<str>]) -> Result<(), QueueError> {
    require(!queues.is_empty() && queues.len() <= MAX_QUEUES, "name 1 to 64 queues")?;
    queues.iter().try_for_each(|queue| require_name(queue))
}

fn require_short(time: Duration) -> Result<(), QueueError> {
    require(time <= MAX_DELAY, "a ticket is hidden, or waited for, at most 366 days")
}

/// Whether anything is left of a time when it is cut to whole milliseconds.
const fn is_some_time(time: Duration) -> bool {
    time.as_millis() > 0
}

impl Publish {
    /// Refuses what no queue takes, and what one cannot do that can only do so much. For backends: before anything else.
    ///
    /// # Errors
    /// [`QueueError::Invalid`] and [`QueueError::Unsupported`], the first that is found.
    pub fn require_fit(&self, can: &Capabilities) -> Result<(), QueueError> {
        require(self.tickets.len() <= MAX_TICKETS, "one call publishes at most 256 tickets")?;
        for new in &self.tickets {
            require_name(&new.queue)?;
            let is_kept = new.project.len() <= MAX_PROJECT && !new.project.contains('\0');
            require(is_kept, "the project of a ticket has at most 400 bytes, and no NUL among them")?;
            require_short(new.after)?;
            require_able(can.delayed || !is_some_time(new.after), "delayed")?;
            require_able(can.priority || new.priority == 0, "priority")?;
        }
        Ok(())
    }
}

impl Receive {
    /// Refuses what no queue does. For backends: before anything else.
    ///
    /// # Errors
    /// [`QueueError::Invalid`].
    pub fn require_fit(&self) -> Result<(), QueueError> {
        require_queues(&self.queues)?;
        require(self.max <= MAX_TICKETS, "one call receives at most 256 tickets")?;
        require_short(self.visibility)
    }
}

impl Settle {
    /// Refuses what no queue does, and what one cannot do that can only do so much. For backends: before anything else.
    ///
    /// # Errors
    /// [`QueueError::Invalid`] and [`QueueError::Unsupported`].
    pub fn require_fit(&self, can: &Capabilities) -> Result<(), QueueError> {
        match &self.how {
            Settlement::Done => Ok(()),
            Settlement::Release { after } => {
                require_short(*after)?;
                require_able(can.delayed || !is_some_time(*after), "delayed")
            }
            Settlement::Bury { reason } => {
                let is_kept = (1..=MAX_REASON).contains(&reason.len()) && !reason.contains('\0');
                require(is_kept, "the reason of a dead letter has 1 to 1,000 bytes, and no NUL among them")?;
                require_able(can.letters > 0, "letters")
            }
        }
    }
}

impl ListLetters {
    /// Refuses what no queue does, and what one cannot do that keeps no dead letters. For backends: before anything else.
    ///
    /// # Errors
    /// [`QueueError::Invalid`] and [`QueueError::Unsupported`].
    pub fn require_fit(&self, can: &Capabilities) -> Result<(), QueueError> {
        self.queue.iter().try_for_each(|queue| require_name(queue))?;
        require(self.limit <= MAX_TICKETS, "one page has at most 256 dead letters")?;
        require_able(can.letters > 0, "letters")
    }
}

impl Clear {
    /// Refuses what a queue cannot do that keeps no dead letters. For backends: before anything else.
    ///
    /// # Errors
    /// [`QueueError::Unsupported`].
    pub fn require_fit(&self, can: &Capabilities) -> Result<(), QueueError> {
        require_able(can.letters > 0, "letters")
    }
}

impl Count {
    /// Refuses what no queue does. For backends: before anything else.
    ///
    /// # Errors
    /// [`QueueError::Invalid`].
    pub fn require_fit(&self) -> Result<(), QueueError> {
        require_queues(&self.queues)
    }
}

impl Wait {
    /// Refuses what no queue does. For backends: before anything else.
    ///
    /// # Errors
    /// [`QueueError::Invalid`].
    pub fn require_fit(&self) -> Result<(), QueueError> {
        require_queues(&self.queues)?;
        require_short(self.timeout)
    }
}
