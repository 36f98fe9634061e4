//! What holds of every example.

use std::fs;

use serde_json::Value;

use crate::bench::{Bench, example_file};

pub(crate) fn examples() -> Vec<String> {
    let entries = fs::read_dir(env!("CARGO_MANIFEST_DIR")).expect("the folder reads");
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut names: Vec<String> = names.filter(|name| name.ends_with(".yaml")).collect();
    names.sort_unstable();
    names
}

#[test]
fn every_example_is_valid_without_a_warning_and_can_be_planned() {
    let examples = examples();
    assert_eq!(
        examples,
        [
            "fan-out.yaml",
            "fix-and-pr.yaml",
            "github-summary.yaml",
            "poll.yaml",
            "publish-with-approval.yaml",
            "qa-gate.yaml",
            "release-notes.yaml",
            "retry.yaml",
            "saga.yaml",
            "signal.yaml",
            "sub-workflow.yaml"
        ]
    );
    let bench = Bench::new();
    for example in examples {
        let file = example_file(&example);
        let file = file.to_str().expect("the path is UTF-8");
        let validated = bench.orchestrator(&["validate", "--strict", file]);
        assert_eq!(validated.code, Some(0), "{validated:?}");
        let planned = bench.orchestrator(&["plan", file]);
        assert_eq!(planned.code, Some(0), "{planned:?}");
    }
    assert_eq!(bench.file("state.db"), None, "looking at a workflow writes nothing");
}

#[test]
fn every_script_states_its_effect() {
    for example in examples() {
        let text = fs::read_to_string(example_file(&example)).expect("the example reads");
        let workflow: Value = serde_yaml::from_str(&text).expect("the example is YAML");
        let steps = workflow["steps"].as_object().expect("an example has steps");
        for (name, step) in steps {
            let is_script = step.get("run").is_some() || step["uses"] == "script";
            assert!(
                !is_script || step["effect"].is_string(),
                "{example}: step `{name}` does not state its effect"
            );
        }
    }
}
