//! YAML that pages show: a workflow, or a part of one.

use orchestrator_core::engine::Registry;
use orchestrator_core::spec::reference::{STEP, Section, WORKFLOW};
use orchestrator_core::spec::{ParseOptions, parse_with};
use serde_json::{Map, Value};

/// What is wrong with the YAML that a page shows, in one text; nothing if it is right.
///
/// A block with `steps` is a workflow. Of keys of a workflow, or of a step, one is made. Any other mapping is of steps.
pub(crate) fn wrong(text: &str) -> Option<String> {
    let keys: Map<String, Value> = match serde_yaml::from_str(text) {
        Ok(keys) => keys,
        Err(error) => return Some(error.to_string()),
    };
    let all = |section: &Section| keys.keys().all(|key| section.key(key).is_some());
    let whole = if keys.contains_key("steps") {
        text.to_owned()
    } else if all(&WORKFLOW) {
        WORKFLOW.whole(text)
    } else if all(&STEP) {
        STEP.whole(text)
    } else {
        format!("steps:\n{}", text.lines().map(|line| format!("  {line}\n")).collect::<String>())
    };
    let plugins: Registry = orchestrator_plugins::builtin().into_iter().collect();
    match parse_with(&whole, &plugins, &ParseOptions::default().default_name("shown")) {
        Ok(parsed) if parsed.warnings.is_empty() => None,
        Ok(parsed) => Some(parsed.warnings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")),
        Err(errors) => Some(format!("{errors}\n{whole}")),
    }
}

#[test]
fn workflows_and_parts_of_them_are_judged() {
    for good in [
        "steps: { a: { run: x } }",
        "inputs: { a: { type: string } }",
        "needs: before\ntimeout: 5s",
        "a:\n  run: x\nb:\n  run: y\n  needs: a",
    ] {
        assert_eq!(wrong(good), None, "{good}");
    }
    for bad in [
        "steps: { a: { run: x, nedes: b } }",
        "inputs: { a: { type: strnig } }",
        "a:\n  run: x\n  needs: b",
        "a: [",
    ] {
        assert!(wrong(bad).is_some(), "{bad}");
    }
}
