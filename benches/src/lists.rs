//! W8: looking at runs in a store that has kept 100,000 of them, from process start to exit.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use orchestrator_core::engine::{Engine, StartRun};
use orchestrator_core::id::{DecisionId, Ids, RunId, StepIx, SystemIds, TransitionId};
use orchestrator_core::memory::MemoryStore;
use orchestrator_core::port::plugin::Stream;
use orchestrator_core::port::policy::Decision;
use orchestrator_core::port::store::{
    Commit, LogLine, MAX_BATCH_MEMBERS, Member, NewRun, RunLog, StepRow, Store, Summary,
};
use orchestrator_sqlite::SqliteStore;
use serde_json::Value;

use crate::sample::{Figure, Must, beside, median, runtime, time};

/// How many runs there are.
const RUNS: usize = 100_000;

/// How many workflows they are of.
const WORKFLOWS: usize = 20;

/// How long each of these commands may take, in milliseconds.
const LIMIT: f64 = 50.0;

/// How often each command is called for one figure.
const CALLS: usize = 11;

pub(crate) fn measure(repeat: usize) -> Vec<Figure> {
    let Some(binary) = beside("orchestrator") else {
        eprintln!(
            "lists: `orchestrator` is not built beside this program: cargo build --release -p orchestrator-cli"
        );
        return Vec::new();
    };
    let folder = tempfile::tempdir().expect("a folder");
    let middle = seed(&folder.path().join("state.db"), RUNS);
    let commands = [
        ("runs list", "runs list".to_owned()),
        ("runs list, the next page", format!("runs list --after {middle}")),
        ("runs list of one status", "runs list --status failed".to_owned()),
        ("runs list of two statuses", "runs list --status failed --status completed".to_owned()),
        ("runs list of a status nothing has", "runs list --status paused".to_owned()),
        ("runs list of one workflow", "runs list --workflow flow_7".to_owned()),
        ("runs list of a workflow nobody has run", "runs list --workflow nothing".to_owned()),
        ("runs list of what is open", "runs list --open".to_owned()),
        ("runs show of the latest", "runs show @last".to_owned()),
        ("runs show of one in the middle", format!("runs show {middle}")),
        ("runs show by the beginning of an id", format!("runs show {}", &middle.to_string()[..24])),
        ("workflow list", "workflow list".to_owned()),
    ];
    let call = |words: &str| {
        let mut command = Command::new(&binary);
        command.args(words.split(' ')).args(["--store", "sqlite:state.db"]).current_dir(folder.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let (status, spent) = time(|| command.status());
        assert!(status.is_ok_and(|status| status.success()), "{words} failed");
        spent.as_secs_f64() * 1e3
    };
    let figure = |(name, words): (&str, String)| Figure {
        name: format!("lists: {name}"),
        measured: median((0..CALLS * repeat).map(|_| call(&words)).collect()),
        limit: LIMIT,
        unit: "ms",
        must: Must::Within,
    };
    commands.into_iter().map(figure).collect()
}

/// Fills a store with runs that have ended, nine of ten completed, and gives one in the middle. Each is a run that an
/// engine has really driven, written again under another id.
pub(crate) fn seed(path: &Path, runs: usize) -> RunId {
    runtime().block_on(async {
        let templates = [template(false).await, template(true).await];
        let store = SqliteStore::connect(&path.display().to_string()).await.expect("a store");
        let ids = SystemIds::default();
        let mut middle = None;
        let mut written = 0;
        while written < runs {
            let batch: Vec<Member> = (written..runs.min(written + MAX_BATCH_MEMBERS))
                .map(|at| templates[usize::from(at % 10 == 9)].member(&ids, at))
                .collect();
            written += batch.len();
            if middle.is_none() && written >= runs / 2 {
                middle = batch.last().map(|member| member.run);
            }
            let answers = store.commit(batch).await;
            assert!(answers.iter().all(|answer| *answer == Commit::Applied), "{answers:?}");
        }
        store.close().await.expect("an orderly end");
        middle.expect("there is a run in the middle")
    })
}

/// A run that has ended, with all that belongs to it.
struct Template {
    log: RunLog,
    steps: Vec<StepRow>,
    decisions: Vec<Decision>,
}

async fn template(fails: bool) -> Template {
    let store = Arc::new(MemoryStore::new());
    let engine = Engine::builder()
        .store(store.clone())
        .step("work", |_: Value| async { Ok("what a step gives") })
        .step("fail", |_: Value| async {
            Err::<(), _>(std::io::Error::other("what is wrong with it").into())
        })
        .poll(None)
        .start()
        .await
        .expect("an engine");
    let last = if fails { "fail" } else { "work" };
    let text = format!(
        "name: flow\nsteps:\n  one: {{ uses: work }}\n  two: {{ uses: work, needs: one }}\n  three: {{ uses: {last}, needs: two }}\n"
    );
    let flow = engine.parse(&text).expect("a workflow").workflow;
    let run = engine.start(StartRun::new(flow)).await.expect("a run");
    let mut progress = run.progress();
    progress.wait_for(|progress| progress.ended).await.expect("an end");
    let id = run.id();
    engine.stop(std::time::Duration::from_secs(1)).await;
    Template {
        log: store.load(id).await.expect("the log").expect("the run"),
        steps: store.steps(id).await.expect("steps"),
        decisions: store.decisions(id).await.expect("decisions"),
    }
}

impl Template {
    fn member(&self, ids: &SystemIds, at: usize) -> Member {
        let run = RunId::from_uuid(ids.uuid());
        let row = &self.log.row;
        let decision = |decision: &Decision| {
            let mut decision = decision.clone();
            (decision.run, decision.id) = (run, DecisionId::from_uuid(ids.uuid()));
            decision
        };
        let line = |step: u32| LogLine {
            item: None,
            step: StepIx(step),
            attempt: 1,
            stream: Stream::Stdout,
            at: row.created_at,
            text: "a line that a step has written".into(),
        };
        let new = NewRun {
            workflow: format!("flow_{}", at % WORKFLOWS).into(),
            text: self.log.text.clone(),
            ..row.new.clone()
        };
        Member {
            run,
            expected: 0,
            transition: TransitionId::from_uuid(ids.uuid()),
            driver: None,
            dead: Vec::new(),
            create: Some(Box::new(new)),
            at: row.created_at,
            events: self.log.events.iter().map(|recorded| recorded.event.clone()).collect(),
            summary: Summary {
                status: if at % 10 == 9 { "failed" } else { "completed" },
                intent: row.intent,
                generation: row.generation,
                driver: None,
                driver_epoch: row.driver_epoch,
                due_at: None,
                started_at: row.started_at,
                finished_at: row.finished_at,
                outputs: row.outputs.clone(),
                error: row.error.clone(),
                done: row.done,
            },
            steps: self.steps.clone(),
            values: Vec::new(),
            decisions: self.decisions.iter().map(decision).collect(),
            approvals: Vec::new(),
            logs: (0..3).map(line).collect(),
            children: Vec::new(),
            remote: None,
            admission: None,
        }
    }
}
