//! Workers on one PostgreSQL server. All of it dies and comes back, stops and goes on, for as long as it is told to.

use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use orchestrator_postgres::testkit::{Database, Server};
use rustix::process::{Pid, Signal, kill_process};
use tokio::runtime::Runtime;

use crate::chance::Chance;
use crate::folder::{Folder, PATIENCE};

/// How many workers there are.
const WORKERS: usize = 4;

/// How long a worker counts as alive that says nothing.
const TTL: &str = "2s";

/// A server, and the database of an episode in it.
pub(crate) struct Fleet {
    runtime: Runtime,
    server: Server,
    database: Database,
}

/// What has happened to a fleet.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Deaths {
    /// Workers that were killed.
    pub(crate) killed: u64,
    /// Workers that were stopped for longer than they count as alive.
    pub(crate) paused: u64,
    /// Workers that were drained.
    pub(crate) drained: u64,
    /// Restarts of the server, as after a crash.
    pub(crate) restarts: u64,
    /// Times at which every connection was ended by the server.
    pub(crate) cut: u64,
}

/// A worker, and whether it serves the other queue.
struct Worker {
    child: Child,
    far: bool,
}

/// The workers of an episode.
pub(crate) struct Crew<'a> {
    fleet: &'a Fleet,
    folder: &'a Folder,
    workers: Vec<Worker>,
    /// Those who were told to end.
    leaving: Vec<Child>,
    pub(crate) deaths: Deaths,
}

impl Fleet {
    /// Starts a server, and names it to all who work in the folder.
    pub(crate) fn start(folder: &Folder) -> Self {
        let runtime = Runtime::new().unwrap();
        let server = runtime.block_on(Server::start());
        let database = runtime.block_on(server.database());
        fs::create_dir_all(folder.path(".orchestrator")).unwrap();
        let config = format!("store = \"{}\"\nttl = \"{TTL}\"\n", database.url());
        fs::write(folder.path(".orchestrator/config.toml"), config).unwrap();
        Self { runtime, server, database }
    }

    /// What a query of one column of texts gives.
    pub(crate) fn texts(&self, query: &'static str) -> Vec<String> {
        self.runtime.block_on(self.database.texts(query))
    }

    fn restart(&self) {
        self.server.crash();
        self.server.resume();
        self.runtime.block_on(self.server.answers());
    }

    fn cut(&self) {
        self.texts(
            "SELECT pg_terminate_backend(pid)::text FROM pg_stat_activity \
             WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()",
        );
    }
}

impl<'a> Crew<'a> {
    pub(crate) fn hire(fleet: &'a Fleet, folder: &'a Folder) -> Self {
        let mut crew =
            Self { fleet, folder, workers: Vec::new(), leaving: Vec::new(), deaths: Deaths::default() };
        (0..WORKERS).for_each(|_| crew.add());
        crew
    }

    /// Another one, who serves what fewer do: every queue is served all the time.
    fn add(&mut self) {
        let far = self.workers.iter().filter(|worker| worker.far).count();
        let far = 2 * far < self.workers.len();
        let log = File::options().create(true).append(true).open(self.folder.path("stderr")).unwrap();
        let queue = if far { "far" } else { "default" };
        let mut command = self.folder.command(&["worker", "--slots", "8", "--grace", "1s", "--queue", queue]);
        let child = command.stdout(Stdio::null()).stderr(log).spawn().unwrap();
        self.workers.push(Worker { child, far });
    }

    /// Torments workers and server until somebody says that it is enough: then all that was stopped goes on.
    pub(crate) fn plague(&mut self, chance: &mut Chance, enough: &Receiver<()>) {
        // Each kind comes at least once, the rest by chance.
        let mut first = vec![0, 40, 60, 75, 90];
        let mut stopped: Option<(Child, Instant)> = None;
        loop {
            let wait = Duration::from_millis(300 + chance.below(1_200) as u64);
            if enough.recv_timeout(wait) != Err(RecvTimeoutError::Timeout) {
                break;
            }
            if stopped.as_ref().is_some_and(|(_, until)| *until <= Instant::now()) {
                self.go_on(stopped.take());
            }
            self.replace();
            let which = chance.below(self.workers.len());
            match first.pop().unwrap_or_else(|| chance.below(100)) {
                0..40 => {
                    let mut worker = self.workers.swap_remove(which).child;
                    worker.kill().unwrap();
                    worker.wait().unwrap();
                    self.deaths.killed += 1;
                    self.add();
                }
                40..60 if stopped.is_none() => {
                    let worker = self.workers.swap_remove(which).child;
                    tell(&worker, Signal::STOP);
                    let span = Duration::from_millis(2_500 + chance.below(1_500) as u64);
                    stopped = Some((worker, Instant::now() + span));
                    self.deaths.paused += 1;
                    self.add();
                }
                60..75 => {
                    let worker = self.workers.swap_remove(which).child;
                    tell(&worker, Signal::TERM);
                    self.leaving.push(worker);
                    self.deaths.drained += 1;
                    self.add();
                }
                75..90 => {
                    self.fleet.restart();
                    self.deaths.restarts += 1;
                }
                _ => {
                    self.fleet.cut();
                    self.deaths.cut += 1;
                }
            }
        }
        self.go_on(stopped);
        self.replace();
    }

    /// Others come for those who could not begin, because the server was away.
    fn replace(&mut self) {
        let before = self.workers.len();
        self.workers.retain_mut(|worker| match worker.child.try_wait().unwrap() {
            // It could not begin. One that has begun never ends so: that is said when all are dismissed.
            Some(status) if status.code() == Some(7) => false,
            Some(status) => panic!("a worker has ended: {status}"),
            None => true,
        });
        (self.workers.len()..before).for_each(|_| self.add());
    }

    /// One who was stopped, and whose place somebody else has taken.
    fn go_on(&mut self, stopped: Option<(Child, Instant)>) {
        let Some((worker, _)) = stopped else { return };
        tell(&worker, Signal::CONT);
        tell(&worker, Signal::TERM);
        self.leaving.push(worker);
    }

    /// Ends all in an orderly way; what does not end is told. Nobody counts as alive then.
    pub(crate) fn dismiss(mut self) -> Vec<String> {
        self.workers.iter().for_each(|worker| tell(&worker.child, Signal::TERM));
        let mut hung = Vec::new();
        for mut worker in self.workers.drain(..).map(|worker| worker.child).chain(self.leaving.drain(..)) {
            let begun = Instant::now();
            loop {
                match worker.try_wait().unwrap() {
                    // Or it could not begin, because the server was away; or it had not begun to listen.
                    Some(status) if matches!(status.code(), Some(143 | 7)) => break,
                    Some(status) if status.signal() == Some(Signal::TERM.as_raw()) => break,
                    Some(status) => {
                        hung.push(format!("a worker that was told to end: {status}"));
                        break;
                    }
                    None if begun.elapsed() > PATIENCE => {
                        hung.push("a worker does not end".to_owned());
                        worker.kill().unwrap();
                        worker.wait().unwrap();
                        break;
                    }
                    None => std::thread::yield_now(),
                }
            }
        }
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if self.folder.ask(&["worker", "list", "--json"])[0]["items"] == serde_json::json!([]) {
                break;
            }
        }
        hung
    }
}

fn tell(worker: &Child, signal: Signal) {
    // One that has ended by itself is noticed when it is dismissed.
    let _ = kill_process(Pid::from_child(worker), signal);
}
