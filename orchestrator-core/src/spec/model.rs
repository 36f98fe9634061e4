//! The model of a workflow: what the parser makes from YAML and the builder makes from Rust.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::id::StepIx;
use crate::schedule::Schedule;
use crate::spec::concurrency::Concurrency;
use crate::spec::expr::{Condition, Template};
use crate::spec::paths::PathsSpec;
use crate::spec::rate::Rate;
use crate::spec::retry::RetryPolicy;
use crate::spec::sandbox::Sandbox;
use crate::spec::stage::{Stage, Stages};
use crate::spec::{Evidence, Permissions, Placement, Qa, TASK_KIND};
use crate::value::Digest;

/// A validated workflow, pinned to one revision of its text.
///
/// Made by [`crate::spec::parse()`] or [`crate::spec::WorkflowBuilder`]; never by hand, because the rest of the crate
/// relies on what validation has established: names are unique, needs exist, there is no cycle, expressions compile.
#[derive(Debug)]
pub struct Workflow {
    /// Its name.
    pub name: Arc<str>,
    /// What it is for, in the author's words.
    pub description: Option<Arc<str>>,
    /// Declared inputs, in the author's order.
    pub inputs: IndexMap<Arc<str>, InputSpec>,
    /// Environment of every step. A value without expressions is constant.
    pub env: IndexMap<Arc<str>, Template>,
    /// The secrets that steps may use, in the author's order.
    pub secrets: Vec<Arc<str>>,
    /// The steps, stage after stage, each in the author's order; a step's [`StepIx`] is its position here.
    pub steps: Vec<StepSpec>,
    /// Which of them are of which stage.
    pub stages: Stages,
    /// How many runs of the same key may be under way at once.
    pub concurrency: Option<Concurrency>,
    /// How long the steps proper may take in all, from the beginning of the run or of its reopening.
    pub deadline: Option<Duration>,
    /// What its steps may do that not every step may, where they do not say it themselves.
    pub permissions: Permissions,
    /// When runs of it are started once it is registered; see [`crate::schedule`].
    pub schedules: Vec<Schedule>,
    /// Outputs of the run, rendered when every step has ended.
    pub outputs: IndexMap<Arc<str>, Template>,
    /// The text this model was made from (or, from the builder, its canonical JSON).
    pub text: Arc<str>,
    /// SHA-256 of `text`: the revision.
    pub revision: Digest,
    /// The workflows that its steps name, by what they call them. Those that are not known are missing here; a run cannot
    /// be started without them.
    pub children: IndexMap<Arc<str>, Arc<Workflow>>,
    /// Digest of `text` and of the texts of all below; the revision, if there are none.
    pub edition: Digest,
}

impl Workflow {
    /// The step at `ix`.
    ///
    /// # Panics
    /// If `ix` is not of this workflow.
    #[must_use]
    pub fn step(&self, ix: StepIx) -> &StepSpec {
        &self.steps[ix.index()]
    }

    /// Takes in the workflows that its steps name.
    pub(crate) fn adopt(&mut self, children: IndexMap<Arc<str>, Arc<Self>>) {
        let below = children.iter().map(|(reference, child)| (reference, &child.name, child.edition));
        self.edition = edition(self.revision, below);
        self.children = children;
    }

    /// The first of its steps whose workflow is not known, with what it calls it.
    #[must_use]
    pub fn unknown_child(&self) -> Option<(&StepSpec, &Arc<str>)> {
        let named = self.steps.iter().filter_map(|step| Some((step, step.options().child.as_ref()?)));
        named.into_iter().find(|(_, child)| !self.children.contains_key(*child))
    }

    /// What a step of it may do that not every step may: its own word, else that of the workflow.
    #[must_use]
    pub fn permissions_of<'a>(&'a self, step: &'a StepSpec) -> &'a Permissions {
        step.options().permissions.as_ref().unwrap_or(&self.permissions)
    }

    /// The position of the step called `name`. Linear: for messages and commands, not for hot paths.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<StepIx> {
        self.steps.iter().position(|step| &*step.name == name).map(|ix| StepIx(ix as u32))
    }

    /// Whether any of its steps says who may execute it, or is a task. Linear: not for hot paths of large workflows without slots.
    #[must_use]
    pub(crate) fn is_placed(&self) -> bool {
        self.steps.iter().any(|step| step.options().placement.is_some() || step.is_task())
    }

    /// The steps of a stage.
    pub fn steps_of(&self, stage: Stage) -> impl DoubleEndedIterator<Item = StepIx> + use<> {
        self.stages.range(stage, self.steps.len() as u32).map(StepIx)
    }

    /// How many steps progress counts: all but the compensations, which few runs need.
    #[must_use]
    pub fn counted_steps(&self) -> u32 {
        (self.steps.len() - self.stages.compensations()) as u32
    }
}

/// The edition of a text whose references mean these: names and editions.
pub(crate) fn edition<'a>(
    revision: Digest,
    below: impl Iterator<Item = (&'a Arc<str>, &'a Arc<str>, Digest)>,
) -> Digest {
    let mut below: Vec<_> = below.collect();
    if below.is_empty() {
        return revision;
    }
    below.sort_unstable();
    let mut text = revision.to_string();
    for (reference, name, edition) in below {
        // None of them can hold a line feed that would make two lists look the same: lengths come first.
        text.push_str(&format!("\n{} {reference} {} {name} {edition}", reference.len(), name.len()));
    }
    Digest::of(text.as_bytes())
}

/// A declared input of a workflow.
#[derive(Debug, Clone, PartialEq)]
pub struct InputSpec {
    /// The type a value must have.
    pub kind: InputKind,
    /// Used when the run gives no value. Without one the input is required.
    pub default: Option<Value>,
    /// What it is for.
    pub description: Option<Arc<str>>,
}

/// The type of an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum InputKind {
    /// Text.
    String,
    /// A whole number.
    Integer,
    /// A number.
    Number,
    /// `true` or `false`.
    Boolean,
    /// A list of anything.
    Array,
    /// A mapping.
    Object,
    /// Anything.
    Any,
}

/// One step of a workflow. The rarely used parts live behind one pointer, because a workflow may have 100,000 steps.
#[derive(Debug)]
pub struct StepSpec {
    /// Its name, unique in the workflow.
    pub name: Arc<str>,
    /// The kind of plugin that executes it (`script` for a `run:` step).
    pub uses: Arc<str>,
    /// What the plugin is given: the `with:` of the step, or `{run: TEXT}` for a `run:` step.
    pub with: Arc<Template>,
    /// The steps that must have ended before this one may begin, without repeats.
    pub needs: Vec<StepIx>,
    /// The rest; `None` means all defaults.
    pub options: Option<Box<StepOptions>>,
}

/// What few steps set.
#[derive(Debug, Default)]
pub struct StepOptions {
    /// The `if:` of the step.
    pub condition: Option<Condition>,
    /// Environment of this step; wins over the workflow's.
    pub env: IndexMap<Arc<str>, Template>,
    /// How recorded failures are retried. Without it they are not.
    pub retry: Option<RetryPolicy>,
    /// Bounds of one attempt, or of a wait.
    pub timeout: Option<Timeout>,
    /// How long the step may take in all, from its first beginning: attempts, waits, repetitions and items together.
    pub deadline: Option<Duration>,
    /// The author's word on what a repetition would do; wins over the plugin's.
    pub effect: Option<EffectClass>,
    /// What the step may do that not every step may; replaces the word of the workflow.
    pub permissions: Option<Permissions>,
    /// How a script is confined, where the author has said it.
    pub sandbox: Option<Sandbox>,
    /// Who may execute it; `None`: whoever drives the run, and who takes work off it.
    pub placement: Option<Arc<Placement>>,
    /// How many that name the same key may be executed at once.
    pub concurrency: Option<Concurrency>,
    /// How many that name the same key may begin within some time.
    pub rates: Vec<Rate>,
    /// What of a workspace it reads and writes: nobody else is in its way while it is executed.
    pub paths: Option<PathsSpec>,
    /// Whether the run goes on, and can complete, if the step fails.
    pub continue_on_error: bool,
    /// Runs the step once for each of many.
    pub each: Option<Each>,
    /// Runs the step again until a condition holds.
    pub repeat: Option<Repeat>,
    /// Who must pass what it gives before that counts.
    pub qa: Option<Arc<Qa>>,
    /// What must hold of a success.
    pub evidence: Option<Arc<Evidence>>,
    /// What the step calls the workflow that carries it out, for `uses: workflow`.
    pub child: Option<Arc<str>>,
}

impl StepOptions {
    /// How many items of the step may be open at once; `None`: as many as there are slots.
    #[must_use]
    pub fn max_parallel(&self) -> Option<NonZeroU32> {
        self.each.as_ref()?.max_parallel
    }
}

/// How a step is run again.
#[derive(Debug)]
pub struct Repeat {
    /// Judged after each time; it sees the output as `self`.
    pub until: Condition,
    /// How many times at most, the first included. If the condition has not come true by then, the step fails.
    pub max: u32,
    /// The wait between two times.
    pub delay: Duration,
}

/// What a step runs once for each of.
#[derive(Debug)]
pub struct Each {
    /// The list, or what it is made of.
    pub over: Over,
    /// How many items may be open at once; `None`: as many as there are slots.
    pub max_parallel: Option<NonZeroU32>,
}

impl Each {
    /// What it is rendered from.
    pub fn templates(&self) -> impl Iterator<Item = &Template> {
        let (list, matrix) = match &self.over {
            Over::List(list) => (Some(list), None),
            Over::Matrix(matrix) => (None, Some(matrix)),
        };
        let parts = matrix
            .into_iter()
            .flat_map(|matrix| matrix.axes.values().chain(&matrix.exclude).chain(&matrix.include));
        list.into_iter().chain(parts)
    }
}

/// Where the items of a step come from.
#[derive(Debug)]
pub enum Over {
    /// `for_each`: a list, known when the step's needs have ended.
    List(Template),
    /// `strategy.matrix`: every combination of the axes' values.
    Matrix(Matrix),
}

/// The axes of a matrix, as written: each is a list, or an expression that gives one.
#[derive(Debug)]
pub struct Matrix {
    /// The axes, in the author's order. The last varies fastest.
    pub axes: IndexMap<Arc<str>, Template>,
    /// Combinations to leave out: those that hold all of an entry's values.
    pub exclude: Option<Template>,
    /// Combinations to add.
    pub include: Option<Template>,
}

static NO_OPTIONS: std::sync::LazyLock<StepOptions> = std::sync::LazyLock::new(StepOptions::default);

/// What a step is given that is given nothing.
static NOTHING: std::sync::LazyLock<Arc<Template>> =
    std::sync::LazyLock::new(|| Arc::new(Template::constant(Value::Null)));

impl StepSpec {
    /// A step of which nothing else is known yet.
    pub(in crate::spec) fn bare(name: Arc<str>, uses: Arc<str>) -> Self {
        Self { name, uses, with: Arc::clone(&NOTHING), needs: Vec::new(), options: None }
    }

    /// The options, or the defaults.
    #[must_use]
    pub fn options(&self) -> &StepOptions {
        self.options.as_deref().unwrap_or(&NO_OPTIONS)
    }

    /// Whether it is a task: nobody's process executes it, and whoever comes for it claims it.
    #[must_use]
    pub fn is_task(&self) -> bool {
        *self.uses == *TASK_KIND
    }

    /// Whether the `if:` of the step asks for the status of its needs itself. Without one, `success()` is implied.
    #[must_use]
    pub fn judges_its_needs(&self) -> bool {
        self.options().condition.as_ref().is_some_and(Condition::has_status_function)
    }
}

/// What a repetition of a step would do to the world; decides what happens after a crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EffectClass {
    /// No effect: run again.
    Pure,
    /// Same key and same request bytes on every attempt: the receiver applies it once.
    Idempotent,
    /// Never dispatched while an earlier attempt's outcome is unknown.
    AtMostOnce,
}

impl EffectClass {
    /// The name that authors write.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pure => "pure",
            Self::Idempotent => "idempotent",
            Self::AtMostOnce => "at_most_once",
        }
    }
}

impl fmt::Display for EffectClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How long an attempt may take; for a waiting step, how long it waits and what happens then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeout {
    /// The bound, per attempt or per wait.
    pub after: Duration,
    /// What an expired wait becomes.
    pub then: OnExpiry,
}

/// What becomes of a wait whose time is up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum OnExpiry {
    /// The step fails with class `timeout`.
    #[default]
    Fail,
    /// As if an approver had rejected.
    Reject,
    /// As if an approver had approved.
    Approve,
}
