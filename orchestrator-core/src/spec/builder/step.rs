//! Steps, described in Rust.

use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::spec::retry::RetryPolicy;
use crate::spec::{EffectClass, OnExpiry, Sandbox, duration};

/// Describes a step.
#[derive(Debug, Clone, Default)]
#[must_use = "a description does nothing until it is given back"]
pub struct StepBuilder {
    fields: Map<String, Value>,
    env: Map<String, Value>,
    /// What cannot be written, with the key under which it was to stand.
    pub(super) errors: Vec<(String, String)>,
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

    /// Any value under a key.
    fn value(mut self, key: &str, value: impl Serialize) -> Self {
        match serde_json::to_value(value) {
            Ok(value) => self.set(key, value),
            Err(error) => {
                self.errors.push((key.to_owned(), error.to_string()));
                self
            }
        }
    }

    /// Configures the plugin: any value, whose texts may hold expressions.
    pub fn with(self, config: impl Serialize) -> Self {
        self.value("with", config)
    }

    /// Runs the step once for each item of a list: one that is given here, or an expression that gives one. Its `with` and
    /// `env` see the item as `item`.
    pub fn for_each(self, list: impl Serialize) -> Self {
        self.value("for_each", list)
    }

    /// Runs the step once for each combination of values: a mapping of axes to lists. Its `with` and `env` see them as
    /// `matrix.NAME`.
    pub fn matrix(self, axes: impl Serialize) -> Self {
        match serde_json::to_value(axes) {
            Ok(axes) => self.strategy("matrix", axes),
            Err(error) => self.unserializable("strategy.matrix", &error),
        }
    }

    /// Bounds how many items are open at once.
    pub fn max_parallel(self, items: u32) -> Self {
        self.strategy("max-parallel", items.into())
    }

    fn strategy(mut self, key: &str, value: Value) -> Self {
        let strategy = self.fields.entry("strategy").or_insert_with(|| json!({}));
        strategy[key] = value;
        self
    }

    fn unserializable(mut self, key: &str, error: &serde_json::Error) -> Self {
        self.errors.push((key.to_owned(), error.to_string()));
        self
    }

    /// Runs the step again until a condition holds, at most so many times. The condition sees what this time gave as
    /// `self`.
    pub fn repeat(self, until: impl Into<String>, max: u32, delay: Duration) -> Self {
        self.set("repeat", json!({"until": until.into(), "max": max, "delay": duration::print(delay)}))
    }

    /// Lets the run go on, and complete, when the step has failed.
    pub fn continue_on_error(self) -> Self {
        self.set("continue-on-error", true)
    }

    /// Bounds all the step does, from when it first begins: attempts, waits and items together. Counts in whole
    /// milliseconds, rounded up.
    pub fn deadline(self, after: Duration) -> Self {
        self.set("deadline", duration::print(after))
    }

    /// Says what its plugin may reach beyond the public internet, in place of what the workflow says: `HOST:PORT` each, as
    /// [`NetworkGrant`](crate::spec::permissions::NetworkGrant) reads it.
    pub fn network<T: Into<String>>(self, destinations: impl IntoIterator<Item = T>) -> Self {
        let destinations: Vec<String> = destinations.into_iter().map(Into::into).collect();
        self.set("permissions", json!({ "network": destinations }))
    }

    /// Says what undoes the step. Expressions see what the step gave as `self`.
    pub fn compensate(mut self, describe: impl FnOnce(Self) -> Self) -> Self {
        let undo = describe(Self::default());
        let errors = undo.errors.iter().map(|(key, error)| (format!("compensate.{key}"), error.clone()));
        self.errors.extend(errors);
        self.set("compensate", undo.to_fields())
    }

    /// Lets someone pass what the step gave before it counts: `true`, or a mapping with `message`, `show`, `timeout`.
    pub fn qa(self, gate: impl Serialize) -> Self {
        self.value("qa", gate)
    }

    /// Says what must hold of a success: a mapping with `files`, `output`, `diff`.
    pub fn evidence(self, declared: impl Serialize) -> Self {
        self.value("evidence", declared)
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

    /// Says which workers execute the step: those that serve this queue. Default: [`crate::spec::DEFAULT_QUEUE`].
    pub fn queue(self, queue: impl Into<String>) -> Self {
        self.set("queue", queue.into())
    }

    /// Says what the workers must have that execute the step.
    pub fn labels(self, labels: impl IntoIterator<Item = (impl Into<String>, impl Into<String>)>) -> Self {
        let labels = labels.into_iter().map(|(name, value)| (name.into(), Value::String(value.into())));
        self.set("labels", Value::Object(labels.collect()))
    }

    /// Bounds how many attempts that name the same key are executed at once, over all runs of the project: a key, or a
    /// mapping with `key`, `limit`, `on_full`.
    pub fn concurrency(self, limit: impl Serialize) -> Self {
        self.value("concurrency", limit)
    }

    /// Bounds how many attempts that name the same key begin within some time, over all runs of the project: a mapping with `key`,
    /// `limit` and `per`, or a list of such.
    pub fn rate(self, rates: impl Serialize) -> Self {
        self.value("rate", rates)
    }

    /// Says what of a workspace the step reads and writes, so that nobody else is in its way: paths to write, or a mapping with
    /// `read`, `write`, `workspace`.
    pub fn paths(self, paths: impl Serialize) -> Self {
        self.value("paths", paths)
    }

    /// Says how a script is confined: a [`Sandbox`], or what it is granted.
    pub fn sandbox(self, sandbox: impl Into<Sandbox>) -> Self {
        self.value("sandbox", sandbox.into())
    }

    pub(super) fn to_fields(&self) -> Map<String, Value> {
        let mut fields = self.fields.clone();
        if !self.env.is_empty() {
            fields.insert("env".into(), Value::Object(self.env.clone()));
        }
        fields
    }
}
