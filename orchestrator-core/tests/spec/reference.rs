//! The table of keys and the reader are one: what the table has is read, as the table says.

use orchestrator_core::spec::reference::{Form, Key, Section, WORKFLOW, sections};
use orchestrator_core::spec::{Diagnostic, Diagnostics, ParseOptions, Severity, parse_with};
use serde_json::{Map, Value, json};

use crate::catalog::Anything;

/// What is told of a text, warnings included.
fn told(text: &str) -> Vec<Diagnostic> {
    let options = ParseOptions::default().default_name("example");
    match parse_with(text, &Anything::new(), &options) {
        Ok(parsed) => parsed.warnings,
        Err(Diagnostics(found)) => found,
    }
}

/// Every key of every section, with its section.
fn keys() -> Vec<(&'static Section, &'static Key)> {
    sections().into_iter().flat_map(|section| section.keys.iter().map(move |key| (section, key))).collect()
}

/// The example of a key, in a whole workflow, with another value for the key.
fn with_value(section: &Section, key: &Key, value: &Value) -> String {
    let mut given: Map<String, Value> = serde_yaml::from_str(key.example).unwrap();
    given.insert(key.name.to_owned(), value.clone());
    let lines: Vec<String> = given.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    section.whole(&lines.join("\n"))
}

/// What is told of a key when it has a value; the place is that of the key.
fn told_of(section: &Section, key: &Key, value: &Value) -> Vec<Diagnostic> {
    let told = told(&with_value(section, key, value));
    let is_there = |path: &str| path.split(['.', '[']).any(|part| part == key.name);
    told.into_iter().filter(|diagnostic| is_there(&diagnostic.path)).collect()
}

#[test]
fn every_example_is_a_workflow_or_is_not_supported_yet() {
    let mut later = 0;
    for (section, key) in keys() {
        let told = told(&section.whole(key.example));
        if key.later {
            later += 1;
            let codes: Vec<&str> = told.iter().map(|diagnostic| diagnostic.code).collect();
            assert_eq!(codes, ["not_supported_yet"], "{} of {}: {told:#?}", key.name, section.of);
        } else {
            assert_eq!(told, [], "{} of {}:\n{}", key.name, section.of, section.whole(key.example));
        }
        let example: Map<String, Value> = serde_yaml::from_str(key.example).unwrap();
        assert!(example.contains_key(key.name), "{} of {}: {}", key.name, section.of, key.example);
    }
    assert!(later < keys().len());
}

#[test]
fn every_key_of_the_table_is_read() {
    for (section, key) in keys().into_iter().filter(|(_, key)| !key.later) {
        // No key takes a list of lists of nothing much, but for the plugin's own, which wants a mapping in these examples,
        // and for lists of anything, which take no mapping.
        let any_list = key.form.words().starts_with("list: any value");
        let wrong = if any_list { json!({ "a": [[[]], 1] }) } else { json!([[[]], 1]) };
        let told = told_of(section, key, &wrong);
        let told: Vec<&Diagnostic> = told.iter().filter(|found| found.severity == Severity::Error).collect();
        assert!(!told.is_empty(), "the reader does not look at `{}` of {}", key.name, section.of);
        assert!(
            told.iter().all(|found| found.code != "unknown_field"),
            "{} of {}: {told:#?}",
            key.name,
            section.of
        );
    }
}

#[test]
fn a_key_that_must_be_given_is_missed_and_no_other() {
    for section in sections() {
        let nothing = section.whole(if section.name == WORKFLOW.name { "description: x" } else { "{}" });
        let missed: Vec<String> = told(&nothing)
            .into_iter()
            .filter(|found| found.code == "missing_field")
            .filter_map(|found| found.message.strip_prefix("missing `")?.strip_suffix('`').map(str::to_owned))
            .collect();
        // A workflow gets its steps, a step its script, from the frame.
        let required = section.keys.iter().filter(|key| key.required && !key.later).map(|key| key.name);
        let required: Vec<&str> = required.filter(|name| !section.filler.1.contains(name)).collect();
        assert_eq!(missed, required, "{nothing}");
    }
}

/// Checks one form of a key's value against the reader.
fn check_form(section: &Section, key: &Key, form: &Form) {
    let told = |value: Value| told_of(section, key, &value);
    let name = format!("{} of {}", key.name, section.of);
    match form {
        Form::Word(words) => {
            let said = format!("expected one of {}; found \"zzzz\"", words.join(", "));
            let told = told("zzzz".into());
            assert!(told.iter().any(|found| found.message == said), "{name}: {told:#?}");
        }
        Form::Whole(least, most) => {
            let (least, most) = (u64::from(*least), u64::from(*most));
            for (value, good) in
                [(least, true), (most, true), (least.wrapping_sub(1), false), (most + 1, false)]
            {
                assert_eq!(told(value.into()).is_empty(), good, "{name}: {value}");
            }
        }
        Form::Duration => {
            assert_eq!(told("1h30m".into()), [], "{name}");
            assert!(told("zzzz".into()).iter().any(|found| found.code == "invalid_duration"), "{name}");
        }
        Form::Size => {
            assert_eq!(told("512MiB".into()), [], "{name}");
            assert!(told("zzzz".into()).iter().any(|found| found.code == "invalid_size"), "{name}");
        }
        Form::Boolean => {
            assert!(told("true".into()).iter().any(|found| found.code == "invalid_type"), "{name}");
        }
        Form::Text | Form::Title | Form::Kind | Form::Script => {
            assert!(told(1.into()).iter().any(|found| found.code == "invalid_type"), "{name}");
        }
        Form::Expression => {
            for wrong in ["zzzz", "${{ 1 }} ${{ 2 }}"] {
                assert!(
                    told(wrong.into()).iter().any(|found| found.code == "invalid_type"),
                    "{name}: {wrong}"
                );
            }
            assert_eq!(told("${{ [1] }}".into()), [], "{name}");
        }
        Form::Destination => {
            assert!(told("zzzz".into()).iter().any(|found| found.code == "invalid_value"), "{name}");
            assert_eq!(told("localhost:80".into()), [], "{name}");
        }
        Form::StepName => {
            assert!(told("zzzz".into()).iter().any(|found| found.code == "unknown_dependency"), "{name}");
        }
        Form::Section(inner) => {
            let told = told(json!({ "zzzz": 1 }));
            let said = format!("unknown key \"zzzz\" in {}", inner.of);
            assert!(told.iter().any(|found| found.message == said), "{name}: {told:#?}");
        }
        Form::Either(forms) => forms.iter().for_each(|form| check_form(section, key, form)),
        // What the items and the named values are is seen where they are sections, and by the schema's tests.
        Form::List(..) | Form::Named(_) | Form::Environment | Form::Labels => {
            assert!(!told(json!(true)).is_empty(), "{name}");
        }
        Form::With | Form::Value | Form::Constant | Form::Condition => {}
    }
}

#[test]
fn values_are_what_the_table_says() {
    for (section, key) in keys().into_iter().filter(|(_, key)| !key.later) {
        check_form(section, key, &key.form);
    }
}

#[test]
fn the_table_is_in_order() {
    for section in sections() {
        assert!(section.keys.len() <= 64, "the reader counts keys of {} in 64 bits", section.of);
        let supported = section.keys.iter().take_while(|key| !key.later).count();
        assert!(
            section.keys[supported..].iter().all(|key| key.later),
            "{}: later keys come last",
            section.of
        );
        for (ix, key) in section.keys.iter().enumerate() {
            let again = section.keys[..ix].iter().any(|other| other.name == key.name);
            assert!(!again, "{} of {} stands there twice", key.name, section.of);
            assert!(
                key.about.ends_with('.') && !key.example.contains('\n'),
                "{} of {}",
                key.name,
                section.of
            );
        }
        for (word, meant) in section.foreign {
            assert!(section.key(word).is_none() && section.key(meant).is_some(), "{word} of {}", section.of);
        }
        for (word, _) in section.elsewhere {
            assert!(section.known().all(|known| known != *word), "{word} of {}", section.of);
        }
    }
}
