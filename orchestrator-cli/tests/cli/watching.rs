//! `runs watch`, and what `runs logs` and `runs events` leave out.

use crate::terminal::Terminal;
use crate::{ASK, HELLO, Said, Sandbox};

/// Two steps side by side; one waits for a pipe.
const HELD: &str = "\
name: held
steps:
  quick: { run: 'echo said at once', effect: pure }
  held: { run: 'echo > begun; cat go; exit 3', effect: pure, needs: quick }
";

fn held() -> Sandbox {
    let sandbox = Sandbox::with(&[("held.yaml", HELD)]);
    sandbox.pipe("begun");
    sandbox.pipe("go");
    sandbox
}

#[test]
fn a_terminal_shows_the_run_and_gives_its_exit_code() {
    let sandbox = held();
    let run = sandbox.spawn("run held.yaml");
    sandbox.hear("begun");
    let terminal = Terminal::run(&sandbox, "runs watch @last", 80, &[]);
    terminal.until_shown("1 of 2 steps");
    std::fs::write(sandbox.path("go"), "").unwrap();
    Said::by(run).exits(1);
    let (code, screen) = terminal.end();
    assert_eq!(code, Some(1), "{screen}");
    let (moving, after) = screen.split_once("\u{1b}[?1049l").expect("the screen is given back");
    assert!(moving.contains("\u{1b}[?1049h") && moving.contains("said at once"), "{moving}");
    assert!(after.contains("step `held` failed"), "{after}");
}

#[test]
fn q_leaves_and_the_run_goes_on() {
    let sandbox = held();
    let run = sandbox.spawn("run held.yaml");
    sandbox.hear("begun");
    let mut terminal = Terminal::run(&sandbox, "runs watch @last", 80, &[]);
    terminal.until_shown("1 of 2 steps");
    terminal.press("xq");
    let (code, screen) = terminal.end();
    assert_eq!(code, Some(0), "{screen}");
    assert!(screen.ends_with("runs watch ") || screen.contains("the run goes on"), "{screen}");
    assert_eq!(sandbox.last()["status"], "running");
    std::fs::write(sandbox.path("go"), "").unwrap();
    Said::by(run).exits(1);
}

#[test]
fn elsewhere_it_tells_line_by_line() {
    let sandbox = Sandbox::with(&[("hello.yaml", HELLO), ("ask.yaml", ASK)]);
    sandbox.run("run hello.yaml -q").exits(0);
    let said = sandbox.run("runs watch @last").exits(0);
    let starts: Vec<&str> = said.out.lines().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(starts, ["●", "✔", "✔", "greeting:"], "{}", said.out);
    let lines = sandbox.run("runs watch @last --json").exits(0).json_lines();
    assert_eq!(lines[0]["kind"], "run.created");
    assert_eq!(lines.last().unwrap()["status"], "completed");
    sandbox.run("run ask.yaml -q").exits(9);
    let said = sandbox.run("runs watch @last").exits(9);
    assert!(said.err.contains("orchestrator approval approve"), "{}", said.err);
}

/// Writes to both streams, and is stopped with a word from orchestrator itself.
const TALKS: &str = "\
name: talks
steps:
  one: { run: 'echo out 1; echo err 1 >&2; echo out 2', effect: pure }
  two: { run: 'echo out 3; echo err 2 >&2', effect: pure, needs: one }
";

#[test]
fn logs_are_left_out_by_level_step_and_time() {
    let sandbox = Sandbox::with(&[("talks.yaml", TALKS)]);
    sandbox.run("run talks.yaml -q").exits(0);
    let texts = |words: &str| -> Vec<String> {
        let lines = sandbox.run(&format!("runs logs @last --json {words}")).exits(0).json_lines();
        let mut texts: Vec<String> =
            lines.iter().map(|line| line["text"].as_str().unwrap().to_owned()).collect();
        texts.sort();
        texts
    };
    assert_eq!(texts("--level stderr"), ["err 1", "err 2"]);
    assert_eq!(texts("--level stderr --level stdout").len(), 5);
    assert_eq!(texts("--level stdout --step one"), ["out 1", "out 2"]);
    assert_eq!(texts("--level stdout --tail 1"), ["out 3"]);
    assert_eq!(texts("--level system"), [""; 0]);
    assert_eq!(texts("--since 1h").len(), 5);
    assert_eq!(texts("--until 1h"), [""; 0]);
    let all = sandbox.run("runs logs @last --json").exits(0).json_lines();
    let at = all[4]["at"].as_str().unwrap();
    assert!(texts(&format!("--since {at}")).contains(&all[4]["text"].as_str().unwrap().to_owned()));
    assert!(!texts(&format!("--until {at}")).contains(&all[4]["text"].as_str().unwrap().to_owned()));
    let said = sandbox.run("runs logs @last --level system").exits(0);
    assert_eq!(said.err, "nothing that fits has been written\n");
    let all = sandbox.run("runs events @last --json").exits(0).json_lines();
    assert_eq!(sandbox.run("runs events @last --json --tail 2").exits(0).json_lines(), all[all.len() - 2..]);
}

#[test]
fn times_that_make_no_sense_are_refused() {
    let sandbox = Sandbox::with(&[("talks.yaml", TALKS)]);
    sandbox.run("run talks.yaml -q").exits(0);
    for words in [
        "--since yesterday",
        "--since 2026-02-30T00:00:00Z",
        "--since 2026-01-31",
        "--since 9999-01-01T00:00:00Z",
        "--until 5",
        "--since 1m --until 2m",
        "--until 1m --follow",
        "--level loud",
        "--tail 0",
        "--tail -1",
        "--tail 99999999999",
    ] {
        let said = sandbox.run(&format!("runs logs @last {words}")).exits(2);
        assert_eq!(said.out, "", "{words}");
    }
}
