//! What a page shows of a command, against what the command has said.

/// A command of a `console` block, with what is shown of its output.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Command {
    pub(crate) line: String,
    /// The exit code, told as `# exits with 3` behind the command.
    pub(crate) code: i32,
    pub(crate) shown: String,
}

/// The commands of a block: what follows `$ `, with the lines after it.
pub(crate) fn commands(text: &str) -> Vec<Command> {
    let mut found: Vec<Command> = Vec::new();
    for line in text.lines() {
        match line.strip_prefix("$ ") {
            Some(line) => {
                let code = line.split("# exits with ").nth(1).and_then(|code| code.trim().parse().ok());
                found.push(Command { line: line.to_owned(), code: code.unwrap_or(0), shown: String::new() });
            }
            None => {
                if let Some(last) = found.last_mut() {
                    last.shown.push_str(line);
                    last.shown.push('\n');
                }
            }
        }
    }
    found
}

/// Whether an output is what is shown: `…` stands for any text within a line, a line of nothing but `…` for any lines.
/// How wide a column is depends on what stands in it, so gaps within a line are all one.
pub(crate) fn fits(shown: &str, said: &str) -> bool {
    lines_fit(&lines(shown), &lines(said))
}

fn lines(text: &str) -> Vec<String> {
    let squeezed = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let indent = &line[..line.len() - line.trim_start().len()];
        format!("{indent}{}", words.join(" "))
    };
    text.trim_end().lines().map(squeezed).collect()
}

fn lines_fit(shown: &[String], said: &[String]) -> bool {
    match (shown.split_first(), said.split_first()) {
        (None, None) => true,
        (Some((first, rest)), _) if first == "…" => {
            (0..=said.len()).any(|skipped| lines_fit(rest, &said[skipped..]))
        }
        (Some((first, rest)), Some((line, more))) => line_fits(first, line) && lines_fit(rest, more),
        _ => false,
    }
}

fn line_fits(shown: &str, said: &str) -> bool {
    let mut parts = shown.split('…');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = said.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[test]
fn outputs_are_compared_with_holes() {
    assert!(fits("a\nb\n", "a\nb  \n\n"));
    assert!(fits("run_… of hello\n…\nend\n", "run_0193 of hello\nx\ny\nend\n"));
    assert!(fits("a … c … e\n", "a b c d e\n"));
    assert!(fits("…\n", ""));
    assert!(fits("a  1ms   b\n", "a   1ms b\n") && !fits("  a", "a"));
    for (shown, said) in
        [("a\n", "a\nb\n"), ("a\nb\n", "a\n"), ("a…c\n", "abd\n"), ("a … c\n", "a b\n"), ("", "a")]
    {
        assert!(!fits(shown, said), "{shown:?} {said:?}");
    }
}

#[test]
fn commands_are_read() {
    let found = commands("$ a b   # exits with 3\nx\n\ny\n$ c\n");
    let command =
        |line: &str, code, shown: &str| Command { line: line.to_owned(), code, shown: shown.to_owned() };
    assert_eq!(found, [command("a b   # exits with 3", 3, "x\n\ny\n"), command("c", 0, "")]);
}
