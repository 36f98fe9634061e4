//! F-26: a worker and its database cannot hear each other.

use std::sync::Mutex;
use std::time::Duration;

use orchestrator_postgres::testkit::Way::{Held, Lost, Open};
use orchestrator_postgres::testkit::{Proxy, Way};

use crate::at_once::at_once;
use crate::place::{Place, last, now};
use crate::row::Losses;
use crate::sandbox::until;
use crate::seen::Seen;
use crate::table::{Row, size};

/// The first attempt of `hold` beats until somebody lets it end, or it is killed. That of `side` ends in the partition, and its
/// worker has something to say that nobody hears in time.
const FLOW: &str = "
name: cut_off
inputs: { place: { type: string } }
env: { PLACE: \"${{ inputs.place }}\" }
steps:
  hold:
    effect: idempotent
    sandbox: none
    run: |
      beat() { echo \"$ORCHESTRATOR_ATTEMPT $(date +%s%3N)\" >> \"$PLACE/beats\"; }
      beat
      while [ \"$ORCHESTRATOR_ATTEMPT\" = 1 ] && [ ! -e \"$PLACE/go\" ]; do sleep 0.05; beat; done
  side:
    effect: idempotent
    sandbox: none
    run: |
      while [ \"$ORCHESTRATOR_ATTEMPT\" = 1 ] && [ ! -e \"$PLACE/side\" ]; do sleep 0.05; done
      echo \"$ORCHESTRATOR_RUN_ID side $ORCHESTRATOR_ATTEMPT\" >> \"$PLACE/ledger\"
  pay:
    needs: [hold, side]
    effect: idempotent
    sandbox: none
    run: echo \"$ORCHESTRATOR_RUN_ID pay $ORCHESTRATOR_ATTEMPT\" >> \"$PLACE/ledger\"
";

/// A port on which nobody listens.
const NOBODY: u16 = 1;

/// How many partitions there are at a time.
const AT_ONCE: usize = 3;

/// What is done to the network.
#[derive(Debug, Clone, Copy)]
enum Harm {
    /// Bytes fare so on their way up, and so on their way down.
    Ways(Way, Way),
    /// All connections are reset.
    Reset,
    /// All connections are reset, and new ones end at once.
    Refuse,
    /// The connections that there are carry nothing any more, and nobody ends them.
    Forget,
}

/// A partition.
#[derive(Debug, Clone, Copy)]
struct Case {
    harm: Harm,
    /// How long an owner counts as alive.
    ttl: Duration,
    /// How long it lasts, in tenths of that.
    tenths: u32,
}

/// What is always tried: what each kind of harm does to a worker, for longer than it counts as alive and for less.
const CASES: [Case; 9] = [
    // Long enough for a commit to be given up while the owner counts as alive still.
    Case::of(Harm::Ways(Held, Held), 8, 15),
    Case::of(Harm::Ways(Held, Held), 2, 20),
    Case::of(Harm::Ways(Lost, Open), 2, 20),
    Case::of(Harm::Ways(Open, Lost), 2, 20),
    Case::of(Harm::Ways(Held, Held), 2, 5),
    Case::of(Harm::Ways(Lost, Lost), 2, 20),
    Case::of(Harm::Reset, 2, 5),
    Case::of(Harm::Refuse, 2, 20),
    Case::of(Harm::Forget, 2, 20),
];

/// What takes longer.
const MORE: [Case; 8] = [
    Case::of(Harm::Ways(Held, Held), 2, 100),
    Case::of(Harm::Ways(Lost, Open), 2, 100),
    Case::of(Harm::Ways(Open, Lost), 2, 100),
    Case::of(Harm::Ways(Held, Open), 2, 20),
    Case::of(Harm::Ways(Open, Held), 2, 20),
    Case::of(Harm::Ways(Lost, Open), 2, 5),
    Case::of(Harm::Ways(Open, Lost), 8, 15),
    Case::of(Harm::Forget, 8, 15),
];

impl Case {
    const fn of(harm: Harm, seconds: u64, tenths: u32) -> Self {
        Self { harm, ttl: Duration::from_secs(seconds), tenths }
    }

    fn inflict(self, proxy: &Proxy) {
        match self.harm {
            Harm::Ways(up, down) => proxy.set(up, down),
            Harm::Reset => proxy.reset(),
            Harm::Refuse => {
                proxy.lead_to(NOBODY);
                proxy.reset();
            }
            Harm::Forget => proxy.forget(),
        }
    }

    /// Whether nobody can reach the store for longer than an owner counts as alive.
    const fn is_long(self) -> bool {
        matches!(self.harm, Harm::Ways(..) | Harm::Refuse) && self.tenths > 10
    }
}

/// A sign of life of a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Beat {
    attempt: u64,
    /// In milliseconds since 1970.
    at: u64,
}

/// What is wrong with the beats around a partition that began then.
fn judge(beats: &[Beat], cut: u64, ttl: Duration) -> Losses {
    let old = beats.iter().filter(|beat| beat.attempt == 1).map(|beat| beat.at).max();
    let new = beats.iter().filter(|beat| beat.attempt > 1).map(|beat| beat.at).min();
    // Before others may take it for dead, and a second for a machine that is busy.
    let latest = cut + u64::try_from(ttl.as_millis()).unwrap() * 8 / 10 + 1_000;
    Losses {
        survivors: u64::from(new.is_some() && old > Some(latest)),
        duplicates: u64::from(new.is_some() && old >= new),
        ..Losses::default()
    }
}

/// Plays a partition: what is to be seen afterwards, and the beats, and when it began.
fn suffer(case: Case) -> (Place, String, Vec<Beat>, u64) {
    let place = Place::new(&[("cut_off.yaml", FLOW)], case.ttl);
    let run = place.leave("cut_off.yaml");
    let cut_off = place.worker("cut_off", &place.disturbed());
    until(|| place.lines("beats").len() > 2);
    let other = place.worker("other", place.database.url());
    case.inflict(&place.proxy);
    let cut = now();
    place.sandbox.write("side", "");
    last(case.ttl * case.tenths / 10);
    if case.is_long() {
        // The other needs nobody's healing.
        place.ended(&run);
    }
    place.proxy.set(Open, Open);
    place.proxy.lead_to(place.database.port());
    place.sandbox.write("go", "");
    place.ended(&run);
    // Whoever was cut off works again, and has not ended in between.
    let healed = std::time::Instant::now();
    until(|| place.workers().len() == 2);
    println!("{case:?}: works again {:?} after the healing", healed.elapsed());
    cut_off.drain();
    other.drain();
    let beats = beats(&place);
    (place, run, beats, cut)
}

/// The beats so far.
fn beats(place: &Place) -> Vec<Beat> {
    let beats = place.lines("beats").into_iter().filter_map(|line| {
        let (attempt, at) = line.split_once(' ').unwrap();
        // What was told to stop in the middle of it has not told the time.
        Some(Beat { attempt: attempt.parse().unwrap(), at: at.parse().ok()? })
    });
    beats.collect()
}

#[test]
fn a_worker_that_is_cut_off_stops_before_others_go_on() {
    let rounds = size(1, 1, 10);
    let cases = || CASES.iter().chain(MORE.iter().take(size(0, MORE.len(), MORE.len())));
    let row = Mutex::new(Row::new("F-26 partitions"));
    let spans = Mutex::new(Vec::new());
    at_once(AT_ONCE, (0..rounds).flat_map(|_| cases()).copied(), |case| {
        let (place, run, beats, cut) = suffer(case);
        let losses = judge(&beats, cut, case.ttl);
        assert_eq!(losses, Losses::default(), "{case:?}, cut at {cut}: {beats:?}");
        let taken_over = beats.iter().any(|beat| beat.attempt > 1);
        assert!(taken_over || !case.is_long(), "{case:?}: nobody has taken the run over");
        let mut row = row.lock().unwrap();
        let seen = row.look(&place.sandbox, &run, 1);
        check(&seen, case);
        row.add(0, losses);
        if taken_over {
            row.planted(plant(&beats, cut, case.ttl));
            let last = beats.iter().filter(|beat| beat.attempt == 1).map(|beat| beat.at).max();
            let share = last.unwrap().saturating_sub(cut) as f64 / case.ttl.as_millis() as f64;
            spans.lock().unwrap().push(share);
        }
    });
    let latest = spans.into_inner().unwrap().into_iter().fold(0.0, f64::max);
    let row = row.into_inner().unwrap();
    row.tell(&format!("the last sign of life of who was cut off: at most {latest:.2} of the ttl after that"));
}

/// Beats on when it is told to stop.
const STUBBORN: &str = "
name: stubborn
inputs: { place: { type: string } }
env: { PLACE: \"${{ inputs.place }}\" }
steps:
  pay:
    effect: idempotent
    sandbox: none
    run: |
      set +e
      trap 'echo told >> \"$PLACE/told\"' TERM
      echo \"$ORCHESTRATOR_RUN_ID pay $ORCHESTRATOR_ATTEMPT\" >> \"$PLACE/ledger\"
      while :; do echo \"$ORCHESTRATOR_ATTEMPT $(date +%s%3N)\" >> \"$PLACE/beats\"; sleep 0.05; done
";

#[test]
fn what_is_given_time_to_stop_dies_with_its_owner() {
    // Long enough that a busy disk takes nobody's life before the network does.
    let ttl = Duration::from_secs(4);
    let mut row = Row::new("F-26 partitions, while a script is stopped");
    for _ in 0..size(1, 2, 10) {
        let place = Place::new(&[("stubborn.yaml", STUBBORN)], ttl);
        let run = place.leave("stubborn.yaml");
        let cut_off = place.worker("cut_off", &place.disturbed());
        until(|| place.lines("beats").len() > 2);
        place.sandbox.run(&format!("runs cancel {run}")).exits(0);
        until(|| place.lines("told").len() == 1);
        place.proxy.set(Held, Held);
        let cut = now();
        let other = place.worker("other", place.database.url());
        assert_eq!(place.ended(&run)["status"], "cancelled");
        let beats = beats(&place);
        // Nobody has begun it again: it is as if somebody had, when the run had ended.
        let ended = Beat { attempt: 2, at: now() };
        let losses = judge(&[beats.as_slice(), &[ended]].concat(), cut, ttl);
        assert_eq!(losses, Losses::default(), "cut at {cut}: {:?}", beats.last());
        row.planted(plant(&[beats.as_slice(), &[ended]].concat(), cut, ttl));
        place.proxy.set(Open, Open);
        let seen = row.look(&place.sandbox, &run, 1);
        assert_eq!(seen.effects.len(), 1);
        row.add(0, losses);
        cut_off.drain();
        other.drain();
    }
    row.tell("a script that does not stop when it is told to is killed with all that its worker executes");
}

/// However often somebody has begun it, each step has ended once, and the run has.
fn check(seen: &Seen, case: Case) {
    assert_eq!(seen.shown["status"], "completed", "{case:?}");
    for step in ["hold", "side", "pay"] {
        assert_eq!(seen.events_of(step, "step.succeeded").count(), 1, "{case:?}: {step}: {:#?}", seen.events);
        assert_eq!(seen.step(step)["status"], "completed", "{case:?}");
    }
}

/// Beats that must be found to be wrong. Gives how many there were.
fn plant(beats: &[Beat], cut: u64, ttl: Duration) -> usize {
    let new = beats.iter().find(|beat| beat.attempt > 1).unwrap();
    let overlap = Beat { attempt: 1, at: new.at };
    let late = Beat { attempt: 1, at: cut + u64::try_from(ttl.as_millis()).unwrap() + 1_001 };
    let plants = [overlap, late];
    for plant in plants {
        let spoilt = [beats, &[plant]].concat();
        assert_ne!(judge(&spoilt, cut, ttl), Losses::default(), "not found: {plant:?}");
    }
    plants.len()
}
