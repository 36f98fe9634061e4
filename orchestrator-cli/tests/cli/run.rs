//! `run`: to the end, and what is said on the way.

use serde_json::json;

use crate::{HELLO, Sandbox, stable, stable_json};

const FAILS: &str = "\
name: fails
steps:
  first:
    run: echo fine
    effect: pure
  second:
    needs: first
    run: |
      for i in $(seq 1 40); do echo \"line $i\"; done
      exit 3
    effect: pure
  third:
    needs: second
    run: echo never
";

#[test]
fn outputs_go_to_stdout_and_progress_to_stderr() {
    let said = Sandbox::with(&[("hello.yaml", HELLO)]).run("run hello.yaml");
    insta::assert_snapshot!(said.stable());
}

#[test]
fn a_failure_shows_the_step_the_error_the_last_lines_and_the_way_to_more() {
    let sandbox = Sandbox::with(&[("fails.yaml", FAILS)]);
    let said = sandbox.run("run fails.yaml").exits(1);
    assert_eq!(said.out, "");
    insta::assert_snapshot!(stable(&said.err));
    let logs = sandbox.follow(&said.from("orchestrator runs logs")).exits(0);
    assert_eq!(logs.out.lines().count(), 40);
}

#[test]
fn the_report_is_one_object_with_json() {
    let sandbox = Sandbox::with(&[("hello.yaml", HELLO), ("fails.yaml", FAILS)]);
    let said = sandbox.run("run hello.yaml --json").exits(0);
    assert_eq!(said.err, "");
    insta::assert_snapshot!(stable_json(&said.json()));
    assert_eq!(said.json(), sandbox.run("runs show @last --json").exits(0).json());
    let said = sandbox.run("run fails.yaml --json").exits(1);
    assert_eq!((said.err.as_str(), said.json()["status"].as_str()), ("", Some("failed")));
}

#[test]
fn with_stream_every_event_comes_before_the_report() {
    let sandbox = Sandbox::with(&[("hello.yaml", HELLO)]);
    let said = sandbox.run("run hello.yaml --json=stream").exits(0);
    let mut lines = said.json_lines();
    let report = lines.pop().unwrap();
    assert_eq!(report["status"], "completed");
    let kinds: Vec<&str> = lines.iter().map(|event| event["kind"].as_str().unwrap()).collect();
    assert_eq!((kinds[0], kinds[kinds.len() - 1]), ("run.created", "run.ended"));
    let numbers: Vec<u64> = lines.iter().map(|event| event["seq"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (1..=lines.len() as u64).collect::<Vec<_>>());
    let begun = lines.iter().find(|event| event["kind"] == "step.begun").unwrap();
    insta::assert_snapshot!(stable_json(begun));
    // The same events are kept, in the same shape.
    let kept = sandbox.run("runs events @last --json").exits(0).json_lines();
    assert_eq!(kept[..lines.len()], lines);
}

#[test]
fn inputs_are_read_as_the_types_they_have() {
    let flow = "\
name: typed
inputs:
  text: { type: string }
  count: { type: integer, default: 1 }
  deep: { type: object, default: {} }
steps:
  show:
    run: echo \"$ALL\"
    effect: pure
    env: { ALL: \"${{ inputs }}\" }
";
    let sandbox = Sandbox::with(&[("typed.yaml", flow), ("text.txt", "from a file")]);
    let report = sandbox
        .run_args(&[
            "run",
            "typed.yaml",
            "-i",
            "text=@text.txt",
            "-i",
            "count=7",
            "-i",
            "deep={\"a\": [1]}",
            "--json",
        ])
        .exits(0)
        .json();
    assert_eq!(report["inputs"], json!({"text": "from a file", "count": 7, "deep": {"a": [1]}}));
    let report = sandbox.run_args(&["run", "typed.yaml", "-i", "text=@@home", "--json"]).exits(0).json();
    assert_eq!(report["inputs"]["text"], "@home");
    let mut child = sandbox.command(["run", "typed.yaml", "-i", "text=@-", "--json"]);
    let mut child = child.stdin(std::process::Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"piped").unwrap();
    assert_eq!(crate::Said::by(child).exits(0).json()["inputs"]["text"], "piped");
}

#[test]
fn a_workflow_can_come_from_stdin() {
    let said = Sandbox::new().run_with_stdin("run -", HELLO.as_bytes()).exits(0);
    assert_eq!(said.out, "greeting: Hello, world!\n");
}

#[test]
fn one_key_starts_one_run() {
    let sandbox = Sandbox::with(&[("hello.yaml", HELLO)]);
    let first = sandbox.run("run hello.yaml --idempotency-key k1 --json").exits(0).json();
    let again = sandbox.run("run hello.yaml --idempotency-key k1 --json").exits(0).json();
    assert_eq!(first, again);
    let said = sandbox.run("run hello.yaml --idempotency-key k1 -i name=Ada --json").exits(6);
    let problem = said.problem();
    assert_eq!(problem["code"], "idempotency_key_reused");
    assert!(problem["title"].as_str().unwrap().contains(first["run_id"].as_str().unwrap()), "{problem}");
    assert_eq!(sandbox.run("runs list --json").json()["items"].as_array().unwrap().len(), 1);
}

#[test]
fn labels_and_a_name_are_kept() {
    let sandbox = Sandbox::with(&[("hello.yaml", HELLO)]);
    sandbox.run("run hello.yaml --label team=core -l x=y --name nightly").exits(0);
    let labels = &sandbox.run("runs list --json").json()["items"][0]["labels"];
    assert_eq!(
        (&labels["team"], &labels["x"], &labels["name"]),
        (&json!("core"), &json!("y"), &json!("nightly"))
    );
    assert!(sandbox.run("runs list").out.contains("hello (nightly)"));
}

#[test]
fn quiet_runs_say_only_what_matters() {
    let sandbox = Sandbox::with(&[("hello.yaml", HELLO), ("fails.yaml", FAILS), ("ask.yaml", crate::ASK)]);
    let said = sandbox.run("run hello.yaml -q").exits(0);
    assert_eq!((said.out.as_str(), said.err.as_str()), ("greeting: Hello, world!\n", ""));
    let said = sandbox.run("run fails.yaml -q").exits(1);
    assert!(said.err.contains("failed") && said.err.contains("exit code 3"), "{}", said.err);
    let said = sandbox.run("run ask.yaml -q").exits(9);
    assert!(said.err.contains("orchestrator approval approve"), "{}", said.err);
}

#[test]
fn lines_are_told_as_they_come_where_that_is_asked_for() {
    let said = Sandbox::with(&[("hello.yaml", HELLO)]).run("run hello.yaml --logs").exits(0);
    assert!(said.err.contains("greet │ Hello, world!"), "{}", said.err);
}

#[test]
fn what_comes_from_outside_cannot_play_with_the_terminal() {
    let flow = "\
name: evil
steps:
  evil:
    run: |
      printf 'a\\033]0;title\\007b \\033[31mred\\033[0m\\n'
      exit 1
    effect: pure
";
    let sandbox = Sandbox::with(&[("evil.yaml", flow)]);
    let said = sandbox.run("run evil.yaml").exits(1);
    let logs = sandbox.run("runs logs @last --step evil").exits(0);
    for text in [&said.err, &logs.out] {
        assert!(text.contains("a\\x1b]0;title\\x07b red"), "{text}");
        assert!(!text.contains('\u{1b}') && !text.contains('\u{7}'), "{text:?}");
    }
    let line = &sandbox.run("runs logs @last --json").json_lines()[0];
    assert_eq!(line["text"], "a\u{1b}]0;title\u{7}b \u{1b}[31mred\u{1b}[0m");
}

#[test]
fn a_run_in_memory_leaves_nothing() {
    let sandbox = Sandbox::with(&[("hello.yaml", HELLO), ("ask.yaml", crate::ASK)]);
    let before = sandbox.listing();
    sandbox.run("run hello.yaml --store memory").exits(0);
    let said = sandbox.run("run ask.yaml --store memory").exits(9);
    assert!(said.err.contains("kept in memory") && !said.err.contains("approval approve"), "{}", said.err);
    assert_eq!(sandbox.listing(), before);
}

#[test]
fn a_run_can_be_put_off_and_survives_whoever_waits_for_it() {
    let sandbox = Sandbox::with(&[("hello.yaml", HELLO)]);
    let said = sandbox.run("run hello.yaml --in 400ms").exits(0);
    assert_eq!(said.out, "greeting: Hello, world!\n");
    assert!(said.err.contains("the run is to begin"), "{}", said.err);
    assert!(said.err.contains("time to begin has come"), "{}", said.err);

    let mut child = sandbox.command(["run", "hello.yaml", "--in", "2s"]).spawn().unwrap();
    crate::sandbox::until(|| sandbox.run("runs list --status pending --json").json()["items"][0].is_object());
    child.kill().unwrap();
    child.wait().unwrap();
    let shown = sandbox.run("runs show @last --json").exits(0).json();
    let due = shown["not_before"].as_str().unwrap().to_owned();
    let told = sandbox.run("runs show @last").exits(0).out;
    assert!(told.contains(&due) && told.contains("the run is to begin in"), "{told}");
    let doctor = sandbox.run("doctor").out;
    assert!(doctor.contains("hello is to begin in"), "{doctor}");
    let ended = sandbox.run("runs resume @last --json").exits(0).json();
    assert!(ended["started_at"].as_str().unwrap() >= due.as_str(), "{ended}");
    assert_eq!((&ended["status"], ended["not_before"].as_str()), (&json!("completed"), None));
}

#[test]
fn a_run_that_is_put_off_is_left_to_a_worker_or_cancelled() {
    let sandbox = Sandbox::with(&[("hello.yaml", HELLO)]);
    let late = sandbox.run("run hello.yaml --at 2999-12-31T23:59:59+02:00 --detach --json").exits(0).json();
    assert_eq!(
        (&late["status"], &late["not_before"]),
        (&json!("pending"), &json!("2999-12-31T21:59:59.000Z"))
    );
    let run = late["run_id"].as_str().unwrap();
    let listed = sandbox.run("runs list").exits(0).out;
    assert!(listed.lines().nth(1).unwrap().contains(" in "), "when it begins: {listed}");
    sandbox.run(&format!("runs cancel {run}")).exits(0);
    let shown = sandbox.run(&format!("runs show {run} --json")).exits(0).json();
    assert_eq!((&shown["status"], shown["not_before"].as_str()), (&json!("cancelled"), None));
    let said = sandbox.run("run hello.yaml --in 2h --detach").exits(0);
    assert!(said.err.contains("it is to begin in"), "{}", said.err);
}

#[test]
fn a_run_that_is_put_off_begins_at_once_where_somebody_wants_that() {
    let sandbox = Sandbox::with(&[("hello.yaml", HELLO)]);
    sandbox.run("run hello.yaml").exits(0);
    let waits = sandbox.spawn("run hello.yaml --in 2h");
    crate::sandbox::until(|| sandbox.run("runs list --status pending --json").json()["items"][0].is_object());
    let said = sandbox.run_args(&["runs", "begin", "@last", "--reason", "no time"]).exits(0);
    assert!(said.out.ends_with(": begins now\n"), "{}", said.out);
    let said = crate::Said::by(waits).exits(0);
    assert!(said.err.contains("has the run begin before its time"), "{}", said.err);
    assert_eq!(said.out, "greeting: Hello, world!\n");
    sandbox.run("runs begin @last").exits(6);
    // What is left to others is due to them.
    sandbox.run("run hello.yaml --in 2h --detach").exits(0);
    let said = sandbox.run("runs begin @last").exits(0);
    assert!(said.out.ends_with(": begins as soon as somebody drives it\n"), "{}", said.out);
    let again = sandbox.run("runs begin @last --json").exits(0).json();
    assert_eq!(again["result"], "it is not put off, or not any more");
    let shown = sandbox.run("runs show @last --json").exits(0).json();
    assert_eq!((&shown["status"], shown["not_before"].as_str()), (&json!("pending"), None));
    let ended = sandbox.run("runs resume @last --json").exits(0).json();
    assert_eq!(ended["status"], "completed");
}

#[test]
fn a_key_answers_with_its_run_also_when_the_time_to_begin_has_passed() {
    let sandbox = Sandbox::with(&[("hello.yaml", HELLO)]);
    let first = sandbox.run("run hello.yaml --in 1ms --idempotency-key k --json").exits(0).json();
    let again = sandbox.run("run hello.yaml --at 2020-01-01T00:00:00Z --idempotency-key k --json").exits(0);
    assert_eq!(again.json()["run_id"], first["run_id"]);
    let new = sandbox.run("run hello.yaml --at 2020-01-01T00:00:00Z --idempotency-key l --json").exits(2);
    assert!(new.problem()["title"].as_str().unwrap().contains("2020-01-01"), "{new:?}");
    assert_eq!(sandbox.run("runs list --json").json()["items"].as_array().unwrap().len(), 1);
}
