//! `doctor`: is anything broken, and what does every open run wait for?

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use crate::{ASK, HELLO, Sandbox};

#[test]
fn a_fresh_folder_is_well() {
    let sandbox = Sandbox::new();
    let said = sandbox.run("doctor").exits(0);
    assert!(
        said.out.contains("none yet; the first run makes it") && said.out.ends_with("no run is open\n"),
        "{}",
        said.out
    );
    assert!(sandbox.listing().is_empty());
}

#[test]
fn every_open_run_has_a_reason_and_a_command() {
    let slow = "name: slow\nsteps:\n  slow:\n    run: echo > begun; cat go\n";
    let sandbox = Sandbox::with(&[("ask.yaml", ASK), ("slow.yaml", slow), ("hello.yaml", HELLO)]);
    sandbox.run("run hello.yaml -q").exits(0);
    sandbox.run("run ask.yaml -q").exits(9);
    let asks = sandbox.last_id();
    sandbox.run("run ask.yaml -q").exits(9);
    sandbox.run("runs pause @last").exits(0);
    let paused = sandbox.last_id();
    sandbox.pipe("begun");
    sandbox.pipe("go");
    let mut killed = sandbox.spawn("run slow.yaml -q");
    sandbox.hear("begun");
    let doubt = sandbox.last_id();
    let state = |id: &str| {
        let told = sandbox.run("doctor --json").exits(0).json();
        let runs = told["runs"].as_array().unwrap().clone();
        runs.into_iter().find(|run| run["run_id"] == id).unwrap_or_else(|| panic!("{id} is not told: {told}"))
    };
    assert_eq!(state(&doubt)["kind"], "driven");
    assert_eq!((&state(&asks)["kind"], &state(&paused)["kind"]), (&"approval".into(), &"paused".into()));
    killed.kill().unwrap();
    killed.wait().unwrap();
    let left = state(&doubt);
    assert_eq!((&left["kind"], &left["needs_someone"]), (&"undriven".into(), &true.into()));
    // The one command that moves it, until nothing is open.
    sandbox.follow(left["command"].as_str().unwrap()).exits(9);
    assert_eq!(state(&doubt)["kind"], "outcome_unknown");
    for id in [&doubt, &asks, &paused] {
        sandbox.run(&format!("runs cancel {id}")).exits(0);
    }
    let told = sandbox.run("doctor --json").exits(0).json();
    assert_eq!((&told["runs"], &told["ok"]), (&serde_json::json!([]), &true.into()));
}

/// A host that is left alone is one reason why a step is tried again later.
#[test]
fn what_keeps_a_run_from_getting_on_is_said() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let flow = format!(
        "name: call\npermissions: {{ network: [\"{closed}\"] }}\nsteps:\n  call:\n    uses: http\n    with: {{ url: \"http://{closed}/\" }}\n    retry: {{ max_attempts: 2, initial: 1h }}\n"
    );
    let sandbox = Sandbox::with(&[("call.yaml", &flow)]);
    let mut run = sandbox.command(["run", "call.yaml", "--json=stream"]);
    let mut run = run.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(run.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| line.contains("\"step.failed\"")), "it has not failed");
    let told = sandbox.run("doctor").exits(0).out;
    assert!(told.contains("; call waits before attempt 2: GET http://127.0.0.1:"), "{told}");
    run.kill().unwrap();
    run.wait().unwrap();
    let told = sandbox.run("doctor --json").exits(0).json();
    let left = told["runs"][0]["text"].as_str().unwrap();
    assert!(left.contains("cannot connect: Connection refused"), "{left}");
}

#[test]
fn what_is_broken_is_said_and_counts() {
    let sandbox =
        Sandbox::with(&[(".orchestrator/state.db", "this is not a database, whatever its name may say")]);
    let said = sandbox.run("doctor").exits(1);
    assert!(said.out.contains("✘ store"), "{}", said.out);
    let mut command = sandbox.command(["doctor", "--store", "memory"]);
    let said = crate::Said::of(&command.env("ORCHESTRATOR_STOER", "x").output().unwrap()).exits(0);
    assert!(said.out.contains("did you mean ORCHESTRATOR_STORE?"), "{}", said.out);
}

/// Changes one row behind the store's back.
fn spoil(sandbox: &Sandbox, statement: &str) {
    let spoil = format!(
        "import sqlite3; db = sqlite3.connect('.orchestrator/state.db')\n\
         with db: assert db.execute(\"{statement}\").rowcount == 1"
    );
    let done = Command::new("python3").args(["-c", &spoil]).current_dir(sandbox.path("")).status().unwrap();
    assert!(done.success());
}

#[test]
fn a_run_that_cannot_be_read_is_told_and_hides_no_other() {
    let sandbox = Sandbox::with(&[("ask.yaml", ASK)]);
    sandbox.run("run ask.yaml -q").exits(9);
    let spoilt = sandbox.last_id();
    sandbox.run("run ask.yaml -q").exits(9);
    let whole = sandbox.last_id();
    sandbox.run("store check").exits(0);
    let hex = spoilt.strip_prefix("run_").unwrap();
    spoil(
        &sandbox,
        &format!("UPDATE orchestrator_events SET body = '{{}}' WHERE run = x'{hex}' AND seq = 1"),
    );
    let event = format!("event 1 of {spoilt}");
    let said = sandbox.run("doctor").exits(1);
    assert!(
        said.out.contains(&format!("{spoilt} cannot be read: ")) && said.out.contains(&event),
        "{}",
        said.out
    );
    assert!(said.out.contains("1 run open") && said.out.contains(&whole), "{}", said.out);
    let said = sandbox.run("store check").exits(7);
    assert!(said.err.contains(&event) && said.err.contains("run.created"), "{}", said.err);
}

#[test]
fn what_was_delivered_and_cannot_be_read_is_told() {
    let sandbox = Sandbox::with(&[("ask.yaml", ASK)]);
    sandbox.run("run ask.yaml -q").exits(9);
    let run = sandbox.last_id();
    let hex = run.strip_prefix("run_").unwrap();
    // No attempt has such a number; and no text is made of such bytes.
    for (attempt, body) in [("-1", "'{}'"), ("1", "x'ff'")] {
        spoil(
            &sandbox,
            &format!(
                "INSERT INTO orchestrator_inbox (run, generation, step, item, iteration, attempt, epoch, owner, claimed_at, at, body) VALUES (x'{hex}', 1, 0, 0, 0, {attempt}, 1, x'{hex}', 1, 1, {body})"
            ),
        );
    }
    let told = format!("what was delivered for {run}");
    let said = sandbox.run("doctor").exits(1);
    assert_eq!(said.out.matches(&told).count(), 2, "{}", said.out);
    assert!(said.out.contains("attempt -1") && said.out.contains("1 run open"), "{}", said.out);
    let said = sandbox.run("store check").exits(7);
    assert_eq!(said.err.matches(&told).count(), 2, "{}", said.err);
}
