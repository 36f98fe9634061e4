//! Finds `${{ … }}` in a text.

/// What opens an expression.
pub(in crate::spec) const OPEN: &str = "${{";

/// A part of a text.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece<'s> {
    /// Stands for itself.
    Literal(&'s str),
    /// The source of an expression, without its delimiters, and which `${{` of the text begins it, counted from 0.
    Expression { source: &'s str, number: usize },
}

/// The `${{` that is never closed, counted from 0.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unclosed(pub(super) usize);

/// Whether a text holds an expression, closed or not.
pub(in crate::spec) fn has_expression(text: &str) -> bool {
    text.contains(OPEN)
}

/// Whether a text is exactly one expression, whose value then keeps its type.
pub(in crate::spec) fn is_one_expression(text: &str) -> bool {
    matches!(pieces(text).as_deref(), Ok([Piece::Expression { .. }]))
}

/// Cuts a text into pieces. `}}` inside a string literal or inside brackets of the expression does not end it.
pub(super) fn pieces(text: &str) -> Result<Vec<Piece<'_>>, Unclosed> {
    let mut pieces = Vec::new();
    let (mut rest, mut number) = (0, 0);
    while let Some(found) = text[rest..].find(OPEN) {
        let open = rest + found;
        if open > rest {
            pieces.push(Piece::Literal(&text[rest..open]));
        }
        let offset = open + OPEN.len();
        let end = offset + end_of_expression(&text.as_bytes()[offset..]).ok_or(Unclosed(number))?;
        let source = &text[offset..end];
        pieces.push(Piece::Expression { source, number });
        // One may stand in a string literal.
        number += 1 + source.matches(OPEN).count();
        rest = end + 2;
    }
    if rest < text.len() {
        pieces.push(Piece::Literal(&text[rest..]));
    }
    Ok(pieces)
}

/// Where the closing `}}` begins.
fn end_of_expression(bytes: &[u8]) -> Option<usize> {
    let mut braces = 0usize;
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            quote @ (b'\'' | b'"') => {
                at += 1;
                while *bytes.get(at)? != quote {
                    at += if bytes[at] == b'\\' { 2 } else { 1 };
                }
            }
            b'{' => braces += 1,
            b'}' if braces > 0 => braces -= 1,
            b'}' if bytes.get(at + 1) == Some(&b'}') => return Some(at),
            _ => {}
        }
        at += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(text: &str) -> Vec<&str> {
        let pieces = pieces(text).unwrap();
        pieces
            .into_iter()
            .map(|piece| match piece {
                Piece::Literal(text) => text,
                Piece::Expression { source, .. } => source,
            })
            .collect()
    }

    #[test]
    fn closing_braces_inside_literals_and_maps_do_not_end_an_expression() {
        assert_eq!(sources("a ${{ '}}' }} b"), ["a ", " '}}' ", " b"]);
        assert_eq!(sources(r#"${{ "\"}}" }}"#), [r#" "\"}}" "#]);
        assert_eq!(sources("${{ {'a': {'b': 1}} }}!"), [" {'a': {'b': 1}} ", "!"]);
        assert_eq!(sources("$ {{ x }} ${HOME} {% if %}"), ["$ {{ x }} ${HOME} {% if %}"]);
    }

    #[test]
    fn an_unclosed_expression_is_told_with_its_place() {
        assert_eq!(pieces("ab ${{ '${{' }} ${{ x }"), Err(Unclosed(2)));
        assert_eq!(pieces("${{ 'x }}"), Err(Unclosed(0)));
        assert_eq!(pieces("${{ 'x\\"), Err(Unclosed(0)));
    }
}
