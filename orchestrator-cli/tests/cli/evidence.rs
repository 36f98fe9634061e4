//! Steps that have succeeded only if what they declare holds.

use std::process::Command;

use crate::Sandbox;

#[test]
fn what_a_step_declares_must_be_there() {
    let flow = "\
name: report
steps:
  write:
    run: |
      mkdir -p out
      if [ \"$ORCHESTRATOR_ATTEMPT\" = 1 ]; then : > out/report.md; else echo \"$ORCHESTRATOR_FEEDBACK\" > out/report.md; fi
    effect: pure
    retry: { max_attempts: 2, initial: 0s, on: evidence }
    evidence:
      files: [\"out/*.md\"]
      output: { required: [stdout], additionalProperties: true }
";
    let sandbox = Sandbox::with(&[("report.yaml", flow)]);
    let plan = sandbox.run("plan report.yaml").exits(0).out;
    assert!(plan.contains("write: the file out/*.md, an output that fits its schema"), "{plan}");
    sandbox.run("run report.yaml").exits(0);
    assert_eq!(
        sandbox.read("out/report.md"),
        "the evidence does not hold: out/*.md: there are only empty files: out/report.md\n"
    );
    let flow = flow.replace("max_attempts: 2", "max_attempts: 1");
    sandbox.write("report.yaml", flow);
    let said = sandbox.run("run report.yaml").exits(1);
    assert!(said.err.contains("the evidence does not hold: out/*.md"), "{}", said.err);
}

#[test]
fn a_change_of_the_repository_can_be_asked_for_and_forbidden() {
    let flow = |script: &str, diff: &str| {
        format!(
            "name: diff\nsteps:\n  a: {{ run: \"{script}\", effect: pure, evidence: {{ diff: {diff} }} }}\n"
        )
    };
    let sandbox = Sandbox::with(&[("work/kept.txt", "one")]);
    let run = |script: &str, diff: &str| {
        sandbox.write("diff.yaml", flow(script, diff));
        let store = format!("sqlite:{}", sandbox.path("state.db").display());
        let mut command = sandbox.command(["run", "../diff.yaml", "--store", &store]);
        let output = command.current_dir(sandbox.path("work")).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, said) = run("true", "empty");
    assert_eq!(code, Some(1), "there is no repository yet");
    assert!(said.contains("a diff cannot be told: not a git repository"), "{said}");
    let git = |args: &[&str]| {
        let mut command = Command::new("git");
        let done = command.args(args).current_dir(sandbox.path("work")).output().unwrap();
        assert!(done.status.success(), "{done:?}");
    };
    git(&["init", "-q"]);
    git(&["add", "."]);
    for (script, diff, expected) in [
        ("true", "nonempty", 1),
        ("true", "empty", 0),
        ("echo new > new.txt", "nonempty", 0),
        ("echo more >> new.txt", "nonempty", 0),
        ("echo two >> kept.txt", "nonempty", 0),
        ("echo three >> kept.txt", "nonempty", 0),
        ("echo four >> kept.txt", "empty", 1),
        ("git -c user.name=a -c user.email=a@b commit -qam x", "nonempty", 0),
        ("cat kept.txt", "empty", 0),
    ] {
        let (code, said) = run(script, diff);
        assert_eq!(code, Some(expected), "{script} {diff}: {said}");
    }
}
