//! Words that GitLab takes for more than text.

/// How the title of a draft may begin, in any case.
const DRAFTS: [&str; 3] = ["draft:", "[draft]", "(draft)"];

/// Whether a title is that of a draft.
pub(super) fn is_draft(title: &str) -> bool {
    let title = title.trim_start().to_lowercase();
    DRAFTS.iter().any(|draft| title.starts_with(draft))
}

/// The text with a `\` before each `/` at which a line could be a quick action: `/merge` alone in a line is carried out with
/// the rights of the token, and `\/merge` is shown as `/merge`. Also within blocks of code, though a `\` is seen there: where
/// such a block ends is for GitLab to say, and its versions differ.
pub(super) fn escaped(text: &str) -> String {
    let lines = text.split('\n').map(|line| match action(line) {
        Some(at) => format!("{}\\{}", &line[..at], &line[at..]),
        None => line.to_owned(),
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Where in a line a quick action begins, if it may be one: a `/` with a word behind it. A path has more than one `/`.
fn action(line: &str) -> Option<usize> {
    // GitLab drops U+000D wherever it stands.
    let is_nothing = |c: char| c.is_whitespace() || c.is_control();
    let rest = line.trim_start_matches(is_nothing);
    let name: String = rest.strip_prefix('/')?.chars().filter(|c| *c != '\r').collect();
    let name = name.split(char::is_whitespace).next().unwrap_or_default();
    let may_be = name.starts_with(char::is_alphabetic) && !name.contains('/');
    may_be.then(|| line.len() - rest.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_could_be_carried_out_is_text() {
        for (text, expected) in [
            ("/merge", "\\/merge"),
            ("a\n/assign @eve\nb", "a\n\\/assign @eve\nb"),
            ("a\r\n  /Approve\r\n", "a\r\n  \\/Approve\r\n"),
            ("\r/me\rrge", "\r\\/me\rrge"),
            ("/\rmerge", "\\/\rmerge"),
            ("\u{b}\t/close", "\u{b}\t\\/close"),
            ("```\n/label ~x\n```", "```\n\\/label ~x\n```"),
            // Once is enough.
            ("\\/merge", "\\/merge"),
        ] {
            assert_eq!(escaped(text), expected, "{text:?}");
        }
        for text in ["", "/", "/ a", "//x", "/usr/bin/cc x", "a /merge", "/* x */", "> /merge", "a\n\nb\n"] {
            assert_eq!(escaped(text), text);
        }
    }

    #[test]
    fn drafts_are_known_by_their_titles() {
        for title in ["Draft: a", "draft:a", "[Draft] a", "(DRAFT) a", " Draft: a"] {
            assert!(is_draft(title), "{title}");
        }
        for title in ["Draft a", "Drafts: a", "A draft: b", ""] {
            assert!(!is_draft(title), "{title}");
        }
    }
}
