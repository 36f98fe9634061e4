//! The real binary in a folder of its own, and how it is killed.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::ops::Deref;
use std::process::{Child, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::folder::{Folder, PATIENCE};
use crate::ledger::{Line, Sink};

/// When a process is killed.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Moment {
    /// As soon as it has said that this has happened to a step; with the value of `data.then`, if that matters.
    Event(&'static str, &'static str, Option<&'static str>),
    /// While the service has its request and has not answered.
    Request,
    /// So long after its start.
    After(Duration),
}

impl Moment {
    fn is(self, event: &Value) -> bool {
        match self {
            Self::Event(step, kind, then) => {
                event["step"] == step
                    && event["kind"] == kind
                    && then.is_none_or(|then| event["data"]["then"] == then)
            }
            Self::Request | Self::After(_) => false,
        }
    }
}

/// How a process that drove a run came to its end.
#[derive(Debug)]
pub(crate) struct Ended {
    /// Its exit code; none if it was killed.
    pub(crate) code: Option<i32>,
    /// The run, if it has said one.
    pub(crate) run: Option<String>,
}

enum Heard {
    Event(Value),
    Request,
    Closed,
}

/// A folder with a store, a ledger and a service.
pub(crate) struct Place {
    folder: Folder,
    pub(crate) sink: Sink,
    /// What `ORCHESTRATOR_FAILPOINT` says to the processes that drive; nothing else hears it.
    #[cfg(feature = "failpoints")]
    pub(crate) failpoint: Option<String>,
}

impl Deref for Place {
    type Target = Folder;

    fn deref(&self) -> &Folder {
        &self.folder
    }
}

impl Place {
    pub(crate) fn new() -> Self {
        Self {
            folder: Folder::new("crash-"),
            sink: Sink::open(),
            #[cfg(feature = "failpoints")]
            failpoint: None,
        }
    }

    /// Drives a run, calls `heed` with each event, and kills the process at a moment. Only the process: what it has
    /// started is left to itself.
    pub(crate) fn drive(&self, args: &[&str], moment: Option<Moment>, mut heed: impl FnMut(&Value)) -> Ended {
        self.sink.hold(matches!(moment, Some(Moment::Request)));
        let log = File::options().create(true).append(true).open(self.path("stderr")).unwrap();
        let mut command = self.command(args);
        #[cfg(feature = "failpoints")]
        command.envs(self.failpoint.iter().map(|armed| ("ORCHESTRATOR_FAILPOINT", armed)));
        let mut child = command.stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let heard = self.listen(&mut child);
        let begun = Instant::now();
        let end = begun + PATIENCE;
        let kill_at = match moment {
            Some(Moment::After(delay)) => begun + delay,
            _ => end,
        };
        let mut run = None;
        loop {
            let killed = match heard.recv_timeout(kill_at.saturating_duration_since(Instant::now())) {
                Ok(Heard::Event(event)) => {
                    run = event["run_id"].as_str().map(str::to_owned).or(run);
                    let is_now = moment.is_some_and(|moment| moment.is(&event));
                    if !is_now {
                        heed(&event);
                    }
                    is_now
                }
                Ok(Heard::Request) => matches!(moment, Some(Moment::Request)),
                Ok(Heard::Closed) | Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => true,
            };
            if killed {
                child.kill().unwrap();
                break;
            }
        }
        let code = child.wait().unwrap().code();
        assert!(Instant::now() < end, "{args:?} hangs: {}", self.said());
        // What it has said before it died counts as said.
        for event in heard.try_iter() {
            if let Heard::Event(event) = event {
                run = event["run_id"].as_str().map(str::to_owned).or(run);
            }
        }
        self.sink.hold(false);
        Ended { code, run }
    }

    fn listen(&self, child: &mut Child) -> Receiver<Heard> {
        let (sender, heard) = mpsc::channel();
        let requests = sender.clone();
        self.sink.tell(move || drop(requests.send(Heard::Request)));
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                // A line that the kill has cut off is none.
                if let Ok(event) = serde_json::from_str(&line) {
                    drop(sender.send(Heard::Event(event)));
                }
            }
            drop(sender.send(Heard::Closed));
        });
        heard
    }

    /// What was said on stderr.
    pub(crate) fn said(&self) -> String {
        fs::read_to_string(self.path("stderr")).unwrap_or_default()
    }

    /// What scripts of a run have appended.
    pub(crate) fn lines(&self, run: &str) -> Vec<Line> {
        let text = fs::read_to_string(self.path("ledger")).unwrap_or_default();
        text.lines().map(Line::read).filter(|line| line.run == run).collect()
    }
}
