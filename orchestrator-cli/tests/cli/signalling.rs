//! `runs signal`: word from outside.

use crate::{Said, Sandbox, stable};

/// Two steps that wait for signals, one after the other.
const ORDER: &str = "\
name: order
steps:
  paid:
    uses: signal
    with:
      name: paid
      schema: { type: object, required: [amount], properties: { amount: { type: number } } }
  sent: { uses: signal, needs: paid, with: { name: sent } }
outputs:
  amount: ${{ steps.paid.data.amount }}
  sent: ${{ steps.sent.data }}
";

fn waiting() -> Sandbox {
    let sandbox = Sandbox::with(&[("order.yaml", ORDER)]);
    sandbox.run("run order.yaml").exits(9);
    sandbox
}

#[test]
fn a_run_that_waits_for_a_signal_prints_the_command_and_goes_on_after_it() {
    let sandbox = Sandbox::with(&[("order.yaml", ORDER)]);
    let said = sandbox.run("run order.yaml").exits(9);
    insta::assert_snapshot!("waits", stable(&said.err));
    let waiting = sandbox.last()["waiting_for"][0].clone();
    assert_eq!((&waiting["kind"], &waiting["signal"]), (&"signal".into(), &"paid".into()));
    let command = said.from("orchestrator runs signal");
    let refused = sandbox.follow(&command).exits(3);
    let unnamed = |text: &str| stable(&text.replace(&sandbox.last_id(), "run_ID"));
    insta::assert_snapshot!("misfit", unnamed(&refused.err));
    let words: Vec<&str> = command.split_whitespace().skip(1).collect();
    let said = sandbox.run_args(&[&words[..], &["--data", "{\"amount\": 12.5}"]].concat()).exits(0);
    insta::assert_snapshot!("given", unnamed(&format!("{}--- stderr\n{}", said.out, said.err)));
    let said = sandbox.follow(&said.from("orchestrator runs resume")).exits(9);
    let given = sandbox.follow(&format!("{} --json", said.from("orchestrator runs signal"))).exits(0).json();
    assert_eq!((&given["step"], &given["kept"]), (&"sent".into(), &false.into()));
    let report = sandbox.run("runs resume @last --json").exits(0).json();
    assert_eq!(report["outputs"], serde_json::json!({ "amount": 12.5, "sent": null }));
    let late = sandbox.run("runs signal @last sent").exits(6);
    assert!(late.err.contains("the run has already completed"), "{}", late.err);
    let told = sandbox.run("runs events @last").exits(0).out;
    assert!(told.contains("paid goes on with the signal `paid`"), "{told}");
}

#[test]
fn a_signal_that_comes_early_is_kept() {
    let sandbox = waiting();
    sandbox.write("sent.json", "[1, 2]");
    let said = sandbox.run("runs signal @last sent --data @sent.json").exits(0);
    assert!(said.out.contains("is kept for the next step that waits for it"), "{}", said.out);
    sandbox.run_with_stdin("runs signal @last paid --data -", b"{\"amount\": 1}").exits(0);
    let report = sandbox.run("runs resume @last --json").exits(0).json();
    assert_eq!(report["outputs"]["sent"], serde_json::json!([1, 2]));
}

#[test]
fn a_run_that_is_driven_elsewhere_takes_it_at_once() {
    let flow = "\
name: order
steps:
  busy: { run: \"echo on > begun; cat go\", effect: pure }
  paid: { uses: signal, with: { name: paid } }
  told: { needs: paid, run: echo told > told, effect: pure }
";
    let sandbox = Sandbox::with(&[("order.yaml", flow)]);
    for pipe in ["begun", "go", "told"] {
        sandbox.pipe(pipe);
    }
    let run = sandbox.spawn("run order.yaml");
    assert_eq!(sandbox.hear("begun"), "on\n");
    sandbox.run("runs signal @last paid").exits(0);
    assert_eq!(sandbox.hear("told"), "told\n", "what follows runs while the other step is still busy");
    std::fs::write(sandbox.path("go"), "on\n").unwrap();
    let said = Said::by(run).exits(0);
    assert!(said.err.contains("the signal `paid` was given by"), "{}", said.err);
}

#[test]
fn what_a_step_tells_people_is_shown_and_kept() {
    let flow = "\
name: tell
steps:
  plain: { uses: notify, with: { message: \"all is well\" } }
  loud:
    uses: notify
    needs: plain
    with: { level: warning, title: Disk, message: \"nearly full\\nlook at it\" }
";
    let sandbox = Sandbox::with(&[("tell.yaml", flow)]);
    let said = sandbox.run("run tell.yaml").exits(0);
    insta::assert_snapshot!("told", stable(&said.err));
    assert_eq!(said.out, "");
    let logs = sandbox.run("runs logs @last").exits(0).out;
    assert!(logs.contains("warning: Disk: nearly full") && logs.contains("look at it"), "{logs}");
    let said = sandbox.run("run tell.yaml --json").exits(0);
    assert_eq!(
        (said.json()["steps"][0]["output"]["message"].as_str(), &*said.err),
        (Some("all is well"), "")
    );
    assert!(!said.out.contains("Disk: nearly"), "{}", said.out);
}

#[test]
fn a_name_that_nobody_waits_for_is_met_with_the_right_one() {
    let sandbox = waiting();
    let said = sandbox.run("runs signal @last piad").exits(4);
    assert!(said.err.contains("did you mean `paid`?"), "{}", said.err);
    let said = sandbox.run("runs signal @last something").exits(4);
    assert!(said.err.contains("it waits for paid, sent"), "{}", said.err);
    let long = format!("\"{}\"", "x".repeat(70_000));
    let said = sandbox.run_args(&["runs", "signal", "@last", "sent", "--data", &long]).exits(3);
    assert!(said.err.contains("the limit is 65536"), "{}", said.err);
    assert_eq!(
        sandbox.run("runs signal @last paid --data 1 --json").exits(3).problem()["code"],
        "invalid_signal"
    );
}
