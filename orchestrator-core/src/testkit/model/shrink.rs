//! From many operations that show a difference to few.

use super::compare::{Found, differ};
use super::draw::{Dealings, Draft, Op, Places, Turn};
use crate::testkit::Backend;

/// How many shorter stories are tried.
const TRIES: usize = 400;

/// The shortest operations found that still show a difference, and the difference.
pub(super) async fn shortest(
    backend: &dyn Backend,
    seed: u64,
    mut turns: Vec<Turn>,
    mut found: Found,
) -> (Vec<Turn>, Found) {
    turns.truncate(found.after);
    let mut tries = TRIES;
    let mut length = turns.len() / 2;
    // First without long parts, then without single operations, then with simpler ones, as long as that helps.
    loop {
        let candidates: Vec<Vec<Turn>> =
            if length > 0 { without_parts(&turns, length) } else { simpler(&turns) };
        let mut helped = false;
        for candidate in candidates {
            if tries == 0 {
                return (turns, found);
            }
            tries -= 1;
            if let Some(again) = differ(backend, seed, &candidate).await {
                (turns, found, helped) = (candidate, again, true);
                turns.truncate(found.after);
                break;
            }
        }
        match (helped, length) {
            (true, 0) => length = 1,
            (true, _) => length = length.min(turns.len()),
            (false, 0) => return (turns, found),
            (false, _) => length /= 2,
        }
    }
}

/// The stories without each part of a length.
fn without_parts(turns: &[Turn], length: usize) -> Vec<Vec<Turn>> {
    let starts = (0..turns.len()).step_by(length);
    let without = |start: usize| {
        let end = (start + length).min(turns.len());
        [&turns[..start], &turns[end..]].concat()
    };
    starts.map(without).collect()
}

/// The stories with one operation made simpler.
fn simpler(turns: &[Turn]) -> Vec<Vec<Turn>> {
    let mut all = Vec::new();
    for (number, turn) in turns.iter().enumerate() {
        let mut with = |turn: Turn| {
            let mut turns = turns.to_vec();
            turns[number] = turn;
            all.push(turns);
        };
        if turn.handle > 0 {
            with(Turn { handle: 0, ..turn.clone() });
        }
        let Op::Commit(drafts) = &turn.op else { continue };
        for place in 0..drafts.len() {
            if drafts.len() > 1 {
                let mut fewer = drafts.clone();
                fewer.remove(place);
                with(Turn { op: Op::Commit(fewer), ..turn.clone() });
            }
            for draft in simpler_drafts(&drafts[place]) {
                let mut drafts = drafts.clone();
                drafts[place] = draft;
                with(Turn { op: Op::Commit(drafts), ..turn.clone() });
            }
        }
    }
    all
}

/// A draft with one thing less in it.
fn simpler_drafts(draft: &Draft) -> Vec<Draft> {
    let simple = Draft { run: draft.run, creates: draft.creates, more: Some(0), ..Draft::default() };
    let of = draft.clone();
    let all = [
        Draft { key: None, ..of.clone() },
        Draft { off: 0, ..of.clone() },
        Draft { more: Some(0), ..of.clone() },
        Draft { speaks_as: None, ..of.clone() },
        Draft { dead: None, ..of.clone() },
        Draft { driver: None, ..of.clone() },
        Draft { due: None, ..of.clone() },
        Draft { ended: false, ..of.clone() },
        Draft { step: 0, ..of.clone() },
        Draft { asks: false, ..of.clone() },
        Draft { lines: 0, ..of.clone() },
        Draft { child: None, ..of.clone() },
        Draft { remote: Dealings { offers: None, ..of.remote }, ..of.clone() },
        Draft { remote: Dealings { withdrawn: None, ..of.remote }, ..of.clone() },
        Draft { remote: Dealings { stops: None, ..of.remote }, ..of.clone() },
        Draft { remote: Dealings { taken: None, ..of.remote }, ..of.clone() },
        Draft { places: Places::default(), ..of.clone() },
        Draft { places: Places { takes: None, ..of.places }, ..of.clone() },
        Draft { places: Places { releases: false, ..of.places }, ..of.clone() },
        Draft { places: Places { waits: None, ..of.places }, ..of.clone() },
        Draft { places: Places { leaves: None, ..of.places }, ..of.clone() },
        Draft { places: Places { urgent: false, ..of.places }, ..of },
    ];
    [simple].into_iter().chain(all).filter(|simpler| simpler != draft).collect()
}
