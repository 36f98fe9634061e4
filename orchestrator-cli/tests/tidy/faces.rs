//! A `lib.rs` or `mod.rs` says what there is; the code is elsewhere.

use crate::Fault;
use crate::rust::functions;
use crate::source::Source;

/// The longest function a face may have, in lines of code: one that hands on to another.
const LINES: usize = 3;

pub(crate) fn check(source: &Source) -> Vec<Fault> {
    let is_face = source.path.ends_with("/lib.rs") || source.path.ends_with("/mod.rs");
    if !is_face || source.is_test {
        return Vec::new();
    }
    let (code, _) = source.split();
    let long = functions(&code).into_iter().filter(|function| function.lines > LINES);
    long.map(|function| source.at(function.line, format!("move `{}` into a file of its own", function.name)))
        .collect()
}

#[cfg(test)]
mod planted {
    use super::*;

    #[test]
    fn code_in_a_face_is_caught() {
        let text = "mod a;\npub fn f() {\n 1;\n 2;\n 3;\n 4;\n}";
        assert_eq!(check(&Source::new("x/src/lib.rs", text)).len(), 1);
        assert_eq!(check(&Source::new("x/src/y/mod.rs", text)).len(), 1);
        assert_eq!(check(&Source::new("x/src/y.rs", text)), [""; 0]);
        assert_eq!(check(&Source::new("x/src/lib.rs", "pub fn f() { a::f() }")), [""; 0]);
    }
}
