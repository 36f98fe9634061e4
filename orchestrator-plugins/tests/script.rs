//! Scripts, run by real interpreters.

mod alive;
mod stage;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use alive::Alive;
use orchestrator_core::port::plugin::{Context, Outcome, Plugin, Request, Stop, StopReason, Stopper, Stream};
use orchestrator_core::spec::retry::ErrorClass;
use orchestrator_core::spec::{EffectClass, Sandbox};
use orchestrator_plugins::Script;
use serde_json::{Value, json};
use stage::{Log, context, execute, failure, output, request};
use tokio::task::JoinHandle;

/// Longer than anything here takes; reached only by what hangs.
const HANG: Duration = Duration::from_secs(60);

async fn run(text: &str) -> (Outcome, Arc<Log>) {
    execute(&Script, json!({ "run": text })).await
}

/// A script that is running, and the means to stop it.
struct Running {
    stopper: Stopper,
    log: Arc<Log>,
    outcome: JoinHandle<Outcome>,
    folder: tempfile::TempDir,
}

fn start(with: Value) -> Running {
    let folder = tempfile::tempdir().unwrap();
    let (mut context, log) = context(folder.path());
    let (stopper, stop) = Stop::pair();
    context.stop = stop;
    let outcome = tokio::spawn(async move { Script.execute(context, request(with)).await });
    Running { stopper, log, outcome, folder }
}

impl Running {
    /// The process whose id the script prints after `name`.
    async fn process(&self, name: &str) -> Alive {
        let pid = tokio::time::timeout(HANG, self.log.line_with(&format!("{name} "))).await;
        let pid = pid.unwrap_or_else(|_| panic!("no {name}; the log is:\n{}", self.log.text()));
        Alive::open(pid.trim().parse().unwrap())
    }

    async fn stopped(self, reason: StopReason) -> Outcome {
        self.stopper.stop(reason);
        tokio::time::timeout(HANG, self.outcome).await.expect("the script is still held up").unwrap()
    }
}

#[tokio::test]
async fn a_command_gives_its_output_line_by_line() {
    let (outcome, log) = run("echo one; echo two >&2; printf 'three\\n\\n'").await;
    let expected = json!({ "exit_code": 0, "stdout": "one\nthree", "stderr": "two", "truncated": false });
    assert_eq!(output(outcome), expected);
    assert_eq!(log.lines(Stream::Stdout), ["one", "three", ""]);
    assert_eq!(log.lines(Stream::Stderr), ["two"]);
    assert_eq!(log.lines(Stream::System), [""; 0]);
}

#[tokio::test]
async fn bash_stops_at_the_first_failure_also_in_a_pipeline() {
    let (class, message) = failure(run("false | true; echo not reached").await.0);
    assert_eq!((class, message.as_str()), (ErrorClass::Failed, "exit code 1"));
    assert_eq!(
        output(run("set +o pipefail; false | true; [[ a == a ]] && echo reached").await.0)["stdout"],
        "reached"
    );
}

#[tokio::test]
async fn every_interpreter_runs_a_file_with_arguments_and_input() {
    let shell = |shell: &str, text: &str| json!({ "run": text, "shell": shell, "args": ["a b", 2, true], "stdin": { "n": [1, 2] } });
    let python = "import sys, json\nprint(sys.argv[1:], json.load(sys.stdin)['n'])";
    let cases = [
        ("bash", "echo \"$*\" \"$(cat)\" ${BASH_VERSION:+bash}", "a b 2 true {\"n\":[1,2]} bash"),
        ("sh", "echo \"$*\" \"$(cat)\"", "a b 2 true {\"n\":[1,2]}"),
        ("python", python, "['a b', '2', 'true'] [1, 2]"),
        ("python3", python, "['a b', '2', 'true'] [1, 2]"),
        ("/bin/cat", "itself", ""),
    ];
    for (name, text, expected) in cases {
        let outcome = execute(&Script, shell(name, text)).await.0;
        if name == "/bin/cat" {
            // It takes the arguments for files, which shows that they came after the script.
            assert!(failure(outcome).1.contains("a b"));
        } else {
            assert_eq!(output(outcome)["stdout"], expected, "{name}");
        }
    }
}

#[tokio::test]
async fn an_input_that_nobody_gave_is_empty() {
    assert_eq!(output(run("cat; echo read").await.0)["stdout"], "read");
}

#[tokio::test]
async fn a_long_script_and_a_long_input_need_no_arguments() {
    let filler = "x".repeat(4 << 20);
    let with = json!({ "run": format!("# {filler}\nwc -c"), "stdin": filler });
    assert_eq!(output(execute(&Script, with).await.0)["stdout"], (4 << 20).to_string());
}

#[tokio::test]
async fn failures_name_exit_code_signal_and_last_words() {
    let (class, message) =
        failure(run("echo a >&2; echo b >&2; echo >&2; echo c >&2; echo d >&2; exit 3").await.0);
    assert_eq!((class, message.as_str()), (ErrorClass::Failed, "exit code 3: b\nc\nd"));
    let (_, message) = failure(run("kill -SEGV $$").await.0);
    assert_eq!(message, "ended by signal 11 (SIGSEGV)");
    let (_, message) = failure(run("bash -c 'kill -KILL $$'").await.0);
    assert!(message.starts_with("exit code 137 (a command was ended by signal 9 (SIGKILL"), "{message}");
}

#[tokio::test]
async fn what_cannot_be_started_says_what_is_missing() {
    let cases = [
        (json!({ "run": "x", "shell": "no-such-shell" }), "no program `no-such-shell` on the PATH"),
        (json!({ "run": "x", "working_directory": "nowhere" }), "`working_directory`: there is no folder"),
        (json!({ "run": "x", "args": ["a\u{0}b"] }), "NUL"),
        (json!({ "run": 1 }), "`with` does not fit"),
        (json!({ "run": "x", "runn": 1 }), "unknown field `runn`"),
    ];
    for (with, expected) in cases {
        let (class, message) = failure(execute(&Script, with).await.0);
        assert_eq!(class, ErrorClass::Invalid, "{message}");
        assert!(message.contains(expected), "{message}");
    }
}

async fn with_env(run: &str, env: &[(&str, &str)]) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Script
        .execute(context(folder.path()).0, Request { with: json!({ "run": run }), env, ..Request::default() })
        .await
}

#[tokio::test]
async fn variables_that_no_process_can_have_are_refused() {
    for (name, value, expected) in [
        ("my-name", "", "`my-name` is not the name of a variable"),
        ("1A", "", "`1A`"),
        ("A=B", "", "`A=B`"),
        ("", "", "``"),
        ("A", "a\0", "`env.A` holds a NUL"),
        ("A", &"x".repeat(1 << 20), "longest: `A`, 1048576 bytes"),
    ] {
        let (class, message) = failure(with_env("true", &[(name, value)]).await);
        assert_eq!(class, ErrorClass::Invalid);
        assert!(message.contains(expected), "{message}");
    }
}

#[tokio::test]
async fn only_listed_variables_and_those_of_the_step_reach_a_script() {
    // Cargo gives the test process variables of its own, so there is something to leak.
    assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some());
    let outcome = with_env("env -0 | cut -z -d= -f1 | tr '\\0' '\\n' | sort", &[("COUNT", "5")]).await;
    let text = output(outcome)["stdout"].as_str().unwrap().to_owned();
    let seen: Vec<&str> = text.lines().collect();
    let allowed = [
        "COUNT",
        "HOME",
        "LANG",
        "LANGUAGE",
        "LOGNAME",
        "ORCHESTRATOR_ATTEMPT",
        "ORCHESTRATOR_FENCING_TOKEN",
        "ORCHESTRATOR_IDEMPOTENCY_KEY",
        "ORCHESTRATOR_OUTPUT",
        "ORCHESTRATOR_RUN_ID",
        "ORCHESTRATOR_STEP_ID",
        "PATH",
        "SHELL",
        "TERM",
        "TMPDIR",
        "TZ",
        "USER",
        // Set by bash itself.
        "OLDPWD",
        "PWD",
        "SHLVL",
        "_",
    ];
    for name in &seen {
        assert!(allowed.contains(name) || name.starts_with("LC_"), "{name} leaks");
    }
    for name in ["COUNT", "PATH", "TMPDIR", "ORCHESTRATOR_OUTPUT"] {
        assert!(seen.contains(&name), "{name} is missing");
    }
}

#[tokio::test]
async fn a_script_knows_its_place() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("docs")).unwrap();
    let (mut context, _) = context(folder.path());
    context.attempt = 3;
    context.epoch = 7;
    let expected = format!("{} build 3 7 {}", context.run, context.idempotency_key());
    let text = "echo $ORCHESTRATOR_RUN_ID $ORCHESTRATOR_STEP_ID $ORCHESTRATOR_ATTEMPT $ORCHESTRATOR_FENCING_TOKEN \
                $ORCHESTRATOR_IDEMPOTENCY_KEY; pwd -P";
    let env = BTreeMap::from([("ORCHESTRATOR_RUN_ID".to_owned(), "forged".to_owned())]);
    let with = json!({ "run": text, "working_directory": "docs" });
    let output = output(Script.execute(context, Request { with, env, ..Request::default() }).await);
    let docs = folder.path().canonicalize().unwrap().join("docs");
    assert_eq!(output["stdout"], format!("{expected}\n{}", docs.display()));
}

#[tokio::test]
async fn a_script_inherits_no_descriptors() {
    // The listing itself holds the folder open. bash, which runs the script, has the script's file open at 255 and
    // closes it in what it starts.
    let output = output(run("ls /dev/fd/ | tr '\\n' ' '").await.0);
    assert_eq!(output["stdout"], "0 1 2 3 ");
}

#[tokio::test]
async fn a_script_inherits_no_descriptors_from_whoever_started_this_process() {
    let close = "for fd in /dev/fd/*; do fd=${fd##*/}; [ $fd -gt 2 ] && exec {fd}>&-; done";
    for open in ["", "5</dev/null", "5</dev/null 23</dev/null"] {
        let program = format!("{close}; exec \"$0\" --exact a_script_inherits_no_descriptors {open}");
        let mut host = tokio::process::Command::new("bash");
        host.args(["-c", &program]).arg(std::env::current_exe().unwrap());
        let output = host.output().await.unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.contains("1 passed"), "{open}: {text}");
    }
}

#[tokio::test]
async fn the_temporary_folder_is_private_and_goes_with_the_attempt() {
    let text = "stat -c %a \"$TMPDIR\" \"${ORCHESTRATOR_OUTPUT%/*}\"; echo \"$TMPDIR\"; ls -A \"$TMPDIR\"
        mkdir -p \"$TMPDIR/a/b\"; touch \"$TMPDIR/a/b/c\"; chmod 500 \"$TMPDIR/a/b\" \"$TMPDIR/a\"; ln -s / \"$TMPDIR/root\"";
    for ending in ["", "; exit 1"] {
        let (outcome, log) = run(&format!("{text}{ending}")).await;
        assert_eq!(matches!(outcome, Outcome::Succeeded { .. }), ending.is_empty(), "{outcome:?}");
        let lines = log.lines(Stream::Stdout);
        assert_eq!(lines[..2], ["700", "700"]);
        assert_eq!(lines.len(), 3, "it was not empty: {lines:?}");
        let scratch = PathBuf::from(&lines[2]);
        assert!(scratch.is_absolute() && !scratch.parent().unwrap().exists(), "{scratch:?} is still there");
    }
    assert!(Path::new("/bin").exists());
}

#[tokio::test]
async fn the_result_file_becomes_output_fields() {
    let text =
        "echo count=3 >> $ORCHESTRATOR_OUTPUT; printf 'notes<<EOF\\na\\nb\\nEOF\\n' >> $ORCHESTRATOR_OUTPUT";
    let fields = output(run(text).await.0);
    assert_eq!((&fields["count"], &fields["notes"]), (&json!("3"), &json!("a\nb")));
    let text = "import json, os\njson.dump({'count': 3, 'list': [1.5, None]}, open(os.environ['ORCHESTRATOR_OUTPUT'], 'w'))";
    let fields = output(execute(&Script, json!({ "run": text, "shell": "python" })).await.0);
    assert_eq!((&fields["count"], &fields["list"]), (&json!(3), &json!([1.5, null])));
    assert_eq!(output(run("rm $ORCHESTRATOR_OUTPUT").await.0)["exit_code"], 0);
}

#[tokio::test]
async fn a_bad_result_file_fails_the_step() {
    for (text, expected) in [
        (
            "echo a=1 > $ORCHESTRATOR_OUTPUT; echo nonsense >> $ORCHESTRATOR_OUTPUT",
            "line 2: expected `name=value`",
        ),
        ("printf 'a=1\\nb=\\xff' > $ORCHESTRATOR_OUTPUT", "line 2 is not UTF-8"),
        ("head -c 8388609 /dev/zero > $ORCHESTRATOR_OUTPUT", "longer than 8388608 bytes"),
        ("ln -sf /etc/passwd $ORCHESTRATOR_OUTPUT", "not a file"),
        ("rm $ORCHESTRATOR_OUTPUT; mkfifo $ORCHESTRATOR_OUTPUT", "not a file"),
    ] {
        let (class, message) = failure(run(text).await.0);
        assert_eq!(class, ErrorClass::Failed);
        assert!(message.contains(expected), "{message}");
    }
}

#[tokio::test]
async fn long_and_odd_output_is_cut_and_says_so() {
    let with = json!({ "run": "head -c 3000000 /dev/zero | tr '\\0' x; printf '\\xff\\0' >&2", "output_limit": 1000 });
    let (outcome, log) = execute(&Script, with).await;
    let output = output(outcome);
    assert_eq!(output["stdout"], "x".repeat(1000));
    assert_eq!((&output["truncated"], &output["stdout_bytes"]), (&json!(true), &json!(3_000_000)));
    assert_eq!(output["stderr"], "\u{fffd}\u{fffd}");
    let lines = log.lines(Stream::Stdout);
    assert_eq!(lines.len(), 1);
    assert!(lines[0].ends_with("(cut; the line is 3000000 bytes long)"));
}

#[tokio::test]
async fn output_without_end_stays_bounded_and_can_be_stopped() {
    let running = start(json!({ "run": "echo pid $$; yes $(printf %01000d 0)" }));
    let process = running.process("pid").await;
    running.log.line_with("output beyond 16 MiB is not kept").await;
    let log = running.log.clone();
    assert_eq!(running.stopped(StopReason::Cancelled).await, Outcome::Stopped);
    process.ends().await;
    assert!(log.text().len() < 17 << 20);
}

#[tokio::test]
async fn a_script_that_obeys_is_stopped_and_may_begin_again() {
    for reason in [StopReason::Cancelled, StopReason::Shutdown, StopReason::Fenced] {
        let running = start(json!({ "run": "echo pid $$; sleep 1000" }));
        let process = running.process("pid").await;
        assert_eq!(running.stopped(reason).await, Outcome::Stopped);
        process.ends().await;
    }
}

#[tokio::test]
async fn a_script_may_tidy_up_before_it_stops() {
    let running =
        start(json!({ "run": "trap 'echo tidied; exit 0' TERM; echo pid $$; while :; do sleep 0.01; done" }));
    running.process("pid").await;
    let log = running.log.clone();
    assert_eq!(running.stopped(StopReason::Cancelled).await, Outcome::Stopped);
    assert_eq!(log.lines(Stream::Stdout).last().unwrap(), "tidied");
}

#[tokio::test]
async fn a_fenced_script_gets_no_time() {
    let running =
        start(json!({ "run": "trap 'echo tidied' TERM; echo pid $$; while :; do sleep 0.01; done" }));
    let process = running.process("pid").await;
    let log = running.log.clone();
    assert_eq!(running.stopped(StopReason::Fenced).await, Outcome::Stopped);
    process.ends().await;
    assert!(!log.text().contains("tidied"));
}

#[tokio::test]
async fn a_script_that_takes_too_long_has_timed_out() {
    let running = start(json!({ "run": "echo pid $$; sleep 1000" }));
    running.process("pid").await;
    let (class, message) = failure(running.stopped(StopReason::TimedOut).await);
    assert_eq!(class, ErrorClass::Timeout);
    assert!(message.contains("`timeout`"));
}

#[tokio::test]
async fn a_script_that_has_ended_is_not_taken_for_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let (mut context, log) = context(folder.path());
    let (stopper, stop) = Stop::pair();
    context.stop = stop;
    // Ends while a process of it holds its output; being told to stop then comes too late.
    let with = json!({ "run": "sleep 1000 & echo pid $!" });
    let outcome = tokio::spawn(async move { Script.execute(context, request(with)).await });
    log.line_with("ended what the script had left running").await;
    stopper.stop(StopReason::Shutdown);
    assert_eq!(output(outcome.await.unwrap())["exit_code"], 0);
}

/// Scripts that do not want to end, each with the processes that it announces.
const STUBBORN: [(&str, &str, &[&str]); 5] = [
    ("ignores SIGTERM", "trap '' TERM; echo pid $$; while :; do sleep 1000; done", &["pid"]),
    (
        "forks twice",
        "(sleep 1000 & echo pid $!) ; trap '' TERM; echo self $$; while :; do sleep 1000; done",
        &["pid", "self"],
    ),
    (
        "leaves the session",
        "setsid sh -c 'echo pid $$; exec sleep 1000' & echo self $$; wait",
        &["pid", "self"],
    ),
    ("is suspended", "echo pid $$; kill -STOP $$", &["pid"]),
    (
        "leaves the session and closes its outputs",
        "setsid sh -c 'echo pid $$; exec sleep 1000 >/dev/null 2>&1' & echo self $$; wait",
        &["pid", "self"],
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn nothing_survives_being_stopped() {
    let all = STUBBORN.map(|(kind, text, names)| {
        tokio::spawn(async move {
            let running = start(json!({ "run": text }));
            let mut processes = Vec::new();
            for name in names {
                processes.push(running.process(name).await);
            }
            assert_eq!(running.stopped(StopReason::Cancelled).await, Outcome::Stopped, "{kind}");
            for process in processes {
                process.ends().await;
            }
        })
    });
    for one in all {
        one.await.unwrap();
    }
}

#[test]
fn nothing_survives_the_attempt_being_dropped_while_it_starts() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        for _ in 0..10 {
            let folder = tempfile::tempdir().unwrap();
            let (context, _) = context(folder.path());
            let own = folder.path().display().to_string();
            let with = json!({ "run": "echo > ran; sleep 1000", "args": [own] });
            let mut execution = Script.execute(context, request(with));
            let begun = std::future::poll_fn(|poll| {
                std::task::Poll::Ready(execution.as_mut().poll(poll).is_pending())
            });
            assert!(begun.await, "it waits for the start");
            drop(execution);
            // What starts it goes on until its process stands at the gate, and there that ends.
            let over = async {
                while is_starting() || running_with(&own) {
                    tokio::task::yield_now().await;
                }
            };
            tokio::time::timeout(HANG, over).await.expect("the script goes on");
            assert!(!folder.path().join("ran").exists());
        }
    });
}

/// Whether this process has a thread that starts a script.
fn is_starting() -> bool {
    let threads = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    let mut names = threads.filter_map(|thread| std::fs::read_to_string(thread.path().join("comm")).ok());
    names.any(|name| name.starts_with("orchestrator-ce"))
}

/// Whether a process has this among its arguments.
fn running_with(arg: &str) -> bool {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let mut lines = processes.filter_map(|process| std::fs::read(process.path().join("cmdline")).ok());
    lines.any(|line| line.split(|byte| *byte == 0).any(|word| word == arg.as_bytes()))
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_survives_the_attempt_being_dropped() {
    for (_, text, names) in STUBBORN {
        let running = start(json!({ "run": text }));
        let mut processes = Vec::new();
        for name in names {
            processes.push(running.process(name).await);
        }
        running.outcome.abort();
        for process in processes {
            process.ends().await;
        }
    }
}

#[tokio::test]
async fn what_runs_on_in_the_background_ends_with_the_script_and_its_output_is_read() {
    // Holds the output open, inside the group and outside of it.
    for text in ["sleep 1000 & echo pid $!", "setsid sh -c 'echo pid $$; exec sleep 1000' & sleep 0.2"] {
        let running = start(json!({ "run": text }));
        let process = running.process("pid").await;
        let log = running.log.clone();
        let outcome =
            tokio::time::timeout(HANG, running.outcome).await.expect("the output is waited for").unwrap();
        assert_eq!(output(outcome)["exit_code"], 0, "{text}");
        process.ends().await;
        assert_eq!(log.lines(Stream::System), ["ended what the script had left running in the background"]);
    }
    // Does not hold it open.
    let running = start(json!({ "run": "sleep 1000 >/dev/null 2>&1 & echo pid $!" }));
    let process = running.process("pid").await;
    process.ends().await;
    assert_eq!(output(running.outcome.await.unwrap())["exit_code"], 0);
    // Still has something to say, and then ends by itself.
    let (outcome, log) = run("echo begun > >(cat; sleep 0.3; echo late)").await;
    assert_eq!(output(outcome)["stdout"], "begun\nlate");
    assert_eq!(log.lines(Stream::System), [""; 0]);
}

#[tokio::test]
async fn an_output_held_open_by_what_cannot_be_found_is_given_up() {
    // Without its environment and outside of the session nothing tells whose it is; it ends when the test lets it.
    let folder = tempfile::tempdir().unwrap();
    let gate = folder.path().join("gate");
    let (mut context, log) = context(folder.path());
    // One that is confined is found all the same.
    context.sandbox = Sandbox::None;
    let with =
        json!({ "run": "mkfifo gate; env -i setsid sh -c 'echo hidden $$; read -r _ < gate' & sleep 0.2" });
    let outcome = tokio::time::timeout(HANG, Script.execute(context, request(with))).await;
    assert_eq!(output(outcome.expect("it hangs"))["exit_code"], 0);
    assert!(log.text().contains("could not be found still holds an output"), "{}", log.text());
    let hidden = Alive::open(log.line_with("hidden ").await.parse().unwrap());
    std::fs::write(gate, "\n").unwrap();
    hidden.ends().await;
}

#[tokio::test]
async fn the_private_folder_goes_when_a_script_is_stopped() {
    let running = start(json!({ "run": "echo tmp $TMPDIR; sleep 1000" }));
    let scratch = PathBuf::from(running.log.line_with("tmp ").await);
    assert!(scratch.exists() && !scratch.starts_with(running.folder.path()));
    running.stopped(StopReason::Cancelled).await;
    assert!(!scratch.parent().unwrap().exists());
}

#[test]
fn configs_are_checked_as_written() {
    let problems = |with: Value| -> Vec<String> {
        let issues = Script.validate(&with).into_iter();
        issues.map(|issue| format!("{}: {}", issue.path.join("."), issue.message)).collect()
    };
    assert_eq!(
        problems(json!({ "run": "echo", "args": [1, "a", "${{ inputs.x }}"], "shell": "${{ inputs.s }}" })),
        [""; 0]
    );
    assert!(problems(json!({ "run": "echo ${{ inputs.x }}" }))[0].starts_with("run: a script may not hold"));
    assert_eq!(problems(json!({ "run": " \n" })), ["run: the script is blank"]);
    assert_eq!(
        problems(json!({ "run": "x", "shell": "perl -w" })),
        ["shell: `perl -w` is not the name or path of a program"]
    );
    assert_eq!(
        problems(json!({ "run": "x", "args": ["a", []] })),
        ["args.1: an argument is a text, a number or a boolean"]
    );
    assert_eq!(Script.effect_class(&json!({ "run": "x" })), EffectClass::AtMostOnce);
    assert_eq!(Script.reaches(&json!({ "run": "x" })), ["runs a bash script"]);
}

/// Plays the part of the engine's process in the test below, and is killed by it.
#[tokio::test]
#[ignore = "started by the_end_of_this_process_is_the_end_of_its_scripts"]
async fn host() {
    let folder = std::env::var_os("HOST_FOLDER").expect("set by the test that starts this one");
    let context = Context::detached(
        "run_0193b5a0000070008000000000000001".parse().unwrap(),
        "build",
        Path::new(&folder),
    );
    let text = "setsid sh -c 'echo $$ > stray.tmp; mv stray.tmp stray; exec sleep 1000' &
        env -i sleep 1000 & echo $! > child; echo $$ > leader; echo $TMPDIR > tmp
        while [ ! -e stray ]; do sleep 0.01; done
        echo > ready; trap '' TERM HUP; wait; wait; wait";
    Script.execute(context, request(json!({ "run": text }))).await;
}

#[tokio::test]
async fn the_end_of_this_process_is_the_end_of_its_scripts() {
    let folder = tempfile::tempdir().unwrap();
    let ready = folder.path().join("ready");
    assert!(tokio::process::Command::new("mkfifo").arg(&ready).status().await.unwrap().success());
    let mut host = tokio::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "host", "--ignored"])
        .env("HOST_FOLDER", folder.path())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let opened = tokio::task::spawn_blocking(move || std::fs::read(ready));
    tokio::time::timeout(HANG, opened).await.expect("the script does not start").unwrap().unwrap();
    let number = |name| std::fs::read_to_string(folder.path().join(name)).unwrap().trim().to_owned();
    let processes = ["leader", "child", "stray"].map(|name| Alive::open(number(name).parse().unwrap()));
    let scratch = PathBuf::from(number("tmp"));
    assert!(scratch.exists());
    host.kill().await.unwrap();
    for process in &processes {
        process.ends().await;
    }
    let gone = async {
        while scratch.parent().unwrap().exists() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(HANG, gone).await.expect("the private folder is still there");
}
