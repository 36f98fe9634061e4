//! `workflow …`: texts kept under names.

use serde_json::{Value, json};

use crate::{HELLO, Said, Sandbox, stable, stable_json};

/// The same workflow with other words in it.
fn greeting(word: &str) -> String {
    HELLO.replace("Hello", word)
}

fn registered(sandbox: &Sandbox, word: &str) -> Said {
    sandbox.write("hello.yaml", greeting(word));
    sandbox.run("workflow register hello.yaml").exits(0)
}

/// Times and users replaced.
fn steady(said: &Said) -> String {
    let user = std::process::Command::new("id").arg("-un").output().unwrap().stdout;
    let user = String::from_utf8(user).unwrap();
    let mut text = stable(&said.out).replace(&format!("by {}", user.trim()), "by USER");
    text = text.replace(&format!("  {}\n", user.trim()), "  USER\n");
    for ago in ["SPAN ago", "in SPAN"] {
        text = text.replace(ago, "now");
    }
    while text.contains("   ") {
        text = text.replace("   ", "  ");
    }
    text
}

#[test]
fn a_changed_text_is_a_new_revision_and_the_same_text_is_none() {
    let sandbox = Sandbox::new();
    let first = registered(&sandbox, "Hello");
    assert_eq!(first.out, "hello: registered, revision 1\n");
    assert!(first.err.contains("orchestrator workflow execute hello"), "{}", first.err);
    assert_eq!(registered(&sandbox, "Hello").out, "hello: unchanged, revision 1\n");
    let changed = registered(&sandbox, "Hallo");
    assert_eq!(changed.out, "hello: changed, revision 2\n");
    assert!(changed.err.contains("orchestrator workflow diff hello"), "{}", changed.err);
    // What was before is a change again.
    assert_eq!(registered(&sandbox, "Hello").out, "hello: changed, revision 3\n");
    let items = sandbox.run("workflow register hello.yaml --json").exits(0).json();
    let item = &items["items"][0];
    assert_eq!((&item["number"], &item["is_new"], &items["next"]), (&3.into(), &false.into(), &Value::Null));
    insta::assert_snapshot!("registered", stable_json(item));
}

#[test]
fn what_is_registered_is_listed_and_shown() {
    let sandbox = Sandbox::with(&[("ask.yaml", crate::ASK)]);
    registered(&sandbox, "Hello");
    registered(&sandbox, "Hallo");
    sandbox.run("workflow register ask.yaml").exits(0);
    insta::assert_snapshot!("list", steady(&sandbox.run("workflow list").exits(0)));
    insta::assert_snapshot!("show", steady(&sandbox.run("workflow show hello@1").exits(0)));
    let first = sandbox.run("workflow list --limit 1 --json").exits(0).json();
    assert_eq!((&first["items"][0]["workflow"], &first["next"]), (&"ask".into(), &"ask".into()));
    let rest = sandbox.run("workflow list --after ask --json").exits(0).json();
    assert_eq!((&rest["items"][0]["workflow"], &rest["next"]), (&"hello".into(), &Value::Null));
    assert_eq!(rest["items"][0]["number"], 2);
    let shown = sandbox.run("workflow show hello@1 --json").exits(0).json();
    assert_eq!((&shown["number"], &shown["latest"]), (&1.into(), &2.into()));
    assert_eq!(shown["text"], greeting("Hello"));
    let numbers: Vec<_> = shown["revisions"].as_array().unwrap().iter().map(|row| &row["number"]).collect();
    assert_eq!(numbers, [2, 1]);
}

#[test]
fn a_text_comes_back_byte_for_byte() {
    let sandbox = Sandbox::new();
    for text in [greeting("Hello"), greeting("no line end").trim_end().to_owned(), format!("{HELLO}\n\n")] {
        sandbox.write("hello.yaml", &text);
        sandbox.run("workflow register hello.yaml").exits(0);
        assert_eq!(sandbox.run("workflow show hello --text").exits(0).out, text);
        let again = sandbox.run_with_stdin("workflow register -", text.as_bytes()).exits(0);
        assert!(again.out.contains("unchanged"), "{}", again.out);
    }
    // By the beginning of a digest, too.
    let shown = sandbox.run("workflow show hello@2 --json").exits(0).json();
    let digest = shown["revision"].as_str().unwrap();
    let text = sandbox.run(&format!("workflow show hello@{} --text", &digest[..20])).exits(0).out;
    assert_eq!(Value::from(text), shown["text"]);
}

#[test]
fn differences_are_told_as_diff_tells_them() {
    let sandbox = Sandbox::new();
    for word in ["Hello", "Hallo", "Hola"] {
        registered(&sandbox, word);
    }
    let said = sandbox.run("workflow diff hello").exits(0);
    insta::assert_snapshot!("diff", said.out);
    assert_eq!(sandbox.run("workflow diff hello 2").exits(0).out, said.out);
    let all = sandbox.run("workflow diff hello 1 @3").exits(0).out;
    assert!(all.contains("--- hello@1\n+++ hello@3\n") && all.contains("-    run: echo \"Hello"), "{all}");
    let back = sandbox.run("workflow diff hello 3 1 --json").exits(0).json();
    assert_eq!((&back["from"]["number"], &back["to"]["number"]), (&3.into(), &1.into()));
    assert!(back["diff"].as_str().unwrap().contains("+    run: echo \"Hello"), "{back}");
    let none = sandbox.run("workflow diff hello 2 2").exits(0);
    assert_eq!((none.out.as_str(), none.err.as_str()), ("", "hello@2 and hello@2 say the same\n"));
    sandbox.run_with_stdin("workflow register - --name once", HELLO.as_bytes()).exits(0);
    let none = sandbox.run("workflow diff once").exits(0);
    assert_eq!((none.out.as_str(), none.err.as_str()), ("", "`once` has one revision\n"));
}

#[test]
fn a_run_stays_on_the_revision_that_was_executed() {
    let sandbox = Sandbox::new();
    let slow = "name: slow\nsteps:\n  a:\n    run: echo > begun; cat go\n    effect: pure\n";
    sandbox.write("slow.yaml", slow);
    sandbox.pipe("begun");
    sandbox.pipe("go");
    sandbox.run("workflow register slow.yaml").exits(0);
    let mut run = sandbox.spawn("workflow execute slow");
    sandbox.hear("begun");
    sandbox.write("slow.yaml", slow.replace("echo > begun; cat go", "exit 1"));
    sandbox.run("workflow register slow.yaml").exits(0);
    run.kill().unwrap();
    run.wait().unwrap();
    // It goes on with the text that it was started with.
    let resumed = sandbox.spawn("runs resume @last --json");
    sandbox.hear("begun");
    std::fs::write(sandbox.path("go"), "gone on\n").unwrap();
    let ended = Said::by(resumed).exits(0).json();
    let first = sandbox.run("workflow show slow@1 --json").exits(0).json();
    assert_eq!((&ended["revision"], &ended["workflow"]), (&first["revision"], &"slow".into()));
    sandbox.run("workflow execute slow").exits(1);
    std::fs::remove_file(sandbox.path("begun")).unwrap();
    std::fs::remove_file(sandbox.path("go")).unwrap();
    sandbox.write("go", "");
    sandbox.run("workflow execute slow@1").exits(0);
}

#[test]
fn executing_is_running_with_all_that_belongs_to_it() {
    let sandbox = Sandbox::new();
    registered(&sandbox, "Hello");
    sandbox.run("workflow register hello.yaml --name nightly").exits(0);
    let words = "workflow execute nightly -i name=Ada --label team=a --name first --idempotency-key k --json";
    let report = sandbox.run(words).exits(0).json();
    assert_eq!(
        (&report["workflow"], &report["outputs"]["greeting"]),
        (&"nightly".into(), &"Hello, Ada!".into())
    );
    assert_eq!(sandbox.run(words).exits(0).json()["run_id"], report["run_id"]);
    sandbox.run(&words.replace("Ada", "Bob")).exits(6);
    let listed = sandbox.run("runs list --workflow nightly --json").exits(0).json();
    assert_eq!(listed["items"][0]["labels"]["team"], "a");
    let lines = sandbox.run("workflow execute nightly --json=stream").exits(0).json_lines();
    assert!(lines.len() > 2 && lines.last().unwrap()["status"] == "completed");
    sandbox.run("workflow execute nightly -i name").exits(2);
    let said = sandbox.run("workflow execute nightly -i nmae=x").exits(3);
    assert!(said.err.contains("\"name\"") && said.err.contains("nightly@1"), "{}", said.err);
    sandbox.write("ask.yaml", crate::ASK);
    sandbox.run("workflow register ask.yaml").exits(0);
    let waits = sandbox.run("workflow execute ask").exits(9);
    assert!(waits.err.contains("orchestrator approval approve"), "{}", waits.err);
}

#[test]
fn what_is_expected_must_hold() {
    let sandbox = Sandbox::with(&[("hello.yaml", HELLO)]);
    let said = sandbox.run("workflow register hello.yaml --expect 3").exits(6);
    assert!(said.err.contains("there is no `hello` yet"), "{}", said.err);
    sandbox.run("workflow register hello.yaml --expect 0").exits(0);
    // The same text is no conflict, whatever was expected.
    sandbox.run("workflow register hello.yaml --expect 0").exits(0);
    sandbox.write("hello.yaml", greeting("Hallo"));
    for (expected, words) in
        [(0, "there is a `hello` already"), (2, "the latest revision of `hello` is 1, not 2")]
    {
        let command = format!("workflow register hello.yaml --expect {expected}");
        let said = sandbox.run(&command).exits(6);
        assert!(said.err.contains(words) && said.err.matches("sha256:").count() == 2, "{}", said.err);
        let problem = sandbox.run(&format!("{command} --json")).exits(6).problem();
        assert_eq!((&problem["code"], &problem["status"]), (&"spec_conflict".into(), &409.into()));
    }
    assert_eq!(sandbox.run("workflow show hello --json").json()["number"], 1);
    sandbox.run("workflow register hello.yaml --expect 1").exits(0);
}

#[test]
fn all_files_are_registered_or_none() {
    let sandbox = Sandbox::with(&[
        ("hello.yaml", HELLO),
        ("ask.yaml", crate::ASK),
        ("other.yaml", &greeting("Other")),
        ("bad.yaml", "name: bad\nsteps: {a: {uses: nothing}}\n"),
    ]);
    for (words, code) in [
        ("workflow register hello.yaml bad.yaml", 3),
        ("workflow register hello.yaml nothing.yaml", 4),
        ("workflow register hello.yaml other.yaml", 2),
        ("workflow register hello.yaml ask.yaml --name x", 2),
        ("workflow register hello.yaml ask.yaml --expect 0", 2),
        ("workflow register hello.yaml --name a@b", 3),
        ("workflow register hello.yaml --name=", 3),
        ("workflow register hello.yaml --expect -1", 2),
        ("workflow register", 2),
        ("workflow list", 4),
        ("workflow show hello", 4),
        ("workflow diff hello", 4),
        ("workflow execute hello", 4),
    ] {
        let said = sandbox.run(words).exits(code);
        assert!(said.out.is_empty() && !said.err.is_empty(), "{words}: {said:?}");
        assert!(!sandbox.path(".orchestrator").exists(), "{words} made a store");
    }
    let items = sandbox.run("workflow register hello.yaml ask.yaml hello.yaml --json").exits(0).json();
    let names: Vec<_> = items["items"].as_array().unwrap().iter().map(|item| &item["workflow"]).collect();
    assert_eq!(json!(names), json!(["ask", "hello"]));
}

#[test]
fn what_is_not_registered_is_not_found() {
    let sandbox = Sandbox::with(&[("hello.yaml", HELLO)]);
    sandbox.run("workflow register hello.yaml").exits(0);
    for (words, code, text) in [
        ("workflow execute helo", 4, "did you mean `hello`?"),
        ("workflow show nothing", 4, "orchestrator workflow list"),
        ("workflow execute hello.yaml", 4, "orchestrator workflow register hello.yaml"),
        ("workflow show hello@2", 4, "has no revision 2"),
        ("workflow show hello@sha256:0000", 4, "has no revision sha256:0000"),
        ("workflow diff hello 1 7", 4, "has no revision 7"),
        ("workflow show hello@", 2, "names no revision"),
        ("workflow show hello@latest", 2, "names no revision"),
        ("workflow diff hello x", 2, "names no revision"),
        ("workflow list --limit 0", 2, "limit"),
        ("workflow show hello --text --json", 2, "cannot be used with"),
        ("workflow shwo hello", 2, "show"),
    ] {
        let said = sandbox.run(words).exits(code);
        assert!(said.err.contains(text), "{words}: {}", said.err);
    }
    assert_eq!(sandbox.run("workflow list --after zzz --json").exits(0).json()["items"], json!([]));
}

#[test]
fn several_may_register_at_once() {
    let sandbox = Sandbox::with(&[("hello.yaml", HELLO)]);
    sandbox.run("init").exits(0);
    let racers: Vec<_> = (0..6)
        .map(|racer| {
            sandbox.write(&format!("{racer}.yaml"), greeting(&format!("Hello {racer}")));
            sandbox.spawn(&format!("workflow register {racer}.yaml --json"))
        })
        .collect();
    let mut numbers: Vec<u64> = racers
        .into_iter()
        .map(|racer| Said::by(racer).exits(0).json()["items"][0]["number"].as_u64().unwrap())
        .collect();
    numbers.sort_unstable();
    assert_eq!(numbers, [1, 2, 3, 4, 5, 6]);
}
