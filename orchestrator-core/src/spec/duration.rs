//! Durations as authors write them: `500ms`, `30s`, `2m`, `24h`, `7d`, and `1h30m`.

use std::time::Duration;

/// The longest duration: ten years.
pub(super) const MAX_DURATION: Duration = Duration::from_secs(3_650 * 86_400);

/// Units, from long to short, with their milliseconds.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// What is wrong with a text that is not a duration.
pub(crate) fn read(text: &str) -> Result<Duration, &'static str> {
    let text = text.trim();
    if text.is_empty() {
        return Err("it is empty");
    }
    let mut rest = text;
    let mut millis = 0u64;
    // Units that may still follow.
    let mut units = &UNITS[..];
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        if digits == 0 {
            return Err("it is not made of whole numbers and units");
        }
        let (number, tail) = rest.split_at(digits);
        let letters = tail.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, tail) = tail.split_at(letters);
        if unit.is_empty() {
            return Err(if tail.is_empty() {
                "it has no unit"
            } else {
                "it is not made of whole numbers and units"
            });
        }
        let Some(found) = units.iter().position(|(name, _)| *name == unit) else {
            return Err("its units are not among d, h, m, s, ms, each once and the longest first");
        };
        let part = number.parse::<u64>().ok().and_then(|number| number.checked_mul(units[found].1));
        let Some(sum) = part.and_then(|part| millis.checked_add(part)) else { return Err("it is too long") };
        (millis, units, rest) = (sum, &units[found + 1..], tail);
    }
    let duration = Duration::from_millis(millis);
    if duration > MAX_DURATION { Err("it is longer than ten years") } else { Ok(duration) }
}

/// Writes a duration in the longest unit that holds it exactly; less than a millisecond counts as one.
pub(crate) fn print(duration: Duration) -> String {
    let millis = duration.as_nanos().div_ceil(1_000_000);
    let unit = UNITS.iter().find(|(_, unit)| millis > 0 && millis.is_multiple_of(u128::from(*unit)));
    match unit {
        Some((name, unit)) => format!("{}{name}", millis / u128::from(*unit)),
        None => "0s".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_is_read_back() {
        for (millis, text) in
            [(0, "0s"), (1, "1ms"), (90_000, "90s"), (86_400_000, "1d"), (3_600_001, "3600001ms")]
        {
            let duration = Duration::from_millis(millis);
            assert_eq!((print(duration).as_str(), read(text)), (text, Ok(duration)));
        }
        assert_eq!(print(Duration::from_micros(1)), "1ms");
    }

    #[test]
    fn whole_numbers_with_units() {
        let millis = |text| read(text).map(|duration| duration.as_millis());
        assert_eq!(millis("500ms"), Ok(500));
        assert_eq!(millis("1h30m"), Ok(5_400_000));
        assert_eq!(millis("7d"), Ok(604_800_000));
        assert_eq!(millis("0s"), Ok(0));
        for text in [
            "",
            "5",
            "-1s",
            "abc",
            "1.5s",
            "1.5.2s",
            "99999999999d",
            "99999999999999999999s",
            "30m1h",
            "1s1s",
            "1 s",
            "s",
            "3651d",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
