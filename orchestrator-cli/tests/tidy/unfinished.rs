//! Marks of unfinished work. Clippy warns of them too, but not where a lint is switched off.

use crate::Fault;
use crate::source::Source;

const MARKS: [&str; 3] = ["todo", "unimplemented", "dbg"];

pub(crate) fn check(source: &Source) -> Vec<Fault> {
    let tokens = source.tokens();
    let marks = tokens.windows(2).filter(|pair| MARKS.iter().any(|mark| pair[0].is(mark)) && pair[1].is("!"));
    marks.map(|pair| source.at(pair[0].first, format!("`{}!`", pair[0].text))).collect()
}

#[test]
fn planted_marks_are_caught() {
    for text in ["todo!()", "unimplemented!(\"x\")", "let x = dbg!(y);"] {
        assert_eq!(check(&Source::new("a/src/b.rs", text)).len(), 1, "{text}");
    }
    assert_eq!(check(&Source::new("a/src/b.rs", "todo(); \"todo!\"; // todo!()")), [""; 0]);
}
