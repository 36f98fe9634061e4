//! Text from outside on its way to a terminal: names, step output, error messages.

use std::borrow::Cow;
use std::fmt::Write as _;

/// One line: every control character is made visible, line ends too. Colours (SGR sequences) are dropped.
pub(crate) fn line(text: &str) -> Cow<'_, str> {
    let harmless = |c: char| !is_dangerous(c) || c == '\t';
    if text.chars().all(harmless) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if let Some(after) = skip_colour(rest) {
            rest = after;
            continue;
        }
        rest = &rest[c.len_utf8()..];
        match c {
            c if harmless(c) => out.push(c),
            // A carriage return before a line end is only Windows' way of ending lines.
            '\r' if rest.is_empty() || rest.starts_with('\n') => {}
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            c if u32::from(c) < 0x100 => {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\x{:02x}", u32::from(c));
            }
            c => {
                let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
            }
        }
    }
    Cow::Owned(out)
}

/// Whether a character can move the cursor, change the terminal, or make text read otherwise than it is (the Unicode
/// controls for direction, and invisible ones).
fn is_dangerous(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{2028}' | '\u{2029}')
}

/// What follows an SGR sequence (`ESC [ … m`) that `text` begins with.
fn skip_colour(text: &str) -> Option<&str> {
    let body = text.strip_prefix("\u{1b}[")?;
    let end = body.find(|c: char| !c.is_ascii_digit() && c != ';' && c != ':')?;
    body[end..].strip_prefix('m')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_fool_a_terminal_becomes_visible() {
        assert_eq!(line("plain — text\twith a tab"), "plain — text\twith a tab");
        assert_eq!(line("a\u{1b}]0;title\u{7}b"), "a\\x1b]0;title\\x07b");
        assert_eq!(line("a\u{1b}[2Jb"), "a\\x1b[2Jb");
        assert_eq!(line("two\nlines\rback"), "two\\nlines\\rback");
        assert_eq!(line("\u{202e}txt.exe"), "\\u{202e}txt.exe");
        assert_eq!(line("\u{9b}31m"), "\\x9b31m");
        assert_eq!(line("from Windows\r"), "from Windows");
    }

    #[test]
    fn colours_are_dropped() {
        assert_eq!(line("\u{1b}[1;31merror\u{1b}[0m: x"), "error: x");
        assert_eq!(line("\u{1b}[31"), "\\x1b[31");
    }
}
