//! What an author writes.

use std::path::Path;
use std::time::Duration;

use orchestrator_core::machine::StepError;
use orchestrator_core::port::plugin::{ConfigIssue, Context};
use orchestrator_core::spec::expr::{Reference, Scope, Template};
use orchestrator_core::value::Digest;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::price::Price;
use super::question::{Message, Question, Role, Tool};
use super::wire::Api;
use crate::below;
use crate::config::invalid;
use crate::{config, duration};

/// The name of the built-in model.
pub(super) const MOCK: &str = "mock";

/// How long an answer may take where the author does not say.
pub(super) const TIMEOUT: &str = "2m";

/// The longest `timeout`: one hour.
const TIMEOUT_MAX: Duration = Duration::from_secs(3_600);

/// How often an answer of the wrong shape is asked for again where the author does not say.
pub(super) const REPAIRS: u32 = 2;

/// The longest prompt file: 1 MiB.
const FILE_MAX: u64 = 1 << 20;

/// The words of `tool_choice` that are not the name of a tool.
const CHOICES: [&str; 3] = ["auto", "none", "required"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Config {
    #[serde(default)]
    pub(super) model: Option<String>,
    #[serde(default)]
    pub(super) api: Option<Api>,
    #[serde(default)]
    pub(super) base_url: Option<String>,
    #[serde(default)]
    pub(super) api_key: Option<String>,
    #[serde(default)]
    pub(super) api_key_env: Option<String>,
    #[serde(default)]
    prompt: Option<String>,
    #[serde(default)]
    prompt_file: Option<String>,
    #[serde(default)]
    inputs: Option<Map<String, Value>>,
    #[serde(default)]
    messages: Option<Vec<Message>>,
    #[serde(default)]
    system: Option<String>,
    #[serde(default)]
    tools: Vec<Tool>,
    #[serde(default)]
    tool_choice: Option<String>,
    #[serde(default)]
    pub(super) schema: Option<Value>,
    #[serde(default)]
    repairs: Option<u32>,
    #[serde(default)]
    temperature: Option<f64>,
    #[serde(default)]
    pub(super) max_tokens: Option<u64>,
    #[serde(default)]
    options: Map<String, Value>,
    #[serde(default)]
    pub(super) stream: Option<bool>,
    #[serde(default)]
    timeout: Option<String>,
    #[serde(default)]
    pub(super) price: Option<Price>,
    #[serde(default)]
    pub(super) max_usd: Option<f64>,
    #[serde(default)]
    pub(super) fallbacks: Vec<Fallback>,
    #[serde(default)]
    pub(super) replies: Option<Vec<Value>>,
}

/// A model that is asked where the ones before it have failed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Fallback {
    pub(super) model: String,
    #[serde(default)]
    pub(super) api: Option<Api>,
    #[serde(default)]
    pub(super) base_url: Option<String>,
    #[serde(default)]
    pub(super) api_key: Option<String>,
    #[serde(default)]
    pub(super) api_key_env: Option<String>,
    #[serde(default)]
    pub(super) max_tokens: Option<u64>,
    #[serde(default)]
    pub(super) price: Option<Price>,
}

impl Config {
    /// How long an answer may take.
    pub(super) fn timeout(&self) -> Result<Duration, StepError> {
        let timeout = time(self.timeout.as_deref().unwrap_or(TIMEOUT));
        timeout.map_err(|message| invalid(format!("`timeout`: {message}")))
    }

    /// How many questions an attempt puts to one model at most.
    pub(super) fn questions(&self) -> u32 {
        match &self.schema {
            Some(_) => self.repairs.unwrap_or(REPAIRS).saturating_add(1),
            None => 1,
        }
    }

    /// What is asked.
    ///
    /// # Errors
    /// Class `invalid`, naming the key.
    pub(super) async fn question(&self, context: &Context) -> Result<Question, StepError> {
        match &self.prompt_file {
            Some(path) => {
                let (prompt, digest) = prompt_of(context, path, self.inputs.as_ref()).await?;
                let mut question = self.question_of(Some(prompt))?;
                question.file = Some((path.clone(), digest));
                Ok(question)
            }
            None => self.inline(),
        }
    }

    /// What is asked, where all of it stands in the config.
    ///
    /// # Errors
    /// As [`Config::question`].
    pub(super) fn inline(&self) -> Result<Question, StepError> {
        self.question_of(self.prompt.clone())
    }

    fn question_of(&self, prompt: Option<String>) -> Result<Question, StepError> {
        if self.prompt_file.is_some() && self.prompt.is_some() {
            return Err(invalid("`prompt` and `prompt_file` exclude each other"));
        }
        let messages = match (prompt, &self.messages) {
            (Some(content), None) => vec![Message::said(Role::User, content)],
            (None, Some(messages)) if !messages.is_empty() => messages.clone(),
            (None, Some(_)) => return Err(invalid("`messages` is empty")),
            _ => return Err(invalid("exactly one of `prompt`, `prompt_file` and `messages` is needed")),
        };
        if let Some(choice) = &self.tool_choice
            && let Some(problem) = choice_problem(choice, self.tools.iter().map(|tool| tool.name.as_str()))
        {
            return Err(invalid(format!("`tool_choice`: {problem}")));
        }
        Ok(Question {
            system: self.system.clone(),
            messages,
            tools: self.tools.clone(),
            tool_choice: self.tool_choice.clone(),
            schema: self.schema.clone(),
            temperature: self.temperature,
            options: self.options.clone(),
            file: None,
        })
    }
}

/// The prompt in a file, with the inputs that it names, and the digest of the file.
async fn prompt_of(
    context: &Context,
    path: &str,
    inputs: Option<&Map<String, Value>>,
) -> Result<(String, Digest), StepError> {
    let wrong = |why: String| invalid(format!("`prompt_file`: {path}: {why}"));
    let bytes = below::read(&context.workdir, path, "prompt_file", FILE_MAX).await?;
    if bytes.len() as u64 > FILE_MAX {
        return Err(wrong(format!("it is longer than {FILE_MAX} bytes")));
    }
    let digest = Digest::of(&bytes);
    let text = String::from_utf8(bytes).map_err(|_| wrong("it is not UTF-8".to_owned()))?;
    let template = Template::compile(text.into()).map_err(|error| wrong(error.message))?;
    if template.references().iter().any(|reference| !matches!(reference, Reference::Input(_))) {
        let why = "it sees only `inputs`, which the step gives it: `${{ inputs.NAME }}`";
        return Err(wrong(why.to_owned()));
    }
    let inputs = Value::Object(inputs.cloned().unwrap_or_default()).into();
    let text = template.render_text(&Scope { inputs, ..Scope::default() });
    Ok((text.map_err(|error| wrong(error.message))?, digest))
}

/// What is wrong with a choice of a tool, if anything is.
fn choice_problem<'a>(choice: &str, mut names: impl Iterator<Item = &'a str>) -> Option<String> {
    let is_known = CHOICES.contains(&choice) || names.any(|name| name == choice);
    (!is_known).then(|| format!("`{choice}` is neither auto, none, required nor the name of one of `tools`"))
}

fn time(text: &str) -> Result<Duration, String> {
    match duration::parse(text)? {
        Duration::ZERO => Err("no answer takes no time; use at least 1ms".to_owned()),
        timeout if timeout > TIMEOUT_MAX => {
            Err("longer than 1h, the longest timeout of an answer".to_owned())
        }
        timeout => Ok(timeout),
    }
}

/// What is wrong with a config as written, beyond its schema.
pub(super) fn issues(with: &Value) -> Vec<ConfigIssue> {
    let mut issues = Vec::new();
    let mut wrong = |path: &[&str], message: &str, hint: Option<&str>| {
        issues.push(config::issue(path, message, hint));
    };
    server_issues(with, &mut wrong);
    prompt_issues(with, &mut wrong);
    if let Some(Err(message)) = config::settled(with, "timeout").map(time) {
        wrong(&["timeout"], &message, None);
    }
    let is_settled = |value: &&Value| !config::any_open(value);
    if let Some(schema) = with.get("schema").filter(is_settled)
        && let Err(message) = super::shape::Shape::compile(schema)
    {
        wrong(&["schema"], &message, None);
    }
    if config::given(with, "repairs") && !config::given(with, "schema") {
        wrong(&["repairs"], "there is no `schema` that an answer would have to fit", None);
    }
    if let (Some(choice), Some(tools)) =
        (config::settled(with, "tool_choice"), with.get("tools").filter(is_settled))
    {
        let tools = tools.as_array().into_iter().flatten();
        let names = tools.filter_map(|tool| tool.get("name").and_then(Value::as_str));
        if let Some(problem) = choice_problem(choice, names) {
            wrong(&["tool_choice"], &problem, None);
        }
    }
    if config::given(with, "tool_choice") && !config::given(with, "tools") {
        wrong(&["tool_choice"], "there are no `tools` to choose from", None);
    }
    issues
}

fn server_issues(with: &Value, wrong: &mut impl FnMut(&[&str], &str, Option<&str>)) {
    let model = config::settled(with, "model");
    if let Some(model) = model
        && model != MOCK
        && !config::given(with, "base_url")
        && !config::given(with, "api")
    {
        let shown = crate::outbound::shortened(model, 60);
        wrong(
            &["model"],
            &format!("`{shown}` needs a `base_url`: only `mock` is built in"),
            Some(
                "add the server's address, for example `base_url: https://api.openai.com/v1`, or the `api` of its maker",
            ),
        );
    }
    if let Some(Err(message)) = config::settled(with, "base_url").map(|url| Api::Chat.endpoint(url)) {
        wrong(&["base_url"], &message, None);
    }
    if config::given(with, "api_key") && config::given(with, "api_key_env") {
        wrong(&["api_key_env"], "`api_key` and `api_key_env` exclude each other", Some("keep one of them"));
    }
    if config::given(with, "replies") && model.is_some_and(|model| model != MOCK) {
        wrong(&["replies"], "only the built-in model `mock` is told what to reply", None);
    }
    let fallbacks = with.get("fallbacks").and_then(Value::as_array);
    for (place, fallback) in fallbacks.into_iter().flatten().enumerate() {
        let place = place.to_string();
        if let Some(Err(message)) = config::settled(fallback, "base_url").map(|url| Api::Chat.endpoint(url)) {
            wrong(&["fallbacks", &place, "base_url"], &message, None);
        }
        if config::given(fallback, "api_key") && config::given(fallback, "api_key_env") {
            let message = "`api_key` and `api_key_env` exclude each other";
            wrong(&["fallbacks", &place, "api_key_env"], message, Some("keep one of them"));
        }
    }
}

fn prompt_issues(with: &Value, wrong: &mut impl FnMut(&[&str], &str, Option<&str>)) {
    let given: Vec<&str> =
        ["prompt", "prompt_file", "messages"].into_iter().filter(|key| config::given(with, key)).collect();
    match given[..] {
        [] => wrong(
            &[],
            "neither `prompt`, `prompt_file` nor `messages` is given",
            Some("write what the model is asked as `prompt:`"),
        ),
        [_] => {}
        [one, .., other] => {
            let message = format!("`{one}` and `{other}` exclude each other");
            wrong(&[other], &message, Some("keep one of them"));
        }
    }
    if with.get("messages").and_then(Value::as_array).is_some_and(Vec::is_empty) {
        wrong(&["messages"], "the list is empty", None);
    }
    if let Some(path) = config::settled(with, "prompt_file")
        && !below::is_below(Path::new(path))
    {
        wrong(&["prompt_file"], "it is not a path below the folder of the run", None);
    }
    if config::given(with, "inputs") && !config::given(with, "prompt_file") {
        wrong(&["inputs"], "there is no `prompt_file` that would name them", None);
    }
}
