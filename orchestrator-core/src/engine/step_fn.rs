//! Typed Rust steps of a host program: an async closure or function becomes a plugin.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::sync::{Arc, LazyLock};

use async_trait::async_trait;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::port::plugin::{Context, Outcome, Plugin, Request};
use crate::spec::EffectClass;
use crate::spec::retry::ErrorClass;

/// Why a typed step failed. Any error converts into it (as class `failed`), so that `?` works.
#[derive(Debug)]
pub struct StepFailure {
    class: ErrorClass,
    message: String,
}

impl StepFailure {
    /// A failure of a class that a retry policy can name.
    pub fn new(class: ErrorClass, message: impl Into<String>) -> Self {
        Self { class, message: message.into() }
    }
}

impl<E: std::error::Error> From<E> for StepFailure {
    fn from(error: E) -> Self {
        Self::new(ErrorClass::Failed, error.to_string())
    }
}

/// Makes a plugin of an async closure or function: `with` is read as its input, its output is the step's.
///
/// A step of such a kind is `at_most_once` unless the step says otherwise: the engine cannot know what the function
/// does to the world.
pub fn step_fn<I, O, F, W>(kind: impl Into<String>, function: F) -> Arc<dyn Plugin>
where
    I: DeserializeOwned + Send + 'static,
    O: Serialize + Send + 'static,
    F: Fn(I) -> W + Send + Sync + 'static,
    W: Future<Output = Result<O, StepFailure>> + Send + 'static,
{
    Arc::new(StepFn { kind: kind.into(), function, immediate: false, shape: PhantomData::<fn(I) -> (O, W)> })
}

/// As [`step_fn`], for a function that does little and rarely waits: see [`Plugin::is_immediate`].
pub fn quick_step_fn<I, O, F, W>(kind: impl Into<String>, function: F) -> Arc<dyn Plugin>
where
    I: DeserializeOwned + Send + 'static,
    O: Serialize + Send + 'static,
    F: Fn(I) -> W + Send + Sync + 'static,
    W: Future<Output = Result<O, StepFailure>> + Send + 'static,
{
    Arc::new(StepFn { kind: kind.into(), function, immediate: true, shape: PhantomData::<fn(I) -> (O, W)> })
}

struct StepFn<I, O, F, W> {
    kind: String,
    function: F,
    immediate: bool,
    shape: PhantomData<fn(I) -> (O, W)>,
}

impl<I, O, F, W> fmt::Debug for StepFn<I, O, F, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StepFn").field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// Any value, any output: the types are checked when the step runs.
static ANYTHING: LazyLock<Value> = LazyLock::new(|| json!({}));

#[async_trait]
impl<I, O, F, W> Plugin for StepFn<I, O, F, W>
where
    I: DeserializeOwned + Send + 'static,
    O: Serialize + Send + 'static,
    F: Fn(I) -> W + Send + Sync + 'static,
    W: Future<Output = Result<O, StepFailure>> + Send + 'static,
{
    fn kind(&self) -> &str {
        &self.kind
    }

    fn summary(&self) -> &'static str {
        "a function of the host program"
    }

    fn config_schema(&self) -> &Value {
        &ANYTHING
    }

    fn output_schema(&self) -> &Value {
        &ANYTHING
    }

    fn effect_class(&self, _: &Value) -> EffectClass {
        EffectClass::AtMostOnce
    }

    fn is_immediate(&self) -> bool {
        self.immediate
    }

    async fn execute(&self, context: Context, request: Request) -> Outcome {
        let input = match serde_json::from_value(request.with) {
            Ok(input) => input,
            Err(error) => {
                return Outcome::failed(
                    ErrorClass::Invalid,
                    format!("`with` does not fit `{}`: {error}", self.kind),
                );
            }
        };
        let stop = context.stop;
        tokio::select! {
            biased;
            done = (self.function)(input) => match done {
                Ok(output) => match serde_json::to_value(output) {
                    Ok(output) => Outcome::Succeeded { output },
                    Err(error) => Outcome::failed(ErrorClass::Invalid, format!("the output is not JSON: {error}")),
                },
                Err(failure) => Outcome::failed(failure.class, failure.message),
            },
            // Dropping a future ends it: nothing of it runs on.
            _ = stop.requested() => Outcome::Stopped,
        }
    }
}
