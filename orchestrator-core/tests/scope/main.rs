//! Every way in which a tiny world can go: two processes and a workflow of two steps over the pure machine and a model of
//! the store's rules (the sequence fence, the driver with its epoch, owners with a deadline, commits whose answer is lost).
//! A search, breadth first, takes every action in every state, checks the promises after each, and sees every run end from
//! every state once nothing goes wrong any more.
//!
//! The words of the specification, and what stands for them:
//!
//! - *take driver*, *release driver*: the commands of these names, by a process that has read the log.
//! - *begin*: a step that its driver executes itself.
//! - *offer*, *withdraw*: a step that others execute; *claim*: a row of the store, made without the log, by a process whether
//!   it drives the run or not; *claim late*: by an old ticket; *learn*: the driver is told of a claim.
//! - *renew*, *sweep*: the store's rows of owners; a process that is told of its death begins anew.
//! - *deliver to the store*: the outcome of what was claimed, into the inbox; *take in*: the driver reads it there. Who marks an
//!   owner as dead puts there what is lost with it.
//! - *deliver*: the outcome of an attempt, by the process that executes it; *deliver late*, by what a dead one has left
//!   behind; *deliver again*, of one that is recorded already.
//! - *park*: a step for which there is no place under its key; *unpark*: its run is given one, by another run (`others give the
//!   place on`) or by a step of its own that ends. `wait` for an approval or a signal frees the step and its place.
//! - *enter*: the run takes the place that it needs before anything of it begins; *stand in line*: there is none.
//! - *crash*: the process goes and another begins; its time runs out (`lapse`), its member may still be on its way (`land`).
//! - *ambiguous*: a member was written, or was not, or will be; its sender reads event `expected + 1` (`settle`).
//! - *cancel*, *pause*, *resume*, *resolve*, *retry*: what people say, under the sequence number alone.
//!
//! A process decides in one action and commits in another, and anything may come between. Times are no part of a state: what
//! falls due has fallen due as soon as somebody looks. How often each thing goes wrong is bounded (`bounds.rs`), so that every
//! scope has an end.
//!
//! `ORCHESTRATOR_SCOPE_DEPTH` says to which depth each scope is searched; `all`, as in a release: until there is nothing left
//! to find.

mod account;
mod act;
mod bounds;
mod offer;
#[path = "../battery/row.rs"]
mod row;
mod runs;
mod search;
mod word;
mod world;
mod wrong;

use std::collections::BTreeSet;

use bounds::{At, SCOPES, Scope};
use search::{Tally, explore, search};
use wrong::Wrong;

/// What can be done, but not be refused when it is decided; its commit may be, as that of a withdrawal.
const NEVER_REFUSED: [&str; 14] = [
    "ambiguous",
    "continue",
    "crash",
    "lapse",
    "learn",
    "notice",
    "others give the place on",
    "others take the place",
    "retry",
    "skip",
    "sweep",
    "take in",
    "wait",
    "withdraw",
];

/// What is there to be refused.
const NEVER_TAKEN: [&str; 3] = ["claim late", "deliver again", "write stale"];

/// To which depth; `None` where nobody has said.
fn depth() -> Option<usize> {
    let of_battery = || {
        std::env::var("ORCHESTRATOR_BATTERY").ok().filter(|size| size == "release").map(|_| "all".to_owned())
    };
    let text = std::env::var("ORCHESTRATOR_SCOPE_DEPTH").ok().or_else(of_battery)?;
    match text.as_str() {
        "all" => Some(usize::MAX),
        text => Some(text.parse().unwrap_or_else(|error| panic!("ORCHESTRATOR_SCOPE_DEPTH={text}: {error}"))),
    }
}

#[test]
fn every_promise_holds_however_a_tiny_world_goes() {
    let mut tally = Tally::new();
    let asked = depth();
    let (mut states, mut transitions, mut closed) = (0, 0, 0);
    for scope in &SCOPES {
        let depth = asked.unwrap_or(scope.depth);
        let found = search(scope, None, depth)
            .unwrap_or_else(|broken| panic!("{}: {}\n{}", scope.name, broken.promise, broken.trace));
        println!(
            "{:>7} states, {:>5} of the run, {:>8} transitions, depth {:>2}{}, {:>5} ended, {:>5.1} s: {}",
            found.states,
            found.runs,
            found.transitions,
            found.depth,
            if found.closed { " (all)" } else { "" },
            found.ends,
            found.seconds,
            scope.name
        );
        assert!(found.closed || found.depth == depth);
        assert!(depth < scope.depth || found.states >= scope.floor, "{}: few states: {found:?}", scope.name);
        assert!(depth < scope.depth || found.ends > 0, "{}: no run has ended: {found:?}", scope.name);
        states += found.states;
        transitions += found.transitions;
        closed += usize::from(found.closed);
        for (name, (taken, refused)) in found.tally {
            let sum = tally.entry(name).or_default();
            *sum = (sum.0 + taken, sum.1 + refused);
        }
    }
    for (name, (taken, refused)) in &tally {
        println!("{taken:>9} times taken, {refused:>9} times refused: {name}");
    }
    if asked.is_none_or(|depth| SCOPES.iter().all(|scope| depth >= scope.depth)) {
        let untaken = tally.iter().filter(|(name, count)| count.0 == 0 && !NEVER_TAKEN.contains(name));
        let unrefused = tally.iter().filter(|(name, count)| count.1 == 0 && !NEVER_REFUSED.contains(name));
        let silent: BTreeSet<_> = untaken.chain(unrefused).collect();
        assert!(silent.is_empty(), "never taken, or never refused: {silent:?}");
        assert_eq!(tally.len(), act::NAMES, "an action was never tried: {tally:?}");
    }
    let notes =
        format!("{} small worlds, {states} states, {closed} worlds searched to the end", SCOPES.len());
    row::report("every way of small worlds", transitions, &notes);
}

#[test]
fn each_wrong_rule_breaks_its_promise_in_the_fewest_actions() {
    for (wrong, promise, actions) in Wrong::ALL {
        // What goes wrong with offers is looked for where there are some.
        let fits = |scope: &&Scope| {
            let has_offers = scope.steps.iter().any(|step| step.at != At::Home);
            let has_places = scope.steps.iter().any(|step| step.keyed);
            let has_door = wrong != Wrong::NoDoor || scope.bounded;
            (!wrong.is_of_offers() || has_offers) && (!wrong.is_of_places() || has_places) && has_door
        };
        let scopes = || SCOPES.iter().filter(fits);
        let tries = [8, 11].into_iter().flat_map(|depth| scopes().map(move |scope| (scope, depth)));
        let broken = tries.into_iter().find_map(|(scope, depth)| match wrong {
            // Seen only where nothing goes wrong any more, and nothing goes on.
            Wrong::NoTakeOver | Wrong::NoWithdrawal => search(scope, Some(wrong), depth).err(),
            _ => explore(scope, Some(wrong), depth).err(),
        });
        let broken = broken.unwrap_or_else(|| panic!("{wrong:?} was not noticed"));
        println!("{wrong:?}: {}\n{}", broken.promise, broken.trace);
        assert!(broken.promise.starts_with(promise), "{wrong:?}: {}", broken.promise);
        assert_eq!((broken.actions, broken.trace.lines().count()), (actions, actions), "{wrong:?}");
    }
    row::report("small worlds with a wrong rule", Wrong::ALL.len() as u64, "all noticed, by a shortest way");
}
