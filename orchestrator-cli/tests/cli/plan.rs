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
    sandbox: { network: true, write: [../out/] }
  clean:
    run: rm -rf cache
    effect: pure
    sandbox: none
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
    assert_eq!(plan["unconfined"], serde_json::json!(["clean"]));
    insta::assert_snapshot!(stable_json(&plan));
}

#[test]
fn items_count_with_as_many_at_a_time_as_may_run() {
    let flow = "\
name: mapped
steps:
  each:
    uses: sleep
    for_each: [1, 2, 3, 4]
    with: { for: 50ms }
";
    let bounded = format!("{flow}    strategy: {{ max-parallel: 1 }}\n");
    let sandbox = Sandbox::with(&[("free.yaml", flow), ("one.yaml", &bounded)]);
    sandbox.run("run free.yaml -q").exits(0);
    let took = |args: &str| sandbox.run(args).exits(0).json()["critical_path_ms"].as_u64().unwrap();
    let (free, one) = (took("plan free.yaml --json"), took("plan one.yaml --json"));
    // The same items, all at once and one after the other.
    assert!(free < one && one >= 200, "{free} and {one}");
    let plan = sandbox.run("plan one.yaml --json").exits(0).json();
    assert_eq!((&plan["steps"][0]["last_items"], &plan["steps"][0]["max_parallel"]), (&4.into(), &1.into()));
    let said = sandbox.run("plan one.yaml").exits(0).out;
    assert!(said.contains("(4 items)") && said.contains("each item, 1 at a time"), "{said}");
    assert!(said.contains("as many at a time as `max-parallel` and the 64 slots allow"), "{said}");
}

#[test]
fn a_plan_tells_how_long_it_took_the_last_time() {
    let flow = "\
name: timed
steps:
  quick: { run: 'true', effect: pure }
  slow: { uses: sleep, with: { for: 300ms } }
  after_quick: { run: 'true', effect: pure, needs: quick }
  asks: { uses: approval, with: { message: \"Go?\" }, needs: after_quick, timeout: { after: 1ms, then: approve } }
";
    let sandbox = Sandbox::with(&[("timed.yaml", flow)]);
    let before = sandbox.run("plan timed.yaml --json").exits(0).json();
    // By the number of steps alone.
    assert_eq!(before["critical_path"], serde_json::json!(["quick", "after_quick", "asks"]));
    assert_eq!(before["approvals"], serde_json::json!([{ "step": "asks", "message": "Go?" }]));
    assert_eq!(sandbox.listing(), [format!("timed.yaml {}", flow.len())]);
    sandbox.run("run timed.yaml -q").exits(0);
    // Where SQLite keeps what has been committed, in the file or in the log beside it, may change whoever opens it.
    let names = || -> Vec<String> {
        sandbox.listing().iter().filter_map(|line| Some(line.rsplit_once(' ')?.0.to_owned())).collect()
    };
    let (listing, runs, events) =
        (names(), sandbox.run("runs list --json").out, sandbox.run("runs events @last --json").out);
    let plan = sandbox.run("plan timed.yaml --json").exits(0).json();
    assert_eq!(plan["measured_in"], sandbox.last()["run_id"]);
    let slow = plan["steps"].as_array().unwrap().iter().find(|step| step["id"] == "slow").unwrap();
    assert!(slow["last_ms"].as_u64().unwrap() >= 300, "{plan}");
    let said = sandbox.run("plan timed.yaml").exits(0).out;
    assert!(said.contains("TOOK") && said.contains("the last time, in run_"), "{said}");
    assert!(said.contains("asks: Go? (for 1ms)"), "{said}");
    // Planning has left no trace.
    assert_eq!(names(), listing);
    assert_eq!(sandbox.run("runs list --json").out, runs);
    assert_eq!(sandbox.run("runs events @last --json").out, events);
}
