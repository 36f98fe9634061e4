//! What a script writes: line by line to the log, and its beginning into the step's output. Memory is bounded however
//! much it writes and however long its lines are.

#[cfg(feature = "process")]
use std::borrow::Cow;
use std::collections::VecDeque;
use std::convert::Infallible;

use orchestrator_core::port::plugin::{LogSink, Stream};
use orchestrator_core::port::secret::{Mask, MaskedBytes};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{ChildStderr, ChildStdout};

/// The longest line that goes to the log, in bytes; a longer one is cut there.
pub(crate) const LINE_LIMIT: usize = 64 << 10;

/// How much of an attempt's output goes to the log, in bytes: a script that never ends must not fill the store.
const LOG_LIMIT: u64 = 16 << 20;

/// What a line costs besides its text: millions of empty lines are not free either.
const LINE_COST: u64 = 64;

/// How much is read at a time.
const CHUNK: usize = 16 << 10;

/// How many of the last lines of stderr a failure's message quotes, and how many characters of each.
const QUOTED_LINES: usize = 3;
const QUOTED_CHARS: usize = 300;

/// Reads both outputs of a script.
#[derive(Debug)]
pub(super) struct Capture<'a> {
    stdout: Output<ChildStdout>,
    stderr: Output<ChildStderr>,
    log: Log<'a>,
}

/// What is kept of one output.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Kept {
    /// Its beginning. Bytes that are not UTF-8 and NUL characters stand as U+FFFD. Without line ends at its end,
    /// unless it was cut.
    pub(super) text: String,
    /// How long it was in all, with stars for secrets.
    pub(super) bytes: u64,
    /// Whether it was longer than what is kept.
    pub(super) cut: bool,
}

impl<'a> Capture<'a> {
    /// Reads from these, and keeps up to `limit` bytes of each. Secrets are masked before anything is cut.
    pub(super) fn new(
        outputs: (Option<ChildStdout>, Option<ChildStderr>),
        limit: usize,
        log: &'a dyn LogSink,
        mask: &Mask,
    ) -> Self {
        Self {
            stdout: Output::new(outputs.0, Stream::Stdout, limit, mask),
            stderr: Output::new(outputs.1, Stream::Stderr, limit, mask),
            log: Log { sink: log, room: Room::default() },
        }
    }

    /// Reads until both outputs are closed. Nothing is lost if the future is dropped before.
    pub(super) async fn drain(&mut self) {
        let Self { stdout, stderr, log } = self;
        while stdout.is_open() || stderr.is_open() {
            tokio::select! {
                read = stdout.read(), if stdout.is_open() => stdout.take(read, log),
                read = stderr.read(), if stderr.is_open() => stderr.take(read, log),
            }
        }
    }

    /// Reads for as long as it is polled.
    pub(super) async fn follow(&mut self) -> Infallible {
        self.drain().await;
        std::future::pending().await
    }

    /// Writes a line of this program's own to the log.
    pub(super) fn note(&self, line: &str) {
        self.log.sink.line(Stream::System, line);
    }

    /// The last lines of stderr that are not blank.
    pub(super) fn last_words(&self) -> String {
        self.stderr.last.iter().map(String::as_str).collect::<Vec<_>>().join("\n")
    }

    /// Ends reading: a last line without a line end goes to the log too. Gives what is kept of stdout and stderr.
    pub(super) fn finish(&mut self) -> (Kept, Kept) {
        self.stdout.end(&mut self.log);
        self.stderr.end(&mut self.log);
        (self.stdout.kept(), self.stderr.kept())
    }
}

#[derive(Debug)]
struct Log<'a> {
    sink: &'a dyn LogSink,
    room: Room,
}

impl Log<'_> {
    fn line(&mut self, stream: Stream, line: &str) {
        self.room.line(self.sink, stream, line);
    }
}

/// What an attempt may still write to its log.
#[derive(Debug)]
pub(crate) struct Room(u64);

impl Default for Room {
    fn default() -> Self {
        Self(LOG_LIMIT)
    }
}

impl Room {
    /// Writes a line, if there is room for it; the first one for which there is none is told of.
    pub(crate) fn line(&mut self, sink: &dyn LogSink, stream: Stream, line: &str) {
        let cost = line.len() as u64 + LINE_COST;
        if self.0 >= cost {
            self.0 -= cost;
            sink.line(stream, line);
        } else if self.0 > 0 {
            self.0 = 0;
            let limit = LOG_LIMIT >> 20;
            sink.line(Stream::System, &format!("output beyond {limit} MiB is not kept in the log"));
        }
    }
}

#[derive(Debug)]
struct Output<R> {
    /// `None` once it is closed.
    from: Option<R>,
    chunk: Box<[u8]>,
    stream: Stream,
    mask: MaskedBytes,
    /// The line so far, up to the limit.
    line: Vec<u8>,
    /// How long the line is so far.
    line_bytes: u64,
    begun: Vec<u8>,
    limit: usize,
    bytes: u64,
    last: VecDeque<String>,
}

impl<R: AsyncRead + Unpin> Output<R> {
    fn new(from: Option<R>, stream: Stream, limit: usize, mask: &Mask) -> Self {
        Self {
            from,
            chunk: vec![0; CHUNK].into_boxed_slice(),
            stream,
            mask: MaskedBytes::new(mask.clone()),
            line: Vec::new(),
            line_bytes: 0,
            begun: Vec::new(),
            limit,
            bytes: 0,
            last: VecDeque::new(),
        }
    }

    const fn is_open(&self) -> bool {
        self.from.is_some()
    }

    /// Reads into the chunk. Nothing is lost if the future is dropped.
    async fn read(&mut self) -> usize {
        match &mut self.from {
            // A pipe that cannot be read any more is as good as closed.
            Some(from) => from.read(&mut self.chunk).await.unwrap_or(0),
            None => 0,
        }
    }

    /// Takes in `read` bytes of the chunk; 0 means that the output was closed.
    fn take(&mut self, read: usize, log: &mut Log<'_>) {
        if read == 0 {
            self.from = None;
            return;
        }
        let chunk = std::mem::take(&mut self.chunk);
        match self.mask.is_idle() {
            true => self.add(&chunk[..read], log),
            false => {
                let decided = self.mask.take(&chunk[..read]);
                self.add(&decided, log);
            }
        }
        self.chunk = chunk;
    }

    /// Takes in bytes that may be shown.
    fn add(&mut self, new: &[u8], log: &mut Log<'_>) {
        self.bytes += new.len() as u64;
        let room = self.limit - self.begun.len();
        self.begun.extend_from_slice(&new[..room.min(new.len())]);
        let mut pieces = new.split_inclusive(|byte| *byte == b'\n');
        for piece in pieces.by_ref() {
            let (text, ends) = piece.strip_suffix(b"\n").map_or((piece, false), |text| (text, true));
            let room = LINE_LIMIT - self.line.len();
            self.line.extend_from_slice(&text[..room.min(text.len())]);
            self.line_bytes += text.len() as u64;
            if ends {
                self.end_line(log, false);
            }
        }
    }

    /// Nothing comes any more.
    fn end(&mut self, log: &mut Log<'_>) {
        let held = self.mask.finish();
        self.add(&held, log);
        self.end_line(log, true);
    }

    /// The line is complete. The end of the output ends a line only if one was begun.
    fn end_line(&mut self, log: &mut Log<'_>, at_end: bool) {
        if at_end && self.line_bytes == 0 {
            return;
        }
        let cut = self.line_bytes > self.line.len() as u64;
        let bytes = self.line.strip_suffix(b"\r").filter(|_| !cut).unwrap_or(&self.line);
        let mut line = readable(bytes, cut);
        if cut {
            line.push_str(&format!(" … (cut; the line is {} bytes long)", self.line_bytes));
        }
        if self.stream == Stream::Stderr && !line.trim().is_empty() {
            if self.last.len() == QUOTED_LINES {
                self.last.pop_front();
            }
            self.last.push_back(line.chars().take(QUOTED_CHARS).collect());
        }
        log.line(self.stream, &line);
        self.line.clear();
        self.line_bytes = 0;
    }

    fn kept(&mut self) -> Kept {
        let cut = self.bytes > self.begun.len() as u64;
        let mut text = readable(&std::mem::take(&mut self.begun), cut);
        if !cut {
            text.truncate(text.trim_end_matches('\n').len());
        }
        Kept { text, bytes: self.bytes, cut }
    }
}

/// As [`readable`], without what the masks keep out of it. Where it was `cut`, what may be the beginning of a value is left out
/// too: its rest is missing, so that it would not be known.
#[cfg(feature = "process")]
pub(crate) fn masked<'m>(bytes: &[u8], cut: bool, masks: impl IntoIterator<Item = &'m Mask>) -> String {
    let mut shown = Cow::Borrowed(bytes);
    for mask in masks.into_iter().filter(|mask| !mask.is_empty()) {
        let mut masked = MaskedBytes::new(mask.clone());
        let mut decided = masked.take(&shown);
        if !cut {
            decided.extend(masked.finish());
        }
        shown = Cow::Owned(decided);
    }
    readable(&shown, cut)
}

/// As text that every store can keep. Where it was `cut`, a character that lost its end there is left out.
pub(crate) fn readable(bytes: &[u8], cut: bool) -> String {
    let tail = bytes.utf8_chunks().last().map_or(&[][..], |last| last.invalid());
    let whole = if cut && could_go_on(tail) { bytes.len() - tail.len() } else { bytes.len() };
    let text = String::from_utf8_lossy(&bytes[..whole]);
    if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text.into_owned() }
}

fn could_go_on(bytes: &[u8]) -> bool {
    !bytes.is_empty() && std::str::from_utf8(bytes).is_err_and(|error| error.error_len().is_none())
}

#[cfg(test)]
mod tests;
