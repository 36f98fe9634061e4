//! Processes that ring for each other by a Redis server, and a server that is gone.

use std::time::Duration;

use orchestrator_core::id::RunId;
use orchestrator_core::port::queue::{NewTicket, Publish, Queue as _, Receive, Ticket};
use orchestrator_redis::RedisQueue;
use orchestrator_redis::testkit::Server;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::fleet::{Fleet, tell};
use crate::sandbox::until;
use crate::{HELLO, Said, Sandbox};

const PLACED: &str = "\
name: placed
steps:
  here: { run: echo one, effect: pure }
  there: { run: echo two, effect: pure, needs: here, queue: gpu }
outputs: { said: \"${{ steps.there.stdout }}\" }
";

/// What is rung for in a queue of the server, and taken away.
fn rung(server: &Server, queue: &str) -> Vec<RunId> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let bell = RedisQueue::connect(&server.url()).await.unwrap();
        let visibility = Duration::from_secs(3600);
        let came = bell.receive(Receive { queues: vec![queue.into()], max: 99, visibility }).await.unwrap();
        came.iter().map(|delivery| delivery.ticket.run()).collect()
    })
}

/// Rings for a run.
fn ring(server: &Server, run: RunId) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let bell = RedisQueue::connect(&server.url()).await.unwrap();
        let (queue, project, after) = ("runs".into(), "".into(), Duration::ZERO);
        let new = NewTicket { queue, project, priority: 0, after, ticket: Ticket::Run { run } };
        bell.publish(Publish { tickets: vec![new] }).await.unwrap();
    });
}

fn with_bell(server: &Server) -> Sandbox {
    let sandbox = Sandbox::with(&[("hello.yaml", HELLO), ("placed.yaml", PLACED)]);
    let config = format!("bell = \"{}\"\nttl = \"2s\"\n", server.url());
    sandbox.write(".orchestrator/config.toml", config);
    sandbox
}

fn leave(sandbox: &Sandbox, file: &str) -> String {
    let said = sandbox.run(&format!("run {file} --detach --json")).exits(0);
    said.json()["run_id"].as_str().unwrap().to_owned()
}

fn is_completed(sandbox: &Sandbox, run: &str) -> bool {
    sandbox.run(&format!("runs show {run} --json")).json()["status"] == "completed"
}

fn drain(worker: std::process::Child) -> Said {
    tell(&worker, Signal::TERM);
    Said::by(worker).exits(143)
}

#[test]
fn what_is_left_to_others_is_rung_for_before_the_command_ends() {
    let server = Server::start();
    let sandbox = with_bell(&server);
    let runs = [leave(&sandbox, "hello.yaml"), leave(&sandbox, "placed.yaml")];
    let queues = sandbox.run("queue list --json").exits(0).json();
    assert_eq!((&queues["items"][0]["queue"], &queues["items"][0]["rung"]), (&json!("runs"), &json!(2)));
    let mut rung: Vec<String> = rung(&server, "runs").iter().map(ToString::to_string).collect();
    rung.sort_unstable();
    assert_eq!(rung, runs);
    // Whoever has taken these tickets away keeps nobody from the runs.
    let workers = [sandbox.spawn("worker"), sandbox.spawn("worker --queue gpu")];
    until(|| runs.iter().all(|run| is_completed(&sandbox, run)));
    workers.into_iter().for_each(|worker| drop(drain(worker)));
}

#[test]
fn workers_of_a_fleet_ring_for_each_other() {
    let server = Server::start();
    let fleet = Fleet::with(&[("placed.yaml", PLACED)]);
    let bell = format!("--bell {}", server.url());
    let workers =
        ["worker", "worker --queue gpu"].map(|words| fleet.sandbox.spawn(&format!("{words} {bell}")));
    for _ in 0..3 {
        let run = fleet.leave(&format!("placed.yaml {bell}"));
        assert_eq!(fleet.ended(&run)["outputs"], json!({ "said": "two" }));
    }
    // Each was heard.
    until(|| rung(&server, "runs").is_empty() && rung(&server, "gpu").is_empty());
    let dead = fleet.run(&format!("queue dead list --json {bell}")).exits(0).json();
    assert_eq!(dead["items"], json!([]));
    workers.into_iter().for_each(|worker| drop(drain(worker)));
}

#[test]
fn runs_end_though_the_server_is_killed_and_has_forgotten_everything() {
    let server = Server::start();
    let sandbox = with_bell(&server);
    let workers = [sandbox.spawn("worker"), sandbox.spawn("worker --queue gpu")];
    let mut runs: Vec<String> = (0..4).map(|_| leave(&sandbox, "placed.yaml")).collect();
    server.stop();
    runs.extend((0..4).map(|_| leave(&sandbox, "placed.yaml")));
    let told = sandbox.run("doctor --json").exits(0).json();
    let of_bell = |told: &Value| {
        let checks = told["checks"].as_array().unwrap().clone();
        checks.into_iter().find(|check| check["name"] == "bell").unwrap_or_else(|| panic!("{told}"))
    };
    let check = of_bell(&told);
    assert!(check["status"] == "warn" && check["hint"].as_str().unwrap().contains("runs go on"), "{check}");
    sandbox.run("queue dead list").exits(7);
    let listed = sandbox.run("queue list").exits(0);
    assert!(listed.err.contains("warning: the queue cannot be reached"), "{}", listed.err);
    sandbox.run("run hello.yaml").exits(0);
    server.resume();
    runs.extend((0..4).map(|_| leave(&sandbox, "placed.yaml")));
    until(|| runs.iter().all(|run| is_completed(&sandbox, run)));
    assert_eq!(of_bell(&sandbox.run("doctor --json").exits(0).json())["status"], "ok");
    workers.into_iter().for_each(|worker| drop(drain(worker)));
}

#[test]
fn what_nobody_could_use_is_listed_rung_for_again_and_dropped() {
    let server = Server::start();
    let sandbox = with_bell(&server);
    sandbox.run("run hello.yaml").exits(0);
    let nobody: RunId = "run_0193abcd000070008000000000000001".parse().unwrap();
    ring(&server, nobody);
    let worker = sandbox.spawn("worker");
    let letters =
        || sandbox.run("queue dead list --json").exits(0).json()["items"].as_array().unwrap().clone();
    until(|| letters().len() == 1);
    let first = letters().remove(0);
    assert_eq!(
        (&first["queue"], &first["count"], &first["reason"]),
        (&json!("runs"), &json!(1), &json!(format!("the store knows no run {nobody}")))
    );
    let shown = sandbox.run("queue dead list --of runs --oldest --limit 1").exits(0);
    assert!(shown.out.contains(&nobody.to_string()) && shown.err.contains("--after"), "{shown:?}");
    assert!(sandbox.run("doctor").exits(0).out.contains("1 dead letter"));
    let queues = sandbox.run("queue list --json").exits(0).json();
    let of_runs = queues["items"].as_array().unwrap().iter().find(|queue| queue["queue"] == "runs").cloned();
    let of_runs = of_runs.unwrap_or_else(|| panic!("{queues}"));
    assert_eq!((&of_runs["rung"], &of_runs["dead"]), (&json!(0), &json!(1)));
    assert!(sandbox.run("queue list").exits(0).out.lines().next().unwrap().ends_with("DEAD"));
    // It is no better than before: the worker buries it again, as another one.
    let id = first["id"].as_str().unwrap();
    let said = sandbox.run(&format!("queue dead retry {id}")).exits(0);
    assert_eq!(said.out, format!("{id}: rung for once more\n"));
    until(|| letters().first().is_some_and(|letter| letter["id"] != first["id"]));
    let said = sandbox.run(&format!("queue dead drop {id}")).exits(4);
    assert!(said.err.contains("queue dead list"), "{}", said.err);
    let second = letters().remove(0)["id"].as_str().unwrap().to_owned();
    let dropped = sandbox.run(&format!("queue dead drop {second} --json")).exits(0).json();
    assert_eq!(dropped, json!({ "letter": second, "status": "dropped" }));
    assert_eq!(letters(), [] as [Value; 0]);
    drain(worker);
    assert!(sandbox.run("queue dead list").exits(0).err.contains("nothing was buried"));
}

#[test]
fn a_bell_that_cannot_be_one_is_told_without_its_password() {
    let sandbox = Sandbox::with(&[("hello.yaml", HELLO)]);
    let said = sandbox.run("run hello.yaml --bell http://me:s3cret@h").exits(2);
    assert!(said.err.contains("--bell: expected none, redis://HOST:PORT/DATABASE"), "{}", said.err);
    assert!(!said.err.contains("s3cret"), "{}", said.err);
    let said = sandbox.run("queue dead list").exits(2);
    assert!(said.err.contains("--bell redis://HOST"), "{}", said.err);
    let shown = sandbox.run("config show --bell redis://me:s3cret@h:1/2").exits(0);
    assert!(shown.out.contains("redis://me:***@h:1/2") && !shown.out.contains("s3cret"), "{}", shown.out);
    // Nobody is there, and nobody is missed.
    let ran = sandbox.run("run hello.yaml --bell redis://me:s3cret@127.0.0.1:1").exits(0);
    assert!(!ran.err.contains("s3cret"), "{}", ran.err);
}
