//! The outside world: a file that scripts append to, and a service that keeps what it was sent before it answers.

use std::io::{BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::request;

/// A line that a script has appended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) run: String,
    pub(crate) step: String,
    pub(crate) attempt: u64,
    pub(crate) key: String,
    /// `effect`, or `begin` and `end` of a step that takes its time.
    pub(crate) what: String,
    /// What the script was given.
    pub(crate) bytes: String,
}

impl Line {
    /// Reads `RUN STEP ATTEMPT KEY WHAT [BYTES]`.
    pub(crate) fn read(text: &str) -> Self {
        let mut words = text.splitn(6, ' ');
        let mut word = || words.next().unwrap_or_default().to_owned();
        Self {
            run: word(),
            step: word(),
            attempt: word().parse().unwrap_or_else(|error| panic!("{error}: {text}")),
            key: word(),
            what: word(),
            bytes: word(),
        }
    }
}

/// A request that the service has received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Post {
    pub(crate) run: String,
    pub(crate) key: String,
    pub(crate) body: String,
}

/// Who is told of a request.
type Listener = Box<dyn Fn() + Send>;

/// The service.
#[derive(Clone)]
pub(crate) struct Sink {
    pub(crate) url: String,
    posts: Arc<Mutex<Vec<Post>>>,
    holds: Arc<AtomicBool>,
    listener: Arc<Mutex<Option<Listener>>>,
}

impl Sink {
    pub(crate) fn open() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let sink = Self {
            url: format!("http://{}/effects", listener.local_addr().unwrap()),
            posts: Arc::default(),
            holds: Arc::default(),
            listener: Arc::default(),
        };
        let service = sink.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let service = service.clone();
                // A caller that dies in the middle of a request has not sent one.
                std::thread::spawn(move || stream.is_ok_and(|stream| service.serve(stream).is_some()));
            }
        });
        sink
    }

    /// Whether requests are kept and then never answered.
    pub(crate) fn hold(&self, holds: bool) {
        self.holds.store(holds, Ordering::SeqCst);
    }

    /// Tells `listener` of each request from now on.
    pub(crate) fn tell(&self, listener: impl Fn() + Send + 'static) {
        *self.listener.lock().unwrap() = Some(Box::new(listener));
    }

    /// What was received of a run.
    pub(crate) fn posts(&self, run: &str) -> Vec<Post> {
        self.posts.lock().unwrap().iter().filter(|post| post.run == run).cloned().collect()
    }

    fn serve(&self, stream: TcpStream) -> Option<()> {
        let mut writer = stream.try_clone().ok()?;
        let mut reader = BufReader::new(stream);
        loop {
            let request = request::read(&mut reader)?;
            let key = request.header("idempotency-key").to_owned();
            let body = request.body;
            let run = serde_json::from_str::<Value>(&body).ok()?["run"].as_str()?.to_owned();
            self.posts.lock().unwrap().push(Post { run, key, body });
            if let Some(listener) = &*self.listener.lock().unwrap() {
                listener();
            }
            if self.holds.load(Ordering::SeqCst) {
                // Ends when the caller is gone.
                let _ = reader.read(&mut [0]);
                return None;
            }
            let answer = "{\"applied\":true}";
            write!(
                writer,
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{answer}",
                answer.len()
            )
            .ok()?;
        }
    }
}
