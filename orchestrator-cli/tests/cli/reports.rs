//! `--report`: what CI systems read.

use std::process::Command;

use crate::{Said, Sandbox, stable};

const FAILS: &str = "\
name: ci
steps:
  build: { run: echo built, effect: pure }
  test:
    run: |
      echo 'expected <1>, found \"2\"' >&2
      exit 3
    effect: pure
    needs: build
  ship: { run: 'true', effect: pure, needs: test }
";

/// The number of `xpath` in a document, by a reader that is not ours.
fn count(xml: &str, tag: &str) -> usize {
    let script = "import sys, xml.etree.ElementTree as t; print(len(t.fromstring(sys.stdin.read()).findall('.//' + sys.argv[1])))";
    let mut child = Command::new("python3")
        .args(["-c", script, tag])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), xml.as_bytes()).unwrap();
    String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap().trim().parse().unwrap()
}

#[test]
fn junit_has_a_case_for_each_step() {
    let sandbox = Sandbox::with(&[("ci.yaml", FAILS)]);
    sandbox.run("run ci.yaml -q --report junit=report.xml").exits(1);
    let report = sandbox.read("report.xml");
    for (tag, expected) in [("testsuite", 1), ("testcase", 3), ("failure", 1), ("skipped", 1)] {
        assert_eq!(count(&report, tag), expected, "{tag}:\n{report}");
    }
    assert!(report.contains("expected &lt;1&gt;, found &quot;2&quot;"), "{report}");
    for words in ["runs show @last --report junit=again.xml", "runs wait @last --report junit=again.xml"] {
        sandbox.run(words);
        assert_eq!(sandbox.read("again.xml"), report, "{words}");
        std::fs::remove_file(sandbox.path("again.xml")).unwrap();
    }
    let seconds = report.replace("time=\"0.", "time=\"0 ");
    insta::assert_snapshot!(
        stable(&seconds).lines().filter(|line| !line.contains("time=\"0 ")).collect::<Vec<_>>().join("\n")
    );
}

#[test]
fn github_gets_annotations_and_a_summary() {
    let sandbox = Sandbox::with(&[("ci.yaml", FAILS), ("summary.md", "before\n")]);
    let mut command = sandbox.command(["run", "ci.yaml", "-q", "--report", "github"]);
    let said =
        Said::of(&command.env("GITHUB_STEP_SUMMARY", sandbox.path("summary.md")).output().unwrap()).exits(1);
    assert!(said.err.contains("::error file=ci.yaml,line=4,title=ci%3A test::exit code 3"), "{}", said.err);
    insta::assert_snapshot!(stable(&sandbox.read("summary.md")));
    // Without the variable there is nowhere to put a summary; the annotations stand for themselves.
    assert!(sandbox.run("runs show @last --report github").exits(0).err.starts_with("::error title="));
}

#[test]
fn a_run_that_goes_well_says_nothing_to_github() {
    let sandbox = Sandbox::with(&[("hello.yaml", crate::HELLO)]);
    let said = sandbox.run("run hello.yaml -q --report github --report junit=a.xml").exits(0);
    assert_eq!(said.err, "");
    assert_eq!(count(&sandbox.read("a.xml"), "failure"), 0);
}

#[test]
fn a_report_that_cannot_be_written_is_refused_before_the_run() {
    let sandbox = Sandbox::with(&[("hello.yaml", crate::HELLO)]);
    for report in ["junit", "junit=", "html=x", "junit=no/such/report.xml", "junit=."] {
        sandbox.run(&format!("run hello.yaml --report {report}")).exits(2);
    }
    sandbox.run("runs list").exits(4);
}
