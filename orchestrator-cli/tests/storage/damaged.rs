//! Files that are damaged: whoever reads them is told, and is never shown what was not written.

use std::fs;
use std::path::{Path, PathBuf};

use orchestrator_core::engine::read_report;
use orchestrator_core::port::store::{LogQuery, RunQuery, Store, StoreError};
use orchestrator_sqlite::{Options, SqliteStore, upkeep};

use crate::battery::{self, Losses, number, size};
use crate::chance::Chance;
use crate::power::elsewhere;
use crate::sandbox::Sandbox;

const STORE: &str = ".orchestrator/state.db";

/// How long a page is, in bytes.
const PAGE: usize = 4096;

/// Values of many sizes, lines, items, an approval.
const MIXED: &str = "
name: mixed
inputs:
  count: { type: integer, default: 3 }
steps:
  list: { run: 'seq 1 400', effect: pure }
  each:
    needs: list
    for_each: [1, 2, 3, 4]
    effect: pure
    env: { N: \"${{ item }}\" }
    run: |
      for i in $(seq 1 40); do echo \"line $N $i of something that was said\"; done
      head -c 20000 /dev/zero | tr '\\0' \"$N\"
  ask: { needs: each, uses: approval, with: { message: Is it all there?, show: \"${{ inputs.count }}\" } }
outputs:
  items: ${{ steps.each.items }}
";

/// What a store shows of its runs.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Picture {
    /// What steps gave, what was asked, and what came in and out: what later steps and people go by.
    values: String,
    /// Events and rows.
    records: String,
    /// What scripts have printed.
    lines: String,
}

async fn picture(file: &Path) -> Result<Picture, StoreError> {
    let store = SqliteStore::open(file.to_str().unwrap(), Options::default().without_migration()).await?;
    let shown = all(&store).await;
    // Nobody may still be at the file when another is put in its place.
    store.close().await?;
    shown
}

async fn all(store: &SqliteStore) -> Result<Picture, StoreError> {
    let mut shown = Picture { values: String::new(), records: String::new(), lines: String::new() };
    let runs = store.list_runs(RunQuery { limit: 1000, ..RunQuery::default() }).await?.items;
    for row in &runs {
        let report = read_report(store, row.run).await?;
        let log = store.load(row.run).await?;
        let all = LogQuery { run: row.run, step: None, after: 0, tail: false, limit: 10_000 };
        let lines = store.logs(all).await?;
        let steps = report.iter().flat_map(|report| &report.steps);
        let given: Vec<_> = steps.map(|step| (&step.id, &step.output)).collect();
        let ends: Vec<_> = report.iter().map(|report| (&report.inputs, &report.outputs)).collect();
        let asked: Vec<_> = report.iter().flat_map(|report| &report.waiting_for).map(|on| &on.show).collect();
        shown.values.push_str(&format!("{given:?}{ends:?}{asked:?}{:?}", log.as_ref().map(|log| &log.text)));
        shown.records.push_str(&format!("{row:?}{report:?}{log:?}"));
        shown.lines.push_str(&format!("{lines:?}"));
    }
    Ok(shown)
}

/// What `store check` says.
async fn check(file: &Path) -> Result<Vec<String>, StoreError> {
    let location = file.to_str().unwrap();
    let mut found = upkeep::damage(location).await?;
    if found.is_empty() {
        let store = SqliteStore::open(location, Options::default().as_it_is()).await?;
        let faults = store.faults().await;
        store.close().await?;
        found.extend(faults?);
    }
    Ok(found)
}

/// A store with some runs, all of it in its file.
fn filled() -> Sandbox {
    let place = Sandbox::with(&[("mixed.yaml", MIXED)]);
    for count in 0..4 {
        place.run(&format!("run mixed.yaml -q -i count={count}")).exits(9);
        if count % 2 == 0 {
            place.run("approval approve @last").exits(0);
            place.run("runs resume @last -q").exits(0);
        }
    }
    place.run("migrate").exits(0);
    place
}

/// Puts the bytes of a database where `file` is, alone.
fn put(file: &Path, bytes: &[u8]) {
    for end in ["-wal", "-shm"] {
        drop(fs::remove_file(beside(file, end)));
    }
    fs::write(file, bytes).unwrap();
}

fn beside(file: &Path, end: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(end);
    name.into()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// What became of files with one bit that is another.
#[derive(Debug, Default)]
struct Tally {
    /// It was refused, or found while it was read.
    found: usize,
    /// Nothing that is shown depends on it.
    harmless: usize,
    /// Other lines of scripts were shown, and nobody was told.
    lines: usize,
    /// Something else was shown, and `store check` tells that it is not right.
    checked: usize,
    /// Other events or rows were shown, and nothing tells.
    records: usize,
    /// Other values were shown, and nothing tells: that must not be.
    values: usize,
}

impl Tally {
    /// `shown`: what was shown, if it was not refused; `is_told`: whether `store check` finds anything.
    fn weigh(&mut self, wanted: &Picture, shown: Option<Picture>, is_told: impl Fn() -> bool) {
        let Some(shown) = shown else {
            self.found += 1;
            return;
        };
        if shown == *wanted {
            self.harmless += 1;
        } else if shown.values == wanted.values && shown.records == wanted.records {
            self.lines += 1;
        } else if is_told() {
            self.checked += 1;
        } else if shown.values == wanted.values {
            self.records += 1;
        } else {
            self.values += 1;
        }
    }
}

#[test]
fn a_bit_that_has_changed_never_gives_another_value() {
    let trials = number("ORCHESTRATOR_STORAGE_BITS", size(200, 400, 4_000));
    let place = filled();
    let whole = fs::read(place.path(STORE)).unwrap();
    let (runtime, folder) = (runtime(), elsewhere());
    let file = folder.path().join("state.db");
    put(&file, &whole);
    let wanted = runtime.block_on(picture(&file)).unwrap();
    assert_eq!(runtime.block_on(check(&file)).unwrap(), [""; 0]);
    let mut chance = Chance::new(battery::seed());
    let mut tally = Tally::default();
    for _ in 0..trials {
        let mut bytes = whole.clone();
        // A page first, and then a bit of it.
        bytes[chance.below(whole.len() / PAGE) * PAGE + chance.below(PAGE)] ^= 1 << chance.below(8);
        put(&file, &bytes);
        let shown = runtime.block_on(picture(&file)).ok();
        let is_told = || runtime.block_on(check(&file)).map_or(true, |found| !found.is_empty());
        tally.weigh(&wanted, shown, is_told);
    }
    assert!(tally.values == 0 && tally.found > trials / 4, "{tally:?}");

    // A fault of our own: the same with another value in it, which nobody has noticed.
    let mut planted = Tally::default();
    let spoilt = Picture { values: wanted.values.replacen('1', "2", 1), ..wanted.clone() };
    planted.weigh(&wanted, Some(spoilt), || false);
    assert_eq!(planted.values, 1, "what must not be is not counted");
    let notes =
        format!("{tally:?}; digests are of values and texts: nothing vouches for lines, times and rows yet");
    battery::tell("F-19 changed bits", trials, Losses::default(), &notes);
}

#[test]
fn a_file_that_is_not_whole_is_refused_by_every_command() {
    let place = filled();
    let file = place.path(STORE);
    let whole = fs::read(&file).unwrap();
    let mut headless = whole.clone();
    headless[..100].fill(0);
    let half = &whole[..whole.len() / 2];
    let torn = &whole[..whole.len() / 2 / PAGE * PAGE + 1000];
    let mut garbled = whole.clone();
    let column = b"\"status\" text";
    for at in 0..whole.len() - column.len() {
        if whole[at..].starts_with(column) {
            garbled[at + column.len() - 1] = 0xf4;
        }
    }
    let mut holed = whole.clone();
    let middle = whole.len() / 2 / PAGE * PAGE;
    holed[middle..middle + 8 * PAGE].fill(0);
    let mut cases = 0;
    for (name, bytes) in [
        ("headless", &headless[..]),
        ("half", half),
        ("torn", torn),
        ("garbled", &garbled),
        ("holed", &holed),
    ] {
        put(&file, bytes);
        let said = place.run("store check --json").exits(7);
        assert_eq!(said.problem()["code"], "store_corrupt", "{name}");
        // Whoever needs what is missing is told; nobody is shown something else in its place.
        for words in ["runs list --json", "runs show @last --json", "run mixed.yaml -q --json"] {
            let said = place.run(words);
            assert!(name == "holed" || said.code == 7, "{name}: {words}: {said:?}");
            cases += 1;
        }
        let told = place.run("doctor --json");
        assert!(told.code == 1 || name == "holed", "{name}: {told:?}");
        if name != "holed" {
            assert!(fs::read(&file).unwrap() == bytes, "{name}: it was written to");
        }
    }
    battery::tell("F-19 files that are not whole", cases, Losses::default(), "refused with exit 7");
}

#[test]
fn files_beside_the_store_that_are_lost_or_not_its_own_invent_nothing() {
    let place = filled();
    // What is committed last is in the log.
    place.run("run mixed.yaml -q -i count=9").exits(9);
    let (file, log) = (place.path(STORE), beside(&place.path(STORE), "-wal"));
    let (whole, newest) = (fs::read(&file).unwrap(), fs::read(&log).unwrap());
    let other = filled();
    other.run("run mixed.yaml -q -i count=7").exits(9);
    let foreign = fs::read(beside(&other.path(STORE), "-wal")).unwrap();
    let (runtime, folder) = (runtime(), elsewhere());
    let copy = folder.path().join("state.db");
    let with = |log: Option<&[u8]>| {
        put(&copy, &whole);
        if let Some(log) = log {
            fs::write(beside(&copy, "-wal"), log).unwrap();
        }
        let shown = runtime.block_on(picture(&copy));
        (shown, runtime.block_on(check(&copy)))
    };
    let (shown, checked) = with(Some(&newest));
    let wanted = shown.unwrap();
    assert_eq!(checked.unwrap(), [""; 0]);
    // Without the list of pages that everybody shares: it is made anew.
    assert!(wanted == with(Some(&newest)).0.unwrap());
    // Without the log: what there was before, and nothing else.
    let (shown, checked) = with(None);
    assert!(wanted.records != shown.unwrap().records);
    assert_eq!(checked.unwrap(), [""; 0]);
    // One of another store.
    let (shown, checked) = with(Some(&foreign));
    let is_told = shown.is_err() || checked.is_err() || checked.is_ok_and(|found| !found.is_empty());
    assert!(is_told, "the log of another store was taken for its own");
    battery::tell("F-19 files beside it", 4, Losses::default(), "nothing invented");
}
