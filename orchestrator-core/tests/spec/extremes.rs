//! Sizes: what is too large is refused early, what is large is read without deep recursion or repeated work.

use std::fmt::Write as _;

use orchestrator_core::plan::Plan;
use orchestrator_core::spec::{MAX_DIAGNOSTICS, Workflow, parse};

use crate::catalog::plugins;
use crate::told;

fn codes(text: &str) -> Vec<&'static str> {
    told(text).into_iter().map(|diagnostic| diagnostic.code).collect()
}

fn steps(len: usize, step: impl Fn(usize, &mut String)) -> String {
    let mut text = "name: big\nsteps:\n".to_owned();
    for ix in 0..len {
        let _ = write!(text, " s{ix}: {{ uses: noop");
        step(ix, &mut text);
        text.push_str(" }\n");
    }
    text
}

fn read(text: &str) -> Workflow {
    parse(text, &plugins()).unwrap_or_else(|found| panic!("{found}")).workflow
}

#[test]
fn nesting_without_end_is_refused() {
    for open in ["[", "{", "- ", "{a: ", "[[{"] {
        assert_eq!(codes(&open.repeat(100_000)), ["yaml.depth"], "{open}");
    }
    for open in ["[", "{", "{a: ", "[[{"] {
        let text = format!("name: a\nsteps: {{ a: {{ uses: noop, with: {}", open.repeat(100_000));
        assert_eq!(codes(&text), ["yaml.depth"], "{open}");
    }
    let indented: String = (0..200).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
    assert_eq!(codes(&indented), ["yaml.depth"]);
    let config = format!("{}1{}", "[".repeat(61), "]".repeat(61));
    assert_eq!(codes(&format!("name: a\nsteps: {{ a: {{ uses: noop, with: {config} }} }}")), [""; 0]);
    let config = format!("{}1{}", "[".repeat(62), "]".repeat(62));
    assert_eq!(codes(&format!("name: a\nsteps: {{ a: {{ uses: noop, with: {config} }} }}")), ["yaml.depth"]);
}

#[test]
fn aliases_cannot_multiply() {
    let mut laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for ix in 1..9 {
        let alias = format!("*a{}", ix - 1);
        let _ = writeln!(laughs, "a{ix}: &a{ix} [{}]", vec![alias; 9].join(", "));
    }
    assert_eq!(codes(&laughs), ["yaml.budget"]);
    let many = format!("a: &a [1, 2, 3]\nb: [{}]\n", vec!["*a"; 100_000].join(", "));
    assert_eq!(codes(&many), ["yaml.budget"]);
    let mut deep = "a0: &a0 [x]\n".to_owned();
    for ix in 1..200 {
        let _ = writeln!(deep, "a{ix}: &a{ix} [*a{}]", ix - 1);
    }
    assert_eq!(codes(&deep), ["yaml.depth"]);
}

#[test]
fn what_is_too_large_is_refused() {
    assert_eq!(codes(&"x".repeat((32 << 20) + 1)), ["too_large"]);
    assert_eq!(
        codes(&format!("name: {}\nsteps: {{ a: {{ run: x }} }}\n", "x".repeat(2 << 20))),
        ["too_large"]
    );
}

#[test]
fn a_long_chain_is_read_and_planned() {
    let workflow = read(&steps(20_000, |ix, text| {
        if ix > 0 {
            let _ = write!(text, ", needs: s{}", ix - 1);
        }
    }));
    let plan = Plan::new(workflow.steps.iter().map(|step| step.needs.as_slice())).unwrap();
    assert_eq!(plan.waves().len(), 20_000);
}

#[test]
fn far_references_are_answered_for_all_steps_together() {
    // Every step refers to the first one, which comes before it, and the odd ones to the last one, which does not.
    let text = steps(4_000, |ix, text| {
        if ix > 0 {
            let _ = write!(text, ", needs: s{}, with: '${{{{ steps.s0.x ~ steps.s{}.y }}}}'", ix - 1, ix / 2);
        }
    });
    read(&text);
    let text = text.replacen("steps.s0.x", "steps.s3999.x", 3);
    assert_eq!(codes(&text), ["output_not_available"; 3]);
}

#[test]
fn a_large_circle_is_told_shortly() {
    for len in [1_000, 20_000] {
        let found = told(&steps(len, |ix, text| _ = write!(text, ", needs: s{}", (ix + 1) % len)));
        assert_eq!(found.len(), 1);
        assert_eq!(
            found[0].message,
            format!(
                "steps need each other in a circle: s0 needs s1 needs s2 needs s3 needs s4 needs s5 needs s6 needs s7 needs s8 \
                 needs s9 needs s10 needs s11 needs … needs s0 ({len} steps)"
            )
        );
    }
}

#[test]
fn only_the_first_hundred_problems_are_told() {
    let found = told(&steps(2_000, |ix, text| _ = write!(text, ", needs: x{ix}, nedes: y")));
    assert_eq!(found.len(), MAX_DIAGNOSTICS);
    assert_eq!(found[0].span.unwrap().line, 3);
    assert_eq!(found[99].span.unwrap().line, 52);
    let keys: String = (0..20_000).map(|ix| format!("k{ix}: 1\n")).collect();
    assert_eq!(told(&keys).len(), MAX_DIAGNOSTICS);
}
