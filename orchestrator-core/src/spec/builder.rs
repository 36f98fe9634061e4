//! The same workflows, written in Rust.
//!
//! A builder writes the JSON that an author could have written (JSON is YAML) and gives it to the parser, so that both
//! ways mean the same and fail alike.

use std::collections::BTreeMap;
use std::fmt;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::spec::parse::{Parsed, parse_built};
use crate::spec::retry::RetryPolicy;
use crate::spec::schema::Catalog;
use crate::spec::{
    Diagnostic, Diagnostics, EffectClass, Found, InputKind, OnExpiry, Sandbox, Severity, Sources, Workflow,
    duration,
};

/// Builds a [`Workflow`].
///
/// ```
/// # use orchestrator_core::spec::{Catalog, ConfigIssue, Facts};
/// # use serde_json::{Value, json};
/// # struct Registry(Value);
/// # impl Catalog for Registry {
/// #     fn kinds(&self) -> Vec<&str> { vec!["greet"] }
/// #     fn facts(&self, kind: &str) -> Option<Facts<'_>> {
/// #         (kind == "greet").then_some(Facts { config_schema: &self.0, output_schema: &self.0 })
/// #     }
/// #     fn check(&self, _: &str, _: &Value) -> Vec<ConfigIssue> { vec![] }
/// # }
/// # let registry = Registry(json!({"type": "string"}));
/// use orchestrator_core::spec::{Input, Workflow};
///
/// let workflow = Workflow::builder("hello")
///     .input("name", Input::string().default("world"))
///     .step("hi", |step| step.uses("greet").with("${{ inputs.name }}"))
///     .step("again", |step| step.uses("greet").with("${{ steps.hi.value }}").needs(["hi"]))
///     .output("text", "${{ steps.again.value }}")
///     .build(&registry)?;
/// assert_eq!(workflow.steps.len(), 2);
/// # Ok::<(), orchestrator_core::spec::Diagnostics>(())
/// ```
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct WorkflowBuilder {
    name: String,
    description: Option<String>,
    inputs: Vec<(String, Value)>,
    env: Vec<(String, Value)>,
    steps: Vec<(String, StepBuilder)>,
    outputs: Vec<(String, Value)>,
    children: Children,
    unserializable: Vec<(String, String)>,
}

/// The workflows that steps may name.
#[derive(Debug, Clone, Default)]
struct Children(BTreeMap<String, Arc<Workflow>>);

impl Sources for Children {
    fn find(&self, _: &str, reference: &str) -> Found {
        self.0.get(reference).map_or(Found::Unknown, |child| Found::Workflow(child.clone()))
    }
}

impl Workflow {
    /// Begins a workflow.
    pub fn builder(name: impl Into<String>) -> WorkflowBuilder {
        WorkflowBuilder::new(name)
    }
}

impl WorkflowBuilder {
    /// Begins a workflow.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            description: None,
            inputs: Vec::new(),
            env: Vec::new(),
            steps: Vec::new(),
            outputs: Vec::new(),
            children: Children::default(),
            unserializable: Vec::new(),
        }
    }

    /// Says what the workflow is for.
    pub fn description(mut self, text: impl Into<String>) -> Self {
        self.description = Some(text.into());
        self
    }

    /// Declares an input. An [`InputKind`] alone declares a required one.
    pub fn input(mut self, name: impl Into<String>, input: impl Into<Input>) -> Self {
        let (name, input) = (name.into(), input.into());
        if let Some(error) = input.error {
            self.unserializable.push((format!("inputs.{name}.default"), error));
        }
        self.inputs.push((name, Value::Object(input.fields)));
        self
    }

    /// Sets an environment variable of every step. The value may hold expressions.
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.push((name.into(), value.into().into()));
        self
    }

    /// Adds a step.
    pub fn step(
        mut self,
        name: impl Into<String>,
        describe: impl FnOnce(StepBuilder) -> StepBuilder,
    ) -> Self {
        let name = name.into();
        let step = describe(StepBuilder::default());
        self.unserializable
            .extend(step.errors.iter().map(|error| (format!("steps.{name}.with"), error.clone())));
        self.steps.push((name, step));
        self
    }

    /// Gives a name to a workflow that steps may run (`uses("workflow")`, `with` its name and its inputs). Names that are
    /// not given one are looked for among the registered workflows when a run is started.
    pub fn child(mut self, name: impl Into<String>, workflow: impl Into<Arc<Workflow>>) -> Self {
        self.children.0.insert(name.into(), workflow.into());
        self
    }

    /// Adds an output of the run: a value whose texts may hold expressions.
    pub fn output(mut self, name: impl Into<String>, value: impl Serialize) -> Self {
        let name = name.into();
        match serde_json::to_value(value) {
            Ok(value) => self.outputs.push((name, value)),
            Err(error) => self.unserializable.push((format!("outputs.{name}"), error.to_string())),
        }
        self
    }

    /// Validates the workflow.
    ///
    /// # Errors
    /// As [`crate::spec::parse()`], without places in a text.
    pub fn build(&self, catalog: &dyn Catalog) -> Result<Workflow, Diagnostics> {
        self.build_with_warnings(catalog).map(|parsed| parsed.workflow)
    }

    /// As [`Self::build`], with what its author should look at.
    ///
    /// # Errors
    /// As [`Self::build`].
    pub fn build_with_warnings(&self, catalog: &dyn Catalog) -> Result<Parsed, Diagnostics> {
        let parsed = parse_built(&self.to_text(), catalog, &self.children);
        if self.unserializable.is_empty() {
            return parsed;
        }
        let unserializable = self.unserializable.iter().map(|(path, message)| Diagnostic {
            severity: Severity::Error,
            span: None,
            path: path.clone(),
            code: "invalid_value",
            message: message.clone(),
            hint: None,
        });
        Err(Diagnostics(unserializable.chain(parsed.err().into_iter().flat_map(|found| found.0)).collect()))
    }

    /// The workflow as JSON, one step a line. [`crate::spec::parse()`] reads it back to the same workflow.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = Text(format!("{{\n\"name\":{}", json_text(&json!(self.name))));
        if let Some(description) = &self.description {
            text.field("description", &json!(description));
        }
        text.map("inputs", &self.inputs);
        text.map("env", &self.env);
        let steps: Vec<(String, Value)> =
            self.steps.iter().map(|(name, step)| (name.clone(), Value::Object(step.to_fields()))).collect();
        text.map("steps", &steps);
        text.map("outputs", &self.outputs);
        text.0.push_str("\n}\n");
        text.0
    }
}

/// JSON in the making, in the order in which it was described.
struct Text(String);

impl Text {
    fn field(&mut self, name: &str, value: &Value) {
        // Writing to a String does not fail.
        let _ = write!(self.0, ",\n\"{name}\":{}", json_text(value));
    }

    fn map(&mut self, name: &str, entries: &[(String, Value)]) {
        if entries.is_empty() {
            return;
        }
        let _ = write!(self.0, ",\n\"{name}\":{{");
        for (ix, (key, value)) in entries.iter().enumerate() {
            let comma = if ix == 0 { "" } else { "," };
            let _ = write!(self.0, "{comma}\n{}:{}", json_text(&json!(key)), json_text(value));
        }
        self.0.push('}');
    }
}

/// JSON that is YAML too: characters that YAML wants escaped are escaped.
fn json_text(value: &Value) -> String {
    let text = value.to_string();
    let special = |c: char| {
        matches!(c, '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
    };
    if !text.contains(special) {
        return text;
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if special(c) {
            let _ = write!(escaped, "\\u{:04x}", u32::from(c));
        } else {
            escaped.push(c);
        }
    }
    escaped
}

/// Declares an input.
#[derive(Debug, Clone)]
pub struct Input {
    fields: Map<String, Value>,
    error: Option<String>,
}

impl From<InputKind> for Input {
    fn from(kind: InputKind) -> Self {
        Self { fields: Map::from_iter([("type".to_owned(), json!(kind.name()))]), error: None }
    }
}

impl Input {
    /// A text.
    #[must_use]
    pub fn string() -> Self {
        InputKind::String.into()
    }

    /// A whole number.
    #[must_use]
    pub fn integer() -> Self {
        InputKind::Integer.into()
    }

    /// A number.
    #[must_use]
    pub fn number() -> Self {
        InputKind::Number.into()
    }

    /// `true` or `false`.
    #[must_use]
    pub fn boolean() -> Self {
        InputKind::Boolean.into()
    }

    /// A list.
    #[must_use]
    pub fn array() -> Self {
        InputKind::Array.into()
    }

    /// A mapping.
    #[must_use]
    pub fn object() -> Self {
        InputKind::Object.into()
    }

    /// Anything.
    #[must_use]
    pub fn any() -> Self {
        InputKind::Any.into()
    }

    /// The value of a run that gives none.
    #[must_use]
    pub fn default(mut self, value: impl Serialize) -> Self {
        match serde_json::to_value(value) {
            Ok(value) => _ = self.fields.insert("default".into(), value),
            Err(error) => self.error = Some(error.to_string()),
        }
        self
    }

    /// Says what the input is for.
    #[must_use]
    pub fn description(mut self, text: impl Into<String>) -> Self {
        self.fields.insert("description".into(), text.into().into());
        self
    }
}

/// Describes a step.
#[derive(Debug, Clone, Default)]
#[must_use = "a description does nothing until it is given back"]
pub struct StepBuilder {
    fields: Map<String, Value>,
    env: Map<String, Value>,
    errors: Vec<String>,
}

impl StepBuilder {
    fn set(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.fields.insert(key.into(), value.into());
        self
    }

    /// Names the plugin that executes the step.
    pub fn uses(self, kind: impl Into<String>) -> Self {
        self.set("uses", kind.into())
    }

    /// Executes a shell script.
    pub fn run(self, script: impl Into<String>) -> Self {
        self.set("run", script.into())
    }

    /// Configures the plugin: any value, whose texts may hold expressions.
    pub fn with(mut self, config: impl Serialize) -> Self {
        match serde_json::to_value(config) {
            Ok(value) => self.set("with", value),
            Err(error) => {
                self.errors.push(error.to_string());
                self
            }
        }
    }

    /// Names the steps that must have ended before.
    pub fn needs<N: Into<String>>(self, steps: impl IntoIterator<Item = N>) -> Self {
        let names: Vec<Value> = steps.into_iter().map(|name| Value::String(name.into())).collect();
        self.set("needs", names)
    }

    /// Executes the step only if this is true (the `if:` of the step).
    pub fn condition(self, expression: impl Into<String>) -> Self {
        self.set("if", expression.into())
    }

    /// Sets an environment variable. The value may hold expressions.
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.insert(name.into(), value.into().into());
        self
    }

    /// Retries recorded failures.
    pub fn retry(self, policy: RetryPolicy) -> Self {
        let RetryPolicy { max_attempts, backoff, initial, max, on } = policy;
        let mut fields = json!({
            "max_attempts": max_attempts,
            "backoff": backoff,
            "initial": duration::print(initial),
            "max": duration::print(max),
        });
        if !on.is_empty() {
            fields["on"] = json!(on);
        }
        self.set("retry", fields)
    }

    /// Bounds one attempt, or one wait. Counts in whole milliseconds, rounded up.
    pub fn timeout(self, after: Duration) -> Self {
        self.set("timeout", duration::print(after))
    }

    /// Bounds a wait, and says what becomes of it then.
    pub fn timeout_then(self, after: Duration, then: OnExpiry) -> Self {
        self.set("timeout", json!({"after": duration::print(after), "then": then}))
    }

    /// Says what a repetition of the step would do to the world.
    pub fn effect(self, effect: EffectClass) -> Self {
        self.set("effect", effect.to_string())
    }

    /// Says how a script is confined.
    pub fn sandbox(self, sandbox: Sandbox) -> Self {
        self.set("sandbox", json!(sandbox))
    }

    fn to_fields(&self) -> Map<String, Value> {
        let mut fields = self.fields.clone();
        if !self.env.is_empty() {
            fields.insert("env".into(), Value::Object(self.env.clone()));
        }
        fields
    }
}

impl fmt::Display for WorkflowBuilder {
    /// The workflow as JSON.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_text())
    }
}
