//! Asking for a judgement of what an attempt gave.

use std::sync::Arc;

use serde_json::Value;

use crate::engine::attempt::{Attempt, failed};
use crate::engine::shared::Shared;
use crate::machine::{Finished, WaitOn};
use crate::port::store::unit_name;
use crate::spec::expr::{ExprError, Scope, StepView};
use crate::spec::retry::ErrorClass;
use crate::spec::{OnExpiry, Qa};
use crate::value::{Digest, StoredValue, ValueRef};

impl Attempt {
    /// What an attempt that has succeeded waits for, if someone must pass what it gave.
    pub(crate) fn ask_for_qa(
        &self,
        shared: &Shared,
        output: &Value,
        reference: &ValueRef,
        values: &mut Vec<StoredValue>,
    ) -> Option<Finished> {
        let qa = self.qa.as_deref()?;
        let (message, shown) = match self.render_qa(qa, output) {
            Ok(rendered) => rendered,
            Err(error) => return Some(failed(ErrorClass::Template, error)),
        };
        let show = match shown.as_ref().map(ValueRef::encode).transpose() {
            Ok(Some((show, stored))) => {
                values.extend(stored);
                show
            }
            Ok(None) => reference.clone(),
            Err(error) => {
                let message = format!("what the judge is shown cannot be stored: {error}");
                return Some(failed(ErrorClass::Invalid, message));
            }
        };
        let name = unit_name(&self.name, self.step.item());
        let (run, attempt) = (self.run.to_string(), self.attempt.to_string());
        let (output, shown) = (reference.digest().to_string(), show.digest().to_string());
        let parts = [&run, &name, &attempt, &output, &message, &shown];
        let digest = Digest::of(serde_json::to_string(&parts).unwrap_or_default().as_bytes());
        let then = qa.timeout.map_or(OnExpiry::Fail, |timeout| timeout.then);
        let until = qa.timeout.map(|timeout| shared.clock.now() + timeout.after);
        let on = WaitOn::Qa { digest, message: message.into(), show, output: reference.clone(), then };
        Some(Finished::Waiting { on, until })
    }

    fn render_qa(&self, qa: &Qa, output: &Value) -> Result<(String, Option<Value>), String> {
        let own = StepView {
            status: "completed",
            output: Some(Arc::new(output.clone())),
            error: None,
            attempts: self.attempt,
            items: None,
        };
        let scope = Scope { own: Some(own), ..Scope::default() };
        let told = |key: &'static str| move |error: ExprError| error.told(key);
        let show = qa.show.as_ref().map(|show| show.render(&scope)).transpose().map_err(told("qa.show"))?;
        Ok((qa.message.render_text(&scope).map_err(told("qa.message"))?, show))
    }
}
