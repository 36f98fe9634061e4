//! Names and values that become parts of addresses and of texts.

use std::time::Duration;

use reqwest::Url;

use crate::branch::shown;
use crate::{duration, outbound};

/// The shortest time between two looks at checks: one second.
const EVERY_MIN: Duration = Duration::from_secs(1);

/// The longest: one day.
const EVERY_MAX: Duration = Duration::from_secs(86_400);

/// The longest marker of a comment, in bytes.
const MARKER: usize = 100;

/// Whether a part of a path is one of the kind of which repositories' names are made.
pub(super) fn is_part(part: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    !matches!(part, "" | "." | "..") && part.len() <= 255 && part.bytes().all(fits)
}

/// Checks where an API is.
///
/// # Errors
/// What is wrong with it.
pub(super) fn base_url(text: &str) -> Result<Url, String> {
    let url = outbound::address(text)?;
    match url.query().is_some() || url.fragment().is_some() {
        true => {
            Err(format!("`{}` has a query or a fragment; give the address of the API alone", shown(text)))
        }
        false => Ok(url),
    }
}

/// Checks the full name of a commit.
///
/// # Errors
/// What is wrong with it.
pub(super) fn sha(text: &str) -> Result<(), String> {
    let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    match matches!(text.len(), 40 | 64) && text.bytes().all(is_hex) {
        true => Ok(()),
        false => Err(format!(
            "`{}` is not the full name of a commit: 40 (or 64) digits of 0-9 and a-f",
            shown(text)
        )),
    }
}

/// Checks a title, a label or the name of a check: one line with something in it.
///
/// # Errors
/// What is wrong with it.
pub(super) fn line(text: &str) -> Result<(), String> {
    if text.trim().is_empty() {
        return Err("it is blank".to_owned());
    }
    match text.chars().any(char::is_control) {
        true => Err(format!("`{}` holds a line end or another control character", shown(text))),
        false => Ok(()),
    }
}

/// Checks a label: [`line`], and no comma, with which lists of them are written.
///
/// # Errors
/// What is wrong with it.
pub(super) fn label(text: &str) -> Result<(), String> {
    line(text)?;
    match text.contains(',') {
        true => Err(format!("`{}` holds a comma, which no label can", shown(text))),
        false => Ok(()),
    }
}

/// Checks the marker of a comment, which must not end the mark that it stands in.
///
/// # Errors
/// What is wrong with it.
pub(super) fn marker(text: &str) -> Result<(), String> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"_.:/-".contains(&byte);
    if text.is_empty() || text.len() > MARKER || !text.bytes().all(fits) || text.contains("--") {
        return Err(format!(
            "`{}` is not a marker: up to {MARKER} letters, digits and _ . : / -, without `--`",
            shown(text)
        ));
    }
    Ok(())
}

/// Reads how long to wait between two looks.
///
/// # Errors
/// What is wrong with it.
pub(super) fn every(text: &str) -> Result<Duration, String> {
    match duration::parse(text)? {
        every if every < EVERY_MIN => Err("less than 1s, the shortest time between two looks".to_owned()),
        every if every > EVERY_MAX => Err("more than 1d, the longest time between two looks".to_owned()),
        every => Ok(every),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_lead_elsewhere_is_no_name() {
        for part in ["a", "A-b_c.d", "...", ".github"] {
            assert!(is_part(part), "{part}");
        }
        for part in ["", ".", "..", "a/b", "a%2fb", "a b", "a\nb", "é", "a?b", "a#b", "\0"] {
            assert!(!is_part(part), "{part:?}");
        }
        for marker in ["", "a--b", "a-->b", "a b", "a\n", &"x".repeat(101)] {
            assert!(super::marker(marker).is_err(), "{marker:?}");
        }
        assert_eq!(marker("ci/report:1"), Ok(()));
        assert!(sha(&"a1".repeat(20)).is_ok() && sha(&"0f".repeat(32)).is_ok());
        for text in ["", "main", "a1b2c3", &"A1".repeat(20), &"../".repeat(14)[..40]] {
            assert!(sha(text).is_err(), "{text}");
        }
        assert!(base_url("https://ghe.example.com/api/v3").is_ok());
        for url in ["https://a/?x=1", "https://a/#x", "ftp://a", "https://u:p@a/"] {
            assert!(base_url(url).is_err(), "{url}");
        }
        assert!(label("a,b").is_err() && line("a\nb").is_err() && line(" ").is_err());
        assert!(every("500ms").is_err() && every("2d").is_err() && every("30s").is_ok());
    }
}
