//! A store of an earlier version, in a folder of its own.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::sandbox::Sandbox;

/// Reads a script of SQL, answers a query with one JSON array a row, or dumps everything, by python's own SQLite: the
/// command line may not name a driver.
const PYTHON: &str = "\
import hashlib, json, sqlite3, sys
database = sqlite3.connect(sys.argv[1])
if sys.argv[2:] == ['dump']:
    for line in database.iterdump():
        print(json.dumps(line))
elif sys.argv[2:]:
    for row in database.execute(sys.argv[2]):
        print(json.dumps(row))
    database.commit()
else:
    database.executescript(sys.stdin.read())
    # Names and folders were replaced in the values: their digests follow.
    tables = [name for (name,) in database.execute(\"SELECT name FROM sqlite_master WHERE type = 'table'\")]
    for run, old, body in database.execute('SELECT run, digest, body FROM orchestrator_outputs').fetchall():
        new = hashlib.sha256(body.encode()).digest()
        if new == old or body.startswith('artifact:'):
            continue
        database.execute('UPDATE orchestrator_outputs SET digest = ? WHERE run = ? AND digest = ?', (new, run, old))
        for table in tables:
            for column in [row[1] for row in database.execute(f'PRAGMA table_info({table})')]:
                change = f\"UPDATE {table} SET {column} = replace({column}, ?, ?) WHERE typeof({column}) = 'text'\"
                database.execute(change + f' AND instr({column}, ?)', (old.hex(), new.hex(), old.hex()))
    database.commit()
database.close()
";

/// A store of an earlier version.
pub(crate) struct Fixture {
    pub(crate) sandbox: Sandbox,
}

/// A run in it.
pub(crate) struct Kept {
    /// The condition in which it was left.
    pub(crate) name: String,
    pub(crate) run: String,
    /// What the version that made it showed of it.
    pub(crate) shown: Value,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/upgrade/fixtures")
}

/// The fixtures there are.
pub(crate) fn names() -> Vec<String> {
    let entries = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<String> = entries.map(|name| name.into_string().unwrap()).collect();
    names.retain(|name| name.ends_with(".sql"));
    names.sort();
    names
}

impl Fixture {
    /// The fixture of this name, in a folder of its own.
    pub(crate) fn load(name: &str) -> Self {
        let sandbox = Sandbox::new();
        fs::create_dir(sandbox.path(".orchestrator")).unwrap();
        let place = sandbox.path("").canonicalize().unwrap();
        let text = fs::read_to_string(folder().join(name)).unwrap();
        let fixture = Self { sandbox };
        fixture.python(None, &text.replace("@FOLDER@", place.to_str().unwrap().trim_end_matches('/')));
        fixture
    }

    fn file(&self) -> PathBuf {
        self.sandbox.path(".orchestrator/state.db")
    }

    fn python(&self, query: Option<&str>, input: &str) -> Vec<Value> {
        let mut command = Command::new("python3");
        command
            .arg("-c")
            .arg(PYTHON)
            .arg(self.file())
            .args(query)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = command.spawn().expect("python3 is there");
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "python3 says why");
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Changes the store behind its back.
    pub(crate) fn execute(&self, statement: &str) {
        self.python(Some(statement), "");
    }

    /// Every run in it.
    pub(crate) fn runs(&self) -> Vec<Kept> {
        let rows = self.python(Some("SELECT name, run, shown FROM fixture_runs ORDER BY run"), "");
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        rows.iter()
            .map(|row| Kept {
                name: text(&row[0]),
                run: text(&row[1]),
                shown: serde_json::from_str(row[2].as_str().unwrap()).unwrap(),
            })
            .collect()
    }

    /// The run that was left in this condition.
    pub(crate) fn run(&self, name: &str) -> Kept {
        self.runs().into_iter().find(|kept| kept.name == name).unwrap_or_else(|| panic!("no run `{name}`"))
    }

    /// The text of a run's workflow.
    pub(crate) fn text_of(&self, name: &str) -> String {
        let query = format!("SELECT text FROM orchestrator_revisions WHERE text LIKE 'name: {name}%'");
        self.python(Some(&query), "")[0][0].as_str().unwrap().to_owned()
    }

    /// The migrations that have been applied, in order.
    pub(crate) fn migrations(&self) -> Vec<String> {
        let rows = self.python(Some("SELECT version FROM orchestrator_migrations ORDER BY version"), "");
        rows.iter().map(|row| row[0].as_str().unwrap().to_owned()).collect()
    }

    /// All that the store keeps, as text.
    pub(crate) fn content(&self) -> Vec<Value> {
        self.python(Some("dump"), "")
    }
}
