//! Whatever is done to it, the store answers as the store in memory does.

use std::sync::Arc;
use std::time::Duration;

use orchestrator_core::id::{OwnerId, RunId, StepIx};
use orchestrator_core::machine::Fence;
use orchestrator_core::memory::MemoryStore;
use orchestrator_core::port::plugin::Stream;
use orchestrator_core::port::store::{
    ApprovalQuery, Commit, IdempotencyKey, LogLine, LogQuery, Member, NewOwner, Renewal, RunQuery, StepRow,
    Store,
};
use orchestrator_core::testkit::{Story, new_run};
use orchestrator_core::time::Timestamp;
use orchestrator_core::value::{Digest, StoredValue, ValueRef};
use proptest::prelude::*;
use uuid::Uuid;

use crate::place::Folder;

const LONG: Duration = Duration::from_secs(3600);

/// Something done to a store. Runs and owners go by small numbers, so that they meet.
#[derive(Debug, Clone)]
enum Op {
    Commit(Vec<Draft>),
    Register(usize, bool),
    Renew(usize),
    Retire(usize),
    Sweep,
    ClaimDue(usize),
    Lines(usize, u32),
}

/// A member in small numbers.
#[derive(Debug, Clone)]
struct Draft {
    run: usize,
    creates: bool,
    key: Option<(u8, u8)>,
    /// How far its number is from the right one.
    off: i64,
    events: u32,
    speaks_as: Option<(usize, u64)>,
    dead: Vec<usize>,
    driver: Option<(usize, u64)>,
    due: Option<bool>,
    ended: bool,
    step: u32,
    lines: u32,
}

fn draft() -> impl Strategy<Value = Draft> {
    let who = || (0..3usize, 0..2u64);
    let fences = (prop::option::weighted(0.3, who()), prop::collection::vec(0..3usize, 0..2));
    let state = (prop::option::of(who()), prop::option::of(any::<bool>()), any::<bool>());
    let start = (prop::bool::weighted(0.3), prop::option::weighted(0.4, (0..2u8, 0..2u8)));
    let off = prop_oneof![8 => Just(0i64), 1 => Just(-1), 1 => Just(1)];
    (0..4usize, start, off, 0..4u32, fences, state, 0..3u32, 0..3u32).prop_map(
        |(run, (creates, key), off, events, (speaks_as, dead), (driver, due, ended), step, lines)| {
            // Mostly one event or more: a member without any is refused before anything is looked at.
            let events = if events == 0 && run > 0 { 1 } else { events };
            Draft { run, creates, key, off, events, speaks_as, dead, driver, due, ended, step, lines }
        },
    )
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        8 => prop::collection::vec(draft(), 1..4).prop_map(Op::Commit),
        2 => (0..3usize, any::<bool>()).prop_map(|(owner, lives)| Op::Register(owner, lives)),
        1 => (0..3usize).prop_map(Op::Renew),
        1 => (0..3usize).prop_map(Op::Retire),
        1 => Just(Op::Sweep),
        2 => (0..5usize).prop_map(Op::ClaimDue),
        1 => (0..4usize, 0..3u32).prop_map(|(run, count)| Op::Lines(run, count)),
    ]
}

/// The ids behind the small numbers.
struct World {
    runs: [RunId; 4],
    owners: [OwnerId; 3],
}

impl World {
    fn new() -> Self {
        let run = |_| RunId::from_uuid(Uuid::now_v7());
        let owner = |_| OwnerId::from_uuid(Uuid::now_v7());
        Self { runs: [0; 4].map(run), owners: [0; 3].map(owner) }
    }

    /// The member of a draft, on top of what a run has by now.
    fn member(&self, draft: &Draft, seq: u64) -> Member {
        let story = Story { run: self.runs[draft.run], seq };
        let mut new = new_run();
        new.key = draft.key.map(|(key, content)| IdempotencyKey {
            key: format!("key {key}").into(),
            content: Digest::of(&[content]),
        });
        let mut member = if draft.creates { story.create(new) } else { story.step_due() };
        member.events.extend((1..draft.events).flat_map(|_| story.step_due().events));
        if draft.events == 0 {
            member.events.clear();
        }
        member.expected = member.expected.saturating_add_signed(draft.off);
        member.driver = draft.speaks_as.map(|(owner, epoch)| Fence { epoch, owner: self.owners[owner] });
        member.dead = draft.dead.iter().map(|owner| self.owners[*owner]).collect();
        if let Some((owner, epoch)) = draft.driver {
            (member.summary.driver, member.summary.driver_epoch) = (Some(self.owners[owner]), epoch);
        }
        // Far in the past or far in the future: the two stores have two clocks.
        member.summary.due_at = draft
            .due
            .map(|due| Timestamp::from_millis(if due { i64::from(draft.step) } else { 4_000_000_000_000 }));
        if draft.ended {
            (member.summary.status, member.summary.finished_at) = ("failed", Some(Timestamp::from_millis(5)));
        }
        let body: Arc<str> = format!("\"{}\"", "v".repeat(70 + draft.step as usize)).into();
        member.values = vec![StoredValue { digest: Digest::of(body.as_bytes()), body: body.clone() }];
        member.steps = vec![step(draft.step, seq, ValueRef::from_json(body).unwrap().0)];
        member.logs = (0..draft.lines).map(line).collect();
        member
    }
}

fn step(step: u32, epoch: u64, output: ValueRef) -> StepRow {
    StepRow {
        step: StepIx(step),
        item: (step > 1).then_some(step % 3),
        name: "step".into(),
        status: "completed",
        attempts: 1,
        epoch,
        owner: None,
        effect: Some("pure"),
        due_at: None,
        started_at: None,
        finished_at: Some(Timestamp::from_millis(7)),
        output: Some(output),
        error: None,
    }
}

fn line(number: u32) -> LogLine {
    let text = format!("line {number}").into();
    LogLine {
        step: StepIx(number),
        item: number.checked_sub(1),
        attempt: 1,
        stream: Stream::Stderr,
        at: Timestamp::from_millis(3),
        text,
    }
}

/// What a store answers, as text: times of its own clock left out.
async fn answer(store: &dyn Store, world: &World, op: &Op, members: &[Member]) -> String {
    match op {
        Op::Commit(_) => {
            let answers = store.commit(members.to_vec()).await;
            let plain = answers.into_iter().map(|answer| match answer {
                Commit::Invalid(_) => Commit::Invalid(String::new()),
                other => other,
            });
            format!("{:?}", plain.collect::<Vec<_>>())
        }
        Op::Register(owner, lives) => {
            let ttl = if *lives { LONG } else { Duration::ZERO };
            let new = NewOwner { id: world.owners[*owner], ttl, label: String::new() };
            format!("{:?}", store.register(new).await.map_err(|error| error.to_string()))
        }
        Op::Renew(owner) => match store.renew(world.owners[*owner], LONG).await.unwrap() {
            Renewal::Alive(_) => "alive".to_owned(),
            Renewal::Dead => "dead".to_owned(),
        },
        Op::Retire(owner) => format!("{:?}", store.retire(world.owners[*owner]).await.unwrap()),
        Op::Sweep => {
            let mut newly = store.sweep().await.unwrap();
            newly.sort();
            format!("{newly:?}")
        }
        Op::ClaimDue(limit) => format!("{:?}", store.claim_due(*limit).await.unwrap()),
        Op::Lines(run, count) => {
            let lines = (0..*count).map(line).collect();
            format!(
                "{:?}",
                store.append_logs(world.runs[*run], lines).await.map_err(|error| error.to_string())
            )
        }
    }
}

/// Everything that a store holds, as text.
async fn holds(store: &dyn Store, world: &World) -> String {
    let mut all = format!("{:#?}", store.list_runs(RunQuery::default()).await.unwrap());
    let open = RunQuery { open: true, ..Default::default() };
    all += &format!("{:?}", store.list_runs(open).await.unwrap().items.len());
    all += &format!("{:?}", store.approvals(ApprovalQuery::default()).await.unwrap());
    for run in world.runs {
        if let Some(log) = store.load(run).await.unwrap() {
            all += &format!("{:#?} {:?}", log.events, log.text);
        }
        all += &format!("{:#?}", store.steps(run).await.unwrap());
        let lines = LogQuery { run, step: None, after: 0, tail: false, limit: 99 };
        all += &format!("{:?}", store.logs(lines).await.unwrap());
        for row in store.steps(run).await.unwrap() {
            let digest = row.output.map(|output| output.digest());
            all += &format!("{:?}", store.value(run, digest.unwrap()).await.unwrap().map(|body| body.len()));
        }
    }
    for owner in world.owners {
        all += &format!("{:?}", store.owner(owner).await.unwrap().map(|row| row.dead));
    }
    for key in 0..2 {
        all += &format!("{:?}", store.find_key("default", &format!("key {key}")).await.unwrap());
    }
    all
}

async fn compare(ops: Vec<Op>) {
    let (folder, world) = (Folder::new(), World::new());
    let (memory, sqlite) = (MemoryStore::new(), folder.store().await);
    for op in &ops {
        let mut members = Vec::new();
        if let Op::Commit(drafts) = op {
            for draft in drafts {
                let seq = memory.run(world.runs[draft.run]).await.unwrap().map_or(0, |row| row.seq);
                members.push(world.member(draft, seq));
            }
        }
        let expected = answer(&memory, &world, op, &members).await;
        assert_eq!(answer(&sqlite, &world, op, &members).await, expected, "{op:?}");
    }
    assert_eq!(holds(&sqlite, &world).await, holds(&memory, &world).await);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn it_answers_as_memory_does(ops in prop::collection::vec(op(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(compare(ops));
    }
}
