//! A double to work on, and steps that do.

use std::sync::Arc;

use orchestrator_core::machine::Arrival;
use orchestrator_core::port::plugin::{Outcome, Plugin, Reconciled};
use orchestrator_plugins::Github;
use serde_json::{Value, json};

use crate::double::Server;
use crate::double::hub::Hub;
use crate::stage::{self, Log};

/// Longer than anything here takes; reached only by what hangs.
const HANG: std::time::Duration = std::time::Duration::from_secs(60);

/// A hub, and one plugin that all steps share.
pub(crate) struct Place {
    pub(crate) hub: Server<Hub>,
    pub(crate) github: Github,
}

impl Place {
    /// With a branch `fix` to propose.
    pub(crate) fn new() -> Self {
        let hub = Hub::start();
        hub.with(|hub| hub.heads.insert("acme:fix".to_owned(), sha('a')));
        Self { hub, github: Github::default() }
    }

    /// A whole `with`.
    pub(crate) fn with(&self, given: &Value) -> Value {
        let mut with = json!({
            "repository": "acme/site",
            "base_url": self.hub.url,
            "token": "token-of-ada",
        });
        for (key, value) in given.as_object().unwrap() {
            with[key] = value.clone();
        }
        with
    }

    pub(crate) async fn execute(&self, given: Value) -> (Outcome, Arc<Log>) {
        self.goes_on(given, None).await
    }

    /// As [`Self::execute`], after a wait.
    pub(crate) async fn goes_on(&self, given: Value, arrival: Option<Arrival>) -> (Outcome, Arc<Log>) {
        let folder = tempfile::tempdir().unwrap();
        let (mut context, log) = stage::context(folder.path());
        context.arrival = arrival;
        let request = stage::request(self.with(&given));
        let outcome = tokio::time::timeout(HANG, self.github.execute(context, request)).await;
        (outcome.expect("the step hangs"), log)
    }

    /// As [`Self::execute`], as an attempt that has had earlier ones.
    pub(crate) async fn attempt(&self, attempt: u32, given: Value) -> Outcome {
        let folder = tempfile::tempdir().unwrap();
        let (mut context, _) = stage::context(folder.path());
        context.attempt = attempt;
        self.github.execute(context, stage::request(self.with(&given))).await
    }

    pub(crate) async fn gives(&self, given: Value) -> Value {
        stage::output(self.execute(given).await.0)
    }

    pub(crate) async fn fails(&self, given: Value) -> (orchestrator_core::spec::retry::ErrorClass, String) {
        stage::failure(self.execute(given).await.0)
    }

    pub(crate) async fn reconcile(&self, given: Value) -> Reconciled {
        let folder = tempfile::tempdir().unwrap();
        let (context, _) = stage::context(folder.path());
        self.github.reconcile(context, stage::request(self.with(&given))).await
    }

    /// Opens a pull request from `fix` to `main`, which gets number 1.
    pub(crate) async fn opened(&self) -> Value {
        self.gives(open()).await
    }
}

pub(crate) fn open() -> Value {
    json!({ "do": "open", "head": "fix", "base": "main", "title": "Fix it", "body": "At last." })
}

/// A full name of a commit, of one digit.
pub(crate) fn sha(digit: char) -> String {
    digit.to_string().repeat(40)
}
