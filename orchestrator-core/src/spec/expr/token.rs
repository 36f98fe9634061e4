//! The tokens of an expression, as far as the analysis before compilation needs them.

/// What a piece of source is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A name or a word such as `and`.
    Word,
    /// A number.
    Number,
    /// A string literal with its quotes.
    Text,
    /// An operator or a bracket.
    Sign,
}

/// A token and where it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token<'s> {
    pub(super) kind: Kind,
    pub(super) text: &'s str,
    pub(super) offset: usize,
}

impl Token<'_> {
    pub(super) fn is(&self, sign: &str) -> bool {
        self.kind == Kind::Sign && self.text == sign
    }

    pub(super) fn is_word(&self, word: &str) -> bool {
        self.kind == Kind::Word && self.text == word
    }
}

/// Why a source cannot be cut into tokens, and where.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Odd {
    /// A string literal without its end.
    UnclosedText(usize),
    /// A character that the language has no use for.
    Character(usize, char),
}

const LONG_SIGNS: [&str; 8] = ["**", "//", "==", "!=", "<=", ">=", "&&", "||"];
const SHORT_SIGNS: &str = "+-*/%~|.,:()[]{}<>=!&";

/// Cuts an expression into tokens.
pub(super) fn tokens(source: &str) -> Result<Vec<Token<'_>>, Odd> {
    let bytes = source.as_bytes();
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let begin = at;
        let kind = match bytes[at] {
            byte if byte.is_ascii_whitespace() => {
                at += 1;
                continue;
            }
            byte if byte.is_ascii_alphabetic() || byte == b'_' => {
                at += run(&bytes[at..], |byte| byte.is_ascii_alphanumeric() || byte == b'_');
                Kind::Word
            }
            byte if byte.is_ascii_digit() => {
                at += number(&bytes[at..]);
                Kind::Number
            }
            quote @ (b'\'' | b'"') => {
                at += text(&bytes[at..], quote).ok_or(Odd::UnclosedText(begin))?;
                Kind::Text
            }
            _ => {
                at += sign(&source[at..]).ok_or_else(|| odd_character(source, begin))?;
                Kind::Sign
            }
        };
        tokens.push(Token { kind, text: &source[begin..at], offset: begin });
    }
    Ok(tokens)
}

fn run(bytes: &[u8], belongs: impl Fn(u8) -> bool) -> usize {
    bytes.iter().take_while(|byte| belongs(**byte)).count()
}

/// Digits, with a fraction and an exponent if they follow.
fn number(bytes: &[u8]) -> usize {
    let mut len = run(bytes, |byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if bytes.get(len) == Some(&b'.') && bytes.get(len + 1).is_some_and(u8::is_ascii_digit) {
        len += 1 + run(&bytes[len + 1..], |byte| byte.is_ascii_alphanumeric() || byte == b'_');
    }
    let exponent = len > 1 && matches!(bytes[len - 1], b'e' | b'E') && !bytes.starts_with(b"0x");
    if exponent && matches!(bytes.get(len), Some(b'+' | b'-')) {
        len += 1 + run(&bytes[len + 1..], |byte| byte.is_ascii_digit());
    }
    len
}

fn text(bytes: &[u8], quote: u8) -> Option<usize> {
    let mut at = 1;
    loop {
        match *bytes.get(at)? {
            b'\\' => at += 2,
            byte if byte == quote => return Some(at + 1),
            _ => at += 1,
        }
    }
}

fn sign(rest: &str) -> Option<usize> {
    if LONG_SIGNS.iter().any(|sign| rest.starts_with(sign)) {
        return Some(2);
    }
    rest.starts_with(|c| SHORT_SIGNS.contains(c)).then_some(1)
}

fn odd_character(source: &str, at: usize) -> Odd {
    // `at` is a boundary: all that was consumed before it is ASCII or a whole string literal.
    Odd::Character(at, source[at..].chars().next().unwrap_or('\u{fffd}'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_an_expression_into_tokens() {
        let texts: Vec<_> =
            tokens("steps.a['b'] >=1.5e-3|x(2)//0x1f-3").unwrap().into_iter().map(|t| t.text).collect();
        assert_eq!(
            texts,
            [
                "steps", ".", "a", "[", "'b'", "]", ">=", "1.5e-3", "|", "x", "(", "2", ")", "//", "0x1f",
                "-", "3"
            ]
        );
        assert_eq!(tokens("a 'b"), Err(Odd::UnclosedText(2)));
        assert_eq!(tokens("a é"), Err(Odd::Character(2, 'é')));
        assert_eq!(tokens("'é' ?"), Err(Odd::Character(5, '?')));
    }
}
