//! What the small numbers stand for, and what a store answers, as text.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::draw::{Dealings, Draft, KEYS, OWNERS, Offered, Op, Places, RATES, RUNS};
use crate::id::{DecisionId, DocumentId, OwnerId, RunId, StepIx, TransitionId, Unit, mix};
use crate::machine::{Fence, Hold, Room};
use crate::port::queue::StepTicket;
use crate::port::store::{
    Admission, ApprovalQuery, ApprovalRow, Claim, ClaimRow, Claimed, Commit, DeleteDocument, Deliver,
    DocumentQuery, EventsAfter, HoldRow, InboxRow, KeyQuery, LogQuery, Member, NewOffer, NewOwner,
    NewRevision, OfferQuery, OfferRow, Parent, Prune, PutDocument, Remote, Renewal, RevisionQuery, RunQuery,
    Serves, StepRow, Store, StoreError, WaiterRow, WorkflowQuery,
};
use crate::spec::Paths;
use crate::testkit::sample::{
    Story, approval, at, decision, due_runs, key, line, new_run, offer, step_row, ticket, value,
};
use crate::time::Timestamp;
use crate::value::{Digest, ValueRef};

const LONG: Duration = Duration::from_secs(3600);

/// The ids behind the small numbers, all from the seed.
#[derive(Debug)]
pub(super) struct World {
    seed: u64,
    runs: [RunId; RUNS],
    owners: [OwnerId; OWNERS],
}

/// An id: the larger `number`, the later.
fn id(seed: u64, number: u64) -> Uuid {
    let mut tail = [0; 10];
    tail[2..].copy_from_slice(&mix(seed ^ mix(number)).to_be_bytes());
    uuid::Builder::from_unix_timestamp_millis(1_700_000_000_000 + number, &tail).into_uuid()
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let runs = std::array::from_fn(|number| RunId::from_uuid(id(seed, number as u64)));
        let owners = std::array::from_fn(|number| OwnerId::from_uuid(id(seed, 100 + number as u64)));
        Self { seed, runs, owners }
    }

    /// The members of an operation, on top of what the runs have by now in the store that is right.
    pub(super) async fn members(&self, op: &Op, turn: usize, right: &dyn Store) -> Vec<Member> {
        let Op::Commit(drafts) = op else { return Vec::new() };
        let mut members = Vec::new();
        for (place, draft) in drafts.iter().enumerate() {
            let row = right.run(self.runs[draft.run]).await.ok().flatten();
            let number = 1000 * (turn as u64 + 1) + 10 * place as u64;
            let of_run = KeyQuery { runs: vec![self.runs[draft.run]], ..KeyQuery::default() };
            let held = right.holds(of_run).await.unwrap_or_default();
            members.push(self.member(draft, row.map_or(0, |row| row.seq), number, &held));
        }
        // Which of two refusals is told, where a child is a run that another member of the batch names, is left open.
        let named: Vec<RunId> =
            members.iter().flat_map(Member::with_children).map(|member| member.run).collect();
        let often = |run: RunId| named.iter().filter(|named| **named == run).count() > 1;
        members.iter_mut().for_each(|member| {
            let own = member.run;
            member.children.retain(|child| child.run == own || !often(child.run));
        });
        members
    }

    fn member(&self, draft: &Draft, seq: u64, number: u64, held: &[HoldRow]) -> Member {
        let run = self.runs[draft.run];
        let story = Story { run, seq };
        let mut new = new_run();
        // Worth more than the moments between runs, or less; and one run is of a project of its own.
        new.priority = draft.run as i32 % 3 - 1;
        if draft.run + 1 == RUNS {
            new.project = "other".into();
        }
        new.key = draft.key.and_then(|(name, content)| key(&format!("key {name}"), &content.to_string()));
        let mut member = if draft.creates { story.create(new) } else { story.step_due() };
        member.transition = TransitionId::from_uuid(id(self.seed, number));
        match draft.more {
            None => member.events.clear(),
            Some(more) => member.events.extend((0..more).flat_map(|_| story.step_due().events)),
        }
        member.expected = member.expected.saturating_add_signed(draft.off);
        member.driver = draft.speaks_as.map(|(owner, epoch)| Fence { epoch, owner: self.owners[owner] });
        member.dead = draft.dead.iter().map(|owner| self.owners[*owner]).collect();
        if let Some((owner, epoch)) = draft.driver {
            (member.summary.driver, member.summary.driver_epoch) = (Some(self.owners[owner]), epoch);
        }
        // Far in the past or far in the future, for two stores have two clocks; and no two runs at the same moment.
        let moment = |due| draft.run as i64 + if due { 0 } else { 4_000_000_000_000 };
        member.summary.due_at = draft.due.map(|due| Timestamp::from_millis(moment(due)));
        if draft.ended {
            (member.summary.status, member.summary.finished_at) = ("failed", Some(at(draft.step.into())));
        }
        let (output, stored) = value(format!("\"{}\"", "v".repeat(70 + draft.step as usize)));
        member.values = vec![stored];
        member.steps = vec![self.step(draft.step, seq, output)];
        member.logs = (0..draft.lines).map(|number| line(number, &format!("line {number}"))).collect();
        if draft.asks {
            member.approvals = vec![asked(run, draft, seq)];
            let mut said = decision(run, draft.step);
            said.id = DecisionId::from_uuid(id(self.seed, number + 1));
            member.decisions = vec![said];
        }
        member.remote = self.remote(draft);
        member.admission = admission(draft, held);
        member.children = draft.child.map(|child| self.child(run, child, number + 2)).into_iter().collect();
        member
    }

    fn remote(&self, draft: &Draft) -> Option<Box<Remote>> {
        let Dealings { offers, withdrawn, stops, taken, claims, task, urgency } = draft.remote;
        let ticket = |(step, epoch): (u32, u64)| self.ticket(Offered { run: draft.run, step, epoch });
        let tickets = |of: Option<(u32, u64)>| of.map(ticket).into_iter().collect::<Vec<_>>();
        let queue = if draft.asks { "gpu" } else { "cpu" };
        let remote = Remote {
            offers: offers
                .map(|right| NewOffer {
                    priority: urgency,
                    task: task.then(|| format!("of {urgency}").into()),
                    ..offer(ticket(right), queue)
                })
                .into_iter()
                .collect(),
            withdrawn: tickets(withdrawn),
            stops: tickets(stops),
            taken: tickets(taken),
            claims: claims
                .map(|(right, owner)| Claim { ticket: ticket(right), owner: self.owners[owner] })
                .into_iter()
                .collect(),
        };
        (remote != Remote::default()).then(|| Box::new(remote))
    }

    fn ticket(&self, of: Offered) -> StepTicket {
        let item = (of.step > 0).then_some(of.step);
        StepTicket { item, ..ticket(self.runs[of.run], of.step, of.epoch) }
    }

    fn step(&self, step: u32, epoch: u64, output: ValueRef) -> StepRow {
        StepRow {
            item: (step > 1).then_some(step % 3),
            epoch,
            owner: (step > 0).then_some(self.owners[0]),
            output: Some(output),
            ..step_row(step)
        }
    }

    fn child(&self, parent: RunId, child: usize, number: u64) -> Member {
        let unit = Unit::item_of(StepIx(1), 3);
        let mut new = new_run();
        new.parent = Some(Parent { run: parent, unit, root: self.runs[0] });
        let mut member = Story { run: self.runs[child], seq: 0 }.create(new);
        member.transition = TransitionId::from_uuid(id(self.seed, number));
        member
    }

    /// What a store answers: times of its own clock and words of its own left out.
    pub(super) async fn answer(&self, store: &dyn Store, op: &Op, members: &[Member]) -> String {
        match *op {
            Op::Commit(_) => {
                let answers = store.commit(members.to_vec()).await;
                format!("{:?}", answers.into_iter().map(plain).collect::<Vec<_>>())
            }
            Op::Register { owner, lives } => {
                let ttl = if lives { LONG } else { Duration::ZERO };
                let (id, label, serves) = (self.owners[owner], String::new(), Serves::default());
                told(store.register(NewOwner { id, ttl, label, serves, outside: false }).await)
            }
            Op::Renew(owner) => {
                let (lives, stops) =
                    (store.renew(self.owners[owner], LONG).await, store.stops(self.owners[owner]).await);
                told(lives.map(|answer| (matches!(answer, Renewal::Alive(_)), stops)))
            }
            Op::Retire(owner) => told(store.retire(self.owners[owner]).await),
            Op::Sweep => told(store.sweep().await.map(|mut newly| {
                newly.sort();
                newly
            })),
            Op::ClaimDue { limit } => told(due(store, limit).await),
            Op::Claim { of, owner } => {
                let claim = Claim { ticket: self.ticket(of), owner: self.owners[owner] };
                told(store.claim(claim).await.map(|claimed| match claimed {
                    Claimed::Yours(row) => Claimed::Yours(Box::new(shown(*row))),
                    other => other,
                }))
            }
            Op::Deliver { of, owner, end } => {
                let (ticket, owner) = (self.ticket(of), self.owners[owner]);
                let (_, stored) = value(format!("\"{}\"", "d".repeat(70 + end as usize)));
                let (values, logs) = (vec![stored], vec![line(0, "delivered")]);
                let deliver = Deliver { ticket, owner, end: format!("end {end}").into(), values, logs };
                told(store.deliver(deliver).await)
            }
            Op::AppendLogs { run, count } => {
                let lines = (0..count).map(|number| line(number, "appended")).collect();
                told(store.append_logs(self.runs[run], lines).await)
            }
            Op::EventsAfter { run, after, limit } => {
                told(store.events_after(EventsAfter { run: self.runs[run], after, limit }).await)
            }
            Op::Logs { run, after, tail, limit } => {
                told(store.logs(LogQuery { run: self.runs[run], step: None, after, tail, limit }).await)
            }
            Op::ListRuns { open, top, after, limit } => {
                let after = after.map(|run| self.runs[run]);
                let query = RunQuery { open, top, after, limit, ..RunQuery::default() };
                told(store.list_runs(query).await)
            }
            Op::RegisterWorkflow { name, text, expected } => {
                told(store.register_workflow(self.text(name, text, expected)).await)
            }
            Op::PutDocument { name, text, due, expected } => {
                told(store.put_document(self.document(name, text, due, expected)).await)
            }
            Op::DeleteDocument { name, expected } => {
                let PutDocument { project, kind, name, .. } = self.document(name, 0, None, 0);
                told(store.delete_document(DeleteDocument { project, kind, name, expected }).await)
            }
            Op::Prune { before, limit, dry } => {
                told(store.prune(Prune { project: None, before: at(before), limit, dry }).await)
            }
            Op::Reopen => String::new(),
        }
    }

    fn text(&self, name: u32, text: u32, expected: Option<u64>) -> NewRevision {
        let body = format!("text {text}");
        NewRevision {
            id: DocumentId::from_uuid(id(self.seed, 200 + u64::from(name))),
            project: "default".into(),
            name: format!("workflow {name}").into(),
            revision: Digest::of(body.as_bytes()),
            text: body.into(),
            by: "someone".into(),
            at: at(text.into()),
            expected,
        }
    }

    fn document(&self, name: u32, text: u32, due: Option<i64>, expected: u64) -> PutDocument {
        PutDocument {
            id: DocumentId::from_uuid(id(self.seed, 300 + u64::from(name))),
            project: "default".into(),
            kind: "kind".into(),
            name: format!("document {name}").into(),
            status: "active".into(),
            due_at: due.map(at),
            body: format!("body {text}").into(),
            state: format!("state {text}").into(),
            at: at(text.into()),
            expected,
        }
    }

    /// Everything that a store holds, a line for each thing.
    pub(super) async fn holds(&self, store: &dyn Store) -> Vec<String> {
        let mut all = vec![
            told(store.list_runs(RunQuery::default()).await),
            told(store.approvals(ApprovalQuery::default()).await),
            told(store.workflows(WorkflowQuery::default()).await),
            told(store.heads(&self.runs).await.map(|mut heads| {
                heads.sort();
                heads
            })),
            told(store.documents(DocumentQuery { kind: "kind".into(), ..DocumentQuery::default() }).await),
            told(
                store.documents(DocumentQuery { kind: "kind".into(), due: true, ..Default::default() }).await,
            ),
            told(due(store, usize::MAX).await),
            told(
                store
                    .offers(OfferQuery { limit: 999, ..OfferQuery::default() })
                    .await
                    .map(|page| page.items.into_iter().map(shown).collect::<Vec<_>>()),
            ),
        ];
        let everything = || KeyQuery { limit: 999, ..KeyQuery::default() };
        all.push(told(store.holds(everything()).await));
        let waiters = store.waiters(everything()).await;
        all.push(told(waiters.map(|rows| rows.into_iter().map(ungranted).collect::<Vec<_>>())));
        for run in self.runs {
            all.push(told(store.load(run).await.map(|log| log.map(|log| (log.row, log.text, log.events)))));
            let lines = LogQuery { run, step: None, after: 0, tail: false, limit: 99 };
            all.extend([
                told(store.steps(run).await.map(|rows| rows.into_iter().map(unclaimed).collect::<Vec<_>>())),
                told(store.inbox(run).await.map(|inbox| taken_by_ticket(inbox.rows))),
                told(store.decisions(run).await),
                told(store.logs(lines).await),
            ]);
            for row in store.steps(run).await.unwrap_or_default() {
                if let Some(output) = row.output {
                    all.push(told(store.value(run, output.digest()).await));
                }
            }
        }
        for owner in self.owners {
            all.push(told(store.owner(owner).await.map(|row| row.map(|row| (row.id, row.dead)))));
        }
        for number in 0..2 {
            let name = format!("workflow {number}");
            let query = RevisionQuery { project: "default".into(), name, before: None, limit: 0 };
            all.push(told(store.workflow_revisions(query).await));
            all.push(told(store.find_key("default", &format!("key {number}")).await));
        }
        for text in 0..3 {
            all.push(told(store.revision(Digest::of(format!("text {text}").as_bytes())).await));
        }
        all.push(told(store.revision(new_run().revision).await));
        all
    }
}

/// What a number stands for: a place under one of two keys, a beginning under one of two rates, or one of some paths of a workspace, of which some clash.
fn hold(number: u8) -> Arc<Hold> {
    const PATHS: [(&[&str], &[&str]); 4] =
        [(&[], &["src"]), (&["src/*.rs"], &[]), (&["src/a.rs"], &["docs"]), (&[], &["docs/*.md", "**/a.rs"])];
    Arc::new(match (number.checked_sub(KEYS), number.checked_sub(KEYS + RATES)) {
        (None, _) => Hold::place(&format!("key {number}"), 1 + u32::from(number)),
        (Some(rate), None) => Hold::rate(&format!("rate {rate}"), 1 + u32::from(rate), LONG),
        (_, Some(of_paths)) => {
            let (read, write) = PATHS[usize::from(of_paths) % PATHS.len()];
            Hold::paths("site", Paths::new(read, write).expect("these are paths"))
        }
    })
}

/// What a member does to keys, where its run holds these places: it gives back only what it holds, and takes what it does not.
fn admission(draft: &Draft, held: &[HoldRow]) -> Option<Box<Admission>> {
    let Places { takes, releases, waits, leaves, urgent } = draft.places;
    let unit = |step: u32| Unit::new(StepIx(step), (step > 1).then_some(step));
    let holds = |step: u32, number: u8| {
        held.iter().any(|row| Unit::new(row.step, row.item) == unit(step) && row.key == hold(number).key)
    };
    let takes = takes.filter(|(step, number)| !holds(*step, *number));
    let admission = Admission {
        project: "default".into(),
        releases: held
            .iter()
            .filter(|_| releases)
            .map(|row| (Unit::new(row.step, row.item), row.key.clone()))
            .collect(),
        leaves: leaves.map(|number| hold(number).spot()).into_iter().collect(),
        takes: takes.map(|(step, number)| (unit(step), hold(number))).into_iter().collect(),
        waits: waits.map(hold).into_iter().collect(),
        priority: i32::from(urgent),
    };
    (!admission.is_empty()).then(|| Box::new(admission))
}

fn asked(run: RunId, draft: &Draft, seq: u64) -> ApprovalRow {
    let status = if draft.ended { "approved" } else { "open" };
    ApprovalRow { status, message: Arc::from(format!("asked at {seq}")), ..approval(run, draft.step, 0) }
}

/// A claim without its time, which is of a clock.
/// What of an answer is the same in every store.
fn plain(answer: Commit) -> Commit {
    match answer {
        Commit::Invalid(_) => Commit::Invalid(String::new()),
        Commit::Claimed(rows) => Commit::Claimed(rows.into_iter().map(timeless).collect()),
        Commit::Full(spots) => {
            Commit::Full(spots.into_iter().map(|(spot, room)| (spot, clockless(room))).collect())
        }
        other => other,
    }
}

fn timeless(claim: ClaimRow) -> ClaimRow {
    ClaimRow { at: Timestamp::default(), ..claim }
}

/// Two stores have two clocks, which tick between the same two operations: how long it takes is not compared, only whether.
fn clockless(room: Room) -> Room {
    Room { more_in: room.more_in.map(|_| Duration::ZERO), ..room }
}

fn ungranted(row: WaiterRow) -> WaiterRow {
    WaiterRow { granted_at: row.granted_at.map(|_| Timestamp::default()), ..row }
}

fn shown(row: OfferRow) -> OfferRow {
    OfferRow { claim: row.claim.map(timeless), ..row }
}

fn unclaimed(row: StepRow) -> StepRow {
    let started_at = row.started_at.filter(|_| row.status != "claimed");
    StepRow { started_at, ..row }
}

fn taken_by_ticket(mut rows: Vec<InboxRow>) -> Vec<(ClaimRow, Option<Arc<str>>)> {
    rows.sort_by_key(|row| row.claim.ticket);
    rows.into_iter().map(|row| (timeless(row.claim), row.end)).collect()
}

/// How many runs are due, and those of them in order whose time is told. Those that only have something in their inbox come
/// after them, in an order that depends on a clock.
async fn due(store: &dyn Store, limit: usize) -> Result<(usize, Vec<RunId>), StoreError> {
    let runs = due_runs(store, limit).await?;
    let mut timed = Vec::new();
    for run in &runs {
        let row = store.run(*run).await?;
        let is_past = row.and_then(|row| row.due_at).is_some_and(|due| due < at(0));
        timed.extend(is_past.then_some(*run));
    }
    Ok((runs.len(), timed))
}

/// An answer as text. Of an error, only what kind it is: the words are the store's own.
fn told<T: fmt::Debug>(answer: Result<T, StoreError>) -> String {
    match answer {
        Ok(answer) => format!("{answer:?}"),
        Err(StoreError::Invalid(_)) => "Invalid".to_owned(),
        Err(StoreError::Unavailable(_)) => "Unavailable".to_owned(),
        Err(StoreError::Busy) => "Busy".to_owned(),
        Err(StoreError::Corrupt(_)) => "Corrupt".to_owned(),
        Err(StoreError::Incompatible(_)) => "Incompatible".to_owned(),
    }
}
