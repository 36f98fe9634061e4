//! As much of Markdown as the rules need: links and code blocks.

/// A code block: what stands behind its fence, and its text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Block {
    pub(crate) language: String,
    pub(crate) text: String,
}

/// The fenced blocks of a page.
pub(crate) fn blocks(page: &str) -> Vec<Block> {
    let mut found = Vec::new();
    let mut open: Option<Block> = None;
    for line in page.lines() {
        match (line.strip_prefix("```"), open.take()) {
            (Some(language), None) => {
                open = Some(Block { language: language.trim().to_owned(), text: String::new() });
            }
            (Some(_), Some(block)) => found.push(block),
            (None, Some(mut block)) => {
                block.text.push_str(line);
                block.text.push('\n');
                open = Some(block);
            }
            (None, None) => {}
        }
    }
    found
}

/// The targets of `[text](target)` outside of code, with their lines.
pub(crate) fn links(page: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut in_code = false;
    for (number, line) in (1..).zip(page.lines()) {
        if line.starts_with("```") {
            in_code = !in_code;
        }
        if in_code {
            continue;
        }
        // Every second piece stands between backticks.
        for text in line.split('`').step_by(2) {
            let targets = text.match_indices("](").filter_map(|(at, _)| text[at + 2..].split(')').next());
            found.extend(targets.map(|target| (number, target.to_owned())));
        }
    }
    found
}

/// The anchors of a page, made of its headings as hosting sites do.
pub(crate) fn anchors(page: &str) -> Vec<String> {
    let headings = page.lines().filter(|line| line.starts_with('#'));
    let kept = |c: char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
    headings
        .map(|line| {
            let text = line.trim_start_matches('#').trim().to_lowercase();
            text.chars().filter(|c| kept(*c)).collect::<String>().replace(' ', "-")
        })
        .collect()
}

#[test]
fn pages_are_read() {
    let page = "# A `b` c!\n[x](y.md#z) `[n](o)`\n```rust\nlet [a](b);\n```\n[p](q)\n";
    assert_eq!(links(page), [(2, "y.md#z".to_owned()), (6, "q".to_owned())]);
    assert_eq!(blocks(page), [Block { language: "rust".to_owned(), text: "let [a](b);\n".to_owned() }]);
    assert_eq!(anchors(page), ["a-b-c"]);
}
