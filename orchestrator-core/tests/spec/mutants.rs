//! Every key of the example, with each slip of the finger: the error names the key that was meant.

use orchestrator_core::spec::Severity;

use crate::told;
use crate::valid::EXAMPLE;

/// A word before a colon, and where it stands.
#[derive(Debug, Clone, Copy)]
struct Key {
    word: &'static str,
    offset: usize,
    line: u32,
    column: u32,
    /// Whether the author chose it.
    is_name: bool,
}

fn keys() -> Vec<Key> {
    let mut keys = Vec::new();
    let mut begin = 0;
    for (ix, line) in EXAMPLE.split_inclusive('\n').enumerate() {
        let code = line.split(" #").next().unwrap_or_default();
        for (colon, _) in code.match_indices(':').filter(|(at, _)| code[at + 1..].starts_with([' ', '\n'])) {
            let from = code[..colon].rfind([' ', '{', ',']).map_or(0, |at| at + 1);
            let word = &code[from..colon];
            let in_text = code[..from].matches('"').count() % 2 == 1 || word == "for";
            if in_text || word.is_empty() {
                continue;
            }
            // The author names inputs, steps and outputs, which are indented by two, and what is inside `json`.
            let is_name = from == 2 || ["LANG", "COUNT", "body"].contains(&word);
            let (line, column) = (ix as u32 + 1, from as u32 + 1);
            keys.push(Key { word, offset: begin + from, line, column, is_name });
        }
        begin += line.len();
    }
    keys
}

/// Each letter left out, doubled, and swapped with the next.
fn slips(word: &str) -> Vec<String> {
    let letters: Vec<char> = word.chars().collect();
    let mut slips = Vec::new();
    for ix in 0..letters.len() {
        let mut without = letters.clone();
        without.remove(ix);
        let mut doubled = letters.clone();
        doubled.insert(ix, letters[ix]);
        slips.extend([without, doubled]);
        if ix + 1 < letters.len() {
            let mut swapped = letters.clone();
            swapped.swap(ix, ix + 1);
            slips.push(swapped);
        }
    }
    let mut slips: Vec<String> = slips.into_iter().map(String::from_iter).collect();
    slips.sort();
    slips.dedup();
    slips.retain(|slip| slip != word && !slip.is_empty());
    slips
}

fn with(key: Key, slip: &str) -> String {
    format!("{}{slip}{}", &EXAMPLE[..key.offset], &EXAMPLE[key.offset + key.word.len()..])
}

#[test]
fn every_slip_in_a_key_of_the_language_names_the_key() {
    let keys: Vec<Key> = keys().into_iter().filter(|key| !key.is_name).collect();
    let mut mutants = 0;
    for key in &keys {
        for slip in slips(key.word) {
            mutants += 1;
            let told = told(&with(*key, &slip));
            let hint = format!("did you mean \"{}\"?", key.word);
            let named = told.iter().any(|diagnostic| {
                let span = diagnostic.span.unwrap();
                diagnostic.code == "unknown_field"
                    && (span.line, span.column) == (key.line, key.column)
                    && diagnostic.hint.as_deref() == Some(&hint)
            });
            assert!(named, "{} → {slip} in line {}: {told:#?}", key.word, key.line);
        }
    }
    assert_eq!((keys.len(), mutants), (44, 640));
}

#[test]
fn every_slip_in_a_name_of_the_author_is_told_where_the_name_is_used() {
    let names: Vec<Key> = keys().into_iter().filter(|key| key.is_name).collect();
    let (mut mutants, mut refused) = (0, 0);
    for key in &names {
        for slip in slips(key.word) {
            mutants += 1;
            let told = told(&with(*key, &slip));
            refused += usize::from(told.iter().any(|diagnostic| diagnostic.severity == Severity::Error));
            let hint = format!("did you mean \"{slip}\"?");
            for diagnostic in told {
                assert!(
                    ["undefined_variable", "unknown_dependency"].contains(&diagnostic.code),
                    "{diagnostic:?}"
                );
                assert_eq!(diagnostic.hint.as_deref(), Some(&*hint), "{} → {slip}: {diagnostic:?}", key.word);
            }
        }
    }
    assert_eq!((names.len(), mutants, refused), (11, 145, 75));
}
