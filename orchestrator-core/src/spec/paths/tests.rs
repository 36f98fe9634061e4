use proptest::prelude::*;

use super::{Glob, Paths};

/// Whether a pattern means a path, the plain way: tried out, without any of what is under test.
fn means(pattern: &[&str], path: &[&str]) -> bool {
    match (pattern.split_first(), path.split_first()) {
        // What lies below is meant too.
        (None, _) => true,
        (Some((&"**", rest)), _) => {
            means(rest, path) || path.split_first().is_some_and(|(_, below)| means(pattern, below))
        }
        (Some(_), None) => false,
        (Some((name, rest)), Some((first, below))) => {
            let (name, first): (Vec<char>, Vec<char>) = (name.chars().collect(), first.chars().collect());
            fits(&name, &first) && means(rest, below)
        }
    }
}

fn fits(pattern: &[char], name: &[char]) -> bool {
    match (pattern, name) {
        ([], _) => name.is_empty(),
        (['*', rest @ ..], _) => fits(rest, name) || (!name.is_empty() && fits(pattern, &name[1..])),
        (_, []) => false,
        (['?', rest @ ..], [_, below @ ..]) => fits(rest, below),
        (['[', '!', x, ']', rest @ ..], [first, below @ ..]) => x != first && fits(rest, below),
        (['[', x, y, ']', rest @ ..], [first, below @ ..]) => (x == first || y == first) && fits(rest, below),
        ([x, rest @ ..], [first, below @ ..]) => x == first && fits(rest, below),
    }
}

/// Every path of up to four names of one or two of three letters.
fn paths() -> Vec<Vec<&'static str>> {
    let names = ["a", "b", "c", "aa", "ab", "ac", "ba", "bb", "bc", "ca", "cb", "cc"];
    let mut all: Vec<Vec<&str>> = vec![Vec::new()];
    let mut last = all.clone();
    for _ in 0..4 {
        last = last.iter().flat_map(|path| names.map(|name| [&path[..], &[name]].concat())).collect();
        all.extend(last.clone());
    }
    all
}

fn pattern() -> impl Strategy<Value = Vec<String>> {
    let item = prop::sample::select(vec!["a", "b", "?", "*", "[ab]", "[!a]", "[bc]"]);
    let name = prop::collection::vec(item, 1..=2)
        .prop_map(|items| items.concat())
        .prop_filter("`**` is a whole name", |name| name != "**");
    let part = prop_oneof![4 => name, 1 => Just("**".to_owned())];
    prop::collection::vec(part, 1..=2)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn two_patterns_overlap_exactly_where_some_path_is_meant_by_both(a in pattern(), b in pattern()) {
        thread_local!(static PATHS: Vec<Vec<&'static str>> = paths());
        let (own, others): (Vec<&str>, Vec<&str>) =
            (a.iter().map(String::as_str).collect(), b.iter().map(String::as_str).collect());
        let found = PATHS.with(|paths| {
            paths.iter().find(|path| !path.is_empty() && means(&own, path) && means(&others, path)).cloned()
        });
        let (left, right) = (Glob::parse(&a.join("/")).unwrap(), Glob::parse(&b.join("/")).unwrap());
        prop_assert_eq!(left.overlaps(&right), found.is_some(), "{:?} and {:?}: {:?}", a, b, found);
        prop_assert_eq!(right.overlaps(&left), found.is_some(), "the other way round");
    }
}

fn overlap(a: &str, b: &str) -> bool {
    Glob::parse(a).unwrap().overlaps(&Glob::parse(b).unwrap())
}

#[test]
fn patterns_are_read_as_people_write_them() {
    assert!(overlap("src", "src/main.rs"), "a folder is all that is in it");
    assert!(overlap("./src/", "src//main.rs"));
    assert!(overlap("**/Cargo.toml", "core/Cargo.*"));
    assert!(overlap(".", "anything/at/all"));
    assert!(overlap("{core,sql}/src/**", "sql/src/lib.rs"));
    assert!(overlap("a{1,2}b", "a2b"));
    assert!(overlap("[]x]", "]") && overlap("[{]", "[{]"), "what stands in brackets is a character");
    assert!(overlap("docs/*.md", "docs/[a-f]*"));
    assert!(overlap("f[!a-y]o", "fzo"));
    assert!(!overlap("f[!a-y]o", "fxo"));
    assert!(!overlap("core/src", "core/tests") && !overlap("src/*.rs", "src/*.md"));
    assert!(overlap("src/*/mod.rs", "src/lib.rs"), "nobody knows here that this is no folder");
    assert!(!overlap("src/*/mod.rs", "tests/lib.rs"));
    assert!(!overlap("{core,sql}/src", "cli/src"));
}

#[test]
fn what_is_no_pattern_is_refused_and_says_why() {
    for (text, why) in [
        ("", "is empty"),
        ("/etc", "begins with `/`"),
        ("a/../b", "has `..`"),
        ("a\\b", "has a backslash"),
        ("a\0", "has a control character"),
        ("a**", "has `**` beside"),
        ("[a", "has a `[` without"),
        ("[z-a]", "has the range `z-a`"),
        ("{a,b", "has a `{` without"),
        ("a}", "has a `}` without"),
        ("{a,{b,c}}", "has braces or brackets within"),
        ("a[/]b", "has a `/` within"),
        ("{a,b}{c,d}{e,f}{g,h}{i,j}", "stands for more than 16"),
    ] {
        let error = Glob::parse(text).unwrap_err();
        assert!(error.starts_with(why), "{text:?}: {error}");
    }
    assert!(Glob::parse(&"a".repeat(256)).is_err());
    assert!(Paths::new(&vec!["a"; 65], &[]).is_err());
}

#[test]
fn readers_share_and_writers_do_not() {
    let paths = |read: &[&str], write: &[&str]| Paths::new(read, write).unwrap();
    let (reads, writes) = (paths(&["src"], &[]), paths(&[], &["src/lib.rs"]));
    assert!(!reads.clashes(&reads.clone()));
    assert!(reads.clashes(&writes) && writes.clashes(&reads) && writes.clashes(&writes.clone()));
    assert_eq!(paths(&[], &["b", "a", "b"]), paths(&[], &["a", "b"]));
    let stored = serde_json::to_string(&writes).unwrap();
    assert_eq!(stored, r#"{"write":["src/lib.rs"]}"#);
    assert_eq!(serde_json::from_str::<Paths>(&stored).unwrap(), writes);
}
