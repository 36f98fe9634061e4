//! Asking plugins about attempts whose outcome nobody knows: whoever can look whether the effect has happened spares a person
//! from doing so. Once for each attempt and process; where the plugin cannot tell, the step goes on waiting for a person.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use crate::engine::attempt::Attempt;
use crate::engine::driver::Driver;
use crate::engine::error::CommandError;
use crate::engine::lines::Lines;
use crate::engine::note::Note;
use crate::engine::shared::Shared;
use crate::engine::tasks::caught;
use crate::engine::values::load_value;
use crate::id::Unit;
use crate::machine::{Asked, Command, Fence, StepKind, StepState};
use crate::port::plugin::{LogSink, Plugin, Reconciled, Request, Stop, Stream};
use crate::value::ValueRef;

/// How long a plugin may look.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a driver has asked so far.
#[derive(Debug, Default)]
pub(crate) struct Inquiries {
    /// Whether what was unknown when the run was taken has been looked for.
    begun: bool,
    asked: HashSet<(Unit, u32)>,
    /// Those of which an answer is awaited.
    open: HashSet<(Unit, u32)>,
}

impl Inquiries {
    /// Whether an answer is awaited: then it is not a person's turn yet.
    pub(crate) fn are_open(&self) -> bool {
        !self.open.is_empty()
    }
}

impl Driver {
    /// Asks about every attempt of unknown outcome that was not asked about yet. `touched` is what has just changed.
    pub(crate) fn inquire(&mut self, touched: &[Unit]) {
        if self.state.count(StepKind::OutcomeUnknown) == 0 || self.stopping.is_some() {
            return;
        }
        let unknown = |unit: Unit| match self.state.find(unit)?.state {
            StepState::OutcomeUnknown { attempt } => Some((unit, attempt)),
            _ => None,
        };
        let found: Vec<(Unit, u32)> = match self.inquiries.begun {
            true => touched.iter().filter_map(|unit| unknown(*unit)).collect(),
            false => self.state.slots().filter_map(|(unit, _)| unknown(unit)).collect(),
        };
        self.inquiries.begun = true;
        for (step, attempt) in found {
            if self.inquiries.asked.insert((step, attempt)) {
                self.ask(step, attempt);
            }
        }
    }

    /// A plugin has looked.
    pub(crate) fn on_inquired(&mut self, step: Unit, attempt: u32) {
        self.inquiries.open.remove(&(step, attempt));
        self.publish(true);
    }

    fn ask(&mut self, step: Unit, attempt: u32) {
        let spec = self.loaded.workflow.step(step.step);
        let slot = self.state.slot(step);
        let (Some(plugin), Some(reference), Some(effect)) =
            (self.shared.registry.get(&spec.uses).cloned(), slot.request.clone(), slot.effect)
        else {
            return;
        };
        let attempt = Attempt {
            run: self.run,
            step,
            name: spec.name.clone(),
            attempt,
            fence: Fence { epoch: slot.epoch, owner: self.owner() },
            effect,
            reference: reference.clone(),
            timeout: None,
            folder: self.folder.clone(),
            arrival: None,
            iteration: slot.iterations(),
            feedback: slot.feedback().cloned(),
            qa: None,
            evidence: None,
            incarnation: self.incarnation.clone(),
        };
        self.inquiries.open.insert((step, attempt.attempt));
        let (shared, loaded, driver) = (self.shared.clone(), self.loaded.clone(), self.own_mailbox.clone());
        self.shared.tasks.spawn(async move {
            let lines = Arc::new(Lines::new(shared.clone(), attempt.run, step, attempt.attempt));
            let looked = async {
                let request = stored(&shared, &attempt, &reference).await?;
                let context = attempt.context(&shared, &loaded.workflow, &lines, None, Stop::never());
                let opened = shared.vault.opened(&loaded.workflow, context, request, &*shared.clock).await;
                let (context, request) = opened.ok()?;
                caught(plugin.reconcile(context, request)).await.ok()
            };
            let until = shared.clock.now() + PATIENCE;
            let found = tokio::select! {
                found = looked => found.unwrap_or(Reconciled::Unknown),
                () = shared.clock.sleep_until(until) => Reconciled::Unknown,
            };
            settle(&shared, &attempt, &*plugin, &lines, found).await;
            // A driver that is gone has been fenced; its successor asks anew.
            let _ = driver.send(Note::Inquired(step, attempt.attempt));
        });
    }
}

async fn stored(shared: &Shared, attempt: &Attempt, reference: &ValueRef) -> Option<Request> {
    let body = load_value(shared, attempt.run, reference).await.ok()?;
    serde::Deserialize::deserialize(&*body).ok()
}

/// Writes what was found into the run, as a person would.
async fn settle(shared: &Shared, attempt: &Attempt, plugin: &dyn Plugin, lines: &Lines, found: Reconciled) {
    let (applied, said) = match found {
        Reconciled::Unknown => return,
        Reconciled::NotApplied => (None, "the effect has not happened"),
        Reconciled::Applied(mut output) => {
            shared.vault.mask().value(&mut output);
            (Some(ValueRef::Inline(output.to_string().into())), "the effect has happened")
        }
    };
    lines.line(Stream::System, &format!("the plugin has looked: {said}"));
    let kept = shared.store.append_logs(attempt.run, lines.finish().await).await;
    if let Err(error) = kept {
        tracing::warn!(run = %attempt.run, %error, "lines of output could not be kept");
    }
    let by = format!("plugin:{}", plugin.kind()).into();
    let asked = Asked { by, reason: Some(said.into()) };
    let (step, attempt, run) = (attempt.step, attempt.attempt, attempt.run);
    match shared.say(run, Command::Reconcile { step, attempt, applied, asked }).await {
        // Somebody was faster.
        Ok(_) | Err(CommandError::Rejected(_)) => {}
        Err(error) => {
            tracing::warn!(%run, %error, "what a plugin has found out could not be written");
        }
    }
}
