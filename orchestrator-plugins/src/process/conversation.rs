//! What is said to a running executable, and what it says.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use orchestrator_core::machine::StepError;
use orchestrator_core::mask::Mask;
use orchestrator_core::port::plugin::{Context, LogSink, Stream};
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::process::{ChildStderr, ChildStdin, ChildStdout};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::message::{self, LINE_LIMIT, Said};
use crate::resident::{Executable, LastWords, Line, Lines, Program, Streams, ending};
use crate::script::capture::{self, Room};

/// How long an executable that has closed its output may take to end, before it is ended.
const LINGER: Duration = Duration::from_secs(1);

/// How many lines of complaint are read before something else is listened to.
const DRAINED: usize = 10_000;

/// How much of a line that makes no sense is quoted, in characters.
const QUOTED: usize = 80;

/// A running executable. Dropping it ends the executable and all that it has started.
#[derive(Debug)]
pub(super) struct Conversation {
    shared: Arc<Shared>,
    outgoing: mpsc::UnboundedSender<Vec<u8>>,
    /// Ended with this.
    _tasks: JoinSet<()>,
}

#[derive(Debug)]
struct Shared {
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    /// The number of the next message.
    next: u64,
    asked: HashMap<u64, Asked>,
    /// Why nothing can be asked any more.
    over: Option<Arc<str>>,
    /// Says why it is to end.
    end: Option<oneshot::Sender<String>>,
}

/// What has been asked and not answered.
#[derive(Debug)]
struct Asked {
    answer: oneshot::Sender<Value>,
    log: Option<(Arc<dyn LogSink>, Mask)>,
    room: Room,
}

/// An answer that is waited for. Dropping it forgets it.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) id: u64,
    answer: oneshot::Receiver<Value>,
    shared: Arc<Shared>,
}

impl Shared {
    fn open(&self) -> MutexGuard<'_, Open> {
        // Every critical section leaves it whole.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a line to the log of whoever has asked `id`, or of all where nobody can tell whose it is.
    fn tell(&self, id: Option<u64>, stream: Stream, bytes: &[u8], cut: bool) {
        for (asked_id, asked) in &mut self.open().asked {
            let Some((log, mask)) = asked.log.as_ref().filter(|_| id.is_none_or(|id| id == *asked_id)) else {
                continue;
            };
            // Masked before it is cut, so that no half of a secret is left.
            let text = capture::readable(bytes, cut);
            let text = mask.text(&text);
            let end = text.floor_char_boundary(capture::LINE_LIMIT);
            let more = if cut || end < text.len() { " … (cut)" } else { "" };
            asked.room.line(&**log, stream, &format!("{}{more}", &text[..end]));
        }
    }
}

impl Conversation {
    /// Starts the executable.
    ///
    /// # Errors
    /// Where it cannot be started.
    pub(super) async fn start(executable: &Executable) -> Result<Self, StepError> {
        let (program, Streams { stdin, stdout, stderr }) = Program::start(executable).await?;
        let (end, ends) = oneshot::channel();
        let open = Open { end: Some(end), ..Open::default() };
        let shared = Arc::new(Shared { open: Mutex::new(open) });
        let (outgoing, lines) = mpsc::unbounded_channel();
        let mut tasks = JoinSet::new();
        tasks.spawn(write(stdin, lines));
        tasks.spawn(listen(program, stdout, stderr, shared.clone(), ends));
        Ok(Self { shared, outgoing, _tasks: tasks })
    }

    /// Why nothing can be asked any more, if that is so.
    pub(super) fn over(&self) -> Option<Arc<str>> {
        self.shared.open().over.clone()
    }

    /// Asks something. `message` makes it from its number.
    ///
    /// # Errors
    /// Why nothing can be asked any more: nothing was sent.
    pub(super) fn ask(
        &self,
        context: Option<&Context>,
        message: impl FnOnce(u64) -> Value,
    ) -> Result<Pending, Arc<str>> {
        let mut open = self.shared.open();
        if let Some(over) = &open.over {
            return Err(over.clone());
        }
        open.next += 1;
        let id = open.next;
        let (answer, receiver) = oneshot::channel();
        let log = context.map(|context| (context.log.clone(), context.mask.clone()));
        open.asked.insert(id, Asked { answer, log, room: Room::default() });
        drop(open);
        self.say(&message(id));
        Ok(Pending { id, answer: receiver, shared: self.shared.clone() })
    }

    /// Says something that nobody answers.
    pub(super) fn say(&self, message: &Value) {
        let mut line = message.to_string().into_bytes();
        line.push(b'\n');
        // Nobody listens any more: whoever waits for an answer is told.
        let _ = self.outgoing.send(line);
    }

    /// Ends the executable, and says why to all who wait for an answer.
    pub(super) fn end(&self, why: &str) {
        let end = self.shared.open().end.take();
        if let Some(end) = end {
            // It has ended by itself.
            let _ = end.send(why.to_owned());
        }
    }
}

impl Pending {
    /// The answer.
    ///
    /// # Errors
    /// Why there will be none.
    pub(super) async fn answer(&mut self) -> Result<Value, Arc<str>> {
        (&mut self.answer)
            .await
            .map_err(|_| self.shared.open().over.clone().unwrap_or_else(|| "it has ended".into()))
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.shared.open().asked.remove(&self.id);
    }
}

async fn write(mut stdin: ChildStdin, mut lines: mpsc::UnboundedReceiver<Vec<u8>>) {
    while let Some(line) = lines.recv().await {
        if stdin.write_all(&line).await.is_err() {
            // It reads no more. What it still has to say is listened to.
            return;
        }
    }
}

/// Listens until it ends, or says something that makes no sense, or is to end.
async fn listen(
    mut program: Program,
    stdout: ChildStdout,
    stderr: ChildStderr,
    shared: Arc<Shared>,
    ends: oneshot::Receiver<String>,
) {
    let mut said = Lines::new(stdout, LINE_LIMIT);
    let mut complaints = Lines::new(stderr, capture::LINE_LIMIT);
    let words = LastWords::default();
    tokio::pin!(ends);
    let why = loop {
        tokio::select! {
            line = said.next() => match line {
                Line::Whole(line) => {
                    drain(&mut complaints, &shared, &words).await;
                    let Err(why) = heard(&shared, &line) else { continue };
                    break format!("has said what makes no sense: {why}{}", words.quoted());
                },
                Line::Cut(_) => break format!("has said a line that is longer than {} MiB", LINE_LIMIT >> 20),
                Line::End => break ended(&mut program, &mut complaints, &shared, &words).await,
            },
            line = complaints.next(), if !complaints.is_over() => complained(&shared, &words, line),
            Ok(why) = &mut ends => break why,
        }
    };
    {
        let mut open = shared.open();
        open.over = Some(why.into());
    }
    // First it is gone, then it is told: who begins again must not find it.
    program.end(Duration::ZERO).await;
    shared.open().asked.clear();
}

/// Reads what it has complained of before it said what was just heard: that is there already, and belongs to the attempt that
/// may end with it.
async fn drain(complaints: &mut Lines<ChildStderr>, shared: &Shared, words: &LastWords) {
    for _ in 0..DRAINED {
        tokio::select! {
            biased;
            line = complaints.next(), if !complaints.is_over() => complained(shared, words, line),
            () = std::future::ready(()) => return,
        }
    }
}

/// It has closed its output: waits for its end.
async fn ended(
    program: &mut Program,
    complaints: &mut Lines<ChildStderr>,
    shared: &Shared,
    words: &LastWords,
) -> String {
    let wait = async {
        let status = program.wait().await;
        // What it has started may hold this open.
        let rest = async {
            while !complaints.is_over() {
                complained(shared, words, complaints.next().await);
            }
        };
        let _ = timeout(LINGER / 4, rest).await;
        status
    };
    match timeout(LINGER, wait).await {
        Ok(status) => format!("has ended ({}){}", ending(&status), words.quoted()),
        Err(_) => format!("has closed its standard output{}", words.quoted()),
    }
}

fn complained(shared: &Shared, words: &LastWords, line: Line) {
    let (line, cut) = match line {
        Line::Whole(line) => (line, false),
        Line::Cut(line) => (line, true),
        Line::End => return,
    };
    words.add(&capture::readable(&line, cut));
    shared.tell(None, Stream::Stderr, &line, cut);
}

/// Takes a line in.
///
/// # Errors
/// Why it makes no sense.
fn heard(shared: &Shared, line: &[u8]) -> Result<(), String> {
    let quoted = || {
        let line = capture::readable(line, false);
        let shown: String = line.chars().take(QUOTED).collect();
        let more = if shown.len() < line.len() { "…" } else { "" };
        format!("`{shown}{more}`")
    };
    match message::read(line).map_err(|why| format!("{why}: {}", quoted()))? {
        Said::Line { id, stream, text } => shared.tell(Some(id), stream, text.as_bytes(), false),
        Said::Answer { id, body } => {
            let mut open = shared.open();
            if id == 0 || id > open.next {
                return Err(format!("an answer to message {id}, which there was not: {}", quoted()));
            }
            if let Some(asked) = open.asked.remove(&id) {
                // Who does not wait any more needs no answer.
                let _ = asked.answer.send(body);
            }
        }
    }
    Ok(())
}
