//! Kinds of steps that executables bring: named by flags and by the configuration file, and gone when we are.

use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use serde_json::json;

use crate::Sandbox;
use crate::sandbox::{self, PATIENCE};

/// `shout` gives its text in capitals. It tells its process on the first line of the log; `with.hang` waits for ever.
const SHOUT: &str = r#"#!/usr/bin/env python3
import json, os, sys, time
KINDS = [{
    "kind": "shout", "summary": "says it louder", "reaches": ["is heard next door"],
    "config_schema": {"type": "object", "required": ["text"], "properties": {
        "text": {"type": "string", "secret": True}, "hang": {"type": "boolean"}}},
    "output_schema": {"type": "object", "properties": {"text": {"type": "string"}}},
}]
for line in sys.stdin:
    message = json.loads(line)
    answer = {"id": message["id"]}
    if message["method"] == "describe":
        answer.update(protocol=1, kinds=KINDS)
    else:
        print(json.dumps({"id": message["id"], "log": "pid %d" % os.getpid()}), flush=True)
        print("shouting " + message["with"]["text"], file=sys.stderr, flush=True)
        if message["with"].get("hang"):
            open(os.path.join(message["workdir"], "pid"), "w").write(str(os.getpid()))
            time.sleep(1000)
        answer.update(outcome="succeeded", output={"text": message["with"]["text"].upper()})
    print(json.dumps(answer), flush=True)
"#;

const LOUD: &str = "\
name: loud
steps:
  greet:
    uses: shout
    with: { text: hello }
outputs:
  said: ${{ steps.greet.text }}
";

fn with_plugin(files: &[(&str, &str)]) -> Sandbox {
    let sandbox = Sandbox::with(files);
    program(&sandbox, "plugins/shout.py", SHOUT);
    sandbox
}

pub(crate) fn program(sandbox: &Sandbox, path: &str, text: &str) {
    sandbox.write(path, text);
    std::fs::set_permissions(sandbox.path(path), std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_flag_names_one_for_every_command() {
    let sandbox = with_plugin(&[("loud.yaml", LOUD)]);
    let refused = sandbox.run("validate loud.yaml").exits(3);
    assert!(refused.err.contains("shout"), "{}", refused.err);
    let flag = "--plugin plugins/shout.py";
    sandbox.run(&format!("validate loud.yaml {flag}")).exits(0);
    let planned = sandbox.run(&format!("plan loud.yaml {flag}")).exits(0);
    assert!(
        planned.out.contains("plugins/shout.py") && planned.out.contains("is heard next door"),
        "{}",
        planned.out
    );
    let ran = sandbox.run(&format!("run loud.yaml {flag} --json")).exits(0).json();
    assert_eq!(
        (&ran["outputs"]["said"], &ran["steps"][0]["effect"]),
        (&json!("HELLO"), &json!("at_most_once"))
    );
    let listed = sandbox.run(&format!("plugins list {flag}")).exits(0);
    let row = listed.out.lines().find(|line| line.starts_with("shout")).unwrap();
    assert!(row.contains("says it louder") && row.ends_with("plugins/shout.py"), "{row}");
    let shape = sandbox.run(&format!("plugins schema shout --json {flag}")).exits(0).json();
    assert_eq!((&shape["from"], &shape["effect"]), (&json!("plugins/shout.py"), &json!("at_most_once")));
    let tried = sandbox.run_args(&[
        "plugins",
        "try",
        "shout",
        "--with",
        "text: a",
        "--json",
        "--plugin",
        "plugins/shout.py",
    ]);
    assert_eq!(tried.exits(0).json()["output"]["text"], "A");
    assert!(sandbox.run(&format!("schema {flag}")).exits(0).out.contains("\"shout\""));
    // A path without a `/` is one all the same.
    let mut beside = sandbox.command(["plugins", "schema", "shout", "--plugin", "shout.py"]);
    crate::Said::of(&beside.current_dir(sandbox.path("plugins")).output().unwrap()).exits(0);
}

#[test]
fn the_configuration_file_names_them_for_all_commands_below() {
    let config = "plugins = [\"./plugins/shout.py\", { command = [\"python3\", \"plugins/quiet.py\"], env = [\"QUIET\"] }]\n";
    let sandbox = with_plugin(&[(".orchestrator/config.toml", config), ("below/loud.yaml", LOUD)]);
    let quiet = SHOUT.replace("\"shout\"", "\"quiet\"").replace(".upper()", ".lower() + os.environ['QUIET']");
    program(&sandbox, "plugins/quiet.py", &quiet);
    let mut below = sandbox.command(["run", "loud.yaml", "--json"]);
    below.current_dir(sandbox.path("below"));
    // Arguments are given as they stand, from where we are, unless they say that they are paths.
    let said = crate::Said::of(&below.output().unwrap()).exits(3);
    assert!(said.err.contains("python3 is no plugin") && said.err.contains("plugins[1]"), "{}", said.err);
    let tried = ["plugins", "try", "quiet", "--with", "text: A", "--json"];
    let here = sandbox.command(tried).env("QUIET", "!").env("LOUD", "?").output().unwrap();
    assert_eq!(crate::Said::of(&here).exits(0).json()["output"]["text"], "a!");
    for (folder, word) in [("below", "./plugins/quiet.py"), ("", "./plugins/quiet.py"), ("", "./quiet.py")] {
        program(&sandbox, word, &quiet);
        let config = format!("plugins = [{{ command = [\"python3\", \"{word}\"], env = [\"QUIET\"] }}]\n");
        sandbox.write(".orchestrator/config.toml", config);
        let mut there = sandbox.command(tried);
        there.env("QUIET", "!").current_dir(sandbox.path(folder));
        assert_eq!(crate::Said::of(&there.output().unwrap()).exits(0).json()["output"]["text"], "a!");
    }
    sandbox.write(".orchestrator/config.toml", "plugins = [\"./plugins/shout.py\"]\n");
    let ran = crate::Said::of(&below.output().unwrap()).exits(0).json();
    assert_eq!(ran["outputs"]["said"], "HELLO");
    let shown = sandbox.run("config show").exits(0);
    assert!(shown.out.contains("plugins/shout.py") && shown.out.contains("plugins[0]"), "{}", shown.out);
    let checks = sandbox.run("doctor --json").exits(0).json();
    let checks = checks["checks"].as_array().unwrap();
    let check = checks.iter().find(|check| check["name"] == "plugin").unwrap();
    assert!(check["status"] == "ok" && check["text"].as_str().unwrap().starts_with("shout: "), "{check}");
}

#[test]
fn what_is_no_plugin_is_refused_with_its_file_and_its_place() {
    let sandbox = Sandbox::with(&[("loud.yaml", LOUD)]);
    for (from, to, told) in [
        (
            "\"kind\": \"shout\"",
            "\"kind\": \"http\"",
            "kinds[0].kind: `http` is a kind of orchestrator itself",
        ),
        ("\"kind\": \"shout\"", "\"kind\": \"workflow\"", "`workflow` is a kind of orchestrator itself"),
        (
            "\"type\": \"boolean\"",
            "\"format\": \"x\"",
            "kinds[0].config_schema.properties.hang.format: a schema has no such word",
        ),
        ("\"summary\"", "\"sumary\"", "kinds[0].sumary: unknown key"),
        ("protocol=1", "protocol=2", "protocol: it speaks version 2"),
        ("import json", "import jsn", "ModuleNotFoundError: No module named 'jsn'"),
    ] {
        program(&sandbox, "bad.py", &SHOUT.replace(from, to));
        let said = sandbox.run("validate loud.yaml --plugin bad.py").exits(3);
        assert!(
            said.err.contains("./bad.py is no plugin (flag --plugin)") && said.err.contains(told),
            "{}",
            said.err
        );
    }
    let twice = with_plugin(&[(".orchestrator/config.toml", "plugins = [\"./plugins/shout.py\"]\n")]);
    let said = twice.run("plugins list --plugin plugins/shout.py").exits(3);
    assert!(said.err.contains("`shout` is brought by"), "{}", said.err);
    let problem = twice.run("plugins list --json --plugin plugins/shout.py").exits(3).problem();
    assert_eq!(problem["code"], "plugin_invalid");
    // Who needs none of them does not start them, and `doctor` looks on.
    twice.run("version --plugin nowhere.py").exits(0);
    twice.run("config show --plugin nowhere.py").exits(0);
    let checks = twice.run("doctor --json --plugin nowhere.py").exits(1).json();
    let checks = checks["checks"].as_array().unwrap();
    let failed =
        checks.iter().find(|check| check["name"] == "plugin" && check["status"] == "failed").unwrap();
    assert!(failed["text"].as_str().unwrap().contains("./nowhere.py: No such file"), "{failed}");
}

#[test]
fn what_the_file_says_of_them_is_checked() {
    for (text, told) in [
        ("plugins = \"shout.py\"", "plugins: expected a list, found the text \"shout.py\""),
        ("plugins = [5]", "plugins.0: expected a text or a mapping, found the whole number 5"),
        ("plugins = [{ env = [] }]", "plugins.0: missing `command`"),
        ("plugins = [{ command = [] }]", "plugins.0.command: it names no program"),
        (
            "plugins = [{ command = [\"a\"], enf = [] }]",
            "plugins.0.enf: unknown key \"enf\" (did you mean \"env\"?)",
        ),
        ("plugin = []", "did you mean `plugins`?"),
    ] {
        let said = Sandbox::with(&[(".orchestrator/config.toml", text)]).run("plugins list").exits(2);
        assert!(said.err.contains(told), "{}", said.err);
    }
}

#[test]
fn a_secret_is_given_and_not_shown() {
    let flow = "\
name: loud
secrets: [WORD]
steps:
  greet: { uses: shout, with: { text: \"${{ secrets.WORD }}\" } }
";
    let sandbox = with_plugin(&[("loud.yaml", flow)]);
    let mut run = sandbox.command(["run", "loud.yaml", "--json", "--logs", "--plugin", "plugins/shout.py"]);
    let said = crate::Said::of(&run.env("ORCHESTRATOR_SECRET_WORD", "c4nary").output().unwrap()).exits(0);
    let logs = sandbox.run("runs logs @last").exits(0);
    assert!(logs.out.contains("shouting ***"), "{}", logs.out);
    assert!(!format!("{}{}{}", said.out, said.err, logs.out).contains("c4nary"));
}

/// The process of a step that hangs.
pub(crate) fn hanging(sandbox: &Sandbox) -> OwnedFd {
    sandbox::until(|| sandbox.path("pid").exists() && !sandbox.read("pid").is_empty());
    let pid = Pid::from_raw(sandbox.read("pid").parse().unwrap()).unwrap();
    pidfd_open(pid, PidfdFlags::empty()).expect("it is alive")
}

pub(crate) fn ends(process: &OwnedFd) {
    let limit = Timespec::try_from(PATIENCE).unwrap();
    assert_eq!(
        poll(&mut [PollFd::new(process, PollFlags::IN)], Some(&limit)).unwrap(),
        1,
        "it is still alive"
    );
}

#[test]
fn it_ends_when_we_are_killed_and_its_step_is_unknown() {
    let hangs = LOUD.replace("text: hello", "text: hello, hang: true");
    let sandbox = with_plugin(&[("loud.yaml", &hangs)]);
    let mut run = sandbox.spawn("run loud.yaml --plugin plugins/shout.py");
    let process = hanging(&sandbox);
    run.kill().unwrap();
    run.wait().unwrap();
    ends(&process);
    sandbox.run("runs resume @last --plugin plugins/shout.py").exits(9);
    let shown = sandbox.run("runs show @last --json").exits(0).json();
    assert_eq!(shown["steps"][0]["status"], "outcome_unknown");
}

#[test]
fn it_ends_when_we_are_told_to_stop() {
    let hangs = LOUD.replace("text: hello", "text: hello, hang: true");
    let sandbox = with_plugin(&[("loud.yaml", &hangs)]);
    let run = sandbox.spawn("run loud.yaml --plugin plugins/shout.py --grace 100ms");
    let process = hanging(&sandbox);
    kill_process(Pid::from_child(&run), Signal::INT).unwrap();
    let said = crate::Said::by(run).exits(130);
    ends(&process);
    assert!(said.err.contains("--plugin plugins/shout.py"), "{}", said.err);
}
