//! Workflows, described in Rust.

use std::collections::BTreeMap;
use std::fmt;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};

use crate::spec::builder::input::Input;
use crate::spec::builder::step::StepBuilder;
use crate::spec::parse::{Parsed, parse_built};
use crate::spec::schema::Catalog;
use crate::spec::{Diagnostic, Diagnostics, Found, Severity, Sources, Stage, Workflow, duration};

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
    secrets: Vec<String>,
    deadline: Option<Duration>,
    concurrency: Option<Value>,
    network: Vec<Value>,
    steps: Vec<(Stage, String, StepBuilder)>,
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
            secrets: Vec::new(),
            deadline: None,
            concurrency: None,
            network: Vec::new(),
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

    /// Declares an input. An [`InputKind`](crate::spec::InputKind) alone declares a required one.
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

    /// Declares secrets that steps may use, as `${{ secrets.NAME }}` in what their plugins take secrets in.
    pub fn secrets(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.secrets.extend(names.into_iter().map(Into::into));
        self
    }

    /// Adds a step.
    pub fn step(self, name: impl Into<String>, describe: impl FnOnce(StepBuilder) -> StepBuilder) -> Self {
        self.add(Stage::Main, name.into(), describe)
    }

    /// Adds a step that runs when the run has failed.
    pub fn on_failure(
        self,
        name: impl Into<String>,
        describe: impl FnOnce(StepBuilder) -> StepBuilder,
    ) -> Self {
        self.add(Stage::OnFailure, name.into(), describe)
    }

    /// Adds a step that runs at the end, whatever came before.
    pub fn finally(self, name: impl Into<String>, describe: impl FnOnce(StepBuilder) -> StepBuilder) -> Self {
        self.add(Stage::Finally, name.into(), describe)
    }

    fn add(mut self, stage: Stage, name: String, describe: impl FnOnce(StepBuilder) -> StepBuilder) -> Self {
        let step = describe(StepBuilder::default());
        let place = |key: &str| format!("{}.{name}.{key}", stage.key());
        self.unserializable.extend(step.errors.iter().map(|(key, error)| (place(key), error.clone())));
        self.steps.push((stage, name, step));
        self
    }

    /// Bounds how long the steps may take in all. Counts in whole milliseconds, rounded up.
    pub fn deadline(mut self, after: Duration) -> Self {
        self.deadline = Some(after);
        self
    }

    /// Bounds how many runs of the same key are under way at once, in all of the project: a key, or a mapping with `key`, `limit`,
    /// `on_full`. Expressions in the key see `inputs`, `env` and `run`.
    pub fn concurrency(mut self, limit: impl Serialize) -> Self {
        match serde_json::to_value(limit) {
            Ok(limit) => self.concurrency = Some(limit),
            Err(error) => self.unserializable.push(("concurrency".to_owned(), error.to_string())),
        }
        self
    }

    /// Lets the plugins of its steps reach a destination beyond the public internet: `HOST:PORT`, as
    /// [`NetworkGrant`](crate::spec::permissions::NetworkGrant) reads it.
    pub fn allow_network(mut self, destination: impl Into<String>) -> Self {
        self.network.push(destination.into().into());
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
        if !self.secrets.is_empty() {
            text.field("secrets", &json!(self.secrets));
        }
        if let Some(deadline) = self.deadline {
            text.field("deadline", &json!(duration::print(deadline)));
        }
        if let Some(concurrency) = &self.concurrency {
            text.field("concurrency", concurrency);
        }
        if !self.network.is_empty() {
            text.field("permissions", &json!({ "network": self.network }));
        }
        for stage in [Stage::Main, Stage::OnFailure, Stage::Finally] {
            let steps = self.steps.iter().filter(|(of, ..)| *of == stage);
            let steps: Vec<(String, Value)> =
                steps.map(|(_, name, step)| (name.clone(), Value::Object(step.to_fields()))).collect();
            text.map(stage.key(), &steps);
        }
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

impl fmt::Display for WorkflowBuilder {
    /// The workflow as JSON.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_text())
    }
}
