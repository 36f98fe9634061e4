//! `runs qa`: whether what a step gave is good enough.

use crate::{Sandbox, stable, stable_json};

const DRAFT: &str = "\
name: draft
steps:
  draft:
    run: echo \"draft $ORCHESTRATOR_ATTEMPT $ORCHESTRATOR_FEEDBACK\"
    effect: pure
    retry: { max_attempts: 2, initial: 0s }
    qa: { message: \"Good enough?\", show: \"${{ self.stdout }}\" }
  after: { needs: draft, run: echo after, effect: pure }
outputs: { text: \"${{ steps.draft.stdout }}\" }
";

fn drafted() -> Sandbox {
    let sandbox = Sandbox::with(&[("draft.yaml", DRAFT)]);
    sandbox.run("run draft.yaml").exits(9);
    sandbox
}

#[test]
fn a_step_that_needs_qa_prints_the_commands_and_goes_on_after_them() {
    let sandbox = Sandbox::with(&[("draft.yaml", DRAFT)]);
    let said = sandbox.run("run draft.yaml").exits(9);
    insta::assert_snapshot!("needs_qa", stable(&said.err));
    insta::assert_snapshot!("waiting_for", stable_json(&sandbox.last()["waiting_for"]));
    assert_eq!(sandbox.last()["steps"][0]["status"], "needs_qa");
    let fail: Vec<String> =
        said.from("orchestrator runs qa").split_whitespace().skip(1).map(str::to_owned).collect();
    let mut fail: Vec<&str> = fail.iter().map(String::as_str).filter(|word| *word != "--pass").collect();
    fail.extend(["--fail", "-m", "too short"]);
    let said = sandbox.run_args(&fail).exits(0);
    insta::assert_snapshot!("failed", said.stable());
    let said = sandbox.follow(&said.from("orchestrator runs resume")).exits(9);
    let said = sandbox.follow(&said.from("orchestrator runs qa")).exits(0);
    assert!(said.out.contains("draft passed"), "{}", said.out);
    sandbox.follow(&said.from("orchestrator runs resume")).exits(0);
    assert_eq!(sandbox.last()["outputs"]["text"], "draft 2 too short");
    let told = sandbox.run("runs events @last").exits(0).out;
    assert!(told.contains("not passed by") && told.contains("draft passed by"), "{told}");
}

#[test]
fn a_verdict_is_given_once_and_on_what_was_shown() {
    let sandbox = drafted();
    let other = format!("runs qa @last draft --pass --digest sha256:{}", "0".repeat(64));
    assert_eq!(sandbox.run(&format!("{other} --json")).exits(6).problem()["code"], "qa_not_open");
    sandbox.run("runs qa @last draft --pass --digest x").exits(2);
    sandbox.run("runs qa @last draft").exits(2);
    sandbox.run("runs qa @last draft --pass --fail").exits(2);
    let said = sandbox.run("runs qa @last darft --pass").exits(4);
    assert!(said.err.contains("did you mean `draft`?"), "{}", said.err);
    let digest = sandbox.last()["waiting_for"][0]["digest"].as_str().unwrap().to_owned();
    let judged = sandbox.run(&format!("runs qa @last draft --pass --digest {digest} --json")).exits(0).json();
    assert_eq!((&judged["passed"], &judged["step"]), (&true.into(), &"draft".into()));
    let said = sandbox.run("runs qa @last draft --fail").exits(6);
    assert!(said.err.contains("the step `draft` is completed: there is nothing to judge"), "{}", said.err);
    assert_eq!(sandbox.run("approval list --json").exits(0).json()["items"], serde_json::json!([]));
}

#[test]
fn a_run_that_is_cancelled_takes_what_needs_qa_with_it() {
    let sandbox = drafted();
    sandbox.run("runs cancel @last").exits(0);
    assert_eq!(sandbox.last()["steps"][0]["status"], "cancelled");
    sandbox.run("runs qa @last draft --pass").exits(6);
}
