//! `task …`: people, agents and scripts who claim work, some of whom are killed.

use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::{Said, Sandbox};

/// A claimer that knows nothing but the command line and its JSON: claims what there is, works for a moment, and keeps an
/// account of what it has.
const CLAIMER: &str = r#"
set -u
field() { sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p" "$2"; }
now() { date +%s%3N; }
me=$1
while true; do
  orchestrator task claim --wait --by "$me" --json >"$me.json" 2>"$me.err"
  exit=$?
  [ "$exit" -eq 0 ] || break
  task=$(field run_id "$me.json")
  paths=$(field prompt "$me.json")
  echo "take $task $(now) $paths" >>account
  sleep "0.$((RANDOM % 3))$((RANDOM % 10))"
  test -e "$me.hangs" && { echo hung >>"$me.hung"; sleep 600; }
  orchestrator task heartbeat --claim "$me.json" --json >/dev/null 2>&1
  # Whoever comes next may begin as soon as this is said.
  echo "give $task $(now)" >>account
  orchestrator task complete --claim "$me.json" --output "{\"by\": \"$me\"}" --json >/dev/null 2>>"$me.late"
done
echo "$exit" >"$me.exit"
"#;

/// How long a claim lasts in these tests without renewal: longer than anybody works who lives.
const TTL: &str = "4s";

fn claimer(sandbox: &Sandbox, name: &str) -> Child {
    let program = env!("CARGO_BIN_EXE_orchestrator");
    let called = format!("orchestrator() {{ '{program}' \"$@\"; }}\n{CLAIMER}");
    let mut command = Command::new("bash");
    command.args(["-c", &called, "claimer", name]).current_dir(sandbox.path("."));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap()
}

/// A line of the account.
struct Line {
    takes: bool,
    task: String,
    at: u64,
    paths: String,
}

fn account(sandbox: &Sandbox) -> Vec<Line> {
    let text = sandbox.read("account");
    let lines = text.lines().map(|line| {
        let words: Vec<&str> = line.split(' ').collect();
        Line {
            takes: words[0] == "take",
            task: words[1].to_owned(),
            at: words[2].parse().unwrap(),
            paths: words.get(3).copied().unwrap_or_default().to_owned(),
        }
    });
    lines.collect()
}

/// Whether two folders are one, or one is in the other.
fn clash(one: &str, other: &str) -> bool {
    let within = |inner: &str, outer: &str| inner == outer || inner.starts_with(&format!("{outer}/"));
    within(one, other) || within(other, one)
}

/// Two tasks that were held at once and are in each other's way. Whoever was killed holds its paths for as long as its claim
/// lasts, and no longer than until somebody else has its task.
fn overlap(lines: &[Line], ttl: u64) -> Option<String> {
    let mut held: BTreeMap<&str, &Line> = BTreeMap::new();
    for line in lines {
        if !line.takes {
            held.remove(&*line.task);
            continue;
        }
        held.remove(&*line.task);
        // A claim begins before it is noted: whoever takes something this long after was killed.
        held.retain(|_, taken| line.at < taken.at + ttl);
        if let Some(other) = held.values().find(|other| clash(&other.paths, &line.paths)) {
            return Some(format!("{} and {} at {}", other.paths, line.paths, line.at));
        }
        held.insert(&line.task, line);
    }
    None
}

#[test]
fn a_team_of_which_two_are_killed_does_all_and_is_never_in_its_own_way() {
    let sandbox = Sandbox::new();
    let folders = ["src", "src/a", "src/b", "docs", "docs/guide", "web", "src/a/deep", "web/login"];
    for nth in 0..24 {
        let folder = folders[nth % folders.len()];
        let title = format!("task {nth}");
        let args = ["task", "create", &title, "-p", folder, "--writes", folder, "--claim-ttl", TTL];
        sandbox.run_args(&args).exits(0);
    }
    // Two hang with what they have.
    ["two", "four"].iter().for_each(|name| sandbox.write(&format!("{name}.hangs"), ""));
    let mut team: Vec<(&str, Child)> =
        ["one", "two", "three", "four", "five"].map(|name| (name, claimer(&sandbox, name))).into();
    for (name, child) in team.iter_mut().filter(|(name, _)| ["two", "four"].contains(name)) {
        crate::sandbox::until(|| sandbox.path(format!("{name}.hung")).exists());
        child.kill().unwrap();
    }
    for (_, child) in &mut team {
        child.wait().unwrap();
    }
    for name in ["one", "three", "five"] {
        assert_eq!(sandbox.read(&format!("{name}.exit")).trim(), "4", "there is nothing left to claim");
        assert_eq!(sandbox.read(&format!("{name}.late")), "", "nobody who lives was too late");
    }
    let listed = sandbox.run("task list --limit 1000 --json").exits(0).json();
    let items = listed["items"].as_array().unwrap();
    assert_eq!(items.len(), 24);
    assert!(items.iter().all(|item| item["status"] == "completed"), "{listed}");
    let again = items.iter().filter(|item| item["attempts"] == 2).count();
    assert_eq!(again, 2, "what the two had was done by others");
    let lines = account(&sandbox);
    assert_eq!(overlap(&lines, 4_000), None);
    assert_eq!(lines.iter().filter(|line| line.takes).count(), 26);
    // The account would tell.
    let line = |takes, task: &str, at, paths: &str| {
        let (task, paths) = (task.to_owned(), paths.to_owned());
        Line { takes, task, at, paths }
    };
    let wrong = [line(true, "a", 1, "src"), line(true, "b", 2, "src/a"), line(false, "a", 3, "")];
    assert!(overlap(&wrong, 4_000).is_some());
    sandbox.run("doctor").exits(0);
}

#[test]
fn a_task_is_created_claimed_renewed_and_done() {
    let sandbox = Sandbox::with(&[("brief.md", "All of it.\n")]);
    let made = sandbox
        .run_args(&[
            "task",
            "create",
            "Mend it",
            "-p",
            "@brief.md",
            "-t",
            "bug",
            "--label",
            "area=login",
            "--json",
        ])
        .exits(0)
        .json();
    assert_eq!(
        (&made["status"], &made["type"], &made["attempts"]),
        (&json!("queued"), &json!("bug"), &json!(1))
    );
    let task = made["run_id"].as_str().unwrap().to_owned();
    let ready = sandbox.run("task ready --json").exits(0).json();
    assert_eq!(
        (&ready["items"][0]["run_id"], ready["items"].as_array().unwrap().len()),
        (&made["run_id"], 1)
    );
    let claimed = sandbox.run("task claim --by ana --type bug --json").exits(0).json();
    assert_eq!((&claimed["run_id"], &claimed["prompt"]), (&made["run_id"], &json!("All of it.\n")));
    let token = claimed["token"].as_str().unwrap().to_owned();
    let shown = sandbox.run(&format!("task show {task} --json")).exits(0).json();
    assert_eq!((&shown["status"], &shown["claimed_by"]), (&json!("claimed"), &json!("ana")));
    assert_eq!(sandbox.run("task claim --json").exits(9).problem()["code"], "nothing_to_claim");
    let refused = sandbox.run(&format!("task claim {task} --json")).exits(6).problem();
    assert_eq!(refused["code"], "task_not_free");
    assert!(refused["title"].as_str().unwrap().contains("ana has claimed it"), "{refused}");
    let beat = sandbox.run(&format!("task heartbeat {task} --token {token} --ttl 1h --json")).exits(0).json();
    assert_eq!(beat["stop"], json!(false));
    let mut complete =
        sandbox.command(["task", "complete", &task, "--output", "{\"commit\": \"c0ffee\"}", "--json"]);
    let done = Said::of(&complete.env("ORCHESTRATOR_TASK_TOKEN", &token).output().unwrap()).exits(0).json();
    assert_eq!(done, json!({ "run_id": task, "status": "completed" }));
    let again = ["task", "complete", &task, "--token", &token, "--output", "{\"commit\": \"c0ffee\"}"];
    sandbox.run_args(&again).exits(0);
    sandbox.run(&format!("task complete {task} --token {token}")).exits(6);
    let late =
        sandbox.run(&format!("task release {task} --token {} --json", other_token())).exits(6).problem();
    assert_eq!(late["code"], "claim_over");
    let shown = sandbox.run(&format!("task show {task} --json")).exits(0).json();
    assert_eq!((&shown["status"], &shown["output"]), (&json!("completed"), &json!({ "commit": "c0ffee" })));
    assert_eq!(sandbox.run("task claim --json").exits(4).problem()["code"], "no_open_task");
    assert_eq!(sandbox.run(&format!("task claim {task} --json")).exits(6).problem()["code"], "task_not_open");
    sandbox.run("task watch").exits(0);
}

/// A token that nobody was given.
fn other_token() -> String {
    format!("own_{}", "0".repeat(32))
}

#[test]
fn what_is_in_the_way_is_said_and_who_has_claimed_what_is_cancelled_is_told() {
    let sandbox = Sandbox::new();
    let create = |args: &[&str]| -> Value {
        let args: Vec<&str> = ["task", "create"].iter().chain(args).copied().chain(["--json"]).collect();
        sandbox.run_args(&args).exits(0).json()
    };
    let first = create(&["first", "--writes", "src"]);
    let first = first["run_id"].as_str().unwrap();
    let next = create(&["next", "--after", first, "--writes", "docs"]);
    assert_eq!(next["status"], "blocked");
    let told = format!("it depends on {first}, which has not completed yet");
    assert_eq!(next["why"], json!(told));
    create(&["beside", "--reads", "src/lib.rs", "--requires", "agent=claude"]);
    let claimed = sandbox.run("task claim --json").exits(0).json();
    let token = claimed["token"].as_str().unwrap().to_owned();
    assert_eq!(claimed["paths"], json!({ "workspace": "default", "read": [], "write": ["src"] }));
    let all = sandbox.run("task ready --all --has agent=claude --json").exits(0).json();
    let why = |nth: usize| all["items"][nth]["why"].as_str().unwrap_or_default().to_owned();
    assert!(why(0).contains("has claimed it, until"), "{all}");
    assert_eq!(why(2), format!("the paths `src/lib.rs` to read: held by {first}"));
    sandbox.run(&format!("task cancel {first}")).exits(0);
    let stop = sandbox.run(&format!("task heartbeat {first} --token {token} --json")).exits(8);
    assert_eq!(stop.json()["stop"], json!(true));
    sandbox.run(&format!("task release {first} --token {token}")).exits(0);
    let shown = sandbox.run(&format!("task show {first} --json")).exits(0).json();
    assert_eq!(shown["status"], "cancelled");
    let listed = sandbox.run("task list --status blocked --json").exits(0).json();
    let told = format!("it depends on {first}, which has been cancelled");
    assert_eq!((listed["items"].as_array().unwrap().len(), &listed["items"][0]["why"]), (1, &json!(told)));
    let said = sandbox.run("task claim --has agent=claude").exits(0);
    assert!(said.out.contains("  read   src/lib.rs\n"), "{}", said.out);
    assert!(said.out.contains("beside") && said.from("orchestrator task complete").contains("--token own_"));
}

#[test]
fn a_run_that_waits_for_a_task_says_who_can_claim_it() {
    let text = "name: release\nsteps:\n  check:\n    uses: task\n    with: { title: Check the notes, type: review }\n  \
                publish:\n    needs: check\n    run: echo \"checked by $BY\"\n    effect: pure\n    \
                env: { BY: \"${{ steps.check.by }}\" }\noutputs: { said: \"${{ steps.publish.stdout }}\" }\n";
    let sandbox = Sandbox::with(&[("release.yaml", text)]);
    let said = sandbox.run("run release.yaml").exits(9);
    assert!(said.err.contains("check waits for somebody who claims it"), "{}", said.err);
    let run = sandbox.last_id();
    let ready = sandbox.run("task ready").exits(0).out;
    assert!(ready.contains("Check the notes") && ready.contains("check of release"), "{ready}");
    let claimed = sandbox.run(&format!("task claim {run} --by ana --json")).exits(0).json();
    let token = claimed["token"].as_str().unwrap();
    let moving = sandbox.run("store copy sqlite:.orchestrator/state.db sqlite:other.db").exits(6).err;
    assert!(moving.contains("ana is using") && moving.contains("orchestrator task release"), "{moving}");
    let situation = sandbox.run("doctor").exits(0).out;
    assert!(situation.contains("waits for the end of check, which somebody has claimed"), "{situation}");
    let output = ["task", "complete", &run, "--token", token, "--output", "{\"by\":\"ana\"}"];
    sandbox.run_args(&output).exits(0);
    let ended = sandbox.run(&format!("runs resume {run} --json")).exits(0).json();
    assert_eq!(ended["outputs"], json!({ "said": "checked by ana" }));
    assert_eq!(sandbox.run(&format!("task show {run} --json")).exits(3).problem()["code"], "not_a_task");
}

#[test]
fn what_is_mistyped_is_told() {
    let sandbox = Sandbox::new();
    let code = |words: &str, exit: i32| sandbox.run(&format!("{words} --json")).exits(exit).problem();
    assert_eq!(code("task claim", 4)["code"], "store_not_found");
    sandbox.run_args(&["task", "create", "one"]).exits(0);
    for (words, exit) in [
        ("task create two --claim-ttl 1ms", 2),
        ("task create two --claim-ttl soon", 2),
        ("task create two --data {", 3),
        ("task create two --label area", 2),
        ("task create two --type fun", 2),
        ("task create two --writes ../up", 3),
        ("task create two --queue two/words", 3),
        ("task create two --after run_00", 4),
        ("task claim --ttl 0s", 3),
        ("task claim --wait=later", 2),
        ("task claim --type fun", 2),
        ("task complete @last --token me", 2),
        ("task complete", 2),
        ("task complete --claim nothing.json", 4),
        ("task heartbeat run_00 --token own_00000000000000000000000000000000", 4),
        ("task complete @last --token own_00000000000000000000000000000000 --output [1]", 3),
        ("task complete @last --token own_00000000000000000000000000000000", 6),
    ] {
        code(words, exit);
    }
    let long = "t".repeat(501);
    sandbox.run_args(&["task", "create", &long]).exits(3);
    sandbox.run_args(&["task", "claim", "--by", &long]).exits(3);
    let tasks = sandbox.run("task list --status queued --json").exits(0).json();
    assert_eq!(tasks["items"].as_array().unwrap().len(), 1, "nothing was created by what was refused");
    let waited = sandbox.run("task claim --wait=200ms --queue other --json").exits(4).problem();
    assert_eq!(waited["code"], "no_open_task");
}

#[test]
fn what_was_said_otherwise_is_refused_and_what_is_to_come_is_waited_for() {
    let sandbox = Sandbox::new();
    sandbox.run_args(&["task", "create", "one", "--attempts", "9"]).exits(0);
    let claim = || {
        let said = sandbox.run("task claim --wait --ttl 1h --json").exits(0);
        sandbox.write("claim.json", &said.out);
        said.json()
    };
    let first = claim();
    let beat = sandbox.run("task heartbeat --claim claim.json --json").exits(0).json();
    assert!(beat["until"].as_str() >= first["until"].as_str(), "as long as the claim has said: {beat}");
    sandbox.run("task release --claim claim.json").exits(0);
    let refused = sandbox.run("task complete --claim claim.json --json").exits(6).problem();
    assert!(refused["title"].as_str().unwrap().contains("it has ended before, and otherwise"), "{refused}");
    claim();
    sandbox.run_args(&["task", "complete", "--claim", "claim.json", "--failed", "too hard"]).exits(0);
    // It is to be tried again in a moment: it is open, and nobody is offered it.
    claim();
    sandbox.run("task release --claim claim.json").exits(0);
    sandbox.run("runs pause @last").exits(0);
    assert_eq!(sandbox.run("task claim --json").exits(9).problem()["code"], "nothing_to_claim");
    assert_eq!(sandbox.run("task claim --wait=200ms --json").exits(8).problem()["code"], "timed_out");
    sandbox.run("task cancel @last").exits(0);
    assert_eq!(sandbox.run("task claim @last --wait --json").exits(6).problem()["code"], "task_not_open");
    // Whoever cannot be told of a claim has none.
    sandbox.run_args(&["task", "create", "two"]).exits(0);
    let mut full = sandbox.command(["task", "claim", "--json"]);
    full.stdout(std::fs::File::options().write(true).open("/dev/full").unwrap());
    assert_eq!(full.status().unwrap().code(), Some(7));
    assert_eq!(sandbox.run("task claim --json").exits(0).json()["title"], "two");
}
