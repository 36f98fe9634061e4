//! What can be said to the run: commands, small enough to be kept in every state.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use orchestrator_core::id::{DecisionId, OwnerId, StepIx, Unit};
use orchestrator_core::machine::{
    Asked, Begin, Command, Decide, Fence, Finished, Hold, Prepared, StepError, WaitOn,
};
use orchestrator_core::spec::retry::ErrorClass;
use orchestrator_core::spec::{OnExpiry, Placement};
use orchestrator_core::time::Timestamp;
use orchestrator_core::value::{Digest, ValueRef};
use uuid::Uuid;

use crate::bounds::Kind;

/// All that happens, happens now: what differs only in when it has happened is one state.
pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_000_000);

/// When every timer that was set now has fallen due.
pub(crate) const LATER: Timestamp = Timestamp::from_millis(2_000_000);

/// The right to execute an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Right {
    pub(crate) step: u8,
    pub(crate) attempt: u8,
    pub(crate) epoch: u8,
    pub(crate) owner: u8,
    /// Whether it was offered, and claimed in the store.
    pub(crate) remote: bool,
}

/// How an attempt ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum How {
    Done,
    Failed,
    Unknown,
    Asks,
    Listens,
    Interrupted,
    /// Its executor has died, and the store says so.
    Lost,
}

/// A command. Owners and epochs are small numbers; 0 is nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Word {
    Take {
        owner: u8,
        dead: u8,
    },
    Release {
        owner: u8,
        epoch: u8,
    },
    /// The run takes its place.
    Enter {
        owner: u8,
    },
    /// There is none for it.
    StandInLine {
        owner: u8,
    },
    Begin {
        step: u8,
        owner: u8,
    },
    Skip {
        step: u8,
    },
    Continue {
        step: u8,
        owner: u8,
    },
    /// There is no place for it.
    Park {
        step: u8,
        owner: u8,
    },
    /// To begin elsewhere, or to go on there.
    Offer {
        step: u8,
        owner: u8,
        goes_on: bool,
    },
    Withdraw {
        step: u8,
        epoch: u8,
    },
    /// The store says that an offer was claimed.
    Learn(Right),
    /// A row of the inbox is taken in: who has claimed it, and how it ended.
    Deliver(Right, How),
    Finish(Right, How),
    Lost {
        owner: u8,
    },
    Wake,
    Conclude,
    Approve {
        step: u8,
    },
    Signal,
    Pause,
    Resume,
    Cancel,
    Resolve {
        step: u8,
        applied: bool,
    },
    Retry,
}

/// The id of a number.
pub(crate) const fn owner(number: u8) -> OwnerId {
    OwnerId::from_uuid(Uuid::from_u128(number as u128))
}

/// The number of an id.
pub(crate) fn number(owner: OwnerId) -> u8 {
    owner.as_uuid().as_u128() as u8
}

pub(crate) fn unit(step: u8) -> Unit {
    Unit::of(StepIx(u32::from(step)))
}

fn value(text: &str) -> ValueRef {
    ValueRef::Inline(text.into())
}

fn asked() -> Asked {
    Asked { by: "someone".into(), reason: None }
}

impl Word {
    /// Who asserts what with it: the owner whose death the commit asserts, or nobody.
    pub(crate) const fn asserts(self) -> u8 {
        match self {
            Self::Take { dead, .. } => dead,
            Self::Lost { owner } => owner,
            _ => 0,
        }
    }

    /// The step for which it takes a place, if that needs one.
    pub(crate) const fn takes(self) -> Option<usize> {
        match self {
            Self::Begin { step, .. } | Self::Continue { step, .. } | Self::Offer { step, .. } => {
                Some(step as usize)
            }
            _ => None,
        }
    }

    /// At which time it is decided.
    pub(crate) const fn time(self) -> Timestamp {
        if matches!(self, Self::Wake) { LATER } else { NOW }
    }

    /// The commands, where a step is of this kind: each is decided on what the one before has made.
    pub(crate) fn commands(self, kind: impl Fn(u8) -> Kind) -> Vec<Command> {
        match self {
            Self::Deliver(right, how) => vec![claimed(right), finish(right, how)],
            word => vec![word.command(kind)],
        }
    }

    fn command(self, kind: impl Fn(u8) -> Kind) -> Command {
        match self {
            Self::Take { owner: by, dead } => {
                Command::TakeDriver { owner: owner(by), dead: (dead != 0).then(|| owner(dead)) }
            }
            Self::Release { owner: by, epoch } => Command::ReleaseDriver(fence(by, epoch)),
            Self::Enter { owner: by } => Command::Enter { owner: owner(by) },
            Self::StandInLine { owner: by } => Command::StandInLine { owner: owner(by) },
            Self::Begin { step, owner: by } => {
                Command::Prepared { step: unit(step), verdict: Prepared::Begin(begin(by, kind(step))) }
            }
            Self::Offer { step, owner: by, goes_on: true } => {
                Command::Offer { step: unit(step), owner: owner(by), offer: offer() }
            }
            Self::Offer { step, owner: by, .. } => {
                let verdict = Prepared::Offer { begin: begin(by, kind(step)), offer: offer() };
                Command::Prepared { step: unit(step), verdict }
            }
            Self::Withdraw { step, epoch } => Command::Withdraw { step: unit(step), epoch: epoch.into() },
            Self::Learn(right) => claimed(right),
            Self::Skip { step } => Command::Prepared { step: unit(step), verdict: Prepared::Skip },
            Self::Park { step, owner: by } => {
                Command::Park { step: unit(step), owner: owner(by), hold: hold() }
            }
            Self::Continue { step, owner: by } => Command::Continue { step: unit(step), owner: owner(by) },
            Self::Finish(right, how) | Self::Deliver(right, how) => finish(right, how),
            Self::Lost { owner: dead } => Command::Lost { owner: owner(dead) },
            Self::Wake => Command::Wake,
            Self::Conclude => Command::Conclude(Ok(value("{}"))),
            Self::Approve { step } => Command::Decide(Decide {
                step: unit(step),
                digest: None,
                approved: true,
                asked: asked(),
                via: "cli".into(),
            }),
            Self::Signal => Command::Signal { name: "go".into(), data: value("1"), asked: asked() },
            Self::Pause => Command::Pause(asked()),
            Self::Resume => Command::Resume(asked()),
            Self::Cancel => Command::Cancel(asked()),
            Self::Resolve { step, applied } => {
                Command::Resolve { step: unit(step), applied: applied.then(|| value("2")), asked: asked() }
            }
            Self::Retry => Command::Retry { steps: Vec::new(), asked: asked() },
        }
    }
}

fn fence(by: u8, epoch: u8) -> Fence {
    Fence { epoch: u64::from(epoch), owner: owner(by) }
}

/// The one place that there is.
pub(crate) fn hold() -> Arc<Hold> {
    Arc::new(Hold::place("key", 1))
}

fn begin(by: u8, kind: Kind) -> Begin {
    let (request, decision) = (value("\"the same\""), DecisionId::from_uuid(Uuid::from_u128(1)));
    Begin {
        owner: owner(by),
        request,
        effect: kind.effect,
        decision,
        holds: kind.keyed.then(hold).into_iter().collect(),
    }
}

fn offer() -> Arc<Placement> {
    Arc::new(Placement { queue: "elsewhere".into(), labels: BTreeMap::new() })
}

fn claimed(right: Right) -> Command {
    let (attempt, fence) = (u32::from(right.attempt), fence(right.owner, right.epoch));
    Command::Claimed { step: unit(right.step), attempt, fence, at: NOW }
}

fn finish(right: Right, how: How) -> Command {
    let (attempt, fence) = (u32::from(right.attempt), fence(right.owner, right.epoch));
    Command::Finish { step: unit(right.step), attempt, fence, outcome: outcome(how) }
}

fn outcome(how: How) -> Finished {
    let error = || StepError::new(ErrorClass::Transient, "it went wrong");
    match how {
        How::Done => Finished::Succeeded(value("3")),
        How::Failed => Finished::Failed { error: error(), not_before: None },
        How::Unknown => Finished::Unknown(error()),
        How::Asks => {
            let (digest, message) = (Digest::of(b"this"), "shall I?".into());
            let on = WaitOn::Approval { digest, message, show: None, then: OnExpiry::Reject };
            Finished::Waiting { on, until: Some(LATER) }
        }
        How::Listens => Finished::Waiting { on: WaitOn::Signal { name: "go".into() }, until: None },
        How::Interrupted => Finished::Interrupted,
        How::Lost => Finished::Lost,
    }
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let step = char::from(b'a' + self.step);
        write!(f, "attempt {} of {step} (epoch {}, owner {})", self.attempt, self.epoch, self.owner)
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |step: &u8| char::from(b'a' + step);
        match self {
            Self::Take { dead: 0, .. } => write!(f, "take driver"),
            Self::Take { dead, .. } => write!(f, "take driver from {dead}, who is dead"),
            Self::Release { epoch, .. } => write!(f, "release driver (epoch {epoch})"),
            Self::Enter { .. } => write!(f, "the run takes its place"),
            Self::StandInLine { .. } => write!(f, "the run waits for its place"),
            Self::Begin { step, .. } => write!(f, "begin {}", name(step)),
            Self::Skip { step } => write!(f, "skip {}", name(step)),
            Self::Park { step, .. } => write!(f, "park {}", name(step)),
            Self::Continue { step, .. } => write!(f, "go on with {}", name(step)),
            Self::Offer { step, goes_on: false, .. } => write!(f, "offer {}", name(step)),
            Self::Offer { step, .. } => write!(f, "offer to go on with {}", name(step)),
            Self::Withdraw { step, epoch } => write!(f, "withdraw {} (epoch {epoch})", name(step)),
            Self::Learn(right) => write!(f, "{right} was claimed"),
            Self::Deliver(right, how) => write!(f, "take in: {right} ended: {how:?}"),
            Self::Finish(right, how) => write!(f, "{right} ends: {how:?}"),
            Self::Lost { owner } => write!(f, "what {owner} executed is lost"),
            Self::Wake => write!(f, "timers fall due"),
            Self::Conclude => write!(f, "end the stage"),
            Self::Approve { step } => write!(f, "approve {}", name(step)),
            Self::Signal => write!(f, "signal"),
            Self::Pause => write!(f, "pause"),
            Self::Resume => write!(f, "resume"),
            Self::Cancel => write!(f, "cancel"),
            Self::Resolve { step, applied: true } => write!(f, "{} has had its effect", name(step)),
            Self::Resolve { step, .. } => write!(f, "{} has had no effect", name(step)),
            Self::Retry => write!(f, "retry"),
        }
    }
}
