//! The files that a script names as what it has made.

mod stage;

use orchestrator_core::port::plugin::Plugin;
use orchestrator_core::spec::retry::ErrorClass;
use orchestrator_core::value::Digest;
use orchestrator_plugins::Script;
use serde_json::json;
use stage::{execute, failure, output};

#[tokio::test]
async fn the_output_names_what_the_script_has_made() {
    let run =
        "mkdir -p dist/deep; printf a > dist/a.txt; printf bc > dist/deep/b.txt; ln -s a.txt dist/link.txt";
    let with = json!({ "run": run, "artifacts": ["dist/**/*.txt"] });
    assert!(Script.validate(&with).is_empty());
    let found = output(execute(&Script, with).await.0)["artifacts"].take();
    let expected = json!([
        { "path": "dist/a.txt", "bytes": 1, "digest": Digest::of(b"a").to_string() },
        { "path": "dist/deep/b.txt", "bytes": 2, "digest": Digest::of(b"bc").to_string() },
    ]);
    assert_eq!(found, expected);
}

#[tokio::test]
async fn what_was_not_made_fails_the_step() {
    let with = json!({ "run": "mkfifo pipe.txt", "artifacts": ["*.txt"] });
    let (class, message) = failure(execute(&Script, with).await.0);
    assert_eq!((class, &*message), (ErrorClass::Failed, "`artifacts`: *.txt: no file is called so"));
    // A script that has failed has failed by itself.
    let with = json!({ "run": "exit 3", "artifacts": ["*.txt"] });
    assert!(!failure(execute(&Script, with).await.0).1.contains("artifacts"));
}

#[tokio::test]
async fn a_pattern_stays_below_the_folder_of_the_run() {
    for pattern in ["../x", "/etc/passwd", ""] {
        let with = json!({ "run": "true", "artifacts": [pattern] });
        assert_eq!(Script.validate(&with)[0].path, ["artifacts", "0"], "{pattern}");
        assert_eq!(failure(execute(&Script, with).await.0).0, ErrorClass::Invalid, "{pattern}");
    }
}

#[tokio::test]
async fn the_result_file_cannot_name_them() {
    let with = json!({ "run": "echo artifacts=mine >> \"$ORCHESTRATOR_OUTPUT\"" });
    assert!(failure(execute(&Script, with).await.0).1.contains("`artifacts`"));
}
