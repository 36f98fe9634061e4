//! Giving signals: what is refused before a run is told.

use std::sync::Arc;

use serde_json::Value;

use crate::engine::error::CommandError;
use crate::engine::handle::Receipt;
use crate::engine::shared::Shared;
use crate::id::RunId;
use crate::machine::{Asked, Command};
use crate::port::plugin::ExpectedSignal;
use crate::port::store::StoreError;
use crate::spec::Workflow;
use crate::spec::schema::check_value;
use crate::value::{ValueRef, check_storable};

impl Shared {
    pub(crate) async fn signal(
        &self,
        run: RunId,
        name: &str,
        data: &Value,
        asked: Asked,
    ) -> Result<Receipt, CommandError> {
        let row = self.store.run(run).await?.ok_or(CommandError::NotFound(run))?;
        let revision = row.new.revision;
        let gone = || StoreError::Corrupt(format!("revision {revision} is gone"));
        let text = self.store.revision(revision).await?.ok_or_else(gone)?;
        let loaded = self.library.read(revision, &row.new.workflow, &text)?;
        // Of one that has ended there is more to say than that.
        if row.finished_at.is_none() {
            self.check_signal(&loaded.workflow, name, data)?;
        }
        check_storable(data).map_err(|error| CommandError::InvalidSignal(error.to_string()))?;
        let data = ValueRef::Inline(data.to_string().into());
        self.command(run, Command::Signal { name: name.into(), data, asked }).await
    }

    /// Whether some step may wait for such a signal.
    fn check_signal(&self, workflow: &Workflow, name: &str, data: &Value) -> Result<(), CommandError> {
        let expected = workflow.steps.iter().filter_map(|step| {
            let plugin = self.registry.get(&step.uses)?;
            plugin.signal(&step.with.as_written())
        });
        let expected: Vec<ExpectedSignal> = expected.collect();
        let of_name = |signal: &&ExpectedSignal| signal.name.as_deref().is_none_or(|of| of == name);
        let mut fitting = expected.iter().filter(of_name).peekable();
        if fitting.peek().is_none() {
            let mut known: Vec<String> = Vec::new();
            for name in expected.into_iter().filter_map(|signal| signal.name) {
                if !known.contains(&name) {
                    known.push(name);
                }
            }
            return Err(CommandError::UnknownSignal { name: Arc::from(name), known });
        }
        let mut misfit = None;
        for signal in fitting {
            let Some(schema) = &signal.schema else { return Ok(()) };
            let Some(issue) = check_value(schema, data).into_iter().next() else { return Ok(()) };
            misfit.get_or_insert_with(|| match issue.path.is_empty() {
                true => issue.message,
                false => format!("`{}`: {}", issue.path.join("."), issue.message),
            });
        }
        misfit.map_or(Ok(()), |misfit| Err(CommandError::InvalidSignal(misfit)))
    }
}
