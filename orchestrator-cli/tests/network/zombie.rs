//! F-32: a worker stands still for longer than it counts as alive, somewhere in the middle, and goes on. F-35: the same, and the
//! clocks of workers are ten minutes apart and drift.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use orchestrator_postgres::testkit::Way;
use rustix::process::Signal;

use crate::at_once::at_once;
use crate::clocks;
use crate::place::{Oddity, Place, Worker, last};
use crate::row::Losses;
use crate::sandbox::until;
use crate::table::{Row, size};

const TTL: Duration = Duration::from_millis(1_500);

/// How many stand still at a time.
const AT_ONCE: usize = 8;

/// Where a worker stands still.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Where {
    /// It waits for the answer of a service.
    Http,
    /// It executes a script.
    Script,
    /// It has the right to execute, and has executed nothing.
    Begun,
    /// The script has had its effect, and nobody has written that.
    Done,
}

const PLACES: [Where; 4] = [Where::Http, Where::Script, Where::Begun, Where::Done];

/// The first attempt of a script ends when it is let go.
const SCRIPT: &str = "
name: script
inputs: { place: { type: string } }
env: { PLACE: \"${{ inputs.place }}\" }
steps:
  pay:
    effect: idempotent
    sandbox: none
    run: |
      echo begun >> \"$PLACE/begun\"
      while [ \"$ORCHESTRATOR_ATTEMPT\" = 1 ] && [ ! -e \"$PLACE/go\" ]; do sleep 0.05; done
      echo \"$ORCHESTRATOR_RUN_ID pay $ORCHESTRATOR_ATTEMPT\" >> \"$PLACE/ledger\"
";

/// Has its effect at most once: whoever comes after the dead asks.
const ONCE: &str = "
name: once
inputs: { place: { type: string } }
env: { PLACE: \"${{ inputs.place }}\" }
steps:
  pay:
    effect: at_most_once
    sandbox: none
    run: echo \"$ORCHESTRATOR_RUN_ID pay $ORCHESTRATOR_ATTEMPT\" >> \"$PLACE/ledger\"
";

const HTTP: &str = "
name: http
permissions: { network: [\"127.0.0.1:*\"] }
inputs: { place: { type: string }, url: { type: string } }
steps:
  pay: { uses: http, with: { method: POST, url: \"${{ inputs.url }}\", json: {} }, effect: idempotent }
";

/// A service that tells of each request, and answers it at once.
fn service() -> (String, Receiver<()>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (told, hears) = channel();
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let Ok(connection) = connection else { return };
            let mut reader = BufReader::new(connection);
            let (mut line, mut len) = (String::new(), 0);
            while reader.read_line(&mut line).is_ok_and(|read| read > 2) {
                if let Some(given) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                    len = given.trim().parse().unwrap();
                }
                line.clear();
            }
            let mut body = vec![0; len];
            // One that was killed has hung up.
            if reader.read_exact(&mut body).is_err() || told.send(()).is_err() {
                continue;
            }
            std::thread::spawn(move || {
                // The one that asks stands still by then.
                last(Duration::from_millis(300));
                let _ = reader.get_mut().write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
            });
        }
    });
    (url, hears)
}

/// Whether a process stands still.
fn stands(worker: &Worker) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", worker.id())).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T'))
}

/// A worker stands still for three times its life; what can be seen of its run afterwards.
fn suffer(at: Where, drifts: bool, row: &Mutex<Row>) {
    let place = Place::new(&[("script.yaml", SCRIPT), ("once.yaml", ONCE), ("http.yaml", HTTP)], TTL);
    let (url, requests) = service();
    let point = match at {
        Where::Begun => Some("step.dispatch.before=stop@1".to_owned()),
        Where::Done => Some("step.complete.before=stop@1".to_owned()),
        _ => None,
    };
    let clock = |offset| if drifts { clocks::wrong(offset) } else { Vec::new() };
    let run = match at {
        Where::Http => place.leave_with("http.yaml", &["-i", &format!("url={url}")]),
        Where::Script => place.leave("script.yaml"),
        Where::Begun | Where::Done => place.leave("once.yaml"),
    };
    let zombie = place.worker_with(
        "zombie",
        &place.disturbed(),
        Oddity { point, variables: clock("+300 x1.1"), ..Oddity::default() },
    );
    match at {
        Where::Http => requests.recv().unwrap(),
        Where::Script => until(|| !place.lines("begun").is_empty()),
        Where::Begun | Where::Done => until(|| stands(&zombie)),
    }
    if matches!(at, Where::Http | Where::Script) {
        zombie.tell(Signal::STOP);
    }
    let oddity = Oddity { variables: clock("-300 x0.9"), ..Oddity::default() };
    let other = place.worker_with("other", place.database.url(), oddity);
    last(TTL * 3);
    // Others have gone on meanwhile, or ask what has become of it.
    match at {
        Where::Http | Where::Script => place.completed(&run),
        Where::Begun | Where::Done => {
            until(|| place.show(&run)["steps"][0]["status"] == "outcome_unknown");
        }
    }
    // It learns only after a while what has become of it.
    place.proxy.set(Way::Open, Way::Late(TTL / 10));
    zombie.tell(Signal::CONT);
    // Who goes on has begun anew, and what it executed is over.
    until(|| place.workers().len() == 2);
    place.sandbox.write("go", "");
    if matches!(at, Where::Begun | Where::Done) {
        let has_paid = !place.lines("ledger").is_empty();
        assert_eq!(has_paid, at == Where::Done, "{at:?}: {:?}", place.lines("ledger"));
        let word = if has_paid { "--applied" } else { "--not-applied" };
        place.sandbox.run(&format!("runs resolve {run} pay {word}")).exits(0);
        place.completed(&run);
    }
    zombie.drain();
    other.drain();
    let ends = |events: &[serde_json::Value]| {
        events.iter().filter(|event| event["kind"] == "step.succeeded").count() as u64
    };
    let mut row = row.lock().unwrap();
    if at == Where::Http {
        let shown = place.show(&run);
        assert_eq!(shown["steps"][0]["attempts"], 2, "{shown:#}");
        row.add(1, Losses::default());
        return;
    }
    let seen = row.look(&place.sandbox, &run, 1);
    let resolved = seen.events_of("pay", "step.resolved").count() as u64;
    row.add(
        0,
        Losses { regressions: (ends(&seen.events) + resolved.min(1)).saturating_sub(2), ..Losses::default() },
    );
}

#[test]
fn a_worker_that_stood_still_changes_nothing_when_it_goes_on() {
    let times = size(10, 20, 50);
    let trials = (0..times).flat_map(|time| PLACES.map(|at| (at, time % 2 == 1)));
    let row = Mutex::new(Row::new("F-32 and F-35 zombies"));
    at_once(AT_ONCE, trials, |(at, drifts)| suffer(at, drifts, &row));
    let row = row.into_inner().unwrap();
    row.tell("stood still in a request, in a script, before an effect and after it; every other one with clocks that drift");
}
