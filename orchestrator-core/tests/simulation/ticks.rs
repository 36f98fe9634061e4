//! A schedule of some worlds: of each of its times one run, whichever engine looks, dies or cannot reach the store meanwhile.

use std::collections::BTreeMap;
use std::sync::Arc;

use orchestrator_core::engine::{Engine, StoredSchedule, read_schedules};
use orchestrator_core::id::{DocumentId, RunId};
use orchestrator_core::port::store::{DocumentQuery, Member, NewRevision, Put, Registered, Store};
use orchestrator_core::schedule::{Missed, Schedule};
use orchestrator_core::spec::{ParseOptions, Workflow};
use orchestrator_core::time::Timestamp;
use orchestrator_core::value::Digest;
use uuid::Uuid;

use crate::dice::TICKED;
use crate::truth::{Truth, short};
use crate::workload::STURDY;

/// The workflow that is started by time.
pub(crate) const TICK: &str = "tick";

/// Every second: an outage is longer, and what was missed meanwhile has to be made up for.
const CRON: &str = "* * * * * *";

fn text() -> String {
    format!(
        "name: {TICK}\nsteps:\n  only: {{ uses: sim, with: {{ do: ok, ms: 50, sturdy: true }}, {STURDY} }}\n"
    )
}

/// The workflow, as an engine reads it.
pub(crate) fn tick(reader: &Engine) -> Arc<Workflow> {
    let parsed = reader.parse_with(&text(), &ParseOptions::default().default_name(TICK));
    Arc::new(parsed.unwrap_or_else(|faults| panic!("{faults}")).workflow)
}

impl Truth {
    /// From here on time starts runs.
    pub(crate) async fn begin_to_tick(&self) {
        let (id, now) =
            (|number| DocumentId::from_uuid(Uuid::from_u128(number)), self.store.now().await.unwrap());
        let text = text();
        let new = NewRevision {
            id: id(1),
            project: "default".into(),
            name: TICK.into(),
            revision: Digest::of(text.as_bytes()),
            text: text.into(),
            by: "world".into(),
            at: now,
            expected: None,
        };
        assert!(matches!(self.store.register_workflow(new).await.unwrap(), Registered::New(_)));
        let mut schedule = Schedule::new(TICK, CRON, "UTC");
        schedule.missed = Missed::RunAll;
        let stored = StoredSchedule::new(id(2), "default", TICK, schedule, now).unwrap();
        assert_eq!(self.store.put_document(stored.put(now)).await.unwrap(), Put::Written(1));
    }

    async fn schedule(&self) -> Option<StoredSchedule> {
        let mut page = read_schedules(&self.store, DocumentQuery::default()).await.unwrap();
        page.items.pop()
    }

    /// Time starts no more runs, once those that are due by now have been started: looks again until they are, for a while. Tells
    /// for how many times there must be runs.
    pub(crate) async fn end_ticking(&self) {
        let now = self.store.now().await.unwrap();
        let mut patience = 60_000;
        loop {
            let Some(mut stored) = self.schedule().await else { return };
            let is_behind = stored.next.is_some_and(|next| next <= now);
            if is_behind && patience > 0 && !self.world.is_broken() {
                self.world.pass(100).await;
                patience -= 100;
                continue;
            }
            if is_behind {
                self.world.broken(format!("of {:?} no run was started", stored.next));
            }
            let until = stored.next;
            stored.pause();
            if let Put::Written(_) = self.store.put_document(stored.put(now)).await.unwrap() {
                self.seen().ticks_until = until;
                return;
            }
        }
    }

    /// A run that was created is that of a time, which has no other.
    pub(crate) fn saw_tick(&self, run: RunId, time: &str) {
        self.world.saw(TICKED);
        if let Some(other) = self.seen().ticks.insert(time.into(), run) {
            self.world.broken(format!("{} and {} are both the run of {time}", short(other), short(run)));
        }
    }

    /// Of each time before the schedule was paused there is a run.
    pub(crate) async fn judge_ticks(&self) {
        let Some(until) = self.seen().ticks_until else { return };
        let first = self.schedule().await.map(|stored| stored.schedule.created_at);
        let ticks: BTreeMap<String, RunId> = self.seen().ticks.clone();
        let times = std::iter::successors(first.map(next), |at| Some(next(*at)));
        for at in times.take_while(|at| *at < until) {
            if !ticks.contains_key(&at.to_string()) {
                self.world.broken(format!("there is no run of {at}: {:?}", ticks.keys()));
            }
        }
    }
}

/// The time after this one.
fn next(at: Timestamp) -> Timestamp {
    Timestamp::from_millis((at.as_millis() / 1_000 + 1) * 1_000)
}

/// The runs of times that a member creates.
pub(crate) fn ticks_of(member: &Member) -> Vec<(RunId, String)> {
    let created = member.with_children().filter_map(|member| Some((member.run, member.create.as_deref()?)));
    let ticks = created.filter(|(_, new)| &*new.workflow == TICK);
    ticks.filter_map(|(run, new)| Some((run, new.labels.get("scheduled_at")?.to_string()))).collect()
}
