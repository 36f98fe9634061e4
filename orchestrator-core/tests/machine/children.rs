//! Steps that another run carries out: worked cases, and what holds of every such run whatever is said to it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use indexmap::IndexMap;
use orchestrator_core::id::{DecisionId, OwnerId, RunId, StepIx, TransitionId, Unit};
use orchestrator_core::machine::transitions::{Row, TRANSITIONS};
use orchestrator_core::machine::{
    Asked, Begin, ChildEnd, Command, Effect, Ending, Event, Holds, Inside, Intent, Prepared, Recorded,
    Rejection, RunCreated, RunState, StepError, StepKind, StepState, apply, check, decide, fold, fork_inside,
    outstanding, wake_at,
};
use orchestrator_core::plan::Plan;
use orchestrator_core::spec::expr::{Condition, Template};
use orchestrator_core::spec::retry::{Backoff, ErrorClass, RetryPolicy};
use orchestrator_core::spec::{EffectClass, Repeat, StepOptions, StepSpec, Workflow};
use orchestrator_core::time::Timestamp;
use orchestrator_core::value::{Digest, ValueRef};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::Value;
use uuid::Uuid;

use crate::view::View;

/// Whether a row is about a step that another run carries out.
pub(crate) fn is_of_children(row: &Row) -> bool {
    let of_children = ["step.waiting", "step.succeeded", "step.iterated", "step.overdue"].contains(&row.1)
        || (row.1, row.2) == ("step.failed", StepKind::Backoff);
    row.0 == StepKind::Waiting && of_children
}

const A: StepIx = StepIx(0);
const B: StepIx = StepIx(1);

fn child(number: u128) -> RunId {
    RunId::from_uuid(Uuid::from_u128(1000 + number))
}

fn error(class: ErrorClass) -> StepError {
    StepError::new(class, "it went wrong")
}

/// A run of two steps, the second after the first, both carried out by children.
struct Parent {
    state: RunState,
    log: Vec<Recorded>,
    fresh: RunState,
    now: Timestamp,
    born: u128,
    seen: BTreeSet<Row>,
}

impl Parent {
    fn new(options: impl Fn() -> StepOptions) -> Self {
        let step = |name: &str, needs: Vec<StepIx>| StepSpec {
            name: name.into(),
            uses: "workflow".into(),
            with: Arc::new(Template::constant(Value::Null)),
            needs,
            options: Some(Box::new(StepOptions { child: Some("child".into()), ..options() })),
        };
        let workflow = Workflow {
            name: "parent".into(),
            description: None,
            inputs: IndexMap::new(),
            env: IndexMap::new(),
            stages: orchestrator_core::spec::Stages::default(),
            secrets: Vec::new(),
            steps: vec![step("a", Vec::new()), step("b", vec![A])],
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
        let plan = Plan::new(workflow.steps.iter().map(|step| &*step.needs)).unwrap();
        let fresh = RunState::new(RunId::from_uuid(Uuid::from_u128(7)), Arc::new(workflow), Arc::new(plan));
        let mut parent = Self {
            state: fresh.clone(),
            log: Vec::new(),
            fresh,
            now: Timestamp::from_millis(1_000),
            born: 0,
            seen: BTreeSet::new(),
        };
        let created = RunCreated {
            workflow: "parent".into(),
            revision: Digest::of(b""),
            inputs: ValueRef::null(),
            by: "someone".into(),
            pins: None,
            not_before: None,
            place: None,
            within: Vec::new(),
        };
        parent.record(vec![created.into()]);
        parent
    }

    fn record(&mut self, events: Vec<Event>) {
        for event in events {
            let from = event.unit().map(|unit| self.state.slot(unit).state.kind());
            let recorded = Recorded {
                seq: self.state.head().seq + 1,
                at: self.now,
                transition: TransitionId::from_uuid(Uuid::from_u128(1)),
                event,
            };
            apply(&mut self.state, &recorded).unwrap();
            if let (Some(unit), Some(from)) = (recorded.event.unit(), from) {
                self.seen.insert((from, recorded.event.kind(), self.state.slot(unit).state.kind()));
            }
            self.log.push(recorded);
        }
        check(&self.state).unwrap();
    }

    fn say(&mut self, command: &Command) -> Result<usize, Rejection> {
        let events = decide(&self.state, command, self.now)?;
        let count = events.len();
        self.record(events);
        Ok(count)
    }

    /// Begins a step: gives the child.
    fn delegate(&mut self, step: StepIx, timeout: Option<u64>) -> Result<RunId, Rejection> {
        self.born += 1;
        let run = child(self.born);
        let begin = Begin {
            owner: OwnerId::from_uuid(Uuid::from_u128(1)),
            request: ValueRef::null(),
            effect: EffectClass::Idempotent,
            decision: DecisionId::from_uuid(Uuid::from_u128(5)),
            holds: Holds::default(),
        };
        let until = timeout.map(|millis| self.now + Duration::from_millis(millis));
        let verdict = Prepared::Delegate { begin, child: run, until };
        self.say(&Command::Prepared { step: step.into(), verdict }).map(|_| run)
    }

    fn end(&mut self, step: StepIx, child: RunId, end: ChildEnd) -> Result<usize, Rejection> {
        self.say(&Command::ChildEnded { step: step.into(), child, end })
    }

    fn kind(&self, step: StepIx) -> StepKind {
        self.state.slot(step).state.kind()
    }

    /// What is wanted of the child of a step.
    fn wanted(&self) -> Vec<(Unit, RunId, Intent)> {
        let wards = outstanding(&self.state).into_iter().filter_map(|effect| match effect {
            Effect::Attend { step, child, intent } => Some((step, child, intent)),
            _ => None,
        });
        wards.collect()
    }
}

fn plain() -> StepOptions {
    StepOptions::default()
}

fn retried() -> StepOptions {
    let policy = RetryPolicy {
        max_attempts: 2,
        backoff: Backoff::Fixed,
        initial: Duration::from_millis(20),
        max: Duration::from_millis(20),
        on: Vec::new(),
    };
    StepOptions { retry: Some(policy), ..plain() }
}

fn done() -> ChildEnd {
    ChildEnd::Completed(ValueRef::null())
}

fn asked() -> Asked {
    Asked { by: "kim".into(), reason: None }
}

#[test]
fn a_child_is_attended_until_its_end_is_taken_once() {
    let mut parent = Parent::new(plain);
    let first = parent.delegate(A, None).unwrap();
    assert_eq!(parent.kind(A), StepKind::Waiting);
    assert_eq!(parent.wanted(), [(A.into(), first, Intent::Proceed)]);
    assert_eq!((parent.state.status(), wake_at(&parent.state)), ("running", Some(parent.now)));
    assert_eq!(parent.end(A, child(99), done()), Err(Rejection::Fenced), "another run");
    parent.end(A, first, done()).unwrap();
    assert_eq!(parent.end(A, first, ChildEnd::Failed(error(ErrorClass::Failed))), Err(Rejection::Fenced));
    assert_eq!((parent.kind(A), parent.kind(B)), (StepKind::Succeeded, StepKind::Ready));
    assert_eq!(parent.wanted(), []);
}

#[test]
fn a_failed_child_is_followed_by_another_as_retry_says() {
    let mut parent = Parent::new(retried);
    let first = parent.delegate(A, None).unwrap();
    parent.end(A, first, ChildEnd::Failed(error(ErrorClass::Transient))).unwrap();
    assert_eq!(parent.kind(A), StepKind::Backoff);
    parent.now = parent.now + Duration::from_secs(1);
    parent.say(&Command::Wake).unwrap();
    let second = parent.delegate(A, None).unwrap();
    assert_ne!(first, second);
    parent.end(A, second, ChildEnd::Failed(error(ErrorClass::Transient))).unwrap();
    assert_eq!((parent.kind(A), parent.state.slot(A).attempts), (StepKind::Failed, 2));
}

#[test]
fn a_cancelled_child_is_no_failure_to_retry() {
    let mut parent = Parent::new(retried);
    let first = parent.delegate(A, None).unwrap();
    parent.end(A, first, ChildEnd::Cancelled(error(ErrorClass::Cancelled))).unwrap();
    assert_eq!(parent.kind(A), StepKind::Failed);
}

#[test]
fn a_cancelled_parent_ends_after_its_children() {
    for (end, kind) in [
        (ChildEnd::Cancelled(error(ErrorClass::Cancelled)), StepKind::Cancelled),
        (ChildEnd::Failed(error(ErrorClass::Failed)), StepKind::Failed),
        (done(), StepKind::Succeeded),
    ] {
        let mut parent = Parent::new(retried);
        let first = parent.delegate(A, None).unwrap();
        parent.say(&Command::Cancel(asked())).unwrap();
        assert_eq!((parent.kind(A), parent.kind(B)), (StepKind::Waiting, StepKind::Cancelled));
        assert_eq!(parent.wanted(), [(A.into(), first, Intent::Cancel)]);
        assert!(!parent.state.is_settled() && wake_at(&parent.state).is_some());
        parent.end(A, first, end).unwrap();
        assert_eq!(parent.kind(A), kind);
        parent.say(&Command::Conclude(Ok(ValueRef::null()))).unwrap();
        assert_eq!(parent.state.head().ended.unwrap().0, Ending::Cancelled);
    }
}

#[test]
fn a_child_whose_time_is_over_is_stopped_before_the_step_fails() {
    let mut parent = Parent::new(retried);
    let first = parent.delegate(A, Some(10)).unwrap();
    parent.now = parent.now + Duration::from_millis(10);
    parent.say(&Command::Wake).unwrap();
    assert_eq!(
        (parent.kind(A), parent.wanted()),
        (StepKind::Waiting, vec![(A.into(), first, Intent::Cancel)])
    );
    assert_eq!(parent.say(&Command::Wake), Ok(0), "there is no other timer");
    parent.end(A, first, ChildEnd::Cancelled(error(ErrorClass::Cancelled))).unwrap();
    assert_eq!(parent.kind(A), StepKind::Backoff, "a timeout may pass by itself");
    parent.now = parent.now + Duration::from_secs(1);
    parent.say(&Command::Wake).unwrap();
    let second = parent.delegate(A, Some(10)).unwrap();
    parent.now = parent.now + Duration::from_millis(10);
    parent.say(&Command::Wake).unwrap();
    parent.end(A, second, done()).unwrap();
    let StepState::Failed { error } = &parent.state.slot(A).state else { panic!("it has not failed") };
    assert_eq!(error.class, ErrorClass::Timeout, "too late is too late");
}

#[test]
fn a_child_follows_its_parent_but_stays_paused_for_whoever_paused_it() {
    let follow = |intent| Command::Follow { intent, parent: child(50) };
    let mut run = Parent::new(plain);
    assert_eq!(run.say(&follow(Intent::Pause)), Ok(1));
    assert_eq!(run.say(&follow(Intent::Pause)), Ok(0));
    assert_eq!(run.say(&follow(Intent::Proceed)), Ok(1));
    run.say(&Command::Pause(asked())).unwrap();
    assert_eq!(run.say(&follow(Intent::Proceed)), Ok(0), "someone has paused it by name");
    run.say(&Command::Resume(asked())).unwrap();
    assert_eq!(run.say(&follow(Intent::Cancel)), Ok(3), "both steps are cancelled with it");
    assert_eq!(run.say(&follow(Intent::Proceed)), Ok(0));
}

/// What may happen to such a run.
#[derive(Debug, Clone, Copy)]
enum Act {
    Begin(u8),
    End(u8, u8),
    Stale(u8),
    Pass,
    Pause,
    Resume,
    Cancel,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = (0..16u8, any::<u8>(), any::<u8>()).prop_map(|(kind, pick, how)| match kind {
        0..5 => Act::Begin(pick),
        5..10 => Act::End(pick, how),
        10 => Act::Stale(pick),
        11 | 12 => Act::Pass,
        13 => Act::Pause,
        14 => Act::Resume,
        _ if how < 64 => Act::Cancel,
        _ => Act::Resume,
    });
    prop::collection::vec(act, 0..60)
}

fn bounded() -> StepOptions {
    StepOptions { deadline: Some(Duration::from_millis(100)), ..retried() }
}

fn repeated() -> StepOptions {
    let repeat = Repeat { until: Condition::compile("true").unwrap(), max: 3, delay: Duration::ZERO };
    StepOptions { repeat: Some(repeat), ..retried() }
}

/// Plays acts, brings the run to its end, and gives the rows that were seen.
fn live(options: fn() -> StepOptions, acts: &[Act]) -> BTreeSet<Row> {
    let mut parent = Parent::new(options);
    let mut gone: Vec<RunId> = Vec::new();
    let settle = [Act::Resume, Act::Pass, Act::Begin(0), Act::Begin(1), Act::End(0, 0), Act::End(1, 0)];
    let mut script = acts.iter().copied().chain(settle.into_iter().cycle().take(200));
    while parent.state.head().ended.is_none() {
        let act = script.next().expect("every run comes to its end");
        let step = |pick: u8| StepIx(u32::from(pick % 2));
        match act {
            Act::Begin(pick) => {
                let judge = Command::Prepared { step: step(pick).into(), verdict: Prepared::Enough };
                if parent.say(&judge).is_err() {
                    let needs_nothing = parent.state.standing(step(pick).into()).success;
                    match needs_nothing {
                        true => drop(parent.delegate(step(pick), Some(50))),
                        false => {
                            let verdict = Prepared::Skip;
                            drop(parent.say(&Command::Prepared { step: step(pick).into(), verdict }));
                        }
                    }
                }
            }
            Act::End(pick, how) => {
                if let Some(run) = parent.state.slot(step(pick)).state.child() {
                    let end = match how % 4 {
                        0 | 1 => done(),
                        2 => ChildEnd::Failed(error(ErrorClass::Transient)),
                        _ => ChildEnd::Cancelled(error(ErrorClass::Cancelled)),
                    };
                    parent.end(step(pick), run, end).expect("the end of a child that is waited for is taken");
                    gone.push(run);
                }
            }
            Act::Stale(pick) => {
                for run in &gone {
                    assert_eq!(parent.end(step(pick), *run, done()), Err(Rejection::Fenced), "taken once");
                }
            }
            Act::Pass => {
                parent.now = parent.now + Duration::from_millis(60);
                parent.say(&Command::Wake).unwrap();
            }
            Act::Pause => drop(parent.say(&Command::Pause(asked()))),
            Act::Resume => drop(parent.say(&Command::Resume(asked()))),
            Act::Cancel => drop(parent.say(&Command::Cancel(asked()))),
        }
        let wards = parent.wanted();
        assert_eq!(wards.len(), parent.state.children(), "every child is seen to");
        assert!(wards.is_empty() || wake_at(&parent.state).is_some(), "somebody has to see to them");
        if parent.state.is_settled() {
            assert!(wards.is_empty(), "a run ends after its children");
            parent.say(&Command::Conclude(Ok(ValueRef::null()))).unwrap();
        }
    }
    let mut again = parent.fresh.clone();
    fold(&mut again, &parent.log).unwrap();
    assert_eq!(outstanding(&again), outstanding(&parent.state));
    assert_eq!(again.status(), parent.state.status());
    goes_on_inside(&mut parent);
    parent.seen
}

/// A retry goes on inside of what has failed or was cancelled for its own sake, with its last child, until that begins.
fn goes_on_inside(parent: &mut Parent) {
    let is_open = |step| matches!(parent.kind(step), StepKind::Failed | StepKind::Cancelled);
    let last = |step: StepIx| {
        parent.log.iter().rev().find_map(|recorded| match &recorded.event {
            Event::StepWaiting(waiting) if waiting.step == step.into() => waiting.on.child(),
            _ => None,
        })
    };
    let of_a = last(A).filter(|_| is_open(A));
    let of_b = last(B).filter(|_| is_open(B) && !is_open(A));
    let before = View::of(&parent.state);
    let retry = Command::Retry { steps: Vec::new(), asked: asked() };
    let Ok(events) = decide(&parent.state, &retry, parent.now) else { return };
    parent.state.begin_scratch();
    let seq = parent.state.head().seq + 1;
    let transition = TransitionId::from_uuid(Uuid::from_u128(1));
    let reopened = Recorded { seq, at: parent.now, transition, event: events[0].clone() };
    apply(&mut parent.state, &reopened).unwrap();
    parent.state.take_back();
    assert_eq!(View::of(&parent.state), before, "it can be taken back");
    parent.record(events);
    let inside = |parent: &Parent, step: StepIx| parent.state.inside(step.into()).map(|inside| inside.child);
    assert_eq!([inside(parent, A), inside(parent, B)], [of_a, of_b]);
    for step in [A, B] {
        if parent.kind(step) == StepKind::Ready {
            parent.delegate(step, None).unwrap();
            assert_eq!(inside(parent, step), None, "the next attempt is at the beginning");
        }
    }
    let mut again = parent.fresh.clone();
    fold(&mut again, &parent.log).unwrap();
    assert_eq!(View::of(&again), View::of(&parent.state));
}

#[test]
fn a_fork_says_where_its_steps_go_on_until_they_begin() {
    let mut parent = Parent::new(plain);
    let first = parent.delegate(A, None).unwrap();
    parent.end(A, first, done()).unwrap();
    assert!(
        fork_inside(&parent.state, &[], &[(B.into(), "x".into())]).is_err(),
        "nothing has carried it out"
    );
    let second = parent.delegate(B, None).unwrap();
    parent.end(B, second, ChildEnd::Failed(error(ErrorClass::Failed))).unwrap();
    let inside = |from: &[Unit], places: &[(Unit, Arc<str>)]| {
        let events = fork_inside(&parent.state, from, places).unwrap();
        let mut forked = Parent::new(plain);
        forked.record(events);
        let of = |step: StepIx| forked.state.inside(step.into()).cloned();
        [of(A), of(B)]
    };
    let of_b = |from: &[&str]| {
        let from = from.iter().map(|place| Arc::from(*place)).collect();
        Some(Inside { step: B.into(), child: second, from })
    };
    let place = |step: StepIx, place: &str| (Unit::of(step), Arc::<str>::from(place));
    assert_eq!(inside(&[], &[]), [None, of_b(&[])], "what has failed");
    assert_eq!(inside(&[], &[place(B, "x"), place(B, "y/z")]), [None, of_b(&["x", "y/z"])]);
    assert_eq!(inside(&[B.into()], &[place(B, "x")]), [None, None], "as a whole");
    assert_eq!(inside(&[A.into()], &[place(B, "x")]), [None, None], "below one that is done again");
    let [of_a, of_b] = inside(&[], &[place(A, "x"), place(B, "y")]);
    assert_eq!((of_a.map(|of_a| of_a.child), of_b), (Some(first), None), "so it is here");
}

#[test]
fn every_run_with_children_can_end_and_every_row_of_theirs_is_reached() {
    let seen = std::cell::RefCell::new(BTreeSet::new());
    let config = ProptestConfig { cases: 512, failure_persistence: None, ..Config::default() };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    TestRunner::new_with_rng(config, rng)
        .run(&(0..4usize, acts()), |(options, acts)| {
            seen.borrow_mut().extend(live([plain, retried, repeated, bounded][options], &acts));
            Ok(())
        })
        .unwrap_or_else(|failure| panic!("{failure}"));
    let seen = seen.into_inner();
    let missed: Vec<_> =
        TRANSITIONS.iter().filter(|row| is_of_children(row) && !seen.contains(*row)).collect();
    assert!(missed.is_empty(), "never reached: {missed:?}");
    let illegal: Vec<_> = seen.iter().filter(|row| !TRANSITIONS.contains(row)).collect();
    assert!(illegal.is_empty(), "not in the table: {illegal:?}");
}
