//! The times of schedules, also where clocks are changed; and which of them are due.

use std::time::Duration;

use proptest::prelude::*;

use super::{CATCH_UP, GRACE, Missed, Past, Schedule, due, is_schedule_name};
use crate::time::Timestamp;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[cfg(feature = "schedule")]
mod reckoned {
    use jiff::tz::TimeZone;

    use super::*;
    use crate::schedule::{Cron, CronFault};

    /// The first times after one, as the clocks of the zone show them.
    fn shown(expression: &str, zone: &str, after: &str, count: usize) -> Vec<String> {
        let cron = Cron::parse(expression, zone).unwrap();
        let zone = TimeZone::get(zone).unwrap();
        let mut at = at(after);
        let mut times = Vec::new();
        for _ in 0..count {
            at = cron.next_after(at).unwrap();
            let moment = jiff::Timestamp::from_millisecond(at.as_millis()).unwrap();
            times.push(moment.to_zoned(zone.clone()).strftime("%m-%d %H:%M:%S%:z").to_string());
        }
        times
    }

    /// A zone, the second before its clocks are set forward, and the one before they are set back. In all of them the hour
    /// from two to three is passed over, or shown twice: in Berlin that of the same name, in New York that before.
    const BERLIN: (&str, &str, &str) = ("Europe/Berlin", "2026-03-29T00:59:59Z", "2026-10-25T00:59:59Z");
    const NEW_YORK: (&str, &str, &str) = ("America/New_York", "2026-03-08T06:59:59Z", "2026-11-01T05:59:59Z");

    #[test]
    fn a_time_of_day_that_is_passed_over_comes_when_the_clocks_have_been_set() {
        let after = "2026-03-28T00:00:00Z";
        assert_eq!(
            shown("30 2 * * *", BERLIN.0, after, 3),
            ["03-28 02:30:00+01:00", "03-29 03:00:00+02:00", "03-30 02:30:00+02:00"]
        );
        let after = "2026-03-07T00:00:00Z";
        assert_eq!(
            shown("30 2 * * *", NEW_YORK.0, after, 3),
            ["03-07 02:30:00-05:00", "03-08 03:00:00-04:00", "03-09 02:30:00-04:00"]
        );
    }

    #[test]
    fn a_time_of_day_that_is_shown_twice_comes_the_first_time() {
        let after = "2026-10-24T12:00:00Z";
        assert_eq!(shown("30 2 * * *", BERLIN.0, after, 2), ["10-25 02:30:00+02:00", "10-26 02:30:00+01:00"]);
        let after = "2026-10-31T12:00:00Z";
        assert_eq!(
            shown("30 1 * * *", NEW_YORK.0, after, 2),
            ["11-01 01:30:00-04:00", "11-02 01:30:00-05:00"]
        );
    }

    #[test]
    fn a_distance_is_kept_over_both_changes() {
        assert_eq!(
            shown("*/30 * * * *", BERLIN.0, BERLIN.1, 3),
            ["03-29 03:00:00+02:00", "03-29 03:30:00+02:00", "03-29 04:00:00+02:00"]
        );
        assert_eq!(
            shown("*/30 * * * *", BERLIN.0, "2026-10-25T00:00:00Z", 4),
            ["10-25 02:30:00+02:00", "10-25 02:00:00+01:00", "10-25 02:30:00+01:00", "10-25 03:00:00+01:00"]
        );
        assert_eq!(
            shown("*/30 * * * *", NEW_YORK.0, NEW_YORK.1, 2),
            ["03-08 03:00:00-04:00", "03-08 03:30:00-04:00"]
        );
        assert_eq!(
            shown("0 * * * *", NEW_YORK.0, "2026-11-01T04:30:00Z", 3),
            ["11-01 01:00:00-04:00", "11-01 01:00:00-05:00", "11-01 02:00:00-05:00"]
        );
        // A list of hours is a distance, too: where clocks pass over an hour of it, that one does not come.
        assert_eq!(
            shown("30 2,14 * * *", BERLIN.0, BERLIN.1, 2),
            ["03-29 14:30:00+02:00", "03-30 02:30:00+02:00"]
        );
    }

    #[test]
    fn what_is_written_is_what_is_meant() {
        let after = "2026-02-27T12:00:00Z";
        assert_eq!(shown("0 9 * * 1-5", "UTC", after, 2), ["03-02 09:00:00+00:00", "03-03 09:00:00+00:00"]);
        assert_eq!(shown("0 0 L * *", "UTC", after, 1), ["02-28 00:00:00+00:00"]);
        assert_eq!(shown("0 0 29 2 *", "UTC", after, 1), ["02-29 00:00:00+00:00"]);
        assert_eq!(shown("0 12 * * FRI#1", "UTC", after, 1), ["03-06 12:00:00+00:00"]);
        // Either of two days, as cron has always had it.
        assert_eq!(shown("0 0 13 * 5", "UTC", after, 2), ["03-06 00:00:00+00:00", "03-13 00:00:00+00:00"]);
        assert_eq!(
            shown("*/20 * * * * *", "UTC", after, 2),
            ["02-27 12:00:20+00:00", "02-27 12:00:40+00:00"]
        );
        assert_eq!(shown(" @Daily ", "UTC", after, 1), ["02-28 00:00:00+00:00"]);
        assert_eq!(shown("0 0 * * 7", "UTC", after, 1), shown("0 0 * * SUN", "UTC", after, 1));
        assert_eq!(Cron::parse("@hourly", "europe/berlin").unwrap().zone(), "Europe/Berlin");
        assert_eq!(Cron::parse("@hourly", "utc").unwrap().zone(), "UTC");
    }

    #[test]
    fn what_is_none_says_what_would_be_right() {
        let told = |expression: &str, zone: &str| {
            let fault = Cron::parse(expression, zone).expect_err(expression);
            format!("{fault} ({})", fault.hint())
        };
        let numbers = |least, most| {
            format!("(write numbers from {least} to {most}, lists `1,2`, ranges `1-5`, steps `*/5`, or `*`)")
        };
        assert_eq!(told("61 * * * *", "UTC"), format!("`61` is not a minute {}", numbers(0, 59)));
        assert_eq!(told("0 24 * * *", "UTC"), format!("`24` is not an hour {}", numbers(0, 23)));
        assert_eq!(told("99 0 24 * * *", "UTC"), format!("`99` is not a second {}", numbers(0, 59)));
        assert_eq!(told("0 0 * * MOO", "UTC"), format!("`MOO` is not a day of the week {}", numbers(0, 7)));
        assert!(told("@reboot", "UTC").starts_with("`@reboot` is not a time at which runs can be started"));
        assert!(told("* * * * * * *", "UTC").ends_with("this one has 7 (write minute, hour, day of the month, month, day of the week, such as `0 9 * * 1-5`)"));
        assert!(told("", "UTC").contains("this one has 0"));
        assert!(told("0 0 * *", "UTC").contains("this one has 4"));
        assert_eq!(Cron::parse(&"* ".repeat(101), "UTC").unwrap_err(), CronFault::TooLong);
        for never in ["0 0 30 2 *", "0 0 31 4,6,9,11 *", "0 0 31 FEB *"] {
            assert_eq!(Cron::parse(never, "UTC").expect_err(never), CronFault::Never, "{never}");
        }
        assert_eq!(
            told("@daily", "Berlin"),
            "there is no time zone `Berlin` (did you mean `Europe/Berlin`?)"
        );
        for zone in ["", "Nowhere/Atall", "Europe/../Berlin", "CEST+1", "Etc/Unknown", "/etc/passwd"] {
            assert!(told("@daily", zone).contains("there is no time zone"), "{zone}");
        }
    }

    /// The minutes at which clocks of the zone show what an expression of five fields says, where `minute` and `hour` tell
    /// whether theirs fit: all that a distance can mean.
    fn brute(
        zone: &TimeZone,
        from: Timestamp,
        minutes: i64,
        fits: impl Fn(i8, i8) -> bool,
    ) -> Vec<Timestamp> {
        let all = (0..minutes).map(|minute| from.as_millis() + minute * 60_000);
        all.filter(|at| {
            let shown = jiff::Timestamp::from_millisecond(*at).unwrap().to_zoned(zone.clone());
            fits(shown.hour(), shown.minute())
        })
        .map(Timestamp::from_millis)
        .collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Minute by minute over a change of the clocks, which begins 30 hours after `from`.
        #[test]
        fn a_distance_is_what_the_clocks_show(
            zone in prop::sample::select(vec![BERLIN, NEW_YORK]),
            back in any::<bool>(),
            step in 1i8..60,
            first_hour in 0i8..24,
            hours in 0i8..24,
        ) {
            let last_hour = (first_hour + hours).min(23);
            let expression = format!("*/{step} {first_hour}-{last_hour} * * *");
            let cron = Cron::parse(&expression, zone.0).unwrap();
            let change = at(if back { zone.2 } else { zone.1 }) + Duration::from_secs(1);
            let from = change - Duration::from_secs(30 * 3_600);
            let known = TimeZone::get(zone.0).unwrap();
            let expected = brute(&known, from, 60 * 60, |hour, minute| {
                (first_hour..=last_hour).contains(&hour) && minute % step == 0
            });
            // With a step of the whole hour and one hour, it is a time of day by another word; both mean the same.
            let mut found = Vec::new();
            let mut moment = from - Duration::from_millis(1);
            while let Some(next) = cron.next_after(moment) {
                prop_assert!(next > moment, "{expression}: {next} after {moment}");
                if next >= from + Duration::from_secs(60 * 3_600) {
                    break;
                }
                found.push(next);
                moment = next;
            }
            prop_assert_eq!(found, expected, "{}", expression);
        }

        /// From whatever moment one asks, the answer is later, and nothing lies between.
        #[test]
        fn the_next_is_later_and_the_nearest(
            zone in prop::sample::select(vec![BERLIN, NEW_YORK]),
            back in any::<bool>(),
            expression in prop::sample::select(vec![
                "30 2 * * *", "0 3 * * *", "30 1 * * *", "*/7 * * * *", "15 2,3 * * *", "*/30 * * * * *", "0 0 * * 0",
            ]),
            offset in -90_000_000i64..90_000_000,
            further in 0i64..90_000_000,
        ) {
            let cron = Cron::parse(expression, zone.0).unwrap();
            let change = at(if back { zone.2 } else { zone.1 });
            let moment = Timestamp::from_millis(change.as_millis() + offset);
            let next = cron.next_after(moment).unwrap();
            prop_assert!(next > moment);
            // Whoever asks later, and before that time, gets the same answer.
            let between = Timestamp::from_millis((moment.as_millis() + further).min(next.as_millis() - 1));
            prop_assert_eq!(cron.next_after(between), Some(next), "{} from {} and {}", expression, moment, between);
        }

        #[test]
        fn no_text_makes_it_panic(expression in "[-0-9*/,@#LW?+A-Z ]{0,30}", zone in "[A-Za-z/_+0-9]{0,12}") {
            if let Ok(cron) = Cron::parse(&expression, "UTC") {
                let now = at("2026-01-01T00:00:00Z");
                prop_assert!(cron.next_after(now).is_none_or(|next| next > now));
            }
            let _ = Cron::parse("@daily", &zone);
        }
    }
}

/// A schedule of every hour, on the hour.
fn hourly(after: Timestamp) -> Option<Timestamp> {
    every(3_600_000)(after)
}

fn every(millis: i64) -> impl Fn(Timestamp) -> Option<Timestamp> {
    move |after| Some(Timestamp::from_millis((after.as_millis().div_euclid(millis) + 1) * millis))
}

fn hours(texts: &[&str]) -> Vec<Timestamp> {
    texts.iter().map(|hour| at(&format!("2026-05-04T{hour}:00:00Z"))).collect()
}

#[test]
fn what_is_not_due_waits() {
    let first = at("2026-05-04T09:00:00Z");
    let found = due(hourly, first, at("2026-05-04T08:59:59.999Z"), Missed::RunAll, None);
    assert_eq!((found.fires, found.missed, found.next), (vec![], None, Some(first)));
}

#[test]
fn what_is_on_time_is_started_whatever_the_policy() {
    let first = at("2026-05-04T09:00:00Z");
    for missed in [Missed::Skip, Missed::RunOnce, Missed::RunAll] {
        for now in [first, first + GRACE] {
            let found = due(hourly, first, now, missed, Some(Duration::ZERO));
            assert_eq!((found.fires, found.missed), (vec![first], None), "{missed:?}");
            assert_eq!(found.next, Some(at("2026-05-04T10:00:00Z")));
        }
    }
}

#[test]
fn what_was_missed_follows_the_policy() {
    let (first, now) = (at("2026-05-04T09:00:00Z"), at("2026-05-04T12:30:00Z"));
    let of = |missed, window| {
        let found = due(hourly, first, now, missed, window);
        assert_eq!(found.next, Some(at("2026-05-04T13:00:00Z")));
        (found.fires, found.missed)
    };
    assert_eq!(of(Missed::Skip, None), (vec![], hours(&["12"]).pop()));
    assert_eq!(of(Missed::RunOnce, None), (hours(&["12"]), hours(&["11"]).pop()));
    assert_eq!(of(Missed::RunAll, None), (hours(&["09", "10", "11", "12"]), None));
    let window = Some(Duration::from_secs(2 * 3_600));
    assert_eq!(of(Missed::RunAll, window), (hours(&["11", "12"]), hours(&["10"]).pop()));
    assert_eq!(of(Missed::RunOnce, Some(Duration::from_secs(60))), (vec![], hours(&["12"]).pop()));
}

#[test]
fn one_that_is_on_time_makes_up_for_those_before() {
    let (first, now) = (at("2026-05-04T09:00:00Z"), at("2026-05-04T12:00:30Z"));
    let found = due(hourly, first, now, Missed::RunOnce, None);
    assert_eq!((found.fires, found.missed), (hours(&["12"]), hours(&["11"]).pop()));
    let found = due(hourly, first, now, Missed::RunAll, None);
    assert_eq!((found.fires, found.missed), (hours(&["09", "10", "11", "12"]), None));
}

#[test]
fn after_years_the_latest_are_made_up_for_and_found_soon() {
    let (first, now) = (at("2006-05-04T09:00:01Z"), at("2026-05-04T12:30:00Z"));
    let calls = std::cell::Cell::new(0);
    let secondly = |after| {
        calls.set(calls.get() + 1);
        every(1_000)(after)
    };
    let found = due(secondly, first, now, Missed::RunAll, None);
    // 61 are on time.
    assert_eq!(found.fires.len(), CATCH_UP + 61);
    assert_eq!(found.fires.last(), Some(&now));
    assert!(found.fires.windows(2).all(|pair| pair[1].since(pair[0]) == Duration::from_secs(1)));
    assert_eq!(found.missed, Some(found.fires[0] - Duration::from_secs(1)));
    assert!(calls.get() < 2_000, "{} times", calls.get());
    let yearly = every(366 * 86_400_000);
    let first = yearly(at("1990-01-01T00:00:00Z")).unwrap();
    let found = due(yearly, first, now, Missed::RunAll, None);
    assert_eq!((found.fires.len(), found.fires[0], found.missed), (37, first, None));
}

proptest! {
    /// Whenever several look, and however late: no time is started that is not one, none twice by the same, and under
    /// `run_all` none is left out.
    #[test]
    fn looks_at_any_moments_find_each_time_once(
        pauses in prop::collection::vec(1i64..5_000_000, 1..12),
        missed in prop::sample::select(vec![Missed::Skip, Missed::RunOnce, Missed::RunAll]),
    ) {
        let next_after = every(600_000);
        let begin = at("2026-05-04T09:00:00Z");
        let mut first = next_after(begin).unwrap();
        let (mut now, mut fired) = (begin, Vec::new());
        for pause in pauses {
            now = Timestamp::from_millis(now.as_millis() + pause);
            let found = due(&next_after, first, now, missed, None);
            fired.extend(found.fires);
            first = found.next.unwrap();
            prop_assert!(first > now);
        }
        prop_assert!(fired.windows(2).all(|pair| pair[0] < pair[1]), "{fired:?}");
        prop_assert!(fired.iter().all(|at| at.as_millis() % 600_000 == 0 && *at <= now && *at > begin));
        if missed == Missed::RunAll {
            let all = now.since(begin).as_millis() / 600_000;
            prop_assert_eq!(fired.len() as u128, all);
        }
    }
}

#[test]
fn what_is_kept_is_read_again() {
    let mut schedule = Schedule::new("report", "0 9 * * *", "Europe/Berlin");
    let kept = serde_json::to_string(&schedule).unwrap();
    assert_eq!(serde_json::from_str::<Schedule>(&kept).unwrap(), schedule);
    schedule.set_window(Some(Duration::from_secs(90)));
    schedule.inputs.insert("day".into(), "today".into());
    let kept = serde_json::to_string(&schedule).unwrap();
    let read: Schedule = serde_json::from_str(&kept).unwrap();
    assert_eq!((read.window(), &read), (Some(Duration::from_secs(90)), &schedule));
    assert_eq!(serde_json::from_str::<Past>("{}").unwrap(), Past::default());
}

#[test]
fn names_are_plain() {
    for name in ["a", "Nightly report", "täglich.1_x-y"] {
        assert!(is_schedule_name(name), "{name}");
    }
    for name in ["", " a", "a  b", "a/1", "a\n", "a\0", &"x".repeat(101)] {
        assert!(!is_schedule_name(name), "{name:?}");
    }
}
