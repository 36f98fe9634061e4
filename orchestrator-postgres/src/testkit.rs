//! Servers for tests: PostgreSQL from the system's packages, in a temporary folder, gone with the process that uses it.
//!
//! [`Server::shared`] is one for a whole test run, where the environment variable [`SERVER`] names it, and one for this
//! process otherwise. Each test takes a [`Database`] of its own, in a language that does not order by bytes.

mod proxy;
mod standby;

use std::fs;
use std::io;
use std::net::TcpListener;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Executor};
use tempfile::TempDir;
use tokio::sync::OnceCell;

pub use proxy::{Proxy, Way};

/// Names the URL of a server for tests that runs already: a user there may make databases.
pub const SERVER: &str = "ORCHESTRATOR_TEST_POSTGRES";

/// Names the folder with the programs of PostgreSQL, where it is neither in the search path nor where Debian puts it.
pub const PROGRAMS: &str = "ORCHESTRATOR_POSTGRES_BIN";

/// How long a server may take until it answers.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a server is told beside where it is. All else is as its makers ship it: commits are synced.
const SETTINGS: [&str; 6] = [
    "max_connections=600",
    "shared_buffers=64MB",
    "unix_socket_directories=",
    "listen_addresses=127.0.0.1",
    "logging_collector=off",
    "autovacuum_naptime=10s",
];

/// Ports that no system hands out by itself: neither to who connects (Linux: from 32768 on, `ip_local_port_range`) nor to who
/// listens on any.
const PORTS: Range<u16> = 20_000..32_000;

/// Ends the server when nobody holds the other end of its standard input any longer, however that came about.
const MIND: &str = "\"$@\" & server=$!; read -r _; kill -s \"${SIGNAL:-QUIT}\" $server; wait $server";

/// A server.
#[derive(Debug)]
pub struct Server {
    url: String,
    own: Option<Own>,
}

/// A server that was started here.
#[derive(Debug)]
struct Own {
    folder: TempDir,
    port: u16,
    programs: PathBuf,
    /// What it is told beside [`SETTINGS`].
    settings: Vec<String>,
    process: Mutex<Option<Child>>,
}

impl Server {
    /// The server for all tests of this process.
    ///
    /// # Panics
    /// As [`Server::start`].
    pub async fn shared() -> &'static Self {
        static SHARED: OnceCell<Server> = OnceCell::const_new();
        let server = SHARED.get_or_init(|| async {
            match std::env::var(SERVER) {
                Ok(url) => Server { url, own: None },
                Err(_) => Server::start().await,
            }
        });
        server.await
    }

    /// Starts a server of one's own, which can be stopped in all the ways that there are.
    ///
    /// # Panics
    /// If PostgreSQL is not installed, or does not start.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// As [`Server::start`], with settings on top of those that every server is told: `NAME=VALUE`.
    ///
    /// # Panics
    /// As [`Server::start`].
    pub async fn start_with(settings: &[&str]) -> Self {
        let programs = programs();
        let folder = tempfile::Builder::new().prefix("orchestrator-pg-").tempdir().expect("a folder");
        own_by_nobody(folder.path());
        let made = as_nobody(&programs.join("initdb"))
            .arg("-D")
            .arg(folder.path().join("data"))
            .args(["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"])
            .output()
            .expect("initdb is started");
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        Self::over(folder, programs, settings).await
    }

    /// Starts a server over the data that is in a folder.
    async fn over(folder: TempDir, programs: PathBuf, settings: &[&str]) -> Self {
        let port = free_port();
        let settings = settings.iter().map(|&setting| setting.to_owned()).collect();
        let own = Own { folder, port, programs, settings, process: Mutex::new(None) };
        let server = Self { url: format!("postgres://postgres@127.0.0.1:{port}/postgres"), own: Some(own) };
        server.resume();
        server.answers().await;
        server
    }

    /// The URL of the server, with a database in which nobody has anything.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The port on 127.0.0.1 of a server that was started here.
    ///
    /// # Panics
    /// If it was not started here.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.own().port
    }

    fn own(&self) -> &Own {
        self.own.as_ref().expect("a server that was started here")
    }

    /// Starts a server again that was stopped. Returns at once: it answers later.
    ///
    /// # Panics
    /// If it was not started here, or runs.
    pub fn resume(&self) {
        let own = self.own();
        let mut process = own.process.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(process.is_none(), "it runs");
        let log = fs::OpenOptions::new().create(true).append(true).open(own.folder.path().join("log"));
        let log = log.expect("a log");
        let mut command = as_nobody(Path::new("/bin/sh"));
        command.args(["-c", MIND, "sh"]).arg(own.programs.join("postgres")).arg("-D");
        command.arg(own.folder.path().join("data")).args(["-p", &own.port.to_string()]);
        for setting in SETTINGS.into_iter().chain(own.settings.iter().map(String::as_str)) {
            command.args(["-c", setting]);
        }
        let log_too = log.try_clone().expect("a log");
        command.stdin(Stdio::piped()).stdout(log_too).stderr(log);
        *process = Some(command.spawn().expect("postgres is started"));
    }

    /// Stops the server as a crash would: nothing is brought to an end.
    ///
    /// # Panics
    /// If it was not started here.
    pub fn crash(&self) {
        let process = self.own().process.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut process) = process {
            drop(process.stdin.take());
            let _ = process.wait();
        }
    }

    /// Waits until the server answers.
    ///
    /// # Panics
    /// If it does not.
    pub async fn answers(&self) {
        let begun = Instant::now();
        while let Err(error) = self.connect().await {
            if begun.elapsed() > PATIENCE {
                let log = self.own.as_ref().map(|own| fs::read_to_string(own.folder.path().join("log")));
                panic!("PostgreSQL does not answer: {error}; it says {log:?}");
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn connect(&self) -> sqlx::Result<PgConnection> {
        let options: PgConnectOptions = self.url.parse()?;
        options.disable_statement_logging().connect().await
    }

    /// A new database.
    ///
    /// # Panics
    /// If it cannot be made.
    pub async fn database(&self) -> Database {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        // A server that many have in common lives longer than the number of a process belongs to one.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_micros();
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("test_{}_{now:x}_{count}", std::process::id());
        let mut connection = self.connect().await.expect("the server answers");
        let version = sqlx::query_scalar("SELECT current_setting('server_version_num')::int4");
        let version: i32 = version.fetch_one(&mut connection).await.expect("a version");
        // From 15 on, a database may order as a language does: a store must order by bytes in it, too.
        let language = if version < 150_000 { "" } else { "LOCALE_PROVIDER icu ICU_LOCALE 'en-US'" };
        let text = format!("CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8' {language}");
        connection.execute(AssertSqlSafe(text)).await.expect("a database");
        let (server, _) = self.url.rsplit_once('/').expect("a URL with a database");
        Database { url: format!("{server}/{name}") }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.own.is_some() {
            self.crash();
        }
    }
}

/// A database. It goes with its server.
#[derive(Debug, Clone)]
pub struct Database {
    url: String,
}

impl Database {
    /// Its URL.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The port on 127.0.0.1 of its server.
    ///
    /// # Panics
    /// If it has no URL.
    #[must_use]
    pub fn port(&self) -> u16 {
        let options: PgConnectOptions = self.url.parse().expect("a URL");
        options.get_port()
    }

    /// A connection to it, past every store.
    ///
    /// # Panics
    /// If there is none to be had.
    pub async fn bare(&self) -> PgConnection {
        let options: PgConnectOptions = self.url.parse().expect("a URL");
        options.disable_statement_logging().connect().await.expect("a connection")
    }

    /// All connections for which the server has room still; there is none until they are dropped.
    pub async fn crowd(&self) -> Vec<PgConnection> {
        let options: PgConnectOptions = self.url.parse().expect("a URL");
        let options = options.disable_statement_logging();
        let mut crowd = Vec::new();
        while let Ok(connection) = options.connect().await {
            crowd.push(connection);
        }
        crowd
    }

    /// Begins a transaction with a statement, past every store; it is open until the connection is dropped.
    ///
    /// # Panics
    /// If the server refuses it.
    pub async fn begin(&self, statement: &str) -> PgConnection {
        let mut connection = self.bare().await;
        // However impatient the database is with those who say nothing themselves.
        let patient =
            "SET idle_in_transaction_session_timeout = 0; SET statement_timeout = 0; SET lock_timeout = 0";
        for text in [patient.to_owned(), format!("BEGIN; {statement}")] {
            connection.execute(AssertSqlSafe(text)).await.expect("the server takes it");
        }
        connection
    }

    /// Carries out a text of one or more statements, past every store.
    ///
    /// # Panics
    /// If the server refuses it.
    pub async fn tell(&self, text: &str) {
        self.bare().await.execute(AssertSqlSafe(text)).await.expect("the server takes it");
    }

    /// The number that a query answers with.
    ///
    /// # Panics
    /// If it answers with something else.
    pub async fn ask(&self, query: &str) -> i64 {
        let answer = sqlx::query_scalar(AssertSqlSafe(query)).fetch_one(&mut self.bare().await).await;
        answer.expect("a number")
    }
}

impl Database {
    /// What a query of one column of texts gives; asked past every store.
    ///
    /// # Panics
    /// If the query fails.
    pub async fn texts(&self, query: &'static str) -> Vec<String> {
        sqlx::query_scalar(query).fetch_all(&mut self.bare().await).await.expect("an answer")
    }
}

/// PgBouncer in front of a server.
#[derive(Debug)]
pub struct Pooler {
    url: String,
    process: Child,
    _folder: TempDir,
}

impl Pooler {
    /// Starts one that gives connections away for as long as `mode` says: `session`, `transaction` or `statement`.
    ///
    /// # Panics
    /// If PgBouncer is not installed, or does not start.
    pub async fn start(database: &Database, mode: &str) -> Self {
        let target: PgConnectOptions = database.url.parse().expect("a URL");
        let name = target.get_database().expect("a database");
        let folder = tempfile::Builder::new().prefix("orchestrator-pooler-").tempdir().expect("a folder");
        let port = free_port();
        let config = folder.path().join("pgbouncer.ini");
        let text = format!(
            "[databases]\n{name} = host={} port={} dbname={name} user={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
             listen_port = {port}\nauth_type = any\npool_mode = {mode}\nunix_socket_dir =\n",
            target.get_host(),
            target.get_port(),
            target.get_username(),
        );
        fs::write(&config, text).expect("a configuration");
        own_by_nobody(folder.path());
        own_by_nobody(&config);
        let path = std::env::var_os("PATH").unwrap_or_default();
        let places = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
        let program = places.map(|folder| folder.join("pgbouncer")).find(|program| program.exists());
        let program = program.expect("PgBouncer is installed (Debian, Ubuntu: apt-get install pgbouncer)");
        let log = fs::File::create(folder.path().join("log")).expect("a log");
        let process =
            as_nobody(&program).arg("--quiet").arg(&config).stdin(Stdio::null()).stderr(log).spawn();
        let process = process.expect("PgBouncer is started");
        let url = format!("postgres://{}@127.0.0.1:{port}/{name}", target.get_username());
        let begun = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            let said = fs::read_to_string(folder.path().join("log"));
            assert!(begun.elapsed() < PATIENCE, "PgBouncer does not answer: {said:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Self { url, process, _folder: folder }
    }

    /// The URL of the database behind it.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The folder with the programs of PostgreSQL.
fn programs() -> PathBuf {
    if let Ok(folder) = std::env::var(PROGRAMS) {
        return folder.into();
    }
    let debian = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut versions: Vec<PathBuf> = debian.map(|version| version.path().join("bin")).collect();
    let number = |path: &PathBuf| {
        let version =
            path.parent().and_then(Path::file_name).and_then(|name| name.to_str()?.parse::<u32>().ok());
        version.unwrap_or(0)
    };
    versions.sort_by_key(|path| std::cmp::Reverse(number(path)));
    let path = std::env::var_os("PATH").unwrap_or_default();
    versions
        .into_iter()
        .chain(std::env::split_paths(&path))
        .find(|folder| folder.join("initdb").exists() && folder.join("postgres").exists())
        .unwrap_or_else(|| {
            panic!("PostgreSQL is not installed (Debian, Ubuntu: apt-get install postgresql); {PROGRAMS} names its programs elsewhere")
        })
}

/// A port on 127.0.0.1 on which nobody listens. Before it is used somebody else could take it who chooses in the same way; then
/// whoever is started there tells.
fn free_port() -> u16 {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let width = u32::from(PORTS.end - PORTS.start);
    // Processes that choose at the same time have numbers beside each other: they begin far from each other.
    let choices = std::iter::repeat_with(|| {
        let nth = std::process::id().wrapping_mul(101).wrapping_add(COUNT.fetch_add(1, Ordering::Relaxed));
        PORTS.start + u16::try_from(nth % width).expect("less than the width")
    });
    let free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    choices.take(width as usize).find(free).expect("a port")
}

/// A command that does not run as root, under whom PostgreSQL refuses to run.
fn as_nobody(program: &Path) -> Command {
    let mut command = Command::new(program);
    if let Some((user, group)) = nobody() {
        std::os::unix::process::CommandExt::uid(&mut command, user);
        std::os::unix::process::CommandExt::gid(&mut command, group);
    }
    command.current_dir("/");
    command
}

fn own_by_nobody(folder: &Path) {
    if let Some((user, group)) = nobody() {
        std::os::unix::fs::chown(folder, Some(user), Some(group)).expect("the folder is given away");
    }
}

/// Who runs a server instead of root; `None` where nobody is root.
fn nobody() -> Option<(u32, u32)> {
    let is_root = fs::metadata("/proc/self").is_ok_and(|me| std::os::unix::fs::MetadataExt::uid(&me) == 0);
    if !is_root {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").map_err(|error: io::Error| error).unwrap_or_default();
    let found = ["postgres", "nobody"].iter().find_map(|name| {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut ids = line.split(':').skip(2).map(str::parse);
        Some((ids.next()?.ok()?, ids.next()?.ok()?))
    });
    Some(found.unwrap_or((65_534, 65_534)))
}
