//! What the plugin tells of itself.

use std::sync::{Arc, LazyLock};

use async_trait::async_trait;
use orchestrator_core::machine::StepError;
use orchestrator_core::port::plugin::{ConfigIssue, Context, Outcome, Plugin, Reconciled, Request};
use orchestrator_core::spec::EffectClass;
use reqwest::header::{ACCEPT, HeaderMap, HeaderValue};
use serde_json::{Value, json};

use super::lab::Lab;
use super::words;
use crate::branch;
use crate::config;
use crate::forge::action::{self, Config};
use crate::forge::halt::{outcome, reconciled};
use crate::forge::line::Line;
use crate::forge::login::Given;
use crate::forge::port::Dialect;
use crate::forge::schema::SHA;
use crate::forge::{name, schema};
use crate::outbound::Outbound;

static DIALECT: Dialect = Dialect {
    kind: "gitlab",
    name: "GitLab",
    pull: "merge request",
    base_url: "https://gitlab.com/api/v4",
    methods: &["merge", "squash"],
    credentials: &["token"],
    repository,
    head: branch::check,
    title,
    text: words::escaped,
};

static CONFIG: LazyLock<Value> = LazyLock::new(|| {
    let repository = json!({
        "oneOf": [{ "type": "string", "minLength": 1 }, { "type": "integer", "minimum": 1 }],
        "description": "The project: its full path, GROUP/NAME, or its id.",
        "examples": ["acme/web/site", 42],
    });
    let examples = json!([
        { "do": "open", "repository": "acme/site", "head": "fix-typo", "base": "main", "title": "Fix a typo", "token": "${{ secrets.FORGE_TOKEN }}" },
        { "do": "checks", "repository": 42, "sha": SHA, "every": "1m" },
        { "do": "merge", "repository": "acme/site", "number": 7, "sha": SHA, "token": "${{ secrets.FORGE_TOKEN }}" },
    ]);
    schema::config(&DIALECT, &repository, &examples, None)
});

static OUTPUT: LazyLock<Value> = LazyLock::new(|| schema::output(&DIALECT));

/// Works on GitLab: `do` is one of open, comment, checks, logs, merge.
///
/// **Every action may be repeated.** What has been done already is found and taken: an open merge request from the same
/// branch to the same target is brought up to date, never opened twice; a comment is known by a hidden mark in it; a merge
/// names the commit that the head must be, and one that is done is fine. An attempt of unknown outcome is settled by a look.
///
/// **`checks` waits without a slot**, across restarts, and looks again every 30 s: at the commit's statuses, its jobs among
/// them, and at its newest pipeline. No checks at all, or not those in `require`, are waited for. The step's `deadline` bounds it.
///
/// **The token** is sent over https, or http to this machine, to the API alone. Whether commits are rebased is a setting of the
/// project; `method` is merge or squash.
///
/// Reached limits are `rate_limited`, with how long GitLab asks to wait; 5xx is `transient`, 401 and 403 `denied`, other 4xx
/// `invalid`. Logs are masked before they are cut.
#[derive(Debug, Default)]
pub struct Gitlab {
    outbound: Arc<Outbound>,
}

impl Gitlab {
    /// The plugin over a way out that the host program has described, and that other plugins may share.
    #[must_use]
    pub const fn over(outbound: Arc<Outbound>) -> Self {
        Self { outbound }
    }

    fn lab<'a>(&'a self, context: &'a Context, with: &Config) -> Result<Lab<'a>, StepError> {
        let headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static("application/json"))]);
        let login = Box::new(Given(with.token.clone()));
        let line = Line::to(&DIALECT, (&self.outbound, context), with, headers, login)?;
        Ok(Lab { line, project: with.repository.text() })
    }
}

#[async_trait]
impl Plugin for Gitlab {
    fn kind(&self) -> &str {
        DIALECT.kind
    }

    fn summary(&self) -> &str {
        "works on GitLab: opens, comments on and merges merge requests, waits for pipelines, fetches logs"
    }

    fn config_schema(&self) -> &Value {
        &CONFIG
    }

    fn output_schema(&self) -> &Value {
        &OUTPUT
    }

    fn effect_class(&self, with: &Value) -> EffectClass {
        action::effect(with)
    }

    fn validate(&self, with: &Value) -> Vec<ConfigIssue> {
        action::issues(&DIALECT, with, config::Stage::Written)
    }

    fn reaches(&self, with: &Value) -> Vec<String> {
        action::reaches(&DIALECT, with)
    }

    async fn execute(&self, context: Context, request: Request) -> Outcome {
        let with = match action::read(&DIALECT, request.with) {
            Ok(with) => with,
            Err(error) => return config::refused(error),
        };
        match self.lab(&context, &with) {
            Ok(lab) => outcome(action::carry_out(&lab, &context, &with).await),
            Err(error) => config::refused(error),
        }
    }

    async fn reconcile(&self, context: Context, request: Request) -> Reconciled {
        let Ok(with) = action::read(&DIALECT, request.with) else { return Reconciled::NotApplied };
        match self.lab(&context, &with) {
            Ok(lab) => reconciled(action::look(&lab, &context, &with).await),
            // Nothing was ever sent there.
            Err(_) => Reconciled::NotApplied,
        }
    }
}

/// The full path of a project, or its id.
fn repository(text: &str) -> Result<(), String> {
    let is_id = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let mut parts = text.split('/');
    match is_id || (text.contains('/') && parts.all(name::is_part)) {
        true => Ok(()),
        false => Err(format!(
            "`{}` is neither the full path of a project, GROUP/NAME, nor its id",
            branch::shown(text)
        )),
    }
}

/// A title that does not itself say that it is a draft's: GitLab keeps that in the title, and `draft` says it.
fn title(text: &str) -> Result<(), String> {
    name::line(text)?;
    match words::is_draft(text) {
        true => Err(format!(
            "`{}` begins as the title of a draft does; leave that out, and write `draft: true`",
            branch::shown(text)
        )),
        false => Ok(()),
    }
}
