//! Pages, their fenced blocks, and the parts of them that are printed from the code.

use std::fs;
use std::path::{Path, PathBuf};

/// Set to `1`, what is printed from the code is written anew instead of compared.
pub(crate) const WRITE: &str = "WRITE_DOCS";

/// A fenced block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Block {
    /// The line of its fence.
    pub(crate) line: usize,
    /// `yaml`, `console` …
    pub(crate) language: String,
    /// What else stands behind the fence: a file's name, or why it is not run.
    pub(crate) note: String,
    pub(crate) text: String,
}

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

/// The README and every page of `docs`, by their paths from the root.
pub(crate) fn pages() -> Vec<(String, String)> {
    let mut paths = vec!["README.md".to_owned()];
    for folder in ["docs", "docs/decisions", "docs/plugins"] {
        let entries = fs::read_dir(root().join(folder)).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        paths.extend(names.filter(|name| name.ends_with(".md")).map(|name| format!("{folder}/{name}")));
    }
    paths.sort_unstable();
    paths.into_iter().map(|path| (path.clone(), fs::read_to_string(root().join(path)).unwrap())).collect()
}

/// The blocks of a page, in order.
pub(crate) fn blocks(page: &str) -> Vec<Block> {
    let mut found = Vec::new();
    let mut open: Option<Block> = None;
    for (number, line) in (1..).zip(page.lines()) {
        match (line.strip_prefix("```"), open.as_mut()) {
            (Some(info), None) => {
                let (language, note) = info.trim().split_once(' ').unwrap_or((info.trim(), ""));
                let (language, note) = (language.to_owned(), note.trim().to_owned());
                open = Some(Block { line: number, language, note, text: String::new() });
            }
            (Some(_), Some(_)) => found.extend(open.take()),
            (None, Some(block)) => {
                block.text.push_str(line);
                block.text.push('\n');
            }
            (None, None) => {}
        }
    }
    assert_eq!(open, None, "a block is not closed");
    found
}

/// A page with the part between `<!-- printed: NAME -->` and `<!-- end -->` replaced; `None` if it has no such part.
pub(crate) fn with_part(page: &str, name: &str, text: &str) -> Option<String> {
    let begin = format!("<!-- printed: {name} -->\n");
    let from = page.find(&begin)? + begin.len();
    let to = from + page[from..].find("<!-- end -->")?;
    Some(format!("{}\n{}\n\n{}", &page[..from], text.trim(), &page[to..]))
}

/// Compares the printed parts of a page, or writes them.
pub(crate) fn hold(path: &str, parts: &[(String, String)]) {
    let file = root().join(path);
    let old = fs::read_to_string(&file).unwrap_or_default();
    let mut new = old.clone();
    for (name, text) in parts {
        new = with_part(&new, name, text).unwrap_or_else(|| panic!("{path} has no part `printed: {name}`"));
    }
    assert_eq!(new.matches("<!-- printed: ").count(), parts.len(), "{path} has parts that nobody prints");
    if std::env::var(WRITE).is_ok_and(|set| set == "1") {
        fs::write(&file, &new).unwrap();
    } else {
        assert!(
            new == old,
            "{path} is not what the code says: run `{WRITE}=1 cargo nextest run -p orchestrator-cli`"
        );
    }
}

#[test]
fn blocks_and_parts_are_read() {
    let page = "a\n```yaml b.yaml\nc: d\n```\n```sh\ne\n```\n<!-- printed: x -->\nold\n<!-- end -->\nf\n";
    let block = |line, language: &str, note: &str, text: &str| Block {
        line,
        language: language.to_owned(),
        note: note.to_owned(),
        text: text.to_owned(),
    };
    assert_eq!(blocks(page), [block(2, "yaml", "b.yaml", "c: d\n"), block(5, "sh", "", "e\n")]);
    let new = with_part(page, "x", "new").unwrap();
    assert!(new.ends_with("<!-- printed: x -->\n\nnew\n\n<!-- end -->\nf\n"), "{new}");
    assert_eq!(with_part(&new, "x", "new").as_ref(), Some(&new));
    assert_eq!(with_part(page, "y", ""), None);
}
