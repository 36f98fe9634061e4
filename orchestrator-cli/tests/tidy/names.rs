//! Names that say nothing.

use crate::Fault;
use crate::rust::Kind;
use crate::source::Source;

/// Words that no file, module or type has in its name.
const EMPTY: [&str; 8] = ["util", "utils", "common", "helper", "helpers", "manager", "misc", "miscellaneous"];

/// A name that nothing has by itself.
const ALONE: &str = "types";

pub(crate) fn check(source: &Source) -> Vec<Fault> {
    let mut faults = Vec::new();
    for part in source.path.trim_end_matches(".rs").split('/').skip(1) {
        if is_empty(part) {
            faults.push(source.at(1, format!("`{part}` does not say what is in it")));
        }
    }
    for pair in source.tokens().windows(2) {
        let defines = ["mod", "struct", "enum", "union", "trait", "type"].iter().any(|word| pair[0].is(word));
        if defines && pair[1].kind == Kind::Word && is_empty(pair[1].text) {
            faults.push(source.at(pair[1].first, format!("`{}` does not say what it is", pair[1].text)));
        }
    }
    faults
}

fn is_empty(name: &str) -> bool {
    let words = words(name);
    words.iter().any(|word| EMPTY.contains(&&**word)) || words == [ALONE]
}

/// `FileManager`, `file_manager` and `file-manager` are `file` and `manager`.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    for c in name.chars() {
        let starts = c.is_uppercase() || matches!(c, '_' | '-');
        if starts && words.last().is_some_and(|word| !word.is_empty()) {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut()
            && c.is_alphanumeric()
        {
            word.extend(c.to_lowercase());
        }
    }
    words
}

#[cfg(test)]
mod planted {
    use super::*;

    #[test]
    fn empty_names_are_caught() {
        for path in ["a/src/util.rs", "a/src/common/mod.rs", "a/tests/test_helpers.rs", "a/src/types.rs"] {
            assert_eq!(check(&Source::new(path, "")).len(), 1, "{path}");
        }
        for text in [
            "struct RunManager;",
            "mod misc { }",
            "trait Helper {}",
            "enum Types {}",
            "pub type FsUtils = ();",
        ] {
            assert_eq!(check(&Source::new("a/src/b.rs", text)).len(), 1, "{text}");
        }
    }

    #[test]
    fn names_that_say_something_are_not() {
        let text =
            "struct Commonality; mod type_names {} use x::SchemaManager; enum MimeTypes {} // mod util";
        assert_eq!(check(&Source::new("a/src/utility_poles.rs", text)), [""; 0]);
    }
}
