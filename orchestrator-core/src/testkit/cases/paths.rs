//! Paths of workspaces: held, waited for, given on.

use std::sync::Arc;

use super::keys::{begun, commit, line, of_default, unit, write};
use crate::id::{RunId, Unit};
use crate::machine::{Hold, Spot};
use crate::port::store::{Admission, Commit, KeyQuery, Store};
use crate::spec::Paths;
use crate::testkit::Place;
use crate::testkit::sample::at;

const SITE: &str = "paths:site";

fn of(read: &[&str], write: &[&str]) -> Arc<Hold> {
    Arc::new(Hold::paths("site", Paths::new(read, write).expect("these are paths")))
}

fn writes(paths: &[&str]) -> Arc<Hold> {
    of(&[], paths)
}

fn takes(step: u32, hold: &Arc<Hold>) -> Admission {
    Admission { takes: vec![(unit(step), hold.clone())], ..of_default() }
}

fn releases(step: u32) -> Admission {
    Admission { releases: vec![(unit(step), SITE.into())], ..of_default() }
}

fn waits(hold: &Arc<Hold>) -> Admission {
    Admission { waits: vec![hold.clone()], ..of_default() }
}

fn full(hold: &Arc<Hold>) -> Commit {
    Commit::Full(vec![(hold.spot(), 0.into())])
}

/// Those that wait, where, and whether they were given it.
async fn spots(store: &dyn Store) -> Vec<(RunId, Spot, bool)> {
    let rows = store.waiters(KeyQuery { key: Some(SITE.into()), ..KeyQuery::default() }).await.unwrap();
    rows.into_iter().map(|row| (row.run, row.spot(), row.granted_at.is_some())).collect()
}

pub(super) async fn paths_that_clash_are_with_one_alone(place: Arc<dyn Place>) {
    let store = place.open().await;
    let mut stories = begun(&*store, 3).await;
    let (src, file) = (writes(&["src"]), of(&["src/lib.rs"], &["docs"]));
    write(&*store, &mut stories[0], takes(0, &src)).await;
    assert_eq!(commit(&*store, stories[1].admission(takes(0, &file))).await, full(&file));
    assert_eq!(store.run(stories[1].run).await.unwrap().unwrap().seq, stories[1].seq, "nothing was written");
    write(&*store, &mut stories[1], takes(0, &writes(&["tests", "docs"]))).await;
    // Of one's own steps, too, only one has them; and one may change what it has.
    assert_eq!(commit(&*store, stories[0].admission(takes(1, &file))).await, full(&file));
    let narrower = Admission { releases: releases(0).releases, ..takes(0, &writes(&["src/main.rs"])) };
    write(&*store, &mut stories[0], narrower).await;
    write(&*store, &mut stories[2], takes(0, &writes(&["src/lib.rs"]))).await;
    let rows = store.holds(KeyQuery { key: Some(SITE.into()), ..KeyQuery::default() }).await.unwrap();
    let mut held: Vec<String> = rows.iter().map(|row| row.paths.as_ref().unwrap().to_string()).collect();
    held.sort_unstable();
    assert_eq!(held, ["`docs`, `tests`", "`src/lib.rs`", "`src/main.rs`"]);
    write(&*store, &mut stories[1], releases(0)).await;
    assert_eq!(
        store.holds(KeyQuery { runs: vec![stories[1].run], ..KeyQuery::default() }).await.unwrap(),
        []
    );
}

pub(super) async fn those_who_read_share_paths(place: Arc<dyn Place>) {
    let store = place.open().await;
    let mut stories = begun(&*store, 3).await;
    let reads = of(&["docs"], &[]);
    write(&*store, &mut stories[0], takes(0, &reads)).await;
    write(&*store, &mut stories[1], takes(0, &reads)).await;
    let writes = writes(&["docs/*.md"]);
    assert_eq!(commit(&*store, stories[2].admission(takes(0, &writes))).await, full(&writes));
    // Whoever would write waits, and nobody who would read goes before it any more.
    write(&*store, &mut stories[2], waits(&writes)).await;
    let late = stories[1].admission(takes(1, &reads));
    assert_eq!(commit(&*store, late).await, full(&reads), "or there would be no end to readers");
    write(&*store, &mut stories[0], releases(0)).await;
    assert_eq!(spots(&*store).await, [(stories[2].run, writes.spot(), false)]);
    write(&*store, &mut stories[1], releases(0)).await;
    assert_eq!(spots(&*store).await, [(stories[2].run, writes.spot(), true)]);
}

pub(super) async fn paths_are_given_to_all_who_are_in_nobodys_way(place: Arc<dyn Place>) {
    let store = place.open().await;
    let mut stories = begun(&*store, 5).await;
    let (all, src, docs) = (writes(&["."]), writes(&["src"]), writes(&["docs"]));
    write(&*store, &mut stories[0], takes(0, &all)).await;
    let readme = writes(&["src/README.md"]);
    for (nth, hold) in [(1, &src), (2, &readme), (3, &docs)] {
        let mut member = stories[nth].admission(waits(hold));
        member.at = at(10 * nth as i64);
        stories[nth].write(&*store, member).await;
    }
    write(&*store, &mut stories[0], releases(0)).await;
    let [first, second, third] = [1, 2, 3].map(|nth: usize| stories[nth].run);
    let given = [(first, src.spot(), true), (third, docs.spot(), true), (second, readme.spot(), false)];
    assert_eq!(spots(&*store).await, given);
    // What was given is nobody else's, and whose turn it is goes first.
    assert_eq!(commit(&*store, stories[4].admission(takes(0, &docs))).await, full(&docs));
    assert_eq!(commit(&*store, stories[4].admission(takes(0, &readme))).await, full(&readme));
    write(&*store, &mut stories[4], takes(0, &writes(&["tests"]))).await;
    write(&*store, &mut stories[1], takes(0, &src)).await;
    write(&*store, &mut stories[1], releases(0)).await;
    assert_eq!(spots(&*store).await, [(second, readme.spot(), true), (third, docs.spot(), true)]);
}

pub(super) async fn a_run_waits_once_for_each_set_of_paths(place: Arc<dyn Place>) {
    let store = place.open().await;
    let mut stories = begun(&*store, 3).await;
    let (src, docs) = (writes(&["src"]), writes(&["docs"]));
    write(&*store, &mut stories[0], takes(0, &src)).await;
    write(&*store, &mut stories[1], takes(0, &docs)).await;
    let both = Admission { waits: vec![src.clone(), docs.clone(), src.clone()], ..of_default() };
    write(&*store, &mut stories[2], both).await;
    assert_eq!(line(&*store, SITE).await, [(stories[2].run, false); 2]);
    write(&*store, &mut stories[1], releases(0)).await;
    let mut waiting = spots(&*store).await;
    waiting.retain(|(.., given)| *given);
    assert_eq!(
        waiting,
        [(stories[2].run, docs.spot(), true)],
        "what comes of one does not wait for the other"
    );
    write(&*store, &mut stories[2], Admission { leaves: vec![src.spot()], ..takes(0, &docs) }).await;
    assert_eq!(spots(&*store).await, []);
    // A key is of a workspace or of places.
    let wrong = [Arc::new(Hold { key: "src".into(), ..(*src).clone() }), Arc::new(Hold::place(SITE, 1))];
    for hold in wrong {
        let admission = Admission { takes: vec![(Unit::of(crate::id::StepIx(2)), hold)], ..of_default() };
        let told = commit(&*store, stories[2].admission(admission)).await;
        assert!(matches!(told, Commit::Invalid(_)), "{told:?}");
    }
}
