//! A plugin executes a kind of step.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::id::RunId;
use crate::machine::{Arrival, StepError};
use crate::mask::Mask;
use crate::port::notice::Notice;
pub(crate) use crate::port::stop::{Signal, Stoppable};
pub use crate::port::stop::{Stop, StopReason, Stopper};
use crate::spec::expr::SecretPlace;
use crate::spec::permissions::NetworkPermissions;
use crate::spec::retry::ErrorClass;
pub use crate::spec::schema::ConfigIssue;
use crate::spec::{EffectClass, Sandbox};
use crate::time::Timestamp;
use crate::value::{Digest, ValueRef};

/// Executes a kind of step. Called by the engine after the attempt's begin is durable.
#[async_trait]
pub trait Plugin: fmt::Debug + Send + Sync + 'static {
    /// The name that `uses:` gives.
    fn kind(&self) -> &str;

    /// One line for `plugins list` and for messages.
    fn summary(&self) -> &str;

    /// JSON Schema of `with:`, in the vocabulary of [`crate::spec::schema`]: `type`, `properties`, `required`,
    /// `additionalProperties`, `items`, `enum`, `minimum`, `maximum`, `minLength`, `default`, `description`,
    /// `examples`, `oneOf`. `secret: true` says that a value, or what is inside of it, may hold secrets;
    /// `env: { secret: true }` beside `type` says it of the variables that a step sets.
    fn config_schema(&self) -> &Value;

    /// JSON Schema of the output. A reference to a field that it rules out is found by validation;
    /// `additionalProperties: true` rules out none.
    fn output_schema(&self) -> &Value;

    /// What a repetition of this request would do, where the step does not say. `with` is the rendered config, or at
    /// validation the config as written.
    fn effect_class(&self, with: &Value) -> EffectClass;

    /// Checks of a config beyond its schema. `with` is as written: texts may hold expressions.
    fn validate(&self, with: &Value) -> Vec<ConfigIssue> {
        let _ = with;
        Vec::new()
    }

    /// What executing this config would do beyond this process, for `plan`: `runs a bash script`,
    /// `sends the prompt to http://…`. Empty if nothing leaves.
    fn reaches(&self, with: &Value) -> Vec<String> {
        let _ = with;
        Vec::new()
    }

    /// The most that one attempt with this config can spend, for `plan` and for budgets. `with` is the rendered config, or at
    /// validation the config as written: what an expression leaves open has no bound.
    fn spends(&self, with: &Value) -> Spending {
        let _ = with;
        Spending::NOTHING
    }

    /// The signal that a step with this config waits for, if it waits for one. `with` is as written. A signal that no
    /// step of a workflow waits for is refused when it is given, so a plugin that waits for signals
    /// ([`Awaited::Signal`]) must say so.
    fn signal(&self, with: &Value) -> Option<ExpectedSignal> {
        let _ = with;
        None
    }

    /// Whether an attempt usually ends without waiting for anything and without working for long. Such an attempt begins
    /// on the driver's own task; if it does wait, it goes on on a task of its own. A plugin that blocks or computes must
    /// not say so: it would hold up its run.
    fn is_immediate(&self) -> bool {
        false
    }

    /// Executes one attempt. When [`Context::cancelled`] turns true it has a few seconds to end what it started and
    /// return; then it is dropped.
    async fn execute(&self, context: Context, request: Request) -> Outcome;

    /// Finds out whether an attempt whose outcome nobody knows has had its effect. Asked once for each such attempt, by the
    /// process that executed it and by each that takes the run over; has 60 s; a panic is as good as
    /// [`Reconciled::Unknown`]. Changes nothing: nobody tells it to stop, and it may be asked twice at the same time.
    async fn reconcile(&self, context: Context, request: Request) -> Reconciled {
        let _ = (context, request);
        Reconciled::Unknown
    }
}

/// What an attempt is asked to do. As it is stored, the same bytes on every attempt of a generation: there a secret stands
/// as `${{ secrets.NAME }}`. A plugin is given the values in these places; it must not show them, and what does show them
/// all the same is masked ([`crate::mask`]).
#[derive(Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Request {
    /// The rendered environment of the step; all values are text.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// The rendered `with`.
    #[serde(default)]
    pub with: Value,
    /// Where secrets stand in it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<SecretPlace>,
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Request");
        // It may have been filled in.
        match self.secrets.is_empty() {
            true => shown.field("env", &self.env).field("with", &self.with).finish(),
            false => shown.field("secrets", &self.secrets).finish_non_exhaustive(),
        }
    }
}

/// What an attempt knows about itself, and its ways to talk to the engine.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Context {
    /// The run.
    pub run: RunId,
    /// The step's name.
    pub step: Arc<str>,
    /// Which item of the step, if it runs once for each of many: 0, 1, 2 …
    pub item: Option<u32>,
    /// How many times the step has run before, if it is repeated: 0, 1, 2 …
    pub iteration: u32,
    /// The attempt: 1, 2, 3 …
    pub attempt: u32,
    /// The fencing token: larger than that of every earlier attempt of the step.
    pub epoch: u64,
    /// What a repetition of this attempt would do: the word of the step, else of the plugin. Where it must not happen twice, an
    /// attempt that cannot tell whether it has had its effect ends as [`Outcome::Unknown`], also when it is told to stop.
    pub effect: EffectClass,
    /// Where relative paths start: the folder in which the run was asked for.
    pub workdir: Arc<Path>,
    /// How a script is confined: the word of the step, else of the workflow's `defaults`, else [`Sandbox::strict`].
    pub sandbox: Sandbox,
    /// Files and folders that no script may read or write even where they lie in [`Context::workdir`]: those of the store.
    pub protected: Arc<[PathBuf]>,
    /// When this attempt will be stopped, if it has a timeout.
    pub deadline: Option<Timestamp>,
    /// What came while the attempt waited; `None` the first time. The data of a signal is inline.
    pub arrival: Option<Arrival>,
    /// Why an earlier attempt was not good enough: what its evidence lacked, or the words of whoever judged it (`qa`).
    pub feedback: Option<Arc<str>>,
    /// What the step may reach beyond the public internet. A plugin that connects to what its config names must keep to it.
    pub network: Arc<NetworkPermissions>,
    /// Takes the attempt's output lines.
    pub log: Arc<dyn LogSink>,
    /// Turns true when the attempt is to stop.
    pub stop: Stop,
    /// Keeps secrets out of texts. Lines, outputs and errors are masked by the engine; a plugin that cuts a text short masks
    /// it before, so that no half of a secret is left.
    pub mask: Mask,
    /// The stored request: what the idempotency key is made of.
    pub(crate) stored: ValueRef,
}

impl Context {
    /// A context for trying a plugin outside an engine: attempt 1 of a run, at most once, confined strictly, lines discarded,
    /// never stopped.
    #[must_use]
    pub fn detached(run: RunId, step: &str, workdir: &Path) -> Self {
        Self {
            run,
            step: step.into(),
            item: None,
            iteration: 0,
            attempt: 1,
            epoch: 1,
            effect: EffectClass::AtMostOnce,
            workdir: workdir.into(),
            sandbox: Sandbox::strict(),
            protected: Arc::default(),
            deadline: None,
            arrival: None,
            feedback: None,
            network: NetworkPermissions::none(),
            log: Arc::new(Discard),
            stop: Stop::never(),
            stored: ValueRef::null(),
            mask: Mask::default(),
        }
    }

    /// The key under which a receiver applies this request once: the same on every attempt, 52 characters of base32.
    #[must_use]
    pub fn idempotency_key(&self) -> String {
        idempotency_key(self.run, &self.step, self.item, self.iteration, &self.stored.digest())
    }

    /// Writes one line of the attempt's output, without its line end.
    pub fn log(&self, stream: Stream, line: &str) {
        self.log.line(stream, line);
    }

    /// Tells whoever watches the run something; it is kept among the attempt's lines.
    pub fn notify(&self, notice: &Notice) {
        self.log.notice(notice);
    }

    /// Shows whoever watches the run how far the attempt is: a few words, each in place of the last ones. They are not kept.
    pub fn progress(&self, text: &str) {
        self.log.progress(text);
    }

    /// Returns when the attempt is to stop.
    pub async fn cancelled(&self) {
        self.stop.requested().await;
    }
}

/// The key under which a receiver applies a request once: a digest of run, step, item, iteration and request, without the
/// attempt. Items with the same request are different works, and so are iterations.
fn idempotency_key(run: RunId, step: &str, item: Option<u32>, iteration: u32, request: &Digest) -> String {
    const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let mut bytes = Vec::with_capacity(48 + step.len());
    bytes.extend_from_slice(run.as_uuid().as_bytes());
    bytes.extend_from_slice(request.as_bytes());
    bytes.extend_from_slice(step.as_bytes());
    if item.is_some() || iteration > 0 {
        // No step has a name with a bracket in it.
        bytes.extend_from_slice(format!("[{item:?},{iteration}]").as_bytes());
    }
    let digest = Digest::of(&bytes);
    let mut key = String::with_capacity(52);
    let (mut bits, mut held) = (0u32, 0u32);
    for byte in digest.as_bytes() {
        bits = (bits << 8 | u32::from(*byte)) & 0xfff;
        held += 8;
        while held >= 5 {
            held -= 5;
            key.push(ALPHABET[(bits >> held & 31) as usize] as char);
        }
    }
    key.push(ALPHABET[(bits << (5 - held) & 31) as usize] as char);
    key
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Outcome {
    /// It has done its work.
    Succeeded {
        /// What it gives to later steps.
        output: Value,
    },
    /// It has failed, and knows that it has.
    Failed {
        /// Why.
        error: StepError,
        /// How long the other side asked to wait before trying again.
        retry_after: Option<Duration>,
    },
    /// Nobody can tell whether it has done its work (a connection that broke after the request was sent).
    Unknown {
        /// What is known.
        error: StepError,
    },
    /// It waits, without a slot; [`Plugin::execute`] is called again with [`Context::arrival`].
    Wait {
        /// For what.
        on: Awaited,
    },
    /// It has ended because it was told to stop, and can begin again.
    Stopped,
}

impl Outcome {
    /// A failure.
    pub fn failed(class: ErrorClass, message: impl Into<String>) -> Self {
        Self::Failed { error: StepError::new(class, message), retry_after: None }
    }
}

/// A bound of what an attempt spends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spending {
    /// Tokens of language models, in and out; `None` if there is no bound.
    pub tokens: Option<u64>,
    /// Millionths of a US dollar; `None` if there is no bound, or if the price is not known.
    pub micro_usd: Option<u64>,
}

impl Spending {
    /// What costs nothing.
    pub const NOTHING: Self = Self { tokens: Some(0), micro_usd: Some(0) };
    /// What has no bound.
    pub const UNBOUNDED: Self = Self { tokens: None, micro_usd: None };

    /// Both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let sum = |one: Option<u64>, other: Option<u64>| Some(one?.saturating_add(other?));
        Self { tokens: sum(self.tokens, other.tokens), micro_usd: sum(self.micro_usd, other.micro_usd) }
    }
}

/// What an attempt waits for.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Awaited {
    /// A person's word.
    Approval {
        /// The question.
        message: String,
        /// What the decider is shown, if anything.
        show: Option<Value>,
    },
    /// The end of this time from now.
    Pause(Duration),
    /// A signal. One that has come before is taken at once.
    Signal {
        /// Its name.
        name: String,
    },
}

/// The signal that a step waits for, as far as its config tells before it is rendered.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ExpectedSignal {
    /// Its name; `None` if that comes out of an expression.
    pub name: Option<String>,
    /// The schema of its data, in the vocabulary of [`crate::spec::schema`]; `None` if anything will do, or if that comes
    /// out of an expression.
    pub schema: Option<Value>,
}

/// What [`Plugin::reconcile`] found.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Reconciled {
    /// The effect has happened; this is its output.
    Applied(Value),
    /// The effect has not happened: the step may begin again.
    NotApplied,
    /// It cannot be told.
    Unknown,
}

/// Where a line of output came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// The engine or the plugin itself.
    System,
}

impl Stream {
    /// The stored name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
            Self::System => "system",
        }
    }
}

/// Takes lines of output.
pub trait LogSink: fmt::Debug + Send + Sync + 'static {
    /// One line, without its line end. Never blocks for long.
    fn line(&self, stream: Stream, text: &str);

    /// Tells people something. Its lines are kept with the others.
    fn notice(&self, notice: &Notice) {
        notice.lines().for_each(|line| self.line(Stream::System, &line));
    }

    /// Says how far the attempt is. Not kept.
    fn progress(&self, text: &str) {
        let _ = text;
    }
}

/// Forgets every line.
#[derive(Debug, Clone, Copy)]
pub struct Discard;

impl LogSink for Discard {
    fn line(&self, _: Stream, _: &str) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idempotency_keys_differ_by_request_and_have_52_characters() {
        let run = RunId::from_uuid(uuid::Uuid::from_u128(1));
        let request = Digest::of(b"request");
        let key = |step, item, iteration| idempotency_key(run, step, item, iteration, &request);
        let a = key("a", None, 0);
        assert_eq!(a.len(), 52);
        let others = [key("b", None, 0), key("a", Some(0), 0), key("a", Some(1), 0), key("a", None, 1)];
        let mut all: Vec<&String> = others.iter().chain([&a]).collect();
        all.push(&a);
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 5);
        assert_ne!(a, idempotency_key(run, "a", None, 0, &Digest::of(b"another")));
    }
}
