//! What language models cost, as the settings say it.

use crate::Sandbox;

const FLOW: &str = "\
name: ask
steps:
  ask:
    uses: llm
    with: { model: m, api: messages, max_tokens: 100, prompt: What is an ox? }
";

const MOCKED: &str = "\
name: mocked
steps:
  ask:
    uses: llm
    with: { prompt: x, replies: [{ text: y, usage: { input_tokens: 1000, output_tokens: 100 } }] }
outputs:
  cost: ${{ steps.ask.cost_usd }}
";

#[test]
fn a_plan_says_the_most_that_a_step_costs() {
    let sandbox = Sandbox::with(&[("flow.yaml", FLOW), ("prices.yaml", "m: { input: 3, output: 15 }\n")]);
    let said = sandbox.run("plan flow.yaml").exits(0).out;
    assert!(!said.contains("costs at most"), "{said}");
    sandbox.write(".orchestrator/config.toml", "prices = \"prices.yaml\"\n");
    let said = sandbox.run("plan flow.yaml").exits(0).out;
    assert!(said.contains("ask: costs at most $0.00"), "{said}");
}

#[test]
fn a_run_counts_by_the_table_in_its_usual_place() {
    let sandbox = Sandbox::with(&[("flow.yaml", MOCKED)]);
    assert_eq!(sandbox.run("run flow.yaml --json").exits(0).json()["outputs"]["cost"], 0.0);
    sandbox.write(".orchestrator/prices.yaml", "mock: { input: 2, output: 10 }\n");
    assert_eq!(sandbox.run("run flow.yaml --json").exits(0).json()["outputs"]["cost"], 0.003);
}

#[test]
fn a_table_that_is_none_is_refused_with_its_place() {
    let sandbox =
        Sandbox::with(&[("flow.yaml", MOCKED), ("wrong.yaml", "m:\n  input: cheap\n  output: 1\n")]);
    for (file, code, expected) in [("wrong.yaml", 3, "wrong.yaml: "), ("none.yaml", 4, "none.yaml")] {
        sandbox.write(".orchestrator/config.toml", format!("prices = \"{file}\"\n"));
        for command in ["run flow.yaml", "plan flow.yaml"] {
            let said = sandbox.run(command).exits(code);
            assert!(said.err.contains(expected), "{}", said.err);
        }
    }
}
