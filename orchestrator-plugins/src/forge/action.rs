//! What a step asks for, and who does it.

use orchestrator_core::machine::StepError;
use orchestrator_core::port::plugin::{ConfigIssue, Context};
use orchestrator_core::spec::EffectClass;
use serde::Deserialize;
use serde_json::Value;

use super::halt::Halt;
use super::port::{Dialect, Forge, Method};
use super::{checks, comment, logs, merge, name, open};
use crate::config::Stage;
use crate::{branch, config, outbound};

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Do {
    Open,
    Comment,
    Checks,
    Logs,
    Merge,
}

impl Do {
    /// All of them, as they are written.
    pub(super) const ALL: [(&'static str, Self); 5] = [
        ("open", Self::Open),
        ("comment", Self::Comment),
        ("checks", Self::Checks),
        ("logs", Self::Logs),
        ("merge", Self::Merge),
    ];

    fn of(with: &Value) -> Option<Self> {
        let name = config::settled(with, "do")?;
        Self::ALL.iter().find(|(written, _)| *written == name).map(|(_, action)| *action)
    }

    fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, action)| *action == self).map_or("", |(written, _)| written)
    }

    /// The keys that it needs beside `repository`, and those that it takes beside `base_url` and the credentials.
    const fn keys(self) -> (&'static [&'static str], &'static [&'static str]) {
        match self {
            Self::Open => (&["head", "base", "title"], &["body", "draft", "labels"]),
            Self::Comment => (&["number", "body"], &["marker"]),
            Self::Checks => (&["sha"], &["every", "require", "fail"]),
            Self::Logs => (&[], &["sha", "run", "max_kib"]),
            Self::Merge => (&["number", "sha"], &["method"]),
        }
    }
}

/// A rendered `with`. Without `Debug`, for it holds credentials.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Config {
    #[serde(rename = "do")]
    pub(super) action: Do,
    pub(super) repository: Word,
    #[serde(default)]
    pub(super) base_url: Option<String>,
    #[serde(default)]
    pub(super) token: Option<String>,
    #[serde(default)]
    pub(super) app: Option<App>,
    #[serde(default)]
    pub(super) head: Option<String>,
    #[serde(default)]
    pub(super) base: Option<String>,
    #[serde(default)]
    pub(super) title: Option<String>,
    #[serde(default)]
    pub(super) body: Option<String>,
    #[serde(default)]
    pub(super) draft: Option<bool>,
    #[serde(default)]
    pub(super) labels: Option<Vec<String>>,
    #[serde(default)]
    pub(super) number: Option<u64>,
    #[serde(default)]
    pub(super) marker: Option<String>,
    #[serde(default)]
    pub(super) sha: Option<String>,
    #[serde(default)]
    pub(super) every: Option<String>,
    #[serde(default)]
    pub(super) require: Option<Vec<String>>,
    #[serde(default)]
    pub(super) fail: Option<bool>,
    #[serde(default)]
    pub(super) run: Option<u64>,
    #[serde(default)]
    pub(super) max_kib: Option<u64>,
    #[serde(default)]
    pub(super) method: Option<Method>,
}

/// A name or a number.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(super) enum Word {
    Text(String),
    Number(u64),
}

impl Word {
    pub(super) fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Number(number) => number.to_string(),
        }
    }
}

/// An app, which gets its tokens itself. Without `Debug`, for the key is secret.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(not(feature = "github"), expect(dead_code, reason = "only GitHub has apps"))]
pub(super) struct App {
    pub(super) id: Word,
    #[serde(default)]
    pub(super) installation: Option<u64>,
    pub(super) private_key: String,
}

/// Reads a rendered config, and checks what expressions have brought.
///
/// # Errors
/// Class `invalid`, with what is wrong first.
pub(super) fn read(dialect: &Dialect, with: Value) -> Result<Config, StepError> {
    config::free_of(issues(dialect, &with, Stage::Rendered))?;
    let mut with: Config = config::read(with)?;
    with.body = with.body.as_deref().map(dialect.text);
    Ok(with)
}

/// What a repetition does where the step does not say: all that changes something looks first whether it is there.
pub(super) fn effect(with: &Value) -> EffectClass {
    match Do::of(with) {
        Some(Do::Checks | Do::Logs) => EffectClass::Pure,
        _ => EffectClass::Idempotent,
    }
}

/// What leaves this process, for `plan`.
pub(super) fn reaches(dialect: &Dialect, with: &Value) -> Vec<String> {
    let text = |key: &str| match with.get(key) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        _ => "?".to_owned(),
    };
    let pull = dialect.pull;
    let what = match Do::of(with) {
        Some(Do::Open) => format!("opens a {pull} from {} to {}", text("head"), text("base")),
        Some(Do::Comment) => format!("comments on the {pull} {}", text("number")),
        Some(Do::Checks) => "looks at the checks".to_owned(),
        Some(Do::Logs) => "fetches the logs of failed jobs".to_owned(),
        Some(Do::Merge) => format!("merges the {pull} {}", text("number")),
        None => format!("asks {}", dialect.name),
    };
    let base = with.get("base_url").and_then(Value::as_str).unwrap_or(dialect.base_url);
    vec![format!("{what} of {} at {}", text("repository"), outbound::text_shown(base))]
}

/// What is wrong with a config, beyond its schema. Texts that are not known yet are not looked at.
pub(super) fn issues(dialect: &Dialect, with: &Value, stage: Stage) -> Vec<ConfigIssue> {
    let Some(action) = Do::of(with) else { return Vec::new() };
    let (needs, takes) = action.keys();
    let needs: Vec<&str> = ["repository"].iter().chain(needs).copied().collect();
    let takes: Vec<&str> = takes.iter().chain(&["base_url"]).chain(dialect.credentials).copied().collect();
    let mut issues = config::key_issues(action.name(), with, &needs, &takes);
    issues.extend(credential_issues(dialect, action, with));
    issues.extend(text_issues(dialect, with, stage));
    issues.extend(list_issues("labels", name::label, with, stage));
    issues.extend(list_issues("require", name::line, with, stage));
    if action == Do::Logs && config::given(with, "sha") == config::given(with, "run") {
        let hint = "`sha` gives those of all runs for a commit, `run` those of one";
        issues.push(config::issue(&[], "exactly one of `sha` and `run` is needed", Some(hint)));
    }
    if let Some(method) = stage.text(with, "method").filter(|method| !dialect.methods.contains(method)) {
        let shown = branch::shown(method);
        let message = format!("`{shown}` is not one of {}", dialect.methods.join(", "));
        issues.push(config::issue(&["method"], message, None));
    }
    issues
}

fn credential_issues(dialect: &Dialect, action: Do, with: &Value) -> Option<ConfigIssue> {
    let given: Vec<&str> =
        dialect.credentials.iter().filter(|key| config::given(with, key)).copied().collect();
    match given[..] {
        [one, other, ..] => {
            let message = format!("`{one}` and `{other}` exclude each other");
            Some(config::issue(&[other], message, Some("keep one of them")))
        }
        // Those of a public repository are there for everybody.
        [] if action != Do::Checks => {
            let message = format!("`do: {}` needs credentials", action.name());
            let hint = "declare `secrets: [FORGE_TOKEN]` and write `token: ${{ secrets.FORGE_TOKEN }}`";
            Some(config::issue(&[], message, Some(hint)))
        }
        _ => None,
    }
}

fn text_issues(dialect: &Dialect, with: &Value, stage: Stage) -> Vec<ConfigIssue> {
    let mut issues = Vec::new();
    let mut look = |key: &str, check: &dyn Fn(&str) -> Result<(), String>| {
        if let Some(Err(why)) = stage.text(with, key).map(check) {
            issues.push(config::issue(&[key], why, None));
        }
    };
    look("repository", &dialect.repository);
    look("base_url", &|text| name::base_url(text).map(drop));
    look("head", &dialect.head);
    look("base", &branch::check);
    look("title", &dialect.title);
    look("marker", &name::marker);
    look("sha", &name::sha);
    look("every", &|text| name::every(text).map(drop));
    if Do::of(with) == Some(Do::Comment) {
        look("body", &|text| if text.trim().is_empty() { Err("it is blank".to_owned()) } else { Ok(()) });
    }
    issues
}

fn list_issues(
    key: &str,
    check: fn(&str) -> Result<(), String>,
    with: &Value,
    stage: Stage,
) -> Vec<ConfigIssue> {
    let items = with.get(key).and_then(Value::as_array).into_iter().flatten();
    let texts = items.filter_map(Value::as_str).filter(|text| stage.knows(text));
    texts.filter_map(|text| check(text).err()).map(|why| config::issue(&[key], why, None)).collect()
}

/// Does it.
///
/// # Errors
/// Why it could not be done, or when it goes on.
pub(super) async fn carry_out(forge: &dyn Forge, context: &Context, with: &Config) -> Result<Value, Halt> {
    match with.action {
        Do::Open => open::carry_out(forge, context, with).await,
        Do::Comment => comment::carry_out(forge, context, with).await,
        Do::Checks => checks::carry_out(forge, context, with).await,
        Do::Logs => logs::carry_out(forge, context, with).await,
        Do::Merge => merge::carry_out(forge, context, with).await,
    }
}

/// Looks whether it has been done; `None` if not.
///
/// # Errors
/// Where that cannot be told.
pub(super) async fn look(forge: &dyn Forge, context: &Context, with: &Config) -> Result<Option<Value>, Halt> {
    match with.action {
        Do::Open => open::look(forge, context, with).await,
        Do::Comment => comment::look(forge, context, with).await,
        Do::Merge => merge::look(forge, with).await,
        // A repetition of these does what one execution does.
        Do::Checks | Do::Logs => Ok(None),
    }
}
