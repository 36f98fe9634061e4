//! What a part has found, added up over its trials.

use crate::row::{self, Losses};
use crate::sandbox::Sandbox;
use crate::seen::Seen;
use crate::size::{Size, asked};

/// One of three numbers, by the size of the battery.
pub(crate) fn size(smoke: usize, change: usize, release: usize) -> usize {
    asked(Size::Smoke).of([smoke, change, release])
}

/// A row in the making.
#[derive(Debug)]
pub(crate) struct Row {
    part: &'static str,
    trials: u64,
    losses: Losses,
    planted: usize,
}

impl Row {
    pub(crate) fn new(part: &'static str) -> Self {
        Self { part, trials: 0, losses: Losses::default(), planted: 0 }
    }

    /// Looks at a run in which so much was tried.
    pub(crate) fn look(&mut self, place: &Sandbox, run: &str, trials: usize) -> Seen {
        let seen = Seen::of(place, run);
        let losses = seen.losses();
        if losses != Losses::default() {
            println!("{}: {losses:?}\n{}\n{:#?}\n{:#?}", self.part, seen.shown, seen.events, seen.effects);
        } else if self.planted == 0 {
            self.planted = seen.plant();
        }
        self.add(trials, losses);
        seen
    }

    pub(crate) fn add(&mut self, trials: usize, losses: Losses) {
        self.trials += trials as u64;
        self.losses += losses;
    }

    /// So many faults of our own were found.
    pub(crate) fn planted(&mut self, planted: usize) {
        self.planted += planted;
    }

    /// Writes the row; fails where something in it is not zero, or nothing was planted.
    #[track_caller]
    pub(crate) fn tell(self, notes: &str) {
        let Self { part, trials, losses, planted } = self;
        assert!(planted > 0, "{part}: nothing was planted");
        let notes = format!("{notes}; {planted} planted faults found");
        println!("{part}: {trials} trials, {losses:?}; {notes}");
        row::report(part, trials, losses, &notes);
        assert_eq!(losses, Losses::default(), "{part}");
    }
}
