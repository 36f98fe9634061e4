//! What someone asks of a run. Everything that is not determined by the log enters as a command: time, outcomes,
//! verdicts, people's decisions.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::id::{DecisionId, OwnerId, RunId, Unit};
use crate::machine::failure::StepError;
use crate::machine::hold::{Hold, Holds};
use crate::machine::signals::{MAX_SIGNALS, SIGNAL_LIMIT, SIGNAL_NAME_LIMIT};
use crate::machine::state::Intent;
use crate::machine::wait::{Arrival, WaitOn};
use crate::spec::{EffectClass, Placement};
use crate::time::Timestamp;
use crate::value::{Digest, ValueRef};

/// A request to a run.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Command {
    /// `owner` wants to drive the run. `dead` is the previous driver, if the store knows it to be dead.
    TakeDriver {
        /// The new driver.
        owner: OwnerId,
        /// The previous driver; the commit asserts its death.
        dead: Option<OwnerId>,
    },
    /// The driver lets go.
    ReleaseDriver(Fence),
    /// The shell has prepared a ready step.
    Prepared {
        /// The step.
        step: Unit,
        /// What came of it.
        verdict: Prepared,
    },
    /// Something of the run can begin: it takes its place first. The commit takes it, or is refused.
    Enter {
        /// The driver.
        owner: OwnerId,
    },
    /// The store has no place left for the run: it waits for one, and nothing of it begins.
    StandInLine {
        /// The driver.
        owner: OwnerId,
    },
    /// The store has no place left for the run, and its author wants it to fail then. Where the outcome of a step is unknown, which
    /// is to be settled first, it waits instead.
    TurnAway {
        /// The driver.
        owner: OwnerId,
        /// Why.
        error: StepError,
    },
    /// The store has no place left under the key of what was to begin or to go on: it waits for one.
    Park {
        /// The step.
        step: Unit,
        /// The driver.
        owner: OwnerId,
        /// What it waits for.
        hold: Arc<Hold>,
    },
    /// What a step waited for has come, and a slot is there: go on with the same attempt.
    Continue {
        /// The step.
        step: Unit,
        /// Who executes it.
        owner: OwnerId,
    },
    /// What a step waited for has come: offer the same attempt to whoever goes on with it elsewhere. No slot is needed.
    Offer {
        /// The step.
        step: Unit,
        /// The driver.
        owner: OwnerId,
        /// To whom.
        offer: Arc<Placement>,
    },
    /// The store says that an offer was claimed: with what was delivered for it, or because it cannot be withdrawn any more.
    /// Of each right the store gives one claim, for ever, so this is true once it has been.
    Claimed {
        /// The step.
        step: Unit,
        /// The attempt that was offered.
        attempt: u32,
        /// The right that was offered, and who has claimed it.
        fence: Fence,
        /// When, by the store's clock.
        at: Timestamp,
    },
    /// Somebody from outside claims a task, and executes it from here on. The commit asserts that the owner is alive and that
    /// nobody else has claimed it, and takes what the step holds. Said again by the same owner, it is so already.
    Claim {
        /// The step.
        step: Unit,
        /// The right that was offered, and who claims it.
        fence: Fence,
    },
    /// Take an offer back. The commit asserts that nobody has claimed it, and from then on nobody can.
    Withdraw {
        /// The step.
        step: Unit,
        /// The right that was offered.
        epoch: u64,
    },
    /// An attempt has ended, or waits.
    Finish {
        /// The step.
        step: Unit,
        /// Which attempt this speaks of.
        attempt: u32,
        /// The right under which it was executed.
        fence: Fence,
        /// How it ended.
        outcome: Finished,
    },
    /// An owner has died: every attempt it was executing as the driver of the run is lost. What it had claimed may have been
    /// delivered before its death, so of that the store says itself how it has ended: [`Finished::Lost`].
    Lost {
        /// The dead owner; the commit asserts its death.
        owner: OwnerId,
    },
    /// Look at the timers.
    Wake,
    /// Someone decides an approval.
    Decide(Decide),
    /// Someone judges what an attempt gave.
    Judge(Judge),
    /// Someone gives a signal: to the step that has waited longest for one of its name, or, if none does, to the next that
    /// will. Said twice, it is two signals.
    Signal {
        /// Its name, 1 to [`SIGNAL_NAME_LIMIT`] bytes.
        name: Arc<str>,
        /// What comes with it, at most [`SIGNAL_LIMIT`] bytes; `null` if nothing.
        data: ValueRef,
        /// Who gives it.
        asked: Asked,
    },
    /// Begin at once what was put off. Said of a run that is not put off, or not any more, it is so already.
    BeginNow(Asked),
    /// Begin nothing new.
    Pause(Asked),
    /// Take up again what was paused.
    Resume(Asked),
    /// Stop what is running, begin nothing new, end the run.
    Cancel(Asked),
    /// Settle a step whose outcome nobody knows, or that is quarantined. In a run that was cancelled and has ended, it
    /// settles the step in a generation of its own, and begins nothing.
    Resolve {
        /// The step.
        step: Unit,
        /// Whether its effect has happened; with the output to go on with.
        applied: Option<ValueRef>,
        /// Who says so.
        asked: Asked,
    },
    /// What a plugin has found out about an attempt whose outcome nobody knew. As [`Command::Resolve`], and refused if that
    /// attempt is not what is unknown any more.
    Reconcile {
        /// The step.
        step: Unit,
        /// The attempt.
        attempt: u32,
        /// Whether its effect has happened; with the output to go on with.
        applied: Option<ValueRef>,
        /// Who says so.
        asked: Asked,
    },
    /// Reopen an ended run: begin these failed or cancelled steps again, and what depends on them. Refused where one
    /// of them would only be skipped again, or one that depends on them has an unknown outcome.
    Retry {
        /// The steps; none: all that have failed or were cancelled.
        steps: Vec<Unit>,
        /// Who asks.
        asked: Asked,
    },
    /// Reopen an ended run from a step on: begin it again, whatever has become of it, and all that depends on it. A step
    /// with items makes its list anew.
    Rerun {
        /// The step; not one item of it.
        step: Unit,
        /// Who asks.
        asked: Asked,
    },
    /// Undo what an ended run has done: execute the compensations of what has succeeded and is not undone yet.
    Compensate(Asked),
    /// The run that carries out a step has ended.
    ChildEnded {
        /// The step.
        step: Unit,
        /// The run.
        child: RunId,
        /// How.
        end: ChildEnd,
    },
    /// What is wanted of the run whose step this one carries out. What others want of this one wins: it is not taken up
    /// again unless the parent has paused it.
    Follow {
        /// What is wanted.
        intent: Intent,
        /// The run that says so.
        parent: RunId,
    },
    /// The shell has rendered the run's outputs; or could not.
    Conclude(Result<ValueRef, StepError>),
}

/// The right under which something is said: of the driver over the run, of an owner over an attempt. A later one
/// makes it void.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fence {
    /// Counts up with every transfer; never goes back.
    pub epoch: u64,
    /// Who holds it.
    pub owner: OwnerId,
}

/// Who asks, and why.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Asked {
    /// The person or program; for the command line, the user of the operating system (unverified).
    pub by: Arc<str>,
    /// The reason given, if any.
    pub reason: Option<Arc<str>>,
}

/// A decision on an approval.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decide {
    /// The waiting step.
    pub step: Unit,
    /// The digest of what was shown to the decider; if given and no longer current, the decision is refused.
    pub digest: Option<Digest>,
    /// Yes or no.
    pub approved: bool,
    /// Who decides, and why.
    pub asked: Asked,
    /// How the decision came in: `cli`, `api`, `host`.
    pub via: Arc<str>,
}

/// A judgement of what an attempt gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judge {
    /// The step that needs it.
    pub step: Unit,
    /// The digest of what was shown to the judge; if given and no longer current, the judgement is refused.
    pub digest: Option<Digest>,
    /// Whether it is good. If not, the attempt has failed with class `qa`, and the retry policy of the step applies.
    pub passed: bool,
    /// Who judges, and in which words; the next attempt sees them.
    pub asked: Asked,
    /// How the judgement came in: `cli`, `api`, `host`.
    pub via: Arc<str>,
}

/// What preparing a step gave.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Prepared {
    /// Go: a slot is held.
    Begin(Begin),
    /// Go: whoever claims it executes it elsewhere. No slot is needed.
    Offer {
        /// Permission and data; the owner is the driver.
        begin: Begin,
        /// To whom.
        offer: Arc<Placement>,
    },
    /// Go: another run carries it out, created in the same commit. No slot is needed.
    Delegate {
        /// Permission and data; the owner is the driver.
        begin: Begin,
        /// The run.
        child: RunId,
        /// When waiting for it ends.
        until: Option<Timestamp>,
    },
    /// Its condition is false.
    Skip,
    /// It runs once for each element of a list: none of them has begun yet.
    Expand {
        /// The list.
        items: ValueRef,
        /// How many elements it has; at most [`crate::machine::MAX_ITEMS`] for all steps of a run together.
        count: u32,
    },
    /// What it gave the last time ends its repetition.
    Enough,
    /// What it gave the last time does not: it runs again, if it may.
    Again {
        /// When; `None`: at once.
        at: Option<Timestamp>,
    },
    /// The policy wants a person's word first.
    Ask {
        /// Digest of the request the person decides on.
        digest: Digest,
        /// What the person is asked.
        message: Arc<str>,
        /// The policy's record.
        decision: DecisionId,
        /// When asking ends.
        until: Option<Timestamp>,
    },
    /// The policy says no.
    Deny {
        /// Why.
        reason: Arc<str>,
        /// The policy's record.
        decision: DecisionId,
    },
    /// It cannot be prepared: an expression failed.
    Fault(StepError),
}

/// Permission and data to begin an attempt.
#[derive(Debug, Clone, PartialEq)]
pub struct Begin {
    /// Who executes it.
    pub owner: OwnerId,
    /// The rendered request. That of a generation's first attempt counts for all its attempts.
    pub request: ValueRef,
    /// What a repetition would do.
    pub effect: EffectClass,
    /// The policy's record.
    pub decision: DecisionId,
    /// What it holds under keys while it is executed: the commit takes all of it, or is refused.
    pub holds: Holds,
}

/// How an attempt ended. What was claimed is delivered in these words, as JSON: they are stored, and for ever.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Finished {
    /// It has done its work.
    Succeeded(ValueRef),
    /// It has failed, and said so.
    Failed {
        /// Why.
        error: StepError,
        /// The earliest time at which trying again makes sense, as the other side said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        not_before: Option<Timestamp>,
    },
    /// Nobody can tell whether it has done its work. Blocks an `at_most_once` step until someone says; where a
    /// repetition does no harm it counts as a failure.
    Unknown(StepError),
    /// It waits, and needs no slot for that. Waiting for a moment without naming one is over at once.
    Waiting {
        /// For what.
        on: WaitOn,
        /// When waiting ends.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Timestamp>,
    },
    /// It was stopped in an orderly way and has ended: it may begin again, unless the run is being cancelled.
    Interrupted,
    /// Its executor, who had claimed it, has died and delivered nothing before: the store says so.
    Lost,
}

/// How a run that carries out a step has ended.
#[derive(Debug, Clone, PartialEq)]
pub enum ChildEnd {
    /// It completed, with these outputs.
    Completed(ValueRef),
    /// It failed.
    Failed(StepError),
    /// Someone has cancelled it.
    Cancelled(StepError),
}

/// Why a command changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Rejection {
    /// The run has ended.
    #[error("the run has already {0}")]
    Ended(&'static str),
    /// The command speaks for an attempt or a driver that has been superseded.
    #[error("superseded: a later attempt or driver has taken over")]
    Fenced,
    /// Another driver holds the run.
    #[error("the run is driven by {0}")]
    Driven(OwnerId),
    /// The step is not in a state to which the command applies.
    #[error("the step is {state}, not {wanted}")]
    WrongState {
        /// What it is.
        state: &'static str,
        /// What it would have to be.
        wanted: &'static str,
    },
    /// The approval was decided, expired or was asked anew.
    #[error("the approval {0}")]
    NotOpen(&'static str),
    /// The judgement comes too late, or is of something else.
    #[error("it can no longer be judged: {0}")]
    QaNotOpen(&'static str),
    /// The run is paused or being cancelled: nothing new begins.
    #[error("the run is {0}")]
    Held(&'static str),
    /// The data of a signal is too long.
    #[error("the data of the signal is {0} bytes long; the limit is {SIGNAL_LIMIT}")]
    SignalTooLong(u64),
    /// The name of a signal is empty or too long.
    #[error("the name of a signal has 1 to {SIGNAL_NAME_LIMIT} bytes")]
    SignalName,
    /// As many signals as a run keeps wait to be taken.
    #[error("{MAX_SIGNALS} signals wait for a step to take them; the run keeps no more")]
    SignalsFull,
    /// There is no such step.
    #[error("there is no such step")]
    UnknownStep,
    /// There is no compensation left to execute.
    #[error("no step that has succeeded has a `compensate` that is still to run")]
    NothingToUndo,
    /// The command is for runs that have ended.
    #[error("the run has not ended yet: cancel it, or wait for its end")]
    NotEnded,
    /// Nothing there to retry.
    #[error("{0}")]
    NothingToRetry(&'static str),
}

/// What has come for a waiting step, in the words of an event.
impl From<&Decide> for Arrival {
    fn from(decide: &Decide) -> Self {
        Self::Decision {
            approved: decide.approved,
            by: decide.asked.by.clone(),
            via: decide.via.clone(),
            comment: decide.asked.reason.clone(),
        }
    }
}
