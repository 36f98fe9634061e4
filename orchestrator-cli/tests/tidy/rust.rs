//! As much of Rust's grammar as the rules need: tokens without comments, which of them are test code, and functions.

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A name or a keyword.
    Word,
    /// One character of punctuation.
    Mark,
    /// A text, character or number; rules do not look inside.
    Literal,
    /// `'a`
    Lifetime,
}

/// A token and the lines it stands on, from 1.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Token<'t> {
    pub(crate) kind: Kind,
    pub(crate) text: &'t str,
    pub(crate) first: usize,
    pub(crate) last: usize,
}

impl Token<'_> {
    pub(crate) fn is(&self, text: &str) -> bool {
        self.kind != Kind::Literal && self.text == text
    }
}

/// The tokens of a text. Never fails: what is not Rust gives some tokens or others.
pub(crate) fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut found = Vec::new();
    let mut at = 0;
    let mut line = 1;
    while at < text.len() {
        let rest = &text[at..];
        let (kind, len) = next(rest);
        let piece = &rest[..len];
        let last = line + piece.matches('\n').count();
        if let Some(kind) = kind {
            found.push(Token { kind, text: piece, first: line, last });
        }
        line = last;
        at += len;
    }
    found
}

/// The kind and length of what a text begins with; no kind: blank or comment.
fn next(rest: &str) -> (Option<Kind>, usize) {
    let first = rest.chars().next().unwrap_or(' ');
    if first.is_whitespace() {
        return (None, first.len_utf8());
    }
    if rest.starts_with("//") {
        return (None, rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return (None, block_comment(rest));
    }
    if let Some(len) = string(rest) {
        return (Some(Kind::Literal), len);
    }
    if first == '\'' {
        return quote(rest);
    }
    if first.is_ascii_digit() {
        return (Some(Kind::Literal), number(rest));
    }
    if first == '_' || first.is_alphabetic() {
        let raw = if rest.starts_with("r#") { 2 } else { 0 };
        let len = rest[raw..].find(|c: char| c != '_' && !c.is_alphanumeric()).unwrap_or(rest.len() - raw);
        return (Some(Kind::Word), raw + len);
    }
    (Some(Kind::Mark), first.len_utf8())
}

fn block_comment(rest: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < rest.len() {
        if rest[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += rest[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    rest.len()
}

/// The length of a string literal, if the text begins with one.
fn string(rest: &str) -> Option<usize> {
    let prefix = rest.bytes().take_while(u8::is_ascii_lowercase).count();
    if !matches!(&rest[..prefix], "" | "b" | "c" | "r" | "br" | "cr") {
        return None;
    }
    let body = &rest[prefix..];
    if rest[..prefix].ends_with('r') {
        let hashes = body.bytes().take_while(|byte| *byte == b'#').count();
        let inner = body[hashes..].strip_prefix('"')?;
        let end = format!("\"{}", "#".repeat(hashes));
        let len = inner.find(&end).map_or(inner.len(), |at| at + end.len());
        return Some(prefix + hashes + 1 + len);
    }
    if !body.starts_with('"') {
        return None;
    }
    let mut escaped = false;
    for (at, c) in body.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return Some(prefix + at + 1),
            _ => {}
        }
    }
    Some(rest.len())
}

/// A character literal or a lifetime.
fn quote(rest: &str) -> (Option<Kind>, usize) {
    let mut inner = rest[1..].char_indices();
    let (Some((_, first)), second) = (inner.next(), inner.next()) else { return (Some(Kind::Mark), 1) };
    if first == '\\' {
        // The quote that ends it is not the escaped one.
        let after = 2 + rest[2..].chars().next().map_or(0, char::len_utf8);
        let end = rest[after..].find('\'').map_or(rest.len(), |at| after + at + 1);
        return (Some(Kind::Literal), end);
    }
    if let Some((at, '\'')) = second {
        return (Some(Kind::Literal), 1 + at + 1);
    }
    let len = rest[1..].find(|c: char| c != '_' && !c.is_alphanumeric()).unwrap_or(rest.len() - 1);
    (Some(Kind::Lifetime), 1 + len)
}

fn number(rest: &str) -> usize {
    let bytes = rest.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let fraction = bytes[at] == b'.' && bytes.get(at + 1).is_some_and(u8::is_ascii_digit);
        if !bytes[at].is_ascii_alphanumeric() && bytes[at] != b'_' && !fraction {
            break;
        }
        at += 1;
    }
    at
}

/// The position after the bracket that closes the one at `open`.
pub(crate) fn after_matching(tokens: &[Token<'_>], open: usize) -> usize {
    let mut depth = 0usize;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        match token.text {
            _ if token.kind != Kind::Mark => {}
            "{" | "(" | "[" => depth += 1,
            "}" | ")" | "]" => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return at + 1;
                }
            }
            _ => {}
        }
    }
    tokens.len()
}

/// An item that is compiled for tests only.
#[derive(Debug)]
pub(crate) struct TestItem<'t> {
    /// From the `#` of its attribute to behind its end.
    pub(crate) range: std::ops::Range<usize>,
    /// Its name, if it is a module.
    pub(crate) module: Option<&'t str>,
    /// Whether it is `mod name;`: its code is in a file of its own.
    pub(crate) elsewhere: bool,
}

/// The items under `#[cfg(test)]` or `#[cfg(all(test, …))]`.
pub(crate) fn test_items<'t>(tokens: &[Token<'t>]) -> Vec<TestItem<'t>> {
    let mut items = Vec::new();
    let mut at = 0;
    while at + 1 < tokens.len() {
        if !(tokens[at].is("#") && tokens[at + 1].is("[")) {
            at += 1;
            continue;
        }
        let end = after_matching(tokens, at + 1);
        if !is_test_attribute(&tokens[at + 2..end.max(at + 3) - 1]) {
            at = end;
            continue;
        }
        let item = test_item(tokens, at, end);
        at = item.range.end;
        items.push(item);
    }
    items
}

fn is_test_attribute(tokens: &[Token<'_>]) -> bool {
    let words: Vec<&str> = tokens.iter().map(|token| token.text).collect();
    matches!(words.as_slice(), ["cfg", "(", "test", ..] | ["cfg", "(", "all", "(", "test", ..])
}

fn test_item<'t>(tokens: &[Token<'t>], from: usize, mut at: usize) -> TestItem<'t> {
    while tokens.get(at).is_some_and(|token| token.is("#")) {
        at = after_matching(tokens, at + 1);
    }
    let named = |at: usize| tokens.get(at).filter(|token| token.is("mod")).and_then(|_| tokens.get(at + 1));
    // `mod name`, `pub mod name`, `pub(crate) mod name`.
    let module = (at..(at + 5).min(tokens.len())).find_map(named).map(|token| token.text);
    while let Some(token) = tokens.get(at) {
        match token.text {
            _ if token.kind != Kind::Mark => at += 1,
            ";" => return TestItem { range: from..at + 1, module, elsewhere: true },
            "{" => {
                return TestItem { range: from..after_matching(tokens, at), module, elsewhere: false };
            }
            "(" | "[" => at = after_matching(tokens, at),
            _ => at += 1,
        }
    }
    TestItem { range: from..tokens.len(), module, elsewhere: true }
}

/// A function with a body.
#[derive(Debug)]
pub(crate) struct Function<'t> {
    pub(crate) name: &'t str,
    pub(crate) line: usize,
    /// Lines of its body that hold code, without those of its own braces.
    pub(crate) lines: usize,
}

/// The functions of a text, also those inside others.
pub(crate) fn functions<'t>(tokens: &[Token<'t>]) -> Vec<Function<'t>> {
    let mut found = Vec::new();
    for at in 0..tokens.len().saturating_sub(1) {
        if !tokens[at].is("fn") || tokens[at + 1].kind != Kind::Word {
            continue;
        }
        if let Some(open) = body(tokens, at + 2) {
            let end = after_matching(tokens, open);
            let inside = &tokens[open + 1..end.saturating_sub(1).max(open + 1)];
            let mut lines: Vec<usize> = inside.iter().flat_map(|token| token.first..=token.last).collect();
            lines.dedup();
            found.push(Function { name: tokens[at + 1].text, line: tokens[at].first, lines: lines.len() });
        }
    }
    found
}

/// Where the body of a function begins, if it has one.
fn body(tokens: &[Token<'_>], mut at: usize) -> Option<usize> {
    while let Some(token) = tokens.get(at) {
        match token.text {
            _ if token.kind != Kind::Mark => at += 1,
            "{" => return Some(at),
            ";" => return None,
            "(" | "[" => at = after_matching(tokens, at),
            _ => at += 1,
        }
    }
    None
}

#[test]
fn comments_texts_and_lifetimes_do_not_confuse_the_reader() {
    let text = "a /* b /* c */ d */ 'e' '\\'' 'f r#\"g \" h\"# \"i \\\" j\" // k\n b\"l\" r#type 1.5e3 x..=2 '\\u{1F}'";
    let words: Vec<&str> =
        tokens(text).iter().filter(|token| token.kind != Kind::Literal).map(|t| t.text).collect();
    assert_eq!(words, ["a", "'f", "r#type", "x", ".", ".", "="]);
}

#[test]
fn lines_are_counted_through_texts_and_comments() {
    let text = "/* 1\n2 */ a \"3\n4\" b\n// 5\nc";
    let lines: Vec<usize> = tokens(text).iter().map(|token| token.last).collect();
    assert_eq!(lines, [2, 3, 3, 5]);
}

#[test]
fn test_code_is_found_in_all_its_forms() {
    let text = "fn a() {} #[cfg(test)] mod t { fn b() {} } #[cfg(not(test))] fn c() {} #[cfg(all(test, unix))] use d; \
                #[cfg(test)] #[path = \"x\"] pub(crate) mod u; #[cfg(any(test, feature = \"e\"))] fn f() {}";
    let tokens = tokens(text);
    let items = test_items(&tokens);
    let shown: Vec<_> = items.iter().map(|item| (item.module, item.elsewhere)).collect();
    assert_eq!(shown, [(Some("t"), false), (None, true), (Some("u"), true)]);
}

#[test]
fn functions_are_measured_by_their_lines_of_code() {
    let text = "trait T { fn none(&self); }\nfn a<const N: usize>(x: [u8; 3]) -> fn(u8) where u8: Copy {\n  one();\n\n  // two\n  \
                two(\n    \"x\n      y\",\n  );\n}";
    let tokens = tokens(text);
    let found: Vec<_> = functions(&tokens).iter().map(|f| (f.name, f.line, f.lines)).collect();
    assert_eq!(found, [("a", 2, 5)]);
}
