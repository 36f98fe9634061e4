//! `store copy`: a store moves into another, of another kind.

use std::fs;
use std::process::Child;

use orchestrator_postgres::PostgresStore;
use orchestrator_postgres::testkit::{Database, Server};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::sandbox::until;
use crate::terminal::Terminal;
use crate::{ASK, HELLO, Said, Sandbox};

const FILE: &str = "sqlite:.orchestrator/state.db";

/// A step that is not to be done twice, and one after it.
const ONCE: &str = "name: once\nsteps:\n  pay:\n    run: echo > begun; cat go\n  after:\n    needs: pay\n    run: echo after\n";

/// A step that may be done twice: the first time it hangs.
const PURE: &str = "name: pure\nsteps:\n  count:\n    run: echo > begun; if [ $ORCHESTRATOR_ATTEMPT = 1 ]; then cat go; fi\n    effect: pure\n";

/// A step that is tried again in an hour.
const LATER: &str = "name: later\nsteps:\n  call:\n    run: exit 1\n    effect: pure\n    retry: { max_attempts: 3, initial: 1h, max: 1h }\n";

/// A step whose result is too long for a row of a SQLite file.
const LONG: &str = "name: long\nsteps:\n  make:\n    run: head -c 400000 /dev/zero | tr '\\0' x\n    with: { output_limit: 500000 }\n    effect: pure\n";

/// A folder with a SQLite file, and a database.
struct Move {
    sandbox: Sandbox,
    database: Database,
    runtime: tokio::runtime::Runtime,
}

impl Move {
    fn new() -> Self {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let database = runtime.block_on(async { Server::shared().await.database().await });
        let sandbox = Sandbox::with(&[
            ("hello.yaml", HELLO),
            ("ask.yaml", ASK),
            ("once.yaml", ONCE),
            ("pure.yaml", PURE),
            ("later.yaml", LATER),
            ("long.yaml", LONG),
        ]);
        sandbox.pipe("begun");
        sandbox.pipe("go");
        Self { sandbox, database, runtime }
    }

    fn url(&self) -> &str {
        self.database.url()
    }

    fn run(&self, words: &str) -> Said {
        self.sandbox.run(words)
    }

    /// The same in the database.
    fn there(&self, words: &str) -> Said {
        self.sandbox.run(&format!("{words} --store {}", self.url()))
    }

    fn copy(&self) -> Said {
        self.run(&format!("store copy {FILE} {}", self.url()))
    }

    fn tell(&self, text: &str) {
        self.runtime.block_on(self.database.tell(text));
    }

    fn ask(&self, query: &str) -> i64 {
        self.runtime.block_on(self.database.ask(query))
    }

    /// Makes the tables in the database.
    fn make_tables(&self) {
        self.runtime.block_on(async { PostgresStore::connect(self.url()).await.map(drop) }).unwrap();
    }

    /// Starts a run whose process is killed once its step says that it has begun.
    fn cut_short(&self, words: &str) -> String {
        let run = self.sandbox.spawn(words);
        self.sandbox.hear("begun");
        kill(run);
        self.sandbox.last_id()
    }
}

fn kill(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

fn ids(list: &Value) -> Vec<String> {
    let items = list["items"].as_array().unwrap();
    items.iter().map(|item| item["run_id"].as_str().unwrap().to_owned()).collect()
}

/// All that is told of runs.
fn told(runs: &[String], say: impl Fn(&str) -> Said) -> Vec<Value> {
    let of = |run: &String| {
        let lines =
            |what: &str| Value::Array(say(&format!("runs {what} {run} --json")).exits(0).json_lines());
        json!([say(&format!("runs show {run} --json")).exits(0).json(), lines("events"), lines("logs")])
    };
    runs.iter().map(of).collect()
}

#[test]
fn everything_moves_and_open_runs_go_on() {
    let moved = Move::new();
    moved.run("run hello.yaml -q --idempotency-key one").exits(0);
    moved.run("run ask.yaml -q").exits(9);
    let asks = moved.sandbox.last_id();
    moved.run("run long.yaml -q").exits(0);
    moved.run("workflow register hello.yaml").exits(0);
    let once = moved.cut_short("run once.yaml -q");
    let pure = moved.cut_short("run pure.yaml -q");
    let later = moved.sandbox.spawn("run later.yaml -q");
    until(|| moved.sandbox.last()["waiting_for"][0]["kind"] == "backoff");
    kill(later);
    let runs = ids(&moved.run("runs list --json").exits(0).json());
    let before = told(&runs, |words| moved.run(words));
    let shown = moved.run("store show --json").exits(0).json();
    assert_eq!((&shown["artifacts"], &shown["moved_to"]), (&json!(1), &Value::Null));

    let copied = moved.run(&format!("store copy {FILE} {} --json", moved.url())).exits(0).json();
    assert_eq!((&copied["from"], &copied["to"]), (&json!(FILE), &json!(moved.url())));
    assert_eq!((&copied["tables"][0]["table"], &copied["tables"][0]["rows"]), (&json!("runs"), &json!(6)));
    assert!(copied["tables"][0]["digest"].as_str().unwrap().starts_with("sha256:"), "{copied}");
    assert_eq!(told(&runs, |words| moved.there(words)), before);
    assert_eq!(told(&runs, |words| moved.run(words)), before, "what has stayed can be looked at");
    moved.there("store check").exits(0);

    // The key, the workflow and the approval are there.
    let again = moved.there("run hello.yaml -q --json --idempotency-key one").exits(0).json();
    assert_eq!(again["run_id"].as_str(), runs.last().map(String::as_str));
    moved.there("workflow execute hello -q").exits(0);
    moved.there(&format!("approval approve {asks}")).exits(0);
    moved.there(&format!("runs resume {asks} -q")).exits(0);
    // What was being done when its process was killed is lost by the same rules as everywhere.
    let unknown = moved.there(&format!("runs resume {once} -q --json"));
    assert_eq!(unknown.code, 9, "{unknown:?}");
    let shown = moved.there(&format!("runs show {once} --json")).json();
    assert_eq!(shown["steps"][0]["status"], "outcome_unknown", "{shown}");
    moved.there(&format!("runs resolve {once} pay --applied")).exits(0);
    moved.there(&format!("runs resume {once} -q")).exits(0);
    let resumed = moved.sandbox.spawn(&format!("runs resume {pure} -q --json --store {}", moved.url()));
    moved.sandbox.hear("begun");
    let ended = Said::by(resumed).exits(0).json();
    assert_eq!((&ended["status"], &ended["steps"][0]["attempts"]), (&json!("completed"), &json!(2)));
}

#[test]
fn what_has_moved_is_changed_where_it_is_now() {
    let moved = Move::new();
    moved.run("run hello.yaml -q").exits(0);
    moved.run("run ask.yaml -q").exits(9);
    let run = moved.sandbox.last_id();
    moved.copy().exits(0);
    for words in [
        "run hello.yaml",
        &format!("runs resume {run}"),
        &format!("runs cancel {run}"),
        &format!("approval approve {run}"),
        "workflow register hello.yaml",
        "prune --older-than 0s",
    ] {
        let said = moved.run(words).exits(6);
        assert!(
            said.err.contains(&format!("the store has moved to {}", moved.url())),
            "{words}: {}",
            said.err
        );
    }
    for words in ["runs list", "store check", "migrate", "worker list", "backup copy.db"] {
        moved.run(words).exits(0);
    }
    let shown = moved.run("store show").exits(0).out;
    assert!(shown.contains(&format!("to {}", moved.url())), "{shown}");
    let looked = moved.run("doctor").exits(0).out;
    assert!(looked.contains("has moved to") && looked.contains("no run is open"), "{looked}");
    let said = moved.copy().exits(6);
    assert!(said.err.contains("has moved to"), "{}", said.err);
    let said = moved.run(&format!("store copy {FILE} sqlite:other.db")).exits(6);
    assert!(said.err.contains(moved.url()), "{}", said.err);
}

#[test]
fn what_somebody_drives_does_not_move() {
    let moved = Move::new();
    let run = moved.sandbox.spawn("run once.yaml -q");
    moved.sandbox.hear("begun");
    let said = moved.copy().exits(6);
    assert!(said.err.contains(&format!("pid {} is using sqlite:", run.id())), "{}", said.err);
    fs::write(moved.sandbox.path("go"), "on\n").unwrap();
    Said::by(run).exits(0);
    moved.copy().exits(0);
}

#[test]
fn a_store_moves_back_and_nothing_of_it_is_lost() {
    let moved = Move::new();
    moved.run("run hello.yaml -q").exits(0);
    moved.run("run long.yaml -q").exits(0);
    moved.run("run ask.yaml -q").exits(9);
    let runs = ids(&moved.run("runs list --json").exits(0).json());
    let before = told(&runs, |words| moved.run(words));
    let there = moved.run(&format!("store copy {FILE} {} --json", moved.url())).exits(0).json();
    let back = moved.run(&format!("store copy {} sqlite:back.db --json", moved.url())).exits(0).json();
    assert_eq!(there["tables"], back["tables"]);
    let here = |words: &str| moved.run(&format!("{words} --store sqlite:back.db"));
    assert_eq!(told(&runs, here), before);
    let shown = here("store show --json").exits(0).json();
    assert_eq!(shown["artifacts"], 1, "large values are files again");
    here("store check").exits(0);
    assert!(moved.there("run hello.yaml").exits(6).err.contains("back.db"));
    here(&format!("approval approve {}", runs[0])).exits(0);
    here(&format!("runs resume {} -q", runs[0])).exits(0);
}

#[test]
fn a_copy_that_is_killed_leaves_the_source_as_it_was_and_the_target_refused() {
    let moved = Move::new();
    moved.run("run ask.yaml -q").exits(9);
    let run = moved.sandbox.last_id();
    moved.make_tables();
    moved.tell(
        "CREATE FUNCTION stay() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(1000); RETURN NEW; END $$; \
         CREATE TRIGGER stay BEFORE INSERT ON orchestrator_approvals FOR EACH STATEMENT EXECUTE FUNCTION stay()",
    );
    let others = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
    let begun = || {
        let copy = moved.sandbox.spawn(&format!("store copy {FILE} {}", moved.url()));
        until(|| moved.ask(&format!("SELECT count(*) {others} AND wait_event = 'PgSleep'")) == 1);
        copy
    };
    // The server notices that nobody waits for an answer only when it has one.
    let forget = || {
        moved.ask(&format!("SELECT count(pg_terminate_backend(pid)) {others}"));
        until(|| moved.ask(&format!("SELECT count(*) {others}")) == 0);
    };
    let copy = begun();
    kill_process(Pid::from_child(&copy), Signal::INT).unwrap();
    let said = Said::by(copy).exits(130);
    assert!(said.err.contains("copying again begins anew"), "{}", said.err);
    forget();
    let copy = begun();
    // Nobody writes to the source meanwhile.
    let busy = moved.run(&format!("approval approve {run}"));
    assert_ne!(busy.code, 0, "{busy:?}");
    kill(copy);
    forget();
    let said = moved.there("runs list").exits(7);
    assert!(said.err.contains("is an unfinished copy of sqlite:"), "{}", said.err);
    for words in ["run hello.yaml", "worker", "store show", "prune"] {
        moved.there(words).exits(7);
    }
    moved.run(&format!("approval approve {run}")).exits(0);
    moved.tell("DROP TRIGGER stay ON orchestrator_approvals");
    moved.run("run hello.yaml -q --store sqlite:other.db").exits(0);
    let other = moved.run(&format!("store copy sqlite:other.db {} --json", moved.url())).exits(6);
    assert_eq!(other.problem()["code"], "store_unfinished");
    moved.copy().exits(0);
    moved.there(&format!("runs resume {run} -q")).exits(0);
}

#[test]
fn a_copy_that_differs_does_not_count() {
    let moved = Move::new();
    moved.run("run hello.yaml -q").exits(0);
    moved.make_tables();
    moved.tell(
        "CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.text := NEW.text || '!'; RETURN NEW; END $$; \
         CREATE TRIGGER spoil BEFORE INSERT ON orchestrator_logs FOR EACH ROW EXECUTE FUNCTION spoil()",
    );
    let said = moved.run(&format!("store copy {FILE} {} --json", moved.url())).exits(7);
    let problem = said.problem();
    assert_eq!(problem["code"], "copy_differs");
    assert!(problem["title"].as_str().unwrap().contains("`logs`"), "{problem}");
    moved.there("runs list").exits(7);
    moved.run("run hello.yaml -q").exits(0);
    moved.tell("DROP TRIGGER spoil ON orchestrator_logs");
    moved.copy().exits(0);
    assert_eq!(ids(&moved.there("runs list --json").exits(0).json()).len(), 2);
}

#[test]
fn what_cannot_be_copied_says_why() {
    let moved = Move::new();
    moved.run("run hello.yaml -q").exits(0);
    moved.run("run hello.yaml -q --store sqlite:full.db").exits(0);
    let url = moved.url();
    for (words, code, text) in [
        (format!("store copy {FILE}"), 2, "TO"),
        (format!("store copy {FILE} {FILE}"), 2, "into itself"),
        (format!("store copy {FILE} sqlite:./.orchestrator/../.orchestrator/state.db"), 2, "into itself"),
        (format!("store copy {FILE} memory"), 2, "memory"),
        (format!("store copy memory {url}"), 2, "memory"),
        (format!("store copy state.db {url}"), 2, "not a store URL"),
        (format!("store copy {url} {FILE}"), 4, "there is no store in postgres://"),
        (format!("store copy sqlite:none.db {url}"), 4, "store copy FROM TO"),
        (format!("store copy {FILE} sqlite:full.db"), 6, "is not empty"),
        (format!("store copy {FILE} sqlite:no/such/x.db"), 7, "no/such"),
        (format!("store copy {FILE} postgres://me:s3cret@127.0.0.1:1/flows"), 7, "127.0.0.1:1"),
    ] {
        let said = moved.run(&words).exits(code);
        assert!(said.err.contains(text) && !said.err.contains("s3cret"), "{words}: {}", said.err);
    }
    moved.run("run hello.yaml -q").exits(0);
    moved.copy().exits(0);
    let said = moved.run(&format!("store copy {url} {url}")).exits(2);
    assert!(said.err.contains("into itself"), "{}", said.err);
}

#[test]
fn a_database_is_kept_well_by_the_same_commands() {
    let moved = Move::new();
    for words in ["store show", "store check", "migrate", "prune"] {
        let said = moved.there(words).exits(4);
        assert!(said.err.contains("there is no store in postgres://"), "{words}: {}", said.err);
    }
    moved.there("run hello.yaml -q").exits(0);
    moved.there("run ask.yaml -q").exits(9);
    let shown = moved.there("store show --json").exits(0).json();
    assert_eq!(
        (&shown["kind"], &shown["runs"]),
        (&json!("postgres"), &json!({ "blocked": 1, "completed": 1 }))
    );
    assert!(shown["bytes"].as_u64().unwrap() > 100_000, "{shown}");
    assert_eq!((&shown["free_bytes"], &shown["log_bytes"]), (&Value::Null, &Value::Null));
    let text = moved.there("store show").exits(0).out;
    assert!(text.contains("1 blocked, 1 completed") && !text.contains("in the log"), "{text}");
    assert!(moved.there("migrate").exits(0).out.contains("up to date"));
    assert_eq!(moved.there("store check --json").exits(0).json()["ok"], true);
    let dry = moved.there("prune --older-than 0s --dry-run --json").exits(0).json();
    assert_eq!((&dry["runs"], &dry["freed_bytes"]), (&json!(1), &Value::Null));
    let said = moved.there("prune --older-than 0s").exits(0);
    assert!(said.out.starts_with("removed 1 run ") && !said.out.contains("back"), "{said:?}");
    assert_eq!(moved.ask("SELECT count(*) FROM orchestrator_runs"), 1);
    moved.tell("DELETE FROM orchestrator_events");
    let said = moved.there("store check").exits(7);
    assert!(said.err.contains("lost its end") && said.err.contains("pg_dump"), "{}", said.err);
    for words in ["backup copy.db", "restore copy.db"] {
        assert!(moved.there(words).exits(2).err.contains("pg_dump"));
    }
}

#[test]
fn at_a_terminal_a_copy_says_how_far_it_is() {
    let moved = Move::new();
    moved.run("run hello.yaml -q").exits(0);
    let copy = Terminal::run(&moved.sandbox, &format!("store copy {FILE} {}", moved.url()), 120, &[]);
    let (code, screen) = copy.end();
    assert_eq!(code, Some(0), "{screen}");
    assert!(screen.contains("copying") && screen.contains("moved to postgres://"), "{screen}");
}
