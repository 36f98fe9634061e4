//! What there is around a script: folders, sockets and processes that are none of its business.

use std::collections::BTreeMap;
use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use orchestrator_core::port::plugin::{Outcome, Plugin, Request};
use orchestrator_core::spec::Sandbox;
use orchestrator_plugins::Script;
use serde_json::json;

use crate::stage::{Log, context};

/// One place, for one script.
pub(crate) struct Yard {
    folder: tempfile::TempDir,
    home: tempfile::NamedTempFile,
    tcp: TcpListener,
    abstract_name: String,
    victim: Child,
    _held: (UnixListener, UnixListener, UnixDatagram, UdpSocket),
}

impl Yard {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in ["run", "run/work", "run/.orchestrator", "other", "outside", "granted"] {
            fs::create_dir(at(name)).unwrap();
        }
        fs::write(at("run/.orchestrator/state.db"), "rows\n").unwrap();
        fs::write(at("other/secret"), "secret").unwrap();
        fs::write(at("outside/config.toml"), "key = 1\n").unwrap();
        let home =
            tempfile::Builder::new().prefix(".escape-").tempfile_in(std::env::home_dir().unwrap()).unwrap();
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let udp = UdpSocket::bind(tcp.local_addr().unwrap()).unwrap();
        let abstract_name = format!("escape-{}", folder.path().display());
        let name = SocketAddr::from_abstract_name(&abstract_name).unwrap();
        let held = (
            UnixListener::bind_addr(&name).unwrap(),
            UnixListener::bind(at("run/docker.sock")).unwrap(),
            UnixDatagram::bind(at("run/log.sock")).unwrap(),
            udp,
        );
        let victim = Command::new("sleep").arg("1000").stdin(Stdio::null()).spawn().unwrap();
        Self { folder, home, tcp, abstract_name, victim, _held: held }
    }

    pub(crate) fn workdir(&self) -> PathBuf {
        self.folder.path().join("run")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn store_is_spoilt(&self) -> bool {
        fs::read(self.workdir().join(".orchestrator/state.db")).unwrap() != b"rows\n"
    }

    /// Whether the process that the script has left in the file `pid` is alive. Ends it.
    pub(crate) fn left_running(&self) -> bool {
        let pid = fs::read_to_string(self.workdir().join("work/pid")).unwrap();
        let alive =
            fs::read_to_string(format!("/proc/{}/stat", pid.trim())).is_ok_and(|stat| !stat.contains(") Z "));
        if alive {
            assert!(Command::new("kill").args(["-KILL", pid.trim()]).status().unwrap().success());
        }
        alive
    }

    /// Runs a script here.
    pub(crate) async fn run(&self, sandbox: Sandbox, shell: &str, text: &str) -> (Outcome, Arc<Log>) {
        let (mut context, log) = context(&self.workdir());
        context.sandbox = sandbox;
        context.protected = Arc::from([self.workdir().join(".orchestrator")]);
        let path = |path: &Path| path.to_str().unwrap().to_owned();
        let env = BTreeMap::from([
            ("OUTSIDE".to_owned(), path(&self.path("outside"))),
            ("GRANTED".to_owned(), path(&self.path("granted"))),
            ("AT_HOME".to_owned(), path(self.home.path())),
            ("PORT".to_owned(), self.tcp.local_addr().unwrap().port().to_string()),
            ("ABSTRACT".to_owned(), self.abstract_name.clone()),
            ("VICTIM".to_owned(), self.victim.id().to_string()),
            ("HOME".to_owned(), path(&self.workdir())),
        ]);
        let request = Request { with: json!({ "run": text, "shell": shell }), env, ..Request::default() };
        (Script.execute(context, request).await, log)
    }
}

impl Drop for Yard {
    fn drop(&mut self) {
        let _ = self.victim.kill();
        let _ = self.victim.wait();
    }
}
