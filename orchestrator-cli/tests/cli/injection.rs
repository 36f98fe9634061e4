//! Values that look like code (S-13 of the promises): through every way in which data reaches a script they arrive as they are,
//! and nothing of them is executed.

use serde_json::Value;

use crate::{Said, Sandbox};

/// What somebody could try. `P` is a file that must never be there.
const HOSTILE: [&str; 24] = [
    "\"; touch P; \"",
    "'; touch P; '",
    "$(touch P)",
    "`touch P`",
    "\n touch P",
    "\n touch P\n",
    "' || touch P #",
    "%0atouch P",
    "{{7*7}}",
    "{{ ''.__class__ }}",
    "${{ 7*7 }}",
    "${{ env.HOME }}",
    "{% for x in [1] %}touch P{% endfor %}",
    "zzz\";echo${IFS}x>P;#",
    "| touch P",
    "& touch P &",
    "&& touch P",
    "> P",
    "$'\\ntouch P'",
    "-e touch P",
    "--rcfile=P",
    "a\\\"; touch P; \\\"b",
    "$IFS;touch$IFS'P'",
    "\u{202e}; touch P; é 🦀 \\x00 \\0",
];

/// Every way in: a variable, an argument, standard input, and from one script to the next by its output, its result file and an
/// item. Each step says what it got as JSON, so that not a byte is lost on the way back.
const FLOW: &str = r#"
name: injection
inputs:
  value: { type: string }
steps:
  env:
    env: { VALUE: "${{ inputs.value }}" }
    run: printf '%s' "$VALUE" > env.got; printf '%s' "$VALUE"
    effect: pure
  args:
    with: { args: ["${{ inputs.value }}", "${{ inputs.value }}"] }
    run: printf '%s' "$1" > args.got; [ "$1" = "$2" ]
    effect: pure
  stdin:
    with: { stdin: "${{ inputs.value }}" }
    run: cat > stdin.got
    effect: pure
  python:
    with: { shell: python3, args: ["${{ inputs.value }}"] }
    env: { VALUE: "${{ inputs.value }}" }
    run: |
      import json, os, sys
      assert os.environ['VALUE'] == sys.argv[1]
      open('python.got', 'w', newline='').write(sys.argv[1])
      json.dump({'value': sys.argv[1]}, open(os.environ['ORCHESTRATOR_OUTPUT'], 'w'))
    effect: pure
  mock:
    uses: llm
    with: { model: mock, prompt: "${{ inputs.value }}" }
  after:
    needs: [python, mock, env]
    env: { VALUE: "${{ steps.python.value }}", PRINTED: "${{ steps.env.stdout }}", SAID: "${{ steps.mock.text }}" }
    run: printf '%s' "$VALUE" > after.got; printf '%s' "$PRINTED" > printed.got; printf '%s' "$SAID" > said.got
    effect: pure
  items:
    for_each: "${{ [inputs.value] }}"
    env: { VALUE: "${{ item }}" }
    run: printf '%s' "$VALUE" > items.got
    effect: pure
"#;

/// Where the value arrives byte for byte.
const EXACT: [&str; 6] = ["env", "args", "stdin", "python", "after", "items"];

fn run(place: &Sandbox, value: &str) -> Said {
    place.run_args(&["run", "injection.yaml", "-i", &format!("value={value}"), "--json"])
}

#[test]
fn values_that_look_like_code_arrive_as_they_are_and_are_never_executed() {
    // Mostly unconfined, so that nothing but the way of the values keeps them from it.
    for (sandbox, values) in [("none", &HOSTILE[..]), ("strict", &HOSTILE[..3])] {
        let flow = FLOW.replace("\nsteps:\n", &format!("\ndefaults: {{ sandbox: {sandbox} }}\nsteps:\n"));
        let place = Sandbox::with(&[("injection.yaml", &flow)]);
        for value in values {
            let report = run(&place, value).exits(0).json();
            assert_eq!(report["inputs"]["value"], *value);
            for way in EXACT {
                assert_eq!(place.read(&format!("{way}.got")), *value, "{way}, {sandbox}");
            }
            // Line ends at the end of an output are cut, as in `$(…)`.
            assert_eq!(place.read("printed.got"), value.trim_end_matches('\n'), "{sandbox}");
            assert!(!place.path("P").exists(), "{value:?} was executed: {sandbox}");
        }
    }
    println!("template to shell: 0 of {} values executed, by {} ways", HOSTILE.len(), EXACT.len() + 2);
}

#[test]
fn a_value_can_not_stand_in_a_script() {
    let ways = [
        "steps: { a: { run: 'echo ${{ inputs.value }}' } }",
        "steps: { a: { uses: script, with: { run: 'echo ${{ inputs.value }}' } } }",
        "steps: { a: { run: 'true', compensate: { run: 'echo ${{ inputs.value }}' } } }",
        "steps: { a: { run: 'true' } }\nfinally: { b: { run: 'echo ${{ inputs.value }}' } }",
    ];
    for way in ways {
        let place = Sandbox::with(&[(
            "a.yaml",
            &format!("name: a\ninputs: {{ value: {{ type: string }} }}\n{way}\n"),
        )]);
        let problem = place.run("validate a.yaml --json").exits(3).problem();
        let codes: Vec<&Value> =
            problem["errors"].as_array().unwrap().iter().map(|error| &error["code"]).collect();
        assert!(codes.contains(&&Value::from("expression_in_run")), "{way}: {codes:?}");
    }
}

#[test]
fn the_test_would_see_a_value_that_is_executed() {
    // What a template in a script would have come to.
    let flow =
        "name: a\nsteps:\n  a: { run: 'eval \"$VALUE\"', env: { VALUE: \"; touch P\" }, effect: pure }\n";
    let place = Sandbox::with(&[("a.yaml", &flow.replace("; touch", "touch"))]);
    place.run("run a.yaml -q").exits(0);
    assert!(place.path("P").exists());
}
