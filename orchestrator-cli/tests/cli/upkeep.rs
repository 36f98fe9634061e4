//! `migrate`, `backup`, `restore`, `prune`, `store …`.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use crate::{ASK, HELLO, Said, Sandbox};

/// A store with two runs that have ended and one that waits.
fn filled() -> Sandbox {
    let sandbox = Sandbox::with(&[("hello.yaml", HELLO), ("ask.yaml", ASK)]);
    sandbox.run("run hello.yaml -q").exits(0);
    sandbox.run("run hello.yaml -q -i name=Ada").exits(0);
    sandbox.run("run ask.yaml -q").exits(9);
    // Whoever closes a store as the last one moves its log into its file.
    sandbox.run("migrate").exits(0);
    sandbox
}

fn runs(sandbox: &Sandbox) -> Vec<Value> {
    sandbox.run("runs list --json").exits(0).json()["items"].as_array().unwrap().clone()
}

/// A run that is driven by a process of its own until something is written into `go`.
fn driven(sandbox: &Sandbox) -> std::process::Child {
    sandbox.write("slow.yaml", "name: slow\nsteps:\n  a:\n    run: echo > begun; cat go\n    effect: pure\n");
    sandbox.pipe("begun");
    sandbox.pipe("go");
    let run = sandbox.spawn("run slow.yaml -q");
    sandbox.hear("begun");
    run
}

fn go(sandbox: &Sandbox, run: std::process::Child) {
    fs::write(sandbox.path("go"), "on\n").unwrap();
    Said::by(run).exits(0);
}

#[test]
fn migrating_what_is_up_to_date_does_nothing() {
    let sandbox = filled();
    let before = fs::read(sandbox.path(".orchestrator/state.db")).unwrap();
    for _ in 0..2 {
        let said = sandbox.run("migrate").exits(0);
        assert!(said.out.contains("up to date"), "{}", said.out);
    }
    let told = sandbox.run("migrate --json").exits(0).json();
    assert_eq!(told["applied"], json!([]));
    assert!(told["schema"].as_str().unwrap().starts_with('m'), "{told}");
    assert!(fs::read(sandbox.path(".orchestrator/state.db")).unwrap() == before);
    let run = driven(&sandbox);
    sandbox.run("migrate").exits(0);
    go(&sandbox, run);
}

#[test]
fn a_backup_is_whole_while_the_store_is_used() {
    let sandbox = filled();
    let run = driven(&sandbox);
    let told = sandbox.run("backup copy.db --json").exits(0).json();
    assert_eq!((&told["file"], &told["verified"]), (&"copy.db".into(), &true.into()));
    assert_eq!(told["bytes"], fs::metadata(sandbox.path("copy.db")).unwrap().len());
    assert_eq!(fs::metadata(sandbox.path("copy.db")).unwrap().permissions().mode() & 0o777, 0o600);
    go(&sandbox, run);
    let copied = sandbox.run("runs list --store sqlite:copy.db --json").exits(0).json();
    assert_eq!(copied["items"].as_array().unwrap().len(), 4);
    sandbox.run("store check --store sqlite:copy.db").exits(0);
    // The run that was driven when it was made can be driven on from it.
    assert_eq!(copied["items"][0]["status"], "running");
    let left: Vec<String> = sandbox.listing().into_iter().filter(|file| file.contains("partial")).collect();
    assert_eq!(left, [""; 0]);
}

#[test]
fn nothing_is_overwritten_unless_it_is_meant_to_be() {
    let sandbox = filled();
    sandbox.write("there.db", "precious");
    let said = sandbox.run("backup there.db").exits(6);
    assert!(said.err.contains("there.db exists") && said.err.contains("--force"), "{}", said.err);
    assert_eq!(sandbox.read("there.db"), "precious");
    let said = sandbox.run("backup there.db --force").exits(0);
    assert!(said.out.contains("written and verified"), "{}", said.out);
    let ours = sandbox.run("backup .orchestrator/state.db --force").exits(2);
    assert!(ours.err.contains("is the store itself"), "{}", ours.err);
    let before = runs(&sandbox);
    let said = sandbox.run("restore there.db").exits(6);
    assert!(said.err.contains("state.db exists") && said.err.contains("--force"), "{}", said.err);
    assert_eq!(runs(&sandbox), before);
}

#[test]
fn what_was_backed_up_comes_back() {
    let sandbox = filled();
    let before = runs(&sandbox);
    let waits = sandbox.last_id();
    sandbox.run("backup copy.db").exits(0);
    sandbox.run(&format!("approval reject {waits}")).exits(0);
    sandbox.run("run hello.yaml -q").exits(0);
    sandbox.run("restore copy.db --force").exits(0);
    assert_eq!(runs(&sandbox), before);
    sandbox.run("store check").exits(0);
    // And goes on.
    sandbox.run(&format!("approval approve {waits}")).exits(0);
    sandbox.run(&format!("runs resume {waits} -q")).exits(0);
    // Into a place where nothing was.
    fs::remove_dir_all(sandbox.path(".orchestrator")).unwrap();
    let told = sandbox.run("restore copy.db --json").exits(0).json();
    assert_eq!(told["verified"], true);
    assert_eq!(runs(&sandbox), before);
}

#[test]
fn a_store_that_someone_has_open_is_not_replaced() {
    let sandbox = filled();
    sandbox.run("backup copy.db").exits(0);
    let run = driven(&sandbox);
    let said = sandbox.run("restore copy.db --force").exits(6);
    assert!(said.err.contains("someone has") && said.err.contains("open"), "{}", said.err);
    go(&sandbox, run);
    assert_eq!(runs(&sandbox).len(), 4);
    sandbox.run("restore copy.db --force").exits(0);
    assert_eq!(runs(&sandbox).len(), 3);
}

#[test]
fn what_is_no_backup_is_not_restored() {
    let sandbox = filled();
    sandbox.run("backup copy.db").exits(0);
    let mut damaged = fs::read(sandbox.path("copy.db")).unwrap();
    let middle = damaged.len() / 2;
    damaged[middle..middle + 6000].fill(0xa5);
    sandbox.write("damaged.db", &damaged);
    sandbox.write("short.db", &damaged[..5000]);
    sandbox.write("text.db", "this is not a database, whatever its name may say");
    sandbox.write("empty.db", "");
    let kept = runs(&sandbox);
    // What SQLite keeps beside a file that it has open may stay behind.
    let listing = || {
        let mut files = sandbox.listing();
        files.retain(|file| !file.contains("state.db-"));
        files
    };
    let before = listing();
    for (words, code, text) in [
        ("restore damaged.db --force", 7, "damaged.db"),
        ("restore short.db --force", 7, "short.db"),
        ("restore text.db --force", 7, "text.db"),
        ("restore empty.db --force", 2, "no backup"),
        ("restore nothing.db --force", 4, "nothing.db"),
        ("restore . --force", 2, "no backup"),
        ("restore copy.db --store memory", 2, "memory"),
        ("backup x.db --store memory", 2, "memory"),
        ("backup x.db --store sqlite:nothing.db", 4, "no store"),
        ("backup no/such/x.db", 7, "no/such"),
        ("backup .", 6, "exists"),
        ("backup . --force", 2, "folder"),
        ("prune --older-than 5", 2, "--older-than"),
        ("prune --older-than=-5d", 2, "--older-than"),
        ("prune --store sqlite:nothing.db", 4, "no store"),
        ("migrate --store sqlite:nothing.db", 4, "no store"),
        ("store show --store sqlite:nothing.db", 4, "no store"),
        ("store check --store sqlite:text.db", 7, "text.db"),
        ("store", 2, "Commands:"),
    ] {
        let said = sandbox.run(words).exits(code);
        assert!(said.out.is_empty() && said.err.contains(text), "{words}: {said:?}");
        assert_eq!(listing(), before, "{words}");
    }
    assert_eq!(runs(&sandbox), kept);
    let said = sandbox.run("store check --store sqlite:damaged.db --json");
    assert_eq!((said.code, &said.problem()["exit_code"]), (7, &7.into()));
}

#[test]
fn half_of_a_store_is_no_backup() {
    let sandbox = filled();
    sandbox.run("run hello.yaml -q").exits(0);
    // What was committed last is in the log beside the file: whoever copies one has lost the other.
    let log = sandbox.path(".orchestrator/state.db-wal");
    assert!(fs::metadata(&log).unwrap().len() > 0, "a run leaves its log");
    fs::copy(sandbox.path(".orchestrator/state.db"), sandbox.path("copied.db")).unwrap();
    fs::copy(log, sandbox.path("copied.db-wal")).unwrap();
    let said = sandbox.run("restore copied.db --force").exits(2);
    assert!(said.err.contains("a store in use, not a backup"), "{}", said.err);
    assert_eq!(runs(&sandbox).len(), 4);
}

#[test]
fn only_runs_that_ended_long_ago_are_removed() {
    let sandbox = filled();
    let waits = sandbox.last_id();
    let said = sandbox.run("prune").exits(0);
    assert_eq!(said.out, "no run ended more than 30d ago\n");
    let dry = sandbox.run("prune --older-than 0s --dry-run --json").exits(0).json();
    assert_eq!((&dry["runs"], &dry["dry_run"], &dry["freed_bytes"]), (&2.into(), &true.into(), &0.into()));
    assert!(dry["events"].as_u64().unwrap() >= 8, "{dry}");
    assert_eq!(runs(&sandbox).len(), 3);
    let said = sandbox.run("prune --older-than 0s --dry-run").exits(0);
    assert!(said.out.starts_with("would remove 2 runs that ended more than 0s ago: "), "{}", said.out);
    let told = sandbox.run("prune --older-than 0s --json").exits(0).json();
    for key in ["runs", "events", "lines", "values"] {
        assert_eq!(told[key], dry[key], "{key}");
    }
    let left = runs(&sandbox);
    assert_eq!((left.len(), left[0]["run_id"].as_str()), (1, Some(&*waits)));
    sandbox.run("store check").exits(0);
    sandbox.run(&format!("approval approve {waits}")).exits(0);
    sandbox.run("runs resume @last -q").exits(0);
    assert_eq!(sandbox.run("prune --older-than 0s --json").json()["runs"], 1);
    assert_eq!(runs(&sandbox), [] as [Value; 0]);
}

#[test]
fn removing_gives_space_back_unless_the_store_is_in_use() {
    let big = "name: big\nsteps:\n  a:\n    run: seq 1 40000\n    effect: pure\n";
    let sandbox = Sandbox::with(&[("big.yaml", big)]);
    sandbox.run("run big.yaml -q").exits(0);
    let size = || fs::metadata(sandbox.path(".orchestrator/state.db")).unwrap().len();
    sandbox.run("migrate").exits(0);
    let before = size();
    let run = driven(&sandbox);
    let said = sandbox.run("prune --older-than 0s").exits(0);
    assert!(said.out.starts_with("removed 1 run") && said.err.contains("keeps its size"), "{said:?}");
    go(&sandbox, run);
    let told = sandbox.run("prune --older-than 0s --json").exits(0).json();
    assert!(told["freed_bytes"].as_u64().unwrap() > before / 2, "{told}");
    assert!(size() < before / 2, "{} of {before}", size());
}

#[test]
fn a_store_says_what_it_holds() {
    let sandbox = filled();
    sandbox.run("workflow register hello.yaml").exits(0);
    let shown = sandbox.run("store show --json").exits(0).json();
    assert_eq!(shown["runs"], json!({ "blocked": 1, "completed": 2 }));
    assert_eq!((&shown["tables"]["runs"], &shown["tables"]["documents"]), (&3.into(), &1.into()));
    assert_eq!(
        (&shown["kind"], &shown["durable"], &shown["processes"]),
        (&"sqlite".into(), &true.into(), &0.into())
    );
    let text = sandbox.run("store show").exits(0).out;
    assert!(text.contains("1 blocked, 2 completed") && text.contains("by nobody"), "{text}");
    let said = sandbox.run("store check").exits(0);
    assert!(said.out.contains("whole"), "{}", said.out);
    assert_eq!(sandbox.run("store check --json").exits(0).json()["ok"], true);
}

/// A step that gives 5 MiB in its result and prints as much, and one that uses both.
const LARGE: &str = "name: large
steps:
  make:
    run: |
      head -c 5242880 /dev/zero | tr '\\0' x > big
      printf '%s' 'big=' | cat - big > \"$ORCHESTRATOR_OUTPUT\"
      cat big
    with: { output_limit: 6000000 }
  use:
    needs: make
    run: wc -c
    with: { stdin: \"${{ steps.make.big ~ steps.make.stdout }}\" }
outputs:
  counted: ${{ steps.use.stdout | trim }}
  big: ${{ steps.make.big }}
";

#[test]
fn large_outputs_are_used_copied_and_checked() {
    let sandbox = Sandbox::with(&[("large.yaml", LARGE)]);
    let told = sandbox.run("run large.yaml -q --json").exits(0).json();
    assert_eq!(told["outputs"]["counted"], "10485760");
    let given = &told["steps"][0]["output"];
    assert_eq!((given["big"].as_str().unwrap().len(), &given["truncated"]), (5 << 20, &false.into()));
    let id = sandbox.last_id();
    let shown = sandbox.run(&format!("runs show {id} --json")).exits(0).json();
    assert_eq!(shown["outputs"], told["outputs"]);
    // Beside the database: the output of the first step, the request of the second, and the outputs of the run.
    let kept = sandbox.run("store show --json").exits(0).json();
    assert_eq!(kept["artifacts"], 3);
    assert!(
        kept["artifact_bytes"].as_u64() > Some(25 << 20) && kept["bytes"].as_u64() < Some(1 << 20),
        "{kept}"
    );
    assert!(sandbox.run("store show").exits(0).out.contains("3 files of large values"));

    let said = sandbox.run("backup copy.db").exits(0);
    assert!(said.out.contains("copy.db-artifacts: keep both"), "{}", said.out);
    fs::remove_dir_all(sandbox.path(".orchestrator")).unwrap();
    sandbox.run("restore copy.db").exits(0);
    let again = sandbox.run(&format!("runs show {id} --json")).exits(0).json();
    assert_eq!(again["outputs"], told["outputs"]);
    sandbox.run("store check").exits(0);

    // One that is lost is told with its run, wherever it is missed.
    fs::remove_dir_all(sandbox.path(".orchestrator/state.db-artifacts")).unwrap();
    let said = sandbox.run("store check").exits(7);
    assert!(said.err.contains(&id) && said.err.contains("which is missing"), "{}", said.err);
    let said = sandbox.run(&format!("runs show {id} --json")).exits(7);
    assert!(said.err.contains("sha256:") && said.err.contains("state.db-artifacts"), "{}", said.err);
}
