//! A real HTTP server on a port of its own, which can also behave as no server should.

#![allow(dead_code, reason = "each test binary uses its own part of the server")]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// A request as it came in.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Received {
    pub(crate) method: String,
    /// Path and query.
    pub(crate) target: String,
    /// By names in lower case.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

impl Received {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// What the server does with a request.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    /// Sends these bytes and closes.
    Raw(String),
    /// Sends these bytes, then more without end, each piece as soon as the last one was taken.
    Endless(String),
    /// Sends these bytes, then this many pieces of 64 KiB each, and counts those that the other side has taken.
    Pieces(String, usize, Arc<AtomicUsize>),
    /// Sends these bytes and keeps the connection open without a word.
    Hang(String),
    /// Sends these bytes and resets the connection.
    Reset(String),
}

/// An answer with a body and extra headers, each with its line end.
pub(crate) fn reply(status: u16, headers: &str, body: &str) -> Reply {
    let length = body.len();
    Reply::Raw(format!(
        "HTTP/1.1 {status} Status\r\ncontent-length: {length}\r\nconnection: close\r\n{headers}\r\n{body}"
    ))
}

/// As [`reply`], with a JSON body.
pub(crate) fn reply_json(status: u16, body: &Value) -> Reply {
    reply(status, "content-type: application/json\r\n", &body.to_string())
}

#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) url: String,
    received: Arc<Mutex<Vec<Received>>>,
    new: Arc<Notify>,
}

impl Server {
    /// Answers every request by what `answer` makes of it.
    pub(crate) async fn start(answer: impl Fn(&Received) -> Reply + Send + Sync + 'static) -> Self {
        Self::start_on("127.0.0.1:0", answer).await
    }

    /// As [`Self::start`], on an address of the test's choice.
    pub(crate) async fn start_on(
        address: &str,
        answer: impl Fn(&Received) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let received = Arc::new(Mutex::new(Vec::new()));
        let new = Arc::new(Notify::new());
        let (log, bell, answer) = (received.clone(), new.clone(), Arc::new(answer));
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (log, bell, answer) = (log.clone(), bell.clone(), answer.clone());
                tokio::spawn(async move {
                    if let Some((request, stream)) = receive(stream).await {
                        let reply = answer(&request);
                        log.lock().unwrap().push(request);
                        bell.notify_one();
                        send(stream, reply).await;
                    }
                });
            }
        });
        Self { url, received, new }
    }

    /// Answers every request with the same reply.
    pub(crate) async fn always(reply: Reply) -> Self {
        Self::start(move |_| reply.clone()).await
    }

    /// The port on which it listens.
    pub(crate) fn port(&self) -> u16 {
        self.url.rsplit(':').next().unwrap().parse().unwrap()
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    /// Returns when a request has come in.
    pub(crate) async fn asked(&self) {
        self.new.notified().await;
    }
}

async fn receive(stream: TcpStream) -> Option<(Received, TcpStream)> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    stream.read_line(&mut line).await.ok()?;
    let mut words = line.split_whitespace();
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    let body = String::from_utf8(body).unwrap();
    Some((Received { method, target, headers, body }, stream.into_inner()))
}

/// Errors are the other side hanging up.
async fn send(mut stream: TcpStream, reply: Reply) {
    match reply {
        Reply::Raw(bytes) => {
            let _ = stream.write_all(bytes.as_bytes()).await;
            let _ = stream.shutdown().await;
        }
        Reply::Endless(bytes) => {
            let mut going = stream.write_all(bytes.as_bytes()).await.is_ok();
            while going {
                going = stream.write_all(&[b'x'; 64]).await.is_ok();
                tokio::task::yield_now().await;
            }
        }
        Reply::Pieces(bytes, pieces, taken) => {
            let _ = stream.write_all(bytes.as_bytes()).await;
            let piece = vec![b'x'; 64 << 10];
            for _ in 0..pieces {
                if stream.write_all(&piece).await.is_err() {
                    return;
                }
                taken.fetch_add(1, Ordering::SeqCst);
            }
            let _ = stream.shutdown().await;
        }
        Reply::Reset(bytes) => {
            let _ = stream.write_all(bytes.as_bytes()).await;
            let _ = stream.set_zero_linger();
        }
        Reply::Hang(bytes) => {
            let _ = stream.write_all(bytes.as_bytes()).await;
            // Until the other side closes.
            let _ = stream.read_to_end(&mut Vec::new()).await;
        }
    }
}
