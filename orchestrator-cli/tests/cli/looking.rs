//! `runs list`, `show`, `logs`, `events`, `wait`: looking at what others do.

use serde_json::Value;

use crate::sandbox::PATIENCE;
use crate::{HELLO, Said, Sandbox, stable, stable_json};

const TALKS: &str = "\
name: talks
steps:
  one:
    run: echo one; echo two >&2
    effect: pure
  two:
    needs: one
    run: seq 1 5
    effect: pure
";

#[test]
fn lists_are_pages() {
    let sandbox = Sandbox::with(&[("hello.yaml", HELLO), ("talks.yaml", TALKS)]);
    for file in ["hello.yaml", "talks.yaml", "hello.yaml"] {
        sandbox.run(&format!("run {file} -q")).exits(0);
    }
    let first = sandbox.run("runs list --limit 2 --json").exits(0).json();
    assert_eq!(first["items"].as_array().unwrap().len(), 2);
    assert_eq!(first["items"][1]["workflow"], "talks");
    let next = first["next"].as_str().unwrap();
    let second = sandbox.run(&format!("runs list --limit 2 --after {next} --json")).exits(0).json();
    assert_eq!((second["items"].as_array().unwrap().len(), &second["next"]), (1, &Value::Null));
    insta::assert_snapshot!(
        stable_json(&first["items"][0]).replace(
            sandbox.path("").canonicalize().unwrap().to_str().unwrap().trim_end_matches('/'),
            "FOLDER"
        )
    );
    let talks = sandbox.run("runs list --workflow talks --status completed --json").json();
    assert_eq!(talks["items"].as_array().unwrap().len(), 1);
    assert_eq!(sandbox.run("runs list --open --json").exits(0).json()["items"], serde_json::json!([]));
    let said = sandbox.run("runs list --status failed").exits(0);
    assert_eq!((said.out.as_str(), said.err.as_str()), ("", "no such runs\n"));
    let table = sandbox.run("runs list").exits(0).out;
    assert!(table.starts_with("RUN ") && table.lines().count() == 4, "{table}");
    // An id of the table is enough to name the run.
    let short = table.lines().nth(1).unwrap().split(' ').next().unwrap();
    sandbox.run(&format!("runs show {short}")).exits(0);
}

#[test]
fn a_run_is_shown_with_its_steps() {
    let sandbox = Sandbox::with(&[("talks.yaml", TALKS)]);
    sandbox.run("run talks.yaml -q").exits(0);
    let shown = sandbox.run("runs show @last").exits(0);
    let folder = sandbox.path("").canonicalize().unwrap();
    let text = stable(&shown.out).replace(folder.to_str().unwrap().trim_end_matches('/'), "FOLDER");
    let user = sandbox.last()["by"].as_str().unwrap().to_owned();
    let mut text = text.replace(&format!("by {user}"), "by USER");
    // A column is as wide as the longest time in it happens to be.
    while text.contains("   ") {
        text = text.replace("   ", "  ");
    }
    insta::assert_snapshot!(text);
}

#[test]
fn logs_are_told_by_step_and_from_the_end() {
    let sandbox = Sandbox::with(&[("talks.yaml", TALKS)]);
    sandbox.run("run talks.yaml -q").exits(0);
    let all = sandbox.run("runs logs @last").exits(0).out;
    assert_eq!(all.lines().count(), 7);
    assert!(all.contains("one │ one") && all.contains("one ┃ two") && all.contains("two │ 5"), "{all}");
    assert_eq!(sandbox.run("runs logs @last --step two").exits(0).out, "1\n2\n3\n4\n5\n");
    assert_eq!(sandbox.run("runs logs @last --step two --tail 2").exits(0).out, "4\n5\n");
    let lines = sandbox.run("runs logs @last --step one --json").exits(0).json_lines();
    let stderr = lines.iter().find(|line| line["stream"] == "stderr").unwrap();
    assert_eq!(
        (&stderr["text"], &stderr["step"], &stderr["attempt"]),
        (&"two".into(), &"one".into(), &1.into())
    );
    let said = sandbox.run("runs logs @last --step tow").exits(4);
    assert!(said.err.contains("did you mean `two`?"), "{}", said.err);
}

#[test]
fn events_are_told_from_any_number() {
    let sandbox = Sandbox::with(&[("talks.yaml", TALKS)]);
    sandbox.run("run talks.yaml -q").exits(0);
    let all = sandbox.run("runs events @last --json").exits(0).json_lines();
    let tail = sandbox.run("runs events @last --after 3 --json").exits(0).json_lines();
    assert_eq!(all[3..], tail);
    let keys: Vec<&str> = all[0].as_object().unwrap().keys().map(String::as_str).collect();
    let mut expected =
        ["run_id", "seq", "at", "kind", "step", "item", "attempt", "epoch", "owner", "transition_id", "data"];
    expected.sort_unstable();
    let mut sorted = keys;
    sorted.sort_unstable();
    assert_eq!(sorted, expected);
    insta::assert_snapshot!(
        stable(&sandbox.run("runs events @last").exits(0).out)
            .replace(sandbox.last()["by"].as_str().unwrap(), "USER")
    );
}

#[test]
fn followers_see_the_end() {
    let flow = "\
name: slow
steps:
  slow:
    run: echo begun; echo > begun; cat go
    effect: pure
";
    let sandbox = Sandbox::with(&[("slow.yaml", flow)]);
    sandbox.pipe("begun");
    sandbox.pipe("go");
    let run = sandbox.spawn("run slow.yaml");
    sandbox.hear("begun");
    let followers: Vec<_> =
        ["runs logs @last --follow --step slow", "runs events @last --follow --json", "runs wait @last"]
            .map(|words| sandbox.spawn(words))
            .into();
    std::fs::write(sandbox.path("go"), "gone on\n").unwrap();
    Said::by(run).exits(0);
    let mut said: Vec<Said> = followers.into_iter().map(|follower| Said::by(follower).exits(0)).collect();
    assert!(said.pop().unwrap().out.contains("slow completed in"));
    assert_eq!(said.pop().unwrap().json_lines().last().unwrap()["kind"], "run.ended");
    assert_eq!(said.pop().unwrap().out, "begun\ngone on\n");
}

#[test]
fn waiting_has_the_exit_code_of_the_run() {
    let fails = "name: fails\nsteps:\n  a:\n    run: exit 3\n    effect: pure\n";
    let sandbox = Sandbox::with(&[("fails.yaml", fails), ("ask.yaml", crate::ASK)]);
    sandbox.run("run fails.yaml -q").exits(1);
    sandbox.run("runs wait @last").exits(1);
    assert_eq!(sandbox.run("runs wait @last --json").exits(1).json()["status"], "failed");
    sandbox.run("run ask.yaml -q").exits(9);
    let said = sandbox.run("runs wait @last").exits(9);
    assert!(said.err.contains("orchestrator approval approve"), "{}", said.err);
    let before = std::time::Instant::now();
    let said = sandbox.run("runs wait @last --timeout 50ms").exits(8);
    assert!(said.err.contains("has not ended in 50ms"), "{}", said.err);
    assert!(before.elapsed() < PATIENCE);
    let problem = sandbox.run("runs wait @last --json");
    assert_eq!(problem.code, 9);
    assert_eq!(problem.json()["status"], "blocked");
}
