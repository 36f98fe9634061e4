//! What a driver executes here: attempts that have begun are handed to their plugins, and told to stop.

use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;

use crate::engine::attempt::{Attempt, Dispatched, Ended};
use crate::engine::driver::{Driver, Local};
use crate::engine::note::{Input, Note};
use crate::id::Unit;
use crate::machine::{Effect, Fence, Finished, StepError, StepState, effect_of};
use crate::port::plugin::{Request, StopReason};
use crate::spec::retry::ErrorClass;

impl Driver {
    /// Tells the step's attempt to stop, if the state wants that.
    pub(crate) fn stop_if_asked(&self, step: Unit) {
        if let Some(Effect::Stop(_)) = effect_of(&self.state, step)
            && let Some(local) = self.local.get(&step)
        {
            crate::failpoint!("cancel.stop.before");
            local.stopper.stop(StopReason::Cancelled);
        }
    }

    /// Executes a begun attempt.
    pub(crate) fn dispatch(
        &mut self,
        step: Unit,
        attempt: u32,
        fence: Fence,
        permit: Option<OwnedSemaphorePermit>,
        request: Option<Arc<Request>>,
    ) {
        if self.incarnation.is_over() {
            // The commit, or its answer, has taken so long that others may have recorded the attempt as lost.
            return;
        }
        let spec = self.loaded.workflow.step(step.step);
        let slot = self.state.slot(step);
        let (Some(reference), Some(effect)) = (slot.request.clone(), slot.effect) else { return };
        let arrival = match &slot.state {
            StepState::Running { arrival, .. } => {
                arrival.as_deref().map(|arrival| self.values.arrived(arrival))
            }
            _ => None,
        };
        let request = request.map_or_else(|| self.values.request(&reference), Ok);
        let (plugin, request) = match (self.shared.registry.get(&spec.uses), request) {
            (Some(plugin), Ok(request)) => (plugin.clone(), request),
            (plugin, request) => {
                let why = request.err().unwrap_or_else(|| format!("there is no plugin `{}`", spec.uses));
                debug_assert!(plugin.is_some(), "checked when the run was taken");
                return self.fail_undispatched(step, attempt, fence, why);
            }
        };
        let attempt = Attempt {
            run: self.run,
            folder: self.folder.clone(),
            step,
            name: spec.name.clone(),
            attempt,
            fence,
            effect,
            reference,
            timeout: spec.options().timeout,
            arrival,
            iteration: slot.iterations(),
            feedback: slot.feedback().cloned(),
            qa: spec.options().qa.clone(),
            evidence: spec.options().evidence.clone(),
            incarnation: self.incarnation.clone(),
        };
        let driver = self.own_mailbox.clone();
        // A driver that is gone has been fenced: nobody wants the outcome.
        let tell = move |ended| drop(driver.send(Note::Ended(ended)));
        let stopper = match attempt.dispatch(&self.shared, &self.loaded, plugin, request, permit, tell) {
            Dispatched::Running(stopper) => stopper,
            Dispatched::Over(mut ended) => {
                self.permits.extend(ended.slot.take());
                return self.inputs.push(Input::Ended(ended));
            }
        };
        if let Some(Effect::Stop(_)) = effect_of(&self.state, step) {
            stopper.stop(StopReason::Cancelled);
        }
        self.local.insert(step, Local { fence, stopper });
    }

    fn fail_undispatched(&mut self, step: Unit, attempt: u32, fence: Fence, why: String) {
        let error = StepError::new(ErrorClass::Invalid, why);
        let ended = Ended::bare(step, attempt, fence, Finished::Failed { error, not_before: None });
        self.inputs.push(Input::Ended(ended));
    }
}
