//! F-38: what is said of runs that are over, gone, or never were, and of rights that nobody has: rows that other versions or
//! somebody's hand have left in a store, beside which workers work.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::Mutex;
use std::time::Duration;

use orchestrator_core::machine::Finished;
use orchestrator_core::value::ValueRef;
use serde_json::Value;

use crate::at_once::at_once;
use crate::place::{Oddity, Place, Worker};
use crate::row::Losses;
use crate::sandbox::until;
use crate::seen::Seen;
use crate::table::{Row, size};

/// The first step is for whoever serves `far`, and waits until it may go on.
const FLOW: &str = "
name: stray
inputs: { place: { type: string }, gate: { type: string } }
env: { PLACE: \"${{ inputs.place }}\", GATE: \"${{ inputs.gate }}\" }
defaults: { effect: idempotent, sandbox: none }
steps:
  pay_far:
    queue: far
    run: |
      echo \"$ORCHESTRATOR_RUN_ID $ORCHESTRATOR_ATTEMPT\" >> \"$PLACE/begun\"
      while [ ! -e \"$PLACE/$GATE\" ]; do sleep 0.02; done
      echo \"$ORCHESTRATOR_RUN_ID pay_far $ORCHESTRATOR_ATTEMPT\" >> \"$PLACE/ledger\"
  pay_last:
    needs: pay_far
    run: echo \"$ORCHESTRATOR_RUN_ID pay_last $ORCHESTRATOR_ATTEMPT\" >> \"$PLACE/ledger\"
";

/// Has more children that end than an engine looks at due runs at a time.
const MANY: &str = "
name: many
inputs: { place: { type: string } }
steps:
  many:
    uses: workflow
    for_each: ${{ range(70) }}
    with: { workflow: ./one.yaml }
";

const ONE: &str = "
name: one
steps: { wait: { uses: sleep, with: { for: 1ms } } }
";

const TTL: Duration = Duration::from_secs(2);

/// Runs that come after all of it.
const LATER: usize = 4;

/// What a stray result says that it has come to.
const STALE: &str = "stale";

/// A run that nobody has ever started.
const NEVER: &str = "0193abcd00007000800000000000beef";

/// An owner that has died long ago.
const DEAD: &str = "0193abcd00007000800000000000dead";

/// The ground that the store stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ground {
    Postgres,
    Sqlite,
}

/// What can be seen from outside when all is over.
#[derive(Debug, Clone, Default)]
struct Facts {
    /// The runs that had ended before, as they were and as they are: status and last event.
    before: BTreeMap<String, Value>,
    after: BTreeMap<String, Value>,
    /// The logs of those that went on.
    logs: Vec<Vec<Value>>,
    /// How they have ended.
    statuses: Vec<String>,
    /// How many results were dropped, how many of them the traces tell of, and how many the lines of their steps.
    dropped: usize,
    traced: usize,
    noted: usize,
    /// How many lines had to be there.
    notable: usize,
    /// Rows that are left when all runs are gone.
    left: i64,
    /// Runs of which `store check` had to say that they are not there, and did not.
    untold: usize,
}

fn judge(facts: &Facts) -> Losses {
    let moved = facts.before.iter().filter(|(run, was)| facts.after.get(*run) != Some(*was)).count();
    let accepted = facts.logs.iter().flatten().filter(|event| event.to_string().contains(STALE)).count();
    let silent =
        facts.dropped.saturating_sub(facts.traced) + facts.notable.saturating_sub(facts.noted) + facts.untold;
    let stuck = facts.statuses.iter().filter(|status| *status != "completed").count();
    Losses {
        regressions: (moved + accepted) as u64,
        unrecorded: silent as u64,
        stuck: stuck as u64 + facts.left.unsigned_abs(),
        ..Losses::default()
    }
}

/// A way to spoil what was seen.
type Spoil = fn(&mut Facts);

/// Way after way to spoil it: each must be found. Gives how many there were.
fn plant(facts: &Facts) -> usize {
    let plants: [(&str, Spoil); 7] = [
        ("a stale result was accepted", |facts| {
            facts.logs[0].push(serde_json::json!({ "kind": "step.succeeded", "data": { "output": STALE } }));
        }),
        ("a run that had ended has moved", |facts| {
            let run = facts.after.values_mut().next().unwrap();
            *run = Value::Null;
        }),
        ("one was dropped without a word", |facts| facts.traced = facts.dropped - 1),
        ("a line is missing", |facts| facts.noted = facts.notable - 1),
        ("a run does not end", |facts| "running".clone_into(&mut facts.statuses[0])),
        ("a row stays for ever", |facts| facts.left = 1),
        ("a row of nobody is not named", |facts| facts.untold = 1),
    ];
    for (name, spoil) in plants {
        let mut spoilt = facts.clone();
        spoil(&mut spoilt);
        assert_ne!(judge(&spoilt), Losses::default(), "not found: {name}");
    }
    plants.len()
}

/// A folder, a store, and a hand in it.
struct Field {
    place: Place,
    ground: Ground,
    store: String,
}

impl Field {
    fn new(ground: Ground) -> Self {
        let place =
            Place::new(&[("stray.yaml", FLOW), ("many.yaml", MANY), ("one.yaml", ONE), ("ledger", "")], TTL);
        let store = match ground {
            Ground::Postgres => place.database.url().to_owned(),
            Ground::Sqlite => format!("sqlite:{}", place.sandbox.path("state.db").display()),
        };
        place.settle_on(&store);
        Self { place, ground, store }
    }

    /// An id as a statement writes it.
    fn id(&self, id: &str) -> String {
        let hex = id.strip_prefix("run_").unwrap_or(id);
        match self.ground {
            Ground::Postgres => format!("'{hex}'::uuid"),
            Ground::Sqlite => format!("x'{hex}'"),
        }
    }

    /// Changes the store behind its back.
    #[track_caller]
    fn tell(&self, text: &str) {
        match self.ground {
            Ground::Postgres => self.place.runtime.block_on(self.place.database.tell(text)),
            Ground::Sqlite => drop(self.by_hand("db.executescript(sys.argv[1]); print(0)", text)),
        }
    }

    /// A number.
    #[track_caller]
    fn ask(&self, query: &str) -> i64 {
        match self.ground {
            Ground::Postgres => self.place.runtime.block_on(self.place.database.ask(query)),
            Ground::Sqlite => {
                self.by_hand("print(db.execute(sys.argv[1]).fetchone()[0])", query).parse().unwrap()
            }
        }
    }

    #[track_caller]
    fn by_hand(&self, what: &str, text: &str) -> String {
        let program = format!("import sqlite3, sys\ndb = sqlite3.connect('state.db', timeout=30)\n{what}");
        let mut python = Command::new("python3");
        let said =
            python.args(["-c", &program, text]).current_dir(self.place.sandbox.path("")).output().unwrap();
        assert!(said.status.success(), "{text}: {}", String::from_utf8_lossy(&said.stderr));
        String::from_utf8(said.stdout).unwrap().trim().to_owned()
    }

    fn worker(&self, name: &str, words: &[&'static str]) -> Worker {
        let variables = vec![("ORCHESTRATOR_LOG".to_owned(), "warn".to_owned())];
        let words = [&["--slots", "12"], words].concat();
        self.place.worker_with(name, &self.store, Oddity { words, variables, ..Oddity::default() })
    }

    fn leave(&self, gate: &str) -> String {
        self.place.leave_with("stray.yaml", &["-i", &format!("gate={gate}")])
    }

    fn opens(&self, gate: &str) {
        self.place.sandbox.write(gate, "");
    }

    fn has_begun(&self, run: &str) -> bool {
        self.place.lines("begun").iter().any(|line| line.starts_with(run))
    }

    /// What of a run must never change again.
    fn standing(&self, run: &str) -> Value {
        let shown = self.place.show(run);
        serde_json::json!([shown["status"], shown["seq"], shown["finished_at"]])
    }

    /// A result, of whatever right.
    fn result(&self, run: &str, right: [i64; 6], body: &str) -> String {
        let [generation, step, item, iteration, attempt, epoch] = right;
        let (run, owner) = (self.id(run), self.id(DEAD));
        format!(
            "INSERT INTO orchestrator_inbox (run, generation, step, item, iteration, attempt, epoch, owner, claimed_at, at, body) \
             VALUES ({run}, {generation}, {step}, {item}, {iteration}, {attempt}, {epoch}, {owner}, 1, 1, '{body}');\n"
        )
    }

    /// A result of whoever has claimed the first step of a run, under another right.
    fn beside(&self, run: &str, right: [&str; 5], body: &str) -> String {
        let (run, right) = (self.id(run), right.join(", "));
        format!(
            "INSERT INTO orchestrator_inbox (run, item, owner, {RIGHT}, claimed_at, at, body) \
             SELECT run, item, owner, {right}, 1, 1, '{body}' FROM orchestrator_offers WHERE run = {run} AND step = 0;\n"
        )
    }

    /// A change of what was offered once, and its being offered again.
    fn offer_again(&self, of: &str, change: &str) -> String {
        let of = self.id(of);
        format!(
            "CREATE TABLE again AS SELECT * FROM kept WHERE run = {of};\n\
             UPDATE again SET owner = NULL, claimed_at = NULL, stops = 0;\nUPDATE again SET {change};\n\
             INSERT INTO orchestrator_offers SELECT * FROM again;\nDROP TABLE again;\n"
        )
    }
}

/// The right of the first step of a run, as it was offered first.
const FIRST: [i64; 6] = [1, 0, 0, 0, 1, 1];

/// What of the right that somebody has claimed is otherwise, in the order of [`RIGHT`]: another generation, iteration, attempt and
/// right, and a step that has not begun and one that is not there. None of these is given out.
const WRONG: [[&str; 5]; 6] = [
    ["generation + 1", "step", "iteration", "attempt", "epoch"],
    ["generation", "step", "iteration + 3", "attempt", "epoch"],
    ["generation", "step", "iteration", "attempt + 6", "epoch"],
    ["generation", "step", "iteration", "attempt", "epoch + 8"],
    ["generation", "1", "iteration", "attempt", "epoch + 8"],
    ["generation", "99", "iteration", "attempt", "epoch"],
];

const RIGHT: &str = "generation, step, iteration, attempt, epoch";

fn play(ground: Ground, row: &Mutex<Row>) {
    let field = Field::new(ground);
    let place = &field.place;
    let near = field.worker("near", &[]);
    // All of them are driven by somebody who executes none of it.
    let gates = ["first", "second", "never", "third"];
    let [gone, ended, cancelled, open] = gates.map(|gate| field.leave(gate));
    until(|| near.said().matches("took up").count() == gates.len());
    let dying = field.worker("dying", &["--queue", "far"]);
    until(|| [&gone, &ended, &cancelled, &open].into_iter().all(|run| field.has_begun(run)));
    field.tell("CREATE TABLE kept AS SELECT * FROM orchestrator_offers;");
    field.opens("first");
    place.completed(&gone);
    until(|| place.sandbox.run("prune --older-than 0s").exits(0).out.contains("1 run "));
    // Others have ended in one way or another, or go on.
    let many = place.leave("many.yaml");
    field.opens("second");
    place.completed(&ended);
    place.sandbox.run(&format!("runs cancel {cancelled}")).exits(0);
    assert_eq!(place.ended(&cancelled)["status"], "cancelled");
    place.completed(&many);
    let before: BTreeMap<String, Value> =
        [&ended, &cancelled, &many].into_iter().map(|run| (run.clone(), field.standing(run))).collect();

    let claimed = format!("SELECT count(owner) FROM orchestrator_offers WHERE run = {}", field.id(&open));
    until(|| field.ask(&claimed) == 1);
    let (text, trials, dropped) = strays(&field, &gone, &ended, &cancelled, &open);
    field.tell(&text);
    // Whoever has claimed the step that is waited for dies, among others of whom nobody can read what they had.
    drop(dying);
    let far = field.worker("far", &["--queue", "far"]);
    let later: Vec<String> = (0..LATER).map(|_| field.leave("third")).collect();
    until(|| later.iter().all(|run| field.has_begun(run)));
    field.opens("third");
    let went_on: Vec<String> = later.into_iter().chain([open.clone()]).collect();
    let mut facts = Facts { before, dropped, notable: 3 + WRONG.len() - 1, ..Facts::default() };
    facts.statuses =
        went_on.iter().map(|run| place.ended(run)["status"].as_str().unwrap().to_owned()).collect();
    let of_the_there = "SELECT count(*) FROM orchestrator_inbox AS i JOIN orchestrator_runs AS r ON r.id = i.run \
                        WHERE i.attempt > 0";
    until(|| field.ask(of_the_there) == 0);
    let said = place.sandbox.run("store check").exits(7).err;
    facts.untold =
        [gone.as_str(), &format!("run_{NEVER}")].iter().filter(|run| !said.contains(**run)).count();
    near.drain();
    far.drain();
    facts.traced =
        ["near.log", "far.log"].iter().flat_map(|log| place.lines(log)).filter(|line| tells(line)).count();
    facts.noted = [&ended, &cancelled, &open].iter().map(|run| noted(place, run)).sum();
    facts.after = facts.before.keys().map(|run| (run.clone(), field.standing(run))).collect();
    let mut row = row.lock().unwrap();
    let seen = went_on.iter().chain([&ended, &cancelled]).map(|run| row.look(&place.sandbox, run, 0));
    facts.logs = seen.map(|Seen { events, .. }| events).collect();
    place.sandbox.run("prune --older-than 0s").exits(0);
    facts.left = field
        .ask("SELECT (SELECT count(*) FROM orchestrator_inbox) + (SELECT count(*) FROM orchestrator_offers)");
    place.sandbox.run("store check").exits(0);
    let losses = judge(&facts);
    if losses == Losses::default() {
        row.planted(plant(&facts));
    } else {
        println!("{ground:?}: {losses:?}\n{facts:#?}");
    }
    row.add(trials, losses);
}

/// Whether a trace, or a line of a step, tells of something that was dropped.
fn tells(line: &str) -> bool {
    line.contains("what was delivered") && line.contains("does not count")
}

fn noted(place: &Place, run: &str) -> usize {
    let lines = place.sandbox.run(&format!("runs logs {run} --json")).exits(0).out;
    lines.lines().filter(|line| tells(line)).count()
}

/// All that belongs to nothing, how much that is, and how much of it has to be told of when it is dropped.
fn strays(field: &Field, gone: &str, ended: &str, cancelled: &str, open: &str) -> (String, usize, usize) {
    let stale = Finished::Succeeded(ValueRef::Inline(format!("{{\"stdout\":\"{STALE}\"}}").into()));
    let stale = serde_json::to_string(&stale).unwrap();
    let dead = field.id(DEAD);
    let never = field.id(NEVER);
    let mut all = vec![format!(
        "INSERT INTO orchestrator_owners (id, label, deadline, dead) VALUES ({dead}, 'nobody', 0, 1);\n"
    )];
    // Each of these is dropped, and told of.
    let dropped = [
        (ended, FIRST, &*stale),
        (cancelled, FIRST, &stale),
        (cancelled, [1, 0, 0, 0, 2, 2], "neither JSON nor anything"),
    ];
    all.extend(dropped.iter().map(|(run, right, body)| field.result(run, *right, body)));
    all.extend(WRONG.iter().map(|right| field.beside(open, *right, &stale)));
    // Those of children are, too; there are more of them than are looked at once.
    let children = field.ask("SELECT count(*) FROM orchestrator_runs WHERE parent_run IS NOT NULL");
    all.push(format!(
        "INSERT INTO orchestrator_inbox (run, generation, step, item, iteration, attempt, epoch, owner, claimed_at, at, body) \
         SELECT id, 1, 0, 0, 0, 1, 1, {dead}, 1, 1, '{stale}' FROM orchestrator_runs WHERE parent_run IS NOT NULL;\n"
    ));
    let told = dropped.len() + WRONG.len() + usize::try_from(children).unwrap();
    // These stay until somebody prunes: nobody can read them, or they are of nobody.
    for run in [gone, NEVER] {
        all.push(field.result(run, FIRST, &stale));
        all.push(field.result(run, [1, 0, 0, 0, -1, 1], ""));
    }
    all.extend([ended, open].map(|run| field.result(run, [1, 0, 0, 0, -1, 1], "")));
    all.extend([gone, ended, cancelled].map(|run| field.offer_again(run, "epoch = epoch + 5")));
    all.push(field.offer_again(ended, &format!("run = {never}")));
    all.push(field.offer_again(open, "step = 99"));
    let claimed = format!("attempt = -1, owner = {dead}, claimed_at = 1");
    all.push(field.offer_again(ended, &format!("run = {never}, step = 1, {claimed}")));
    all.push(field.offer_again(open, &format!("step = 98, {claimed}")));
    all.push(field.offer_again(open, "step = 97, labels = 'no labels'"));
    let run = format!("run_{NEVER}");
    for (ticket, text) in [(1, format!("{{\"run\":\"{run}\"}}")), (2, "no ticket".to_owned())] {
        let id = field.id(&format!("0193abcd00007000800000000000000{ticket}"));
        all.push(format!(
            "INSERT INTO orchestrator_tickets (id, queue, project, priority, due_at, place, arrival, count, ticket) \
             VALUES ({id}, 'far', 'default', 0, 0, 0, {ticket}, 0, '{text}');\n"
        ));
    }
    all.push("DROP TABLE kept;".to_owned());
    // Without the owner, and what is kept aside.
    let trials = all.len() - 3 + usize::try_from(children).unwrap();
    (all.concat(), trials, told)
}

#[test]
fn what_is_said_of_what_is_over_changes_nothing_and_does_not_stay() {
    let row = Mutex::new(Row::new("F-38 strays"));
    let times = 0..size(1, 5, 50);
    let trials = times.flat_map(|_| [Ground::Postgres, Ground::Sqlite]);
    at_once(2, trials, |ground| play(ground, &row));
    row.into_inner().unwrap().tell(
        "results, offers, claims and tickets of runs that are over, gone or never were, of rights that nobody has, and that nobody \
         can read; on PostgreSQL and on SQLite",
    );
}
