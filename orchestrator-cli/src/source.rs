//! Reading what a user names: a file, stdin, a pipe. Bounded, and never for ever.

use std::fs::File;
use std::io::{self, ErrorKind, IsTerminal, Read};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use crate::exit::Exit;
use crate::output::{Problem, suggest};

/// How long a named pipe may have no writer before we give up.
const PIPE_PATIENCE: Duration = Duration::from_secs(3);

/// How messages name stdin.
pub(crate) const STDIN: &str = "<stdin>";

/// A text that was read, with the name messages use for its place.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
}

/// Reads a file, or stdin for `-`; at most `limit` bytes.
///
/// # Errors
/// Not found, unreadable, a folder, too long. `what` says what was wanted: `workflow`.
pub(crate) fn read(path: &Path, limit: u64, what: &'static str) -> Result<Source, Problem> {
    if path.as_os_str() == "-" {
        if io::stdin().is_terminal() {
            return Err(Problem::new(
                Exit::Usage,
                "stdin_is_a_terminal",
                format!("stdin is a terminal; expected a {what} on it"),
            )
            .hint(format!("pipe the {what} in, or name a file")));
        }
        let bytes = bounded(io::stdin().lock(), limit, STDIN)?;
        return Ok(Source { name: STDIN.to_owned(), bytes });
    }
    let name = path.display().to_string();
    let failed = |error: &io::Error| cannot_read(&name, what, error);
    let kind = std::fs::metadata(path).map_err(|error| {
        let problem = failed(&error);
        match neighbour(path).filter(|_| error.kind() == ErrorKind::NotFound) {
            Some(near) => problem.hint(format!("did you mean {near}?")),
            None => problem,
        }
    })?;
    let kind = kind.file_type();
    if kind.is_dir() {
        return Err(Problem::new(Exit::Invalid, "is_a_folder", format!("{name} is a folder, not a {what}")));
    }
    let file = if kind.is_fifo() {
        open_pipe(path, &name)?
    } else {
        File::open(path).map_err(|error| failed(&error))?
    };
    let bytes = bounded(file, limit, &name)?;
    Ok(Source { name, bytes })
}

/// The file beside a path whose name is nearest to its own.
fn neighbour(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let entries = std::fs::read_dir(folder.unwrap_or(Path::new("."))).ok()?;
    let names: Vec<String> =
        entries.take(10_000).filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    let near = suggest::nearest(name, names.iter().map(String::as_str))?;
    Some(path.with_file_name(near).display().to_string())
}

fn bounded(reader: impl Read, limit: u64, name: &str) -> Result<Vec<u8>, Problem> {
    let mut bytes = Vec::new();
    let read = reader.take(limit + 1).read_to_end(&mut bytes);
    read.map_err(|error| cannot_read(name, "text", &error))?;
    if bytes.len() as u64 > limit {
        let title = format!("{name} is longer than {limit} bytes");
        return Err(Problem::new(Exit::Invalid, "too_large", title));
    }
    Ok(bytes)
}

/// Opening a pipe waits for its writer. A thread that waits in vain ends with the process.
fn open_pipe(path: &Path, name: &str) -> Result<File, Problem> {
    let (sender, opened) = mpsc::channel();
    let path = path.to_owned();
    std::thread::spawn(move || sender.send(File::open(path)));
    match opened.recv_timeout(PIPE_PATIENCE) {
        Ok(file) => file.map_err(|error| cannot_read(name, "text", &error)),
        Err(_) => {
            Err(Problem::new(Exit::Invalid, "no_writer", format!("{name} is a pipe that nobody writes to")))
        }
    }
}

fn cannot_read(name: &str, what: &'static str, error: &io::Error) -> Problem {
    match error.kind() {
        ErrorKind::NotFound => {
            Problem::new(Exit::NotFound, "file_not_found", format!("there is no file {name}"))
        }
        ErrorKind::PermissionDenied => Problem::new(
            Exit::Denied,
            "file_unreadable",
            format!("{name} may not be read: permission denied"),
        ),
        _ => Problem::new(
            Exit::Invalid,
            "file_unreadable",
            format!("{name} cannot be read as a {what}: {error}"),
        ),
    }
}
