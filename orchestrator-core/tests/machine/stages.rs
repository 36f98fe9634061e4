//! What comes after the steps proper: laws under random commands, against an account of its own.
//!
//! Four steps: `a`, then `b` with items, then `c`, all three with a compensation; `d` beside them. Two steps on failure,
//! two at the end. `b` and `c` have deadlines, and so may the run.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use indexmap::IndexMap;
use orchestrator_core::id::{DecisionId, OwnerId, RunId, StepIx, TransitionId, Unit};
use orchestrator_core::machine::transitions::{Row, TRANSITIONS};
use orchestrator_core::machine::{
    Asked, Begin, Command, Effect, Ending, Event, Finished, Holds, Intent, Prepared, Recorded, Rejection,
    RunCreated, RunState, SkipReason, StepError, StepKind, StepState, apply, check, decide, effect_of, fold,
    fork, is_to_stop, outstanding, wake_at,
};
use orchestrator_core::plan::Plan;
use orchestrator_core::spec::expr::Template;
use orchestrator_core::spec::retry::{ErrorClass, RetryPolicy};
use orchestrator_core::spec::{Each, EffectClass, Over, Stage, Stages, StepOptions, StepSpec, Workflow};
use orchestrator_core::time::Timestamp;
use orchestrator_core::value::{Digest, ValueRef};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use uuid::Uuid;

use crate::away::{Claims, claimed, offer, one_away};
use crate::children::is_of_children;
use crate::view::{View, check_due};

const A: StepIx = StepIx(0);
const B: StepIx = StepIx(1);
const C: StepIx = StepIx(2);
const ON_FAILURE: StepIx = StepIx(7);
const FINALLY: StepIx = StepIx(9);

#[derive(Debug, Clone)]
struct Form {
    items: u32,
    /// Whether a compensation may fail without holding up the others.
    tolerated: bool,
    /// Whether `c` is tried again, and how many items of `b` may be open at once.
    retried: bool,
    bound: Option<u32>,
    /// Whether the steps proper have a deadline.
    hurried: bool,
    effect: EffectClass,
}

#[derive(Debug, Clone)]
enum Act {
    /// Something that is asked for is done; where it begins something, here or elsewhere.
    Serve(u8, Fate, bool),
    /// Somebody claims what is offered.
    Claim(u8),
    /// What is executed elsewhere ends; `None`: its executor dies.
    Deliver(u8, Option<Fate>),
    Lose,
    Pause,
    Resume,
    Cancel,
    Resolve(bool),
    Retry(Option<u8>),
    Rerun(u8),
    Compensate,
    /// So many seconds go by.
    Wake(u8),
}

#[derive(Debug, Clone, Copy)]
enum Fate {
    Succeeds,
    Fails,
    Unknown,
    Interrupted,
    Waits,
}

/// How long `b` and `c` may take.
const STEP_DEADLINE: Duration = Duration::from_secs(60);
/// How long the run may take, if that is bounded.
const RUN_DEADLINE: Duration = Duration::from_secs(120);

struct Saga {
    form: Form,
    state: RunState,
    workflow: Arc<Workflow>,
    plan: Arc<Plan>,
    log: Vec<Recorded>,
    now: Timestamp,
    owner: u128,
    claims: Claims,
    /// What has been done and can be undone, in the order in which it was done.
    done: Vec<Unit>,
    /// What has happened, for seeing that all of it does.
    seen: BTreeMap<String, u64>,
    rows: BTreeSet<Row>,
}

fn asked() -> Asked {
    Asked { by: "someone".into(), reason: None }
}

fn text(number: u64) -> ValueRef {
    ValueRef::Inline(number.to_string().into())
}

fn workflow(form: &Form) -> Workflow {
    let spec = |name: &str, needs: &[StepIx], options: StepOptions| StepSpec {
        name: name.into(),
        uses: "any".into(),
        with: Arc::new(Template::constant(serde_json::Value::Null)),
        needs: needs.to_vec(),
        options: Some(Box::new(options)),
    };
    let plain = StepOptions::default;
    let undo = || StepOptions { continue_on_error: form.tolerated, ..plain() };
    let each = Each {
        over: Over::List(Template::constant(serde_json::json!([]))),
        max_parallel: form.bound.and_then(NonZeroU32::new),
    };
    let deadline = Some(STEP_DEADLINE);
    let retry = form.retried.then(|| RetryPolicy { max_attempts: 2, ..RetryPolicy::default() });
    let steps = vec![
        spec("a", &[], plain()),
        spec("b", &[A], StepOptions { each: Some(each), deadline, ..plain() }),
        spec("c", &[B], StepOptions { retry, deadline, ..plain() }),
        spec("d", &[A], plain()),
        spec("a.compensate", &[], undo()),
        spec("b.compensate", &[], undo()),
        spec("c.compensate", &[], undo()),
        spec("tell", &[], plain()),
        spec("tell_more", &[ON_FAILURE], plain()),
        spec("tidy", &[], plain()),
        spec("tidy_more", &[FINALLY], plain()),
    ];
    Workflow {
        name: "saga".into(),
        description: None,
        inputs: IndexMap::new(),
        env: IndexMap::new(),
        secrets: Vec::new(),
        steps,
        stages: Stages::new(4, vec![A, B, C], 2),
        deadline: form.hurried.then_some(RUN_DEADLINE),
        concurrency: None,
        permissions: orchestrator_core::spec::Permissions::default(),
        schedules: Vec::new(),
        outputs: IndexMap::new(),
        text: "".into(),
        revision: Digest::of(b""),
        children: IndexMap::new(),
        edition: Digest::of(b""),
    }
}

impl Saga {
    fn new(form: Form) -> Self {
        let workflow = workflow(&form);
        let plan = Plan::new(workflow.steps.iter().map(|step| &*step.needs)).expect("no cycle");
        let (workflow, plan) = (Arc::new(workflow), Arc::new(plan));
        let run = RunId::from_uuid(Uuid::from_u128(99));
        let mut saga = Self {
            state: RunState::new(run, workflow.clone(), plan.clone()),
            form,
            workflow,
            plan,
            log: Vec::new(),
            now: Timestamp::from_millis(1_000),
            owner: 1,
            claims: Claims::default(),
            done: Vec::new(),
            seen: BTreeMap::new(),
            rows: BTreeSet::new(),
        };
        let (workflow, revision, inputs) = ("saga".into(), Digest::of(b""), text(0));
        saga.record(vec![
            RunCreated {
                workflow,
                revision,
                inputs,
                by: "someone".into(),
                pins: None,
                not_before: None,
                place: None,
                within: Vec::new(),
            }
            .into(),
        ]);
        saga
    }

    fn owner(&self) -> OwnerId {
        OwnerId::from_uuid(Uuid::from_u128(self.owner))
    }

    #[expect(clippy::needless_pass_by_value, reason = "commands are made where they are said")]
    fn say(&mut self, command: Command) -> Result<(), Rejection> {
        self.now = self.now + Duration::from_millis(7);
        let events = decide(&self.state, &command, self.now)?;
        self.record(events);
        Ok(())
    }

    /// Applies events, twice: what is taken back must leave nothing.
    fn record(&mut self, events: Vec<Event>) {
        let transition = TransitionId::from_uuid(Uuid::from_u128(self.log.len() as u128));
        let seq = self.state.head().seq;
        let batch: Vec<Recorded> = (seq + 1..)
            .zip(events)
            .map(|(seq, event)| Recorded { seq, at: self.now, transition, event })
            .collect();
        let before = View::of(&self.state);
        self.state.begin_scratch();
        for recorded in &batch {
            apply(&mut self.state, recorded).expect("what was decided");
        }
        self.state.take_back();
        assert_eq!(View::of(&self.state), before, "taking back left something");
        self.state.begin_scratch();
        for recorded in &batch {
            self.note(&recorded.event);
            let from = recorded.event.unit().map(|unit| (unit, self.state.slot(unit).state.kind()));
            apply(&mut self.state, recorded).expect("what was decided");
            if let Some((unit, from)) = from {
                self.rows.insert((from, recorded.event.kind(), self.state.slot(unit).state.kind()));
            }
            if let Event::RunEnded(ended) = &recorded.event {
                self.note_end(ended.status);
            }
            check(&self.state).unwrap_or_else(|violation| panic!("{violation} after {recorded:?}"));
        }
        self.state.keep();
        self.log.extend(batch);
        check_due(&self.state);
        *self.seen.entry(self.state.status().to_owned()).or_default() += 1;
    }

    /// Keeps the account, and holds what happens against it.
    fn note(&mut self, event: &Event) {
        *self.seen.entry(event.kind().to_owned()).or_default() += 1;
        let undone =
            |unit: Unit| self.workflow.stages.undone_by(unit.step).map(|step| Unit::new(step, unit.item()));
        match event {
            Event::StepBegun(_) | Event::StepOffered(_) => {
                let Some(begun) = event.unit() else { return };
                let stage = self.state.slot(begun).stage;
                assert_eq!(self.state.head().stage, stage, "{begun:?} begins out of its stage");
                if let Some(step) = undone(begun) {
                    assert!(self.done.contains(&step), "{step:?} is undone, and was not done");
                    let open = self.state.slots().filter(|(unit, slot)| {
                        *unit != begun
                            && slot.stage == Stage::Compensation
                            && matches!(slot.state.kind(), StepKind::Running | StepKind::Offered)
                    });
                    assert_eq!(open.count(), 0, "two compensations at once");
                }
            }
            Event::StageBegun(begun) if begun.stage == Stage::Compensation => {
                let order: Vec<Unit> = begun.steps.iter().filter_map(|unit| undone(*unit)).collect();
                let expected: Vec<Unit> = self.done.iter().rev().copied().collect();
                assert_eq!(order, expected, "not the last first");
            }
            Event::RunReopened(reopened) => {
                // What begins again is no longer done; a step as a whole, with all its items.
                let whole = |unit: &Unit| {
                    reopened.steps.contains(&Unit::of(unit.step))
                        && !reopened
                            .steps
                            .iter()
                            .any(|other| other.step == unit.step && other.item().is_some())
                };
                self.done.retain(|unit| !whole(unit) && !reopened.steps.contains(unit));
            }
            _ => {}
        }
        let succeeded = match event {
            Event::StepSucceeded(e) => Some(e.step),
            Event::StepResolved(e) if e.output.is_some() => Some(e.step),
            _ => None,
        };
        let Some(unit) = succeeded else { return };
        if let Some(step) = undone(unit) {
            let at = self.done.iter().position(|done| *done == step).expect("undone once");
            let after = &self.done[at + 1..];
            assert!(self.form.tolerated || after.is_empty(), "{after:?} is not undone yet");
            self.done.remove(at);
        } else if self.workflow.stages.undo_of(unit.step).is_some() {
            assert!(!self.done.contains(&unit), "{unit:?} is done twice");
            self.done.push(unit);
        }
    }

    fn note_end(&mut self, status: Ending) {
        let head = self.state.head();
        let skipped = |step: StepIx| {
            self.state.slot(step).state == StepState::Skipped { reason: SkipReason::NotNeeded }
        };
        assert!(head.aborted || head.generation > 1 || !skipped(FINALLY), "the end was left out");
        let verdict = head.verdict.as_ref().map(|verdict| verdict.status);
        let unhandled = verdict == Some(Ending::Failed) && head.generation == 1 && !head.aborted;
        assert!(!unhandled || !skipped(ON_FAILURE), "the failure was not handled");
        assert!(verdict != Some(Ending::Completed) || skipped(ON_FAILURE), "no failure was handled");
        let failed = |stage: Stage| {
            let mut failed = self.state.slots().filter(|(unit, slot)| {
                unit.item().is_none() && slot.stage == stage && slot.state.kind() == StepKind::Failed
            });
            failed.any(|(_, slot)| !slot.tolerated)
        };
        if status == Ending::Completed {
            assert!(
                ![Stage::Main, Stage::Compensation, Stage::OnFailure, Stage::Finally].into_iter().any(failed)
            );
        }
        if unhandled && !failed(Stage::Compensation) && !self.form.tolerated {
            assert_eq!(self.done, [], "left as it was");
        }
        for (unit, slot) in self.state.slots() {
            let open = !slot.state.is_terminal() && slot.state.kind() != StepKind::OutcomeUnknown;
            assert!(!open || matches!(slot.state, StepState::Expanded(_)), "{unit:?} is open at the end");
        }
    }

    fn act(&mut self, act: &Act) {
        match *act {
            Act::Serve(which, fate, elsewhere) => {
                let effects = outstanding(&self.state);
                if !effects.is_empty() {
                    self.serve(effects[usize::from(which) % effects.len()], fate, elsewhere);
                }
            }
            Act::Claim(which) => {
                if let Some(step) = one_away(&self.state, which) {
                    let owner = OwnerId::from_uuid(Uuid::from_u128(1_000 + u128::from(which % 2)));
                    self.claims.claim(&self.state, step, owner, self.now);
                }
            }
            Act::Deliver(which, fate) => {
                let Some(step) = one_away(&self.state, which) else { return };
                if let Some(claimed) = self.claims.told(&self.state, step) {
                    self.say(claimed).expect("a claim is a fact");
                }
                if let Some((attempt, fence)) = claimed(&self.state, step) {
                    let outcome = fate.map_or(Finished::Lost, |fate| self.outcome(fate));
                    self.say(Command::Finish { step, attempt, fence, outcome }).expect("it was delivered");
                }
            }
            Act::Lose => {
                let dead = self.owner();
                self.owner += 1;
                let _ = self.say(Command::Lost { owner: dead });
                let _ = self.say(Command::TakeDriver { owner: self.owner(), dead: Some(dead) });
            }
            Act::Pause => drop(self.say(Command::Pause(asked()))),
            Act::Resume => drop(self.say(Command::Resume(asked()))),
            Act::Cancel => drop(self.say(Command::Cancel(asked()))),
            Act::Resolve(applied) => self.resolve(applied),
            Act::Retry(step) => {
                let steps = step.map(|step| Unit::of(StepIx(u32::from(step) % 11))).into_iter().collect();
                let _ = self.say(Command::Retry { steps, asked: asked() });
            }
            Act::Rerun(step) => {
                let step = StepIx(u32::from(step) % 11).into();
                let _ = self.say(Command::Rerun { step, asked: asked() });
            }
            Act::Wake(seconds) => self.wake(Duration::from_secs(seconds.into())),
            Act::Compensate => {
                let expected = !self.done.is_empty() && self.state.head().ended.is_some();
                let unknown = self.state.count(StepKind::OutcomeUnknown) > 0;
                let said = self.say(Command::Compensate(asked()));
                assert_eq!(said.is_ok(), expected && !unknown, "{said:?}");
            }
        }
    }

    /// Time goes by; nothing that is late is left to begin.
    fn wake(&mut self, time: Duration) {
        self.now = self.now + time;
        if self.say(Command::Wake).is_err() {
            return;
        }
        let head = self.state.head();
        let main = head.stage == Stage::Main && head.ended.is_none();
        let late_run = self.form.hurried && main && self.now >= head.since + RUN_DEADLINE;
        let is_late = |step: StepIx| {
            let begun =
                self.log.iter().rev().take_while(|recorded| !matches!(recorded.event, Event::RunReopened(_)));
            let begun = begun.filter(|recorded| {
                let begins = matches!(
                    recorded.event,
                    Event::StepBegun(_) | Event::StepOffered(_) | Event::StepExpanded(_)
                );
                begins && recorded.event.unit() == Some(step.into())
            });
            begun.last().is_some_and(|first| self.now >= first.at + STEP_DEADLINE)
        };
        let (b, c) = (is_late(B), is_late(C));
        for (unit, slot) in self.state.slots().filter(|(_, slot)| main && slot.stage == Stage::Main) {
            let late = late_run || b && unit.step == B || c && unit.step == C;
            let kind = slot.state.kind();
            let stays = kind.is_terminal()
                || matches!(
                    kind,
                    StepKind::Offered
                        | StepKind::Running
                        | StepKind::Expanded
                        | StepKind::OutcomeUnknown
                        | StepKind::Quarantined
                );
            assert!(!late || stays, "{unit:?} is late and {kind:?}");
            let asked = effect_of(&self.state, unit);
            let stops = match slot.state {
                StepState::Offered { .. } => matches!(asked, Some(Effect::Withdraw { .. })),
                StepState::Running { remote: true, .. } => is_to_stop(&self.state, unit),
                StepState::Running { .. } => asked == Some(Effect::Stop(unit)),
                _ => true,
            };
            assert!(!late || stops, "{unit:?} is late and goes on");
        }
    }

    fn resolve(&mut self, applied: bool) {
        let unknown = |slot: &StepKind| matches!(slot, StepKind::OutcomeUnknown | StepKind::Quarantined);
        let found = self.state.slots().find(|(_, slot)| unknown(&slot.state.kind())).map(|(unit, _)| unit);
        if let Some(step) = found {
            let _ = self.say(Command::Resolve { step, applied: applied.then(|| text(9)), asked: asked() });
            let driver = Command::TakeDriver { owner: self.owner(), dead: None };
            let _ = self.say(driver);
        }
    }

    fn serve(&mut self, effect: Effect, fate: Fate, elsewhere: bool) {
        let begin = Begin {
            owner: self.owner(),
            request: text(1),
            effect: self.form.effect,
            decision: DecisionId::from_uuid(Uuid::from_u128(5)),
            holds: Holds::default(),
        };
        let command = match effect {
            Effect::Prepare(step) => {
                let verdict = match self.state.may_begin(step) {
                    false => Prepared::Skip,
                    true if step == Unit::of(B) => {
                        Prepared::Expand { items: text(3), count: self.form.items }
                    }
                    true if elsewhere => Prepared::Offer { begin, offer: offer() },
                    true => Prepared::Begin(begin),
                };
                Command::Prepared { step, verdict }
            }
            Effect::Continue(step) if elsewhere => {
                Command::Offer { step, owner: self.owner(), offer: offer() }
            }
            Effect::Continue(step) => Command::Continue { step, owner: self.owner() },
            Effect::Withdraw { step, epoch } => self.claims.withdraw(&self.state, step, epoch),
            Effect::Execute { step, attempt, fence } => {
                let outcome = self.outcome(fate);
                Command::Finish { step, attempt, fence, outcome }
            }
            Effect::Stop(step) => {
                let StepState::Running { attempt, fence, .. } = self.state.slot(step).state else {
                    panic!("asked to stop what does not run")
                };
                Command::Finish { step, attempt, fence, outcome: Finished::Interrupted }
            }
            Effect::Conclude => Command::Conclude(Ok(text(8))),
            other => panic!("unheard of: {other:?}"),
        };
        self.say(command).unwrap_or_else(|rejection| panic!("{effect:?}: {rejection}"));
    }

    /// How an attempt ends.
    fn outcome(&self, fate: Fate) -> Finished {
        let error = || StepError::new(ErrorClass::Failed, "no luck");
        match fate {
            Fate::Succeeds => Finished::Succeeded(text(2)),
            Fate::Fails => Finished::Failed { error: error(), not_before: None },
            Fate::Unknown => Finished::Unknown(error()),
            Fate::Interrupted => Finished::Interrupted,
            Fate::Waits => Finished::Waiting {
                on: orchestrator_core::machine::WaitOn::Until,
                until: Some(self.now + Duration::from_secs(20)),
            },
        }
    }

    /// Everyone does what is asked of them, until the run has ended.
    fn settle(&mut self) {
        for _ in 0..200 + self.form.items * 40 {
            if self.state.head().ended.is_some() {
                return;
            }
            assert!(self.state.head().driver.is_some() || self.state.head().generation > 1);
            let _ = self.say(Command::TakeDriver { owner: self.owner(), dead: None });
            if self.state.head().intent == Intent::Pause {
                self.say(Command::Resume(asked())).expect("it is paused");
            }
            match outstanding(&self.state).first() {
                Some(effect) => {
                    assert!(wake_at(&self.state).is_some(), "nobody would look");
                    self.serve(*effect, Fate::Succeeds, false);
                }
                None if one_away(&self.state, 0).is_some() => {
                    self.act(&Act::Claim(0));
                    self.act(&Act::Deliver(0, Some(Fate::Succeeds)));
                }
                None => match wake_at(&self.state) {
                    Some(at) => {
                        self.now = self.now.max(at);
                        self.wake(Duration::ZERO);
                    }
                    None => self.resolve(true),
                },
            }
        }
        panic!("the run does not end: {:?}", View::of(&self.state));
    }

    fn check_fold(&self) {
        let mut again = RunState::new(self.state.run(), self.workflow.clone(), self.plan.clone());
        fold(&mut again, &self.log).expect("what was applied once");
        assert_eq!(View::of(&again), View::of(&self.state));
        for recorded in &self.log {
            let body = recorded.event.body().expect("it can be written");
            assert_eq!(Event::read(recorded.event.kind(), &body).expect("it reads"), recorded.event);
        }
    }

    /// A run that begins where this one is keeps all that does not depend on what is done again, and can end.
    fn fork(&mut self) {
        let steps = (0..4).map(|step| Unit::of(StepIx(step)));
        for step in steps.chain([Unit::item_of(B, 0)]) {
            let Ok(events) = fork(&self.state, &[step]) else { continue };
            let mut forked = Self::new(self.form.clone());
            forked.record(events.clone());
            let again = forked.state.find(step).is_none_or(|slot| !slot.state.is_terminal());
            assert!(again, "{step:?} is to be done again");
            forked.say(Command::TakeDriver { owner: forked.owner(), dead: None }).expect("nobody drives it");
            for (unit, slot) in forked.state.slots().filter(|(_, slot)| slot.kept) {
                let before = &self.state.slot(unit).state;
                assert_eq!(&slot.state, before, "{unit:?} is kept as it was");
                let needs = &forked.state.spec(unit).needs;
                assert!(needs.iter().all(|need| forked.state.slot(*need).state.is_terminal()), "{unit:?}");
            }
            let kept = events.iter().filter(|event| event.kind() == "step.kept").count() as u64;
            *self.seen.entry("step.kept".to_owned()).or_default() += kept;
            *self.seen.entry("run.forked".to_owned()).or_default() += 1;
            self.rows.extend(forked.rows.iter().copied());
            forked.settle();
            forked.check_fold();
        }
    }

    fn ending(&self) -> Option<Ending> {
        self.state.head().ended.map(|(ending, _)| ending)
    }
}

fn live(form: Form, acts: &[Act]) -> Saga {
    let mut saga = Saga::new(form);
    saga.say(Command::TakeDriver { owner: saga.owner(), dead: None }).expect("nobody drives it");
    acts.iter().for_each(|act| saga.act(act));
    saga.check_fold();
    saga.fork();
    saga.settle();
    // Whoever keeps trying gets there: first what is half undone, then forward.
    for _ in 0..4 {
        while saga.state.count(StepKind::OutcomeUnknown) > 0 {
            saga.resolve(true);
            saga.settle();
        }
        if saga.ending() == Some(Ending::Completed) {
            break;
        }
        saga.say(Command::Retry { steps: Vec::new(), asked: asked() }).expect("it has not completed");
        saga.settle();
    }
    assert_eq!(saga.ending(), Some(Ending::Completed), "{:?}", View::of(&saga.state));
    if !saga.done.is_empty() {
        saga.say(Command::Compensate(asked())).expect("there is something to undo");
        saga.settle();
        assert_eq!(
            (saga.ending(), &*saga.done),
            (Some(Ending::Cancelled), [].as_slice()),
            "undone on request"
        );
    }
    saga.check_fold();
    saga.fork();
    saga
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let fates = || {
        prop_oneof![
            8 => Just(Fate::Succeeds),
            2 => Just(Fate::Fails),
            1 => Just(Fate::Unknown),
            1 => Just(Fate::Interrupted),
            3 => Just(Fate::Waits),
        ]
    };
    let act = prop_oneof![
        44 => (any::<u8>(), fates(), 0..5).prop_map(|(which, fate, at)| Act::Serve(which, fate, at == 0)),
        6 => any::<u8>().prop_map(Act::Claim),
        6 => (any::<u8>(), prop::option::weighted(0.9, fates())).prop_map(|(which, fate)| Act::Deliver(which, fate)),
        1 => Just(Act::Lose),
        1 => Just(Act::Pause),
        2 => Just(Act::Resume),
        1 => Just(Act::Cancel),
        2 => any::<bool>().prop_map(Act::Resolve),
        2 => prop::option::of(any::<u8>()).prop_map(Act::Retry),
        1 => any::<u8>().prop_map(Act::Rerun),
        1 => Just(Act::Compensate),
        5 => (0..75u8).prop_map(Act::Wake),
    ];
    prop::collection::vec(act, 0..120)
}

fn forms() -> impl Strategy<Value = Form> {
    let effects =
        prop_oneof![Just(EffectClass::Pure), Just(EffectClass::Idempotent), Just(EffectClass::AtMostOnce)];
    let bounds = prop::option::of(1..3u32);
    (0..4u32, any::<bool>(), any::<bool>(), bounds, any::<bool>(), effects).prop_map(
        |(items, tolerated, retried, bound, hurried, effect)| Form {
            items,
            tolerated,
            retried,
            bound,
            hurried,
            effect,
        },
    )
}

#[test]
fn every_law_of_stages_holds() {
    let seen = RefCell::new(BTreeMap::<String, u64>::new());
    let rows = RefCell::new(BTreeSet::<Row>::new());
    let config = Config { cases: 400, failure_persistence: None, ..Config::default() };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    TestRunner::new_with_rng(config, rng)
        .run(&(forms(), acts()), |(form, acts)| {
            let saga = live(form, &acts);
            for (what, count) in saga.seen {
                *seen.borrow_mut().entry(what).or_default() += count;
            }
            rows.borrow_mut().extend(saga.rows);
            Ok(())
        })
        .unwrap_or_else(|failure| panic!("{failure}"));
    let (seen, rows) = (seen.into_inner(), rows.into_inner());
    let elsewhere = is_of_children;
    let of_deadlines =
        TRANSITIONS.iter().filter(|row| is_of_deadlines(row) && !elsewhere(row) || row.1 == "step.kept");
    let missed: Vec<_> = of_deadlines.filter(|row| !rows.contains(row)).collect();
    assert!(missed.is_empty(), "never reached: {missed:?}");
    let illegal: Vec<_> = rows.iter().filter(|row| !TRANSITIONS.contains(row)).collect();
    assert!(illegal.is_empty(), "not in the table: {illegal:?}");
    println!("{seen:#?}");
    for what in [
        "run.stage",
        "run.forked",
        "step.kept",
        "run.overdue",
        "step.overdue",
        "compensating",
        "completed",
        "failed",
        "cancelled",
        "paused",
        "blocked",
    ] {
        assert!(seen.contains_key(what), "never: {what}");
    }
}

/// Whether only a deadline leads there.
pub(crate) fn is_of_deadlines(row: &Row) -> bool {
    use StepKind::{Arrived, Backoff, Pending};
    row.1 == "step.overdue" || row.1 == "step.failed" && [Pending, Backoff, Arrived].contains(&row.0)
}

proptest! {
    #![proptest_config(Config { cases: 128, failure_persistence: None, ..Config::default() })]

    #[test]
    fn laws_of_stages_hold_for_other_seeds(form in forms(), acts in acts()) {
        live(form, &acts);
    }
}
