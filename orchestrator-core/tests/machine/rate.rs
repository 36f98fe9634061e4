//! A rate: within any of its times no more begin than it allows, one is kept for each that waits, and nobody waits for what time
//! has made free.

use std::time::Duration;

use orchestrator_core::id::{RunId, StepIx, Unit};
use orchestrator_core::machine::{Claim, Line, Room, Spent, Who, Wish};
use orchestrator_core::time::Timestamp;
use proptest::prelude::*;
use uuid::Uuid;

const LIMIT: u32 = 3;

fn run(number: u8) -> RunId {
    RunId::from_uuid(Uuid::from_u128(u128::from(number) + 1))
}

fn moment(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn claim(per: u64) -> Claim {
    Claim::Rate { limit: LIMIT, per }
}

fn takes(many: usize, per: u64) -> Wish {
    let takes = (0..many).map(|step| (Unit::of(StepIx(step as u32)), claim(per))).collect();
    Wish { takes, ..Wish::default() }
}

/// What one of a few runs wants, so long after what happened before.
#[derive(Debug, Clone)]
struct Want {
    run: u8,
    later: i64,
    takes: usize,
    waits: bool,
    leaves: bool,
}

fn wants() -> impl Strategy<Value = (u64, Vec<Want>)> {
    let want = (0u8..4, 0i64..90, 0usize..5, any::<bool>(), 0u8..5);
    let want = want.prop_map(|(run, later, takes, waits, leaves)| Want {
        run,
        later,
        takes,
        waits,
        leaves: leaves == 0,
    });
    // From one whose parts are a millisecond to one whose parts are three.
    (1u64..200, prop::collection::vec(want, 0..80))
}

/// As a store keeps it, and gives it to the next that asks.
fn kept(line: &Line) -> Line {
    let text = serde_json::to_string(line.spent().unwrap_or(&Spent::default())).expect("numbers");
    let waiters = line.waiters().iter().map(|(who, waiter)| (who.clone(), *waiter));
    Line::of_rate(serde_json::from_str(&text).expect("the same numbers"), waiters, false)
}

proptest! {
    #[test]
    fn within_any_of_its_times_no_more_begin_than_it_allows((per, wants) in wants()) {
        let (mut line, mut begun, mut now) = (Line::default(), Vec::<i64>::new(), 1_700_000_000_000);
        let time = i64::try_from(per).expect("it is small");
        for want in wants {
            now += want.later;
            let (who, own): (RunId, Who) = (run(want.run), (run(want.run), None));
            let stood = line.waiters().contains_key(&own) && !want.leaves;
            let others = line.waiters().keys().filter(|who| **who != own).count();
            let leaves = want.leaves.then_some(None).into_iter().collect();
            let waits = want.waits.then(|| claim(per)).into_iter().collect();
            let wish = Wish { leaves, waits, ..takes(want.takes, per) };
            // What a part of its time may add.
            let counted = begun.iter().filter(|at| now < **at + time + time / 64 + 1).count();
            let before = line.clone();
            match line.admit(who, &wish, moment(now), moment(now)) {
                Ok(()) => {
                    begun.extend((0..want.takes).map(|_| now));
                    let ending = |end: i64| begun.iter().filter(|at| end - time < **at && **at <= end).count();
                    prop_assert!(begun.iter().all(|at| ending(*at) <= LIMIT as usize), "{begun:?}");
                    if want.takes > 0 && others > 0 {
                        let counted = begun.iter().filter(|at| now < **at + time).count();
                        let kept = (LIMIT as usize).saturating_sub(counted);
                        prop_assert!(want.takes == 1 || kept >= others, "nothing is left for those that wait");
                        prop_assert!(stood || kept >= others, "it went before one that came earlier");
                    }
                }
                Err(short) => {
                    prop_assert_eq!(&before, &line);
                    let [(None, Room { many, more_in: Some(more_in) })] = short[..] else { panic!("{short:?}") };
                    prop_assert!((many as usize) < want.takes && !more_in.is_zero());
                    let more_at = moment(now) + more_in;
                    let free = (LIMIT as usize).saturating_sub(counted);
                    prop_assert!(others > 0 || want.takes > free, "{} are free, and nobody else waits", free);
                    let fewer = Wish { takes: takes(many as usize, per).takes, ..wish.clone() };
                    prop_assert!(before.clone().admit(who, &fewer, moment(now), moment(now)).is_ok(), "as many as was told");
                    // Where nobody is before it, there is something when it was told to ask again.
                    if others == 0 {
                        let mut later = before.clone();
                        prop_assert!(later.admit(who, &takes(many as usize, per), moment(now), moment(now)).is_ok());
                        prop_assert!(later.admit(who, &takes(1, per), more_at, more_at).is_ok(), "at {more_at}");
                    }
                }
            }
            prop_assert!(line.waiters().values().all(|waiter| waiter.granted_at.is_none()), "nothing is given");
            prop_assert_eq!(line.held(), 0);
            if line.spent().is_some() {
                prop_assert_eq!(&kept(&line), &line);
            }
            let past = line.spent().and_then(|spent| spent.until(Duration::from_millis(per)));
            let last = begun.last().map(|at| moment(at + time));
            prop_assert!(past >= last, "{past:?} is before {last:?}");
        }
    }

    #[test]
    fn what_is_written_down_stays_short(per in 1u64..100_000, steps in prop::collection::vec(0i64..2_000, 0..400)) {
        let (per, mut spent, mut now) = (Duration::from_millis(per), Spent::default(), 0);
        for step in steps {
            now += step;
            spent.spend(1, per, moment(now));
        }
        let text = serde_json::to_string(&spent).expect("numbers");
        prop_assert!(text.matches('[').count() <= 67, "{text}");
    }
}

/// Runs that wait take turns: each of them is told when, and none of them in vain.
#[test]
fn runs_that_wait_begin_in_turn_and_nothing_is_left_unused() {
    let (per, mut line, mut now) = (64_000, Line::default(), 0);
    let wait = |line: &mut Line, who: u8, now: i64| {
        let wish = Wish { waits: vec![claim(per)], ..Wish::default() };
        line.admit(run(who), &wish, moment(now), moment(now)).expect("one may always wait");
    };
    (0..7).for_each(|who| wait(&mut line, who, i64::from(who)));
    let mut order = Vec::new();
    let mut at: Vec<i64> = vec![10; 7];
    while order.len() < 21 {
        // Of those whose turn it is, who has waited longest.
        let rank = |who: &usize| line.waiters().get(&(run(*who as u8), None)).map(|waiter| waiter.rank);
        let who = (0..7).min_by_key(|who| (at[*who].max(now), rank(who))).expect("there are seven");
        now = now.max(at[who]);
        let again = Wish { waits: vec![claim(per)], ..takes(1, per) };
        match line.admit(run(who as u8), &again, moment(now), moment(now)) {
            Ok(()) => {
                order.push((now, who));
                // No two of them come at the same moment, of whom nobody could say who was first.
                now += 1;
                at[who] = now;
            }
            Err(short) => at[who] = (moment(now) + short[0].1.more_in.expect("time makes room")).as_millis(),
        }
    }
    let turns: Vec<usize> = order.iter().map(|(_, who)| *who).collect();
    assert_eq!(turns, (0..21).map(|nth| nth % 7).collect::<Vec<_>>());
    // 21 at 3 in 64 s: the last begin in the seventh of these, a part of each later at most.
    let last = order.last().expect("21").0;
    assert!((6 * 64_000..=6 * 65_000 + 1_000).contains(&last), "{order:?}");
}

/// Where two limits are named for one rate, those who let more begin do not keep out one who came earlier and lets fewer.
#[test]
fn who_lets_fewer_begin_and_came_earlier_has_its_turn() {
    let of = |limit| Claim::Rate { limit, per: 64_000 };
    let take = |limit, waits: bool| Wish {
        takes: vec![(Unit::of(StepIx(0)), of(limit))],
        waits: waits.then(|| of(limit)).into_iter().collect(),
        ..Wish::default()
    };
    let mut line = Line::default();
    for second in 0..9 {
        let now = moment(second * 1_000);
        line.admit(run(1), &take(10, false), now, now).expect("ten may");
    }
    let now = moment(10_000);
    line.admit(run(0), &Wish { waits: vec![of(5)], ..Wish::default() }, now, now).expect("one may wait");
    // Nine have begun, and five may: when five of them are of the past, and not each time when one is.
    let short = line.short(run(0), &take(5, false), now);
    assert_eq!(now + short[0].1.more_in.expect("time makes room"), moment(4_000 + 64_000));
    let short = line.short(run(1), &take(10, false), now);
    assert_eq!(short[0].1.many, 0, "a tenth would keep the other out");
    let now = moment(68_000);
    assert!(line.clone().admit(run(1), &take(10, false), now, now).is_err(), "it is the turn of the other");
    line.admit(run(0), &take(5, false), now, now).expect("four count");
    line.admit(run(1), &take(10, false), now, now).expect("nobody is before it");
}
