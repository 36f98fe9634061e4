//! The forms in which a value comes out of programs.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, percent_encode};

use super::SHORTEST;

/// The shortest line of a value of several lines that is looked for by itself, in bytes: shorter ones are brackets.
const SHORTEST_LINE: usize = 8;

/// RFC 3986, section 2.3: everything but the unreserved characters is encoded.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// ECMA-262, `encodeURIComponent`.
const COMPONENT: &AsciiSet = &UNRESERVED.remove(b'!').remove(b'\'').remove(b'(').remove(b')').remove(b'*');

/// The URL standard, `application/x-www-form-urlencoded`.
const FORM: &AsciiSet = &NON_ALPHANUMERIC.remove(b'*').remove(b'-').remove(b'.').remove(b'_');

/// The URL standard, paths and queries: most of what is printed goes as it is.
const ADDRESS: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'}');

/// As Python's `quote` and the path of a URL: slashes stay.
const SEGMENTS: &AsciiSet = &UNRESERVED.remove(b'/');

/// RFC 3986, section 3.3: what a path may hold stays.
const PATH: &AsciiSet = &COMPONENT
    .remove(b'/')
    .remove(b'$')
    .remove(b'&')
    .remove(b'+')
    .remove(b',')
    .remove(b';')
    .remove(b'=')
    .remove(b':')
    .remove(b'@');

/// Every form of a value, the value itself included.
pub(super) fn forms(value: &str) -> BTreeSet<Vec<u8>> {
    let mut forms = BTreeSet::new();
    let mut add = |form: &str| {
        if form.len() >= SHORTEST {
            forms.insert(form.as_bytes().to_vec());
        }
    };
    for value in [value, value.trim()] {
        add(value);
        base64(value, &mut add);
        hexadecimal(value, &mut add);
        percent(value, &mut add);
        json(value, &mut add);
    }
    let lines = value.lines().map(str::trim).filter(|line| line.len() >= SHORTEST_LINE);
    lines.for_each(&mut add);
    forms
}

/// The characters that are the same whatever stands before and after the value.
fn base64(value: &str, add: &mut impl FnMut(&str)) {
    for engine in [STANDARD_NO_PAD, URL_SAFE_NO_PAD] {
        for shift in 0..3_usize {
            let mut bytes = vec![0; shift];
            bytes.extend_from_slice(value.as_bytes());
            let encoded = engine.encode(&bytes);
            // The characters that hold bits of what stands before; and the last, if it has room for what comes after.
            let from = (shift * 8).div_ceil(6);
            let to = bytes.len() * 8 / 6;
            add(encoded.get(from..to).unwrap_or_default());
        }
    }
}

fn hexadecimal(value: &str, add: &mut impl FnMut(&str)) {
    let lower: String = value.bytes().map(|byte| format!("{byte:02x}")).collect();
    add(&lower);
    add(&lower.to_ascii_uppercase());
}

fn percent(value: &str, add: &mut impl FnMut(&str)) {
    for set in [UNRESERVED, COMPONENT, SEGMENTS, PATH, FORM, ADDRESS] {
        let upper = percent_encode(value.as_bytes(), set).to_string();
        let lower = lower_escapes(&upper);
        for form in [upper, lower] {
            add(&form);
            add(&form.replace("%20", "+"));
        }
    }
}

/// `%2F` as `%2f`.
fn lower_escapes(text: &str) -> String {
    let mut pieces = text.split('%');
    let mut lower = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        // Every `%` that the encoder writes is followed by two digits.
        let (digits, rest) = piece.split_at(2);
        lower.push('%');
        lower.push_str(&digits.to_ascii_lowercase());
        lower.push_str(rest);
    }
    lower
}

fn json(value: &str, add: &mut impl FnMut(&str)) {
    let once = escaped(value);
    // As Go and others write it that is to stand in a page.
    let guarded = once.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026");
    let upper = |text: &str| text.split("\\u").map(upper_escape).collect::<Vec<_>>().join("\\u");
    for once in [&once, &ascii(&once), &guarded, &ascii(&guarded)] {
        for form in [once, &escaped(once)] {
            add(&form.replace('/', "\\/"));
            add(form);
            add(&upper(form));
        }
    }
}

/// What follows a `\\u`, with its four digits in upper case.
fn upper_escape(text: &str) -> String {
    match text.get(..4).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit())) {
        Some(digits) => digits.to_ascii_uppercase() + &text[4..],
        None => text.to_owned(),
    }
}

/// As it stands inside of a JSON string.
fn escaped(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

/// With an escape for every character that is not ASCII.
fn ascii(text: &str) -> String {
    let mut units = [0; 2];
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c.is_ascii() {
            true => out.push(c),
            false => {
                c.encode_utf16(&mut units).iter().for_each(|unit| out.push_str(&format!("\\u{unit:04x}")));
            }
        }
    }
    out
}
