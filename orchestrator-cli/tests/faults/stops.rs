//! Signals that end a process in the middle of its work.

use rustix::process::{Pid, Signal, kill_process};

use crate::sandbox::{Said, Sandbox};
use crate::seen::EFFECT;
use crate::table::{Row, size};

/// Its first attempt works until it is stopped, and does not stop at once where the process is told twice.
const FLOW: &str = "
name: stop
steps:
  pay_before: { run: sh effect.sh }
  pay:
    needs: pay_before
    run: |
      [ \"$ORCHESTRATOR_ATTEMPT\" -ge 2 ] || { PREPARE; echo > begun; cat go; }
      sh effect.sh
  pay_after: { needs: pay, run: sh effect.sh }
";

/// How a process is told to stop: the signal, how often, and its exit code.
const WAYS: [(&str, Signal, usize, i32); 5] = [
    ("SIGINT", Signal::INT, 1, 130),
    ("SIGTERM", Signal::TERM, 1, 143),
    ("SIGHUP", Signal::HUP, 1, 129),
    ("two SIGTERM", Signal::TERM, 2, 143),
    ("two SIGINT", Signal::INT, 2, 130),
];

#[test]
fn a_process_that_is_told_to_stop_records_it_and_its_run_goes_on() {
    assert!(
        !ignores_interrupts(),
        "SIGINT is ignored here, as in what a shell starts in the background: use ./battery"
    );
    let rounds = size(1, 3, 10);
    let mut row = Row::new("F-09 signals");
    for _ in 0..rounds {
        for (way, signal, times, code) in WAYS {
            let prepare = if times == 2 { "trap '' TERM" } else { "true" };
            let place = Sandbox::with(&[("stop.yaml", &FLOW.replace("PREPARE", prepare)), EFFECT]);
            place.pipe("begun");
            place.pipe("go");
            let grace = if times == 2 { "1h" } else { "0s" };
            let mut driver = place.spawn(&format!("run stop.yaml --grace {grace}"));
            place.hear("begun");
            kill_process(Pid::from_child(&driver), signal).unwrap();
            if times == 2 {
                let rest = until_stopping(&mut driver);
                kill_process(Pid::from_child(&driver), signal).unwrap();
                assert_eq!(driver.wait().unwrap().code(), Some(code), "{way}");
                drop(rest);
            } else {
                let said = Said::by(driver).exits(code);
                assert!(
                    !said.err.contains("panicked") && said.err.contains("runs resume"),
                    "{way}: {}",
                    said.err
                );
            }
            let run = place.last_id();
            let resumed = place.run("runs resume @last -q");
            if times == 2 {
                // Nobody was there any longer to say how it ended.
                resumed.exits(9);
                place.run("runs resolve @last pay --not-applied").exits(0);
                place.run("runs resume @last -q").exits(0);
            } else {
                resumed.exits(0);
            }
            let seen = row.look(&place, &run, 1);
            let interrupted = seen.events_of("pay", "step.interrupted").count();
            assert_eq!(interrupted, usize::from(times == 1), "{way}: {:#?}", seen.events);
            assert_eq!(seen.shown["status"], "completed", "{way}");
        }
    }
    row.tell("130, 143 and 129; `Interrupted` is recorded, but where somebody was told twice");
}

/// Whether this process, and all that it starts, ignores SIGINT: a process that is told so by whoever starts it has to.
fn ignores_interrupts() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    ignored.is_some_and(|mask| {
        u64::from_str_radix(mask.trim(), 16).unwrap() & 1 << (Signal::INT.as_raw() - 1) != 0
    })
}

/// Returns when the process says that it has understood, with the rest of what it will say.
fn until_stopping(driver: &mut std::process::Child) -> impl std::io::BufRead + use<> {
    let mut said = String::new();
    let mut reader = std::io::BufReader::new(driver.stderr.take().unwrap());
    while !said.contains("stopping") {
        assert_ne!(std::io::BufRead::read_line(&mut reader, &mut said).unwrap(), 0, "{said}");
    }
    reader
}
