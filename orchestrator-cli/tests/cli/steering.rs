//! `runs pause`, `resume`, `cancel`, `resolve`: whoever drives the run.

use crate::{ASK, HELLO, Said, Sandbox};

/// A run whose first step has begun and goes on when something is written into `go`.
const SLOW: &str = "\
name: slow
steps:
  slow:
    run: echo $ORCHESTRATOR_ATTEMPT > begun; cat go
    effect: pure
  after:
    needs: slow
    run: echo after
    effect: pure
";

fn slow(flow: &str) -> (Sandbox, std::process::Child) {
    let sandbox = Sandbox::with(&[("slow.yaml", flow)]);
    sandbox.pipe("begun");
    sandbox.pipe("go");
    let run = sandbox.spawn("run slow.yaml");
    assert_eq!(sandbox.hear("begun"), "1\n");
    (sandbox, run)
}

fn go(sandbox: &Sandbox) {
    std::fs::write(sandbox.path("go"), "on\n").unwrap();
}

#[test]
fn another_process_cancels_a_driven_run() {
    let (sandbox, run) = slow(SLOW);
    let said = sandbox.run_args(&["runs", "cancel", "@last", "--reason", "wrong branch"]).exits(0);
    assert!(said.out.contains("being cancelled by the process that drives it"), "{}", said.out);
    let said = Said::by(run).exits(8);
    assert!(said.err.contains("wrong branch") && said.err.contains("slow cancelled"), "{}", said.err);
    let again = sandbox.run("runs cancel @last").exits(6);
    assert!(
        again.err.contains("the run has already been cancelled") || again.err.contains("already cancelled"),
        "{}",
        again.err
    );
}

#[test]
fn a_run_that_nobody_drives_is_brought_to_its_end() {
    let sandbox = Sandbox::with(&[("ask.yaml", ASK)]);
    sandbox.run("run ask.yaml -q").exits(9);
    let said = sandbox.run("runs cancel @last").exits(0);
    assert!(said.out.ends_with(": cancelled\n"), "{}", said.out);
    assert_eq!(sandbox.last()["status"], "cancelled");
    sandbox.run("runs wait @last").exits(8);
}

#[test]
fn a_run_whose_driver_was_killed_is_cancelled_at_once() {
    let (sandbox, mut run) = slow(SLOW);
    run.kill().unwrap();
    run.wait().unwrap();
    let said = sandbox.run("runs cancel @last").exits(0);
    assert!(said.out.ends_with(": cancelled\n"), "{}", said.out);
    let steps = sandbox.last()["steps"].clone();
    assert!(steps.as_array().unwrap().iter().all(|step| step["status"] == "cancelled"), "{steps}");
}

#[test]
fn nothing_is_shown_as_running_in_a_run_that_was_cancelled_in_doubt() {
    let (sandbox, mut run) = slow(&SLOW.replacen("    effect: pure\n", "    for_each: [only]\n", 1));
    run.kill().unwrap();
    run.wait().unwrap();
    sandbox.run("runs cancel @last").exits(0);
    let shown = sandbox.last();
    let statuses: Vec<_> =
        shown["steps"].as_array().unwrap().iter().map(|step| (&step["item"], &step["status"])).collect();
    let (none, first) = (serde_json::Value::Null, serde_json::json!(0));
    let (unknown, cancelled) = ("outcome_unknown".into(), "cancelled".into());
    assert_eq!(statuses, [(&none, &unknown), (&first, &unknown), (&none, &cancelled)], "{shown}");
    sandbox.run("runs resolve @last slow[0] --not-applied").exits(0);
    let statuses = sandbox.last()["steps"].clone();
    assert!(statuses.as_array().unwrap().iter().all(|step| step["status"] == "cancelled"), "{statuses}");
}

#[test]
fn a_paused_run_begins_nothing_until_it_is_resumed() {
    let (sandbox, run) = slow(SLOW);
    sandbox.run("runs pause @last").exits(0);
    let said = sandbox.run("runs pause @last").exits(0);
    assert!(said.out.contains("paused already"), "{}", said.out);
    go(&sandbox);
    let said = Said::by(run).exits(9);
    assert!(said.err.contains("is paused"), "{}", said.err);
    assert_eq!(sandbox.last()["steps"][1]["status"], "pending");
    let said = sandbox.follow(&said.from("orchestrator runs resume")).exits(0);
    assert!(said.err.contains("after"), "{}", said.err);
}

#[test]
fn a_run_that_somebody_drives_is_not_taken() {
    let (sandbox, run) = slow(SLOW);
    let said = sandbox.run("runs resume @last").exits(6);
    assert!(said.err.contains(&format!("pid {}", run.id())), "{}", said.err);
    go(&sandbox);
    Said::by(run).exits(0);
    // There is nothing left to do, and that is fine.
    let said = sandbox.run("runs resume @last").exits(0);
    assert!(said.err.contains("nothing left to do"), "{}", said.err);
}

#[test]
fn a_killed_run_is_resumed_without_repeating_what_is_done() {
    let flow = "\
name: two
steps:
  first:
    run: echo x >> ledger
  second:
    needs: first
    run: echo $ORCHESTRATOR_ATTEMPT > begun; cat go
    effect: pure
";
    let (sandbox, mut run) = slow(flow);
    run.kill().unwrap();
    run.wait().unwrap();
    let resumed = sandbox.spawn("runs resume @last");
    assert_eq!(sandbox.hear("begun"), "2\n");
    go(&sandbox);
    Said::by(resumed).exits(0);
    assert_eq!(sandbox.read("ledger"), "x\n");
}

#[test]
fn doubt_is_resolved_by_a_person() {
    let at_most_once = SLOW.replacen("    effect: pure\n", "", 1);
    for (answer, attempts) in [("--applied --output @OUTPUT", 1), ("--not-applied", 2)] {
        let (sandbox, mut run) = slow(&at_most_once);
        run.kill().unwrap();
        run.wait().unwrap();
        let said = sandbox.run("runs resume @last").exits(9);
        assert!(said.err.contains("runs resolve") && said.err.contains("--not-applied"), "{}", said.err);
        assert_eq!(sandbox.last()["steps"][0]["status"], "outcome_unknown");
        sandbox.run("runs resolve @last after --applied").exits(6);
        // Longer than what is kept inside an event.
        let output = serde_json::json!({"done": "x".repeat(1_000)});
        let answer = answer.replace("@OUTPUT", &output.to_string());
        let said = sandbox.run(&format!("runs resolve @last slow {answer}")).exits(0);
        let next = said.from("orchestrator runs resume");
        let resumed = sandbox.spawn(next.strip_prefix("orchestrator ").unwrap());
        if attempts == 2 {
            assert_eq!(sandbox.hear("begun"), "2\n");
            go(&sandbox);
        }
        Said::by(resumed).exits(0);
        let step = &sandbox.last()["steps"][0];
        assert_eq!(step["attempts"], attempts, "{step}");
        if attempts == 1 {
            assert_eq!(step["output"], output);
        }
        sandbox.run("runs resolve @last slow --applied").exits(6);
    }
}

#[test]
fn what_has_ended_stays_ended() {
    let sandbox = Sandbox::with(&[("hello.yaml", HELLO)]);
    sandbox.run("run hello.yaml -q").exits(0);
    for words in ["runs cancel @last", "runs pause @last", "runs resolve @last greet --applied"] {
        let said = sandbox.run(words).exits(6);
        assert!(said.err.contains("already completed"), "{}", said.err);
    }
    sandbox.run("runs wait @last").exits(0);
}

#[test]
fn a_run_goes_on_in_the_folder_in_which_it_was_started() {
    let sandbox =
        Sandbox::with(&[("ask.yaml", &ASK.replace("echo published", "pwd > where")), ("other/x", "")]);
    sandbox.run("init").exits(0);
    sandbox.run("run ask.yaml").exits(9);
    let mut approve = sandbox.command(["approval", "approve", "@last"]);
    Said::of(&approve.current_dir(sandbox.path("other")).output().unwrap()).exits(0);
    let mut resume = sandbox.command(["runs", "resume", "@last"]);
    Said::of(&resume.current_dir(sandbox.path("other")).output().unwrap()).exits(0);
    assert!(sandbox.path("where").exists() && !sandbox.path("other/where").exists());
}

/// Three items; the second fails until the file `fixed` is there.
const HALF_FAILS: &str = "\
name: half
steps:
  list: { run: 'echo list >> ran.txt', effect: pure }
  each:
    needs: list
    for_each: [a, b, c]
    effect: pure
    env: { X: \"${{ item }}\" }
    run: echo \"$X\" >> ran.txt; [ \"$X\" != b ] || [ -e fixed ]
  after: { needs: each, run: 'echo after >> ran.txt', effect: pure }
";

#[test]
fn a_retry_begins_again_what_has_failed_and_what_depends_on_it() {
    let sandbox = Sandbox::with(&[("half.yaml", HALF_FAILS)]);
    sandbox.run("run half.yaml").exits(1);
    let ran = || std::fs::read_to_string(sandbox.path("ran.txt")).unwrap();
    let mut lines: Vec<String> = ran().lines().map(str::to_owned).collect();
    lines.sort_unstable();
    assert_eq!(lines, ["a", "b", "c", "list"]);
    // Still not fixed: only the item that has failed is tried.
    std::fs::remove_file(sandbox.path("ran.txt")).unwrap();
    sandbox.run("runs retry @last").exits(1);
    assert_eq!(ran(), "b\n");
    std::fs::write(sandbox.path("fixed"), "").unwrap();
    std::fs::remove_file(sandbox.path("ran.txt")).unwrap();
    sandbox.run("runs retry @last each[1]").exits(0);
    assert_eq!(ran(), "b\nafter\n");
    assert_eq!(sandbox.last()["status"], "completed");

    std::fs::remove_file(sandbox.path("ran.txt")).unwrap();
    sandbox.run("runs retry @last").exits(6);
    sandbox.run("runs retry @last each[7]").exits(6);
    sandbox.run("runs retry @last nothing").exits(4);
    sandbox.run("runs retry @last --from after").exits(0);
    assert_eq!(ran(), "after\n");
    sandbox.run("runs retry @last --from each").exits(0);
    let mut lines: Vec<String> = ran().lines().map(str::to_owned).collect();
    lines.sort_unstable();
    assert_eq!(lines, ["a", "after", "after", "b", "c"]);
}
