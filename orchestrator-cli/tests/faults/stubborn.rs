//! Scripts that do not end when they are told to, and scripts that leave others behind.

use std::time::Instant;

use crate::sandbox::{Said, Sandbox, until};
use crate::seen::EFFECT;
use crate::table::{Row, size};

/// Each notes the numbers of its processes, says that it has begun, and would go on for long.
const KINDS: [(&str, &str); 5] = [
    ("ignores", "trap '' TERM INT HUP\nnote $$\necho > begun\ncat go"),
    ("forks_twice", "(sleep 600 & note $!)\nnote $$\necho > begun\ncat go"),
    ("leaves_its_session", "setsid sleep 600 &\nnote $!\nnote $$\necho > begun\ncat go"),
    ("keeps_its_output_open", "sleep 600 &\nnote $!\nnote $$\necho > begun\nexec sleep 600"),
    (
        "ignores_and_forks",
        "trap '' TERM\nsetsid sh -c 'trap \"\" TERM; sleep 600' &\nnote $!\nnote $$\necho > begun\ncat go",
    ),
];

/// Left its session and knows nothing of its run: not found where nothing confines it, as is documented.
const GONE: &str = "env -i setsid sh -c 'echo $$ >> processes; echo > begun; exec sleep 600' &\ncat go";

fn place(script: &str) -> Sandbox {
    place_in("strict", script)
}

fn place_in(sandbox: &str, script: &str) -> Sandbox {
    let script = format!("note() {{ echo $1 >> processes; }}\n{script}\n").replace('\n', "\n      ");
    let flow = format!(
        "name: stubborn\nsteps:\n  pay: {{ run: sh effect.sh }}\n  held:\n    needs: pay\n    effect: pure\n    sandbox: {sandbox}\n    run: |\n      {script}\n"
    );
    let place = Sandbox::with(&[("stubborn.yaml", &flow), EFFECT]);
    place.pipe("begun");
    place.pipe("go");
    place
}

/// The processes that a script has noted and that are alive.
fn alive(place: &Sandbox) -> Vec<String> {
    let is_alive = |process: &String| {
        let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        let state = stat.rsplit(')').next().unwrap_or_default().trim_start().chars().next();
        state.is_some_and(|state| !matches!(state, 'Z' | 'X'))
    };
    let noted = place.read("processes");
    noted.lines().map(str::to_owned).filter(is_alive).collect()
}

/// Drives the script until it has begun, cancels the run from elsewhere, and waits for the end.
fn cancelled(place: &Sandbox) -> f64 {
    let driver = place.spawn("run stubborn.yaml");
    place.hear("begun");
    let begun = Instant::now();
    place.run("runs cancel @last").exits(0);
    let said = Said::by(driver).exits(8);
    assert!(!said.err.contains("panicked"), "{}", said.err);
    begun.elapsed().as_secs_f64()
}

#[test]
fn a_cancel_ends_a_script_that_does_not_listen_and_all_that_it_has_started() {
    let rounds = size(1, 2, 5);
    let mut row = Row::new("F-41 script that does not listen");
    let mut slowest: (f64, &str) = (0.0, "");
    for _ in 0..rounds {
        let ended = std::thread::scope(|scope| {
            let all = KINDS.map(|(kind, script)| {
                scope.spawn(move || {
                    let place = place(script);
                    (kind, cancelled(&place), place)
                })
            });
            all.map(|one| one.join().unwrap())
        });
        for (kind, took, place) in ended {
            let seen = row.look(&place, &place.last_id(), 1);
            assert_eq!((&seen.shown["status"], alive(&place)), (&"cancelled".into(), Vec::new()), "{kind}");
            slowest = if took > slowest.0 { (took, kind) } else { slowest };
        }
    }
    let (took, kind) = slowest;
    row.tell(&format!("the longest from the cancel to the end of the process: {took:.1} s ({kind})"));
}

#[test]
fn a_script_that_ends_while_others_hold_its_output_ends_its_step() {
    let place = place("sleep 600 &\nnote $!\necho said");
    place.run("run stubborn.yaml -q").exits(0);
    assert_eq!(place.last()["steps"][1]["output"]["stdout"], "said");
    until(|| alive(&place).is_empty());
}

/// What is said of it in the guarantees is true, and so is what is found in all other cases: this one would be seen.
#[test]
fn a_daemon_that_knows_nothing_of_its_run_is_not_found_as_is_documented() {
    let place = place(GONE);
    cancelled(&place);
    assert_eq!(alive(&place), [""; 0], "the sandbox lets nobody go");
    let place = place_in("none", GONE);
    cancelled(&place);
    let left = alive(&place);
    assert_eq!(left.len(), 1, "the guarantees say that it is not found");
    std::process::Command::new("kill").args(["-KILL", &left[0]]).status().unwrap();
    until(|| alive(&place).is_empty());
}
