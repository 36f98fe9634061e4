//! One executable: started when it is first needed, and anew when it has died.

use std::sync::Arc;
use std::time::Duration;

use orchestrator_core::machine::StepError;
use orchestrator_core::port::plugin::{Context, Outcome, Reconciled, Request, StopReason, Stream};
use orchestrator_core::spec::EffectClass;
use orchestrator_core::spec::retry::ErrorClass;
use tokio::sync::{Mutex, Semaphore};
use tokio::time::{Instant, timeout, timeout_at};

use super::conversation::{Conversation, Pending};
use super::manifest::{Kind, Manifest};
use super::message;
use crate::config::invalid;
use crate::resident::Executable;

/// How long an executable may take to describe itself.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long it may take to answer once it was told that an attempt is to stop, before it is killed.
const GRACE: Duration = Duration::from_secs(5);

/// How long it may take to find out whether an attempt has had its effect. With the time to stop after it, and to be gone after
/// that, less than the 60 s after which whoever has asked goes away.
const LOOK: Duration = Duration::from_secs(45);

#[derive(Debug)]
pub(super) struct Host {
    pub(super) executable: Executable,
    pub(super) manifest: Manifest,
    live: Mutex<Option<Arc<Conversation>>>,
    /// One for each attempt that it takes at once. Others have not been sent, so that they can stop at any time.
    turns: Semaphore,
}

/// What an executable has said of itself, or why that is not known.
pub(super) async fn described(conversation: &Conversation) -> Result<Manifest, Vec<String>> {
    let whole = |why: String| vec![why];
    let mut pending = conversation.ask(None, message::describe).map_err(|why| whole(format!("it {why}")))?;
    match timeout(PATIENCE, pending.answer()).await {
        Ok(Ok(body)) => Manifest::read(body),
        Ok(Err(why)) => Err(whole(format!("it {why}; it was asked to describe itself"))),
        Err(_) => Err(whole(format!("it has not described itself within {} s", PATIENCE.as_secs()))),
    }
}

impl Host {
    pub(super) fn new(executable: Executable, manifest: Manifest) -> Self {
        let turns = Semaphore::new(manifest.concurrent);
        Self { executable, manifest, live: Mutex::new(None), turns }
    }

    /// The executable, running.
    async fn running(&self) -> Result<Arc<Conversation>, StepError> {
        let mut live = self.live.lock().await;
        if let Some(conversation) = live.as_ref().filter(|conversation| conversation.over().is_none()) {
            return Ok(conversation.clone());
        }
        let conversation = Conversation::start(&self.executable).await.map_err(|error| self.named(&error))?;
        let manifest = described(&conversation)
            .await
            .map_err(|wrong| self.named(&StepError::new(ErrorClass::Transient, wrong.join("; "))))?;
        if manifest != self.manifest {
            let why = "it describes itself otherwise than before: it was changed while this process ran";
            return Err(self.named(&invalid(why)));
        }
        Ok(live.insert(Arc::new(conversation)).clone())
    }

    fn named(&self, error: &StepError) -> StepError {
        StepError::new(error.class, format!("{}: {}", self.executable.program(), error.message))
    }

    /// Executes an attempt.
    pub(super) async fn execute(&self, kind: &Kind, context: &Context, request: &Request) -> Outcome {
        let begun = async {
            // It is never closed.
            let turn = self.turns.acquire().await.ok();
            let conversation = self.running().await?;
            let message = |id| message::attempt("execute", id, &kind.kind, context, request);
            let asked = conversation.ask(Some(context), message);
            let pending = asked
                .map_err(|why| self.named(&StepError::new(ErrorClass::Transient, format!("it {why}"))))?;
            Ok((turn, conversation, pending))
        };
        let stop = context.stop.clone();
        let (_turn, conversation, mut pending) = tokio::select! {
            biased;
            begun = begun => match begun {
                Ok(begun) => begun,
                Err(error) => return Outcome::Failed { error, retry_after: None },
            },
            // Nothing of it was sent.
            _ = stop.requested() => return Outcome::Stopped,
        };
        let answer = tokio::select! {
            biased;
            answer = pending.answer() => answer,
            reason = stop.requested() => match self.stopped(&conversation, &mut pending, reason).await {
                // It has ended instead of saying how, as far as it had come.
                Some(Err(_)) if may_begin_again(context.effect, reason) => return Outcome::Stopped,
                Some(answer) => answer,
                None => return self.killed(context.effect, reason),
            },
        };
        match answer {
            Ok(body) => self.outcome(kind, body),
            // The engine asks the effect class what that means.
            Err(why) => Outcome::Unknown {
                error: self.named(&StepError::new(
                    ErrorClass::Transient,
                    format!("it {why}; nobody can tell how far step `{}` had come", context.step),
                )),
            },
        }
    }

    /// Tells it that an attempt is to stop; `None` if it had to be killed.
    async fn stopped(
        &self,
        conversation: &Conversation,
        pending: &mut Pending,
        reason: StopReason,
    ) -> Option<Result<serde_json::Value, Arc<str>>> {
        conversation.say(&message::cancel(pending.id, reason));
        // Another owner may be executing the step already: no time to lose then.
        let grace = if reason == StopReason::Fenced { Duration::ZERO } else { GRACE };
        if let Ok(answer) = timeout(grace, pending.answer()).await {
            return Some(answer);
        }
        conversation.end(&format!("was killed: it had not stopped a step within {} s", grace.as_secs()));
        let _ = timeout(GRACE, pending.answer()).await;
        None
    }

    /// What becomes of an attempt for which it was killed. The step may say otherwise than the manifest what a repetition would do.
    fn killed(&self, effect: EffectClass, reason: StopReason) -> Outcome {
        let why = format!("it did not stop within {} s when it was told to, and was killed", GRACE.as_secs());
        let error = self.named(&StepError::new(ErrorClass::Timeout, why));
        match effect {
            EffectClass::AtMostOnce => Outcome::Unknown { error },
            effect if may_begin_again(effect, reason) => Outcome::Stopped,
            _ => Outcome::Failed { error, retry_after: None },
        }
    }

    /// The outcome that it tells, held to what it has said of itself.
    fn outcome(&self, kind: &Kind, body: serde_json::Value) -> Outcome {
        let wrong = |why: String| {
            let error = self.named(&invalid(why));
            Outcome::Failed { error, retry_after: None }
        };
        match message::outcome(body) {
            Ok(Outcome::Succeeded { output }) => match kind.misfit(&output) {
                Some(misfit) => wrong(format!("what it gave does not fit its `output_schema`: {misfit}")),
                None => Outcome::Succeeded { output },
            },
            Ok(Outcome::Wait { on: orchestrator_core::port::plugin::Awaited::Signal { name } })
                if kind.signal.is_none() =>
            {
                wrong(format!("it waits for the signal `{name}`, and its manifest names no `signal`"))
            }
            Ok(outcome) => outcome,
            // It may have meant anything. The engine asks the effect class what that means.
            Err(why) => {
                let error = self.named(&invalid(format!("its answer does not read: {why}")));
                Outcome::Unknown { error }
            }
        }
    }

    /// Asks whether an attempt of unknown outcome has had its effect.
    pub(super) async fn reconcile(&self, kind: &Kind, context: &Context, request: &Request) -> Reconciled {
        let (found, said) = match self.look(kind, context, request).await {
            Ok((Reconciled::Applied(output), _)) => match kind.misfit(&output) {
                Some(misfit) => (Reconciled::Unknown, Some(misfit)),
                None => (Reconciled::Applied(output), None),
            },
            Ok(found) => found,
            Err(why) => (Reconciled::Unknown, Some(why)),
        };
        if let Some(said) = said {
            context.log(Stream::System, &format!("cannot tell whether it has happened: {said}"));
        }
        found
    }

    /// Nobody tells a look to stop, and who is late is dropped: so it has a limit of its own, after which the executable is told
    /// to stop, and is ended if it does not. It would otherwise be busy with this when others have their turn.
    async fn look(
        &self,
        kind: &Kind,
        context: &Context,
        request: &Request,
    ) -> Result<(Reconciled, Option<String>), String> {
        let deadline = Instant::now() + LOOK;
        let late = |how: &str| format!("it {how} within {} s", LOOK.as_secs());
        let begun = async {
            let turn = self.turns.acquire().await.ok();
            let conversation = self.running().await.map_err(|error| error.message.to_string())?;
            let message = |id| message::attempt("reconcile", id, &kind.kind, context, request);
            let pending = conversation.ask(Some(context), message).map_err(|why| why.to_string())?;
            Ok::<_, String>((turn, conversation, pending))
        };
        let (_turn, conversation, mut pending) =
            timeout_at(deadline, begun).await.map_err(|_| late("could not be asked"))??;
        let answer = match timeout_at(deadline, pending.answer()).await {
            Ok(answer) => answer,
            Err(_) => self
                .stopped(&conversation, &mut pending, StopReason::TimedOut)
                .await
                .ok_or_else(|| late("did not answer"))?,
        };
        let body = answer.map_err(|why| why.to_string())?;
        message::found(body).map_err(|why| format!("its answer does not read: {why}"))
    }
}

/// Whether an attempt that was told to stop, and of which nobody knows how far it had come, counts as one that was stopped.
fn may_begin_again(effect: EffectClass, reason: StopReason) -> bool {
    effect != EffectClass::AtMostOnce && reason != StopReason::TimedOut
}
