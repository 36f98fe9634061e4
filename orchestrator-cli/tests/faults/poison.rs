//! A step that takes the process down that executes it, each time.

use crate::sandbox::Sandbox;
use crate::seen::EFFECT;
use crate::table::{Row, size};

/// The script's parent is the process that drives.
const FLOW: &str = "
name: poison
steps:
  pay_before: { run: sh effect.sh }
  poison:
    needs: pay_before
    effect: pure
    retry: { max_attempts: 50, initial: 1ms }
    run: kill -KILL $PPID; sleep 600
    sandbox: none
  pay_beside: { needs: pay_before, run: sh effect.sh }
  pay_after: { needs: poison, run: sh effect.sh }
";

const OTHER: &str = "
name: other
steps:
  gate: { uses: approval, with: { message: Go on? } }
  pay: { needs: gate, run: sh effect.sh }
";

/// How often a step may take its process down.
const MAX_CRASHES: usize = 3;

#[test]
fn a_step_that_kills_its_process_is_set_aside_and_others_go_on() {
    let trials = size(2, 8, 25);
    let mut row = Row::new("F-40 poison step");
    for _ in 0..trials {
        let place = Sandbox::with(&[("poison.yaml", FLOW), ("other.yaml", OTHER), EFFECT]);
        place.run("run other.yaml -q").exits(9);
        let other = place.last_id();
        assert_eq!(place.run("run poison.yaml -q").code, -9);
        let poisoned = place.last_id();
        let mut crashes = 1;
        loop {
            let resumed = place.run(&format!("runs resume {poisoned} -q"));
            match resumed.code {
                -9 => crashes += 1,
                9 if blocked_on(&place, &poisoned, "outcome_unknown") => settle(&place, &poisoned),
                _ => {
                    resumed.exits(9);
                    break;
                }
            }
            assert!(crashes <= MAX_CRASHES, "{crashes} crashes");
        }
        assert_eq!(crashes, MAX_CRASHES);
        assert!(blocked_on(&place, &poisoned, "quarantine"));
        // The others of the same store end, and what has nothing to do with it in the same run has ended.
        place.run(&format!("approval approve {other} gate")).exits(0);
        place.run(&format!("runs resume {other} -q")).exits(0);
        assert_eq!(row.look(&place, &other, 0).shown["status"], "completed");
        let seen = row.look(&place, &poisoned, 1);
        assert_eq!(
            (&seen.step("poison")["status"], &seen.step("pay_beside")["status"]),
            (&"blocked".into(), &"completed".into())
        );
        place.run(&format!("runs resolve {poisoned} poison --applied")).exits(0);
        place.run(&format!("runs resume {poisoned} -q")).exits(0);
        row.look(&place, &poisoned, 0);
    }
    row.tell(&format!("set aside after {MAX_CRASHES} deaths"));
}

fn blocked_on(place: &Sandbox, run: &str, kind: &str) -> bool {
    let shown = place.run(&format!("runs show {run} --json")).exits(0).json();
    shown["waiting_for"].as_array().unwrap().iter().any(|waiting| waiting["kind"] == kind)
}

/// Says of the step beside it what the ledger says.
fn settle(place: &Sandbox, run: &str) {
    let has = place.read("ledger").contains(&format!("{run} pay_beside "));
    let how = if has { "--applied" } else { "--not-applied" };
    place.run(&format!("runs resolve {run} pay_beside {how}")).exits(0);
}
