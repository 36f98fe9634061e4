//! Ctrl-C, SIGTERM, and readers that go away.

use std::process::Child;

use rustix::process::{Pid, Signal, kill_process};

use crate::sandbox::{catches, until};
use crate::{Said, Sandbox};

const SLOW: &str = "\
name: slow
steps:
  slow:
    run: echo $ORCHESTRATOR_ATTEMPT > begun; cat go
  after:
    needs: slow
    run: echo after
";

fn slow(flow: &str, words: &str) -> (Sandbox, Child) {
    let sandbox = Sandbox::with(&[("slow.yaml", flow)]);
    sandbox.pipe("begun");
    sandbox.pipe("go");
    let run = sandbox.spawn(words);
    assert_eq!(sandbox.hear("begun"), "1\n");
    (sandbox, run)
}

fn send(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

#[test]
fn the_first_ctrl_c_stops_in_order_and_prints_the_way_back() {
    let (sandbox, run) = slow(SLOW, "run slow.yaml --grace 100ms");
    send(&run, Signal::INT);
    let said = Said::by(run).exits(130);
    assert!(
        said.err.contains("running steps have 100ms to end") && said.err.contains("slow"),
        "{}",
        said.err
    );
    assert!(said.err.contains("slow stopped after 0 of 2 steps"), "{}", said.err);
    let resume = said.from("orchestrator runs resume");
    // An orderly stop leaves no doubt, even about a step of class at_most_once.
    assert_eq!(sandbox.last()["steps"][0]["status"], "queued");
    let resumed = sandbox.spawn(resume.strip_prefix("orchestrator ").unwrap());
    assert_eq!(sandbox.hear("begun"), "2\n");
    std::fs::write(sandbox.path("go"), "on\n").unwrap();
    Said::by(resumed).exits(0);
}

#[test]
fn a_step_that_ends_in_time_is_recorded() {
    let (sandbox, mut run) = slow(SLOW, "run slow.yaml --grace 60s");
    send(&run, Signal::INT);
    let rest = until_stopping(&mut run);
    std::fs::write(sandbox.path("go"), "on\n").unwrap();
    assert_eq!(run.wait().unwrap().code(), Some(130));
    drop(rest);
    let steps = &sandbox.last()["steps"];
    assert_eq!((&steps[0]["status"], &steps[1]["status"]), (&"completed".into(), &"pending".into()));
}

/// Returns when the process says that it has understood, with the rest of what it will say.
fn until_stopping(run: &mut std::process::Child) -> impl std::io::BufRead + use<> {
    let mut said = String::new();
    let mut reader = std::io::BufReader::new(run.stderr.take().unwrap());
    while !said.contains("stopping") {
        assert_ne!(std::io::BufRead::read_line(&mut reader, &mut said).unwrap(), 0, "{said}");
    }
    reader
}

#[test]
fn the_second_ctrl_c_ends_at_once() {
    let (sandbox, mut run) =
        slow(&SLOW.replace("cat go", "trap '' TERM; cat go"), "run slow.yaml --grace 1h");
    send(&run, Signal::INT);
    let rest = until_stopping(&mut run);
    send(&run, Signal::INT);
    assert_eq!(run.wait().unwrap().code(), Some(130));
    drop((sandbox, rest));
}

#[test]
fn sigterm_is_as_orderly_and_has_its_own_code() {
    let (sandbox, run) = slow(SLOW, "run slow.yaml --grace 100ms");
    send(&run, Signal::TERM);
    Said::by(run).exits(143);
    assert_eq!(sandbox.last()["steps"][0]["status"], "queued");
}

#[test]
fn ctrl_c_ends_waiting_and_not_the_run() {
    let (sandbox, run) = slow(SLOW, "run slow.yaml");
    for words in ["runs wait @last", "runs logs @last --follow", "runs events @last --follow"] {
        let mut follower = sandbox.spawn(words);
        until(|| catches(&follower, Signal::INT));
        send(&follower, Signal::INT);
        assert_eq!(follower.wait().unwrap().code(), Some(130), "{words}");
    }
    assert_eq!(sandbox.last()["status"], "running");
    std::fs::write(sandbox.path("go"), "on\n").unwrap();
    Said::by(run).exits(0);
}
