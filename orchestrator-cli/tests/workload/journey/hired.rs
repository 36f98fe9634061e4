//! A run that is left to workers: its client starts it, looks at it, and does what people have to do.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::{Journey, LEFT_ALONE, PATIENCE, Place};

/// How long one look waits for the end.
const LOOK: &str = "500ms";

impl Journey {
    /// Starts the run, and sees to it until the time is over or it has ended.
    pub(crate) fn attend(&mut self, place: &Place, until: Instant) {
        while self.told.is_empty() && Instant::now() < until + PATIENCE {
            self.leave(place);
        }
        let since = Instant::now();
        while Instant::now() < until && !self.has_ended {
            if self.cancel.is_some_and(|after| since.elapsed() >= after) {
                self.cancel = None;
                self.cancel(place);
            }
            self.look_on(place);
        }
    }

    /// Brings the run to its end, now that all is left alone.
    pub(crate) fn await_end(&mut self, place: &Place) {
        let begun = Instant::now();
        for _ in 0..LEFT_ALONE * 4 {
            self.look_on(place);
            if self.has_ended {
                self.ended_after = Some(begun.elapsed());
                return;
            }
        }
        self.hung.push(format!("`{}` {:?} does not end", self.key, self.told));
    }

    /// Hands the run in under its key; whoever is not answered does it again.
    fn leave(&mut self, place: &Place) {
        let file = format!("{}.yaml", self.flow.name);
        let ledger = format!("ledger={}", place.ledger.file.display());
        let sink = format!("sink={}", place.ledger.url);
        let key = self.key.clone();
        let words =
            ["run", &file, "-i", &ledger, "-i", &sink, "--detach", "--json", "--idempotency-key", &key];
        let (code, out, why) = place.folder.run(&words);
        match code {
            0 => {
                let said: Value = serde_json::from_str(&out).unwrap();
                self.told.insert(said["run_id"].as_str().unwrap().to_owned());
            }
            // The server is away.
            7 => self.turned_away += 1,
            code => self.hung.push(format!("`{key}` cannot be started: exit {code}: {why}")),
        }
    }

    /// Does what people have to do, and waits a little for the end.
    fn look_on(&mut self, place: &Place) {
        let Some(run) = self.told.first().cloned() else { return };
        self.settle(place, &run);
        let (code, _, why) = place.folder.run(&["runs", "wait", &run, "--timeout", LOOK, "--json"]);
        match code {
            0 | 1 => self.has_ended = true,
            // It is cancelled, or the time is over: the row says which.
            8 => self.has_ended = !place.show(&run)["finished_at"].is_null(),
            9 => {}
            7 => self.turned_away += 1,
            code => self.hung.push(format!("{run}: `runs wait` says {code}: {why}")),
        }
    }
}

/// How long an episode of a fleet is tormented.
pub(crate) fn span(number: usize) -> Duration {
    Duration::from_millis(12_000 + number as u64)
}
