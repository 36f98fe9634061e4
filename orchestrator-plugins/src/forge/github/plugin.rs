//! What the plugin tells of itself.

use std::sync::{Arc, LazyLock};

use async_trait::async_trait;
use orchestrator_core::machine::StepError;
use orchestrator_core::port::plugin::{ConfigIssue, Context, Outcome, Plugin, Reconciled, Request};
use orchestrator_core::spec::EffectClass;
use reqwest::header::{ACCEPT, HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};

use super::app::{Login, Tokens};
use super::hub::{Hub, parts};
use crate::branch;
use crate::config;
use crate::forge::action::{self, Config};
use crate::forge::halt::{outcome, reconciled};
use crate::forge::line::Line;
use crate::forge::login::{self, Given};
use crate::forge::port::Dialect;
use crate::forge::schema::SHA;
use crate::forge::{name, schema};
use crate::outbound::Outbound;

static DIALECT: Dialect = Dialect {
    kind: "github",
    name: "GitHub",
    pull: "pull request",
    base_url: "https://api.github.com",
    methods: &["merge", "squash", "rebase"],
    credentials: &["token", "app"],
    repository,
    head,
    title: name::line,
    text: str::to_owned,
};

static CONFIG: LazyLock<Value> = LazyLock::new(|| {
    let repository = json!({
        "type": "string", "minLength": 1, "description": "The repository, as OWNER/NAME.", "examples": ["acme/site"],
    });
    let app = json!({
        "type": "object",
        "required": ["id", "private_key"],
        "additionalProperties": false,
        "description": "A GitHub App, in place of `token`.",
        "properties": {
            "id": {
                "oneOf": [{ "type": "integer", "minimum": 1 }, { "type": "string", "minLength": 1 }],
                "description": "The id of the app, or its client id.",
            },
            "installation": {
                "type": "integer", "minimum": 1,
                "description": "The id of its installation; found by the repository if not given.",
            },
            "private_key": {
                "type": "string", "minLength": 1, "secret": true,
                "description": "Its private key (PEM), from a secret.",
            },
        },
        "examples": [{ "id": 12345, "private_key": "${{ secrets.APP_KEY }}" }],
    });
    let examples = json!([
        { "do": "open", "repository": "acme/site", "head": "fix-typo", "base": "main", "title": "Fix a typo", "token": "${{ secrets.FORGE_TOKEN }}" },
        { "do": "checks", "repository": "acme/site", "sha": SHA, "every": "1m" },
        { "do": "merge", "repository": "acme/site", "number": 7, "sha": SHA, "token": "${{ secrets.FORGE_TOKEN }}" },
    ]);
    schema::config(&DIALECT, &repository, &examples, Some(app))
});

static OUTPUT: LazyLock<Value> = LazyLock::new(|| schema::output(&DIALECT));

/// Works on GitHub: `do` is one of open, comment, checks, logs, merge.
///
/// **Every action may be repeated.** What has been done already is found and taken: an open pull request from the same
/// branch to the same base is brought up to date, never opened twice; a comment is known by a hidden mark in it; a merge
/// names the commit that the head must be, and one that is done is fine. An attempt of unknown outcome is settled by a look.
///
/// **`checks` waits without a slot**, across restarts, and looks again every 30 s. No checks at all, or not those in `require`,
/// are waited for. The step's `deadline` bounds it.
///
/// **Credentials** are a token, or an app: its token for the repository is kept in this process, shared by steps with the same
/// app and key, replaced before it ends, and once when it is not taken. They are sent over https, or http to this machine, to
/// the API alone: not to another host that a log is fetched from.
///
/// Reached limits are `rate_limited`, with how long GitHub asks to wait; 5xx is `transient`, 401 and 403 `denied`, other 4xx
/// `invalid`. Logs are masked before they are cut.
#[derive(Debug, Default)]
pub struct Github {
    outbound: Arc<Outbound>,
    tokens: Tokens,
}

impl Github {
    /// The plugin over a way out that the host program has described, and that other plugins may share.
    #[must_use]
    pub fn over(outbound: Arc<Outbound>) -> Self {
        Self { outbound, tokens: Tokens::default() }
    }
}

/// What a request names.
struct Named {
    owner: String,
    name: String,
    with: Config,
}

impl Named {
    fn read(with: Value) -> Result<Self, StepError> {
        let with = action::read(&DIALECT, with)?;
        let repository = with.repository.text();
        let (owner, name) = parts(&repository)?;
        Ok(Self { owner: owner.to_owned(), name: name.to_owned(), with })
    }

    fn login(&self, tokens: &Tokens) -> Option<Login<'_>> {
        let place = (&*self.owner, &*self.name);
        let with = &self.with;
        with.app.as_ref().map(|app| Login::of(tokens, app, with.base_url.as_deref(), place))
    }

    fn hub<'a>(
        &'a self,
        outbound: &'a Outbound,
        context: &'a Context,
        app: Option<&'a Login<'a>>,
    ) -> Result<Hub<'a>, StepError> {
        let login: Box<dyn login::Login + 'a> = match app {
            Some(app) => Box::new(app.clone()),
            None => Box::new(Given(self.with.token.clone())),
        };
        let line = Line::to(&DIALECT, (outbound, context), &self.with, headers(), login)?;
        Ok(Hub { line, owner: &self.owner, name: &self.name, app })
    }
}

#[async_trait]
impl Plugin for Github {
    fn kind(&self) -> &str {
        DIALECT.kind
    }

    fn summary(&self) -> &str {
        "works on GitHub: opens, comments on and merges pull requests, waits for checks, fetches logs"
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
        let named = match Named::read(request.with) {
            Ok(named) => named,
            Err(error) => return config::refused(error),
        };
        let app = named.login(&self.tokens);
        match named.hub(&self.outbound, &context, app.as_ref()) {
            Ok(hub) => outcome(action::carry_out(&hub, &context, &named.with).await),
            Err(error) => config::refused(error),
        }
    }

    async fn reconcile(&self, context: Context, request: Request) -> Reconciled {
        let Ok(named) = Named::read(request.with) else { return Reconciled::NotApplied };
        let app = named.login(&self.tokens);
        match named.hub(&self.outbound, &context, app.as_ref()) {
            Ok(hub) => reconciled(action::look(&hub, &context, &named.with).await),
            // Nothing was ever sent there.
            Err(_) => Reconciled::NotApplied,
        }
    }
}

fn headers() -> HeaderMap {
    HeaderMap::from_iter([
        (ACCEPT, HeaderValue::from_static("application/vnd.github+json")),
        (HeaderName::from_static("x-github-api-version"), HeaderValue::from_static("2022-11-28")),
    ])
}

fn repository(text: &str) -> Result<(), String> {
    match text.split_once('/') {
        Some((owner, name)) if name::is_part(owner) && name::is_part(name) => Ok(()),
        _ => {
            Err(format!("`{}` is not OWNER/NAME, of letters, digits, `-`, `_` and `.`", branch::shown(text)))
        }
    }
}

/// A branch, or that of a fork: `OWNER:BRANCH`.
fn head(text: &str) -> Result<(), String> {
    match text.split_once(':') {
        None => branch::check(text),
        Some((owner, _)) if !name::is_part(owner) => {
            Err(format!("`{}` is neither a branch nor OWNER:BRANCH", branch::shown(text)))
        }
        Some((_, head)) => branch::check(head),
    }
}
