//! F-29: servers that are not found, that refuse a password, whose certificate is not theirs.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use orchestrator_postgres::testkit::Server;
use tokio::runtime::Runtime;

use crate::place::{Place, last};
use crate::row::Losses;
use crate::sandbox::{Said, until};
use crate::table::{Row, size};

const FLOW: &str = "
name: pay
inputs: { place: { type: string } }
steps:
  pay:
    effect: idempotent
    sandbox: none
    env: { PLACE: \"${{ inputs.place }}\" }
    run: echo \"$ORCHESTRATOR_RUN_ID pay $ORCHESTRATOR_ATTEMPT\" >> \"$PLACE/ledger\"
";

const TTL: Duration = Duration::from_secs(2);

/// The passwords of a user; neither may ever be told.
const FIRST: &str = "s3cret-first";
const SECOND: &str = "s3cret-second";

/// What each command must say where the store cannot be had.
const COMMANDS: [&str; 5] = [
    "runs list",
    "run pay.yaml -i place=/ --detach",
    "run pay.yaml -i place=/",
    "worker",
    "runs list --json",
];

/// What is wrong with what a command has said: it ends with 7, names the place and what is the matter, and gives no password
/// away.
fn faults(said: &Said, place: &str, matter: &str) -> Vec<String> {
    let all = format!("{}{}", said.out, said.err);
    let mut faults = Vec::new();
    if said.code != 7 {
        faults.push(format!("it ends with {}", said.code));
    }
    for word in [place, matter] {
        if !all.contains(word) {
            faults.push(format!("it does not say `{word}`"));
        }
    }
    if all.contains("s3cret") {
        faults.push("it tells the password".to_owned());
    }
    faults
}

/// Plants answers that must be found to be wrong. Gives how many there were.
fn plant(good: &Said, place: &str, matter: &str) -> usize {
    let said = |code: i32, err: String| Said { code, out: String::new(), err };
    let plants = [
        said(1, good.err.clone()),
        said(7, good.err.replace(matter, "")),
        said(7, good.err.replace(place, "")),
        said(7, format!("{}{FIRST}", good.err)),
    ];
    assert!(faults(good, place, matter).is_empty());
    assert!(plants.iter().all(|spoilt| !faults(spoilt, place, matter).is_empty()));
    plants.len()
}

struct Certificates {
    folder: tempfile::TempDir,
}

impl Certificates {
    /// An authority of one's own.
    fn new() -> Self {
        let it = Self { folder: tempfile::tempdir().unwrap() };
        it.openssl("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=authority");
        it
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    #[track_caller]
    fn openssl(&self, words: &str) {
        let done = Command::new("openssl")
            .args(words.split_whitespace())
            .current_dir(self.folder.path())
            .output()
            .expect("openssl is installed");
        assert!(done.status.success(), "openssl {words}: {}", String::from_utf8_lossy(&done.stderr));
    }

    /// A certificate of a host that is good for so many days from now on, and its key.
    fn of(&self, host: &str, days: i32) -> (PathBuf, PathBuf) {
        std::fs::write(self.path("names"), format!("subjectAltName={host}\n")).unwrap();
        self.openssl("req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout its.key -out its.csr -subj /CN=its");
        self.openssl(&format!(
            "x509 -req -in its.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days {days} -extfile names -out its.pem"
        ));
        (self.path("its.pem"), self.path("its.key"))
    }
}

/// The URL of a place's database for the user with a password.
fn url(place: &Place, host: &str, password: &str, rest: &str) -> String {
    let (_, name) = place.database.url().rsplit_once('/').unwrap();
    format!("postgres://locked:{password}@{host}:{}/{name}{rest}", place.database.port())
}

/// Asks every command, and adds what it says to the row.
fn ask(row: &mut Row, place: &Place, store: &str, location: &str, matter: &str) {
    for command in COMMANDS {
        let said = place.sandbox.run(&format!("{command} --store {store}"));
        assert_eq!(faults(&said, location, matter), [""; 0], "{command}: {said:?}");
        row.add(1, Losses::default());
        row.planted(plant(&said, location, matter));
    }
}

#[test]
fn a_server_that_refuses_is_told_of_and_waited_for() {
    let mut row = Row::new("F-29 refusals");
    let runtime = Runtime::new().unwrap();
    let server = runtime.block_on(async {
        let server = Server::start().await;
        server.tell(&format!("CREATE ROLE locked LOGIN SUPERUSER PASSWORD '{FIRST}'")).await;
        server.ask_for_password("locked").await;
        server
    });
    let place = Place::on(runtime, &server, &[("pay.yaml", FLOW)], TTL);
    let nowhere = url(&place, "no-such-host.invalid", FIRST, "");
    ask(&mut row, &place, &nowhere, "locked@no-such-host.invalid", "lookup");
    let wrong = url(&place, "127.0.0.1", SECOND, "");
    ask(&mut row, &place, &wrong, "locked@127.0.0.1", "password authentication failed");
    certificates(&mut row, &place, &server);
    for _ in 0..size(1, 2, 10) {
        rotation(&mut row, &place, &server);
    }
    row.tell("each is told with its place and without a password, and ends with 7; a worker keeps on trying");
}

fn certificates(row: &mut Row, place: &Place, server: &Server) {
    let made = Certificates::new();
    let rest = format!("?sslmode=verify-full&sslrootcert={}", made.path("ca.pem").display());
    let store = url(place, "127.0.0.1", FIRST, &rest);
    let present = |host: &str, days: i32| {
        let (certificate, key): (PathBuf, PathBuf) = made.of(host, days);
        let (certificate, key): (&Path, &Path) = (&certificate, &key);
        place.runtime.block_on(server.present(certificate, key));
    };
    present("IP:127.0.0.1", 1);
    let said = place.sandbox.run(&format!("runs list --store {store}"));
    // There is no store yet, but it could be asked.
    assert_eq!(said.code, 4, "{said:?}");
    for (host, days, matter) in
        [("IP:127.0.0.1", -1, "Expired"), ("DNS:elsewhere.example", 1, "not valid for name")]
    {
        present(host, days);
        ask(row, place, &store, "locked@127.0.0.1", matter);
    }
}

/// The password is another while a worker works, and all its connections end.
fn rotation(row: &mut Row, place: &Place, server: &Server) {
    let store = url(place, "127.0.0.1", FIRST, "");
    let rotate = |password: &str| {
        place.runtime.block_on(server.tell(&format!("ALTER ROLE locked PASSWORD '{password}'")));
    };
    let mut worker = place.worker("worker", &store);
    let run = place.leave("pay.yaml");
    place.ended(&run);
    row.look(&place.sandbox, &run, 1);
    rotate(SECOND);
    place.runtime.block_on(
        server.tell("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'locked'"),
    );
    ask(row, place, &store, "locked@127.0.0.1", "password authentication failed");
    let run = place.leave("pay.yaml");
    // For longer than it counts as alive.
    last(TTL * 3 / 2);
    worker.lives();
    assert_eq!(place.show(&run)["started_at"], serde_json::Value::Null, "nobody else works");
    rotate(FIRST);
    place.ended(&run);
    row.look(&place.sandbox, &run, 1);
    until(|| place.workers().len() == 1);
    assert!(!worker.said().contains("s3cret"), "{}", worker.said());
    worker.drain();
}
