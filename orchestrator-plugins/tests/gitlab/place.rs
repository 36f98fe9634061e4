//! A double to work on, and steps that do.

use std::sync::Arc;

use orchestrator_core::port::plugin::{Outcome, Plugin, Reconciled};
use orchestrator_core::spec::retry::ErrorClass;
use orchestrator_plugins::Gitlab;
use serde_json::{Value, json};

use crate::double::Server;
use crate::double::lab::Lab;
use crate::stage::{self, Log};

/// Longer than anything here takes; reached only by what hangs.
const HANG: std::time::Duration = std::time::Duration::from_secs(60);

pub(crate) struct Place {
    pub(crate) lab: Server<Lab>,
}

impl Place {
    /// With a branch `fix` to propose.
    pub(crate) fn new() -> Self {
        let lab = Lab::start();
        lab.with(|lab| lab.heads.insert("fix".to_owned(), sha('a')));
        Self { lab }
    }

    /// A whole `with`.
    fn with(&self, given: &Value) -> Value {
        let mut with = json!({
            "repository": "acme/web/site",
            "base_url": format!("{}/api/v4", self.lab.url),
            "token": "token-of-ada",
        });
        for (key, value) in given.as_object().unwrap() {
            with[key] = value.clone();
        }
        with
    }

    pub(crate) async fn execute(&self, given: &Value) -> (Outcome, Arc<Log>) {
        let gitlab = Gitlab::default();
        let done = stage::execute(&gitlab, self.with(given));
        tokio::time::timeout(HANG, done).await.expect("the step hangs")
    }

    pub(crate) async fn gives(&self, given: &Value) -> Value {
        stage::output(self.execute(given).await.0)
    }

    pub(crate) async fn fails(&self, given: &Value) -> (ErrorClass, String) {
        stage::failure(self.execute(given).await.0)
    }

    pub(crate) async fn reconcile(&self, given: &Value) -> Reconciled {
        let folder = tempfile::tempdir().unwrap();
        let (context, _) = stage::context(folder.path());
        Gitlab::default().reconcile(context, stage::request(self.with(given))).await
    }
}

pub(crate) fn open() -> Value {
    json!({ "do": "open", "head": "fix", "base": "main", "title": "Fix it", "body": "At last." })
}

/// `with`, and more.
pub(crate) fn also(mut with: Value, more: &Value) -> Value {
    for (key, value) in more.as_object().unwrap() {
        with[key] = value.clone();
    }
    with
}

/// A full name of a commit, of one digit.
pub(crate) fn sha(digit: char) -> String {
    digit.to_string().repeat(40)
}
