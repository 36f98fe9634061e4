//! A cron expression in a time zone.
//!
//! **What happens when clocks are changed.** An expression whose second, minute and hour are each one number means a time of
//! day: on a day on which clocks show it twice it fires once, the first time; on one on which they pass over it, as soon as
//! they have. Any other expression means a distance: it fires whenever the clocks show what it says, so twice where they show
//! it twice, and not at all where they pass over it.

use croner::parser::{CronParser, Seconds, Year};
use jiff::tz::TimeZone;

use super::fault::CronFault;
use crate::time::Timestamp;

/// The longest expression, in bytes.
pub(super) const MAX_CRON: usize = 200;

/// When something is to happen: a cron expression in a time zone.
#[derive(Debug, Clone)]
pub struct Cron {
    pattern: croner::Cron,
    zone: TimeZone,
}

impl Cron {
    /// Reads an expression of five fields (minute, hour, day of the month, month, day of the week), of six with the second
    /// before them, or one of `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly`; and the name of a time zone as the
    /// IANA database has it, such as `Europe/Berlin`.
    ///
    /// # Errors
    /// [`CronFault`] if it cannot be read, names no time that ever comes, or no zone.
    pub fn parse(expression: &str, zone: &str) -> Result<Self, CronFault> {
        let fields = expression.split_whitespace().count();
        let is_nickname = fields == 1 && expression.trim_start().starts_with('@');
        if expression.len() > MAX_CRON {
            return Err(CronFault::TooLong);
        }
        if !is_nickname && !(5..=6).contains(&fields) {
            return Err(CronFault::Fields(fields));
        }
        let pattern = read(expression).map_err(|error| match is_nickname {
            true => CronFault::Nickname(expression.trim().to_owned()),
            false => CronFault::of_field(expression, &error.to_string(), |whole| read(whole).is_ok()),
        })?;
        // `Etc/Unknown` stands for a zone that nobody knows, and reckons as UTC.
        let known = TimeZone::get(zone).ok().filter(|zone| !zone.is_unknown());
        let zone = known.ok_or_else(|| CronFault::Zone { zone: zone.to_owned(), meant: meant(zone) })?;
        let cron = Self { pattern, zone };
        if cron.next_after(SOME_DAY).is_none() {
            return Err(CronFault::Never);
        }
        Ok(cron)
    }

    /// The name of the zone, as its database writes it.
    #[must_use]
    pub fn zone(&self) -> &str {
        self.zone.iana_name().unwrap_or("UTC")
    }

    /// The first time after `moment`; `None` if there is none before the end of time.
    #[must_use]
    pub fn next_after(&self, moment: Timestamp) -> Option<Timestamp> {
        // Whole seconds are all that an expression can say; what it gives must be later than what it was asked for.
        let start = jiff::Timestamp::from_second(moment.as_millis().div_euclid(1_000)).ok()?;
        let found = self.pattern.find_next_occurrence(&start.to_zoned(self.zone.clone()), false).ok()?;
        let found = Timestamp::from_millis(found.timestamp().as_millisecond());
        (found > moment && found == found.or_last()).then_some(found)
    }
}

/// A Monday in 2024, a leap year: what has not come within the centuries that are searched from there never comes.
const SOME_DAY: Timestamp = Timestamp::from_millis(1_704_067_200_000);

fn read(expression: &str) -> Result<croner::Cron, croner::errors::CronError> {
    CronParser::builder().seconds(Seconds::Optional).year(Year::Disallowed).build().parse(expression)
}

/// A zone that somebody may have meant: one whose last part is written so.
fn meant(zone: &str) -> Option<String> {
    let wanted = zone.replace(' ', "_");
    let known = jiff::tz::db().available();
    let mut found = known.filter(|name| {
        name.as_str().rsplit('/').next().is_some_and(|last| last.eq_ignore_ascii_case(&wanted))
    });
    found.next().map(|name| name.as_str().to_owned())
}
