//! Validating a workflow of 20,000 steps.

use std::fmt::Write as _;

use orchestrator_core::engine::Registry;

use crate::sample::{Figure, Must, median, time};

const STEPS: usize = 20_000;

pub(crate) fn measure(repeat: usize) -> Vec<Figure> {
    let text = text();
    let registry: Registry = orchestrator_plugins::builtin().into_iter().collect();
    let spent = (0..repeat).map(|_| {
        let (parsed, spent) = time(|| orchestrator_core::spec::parse(&text, &registry));
        assert_eq!(parsed.expect("a workflow").workflow.steps.len(), STEPS);
        spent.as_secs_f64() * 1e3
    });
    vec![Figure {
        name: format!("validation: {STEPS} steps"),
        measured: median(spent.collect()),
        limit: 1_000.0,
        unit: "ms",
        must: Must::Within,
    }]
}

/// Scripts with an environment that refers to the step before.
fn text() -> String {
    let mut text = String::from("name: long\ninputs: { who: { type: string, default: you } }\nsteps:\n");
    for step in 0..STEPS {
        let _ = writeln!(text, "  s{step}:\n    run: echo \"$WHO\"\n    effect: pure");
        if step == 0 {
            text.push_str("    env: { WHO: \"${{ inputs.who }}\" }\n");
        } else {
            let before = step - 1;
            let _ = writeln!(
                text,
                "    needs: s{before}\n    env: {{ WHO: \"${{{{ steps.s{before}.stdout }}}}\" }}"
            );
        }
    }
    text
}
