//! The process that drives is killed while its script lives on.

use std::fs::File;
use std::io::Write;

use crate::sandbox::{Said, Sandbox};
use crate::seen::{EFFECT, left_alive};
use crate::table::{Row, size};

/// Its first attempt waits for a word before its effect; later ones do not.
const FLOW: &str = "
name: orphan
steps:
  pay:
    effect: CLASS
    run: |
      [ \"$ORCHESTRATOR_ATTEMPT\" -ge 2 ] || { echo > begun; cat go; }
      sh effect.sh
";

#[test]
fn a_script_does_not_outlive_the_process_that_has_started_it() {
    let trials = size(4, 20, 100);
    let mut row = Row::new("F-06 orphaned child");
    for nth in 0..trials {
        let class = if nth % 2 == 0 { "at_most_once" } else { "idempotent" };
        let place = Sandbox::with(&[("orphan.yaml", &FLOW.replace("CLASS", class)), EFFECT]);
        place.pipe("begun");
        place.pipe("go");
        let mut driver = place.spawn("run orphan.yaml -q");
        place.hear("begun");
        let run = place.last_id();
        driver.kill().unwrap();
        assert_eq!(Said::by(driver).code, -9);
        // Every other time nobody looks before the run is taken up.
        let orphans = if nth % 4 < 2 { left_alive(&run) } else { 0 };
        let said = place.run("runs resume @last -q");
        if class == "at_most_once" {
            said.exits(9);
            say(&place);
            place.run("runs resolve @last pay --not-applied").exits(0);
            place.run("runs resume @last -q").exits(0);
        } else {
            said.exits(0);
            say(&place);
        }
        let seen = row.look(&place, &run, 1);
        assert_eq!((seen.effects.as_slice(), orphans), ([("pay".to_owned(), 2)].as_slice(), 0), "{class}");
    }
    row.tell("nothing that a killed process has started does anything after it");
}

/// Gives the word: whoever still waits for it would have its effect now.
fn say(place: &Sandbox) {
    // For reading too, so that it waits for nobody.
    let mut go = File::options().read(true).write(true).open(place.path("go")).unwrap();
    go.write_all(b"on\n").unwrap();
}
