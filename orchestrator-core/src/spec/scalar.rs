//! How YAML 1.2 reads a scalar that is not quoted (the core schema), and what of it we refuse to guess.

use serde_json::Number;

/// What a plain scalar is.
#[derive(Debug, PartialEq)]
pub(super) enum Plain {
    Null,
    Bool(bool),
    Number(Number),
    Text,
    /// Written as a number, but not one that is kept exactly; why, and what to write.
    Refused(&'static str),
}

/// Reads a plain scalar. `yes`, `on`, `1_000`, `12:30:00` and dates are texts.
pub(super) fn read(text: &str) -> Plain {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Plain::Null,
        "true" | "True" | "TRUE" => return Plain::Bool(true),
        "false" | "False" | "FALSE" => return Plain::Bool(false),
        _ => {}
    }
    let (sign, digits) = match text.as_bytes()[0] {
        b'-' | b'+' => text.split_at(1),
        b'.' | b'0'..=b'9' => ("", text),
        _ => return Plain::Text,
    };
    let negative = sign == "-";
    match digits {
        ".inf" | ".Inf" | ".INF" => return Plain::Refused("JSON has no infinity"),
        ".nan" | ".NaN" | ".NAN" if sign.is_empty() => return Plain::Refused("JSON has no NaN"),
        _ => {}
    }
    if let Some(number) = radix(digits).filter(|_| sign.is_empty()) {
        return number;
    }
    if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return whole(digits, negative);
    }
    if is_float(digits) { float(text, digits) } else { Plain::Text }
}

/// `0o17` and `0x1F`.
fn radix(digits: &str) -> Option<Plain> {
    let (radix, digits) = match digits.get(..2)? {
        "0o" => (8, &digits[2..]),
        "0x" => (16, &digits[2..]),
        _ => return None,
    };
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
        return None;
    }
    Some(match u64::from_str_radix(digits, radix) {
        Ok(number) => Plain::Number(number.into()),
        Err(_) => Plain::Refused(TOO_LARGE),
    })
}

const TOO_LARGE: &str = "a whole number has at most 64 bits";

fn whole(digits: &str, negative: bool) -> Plain {
    if digits.len() > 1 && digits.starts_with('0') {
        return Plain::Refused("YAML 1.2 reads a leading zero as decimal, YAML 1.1 as octal");
    }
    let number = match (digits.parse::<u64>(), negative) {
        (Ok(number), false) => Some(Number::from(number)),
        (Ok(number), true) => 0i64.checked_sub_unsigned(number).map(Number::from),
        (Err(_), _) => None,
    };
    number.map_or(Plain::Refused(TOO_LARGE), Plain::Number)
}

/// Digits with a point, an exponent, or both.
fn is_float(digits: &str) -> bool {
    let (mantissa, exponent) = match digits.find(['e', 'E']) {
        Some(at) => (&digits[..at], Some(&digits[at + 1..])),
        None => (digits, None),
    };
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let mantissa = match mantissa.split_once('.') {
        Some((whole, fraction)) => {
            (!whole.is_empty() || !fraction.is_empty()) && all_digits(whole) && all_digits(fraction)
        }
        None => !mantissa.is_empty() && all_digits(mantissa),
    };
    let exponent = exponent.is_none_or(|exponent| {
        let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        !exponent.is_empty() && all_digits(exponent)
    });
    mantissa && exponent
}

fn float(text: &str, digits: &str) -> Plain {
    if digits.len() > 1 && digits.starts_with('0') && digits.as_bytes()[1].is_ascii_digit() {
        return Plain::Refused("a number does not begin with a needless zero");
    }
    match text.parse::<f64>().ok().and_then(Number::from_f64) {
        Some(number) => Plain::Number(number),
        None => Plain::Refused("the number is too large for 64 bits"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(value: impl Into<Number>) -> Plain {
        Plain::Number(value.into())
    }

    #[test]
    fn yaml_1_2_and_not_1_1() {
        for text in
            ["yes", "no", "on", "off", "y", "1_000", "12:30:00", "2026-01-01", "0b11", "1.2.3", "-", "+", "."]
        {
            assert_eq!(read(text), Plain::Text, "{text}");
        }
        for text in ["0x", "0xg", "-0x1", "1e", "e1", ".e1", "--1", "+-1", "1.5.2s", "é", "-é", "..", "- "]
        {
            assert_eq!(read(text), Plain::Text, "{text}");
        }
        assert_eq!(read("~"), Plain::Null);
        assert_eq!(read("TRUE"), Plain::Bool(true));
    }

    #[test]
    fn numbers_are_exact_or_refused() {
        assert_eq!(read("9007199254740993"), number(9_007_199_254_740_993_u64));
        assert_eq!(read("18446744073709551615"), number(u64::MAX));
        assert_eq!(read("-9223372036854775808"), number(i64::MIN));
        assert_eq!(read("-0"), number(0));
        assert_eq!(read("0x1F"), number(31));
        assert_eq!(read("0o17"), number(15));
        assert_eq!(read("1e3"), Plain::Number(Number::from_f64(1000.0).unwrap()));
        assert_eq!(read("+.5"), Plain::Number(Number::from_f64(0.5).unwrap()));
        let refused = [
            "18446744073709551616",
            "-9223372036854775809",
            "0777",
            "-007",
            "00.5",
            "1e400",
            ".inf",
            "-.INF",
            ".nan",
        ];
        for text in refused.into_iter().chain(["0x1ffffffffffffffff"]) {
            assert!(matches!(read(text), Plain::Refused(_)), "{text}");
        }
    }
}
