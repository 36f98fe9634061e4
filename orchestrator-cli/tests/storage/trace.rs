//! What processes have asked the system for, as `strace` has written it down, in one order.

use std::collections::HashMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The calls that change files or directories, or bring them to the disk.
const CALLS: &str = "openat,open,creat,write,pwrite64,writev,pwritev,pwritev2,fsync,fdatasync,sync,syncfs,\
                     sync_file_range,ftruncate,truncate,fallocate,rename,renameat,renameat2,unlink,unlinkat,rmdir,\
                     mkdir,mkdirat,link,linkat,symlink,symlinkat,copy_file_range,sendfile,msync";

/// What the path of a file has at its end that nothing is called by any longer.
pub(crate) const DELETED: &str = " (deleted)";

/// A call that has come back.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) name: String,
    pub(crate) args: Vec<Arg>,
    /// What it has answered; -1 where it has failed.
    pub(crate) answer: i64,
    /// Its place in the order: when it was begun, and when it was done. No two calls share a place.
    pub(crate) from: usize,
    pub(crate) until: usize,
}

/// An argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Arg {
    /// A descriptor, or the current folder, and what it stands for.
    Place(PathBuf),
    Bytes(Vec<u8>),
    Word(String),
}

/// `strace` in front of a command, all its children followed, with what each call was given in full.
///
/// # Panics
/// If there is no `strace`: without it nothing here is tested.
pub(crate) fn strace(into: &Path) -> Command {
    let found = Command::new("strace").arg("-V").output();
    assert!(
        found.is_ok_and(|found| found.status.success()),
        "these tests need strace: apt-get install strace"
    );
    let mut command = Command::new("strace");
    command.args(["-f", "-y", "--seccomp-bpf", "-s", "16777216", "-e", "signal=none", "-e"]);
    command.arg(format!("trace={CALLS}")).arg("-o").arg(into);
    command
}

/// The calls that have come back, in the order in which they did.
pub(crate) fn read(text: &[u8]) -> Vec<Call> {
    let mut calls = Vec::new();
    let mut begun: HashMap<&[u8], (usize, Vec<u8>)> = HashMap::new();
    for (place, line) in text.split(|byte| *byte == b'\n').enumerate() {
        let Some(space) = line.iter().position(|byte| *byte == b' ') else { continue };
        let (process, rest) = (&line[..space], line[space..].trim_ascii());
        if let Some(head) = rest.strip_suffix(b"<unfinished ...>") {
            begun.insert(process, (place, head.trim_ascii_end().to_vec()));
        } else if rest.starts_with(b"<... ") {
            let tail = rest.iter().position(|byte| *byte == b'>').map_or(rest, |at| &rest[at + 1..]);
            if let Some((from, mut head)) = begun.remove(process) {
                head.extend_from_slice(tail);
                calls.extend(call(&head, from, place));
            }
        } else {
            calls.extend(call(rest, place, place));
        }
    }
    calls
}

fn call(text: &[u8], from: usize, until: usize) -> Option<Call> {
    let open = text.iter().position(|byte| *byte == b'(')?;
    let name = String::from_utf8(text[..open].to_vec()).ok()?;
    let mut reader = Reader { text, at: open + 1 };
    let mut args = Vec::new();
    while let Some(arg) = reader.arg() {
        args.push(arg);
    }
    let rest = String::from_utf8_lossy(&text[reader.at..]).into_owned();
    let answer = rest.split_once("= ")?.1;
    let digits: String = answer.chars().take_while(|c| c.is_ascii_digit() || *c == '-').collect();
    // `?` stands for a process that has ended in it.
    Some(Call { name, args, answer: digits.parse().ok()?, from, until })
}

struct Reader<'t> {
    text: &'t [u8],
    at: usize,
}

impl Reader<'_> {
    fn peek(&self) -> u8 {
        self.text.get(self.at).copied().unwrap_or(0)
    }

    /// The next argument; none behind the last.
    fn arg(&mut self) -> Option<Arg> {
        while matches!(self.peek(), b',' | b' ') {
            self.at += 1;
        }
        match self.peek() {
            b')' | 0 => {
                self.at += 1;
                None
            }
            b'"' => {
                let bytes = self.quoted(b'"');
                assert!(!self.text[self.at..].starts_with(b"..."), "strace has cut what was written");
                Some(Arg::Bytes(bytes))
            }
            _ => Some(self.word()),
        }
    }

    fn word(&mut self) -> Arg {
        let begin = self.at;
        let mut depth = 0;
        loop {
            match self.peek() {
                0 => break,
                b'<' if depth == 0 => {
                    let mut path = self.quoted(b'>');
                    if self.text[self.at..].starts_with(b"(deleted)") {
                        self.at += b"(deleted)".len();
                        path.extend_from_slice(DELETED.as_bytes());
                    }
                    return Arg::Place(OsString::from_vec(path).into());
                }
                b'"' => drop(self.quoted(b'"')),
                b'[' | b'{' | b'(' => {
                    depth += 1;
                    self.at += 1;
                }
                b')' | b',' if depth == 0 => break,
                b']' | b'}' | b')' => {
                    depth -= 1;
                    self.at += 1;
                }
                _ => self.at += 1,
            }
        }
        Arg::Word(String::from_utf8_lossy(&self.text[begin..self.at]).into_owned())
    }

    /// What stands from here to `end`, as it was before it was escaped.
    fn quoted(&mut self, end: u8) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.at += 1;
        while self.at < self.text.len() && self.peek() != end {
            let byte = self.peek();
            self.at += 1;
            bytes.push(if byte == b'\\' { self.escaped() } else { byte });
        }
        self.at += 1;
        bytes
    }

    fn escaped(&mut self) -> u8 {
        let byte = self.peek();
        self.at += 1;
        match byte {
            b'n' => b'\n',
            b't' => b'\t',
            b'r' => b'\r',
            b'v' => 0x0b,
            b'f' => 0x0c,
            b'0'..=b'7' => {
                let mut value = u32::from(byte - b'0');
                for _ in 0..2 {
                    if let digit @ b'0'..=b'7' = self.peek() {
                        value = value * 8 + u32::from(digit - b'0');
                        self.at += 1;
                    } else {
                        break;
                    }
                }
                value.to_le_bytes()[0]
            }
            other => other,
        }
    }
}

#[test]
fn what_strace_writes_is_read_as_it_was_meant() {
    let text = b"7 pwrite64(3</a b/\\303\\274>, \"x\\0\\\"1\\1772\\n\", 7, 512 <unfinished ...>\n\
                 8 openat(AT_FDCWD</r>, \"n\", O_RDWR|O_CREAT, 0600) = 4</r/n>\n\
                 7 <... pwrite64 resumed>) = 7\n8 fsync(4</r/n>) = -1 EIO (Input/output error) (INJECTED)\n\
                 8 writev(1<pipe:[5]>, [{iov_base=\"a, b\", iov_len=4}], 1) = 4\n8 +++ exited with 0 +++\n";
    let calls = read(text);
    let shown: Vec<_> = calls.iter().map(|call| (&*call.name, call.from, call.until, call.answer)).collect();
    assert_eq!(shown, [("openat", 1, 1, 4), ("pwrite64", 0, 2, 7), ("fsync", 3, 3, -1), ("writev", 4, 4, 4)]);
    assert_eq!(calls[0].args[0], Arg::Place("/r".into()));
    assert_eq!(calls[0].args[1], Arg::Bytes(b"n".to_vec()));
    assert_eq!(calls[1].args[0], Arg::Place("/a b/ü".into()));
    assert_eq!(calls[1].args[1], Arg::Bytes(b"x\0\"1\x7f2\n".to_vec()));
    assert_eq!(calls[1].args[3], Arg::Word("512".to_owned()));
    assert_eq!(calls[3].args.len(), 3);
}

#[test]
#[should_panic(expected = "strace has cut what was written")]
fn what_was_cut_is_not_taken_for_the_whole() {
    read(b"7 pwrite64(3</a>, \"x\"..., 6, 512) = 6\n");
}
