//! The outside world: a ledger that scripts append a line to, and a service that appends one for each request before it
//! answers.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::{BufReader, Read, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::request;

/// How long the service takes where it answers late; a caller waits longer than that.
const LATE: Duration = Duration::from_millis(150);

/// A line of the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    /// Whether a script has appended it; else a request has come.
    pub(crate) appended: bool,
    pub(crate) run: String,
    pub(crate) step: String,
    pub(crate) item: Option<usize>,
    /// Known of scripts alone.
    pub(crate) attempt: Option<u64>,
    pub(crate) key: String,
    /// The right under which it was done; known of scripts alone.
    pub(crate) fence: Option<u64>,
    /// A digest of what was sent.
    pub(crate) body: String,
}

impl Line {
    /// Reads `KIND TIME RUN STEP ITEM ATTEMPT KEY FENCE BODY`; what is not known is `-`.
    fn read(text: &str) -> Self {
        let words: Vec<&str> = text.split(' ').collect();
        let [kind, _, run, step, item, attempt, key, fence, body] = words[..] else {
            panic!("not a line of the ledger: {text}")
        };
        let number = |word: &str| {
            (word != "-").then(|| word.parse().unwrap_or_else(|error| panic!("{error}: {text}")))
        };
        Self {
            appended: kind == "append",
            run: run.to_owned(),
            step: step.to_owned(),
            item: number(item).map(|item| usize::try_from(item).unwrap()),
            attempt: number(attempt),
            key: key.to_owned(),
            fence: number(fence),
            body: body.to_owned(),
        }
    }
}

/// A script says that it has begun, or is about to end, between which it holds what its step names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) begins: bool,
    pub(crate) run: String,
    pub(crate) step: String,
    pub(crate) item: Option<usize>,
    pub(crate) attempt: u64,
}

impl Told {
    /// Reads `in|out RUN STEP ITEM ATTEMPT`; the item is `-` where there is none.
    fn read(text: &str) -> Self {
        let words: Vec<&str> = text.split(' ').collect();
        let [word, run, step, item, attempt] = words[..] else { panic!("not a line: {text}") };
        Self {
            begins: word == "in",
            run: run.to_owned(),
            step: step.to_owned(),
            item: (item != "-").then(|| item.parse().unwrap()),
            attempt: attempt.parse().unwrap(),
        }
    }
}

/// The file, and the service in front of it.
#[derive(Clone)]
pub(crate) struct Ledger {
    pub(crate) file: PathBuf,
    pub(crate) url: String,
    /// How often each key has come.
    keys: Arc<Mutex<BTreeMap<String, usize>>>,
}

impl Ledger {
    pub(crate) fn open(file: &Path) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let url = format!("http://{}/effects", listener.local_addr().unwrap());
        let ledger = Self { file: file.to_owned(), url, keys: Arc::default() };
        let service = ledger.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let service = service.clone();
                // A caller that dies in the middle of a request has not sent one.
                std::thread::spawn(move || stream.is_ok_and(|stream| service.serve(stream).is_some()));
            }
        });
        ledger
    }

    /// All lines, in the order in which they were appended.
    pub(crate) fn lines(&self) -> Vec<Line> {
        let text = fs::read_to_string(&self.file).unwrap_or_default();
        text.lines().map(Line::read).collect()
    }

    /// Who held something, in the order in which they said it.
    pub(crate) fn told(&self) -> Vec<Told> {
        let text = fs::read_to_string(self.file.with_added_extension("held")).unwrap_or_default();
        text.lines().map(Told::read).collect()
    }

    /// Takes the one request of a connection, and answers as its mood says.
    fn serve(&self, stream: TcpStream) -> Option<()> {
        let mut writer = stream.try_clone().ok()?;
        let mut reader = BufReader::new(stream);
        let request = request::read(&mut reader)?;
        let body: Value = serde_json::from_str(&request.body).ok()?;
        let key = request.header("idempotency-key");
        let word = |name: &str| match &body[name] {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let mut digest = DefaultHasher::new();
        request.body.hash(&mut digest);
        let line = format!(
            "post {} {} {} {} - {} - {:016x}\n",
            SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_secs_f64(),
            word("run"),
            word("step"),
            word("item"),
            if key.is_empty() { "-" } else { key },
            digest.finish()
        );
        File::options().create(true).append(true).open(&self.file).ok()?.write_all(line.as_bytes()).ok()?;
        let before = {
            let mut keys = self.keys.lock().unwrap();
            let count = keys.entry(key.to_owned()).or_default();
            *count += 1;
            *count - 1
        };
        let mood = word("mood");
        let (mood, times) = mood.split_once(' ')?;
        let is_first = before < times.parse().ok()?;
        let status = match mood {
            "drop" if is_first => return None,
            "hang" if is_first => {
                // Ends when the caller is gone.
                let _ = reader.read(&mut [0]);
                return None;
            }
            "err" if is_first => "500 Internal Server Error",
            "refuse" => "500 Internal Server Error",
            "reject" => "400 Bad Request",
            "late" => {
                reader.get_ref().set_read_timeout(Some(LATE)).ok()?;
                let _ = reader.read(&mut [0]);
                "200 OK"
            }
            _ => "200 OK",
        };
        let answer = "{\"applied\":true}";
        write!(
            writer,
            "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{answer}",
            answer.len()
        )
        .ok()
    }
}
