//! What the cases write: members, rows and events that a real run could have.

use std::collections::BTreeMap;
use std::sync::Arc;

use uuid::Uuid;

use crate::id::{DecisionId, OwnerId, RunId, StepIx, TransitionId, Unit};
use crate::machine::{
    AfterLoss, Arrival, DriverReleased, DriverTaken, Ending, Event, Fence, Hold, Holds, Inside, Intent,
    IntentChanged, KeptAs, Pin, Pins, RunCreated, RunDue, RunEnded, RunEntered, RunForked, RunOverdue,
    RunParked, RunReopened, RunSignalled, SkipReason, StageBegun, StepArrived, StepBegun, StepCancelled,
    StepClaimed, StepCollected, StepContinued, StepDue, StepError, StepExpanded, StepFailed, StepInterrupted,
    StepIterated, StepJudged, StepKept, StepLost, StepOffered, StepOutcomeUnknown, StepOverdue, StepParked,
    StepRepeated, StepResolved, StepSkipped, StepSucceeded, StepWaiting, StepWithdrawn, WaitOn,
};
use crate::port::plugin::Stream;
use crate::port::policy::Decision;
use crate::port::queue::StepTicket;
use crate::port::store::{
    Admission, ApprovalRow, Claim, ClaimRow, Claimed, Commit, IdempotencyKey, LogLine, Member, NewOffer,
    NewOwner, NewRun, Remote, Serves, StepRow, Store, StoreError, Summary,
};
use crate::spec::retry::ErrorClass;
use crate::spec::{EffectClass, OnExpiry, Paths, Stage};
use crate::time::Timestamp;
use crate::value::{Digest, StoredValue, ValueRef};

/// A moment; the cases count from here.
pub(super) const START: i64 = 1_700_000_000_123;

pub(super) fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(START + millis)
}

/// Ids of one process rise, also within a millisecond: so the order of runs is known.
pub(super) fn run_id() -> RunId {
    RunId::from_uuid(Uuid::now_v7())
}

pub(super) fn owner_id() -> OwnerId {
    OwnerId::from_uuid(Uuid::now_v7())
}

/// A revision's text, and what is created from it.
#[must_use]
pub fn new_run() -> NewRun {
    let text: Arc<str> = "name: sample\nsteps: {}\n".into();
    NewRun {
        project: "default".into(),
        workflow: "sample".into(),
        revision: Digest::of(text.as_bytes()),
        text,
        inputs: ValueRef::null(),
        labels: BTreeMap::new(),
        priority: 0,
        by: "someone".into(),
        steps: 3,
        key: None,
        parent: None,
    }
}

/// The row of a run that runs.
#[must_use]
pub fn summary() -> Summary {
    Summary {
        status: "running",
        intent: Intent::Proceed,
        generation: 1,
        driver: None,
        driver_epoch: 0,
        due_at: None,
        started_at: None,
        finished_at: None,
        outputs: None,
        error: None,
        done: 0,
    }
}

/// Writes the story of one run, member by member: knows its sequence number.
#[derive(Debug, Clone)]
pub struct Story {
    /// The run.
    pub run: RunId,
    /// What has been written so far.
    pub seq: u64,
}

impl Default for Story {
    fn default() -> Self {
        Self::new()
    }
}

impl Story {
    /// A run that does not exist yet.
    #[must_use]
    pub fn new() -> Self {
        Self { run: run_id(), seq: 0 }
    }

    /// The member that creates the run.
    #[must_use]
    pub fn create(&self, new: NewRun) -> Member {
        let created = RunCreated {
            workflow: new.workflow.clone(),
            revision: new.revision,
            inputs: new.inputs.clone(),
            by: new.by.clone(),
            pins: None,
            not_before: None,
            place: None,
            within: Vec::new(),
        };
        let mut member = self.next(vec![created.into()]);
        member.expected = 0;
        member.create = Some(Box::new(new));
        member
    }

    /// The next member, with these events.
    #[must_use]
    pub fn next(&self, events: Vec<Event>) -> Member {
        Member {
            run: self.run,
            expected: self.seq,
            transition: TransitionId::from_uuid(Uuid::now_v7()),
            driver: None,
            dead: Vec::new(),
            create: None,
            at: at(i64::try_from(self.seq).unwrap_or(0)),
            events,
            summary: summary(),
            steps: Vec::new(),
            values: Vec::new(),
            decisions: Vec::new(),
            approvals: Vec::new(),
            logs: Vec::new(),
            children: Vec::new(),
            remote: None,
            admission: None,
        }
    }

    /// The next member, with an event that says little, and what it does to keys.
    #[must_use]
    pub fn admission(&self, admission: Admission) -> Member {
        Member { admission: Some(Box::new(admission)), ..self.step_due() }
    }

    /// The next member, with an event that says little, and what it says of offers.
    #[must_use]
    pub fn remote(&self, remote: Remote) -> Member {
        Member { remote: Some(Box::new(remote)), ..self.step_due() }
    }

    /// The next member, with an event that says little.
    #[must_use]
    pub fn step_due(&self) -> Member {
        self.next(vec![StepDue { step: StepIx(0).into() }.into()])
    }

    /// Writes a member of this run, and expects that to work.
    ///
    /// # Panics
    /// If it does not.
    pub async fn write(&mut self, store: &dyn Store, member: Member) {
        let events = member.events.len() as u64;
        let answer = store.commit(vec![member]).await;
        assert_eq!(answer, [Commit::Applied], "a member that nothing stands in the way of");
        self.seq += events;
    }

    /// A run that has just been created.
    ///
    /// # Panics
    /// If the store does not take it.
    pub async fn begun(store: &dyn Store) -> Self {
        let mut story = Self::new();
        story.write(store, story.create(new_run())).await;
        story
    }
}

/// Which runs are due, in order.
pub(super) async fn due_runs(store: &dyn Store, limit: usize) -> Result<Vec<RunId>, StoreError> {
    Ok(store.claim_due(limit).await?.into_iter().map(|due| due.run).collect())
}

/// An idempotency key for content.
pub(super) fn key(key: &str, content: &str) -> Option<IdempotencyKey> {
    Some(IdempotencyKey { key: key.into(), content: Digest::of(content.as_bytes()) })
}

pub(super) fn owner(ttl: std::time::Duration) -> NewOwner {
    NewOwner {
        id: owner_id(),
        ttl,
        label: "host pid 1".to_owned(),
        serves: Serves::default(),
        outside: false,
    }
}

/// An owner that is alive for so long.
pub(super) async fn registered(store: &dyn Store, ttl: std::time::Duration) -> OwnerId {
    let new = owner(ttl);
    let id = new.id;
    store.register(new).await.expect("a new owner");
    id
}

/// The right of the first attempt of a step, under an epoch.
pub(super) const fn ticket(run: RunId, step: u32, epoch: u64) -> StepTicket {
    StepTicket { run, generation: 1, step: StepIx(step), item: None, iteration: 0, attempt: 1, epoch }
}

/// An offer to a queue.
pub(super) fn offer(ticket: StepTicket, queue: &str) -> NewOffer {
    let labels = [("arch".to_owned(), "arm64".to_owned())].into();
    let order = inline("{\"n\":18446744073709551615}");
    NewOffer { ticket, queue: queue.into(), labels, order, priority: 0, task: None }
}

/// Claims an offer, and expects that to work.
pub(super) async fn claim(store: &dyn Store, ticket: StepTicket, owner: OwnerId) -> ClaimRow {
    match store.claim(Claim { ticket, owner }).await.expect("an answer") {
        Claimed::Yours(row) => row.claim.expect("a claim"),
        other => panic!("it is offered: {other:?}"),
    }
}

/// What the rows of a run's steps say of who has claimed them.
pub(super) async fn claimed(
    store: &dyn Store,
    run: RunId,
) -> Vec<(&'static str, Option<OwnerId>, Option<Timestamp>)> {
    let rows = store.steps(run).await.expect("the rows");
    rows.iter().map(|row| (row.status, row.owner, row.started_at)).collect()
}

/// A value that is kept beside the log.
pub(super) fn value(json: String) -> (ValueRef, StoredValue) {
    match ValueRef::from_json(json.into()) {
        Ok((reference, Some(stored))) => (reference, stored),
        other => panic!("meant to be too long for an event: {other:?}"),
    }
}

pub(super) fn inline(json: &str) -> ValueRef {
    ValueRef::Inline(json.into())
}

pub(super) fn step_row(step: u32) -> StepRow {
    StepRow {
        step: StepIx(step),
        item: None,
        name: format!("step_{step}").into(),
        status: "running",
        attempts: 1,
        epoch: 7,
        owner: Some(owner_id()),
        effect: Some("at_most_once"),
        due_at: Some(at(1)),
        started_at: Some(at(2)),
        finished_at: None,
        output: None,
        error: None,
    }
}

pub(super) fn decision(run: RunId, step: u32) -> Decision {
    Decision {
        id: DecisionId::from_uuid(Uuid::now_v7()),
        run,
        step: StepIx(step),
        item: None,
        verdict: "allow".into(),
        policy: "allow-all@1".into(),
        rule: Some("rule ü".into()),
        reason: None,
        input: Digest::of(b"request"),
        at: at(3),
    }
}

pub(super) fn approval(run: RunId, step: u32, asked_at: i64) -> ApprovalRow {
    ApprovalRow {
        run,
        step: StepIx(step),
        item: None,
        name: format!("step_{step}").into(),
        attempt: 1,
        digest: Digest::of(b"action"),
        message: "publish?".into(),
        show: Some(inline("{\"text\":\"…\"}")),
        status: "open",
        asked_at: at(asked_at),
        expires_at: Some(at(asked_at + 1000)),
        decided_at: None,
        by: None,
        via: None,
        comment: None,
    }
}

pub(super) fn line(step: u32, text: &str) -> LogLine {
    LogLine {
        step: StepIx(step),
        item: None,
        attempt: 1,
        stream: Stream::Stdout,
        at: at(4),
        text: text.into(),
    }
}

/// An event of every kind, with every optional field given in one and missing in another where there are two.
#[must_use]
pub fn every_event() -> Vec<Event> {
    let step = StepIx(2);
    let (attempt, epoch, owner) = (1, 3, owner_id());
    let by: Arc<str> = "someone".into();
    let error = StepError::new(ErrorClass::Failed, "exit code 1: \"quoted\" \\ ünïcode 🦀\nsecond line");
    let (long, _) = value(format!("\"{}\"", "x".repeat(100)));
    let approval = WaitOn::Approval {
        digest: Digest::of(b"a"),
        message: "really?".into(),
        show: Some(long.clone()),
        then: OnExpiry::Reject,
    };
    let decided =
        Arrival::Decision { approved: true, by: by.clone(), via: "cli".into(), comment: Some("fine".into()) };
    let hold = Arc::new(Hold::place("deploy", 2));
    let paths = Paths::new(&["docs/*.md"], &["src", "{a,b}/**"]).expect("these are patterns");
    let paths = Arc::new(Hold::paths("site", paths));
    let mut events = vec![
        DriverTaken { owner, epoch }.into(),
        DriverReleased { owner, epoch }.into(),
        StepBegun {
            step: step.into(),
            attempt,
            epoch,
            owner,
            effect: EffectClass::AtMostOnce,
            request: inline("{\"n\":18446744073709551615}"),
            decision: DecisionId::from_uuid(Uuid::now_v7()),
            holds: [hold.clone(), paths.clone()].into_iter().collect(),
        }
        .into(),
        StepParked { step: step.into(), hold }.into(),
        StepParked { step: step.into(), hold: paths }.into(),
        StepContinued { step: step.into(), attempt, epoch, owner }.into(),
        offered(step, Some(DecisionId::from_uuid(Uuid::now_v7())), [("arch".into(), "arm64".into())].into()),
        offered(step, None, BTreeMap::new()),
        StepClaimed { step: step.into(), attempt, epoch, owner, claimed_at: at(8) }.into(),
        StepWithdrawn { step: step.into(), attempt, epoch }.into(),
        StepSucceeded { step: step.into(), attempt, output: long.clone() }.into(),
        StepFailed { step: step.into(), attempt, error: error.clone(), retry_at: Some(at(9)) }.into(),
        StepFailed { step: step.into(), attempt, error: error.clone(), retry_at: None }.into(),
        StepLost { step: step.into(), attempt, owner, then: AfterLoss::Unknown }.into(),
        StepOutcomeUnknown { step: step.into(), attempt, error: error.clone() }.into(),
        StepInterrupted { step: step.into(), attempt }.into(),
        StepWaiting { step: step.into(), attempt: 0, on: approval, until: None }.into(),
        StepWaiting { step: step.into(), attempt, on: WaitOn::Until, until: Some(at(10)) }.into(),
        StepArrived { step: step.into(), attempt, arrival: decided }.into(),
        StepArrived { step: step.into(), attempt, arrival: Arrival::Due }.into(),
        StepArrived { step: step.into(), attempt, arrival: Arrival::Expired { then: OnExpiry::Fail } }.into(),
        StepDue { step: step.into() }.into(),
        StepSkipped { step: step.into(), reason: SkipReason::Need }.into(),
        StepCancelled { step: step.into(), attempt: 0 }.into(),
        StepExpanded { step: step.into(), items: long.clone(), count: 2 }.into(),
        StepDue { step: Unit::item_of(step, 7) }.into(),
        StepIterated { step: step.into(), attempt, output: long.clone() }.into(),
        StepRepeated { step: step.into(), until: Some(at(11)) }.into(),
        StepRepeated { step: step.into(), until: None }.into(),
        StepCollected { step: step.into(), status: Ending::Failed, error: Some(error.clone()) }.into(),
        StepCollected { step: step.into(), status: Ending::Completed, error: None }.into(),
        StepResolved {
            step: step.into(),
            attempt,
            output: None,
            by: by.clone(),
            reason: Some("checked".into()),
        }
        .into(),
    ];
    events.extend(every_event_of_a_run(&long, error, by));
    events
}

fn every_event_of_a_run(long: &ValueRef, error: StepError, by: Arc<str>) -> Vec<Event> {
    let step = StepIx(0);
    let place = Arc::new(Hold::place("deploy ü", 1));
    let pin = Pin {
        name: "below".into(),
        revision: Digest::of(b"below"),
        text: long.clone(),
        uses: [("./c.yaml".into(), 0)].into(),
    };
    let pins = Pins { uses: [("./b.yaml".into(), 0)].into(), workflows: vec![pin] };
    let on = WaitOn::Child { run: run_id(), late: true };
    let inside = vec![Inside { step: step.into(), child: run_id(), from: vec!["a[3]/b".into()] }];
    let created = |pins: Option<Pins>| RunCreated {
        workflow: "w".into(),
        revision: Digest::of(b"r"),
        inputs: inline("{}"),
        by: by.clone(),
        pins: pins.map(Arc::new),
        not_before: None,
        place: None,
        within: Vec::new(),
    };
    vec![
        created(None).into(),
        created(Some(pins)).into(),
        RunCreated { not_before: Some(Timestamp::from_millis(1)), ..created(None) }.into(),
        RunCreated { place: Some(place.clone()), within: vec!["above".into()], ..created(None) }.into(),
        RunDue { by: None, reason: None }.into(),
        RunDue { by: Some(by.clone()), reason: Some("no time".into()) }.into(),
        RunParked { hold: place }.into(),
        RunEntered {}.into(),
        StepWaiting { step: step.into(), attempt: 1, on, until: None }.into(),
        IntentChanged { intent: Intent::Cancel, by: by.clone(), reason: None }.into(),
        RunForked { run: RunId::from_uuid(Uuid::from_u128(77)), seq: 7, inside: Vec::new() }.into(),
        RunForked { run: RunId::from_uuid(Uuid::from_u128(77)), seq: 7, inside: inside.clone() }.into(),
        StepKept {
            step: step.into(),
            state: KeptAs::Succeeded { output: long.clone() },
            child: Some(run_id()),
        }
        .into(),
        StepKept {
            step: Unit::item_of(step, 7),
            state: KeptAs::Failed { error: error.clone() },
            child: None,
        }
        .into(),
        StepKept { step: step.into(), state: KeptAs::Skipped { reason: SkipReason::Condition }, child: None }
            .into(),
        StepOverdue { step: step.into() }.into(),
        RunOverdue { error: error.clone() }.into(),
        StageBegun {
            stage: Stage::Compensation,
            status: Ending::Failed,
            error: Some(error.clone()),
            steps: vec![step.into(), Unit::item_of(step, 7)],
        }
        .into(),
        StageBegun { stage: Stage::Finally, status: Ending::Completed, error: None, steps: Vec::new() }
            .into(),
        judged(step.into(), &by),
        RunSignalled { name: "paid".into(), data: long.clone(), by: by.clone(), reason: None }.into(),
        RunEnded { status: Ending::Failed, outputs: None, error: Some(error) }.into(),
        RunEnded { status: Ending::Completed, outputs: Some(long.clone()), error: None }.into(),
        RunReopened { generation: 2, steps: vec![step.into()], inside, by, reason: None }.into(),
    ]
}

fn offered(step: StepIx, decision: Option<DecisionId>, labels: BTreeMap<String, String>) -> Event {
    let (effect, request) = (EffectClass::Idempotent, inline("{}"));
    StepOffered {
        step: step.into(),
        attempt: 1,
        epoch: 3,
        effect,
        request,
        decision,
        queue: "gpu".into(),
        labels,
        holds: Holds::default(),
        task: false,
    }
    .into()
}

fn judged(step: Unit, by: &Arc<str>) -> Event {
    let (via, comment) = ("cli".into(), Some("too short".into()));
    StepJudged { step, attempt: 1, passed: false, by: Some(by.clone()), via, comment }.into()
}

/// The right of a driver.
pub(super) fn fence(owner: OwnerId, epoch: u64) -> Fence {
    Fence { epoch, owner }
}
