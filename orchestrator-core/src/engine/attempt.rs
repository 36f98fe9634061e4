//! Executing one attempt: calls the plugin, bounds it in time, catches its panics, tells the driver how it ended.

use std::future::{Future, poll_fn};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, Waker};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::OwnedSemaphorePermit;

use crate::engine::evidence::witnessed;
use crate::engine::lines::Lines;
use crate::engine::loaded::Loaded;
use crate::engine::shared::{Incarnation, Shared};
use crate::engine::tasks::guarded;
use crate::engine::vault::mask_outcome;
use crate::id::{RunId, Unit};
use crate::machine::{Arrival, Fence, Finished, StepError, WaitOn};
use crate::port::plugin::{Awaited, Context, Outcome, Plugin, Request, Stop, StopReason, Stopper};
use crate::port::store::{LogLine, unit_name};
use crate::spec::retry::ErrorClass;
use crate::spec::{EffectClass, Evidence, OnExpiry, Qa, Timeout, Workflow};
use crate::time::Timestamp;
use crate::value::{Digest, StoredValue, ValueRef};

/// How long an attempt that was told to stop has to end what it started, before it is dropped. Longer than the
/// longest patience of a bundled plugin with its child processes (10 s).
const STOP_GRACE: Duration = Duration::from_secs(15);

/// An attempt to execute.
#[derive(Debug)]
pub(crate) struct Attempt {
    pub(crate) run: RunId,
    pub(crate) step: Unit,
    pub(crate) name: Arc<str>,
    /// Where relative paths start.
    pub(crate) folder: Arc<Path>,
    pub(crate) attempt: u32,
    pub(crate) fence: Fence,
    pub(crate) effect: EffectClass,
    pub(crate) reference: ValueRef,
    pub(crate) timeout: Option<Timeout>,
    pub(crate) arrival: Option<Arrival>,
    /// How many times the step has run before, if it is repeated.
    pub(crate) iteration: u32,
    /// Why an earlier attempt was not good enough.
    pub(crate) feedback: Option<Arc<str>>,
    /// Who must pass what it gives.
    pub(crate) qa: Option<Arc<Qa>>,
    /// What must hold of a success.
    pub(crate) evidence: Option<Arc<Evidence>>,
    /// In whose name it is executed.
    pub(crate) incarnation: Incarnation,
}

/// How it ended, for the driver.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) step: Unit,
    pub(crate) attempt: u32,
    pub(crate) fence: Fence,
    pub(crate) outcome: Finished,
    /// What the outcome refers to.
    pub(crate) values: Vec<StoredValue>,
    /// The output itself, for steps that refer to it.
    pub(crate) output: Option<Value>,
    /// Lines that are not kept yet.
    pub(crate) lines: Vec<LogLine>,
    /// The slot, for the next attempt.
    pub(crate) slot: Option<OwnedSemaphorePermit>,
}

/// What became of an attempt that was to be executed.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "taken apart where it is returned")]
pub(crate) enum Dispatched {
    /// It has ended, with its slot.
    Over(Ended),
    /// It is executed, until this stops it.
    Running(Stopper),
}

impl Ended {
    /// An end that has left nothing behind.
    pub(crate) fn bare(step: Unit, attempt: u32, fence: Fence, outcome: Finished) -> Self {
        let (values, lines) = (Vec::new(), Vec::new());
        Self { step, attempt, fence, outcome, values, output: None, lines, slot: None }
    }
}

impl Attempt {
    /// Executes it: at once if it ends at once; else on a task of its own, which tells of its end.
    pub(crate) fn dispatch(
        self,
        shared: &Arc<Shared>,
        loaded: &Arc<Loaded>,
        plugin: Arc<dyn Plugin>,
        request: Arc<Request>,
        slot: Option<OwnedSemaphorePermit>,
        tell: impl FnOnce(Box<Ended>) + Send + 'static,
    ) -> Dispatched {
        crate::failpoint!("step.dispatch.before");
        let lines = Arc::new(Lines::new(shared.clone(), self.run, self.step, self.attempt));
        let deadline = self.timeout.map(|timeout| shared.clock.now() + timeout.after);
        let stop = Stop::of(lines.clone());
        let context = self.context(shared, &loaded.workflow, &lines, deadline, stop);
        let immediate = plugin.is_immediate() && self.evidence.is_none();
        let mut work: Work = match loaded.workflow.secrets.is_empty() {
            true => Box::pin(async move { plugin.execute(context, Arc::unwrap_or_clone(request)).await }),
            false => {
                let (shared, loaded) = (shared.clone(), loaded.clone());
                Box::pin(async move {
                    let request = Arc::unwrap_or_clone(request);
                    let stop = context.stop.clone();
                    let opened = shared.vault.opened(&loaded.workflow, context, request, &*shared.clock);
                    // Nothing was dispatched yet: whatever stops it, it has not had its effect.
                    tokio::select! {
                        biased;
                        _ = stop.requested() => Outcome::Stopped,
                        opened = opened => match opened {
                            Ok((context, request)) => plugin.execute(context, request).await,
                            Err(error) => Outcome::Failed { error, retry_after: None },
                        },
                    }
                })
            }
        };
        if let Some(evidence) = &self.evidence {
            let (inspector, folder) = (shared.inspector.clone(), self.folder.clone());
            work = Box::pin(witnessed(evidence.clone(), inspector, folder, work));
        }
        let begun = immediate && self.may_begin(shared);
        if begun && let Poll::Ready(outcome) = poll(&mut work, &mut TaskContext::from_waker(Waker::noop())) {
            if let Some(lines) = lines.finish_now() {
                return Dispatched::Over(self.close(shared, outcome, lines, slot));
            }
            work = Box::pin(std::future::ready(outcome));
        }
        let stopper = Stopper::of(lines.clone());
        let (shared, own) = (shared.clone(), stopper.clone());
        let tasks = shared.tasks.clone();
        tasks.spawn(async move {
            let taken_up = slot.as_ref().and_then(|_| shared.take_up_a_slot());
            let outcome = self.attend(&shared, work, begun, deadline, &own).await;
            drop(taken_up);
            let lines = lines.finish().await;
            tell(Box::new(self.close(&shared, outcome, lines, slot)));
        });
        Dispatched::Running(stopper)
    }

    /// What the attempt is told about itself.
    pub(crate) fn context(
        &self,
        shared: &Shared,
        workflow: &Workflow,
        lines: &Arc<Lines>,
        deadline: Option<Timestamp>,
        stop: Stop,
    ) -> Context {
        let spec = workflow.step(self.step.step);
        Context {
            run: self.run,
            step: self.name.clone(),
            item: self.step.item(),
            iteration: self.iteration,
            attempt: self.attempt,
            epoch: self.fence.epoch,
            effect: self.effect,
            workdir: self.folder.clone(),
            deadline,
            arrival: self.arrival.clone(),
            feedback: self.feedback.clone(),
            network: workflow.permissions_of(spec).network.clone(),
            sandbox: spec.options().sandbox.clone().unwrap_or_default(),
            protected: shared.protected.clone(),
            log: lines.clone(),
            stop,
            mask: shared.vault.mask(),
            stored: self.reference.clone(),
        }
    }

    /// Whether others can not have gone on with it yet. Who was stopped for long, and goes on here, has perhaps not noticed.
    fn may_begin(&self, shared: &Shared) -> bool {
        // In this order: a lease that holds may be the next incarnation's.
        shared.lease.holds() && !self.incarnation.is_over()
    }

    /// Waits for its end, and for what is to end it.
    async fn attend(
        &self,
        shared: &Shared,
        mut work: Work,
        begun: bool,
        deadline: Option<Timestamp>,
        stopper: &Stopper,
    ) -> Outcome {
        let mut incarnation = self.incarnation.clone();
        while !begun && !self.may_begin(shared) {
            tokio::select! {
                biased;
                () = incarnation.ended() => return Outcome::Stopped,
                () = shared.lease.held() => {}
                _ = stopper.given() => return Outcome::Stopped,
                () = until(shared, deadline) => return self.timed_out(),
            }
        }
        let reason = tokio::select! {
            biased;
            outcome = caught(&mut work) => return outcome,
            // The driver may be waiting for an answer of the store, and hear of nothing else.
            () = incarnation.ended() => StopReason::Fenced,
            reason = stopper.given() => reason,
            () = until(shared, deadline) => StopReason::TimedOut,
        };
        stopper.stop(reason);
        if reason == StopReason::Fenced {
            return self.give_grace(&mut work, reason).await;
        }
        tokio::select! {
            biased;
            outcome = self.give_grace(&mut work, reason) => outcome,
            // It is dropped: it was told something else, and others may execute the step soon.
            () = incarnation.ended() => Outcome::Stopped,
        }
    }

    /// Waits for an attempt that was told to stop; drops it when it does not.
    async fn give_grace(&self, work: &mut Work, reason: StopReason) -> Outcome {
        match tokio::time::timeout(STOP_GRACE, caught(work)).await {
            Ok(Outcome::Stopped) if reason == StopReason::TimedOut => self.timed_out(),
            Ok(outcome) => outcome,
            Err(_) if self.effect == EffectClass::AtMostOnce => Outcome::Unknown {
                error: StepError::new(
                    ErrorClass::Timeout,
                    format!(
                        "did not stop within {} s when it was told to, and was dropped",
                        STOP_GRACE.as_secs()
                    ),
                ),
            },
            Err(_) if reason == StopReason::TimedOut => self.timed_out(),
            Err(_) => Outcome::Stopped,
        }
    }

    fn timed_out(&self) -> Outcome {
        let after = self.timeout.map_or(Duration::ZERO, |timeout| timeout.after);
        Outcome::failed(ErrorClass::Timeout, format!("took longer than its timeout of {after:?}"))
    }

    fn close(
        self,
        shared: &Shared,
        mut outcome: Outcome,
        lines: Vec<LogLine>,
        slot: Option<OwnedSemaphorePermit>,
    ) -> Ended {
        crate::failpoint!("step.complete.before");
        let mut values = Vec::new();
        let mut output = None;
        mask_outcome(&mut outcome, &shared.vault.mask());
        let outcome = match outcome {
            Outcome::Succeeded { output: value } => match ValueRef::encode(&value) {
                Ok((reference, stored)) => {
                    values.extend(stored);
                    match self.ask_for_qa(shared, &value, &reference, &mut values) {
                        Some(asked) => asked,
                        None => {
                            output = Some(value);
                            Finished::Succeeded(reference)
                        }
                    }
                }
                Err(error) => failed(ErrorClass::Invalid, format!("the output cannot be stored: {error}")),
            },
            Outcome::Failed { error, retry_after } => {
                Finished::Failed { error, not_before: retry_after.map(|after| shared.clock.now() + after) }
            }
            Outcome::Unknown { error } if self.effect == EffectClass::AtMostOnce => Finished::Unknown(error),
            // A repetition is harmless: not knowing is a failure like any other.
            Outcome::Unknown { error } => Finished::Failed { error, not_before: None },
            Outcome::Wait { on } => self.wait(shared, on, &mut values),
            Outcome::Stopped => Finished::Interrupted,
        };
        Ended {
            step: self.step,
            attempt: self.attempt,
            fence: self.fence,
            outcome,
            values,
            output,
            lines,
            slot,
        }
    }

    fn wait(&self, shared: &Shared, on: Awaited, values: &mut Vec<StoredValue>) -> Finished {
        crate::failpoint!("step.wait.before");
        let now = shared.clock.now();
        match on {
            Awaited::Signal { name } => Finished::Waiting {
                on: WaitOn::Signal { name: name.into() },
                until: self.timeout.map(|timeout| now + timeout.after),
            },
            Awaited::Pause(duration) => Finished::Waiting { on: WaitOn::Until, until: Some(now + duration) },
            Awaited::Approval { message, show } => {
                let shown = match show.as_ref().map(ValueRef::encode).transpose() {
                    Ok(shown) => shown,
                    Err(error) => {
                        return failed(
                            ErrorClass::Invalid,
                            format!("what is shown cannot be stored: {error}"),
                        );
                    }
                };
                let (show, stored) = shown.map_or((None, None), |(show, stored)| (Some(show), stored));
                values.extend(stored);
                let digest = self.approval_digest(&message, show.as_ref());
                let then = self.timeout.map_or(OnExpiry::Fail, |timeout| timeout.then);
                let until = self.timeout.map(|timeout| now + timeout.after);
                let on = WaitOn::Approval { digest, message: message.into(), show, then };
                Finished::Waiting { on, until }
            }
        }
    }

    /// What a decision is bound to: run, step, request, question and what is shown with it.
    fn approval_digest(&self, message: &str, show: Option<&ValueRef>) -> Digest {
        let shown = show.map(|show| show.digest().to_string()).unwrap_or_default();
        let name = unit_name(&self.name, self.step.item());
        let parts = [&self.run.to_string(), &name, &self.reference.digest().to_string(), message, &shown];
        Digest::of(serde_json::to_string(&parts).unwrap_or_default().as_bytes())
    }
}

pub(crate) fn failed(class: ErrorClass, message: String) -> Finished {
    Finished::Failed { error: StepError::new(class, message), not_before: None }
}

async fn until(shared: &Shared, deadline: Option<Timestamp>) {
    match deadline {
        Some(deadline) => shared.clock.sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

type Work = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// Waits for a plugin.
async fn caught(work: &mut Work) -> Outcome {
    poll_fn(|cx| poll(work, cx)).await
}

/// Polls a plugin; a panic in it is an outcome, not ours.
fn poll(work: &mut Work, cx: &mut TaskContext<'_>) -> Poll<Outcome> {
    // After a panic the future is never polled again: the outcome is returned and the future dropped.
    guarded(|| work.as_mut().poll(cx)).unwrap_or_else(|said| {
        Poll::Ready(Outcome::failed(ErrorClass::PluginPanicked, format!("the plugin panicked: {said}")))
    })
}
