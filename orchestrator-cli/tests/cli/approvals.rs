//! `approval …`: one decision each, on what was shown.

use crate::{ASK, Sandbox, stable, stable_json};

fn asking() -> Sandbox {
    let sandbox = Sandbox::with(&[("ask.yaml", ASK)]);
    sandbox.run("run ask.yaml").exits(9);
    sandbox
}

#[test]
fn a_run_that_asks_prints_the_commands_and_goes_on_after_them() {
    let sandbox = Sandbox::with(&[("ask.yaml", ASK)]);
    let said = sandbox.run("run ask.yaml").exits(9);
    insta::assert_snapshot!("asked", stable(&said.err));
    let said = sandbox.follow(&said.from("orchestrator approval approve")).exits(0);
    insta::assert_snapshot!("approved", said.stable());
    let said = sandbox.follow(&said.from("orchestrator runs resume")).exits(0);
    insta::assert_snapshot!(
        "resumed",
        stable(&said.err).replace(sandbox.last()["by"].as_str().unwrap(), "USER")
    );
    let output = &sandbox.last()["steps"][0]["output"];
    assert_eq!(output["approved"], true);
}

#[test]
fn with_json_the_next_command_is_in_the_problem() {
    let sandbox = Sandbox::with(&[("ask.yaml", ASK)]);
    let said = sandbox.run("run ask.yaml --json").exits(9);
    let report = said.json();
    assert_eq!(report["status"], "blocked");
    insta::assert_snapshot!(stable_json(&report["waiting_for"]));
    let problem: serde_json::Value = serde_json::from_str(&said.err).unwrap();
    let approve = problem["hint"].as_str().unwrap();
    let decided = sandbox.follow(&format!("{approve} --json")).exits(0).json();
    assert_eq!((&decided["approved"], &decided["driven"]), (&true.into(), &false.into()));
    let resumed = sandbox.follow(&format!("{} --json", decided["next"].as_str().unwrap())).exits(0).json();
    assert_eq!(resumed["status"], "completed");
}

#[test]
fn rejecting_is_an_answer_too() {
    let sandbox = asking();
    let said = sandbox.run_args(&["approval", "reject", "@last", "--comment", "not yet"]).exits(0);
    assert!(said.out.contains("review rejected"), "{}", said.out);
    sandbox.run("runs resume @last").exits(0);
    let report = sandbox.last();
    assert_eq!(report["steps"][0]["output"]["approved"], false);
    assert_eq!(report["steps"][0]["output"]["comment"], "not yet");
    assert_eq!(report["steps"][1]["status"], "skipped");
}

#[test]
fn there_is_one_decision() {
    let sandbox = asking();
    sandbox.run("approval approve @last").exits(0);
    for words in ["approval approve @last", "approval reject @last review"] {
        let said = sandbox.run(words).exits(6);
        assert!(said.err.contains("`review` has already been approved by"), "{}", said.err);
        assert_eq!(sandbox.run(&format!("{words} --json")).exits(6).problem()["code"], "approval_not_open");
    }
    sandbox.run("runs resume @last").exits(0);
    sandbox.run("approval approve @last").exits(6);
    let said = sandbox.run("approval approve @last publish").exits(6);
    assert!(said.err.contains("already"), "{}", said.err);
    sandbox.run("approval approve @last revue").exits(4);
}

#[test]
fn a_decision_is_bound_to_what_was_shown() {
    let sandbox = asking();
    let other = format!("approval approve @last --digest sha256:{}", "0".repeat(64));
    let said = sandbox.run(&other).exits(6);
    assert!(said.err.contains("asked anew"), "{}", said.err);
    let listed = sandbox.run("approval list --json").exits(0).json();
    let digest = listed["items"][0]["digest"].as_str().unwrap();
    sandbox.run(&format!("approval approve @last --digest {digest}")).exits(0);
}

#[test]
fn open_approvals_are_listed() {
    let sandbox = asking();
    let listed = sandbox.run("approval list --json").exits(0).json();
    insta::assert_snapshot!(stable_json(&listed));
    let table = sandbox.run("approval list").exits(0);
    assert!(
        table.out.contains("Publish these notes?") && table.err.contains("orchestrator approval approve"),
        "{table:?}"
    );
    sandbox.run("approval approve @last").exits(0);
    let said = sandbox.run("approval list").exits(0);
    assert_eq!((said.out.as_str(), said.err.as_str()), ("", "nothing waits for approval\n"));
    let all = sandbox.run("approval list --all --run @last --json").exits(0).json();
    assert_eq!(all["items"][0]["status"], "approved");
    assert_eq!(all["items"][0]["via"], "cli");
}

#[test]
fn of_several_one_must_be_named() {
    let flow = "\
name: two
steps:
  a: { uses: approval, with: { message: a? } }
  b: { uses: approval, with: { message: b? } }
";
    let sandbox = Sandbox::with(&[("two.yaml", flow)]);
    sandbox.run("run two.yaml").exits(9);
    let said = sandbox.run("approval approve @last").exits(2);
    assert!(said.err.contains("several steps of the run wait for approval: a, b"), "{}", said.err);
    sandbox.run("approval approve @last b").exits(0);
    sandbox.run("approval approve @last").exits(0);
    sandbox.run("runs resume @last").exits(0);
}
