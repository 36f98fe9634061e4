//! Steps that run once for each item of a list, and steps that are repeated: laws under random commands, against an
//! account of its own.
//!
//! Three steps: the first is plain, the second has items and needs the first, the third needs the second.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use indexmap::IndexMap;
use orchestrator_core::id::{DecisionId, OwnerId, RunId, StepIx, TransitionId, Unit};
use orchestrator_core::machine::transitions::{Row, TRANSITIONS};
use orchestrator_core::machine::{
    Asked, Begin, Command, Effect, Ending, Event, Finished, Holds, Intent, Judge, Prepared, Recorded,
    RunState, StepError, StepKind, apply, check, decide, fold, outstanding,
};
use orchestrator_core::plan::Plan;
use orchestrator_core::spec::expr::{Condition, Template};
use orchestrator_core::spec::retry::{ErrorClass, RetryPolicy};
use orchestrator_core::spec::{
    Each, EffectClass, OnExpiry, Over, Repeat, Stages, StepOptions, StepSpec, Workflow,
};
use orchestrator_core::time::Timestamp;
use orchestrator_core::value::{Digest, ValueRef};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use uuid::Uuid;

use crate::away::{Claims, claimed, offer, one_away};
use crate::children::is_of_children;
use crate::view::{View, check_due};
use crate::world::qa;

const FIRST: StepIx = StepIx(0);
const MAPPED: StepIx = StepIx(1);
const LAST: StepIx = StepIx(2);

/// What a run is made of.
#[derive(Debug, Clone)]
struct Form {
    bound: Option<u32>,
    count: u32,
    retried: bool,
    tolerated: bool,
    /// How often each item may run, if it is repeated.
    times: Option<u32>,
    effect: EffectClass,
}

/// Something that happens. Numbers choose among what is there.
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
    Resolve(u8, bool),
    Judge(u8, bool),
    Retry(Option<u8>),
    Rerun(u8),
    Wake,
}

#[derive(Debug, Clone, Copy)]
enum Fate {
    Succeeds,
    Fails,
    Unknown,
    Interrupted,
    Waits,
    NeedsQa,
}

struct Map {
    form: Form,
    state: RunState,
    workflow: Arc<Workflow>,
    plan: Arc<Plan>,
    log: Vec<Recorded>,
    now: Timestamp,
    owner: u128,
    claims: Claims,
    /// What each item has come to in this generation.
    ended: BTreeMap<u32, StepKind>,
    rows: BTreeMap<Row, u64>,
}

fn asked() -> Asked {
    Asked { by: "someone".into(), reason: None }
}

fn text(number: u64) -> ValueRef {
    ValueRef::Inline(number.to_string().into())
}

fn spec(name: &str, needs: &[StepIx], options: StepOptions) -> StepSpec {
    StepSpec {
        name: name.into(),
        uses: "any".into(),
        with: Arc::new(Template::constant(serde_json::Value::Null)),
        needs: needs.to_vec(),
        options: Some(Box::new(options)),
    }
}

impl Map {
    fn new(form: Form) -> Self {
        let each = Each {
            over: Over::List(Template::constant(serde_json::json!([]))),
            max_parallel: form.bound.and_then(NonZeroU32::new),
        };
        let retry = form.retried.then(|| RetryPolicy { max_attempts: 2, ..RetryPolicy::default() });
        let mapped = StepOptions {
            each: Some(each),
            retry,
            continue_on_error: form.tolerated,
            repeat: form.times.map(|max| Repeat {
                until: Condition::compile("true").expect("it compiles"),
                max,
                delay: Duration::ZERO,
            }),
            ..StepOptions::default()
        };
        let steps = vec![
            spec("first", &[], StepOptions::default()),
            spec("mapped", &[FIRST], mapped),
            spec("last", &[MAPPED], StepOptions::default()),
        ];
        let workflow = Workflow {
            name: "map".into(),
            description: None,
            inputs: IndexMap::new(),
            env: IndexMap::new(),
            secrets: Vec::new(),
            steps,
            stages: Stages::default(),
            deadline: None,
            concurrency: None,
            permissions: orchestrator_core::spec::Permissions::default(),
            schedules: Vec::new(),
            outputs: IndexMap::new(),
            text: "".into(),
            revision: Digest::of(b""),
            children: IndexMap::new(),
            edition: Digest::of(b""),
        };
        let plan = Plan::new(workflow.steps.iter().map(|step| &*step.needs)).expect("no cycle");
        let (workflow, plan) = (Arc::new(workflow), Arc::new(plan));
        let run = RunId::from_uuid(Uuid::from_u128(99));
        let mut map = Self {
            state: RunState::new(run, workflow.clone(), plan.clone()),
            form,
            workflow,
            plan,
            log: Vec::new(),
            now: Timestamp::from_millis(1_000),
            owner: 1,
            claims: Claims::default(),
            ended: BTreeMap::new(),
            rows: BTreeMap::new(),
        };
        let created = orchestrator_core::machine::RunCreated {
            workflow: "map".into(),
            revision: Digest::of(b""),
            pins: None,
            not_before: None,
            place: None,
            within: Vec::new(),
            inputs: text(0),
            by: "someone".into(),
        };
        map.record(vec![created.into()]);
        map.say(Command::TakeDriver { owner: map.owner(), dead: None });
        map
    }

    fn owner(&self) -> OwnerId {
        OwnerId::from_uuid(Uuid::from_u128(self.owner))
    }

    #[expect(clippy::needless_pass_by_value, reason = "commands are made where they are said")]
    fn say(&mut self, command: Command) -> bool {
        self.now = self.now + std::time::Duration::from_millis(7);
        let Ok(events) = decide(&self.state, &command, self.now) else { return false };
        self.record(events);
        true
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
            let unit = recorded.event.unit();
            if let (Some(unit), Event::StepBegun(_) | Event::StepOffered(_)) = (unit, &recorded.event) {
                let times = self.form.times.filter(|_| unit.step == MAPPED).unwrap_or(u32::MAX);
                assert!(self.state.slot(unit).iterations() < times, "{unit:?} runs too often");
            }
            let from = unit.map(|unit| self.state.slot(unit).state.kind());
            apply(&mut self.state, recorded).expect("what was decided");
            if let (Some(unit), Some(from)) = (unit, from) {
                let to = self.state.slot(unit).state.kind();
                *self.rows.entry((from, recorded.event.kind(), to)).or_default() += 1;
                self.note(unit, &recorded.event, to);
            }
            if let Event::RunReopened(reopened) = &recorded.event {
                let whole = reopened.steps.contains(&MAPPED.into())
                    && reopened.steps.iter().all(|unit| unit.item().is_none());
                if whole {
                    self.ended.clear();
                }
                let again: BTreeSet<u32> = reopened.steps.iter().filter_map(|unit| unit.item()).collect();
                self.ended.retain(|item, kind| {
                    let is_again = again.contains(item);
                    assert!(!is_again || *kind != StepKind::Succeeded, "item {item} has succeeded already");
                    !is_again
                });
            }
            check(&self.state).unwrap_or_else(|violation| panic!("{violation} after {recorded:?}"));
        }
        self.state.keep();
        self.log.extend(batch);
        check_due(&self.state);
        self.hold();
    }

    fn note(&mut self, unit: Unit, event: &Event, to: StepKind) {
        let Some(item) = unit.item() else {
            if let (MAPPED, Event::StepCollected(collected)) = (unit.step, event) {
                let of = |wanted| self.ended.values().filter(|kind| **kind == wanted).count();
                let expected = match (of(StepKind::Failed), of(StepKind::Cancelled)) {
                    (0, 0) => Ending::Completed,
                    (0, _) => Ending::Cancelled,
                    _ => Ending::Failed,
                };
                assert_eq!(collected.status, expected, "{:?}", self.ended);
                assert_eq!(self.ended.len() as u32, self.form.count, "it has ended too early");
            }
            return;
        };
        if matches!(event, Event::StepBegun(_) | Event::StepOffered(_)) {
            assert!(!self.ended.contains_key(&item), "item {item} had ended");
        }
        if to.is_terminal() {
            assert_eq!(self.ended.insert(item, to), None, "item {item} has ended twice");
        }
    }

    /// What holds at every moment.
    fn hold(&self) {
        let kind = |unit: Unit| self.state.slot(unit).state.kind();
        let items = self.state.fan(MAPPED).map_or(0, |fan| fan.count);
        let kinds: Vec<StepKind> = (0..items).map(|item| kind(Unit::item_of(MAPPED, item))).collect();
        let begun = kinds.iter().filter(|kind| !kind.is_terminal() && **kind != StepKind::Pending).count();
        assert!(begun as u32 <= self.form.bound.unwrap_or(u32::MAX), "{begun} items at once");
        if kinds.iter().any(|kind| !kind.is_terminal()) {
            assert!(matches!(kind(LAST.into()), StepKind::Pending | StepKind::Cancelled), "{kinds:?}");
            assert!(!self.state.slot(MAPPED).state.is_terminal(), "{kinds:?}");
        }
    }

    fn begin(&self, elsewhere: bool) -> Prepared {
        let begin = Begin {
            owner: self.owner(),
            request: text(1),
            effect: self.form.effect,
            decision: DecisionId::from_uuid(Uuid::from_u128(5)),
            holds: Holds::default(),
        };
        if elsewhere { Prepared::Offer { begin, offer: offer() } } else { Prepared::Begin(begin) }
    }

    fn act(&mut self, act: &Act) {
        match *act {
            Act::Serve(which, fate, elsewhere) => {
                let effects = outstanding(&self.state);
                if !effects.is_empty() {
                    let effect = effects[usize::from(which) % effects.len()];
                    self.serve(effect, fate, elsewhere);
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
                    assert!(self.say(claimed), "a claim is a fact");
                }
                if let Some((attempt, fence)) = claimed(&self.state, step) {
                    let outcome = fate.map_or(Finished::Lost, |fate| self.outcome(step, fate));
                    assert!(self.say(Command::Finish { step, attempt, fence, outcome }));
                }
            }
            Act::Lose => {
                let dead = self.owner();
                self.owner += 1;
                self.say(Command::Lost { owner: dead });
                self.say(Command::TakeDriver { owner: self.owner(), dead: Some(dead) });
            }
            Act::Pause => drop(self.say(Command::Pause(asked()))),
            Act::Resume => drop(self.say(Command::Resume(asked()))),
            Act::Cancel => drop(self.say(Command::Cancel(asked()))),
            Act::Resolve(item, applied) => {
                let step = Unit::item_of(MAPPED, u32::from(item) % self.form.count.max(1));
                self.say(Command::Resolve { step, applied: applied.then(|| text(9)), asked: asked() });
            }
            Act::Judge(item, passed) => {
                let step = Unit::item_of(MAPPED, u32::from(item) % self.form.count.max(1));
                let (digest, via) = (None, "cli".into());
                self.say(Command::Judge(Judge { step, digest, passed, asked: asked(), via }));
            }
            Act::Retry(item) => {
                let item = item.map(|item| Unit::item_of(MAPPED, u32::from(item) % self.form.count.max(1)));
                self.say(Command::Retry { steps: item.into_iter().collect(), asked: asked() });
            }
            Act::Rerun(step) => {
                let step = StepIx(u32::from(step) % 3);
                let before = self.state.slot(step).attempts;
                if self.say(Command::Rerun { step: step.into(), asked: asked() }) {
                    assert!(!self.state.slot(step).state.is_terminal(), "{before} attempts");
                }
            }
            Act::Wake => {
                self.now = self.now + std::time::Duration::from_secs(600);
                self.say(Command::Wake);
            }
        }
    }

    fn serve(&mut self, effect: Effect, fate: Fate, elsewhere: bool) {
        match effect {
            Effect::Prepare(step) if step == Unit::of(MAPPED) => {
                let at_once = self.begin(elsewhere);
                let refused = !self.say(Command::Prepared { step, verdict: at_once });
                assert!(refused, "something begins for all items at once");
                let verdict = match self.state.standing(step).success {
                    true => Prepared::Expand { items: text(3), count: self.form.count },
                    false => Prepared::Skip,
                };
                if matches!(verdict, Prepared::Expand { .. }) {
                    self.ended.clear();
                }
                assert!(self.say(Command::Prepared { step, verdict }));
            }
            Effect::Prepare(step) => {
                if self.state.slot(step).to_judge().is_some() {
                    return self.judge(step, fate);
                }
                let may = self.state.standing(step).success;
                let verdict = if may { self.begin(elsewhere) } else { Prepared::Skip };
                assert!(self.say(Command::Prepared { step, verdict }));
            }
            Effect::Continue(step) => {
                let owner = self.owner();
                self.say(match elsewhere {
                    true => Command::Offer { step, owner, offer: offer() },
                    false => Command::Continue { step, owner },
                });
            }
            Effect::Withdraw { step, epoch } => {
                assert!(self.say(self.claims.withdraw(&self.state, step, epoch)));
            }
            Effect::Execute { step, attempt, fence } => {
                let outcome = self.outcome(step, fate);
                assert!(self.say(Command::Finish { step, attempt, fence, outcome }));
            }
            Effect::Stop(step) => {
                let orchestrator_core::machine::StepState::Running { attempt, fence, .. } =
                    self.state.slot(step).state
                else {
                    panic!("asked to stop what does not run")
                };
                let outcome = Finished::Interrupted;
                assert!(self.say(Command::Finish { step, attempt, fence, outcome }));
            }
            Effect::Conclude => assert!(self.say(Command::Conclude(Ok(text(8))))),
            other => panic!("unheard of: {other:?}"),
        }
    }

    /// How an attempt ends.
    fn outcome(&self, step: Unit, fate: Fate) -> Finished {
        let error = || StepError::new(ErrorClass::Failed, "no luck");
        match fate {
            _ if step.step != MAPPED => Finished::Succeeded(text(2)),
            Fate::Succeeds => Finished::Succeeded(text(2)),
            Fate::Fails => Finished::Failed { error: error(), not_before: None },
            Fate::Unknown => Finished::Unknown(error()),
            Fate::Interrupted => Finished::Interrupted,
            Fate::NeedsQa => Finished::Waiting {
                on: qa(1, OnExpiry::Approve),
                until: Some(self.now + Duration::from_secs(1_000)),
            },
            Fate::Waits => {
                Finished::Waiting { on: orchestrator_core::machine::WaitOn::Until, until: Some(self.now) }
            }
        }
    }

    fn judge(&mut self, step: Unit, fate: Fate) {
        assert!(!self.say(Command::Prepared { step, verdict: self.begin(false) }), "it has not been judged");
        let verdict = match fate {
            Fate::Fails | Fate::Unknown => Prepared::Again { at: None },
            Fate::Waits | Fate::NeedsQa | Fate::Interrupted => Prepared::Again { at: Some(self.now) },
            Fate::Succeeds => Prepared::Enough,
        };
        assert!(self.say(Command::Prepared { step, verdict }));
    }

    /// Everyone does what is asked of them, until the run has ended.
    fn settle(&mut self) {
        for _ in 0..200 + self.form.count * 20 {
            if self.state.head().ended.is_some() {
                return;
            }
            self.say(Command::Resume(asked()));
            let unknown = self.state.slots().find(|(_, slot)| {
                matches!(slot.state.kind(), StepKind::OutcomeUnknown | StepKind::Quarantined)
            });
            if let Some((step, _)) = unknown
                && self.state.head().intent != Intent::Cancel
            {
                self.say(Command::Resolve { step, applied: Some(text(1)), asked: asked() });
            }
            match outstanding(&self.state).first() {
                Some(effect) => self.serve(*effect, Fate::Succeeds, false),
                None if one_away(&self.state, 0).is_some() => {
                    self.act(&Act::Claim(0));
                    self.act(&Act::Deliver(0, Some(Fate::Succeeds)));
                }
                None => self.act(&Act::Wake),
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
}

fn forms() -> impl Strategy<Value = Form> {
    let effects =
        prop_oneof![Just(EffectClass::Pure), Just(EffectClass::Idempotent), Just(EffectClass::AtMostOnce)];
    let bounds = || prop_oneof![Just(None), (1..4u32).prop_map(Some)];
    (bounds(), 0..7u32, any::<bool>(), any::<bool>(), bounds(), effects).prop_map(
        |(bound, count, retried, tolerated, times, effect)| Form {
            bound,
            count,
            retried,
            tolerated,
            times,
            effect,
        },
    )
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let fates = || {
        prop_oneof![
            6 => Just(Fate::Succeeds),
            3 => Just(Fate::Fails),
            1 => Just(Fate::Unknown),
            1 => Just(Fate::Interrupted),
            1 => Just(Fate::Waits),
            2 => Just(Fate::NeedsQa),
        ]
    };
    let act = prop_oneof![
        20 => (any::<u8>(), fates(), 0..3).prop_map(|(which, fate, at)| Act::Serve(which, fate, at == 0)),
        4 => any::<u8>().prop_map(Act::Claim),
        4 => (any::<u8>(), prop::option::weighted(0.9, fates())).prop_map(|(which, fate)| Act::Deliver(which, fate)),
        1 => Just(Act::Lose),
        1 => Just(Act::Pause),
        2 => Just(Act::Resume),
        1 => Just(Act::Cancel),
        2 => (any::<u8>(), any::<bool>()).prop_map(|(item, applied)| Act::Resolve(item, applied)),
        3 => (any::<u8>(), any::<bool>()).prop_map(|(item, passed)| Act::Judge(item, passed)),
        2 => prop::option::of(any::<u8>()).prop_map(Act::Retry),
        1 => any::<u8>().prop_map(Act::Rerun),
        2 => Just(Act::Wake),
    ];
    prop::collection::vec(act, 0..60)
}

fn live(form: Form, acts: &[Act]) -> Map {
    let mut map = Map::new(form);
    acts.iter().for_each(|act| map.act(act));
    map.check_fold();
    map.settle();
    map.check_fold();
    map
}

#[test]
fn every_law_of_items_holds_and_their_rows_of_the_table_are_reached() {
    let seen = RefCell::new(BTreeMap::<Row, u64>::new());
    let config = Config { cases: 1024, failure_persistence: None, ..Config::default() };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    TestRunner::new_with_rng(config, rng)
        .run(&(forms(), acts()), |(form, acts)| {
            for (row, count) in live(form, &acts).rows {
                *seen.borrow_mut().entry(row).or_default() += count;
            }
            Ok(())
        })
        .unwrap_or_else(|failure| panic!("{failure}"));
    let seen = seen.into_inner();
    let of_items = TRANSITIONS.iter().filter(|row| is_of_items(row) && !is_of_children(row));
    let missed: Vec<_> = of_items.filter(|row| !seen.contains_key(*row)).collect();
    assert!(missed.is_empty(), "never reached: {missed:?}");
    let illegal: Vec<_> = seen.keys().filter(|row| !TRANSITIONS.contains(row)).collect();
    assert!(illegal.is_empty(), "not in the table: {illegal:?}");
}

/// Whether a row is about a step that has items or is repeated: the laws of plain steps do not reach it.
pub(crate) fn is_of_items(row: &Row) -> bool {
    let repeats = ["step.iterated", "step.repeated"].contains(&row.1);
    let expanded = (row.0 == StepKind::Expanded || row.2 == StepKind::Expanded) && row.1 != "step.overdue";
    expanded || repeats || (row.0, row.1) == (StepKind::Ready, "step.succeeded")
}

proptest! {
    #![proptest_config(Config { cases: 512, failure_persistence: None, ..Config::default() })]

    #[test]
    fn every_run_with_items_can_end(form in forms(), acts in acts()) {
        live(form, &acts);
    }
}

#[test]
fn a_retry_repeats_what_failed_and_nothing_else() {
    let form = Form {
        bound: None,
        count: 4,
        retried: false,
        tolerated: false,
        times: None,
        effect: EffectClass::Pure,
    };
    let mut map = Map::new(form);
    let fates = |map: &mut Map, fail: u32| {
        while map.state.head().ended.is_none() {
            let effect = outstanding(&map.state)[0];
            let fate = match effect {
                orchestrator_core::machine::Effect::Execute { step, .. } if step.item() == Some(fail) => {
                    Fate::Fails
                }
                _ => Fate::Succeeds,
            };
            map.serve(effect, fate, false);
        }
    };
    fates(&mut map, 2);
    assert_eq!(map.state.status(), "failed");
    let error = map.state.head().error.as_ref().map(|error| error.message.to_string());
    assert_eq!(error.as_deref(), Some("step `mapped` failed: item 2 of 4 failed: no luck"));
    assert!(map.say(Command::Retry { steps: Vec::new(), asked: asked() }));
    fates(&mut map, u32::MAX);
    assert_eq!(map.state.status(), "completed");
    let attempts = |item| map.state.slot(Unit::item_of(MAPPED, item)).attempts;
    assert_eq!([0, 1, 2, 3].map(attempts), [1, 1, 2, 1]);
}

#[test]
fn an_empty_list_succeeds() {
    let form = Form {
        bound: Some(2),
        count: 0,
        retried: false,
        tolerated: false,
        times: None,
        effect: EffectClass::Pure,
    };
    let mut map = Map::new(form);
    map.settle();
    assert_eq!((map.state.status(), map.state.done()), ("completed", 3));
}

#[test]
fn a_tolerated_failure_lets_the_run_complete() {
    let form = Form {
        bound: None,
        count: 1,
        retried: false,
        tolerated: true,
        times: None,
        effect: EffectClass::Pure,
    };
    let mut map = Map::new(form);
    for fate in [Fate::Succeeds, Fate::Succeeds, Fate::Succeeds, Fate::Fails] {
        while !matches!(outstanding(&map.state)[0], orchestrator_core::machine::Effect::Execute { .. }) {
            let effect = outstanding(&map.state)[0];
            map.serve(effect, Fate::Succeeds, false);
        }
        let effect = outstanding(&map.state)[0];
        let is_item =
            matches!(effect, orchestrator_core::machine::Effect::Execute { step, .. } if step.step == MAPPED);
        map.serve(effect, if is_item { Fate::Fails } else { fate }, false);
        if map.state.slot(LAST).attempts > 0 {
            break;
        }
    }
    map.settle();
    assert_eq!(map.state.slot(MAPPED).state.kind(), StepKind::Failed);
    assert_eq!(map.state.status(), "completed");
}

#[test]
fn an_item_that_a_longer_list_brings_has_no_attempts_of_others() {
    let form = Form {
        bound: None,
        count: 2,
        retried: false,
        tolerated: false,
        times: None,
        effect: EffectClass::Pure,
    };
    let mut map = Map::new(form);
    map.settle();
    map.form.count = 4;
    assert!(map.say(Command::Rerun { step: MAPPED.into(), asked: asked() }));
    map.settle();
    let attempts = |item| map.state.slot(Unit::item_of(MAPPED, item)).attempts;
    assert_eq!((map.state.status(), [0, 1, 2, 3].map(attempts)), ("completed", [2, 2, 1, 1]));
}
