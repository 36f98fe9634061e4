//! Panics: of what a step executes, and of what the process cannot do without.

use crate::sandbox::{Said, Sandbox};
use crate::seen::EFFECT;
use crate::table::{Row, size};

/// Where a plugin panics. Only its step suffers.
const PLUGIN: [&str; 4] =
    ["script.spawn.before", "step.dispatch.after_spawn", "script.ended", "step.effect.before_send"];

/// Where a task of the engine panics: the drivers, the committer, what makes an attempt's outcome known.
const ENGINE: [&str; 5] =
    ["driver.decided", "driver.applied", "committer.taken", "step.complete.before", "run.create.after"];

const FLOW: &str = "
name: panic
permissions: { network: [\"127.0.0.1:9\"] }
steps:
  first: { effect: pure, run: echo first, continue-on-error: true }
  call:
    uses: http
    needs: first
    if: always()
    continue-on-error: true
    with: { method: GET, url: \"http://127.0.0.1:9/\" }
  pay: { needs: [first, call], if: always(), run: sh effect.sh }
";

fn panicking(place: &Sandbox, point: &str, k: usize) -> Said {
    let mut command = place.command(["run", "panic.yaml", "--json"]);
    Said::of(&command.env("ORCHESTRATOR_FAILPOINT", format!("{point}=panic@{k}")).output().unwrap())
}

#[test]
fn a_panic_in_a_plugin_fails_its_step_alone() {
    let mut row = Row::new("F-07 panic in a plugin");
    for point in PLUGIN {
        let place = Sandbox::with(&[("panic.yaml", FLOW), EFFECT]);
        let said = panicking(&place, point, 1).exits(0);
        let seen = row.look(&place, &place.last_id(), 1);
        let step = if point.starts_with("step.effect") { "call" } else { "first" };
        let error = seen.step(step)["error"].as_str().unwrap().to_owned();
        assert!(
            error.contains(&format!("the plugin panicked: the failpoint {point}")),
            "{error}: {}",
            said.err
        );
        let class = &seen.events_of(step, "step.failed").next().unwrap()["data"]["error"]["class"];
        assert_eq!(class, "plugin_panicked");
        assert_eq!(seen.shown["status"], "completed", "{point}");
    }
    row.tell("the others of the run go on");
}

#[test]
fn a_panic_of_the_engine_ends_the_process_and_the_run_goes_on_in_the_next() {
    let times = size(2, 3, 5);
    let mut row = Row::new("F-07 panic in the engine");
    for point in ENGINE {
        for k in 1..=times {
            let place = Sandbox::with(&[("panic.yaml", FLOW), EFFECT]);
            let said = panicking(&place, point, k);
            // Not reached so often.
            if said.code == 0 && k > 1 {
                continue;
            }
            assert_eq!(said.code, 101, "{point} {k}: {}", said.err);
            assert!(
                said.err.contains(&format!("panicked: the failpoint {point}")) || said.err.contains(point),
                "{}",
                said.err
            );
            if place.run("runs list --json").exits(0).json()["items"].as_array().unwrap().is_empty() {
                place.run("run panic.yaml -q").exits(0);
            }
            let run = place.last_id();
            settle(&place);
            let seen = row.look(&place, &run, 1);
            assert_eq!(seen.shown["status"], "completed", "{point} {k}");
        }
    }
    row.tell("exit 101, never half alive");
}

/// Brings the run to its end, with somebody who says of the payment what the ledger says.
fn settle(place: &Sandbox) {
    for _ in 0..5 {
        if place.run("runs resume @last -q").code != 9 {
            return;
        }
        let paid = std::fs::read_to_string(place.path("ledger")).unwrap_or_default().contains(" pay ");
        let how = if paid { "--applied" } else { "--not-applied" };
        place.run(&format!("runs resolve @last pay {how}"));
    }
    panic!("it does not end: {}", place.last());
}
