//! `plan`: what a run would do.

use crate::{Sandbox, stable_json};

const FLOW: &str = "\
name: flow
inputs:
  url: { type: string }
steps:
  fetch:
    uses: http
    with: { url: \"${{ inputs.url }}\" }
    retry: { max_attempts: 3 }
    timeout: 30s
  notes:
    uses: llm
    needs: fetch
    with: { prompt: \"notes about ${{ steps.fetch.status }}\" }
  review:
    uses: approval
    needs: notes
    with: { message: \"Publish?\" }
  publish:
    run: ./publish
    needs: review
    if: steps.review.approved
  clean:
    run: rm -rf cache
    effect: pure
";

#[test]
fn a_plan_shows_waves_effects_and_reach() {
    let said = Sandbox::with(&[("flow.yaml", FLOW)]).run("plan flow.yaml");
    insta::assert_snapshot!(said.stable());
}

#[test]
fn a_plan_is_one_object_with_json() {
    let plan = Sandbox::with(&[("flow.yaml", FLOW)]).run("plan flow.yaml --json").exits(0).json();
    assert_eq!(plan["waves"][0], serde_json::json!(["fetch", "clean"]));
    assert_eq!(plan["critical_path"], serde_json::json!(["fetch", "notes", "review", "publish"]));
    assert_eq!(plan["unconfined"], serde_json::json!(["clean", "publish"]));
    insta::assert_snapshot!(stable_json(&plan));
}
