//! The two streams. A reader that goes away ends us quietly; a full disk is an error; nothing panics.

use std::io::{self, ErrorKind, IsTerminal, Write};

use rustix::termios::tcgetwinsize;
use serde::Serialize;

use crate::exit::Exit;
use crate::output::style::Style;
use crate::output::{Problem, table};

/// How JSON is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Json {
    /// One object (or JSON Lines where a command gives a sequence).
    Object,
    /// One event object a line while the run runs, then the object.
    Stream,
}

/// Where and how a command writes.
#[derive(Debug)]
pub(crate) struct Output {
    json: Option<Json>,
    quiet: bool,
    out: Style,
    err: Style,
}

impl Output {
    /// Looks at the streams and the environment.
    pub(crate) fn new(json: Option<Json>, quiet: bool) -> Self {
        Self { json, quiet, out: Style::of(&io::stdout()), err: Style::of(&io::stderr()) }
    }

    /// Whether stdout carries JSON, and in which form.
    pub(crate) const fn json(&self) -> Option<Json> {
        self.json
    }

    /// Whether only results and problems are wanted.
    pub(crate) const fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Whether someone watches stderr.
    pub(crate) fn is_watched(&self) -> bool {
        io::stderr().is_terminal()
    }

    /// How stdout is written to.
    pub(crate) const fn out(&self) -> &Style {
        &self.out
    }

    /// How stderr is written to.
    pub(crate) const fn err(&self) -> &Style {
        &self.err
    }

    /// Writes a text and a line end to stdout.
    pub(crate) fn print(&self, text: &str) -> Result<(), Problem> {
        write_out(text.as_bytes())
    }

    /// Writes a text to stdout as it is, without a line end of ours.
    pub(crate) fn print_as_it_is(&self, text: &str) -> Result<(), Problem> {
        write_bytes(text.as_bytes(), b"")
    }

    /// Writes a table to stdout.
    pub(crate) fn table(&self, headers: &[&str], rows: Vec<Vec<String>>) -> Result<(), Problem> {
        let width = tcgetwinsize(io::stdout()).ok().map(|size| size.ws_col).filter(|width| *width > 0);
        self.print(&table::render(headers, rows, width, &self.out))
    }

    /// Writes one JSON value to stdout: laid out for a person at a terminal, else on one line.
    pub(crate) fn print_json(&self, value: &impl Serialize) -> Result<(), Problem> {
        let pretty = io::stdout().is_terminal() && self.json != Some(Json::Stream);
        let text = if pretty { serde_json::to_string_pretty(value) } else { serde_json::to_string(value) };
        self.print(&text.map_err(|error| unencodable(&error))?)
    }

    /// Writes one JSON value as a line of its own to stdout.
    pub(crate) fn print_json_line(&self, value: &impl Serialize) -> Result<(), Problem> {
        self.print(&encoded(value)?)
    }

    /// Tells something beside the result, on stderr; nothing with `--quiet` or `--json`.
    pub(crate) fn note(&self, text: &str) {
        if !self.quiet && self.json.is_none() {
            self.say(text);
        }
    }

    /// Writes a line to stderr, whatever was asked for. Where stderr is gone there is nobody to tell.
    pub(crate) fn say(&self, text: &str) {
        let _ = io::stderr().lock().write_all(format!("{text}\n").as_bytes());
    }

    /// Writes a problem to stderr.
    pub(crate) fn problem(&self, problem: &Problem) {
        if problem.is_silent() {
            return;
        }
        match self.json {
            Some(_) => self.say(&problem.to_json()),
            None => self.say(problem.to_human(&self.err).trim_end_matches('\n')),
        }
    }
}

/// Rows and columns of the terminal at stderr, if there is one.
pub(crate) fn watched_size() -> Option<(u16, u16)> {
    tcgetwinsize(io::stderr())
        .ok()
        .map(|size| (size.ws_row, size.ws_col))
        .filter(|(rows, columns)| *rows > 0 && *columns > 0)
}

fn write_out(text: &[u8]) -> Result<(), Problem> {
    write_bytes(text, b"\n")
}

fn write_bytes(text: &[u8], end: &[u8]) -> Result<(), Problem> {
    let mut out = io::stdout().lock();
    let written = out.write_all(text).and_then(|()| out.write_all(end)).and_then(|()| out.flush());
    written.map_err(|error| match error.kind() {
        ErrorKind::BrokenPipe => Problem::reader_gone(),
        _ => Problem::new(
            Exit::Unavailable,
            "output_failed",
            format!("cannot write to standard output: {error}"),
        ),
    })
}

/// One JSON value on one line.
pub(crate) fn encoded(value: &impl Serialize) -> Result<String, Problem> {
    serde_json::to_string(value).map_err(|error| unencodable(&error))
}

fn unencodable(error: &serde_json::Error) -> Problem {
    Problem::new(Exit::Unavailable, "output_failed", format!("the answer cannot be encoded as JSON: {error}"))
}
