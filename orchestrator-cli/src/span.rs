//! Durations as they are typed: `90s`, `5m`, `1h`, `250ms`.

use std::time::Duration;

use orchestrator_core::time::Timestamp;

use crate::output::escape;

/// The longest duration that is accepted (a year).
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

/// In milliseconds, as JSON has it; at most what fits.
pub(crate) fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// Reads a duration: a number and a unit (`ms`, `s`, `m`, `h`, `d`), perhaps several together (`1h30m`).
///
/// # Errors
/// What was expected instead.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || "expected a duration such as 500ms, 90s, 5m or 1h30m".to_owned();
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(wrong());
    }
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).filter(|end| *end > 0).ok_or_else(wrong)?;
        let (number, tail) = rest.split_at(digits);
        let unit_end = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_end);
        let millis: u64 = match unit.trim() {
            "ms" => 1,
            "s" => 1_000,
            "m" | "min" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(wrong()),
        };
        let span =
            number.parse::<u64>().ok().and_then(|number| number.checked_mul(millis)).ok_or_else(wrong)?;
        total = total.checked_add(Duration::from_millis(span)).ok_or_else(wrong)?;
        rest = tail;
    }
    if total > LONGEST {
        return Err("expected a duration of at most a year".to_owned());
    }
    Ok(total)
}

/// Reads a moment: as RFC 3339 gives it, or how long ago as a duration.
///
/// # Errors
/// What was expected instead.
pub(crate) fn parse_moment(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    if let Ok(ago) = parse_duration(text) {
        return Ok(now - ago);
    }
    text.trim()
        .parse()
        .map_err(|_| format!("`{}` is neither {A_TIME} nor a duration such as 10m", shown(text)))
}

/// Reads a time as RFC 3339 gives it.
///
/// # Errors
/// What was expected instead.
pub(crate) fn parse_time(text: &str) -> Result<Timestamp, String> {
    text.trim().parse().map_err(|_| format!("`{}` is not {A_TIME}", shown(text)))
}

const A_TIME: &str = "a time with its zone such as 2026-01-31T12:00:00Z, before the end of 9999";

fn shown(text: &str) -> String {
    let short: String = text.chars().take(40).collect();
    escape::line(&short).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_given_or_counted_back() {
        let now = Timestamp::from_millis(1_700_000_000_000);
        assert_eq!(parse_moment("10m", now), Ok(Timestamp::from_millis(1_699_999_400_000)));
        assert_eq!(parse_moment("2023-11-14T22:13:20Z", now), Ok(now));
        for wrong in ["", "yesterday", "2023-11-14", "2023-13-01T00:00:00Z", "2023-11-14T22:13:20", "-5m"] {
            assert!(parse_moment(wrong, now).is_err(), "{wrong}");
        }
    }

    #[test]
    fn durations_need_units() {
        assert_eq!(parse_duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(parse_duration("1h30m"), Ok(Duration::from_secs(5_400)));
        for wrong in ["", "5", "abc", "-1s", "1.5.2s", "99999999999d", "s", "1 fortnight"] {
            assert!(parse_duration(wrong).is_err(), "{wrong}");
        }
    }
}
