//! The world outside: what steps do there, and a ledger of it that no engine can touch.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use orchestrator_core::id::{RunId, Unit};
use orchestrator_core::machine::{Arrival, StepError};
use orchestrator_core::port::plugin::{Awaited, Context, Outcome, Plugin, Request};
use orchestrator_core::port::policy::{PolicyEngine, PolicyError, PolicyRequest, Ruling, Verdict};
use orchestrator_core::port::store::unit_name;
use orchestrator_core::spec::EffectClass;
use orchestrator_core::spec::retry::ErrorClass;
use serde_json::{Value, json};

use crate::bugs::{Bug, policy_name};
use crate::dice::Die;
use crate::node::Process;
use crate::truth::{Truth, short};
use crate::world::World;

/// What has happened outside.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) executions: Vec<Execution>,
    /// Under each key: whose it is, and what was sent.
    effects: BTreeMap<String, (RunId, Unit, String)>,
    /// How often the works under a key have failed as the author wanted.
    failed: BTreeMap<String, u64>,
}

/// A plugin was called.
#[derive(Debug)]
pub(crate) struct Execution {
    pub(crate) run: RunId,
    pub(crate) unit: Unit,
    pub(crate) attempt: u32,
    pub(crate) process: usize,
    pub(crate) class: EffectClass,
    pub(crate) had_effect: bool,
    /// Nothing of it is left.
    pub(crate) is_over: bool,
}

/// The outside of a world.
#[derive(Debug)]
pub(crate) struct Outside {
    truth: Arc<Truth>,
    ledger: Mutex<Ledger>,
}

impl Outside {
    pub(crate) fn new(truth: &Arc<Truth>) -> Arc<Self> {
        Arc::new(Self { truth: truth.clone(), ledger: Mutex::default() })
    }

    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap()
    }

    fn world(&self) -> &World {
        &self.truth.world
    }

    /// A plugin is called: is that recorded, and may it be?
    fn dispatched(&self, context: &Context, class: EffectClass, process: &Process) -> usize {
        let (run, attempt, epoch) = (context.run, context.attempt, context.epoch);
        let mut ledger = self.ledger();
        let mut fault = None;
        let unit = self.truth.with(run, |seen| {
            let unit = seen.unit(&context.step, context.item);
            if !seen.has_begun(unit, attempt, epoch) {
                fault = Some(format!("{unit:?} attempt {attempt} is dispatched, and no record says so"));
            }
            if class == EffectClass::AtMostOnce && context.arrival.is_none() {
                let before = ledger.executions.iter().filter(|it| (it.run, it.unit) == (run, unit)).count();
                let allowed = seen.allowed.get(&unit).copied().unwrap_or(0);
                if before as u32 >= allowed {
                    fault =
                        Some(format!("{unit:?} is dispatched {} times; {allowed} are allowed", before + 1));
                }
            }
            unit
        });
        let Some(unit) = unit else {
            self.world().broken(format!("{}: dispatched, and never written", short(run)));
            return usize::MAX;
        };
        if let Some(fault) = fault {
            self.world().broken(format!("{}: {fault}", short(run)));
        }
        self.world().tell(|| {
            let unit = unit_name(&context.step, context.item);
            format!("process {} executes {} {unit} attempt {attempt}", process.number, short(run))
        });
        let (had_effect, is_over) = (false, false);
        ledger.executions.push(Execution {
            run,
            unit,
            attempt,
            process: process.number,
            class,
            had_effect,
            is_over,
        });
        ledger.executions.len() - 1
    }

    /// The work has its effect.
    fn takes_effect(&self, at: usize, key: String, body: String) {
        let mut ledger = self.ledger();
        let Some(execution) = ledger.executions.get_mut(at) else { return };
        if execution.is_over {
            self.world().broken(format!(
                "{}: {:?} attempt {} has its effect after it was over",
                short(execution.run),
                execution.unit,
                execution.attempt
            ));
        }
        execution.had_effect = true;
        let (run, unit) = (execution.run, execution.unit);
        let earlier = ledger.effects.entry(key).or_insert_with(|| (run, unit, body.clone()));
        if *earlier != (run, unit, body) {
            self.world().broken(format!("{}: {unit:?} sends other bytes under the same key", short(run)));
        }
    }

    /// How many works a receiver that goes by keys has seen of a unit.
    pub(crate) fn works(&self, run: RunId, unit: Unit) -> usize {
        self.ledger().effects.values().filter(|(of, at, _)| (*of, *at) == (run, unit)).count()
    }

    /// Whether the attempt has had its effect; and whether anything of the unit may still have one.
    pub(crate) fn fate(
        &self,
        run: RunId,
        unit: Unit,
        attempt: u32,
        living: &BTreeSet<usize>,
    ) -> (bool, bool) {
        let ledger = self.ledger();
        let of = ledger.executions.iter().filter(|it| (it.run, it.unit) == (run, unit));
        of.fold((false, false), |(had, may), it| {
            let had = had || (it.had_effect && it.attempt == attempt);
            (had, may || (!it.is_over && living.contains(&it.process)))
        })
    }
}

/// Says that an execution is over, when all of it is gone.
struct Presence(Arc<Outside>, usize);

impl Drop for Presence {
    fn drop(&mut self) {
        if let Some(execution) = self.0.ledger().executions.get_mut(self.1) {
            execution.is_over = true;
        }
    }
}

/// Does what its `with` says: `{do: ok|fail|flaky|ask|nap, ms, times}`; and what chance says.
pub(crate) struct Works {
    pub(crate) outside: Arc<Outside>,
    pub(crate) process: Arc<Process>,
}

impl fmt::Debug for Works {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Works")
    }
}

static ANY: LazyLock<Value> = LazyLock::new(|| json!({}));

#[async_trait]
impl Plugin for Works {
    fn kind(&self) -> &'static str {
        "sim"
    }

    fn summary(&self) -> &'static str {
        "works in a world of chance"
    }

    fn config_schema(&self) -> &Value {
        &ANY
    }

    fn output_schema(&self) -> &Value {
        &ANY
    }

    fn effect_class(&self, _: &Value) -> EffectClass {
        EffectClass::Idempotent
    }

    async fn execute(&self, context: Context, request: Request) -> Outcome {
        let with = request.with.clone();
        match (with["do"].as_str(), &context.arrival) {
            (Some("ask"), None) => {
                let show = json!({ "attempt": context.attempt, "iteration": context.iteration });
                return Outcome::Wait {
                    on: Awaited::Approval { message: "go on?".into(), show: Some(show) },
                };
            }
            (Some("ask"), Some(Arrival::Decision { approved, .. })) => {
                return Outcome::Succeeded { output: json!({ "approved": approved }) };
            }
            (Some("ask"), Some(_)) => return Outcome::failed(ErrorClass::Invalid, "nobody has decided"),
            (Some("nap"), None) => {
                let pause = Duration::from_millis(with["ms"].as_u64().unwrap_or(100));
                return Outcome::Wait { on: Awaited::Pause(pause) };
            }
            (Some("nap"), Some(_)) => return Outcome::Succeeded { output: json!("rested") },
            _ => {}
        }
        let class = match with["effect"].as_str() {
            Some("at_most_once") => EffectClass::AtMostOnce,
            Some("pure") => EffectClass::Pure,
            _ => EffectClass::Idempotent,
        };
        let at = self.outside.dispatched(&context, class, &self.process);
        let presence = Presence(self.outside.clone(), at);
        if self.outside.world().is(Bug::WorkGoesOn) {
            // The work is carried out by somebody who does not notice that the attempt has ended.
            let (outside, context, with) = (self.outside.clone(), context.clone(), with.clone());
            tokio::spawn(async move {
                outside.world().pass(with["ms"].as_u64().unwrap_or(0)).await;
                outside.takes_effect(at, context.idempotency_key(), with.to_string());
            });
        }
        self.work(&context, &with, at, presence).await
    }
}

impl Works {
    async fn work(&self, context: &Context, with: &Value, at: usize, _presence: Presence) -> Outcome {
        let world = &self.process.world;
        let sturdy = with["sturdy"] == true;
        let half = world.chance(|chance| chance.below(with["ms"].as_u64().unwrap_or(1) + 1));
        let is_stubborn = sturdy && world.roll(Die::Stubborn, 50);
        if !self.passes(context, half, is_stubborn).await {
            return Outcome::Stopped;
        }
        if world.roll(Die::Poison, 40) {
            self.process.kill_after(world.chance(|chance| chance.below(4)));
        }
        if sturdy && world.roll(Die::Hang, 60) {
            context.cancelled().await;
            return Outcome::Stopped;
        }
        let (key, body) = self.sent(context, with);
        self.outside.takes_effect(at, key, body);
        if !self.passes(context, half, is_stubborn).await {
            return Outcome::Stopped;
        }
        match self.mishap(with, sturdy) {
            Some(mishap) => mishap,
            None => self.outcome(with, context.idempotency_key()),
        }
    }

    fn sent(&self, context: &Context, with: &Value) -> (String, String) {
        let world = &self.process.world;
        let mut key = context.idempotency_key();
        if world.is(Bug::KeyWithAttempt) {
            key.push_str(&context.attempt.to_string());
        }
        let mut body = with.to_string();
        if world.is(Bug::RenderedAnew) {
            body.push_str(&context.attempt.to_string());
        }
        (key, body)
    }

    /// Time passes. `false`: it was told to stop meanwhile.
    async fn passes(&self, context: &Context, millis: u64, is_stubborn: bool) -> bool {
        if is_stubborn {
            self.process.world.pass(millis * 10).await;
            return true;
        }
        tokio::select! {
            biased;
            () = context.cancelled() => false,
            () = self.process.world.pass(millis) => true,
        }
    }

    fn mishap(&self, with: &Value, sturdy: bool) -> Option<Outcome> {
        let world = &self.process.world;
        if sturdy && world.roll(Die::Failure, 100) {
            return Some(Outcome::failed(ErrorClass::Transient, "by chance"));
        }
        if sturdy && world.roll(Die::Unknown, 60) {
            let error = StepError::new(ErrorClass::Transient, "the line went dead");
            return Some(Outcome::Unknown { error });
        }
        assert!(!(sturdy && world.roll(Die::Panic, 40)), "a simulated panic");
        if with["do"] == "ok" && world.roll(Die::Huge, 100) {
            return Some(Outcome::Succeeded { output: json!({ "huge": "x".repeat(300 << 10) }) });
        }
        None
    }

    fn outcome(&self, with: &Value, key: String) -> Outcome {
        match with["do"].as_str() {
            Some("fail") => Outcome::failed(ErrorClass::Invalid, "as told"),
            Some("flaky") => {
                let mut ledger = self.outside.ledger();
                let failed = ledger.failed.entry(key).or_default();
                if *failed < with["times"].as_u64().unwrap_or(1) {
                    *failed += 1;
                    return Outcome::failed(ErrorClass::Transient, "not yet");
                }
                Outcome::Succeeded { output: json!({ "done": true }) }
            }
            _ => Outcome::Succeeded { output: json!({ "done": true }) },
        }
    }
}

/// Allows everything, under a name that changes; sometimes late, or not at all.
#[derive(Debug)]
pub(crate) struct Judge {
    pub(crate) outside: Arc<Outside>,
}

#[async_trait]
impl PolicyEngine for Judge {
    async fn evaluate(&self, request: PolicyRequest<'_>) -> Result<Ruling, PolicyError> {
        let truth = &self.outside.truth;
        // The author does not retry a refusal: what cannot decide is made to wait, not to refuse.
        while truth.world.roll(Die::Policy, 100) {
            truth.world.pass(700).await;
        }
        let policy = {
            let mut memory = truth.memory.lock().unwrap();
            if truth.world.roll(Die::Reload, 100) {
                memory.policy += 1;
            }
            let name = policy_name(memory.policy);
            memory.ruled.insert((request.run, request.step.to_owned(), name.clone()));
            name
        };
        truth.world.pass(truth.world.chance(|chance| chance.below(3))).await;
        Ok(Ruling { verdict: Verdict::Allow, policy: policy.as_str().into(), rule: None, reason: None })
    }
}
