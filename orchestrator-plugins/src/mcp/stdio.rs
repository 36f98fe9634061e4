//! A server that is a program: its output is held to lines of a bounded length.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context as Task, Poll};
use std::time::Duration;

use orchestrator_core::machine::StepError;
use orchestrator_core::mask::Mask;
use orchestrator_core::port::plugin::{Context, Stream};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::process::{ChildStderr, ChildStdin, ChildStdout};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::trouble::{Trouble, Troubles};
use crate::outbound::shortened;
use crate::resident::{Executable, LastWords, Line, Lines, Program, Streams, ending};
use crate::script::capture::{self, Room};

/// The longest message that is taken, in bytes of its line: 16 MiB.
const LINE_LIMIT: usize = 16 << 20;

/// How much of a line that is no message is quoted, in bytes.
const QUOTED: usize = 80;

/// How long a server may take to end by itself, once its standard input has ended.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long the end of a server whose output has ended is waited for, for the message.
const LINGER: Duration = Duration::from_millis(500);

/// A running server.
#[derive(Debug)]
pub(super) struct Server {
    program: Program,
    complaints: Option<JoinHandle<()>>,
    words: Arc<LastWords>,
    odd: Odd,
}

/// The first line that was no message.
#[derive(Debug, Clone, Default)]
struct Odd(Arc<Mutex<Option<String>>>);

impl Server {
    /// Starts it. What it complains of goes to the log of the attempt.
    ///
    /// # Errors
    /// Where it cannot be started.
    pub(super) async fn start(
        executable: &Executable,
        context: &Context,
        troubles: Troubles,
    ) -> Result<(Self, Output, ChildStdin), StepError> {
        let (program, Streams { stdin, stdout, stderr }) = Program::start(executable).await?;
        let (words, odd) = (Arc::<LastWords>::default(), Odd::default());
        let complaints = Some(tokio::spawn(follow(stderr, context.clone(), words.clone())));
        let mask = context.mask.clone();
        let output = Output { from: stdout, troubles, odd: odd.clone(), mask, length: 0, begun: Vec::new() };
        Ok((Self { program, complaints, words, odd }, output, stdin))
    }

    /// What there is to say of a server that does not answer.
    pub(super) async fn why(&mut self) -> String {
        let ended = timeout(LINGER, self.program.wait()).await.ok();
        if ended.is_some() {
            hear_out(self.complaints.take()).await;
        }
        let how = match &ended {
            Some(status) => format!("the server has ended ({})", ending(status)),
            None => "the server does not answer".to_owned(),
        };
        let odd = self.odd.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        let odd =
            odd.map(|line| format!("; it has written what is no message: `{line}`")).unwrap_or_default();
        format!("{how}{odd}{}", self.words.quoted())
    }

    /// Ends it and all that it has started. Its standard input has ended before.
    pub(super) async fn end(self) {
        self.program.end(PATIENCE).await;
        hear_out(self.complaints).await;
    }
}

/// Reads what a server that has ended has complained of, to the end.
async fn hear_out(complaints: Option<JoinHandle<()>>) {
    let Some(mut complaints) = complaints else { return };
    // What it has started may hold this open.
    if timeout(LINGER, &mut complaints).await.is_err() {
        complaints.abort();
    }
}

async fn follow(stderr: ChildStderr, context: Context, words: Arc<LastWords>) {
    let (mut lines, mut room) = (Lines::new(stderr, capture::LINE_LIMIT), Room::default());
    loop {
        let (line, cut) = match lines.next().await {
            Line::Whole(line) => (line, false),
            Line::Cut(line) => (line, true),
            Line::End => return,
        };
        // Masked before it is cut, here and there.
        let text = capture::masked(&line, cut, [&context.mask]);
        words.add(&text);
        let more = if cut { " … (cut)" } else { "" };
        room.line(&*context.log, Stream::Stderr, &format!("{text}{more}"));
    }
}

/// The output of a server, which ends where a line is too long.
#[derive(Debug)]
pub(super) struct Output {
    from: ChildStdout,
    troubles: Troubles,
    odd: Odd,
    mask: Mask,
    /// How long the line is so far.
    length: usize,
    /// Its beginning.
    begun: Vec<u8>,
}

impl Output {
    fn look(&mut self, new: &[u8]) -> io::Result<()> {
        for piece in new.split_inclusive(|byte| *byte == b'\n') {
            let room = QUOTED - self.begun.len();
            self.begun.extend_from_slice(&piece[..room.min(piece.len())]);
            self.length += piece.len();
            if self.length > LINE_LIMIT {
                let why =
                    format!("the server has written a line that is longer than {} MiB", LINE_LIMIT >> 20);
                self.troubles.note(Trouble::Odd(why.clone()));
                return Err(io::Error::other(why));
            }
            if piece.ends_with(b"\n") {
                let line = self.begun.trim_ascii();
                if !line.is_empty() && !line.starts_with(b"{") && !line.starts_with(b"[") {
                    let line = shortened(&capture::masked(line, true, [&self.mask]), QUOTED);
                    self.odd.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(line);
                }
                self.begun.clear();
                self.length = 0;
            }
        }
        Ok(())
    }
}

impl AsyncRead for Output {
    fn poll_read(self: Pin<&mut Self>, task: &mut Task<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = into.filled().len();
        match Pin::new(&mut this.from).poll_read(task, into) {
            Poll::Ready(Ok(())) => Poll::Ready(this.look(&into.filled()[before..])),
            other => other,
        }
    }
}
