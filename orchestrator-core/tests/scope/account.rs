//! An account of a run kept from its events alone. It shares no code with the machine, and says which promise an event
//! breaks: I3 (terminal is terminal), I4 (no gaps), I6 (attempts), I7 (one result), I9 (order), I10 (rights), G5 (at most
//! once).

use orchestrator_core::machine::{
    AfterLoss, Event, Intent, RunState, Slot, StepFailed, StepKind, StepLost, StepResolved, StepState, WaitOn,
};
use orchestrator_core::spec::EffectClass;

use crate::bounds::{Kind, STEPS, Scope};
use crate::word::{Right, Word, number};

/// After so many losses a step is not begun again unasked.
const MAX_CRASHES: u8 = 3;

/// Where a step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Place {
    Open,
    /// Whoever executes steps elsewhere may claim it.
    Offered {
        attempt: u8,
        epoch: u8,
    },
    /// It was claimed, and the log says by whom.
    Claimed(Right),
    Running(Right),
    Backoff,
    Waiting,
    Arrived,
    Unknown,
    Quarantined,
    Ended {
        completed: bool,
    },
}

/// What is known of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Entry {
    pub(crate) place: Place,
    /// Whether it waits for a signal, if it waits.
    pub(crate) listens: bool,
    /// Whether it waits for a place, to begin or to go on.
    pub(crate) parked: bool,
    attempts: u8,
    epoch: u8,
    /// Of this generation.
    begun: u8,
    failures: u8,
    losses: u8,
    forgiven: u8,
    /// Whether its attempt has waited and got what it waited for.
    arrived: bool,
    /// Whether an attempt has begun of which nobody has said how it ended.
    unsettled: bool,
}

/// Where a run is that may need a place before anything of it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Door {
    /// It needs none.
    Open,
    Outside,
    InLine,
    Inside,
}

/// The account.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Account {
    pub(crate) steps: [Entry; STEPS],
    pub(crate) seq: u8,
    pub(crate) driver: u8,
    pub(crate) driver_epoch: u8,
    pub(crate) ended: bool,
    pub(crate) paused: bool,
    pub(crate) cancelled: bool,
    pub(crate) door: Door,
    generation: u8,
}

type Verdict = Result<(), String>;

fn hold(holds: bool, promise: &str, what: impl FnOnce() -> String) -> Verdict {
    if holds { Ok(()) } else { Err(format!("{promise}: {}", what())) }
}

impl Account {
    pub(crate) fn new() -> Self {
        let entry = Entry {
            place: Place::Open,
            listens: false,
            parked: false,
            attempts: 0,
            epoch: 0,
            begun: 0,
            failures: 0,
            losses: 0,
            forgiven: 0,
            arrived: false,
            unsettled: false,
        };
        Self {
            steps: [entry; STEPS],
            seq: 0,
            driver: 0,
            driver_epoch: 0,
            ended: false,
            paused: false,
            cancelled: false,
            door: Door::Open,
            generation: 1,
        }
    }

    /// Whether an attempt is under way under a right.
    pub(crate) fn is_running(&self, right: Right) -> bool {
        self.steps[usize::from(right.step)].place == Place::Running(right)
    }

    /// The rights under which drivers execute attempts.
    pub(crate) fn running(&self) -> impl Iterator<Item = Right> {
        self.steps.iter().filter_map(|entry| match entry.place {
            Place::Running(right) => Some(right),
            _ => None,
        })
    }

    /// The rights under which others execute attempts, as far as the log says so.
    pub(crate) fn claimed(&self) -> impl Iterator<Item = Right> {
        self.steps.iter().filter_map(|entry| match entry.place {
            Place::Claimed(right) => Some(right),
            _ => None,
        })
    }

    /// The attempt and the epoch of what is offered, or was and is executed.
    pub(crate) fn away(&self, step: usize) -> Option<(u8, u8)> {
        match self.steps[step].place {
            Place::Offered { attempt, epoch } => Some((attempt, epoch)),
            Place::Claimed(right) => Some((right.attempt, right.epoch)),
            _ => None,
        }
    }

    /// The last right of a step that was given out, and that nobody can claim any more.
    pub(crate) fn old_ticket(&self, step: usize) -> Option<u8> {
        let Entry { epoch, place, .. } = self.steps[step];
        let void = match place {
            Place::Offered { .. } => epoch.saturating_sub(1),
            Place::Open => epoch,
            _ => 0,
        };
        (void > 0).then_some(void)
    }

    /// Whether nothing new begins.
    pub(crate) const fn is_held(&self) -> bool {
        self.paused || self.cancelled
    }

    /// Whether it has the place that it needs, if it needs one.
    pub(crate) const fn has_entered(&self) -> bool {
        matches!(self.door, Door::Open | Door::Inside)
    }

    /// How many places it holds, or its steps do.
    pub(crate) fn held(&self, scope: &Scope) -> usize {
        let holds =
            |place: Place| matches!(place, Place::Running(_) | Place::Offered { .. } | Place::Claimed(_));
        let of_steps =
            self.steps.iter().zip(&scope.steps).filter(|(entry, kind)| kind.keyed && holds(entry.place));
        of_steps.count() + usize::from(self.door == Door::Inside)
    }

    /// Whether it waits for a place.
    pub(crate) fn wants_a_place(&self) -> bool {
        let waits = self.door == Door::InLine || self.steps.iter().any(|entry| entry.parked);
        !self.ended && !self.is_held() && waits
    }

    /// Whether an owner drives the run, or something is under way in its name.
    pub(crate) fn names(&self, owner: u8) -> bool {
        self.driver == owner || self.running().chain(self.claimed()).any(|right| right.owner == owner)
    }

    /// Whether a step's needs have ended, and whether all of them have completed.
    pub(crate) fn needs(&self, scope: &Scope, step: usize) -> (bool, bool) {
        match self.steps[0].place {
            _ if step == 0 || !scope.chained => (true, true),
            Place::Ended { completed } => (true, completed),
            _ => (false, false),
        }
    }

    /// Takes note of an event that follows from a word.
    pub(crate) fn note(&mut self, scope: &Scope, seq: u64, event: &Event, word: Option<Word>) -> Verdict {
        self.seq += 1;
        hold(seq == u64::from(self.seq), "I4", || format!("event {seq} where {} comes next", self.seq))?;
        let reopens = matches!(event, Event::RunReopened(_));
        hold(self.ended == reopens, "I3", || {
            format!("`{}`; the run has ended: {}", event.kind(), self.ended)
        })?;
        match event.unit() {
            Some(unit) => self.note_step(scope, unit.step.index(), event, word),
            None => self.note_run(event, word),
        }
    }

    fn note_run(&mut self, event: &Event, word: Option<Word>) -> Verdict {
        match event {
            Event::RunCreated(created) => {
                hold(self.seq == 1, "I3", || "created twice".into())?;
                self.door = if created.place.is_some() { Door::Outside } else { Door::Open };
            }
            Event::RunParked(_) => {
                let may = self.door == Door::Outside && !self.is_held();
                hold(may, "I9", || format!("waits for its place: {:?}", self.door))?;
                self.door = Door::InLine;
            }
            Event::RunEntered(_) => {
                let may = !self.has_entered() && !self.is_held();
                hold(may, "I9", || format!("takes its place: {:?}", self.door))?;
                self.door = Door::Inside;
            }
            Event::DriverTaken(taken) => {
                let (owner, epoch) = (number(taken.owner), taken.epoch as u8);
                let last = self.driver_epoch;
                hold(epoch > last, "I10", || format!("the driver's epoch is {epoch} after {last}"))?;
                let asserted = word.map_or(0, Word::asserts);
                let from = self.driver;
                hold(from == asserted, "I10", || format!("taken from {from}; {asserted} is dead"))?;
                (self.driver, self.driver_epoch) = (owner, epoch);
            }
            Event::DriverReleased(released) => {
                let right = (number(released.owner), released.epoch as u8);
                let held = (self.driver, self.driver_epoch);
                hold(right == held, "I10", || format!("{right:?} lets go of what {held:?} holds"))?;
                self.driver = 0;
            }
            Event::IntentChanged(changed) => {
                hold(!self.cancelled, "I3", || "a cancelled run wants something else".into())?;
                self.paused = changed.intent == Intent::Pause;
                self.cancelled = changed.intent == Intent::Cancel;
            }
            Event::RunSignalled(_) => {}
            Event::RunEnded(_) => {
                let open = |entry: &Entry| match entry.place {
                    Place::Ended { .. } => false,
                    Place::Unknown => !self.cancelled,
                    _ => true,
                };
                hold(!self.steps.iter().any(open), "I3", || "the run ends with open steps".into())?;
                self.ended = true;
                if self.door != Door::Open {
                    self.door = Door::Outside;
                }
                self.driver = 0;
            }
            Event::RunReopened(reopened) => {
                self.generation += 1;
                let expected = self.generation;
                let given = reopened.generation;
                hold(given == u32::from(expected), "I3", || format!("generation {given} for {expected}"))?;
                for unit in &reopened.steps {
                    let entry = &mut self.steps[unit.step.index()];
                    let ended = matches!(entry.place, Place::Ended { .. });
                    hold(ended, "I3", || "a step is reopened that has not ended".into())?;
                    let unsettled = entry.unsettled;
                    let (attempts, epoch) = (entry.attempts, entry.epoch);
                    *entry = Self::new().steps[0];
                    (entry.attempts, entry.epoch, entry.unsettled) = (attempts, epoch, unsettled);
                }
                (self.ended, self.paused, self.cancelled) = (false, false, false);
            }
            other => return Err(format!("I3: `{}` is none of these runs", other.kind())),
        }
        Ok(())
    }

    fn note_step(&mut self, scope: &Scope, step: usize, event: &Event, word: Option<Word>) -> Verdict {
        let place = self.steps[step].place;
        let late = || format!("`{}` in {place:?}", event.kind());
        hold(!matches!(place, Place::Ended { .. }), "I7", late)?;
        if let Some(Word::Finish(right, _)) = word
            && !matches!(event, Event::StepArrived(_))
        {
            hold(place == Place::Running(right), "I10", late)?;
        }
        if let Place::Claimed(right) = place {
            // Whoever has claimed it may have delivered before it died: only the store can say that it is lost.
            let delivered = matches!(word, Some(Word::Deliver(of, _)) if of == right);
            hold(delivered, "I10", late)?;
        }
        let begins = matches!(
            event,
            Event::StepBegun(_) | Event::StepOffered(_) | Event::StepContinued(_) | Event::StepParked(_)
        );
        hold(!begins || self.has_entered(), "I9", || "begins before the run has its place".into())?;
        let is_held = self.is_held();
        let needs = self.needs(scope, step) == (true, true);
        let entry = &mut self.steps[step];
        entry.parked = matches!(event, Event::StepParked(_));
        match event {
            Event::StepParked(_) => {
                let begins = matches!(place, Place::Arrived) || (place == Place::Open && needs);
                hold(begins && !is_held, "I9", late)
            }
            Event::StepBegun(begun) => {
                self.begin(scope, step, begun.attempt)?;
                self.start(scope, step, begun.epoch, number(begun.owner), begun.attempt)
            }
            Event::StepOffered(offered) => {
                if place != Place::Arrived {
                    self.begin(scope, step, offered.attempt)?;
                }
                self.give(scope, step, offered.epoch)?;
                let (attempt, epoch) = (offered.attempt as u8, offered.epoch as u8);
                self.steps[step].place = Place::Offered { attempt, epoch };
                Ok(())
            }
            Event::StepClaimed(claimed) => {
                let (attempt, epoch) = (claimed.attempt as u8, claimed.epoch as u8);
                hold(place == Place::Offered { attempt, epoch }, "I10", late)?;
                let owner = number(claimed.owner);
                self.steps[step].place =
                    Place::Claimed(Right { step: step as u8, attempt, epoch, owner, remote: true });
                Ok(())
            }
            _ if matches!(place, Place::Offered { .. }) && !matches!(event, Event::StepWithdrawn(_)) => {
                Err(format!("I10: {}", late()))
            }
            Event::StepContinued(continued) => {
                hold(place == Place::Arrived, "I3", late)?;
                self.start(scope, step, continued.epoch, number(continued.owner), continued.attempt)
            }
            _ => self.move_on(step, event, late),
        }
    }

    /// What happens to a step that has begun, or never will.
    fn move_on(&mut self, step: usize, event: &Event, late: impl Fn() -> String + Copy) -> Verdict {
        let place = self.steps[step].place;
        let entry = &mut self.steps[step];
        let running = matches!(place, Place::Running(_) | Place::Claimed(_));
        entry.place = match event {
            Event::StepSucceeded(_) => {
                hold(running, "I3", late)?;
                Place::Ended { completed: true }
            }
            Event::StepFailed(StepFailed { attempt, retry_at, .. }) => {
                entry.failures += u8::from(*attempt > 0);
                if retry_at.is_some() { Place::Backoff } else { Place::Ended { completed: false } }
            }
            Event::StepWithdrawn(_) => {
                hold(matches!(place, Place::Offered { .. }), "I3", late)?;
                entry.forgiven += 1;
                entry.again()
            }
            Event::StepInterrupted(_) => {
                hold(running, "I3", late)?;
                entry.forgiven += 1;
                entry.again()
            }
            Event::StepWaiting(waiting) => {
                hold(running, "I3", late)?;
                entry.listens = matches!(waiting.on, WaitOn::Signal { .. });
                Place::Waiting
            }
            Event::StepOutcomeUnknown(_) => {
                hold(running, "I3", late)?;
                entry.losses += 1;
                Place::Unknown
            }
            Event::StepLost(lost) => entry.lose(lost, place)?,
            Event::StepArrived(_) => {
                hold(place == Place::Waiting, "I3", late)?;
                entry.arrived = true;
                Place::Arrived
            }
            Event::StepDue(_) => {
                hold(place == Place::Backoff, "I3", late)?;
                Place::Open
            }
            Event::StepResolved(StepResolved { output, .. }) => {
                hold(matches!(place, Place::Unknown | Place::Quarantined), "I3", late)?;
                if output.is_some() {
                    Place::Ended { completed: true }
                } else {
                    entry.losses -= 1;
                    entry.forgiven += 1;
                    entry.again()
                }
            }
            Event::StepSkipped(_) => {
                hold(place == Place::Open, "I3", late)?;
                Place::Ended { completed: false }
            }
            Event::StepCancelled(_) => Place::Ended { completed: false },
            other => return Err(format!("I3: `{}` is nothing that happens to these steps", other.kind())),
        };
        // After a loss nobody has said how it ended, until somebody does.
        entry.unsettled &= matches!(event, Event::StepLost(_) | Event::StepOutcomeUnknown(_));
        Ok(())
    }

    fn begin(&mut self, scope: &Scope, step: usize, given: u32) -> Verdict {
        let Kind { retry, .. } = scope.steps[step];
        let needs = self.needs(scope, step);
        hold(needs == (true, true), "I9", || format!("begins with needs that are {needs:?}"))?;
        let entry = &mut self.steps[step];
        let place = entry.place;
        hold(place == Place::Open, "I3", || format!("begins in {place:?}"))?;
        let next = entry.attempts + 1;
        hold(given == u32::from(next), "I6", || format!("attempt {given} where {next} comes next"))?;
        let Entry { failures, losses, forgiven, .. } = *entry;
        hold(entry.begun <= failures + losses + forgiven, "I6", || format!("{entry:?} begins once more"))?;
        let left =
            losses < MAX_CRASHES && retry.map_or(failures == 0, |max| u32::from(failures + losses) < max);
        hold(left, "I6", || format!("begins after {failures} failures and {losses} losses"))?;
        entry.attempts = next;
        entry.begun += 1;
        entry.arrived = false;
        Ok(())
    }

    /// An attempt is dispatched once this is committed.
    fn start(&mut self, scope: &Scope, step: usize, epoch: u64, owner: u8, attempt: u32) -> Verdict {
        let driver = self.driver;
        hold(driver == 0 || driver == owner, "I10", || format!("{owner} begins in a run of {driver}"))?;
        self.give(scope, step, epoch)?;
        let (step, attempt, epoch) = (step as u8, attempt as u8, epoch as u8);
        let right = Right { step, attempt, epoch, owner, remote: false };
        self.steps[usize::from(step)].place = Place::Running(right);
        Ok(())
    }

    /// The right to execute an attempt is given out.
    fn give(&mut self, scope: &Scope, step: usize, epoch: u64) -> Verdict {
        let entry = &mut self.steps[step];
        let (epoch, last) = (epoch as u8, entry.epoch);
        hold(epoch > last, "I10", || format!("epoch {epoch} of a step after {last}"))?;
        let risky = entry.unsettled && scope.steps[step].effect == EffectClass::AtMostOnce;
        hold(!risky, "G5", || "begins while nobody can say how the last attempt ended".into())?;
        entry.epoch = epoch;
        entry.unsettled = true;
        Ok(())
    }

    /// The state says of each step what the account says.
    pub(crate) fn agrees(&self, state: &RunState) -> bool {
        let remote = |slot: &Slot| matches!(slot.state, StepState::Running { remote: true, .. });
        let fits = |(entry, (kind, remote)): (&Entry, (StepKind, bool))| match entry.place {
            Place::Open | Place::Arrived if entry.parked => kind == StepKind::Parked,
            Place::Open => matches!(kind, StepKind::Pending | StepKind::Ready),
            Place::Offered { .. } => kind == StepKind::Offered,
            Place::Claimed(_) => kind == StepKind::Running && remote,
            Place::Running(_) => kind == StepKind::Running && !remote,
            Place::Backoff => kind == StepKind::Backoff,
            Place::Waiting => kind == StepKind::Waiting,
            Place::Arrived => kind == StepKind::Arrived,
            Place::Unknown => kind == StepKind::OutcomeUnknown,
            Place::Quarantined => kind == StepKind::Quarantined,
            Place::Ended { .. } => kind.is_terminal(),
        };
        let head = state.head();
        let kinds = state.slots().map(|(_, slot)| (slot.state.kind(), remote(slot)));
        self.steps.iter().zip(kinds).all(fits)
            && head.seq == u64::from(self.seq)
            && head.driver.map_or(0, number) == self.driver
            && head.driver_epoch == u64::from(self.driver_epoch)
            && head.ended.is_some() == self.ended
            && state.has_entered() == self.has_entered()
            && state.waited_place().is_some() == (self.door == Door::InLine)
    }
}

impl Entry {
    /// Whether its attempt has got what it waited for.
    pub(crate) const fn has_arrived(&self) -> bool {
        self.arrived
    }

    /// Where it is when it is to begin again: what its attempt has waited for is not waited for twice.
    const fn again(&self) -> Place {
        if self.arrived { Place::Arrived } else { Place::Open }
    }

    fn lose(&mut self, lost: &StepLost, place: Place) -> Result<Place, String> {
        let owner = number(lost.owner);
        let theirs = matches!(place, Place::Running(right) | Place::Claimed(right) if right.owner == owner);
        hold(theirs, "I10", || format!("{owner} loses what is {place:?}"))?;
        self.losses += 1;
        Ok(match lost.then {
            AfterLoss::Again => self.again(),
            AfterLoss::Unknown => Place::Unknown,
            AfterLoss::Quarantine => Place::Quarantined,
            _ => Place::Ended { completed: false },
        })
    }
}
