//! `graph`: pictures of workflows and runs.

use crate::{Sandbox, stable};

const FLOW: &str = "\
name: mixed
steps:
  fetch: { run: echo, effect: pure }
  config: { run: echo, effect: pure }
  lint: { run: echo, effect: pure, needs: fetch }
  build: { run: echo, effect: pure, needs: [fetch, config] }
  test_unit: { run: echo, effect: pure, needs: build }
  test_integration: { run: echo, effect: pure, needs: build }
  docs: { run: echo, effect: pure, needs: config }
  package: { run: echo, effect: pure, needs: [build, docs] }
  review: { uses: approval, with: { message: \"Ship it?\" }, needs: [test_unit, test_integration, lint, package] }
  publish: { run: echo, effect: pure, needs: [review, package, fetch] }
";

/// A run of this ends in several ways at once.
const ENDS: &str = "\
name: ends
steps:
  good: { run: 'true', effect: pure }
  bad: { run: 'exit 3', effect: pure, needs: good, retry: { max_attempts: 2, initial: 1ms } }
  after: { run: 'true', effect: pure, needs: bad }
  ask: { uses: approval, with: { message: \"Go on?\" }, needs: good }
  last: { run: 'true', effect: pure, needs: ask }
";

/// So many steps in rows of `wide`, each after the one above it.
fn rows(count: usize, wide: usize) -> String {
    let mut text = String::from("name: rows\nsteps:\n");
    for step in 0..count {
        let needs = if step >= wide { format!(", needs: s{}", step - wide) } else { String::new() };
        text.push_str(&format!("  s{step}: {{ uses: sleep, with: {{ for: 1s }}{needs} }}\n"));
    }
    text
}

#[test]
fn a_workflow_is_drawn_in_every_format() {
    let sandbox = Sandbox::with(&[("flow.yaml", FLOW)]);
    for format in ["text", "mermaid", "dot", "svg"] {
        let drawn = sandbox.run(&format!("graph flow.yaml --format {format}")).exits(0);
        insta::assert_snapshot!(format!("graph-{format}"), drawn.out);
        assert_eq!(drawn.err, "");
    }
    let plain = sandbox.command(["graph", "flow.yaml"]).env("LC_ALL", "C").output().unwrap();
    assert!(plain.stdout.is_ascii());
}

#[test]
fn a_run_is_drawn_as_it_stands() {
    let sandbox = Sandbox::with(&[("ends.yaml", ENDS)]);
    sandbox.run("run ends.yaml -q").exits(9);
    let drawn = sandbox.run("graph --run @last").exits(0).out;
    for shown in ["✔ good", "✘ bad", "2 attempts", "⊘ after", "◆ ask", "○ last", "blocked in"] {
        assert!(drawn.contains(shown), "{shown}:\n{drawn}");
    }
    let svg = sandbox.run("graph --run @last -f svg").exits(0).out;
    for class in ["completed", "failed", "skipped", "waiting", "pending"] {
        assert!(svg.contains(&format!("<g class=\"{class}\">")), "{class}:\n{svg}");
    }
    assert!(stable(&sandbox.run("graph --run @last -f mermaid").exits(0).out).contains("class n1 failed"));
}

#[test]
fn text_fits_the_width_whatever_it_is() {
    let many = rows(60, 6);
    let sandbox = Sandbox::with(&[("flow.yaml", FLOW), ("many.yaml", &many)]);
    for columns in [30, 40, 60, 80, 100, 200] {
        for file in ["flow.yaml", "many.yaml"] {
            let drawn =
                sandbox.command(["graph", file]).env("COLUMNS", columns.to_string()).output().unwrap();
            let drawn = String::from_utf8(drawn.stdout).unwrap();
            let widest = drawn.lines().skip(1).map(|line| line.chars().count()).max().unwrap();
            assert!(widest <= columns, "{file} in {columns} columns:\n{drawn}");
            for step in if file == "flow.yaml" { ["fetch", "lint"] } else { ["s0", "s59"] } {
                assert!(drawn.contains(step), "{step} in {columns} columns:\n{drawn}");
            }
        }
    }
}

#[test]
fn what_is_too_large_is_folded_and_then_counted() {
    let mut fan = String::from("name: fan\nsteps:\n  split: { run: 'true' }\n");
    for shard in 0..50 {
        fan.push_str(&format!("  shard_{shard}: {{ run: 'true', needs: split }}\n"));
    }
    let sandbox = Sandbox::with(&[("fan.yaml", &fan), ("many.yaml", &rows(5_000, 50))]);
    let drawn = sandbox.run("graph fan.yaml").exits(0).out;
    assert!(drawn.contains("shard_0 … shard_49") && drawn.contains("50 × script"), "{drawn}");
    let counted = sandbox.run("graph many.yaml").exits(0).out;
    assert!(counted.lines().count() < 60 && counted.contains("50 steps"), "{counted}");
    let dot = sandbox.run("graph many.yaml -f dot").exits(0).out;
    assert_eq!(dot.matches(" -> ").count(), 4_950);
}

#[test]
fn a_file_is_written_in_the_format_of_its_name() {
    let sandbox = Sandbox::with(&[("flow.yaml", FLOW)]);
    for (file, begins) in
        [("a.svg", "<svg "), ("a.dot", "digraph"), ("a.mmd", "flowchart"), ("a.txt", "mixed")]
    {
        let said = sandbox.run(&format!("graph flow.yaml -o {file}")).exits(0);
        assert_eq!((said.out.as_str(), said.err), ("", format!("wrote {file}\n")));
        assert!(sandbox.read(file).starts_with(begins), "{file}");
    }
    let said = sandbox.run("graph flow.yaml -o no/such/folder.svg").exits(7);
    assert!(said.err.contains("cannot write no/such/folder.svg"), "{}", said.err);
}

#[test]
fn one_of_a_file_and_a_run_is_needed() {
    let sandbox = Sandbox::with(&[("flow.yaml", FLOW)]);
    sandbox.run("graph").exits(2);
    sandbox.run("graph flow.yaml --run @last").exits(2);
    sandbox.run("graph flow.yaml --format png").exits(2);
    sandbox.run("graph flow.yaml --json").exits(2);
    sandbox.run("graph nowhere.yaml").exits(4);
    sandbox.run("graph --run @last").exits(4);
    assert_eq!(sandbox.listing(), [format!("flow.yaml {}", FLOW.len())]);
}
