//! At a terminal: lines that move, and staying where only a person can move the run.

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex, mpsc};

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::sandbox::PATIENCE;
use crate::{ASK, HELLO, Sandbox, stable};

/// A terminal with a command in it.
pub(crate) struct Terminal {
    keys: File,
    /// All that was written so far.
    screen: Arc<Mutex<Vec<u8>>>,
    /// Said when nothing more comes.
    ended: mpsc::Receiver<()>,
    child: Child,
}

impl Terminal {
    /// Runs a command in a terminal of so many columns.
    pub(crate) fn run(sandbox: &Sandbox, words: &str, columns: u16, env: &[(&str, &str)]) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        tcsetwinsize(&master, Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let open = || rustix::fs::open(&*name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
        let mut command = sandbox.command(words.split_whitespace());
        command.stdin(Stdio::from(open())).stdout(Stdio::from(open())).stderr(Stdio::from(open()));
        let child = command.envs(env.iter().copied()).spawn().unwrap();
        // The command holds the other end: the screen ends with the process.
        drop(command);
        let keys = File::from(master);
        let (screen, ended) = collect(keys.try_clone().unwrap());
        Self { keys, screen, ended, child }
    }

    /// The exit code, and all that was ever on the screen.
    pub(crate) fn end(mut self) -> (Option<i32>, String) {
        let code = self.child.wait().unwrap().code();
        self.ended.recv_timeout(PATIENCE).expect("the screen ends with the process");
        let _ = self.keys.flush();
        (code, self.shown())
    }

    fn shown(&self) -> String {
        String::from_utf8_lossy(&self.screen.lock().unwrap()).into_owned()
    }

    /// Returns when a text has been on the screen.
    pub(crate) fn until_shown(&self, text: &str) {
        crate::sandbox::until(|| self.shown().contains(text));
    }

    /// Presses keys, one after the other.
    pub(crate) fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }
}

/// Reads all of a terminal in the background. One whose other end is gone gives an error in place of an end.
fn collect(mut terminal: File) -> (Arc<Mutex<Vec<u8>>>, mpsc::Receiver<()>) {
    let screen = Arc::new(Mutex::new(Vec::new()));
    let (sender, ended) = mpsc::channel();
    let kept = screen.clone();
    std::thread::spawn(move || {
        let mut chunk = [0; 4096];
        while let Ok(read @ 1..) = terminal.read(&mut chunk) {
            kept.lock().unwrap().extend_from_slice(&chunk[..read]);
        }
        sender.send(())
    });
    (screen, ended)
}

#[test]
fn a_run_stays_while_someone_watches_and_goes_on_when_it_is_approved() {
    let sandbox = Sandbox::with(&[("ask.yaml", ASK)]);
    sandbox.run("init").exits(0);
    let terminal = Terminal::run(&sandbox, "run ask.yaml", 80, &[]);
    crate::sandbox::until(|| {
        let open = sandbox.run("approval list --json");
        open.code == 0 && open.json()["items"].as_array().is_some_and(|items| !items.is_empty())
    });
    let said = sandbox.run("approval approve @last").exits(0);
    assert!(!said.err.contains("runs resume"), "{}", said.err);
    let (code, screen) = terminal.end();
    assert_eq!(code, Some(0), "{screen}");
    assert!(screen.contains("review approved by") && screen.contains("publish"), "{screen}");
    assert_eq!(screen.matches("Publish these notes?").count(), 1, "{screen}");
}

#[test]
fn a_narrow_terminal_is_no_accident() {
    let sandbox = Sandbox::with(&[("hello.yaml", HELLO)]);
    for words in [
        "run hello.yaml",
        "runs list",
        "runs show @last",
        "plugins list",
        "doctor",
        "plan hello.yaml",
        "runs list --help",
    ] {
        let (code, screen) = Terminal::run(&sandbox, words, 40, &[]).end();
        assert_eq!(code, Some(0), "{words}: {screen}");
        assert!(!screen.contains("panicked"), "{words}: {screen}");
        if words.starts_with("runs list") && !words.contains("help") || words.starts_with("plugins") {
            for line in screen.lines().filter(|line| !line.starts_with("what one")) {
                let line = line
                    .trim_end()
                    .replace("\u{1b}[2m", "")
                    .replace("\u{1b}[0m", "")
                    .replace("\u{1b}[32m", "");
                assert!(line.chars().count() <= 40, "{words}: {line}");
            }
        }
    }
}

#[test]
fn colours_can_be_declined() {
    let sandbox = Sandbox::with(&[("hello.yaml", HELLO)]);
    let (_, coloured) = Terminal::run(&sandbox, "run hello.yaml", 80, &[]).end();
    assert!(coloured.contains("\u{1b}[32m"), "{coloured:?}");
    for env in [("NO_COLOR", "1"), ("TERM", "dumb")] {
        let (code, plain) = Terminal::run(&sandbox, "runs show @last", 80, &[env]).end();
        assert_eq!(code, Some(0));
        assert!(!plain.contains("\u{1b}["), "{}", stable(&plain));
    }
}
