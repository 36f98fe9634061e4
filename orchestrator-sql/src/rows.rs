//! Stored rows as the rows of the port. What does not fit is `Corrupt`: it is never guessed.

use std::sync::Arc;

use orchestrator_core::id::{DecisionId, OwnerId, RunId, StepIx, TransitionId, Unit};
use orchestrator_core::machine::{Event, Recorded};
use orchestrator_core::port::policy::Decision;
use orchestrator_core::port::queue::StepTicket;
use orchestrator_core::port::store::{
    ApprovalRow, ClaimRow, HoldRow, IdempotencyKey, InboxRow, LogLine, NewOffer, NewRun, NumberedLine,
    OfferRow, OwnerRow, Parent, RunRow, Serves, StepRow, StoreError, WaiterRow,
};
use orchestrator_core::spec::Paths;
use orchestrator_core::time::Timestamp;
use orchestrator_core::value::ValueRef;
use uuid::Uuid;

use crate::encoding::{corrupt, decode_value, digest_of, intent_of, known_word, labels_of, stream_of};
use crate::entity::{approvals, decisions, events, holds, inbox, logs, offers, owners, runs, steps, waiters};

/// A number from its column.
pub(crate) fn number<T: TryFrom<i64>>(value: i64) -> Result<T, StoreError> {
    T::try_from(value).map_err(|_| corrupt("number", &value.to_string()))
}

const fn time(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn step_of(value: i64) -> Result<StepIx, StoreError> {
    number(value).map(StepIx)
}

/// Which item a rank stands for; `None` for the step itself.
fn item_of(rank: i64) -> Result<Option<u32>, StoreError> {
    number(rank).map(|rank| Unit::from_rank(StepIx(0), rank).item())
}

fn maybe_value(text: Option<&str>) -> Result<Option<ValueRef>, StoreError> {
    text.map(decode_value).transpose()
}

fn owner_of(id: Option<Uuid>) -> Option<OwnerId> {
    id.map(OwnerId::from_uuid)
}

pub(crate) fn run(row: runs::Model) -> Result<RunRow, StoreError> {
    let key = match (row.start_key, row.start_content) {
        (Some(key), Some(content)) => Some(IdempotencyKey { key: key.into(), content: digest_of(&content)? }),
        _ => None,
    };
    let parent = match (row.parent_run, row.parent_step, row.parent_item, row.root_run) {
        (Some(run), Some(step), Some(item), Some(root)) => Some(Parent {
            run: RunId::from_uuid(run),
            unit: Unit::new(step_of(step)?, item_of(item)?),
            root: RunId::from_uuid(root),
        }),
        _ => None,
    };
    let new = NewRun {
        project: row.project.into(),
        workflow: row.workflow.into(),
        revision: digest_of(&row.revision)?,
        text: "".into(),
        inputs: decode_value(&row.inputs)?,
        labels: labels_of(&row.labels)?,
        priority: number(row.priority)?,
        by: row.created_by.into(),
        steps: number(row.step_count)?,
        key,
        parent,
    };
    Ok(RunRow {
        run: RunId::from_uuid(row.id),
        new,
        status: row.status.into(),
        intent: intent_of(&row.intent)?,
        seq: number(row.seq)?,
        generation: number(row.generation)?,
        driver: owner_of(row.driver),
        driver_epoch: number(row.driver_epoch)?,
        due_at: row.due_at.map(time),
        created_at: time(row.created_at),
        updated_at: time(row.updated_at),
        started_at: row.started_at.map(time),
        finished_at: row.finished_at.map(time),
        outputs: maybe_value(row.outputs.as_deref())?,
        error: row.error.map(Into::into),
        done: number(row.done)?,
    })
}

pub(crate) fn event(row: &events::Model) -> Result<Recorded, StoreError> {
    let place = || format!("event {} of {}", row.seq, RunId::from_uuid(row.run));
    let event = Event::read(&row.kind, &row.body)
        .map_err(|error| StoreError::Corrupt(format!("{}: {error}", place())))?;
    Ok(Recorded {
        seq: number(row.seq)?,
        at: time(row.at),
        transition: TransitionId::from_uuid(row.transition),
        event,
    })
}

pub(crate) fn step(row: steps::Model) -> Result<StepRow, StoreError> {
    Ok(StepRow {
        step: step_of(row.step)?,
        item: item_of(row.item)?,
        name: row.name.into(),
        status: known_word(&row.status)?,
        attempts: number(row.attempts)?,
        epoch: number(row.epoch)?,
        owner: owner_of(row.owner),
        effect: row.effect.as_deref().map(known_word).transpose()?,
        due_at: row.due_at.map(time),
        started_at: row.started_at.map(time),
        finished_at: row.finished_at.map(time),
        output: maybe_value(row.output.as_deref())?,
        error: row.error.map(Into::into),
    })
}

pub(crate) fn decision(row: decisions::Model) -> Result<Decision, StoreError> {
    Ok(Decision {
        id: DecisionId::from_uuid(row.id),
        run: RunId::from_uuid(row.run),
        step: step_of(row.step)?,
        item: item_of(row.item)?,
        verdict: row.verdict.into(),
        policy: row.policy.into(),
        rule: row.rule.map(Into::into),
        reason: row.reason.map(Into::into),
        input: digest_of(&row.input)?,
        at: time(row.at),
    })
}

pub(crate) fn approval(row: approvals::Model) -> Result<ApprovalRow, StoreError> {
    Ok(ApprovalRow {
        run: RunId::from_uuid(row.run),
        step: step_of(row.step)?,
        item: item_of(row.item)?,
        name: row.name.into(),
        attempt: number(row.attempt)?,
        digest: digest_of(&row.digest)?,
        message: row.message.into(),
        show: maybe_value(row.shown.as_deref())?,
        status: known_word(&row.status)?,
        asked_at: time(row.asked_at),
        expires_at: row.expires_at.map(time),
        decided_at: row.decided_at.map(time),
        by: row.decided_by.map(Into::into),
        via: row.via.map(Into::into),
        comment: row.comment.map(Into::into),
    })
}

pub(crate) fn line(row: logs::Model) -> Result<NumberedLine, StoreError> {
    let line = LogLine {
        step: step_of(row.step)?,
        item: item_of(row.item)?,
        attempt: number(row.attempt)?,
        stream: stream_of(&row.stream)?,
        at: time(row.at),
        text: row.text.into(),
    };
    Ok(NumberedLine { number: number(row.number)?, line })
}

pub(crate) fn owner(row: owners::Model) -> Result<OwnerRow, StoreError> {
    let queues = row.queues.unwrap_or_default();
    let serves = Serves {
        queues: queues.split_whitespace().map(Into::into).collect(),
        labels: row.labels.as_deref().map(labels_of).transpose()?.unwrap_or_default(),
    };
    Ok(OwnerRow {
        id: OwnerId::from_uuid(row.id),
        label: row.label,
        serves,
        deadline: time(row.deadline),
        dead: row.dead != 0,
    })
}

/// A ticket, from the columns in which it stands: generation, step, item, iteration, attempt and epoch beside the run.
fn ticket(run: Uuid, right: [i64; 6]) -> Result<StepTicket, StoreError> {
    let [generation, step, item, iteration, attempt, epoch] = right;
    Ok(StepTicket {
        run: RunId::from_uuid(run),
        generation: number(generation)?,
        step: step_of(step)?,
        item: item_of(item)?,
        iteration: number(iteration)?,
        attempt: number(attempt)?,
        epoch: number(epoch)?,
    })
}

/// The right that is offered, and who has claimed it.
pub(crate) fn right(row: &offers::Model) -> Result<(StepTicket, Option<ClaimRow>), StoreError> {
    let right = [row.generation, row.step, row.item, row.iteration, row.attempt, row.epoch];
    let ticket = ticket(row.run, right)?;
    let claim = row.owner.zip(row.claimed_at);
    let claim = claim.map(|(owner, at)| ClaimRow { ticket, owner: OwnerId::from_uuid(owner), at: time(at) });
    Ok((ticket, claim))
}

pub(crate) fn offer(row: offers::Model) -> Result<OfferRow, StoreError> {
    let (ticket, claim) = right(&row)?;
    let (queue, labels, order) = (row.queue.into(), labels_of(&row.labels)?, decode_value(&row.job)?);
    let priority = i32::try_from(row.priority)
        .map_err(|_| StoreError::Corrupt(format!("a priority of {}", row.priority)))?;
    let task = row.task.map(Into::into);
    let offer = NewOffer { ticket, queue, labels, order, priority, task };
    Ok(OfferRow { offer, offered_at: time(row.offered_at), claim })
}

pub(crate) fn result(row: inbox::Model) -> Result<InboxRow, StoreError> {
    let right = [row.generation, row.step, row.item, row.iteration, row.attempt, row.epoch];
    let ticket = ticket(row.run, right)?;
    let claim = ClaimRow { ticket, owner: OwnerId::from_uuid(row.owner), at: time(row.claimed_at) };
    Ok(InboxRow { claim, at: time(row.at), end: row.body.map(Into::into) })
}

fn paths(text: &str) -> Result<Arc<Paths>, StoreError> {
    let paths = serde_json::from_str(text);
    paths.map(Arc::new).map_err(|error| StoreError::Corrupt(format!("paths that nobody can read: {error}")))
}

pub(crate) fn hold(row: holds::Model) -> Result<HoldRow, StoreError> {
    Ok(HoldRow {
        project: row.project.into(),
        key: row.key.into(),
        run: RunId::from_uuid(row.run),
        step: step_of(row.step)?,
        item: item_of(row.item)?,
        paths: row.paths.as_deref().map(paths).transpose()?,
        since: time(row.since),
    })
}

pub(crate) fn waiter(row: waiters::Model) -> Result<WaiterRow, StoreError> {
    Ok(WaiterRow {
        project: row.project.into(),
        key: row.key.into(),
        run: RunId::from_uuid(row.run),
        paths: row.paths.as_deref().map(paths).transpose()?,
        rank: row.rank,
        limit: number(row.most)?,
        since: time(row.since),
        granted_at: row.granted_at.map(time),
    })
}
