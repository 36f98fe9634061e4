//! What a member writes, as rows.

use orchestrator_core::id::{RunId, StepIx, Unit};
use orchestrator_core::machine::Intent;
use orchestrator_core::port::policy::Decision;
use orchestrator_core::port::queue::StepTicket;
use orchestrator_core::port::store::{
    ApprovalRow, Claim, LogLine, Member, NewOffer, NewRun, Remote, StepRow, Summary,
};
use orchestrator_core::time::Timestamp;
use orchestrator_core::value::{Digest, ValueRef};

use crate::artifact;
use crate::encoding::{encode_value, intent_word, labels_json, start_scope};
use crate::script::{Arg, Batch, IntoArg, Rows};
use crate::sections::{
    APPROVALS, ASSERTED_DEAD, CLAIM, CLAIMED, COUNT, DECISIONS, EVENTS, INSERT_RUNS, KEYS, LOGS, OFFERS,
    OUTPUTS, REVISIONS, SECTIONS, STEPS, STOPS, TAKE_OFFERS, TAKE_RESULTS, UPDATE_RUNS, WITHDRAW,
};

impl IntoArg for Timestamp {
    fn arg(self) -> Arg {
        Arg::Int(self.as_millis())
    }
}

impl IntoArg for Digest {
    fn arg(self) -> Arg {
        Arg::Digest(*self.as_bytes())
    }
}

impl IntoArg for &ValueRef {
    fn arg(self) -> Arg {
        Arg::Text(encode_value(self))
    }
}

impl IntoArg for Intent {
    fn arg(self) -> Arg {
        Arg::Word(intent_word(self))
    }
}

/// The batch that writes these members, with marks for large values if `marks`, and for what is claimed the store's time. An error names the member that cannot
/// be encoded.
pub(crate) fn batch<'m>(
    members: impl IntoIterator<Item = &'m Member>,
    marks: bool,
    now: Timestamp,
) -> Result<Batch, serde_json::Error> {
    let mut rows: [Rows; COUNT] = Default::default();
    for member in members.into_iter().flat_map(Member::with_children) {
        let run = Arg::Id(member.run.as_uuid());
        match member.create.as_deref() {
            Some(new) => create(&mut rows, &run, member, new),
            None => rows[UPDATE_RUNS].push(update(&run, member)),
        }
        let checked = if member.create.is_some() { INSERT_RUNS } else { UPDATE_RUNS };
        for owner in &member.dead {
            rows[checked].push_condition(ASSERTED_DEAD, [run.clone(), Arg::Id(owner.as_uuid())]);
        }
        for (seq, event) in (member.expected + 1..).zip(&member.events) {
            rows[EVENTS].push([
                run.clone(),
                seq.arg(),
                member.at.arg(),
                event.kind().arg(),
                event.unit().map(|unit| unit.step.0).arg(),
                Arg::Id(member.transition.as_uuid()),
                event.body()?.arg(),
            ]);
        }
        member.steps.iter().for_each(|row| rows[STEPS].push(step(&run, row)));
        for value in &member.values {
            let body = if marks { artifact::held(value) } else { value.body.clone() };
            rows[OUTPUTS].push([run.clone(), value.digest.arg(), body.arg()]);
        }
        member.decisions.iter().for_each(|row| rows[DECISIONS].push(decision(&run, row)));
        latest(&member.approvals).for_each(|row| rows[APPROVALS].push(approval(&run, row)));
        (1u64..).zip(&member.logs).for_each(|(number, line)| rows[LOGS].push(log(&run, number, line)));
        if let Some(remote) = member.remote.as_deref() {
            deal(&mut rows, remote, member.at, now);
        }
    }
    let mut batch = Batch::new(&SECTIONS);
    for (index, rows) in rows.into_iter().enumerate() {
        if !rows.is_empty() {
            batch.add(index, rows);
        }
    }
    Ok(batch)
}

/// What a member does to offers and to what was delivered of them.
fn deal(rows: &mut [Rows; COUNT], remote: &Remote, at: Timestamp, now: Timestamp) {
    for taken_back in &remote.withdrawn {
        rows[UPDATE_RUNS].push_condition(CLAIMED, ticket(taken_back));
        rows[WITHDRAW].push(ticket(taken_back));
    }
    for taken in &remote.taken {
        rows[TAKE_OFFERS].push(ticket(taken));
        rows[TAKE_RESULTS].push(ticket(taken));
    }
    remote.stops.iter().for_each(|stopped| rows[STOPS].push(ticket(stopped)));
    for Claim { ticket: claimed, owner } in &remote.claims {
        let [run, step, item, generation, iteration, attempt, epoch] = ticket(claimed);
        let owner = Arg::Id(owner.as_uuid());
        rows[CLAIM].push([run, step, item, generation, iteration, attempt, epoch, owner, now.arg()]);
    }
    for NewOffer { ticket: offered, queue, labels, order, priority, task } in &remote.offers {
        let [run, step, item, generation, iteration, attempt, epoch] = ticket(offered);
        let (queue, labels) = (queue.clone().arg(), labels_json(labels).arg());
        let place = at.place(*priority).arg();
        rows[OFFERS].push([
            run,
            step,
            item,
            generation,
            iteration,
            attempt,
            epoch,
            queue,
            labels,
            order.arg(),
            at.arg(),
            Arg::Int(i64::from(*priority)),
            place,
            task.clone().arg(),
        ]);
    }
}

pub(crate) fn ticket(ticket: &StepTicket) -> [Arg; 7] {
    [
        Arg::Id(ticket.run.as_uuid()),
        ticket.step.0.arg(),
        rank(ticket.step, ticket.item),
        ticket.generation.arg(),
        ticket.iteration.arg(),
        ticket.attempt.arg(),
        ticket.epoch.arg(),
    ]
}

/// The rows of approvals after all that a member does to them: one that is opened and settled at once has one row.
fn latest(rows: &[ApprovalRow]) -> impl Iterator<Item = &ApprovalRow> {
    let key = |row: &ApprovalRow| (row.step, row.item, row.attempt);
    let later = move |at: usize| rows[at + 1..].iter().any(|row| key(row) == key(&rows[at]));
    rows.iter().enumerate().filter(move |(at, _)| !later(*at)).map(|(_, row)| row)
}

fn last(member: &Member) -> Arg {
    (member.expected + member.events.len() as u64).arg()
}

fn update(run: &Arg, member: &Member) -> [Arg; 17] {
    let Summary { status, intent, generation, driver, driver_epoch, due_at, .. } = &member.summary;
    let Summary { started_at, finished_at, outputs, error, done, .. } = &member.summary;
    [
        run.clone(),
        member.expected.arg(),
        member.driver.map(|fence| Arg::Id(fence.owner.as_uuid())).arg(),
        member.driver.map(|fence| fence.epoch).arg(),
        last(member),
        status.arg(),
        intent.arg(),
        generation.arg(),
        driver.map(|owner| Arg::Id(owner.as_uuid())).arg(),
        driver_epoch.arg(),
        due_at.arg(),
        member.at.arg(),
        started_at.arg(),
        finished_at.arg(),
        outputs.as_ref().arg(),
        error.clone().arg(),
        done.arg(),
    ]
}

fn create(rows: &mut [Rows; COUNT], run: &Arg, member: &Member, new: &NewRun) {
    let Summary { status, intent, generation, driver, driver_epoch, due_at, .. } = &member.summary;
    let Summary { started_at, finished_at, outputs, error, done, .. } = &member.summary;
    let key = new.key.as_ref();
    rows[INSERT_RUNS].push([
        run.clone(),
        new.project.clone().arg(),
        new.workflow.clone().arg(),
        new.revision.arg(),
        (&new.inputs).arg(),
        labels_json(&new.labels).arg(),
        i64::from(new.priority).arg(),
        new.by.clone().arg(),
        new.steps.arg(),
        key.map(|key| key.key.clone()).arg(),
        key.map(|key| key.content).arg(),
        member.at.arg(),
        last(member),
        status.arg(),
        intent.arg(),
        generation.arg(),
        driver.map(|owner| Arg::Id(owner.as_uuid())).arg(),
        driver_epoch.arg(),
        due_at.arg(),
        member.at.arg(),
        started_at.arg(),
        finished_at.arg(),
        outputs.as_ref().arg(),
        error.clone().arg(),
        done.arg(),
        new.parent.map(|parent| Arg::Id(parent.run.as_uuid())).arg(),
        new.parent.map(|parent| parent.unit.step.0).arg(),
        new.parent.map(|parent| parent.unit.rank()).arg(),
        new.parent.map(|parent| Arg::Id(parent.root.as_uuid())).arg(),
    ]);
    rows[REVISIONS].push([new.revision.arg(), new.text.clone().arg(), member.at.arg()]);
    if let Some(key) = key {
        let scope = start_scope(&new.project);
        rows[KEYS].push([
            scope.arg(),
            key.key.clone().arg(),
            key.content.arg(),
            run.clone(),
            member.at.arg(),
        ]);
    }
}

/// Which item of a step: 0 is the step itself.
pub(crate) fn rank(step: StepIx, item: Option<u32>) -> Arg {
    Unit::new(step, item).rank().arg()
}

fn step(run: &Arg, row: &StepRow) -> [Arg; 14] {
    [
        run.clone(),
        row.step.0.arg(),
        rank(row.step, row.item),
        row.name.clone().arg(),
        row.status.arg(),
        row.attempts.arg(),
        row.epoch.arg(),
        row.owner.map(|owner| Arg::Id(owner.as_uuid())).arg(),
        row.effect.arg(),
        row.due_at.arg(),
        row.started_at.arg(),
        row.finished_at.arg(),
        row.output.as_ref().arg(),
        row.error.clone().arg(),
    ]
}

fn decision(run: &Arg, row: &Decision) -> [Arg; 10] {
    [
        run.clone(),
        Arg::Id(row.id.as_uuid()),
        row.step.0.arg(),
        rank(row.step, row.item),
        row.verdict.clone().arg(),
        row.policy.clone().arg(),
        row.rule.clone().arg(),
        row.reason.clone().arg(),
        row.input.arg(),
        row.at.arg(),
    ]
}

fn approval(run: &Arg, row: &ApprovalRow) -> [Arg; 15] {
    [
        run.clone(),
        row.step.0.arg(),
        rank(row.step, row.item),
        row.attempt.arg(),
        row.name.clone().arg(),
        row.digest.arg(),
        row.message.clone().arg(),
        row.show.as_ref().arg(),
        row.status.arg(),
        row.asked_at.arg(),
        row.expires_at.arg(),
        row.decided_at.arg(),
        row.by.clone().arg(),
        row.via.clone().arg(),
        row.comment.clone().arg(),
    ]
}

pub(crate) fn log(run: &Arg, number: u64, line: &LogLine) -> [Arg; 8] {
    [
        run.clone(),
        number.arg(),
        line.step.0.arg(),
        rank(line.step, line.item),
        line.attempt.arg(),
        line.stream.as_str().arg(),
        line.at.arg(),
        line.text.clone().arg(),
    ]
}

/// The script that keeps lines of output, numbered after those that are there.
pub(crate) fn logs(run: RunId, lines: &[LogLine]) -> Batch {
    let run = Arg::Id(run.as_uuid());
    let mut rows = Rows::default();
    (1u64..).zip(lines).for_each(|(number, line)| rows.push(log(&run, number, line)));
    Batch::of_one(&SECTIONS, LOGS, rows)
}
