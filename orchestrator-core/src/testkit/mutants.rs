//! Stores that are wrong in one way each: the kit must notice every one of them.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::*;
use crate::id::{OwnerId, RunId};
use crate::machine::Recorded;
use crate::memory::MemoryStore;
use crate::port::policy::Decision;
use crate::port::store::{
    ApprovalQuery, ApprovalRow, Commit, EventsAfter, LogLine, LogQuery, Member, NewOwner, NewRevision,
    NumberedLine, OwnerRow, Page, Prune, Pruned, Registered, Renewal, RevisionQuery, RevisionRow, RunLog,
    RunQuery, RunRow, StepRow, Store, StoreError, StoreInfo, WorkflowQuery, WorkflowRow,
};
use crate::time::Timestamp;
use crate::value::Digest;

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wrong {
    Nothing,
    IgnoresTheNumber,
    IgnoresTheDriver,
    IgnoresAssertedDeaths,
    IgnoresKeys,
    LosesTheLastEvent,
    LosesValues,
    LosesSteps,
    LosesDecisions,
    LosesLogs,
    LosesApprovals,
    ForgetsItems,
    AppliesAllOrNone,
    AnswersAppliedAlways,
    ShiftsEventsAfter,
    IgnoresLimits,
    ForgetsTheDriver,
    ForgetsWhatIsDue,
    RenewsTheDead,
    SweepsNobody,
    ReportsTwice,
    RetiresNobody,
    ClaimsTheDriven,
    NeverChanges,
    KnowsEveryRun,
    ListsOldestFirst,
    IgnoresFilters,
    FindsAnyPrefix,
    IgnoresTail,
    TakesLinesOfNoRun,
    StaysOpen,
    CountsSeconds,
    RegistersTheSameAgain,
    IgnoresWhatIsExpected,
    MixesProjects,
    ListsWorkflowsBackwards,
    ForgetsOldRevisions,
    ListsRevisionsBackwards,
    PrunesTheYoung,
    PrunesWhenDry,
    PrunesWithoutLimit,
    PrunesNothing,
    CountsNoRows,
    LosesChildren,
    KeepsChildrenOfTheRefused,
    AdoptsTheStrange,
    MixesChildren,
    ForgetsTheParent,
    PrunesChildren,
}

use Wrong::*;

const ALL: [Wrong; 48] = [
    IgnoresTheNumber,
    IgnoresTheDriver,
    IgnoresAssertedDeaths,
    IgnoresKeys,
    LosesTheLastEvent,
    LosesValues,
    LosesSteps,
    LosesDecisions,
    LosesLogs,
    LosesApprovals,
    ForgetsItems,
    AppliesAllOrNone,
    AnswersAppliedAlways,
    ShiftsEventsAfter,
    IgnoresLimits,
    ForgetsTheDriver,
    ForgetsWhatIsDue,
    RenewsTheDead,
    SweepsNobody,
    ReportsTwice,
    RetiresNobody,
    ClaimsTheDriven,
    NeverChanges,
    KnowsEveryRun,
    ListsOldestFirst,
    IgnoresFilters,
    FindsAnyPrefix,
    IgnoresTail,
    TakesLinesOfNoRun,
    StaysOpen,
    CountsSeconds,
    RegistersTheSameAgain,
    IgnoresWhatIsExpected,
    MixesProjects,
    ListsWorkflowsBackwards,
    ForgetsOldRevisions,
    ListsRevisionsBackwards,
    PrunesTheYoung,
    PrunesWhenDry,
    PrunesWithoutLimit,
    PrunesNothing,
    CountsNoRows,
    LosesChildren,
    KeepsChildrenOfTheRefused,
    AdoptsTheStrange,
    MixesChildren,
    ForgetsTheParent,
    PrunesChildren,
];

#[derive(Debug)]
struct Mutant {
    right: MemoryStore,
    wrong: Wrong,
}

impl Mutant {
    fn is(&self, wrong: Wrong) -> bool {
        self.wrong == wrong
    }

    async fn spoil(&self, member: &mut Member) {
        match self.wrong {
            IgnoresTheNumber if member.create.is_none() => {
                let row = self.right.run(member.run).await.ok().flatten();
                member.expected = row.map_or(member.expected, |row| row.seq);
            }
            IgnoresTheDriver => member.driver = None,
            IgnoresAssertedDeaths => member.dead.clear(),
            ForgetsItems => member.steps.iter_mut().for_each(|row| row.item = None),
            IgnoresKeys => {
                if let Some(new) = &mut member.create {
                    new.key = None;
                }
            }
            LosesTheLastEvent if member.events.len() > 1 => drop(member.events.pop()),
            LosesValues => member.values.clear(),
            LosesSteps => member.steps.truncate(1),
            LosesDecisions => member.decisions.truncate(1),
            LosesLogs => member.logs.clear(),
            LosesApprovals => member.approvals.truncate(1),
            LosesChildren => member.children.clear(),
            AdoptsTheStrange => {
                let run = member.run;
                let parents =
                    member.children.iter_mut().filter_map(|child| child.create.as_mut()?.parent.as_mut());
                parents.for_each(|parent| parent.run = run);
            }
            ForgetsTheParent => {
                for child in member.children.drain(..) {
                    let mut alone = child;
                    if let Some(new) = &mut alone.create {
                        new.parent = None;
                    }
                    self.right.commit(vec![alone]).await;
                }
            }
            KeepsChildrenOfTheRefused => {
                for child in member.children.drain(..) {
                    self.right.commit(vec![child]).await;
                }
            }
            PrunesChildren => {
                let children =
                    member.children.iter_mut().filter_map(|child| child.create.as_mut()?.parent.as_mut());
                children.for_each(|parent| parent.root = RunId::from_uuid(uuid::Uuid::nil()));
            }
            ForgetsTheDriver => member.summary.driver = None,
            ForgetsWhatIsDue => member.summary.due_at = None,
            _ => {}
        }
    }
}

#[async_trait]
impl Store for Mutant {
    fn describe(&self) -> StoreInfo {
        self.right.describe()
    }

    async fn now(&self) -> Result<Timestamp, StoreError> {
        let now = self.right.now().await?;
        Ok(if self.is(CountsSeconds) { Timestamp::from_millis(now.as_millis() / 1000) } else { now })
    }

    async fn commit(&self, mut batch: Vec<Member>) -> Vec<Commit> {
        for member in &mut batch {
            self.spoil(member).await;
        }
        let members = batch.len();
        if self.is(AppliesAllOrNone) && members > 2 && batch.iter().any(|member| member.fault().is_some()) {
            return vec![Commit::Conflict; members];
        }
        let answers = self.right.commit(batch).await;
        if self.is(AnswersAppliedAlways) { vec![Commit::Applied; members] } else { answers }
    }

    async fn load(&self, run: RunId) -> Result<Option<RunLog>, StoreError> {
        self.right.load(run).await
    }

    async fn events_after(&self, mut query: EventsAfter) -> Result<Vec<Recorded>, StoreError> {
        match self.wrong {
            ShiftsEventsAfter => query.after = query.after.saturating_sub(1),
            IgnoresLimits => query.limit = usize::MAX,
            _ => {}
        }
        self.right.events_after(query).await
    }

    async fn heads(&self, runs: &[RunId]) -> Result<Vec<(RunId, u64)>, StoreError> {
        let heads = self.right.heads(runs).await?;
        Ok(if self.is(KnowsEveryRun) { runs.iter().map(|run| (*run, 1)).collect() } else { heads })
    }

    async fn change_mark(&self) -> Result<u64, StoreError> {
        let mark = self.right.change_mark().await?;
        Ok(if self.is(NeverChanges) { 0 } else { mark })
    }

    async fn value(&self, run: RunId, digest: Digest) -> Result<Option<Arc<str>>, StoreError> {
        self.right.value(run, digest).await
    }

    async fn revision(&self, revision: Digest) -> Result<Option<Arc<str>>, StoreError> {
        self.right.revision(revision).await
    }

    async fn register(&self, owner: NewOwner) -> Result<(), StoreError> {
        self.right.register(owner).await
    }

    async fn renew(&self, owner: OwnerId, ttl: Duration) -> Result<Renewal, StoreError> {
        let answer = self.right.renew(owner, ttl).await?;
        Ok(if self.is(RenewsTheDead) { Renewal::Alive(self.right.now().await? + ttl) } else { answer })
    }

    async fn retire(&self, owner: OwnerId) -> Result<(), StoreError> {
        if self.is(RetiresNobody) { Ok(()) } else { self.right.retire(owner).await }
    }

    async fn sweep(&self) -> Result<Vec<OwnerId>, StoreError> {
        if self.is(SweepsNobody) {
            return Ok(Vec::new());
        }
        let mut newly = self.right.sweep().await?;
        if self.is(ReportsTwice) {
            newly.extend(newly.clone());
        }
        Ok(newly)
    }

    async fn owner(&self, owner: OwnerId) -> Result<Option<OwnerRow>, StoreError> {
        self.right.owner(owner).await
    }

    async fn claim_due(&self, limit: usize) -> Result<Vec<RunId>, StoreError> {
        if !self.is(ClaimsTheDriven) {
            return self.right.claim_due(limit).await;
        }
        let now = self.right.now().await?;
        let all = self.right.list_runs(RunQuery::default()).await?.items;
        Ok(all.iter().filter(|row| row.due_at.is_some_and(|due| due <= now)).map(|row| row.run).collect())
    }

    async fn run(&self, run: RunId) -> Result<Option<RunRow>, StoreError> {
        self.right.run(run).await
    }

    async fn list_runs(&self, mut query: RunQuery) -> Result<Page<RunRow>, StoreError> {
        if self.is(IgnoresFilters) {
            query = RunQuery { after: query.after, limit: query.limit, ..Default::default() };
        }
        if self.is(MixesChildren) {
            query = RunQuery { top: false, parent: None, ..query };
        }
        let mut page = self.right.list_runs(query).await?;
        if self.is(ListsOldestFirst) {
            page.items.reverse();
        }
        Ok(page)
    }

    async fn find_runs(&self, hex_prefix: &str, limit: usize) -> Result<Vec<RunId>, StoreError> {
        self.right.find_runs(if self.is(FindsAnyPrefix) { "" } else { hex_prefix }, limit).await
    }

    async fn find_key(&self, project: &str, key: &str) -> Result<Option<RunId>, StoreError> {
        self.right.find_key(project, key).await
    }

    async fn steps(&self, run: RunId) -> Result<Vec<StepRow>, StoreError> {
        self.right.steps(run).await
    }

    async fn approvals(&self, mut query: ApprovalQuery) -> Result<Page<ApprovalRow>, StoreError> {
        if self.is(IgnoresFilters) {
            query = ApprovalQuery { limit: query.limit, ..Default::default() };
        }
        self.right.approvals(query).await
    }

    async fn decisions(&self, run: RunId) -> Result<Vec<Decision>, StoreError> {
        self.right.decisions(run).await
    }

    async fn append_logs(&self, run: RunId, lines: Vec<LogLine>) -> Result<(), StoreError> {
        let answer = self.right.append_logs(run, lines).await;
        if self.is(TakesLinesOfNoRun) { Ok(()) } else { answer }
    }

    async fn logs(&self, mut query: LogQuery) -> Result<Vec<NumberedLine>, StoreError> {
        query.tail &= !self.is(IgnoresTail);
        self.right.logs(query).await
    }

    async fn register_workflow(&self, mut new: NewRevision) -> Result<Registered, StoreError> {
        match self.wrong {
            RegistersTheSameAgain => {
                let same = self.right.register_workflow(new.clone()).await?;
                let Registered::Same(number) = same else { return Ok(same) };
                new.revision = Digest::of(number.to_string().as_bytes());
            }
            IgnoresWhatIsExpected => new.expected = None,
            MixesProjects => new.project = "default".into(),
            _ => {}
        }
        self.right.register_workflow(new).await
    }

    async fn workflows(&self, query: WorkflowQuery) -> Result<Page<WorkflowRow>, StoreError> {
        let mut page = self.right.workflows(query).await?;
        if self.is(ListsWorkflowsBackwards) {
            page.items.reverse();
        }
        Ok(page)
    }

    async fn workflow_revisions(&self, query: RevisionQuery) -> Result<Page<RevisionRow>, StoreError> {
        let mut page = self.right.workflow_revisions(query).await?;
        match self.wrong {
            ForgetsOldRevisions => page.items.truncate(1),
            ListsRevisionsBackwards => page.items.reverse(),
            _ => {}
        }
        Ok(page)
    }

    async fn prune(&self, mut prune: Prune) -> Result<Pruned, StoreError> {
        match self.wrong {
            PrunesTheYoung => prune.before = Timestamp::from_millis(i64::MAX),
            PrunesWhenDry => prune.dry = false,
            PrunesWithoutLimit => prune.limit = usize::MAX,
            PrunesNothing => prune.dry = true,
            _ => {}
        }
        let pruned = self.right.prune(prune).await?;
        Ok(if self.is(CountsNoRows) { Pruned { events: 0, lines: 0, ..pruned } } else { pruned })
    }

    async fn health(&self) -> Result<(), StoreError> {
        self.right.health().await
    }

    async fn close(&self) -> Result<(), StoreError> {
        if self.is(StaysOpen) { Ok(()) } else { self.right.close().await }
    }
}

#[derive(Debug)]
struct OneMutant(Arc<Mutant>);

#[async_trait]
impl Place for OneMutant {
    async fn open(&self) -> Arc<dyn Store> {
        self.0.clone()
    }
}

struct Mutants(Wrong);

#[async_trait]
impl Backend for Mutants {
    async fn fresh(&self) -> Arc<dyn Place> {
        Arc::new(OneMutant(Arc::new(Mutant { right: MemoryStore::new(), wrong: self.0 })))
    }
}

#[tokio::test]
async fn the_kit_notices_every_mutant() {
    let mut unnoticed = Vec::new();
    for wrong in ALL {
        let failed = failures(&Mutants(wrong)).await;
        if failed.is_empty() {
            unnoticed.push(wrong);
        }
    }
    assert!(unnoticed.is_empty(), "not noticed: {unnoticed:?}");
    assert_eq!(failures(&Mutants(Nothing)).await, [] as [&str; 0], "what is right must pass");
}
