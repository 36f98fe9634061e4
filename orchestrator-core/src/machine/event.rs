//! What happened: the stored vocabulary. An event is kept for ever as a kind and a JSON body; a kind this version does
//! not know means the store is newer or corrupt, and is never skipped.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::id::{DecisionId, OwnerId, RunId, Unit};
use crate::machine::ending::{Ending, KeptAs};
use crate::machine::failure::{AfterLoss, StepError};
use crate::machine::hold::{Hold, Holds};
use crate::machine::inside::Inside;
use crate::machine::log::UnreadableEvent;
use crate::machine::pins::Pins;
use crate::machine::state::Intent;
use crate::machine::step_state::SkipReason;
use crate::machine::wait::{Arrival, WaitOn};
use crate::spec::{EffectClass, Stage};
use crate::time::Timestamp;
use crate::value::{Digest, ValueRef};

macro_rules! held {
    ($variant:ident) => { $variant };
    ($variant:ident $holder:ident) => { $holder<$variant> };
}

// `StepWaiting in Box`: what is rare and large is kept apart, or the many small events of a log would be as large.
macro_rules! events {
    ($($(#[$doc:meta])* $variant:ident $(in $holder:ident)? = $kind:literal {
        $($(#[$field_doc:meta])* $field:ident: $ty:ty),* $(,)?
    })*) => {
        /// What happened to a run.
        #[derive(Debug, Clone, PartialEq)]
        #[non_exhaustive]
        pub enum Event {
            $($(#[$doc])* $variant(held!($variant $($holder)?)),)*
        }

        $(
            $(#[$doc])*
            #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
            pub struct $variant {
                $($(#[$field_doc])* pub $field: $ty,)*
            }

            impl From<$variant> for Event {
                fn from(event: $variant) -> Self {
                    Self::$variant(event.into())
                }
            }
        )*

        impl Event {
            /// Every kind there is.
            pub const KINDS: &'static [&'static str] = &[$($kind),*];

            /// The stored name of this kind of event.
            #[must_use]
            pub const fn kind(&self) -> &'static str {
                match self { $(Self::$variant(_) => $kind,)* }
            }

            /// The stored body: JSON without the kind.
            ///
            /// # Errors
            /// None in practice: every event can be encoded.
            pub fn body(&self) -> Result<String, serde_json::Error> {
                match self { $(Self::$variant(event) => serde_json::to_string(event),)* }
            }

            /// Reads a stored event.
            ///
            /// # Errors
            /// [`UnreadableEvent`] if this version does not know the kind or the body does not fit it.
            pub fn read(kind: &str, body: &str) -> Result<Self, UnreadableEvent> {
                let unreadable = |source| UnreadableEvent::Body { kind: kind.to_owned(), source };
                match kind {
                    $($kind => serde_json::from_str::<$variant>(body).map(Self::from).map_err(unreadable),)*
                    _ => Err(UnreadableEvent::UnknownKind(kind.to_owned())),
                }
            }
        }
    };
}

events! {
    /// The run exists. Always the first event.
    RunCreated in Box = "run.created" {
        /// Name of its workflow.
        workflow: Arc<str>,
        /// The revision it is pinned to.
        revision: Digest,
        /// The values of its inputs, with defaults filled in.
        inputs: ValueRef,
        /// Who started it.
        by: Arc<str>,
        /// The workflows that carry out steps of it, and of those.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pins: Option<Arc<Pins>>,
        /// When it is to begin; `None`: at once.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        not_before: Option<Timestamp>,
        /// The place that it takes before anything of it begins, and keeps until it has ended. If its key is one of `within`, it needs
        /// none until it is reopened.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        place: Option<Arc<Hold>>,
        /// The keys under which the runs above it hold places, and the steps that they carry out.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        within: Vec<Arc<str>>,
    }
    /// The time has come that the run was put off to, or somebody does not want to wait for it.
    RunDue = "run.due" {
        /// Who wants it to begin before its time; `None`: its time has come.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<Arc<str>>,
        /// Why.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<Arc<str>>,
    }
    /// As many runs are under way as may be under its key: it waits for its place, in the order of the key.
    RunParked = "run.parked" {
        /// Its place.
        hold: Arc<Hold>,
    }
    /// The run has its place, and keeps it until it has ended.
    RunEntered = "run.entered" {}
    /// The run begins where another has been.
    RunForked = "run.forked" {
        /// The other run.
        run: RunId,
        /// The last of its events that counts here.
        seq: u64,
        /// The steps whose own runs go on where those of the other run have been.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        inside: Vec<Inside>,
    }
    /// The step has ended in the run that this one begins from, and is not done again.
    StepKept = "step.kept" {
        /// The step.
        step: Unit,
        /// How it had ended.
        state: KeptAs,
        /// The run that carried it out, if one did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        child: Option<RunId>,
    }
    /// An engine drives the run from here on.
    DriverTaken = "driver.taken" {
        /// The driver.
        owner: OwnerId,
        /// Its right: larger than every earlier one.
        epoch: u64,
    }
    /// Nobody drives the run.
    DriverReleased = "driver.released" {
        /// Who let go.
        owner: OwnerId,
        /// The right that ended.
        epoch: u64,
    }
    /// An attempt is about to be dispatched.
    StepBegun = "step.begun" {
        /// The step.
        step: Unit,
        /// 1, 2, 3 … for ever, across generations.
        attempt: u32,
        /// The right to execute it: larger than every earlier one of this step.
        epoch: u64,
        /// Who executes it.
        owner: OwnerId,
        /// What a repetition would do.
        effect: EffectClass,
        /// The rendered request. The same for every attempt of a generation.
        request: ValueRef,
        /// The policy's record.
        decision: DecisionId,
        /// What it holds under keys while it is executed.
        #[serde(default, skip_serializing_if = "Holds::is_empty")]
        holds: Holds,
    }
    /// Others hold what it needs under a key: the step waits for that, in the order of the key.
    StepParked = "step.parked" {
        /// The step.
        step: Unit,
        /// What it waits for.
        hold: Arc<Hold>,
    }
    /// The attempt goes on with what it waited for.
    StepContinued = "step.continued" {
        /// The step.
        step: Unit,
        /// The same attempt.
        attempt: u32,
        /// A new right.
        epoch: u64,
        /// Who executes it.
        owner: OwnerId,
    }
    /// The attempt is offered to whoever executes such steps elsewhere. Once somebody has claimed it, nobody else can.
    StepOffered in Box = "step.offered" {
        /// The step.
        step: Unit,
        /// The next attempt, or the same one if it goes on with what it waited for.
        attempt: u32,
        /// The right that one claim of it gives: larger than every earlier one of this step.
        epoch: u64,
        /// What a repetition would do.
        effect: EffectClass,
        /// The rendered request. The same for every attempt of a generation.
        request: ValueRef,
        /// The policy's record; `None` if the attempt goes on.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        decision: Option<DecisionId>,
        /// Who serves this queue may claim it.
        queue: Arc<str>,
        /// What the one who claims it must have.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        labels: BTreeMap<String, String>,
        /// What it holds under keys until it has ended.
        #[serde(default, skip_serializing_if = "Holds::is_empty")]
        holds: Holds,
        /// Whether it is a task: whoever claims it comes from outside, and what it holds is taken by the claim.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        task: bool,
    }
    /// Somebody has claimed what was offered, and executes it. The claim itself is a row of the store; the log says so when
    /// it comes to matter: with what was delivered, or when the offer can no longer be withdrawn. Of a task, the row comes with
    /// this event.
    StepClaimed = "step.claimed" {
        /// The step.
        step: Unit,
        /// The attempt.
        attempt: u32,
        /// The right that was claimed.
        epoch: u64,
        /// Who executes it.
        owner: OwnerId,
        /// When it was claimed.
        claimed_at: Timestamp,
    }
    /// Nobody had claimed what was offered, and nobody can any more.
    StepWithdrawn = "step.withdrawn" {
        /// The step.
        step: Unit,
        /// The attempt; nothing of it was executed.
        attempt: u32,
        /// The right that is void.
        epoch: u64,
    }
    /// The step has succeeded.
    StepSucceeded = "step.succeeded" {
        /// The step.
        step: Unit,
        /// The attempt that did it.
        attempt: u32,
        /// What it gave.
        output: ValueRef,
    }
    /// The step has run once more, and whether that was the last time is to be judged.
    StepIterated = "step.iterated" {
        /// The step.
        step: Unit,
        /// The attempt that did it.
        attempt: u32,
        /// What it gave.
        output: ValueRef,
    }
    /// It was not the last time: the step runs again.
    StepRepeated = "step.repeated" {
        /// The step.
        step: Unit,
        /// When it is due; `None`: at once.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Timestamp>,
    }
    /// An attempt has failed.
    StepFailed = "step.failed" {
        /// The step.
        step: Unit,
        /// The attempt; 0 if none was begun.
        attempt: u32,
        /// Why.
        error: StepError,
        /// When the next attempt is due; `None` means the step has failed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_at: Option<Timestamp>,
    }
    /// The attempt's process died before it could say how it ended.
    StepLost = "step.lost" {
        /// The step.
        step: Unit,
        /// The attempt.
        attempt: u32,
        /// The owner that died.
        owner: OwnerId,
        /// What becomes of the step.
        then: AfterLoss,
    }
    /// Nobody can tell whether the attempt has had its effect; its executor says so itself.
    StepOutcomeUnknown = "step.outcome_unknown" {
        /// The step.
        step: Unit,
        /// The attempt.
        attempt: u32,
        /// What is known.
        error: StepError,
    }
    /// The attempt was stopped in an orderly way; the step may begin again.
    StepInterrupted = "step.interrupted" {
        /// The step.
        step: Unit,
        /// The attempt.
        attempt: u32,
    }
    /// The attempt waits, without a slot.
    StepWaiting in Box = "step.waiting" {
        /// The step.
        step: Unit,
        /// The attempt; 0 if the policy asks before one is begun.
        attempt: u32,
        /// For what.
        on: WaitOn,
        /// When waiting ends.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Timestamp>,
    }
    /// What the step waited for has come.
    StepArrived = "step.arrived" {
        /// The step.
        step: Unit,
        /// The attempt; 0 if the policy asked before one was begun.
        attempt: u32,
        /// What has come.
        arrival: Arrival,
    }
    /// Someone has judged what the attempt gave, or nobody has in time. How the step goes on follows at once.
    StepJudged = "step.judged" {
        /// The step.
        step: Unit,
        /// The attempt.
        attempt: u32,
        /// Whether it is good.
        passed: bool,
        /// Who says so; `None`: nobody has in time.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<Arc<str>>,
        /// Through which channel: `cli`, `api`, `host` or `timeout`.
        via: Arc<str>,
        /// With what words; the next attempt sees them.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        comment: Option<Arc<str>>,
    }
    /// The step's time to wait between attempts is over.
    StepDue = "step.due" {
        /// The step.
        step: Unit,
    }
    /// The step runs once for each of these.
    StepExpanded = "step.expanded" {
        /// The step.
        step: Unit,
        /// The list.
        items: ValueRef,
        /// How many there are.
        count: u32,
    }
    /// Every item of the step has ended, and so has the step.
    StepCollected = "step.collected" {
        /// The step.
        step: Unit,
        /// How.
        status: Ending,
        /// What went wrong, if an item has failed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<StepError>,
    }
    /// The step will not begin.
    StepSkipped = "step.skipped" {
        /// The step.
        step: Unit,
        /// Why.
        reason: SkipReason,
    }
    /// The step was stopped, or never began, because the run is being cancelled.
    StepCancelled = "step.cancelled" {
        /// The step.
        step: Unit,
        /// The attempt; 0 if none was begun.
        attempt: u32,
    }
    /// Someone has said how an unknown outcome is to be taken.
    StepResolved = "step.resolved" {
        /// The step.
        step: Unit,
        /// The attempt.
        attempt: u32,
        /// The output to go on with, if the effect has happened; else the step begins again.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        output: Option<ValueRef>,
        /// Who says so.
        by: Arc<str>,
        /// Why.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<Arc<str>>,
    }
    /// Someone has paused, resumed or cancelled the run.
    IntentChanged = "run.intent" {
        /// What is wanted now.
        intent: Intent,
        /// Who wants it.
        by: Arc<str>,
        /// Why.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<Arc<str>>,
    }
    /// The step has missed its deadline: what is executed of it is to stop.
    StepOverdue = "step.overdue" {
        /// The step.
        step: Unit,
    }
    /// The steps proper have missed the deadline of the run.
    RunOverdue = "run.overdue" {
        /// What is wrong.
        error: StepError,
    }
    /// The steps proper have ended, or those of a later stage, and what comes after begins.
    StageBegun = "run.stage" {
        /// What begins.
        stage: Stage,
        /// How the steps proper have ended.
        status: Ending,
        /// What went wrong with them, if something did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<StepError>,
        /// The compensations to execute, one after the other, in this order.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        steps: Vec<Unit>,
    }
    /// Someone has given a signal. Where a step waits for it, `step.arrived` follows at once.
    RunSignalled = "run.signalled" {
        /// Its name.
        name: Arc<str>,
        /// What came with it; `null` if nothing.
        data: ValueRef,
        /// Who gave it.
        by: Arc<str>,
        /// Why.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<Arc<str>>,
    }
    /// The run has ended.
    RunEnded = "run.ended" {
        /// How.
        status: Ending,
        /// Its outputs, if it completed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        outputs: Option<ValueRef>,
        /// What went wrong, if something did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<StepError>,
    }
    /// An ended run goes on: a new generation begins.
    RunReopened in Box = "run.reopened" {
        /// The new generation; the first is 1.
        generation: u32,
        /// The steps that begin again. None where it is only to settle an unknown outcome.
        steps: Vec<Unit>,
        /// Those of them whose new run goes on where the last has failed or was cancelled.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        inside: Vec<Inside>,
        /// Who wants it.
        by: Arc<str>,
        /// Why.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<Arc<str>>,
    }
}
