//! F-44: one project hands in very many runs, others a few. How long these wait is told in beginnings: how many runs were begun
//! between a run's being handed in and its own beginning, as the product prints these times.

use std::sync::Arc;
use std::time::{Duration, Instant};

use orchestrator_core::{Engine, StartRun, Workflow};
use orchestrator_postgres::PostgresStore;
use serde_json::Value;

use crate::place::{Place, Worker, last};
use crate::row::Losses;
use crate::sandbox::PATIENCE;
use crate::table::{Row, size};

/// Costs next to nothing.
const FLOW: &str = "
name: drop
steps: { wait: { uses: sleep, with: { for: 1ms } } }
";

/// How long until somebody is asked again.
const MOMENT: Duration = Duration::from_millis(10);

const TTL: Duration = Duration::from_secs(2);

/// The project that has so many.
const FLOOD: &str = "flood";

/// The others, and how many runs each of them hands in.
const OTHERS: usize = 5;
const EACH: usize = 10;

/// How many times as long others may wait as without the flood.
const TIMES: usize = 3;

/// How many runs are begun at the same moment, whoever they are of: by two workers, each with its slots.
const WORKERS: usize = 2;
const SLOTS: &str = "4";

/// When a run was handed in, when it was begun, and how it has ended, as it is listed.
#[derive(Debug, Clone)]
struct Listed {
    run: String,
    is_of_flood: bool,
    created: String,
    started: Option<String>,
    status: String,
}

impl Listed {
    fn of(item: &Value) -> Self {
        let text = |name: &str| item[name].as_str().unwrap().to_owned();
        Self {
            run: text("run_id"),
            is_of_flood: item["project"] == FLOOD,
            created: text("created_at"),
            started: item["started_at"].as_str().map(str::to_owned),
            status: text("status"),
        }
    }
}

/// For each of these runs that is none of the flood's, how many others were begun while it waited.
fn waits(all: &[Listed], measured: &[Listed]) -> Vec<usize> {
    // Moments are written so that they are in order as texts.
    let mut begun: Vec<&str> = all.iter().filter_map(|run| run.started.as_deref()).collect();
    begun.sort_unstable();
    let others = measured.iter().filter(|run| !run.is_of_flood);
    let wait = |run: &Listed| {
        let before = |moment: &str| begun.partition_point(|other| *other < moment);
        run.started.as_deref().map_or(usize::MAX, |started| before(started) - before(&run.created))
    };
    others.map(wait).collect()
}

/// The wait of which only one in twenty is longer.
fn p95(waits: &[usize]) -> usize {
    let mut sorted = waits.to_vec();
    sorted.sort_unstable();
    sorted[(sorted.len() * 95).div_ceil(100) - 1]
}

/// What is wrong with what is listed, where others may wait for so long: runs that do not end, and others that starve.
fn judge(all: &[Listed], measured: &[Listed], unloaded: usize) -> Losses {
    let stuck = all.iter().filter(|run| run.status != "completed").count() as u64;
    let starved = p95(&waits(all, measured)) > TIMES * unloaded;
    Losses { lost: u64::from(starved), stuck, ..Losses::default() }
}

/// Way after way to spoil a list: each must be found. Gives how many there were.
fn plant(all: &[Listed], unloaded: usize) -> usize {
    let last = all.iter().filter_map(|run| run.started.clone()).max();
    // The flood goes first, and whoever else there is after it.
    let mut starved = all.to_vec();
    starved.iter_mut().filter(|run| !run.is_of_flood).for_each(|run| run.started.clone_from(&last));
    // One in ten is forgotten.
    let mut forgotten = all.to_vec();
    let others = forgotten.iter_mut().filter(|run| !run.is_of_flood);
    others.step_by(EACH).for_each(|run| run.started.clone_from(&last));
    let mut open = all.to_vec();
    "running".clone_into(&mut open[0].status);
    let plants = [("starved", starved), ("forgotten", forgotten), ("open", open)];
    for (name, spoilt) in &plants {
        assert_ne!(judge(spoilt, spoilt, unloaded), Losses::default(), "not found: {name}");
    }
    plants.len()
}

/// A database, and whoever hands in runs.
struct Field {
    place: Place,
    client: Engine,
    flow: Arc<Workflow>,
}

impl Field {
    fn new() -> Self {
        let place = Place::new(&[], TTL);
        let client = place.runtime.block_on(async {
            let store = PostgresStore::connect(place.database.url()).await.unwrap();
            let builder = Engine::builder().store(Arc::new(store)).plugins(orchestrator_plugins::builtin());
            builder.poll(None).start().await.unwrap()
        });
        let flow = Arc::new(client.parse(FLOW).unwrap().workflow);
        Self { place, client, flow }
    }

    /// Hands in runs, each of its project.
    fn hand_in(&self, projects: impl Iterator<Item = String>) {
        let starts = projects.map(|project| StartRun::new(self.flow.clone()).project(project));
        let started = self.place.runtime.block_on(self.client.enqueue_all(starts));
        assert!(started.iter().all(Result::is_ok), "{started:?}");
    }

    /// The others hand in all of theirs at once.
    fn others(&self) {
        self.hand_in((0..OTHERS * EACH).map(|number| format!("other {}", number % OTHERS)));
    }

    fn worker(&self, name: &str) -> Worker {
        let oddity = crate::place::Oddity { words: vec!["--slots", SLOTS], ..Default::default() };
        self.place.worker_with(name, self.place.database.url(), oddity)
    }

    fn open(&self) -> i64 {
        let query = "SELECT count(*) FROM orchestrator_runs WHERE finished_at IS NULL";
        self.place.runtime.block_on(self.place.database.ask(query))
    }

    /// Returns when so many runs of these projects have been begun.
    #[track_caller]
    fn has_begun(&self, of: &str, count: i64) {
        let since = Instant::now();
        while self.begun(of) < count {
            assert!(since.elapsed() < PATIENCE, "{of}: not so many have been begun");
            last(MOMENT);
        }
    }

    fn begun(&self, of: &str) -> i64 {
        let query = format!(
            "SELECT count(*) FROM orchestrator_runs WHERE started_at IS NOT NULL AND project LIKE '{of}%'"
        );
        self.place.runtime.block_on(self.place.database.ask(&query))
    }

    /// Returns when no run is open; nobody has to hurry, but something has to end.
    #[track_caller]
    fn all_end(&self) {
        let (mut open, mut since) = (i64::MAX, Instant::now());
        while open > 0 {
            let now = self.open();
            if now < open {
                (open, since) = (now, Instant::now());
            }
            assert!(since.elapsed() < PATIENCE, "{open} runs do not end");
            last(MOMENT);
        }
    }

    /// All runs, as they are listed.
    fn listed(&self) -> Vec<Listed> {
        let (mut all, mut after) = (Vec::new(), String::new());
        loop {
            let words = format!("runs list --limit 1000 --json{after}");
            let page = self.place.sandbox.run(&words).exits(0).json();
            all.extend(page["items"].as_array().unwrap().iter().map(Listed::of));
            match page["next"].as_str() {
                Some(next) => after = format!(" --after {next}"),
                None => return all,
            }
        }
    }

    /// Whether a run was in the hands of somebody who has died before it was begun.
    fn was_of_the_dead(&self, run: &str) -> bool {
        let events = self.place.sandbox.run(&format!("runs events {run} --json")).exits(0).json_lines();
        let before = events.iter().take_while(|event| event["kind"] != "step.begun");
        before.filter(|event| event["kind"] == "driver.taken").count() > 1
    }
}

/// How long others wait among themselves, and then beside a flood, where one of the workers may be killed in the middle.
fn play(flood: usize, is_killed: bool, row: &mut Row) -> (usize, usize) {
    let field = Field::new();
    let workers: Vec<Worker> = (0..WORKERS).map(|nth| field.worker(&format!("worker{nth}"))).collect();
    field.others();
    field.all_end();
    let alone = field.listed();
    let unloaded = p95(&waits(&alone, &alone));
    let known: Vec<String> = alone.into_iter().map(|run| run.run).collect();

    field.hand_in((0..flood).map(|_| FLOOD.to_owned()));
    let before = field.begun("other");
    field.has_begun(FLOOD, 1);
    field.others();
    let mut workers = workers.into_iter();
    if is_killed {
        let half = before + (OTHERS * EACH / 2) as i64;
        field.has_begun("other", half);
        drop(workers.next());
    }
    field.has_begun("other", before + (OTHERS * EACH) as i64);
    assert!(field.begun(FLOOD) < flood as i64, "the flood was over before the others were");
    field.all_end();
    workers.for_each(Worker::drain);
    let all: Vec<Listed> = field.listed().into_iter().filter(|run| !known.contains(&run.run)).collect();
    // What the dead had in hand has waited for the end of their time, whoever had handed it in.
    let limit = TIMES * unloaded;
    let others = all.iter().filter(|run| !run.is_of_flood);
    let measured: Vec<Listed> = others
        .filter(|run| {
            let is_late = waits(&all, std::slice::from_ref(run))[0] > limit;
            !(is_killed && is_late && field.was_of_the_dead(&run.run))
        })
        .cloned()
        .collect();
    let loaded = p95(&waits(&all, &measured));
    let losses = judge(&all, &measured, unloaded);
    if losses == Losses::default() {
        row.planted(plant(&all, unloaded));
    } else {
        println!("{losses:?}: {unloaded} alone, {loaded} beside the flood: {:?}", waits(&all, &measured));
    }
    row.add(all.len(), losses);
    (unloaded, loaded)
}

#[test]
fn a_flood_of_one_project_does_not_hold_up_the_others() {
    let mut row = Row::new("F-44 starvation");
    let flood = size(500, 5_000, 50_000);
    let told: Vec<String> = [false, true]
        .into_iter()
        .map(|is_killed| {
            let (unloaded, loaded) = play(flood, is_killed, &mut row);
            format!("{loaded} beginnings, alone {unloaded}")
        })
        .collect();
    row.tell(&format!(
        "others beside {flood} runs of one project wait for (p95) {}; with a worker killed in the middle, {}",
        told[0], told[1]
    ));
}
