//! Workflows that run others.

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::{Said, Sandbox, stable};

const PARENT: &str = "\
name: parent
steps:
  below:
    uses: workflow
    with: { workflow: ./parts/child.yaml, inputs: { word: hi } }
  after:
    needs: below
    env: { SAID: \"${{ steps.below.said }}\" }
    run: echo \"$SAID\"
    effect: pure
outputs:
  said: ${{ steps.after.stdout }}
";

const CHILD: &str = "\
inputs: { word: { type: string } }
steps:
  first:
    run: echo $ORCHESTRATOR_RUN_ID >> ledger
    effect: idempotent
  slow:
    needs: first
    run: echo $ORCHESTRATOR_ATTEMPT > begun; cat go
    effect: idempotent
  last:
    needs: slow
    env: { WORD: \"${{ inputs.word }}\" }
    run: echo said=$WORD >> \"$ORCHESTRATOR_OUTPUT\"
    effect: pure
outputs: { said: \"${{ steps.last.said }}\" }
";

const ASKS: &str = "\
steps:
  review:
    uses: approval
    with: { message: \"Publish?\" }
outputs: { approved: \"${{ steps.review.approved }}\" }
";

fn sandbox(child: &str) -> Sandbox {
    let sandbox = Sandbox::with(&[("parent.yaml", PARENT)]);
    sandbox.write("parts/child.yaml", child);
    sandbox.pipe("begun");
    sandbox.pipe("go");
    sandbox
}

/// All runs, the first first.
fn runs(sandbox: &Sandbox) -> Vec<Value> {
    let listed = sandbox.run("runs list --children --json").exits(0).json();
    let mut items = listed["items"].as_array().unwrap().clone();
    items.reverse();
    items
}

#[test]
fn a_killed_run_and_its_child_go_on_where_they_were_without_their_files() {
    let sandbox = sandbox(CHILD);
    let run = sandbox.spawn("run parent.yaml");
    assert_eq!(sandbox.hear("begun"), "1\n");
    kill_process(Pid::from_child(&run), Signal::KILL).unwrap();
    run.wait_with_output().unwrap();
    std::fs::remove_file(sandbox.path("parts/child.yaml")).unwrap();
    std::fs::remove_file(sandbox.path("parent.yaml")).unwrap();
    let resumed = sandbox.spawn("runs resume @last");
    assert_eq!(sandbox.hear("begun"), "2\n");
    std::fs::write(sandbox.path("go"), "on\n").unwrap();
    let said = Said::by(resumed).exits(0);
    assert_eq!(said.out, "said: hi\n");
    let runs = runs(&sandbox);
    assert_eq!(runs.len(), 2, "the child exists once: {runs:?}");
    assert_eq!(sandbox.read("ledger").trim(), runs[1]["run_id"], "what it had done is not done again");
}

#[test]
fn resuming_the_child_goes_on_with_the_run_above() {
    let sandbox = sandbox(CHILD);
    let run = sandbox.spawn("run parent.yaml");
    assert_eq!(sandbox.hear("begun"), "1\n");
    kill_process(Pid::from_child(&run), Signal::KILL).unwrap();
    run.wait_with_output().unwrap();
    let child = runs(&sandbox)[1]["run_id"].as_str().unwrap().to_owned();
    let resumed = sandbox.spawn(&format!("runs resume {child}"));
    assert_eq!(sandbox.hear("begun"), "2\n");
    std::fs::write(sandbox.path("go"), "on\n").unwrap();
    let said = Said::by(resumed).exits(0);
    assert!(said.err.contains("carries out a step of run_"), "{}", said.err);
    assert_eq!(said.out, "said: hi\n");
}

#[test]
fn cancelling_from_elsewhere_ends_the_child_before_the_parent() {
    let sandbox = sandbox(CHILD);
    let run = sandbox.spawn("run parent.yaml");
    assert_eq!(sandbox.hear("begun"), "1\n");
    sandbox.run("runs cancel @last").exits(0);
    Said::by(run).exits(8);
    let runs = runs(&sandbox);
    assert!(runs.iter().all(|run| run["status"] == "cancelled"), "{runs:?}");
    assert!(runs[1]["finished_at"].as_str() <= runs[0]["finished_at"].as_str());
}

#[test]
fn an_approval_below_is_named_by_the_run_above() {
    let sandbox = sandbox(ASKS);
    sandbox.write(
        "parent.yaml",
        PARENT.replace("inputs: { word: hi }", "inputs: {}").replace(".said", ".approved"),
    );
    let asked = sandbox.run("run parent.yaml").exits(9);
    let show = sandbox.run("runs show @last --json").exits(0).json();
    let waiting = &show["waiting_for"][0];
    let child = show["steps"][0]["child"].as_str().unwrap();
    assert_eq!((&waiting["kind"], &waiting["run"]), (&"approval".into(), &child.into()), "{show}");
    assert_eq!(show["status"], "blocked");
    let approve = asked.from("orchestrator approval approve");
    assert!(approve.contains(child), "{approve}");
    let approved = sandbox.follow(&approve).exits(0);
    let resume = approved.from("orchestrator runs resume");
    assert!(resume.contains(&sandbox.last_id()), "the run above is resumed: {resume}");
    assert_eq!(sandbox.follow(&resume).exits(0).out, "said: true\n");
    let of_child = sandbox.run(&format!("runs show {child}")).exits(0);
    assert!(of_child.out.contains(&format!("parent    {} (below)", sandbox.last_id())), "{}", of_child.out);
    sandbox.run(&format!("approval approve {child}")).exits(6);
}

/// A workflow and the one that carries out a step of it both have a step of this name that waits.
const NAMESAKES: [(&str, &str); 2] = [
    (
        "parts/child.yaml",
        "steps:\n  first: { run: echo on, effect: pure }\n  ask: { uses: approval, with: { message: Below? } }\n  \
         draft: { run: echo below, effect: pure, qa: true }\n  alone: { uses: approval, with: { message: Alone? } }\n",
    ),
    (
        "parent.yaml",
        "steps:\n  below: { uses: workflow, with: { workflow: ./parts/child.yaml } }\n  ask: { uses: approval, with: { \
         message: Above? } }\n  draft: { run: echo above, effect: pure, qa: true }\n",
    ),
];

#[test]
fn a_step_of_the_run_is_meant_before_its_namesake_below() {
    let sandbox = Sandbox::with(&NAMESAKES);
    sandbox.run("run parent.yaml").exits(9);
    sandbox.run("approval reject @last ask").exits(0);
    let question = sandbox.run("runs qa @last draft --pass").exits(0).err;
    assert!(question.contains("above"), "{question}");
    let open = sandbox.last()["waiting_for"].clone();
    let open: Vec<_> = open.as_array().unwrap().iter().map(|waiting| &waiting["message"]).collect();
    assert_eq!(open, ["Below?", "Is this good?", "Alone?"]);
    // Decided is decided: it does not fall to the one below.
    sandbox.run("approval approve @last ask").exits(6);
    sandbox.run("approval approve @last alone").exits(0);
}

#[test]
fn lists_leave_out_children_and_pruning_takes_them_along() {
    let sandbox = sandbox(&CHILD.replace("echo $ORCHESTRATOR_ATTEMPT > begun; cat go", "echo on"));
    sandbox.run("run parent.yaml").exits(0);
    let shown = sandbox.run("runs list --children").exits(0).out;
    let indents: Vec<usize> = shown
        .lines()
        .skip(1)
        .filter_map(|line| line.trim_start().split_once("  "))
        .map(|(_, rest)| rest.len() - rest.trim_start().len())
        .collect();
    assert!(indents.len() > 1 && indents[1..].iter().all(|indent| *indent > indents[0]), "{shown}");
    let listed = sandbox.run("runs list --children --json").exits(0).json();
    let items = listed["items"].as_array().unwrap();
    let top = items.iter().find(|item| item.get("parent").is_none()).unwrap();
    assert!(items.iter().any(|item| item["parent"] == top["run_id"]), "{listed}");
    assert_eq!(sandbox.run("runs list --json").exits(0).json()["items"].as_array().unwrap().len(), 1);
    let all = runs(&sandbox);
    assert_eq!(all.len(), 2);
    let child = all[1]["run_id"].as_str().unwrap();
    let refused = sandbox.run(&format!("runs retry {child}")).exits(6);
    assert!(refused.err.contains(&format!("runs retry {}", sandbox.last_id())), "{}", refused.err);
    let pruned = sandbox.run("prune --older-than 0s --json").exits(0).json();
    assert_eq!(pruned["runs"], 2, "{pruned}");
    assert!(runs(&sandbox).is_empty());
}

#[test]
fn only_registered_workflows_are_run_by_registered_ones() {
    let sandbox = sandbox(CHILD);
    let refused = sandbox.run("workflow register parent.yaml").exits(3);
    assert!(refused.err.contains("register ./parts/child.yaml first"), "{}", refused.err);
    sandbox.write("parent.yaml", PARENT.replace("./parts/child.yaml", "child"));
    let unknown = sandbox.run("workflow register parent.yaml").exits(3);
    assert!(unknown.err.contains("there is no registered workflow `child`"), "{}", unknown.err);
    let quick = CHILD.replace("echo $ORCHESTRATOR_ATTEMPT > begun; cat go", "echo on");
    sandbox.write("parts/child.yaml", quick);
    sandbox.run("workflow register parent.yaml parts/child.yaml").exits(0);
    assert_eq!(sandbox.run("workflow execute parent").exits(0).out, "said: hi\n");
    assert_eq!(sandbox.run("run parent.yaml").exits(0).out, "said: hi\n");
    sandbox.write("parts/child.yaml", "steps: { a: { run: \"true\", effect: pure } }\n");
    sandbox.run("workflow register parts/child.yaml").exits(0);
    let changed = sandbox.run("run parent.yaml").exits(3);
    assert!(changed.err.contains("\"child\" has no input \"word\""), "{}", changed.err);
}

#[test]
fn what_is_wrong_below_is_told_where_it_is_named() {
    let sandbox = Sandbox::with(&[(
        "ok.yaml",
        "inputs: { n: { type: integer } }\nsteps: { a: { run: x } }\noutputs: { o: 1 }\n",
    )]);
    sandbox.write("broken.yaml", "steps: { a: { uses: scirpt } }\n");
    sandbox.write(
        "round.yaml",
        "name: round\nsteps: { a: { uses: workflow, with: { workflow: ./about.yaml } } }\n",
    );
    sandbox.write(
        "about.yaml",
        "name: about\nsteps: { a: { uses: workflow, with: { workflow: ./round.yaml } } }\n",
    );
    sandbox.write(
        "bad.yaml",
        "\
name: bad
steps:
  gone: { uses: workflow, with: { workflow: ./ko.yaml } }
  broken: { uses: workflow, with: { workflow: ./broken.yaml } }
  round: { uses: workflow, with: { workflow: ./round.yaml } }
  folder: { uses: workflow, with: { workflow: ./. } }
  open: { uses: workflow, with: { workflow: \"./${{ run.id }}.yaml\" } }
  none: { uses: workflow }
  env: { uses: workflow, env: { A: b }, with: { workflow: ./ok.yaml, inputs: { n: 1 } } }
  missing: { uses: workflow, with: { workflow: ./ok.yaml } }
  wrong: { uses: workflow, with: { workflow: ./ok.yaml, inputs: { n: many, m: 1 } } }
  fine: { uses: workflow, with: { workflow: ./ok.yaml, inputs: { n: \"${{ 1 + 1 }}\" } } }
  after: { needs: fine, run: echo, env: { A: \"${{ steps.fine.p }}\" } }
",
    );
    let refused = sandbox.run("validate bad.yaml").exits(3);
    insta::assert_snapshot!(stable(&refused.err));
    assert!(sandbox.run("runs list").code != 0, "looking has made no store");
}

#[test]
fn seventeen_workflows_one_below_the_other_are_too_many() {
    let sandbox = Sandbox::new();
    for depth in 0..17 {
        let next = depth + 1;
        let text = format!(
            "name: w{depth}\nsteps: {{ a: {{ uses: workflow, with: {{ workflow: ./w{next}.yaml }} }} }}\n"
        );
        sandbox.write(&format!("w{depth}.yaml"), text);
    }
    sandbox.write("w17.yaml", "steps: { a: { run: echo, effect: pure } }\n");
    let refused = sandbox.run("validate w0.yaml").exits(3);
    assert!(refused.err.contains("more than 16 workflows one below the other"), "{}", refused.err);
    sandbox.run("run w1.yaml").exits(0);
}

#[test]
fn a_failed_child_is_followed_by_another_and_what_it_wrote_is_found() {
    let sandbox =
        sandbox("steps: { a: { run: \"echo tried; test -e fixed\", effect: pure } }\noutputs: { said: 1 }\n");
    sandbox.write("parent.yaml", PARENT.replace(", inputs: { word: hi }", ""));
    let failed = sandbox.run("run parent.yaml").exits(1);
    let logs = failed.from("orchestrator runs logs");
    let first = runs(&sandbox)[1]["run_id"].as_str().unwrap().to_owned();
    assert!(logs.contains(&first), "{logs}");
    assert!(sandbox.follow(&logs).exits(0).out.contains("tried"));
    sandbox.write("fixed", "");
    sandbox.run("runs retry @last").exits(0);
    let runs = runs(&sandbox);
    let statuses: Vec<&str> = runs.iter().map(|run| run["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["completed", "failed", "completed"]);
}

const INNER: &str = "\
steps:
  prepare: { run: echo prepare >> ledger, effect: pure }
  test: { needs: prepare, run: \"echo test >> ledger; test -e fixed\", effect: pure }
  tell: { needs: test, run: echo said=on >> \"$ORCHESTRATOR_OUTPUT\"; echo tell >> ledger, effect: pure }
outputs: { said: \"${{ steps.tell.said }}\" }
";

#[test]
fn a_retry_and_a_fork_go_on_inside() {
    let sandbox = sandbox(INNER);
    sandbox.write("parent.yaml", PARENT.replace(", inputs: { word: hi }", ""));
    sandbox.run("run parent.yaml").exits(1);
    let parent = sandbox.last_id();
    sandbox.write("fixed", "");
    assert_eq!(sandbox.run("runs retry @last").exits(0).out, "said: on\n");
    assert_eq!(sandbox.read("ledger"), "prepare\ntest\ntest\ntell\n");
    let first = runs(&sandbox)[1]["run_id"].as_str().unwrap().to_owned();
    assert_eq!(runs(&sandbox)[2]["labels"]["orchestrator.forked_from"], first);
    assert_eq!(sandbox.run(&format!("runs fork {parent} --from below/tell")).exits(0).out, "said: on\n");
    assert_eq!(sandbox.read("ledger"), "prepare\ntest\ntest\ntell\ntell\n");
    for (from, code, told) in [
        ("below/tset", 4, "`below`, a run of workflow `child`, has no step `tset`"),
        ("below/tset", 4, "did you mean `test`?"),
        ("belwo/test", 4, "did you mean `below`?"),
        ("after/test", 4, "step `after` has no steps inside: it does not run another workflow"),
        ("below/test[2]", 4, "`test[2]` is no item: the step has 0 in `below`"),
    ] {
        let refused = sandbox.run(&format!("runs fork {parent} --from {from}")).exits(code);
        assert!(refused.err.contains(told), "{}", refused.err);
    }
}
