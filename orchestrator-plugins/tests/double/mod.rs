//! Doubles of forges: HTTP servers of our own that keep what they are told, and speak as the real ones do.
//!
//! They need nothing but the standard library and JSON, so that tests of other packages take them by `#[path]`.

#![allow(dead_code, reason = "each test binary uses its own part of the doubles")]

pub(crate) mod hub;
pub(crate) mod lab;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;

use serde_json::{Value, json};

/// A request as it came in.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) method: String,
    /// The parts of the path, decoded.
    pub(crate) path: Vec<String>,
    pub(crate) query: BTreeMap<String, String>,
    /// As it was sent, with the query.
    pub(crate) target: String,
    /// By names in lower case.
    pub(crate) headers: BTreeMap<String, String>,
    /// Null if there was none.
    pub(crate) body: Value,
}

impl Received {
    pub(crate) fn bearer(&self) -> Option<&str> {
        self.headers.get("authorization")?.strip_prefix("Bearer ")
    }

    /// Whether it is `METHOD` and its path ends like this.
    pub(crate) fn is(&self, method: &str, end: &str) -> bool {
        let end: Vec<&str> = end.split('/').collect();
        let path: Vec<&str> = self.path.iter().map(String::as_str).collect();
        self.method == method && path.ends_with(&end)
    }
}

/// An answer.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self { status, headers: Vec::new(), body: body.to_string().into_bytes() }
    }

    pub(crate) fn text(status: u16, body: &str) -> Self {
        Self { status, headers: Vec::new(), body: body.as_bytes().to_vec() }
    }

    pub(crate) fn message(status: u16, message: &str) -> Self {
        Self::json(status, &json!({ "message": message, "documentation_url": "https://docs.example.com" }))
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// What a server knows and does.
pub(crate) trait Api: Send + 'static {
    fn answer(&mut self, request: &Received) -> Reply;
}

/// What goes wrong with one request.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// It is answered like this, and nothing is done.
    Instead(Reply),
    /// It is done, and the connection breaks before the answer.
    Lost,
    /// It is done, which is told here, and there is no answer until the other side goes.
    Held(Sender<()>),
}

struct Shared<A> {
    api: A,
    received: Vec<Received>,
    faults: Vec<(String, String, Fault)>,
}

/// A server on a port of its own. It ends with the process.
pub(crate) struct Server<A> {
    pub(crate) url: String,
    shared: Arc<Mutex<Shared<A>>>,
}

impl<A: Api> Server<A> {
    /// Starts what `make` makes of the address.
    pub(crate) fn start(make: impl FnOnce(&str) -> A) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("it has an address"));
        let shared = Shared { api: make(&url), received: Vec::new(), faults: Vec::new() };
        let shared = Arc::new(Mutex::new(shared));
        let serving = shared.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let serving = serving.clone();
                thread::spawn(move || serve(stream, &serving));
            }
        });
        Self { url, shared }
    }

    fn shared(&self) -> MutexGuard<'_, Shared<A>> {
        self.shared.lock().expect("no answer panics")
    }

    /// Looks at what it knows, or changes it.
    pub(crate) fn with<T>(&self, then: impl FnOnce(&mut A) -> T) -> T {
        then(&mut self.shared().api)
    }

    /// Lets one request of this method whose path ends like this go wrong.
    pub(crate) fn fault(&self, method: &str, end: &str, fault: Fault) {
        self.shared().faults.push((method.to_owned(), end.to_owned(), fault));
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.shared().received.clone()
    }

    /// How many requests of this method had a path that ends like this.
    pub(crate) fn count(&self, method: &str, end: &str) -> usize {
        self.shared().received.iter().filter(|request| request.is(method, end)).count()
    }
}

fn serve<A: Api>(stream: TcpStream, shared: &Mutex<Shared<A>>) {
    let Some((request, mut stream)) = receive(stream) else { return };
    let reply = {
        let mut shared = shared.lock().expect("no answer panics");
        shared.received.push(request.clone());
        let fault = shared.faults.iter().position(|(method, end, _)| request.is(method, end));
        match fault.map(|at| shared.faults.remove(at).2) {
            Some(Fault::Instead(reply)) => reply,
            Some(Fault::Lost) => {
                shared.api.answer(&request);
                return;
            }
            Some(Fault::Held(done)) => {
                shared.api.answer(&request);
                drop(shared);
                // Whoever waits for it may have gone.
                let _ = done.send(());
                let _ = stream.read(&mut [0]);
                return;
            }
            None => shared.api.answer(&request),
        }
    };
    // Errors are the other side hanging up.
    let mut head = format!("HTTP/1.1 {} X\r\ncontent-length: {}\r\n", reply.status, reply.body.len());
    for (name, value) in &reply.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    let _ = stream.write_all(format!("{head}connection: close\r\n\r\n").as_bytes());
    let _ = stream.write_all(&reply.body);
}

fn receive(stream: TcpStream) -> Option<(Received, TcpStream)> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    stream.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace();
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").map_or(0, |length| length.parse().expect("a length"));
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let path = path.split('/').skip(1).map(decoded).collect();
    let query = query.split('&').filter_map(|pair| pair.split_once('='));
    let query = query.map(|(name, value)| (decoded(name), decoded(value))).collect();
    let body = serde_json::from_slice(&body).unwrap_or_default();
    Some((Received { method, path, query, target, headers, body }, stream.into_inner()))
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let coded = || u8::from_str_radix(std::str::from_utf8(after.get(..2)?).ok()?, 16).ok();
        match (first, coded()) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            (b'+', _) => {
                bytes.push(b' ');
                rest = after;
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// One page of a list, at most `most` entries long, with a link to the next. In a mapping, it stands at `key`.
fn page(url: &str, request: &Received, most: usize, entries: &[Value], key: Option<&str>) -> Reply {
    let number = |name: &str, default: usize| {
        request.query.get(name).map_or(default, |text| text.parse().expect("a number"))
    };
    let (size, at) = (number("per_page", 30).min(most), number("page", 1));
    let shown: Vec<&Value> = entries.iter().skip((at - 1) * size).take(size).collect();
    let body = match key {
        Some(key) => json!({ "total_count": entries.len(), key: shown }),
        None => json!(shown),
    };
    let reply = Reply::json(200, &body);
    if at * size >= entries.len() {
        return reply;
    }
    let others = request.target.split('?').nth(1).unwrap_or_default().split('&');
    let others: String =
        others.filter(|pair| !pair.starts_with("page=")).map(|pair| format!("{pair}&")).collect();
    let path = request.target.split('?').next().unwrap_or_default();
    let link = format!(
        "<{url}{path}?{others}page={}>; rel=\"next\", <{url}{path}?{others}page=99>; rel=\"last\"",
        at + 1
    );
    reply.header("link", &link)
}
