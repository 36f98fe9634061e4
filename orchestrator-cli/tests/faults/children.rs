//! Only the script dies: by a signal of its own or of others, or for want of memory.

use std::fmt::Write as _;

use crate::sandbox::Sandbox;
use crate::seen::EFFECT;
use crate::table::{Row, size};

/// How a script comes to its end, and what the step's error says of it.
const WAYS: [(&str, &str, &str); 5] = [
    ("killed", "kill -KILL $$", "ended by signal 9 (SIGKILL, as the system does when memory runs out)"),
    ("faulty", "kill -SEGV $$", "signal 11 (SIGSEGV)"),
    ("aborted", "kill -ABRT $$", "signal 6 (SIGABRT)"),
    ("below", "sh -c 'kill -KILL $$'; exit $?", "exit code 137 (a command was ended by signal 9 (SIGKILL"),
    ("hungry", "ulimit -v 200000; exec python3 -c 'x = \"x\" * 500000000'", "MemoryError"),
];

fn flow() -> String {
    let mut text = "name: child\nsteps:\n".to_owned();
    let mut needs = Vec::new();
    for (name, script, _) in WAYS {
        // Once it dies and is tried again; once it dies for good.
        writeln!(
            text,
            "  {name}:\n    effect: pure\n    retry: {{ max_attempts: 2, backoff: fixed, initial: 1ms }}\n    \
             run: |\n      [ \"$ORCHESTRATOR_ATTEMPT\" -ge 2 ] && exit 0\n      {script}\n  {name}_once:\n    \
             continue-on-error: true\n    run: |\n      {script}"
        )
        .unwrap();
        needs.extend([name.to_owned(), format!("{name}_once")]);
    }
    writeln!(text, "  pay:\n    needs: [{}]\n    run: sh effect.sh", needs.join(", ")).unwrap();
    text
}

#[test]
fn a_script_that_dies_fails_its_step_alone_and_its_error_says_how() {
    let runs = size(1, 4, 10);
    let mut row = Row::new("F-05 death of the child alone");
    let place = Sandbox::with(&[("child.yaml", &flow()), EFFECT]);
    for _ in 0..runs {
        // The process that drives is there to the end, and says so.
        place.run("run child.yaml -q").exits(0);
        let seen = row.look(&place, &place.last_id(), 2 * WAYS.len());
        for (name, _, says) in WAYS {
            assert_eq!(
                (&seen.step(name)["attempts"], &seen.step(name)["status"]),
                (&2.into(), &"completed".into())
            );
            let once = format!("{name}_once");
            let failures = [name, &once].map(|step| seen.events_of(step, "step.failed").next().unwrap());
            for failure in failures {
                let error = failure["data"]["error"]["message"].as_str().unwrap();
                assert!(error.contains(says), "{name}: {error}");
                assert_eq!(failure["attempt"], 1, "{failure}");
            }
        }
    }
    row.tell("each error names the signal, or what there was too little of");
}
