//! Every state of the run that was reached, each kept once, and what each word makes of it. The machine decides and folds;
//! here it is asked once for each state and word, however many worlds ask.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use orchestrator_core::id::{RunId, TransitionId};
use orchestrator_core::machine::transitions::TRANSITIONS;
use orchestrator_core::machine::{
    AfterLoss, Event, Recorded, RunCreated, RunEntered, RunState, StepKind, StepLost, StepState,
    StepSucceeded, apply, check, decide, outstanding, wake_at,
};
use orchestrator_core::value::{Digest, ValueRef};
use uuid::Uuid;

use crate::account::Account;
use crate::bounds::{STEPS, Scope};
use crate::word::{How, LATER, NOW, Word, hold, number, unit};
use crate::wrong::Wrong;

/// A state of the run, by its place in the list of those that were reached.
pub(crate) type RunIx = u32;

/// What was reached.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) state: RunState,
    pub(crate) account: Account,
}

/// What a word comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Said {
    /// Events, and after them this state.
    Changed(RunIx),
    /// It was so already.
    Nothing,
    /// The machine refuses it.
    Rejected,
}

/// All of them.
#[derive(Debug)]
pub(crate) struct Runs {
    pub(crate) scope: Scope,
    wrong: Option<Wrong>,
    reached: Vec<Ran>,
    places: HashMap<u64, Vec<RunIx>>,
    /// What was answered before, by state, by the state that it was decided on, and by word.
    answers: HashMap<(RunIx, RunIx, Word), Result<Said, String>>,
}

impl Runs {
    /// The run after its first event: state 0.
    pub(crate) fn new(scope: Scope, wrong: Option<Wrong>) -> Self {
        let (workflow, plan) = scope.workflow();
        let state = RunState::new(RunId::from_uuid(Uuid::from_u128(99)), workflow, plan);
        let created = RunCreated {
            workflow: "scope".into(),
            revision: Digest::of(b""),
            inputs: ValueRef::null(),
            by: "someone".into(),
            pins: None,
            not_before: None,
            place: scope.bounded.then(hold),
            within: Vec::new(),
        };
        let mut runs =
            Self { scope, wrong, reached: Vec::new(), places: HashMap::new(), answers: HashMap::new() };
        let (mut state, mut account) = (state, Account::new());
        runs.fold(&mut state, &mut account, created.into(), None).expect("a run can be created");
        runs.keep(Ran { state, account });
        runs
    }

    pub(crate) fn at(&self, run: RunIx) -> &Ran {
        &self.reached[run as usize]
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.reached.len()
    }

    /// What a word comes to.
    pub(crate) fn say(&mut self, run: RunIx, word: Word) -> Result<Said, String> {
        self.append(run, run, word)
    }

    /// What becomes of the run when the events that a word had come to in an earlier state are written now.
    pub(crate) fn append(&mut self, run: RunIx, base: RunIx, word: Word) -> Result<Said, String> {
        if let Some(known) = self.answers.get(&(run, base, word)) {
            return known.clone();
        }
        let answer = self.write(run, base, word);
        self.answers.insert((run, base, word), answer.clone());
        answer
    }

    fn write(&mut self, run: RunIx, base: RunIx, word: Word) -> Result<Said, String> {
        let on = &self.at(base).state;
        let decided = self.decide(on, word)?;
        let Some(events) = self.spoil(on, word, decided) else { return Ok(Said::Rejected) };
        if events.is_empty() {
            return Ok(Said::Nothing);
        }
        let (mut state, mut account) = (self.at(run).state.clone(), self.at(run).account.clone());
        for event in events {
            self.fold(&mut state, &mut account, event, Some(word))?;
        }
        Ok(Said::Changed(self.keep(Ran { state, account })))
    }

    /// What the machine makes of a word; `None` where it refuses it.
    fn decide(&self, on: &RunState, word: Word) -> Result<Option<Vec<Event>>, String> {
        let mut events = Vec::new();
        let mut after = None;
        for command in word.commands(|step| self.scope.steps[usize::from(step)]) {
            let state = after.as_ref().unwrap_or(on);
            let decided = decide(state, &command, word.time());
            let again = decide(state, &command, word.time());
            if decided != again {
                return Err(format!("G18: the same question, another answer: {again:?}"));
            }
            let Ok(decided) = decided else { return Ok(None) };
            if matches!(word, Word::Deliver(..)) {
                let mut next = state.clone();
                for event in &decided {
                    let recorded = recorded(&next, event.clone());
                    apply(&mut next, &recorded).map_err(|error| format!("I3: {error}"))?;
                }
                after = Some(next);
            }
            events.extend(decided);
        }
        Ok(Some(events))
    }

    /// What a wrong rule makes of what was decided.
    fn spoil(&self, on: &RunState, word: Word, decided: Option<Vec<Event>>) -> Option<Vec<Event>> {
        match (self.wrong, word) {
            (Some(Wrong::EpochReset), Word::Take { .. }) => decided.map(|mut events| {
                for event in &mut events {
                    if let Event::DriverTaken(taken) = event {
                        taken.epoch = 1;
                    }
                }
                events
            }),
            (Some(Wrong::LossNotCounted), Word::Lost { .. }) => decided.map(|mut events| {
                for event in &mut events {
                    if let Event::StepLost(lost) = event
                        && matches!(lost.then, AfterLoss::Quarantine | AfterLoss::Fail)
                    {
                        lost.then = AfterLoss::Again;
                    }
                }
                events
            }),
            (Some(Wrong::NoDoor), Word::Begin { .. }) if decided.is_none() && !on.has_entered() => {
                let mut entered = on.clone();
                apply(&mut entered, &recorded(on, RunEntered {}.into())).ok()?;
                self.decide(&entered, word).ok()?
            }
            (Some(Wrong::NoWithdrawal), Word::Withdraw { .. }) => None,
            (Some(Wrong::LostThoughDelivered), Word::Lost { owner }) => decided.map(|mut events| {
                events.extend(on.slots().filter_map(|(step, slot)| match slot.state {
                    StepState::Running { attempt, fence, remote: true, .. }
                        if number(fence.owner) == owner =>
                    {
                        let then = AfterLoss::Again;
                        Some(StepLost { step, attempt, owner: fence.owner, then }.into())
                    }
                    _ => None,
                }));
                events
            }),
            (Some(Wrong::LateResult), Word::Finish(right, How::Done)) if decided.is_none() => {
                let slot = on.slot(unit(right.step));
                let lost = slot.losses > 0 && slot.state.kind() == StepKind::Ready;
                let output = ValueRef::null();
                let event = StepSucceeded { step: unit(right.step), attempt: slot.attempts, output };
                lost.then(|| vec![event.into()])
            }
            _ => decided,
        }
    }

    /// Applies one event, and holds the account, the machine's own check and the table against each other.
    fn fold(
        &self,
        state: &mut RunState,
        account: &mut Account,
        event: Event,
        word: Option<Word>,
    ) -> Result<(), String> {
        let seq = state.head().seq + 1;
        account.note(&self.scope, seq, &event, word)?;
        let at = event.unit();
        let from = at.map(|step| state.slot(step).state.kind());
        let recorded = recorded(state, event);
        apply(state, &recorded).map_err(|error| format!("I3: {error}"))?;
        check(state).map_err(|violation| format!("check: {violation}"))?;
        if let (Some(step), Some(from)) = (at, from) {
            let row = (from, recorded.event.kind(), state.slot(step).state.kind());
            if !TRANSITIONS.contains(&row) {
                return Err(format!("I3: {row:?} is not in the table"));
            }
        }
        if account.agrees(state) { Ok(()) } else { Err(format!("I5: {account:?} is not {state:?}")) }
    }

    /// The place of a state: that of an equal one, if there is one.
    fn keep(&mut self, ran: Ran) -> RunIx {
        let mut hasher = DefaultHasher::new();
        ran.account.hash(&mut hasher);
        let key = hasher.finish();
        let equal = |at: &&RunIx| {
            let other = self.at(**at);
            let slots = || ran.state.slots().zip(other.state.slots());
            other.account == ran.account
                && other.state.head() == ran.state.head()
                && slots().all(|((_, slot), (_, other))| slot == other)
        };
        if let Some(found) = self.places.get(&key).and_then(|places| places.iter().find(equal)) {
            return *found;
        }
        let place = self.reached.len() as RunIx;
        self.places.entry(key).or_default().push(place);
        self.reached.push(ran);
        place
    }
}

/// An event in its place after a state.
fn recorded(state: &RunState, event: Event) -> Recorded {
    let seq = state.head().seq + 1;
    let transition = TransitionId::from_uuid(Uuid::from_u128(u128::from(seq)));
    Recorded { seq, at: NOW, transition, event }
}

impl Ran {
    /// Whether something is to be done or falls due, so that somebody takes the run up.
    pub(crate) fn is_due(&self) -> bool {
        !outstanding(&self.state).is_empty() || wake_at(&self.state).is_some_and(|due| due <= LATER)
    }

    /// Whether it waits for somebody who can be named: what it waits for is told by its state.
    pub(crate) fn waits_for_someone(&self) -> bool {
        let is_away = (0..STEPS).any(|step| self.account.away(step).is_some());
        is_away || self.account.paused || self.state.is_blocked()
    }
}
