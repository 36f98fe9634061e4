//! Durations as authors write them: `10s`, `1h30m`, `250ms`.

use std::time::Duration;

/// Reads a duration: whole numbers, each followed by `ms`, `s`, `m`, `h` or `d`, from the largest unit to the smallest.
///
/// # Errors
/// What is wrong, as a fragment for a message.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    const UNITS: [(&str, u64); 5] =
        [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];
    let wrong = || format!("`{}` is not a duration such as 10s, 5m or 1h30m", shortened(text));
    let mut rest = text.trim();
    let (mut total, mut next) = (0u64, 0usize);
    if rest.is_empty() {
        return Err(wrong());
    }
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let letters = rest[digits..].bytes().take_while(u8::is_ascii_lowercase).count();
        let number: u64 = rest[..digits].parse().map_err(|_| wrong())?;
        let unit = &rest[digits..digits + letters];
        let place = UNITS.iter().position(|(name, _)| *name == unit).filter(|place| *place >= next);
        let (place, millis) = place.map(|place| (place, UNITS[place].1)).ok_or_else(wrong)?;
        next = place + 1;
        total = number.checked_mul(millis).and_then(|part| total.checked_add(part)).ok_or_else(wrong)?;
        rest = &rest[digits + letters..];
    }
    Ok(Duration::from_millis(total))
}

fn shortened(text: &str) -> String {
    text.chars().take(40).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_authors_write() {
        for (text, millis) in [
            ("10s", 10_000),
            ("250ms", 250),
            ("1h30m", 5_400_000),
            ("1d", 86_400_000),
            ("1m5ms", 60_005),
            ("0s", 0),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn refuses_the_rest_and_says_what_would_do() {
        for text in
            ["", "10", "s", "10 s", "1.5s", "-1s", "5s1m", "5s5s", "10sec", "99999999999999999999s", "é"]
        {
            assert!(parse(text).is_err_and(|message| message.contains("10s, 5m or 1h30m")), "{text}");
        }
        assert!(parse("18446744073709551615d").is_err());
    }
}
