//! The line of a key: whatever runs want, no more are held than anybody lets, nobody has paths that are in another's way, and
//! nobody waits for what is free.

use std::collections::BTreeMap;
use std::sync::Arc;

use orchestrator_core::id::{RunId, StepIx, Unit};
use orchestrator_core::machine::{Claim, Line, Who, Wish};
use orchestrator_core::spec::Paths;
use orchestrator_core::time::Timestamp;
use proptest::prelude::*;
use uuid::Uuid;

fn run(number: u8) -> RunId {
    RunId::from_uuid(Uuid::from_u128(u128::from(number) + 1))
}

fn unit(number: usize) -> Unit {
    Unit::of(StepIx(number as u32))
}

/// What one of a few runs wants.
#[derive(Debug, Clone)]
struct Want {
    run: u8,
    releases: bool,
    leaves: bool,
    takes: usize,
    waits: Option<i32>,
    limit: u32,
}

fn wants() -> impl Strategy<Value = Vec<Want>> {
    let want = (0u8..5, any::<bool>(), 0u8..6, 0usize..3, prop::option::of(-2i32..3), 1u32..4);
    let want = want.prop_map(|(run, releases, leaves, takes, waits, limit)| Want {
        run,
        releases,
        leaves: leaves == 0,
        takes,
        waits,
        limit,
    });
    prop::collection::vec(want, 0..60)
}

/// Those that wait and were given nothing, in their order.
fn order(line: &Line) -> Vec<(i64, Who)> {
    let waiting = line.waiters().iter().filter(|(_, waiter)| waiter.granted_at.is_none());
    let mut order: Vec<_> = waiting.map(|(who, waiter)| (waiter.rank, who.clone())).collect();
    order.sort_unstable();
    order
}

fn known(line: &Line) -> Vec<(Who, orchestrator_core::machine::Waiter)> {
    line.waiters().iter().map(|(who, waiter)| (who.clone(), *waiter)).collect()
}

proptest! {
    #[test]
    fn no_more_are_held_than_is_let_and_nobody_waits_for_what_is_free(wants in wants()) {
        let (mut line, mut held) = (Line::default(), BTreeMap::<RunId, usize>::new());
        for (moment, want) in (0i64..).zip(wants) {
            let (who, now) = (run(want.run), Timestamp::from_millis(moment * 40_000));
            let own = held.get(&who).copied().unwrap_or_default();
            let releases: Vec<Unit> = (0..own).filter(|_| want.releases).map(unit).collect();
            let Want { leaves, takes, waits, limit, .. } = want;
            let takes_of = |takes: usize| (0..takes).map(|nth| (unit(100 + nth), Claim::Place { limit })).collect();
            let wish = Wish {
                releases: releases.clone(),
                leaves: leaves.then_some(None).into_iter().collect(),
                takes: takes_of(takes),
                waits: waits.map(|_| Claim::Place { limit }).into_iter().collect(),
                priority: waits.unwrap_or_default(),
            };
            let before = (line.clone(), order(&line));
            let given = before.0.waiters().get(&(who, None)).is_some_and(|waiter| waiter.granted_at.is_some());
            let first = before.1.first().cloned();
            match line.admit(who, &wish, now, now) {
                Ok(()) => {
                    *held.entry(who).or_default() = own - releases.len() + takes;
                    // Nobody goes before those that came earlier, but with what it was given.
                    let others_wait = first.is_some_and(|(_, (first, _))| first != who);
                    let own_turn = usize::from(given && !leaves);
                    prop_assert!(!others_wait || takes <= own_turn, "{wish:?} of {who} in {before:?}");
                }
                Err(short) => {
                    let [(None, room)] = &short[..] else { panic!("{short:?}") };
                    prop_assert!((room.many as usize) < takes);
                    prop_assert_eq!(&line, &before.0, "a refusal changes nothing");
                    // As much as is told can be taken.
                    let again = line.clone().admit(who, &Wish { takes: takes_of(room.many as usize), ..wish }, now, now);
                    prop_assert_eq!(again, Ok(()));
                }
            }
            let granted = line.waiters().values().filter(|waiter| waiter.granted_at.is_some()).count();
            let all = held.values().sum::<usize>() + granted;
            prop_assert_eq!(line.held() as usize, all, "what is given is held");
            if let Some((_, first)) = order(&line).first() {
                let limit = line.waiters()[first].limit;
                prop_assert!(line.held() >= limit, "{first:?} waits, and {} of {limit} are held", line.held());
            }
            // Where all let the same be held, that is the most.
            let same = line.waiters().values().all(|waiter| waiter.limit == limit);
            if takes > 0 && same && !given {
                prop_assert!(line.held() <= limit.max(before.0.held()), "{} of {limit}", line.held());
            }
            // What a store has read of the line is the line.
            prop_assert_eq!(&Line::new(line.held(), known(&line)), &line);
        }
    }
}

/// What one of a few runs wants of a workspace: for which of its steps, and which paths.
#[derive(Debug, Clone)]
struct Walk {
    run: u8,
    releases: Vec<u8>,
    leaves: Option<u8>,
    takes: Vec<(u8, u8)>,
    waits: Option<u8>,
    priority: i32,
}

fn walks() -> impl Strategy<Value = Vec<Walk>> {
    let some = || prop::option::of(0u8..5);
    let walk = (
        0u8..4,
        prop::collection::vec(0u8..3, 0..3),
        some(),
        prop::collection::vec((0u8..3, 0u8..5), 0..3),
        some(),
        -1i32..2,
    );
    let walk = walk.prop_map(|(run, releases, leaves, takes, waits, priority)| Walk {
        run,
        releases,
        leaves,
        takes,
        waits,
        priority,
    });
    prop::collection::vec(walk, 0..60)
}

fn paths(number: u8) -> Arc<Paths> {
    let paths = match number {
        0 => Paths::new(&[], &["src"]),
        1 => Paths::new(&["src/*.rs"], &[]),
        2 => Paths::new(&["src/a.rs"], &["docs"]),
        3 => Paths::new(&["**/*.md"], &[]),
        _ => Paths::new(&[], &["tests"]),
    };
    Arc::new(paths.unwrap())
}

proptest! {
    #[test]
    fn nobody_has_paths_that_are_in_anothers_way_and_nobody_waits_for_what_is_free(walks in walks()) {
        let (mut line, mut held) = (Line::default(), BTreeMap::<(RunId, Unit), Arc<Paths>>::new());
        for (moment, walk) in (0i64..).zip(walks) {
            let (who, now) = (run(walk.run), Timestamp::from_millis(moment * 40_000));
            let own = |number: u8| (who, unit(number.into()));
            let mut releases = walk.releases.clone();
            releases.dedup();
            releases.retain(|number| held.contains_key(&own(*number)));
            let mut takes = walk.takes.clone();
            takes.sort_unstable();
            takes.dedup_by_key(|(number, _)| *number);
            takes.retain(|(number, _)| !held.contains_key(&own(*number)) || releases.contains(number));
            let wish = Wish {
                releases: releases.iter().map(|number| unit((*number).into())).collect(),
                leaves: walk.leaves.map(|number| Some(paths(number))).into_iter().collect(),
                takes: takes.iter().map(|(at, number)| (unit((*at).into()), Claim::Paths(paths(*number)))).collect(),
                waits: walk.waits.map(|number| Claim::Paths(paths(number))).into_iter().collect(),
                priority: walk.priority,
            };
            let before = line.clone();
            match line.admit(who, &wish, now, now) {
                Ok(()) => {
                    releases.iter().for_each(|number| _ = held.remove(&own(*number)));
                    for (at, number) in &takes {
                        let clash = held.iter().find(|(_, other)| other.clashes(&paths(*number)));
                        prop_assert!(clash.is_none(), "{wish:?} of {who} beside {clash:?}");
                        held.insert(own(*at), paths(*number));
                        // Nobody goes before those that came earlier and that would be in the way, but with what it was given.
                        let is_given = |who: &Who| before.waiters().get(who).is_some_and(|own| own.granted_at.is_some());
                        let mine = (who, Some(paths(*number)));
                        let stood = before.waiters().get(&mine).filter(|_| !wish.leaves.contains(&mine.1));
                        let passed = before.waiters().iter().find(|(other, waiter)| {
                            other.0 != who
                                && other.1.as_ref().is_some_and(|other| other.clashes(&paths(*number)))
                                && stood.is_none_or(|own| (waiter.rank, &other.0) < (own.rank, &who))
                        });
                        prop_assert!(passed.is_none() || is_given(&mine), "{wish:?} of {who} before {passed:?}");
                    }
                }
                Err(short) => {
                    prop_assert!(!short.is_empty() && !takes.is_empty());
                    prop_assert_eq!(&line, &before, "a refusal changes nothing");
                    // Without what it is short of, it gets what it wants.
                    let mut less = wish.clone();
                    less.takes.retain(|(_, claim)| !short.iter().any(|(other, _)| other.as_ref() == claim.paths()));
                    prop_assert_eq!(line.clone().admit(who, &less, now, now), Ok(()));
                }
            }
            let given = |line: &Line| -> Vec<Arc<Paths>> {
                let given = line.waiters().iter().filter(|(_, waiter)| waiter.granted_at.is_some());
                given.filter_map(|((_, paths), _)| paths.clone()).collect()
            };
            let given = given(&line);
            prop_assert_eq!(line.held() as usize, held.len() + given.len(), "what is given is held");
            for (nth, paths) in given.iter().enumerate() {
                let mut others = held.values().chain(&given[nth + 1..]);
                prop_assert!(!others.any(|other| other.clashes(paths)), "{paths} was given");
            }
            // Whoever waits has something in the way: what is held, was given, or is waited for by somebody before.
            let order = order(&line);
            for (nth, (_, (who, wanted))) in order.iter().enumerate() {
                let Some(wanted) = wanted else { continue };
                let earlier = order[..nth].iter().filter_map(|(_, (_, paths))| paths.as_ref());
                let in_the_way = held.values().chain(&given).chain(earlier).any(|other| other.clashes(wanted));
                prop_assert!(in_the_way, "{who} waits for {wanted}, which is free");
            }
            let locks = held.iter().map(|(at, paths)| (*at, paths.clone()));
            prop_assert_eq!(&Line::of_paths(locks, known(&line), false), &line);
        }
    }
}

#[test]
fn whoever_comes_behind_more_than_are_known_waits() {
    let takes = |number| Wish { takes: vec![(unit(0), Claim::Paths(paths(number)))], ..Wish::default() };
    let line = |is_longer| Line::of_paths([((run(0), unit(0)), paths(0))], [], is_longer);
    assert_eq!(line(false).short(run(1), &takes(4), Timestamp::default()), []);
    assert_eq!(line(true).short(run(1), &takes(4), Timestamp::default()), [(Some(paths(4)), 0.into())]);
}

#[test]
fn who_gives_paths_back_and_takes_them_twice_is_told_that_one_may_have_them() {
    let held = Line::of_paths([((run(0), unit(0)), paths(0))], [], false);
    let take = |number| (unit(number), Claim::Paths(paths(0)));
    let wish = Wish { releases: vec![unit(0)], takes: vec![take(1), take(2)], ..Wish::default() };
    assert_eq!(held.short(run(0), &wish, Timestamp::default()), [(Some(paths(0)), 1.into())]);
}

#[test]
fn a_point_of_priority_is_a_minute_of_waiting() {
    let place = Claim::Place { limit: 1 };
    let wish = |priority| Wish { waits: vec![place.clone()], priority, ..Wish::default() };
    let at = |seconds: i64| Timestamp::from_millis(seconds * 1000);
    let mut line = Line::default();
    line.admit(run(0), &Wish { takes: vec![(unit(0), place.clone())], ..Wish::default() }, at(0), at(0))
        .unwrap();
    line.admit(run(1), &wish(0), at(0), at(0)).unwrap();
    line.admit(run(2), &wish(1), at(59), at(59)).unwrap();
    line.admit(run(3), &wish(1), at(61), at(61)).unwrap();
    let order: Vec<RunId> = order(&line).into_iter().map(|(_, (run, _))| run).collect();
    assert_eq!(order, [run(2), run(1), run(3)], "whoever has waited long enough goes first in the end");
}
