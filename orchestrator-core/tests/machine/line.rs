//! The line of a key: whatever runs want, no more are held than anybody lets, and nobody waits for what is free.

use std::collections::BTreeMap;

use orchestrator_core::id::RunId;
use orchestrator_core::machine::{Line, Wish};
use orchestrator_core::time::Timestamp;
use proptest::prelude::*;
use uuid::Uuid;

fn run(number: u8) -> RunId {
    RunId::from_uuid(Uuid::from_u128(u128::from(number) + 1))
}

/// What one of a few runs wants.
#[derive(Debug, Clone)]
struct Want {
    run: u8,
    releases: bool,
    leaves: bool,
    takes: u32,
    waits: Option<i32>,
    limit: u32,
}

fn wants() -> impl Strategy<Value = Vec<Want>> {
    let want = (0u8..5, any::<bool>(), 0u8..6, 0u32..3, prop::option::of(-2i32..3), 1u32..4);
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
fn order(line: &Line) -> Vec<(i64, RunId)> {
    let waiting = line.waiters().iter().filter(|(_, waiter)| waiter.granted_at.is_none());
    let mut order: Vec<_> = waiting.map(|(run, waiter)| (waiter.rank, *run)).collect();
    order.sort_unstable();
    order
}

proptest! {
    #[test]
    fn no_more_are_held_than_is_let_and_nobody_waits_for_what_is_free(wants in wants()) {
        let (mut line, mut held) = (Line::default(), BTreeMap::<RunId, u32>::new());
        for (moment, want) in (0i64..).zip(wants) {
            let (who, now) = (run(want.run), Timestamp::from_millis(moment * 40_000));
            let own = held.get(&who).copied().unwrap_or_default();
            let releases = if want.releases { own } else { 0 };
            let Want { leaves, takes, waits, limit, .. } = want;
            let wish = Wish { releases, leaves, takes, waits, limit };
            let before = (line.clone(), order(&line));
            let given = before.0.waiters().get(&who).is_some_and(|waiter| waiter.granted_at.is_some());
            let first = before.1.first().copied();
            match line.admit(who, &wish, now) {
                Ok(()) => {
                    *held.entry(who).or_default() = own - releases + takes;
                    // Nobody goes before those that came earlier, but with what it was given.
                    let others_wait = first.is_some_and(|(_, first)| first != who);
                    let own_turn = u32::from(given && !leaves);
                    prop_assert!(!others_wait || takes <= own_turn, "{wish:?} of {who} in {before:?}");
                }
                Err(room) => {
                    prop_assert!(room < takes);
                    prop_assert_eq!(&line, &before.0, "a refusal changes nothing");
                    // As much as is told can be taken.
                    let again = line.clone().admit(who, &Wish { takes: room, ..wish }, now);
                    prop_assert_eq!(again, Ok(()));
                }
            }
            let granted = line.waiters().values().filter(|waiter| waiter.granted_at.is_some()).count() as u32;
            prop_assert_eq!(line.held(), held.values().sum::<u32>() + granted, "what is given is held");
            if let Some((_, first)) = order(&line).first() {
                let limit = line.waiters()[first].limit;
                prop_assert!(line.held() >= limit, "{first} waits, and {} of {limit} are held", line.held());
            }
            // Where all let the same be held, that is the most.
            let same = line.waiters().values().all(|waiter| waiter.limit == limit);
            if takes > 0 && same && !given {
                prop_assert!(line.held() <= limit.max(before.0.held()), "{} of {limit}", line.held());
            }
            // What a store has read of the line is the line.
            let read = Line::new(line.held(), line.waiters().iter().map(|(run, waiter)| (*run, *waiter)));
            prop_assert_eq!(&read, &line);
        }
    }
}

#[test]
fn a_point_of_priority_is_a_minute_of_waiting() {
    let wish = |waits| Wish { waits: Some(waits), limit: 1, ..Wish::default() };
    let at = |seconds: i64| Timestamp::from_millis(seconds * 1000);
    let mut line = Line::default();
    line.admit(run(0), &Wish { takes: 1, limit: 1, ..Wish::default() }, at(0)).unwrap();
    line.admit(run(1), &wish(0), at(0)).unwrap();
    line.admit(run(2), &wish(1), at(59)).unwrap();
    line.admit(run(3), &wish(1), at(61)).unwrap();
    let order: Vec<RunId> = order(&line).into_iter().map(|(_, run)| run).collect();
    assert_eq!(order, [run(2), run(1), run(3)], "whoever has waited long enough goes first in the end");
}
