//! Executables that bring kinds of steps: real ones, in Python, that also behave as none should.

#[path = "../alive/mod.rs"]
mod alive;
#[path = "../stage/mod.rs"]
mod stage;

mod ending;
mod hiding;

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use alive::Alive;
use orchestrator_core::machine::{Arrival, StepError};
use orchestrator_core::port::plugin::{
    Awaited, Outcome, Plugin, Reconciled, Request, Stop, StopReason, Stream,
};
use orchestrator_core::spec::EffectClass;
use orchestrator_core::spec::retry::ErrorClass;
use orchestrator_plugins::{Executable, NotAPlugin, Process};
use serde_json::{Value, json};
use stage::{Log, context, failure, output, request};

/// Longer than anything here takes; reached only by what hangs.
const HANG: Duration = Duration::from_secs(60);

/// Says and does what a step asks of it: `do` is Python, with `message`, `say(FIELDS)` and `read()` at hand. What it says of
/// itself is `MANIFEST`.
const OBEDIENT: &str = r#"#!/usr/bin/env python3
import json, os, signal, subprocess, sys, time
def say(**fields): print(json.dumps(fields), flush=True)
def read(): return json.loads(sys.stdin.readline())
for line in sys.stdin:
    message = json.loads(line)
    if message["method"] == "describe":
        say(id=message["id"], **json.loads('''MANIFEST'''))
    elif message["method"] in ("execute", "reconcile"):
        exec(message["with"]["do"])
"#;

fn manifest(more: &Value) -> Value {
    let mut kind = json!({
        "kind": "obey",
        "summary": "does what it is told",
        "config_schema": { "type": "object", "properties": { "do": { "type": "string" } } },
        "output_schema": { "type": "object", "additionalProperties": true },
    });
    kind.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({ "protocol": 1, "kinds": [kind] })
}

fn write(folder: &Path, text: &str) -> Executable {
    let path = folder.join("plugin");
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    Executable::new(path.display().to_string())
}

async fn discover(text: &str) -> Result<Vec<Arc<dyn Plugin>>, NotAPlugin> {
    let folder = tempfile::tempdir().unwrap();
    Process::discover(write(folder.path(), text)).await
}

/// A plugin, and the folder that it lies in.
struct Obedient {
    folder: tempfile::TempDir,
    plugin: Arc<dyn Plugin>,
}

async fn obedient(manifest: &Value) -> Obedient {
    let folder = tempfile::tempdir().unwrap();
    let executable = write(folder.path(), &OBEDIENT.replace("MANIFEST", &manifest.to_string()));
    let plugin = Process::discover(executable).await.unwrap().remove(0);
    Obedient { folder, plugin }
}

impl Obedient {
    async fn does(&self, what: &str) -> (Outcome, Arc<Log>) {
        let (context, log) = context(self.folder.path());
        let executed = self.plugin.execute(context, request(json!({ "do": what })));
        (tokio::time::timeout(HANG, executed).await.expect("it hangs"), log)
    }
}

fn unknown(outcome: Outcome) -> StepError {
    match outcome {
        Outcome::Unknown { error } => error,
        other => panic!("expected an unknown outcome, got {other:?}"),
    }
}

/// The process whose id an attempt has given.
fn alive(pid: &Value) -> Alive {
    Alive::open(i32::try_from(pid.as_i64().unwrap()).unwrap())
}

#[tokio::test]
async fn a_step_is_told_all_of_its_attempt_and_gives_lines_and_an_output() {
    let it = obedient(&manifest(&json!({ "effect": "idempotent", "reaches": ["tells the world"] }))).await;
    assert_eq!((it.plugin.kind(), it.plugin.summary()), ("obey", "does what it is told"));
    assert_eq!(it.plugin.effect_class(&json!({})), EffectClass::Idempotent);
    let reaches = it.plugin.reaches(&json!({}));
    assert!(reaches[0].starts_with("is executed by /") && reaches[1] == "tells the world", "{reaches:?}");

    let (context, log) = context(it.folder.path());
    let key = context.idempotency_key();
    let what = "say(id=message['id'], log='one')\n\
                say(id=message['id'], log='two', stream='system')\n\
                print('three', file=sys.stderr, flush=True)\n\
                say(id=message['id'], outcome='succeeded', output=message)";
    let env = BTreeMap::from([("NAME".to_owned(), "value".to_owned())]);
    let request = Request { env, ..request(json!({ "do": what })) };
    let got = output(it.plugin.execute(context, request).await);
    assert_eq!(got["idempotency_key"], key);
    assert_eq!((&got["step"], &got["attempt"], &got["epoch"]), (&json!("build"), &json!(1), &json!(1)));
    assert_eq!((&got["env"], &got["item"]), (&json!({ "NAME": "value" }), &Value::Null));
    assert_eq!(got["network"], json!(["127.0.0.1:*"]));
    assert_eq!(got["workdir"], it.folder.path().to_string_lossy().into_owned());
    assert_eq!(log.lines(Stream::Stdout), ["one"]);
    assert_eq!(log.lines(Stream::System), ["two"]);
    log.line_with("three").await;
}

#[tokio::test]
async fn one_process_serves_all_steps_and_is_begun_anew_when_it_has_died() {
    let it = obedient(&manifest(&json!({}))).await;
    let pid = "say(id=message['id'], outcome='succeeded', output={'pid': os.getpid()})";
    let first = output(it.does(pid).await.0);
    assert_eq!(output(it.does(pid).await.0), first);
    let error = unknown(it.does("print('boom', file=sys.stderr); sys.exit(3)").await.0);
    let told = error.message.to_string();
    assert!(
        told.ends_with("it has ended (exit code 3): boom; nobody can tell how far step `build` had come"),
        "{told}"
    );
    let error = unknown(it.does("os.kill(os.getpid(), signal.SIGKILL)").await.0);
    assert!(error.message.contains("it has ended (signal 9)"), "{}", error.message);
    let second = output(it.does(pid).await.0);
    assert_ne!(first, second);
    let process = alive(&second["pid"]);
    drop(it);
    process.ends().await;
}

#[tokio::test]
async fn what_it_has_started_ends_with_it() {
    let it = obedient(&manifest(&json!({}))).await;
    let started = "child = subprocess.Popen(['sleep', '1000'], start_new_session=True)\n\
                   say(id=message['id'], outcome='succeeded', output={'pid': child.pid})";
    let child = alive(&output(it.does(started).await.0)["pid"]);
    drop(it);
    child.ends().await;
}

#[tokio::test]
async fn every_outcome_comes_through() {
    let it = obedient(&manifest(&json!({ "signal": { "name": "paid" }, "effect": "pure" }))).await;
    let ends = |how: &str| format!("say(id=message['id'], {how})");
    let failed =
        it.does(&ends("outcome='failed', **{'class': 'transient'}, message='no', retry_after='3s'")).await.0;
    let Outcome::Failed { error, retry_after } = failed else { panic!("{failed:?}") };
    assert_eq!((error.class, &*error.message), (ErrorClass::Transient, "no"));
    assert_eq!(retry_after, Some(Duration::from_secs(3)));
    assert_eq!(
        &*unknown(it.does(&ends("outcome='unknown', message='who knows'")).await.0).message,
        "who knows"
    );
    let waits = it.does(&ends("outcome='wait', pause='1m'")).await.0;
    assert_eq!(waits, Outcome::Wait { on: Awaited::Pause(Duration::from_secs(60)) });
    let waits = it.does(&ends("outcome='wait', signal='paid'")).await.0;
    assert_eq!(waits, Outcome::Wait { on: Awaited::Signal { name: "paid".to_owned() } });
    assert_eq!(it.plugin.signal(&json!({})).unwrap().name.as_deref(), Some("paid"));

    let (mut context, _) = context(it.folder.path());
    context.arrival = Some(Arrival::Due);
    let goes_on = request(json!({ "do": ends("outcome='succeeded', output=message['arrival']") }));
    assert_eq!(output(it.plugin.execute(context, goes_on).await), json!({ "on": "pause" }));

    let (class, message) = failure(it.does(&ends("outcome='succeeded', output=5")).await.0);
    let told = "what it gave does not fit its `output_schema`: expected a mapping";
    assert!(class == ErrorClass::Invalid && message.contains(told), "{message}");
    let quiet = obedient(&manifest(&json!({}))).await;
    let (_, message) = failure(quiet.does(&ends("outcome='wait', signal='paid'")).await.0);
    assert!(message.contains("its manifest names no `signal`"), "{message}");
}

#[tokio::test]
async fn nonsense_ends_it_and_is_quoted() {
    let it = obedient(&manifest(&json!({}))).await;
    for (what, told) in [
        (
            "print('hello world', flush=True)",
            "has said what makes no sense: no JSON: expected value at line 1 column 1: `hello world`",
        ),
        ("say(id=4711, outcome='stopped')", "an answer to message 4711, which there was not"),
        ("say(outcome='stopped')", "a message without `id`"),
        (
            "sys.stdout.write('x' * (17 << 20)); sys.stdout.flush()",
            "has said a line that is longer than 16 MiB",
        ),
        ("os.close(1); time.sleep(1000)", "has closed its standard output"),
    ] {
        let error = unknown(it.does(what).await.0);
        assert!(error.message.contains(told), "{}", error.message);
    }
    // Late words are no nonsense: who has asked may have gone.
    let late = "say(id=1, outcome='stopped'); say(id=1, log='x'); say(id=message['id'], outcome='succeeded', output={})";
    assert_eq!(output(it.does(late).await.0), json!({}));
}

#[tokio::test]
async fn long_lines_are_cut_and_the_log_has_an_end() {
    let it = obedient(&manifest(&json!({}))).await;
    let ends = "\nsay(id=message['id'], outcome='succeeded', output={})";
    let (outcome, log) = it.does(&format!("say(id=message['id'], log='é' * 100000){ends}")).await;
    output(outcome);
    let lines = log.lines(Stream::Stdout);
    assert!(lines[0].len() < 66_000 && lines[0].ends_with("é … (cut)"), "{}", lines[0].len());
    let (outcome, log) =
        it.does(&format!("for _ in range(300): say(id=message['id'], log='x' * 65000){ends}")).await;
    output(outcome);
    assert!(log.lines(Stream::Stdout).len() < 270);
    assert_eq!(log.lines(Stream::System), ["output beyond 16 MiB is not kept in the log"]);
}

/// Executes `what`, and stops it for `reason` once it has said `ready`.
async fn stopped(it: &Obedient, what: &str, reason: StopReason) -> (Outcome, Arc<Log>) {
    stopped_as(it.plugin.effect_class(&json!({})), it, what, reason).await
}

/// The same, where the step says what a repetition would do.
async fn stopped_as(
    effect: EffectClass,
    it: &Obedient,
    what: &str,
    reason: StopReason,
) -> (Outcome, Arc<Log>) {
    stopped_once("ready", effect, it, &format!("say(id=message['id'], log='ready')\n{what}"), reason).await
}

/// The same, told so once it has said something.
async fn stopped_once(
    said: &str,
    effect: EffectClass,
    it: &Obedient,
    what: &str,
    reason: StopReason,
) -> (Outcome, Arc<Log>) {
    let (mut context, log) = context(it.folder.path());
    context.effect = effect;
    let (stopper, stop) = Stop::pair();
    context.stop = stop;
    let executed = it.plugin.execute(context, request(json!({ "do": what })));
    let stopping = async {
        log.line_with(said).await;
        stopper.stop(reason);
    };
    let (outcome, ()) =
        tokio::time::timeout(HANG, async { tokio::join!(executed, stopping) }).await.expect("it hangs");
    (outcome, log)
}

#[tokio::test]
async fn who_is_told_to_stop_may_say_how_it_has_ended() {
    let it = obedient(&manifest(&json!({}))).await;
    let heeds = "cancel = read()\nsay(id=cancel['id'], log=cancel['method'] + ' ' + cancel['reason'])\n\
                 say(id=cancel['id'], outcome='stopped')";
    let (outcome, log) = stopped(&it, heeds, StopReason::Cancelled).await;
    assert_eq!(outcome, Outcome::Stopped);
    assert_eq!(log.lines(Stream::Stdout), ["ready", "cancel cancelled"]);
    let finishes = "read()\nsay(id=message['id'], outcome='succeeded', output={'done': True})";
    let (outcome, _) = stopped(&it, finishes, StopReason::Shutdown).await;
    assert_eq!(output(outcome), json!({ "done": true }));
}

#[tokio::test]
async fn who_does_not_stop_is_killed() {
    for (effect, reason) in [
        ("at_most_once", StopReason::Cancelled),
        ("pure", StopReason::Shutdown),
        ("pure", StopReason::TimedOut),
    ] {
        let it = obedient(&manifest(&json!({ "effect": effect }))).await;
        let (outcome, log) =
            stopped(&it, "say(id=message['id'], log=f'pid {os.getpid()}')\ntime.sleep(1000)", reason).await;
        match (effect, reason) {
            ("at_most_once", _) => {
                let told = unknown(outcome).message.to_string();
                assert!(
                    told.ends_with("it did not stop within 5 s when it was told to, and was killed"),
                    "{told}"
                );
            }
            (_, StopReason::TimedOut) => assert_eq!(failure(outcome).0, ErrorClass::Timeout),
            _ => assert_eq!(outcome, Outcome::Stopped),
        }
        let pid: i32 = log.line_with("pid ").await.parse().unwrap();
        assert!(Alive::find(pid).is_none(), "{pid} is still there");
        // The next step finds another.
        assert_eq!(
            output(it.does("say(id=message['id'], outcome='succeeded', output={})").await.0),
            json!({})
        );
    }
}

#[tokio::test]
async fn attempts_take_turns_unless_it_takes_several_at_once() {
    // Each answers the other one, so both have to be there.
    let crossed = "other = read()\nsay(id=other['id'], outcome='succeeded', output={'of': other['id']})\n\
                   say(id=message['id'], outcome='succeeded', output={'of': message['id']})";
    let mut both = manifest(&json!({}));
    both["concurrent"] = json!(2);
    let it = obedient(&both).await;
    let (one, other) = tokio::join!(it.does(crossed), it.does(crossed));
    let (one, other) = (output(one.0), output(other.0));
    assert_ne!(one["of"], other["of"]);

    let it = obedient(&manifest(&json!({}))).await;
    let (mut waiting, _) = context(it.folder.path());
    let (stopper, stop) = Stop::pair();
    waiting.stop = stop;
    let first = stopped(&it, "read()\nsay(id=message['id'], outcome='stopped')", StopReason::Cancelled);
    let second = it.plugin.execute(waiting, request(json!({ "do": "sys.exit(1)" })));
    let in_line = async {
        tokio::pin!(first);
        tokio::pin!(second);
        // The second has been asked for and is not sent while the first one runs.
        let early = first_of(&mut first, &mut second).await;
        stopper.stop(StopReason::Cancelled);
        let late = second.await;
        (early, late)
    };
    let ((outcome, _), late) = in_line.await;
    assert_eq!(outcome, Outcome::Stopped);
    // It had its turn, or was told to stop before.
    assert!(matches!(late, Outcome::Stopped | Outcome::Unknown { .. }), "{late:?}");
}

/// Waits for `first` while `second` is polled too, and must not be done before.
async fn first_of<T, U: std::fmt::Debug>(
    first: &mut (impl Future<Output = T> + Unpin),
    second: &mut (impl Future<Output = U> + Unpin),
) -> T {
    tokio::select! {
        biased;
        first = first => first,
        second = second => panic!("it was not its turn: {second:?}"),
    }
}

#[tokio::test]
async fn it_can_look_whether_it_has_happened() {
    let it = obedient(&manifest(&json!({ "reconcile": true }))).await;
    let asked = |what: &str| {
        let (context, log) = context(it.folder.path());
        let plugin = it.plugin.clone();
        let request = request(json!({ "do": format!("assert message['method'] == 'reconcile'\n{what}") }));
        async move { (plugin.reconcile(context, request).await, log) }
    };
    let applied = asked("say(id=message['id'], outcome='applied', output={'a': 1})").await.0;
    assert_eq!(applied, Reconciled::Applied(json!({ "a": 1 })));
    assert_eq!(asked("say(id=message['id'], outcome='not_applied')").await.0, Reconciled::NotApplied);
    let (found, log) = asked("sys.exit(1)").await;
    assert_eq!(found, Reconciled::Unknown);
    assert!(
        log.text().contains("cannot tell whether it has happened: has ended (exit code 1)"),
        "{}",
        log.text()
    );
    let unasked = obedient(&manifest(&json!({}))).await;
    let (context, _) = context(unasked.folder.path());
    let found = unasked.plugin.reconcile(context, request(json!({ "do": "sys.exit(1)" }))).await;
    assert_eq!(found, Reconciled::Unknown);
}

#[tokio::test]
async fn it_sees_a_short_list_of_the_environment() {
    let folder = tempfile::tempdir().unwrap();
    let text = OBEDIENT.replace("MANIFEST", &manifest(&json!({})).to_string());
    let executable = write(folder.path(), &text).inherit("CARGO_MANIFEST_DIR").env("TOKEN", "t");
    assert!(!format!("{executable:?}").contains("TOKEN"), "{executable:?}");
    let plugin = Process::discover(executable).await.unwrap().remove(0);
    let it = Obedient { folder, plugin };
    let seen = output(it.does("say(id=message['id'], outcome='succeeded', output=dict(os.environ))").await.0);
    let mut names: Vec<&str> = seen.as_object().unwrap().keys().map(String::as_str).collect();
    names.retain(|name| !["HOME", "LANG", "TZ", "LC_CTYPE", "PWD", "_", "SHLVL", "OLDPWD"].contains(name));
    // A `python3` that is a script sets some of its own.
    names.retain(|name| !name.contains("PYENV"));
    assert_eq!(names, ["CARGO_MANIFEST_DIR", "PATH", "TMPDIR", "TOKEN"]);
    assert!(Path::new(seen["TMPDIR"].as_str().unwrap()).is_dir());
}

#[tokio::test]
async fn what_is_no_plugin_is_told_with_its_place() {
    let says = |text: &str| format!("#!/bin/sh\nread line\n{text}\n");
    for (text, told) in [
        (says("exit 3"), "it has ended (exit code 3); it was asked to describe itself"),
        (says("echo oh >&2; exit 3"), "it has ended (exit code 3): oh; it was asked to describe itself"),
        (says("echo hello"), "no JSON: expected value at line 1 column 1: `hello`"),
        (
            says(r#"echo '{"id":1,"protocol":7,"kinds":[]}'"#),
            "protocol: it speaks version 7 of the protocol, and this program version 1",
        ),
        (says(r#"echo '{"id":1,"protocol":1,"kinds":[{"kind":"x"}]}'"#), "kinds[0]: missing `summary`"),
        ("#!/no/such/interpreter\n".to_owned(), "it has ended (exit code 12"),
    ] {
        let problem = discover(&text).await.map(|_| ()).unwrap_err();
        let shown = problem.to_string();
        assert!(shown.contains(told) && shown.starts_with(problem.program()), "{shown}");
    }
    let absent = Process::discover(Executable::new("./no-such-plugin")).await.map(|_| ()).unwrap_err();
    assert!(absent.to_string().contains("No such file"), "{absent}");
    let absent = Process::discover(Executable::new("no-such-plugin")).await.map(|_| ()).unwrap_err();
    assert!(absent.to_string().contains("there is no program `no-such-plugin` in PATH"), "{absent}");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plain");
    std::fs::write(&path, "").unwrap();
    let plain = Process::discover(Executable::new(path.display().to_string())).await.map(|_| ()).unwrap_err();
    assert!(plain.to_string().contains("cannot be executed; try `chmod +x"), "{plain}");
}

#[tokio::test(start_paused = true)]
async fn who_says_nothing_is_not_waited_for_without_end() {
    let silent = discover("#!/bin/sh\nexec sleep 1000\n").await.map(|_| ()).unwrap_err();
    assert!(silent.to_string().contains("it has not described itself within 10 s"), "{silent}");
}

#[tokio::test]
async fn who_has_become_another_is_not_used() {
    let it = obedient(&manifest(&json!({}))).await;
    let other = OBEDIENT.replace("MANIFEST", &manifest(&json!({ "effect": "pure" })).to_string());
    write(it.folder.path(), &other);
    let (class, message) = failure(it.does("sys.exit(1)").await.0);
    assert!(
        class == ErrorClass::Invalid && message.contains("it was changed while this process ran"),
        "{message}"
    );
}
