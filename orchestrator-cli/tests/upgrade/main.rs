//! Upgrades: what an earlier version has stored opens with this one, shows the same, and goes on.
//!
//! `fixtures` holds a store of every schema version so far, as text; `make.py` beside them makes one. A new version
//! needs one more file there, and nothing here.

mod fixture;
#[expect(dead_code, reason = "what the tests of the command line need of it and these do not")]
#[path = "../cli/sandbox.rs"]
mod sandbox;

use fixture::{Fixture, Kept};
use serde_json::Value;

/// A name that no migration of ours will ever have.
const FUTURE: &str = "m9999_future";

fn each(check: impl Fn(&Fixture)) {
    let names = fixture::names();
    assert!(names.contains(&"v1.sql".to_owned()), "{names:?}");
    for name in names {
        println!("{name}");
        check(&Fixture::load(&name));
    }
}

/// Whether `now` says all that `before` said; it may say more.
fn says_all_of(now: &Value, before: &Value) -> bool {
    match (now, before) {
        (Value::Object(now), Value::Object(before)) => {
            before.iter().all(|(key, before)| now.get(key).is_some_and(|now| says_all_of(now, before)))
        }
        (Value::Array(now), Value::Array(before)) => {
            now.len() == before.len() && now.iter().zip(before).all(|(now, before)| says_all_of(now, before))
        }
        _ => now == before,
    }
}

#[test]
fn runs_show_the_same() {
    each(|fixture| {
        for Kept { name, run, shown } in fixture.runs() {
            let show = fixture.sandbox.run(&format!("runs show {run} --json")).exits(0).json();
            assert!(says_all_of(&show, &shown["show"]), "{name} was\n{}\nand is\n{show}", shown["show"]);
            for what in ["events", "logs"] {
                let now = fixture.sandbox.run(&format!("runs {what} {run} --json")).exits(0).json_lines();
                let now = Value::Array(now);
                assert!(says_all_of(&now, &shown[what]), "{what} of {name}\n{}\n{now}", shown[what]);
            }
        }
        let listed = fixture.sandbox.run("runs list --limit 1000 --json").exits(0).json();
        assert_eq!(listed["items"].as_array().unwrap().len(), fixture.runs().len());
    });
}

#[test]
fn migrating_is_done_once_and_said() {
    each(|fixture| {
        let before = fixture.migrations();
        let told = fixture.sandbox.run("migrate --json").exits(0).json();
        let applied: Vec<String> = serde_json::from_value(told["applied"].clone()).unwrap();
        let now = fixture.migrations();
        assert_eq!(now, [before, applied].concat());
        assert_eq!(now.last().map(String::as_str), told["schema"].as_str());
        assert_eq!(fixture.sandbox.run("migrate --json").exits(0).json()["applied"], serde_json::json!([]));
        fixture.sandbox.run("store check").exits(0);
    });
}

#[test]
fn a_backup_can_be_made_before_anything_is_changed() {
    each(|fixture| {
        let before = fixture.migrations();
        fixture.sandbox.run("backup before.db").exits(0);
        assert_eq!(fixture.migrations(), before);
        fixture.sandbox.run("migrate").exits(0);
        fixture.sandbox.run("restore before.db --force").exits(0);
        assert_eq!(fixture.migrations(), before);
        let ended = fixture.sandbox.run("prune --older-than 0s --json").exits(0).json();
        let all = fixture.runs();
        let kept = all.iter().filter(|kept| kept.shown["show"]["finished_at"].is_null()).count();
        assert_eq!(ended["runs"], all.len() - kept);
        let open = fixture.sandbox.run("runs list --open --limit 1000 --json").exits(0).json();
        assert_eq!(open["items"].as_array().unwrap().len(), kept);
    });
}

#[test]
fn live_runs_finish() {
    each(|fixture| {
        // What steps read that were waiting for it when their processes died.
        fixture.sandbox.write("go", "gone on\n");
        fixture.sandbox.write("repaired", "");
        for kept in fixture.runs() {
            finish(fixture, &kept);
        }
        let open = fixture.sandbox.run("runs list --open --json").exits(0).json();
        assert_eq!(open["items"], serde_json::json!([]), "nothing is left open");
    });
}

/// Does what the condition of a run asks for, and checks the end.
fn finish(fixture: &Fixture, Kept { name, run, shown }: &Kept) {
    let say = |words: &str, code| fixture.sandbox.run(&words.replace("RUN", run)).exits(code);
    let completes = |said: &str| {
        let ended = say("runs resume RUN -q --json", 0).json();
        assert_eq!((&ended["status"], &ended["outputs"]["said"]), (&"completed".into(), &said.into()));
        assert!(ended["finished_at"].is_string());
    };
    match name.as_str() {
        "completed" | "approved" | "failed" | "cancelled" => {
            assert!(shown["show"]["finished_at"].is_string(), "{name} had ended");
            say("runs cancel RUN", 6);
        }
        "asks" => {
            say("approval approve RUN", 0);
            completes("went on");
        }
        "half" => {
            let retried = say("runs retry RUN --json", 0).json();
            assert_eq!(retried["outputs"]["said"], "after 3");
            assert_eq!(retried["steps"][1]["attempts"], 1, "what had succeeded is not done again");
        }
        "undone" => {
            let retried = say("runs retry RUN --json", 0).json();
            assert_eq!(retried["outputs"]["said"], "booked");
            assert_eq!(retried["steps"][0]["attempts"], 2, "what was undone is done again");
        }
        "signal" => {
            let words = ["runs", "signal", run, "go", "--data", "{\"answer\": 42}"];
            fixture.sandbox.run_args(&words).exits(0);
            completes("went on with 42");
        }
        "judged" => {
            say("runs qa RUN draft --pass", 0);
            completes("a draft");
        }
        "parent" => {
            let waiting = shown["show"]["waiting_for"][0].clone();
            let child = waiting["run_id"].as_str().or_else(|| waiting["run"].as_str()).expect("whose it is");
            say(&format!("approval approve {child} review"), 0);
            completes("Ada below above");
        }
        "paused" => {
            say("runs resume RUN -q", 9);
            say("approval reject RUN review", 0);
            assert_eq!(say("runs resume RUN --json", 0).json()["status"], "completed");
        }
        "killed-pure" => completes("after gone on"),
        "killed-once" => {
            say("runs resume RUN -q", 9);
            say("runs resolve RUN effect --not-applied", 0);
            completes("after");
        }
        "in-doubt" => {
            let words = ["runs", "resolve", run, "effect", "--applied", "--output", "{\"answer\": 42}"];
            fixture.sandbox.run_args(&words).exits(0);
            completes("after 42");
        }
        "quarantined" => {
            say("runs resolve RUN poison --not-applied", 0);
            assert_eq!(say("runs resume RUN --json", 0).json()["status"], "completed");
        }
        // Its timers have been due since shortly after it was made.
        "backoff" | "stopped" => assert_eq!(say("runs resume RUN --json", 0).json()["status"], "completed"),
        "sleeps" => completes("woke up"),
        "far" => {
            assert!(say("doctor", 0).out.contains("has something due"));
            say("runs cancel RUN", 0);
            say("runs wait RUN", 8);
        }
        other => panic!("say how a run that was left `{other}` is finished"),
    }
}

#[test]
fn keys_still_answer_with_their_run() {
    each(|fixture| {
        let first = fixture.run("completed");
        let again = "run completed.yaml -i name=Ada --idempotency-key key-1 --json";
        fixture.sandbox.write("completed.yaml", fixture.text_of("completed"));
        assert_eq!(fixture.sandbox.run(again).exits(0).json()["run_id"], first.run.as_str());
        fixture.sandbox.run(&again.replace("Ada", "Bob")).exits(6);
    });
}

#[test]
fn a_newer_schema_is_refused_and_nothing_is_changed() {
    each(|fixture| {
        fixture.sandbox.write("flow.yaml", "name: flow\nsteps:\n  a:\n    run: echo a\n    effect: pure\n");
        // Today's tables, and then those of a later version.
        fixture.sandbox.run("runs list").exits(0);
        fixture.execute(&format!("INSERT INTO orchestrator_migrations VALUES ('{FUTURE}', 0)"));
        let before = fixture.content();
        let run = fixture.run("asks").run;
        for words in [
            "runs list",
            "run flow.yaml",
            "runs show @last",
            "approval list",
            "runs cancel @last",
            "migrate",
            "prune",
            "store show",
            "store check",
            "backup x.db",
            "workflow list",
        ] {
            let said = fixture.sandbox.run(words).exits(7);
            assert!(said.out.is_empty() && said.err.contains(FUTURE), "{words}: {said:?}");
            assert!(said.err.contains("newer version") && said.err.contains("use"), "{words}: {}", said.err);
        }
        let problem = fixture.sandbox.run(&format!("runs resume {run} --json")).exits(7).problem();
        assert_eq!((&problem["code"], &problem["exit_code"]), (&"store_incompatible".into(), &7.into()));
        fixture.sandbox.run("doctor").exits(1);
        assert!(fixture.content() == before, "a store of a later version was changed");
    });
}
