//! Servers in pairs, servers that die at once, and what a server is told while it runs.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use sqlx::{AssertSqlSafe, Executor};

use super::{PATIENCE, Server, as_nobody, own_by_nobody};

impl Server {
    /// Starts a standby of this server, and has this one acknowledge nothing from then on that the standby does not have.
    ///
    /// # Panics
    /// If this server was not started here, or one of them does not do it.
    pub async fn standby(&self) -> Self {
        let own = self.own();
        let folder = tempfile::Builder::new().prefix("orchestrator-standby-").tempdir().expect("a folder");
        own_by_nobody(folder.path());
        let copied = as_nobody(&own.programs.join("pg_basebackup"))
            .arg("-D")
            .arg(folder.path().join("data"))
            .args(["-h", "127.0.0.1", "-U", "postgres", "-p", &own.port.to_string()])
            .args(["-X", "stream", "-c", "fast", "-R", "--no-sync"])
            .output()
            .expect("pg_basebackup is started");
        assert!(copied.status.success(), "pg_basebackup: {}", String::from_utf8_lossy(&copied.stderr));
        let settings: Vec<&str> = own.settings.iter().map(String::as_str).collect();
        let standby = Self::over(folder, own.programs.clone(), &settings).await;
        self.set("synchronous_standby_names", "*").await;
        self.until("SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'", 1).await;
        standby
    }

    /// Makes a standby a server that takes commits.
    ///
    /// # Panics
    /// If it was not started here, or does not become one.
    pub async fn promote(&self) {
        let own = self.own();
        let promoted = as_nobody(&own.programs.join("pg_ctl"))
            .args(["promote", "--wait", "--silent", "-D"])
            .arg(own.folder.path().join("data"))
            .output()
            .expect("pg_ctl is started");
        assert!(promoted.status.success(), "pg_ctl promote: {}", String::from_utf8_lossy(&promoted.stderr));
        self.until("SELECT count(*) FROM pg_is_in_recovery() AS standby WHERE standby", 0).await;
    }

    /// Kills the server with all its processes, as a loss of its machine would; [`Server::resume`] starts it again.
    ///
    /// # Panics
    /// If it was not started here, does not run, or does not die.
    pub fn kill(&self) {
        let data = self.own().folder.path().join("data");
        let text = fs::read_to_string(data.join("postmaster.pid")).expect("the number of its process");
        let postmaster = text.lines().next().unwrap_or_default().to_owned();
        // Stopped first, so that it has no more children meanwhile, and mends nothing.
        signal("STOP", [&postmaster]);
        let mut processes = children(&postmaster);
        processes.insert(postmaster);
        signal("KILL", &processes);
        let begun = Instant::now();
        while processes.iter().any(|process| is_alive(process)) {
            assert!(begun.elapsed() < PATIENCE, "it does not die");
            std::thread::sleep(Duration::from_millis(1));
        }
        self.crash();
    }

    /// Changes a setting that can be changed while the server runs.
    ///
    /// # Panics
    /// If the server refuses it.
    pub async fn set(&self, name: &str, value: &str) {
        self.tell(&format!("ALTER SYSTEM SET {name} = '{value}'")).await;
        self.tell("SELECT pg_reload_conf()").await;
        let shown = format!("SELECT count(*) FROM pg_settings WHERE name = '{name}' AND setting = '{value}'");
        self.until(&shown, 1).await;
    }

    /// Has it ask whoever comes as this user for a password.
    ///
    /// # Panics
    /// If it was not started here, or refuses it.
    pub async fn ask_for_password(&self, user: &str) {
        let path = self.own().folder.path().join("data/pg_hba.conf");
        let rules = fs::read_to_string(&path).expect("its rules");
        fs::write(&path, format!("host all {user} 127.0.0.1/32 scram-sha-256\n{rules}")).expect("new rules");
        self.tell("SELECT pg_reload_conf()").await;
        let asked = format!(
            "SELECT count(*) FROM pg_hba_file_rules WHERE '{user}' = ANY (user_name) AND error IS NULL"
        );
        self.until(&asked, 1).await;
    }

    /// Has it speak TLS with this certificate from here on.
    ///
    /// # Panics
    /// If it was not started here, or does not take the certificate.
    pub async fn present(&self, certificate: &Path, key: &Path) {
        let data = self.own().folder.path().join("data");
        for (from, name) in [(certificate, "server.crt"), (key, "server.key")] {
            let to = data.join(name);
            fs::copy(from, &to).expect("a file of its own");
            fs::set_permissions(&to, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("a mode");
            own_by_nobody(&to);
        }
        self.set("ssl", "on").await;
        // Also where it spoke TLS before.
        self.tell("SELECT pg_reload_conf()").await;
    }

    /// Carries out a statement.
    ///
    /// # Panics
    /// If the server refuses it.
    pub async fn tell(&self, text: &str) {
        let mut connection = self.connect().await.expect("the server answers");
        connection.execute(AssertSqlSafe(text)).await.expect("the server takes it");
    }

    /// Waits until a query answers with a number.
    async fn until(&self, query: &str, wanted: i64) {
        let mut connection = self.connect().await.expect("the server answers");
        let begun = Instant::now();
        loop {
            let asked = sqlx::query_scalar(AssertSqlSafe(query));
            let number: i64 = asked.fetch_one(&mut connection).await.expect("a number");
            if number == wanted {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "{query}: {number}, not {wanted}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

fn signal<'p>(name: &str, processes: impl IntoIterator<Item = &'p String>) {
    // One that has ended meanwhile needs no signal.
    let told = Command::new("/bin/kill").args(["-s", name]).args(processes).stderr(Stdio::null()).status();
    told.expect("kill is started");
}

/// What stands in `/proc` of a process behind its name: its state, and the number of its parent.
fn state(process: &str) -> Option<(String, String)> {
    let text = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let (_, rest) = text.rsplit_once(')')?;
    let mut words = rest.split_whitespace().map(str::to_owned);
    Some((words.next()?, words.next()?))
}

fn children(parent: &str) -> BTreeSet<String> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let names = processes.filter_map(|entry| entry.file_name().into_string().ok());
    names.filter(|name| state(name).is_some_and(|(_, of)| of == parent)).collect()
}

/// Whether it does something still: one that waits to be buried does not.
fn is_alive(process: &str) -> bool {
    state(process).is_some_and(|(state, _)| state != "Z")
}
