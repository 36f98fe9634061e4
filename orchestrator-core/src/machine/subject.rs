//! What an event speaks of: the step, the attempt, the right.

use crate::id::{OwnerId, Unit};
use crate::machine::event::Event;

impl Event {
    /// The step or item it speaks of, if it speaks of one.
    #[must_use]
    pub const fn unit(&self) -> Option<Unit> {
        match self {
            Self::StepBegun(e) => Some(e.step),
            Self::StepParked(e) => Some(e.step),
            Self::StepContinued(e) => Some(e.step),
            Self::StepOffered(e) => Some(e.step),
            Self::StepClaimed(e) => Some(e.step),
            Self::StepWithdrawn(e) => Some(e.step),
            Self::StepSucceeded(e) => Some(e.step),
            Self::StepFailed(e) => Some(e.step),
            Self::StepLost(e) => Some(e.step),
            Self::StepOutcomeUnknown(e) => Some(e.step),
            Self::StepInterrupted(e) => Some(e.step),
            Self::StepWaiting(e) => Some(e.step),
            Self::StepArrived(e) => Some(e.step),
            Self::StepJudged(e) => Some(e.step),
            Self::StepDue(e) => Some(e.step),
            Self::StepIterated(e) => Some(e.step),
            Self::StepRepeated(e) => Some(e.step),
            Self::StepExpanded(e) => Some(e.step),
            Self::StepKept(e) => Some(e.step),
            Self::StepOverdue(e) => Some(e.step),
            Self::StepCollected(e) => Some(e.step),
            Self::StepSkipped(e) => Some(e.step),
            Self::StepCancelled(e) => Some(e.step),
            Self::StepResolved(e) => Some(e.step),
            Self::RunCreated(_)
            | Self::RunDue(_)
            | Self::RunParked(_)
            | Self::RunEntered(_)
            | Self::RunForked(_)
            | Self::DriverTaken(_)
            | Self::DriverReleased(_)
            | Self::IntentChanged(_)
            | Self::RunOverdue(_)
            | Self::StageBegun(_)
            | Self::RunSignalled(_)
            | Self::RunEnded(_)
            | Self::RunReopened(_) => None,
        }
    }

    /// The attempt it speaks of, if it speaks of one that was begun.
    #[must_use]
    pub fn attempt(&self) -> Option<u32> {
        let attempt = match self {
            Self::StepBegun(e) => e.attempt,
            Self::StepContinued(e) => e.attempt,
            Self::StepOffered(e) => e.attempt,
            Self::StepClaimed(e) => e.attempt,
            Self::StepWithdrawn(e) => e.attempt,
            Self::StepSucceeded(e) => e.attempt,
            Self::StepIterated(e) => e.attempt,
            Self::StepFailed(e) => e.attempt,
            Self::StepLost(e) => e.attempt,
            Self::StepOutcomeUnknown(e) => e.attempt,
            Self::StepInterrupted(e) => e.attempt,
            Self::StepWaiting(e) => e.attempt,
            Self::StepArrived(e) => e.attempt,
            Self::StepJudged(e) => e.attempt,
            Self::StepCancelled(e) => e.attempt,
            Self::StepResolved(e) => e.attempt,
            _ => 0,
        };
        (attempt > 0).then_some(attempt)
    }

    /// The right that it gives, uses or takes back, if it speaks of one.
    #[must_use]
    pub const fn epoch(&self) -> Option<u64> {
        match self {
            Self::StepOffered(e) => Some(e.epoch),
            Self::StepWithdrawn(e) => Some(e.epoch),
            _ => match self.fence() {
                Some((epoch, _)) => Some(epoch),
                None => None,
            },
        }
    }

    /// The fence it sets, if it sets one: `(epoch, owner)`.
    #[must_use]
    pub const fn fence(&self) -> Option<(u64, OwnerId)> {
        match self {
            Self::DriverTaken(e) => Some((e.epoch, e.owner)),
            Self::DriverReleased(e) => Some((e.epoch, e.owner)),
            Self::StepBegun(e) => Some((e.epoch, e.owner)),
            Self::StepContinued(e) => Some((e.epoch, e.owner)),
            Self::StepClaimed(e) => Some((e.epoch, e.owner)),
            _ => None,
        }
    }
}
