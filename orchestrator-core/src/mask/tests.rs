use proptest::prelude::*;
use serde_json::json;

use super::{Mask, MaskedBytes};

fn in_pieces(mask: &Mask, text: &[u8], size: usize) -> String {
    let mut stream = MaskedBytes::new(mask.clone());
    let mut out: Vec<u8> = text.chunks(size).flat_map(|piece| stream.take(piece)).collect();
    out.extend(stream.finish());
    String::from_utf8_lossy(&out).into_owned()
}

/// Masks at once and in pieces of several sizes, which must be the same.
fn masked(values: &[&str], text: &str) -> String {
    let mask = Mask::of(values.iter().copied());
    let whole = mask.text(text).into_owned();
    for size in [1, 2, 3, 7, 64, 4_096] {
        assert_eq!(in_pieces(&mask, text.as_bytes(), size), whole, "in pieces of {size}: {text:?}");
    }
    whole
}

#[test]
fn a_value_is_masked_wherever_it_stands() {
    assert_eq!(masked(&["s3cret"], "a s3cret, s3crets3cret and s3cre"), "a ***, ****** and s3cre");
    assert_eq!(masked(&["s3cret"], "nothing"), "nothing");
    assert_eq!(masked(&["пароль-日本"], "да пароль-日本 нет"), "да *** нет");
    assert_eq!(masked(&[".*+?[a-z]$"], "x.*+?[a-z]$y axb"), "x***y axb");
}

#[test]
fn of_two_values_the_longer_one_is_masked() {
    assert_eq!(masked(&["abcd1234", "abcd1234efgh"], "abcd1234efgh abcd1234 abcd12"), "*** *** abcd12");
    // Where a longer one has begun, what is there of it goes with the shorter one.
    assert_eq!(masked(&["abcd1234", "abcd1234efgh"], "abcd1234ef!"), "***!");
}

#[test]
fn a_value_that_begins_inside_of_what_was_found_is_masked_to_its_end() {
    assert_eq!(masked(&["abcdefgh", "efghijkl"], "xabcdefghijklx"), "x***x");
    let value = format!("{}1deadbeefcafe", "0".repeat(32));
    assert_eq!(masked(&[&value], &format!("0{value}!")), "***!");
}

#[test]
fn too_short_a_value_is_not_looked_for() {
    assert!(Mask::of(["abc"]).is_empty());
    assert!(!Mask::of(["abcd"]).is_empty());
}

#[test]
fn the_forms_that_are_promised_are_masked() {
    let value = "p@ss w/rd+é\"1";
    let json = serde_json::to_string(value).unwrap();
    for text in [
        "cEBzcyB3L3JkK8OpIjE=",
        "eHBAc3Mgdy9yZCvDqSIx",     // x before it
        "eHhwQHNzIHcvcmQrw6kiMQ==", // xx before it
        "70407373 is not, 7040737320772f72642bc3a92231",
        "7040737320772F72642BC3A92231",
        "p%40ss%20w%2Frd%2B%C3%A9%221",
        "p%40ss+w%2frd%2b%c3%a9%221",
        "p@ss%20w/rd+%C3%A9%221",
        &json,
        &serde_json::to_string(&json).unwrap(),
        "p@ss w\\/rd+\\u00e9\\\"1",
        "p@ss w/rd+\\u00E9\\\"1",
        "p%40ss+w%2Frd%2B%C3%A9%221",
        "p@ss%20w/rd+%C3%A9%221",
    ] {
        let masked = masked(&[value], text);
        assert!(masked.contains("***"), "{text} became {masked}");
        // Of base64 a character at each side holds bits of what stands beside the value.
        assert!(masked.len() <= 30, "{text} became {masked}");
    }
}

#[test]
fn a_value_of_several_lines_is_masked_whole_and_line_by_line() {
    let pem = "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQ\nabcdefghijklmnop\n-----END KEY-----\n";
    assert_eq!(masked(&[pem], &format!("x\n{pem}y")), "x\n***y");
    assert_eq!(masked(&[pem], "one: MIIEvQIBADANBgkqhkiG9w0BAQ\ntwo"), "one: ***\ntwo");
    assert_eq!(masked(&[pem], &pem.replace('\n', "\r\n")), "***\r\n");
}

#[test]
fn wrapped_encodings_are_masked() {
    let value: String = ('a'..='z').cycle().take(200).collect();
    let hex: String = value.bytes().map(|byte| format!("{byte:02x}")).collect();
    let wrapped: String =
        hex.as_bytes().chunks(60).map(|line| format!("{}\n", str::from_utf8(line).unwrap())).collect();
    assert_eq!(masked(&[&value], &format!("dump:\n{wrapped}end")), "dump:\n***\nend");
}

#[test]
fn values_are_masked_in_texts_keys_and_numbers() {
    let mask = Mask::of(["s3cret", "20261129"]);
    let mut value = json!({"a": ["x s3cret"], "s3cret": {"n": 20_261_129, "m": 120_261_129}, "t": true});
    mask.value(&mut value);
    assert_eq!(value, json!({"a": ["x ***"], "***": {"n": "***", "m": 120_261_129}, "t": true}));
}

#[test]
fn what_is_held_back_has_a_bound() {
    let mask = Mask::of(["a value of quite some length"]);
    let mut stream = MaskedBytes::new(mask);
    let mut out = stream.take(b"a value");
    let lines = vec![b'\n'; 1 << 20];
    out.extend(stream.take(&lines));
    assert!(out.len() > 1 << 19, "{}", out.len());
}

proptest! {
    /// However a text is cut into pieces, no value comes through and everything else does.
    #[test]
    fn pieces_do_not_matter(
        values in prop::collection::vec("[ab]{4,9}|[a-c]{20,40}", 1..4),
        text in "[abc\\n]{0,120}",
        size in 1..40usize,
    ) {
        let mask = Mask::of(values.iter().map(String::as_str));
        let out = in_pieces(&mask, text.as_bytes(), size);
        prop_assert_eq!(&out, &mask.text(&text), "in pieces of {}", size);
        for value in &values {
            prop_assert!(!out.contains(value.as_str()), "{} in {}", value, out);
        }
        let kept = |text: &str| text.bytes().filter(|byte| *byte == b'c').count();
        if values.iter().all(|value| !value.contains('c')) {
            prop_assert_eq!(kept(&out), kept(&text));
        }
    }
}
