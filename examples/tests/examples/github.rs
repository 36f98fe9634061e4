//! `github-summary.yaml`, against a server of our own that gives what GitHub gave.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use serde_json::{Value, json};

use crate::bench::{Bench, example_file, step};

/// A server on a port of its own. It ends with the process.
struct Server {
    address: String,
    /// Request lines and their headers, as they come.
    requests: Receiver<(String, Vec<String>)>,
}

impl Server {
    /// Answers each request with what `answer` gives for its path.
    fn start(answer: impl Fn(&str) -> (u16, Value) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = format!("http://{}", listener.local_addr().expect("it has an address"));
        let (sender, requests) = channel();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if let Some(request) = serve(&stream, &answer)
                    && sender.send(request).is_err()
                {
                    return;
                }
            }
        });
        Self { address, requests }
    }
}

fn serve(mut stream: &TcpStream, answer: &impl Fn(&str) -> (u16, Value)) -> Option<(String, Vec<String>)> {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let request = lines.next()?;
    let headers: Vec<String> =
        lines.take_while(|line| !line.is_empty()).map(|line| line.to_lowercase()).collect();
    let (status, body) = answer(request.split(' ').nth(1)?);
    let body = body.to_string();
    let head = format!(
        "HTTP/1.1 {status} X\r\ncontent-type: application/json; charset=utf-8\r\ncontent-length: {}\r\nconnection: \
         close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes())).ok()?;
    Some((request, headers))
}

/// The parts of GitHub's answer about a repository that matter here, among some that do not.
fn repository() -> Value {
    json!({
        "id": 1_296_269,
        "full_name": "octocat/Hello-World",
        "private": false,
        "owner": { "login": "octocat", "type": "User" },
        "description": "This your first repo!",
        "stargazers_count": 80,
        "open_issues_count": 2,
        "license": null,
        "topics": ["octocat", "api"],
    })
}

fn issues() -> Value {
    json!([
        { "number": 1347, "title": "Found a bug", "state": "open", "labels": [{ "name": "bug" }], "body": null },
        { "number": 1348, "title": "Ship \"it\": today", "state": "open", "labels": [], "pull_request": { "url": "https://api.github.com/x" } },
    ])
}

fn github(path: &str) -> (u16, Value) {
    match path.split('?').next() {
        Some("/repos/octocat/Hello-World") => (200, repository()),
        Some("/repos/octocat/Hello-World/issues") => (200, issues()),
        _ => (404, json!({ "message": "Not Found", "status": "404" })),
    }
}

/// The example as it is, with a word that its steps may reach the server of the test, which is not on the public internet.
fn example(bench: &Bench, server: &Server) -> String {
    let text = std::fs::read_to_string(example_file("github-summary.yaml")).expect("it is there");
    let grant = server.address.trim_start_matches("http://");
    let file = bench.path().join("github-summary.yaml");
    std::fs::write(&file, format!("{text}\npermissions: {{ network: [\"{grant}\"] }}\n"))
        .expect("it can be written");
    file.to_str().expect("the path is UTF-8").to_owned()
}

#[test]
fn a_repository_becomes_a_report() {
    let server = Server::start(github);
    let bench = Bench::new();
    let base = format!("base_url={}", server.address);
    let report = bench.run(&example(&bench, &server), &["repository=octocat/Hello-World", &base]);
    assert_eq!(report["outputs"]["repository"], "octocat/Hello-World");
    assert_eq!(report["outputs"]["stars"], 80);
    assert_eq!(report["outputs"]["issues"], 2);
    let written = bench.file("out/github-summary.md").expect("the report is written");
    for line in
        ["# octocat/Hello-World", "- 80 stars, 2 open issues", "- Found a bug", "- Ship \"it\": today"]
    {
        assert!(written.lines().any(|found| found == line), "{line}: {written}");
    }
    let mut requests: Vec<_> = server.requests.try_iter().collect();
    requests.sort();
    let asked: Vec<&str> = requests.iter().map(|(request, _)| &**request).collect();
    assert_eq!(asked.len(), 2, "{asked:?}");
    assert_eq!(asked[0], "GET /repos/octocat/Hello-World HTTP/1.1");
    assert!(asked[1].starts_with("GET /repos/octocat/Hello-World/issues?"), "{asked:?}");
    for part in ["state=open", "sort=updated", "per_page=8"] {
        assert!(asked[1].contains(part), "{asked:?}");
    }
    for (_, headers) in &requests {
        assert!(headers.iter().any(|header| header == "accept: application/vnd.github+json"), "{headers:?}");
        assert!(headers.iter().any(|header| header.starts_with("user-agent: ")), "{headers:?}");
    }
}

#[test]
fn a_repository_that_is_not_there_fails_without_a_retry() {
    let server = Server::start(github);
    let bench = Bench::new();
    let base = format!("base_url={}", server.address);
    let done = bench.start(&example(&bench, &server), &["repository=octocat/nothing", &base]);
    assert_eq!(done.code, Some(1), "{done:?}");
    let report = done.json();
    assert_eq!(step(&report, "repository")["attempts"], 1);
    assert_eq!(step(&report, "report")["status"], "skipped");
    assert_eq!(bench.file("out/github-summary.md"), None);
}
