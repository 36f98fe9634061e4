//! `init`: a first minute that works.

use crate::Sandbox;

#[test]
fn a_newcomer_gets_something_that_runs() {
    let sandbox = Sandbox::new();
    let said = sandbox.run("init").exits(0);
    insta::assert_snapshot!(said.stable());
    let next = said.from("orchestrator run");
    let ran = sandbox.follow(&next).exits(0);
    assert_eq!(ran.out, "greeting: Hello, world!\nletters: 13\n");
    let ran = sandbox.run("run hello.yaml -i name=Ada").exits(0);
    assert_eq!(ran.out, "greeting: Hello, Ada!\nletters: 11\n");
}

#[test]
fn nothing_is_overwritten() {
    let sandbox = Sandbox::with(&[("hello.yaml", "mine"), (".orchestrator/config.toml", "slots = 3")]);
    let said = sandbox.run("init").exits(0);
    assert_eq!(
        (sandbox.read("hello.yaml").as_str(), sandbox.read(".orchestrator/config.toml").as_str()),
        ("mine", "slots = 3")
    );
    assert!(
        said.out.contains("kept     hello.yaml") && said.out.contains("created  .orchestrator/.gitignore"),
        "{}",
        said.out
    );
    let before = sandbox.listing();
    let again = sandbox.run("init --json").exits(0).json();
    assert_eq!(again["created"], serde_json::json!([]));
    assert_eq!(sandbox.listing(), before);
}

#[test]
fn another_folder_can_be_named() {
    let sandbox = Sandbox::new();
    let said = sandbox.run("init deep/er").exits(0);
    assert!(sandbox.path("deep/er/.orchestrator/.gitignore").exists());
    assert!(said.out.contains("orchestrator run deep/er/hello.yaml"), "{}", said.out);
}

#[test]
fn state_is_kept_out_of_version_control() {
    let sandbox = Sandbox::new();
    sandbox.run("init").exits(0);
    let git = |words: &str| {
        let mut git = std::process::Command::new("git");
        git.args(words.split(' '))
            .current_dir(sandbox.path(""))
            .env("HOME", sandbox.path(""))
            .output()
            .unwrap()
    };
    assert!(git("init -q").status.success());
    let files = String::from_utf8(git("status --porcelain -uall").stdout).unwrap();
    let mut files: Vec<&str> = files.lines().collect();
    files.sort_unstable();
    assert_eq!(
        files,
        [
            "?? .orchestrator/.gitignore",
            "?? .orchestrator/config.toml",
            "?? .orchestrator/workflow.schema.json",
            "?? hello.yaml"
        ]
    );
}
