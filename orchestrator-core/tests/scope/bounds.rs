//! The scopes: small worlds, each closed by how often something may go wrong in it.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use orchestrator_core::plan::Plan;
use orchestrator_core::spec::retry::{Backoff, RetryPolicy};
use orchestrator_core::spec::{Catalog, ConfigIssue, EffectClass, Facts, StepBuilder, Workflow};
use serde_json::{Value, json};

/// How many steps a workflow of these worlds has.
pub(crate) const STEPS: usize = 2;

/// What a step waits for before it goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Waits {
    Never,
    /// A person's word; its time to wait can be over.
    Approval,
    Signal,
}

/// Who executes a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum At {
    /// Its driver.
    Home,
    /// Whoever claims it.
    Away,
    /// The one or the other, as the driver likes.
    Either,
}

/// A step of such a workflow.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kind {
    pub(crate) effect: EffectClass,
    /// `max_attempts` of its `retry:`, if it has one.
    pub(crate) retry: Option<u32>,
    pub(crate) waits: Waits,
    pub(crate) at: At,
    /// Whether it needs the only place under the key.
    pub(crate) keyed: bool,
}

impl Kind {
    const fn new(effect: EffectClass) -> Self {
        Self { effect, retry: None, waits: Waits::Never, at: At::Home, keyed: false }
    }

    const fn retried(self, attempts: u32) -> Self {
        Self { retry: Some(attempts), ..self }
    }

    const fn waiting(self, waits: Waits) -> Self {
        Self { waits, ..self }
    }

    const fn at(self, at: At) -> Self {
        Self { at, ..self }
    }

    const fn keyed(self) -> Self {
        Self { keyed: true, ..self }
    }
}

/// How often each thing may still happen. What is not named here happens as often as it can.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Budget {
    /// A process dies, and another takes its place.
    pub(crate) crashes: u8,
    /// A process stands still until its time is over.
    pub(crate) lapses: u8,
    /// The answer to a commit is lost.
    pub(crate) ambiguous: u8,
    /// A member stays on its way though its sender has given it up.
    pub(crate) copies: u8,
    /// A driver that has left still writes.
    pub(crate) stales: u8,
    /// A driver lets go.
    pub(crate) releases: u8,
    /// A driver takes an offer back though nothing asks for that.
    pub(crate) withdrawals: u8,
    /// An attempt is stopped in an orderly way.
    pub(crate) interrupts: u8,
    /// An outcome is said again.
    pub(crate) echoes: u8,
    /// Someone pauses the run.
    pub(crate) pauses: u8,
    /// Someone cancels it.
    pub(crate) cancels: u8,
    /// Someone gives a signal.
    pub(crate) signals: u8,
    /// Someone says that what is unknown has not happened.
    pub(crate) denials: u8,
    /// Someone reopens the run.
    pub(crate) reopenings: u8,
    /// Another run takes the place under the key.
    pub(crate) others: u8,
}

/// A small world.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scope {
    pub(crate) name: &'static str,
    pub(crate) steps: [Kind; STEPS],
    /// Whether the second step needs the first.
    pub(crate) chained: bool,
    /// Whether the run needs the only place under the key before anything of it begins.
    pub(crate) bounded: bool,
    pub(crate) budget: Budget,
    /// To which depth it is searched where nobody asks for more.
    pub(crate) depth: usize,
    /// How many states there are at least up to that depth.
    pub(crate) floor: usize,
}

const PURE: Kind = Kind::new(EffectClass::Pure);
const IDEMPOTENT: Kind = Kind::new(EffectClass::Idempotent);
const ONCE: Kind = Kind::new(EffectClass::AtMostOnce);

/// Nothing goes wrong.
const CALM: Budget = Budget {
    crashes: 0,
    lapses: 0,
    ambiguous: 0,
    copies: 0,
    stales: 0,
    releases: 0,
    withdrawals: 0,
    interrupts: 0,
    echoes: 0,
    pauses: 0,
    cancels: 0,
    signals: 0,
    denials: 0,
    reopenings: 0,
    others: 0,
};

/// All of them: different pairs of effect classes and kinds of steps, in a chain or side by side.
pub(crate) const SCOPES: [Scope; 18] = [
    Scope {
        name: "a pure step with retry, then an idempotent one; processes die",
        steps: [PURE.retried(2), IDEMPOTENT],
        chained: true,
        bounded: false,
        budget: Budget { crashes: 2, ambiguous: 1, ..CALM },
        depth: 16,
        floor: 12_000,
    },
    Scope {
        name: "a pure step, then an idempotent one; a process stands still, an answer is lost",
        steps: [PURE, IDEMPOTENT],
        chained: true,
        bounded: false,
        budget: Budget { lapses: 1, ambiguous: 1, copies: 1, ..CALM },
        depth: 16,
        floor: 26_000,
    },
    Scope {
        name: "a step at most once with retry, then a pure one; a process dies, an answer is lost",
        steps: [ONCE.retried(2), PURE],
        chained: true,
        bounded: false,
        budget: Budget { crashes: 1, ambiguous: 1, denials: 1, ..CALM },
        depth: 16,
        floor: 7_000,
    },
    Scope {
        name: "a step at most once with retry, then a pure one; a process stands still",
        steps: [ONCE.retried(2), PURE],
        chained: true,
        bounded: false,
        budget: Budget { lapses: 1, denials: 1, echoes: 1, ..CALM },
        depth: 16,
        floor: 7_200,
    },
    Scope {
        name: "a step at most once beside a pure one with retry; a process dies",
        steps: [ONCE, PURE.retried(2)],
        chained: false,
        bounded: false,
        budget: Budget { crashes: 1, interrupts: 1, ..CALM },
        depth: 16,
        floor: 16_000,
    },
    Scope {
        name: "a step at most once beside a pure one; a process stands still, the run is cancelled",
        steps: [ONCE, PURE],
        chained: false,
        bounded: false,
        budget: Budget { lapses: 1, cancels: 1, ..CALM },
        depth: 16,
        floor: 41_000,
    },
    Scope {
        name: "an approval, then a step at most once; a process dies",
        steps: [PURE.waiting(Waits::Approval), ONCE],
        chained: true,
        bounded: false,
        budget: Budget { crashes: 1, pauses: 1, cancels: 1, ..CALM },
        depth: 16,
        floor: 17_000,
    },
    Scope {
        name: "a step at most once that waits for a signal, beside one attempt of another; a process dies",
        steps: [ONCE.waiting(Waits::Signal), IDEMPOTENT.retried(1)],
        chained: false,
        bounded: false,
        budget: Budget { crashes: 1, signals: 1, ..CALM },
        depth: 16,
        floor: 20_000,
    },
    Scope {
        name: "a chain that is let go and reopened; an answer is lost",
        steps: [IDEMPOTENT.retried(2), ONCE],
        chained: true,
        bounded: false,
        budget: Budget { ambiguous: 1, releases: 1, reopenings: 1, ..CALM },
        depth: 16,
        floor: 1_700,
    },
    Scope {
        name: "a chain that is let go; a process dies, members and drivers are late",
        steps: [PURE, ONCE],
        chained: true,
        bounded: false,
        budget: Budget { crashes: 1, copies: 1, stales: 1, releases: 1, ..CALM },
        depth: 16,
        floor: 20_000,
    },
    Scope {
        name: "an offered step at most once, then one that is offered or not; a process dies, an answer is lost",
        steps: [ONCE.at(At::Away), PURE.at(At::Either)],
        chained: true,
        bounded: false,
        budget: Budget { crashes: 1, ambiguous: 1, releases: 1, ..CALM },
        depth: 13,
        floor: 10_000,
    },
    Scope {
        name: "an offered step at most once beside another; one is withdrawn, the run is cancelled, an answer is lost",
        steps: [ONCE.at(At::Away), PURE.at(At::Away)],
        chained: false,
        bounded: false,
        budget: Budget { withdrawals: 1, cancels: 1, ambiguous: 1, ..CALM },
        depth: 11,
        floor: 8_700,
    },
    Scope {
        name: "an offered step, then one at most once that is offered or not; the run is paused, a process dies",
        steps: [PURE.at(At::Away), ONCE.at(At::Either)],
        chained: true,
        bounded: false,
        budget: Budget { crashes: 1, pauses: 1, ..CALM },
        depth: 14,
        floor: 5_000,
    },
    Scope {
        name: "an offered step that waits for an approval, then another; a process stands still",
        steps: [IDEMPOTENT.waiting(Waits::Approval).at(At::Away), ONCE.retried(2).at(At::Away)],
        chained: true,
        bounded: false,
        budget: Budget { lapses: 1, withdrawals: 1, echoes: 1, interrupts: 1, ..CALM },
        depth: 13,
        floor: 8_000,
    },
    Scope {
        name: "two steps side by side that need the same place; a process dies, an answer is lost",
        steps: [PURE.keyed(), IDEMPOTENT.keyed()],
        chained: false,
        bounded: false,
        budget: Budget { crashes: 1, ambiguous: 1, ..CALM },
        depth: 14,
        floor: 18_000,
    },
    Scope {
        name: "a step that needs a place, and waits for an approval; another run needs it too, the run is paused and cancelled",
        steps: [IDEMPOTENT.waiting(Waits::Approval).keyed(), PURE.keyed()],
        chained: true,
        bounded: false,
        budget: Budget { others: 2, pauses: 1, cancels: 1, ..CALM },
        depth: 14,
        floor: 9_000,
    },
    Scope {
        name: "an offered step beside another that need the same place; one is withdrawn, a process stands still",
        steps: [ONCE.at(At::Away).keyed(), PURE.retried(2).keyed()],
        chained: false,
        bounded: false,
        budget: Budget { others: 1, withdrawals: 1, lapses: 1, ..CALM },
        depth: 15,
        floor: 50_000,
    },
    Scope {
        name: "a run that needs a place, which another run needs too; a process dies, the run is paused, cancelled and reopened",
        steps: [PURE, ONCE],
        chained: true,
        bounded: true,
        budget: Budget { others: 1, crashes: 1, pauses: 1, cancels: 1, reopenings: 1, ..CALM },
        depth: 13,
        floor: 10_000,
    },
];

static ANY: LazyLock<Value> = LazyLock::new(|| json!({}));

/// One kind of step, which takes and gives anything.
struct Anything;

impl Catalog for Anything {
    fn kinds(&self) -> Vec<&str> {
        vec!["any"]
    }

    fn facts(&self, kind: &str) -> Option<Facts<'_>> {
        (kind == "any").then_some(Facts { config_schema: &ANY, output_schema: &ANY })
    }

    fn check(&self, _: &str, _: &Value) -> Vec<ConfigIssue> {
        Vec::new()
    }
}

impl Scope {
    /// Its workflow, with its plan.
    pub(crate) fn workflow(&self) -> (Arc<Workflow>, Arc<Plan>) {
        let describe = |kind: Kind| {
            move |step: StepBuilder| {
                let step = step.uses("any").effect(kind.effect);
                let policy = |max_attempts| RetryPolicy {
                    max_attempts,
                    backoff: Backoff::Fixed,
                    initial: Duration::from_secs(1),
                    max: Duration::from_secs(1),
                    on: Vec::new(),
                };
                match kind.retry {
                    Some(attempts) => step.retry(policy(attempts)),
                    None => step,
                }
            }
        };
        let [first, second] = self.steps;
        let needs: &[&str] = if self.chained { &["a"] } else { &[] };
        let workflow = Workflow::builder("scope")
            .step("a", describe(first))
            .step("b", |step| describe(second)(step).needs(needs.iter().copied()))
            .build(&Anything)
            .unwrap_or_else(|problems| panic!("{problems}"));
        let plan = Plan::new(workflow.steps.iter().map(|step| &*step.needs)).expect("no cycle");
        (Arc::new(workflow), Arc::new(plan))
    }
}
