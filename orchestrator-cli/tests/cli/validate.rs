//! `validate`: where, what, and what would be right.

use crate::{HELLO, Sandbox};

const BAD: &str = "\
name: bad
steps:
  build:
    run: echo hi
  review:
    uses: approvl
    needs: bulid
  late:
    timeuot: 3m
    run: echo late
";

#[test]
fn valid_files_are_told_one_by_one() {
    let sandbox = Sandbox::with(&[("a.yaml", HELLO), ("b/c.yaml", HELLO)]);
    let said = sandbox.run("validate a.yaml b/c.yaml").exits(0);
    assert_eq!(said.out, "a.yaml: ok (1 step, 1 input)\nb/c.yaml: ok (1 step, 1 input)\n");
    assert_eq!(said.err, "");
}

#[test]
fn every_problem_is_told_with_its_line_and_a_caret() {
    let said = Sandbox::with(&[("bad.yaml", BAD)]).run("validate bad.yaml");
    insta::assert_snapshot!(said.stable());
}

#[test]
fn problems_are_one_object_with_json() {
    let said = Sandbox::with(&[("bad.yaml", BAD)]).run("validate bad.yaml --json").exits(3);
    let problem = said.problem();
    assert_eq!(
        (&problem["code"], &problem["status"], &problem["exit_code"]),
        (&"invalid_spec".into(), &422.into(), &3.into())
    );
    let first = &problem["errors"][0];
    insta::assert_snapshot!(serde_json::to_string_pretty(first).unwrap());
    for error in problem["errors"].as_array().unwrap() {
        assert!(
            error["line"].is_u64() && error["column"].is_u64() && error["message"].is_string(),
            "{error}"
        );
    }
}

#[test]
fn a_good_file_among_bad_ones_is_still_told() {
    let sandbox = Sandbox::with(&[("bad.yaml", BAD), ("good.yaml", HELLO)]);
    let said = sandbox.run("validate bad.yaml good.yaml nothing.yaml").exits(3);
    assert_eq!(said.out, "good.yaml: ok (1 step, 1 input)\n");
    assert!(said.err.contains("there is no file nothing.yaml"), "{}", said.err);
    let problem = sandbox.run("validate bad.yaml good.yaml nothing.yaml --json").exits(3).problem();
    let files: Vec<&str> =
        problem["errors"].as_array().unwrap().iter().filter_map(|error| error["file"].as_str()).collect();
    assert!(files.iter().all(|file| *file == "bad.yaml") && !files.is_empty(), "{files:?}");
    sandbox.run("validate nothing.yaml").exits(4);
}

#[test]
fn warnings_are_errors_only_where_that_is_asked_for() {
    let never = HELLO.replace("    effect: pure\n", "    effect: pure\n    if: ${{ 1 == 2 }}\n");
    let sandbox = Sandbox::with(&[("never.yaml", &never)]);
    let said = sandbox.run("validate never.yaml").exits(0);
    assert_eq!(said.out, "never.yaml: ok (1 step, 1 input, 1 warning)\n");
    assert!(said.err.starts_with("never.yaml:8:9: warning: steps.greet.if: "), "{}", said.err);
    let said = sandbox.run("validate never.yaml --strict").exits(3);
    assert_eq!(said.out, "");
    let valid = sandbox.run("validate never.yaml --json").exits(0).json();
    assert_eq!(valid["items"][0]["warnings"].as_array().unwrap().len(), 1);
    assert_eq!(valid["next"], serde_json::Value::Null);
}

#[test]
fn a_workflow_can_come_from_stdin() {
    let sandbox = Sandbox::new();
    let said = sandbox.run_with_stdin("validate -", HELLO.as_bytes()).exits(0);
    assert_eq!(said.out, "<stdin>: ok (1 step, 1 input)\n");
    let said = sandbox.run_with_stdin("validate -", b"name: [").exits(3);
    assert!(said.err.starts_with("<stdin>:1:"), "{}", said.err);
}

#[test]
fn nothing_is_written() {
    let sandbox = Sandbox::with(&[("a.yaml", HELLO), ("bad.yaml", BAD)]);
    let before = sandbox.listing();
    sandbox.run("validate a.yaml bad.yaml");
    sandbox.run("plan a.yaml");
    assert_eq!(sandbox.listing(), before);
}
