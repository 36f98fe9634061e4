//! A loss of power at every moment: what was acknowledged is there, whatever else the disk has kept.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;
use tempfile::TempDir;

use crate::battery::{self, Losses, number, size};
use crate::chance::Chance;
use crate::disk::{Deaf, Disk, Line};
use crate::sandbox::{Said, Sandbox};
use crate::trace;
use crate::witness::{self, Verdict};

/// Where the store is below the folder that is a disk of its own.
const STORE: &str = ".orchestrator/state.db";

/// One after the other, values that are kept with the run.
const CHAIN: &str = "
name: chain
steps:
  a: { run: echo a=1 >> \"$ORCHESTRATOR_OUTPUT\", effect: pure }
  b: { needs: a, run: 'seq 1 2000', effect: pure }
  c: { needs: b, uses: sleep, with: { for: 5ms } }
  d: { needs: c, run: 'echo \"$A\"', effect: pure, env: { A: \"${{ steps.a.a }}\" } }
outputs:
  a: ${{ steps.a.a }}
";

/// Values that become files of their own, one of them in the end of the run.
const LARGE: &str = "
name: large
inputs:
  sign: { type: string, default: x }
steps:
  make:
    effect: pure
    env: { SIGN: \"${{ inputs.sign }}\" }
    run: |
      cd \"$TMPDIR\"
      head -c 300000 /dev/zero | tr '\\0' \"$SIGN\" > big
      printf '%s' 'big=' | cat - big > \"$ORCHESTRATOR_OUTPUT\"
    with: { output_limit: 6000000 }
  more:
    needs: make
    effect: pure
    with: { output_limit: 6000000 }
    run: |
      head -c 270000 /dev/zero | tr '\\0' y
outputs:
  big: ${{ steps.make.big }}
";

/// Asks, and has something else to do meanwhile.
const ASK: &str = "
name: ask
steps:
  review:
    uses: approval
    with: { message: Go on? }
  nap: { uses: sleep, with: { for: 200ms } }
  publish: { needs: [review, nap], run: echo published, effect: pure }
outputs:
  said: ${{ steps.publish.stdout }}
";

/// What is done while the disk is looked at; `$1` is the program, `$2` where what it says is kept.
const WORK: &str = r#"
set -eu
o=$1 said=$2
$o run chain.yaml --json=stream > "$said/1"
$o run large.yaml --json=stream > "$said/2"
$o run ask.yaml --json=stream > "$said/3" || [ $? = 9 ]
$o approval approve @last --json > "$said/4"
$o runs resume @last --json=stream > "$said/5"
$o run chain.yaml --json=stream > "$said/6" &
$o run large.yaml -i sign=z --json=stream > "$said/7" &
wait %1; wait %2
$o run ask.yaml --json=stream > "$said/8" &
until $o approval approve @last --json > "$said/9" 2> /dev/null; do :; done
wait %1 || [ $? = 9 ]
$o migrate --json > /dev/null
$o run chain.yaml --json=stream > "$said/10"
$o run chain.yaml --json=stream > "$said/11"
$o run large.yaml -i sign=w --json=stream > "$said/12"
$o run ask.yaml --json=stream > "$said/13" || [ $? = 9 ]
"#;

/// Work that was done, with all that it has asked of the disk.
struct Work {
    place: Sandbox,
    calls: Vec<trace::Call>,
}

impl Work {
    fn done(durability: &str) -> Self {
        let place = Sandbox::with(&[
            ("disk/chain.yaml", CHAIN),
            ("disk/large.yaml", LARGE),
            ("disk/ask.yaml", ASK),
            ("work.sh", WORK),
            ("said/.keep", ""),
            ("tmp/.keep", ""),
        ]);
        let traced = place.path("traced");
        let program = env!("CARGO_BIN_EXE_orchestrator");
        let mut command = trace::strace(&traced);
        command.arg("bash").arg(place.path("work.sh")).arg(program).arg(place.path("said"));
        command
            .current_dir(place.path("disk"))
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", place.path("tmp"))
            .env("TMPDIR", place.path("tmp"))
            .env("ORCHESTRATOR_DURABILITY", durability);
        Said::of(&command.output().unwrap()).exits(0);
        let calls = trace::read(&fs::read(traced).unwrap());
        Self { place, calls }
    }

    fn disk(&self, deaf: Deaf) -> Disk {
        Disk::read(&self.calls, &self.place.path("disk"), &self.place.path("said"), deaf)
    }
}

/// What came of many losses of power.
#[derive(Debug, Default)]
pub(crate) struct Toll {
    pub(crate) states: usize,
    /// States in which something was lost, or was not sound; the first few are told.
    pub(crate) lost: usize,
    pub(crate) unsound: usize,
    told: Vec<String>,
    resumed: usize,
}

/// Where states are put: in memory, if there is such a place.
pub(crate) fn elsewhere() -> TempDir {
    let memory = Path::new("/dev/shm");
    let mut builder = tempfile::Builder::new();
    builder.prefix("storage-");
    if memory.is_dir() { builder.tempdir_in(memory) } else { builder.tempdir() }.unwrap()
}

/// Takes the power away `states` times, evenly spread over all moments. `resume`: of how many states one is gone on
/// with; 0: of none.
pub(crate) fn take_power(disk: &Disk, states: usize, seed: u64, resume: usize) -> Toll {
    let words = witness::words(&disk.lines);
    let next = AtomicUsize::new(0);
    let toll = Mutex::new(Toll::default());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                loop {
                    let nth = next.fetch_add(1, Ordering::Relaxed);
                    if nth >= states {
                        break;
                    }
                    let mut chance = Chance::new(seed.wrapping_mul(1_000_003).wrapping_add(nth as u64));
                    // Evenly spread, each in a place of its own.
                    let at = (nth * disk.moments.len() + chance.below(disk.moments.len())) / states;
                    let moment = disk.moments[at.min(disk.moments.len() - 1)];
                    let folder = elsewhere();
                    disk.rebuild(moment, &mut chance, folder.path());
                    let file = folder.path().join(STORE);
                    let verdict = runtime.block_on(witness::examine(&file, &words, moment));
                    let goes_on = resume > 0 && nth.is_multiple_of(resume) && verdict.is_fine();
                    if goes_on {
                        bury(&file, &disk.lines);
                        go_on(folder.path(), &verdict);
                    }
                    count(&mut toll.lock().unwrap(), &verdict, nth, moment, goes_on);
                }
            });
        }
    });
    toll.into_inner().unwrap()
}

fn count(toll: &mut Toll, verdict: &Verdict, nth: usize, moment: usize, goes_on: bool) {
    toll.states += 1;
    toll.lost += usize::from(!verdict.lost.is_empty());
    toll.unsound += usize::from(!verdict.unsound.is_empty());
    toll.resumed += if goes_on { verdict.open.len() } else { 0 };
    if !verdict.is_fine() && toll.told.len() < 5 {
        toll.told.push(format!("state {nth}, moment {moment}: {verdict:?}"));
    }
}

/// Makes the death of everybody who has driven plain at once: a computer that starts again takes longer than anybody is
/// believed to live who does not say so.
fn bury(file: &Path, lines: &[Line]) {
    let folder = file.with_file_name("state.db-owners");
    fs::create_dir_all(&folder).unwrap();
    let told = lines.iter().filter_map(|line| serde_json::from_str::<Value>(&line.text).ok());
    for owner in told.filter_map(|told| told["owner"].as_str().map(str::to_owned)) {
        fs::write(folder.join(owner), "").unwrap();
    }
}

/// Brings every run of a state to its end with the real binary.
fn go_on(folder: &Path, verdict: &Verdict) {
    for run in &verdict.open {
        let run = run.to_string();
        let mut resumed = orchestrator(folder, &["runs", "resume", &run, "--json"]);
        if resumed.code == 9 {
            orchestrator(folder, &["approval", "approve", &run, "--json"]).exits(0);
            resumed = orchestrator(folder, &["runs", "resume", &run, "--json"]);
        }
        assert_eq!(resumed.exits(0).json()["status"], "completed");
    }
}

fn orchestrator(folder: &Path, args: &[&str]) -> Said {
    let mut command = Command::new(env!("CARGO_BIN_EXE_orchestrator"));
    command.args(args).current_dir(folder).env_clear().env("PATH", std::env::var_os("PATH").unwrap());
    Said::of(&command.env("HOME", folder).output().unwrap())
}

#[test]
fn what_was_acknowledged_survives_a_loss_of_power() {
    let states = number("ORCHESTRATOR_STORAGE_STATES", size(1_000, 3_000, 20_000));
    let work = Work::done("full");
    let disk = work.disk(Deaf::No);
    assert!(disk.lines.len() > 60 && disk.syncs > 100, "{} lines, {} syncs", disk.lines.len(), disk.syncs);
    let toll = take_power(&disk, states, battery::seed(), 50);
    assert!(toll.lost == 0 && toll.unsound == 0, "{toll:#?}");

    // Faults of our own: syncs of large values that nobody hears.
    let mut planted = Vec::new();
    for deaf in [Deaf::ToFolders, Deaf::ToValues] {
        let toll = take_power(&work.disk(deaf), size(100, 200, 1_000), battery::seed(), 0);
        assert!(toll.unsound > 0, "{deaf:?}: the witness sees nothing: {toll:?}");
        planted.push(format!("{deaf:?} {} of {}", toll.unsound, toll.states));
    }
    let notes = format!(
        "{} moments, {} syncs, {} lines told, {} runs resumed; planted and found: {}",
        disk.moments.len(),
        disk.syncs,
        disk.lines.len(),
        toll.resumed,
        planted.join(", ")
    );
    battery::tell("F-10/F-11 loss of power", toll.states, Losses { lost: 0, ..Losses::default() }, &notes);
}

#[test]
fn relaxed_durability_loses_what_it_says_it_may() {
    let work = Work::done("relaxed");
    let toll = take_power(&work.disk(Deaf::No), size(100, 300, 3_000), battery::seed(), 0);
    // This is the fault that the witness must see; and no more than that is the price.
    assert!(toll.lost > 0 && toll.unsound == 0, "{toll:#?}");
    let notes = format!("{} of them lose something acknowledged, as they may; none is damaged", toll.lost);
    battery::tell("F-10 planted: synchronous=NORMAL", toll.states, Losses::default(), &notes);
}
