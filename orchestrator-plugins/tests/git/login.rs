//! Credentials, against a real `git http-backend` behind a server that asks for them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use orchestrator_core::port::plugin::{Outcome, Plugin, Stop, StopReason};
use orchestrator_core::spec::retry::ErrorClass;
use orchestrator_plugins::Git;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio::sync::Notify;

use crate::place::Place;
use crate::stage;

const TOKEN: &str = "hunter2secret";

/// `x-access-token:hunter2secret` and `bob:hunter2secret`
const BASIC: [&str; 2] = ["Basic eC1hY2Nlc3MtdG9rZW46aHVudGVyMnNlY3JldA==", "Basic Ym9iOmh1bnRlcjJzZWNyZXQ="];

/// A server of the repositories in a folder.
#[derive(Debug)]
struct Server {
    root: PathBuf,
    port: u16,
    /// All `Authorization` headers that came.
    seen: Mutex<Vec<String>>,
    /// Command lines with the token in them, looked for while git talks to the server.
    leaks: Mutex<Vec<String>>,
    /// Where it sends everybody.
    elsewhere: Mutex<Option<String>>,
    /// Pushes come this far, and no further.
    holds: Mutex<bool>,
    held: Notify,
}

impl Server {
    async fn start(root: &Path) -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = Arc::new(Self {
            root: root.to_owned(),
            port,
            seen: Mutex::default(),
            leaks: Mutex::default(),
            elsewhere: Mutex::default(),
            holds: Mutex::default(),
            held: Notify::new(),
        });
        let serving = server.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serving.clone().answer(stream));
            }
        });
        server
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}/origin.git", self.port)
    }

    async fn answer(self: Arc<Self>, mut stream: TcpStream) {
        let mut bytes = Vec::new();
        let end = loop {
            if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
                return;
            }
        };
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let headers: HashMap<String, String> = head
            .lines()
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
            .collect();
        let length: usize = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
        while bytes.len() < end + length {
            if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
                return;
            }
        }
        let request = head.lines().next().unwrap().to_owned();
        let reply = self.reply(&request, &headers, &bytes[end..]).await;
        let _ = stream.write_all(&reply).await;
    }

    async fn reply(&self, request: &str, headers: &HashMap<String, String>, body: &[u8]) -> Vec<u8> {
        let target = request.split(' ').nth(1).unwrap();
        if let Some(elsewhere) = &*self.elsewhere.lock().unwrap() {
            return format!("HTTP/1.1 302 Found\r\nLocation: {elsewhere}{target}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").into_bytes();
        }
        let said = headers.get("authorization").cloned();
        self.seen.lock().unwrap().extend(said.clone());
        if !said.is_some_and(|said| BASIC.contains(&&*said)) {
            return b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"git\"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_vec();
        }
        self.leaks.lock().unwrap().extend(command_lines().into_iter().filter(|line| line.contains(TOKEN)));
        if *self.holds.lock().unwrap() && target.ends_with("/git-receive-pack") {
            self.held.notify_one();
            std::future::pending::<()>().await;
        }
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut backend = Command::new("git");
        backend.arg("http-backend").env("GIT_PROJECT_ROOT", &self.root).env("GIT_HTTP_EXPORT_ALL", "1");
        backend
            .env("GIT_CONFIG_COUNT", "1")
            .env("GIT_CONFIG_KEY_0", "safe.directory")
            .env("GIT_CONFIG_VALUE_0", "*");
        backend.env("PATH_INFO", path).env("QUERY_STRING", query).env("REMOTE_USER", "somebody");
        backend.env("REQUEST_METHOD", request.split(' ').next().unwrap());
        for (variable, header) in [
            ("CONTENT_TYPE", "content-type"),
            ("HTTP_CONTENT_ENCODING", "content-encoding"),
            ("HTTP_GIT_PROTOCOL", "git-protocol"),
            ("GIT_PROTOCOL", "git-protocol"),
        ] {
            if let Some(value) = headers.get(header) {
                backend.env(variable, value);
            }
        }
        backend.env("CONTENT_LENGTH", body.len().to_string());
        let mut backend = backend.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut stdin = backend.stdin.take().unwrap();
        let feed = async move { stdin.write_all(body).await };
        let (_, output) = tokio::join!(feed, backend.wait_with_output());
        let output = output.unwrap().stdout;
        let status = match output.strip_prefix(b"Status: ") {
            Some(rest) => {
                String::from_utf8_lossy(rest.split(|byte| *byte == b'\r').next().unwrap()).into_owned()
            }
            None => "200 OK".to_owned(),
        };
        [format!("HTTP/1.1 {status}\r\nConnection: close\r\n").as_bytes(), &output].concat()
    }
}

/// The command lines of all processes of this machine.
fn command_lines() -> Vec<String> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let lines = entries.flatten().filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    lines.map(|line| String::from_utf8_lossy(&line).into_owned()).collect()
}

/// Whether any file below a folder holds the token.
fn holds_token(folder: &Path) -> Option<PathBuf> {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        let found = match path.is_dir() {
            true => holds_token(&path),
            false => {
                let bytes = std::fs::read(&path).unwrap_or_default();
                bytes.windows(TOKEN.len()).any(|window| window == TOKEN.as_bytes()).then_some(path)
            }
        };
        if found.is_some() {
            return found;
        }
    }
    None
}

fn auth() -> Value {
    json!({ "token": TOKEN })
}

#[tokio::test]
async fn a_token_opens_the_server_and_stands_nowhere() {
    let place = Place::new();
    let server = Server::start(&place.path(".")).await;
    let with = json!({ "do": "clone", "url": server.url(), "path": "copy", "auth": auth() });
    let made = place.gives(with).await;
    assert_eq!(made["sha"], json!(place.sha("site", "HEAD")));
    let sha = place.commit("copy", "b.txt", "b\n");
    let with = json!({ "do": "push", "repository": "copy", "auth": { "username": "bob", "token": TOKEN } });
    assert_eq!(place.gives(with.clone()).await["pushed"], true);
    assert_eq!(place.sha("origin.git", "main"), sha);
    assert_eq!(place.gives(with).await["pushed"], false);
    let with = json!({ "do": "fetch", "repository": "copy", "auth": auth() });
    place.gives(with).await;
    let seen = server.seen.lock().unwrap().clone();
    assert!(BASIC.iter().all(|basic| seen.iter().any(|said| said == basic)), "{seen:?}");
    assert_eq!(*server.leaks.lock().unwrap(), [""; 0], "no command line holds it");
    assert_eq!(holds_token(&place.path(".")), None);
}

#[tokio::test]
async fn a_login_that_is_refused_says_so_without_the_token() {
    let place = Place::new();
    let server = Server::start(&place.path(".")).await;
    let with = |auth: Value| json!({ "do": "clone", "url": server.url(), "path": "copy", "auth": auth });
    for auth in [json!({ "token": "wrong-token-here" }), Value::Null] {
        let (context, log) = stage::context(&place.path("."));
        let (class, why) = stage::failure(Git.execute(context, stage::request(with(auth))).await);
        assert_eq!(class, ErrorClass::Denied, "{why}");
        assert!(why.contains("auth: { token"), "{why}");
        assert!(!why.contains("wrong-token") && !log.text().contains("wrong-token"), "{why}");
    }
    let (class, why) = place.fails(with(json!({ "token": "two\nlines" }))).await;
    assert_eq!(class, ErrorClass::Invalid);
    assert!(why.contains("line end"), "{why}");
    let missing = json!({ "do": "clone", "url": server.url().replace("origin", "other"), "path": "copy", "auth": auth() });
    assert_eq!(place.fails(missing).await.0, ErrorClass::Invalid);
    let plain = json!({ "do": "clone", "url": "http://example.org/a", "path": "copy", "auth": auth() });
    let (class, why) = place.fails(plain).await;
    assert_eq!(class, ErrorClass::Denied);
    assert!(why.contains("not encrypted"), "{why}");
    let ssh = json!({ "do": "clone", "url": "ssh://example.org/a", "path": "copy", "auth": auth() });
    assert!(place.fails(ssh).await.1.contains("the keys of its agent"));
}

#[tokio::test]
async fn a_token_does_not_follow_to_another_server() {
    let place = Place::new();
    let (first, second) = (Server::start(&place.path(".")).await, Server::start(&place.path(".")).await);
    *first.elsewhere.lock().unwrap() = Some(format!("http://127.0.0.1:{}", second.port));
    let with = json!({ "do": "clone", "url": first.url(), "path": "copy", "auth": auth() });
    assert_eq!(place.fails(with).await.0, ErrorClass::Denied);
    assert_eq!(*second.seen.lock().unwrap(), [""; 0]);
}

#[tokio::test]
async fn helpers_that_a_repository_names_are_not_asked() {
    let place = Place::new();
    let server = Server::start(&place.path(".")).await;
    place.git("site", &["remote", "set-url", "origin", &server.url()]);
    let evil = format!("!touch {}; cat >/dev/null; echo", place.path("mark").display());
    let origin = format!("http://127.0.0.1:{}", server.port);
    for key in [
        "credential.helper",
        &format!("credential.{origin}.helper"),
        &format!("credential.{}.helper", server.url()),
    ] {
        place.git("site", &["config", key, &evil]);
    }
    place.git("site", &["config", "credential.useHttpPath", "true"]);
    place.git("site", &["config", "core.askPass", &format!("{}/x", place.path("mark").display())]);
    let own = place.path(".");
    let plain = tokio::task::spawn_blocking(move || {
        let mut git = std::process::Command::new("git");
        git.args(["fetch", "-q", "origin"]).current_dir(own.join("site")).env("GIT_TERMINAL_PROMPT", "0");
        git.stdin(Stdio::null()).output().unwrap()
    });
    plain.await.unwrap();
    assert!(place.has("mark"), "plain git asks them");
    std::fs::remove_file(place.path("mark")).unwrap();
    let with = json!({ "do": "fetch", "repository": "site", "auth": auth() });
    place.gives(with).await;
    place.fails(json!({ "do": "fetch", "repository": "site" })).await;
    assert!(!place.has("mark"));
}

#[tokio::test]
async fn a_push_that_is_stopped_on_its_way_is_unknown() {
    let place = Place::new();
    let server = Server::start(&place.path(".")).await;
    *server.holds.lock().unwrap() = true;
    place.commit("site", "b.txt", "b\n");
    let with = json!({ "do": "push", "repository": "site", "remote": server.url(), "auth": auth() });
    let (mut context, _) = stage::context(&place.path("."));
    let (stopper, stop) = Stop::pair();
    context.stop = stop;
    let pushing = Git.execute(context, stage::request(with.clone()));
    let stopping = async {
        server.held.notified().await;
        stopper.stop(StopReason::Shutdown);
    };
    let (outcome, ()) = tokio::join!(pushing, stopping);
    assert!(
        matches!(&outcome, Outcome::Unknown { error } if error.message.contains("stopped on its way")),
        "{outcome:?}"
    );
    let left = command_lines().into_iter().filter(|line| line.contains(&server.url())).collect::<Vec<_>>();
    assert_eq!(left, [""; 0], "nothing of it is left");
    // A fetch that is stopped can begin again.
    let (mut context, _) = stage::context(&place.path("."));
    let (stopper, stop) = Stop::pair();
    context.stop = stop;
    stopper.stop(StopReason::Cancelled);
    let with = json!({ "do": "fetch", "repository": "site" });
    assert_eq!(Git.execute(context, stage::request(with)).await, Outcome::Stopped);
}
