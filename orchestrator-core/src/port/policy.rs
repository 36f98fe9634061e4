//! May this happen? Asked before every step begins; the answer is recorded with the step.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::Serialize;

use crate::id::{DecisionId, RunId, StepIx};
use crate::port::plugin::Request;
use crate::spec::EffectClass;
use crate::time::Timestamp;
use crate::value::Digest;

/// Decides whether a step may begin.
#[async_trait]
pub trait PolicyEngine: fmt::Debug + Send + Sync + 'static {
    /// Judges one request. Must not change the world; may be asked again about the same request.
    ///
    /// # Errors
    /// [`PolicyError`] is taken as a refusal: a gate that cannot decide stays shut.
    async fn evaluate(&self, request: PolicyRequest<'_>) -> Result<Ruling, PolicyError>;
}

/// What is to be judged.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct PolicyRequest<'a> {
    /// The tenant.
    pub project: &'a str,
    /// The workflow.
    pub workflow: &'a str,
    /// The run.
    pub run: RunId,
    /// The step's name.
    pub step: &'a str,
    /// The plugin that would execute it.
    pub plugin: &'a str,
    /// What a repetition would do.
    pub effect: EffectClass,
    /// Who started the run.
    pub by: &'a str,
    /// The rendered request.
    pub request: &'a Request,
    /// Digest of the rendered request.
    pub digest: Digest,
}

/// The answer.
#[derive(Debug, Clone)]
pub struct Ruling {
    /// Yes, no, or ask.
    pub verdict: Verdict,
    /// Name and version of the policy that decided: `allow-all@1`.
    pub policy: Arc<str>,
    /// The rule that matched, if one did.
    pub rule: Option<Arc<str>>,
    /// Why, for people.
    pub reason: Option<Arc<str>>,
}

/// Yes, no, or ask.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// It may.
    Allow,
    /// It may not: the step fails with class `denied`.
    Deny,
    /// A person must say so first.
    Ask {
        /// What the person is asked.
        message: Arc<str>,
        /// How long they have. After that the step fails.
        timeout: Option<Duration>,
    },
}

/// A policy that could not decide.
#[derive(Debug, thiserror::Error)]
#[error("policy failed to decide: {0}")]
pub struct PolicyError(pub String);

/// A policy decision as it is kept (one row per decision).
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Decision {
    /// Its id.
    pub id: DecisionId,
    /// The run.
    pub run: RunId,
    /// The step.
    pub step: StepIx,
    /// The item, if the step runs once for each of many.
    pub item: Option<u32>,
    /// `allow`, `deny` or `ask`.
    pub verdict: Arc<str>,
    /// Name and version of the policy.
    pub policy: Arc<str>,
    /// The rule that matched.
    pub rule: Option<Arc<str>>,
    /// Why, for people.
    pub reason: Option<Arc<str>>,
    /// Digest of the judged request.
    pub input: Digest,
    /// When.
    pub at: Timestamp,
}

/// Allows everything, and says so in the record.
#[derive(Debug, Clone, Copy, Default)]
pub struct AllowAll;

#[async_trait]
impl PolicyEngine for AllowAll {
    async fn evaluate(&self, _: PolicyRequest<'_>) -> Result<Ruling, PolicyError> {
        static NAME: std::sync::LazyLock<Arc<str>> = std::sync::LazyLock::new(|| Arc::from("allow-all@1"));
        Ok(Ruling { verdict: Verdict::Allow, policy: NAME.clone(), rule: None, reason: None })
    }
}
