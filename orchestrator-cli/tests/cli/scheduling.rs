//! `schedule …`, and the workers that start what is scheduled.

use std::process::Child;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::fleet::{Fleet, tell};
use crate::sandbox::until;
use crate::{Said, Sandbox};

/// A workflow that is given the time for which it is started.
const REPORT: &str = "\
name: report
inputs:
  at: { type: string, default: never }
  count: { type: integer, default: 1 }
steps:
  write: { run: 'true', effect: pure }
";

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::with(&[("report.yaml", REPORT)]);
    sandbox.run("workflow register report.yaml").exits(0);
    sandbox
}

/// Creates a schedule; the expression has spaces.
fn create(sandbox: &Sandbox, name: &str, cron: &str, more: &str) -> Said {
    let mut args = vec!["schedule", "create", name, "--workflow", "report", "--cron", cron];
    args.extend(more.split_whitespace());
    sandbox.run_args(&args)
}

fn shown(sandbox: &Sandbox, name: &str) -> Value {
    sandbox.run(&format!("schedule show {name} --json")).exits(0).json()
}

/// The times for which runs were started, in order.
fn times(sandbox: &Sandbox) -> Vec<String> {
    let listed = sandbox.run("runs list --json --limit 1000").exits(0).json();
    let runs = listed["items"].as_array().unwrap().iter();
    let mut times: Vec<String> = runs
        .map(|run| run["labels"]["scheduled_at"].as_str().expect("one of a schedule").to_owned())
        .collect();
    times.sort();
    times
}

/// Every second from the first to the last, each once.
fn assert_none_twice_and_none_left_out(times: &[String]) {
    let second =
        |time: &String| time.parse::<orchestrator_core::time::Timestamp>().unwrap().as_millis() / 1_000;
    let steps: Vec<i64> = times.windows(2).map(|pair| second(&pair[1]) - second(&pair[0])).collect();
    assert!(steps.iter().all(|step| *step == 1), "{steps:?} {times:#?}");
}

#[test]
fn a_schedule_is_created_shown_listed_paused_resumed_and_deleted() {
    let sandbox = sandbox();
    let said = create(
        &sandbox,
        "nightly",
        "30 2 * * *",
        "--zone europe/berlin -i count=7 --time-input at --overlap skip --missed run_all --window 12h",
    );
    let said = said.exits(0);
    assert!(said.out.starts_with("nightly: created, first in "), "{}", said.out);
    assert!(said.err.contains("no worker starts its runs now: orchestrator worker"), "{}", said.err);
    let item = shown(&sandbox, "nightly");
    let expected = json!({
        "schedule": "nightly", "project": "default", "status": "active", "workflow": "report",
        "cron": "30 2 * * *", "zone": "Europe/Berlin", "inputs": { "count": 7 }, "time_input": "at",
        "missed": "run_all", "overlap": "skip", "window_ms": 43_200_000, "last_fire": null, "last_run": null,
        "last_missed": null, "last_error": null, "of_text": false,
    });
    for (key, value) in expected.as_object().unwrap() {
        assert_eq!(&item[key], value, "{key}");
    }
    assert_eq!((item["next_times"].as_array().unwrap().len(), &item["next_times"][0]), (3, &item["next_at"]));
    create(&sandbox, "always", "* * * * *", "--paused").exits(0);
    let listed = sandbox.run("schedule list --json").exits(0).json();
    let statuses: Vec<_> =
        listed["items"].as_array().unwrap().iter().map(|item| (&item["schedule"], &item["status"])).collect();
    assert_eq!(statuses, [(&json!("always"), &json!("paused")), (&json!("nightly"), &json!("active"))]);
    let page = sandbox.run("schedule list --limit 1 --json").exits(0).json();
    assert_eq!(page["next"], "always");
    let rest = sandbox.run("schedule list --after always --json").exits(0).json();
    assert_eq!((&rest["items"][0]["schedule"], &rest["next"]), (&json!("nightly"), &Value::Null));
    let table = sandbox.run("schedule list").exits(0).out;
    assert!(table.contains("30 2 * * *") && table.contains("Europe/Berlin"), "{table}");
    let text = sandbox.run("schedule show nightly").exits(0).out;
    assert!(
        text.contains("cron: 30 2 * * * (Europe/Berlin)") && text.contains("missed: run_all, 12h 00m back"),
        "{text}"
    );
    assert_eq!(sandbox.run("schedule pause nightly").exits(0).out, "nightly: paused\n");
    sandbox.run("schedule pause nightly").exits(0);
    assert_eq!(
        (&shown(&sandbox, "nightly")["status"], &shown(&sandbox, "nightly")["next_at"]),
        (&json!("paused"), &Value::Null)
    );
    let next = sandbox.run("schedule next nightly -n 2 --json").exits(0).json();
    assert_eq!((next["items"].as_array().unwrap().len(), &next["paused"]), (2, &json!(true)));
    let resumed = sandbox.run("schedule resume nightly").exits(0).out;
    assert!(resumed.starts_with("nightly: resumed, next in "), "{resumed}");
    assert_eq!(shown(&sandbox, "nightly")["next_at"], item["next_at"]);
    sandbox.run("schedule delete nightly").exits(0);
    let gone = sandbox.run("schedule show nightly --json").exits(4).problem();
    assert_eq!(gone["code"], "schedule_not_found");
    assert!(sandbox.run("schedule next alwys").exits(4).err.contains("did you mean `always`?"));
}

#[test]
fn what_is_no_schedule_is_refused_with_a_way_out() {
    let sandbox = sandbox();
    for (cron, zone, title, hint) in [
        ("61 * * * *", "UTC", "`61` is not a minute", "0 to 59"),
        ("@reboot", "UTC", "`@reboot` is not a time", "@hourly"),
        ("* * * * * * *", "UTC", "this one has 7", "minute, hour"),
        ("0 0 30 2 *", "UTC", "no such day", "February"),
        ("@daily", "Berlin", "no time zone `Berlin`", "Europe/Berlin"),
    ] {
        let problem = create(&sandbox, "a", cron, &format!("--zone {zone} --json")).exits(3).problem();
        assert_eq!(problem["code"], "invalid_cron", "{cron}");
        assert!(problem["title"].as_str().unwrap().contains(title), "{problem}");
        assert!(problem["hint"].as_str().unwrap().contains(hint), "{problem}");
    }
    for (more, exit, code) in [
        ("-i count=x", 3, "invalid_input"),
        ("-i nothing=1", 3, "invalid_input"),
        ("--time-input count", 3, "invalid_input"),
        ("--time-input at -i at=1", 2, "usage"),
        ("--window soon", 2, "usage"),
        ("--workflow reprot", 4, "workflow_not_found"),
    ] {
        let workflow = if more.starts_with("--workflow") { more } else { "--workflow report" };
        let more = if more.starts_with("--workflow") { "" } else { more };
        let mut args = vec!["schedule", "create", "a", "--cron", "@daily", "--json"];
        args.extend(workflow.split_whitespace().chain(more.split_whitespace()));
        assert_eq!(sandbox.run_args(&args).exits(exit).problem()["code"], code, "{args:?}");
    }
    assert_eq!(create(&sandbox, "a/1", "@daily", "--json").exits(3).problem()["code"], "invalid_name");
    create(&sandbox, "a", "@daily", "").exits(0);
    assert_eq!(create(&sandbox, "a", "@daily", "--json").exits(6).problem()["code"], "schedule_exists");
}

#[test]
fn schedules_of_a_text_come_change_and_go_with_its_revisions() {
    let sandbox = sandbox();
    let with = |on: &str| {
        sandbox.write("report.yaml", format!("{on}{REPORT}"));
        sandbox.run("workflow register report.yaml").exits(0).out
    };
    let told =
        with("on: { schedule: [{ cron: '0 9 * * 1-5', zone: Europe/Berlin }, { cron: '@monthly' }] }\n");
    assert!(
        told.contains("schedule report/1: created") && told.contains("schedule report/2: created"),
        "{told}"
    );
    let told = with("on: { schedule: [{ cron: '0 10 * * 1-5', zone: Europe/Berlin }] }\n");
    assert!(
        told.contains("schedule report/1: changed") && told.contains("schedule report/2: removed"),
        "{told}"
    );
    let item = shown(&sandbox, "report/1");
    assert_eq!((&item["cron"], &item["of_text"]), (&json!("0 10 * * 1-5"), &json!(true)));
    assert!(with("").contains("schedule report/1: removed"));
    assert_eq!(sandbox.run("schedule list --json").exits(0).json()["items"], json!([]));
    sandbox.write("report.yaml", format!("on: {{ schedule: {{ cron: '61 * * * *' }} }}\n{REPORT}"));
    let problem = sandbox.run("workflow register report.yaml --json").exits(3).problem();
    let error = &problem["errors"][0];
    assert_eq!(
        (&error["code"], &error["line"], &error["column"]),
        (&json!("invalid_cron"), &json!(1), &json!(25))
    );
}

#[test]
fn what_can_no_longer_be_started_is_told_by_the_list_and_the_doctor() {
    let sandbox = sandbox();
    create(&sandbox, "often", "* * * * * *", "").exits(0);
    let doctor = sandbox.run("doctor").exits(0).out;
    assert!(doctor.contains("1 schedule active, and no worker starts their runs"), "{doctor}");
    sandbox.write("report.yaml", REPORT.replace("integer, default: 1", "integer"));
    sandbox.run("workflow register report.yaml").exits(0);
    let worker = sandbox.spawn("worker");
    until(|| shown(&sandbox, "often")["status"] == "failing");
    let told = sandbox.run("schedule list").exits(0);
    assert!(told.err.contains("often: the inputs do not fit the workflow"), "{}", told.err);
    let doctor = sandbox.run("doctor").exits(1).out;
    assert!(doctor.contains("often could not start its run: the inputs do not fit"), "{doctor}");
    sandbox.write("report.yaml", REPORT);
    sandbox.run("workflow register report.yaml").exits(0);
    until(|| shown(&sandbox, "often")["status"] == "active");
    sandbox.run("doctor").exits(0);
    tell(&worker, Signal::TERM);
    Said::by(worker).exits(143);
}

fn kill(mut worker: Child) {
    worker.kill().unwrap();
    worker.wait().unwrap();
}

/// Workers die one after the other while something is due every second, and for a while nobody is there.
#[test]
fn however_workers_die_each_time_has_one_run_and_none_is_left_out() {
    let sandbox = sandbox();
    sandbox.write(".orchestrator/config.toml", "ttl = \"2s\"\n");
    create(&sandbox, "often", "* * * * * *", "--missed run_all --time-input at").exits(0);
    let mut workers = vec![sandbox.spawn("worker"), sandbox.spawn("worker")];
    let is_later_than = |count: usize| until(|| times(&sandbox).len() > count);
    is_later_than(1);
    for _ in 0..4 {
        let before = times(&sandbox).len();
        workers.push(sandbox.spawn("worker"));
        kill(workers.remove(0));
        is_later_than(before + 1);
    }
    workers.drain(..).for_each(kill);
    let alone = shown(&sandbox, "often")["next_at"].as_str().unwrap().to_owned();
    // By the time that another one has come, some were due to nobody.
    until(|| is_past(&alone, 3));
    let before = times(&sandbox).len();
    let last = sandbox.spawn("worker");
    is_later_than(before + 3);
    sandbox.run("schedule pause often").exits(0);
    let times = times(&sandbox);
    assert_none_twice_and_none_left_out(&times);
    assert!(times.len() > 8, "{times:?}");
    tell(&last, Signal::TERM);
    Said::by(last).exits(143);
}

fn is_past(time: &str, seconds: i64) -> bool {
    let time: orchestrator_core::time::Timestamp = time.parse().unwrap();
    orchestrator_core::time::wall_clock().as_millis() > time.as_millis() + seconds * 1_000
}

#[test]
fn two_workers_on_one_server_start_each_time_once() {
    let fleet = Fleet::with(&[("report.yaml", REPORT)]);
    fleet.run("workflow register report.yaml").exits(0);
    create(&fleet.sandbox, "often", "* * * * * *", "--time-input at").exits(0);
    let workers = [fleet.sandbox.spawn("worker"), fleet.sandbox.spawn("worker")];
    until(|| times(&fleet.sandbox).len() > 5);
    fleet.run("schedule pause often").exits(0);
    assert_none_twice_and_none_left_out(&times(&fleet.sandbox));
    let run = shown(&fleet.sandbox, "often")["last_run"].as_str().unwrap().to_owned();
    let ended = fleet.ended(&run);
    assert_eq!(ended["status"], "completed", "{ended}");
    let listed = fleet.run("runs list --json").exits(0).json();
    let row = listed["items"].as_array().unwrap().iter().find(|row| row["run_id"] == run).unwrap();
    assert_eq!(row["labels"], json!({ "schedule": "often", "scheduled_at": ended["inputs"]["at"] }));
    assert_eq!(row["by"], "schedule/often");
    for worker in workers {
        tell(&worker, Signal::TERM);
        Said::by(worker).exits(143);
    }
}
