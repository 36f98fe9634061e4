//! `fix-and-pr.yaml`, against a double of GitHub over a real repository; killed at each of its steps, too.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::sync::mpsc::channel;
use std::time::Duration;

use serde_json::{Value, json};

use crate::bench::{Bench, Done, example_file, step};
use crate::double::hub::Hub;
use crate::double::{Fault, Server};

/// Longer than a run takes to get anywhere; reached only by one that does not.
const HANG: Duration = Duration::from_secs(60);

/// The steps, in the order in which they begin.
const STEPS: [&str; 8] = ["clone", "branch", "edit", "commit", "push", "open", "checks", "merge"];

/// A folder with a bare repository in it, and a hub that shows it.
struct Place {
    bench: Bench,
    hub: Server<Hub>,
}

impl Place {
    /// With this text in the file.
    fn with(text: &str) -> Self {
        let place = Self { bench: Bench::new(), hub: Hub::start() };
        place.git(&["init", "--quiet", "-b", "main", "seed"]);
        fs::write(place.bench.path().join("seed/README.md"), text).expect("it can be written");
        place.git(&["-C", "seed", "add", "."]);
        let who =
            ["-c", "user.name=A Name", "-c", "user.email=name@example.org", "-c", "commit.gpgsign=false"];
        place.git(&[&["-C", "seed"][..], &who, &["commit", "--quiet", "-m", "Begin"]].concat());
        place.git(&["clone", "--quiet", "--bare", "seed", "site.git"]);
        let origin = place.bench.path().join("site.git");
        place.hub.with(|hub| {
            hub.repository = Some(origin);
            hub.ci = true;
        });
        let secrets = place.bench.path().join(".orchestrator/secrets.env");
        fs::create_dir_all(secrets.parent().expect("it has one")).expect("a folder");
        fs::write(&secrets, "FORGE_TOKEN=token-of-ada\n").expect("it can be written");
        fs::set_permissions(&secrets, fs::Permissions::from_mode(0o600)).expect("its owner's alone");
        // The example as it is, with a word that its steps may reach the double.
        let flow = fs::read_to_string(example_file("fix-and-pr.yaml")).expect("it is there");
        let grant = place.hub.url.trim_start_matches("http://");
        let flow = format!("{flow}\npermissions: {{ network: [\"{grant}\"] }}\n");
        fs::write(place.bench.path().join("flow.yaml"), flow).expect("it can be written");
        place
    }

    /// Lets the checks be over before anybody looks, where the wait for them is not what matters.
    fn checked(self) -> Self {
        let build = json!({ "name": "build", "status": "completed", "conclusion": "success" });
        self.hub.with(|hub| (hub.ci, hub.check_runs) = (false, vec![build]));
        self
    }

    fn git(&self, args: &[&str]) -> String {
        let done = self.bench.command("git", args);
        assert_eq!(done.code, Some(0), "git {args:?}: {done:?}");
        done.stdout.trim_end().to_owned()
    }

    fn run(&self, how: &str) -> Vec<String> {
        let base = format!("base_url={}", self.hub.url);
        let url = format!("url={}", self.bench.path().join("site.git").display());
        ["run", "flow.yaml", how, "-i", &base, "-i", &url, "-i", "every=1s"].map(str::to_owned).to_vec()
    }

    fn orchestrator(&self, args: &[String]) -> Done {
        self.bench.orchestrator(&args.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// Kills whoever drives the run as soon as a step has begun; `false` if it had ended by itself.
    fn kill_when_begun(&self, name: &str) -> bool {
        let mut process = self.bench.begin(&self.run("--json=stream"));
        let said = BufReader::new(process.stdout.take().expect("its output"));
        let begun = said.lines().map_while(Result::ok).any(|line| {
            let event: Value = serde_json::from_str(&line).unwrap_or_default();
            event["kind"] == "step.begun" && event["step"] == name
        });
        let _ = process.kill();
        process.wait().expect("it ends");
        begun
    }

    /// Kills whoever drives the run when GitHub has done what it was asked and the answer is on its way.
    fn kill_before_the_answer(&self, method: &str, end: &str) {
        let (done, heard) = channel();
        self.hub.fault(method, end, Fault::Held(done));
        let mut process = self.bench.begin(&self.run("--json=stream"));
        heard.recv_timeout(HANG).expect("it is asked");
        process.kill().expect("it waits for the answer");
        process.wait().expect("it ends");
    }

    /// That all has happened, and once.
    fn is_fixed_once(&self, report: &Value, place: &str) {
        assert_eq!(report["status"], "completed", "{place}: {report}");
        assert_eq!(self.git(&["-C", "site.git", "show", "main:README.md"]), "the cat and the dog", "{place}");
        let subjects = self.git(&["-C", "site.git", "log", "--topo-order", "--format=%s", "main"]);
        assert_eq!(subjects, "Merge\nFix a typo\nBegin", "{place}");
        assert_eq!(
            self.git(&["-C", "site.git", "rev-list", "--count", "--all"]),
            "3",
            "{place}: nothing is left over"
        );
        let merged = self.git(&["-C", "site.git", "rev-parse", "main"]);
        assert_eq!(report["outputs"]["merged"], *merged, "{place}");
        self.hub.with(|hub| {
            assert_eq!(hub.pulls.len(), 1, "{place}");
            let pull = &hub.pulls[0];
            assert_eq!(
                (&*pull.title, &*pull.head, &*pull.base),
                ("Fix a typo", "acme:fix-typo", "main"),
                "{place}"
            );
        });
        let asked = |method: &str, end: &str| self.hub.count(method, end);
        assert_eq!((asked("POST", "pulls"), asked("PUT", "merge")), (1, 1), "{place}");
    }
}

#[test]
fn a_typo_becomes_a_merged_pull_request() {
    let place = Place::with("teh cat and teh dog\n");
    let done = place.orchestrator(&place.run("--json"));
    assert_eq!(done.code, Some(0), "{done:?}");
    let report = done.json();
    place.is_fixed_once(&report, "undisturbed");
    assert_eq!(report["outputs"]["pull_request"], format!("{}/acme/site/pull/1", place.hub.url));
    assert_eq!(place.hub.count("GET", "check-runs"), 3, "none, then one that runs, then its success");
    assert!(!format!("{done:?}").contains("token-of-ada"));
}

#[test]
fn where_there_is_nothing_to_fix_nothing_is_proposed() {
    let place = Place::with("the cat\n");
    let done = place.orchestrator(&place.run("--json"));
    assert_eq!(done.code, Some(0), "{done:?}");
    let report = done.json();
    assert_eq!(step(&report, "commit")["status"], "completed");
    for name in ["push", "open", "checks", "merge"] {
        assert_eq!(step(&report, name)["status"], "skipped", "{name}");
    }
    assert_eq!(place.hub.received().len(), 0);
}

#[test]
fn one_that_is_killed_at_any_step_ends_as_if_nobody_had() {
    for name in STEPS {
        let place = Place::with("teh cat and teh dog\n");
        let place = if name == "checks" { place } else { place.checked() };
        assert!(place.kill_when_begun(name), "{name}: it has not begun");
        let done = place.bench.orchestrator(&["runs", "resume", "@last", "--json"]);
        assert_eq!(done.code, Some(0), "{name}: {done:?}");
        place.is_fixed_once(&done.json(), name);
    }
}

#[test]
fn what_github_did_before_a_kill_is_not_done_again() {
    for (method, end) in [("POST", "pulls"), ("PUT", "merge")] {
        let place = Place::with("teh cat and teh dog\n").checked();
        place.kill_before_the_answer(method, end);
        let done = place.bench.orchestrator(&["runs", "resume", "@last", "--json"]);
        assert_eq!(done.code, Some(0), "{end}: {done:?}");
        place.is_fixed_once(&done.json(), end);
    }
}
