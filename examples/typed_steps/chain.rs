//! Workflows of one step after the other whose types fit: a small layer over the builder, to be taken and changed.
//!
//! What a step gives is put into a list of one, so that anything may be given and handed on whole: a record, a number, a
//! text. Types are checked where steps are joined; what is stored is checked when a step reads it, as it may have been
//! written by an older version of the program.

use std::future::Future;
use std::marker::PhantomData;
use std::sync::Arc;

use orchestrator_core::engine::{Registry, RunReport, StartRun};
use orchestrator_core::spec::{Diagnostics, Input, WorkflowBuilder};
use orchestrator_core::{EngineBuilder, StepFailure, Workflow};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A kind of step: takes an `I`, gives an `O`.
#[derive(Debug)]
pub(crate) struct Kind<I, O> {
    name: &'static str,
    types: PhantomData<fn(I) -> O>,
}

impl<I, O> Kind<I, O>
where
    I: DeserializeOwned + Send + 'static,
    O: Serialize + Send + 'static,
{
    pub(crate) const fn new(name: &'static str) -> Self {
        Self { name, types: PhantomData }
    }

    /// Says which function it is.
    pub(crate) fn register<W>(
        &self,
        engine: EngineBuilder,
        function: impl Fn(I) -> W + Send + Sync + 'static,
    ) -> EngineBuilder
    where
        W: Future<Output = Result<O, StepFailure>> + Send + 'static,
    {
        engine.step(self.name, move |input: I| {
            let given = function(input);
            async move { Ok((given.await?,)) }
        })
    }
}

/// A workflow in the making, whose last step gives a `T`. It takes an `I`.
#[derive(Debug)]
pub(crate) struct Chain<I, T> {
    builder: WorkflowBuilder,
    last: String,
    types: PhantomData<fn(I) -> T>,
}

/// Begins a workflow with a step that takes what the run is given.
pub(crate) fn begin<I, O>(name: &str, kind: &Kind<I, O>, step: &str) -> Chain<I, O> {
    let builder = Workflow::builder(name)
        .input("given", Input::any())
        .step(step, |step| step.uses(kind.name).with("${{ inputs.given }}"));
    Chain { builder, last: step.to_owned(), types: PhantomData }
}

impl<I, T> Chain<I, T> {
    /// A step that takes what the last one gives.
    pub(crate) fn then<O>(self, name: &str, kind: &Kind<T, O>) -> Chain<I, O> {
        let Self { builder, last, .. } = self;
        let handed_on = format!("${{{{ steps.{last}.value[0] }}}}");
        let builder = builder.step(name, |step| step.uses(kind.name).needs([last]).with(handed_on));
        Chain { builder, last: name.to_owned(), types: PhantomData }
    }

    /// # Errors
    /// Where a name is no name, or is there twice; and where a kind was not registered.
    pub(crate) fn build(self, plugins: &Registry) -> Result<Typed<I, T>, Diagnostics> {
        let workflow = Arc::new(self.builder.build(plugins)?);
        Ok(Typed { workflow, last: self.last, types: PhantomData })
    }
}

/// A workflow that takes an `I` and gives a `T`.
#[derive(Debug)]
pub(crate) struct Typed<I, T> {
    workflow: Arc<Workflow>,
    last: String,
    types: PhantomData<fn(I) -> T>,
}

impl<I: Serialize, T: DeserializeOwned> Typed<I, T> {
    /// A run of it, to be started.
    ///
    /// # Errors
    /// Where what it is given is not JSON.
    pub(crate) fn given(&self, given: &I) -> Result<StartRun, serde_json::Error> {
        Ok(StartRun::new(self.workflow.clone()).input("given", serde_json::to_value(given)?))
    }

    /// What a run has given.
    ///
    /// # Errors
    /// What went wrong, if it has not completed.
    pub(crate) fn result(&self, report: &RunReport) -> Result<T, String> {
        match report.output::<(T,)>(&self.last) {
            Ok((given,)) => Ok(given),
            Err(_) if report.status != "completed" => {
                Err(report.error.clone().unwrap_or_else(|| format!("the run is {}", report.status)))
            }
            Err(error) => Err(format!("another version of this program has given something else: {error}")),
        }
    }
}
