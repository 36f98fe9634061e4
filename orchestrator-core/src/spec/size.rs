//! Sizes as authors write them: `512MiB`, `1GiB`, `64KiB`, `100B`.

/// The largest size: 16 TiB, more than any machine of today has memory.
pub(crate) const MAX_SIZE: u64 = 16 << 40;

/// Units, from large to small, with their bytes.
const UNITS: [(&str, u64); 5] =
    [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// What is wrong with a text that is not a size.
pub(crate) fn read(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let unit = unit.trim_start();
    if number.is_empty() {
        return Err("it does not begin with a whole number".to_owned());
    }
    if unit.is_empty() {
        return Err("it has no unit".to_owned());
    }
    let Some((_, factor)) = UNITS.iter().find(|(name, _)| *name == unit) else {
        let near = UNITS.iter().find(|(name, _)| {
            unit.chars().next().is_some_and(|first| name.starts_with(first.to_ascii_uppercase()))
        });
        let meant = near.map(|(name, _)| format!(" (did you mean {name}?)")).unwrap_or_default();
        return Err(format!("its unit is not among TiB, GiB, MiB, KiB, B{meant}"));
    };
    let size = number.parse::<u64>().ok().and_then(|number| number.checked_mul(*factor));
    size.filter(|size| *size <= MAX_SIZE).ok_or_else(|| "it is more than 16TiB".to_owned())
}

/// Writes a size in the largest unit that holds it exactly.
pub(crate) fn print(size: u64) -> String {
    let unit = UNITS.iter().find(|(_, unit)| size > 0 && size.is_multiple_of(*unit));
    unit.map_or_else(|| "0B".to_owned(), |(name, unit)| format!("{}{name}", size / unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_and_printed() {
        for (text, size) in
            [("512MiB", 512 << 20), ("1GiB", 1 << 30), ("3B", 3), (" 2 KiB ", 2048), ("16TiB", MAX_SIZE)]
        {
            assert_eq!(read(text), Ok(size), "{text}");
            assert_eq!(read(&print(size)), Ok(size), "{text}");
        }
        assert_eq!(print(1536), "1536B");
    }

    #[test]
    fn what_is_no_size_says_why() {
        for (text, why) in [
            ("", "whole number"),
            ("MiB", "whole number"),
            ("512", "no unit"),
            ("512MB", "did you mean MiB?"),
            ("1g", "did you mean GiB?"),
            ("17TiB", "more than 16TiB"),
            ("99999999999999999999B", "more than 16TiB"),
            ("1.5GiB", "its unit"),
        ] {
            let told = read(text).expect_err(text);
            assert!(told.contains(why), "{text}: {told}");
        }
    }
}
