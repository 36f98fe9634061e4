//! F-43: very many steps fail at once, because the service that they all call is down; then it is slow, then well. What the
//! service has written down of its requests, and what is printed of the retries, say whether they come as a storm.

use std::collections::BTreeMap;
use std::io::{BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use orchestrator_core::time::Timestamp;
use serde_json::Value;

use crate::place::{Place, Worker, last};
use crate::request;
use crate::row::Losses;
use crate::sandbox::PATIENCE;
use crate::table::{Row, size};

/// Of all runs and workers, so many call at a time.
const FLOW: &str = "
name: storm
permissions: { network: [\"127.0.0.1:*\"] }
inputs: { place: { type: string }, url: { type: string }, count: { type: integer } }
steps:
  call:
    uses: http
    for_each: ${{ range(inputs.count) }}
    with: { method: POST, url: \"${{ inputs.url }}\", json: {} }
    effect: idempotent
    concurrency: { key: service, limit: 8 }
    retry: { max_attempts: 40, initial: 500ms, max: 4s }
";

const LIMIT: usize = 8;
const MAX_ATTEMPTS: u64 = 40;

const WORKERS: usize = 2;

/// How long whoever is told to come back has to wait.
const AFTER: Duration = Duration::from_secs(2);

/// How many requests one process may make of a service that is down: those that are on their way when it has failed five times, and
/// one each time that it looks whether it still is.
const LOOKS: usize = 5 + LIMIT + 8;

/// How long until somebody is looked at again.
const MOMENT: Duration = Duration::from_millis(20);

/// Within which time requests are counted.
const SPAN: Duration = Duration::from_millis(500);

/// Of how many retries that were told how long to wait one in so many may be due within a tenth of a second.
const SHARE: usize = 4;

/// How many times as many requests there may be within that time as in peace.
const TIMES: usize = 2;

/// How the service is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Well,
    Down,
    /// It takes its time, and tells every fourth to come back later.
    Slow,
}

/// A request, as the service has written it down.
#[derive(Debug, Clone)]
struct Asked {
    at: Duration,
    key: String,
    state: State,
    status: u16,
    /// How many were being answered, this one too.
    open: usize,
}

#[derive(Debug)]
struct Service {
    begun: Instant,
    state: Mutex<State>,
    open: Mutex<usize>,
    ledger: Mutex<Vec<Asked>>,
}

impl Service {
    /// One that listens, and where.
    fn begin() -> (Arc<Self>, String) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (state, open, ledger) = (Mutex::new(State::Well), Mutex::default(), Mutex::default());
        let service = Arc::new(Self { begun: Instant::now(), state, open, ledger });
        let serves = service.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let service = serves.clone();
                std::thread::spawn(move || service.answer(stream));
            }
        });
        (service, url)
    }

    fn answer(&self, stream: TcpStream) {
        let mut reader = BufReader::new(stream);
        while let Some(request) = request::read(&mut reader) {
            let key = request.header("idempotency-key").to_owned();
            let open = {
                let mut open = self.open.lock().unwrap();
                *open += 1;
                *open
            };
            let (status, wait) = {
                let mut ledger = self.ledger.lock().unwrap();
                let state = *self.state.lock().unwrap();
                let (status, wait) = match state {
                    State::Well => (200, 30),
                    State::Down => (503, 0),
                    State::Slow if ledger.len().is_multiple_of(4) => (429, 0),
                    State::Slow => (200, 200),
                };
                ledger.push(Asked { at: self.begun.elapsed(), key, state, status, open });
                (status, wait)
            };
            last(Duration::from_millis(wait));
            *self.open.lock().unwrap() -= 1;
            let after =
                if status == 429 { format!("retry-after: {}\r\n", AFTER.as_secs()) } else { String::new() };
            let text = format!("HTTP/1.1 {status} So\r\n{after}content-length: 0\r\n\r\n");
            if reader.get_mut().write_all(text.as_bytes()).is_err() {
                return;
            }
        }
    }

    /// How many requests it has had while it was so.
    fn asked(&self, state: State) -> usize {
        self.ledger.lock().unwrap().iter().filter(|asked| asked.state == state).count()
    }

    /// It is so from now on; when that is.
    fn becomes(&self, state: State) -> Duration {
        *self.state.lock().unwrap() = state;
        self.begun.elapsed()
    }
}

/// What can be seen from outside when all is over.
#[derive(Debug, Clone)]
struct Facts {
    ledger: Vec<Asked>,
    /// Since when the service was down, since when it was well again, and since when all was over.
    down: Duration,
    well: Duration,
    over: Duration,
    /// How many calls there were to make, and how many of them while the service was down.
    calls: usize,
    failed: usize,
    /// When those are due that were told how long to wait, in milliseconds.
    due: Vec<i64>,
    /// The largest number of an attempt.
    attempts: u64,
    statuses: Vec<String>,
}

/// The most of these moments that lie within such a span.
fn most<T: Copy + Ord>(moments: &[T], is_within: impl Fn(T, T) -> bool) -> usize {
    let mut sorted = moments.to_vec();
    sorted.sort_unstable();
    let within =
        |first: usize| sorted[first..].iter().take_while(|later| is_within(sorted[first], **later)).count();
    (0..sorted.len()).map(within).max().unwrap_or(0)
}

impl Facts {
    fn times(&self, is_meant: impl Fn(&Asked) -> bool) -> Vec<Duration> {
        self.ledger.iter().filter(|asked| is_meant(asked)).map(|asked| asked.at).collect()
    }

    /// The most requests within a span: in peace, before it and after it, and once the service is well again.
    fn rates(&self) -> (usize, usize) {
        let peak = |is_meant: &dyn Fn(Duration) -> bool| {
            most(&self.times(|asked| is_meant(asked.at)), |first, later| later - first < SPAN)
        };
        let peace = Ord::max(peak(&|at| at < self.down), peak(&|at| at >= self.over));
        (peace, peak(&|at| (self.well..self.over).contains(&at)))
    }

    /// What is wrong with how they have come, in words.
    fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let (peace, peak) = self.rates();
        if peak > TIMES * peace {
            faults.push(format!("{peak} requests within {SPAN:?}, {peace} in peace"));
        }
        if let Some(asked) = self.ledger.iter().find(|asked| asked.open > LIMIT) {
            faults.push(format!("more than {LIMIT} at a time: {asked:?}"));
        }
        let down = self.times(|asked| asked.state == State::Down).len();
        if down > WORKERS * LOOKS {
            faults.push(format!("{down} requests while it was down"));
        }
        let at_once = most(&self.due, |first, later| later - first < 100);
        if at_once * SHARE > self.failed {
            faults.push(format!("{at_once} of {} are due at once", self.failed));
        }
        for of_key in self.by_key().values() {
            for pair in of_key.windows(2).filter(|pair| pair[0].status == 429) {
                // Moments are whole milliseconds.
                if pair[1].at - pair[0].at + Duration::from_millis(1) < AFTER {
                    faults.push(format!("back too soon: {pair:?}"));
                }
            }
        }
        faults
    }

    fn by_key(&self) -> BTreeMap<&str, Vec<&Asked>> {
        let mut by_key: BTreeMap<&str, Vec<&Asked>> = BTreeMap::new();
        self.ledger.iter().for_each(|asked| by_key.entry(&asked.key).or_default().push(asked));
        by_key
    }

    fn losses(&self) -> Losses {
        let by_key = self.by_key();
        let done = |asked: &&&Asked| asked.status == 200;
        let times: Vec<usize> = by_key.values().map(|of_key| of_key.iter().filter(done).count()).collect();
        let done = times.iter().filter(|times| **times > 0).count();
        let ended = self.statuses.iter().filter(|status| *status == "completed").count();
        Losses {
            lost: self.calls.saturating_sub(done) as u64,
            duplicates: times.iter().filter(|times| **times > 1).count() as u64,
            unrecorded: u64::from(self.attempts > MAX_ATTEMPTS),
            regressions: self.faults().len() as u64,
            stuck: (self.statuses.len() - ended) as u64,
            ..Losses::default()
        }
    }

    /// Way after way to spoil it: each must be found. Gives how many there were.
    fn plant(&self) -> usize {
        let plants: [(&str, Spoil); 9] = [
            ("a peak", |facts| {
                let (peace, _) = facts.rates();
                let some = facts.ledger.iter().find(|asked| asked.at >= facts.well).unwrap().clone();
                let many = (0..=TIMES * peace).map(|nth| Asked { key: nth.to_string(), ..some.clone() });
                let many: Vec<Asked> = many.collect();
                facts.ledger.extend(many);
            }),
            ("too many at a time", |facts| facts.ledger[0].open = LIMIT + 1),
            ("no rest while it is down", |facts| {
                let some = facts.ledger.iter().find(|asked| asked.state == State::Down).unwrap().clone();
                facts
                    .ledger
                    .extend(std::iter::repeat_n(Asked { key: "other".to_owned(), ..some }, WORKERS * LOOKS));
            }),
            ("all at once", |facts| {
                let first = facts.due[0];
                facts.due.fill(first);
                facts.due.resize(facts.failed, first);
            }),
            ("too soon", |facts| {
                let told = facts.ledger.iter().find(|asked| asked.status == 429).unwrap().clone();
                let again = facts.ledger.iter_mut().find(|asked| asked.key == told.key && asked.at > told.at);
                again.unwrap().at = told.at + AFTER / 2;
            }),
            ("twice", |facts| facts.ledger.push(facts.ledger[0].clone())),
            ("never", |facts| drop(facts.ledger.remove(0))),
            ("beyond the policy", |facts| facts.attempts = MAX_ATTEMPTS + 1),
            ("without end", |facts| "running".clone_into(&mut facts.statuses[0])),
        ];
        for (name, spoil) in plants {
            let mut spoilt = self.clone();
            spoil(&mut spoilt);
            assert_ne!(spoilt.losses(), Losses::default(), "not found: {name}");
        }
        plants.len()
    }
}

/// A way to spoil what was seen.
type Spoil = fn(&mut Facts);

/// A moment that is printed, in milliseconds.
fn millis(moment: &Value) -> i64 {
    serde_json::from_value::<Timestamp>(moment.clone()).unwrap().as_millis()
}

/// What is printed of the retries of these runs: when those are due that were told how long to wait, and the largest number
/// of an attempt.
fn retries(place: &Place, runs: &[String]) -> (Vec<i64>, u64) {
    let (mut due, mut attempts) = (Vec::new(), 0);
    for run in runs {
        for event in place.sandbox.run(&format!("runs events {run} --json")).exits(0).json_lines() {
            attempts = attempts.max(event["attempt"].as_u64().unwrap_or(0));
            let message = event["data"]["error"]["message"].as_str().unwrap_or_default();
            if event["kind"] == "step.failed"
                && ["left alone", "429"].iter().any(|told| message.contains(told))
            {
                due.push(millis(&event["data"]["retry_at"]));
            }
        }
    }
    (due, attempts)
}

/// Returns when these runs have ended, and how; nobody has to hurry, but something has to happen.
#[track_caller]
fn ended(place: &Place, service: &Service, runs: &[String]) -> Vec<String> {
    let (mut known, mut since) = (0, Instant::now());
    loop {
        let shown = runs.iter().map(|run| place.show(run));
        let open = shown.filter(|shown| shown["finished_at"].is_null()).count();
        if open == 0 {
            return runs.iter().map(|run| place.ended(run)["status"].as_str().unwrap().to_owned()).collect();
        }
        let asked = service.ledger.lock().unwrap().len();
        if asked > known {
            (known, since) = (asked, Instant::now());
        }
        assert!(since.elapsed() < PATIENCE, "{open} runs do not end");
        last(MOMENT * 10);
    }
}

#[test]
fn what_has_failed_at_once_does_not_come_back_at_once() {
    let (runs, each) = (size(4, 8, 8), size(50, 250, 250));
    let (down, slow) =
        (Duration::from_secs(size(3, 30, 30) as u64), Duration::from_secs(size(1, 10, 10) as u64));
    let place = Place::new(&[("storm.yaml", FLOW)], Duration::from_secs(5));
    let (service, url) = Service::begin();
    let workers: Vec<Worker> =
        (0..WORKERS).map(|nth| place.worker(&format!("worker{nth}"), place.database.url())).collect();
    let leave = |count: usize| {
        let inputs = [format!("url={url}"), format!("count={count}")];
        place.leave_with("storm.yaml", &["-i", &inputs[0], "-i", &inputs[1]])
    };
    let peace = || -> Vec<String> { (0..WORKERS).map(|_| leave(each)).collect() };
    ended(&place, &service, &peace());
    let down_at = service.becomes(State::Down);
    let all: Vec<String> = (0..runs).map(|_| leave(each)).collect();
    last(down);
    service.becomes(State::Slow);
    last(slow);
    // However long everybody waits: some are told to come back later, and do.
    let since = Instant::now();
    while service.asked(State::Slow) < LIMIT {
        assert!(since.elapsed() < PATIENCE, "nobody comes back");
        last(MOMENT);
    }
    let well = service.becomes(State::Well);
    let statuses = ended(&place, &service, &all);
    let over = service.becomes(State::Well);
    ended(&place, &service, &peace());
    let (due, attempts) = retries(&place, &all);
    let failed = runs * each;
    let calls = failed + 2 * WORKERS * each;
    let ledger = service.ledger.lock().unwrap().clone();
    let facts = Facts { ledger, down: down_at, well, over, calls, failed, due, attempts, statuses };
    workers.into_iter().for_each(Worker::drain);
    let mut row = Row::new("F-43 thundering retry");
    let losses = facts.losses();
    if losses == Losses::default() {
        row.planted(facts.plant());
    } else {
        println!("{losses:?}: {:#?}", facts.faults());
    }
    row.add(calls, losses);
    let (peace, peak) = facts.rates();
    let looks = facts.times(|asked| asked.state == State::Down).len();
    row.tell(&format!(
        "{peak} requests within {SPAN:?} at most once it is well, {peace} in peace; {looks} while it was down; \
         {} of {} retries due within 100 ms; {attempts} attempts at most",
        most(&facts.due, |first, later| later - first < 100),
        facts.due.len()
    ));
}
