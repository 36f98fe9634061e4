//! Patterns of files: `*` and `?` stand for characters of one name, `**` for any number of folders.

use std::path::Path;

/// How many entries of folders are looked at for one pattern.
pub(crate) const ENTRIES: usize = 100_000;

/// The longest pattern, in bytes, and how many names it has at most; `**` goes so many folders down.
const PATTERN_MAX: usize = 4_096;
const PARTS_MAX: usize = 256;

/// What is wrong with a pattern, if anything is.
pub(crate) fn problem(pattern: &str) -> Option<&'static str> {
    let is_long = pattern.len() > PATTERN_MAX || parts(pattern).len() > PARTS_MAX;
    is_long.then_some("it is longer than 4096 bytes or 256 names")
}

/// The names that a pattern is made of.
pub(crate) fn parts(pattern: &str) -> Vec<&str> {
    pattern.split('/').filter(|part| !part.is_empty() && *part != ".").collect()
}

/// Whether a pattern may fit more than one path.
pub(crate) fn is_wild(pattern: &str) -> bool {
    pattern.contains(['*', '?'])
}

/// A search for paths that fit a pattern.
pub(crate) struct Search<'v> {
    /// How many entries may still be looked at.
    left: usize,
    /// How many folders down it is.
    depth: usize,
    /// Looks at a path, which need not be there if the pattern is not wild; says whether that is enough.
    visit: &'v mut dyn FnMut(&Path) -> bool,
}

impl<'v> Search<'v> {
    pub(crate) fn new(visit: &'v mut dyn FnMut(&Path) -> bool) -> Self {
        Self { left: ENTRIES, depth: 0, visit }
    }

    /// Whether it has ended because there was too much to look at.
    pub(crate) const fn is_exhausted(&self) -> bool {
        self.left == 0
    }

    /// Looks below `at`; says whether a path was enough.
    pub(crate) fn find(&mut self, at: &Path, parts: &[&str]) -> bool {
        if self.depth > PARTS_MAX {
            return false;
        }
        self.depth += 1;
        let found = self.find_below(at, parts);
        self.depth -= 1;
        found
    }

    fn find_below(&mut self, at: &Path, parts: &[&str]) -> bool {
        let plain = parts.iter().take_while(|part| **part != "**" && !is_wild(part)).count();
        let at = &parts[..plain].iter().fold(at.to_owned(), |at, part| at.join(part));
        let parts = &parts[plain..];
        let Some((first, rest)) = parts.split_first() else { return (self.visit)(at) };
        if *first == "**" && self.find(at, rest) {
            return true;
        }
        let Ok(entries) = at.read_dir() else { return false };
        for entry in entries.flatten() {
            if self.left == 0 {
                return false;
            }
            self.left -= 1;
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            let found = match *first {
                // Links are not followed: they may lead around in a circle.
                "**" => entry.file_type().is_ok_and(|kind| kind.is_dir()) && self.find(&entry.path(), parts),
                first => fits(first.as_bytes(), name.as_bytes()) && self.find(&entry.path(), rest),
            };
            if found {
                return true;
            }
        }
        false
    }
}

/// Whether a name fits a pattern with `*` and `?`. Names that begin with a dot are meant only by patterns that do.
fn fits(pattern: &[u8], name: &[u8]) -> bool {
    if name.first() == Some(&b'.') && pattern.first() != Some(&b'.') {
        return false;
    }
    let (mut p, mut n) = (0, 0);
    let mut star = None;
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(b'?') => (p, n) = (p + 1, n + 1),
            Some(byte) if *byte == name[n] => (p, n) = (p + 1, n + 1),
            // The last star takes one character more.
            _ => match star {
                Some((at, taken)) => {
                    star = Some((at, taken + 1));
                    (p, n) = (at + 1, taken + 1);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit_names() {
        for (pattern, name) in
            [("*", "a"), ("*.md", "a.md"), ("a?c", "abc"), ("a*b*c", "axxbxc"), (".*", ".x")]
        {
            assert!(fits(pattern.as_bytes(), name.as_bytes()), "{pattern} {name}");
        }
        for (pattern, name) in [("*", ".a"), ("*.md", "a.mdx"), ("a?c", "ac"), ("a*b", "axc"), ("", "a")] {
            assert!(!fits(pattern.as_bytes(), name.as_bytes()), "{pattern} {name}");
        }
    }
}
