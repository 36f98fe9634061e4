//! A folder whose store is a database, a proxy in front of it, and workers on either side of that.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::process::{Child, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use orchestrator_postgres::testkit::{Database, Proxy, Server};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::sandbox::{PATIENCE, Sandbox, until};

/// How long until somebody is looked at again.
const MOMENT: Duration = Duration::from_millis(5);

/// A folder, a database, and a proxy in front of that.
pub(crate) struct Place {
    pub(crate) sandbox: Sandbox,
    pub(crate) runtime: Runtime,
    pub(crate) database: Database,
    pub(crate) proxy: Proxy,
    ttl: Duration,
}

/// A worker, and what it says.
pub(crate) struct Worker {
    child: Child,
    log: std::path::PathBuf,
}

/// In which circumstances a worker works.
#[derive(Debug, Default)]
pub(crate) struct Oddity {
    /// What happens to it at a named point.
    pub(crate) point: Option<String>,
    /// What else its command line says.
    pub(crate) words: Vec<&'static str>,
    /// What else its environment says.
    pub(crate) variables: Vec<(String, String)>,
}

impl Place {
    /// A database of the server that all share.
    pub(crate) fn new(files: &[(&str, &str)], ttl: Duration) -> Self {
        let runtime = Runtime::new().unwrap();
        let server = runtime.block_on(Server::shared());
        Self::on(runtime, server, files, ttl)
    }

    /// A database of a server.
    pub(crate) fn on(runtime: Runtime, server: &Server, files: &[(&str, &str)], ttl: Duration) -> Self {
        let database = runtime.block_on(server.database());
        let proxy = Proxy::to(database.port());
        let place = Self { sandbox: Sandbox::with(files), proxy, runtime, database, ttl };
        place.settle_on(place.database.url());
        place
    }

    /// Names the store to all who work in the folder and name none themselves.
    pub(crate) fn settle_on(&self, url: &str) {
        let config = format!("store = \"{url}\"\nttl = \"{}ms\"\n", self.ttl.as_millis());
        self.sandbox.write(".orchestrator/config.toml", config);
    }

    /// The store behind the proxy.
    pub(crate) fn disturbed(&self) -> String {
        self.proxy.url(&self.database)
    }

    /// Starts a run of a file that is left to workers. What it writes lies in the folder.
    #[track_caller]
    pub(crate) fn leave(&self, file: &str) -> String {
        self.leave_with(file, &[])
    }

    /// The same, with more words.
    #[track_caller]
    pub(crate) fn leave_with(&self, file: &str, more: &[&str]) -> String {
        let place = format!("place={}", self.sandbox.path("").display());
        let words = [&["run", file, "-i", &place, "--detach", "--json"], more].concat();
        let said = self.sandbox.run_args(&words).exits(0);
        said.json()["run_id"].as_str().unwrap().to_owned()
    }

    /// Begins a worker on a store; returns when it works.
    pub(crate) fn worker(&self, name: &str, store: &str) -> Worker {
        self.worker_with(name, store, Oddity::default())
    }

    /// The same, in other circumstances.
    pub(crate) fn worker_with(&self, name: &str, store: &str, oddity: Oddity) -> Worker {
        let log = self.sandbox.path(format!("{name}.log"));
        let mut command = self.sandbox.command(["worker", "--grace", "1s", "--store", store]);
        command.args(oddity.words);
        let is_sound = oddity.point.is_none();
        command.envs(oddity.point.map(|point| ("ORCHESTRATOR_FAILPOINT", point))).envs(oddity.variables);
        let errors = File::create(&log).unwrap();
        let child = command.stdout(Stdio::null()).stderr(errors).spawn().unwrap();
        let mut worker = Worker { child, log };
        until(|| worker.said().contains("working for"));
        if is_sound {
            worker.lives();
        }
        worker
    }

    /// Begins a worker that serves the queue `far` alone, and to which something happens at a named point.
    pub(crate) fn far_worker(&self, name: &str, point: Option<String>) -> Worker {
        let oddity = Oddity { point, words: vec!["--queue", "far"], ..Oddity::default() };
        self.worker_with(name, self.database.url(), oddity)
    }

    /// A run as it is shown, asked past the proxy.
    pub(crate) fn show(&self, run: &str) -> Value {
        self.sandbox.run(&format!("runs show {run} --json")).exits(0).json()
    }

    /// Returns when a run has ended.
    #[track_caller]
    pub(crate) fn ended(&self, run: &str) -> Value {
        let begun = Instant::now();
        loop {
            let shown = self.show(run);
            if !shown["finished_at"].is_null() {
                return shown;
            }
            assert!(begun.elapsed() < PATIENCE, "{run} does not end: {shown:#}\n{}", self.why());
        }
    }

    /// What there is to know of a run that does not end.
    fn why(&self) -> String {
        let doctor = self.sandbox.run("doctor").out;
        let logs = fs::read_dir(self.sandbox.path("")).unwrap().flatten().map(|entry| entry.path());
        let logs = logs.filter(|path| path.extension().is_some_and(|ending| ending == "log"));
        let logs: String = logs.map(|log| fs::read_to_string(log).unwrap_or_default()).collect();
        format!("{doctor}\n{logs}")
    }

    /// Returns when a run has ended, and well.
    #[track_caller]
    pub(crate) fn completed(&self, run: &str) {
        let shown = self.ended(run);
        assert_eq!(shown["status"], "completed", "{shown:#}");
    }

    /// Returns when everybody who is there has been renewed.
    #[track_caller]
    pub(crate) fn renewed(&self) {
        let deadlines = || {
            let listed = self.sandbox.run("worker list --json").exits(0).json();
            let rows = listed["items"].as_array().unwrap().clone();
            rows.into_iter().map(|row| (row["owner"].to_string(), row["deadline"].to_string()))
        };
        let before: BTreeMap<String, String> = deadlines().collect();
        until(|| deadlines().all(|(owner, deadline)| before.get(&owner).is_none_or(|old| *old != deadline)));
    }

    /// Who works for the store now, by label.
    pub(crate) fn workers(&self) -> Vec<String> {
        let listed = self.sandbox.run("worker list --json").exits(0).json();
        let labels = listed["items"].as_array().unwrap().iter().map(|row| row["label"].as_str().unwrap());
        labels.filter(|label| label.contains(", a worker with ")).map(str::to_owned).collect()
    }

    /// The lines of a file in the folder; none where it is not there yet.
    pub(crate) fn lines(&self, file: &str) -> Vec<String> {
        let text = fs::read_to_string(self.sandbox.path(file)).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }
}

impl Worker {
    #[cfg(feature = "failpoints")]
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn tell(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// What it has said so far.
    pub(crate) fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Makes sure that it has not ended.
    #[track_caller]
    pub(crate) fn lives(&mut self) {
        let ended = self.child.try_wait().unwrap();
        assert!(ended.is_none(), "a worker has ended, {ended:?}: {}", self.said());
    }

    /// Waits for its end, which must be this.
    #[track_caller]
    pub(crate) fn ends(mut self, code: i32) {
        let begun = Instant::now();
        let ended = loop {
            if let Some(ended) = self.child.try_wait().unwrap() {
                break ended.code();
            }
            assert!(begun.elapsed() < PATIENCE, "a worker does not end: {}", self.said());
            last(MOMENT);
        };
        assert_eq!(ended, Some(code), "{}", self.said());
    }

    /// Has it drain: it must have lived until now.
    #[track_caller]
    pub(crate) fn drain(mut self) {
        self.lives();
        self.tell(Signal::TERM);
        self.ends(143);
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = (self.child.kill(), self.child.wait());
    }
}

/// Lets a disturbance last for so long.
pub(crate) fn last(span: Duration) {
    let (kept, nobody) = mpsc::channel::<()>();
    let _ = nobody.recv_timeout(span);
    drop(kept);
}

/// Milliseconds since 1970, as scripts write them.
pub(crate) fn now() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}
