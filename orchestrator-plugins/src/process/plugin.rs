//! A kind of step that an executable brings.

use std::sync::Arc;

use async_trait::async_trait;
use orchestrator_core::port::plugin::{Context, ExpectedSignal, Outcome, Plugin, Reconciled, Request};
use orchestrator_core::spec::EffectClass;
use serde_json::Value;

use super::conversation::Conversation;
use super::host::{Host, described};
use super::manifest::{Kind, Signal};
use super::refusal::NotAPlugin;
use crate::config;
use crate::resident::Executable;

/// A kind of step that an executable brings, which speaks JSON over its standard streams: see
/// `docs/plugins/out-of-process.md` for the protocol.
///
/// The executable is started when a step first needs it, shared by all steps of its kinds, started anew when it has died, and
/// ended with all that it has started when the last of its kinds is dropped, or this process dies. It sees of the environment
/// what [`Executable`] says, and a secret only where its schema says that one may stand and a step gives it. An executable is
/// trusted as this program is: it is not confined.
///
/// If it dies in the middle of an attempt, the outcome is unknown: a step that is `at_most_once`, as all are of which the
/// executable does not say otherwise, waits for somebody's word, any other is attempted again as its `retry` says.
#[derive(Debug)]
pub struct Process {
    host: Arc<Host>,
    /// Which of the kinds of the host.
    at: usize,
}

impl Process {
    /// Starts an executable, asks which kinds of steps it brings, and ends it. A kind for each of these is given, in its order.
    ///
    /// # Errors
    /// Where it cannot be started, does not answer within 10 s, or says what does not fit: each with its place.
    pub async fn discover(executable: Executable) -> Result<Vec<Arc<dyn Plugin>>, NotAPlugin> {
        let not = |wrong| NotAPlugin { program: executable.program().to_owned(), wrong };
        let conversation =
            Conversation::start(&executable).await.map_err(|error| not(vec![error.message.to_string()]))?;
        let manifest = described(&conversation).await.map_err(not)?;
        let kinds = manifest.kinds.len();
        let host = Arc::new(Host::new(executable, manifest));
        Ok((0..kinds).map(|at| Arc::new(Self { host: host.clone(), at }) as Arc<dyn Plugin>).collect())
    }

    fn of(&self) -> &Kind {
        &self.host.manifest.kinds[self.at]
    }
}

#[async_trait]
impl Plugin for Process {
    fn kind(&self) -> &str {
        &self.of().kind
    }

    fn summary(&self) -> &str {
        &self.of().summary
    }

    fn config_schema(&self) -> &Value {
        &self.of().config_schema
    }

    fn output_schema(&self) -> &Value {
        &self.of().output_schema
    }

    fn effect_class(&self, _: &Value) -> EffectClass {
        self.of().effect
    }

    fn reaches(&self, _: &Value) -> Vec<String> {
        let runs = format!("is executed by {}", self.host.executable.program());
        std::iter::once(runs).chain(self.of().reaches.iter().cloned()).collect()
    }

    fn signal(&self, with: &Value) -> Option<ExpectedSignal> {
        let name = match self.of().signal.as_ref()? {
            Signal::Name(name) => Some(name.clone()),
            Signal::With(key) => config::settled(with, key).map(str::to_owned),
        };
        Some(ExpectedSignal { name, schema: None })
    }

    async fn execute(&self, context: Context, request: Request) -> Outcome {
        self.host.execute(self.of(), &context, &request).await
    }

    async fn reconcile(&self, context: Context, request: Request) -> Reconciled {
        if !self.of().reconcile {
            return Reconciled::Unknown;
        }
        self.host.reconcile(self.of(), &context, &request).await
    }
}
