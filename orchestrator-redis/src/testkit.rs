//! Servers for tests: Redis from the system's packages, on a socket in a temporary folder, gone with the process that uses
//! it. Nothing of it is kept, so a server that is stopped has forgotten all.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Names the program `redis-server`, where it is not in the search path.
pub const PROGRAM: &str = "ORCHESTRATOR_REDIS_SERVER";

/// How long a server may take until it answers.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where programs of the system are that the search path may not name.
const PLACES: [&str; 4] = ["/usr/bin", "/usr/sbin", "/usr/local/bin", "/sbin"];

/// What a server is told beside where it is.
const SETTINGS: [&str; 14] = [
    "--port",
    "0",
    "--unixsocketperm",
    "700",
    "--save",
    "",
    "--appendonly",
    "no",
    "--daemonize",
    "no",
    "--databases",
    "4",
    "--loglevel",
    "notice",
];

/// Ends the server when nobody holds the other end of its standard input any longer, however that came about; and takes its
/// folder away then, unless it was told to keep that.
const MIND: &str = "\"$@\" & server=$!; read -r word; kill -s KILL $server; wait $server 2>/dev/null; \
                    [ \"$word\" = keep ] || rm -rf \"$FOLDER\"";

/// A server.
#[derive(Debug)]
pub struct Server {
    folder: TempDir,
    program: PathBuf,
    /// What it is told beside [`SETTINGS`].
    settings: Vec<String>,
    process: Mutex<Option<Child>>,
}

impl Server {
    /// The server for all tests of this process.
    ///
    /// # Panics
    /// As [`Server::start`].
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Server> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// Starts a server of one's own, which can be stopped. Blocks until it answers.
    ///
    /// # Panics
    /// If Redis is not installed, or does not start.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// As [`Server::start`], with settings on top of those that every server is told: `--NAME`, `VALUE`.
    ///
    /// # Panics
    /// As [`Server::start`].
    #[must_use]
    pub fn start_with(settings: &[&str]) -> Self {
        let folder = tempfile::Builder::new().prefix("orchestrator-redis-").tempdir().expect("a folder");
        let settings = settings.iter().map(|&setting| setting.to_owned()).collect();
        let server = Self { folder, program: program(), settings, process: Mutex::default() };
        server.resume();
        server
    }

    /// The socket on which it listens.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("redis.sock")
    }

    /// The URL of its first database.
    #[must_use]
    pub fn url(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    /// Starts a server again that was stopped, and blocks until it answers.
    ///
    /// # Panics
    /// If it runs, or does not start.
    pub fn resume(&self) {
        let mut process = self.process.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(process.is_none(), "it runs");
        let path = self.folder.path().join("log");
        let log = fs::OpenOptions::new().create(true).append(true).open(&path).expect("a log");
        let log_too = log.try_clone().expect("a log");
        let mut command = Command::new("/bin/sh");
        command.args(["-c", MIND, "sh"]).arg(&self.program).arg("--dir").arg(self.folder.path());
        command.arg("--unixsocket").arg(self.socket()).args(SETTINGS).args(&self.settings);
        command.env("FOLDER", self.folder.path());
        command.stdin(Stdio::piped()).stdout(log_too).stderr(log);
        let mut child = command.spawn().expect("a shell is started");
        let begun = Instant::now();
        while !self.answers() {
            let is_over = child.try_wait().is_ok_and(|code| code.is_some());
            if is_over || begun.elapsed() > PATIENCE {
                panic!("Redis does not answer; it says {:?}", fs::read_to_string(path));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        *process = Some(child);
    }

    /// Whether it answers, be it that it asks for a password.
    fn answers(&self) -> bool {
        let ask = || -> std::io::Result<bool> {
            let mut stream = UnixStream::connect(self.socket())?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.write_all(b"PING\r\n")?;
            let mut answer = [0; 5];
            stream.read_exact(&mut answer)?;
            Ok(&answer == b"+PONG" || &answer == b"-NOAU")
        };
        ask().unwrap_or(false)
    }

    /// Stops the server as a crash would. It has forgotten everything.
    pub fn stop(&self) {
        let process = self.process.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut process) = process {
            if let Some(mut word) = process.stdin.take() {
                // It may be gone by itself.
                let _ = word.write_all(b"keep\n");
            }
            let _ = process.wait();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

fn program() -> PathBuf {
    if let Some(program) = std::env::var_os(PROGRAM) {
        return program.into();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).chain(PLACES.map(PathBuf::from));
    let found = places.map(|folder| folder.join("redis-server")).find(|program| program.exists());
    found.unwrap_or_else(|| {
        panic!("Redis is not installed (Debian, Ubuntu: apt-get install redis-server); {PROGRAM} names its program elsewhere")
    })
}
