//! What must follow from an accepted command, event by event.

use orchestrator_core::machine::{
    Arrival, Command, Event, Finished, Intent, Prepared, SkipReason, StepError, StepOffered, WaitOn,
};
use orchestrator_core::spec::retry::ErrorClass;
use orchestrator_core::spec::{EffectClass, Placement};
use orchestrator_core::time::Timestamp;

use crate::ledger::{Entry, Place};
use crate::world::World;

/// Checks the events that a command was answered with, before they are applied.
pub(crate) fn check_answer(world: &World, command: &Command, events: &[Event]) {
    let fits = match command {
        Command::Prepared { step, verdict } => {
            let entry = &world.ledger.steps[step.step.index()];
            matches!(events, [event] if prepared(world, entry, verdict, event))
        }
        Command::Continue { owner, .. } => {
            matches!(events, [Event::StepContinued(continued)] if continued.owner == *owner)
        }
        Command::Park { step, hold, .. } => match events {
            [] => world.state.slot(*step).parked() == Some(hold),
            [Event::StepParked(parked)] => parked.hold == *hold,
            _ => false,
        },
        Command::Finish { step, outcome, .. } => {
            let entry = &world.ledger.steps[step.step.index()];
            finished_or_taken(world, entry, outcome, events)
        }
        Command::Lost { owner } => {
            let executed = world.ledger.steps.iter().filter(|entry| match &entry.place {
                Place::Running(right) => right.fence.owner == *owner && !entry.remote,
                _ => false,
            });
            executed.count() == events.len()
                && events.iter().all(|event| matches!(event, Event::StepLost(lost) if lost.owner == *owner))
        }
        Command::Wake => {
            let due = world.ledger.steps.iter().filter(|entry| match &entry.place {
                Place::Backoff(until) => *until <= world.now,
                Place::Waiting { until, .. } => until.is_some_and(|until| until <= world.now),
                _ => false,
            });
            // A judgement that nobody gave is an event beside what it leads to.
            let count = events.iter().filter(|event| !matches!(event, Event::StepJudged(_))).count();
            let begins = world.ledger.not_before.is_some_and(|due| due <= world.now);
            due.count() + usize::from(begins) == count && events.iter().all(is_of_time)
        }
        Command::Judge(judge) => match events {
            [Event::StepJudged(judged), Event::StepSucceeded(_)] => judged.passed && judge.passed,
            [Event::StepJudged(judged), event] => {
                let entry = &world.ledger.steps[judge.step.step.index()];
                !judged.passed && !judge.passed && not_passed(world, entry, event)
            }
            _ => false,
        },
        Command::Signal { name, data, .. } => match events {
            [Event::RunSignalled(given)] => {
                given.data == *data && world.ledger.next_to_take(name, world.now).is_none()
            }
            [Event::RunSignalled(given), Event::StepArrived(taken)] => {
                given.data == *data && world.ledger.next_to_take(name, world.now) == Some(taken.step.step)
            }
            _ => false,
        },
        Command::Decide(decision) => {
            let arrived = Arrival::from(decision);
            matches!(events.first(), Some(Event::StepArrived(event)) if event.arrival == arrived)
        }
        Command::Resolve { step, applied, .. } | Command::Reconcile { step, applied, .. } => events.iter().any(|event| {
            matches!(event, Event::StepResolved(event) if event.step == *step && event.output == *applied)
        }),
        Command::Retry { .. } => {
            matches!(events, [Event::RunReopened(event)] if Some(event.steps.iter().map(|unit| unit.step).collect()) == world.retried(command))
        }
        Command::Conclude(outputs) => match events {
            [Event::RunEnded(ended)] => ended.outputs.as_ref().is_none_or(|given| Ok(given) == outputs.as_ref()),
            _ => false,
        },
        other => away(world, other, events),
    };
    assert!(fits, "{command:?} was answered with {events:?}");
}

/// Nothing happens to who needs no place or has one, or waits already.
fn at_the_door(world: &World, command: &Command, events: &[Event]) -> bool {
    let Some((place, waits)) = world.ledger.lacks() else { return events.is_empty() };
    let parked = |event: &Event| matches!(event, Event::RunParked(parked) if parked.hold == *place);
    match (command, events) {
        (Command::Enter { .. }, [Event::RunEntered(_)]) => true,
        (Command::StandInLine { .. } | Command::TurnAway { .. }, []) => waits,
        (Command::StandInLine { .. } | Command::TurnAway { .. }, [event]) if parked(event) => !waits,
        (Command::TurnAway { error, .. }, [cancelled @ .., Event::RunEnded(ended)]) => {
            ended.error.as_ref() == Some(error)
                && cancelled.iter().all(|event| matches!(event, Event::StepCancelled(_)))
        }
        _ => false,
    }
}

fn away(world: &World, command: &Command, events: &[Event]) -> bool {
    match command {
        Command::BeginNow(asked) => match events {
            [] => world.ledger.not_before.is_none(),
            [Event::RunDue(falls)] => {
                world.ledger.not_before.is_some() && falls.by.as_ref() == Some(&asked.by)
            }
            _ => false,
        },
        Command::Enter { .. } | Command::StandInLine { .. } | Command::TurnAway { .. } => {
            at_the_door(world, command, events)
        }
        Command::Offer { step, offer, .. } => {
            let entry = &world.ledger.steps[step.step.index()];
            let fits = |event: &StepOffered| event.attempt == entry.attempts && is_offered_to(event, offer);
            matches!(events, [Event::StepOffered(event)] if fits(event))
        }
        Command::Claim { step, fence } | Command::Claimed { step, fence, .. } => match events {
            [] => {
                matches!(world.ledger.place(step.step), Some(Place::Running(right)) if right.fence == *fence)
            }
            [Event::StepClaimed(claimed)] => {
                let is_told_now =
                    matches!(command, Command::Claimed { .. }) || claimed.claimed_at == world.now;
                (claimed.epoch, claimed.owner) == (fence.epoch, fence.owner) && is_told_now
            }
            _ => false,
        },
        Command::Withdraw { epoch, .. } => match events {
            [Event::StepWithdrawn(event)] => event.epoch == *epoch && world.ledger.intent != Intent::Cancel,
            [Event::StepWithdrawn(event), Event::StepCancelled(_)] => {
                event.epoch == *epoch && world.ledger.intent == Intent::Cancel
            }
            _ => false,
        },
        _ => true,
    }
}

fn is_of_time(event: &Event) -> bool {
    match event {
        Event::RunDue(_) | Event::StepDue(_) | Event::StepSucceeded(_) => true,
        Event::StepJudged(event) => event.by.is_none(),
        Event::StepFailed(event) if event.error.class == ErrorClass::Qa => true,
        Event::StepArrived(event) => matches!(event.arrival, Arrival::Due | Arrival::Expired { .. }),
        Event::StepFailed(event) => event.error.class == ErrorClass::Timeout && event.retry_at.is_none(),
        _ => false,
    }
}

fn prepared(world: &World, entry: &Entry, verdict: &Prepared, event: &Event) -> bool {
    match (verdict, event) {
        (Prepared::Begin(begin), Event::StepBegun(event)) => {
            let request = entry.request.as_ref().unwrap_or(&begin.request);
            (event.owner, event.effect, &event.request) == (begin.owner, begin.effect, request)
        }
        (Prepared::Offer { begin, offer }, Event::StepOffered(event)) => {
            let request = entry.request.as_ref().unwrap_or(&begin.request);
            (event.effect, &event.request) == (begin.effect, request) && is_offered_to(event, offer)
        }
        (Prepared::Skip, Event::StepSkipped(event)) => {
            (event.reason == SkipReason::Condition) == world.ledger.may_begin(event.step.step)
        }
        (Prepared::Ask { digest: asked, until, .. }, Event::StepWaiting(event)) => {
            event.until == *until && matches!(event.on, WaitOn::Approval { digest, .. } if digest == *asked)
        }
        (Prepared::Deny { .. }, Event::StepFailed(event)) => event.error.class == ErrorClass::Denied,
        (Prepared::Fault(error), Event::StepFailed(event)) => event.error == *error,
        _ => false,
    }
}

fn is_offered_to(event: &StepOffered, offer: &Placement) -> bool {
    (&event.queue, &event.labels) == (&offer.queue, &offer.labels)
}

/// A step that begins to wait for a signal which has come before takes it at once.
fn finished_or_taken(world: &World, entry: &Entry, outcome: &Finished, events: &[Event]) -> bool {
    let kept = match outcome {
        Finished::Waiting { on: WaitOn::Signal { name }, .. } if world.ledger.intent != Intent::Cancel => {
            world.ledger.signals.iter().find(|signal| signal.name == *name)
        }
        _ => None,
    };
    match (kept, events) {
        (None, [event]) => finished(world, entry, outcome, event),
        (Some(kept), [event, Event::StepArrived(taken)]) => {
            finished(world, entry, outcome, event) && taken.arrival == Arrival::Signal(kept.clone())
        }
        _ => false,
    }
}

fn finished(world: &World, entry: &Entry, outcome: &Finished, event: &Event) -> bool {
    let cancelling = world.ledger.intent == Intent::Cancel;
    match (outcome, event) {
        (Finished::Succeeded(output), Event::StepSucceeded(event)) => event.output == *output,
        (Finished::Failed { error, not_before }, event) => failed(world, entry, error, *not_before, event),
        (Finished::Unknown(error), event) if entry.effect == Some(EffectClass::AtMostOnce) => {
            matches!(event, Event::StepOutcomeUnknown(event) if event.error == *error)
        }
        (Finished::Unknown(_) | Finished::Waiting { .. } | Finished::Interrupted, event) if cancelling => {
            matches!(event, Event::StepCancelled(_))
        }
        (Finished::Unknown(error), event) => failed(world, entry, error, None, event),
        (Finished::Waiting { on, until }, Event::StepWaiting(event)) => {
            event.on == *on && event.until == until.or((*on == WaitOn::Until).then_some(world.now))
        }
        (Finished::Interrupted, Event::StepInterrupted(_)) => true,
        // What becomes of it, the ledger says.
        (Finished::Lost, Event::StepLost(_)) => entry.remote,
        _ => false,
    }
}

/// What was not passed has failed: with class `qa`, and as often as the policy lets it.
fn not_passed(world: &World, entry: &Entry, event: &Event) -> bool {
    let Event::StepFailed(told) = event else { return false };
    told.error.class == ErrorClass::Qa && failed(world, entry, &told.error, None, event)
}

fn failed(
    world: &World,
    entry: &Entry,
    error: &StepError,
    not_before: Option<Timestamp>,
    event: &Event,
) -> bool {
    let Event::StepFailed(event) = event else { return false };
    let retry_at = entry.shape.retry.as_ref().and_then(|policy| {
        let failures = entry.failures + 1;
        let again = world.ledger.intent != Intent::Cancel
            && policy.covers(error.class)
            && failures + entry.losses < policy.max_attempts;
        let (run, step) = (world.state.run(), event.step);
        let wait = match not_before {
            Some(earliest) => policy.delay_after(earliest.since(world.now), run, step, failures),
            None => policy.delay(run, step, failures),
        };
        again.then(|| world.now + wait)
    });
    let is_too_soon = event.retry_at.zip(not_before).is_some_and(|(at, earliest)| at < earliest);
    event.error == *error && event.retry_at == retry_at && !is_too_soon
}
