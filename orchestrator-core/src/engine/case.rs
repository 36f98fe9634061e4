//! A request that is put before the policy, and what comes of its ruling.

use std::sync::{Arc, LazyLock};

use crate::engine::prepare::{Done, NOTHING};
use crate::engine::shared::Shared;
use crate::id::{OwnerId, RunId, Unit};
use crate::machine::{Begin, Holds, Prepared};
use crate::port::plugin::Request;
use crate::port::policy::{Decision, PolicyError, PolicyRequest, Ruling, Verdict};
use crate::spec::{EffectClass, Workflow};
use crate::time::Timestamp;
use crate::value::{Digest, StoredValue, ValueRef};

/// A rendered request that awaits its ruling.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) step: Unit,
    pub(crate) run: RunId,
    pub(crate) owner: OwnerId,
    pub(crate) effect: EffectClass,
    pub(crate) request: Arc<Request>,
    pub(crate) reference: ValueRef,
    pub(crate) value: Option<StoredValue>,
    pub(crate) granted: Option<Digest>,
    /// What it is to hold under keys.
    pub(crate) holds: Holds,
}

/// The words of a decision record.
static WORDS: LazyLock<[Arc<str>; 3]> = LazyLock::new(|| ["allow", "ask", "deny"].map(Arc::from));

impl Case {
    pub(crate) fn digest(&self) -> Digest {
        if self.reference == NOTHING.1 { NOTHING.2 } else { self.reference.digest() }
    }

    pub(crate) fn question<'a>(
        &'a self,
        workflow: &'a Workflow,
        project: &'a str,
        by: &'a str,
        digest: Digest,
    ) -> PolicyRequest<'a> {
        let spec = workflow.step(self.step.step);
        PolicyRequest {
            project,
            workflow: &workflow.name,
            run: self.run,
            step: &spec.name,
            plugin: &spec.uses,
            effect: self.effect,
            by,
            request: &self.request,
            digest,
        }
    }

    pub(crate) fn close(
        self,
        shared: &Shared,
        ruling: Result<Ruling, PolicyError>,
        digest: Digest,
        now: Timestamp,
    ) -> Done {
        let ruling = ruling.unwrap_or_else(|error| Ruling {
            verdict: Verdict::Deny,
            policy: Arc::from("none"),
            rule: None,
            reason: Some(error.to_string().into()),
        });
        crate::failpoint!("policy.decided");
        let id = shared.decision();
        let granted = self.granted == Some(digest);
        let begin = Begin {
            owner: self.owner,
            request: self.reference,
            effect: self.effect,
            decision: id,
            holds: self.holds,
        };
        let verdict = match &ruling.verdict {
            Verdict::Ask { message, timeout } if !granted => Prepared::Ask {
                digest,
                message: message.clone(),
                decision: id,
                until: timeout.map(|timeout| now + timeout),
            },
            Verdict::Allow | Verdict::Ask { .. } => Prepared::Begin(begin),
            Verdict::Deny => {
                let reason = ruling.reason.clone().unwrap_or_else(|| ruling.policy.clone());
                Prepared::Deny { reason, decision: id }
            }
        };
        let word = match &verdict {
            Prepared::Begin(_) => &WORDS[0],
            Prepared::Ask { .. } => &WORDS[1],
            _ => &WORDS[2],
        };
        let decision = Decision {
            id,
            run: self.run,
            step: self.step.step,
            item: self.step.item(),
            verdict: word.clone(),
            policy: ruling.policy,
            rule: ruling.rule,
            reason: ruling.reason,
            input: digest,
            at: now,
        };
        Done { decision: Some(decision), value: self.value, request: Some(self.request), ..Done::of(verdict) }
    }
}
