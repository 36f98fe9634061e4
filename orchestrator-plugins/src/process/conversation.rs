//! What is said to a running executable, and what it says.

use std::collections::HashMap;
use std::io;
use std::process::ExitStatus;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use orchestrator_core::machine::StepError;
use orchestrator_core::mask::Mask;
use orchestrator_core::port::plugin::{Context, LogSink, StopReason, Stream};
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::process::{ChildStderr, ChildStdin, ChildStdout};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::message::{self, LINE_LIMIT, Said};
use crate::resident::{Executable, LastWords, Line, Lines, Program, Streams, ending};
use crate::script::capture::{self, Room};

/// How long an executable that has closed its output, or reads no more, may take to end, before it is ended.
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
    /// What must not be shown, as whoever has asked last knows it.
    mask: Mask,
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

/// An answer that is waited for. Dropping it before it has come forgets it, and tells an attempt to stop.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) id: u64,
    answer: oneshot::Receiver<Value>,
    shared: Arc<Shared>,
    outgoing: mpsc::UnboundedSender<Vec<u8>>,
}

impl Open {
    /// A line as text that may be shown. It may be of any attempt: nobody can tell what it knows.
    fn shown(&self, bytes: &[u8], cut: bool) -> String {
        let asked = self.asked.values().filter_map(|asked| Some(&asked.log.as_ref()?.1));
        capture::masked(bytes, cut, asked.chain([&self.mask]))
    }
}

impl Shared {
    fn open(&self) -> MutexGuard<'_, Open> {
        // Every critical section leaves it whole.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a line to the log of whoever has asked `id`, or of all where nobody can tell whose it is. Gives it as text.
    fn tell(&self, id: Option<u64>, stream: Stream, bytes: &[u8], cut: bool) -> String {
        let mut open = self.open();
        // Masked before it is cut, so that no half of a secret is left.
        let text = open.shown(bytes, cut);
        let end = text.floor_char_boundary(capture::LINE_LIMIT);
        let more = if cut || end < text.len() { " … (cut)" } else { "" };
        let line = format!("{}{more}", &text[..end]);
        for (asked_id, asked) in &mut open.asked {
            if let Some((log, _)) = asked.log.as_ref().filter(|_| id.is_none_or(|id| id == *asked_id)) {
                asked.room.line(&**log, stream, &line);
            }
        }
        text
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
        let (deaf, deafness) = oneshot::channel();
        tasks.spawn(write(stdin, lines, deaf));
        let heard = Heard {
            said: Lines::new(stdout, LINE_LIMIT),
            complaints: Lines::new(stderr, capture::LINE_LIMIT),
            shared: shared.clone(),
            words: LastWords::default(),
        };
        tasks.spawn(listen(program, heard, ends, deafness));
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
        if let Some(context) = context {
            open.mask = context.mask.clone();
        }
        open.asked.insert(id, Asked { answer, log, room: Room::default() });
        drop(open);
        self.say(&message(id));
        Ok(Pending { id, answer: receiver, shared: self.shared.clone(), outgoing: self.outgoing.clone() })
    }

    /// Says something that nobody answers.
    pub(super) fn say(&self, message: &Value) {
        send(&self.outgoing, message);
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
        let asked = self.shared.open().asked.remove(&self.id);
        // Whoever has asked has gone away without a word.
        if asked.is_some_and(|asked| asked.log.is_some()) {
            send(&self.outgoing, &message::cancel(self.id, StopReason::Cancelled));
        }
    }
}

fn send(outgoing: &mpsc::UnboundedSender<Vec<u8>>, message: &Value) {
    let mut line = message.to_string().into_bytes();
    line.push(b'\n');
    // Nobody listens any more: whoever waits for an answer is told.
    let _ = outgoing.send(line);
}

/// Writes until it reads no more.
async fn write(
    mut stdin: ChildStdin,
    mut lines: mpsc::UnboundedReceiver<Vec<u8>>,
    deaf: oneshot::Sender<()>,
) {
    while let Some(line) = lines.recv().await {
        if stdin.write_all(&line).await.is_err() {
            // Who listens to it may have heard of its end already.
            let _ = deaf.send(());
            return;
        }
    }
}

/// What is heard of it.
#[derive(Debug)]
struct Heard {
    said: Lines<ChildStdout>,
    complaints: Lines<ChildStderr>,
    shared: Arc<Shared>,
    words: LastWords,
}

/// Listens until it ends, or says something that makes no sense, or is to end.
async fn listen(
    mut program: Program,
    mut heard: Heard,
    ends: oneshot::Receiver<String>,
    deafness: oneshot::Receiver<()>,
) {
    tokio::pin!(ends, deafness);
    let why = tokio::select! {
        why = heard.until_silent() => match why {
            Some(nonsense) => nonsense,
            None => heard.ending(&mut program, "has closed its standard output").await,
        },
        // What it has started may hold its output open.
        status = program.wait() => heard.ended(&status).await,
        Ok(()) = &mut deafness => heard.ending(&mut program, "reads no more from its standard input").await,
        Ok(why) = &mut ends => why,
    };
    let shared = heard.shared;
    {
        let mut open = shared.open();
        open.over = Some(why.into());
    }
    // First it is gone, then it is told: who begins again must not find it.
    program.end(Duration::ZERO).await;
    shared.open().asked.clear();
}

impl Heard {
    /// Takes in what it says, until its output ends: `None`; or until it makes no sense: why. Nothing is lost if the future is
    /// dropped.
    async fn until_silent(&mut self) -> Option<String> {
        loop {
            tokio::select! {
                line = self.said.next() => match line {
                    Line::Whole(line) => {
                        self.drain().await;
                        if let Err(why) = self.heard(&line) {
                            return Some(format!("has said what makes no sense: {why}{}", self.words.quoted()));
                        }
                    },
                    Line::Cut(_) => {
                        return Some(format!("has said a line that is longer than {} MiB", LINE_LIMIT >> 20));
                    }
                    Line::End => return None,
                },
                line = self.complaints.next(), if !self.complaints.is_over() => self.complained(line),
            }
        }
    }

    /// Reads what it has complained of before it said what was just heard: that is there already, and belongs to the attempt
    /// that may end with it.
    async fn drain(&mut self) {
        for _ in 0..DRAINED {
            tokio::select! {
                biased;
                line = self.complaints.next(), if !self.complaints.is_over() => self.complained(line),
                () = std::future::ready(()) => return,
            }
        }
    }

    /// It should end now: waits for that. `sign` is what tells so.
    async fn ending(&mut self, program: &mut Program, sign: &str) -> String {
        match timeout(LINGER, program.wait()).await {
            Ok(status) => self.ended(&status).await,
            Err(_) => {
                self.rest().await;
                format!("{sign}{}", self.words.quoted())
            }
        }
    }

    /// It has ended: its last words count.
    async fn ended(&mut self, status: &io::Result<ExitStatus>) -> String {
        match self.rest().await {
            Some(nonsense) => nonsense,
            None => format!("has ended ({}){}", ending(status), self.words.quoted()),
        }
    }

    /// Takes in what it has left behind. What it has started may hold its outputs open.
    async fn rest(&mut self) -> Option<String> {
        let rest = async {
            let nonsense = self.until_silent().await;
            while !self.complaints.is_over() {
                let line = self.complaints.next().await;
                self.complained(line);
            }
            nonsense
        };
        timeout(LINGER / 4, rest).await.ok().flatten()
    }

    fn complained(&self, line: Line) {
        let (line, cut) = match line {
            Line::Whole(line) => (line, false),
            Line::Cut(line) => (line, true),
            Line::End => return,
        };
        self.words.add(&self.shared.tell(None, Stream::Stderr, &line, cut));
    }

    /// Takes a line in.
    ///
    /// # Errors
    /// Why it makes no sense.
    fn heard(&self, line: &[u8]) -> Result<(), String> {
        let quoted = |open: &Open| {
            // Masked before it is cut.
            let line = open.shown(line, false);
            let shown: String = line.chars().take(QUOTED).collect();
            let more = if shown.len() < line.len() { "…" } else { "" };
            format!("`{shown}{more}`")
        };
        match message::read(line).map_err(|why| format!("{why}: {}", quoted(&self.shared.open())))? {
            Said::Line { id, stream, text } => {
                self.shared.tell(Some(id), stream, text.as_bytes(), false);
            }
            Said::Answer { id, body } => {
                let mut open = self.shared.open();
                if id == 0 || id > open.next {
                    return Err(format!("an answer to message {id}, which there was not: {}", quoted(&open)));
                }
                if let Some(asked) = open.asked.remove(&id) {
                    // Who does not wait any more needs no answer.
                    let _ = asked.answer.send(body);
                }
            }
        }
        Ok(())
    }
}
