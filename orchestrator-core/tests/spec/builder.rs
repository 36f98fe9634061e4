//! Workflows written in Rust.

use std::time::Duration;

use orchestrator_core::spec::retry::{Backoff, ErrorClass, RetryPolicy};
use orchestrator_core::spec::{
    Confinement, EffectClass, Input, InputKind, OnExpiry, OnFull, Sandbox, Stage, StepBuilder, Workflow,
    WorkflowBuilder, parse,
};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::catalog::plugins;
use crate::valid::{EXAMPLE, parsed};

/// What a workflow means, in a form that can be compared: everything but its text.
pub(crate) fn meaning(workflow: &Workflow) -> Value {
    let written = |map: &indexmap::IndexMap<std::sync::Arc<str>, orchestrator_core::spec::expr::Template>| {
        map.iter().map(|(name, value)| json!([name, value.as_written()])).collect::<Vec<_>>()
    };
    let steps = workflow.steps.iter().map(|step| {
        let options = step.options();
        json!({
            "name": step.name, "uses": step.uses, "with": step.with.as_written(),
            "needs": step.needs.iter().map(|need| need.0).collect::<Vec<_>>(),
            "if": options.condition.as_ref().map(|condition| condition.source()),
            "env": written(&options.env),
            "rest": format!("{:?} {:?} {:?} {:?}", options.retry, options.timeout, options.effect, options.sandbox),
        })
    });
    json!({
        "name": workflow.name, "description": workflow.description,
        "inputs": workflow.inputs.iter().map(|(name, input)| format!("{name}: {input:?}")).collect::<Vec<_>>(),
        "env": written(&workflow.env), "steps": steps.collect::<Vec<_>>(), "outputs": written(&workflow.outputs),
    })
}

fn retry() -> RetryPolicy {
    RetryPolicy {
        max_attempts: 3,
        backoff: Backoff::Exponential,
        initial: Duration::from_secs(1),
        max: Duration::from_secs(30),
        on: vec![ErrorClass::Transient, ErrorClass::Timeout],
    }
}

/// The example of the README once more.
fn example() -> WorkflowBuilder {
    Workflow::builder("release-notes")
        .description("Notes for what has changed.")
        .input("count", Input::integer().default(50))
        .input("model", Input::string().default("mock").description("which model writes"))
        .input("url", InputKind::String)
        .env("LANG", "C.UTF-8")
        .step("log", |step| {
            step.run("git log --oneline -n \"$COUNT\"")
                .effect(EffectClass::Pure)
                .sandbox(Sandbox::None)
                .env("COUNT", "${{ inputs.count }}")
        })
        .step("notes", |step| {
            let prompt = "Write release notes for:\n${{ steps.log.stdout }}\n";
            step.uses("llm")
                .needs(["log"])
                .with(json!({"model": "${{ inputs.model }}", "prompt": prompt}))
                .retry(retry())
                .timeout(Duration::from_secs(120))
        })
        .step("review", |step| {
            step.uses("approval")
                .needs(["notes"])
                .with(json!({"message": "Publish these notes?", "show": "${{ steps.notes.text }}"}))
                .timeout_then(Duration::from_secs(86_400), OnExpiry::Reject)
        })
        .step("publish", |step| {
            let with = json!({"method": "POST", "url": "${{ inputs.url }}", "json": {"body": "${{ steps.notes.text }}"}});
            step.uses("http").needs(["review"]).condition("steps.review.approved").with(with)
        })
        .output("notes", "${{ steps.notes.text }}")
}

#[test]
fn a_sandbox_is_written_as_it_is_read() {
    let mut confinement = Confinement::default();
    confinement.network = true;
    confinement.read = vec!["~/data".to_owned()];
    confinement.write = vec!["../out/".to_owned()];
    confinement.memory = 512 << 20;
    confinement.cpu = Duration::from_secs(90);
    confinement.processes = 8;
    confinement.file_size = 1 << 20;
    confinement.open_files = 64;
    let whole = Sandbox::from(confinement);
    let written = json!({
        "network": true, "read": ["~/data"], "write": ["../out/"], "memory": "512MiB", "cpu": "90s", "processes": 8,
        "file_size": "1MiB", "open_files": 64,
    });
    assert_eq!(json!(whole), written);
    assert_eq!(whole.grants(), ["the network", "reads ~/data", "writes ../out/"]);
    assert_eq!((json!(Sandbox::None), json!(Sandbox::strict())), (json!("none"), json!("strict")));
    for sandbox in [Sandbox::None, Sandbox::strict(), whole] {
        let given = sandbox.clone();
        let workflow = Workflow::builder("a").step("a", |step| step.run("x").sandbox(given));
        let workflow = workflow.build(&plugins()).unwrap();
        assert_eq!(workflow.steps[0].options().sandbox.as_ref(), Some(&sandbox));
        let text =
            format!("name: a\ndefaults: {{ sandbox: {} }}\nsteps: {{ a: {{ run: x }} }}\n", json!(sandbox));
        assert_eq!(parsed(&text).steps[0].options().sandbox.as_ref(), Some(&sandbox), "{text}");
    }
}

#[test]
fn a_builder_and_yaml_mean_the_same() {
    let built = example().build(&plugins()).unwrap();
    assert_eq!(meaning(&built), meaning(&parsed(EXAMPLE)));
    assert_eq!(&*built.text, example().to_text());
    assert_eq!(meaning(&parsed(&built.text)), meaning(&built));
}

#[test]
fn the_text_is_json_with_a_step_a_line() {
    let text = Workflow::builder("two")
        .step("a", |step| step.uses("noop"))
        .step("b", |step| step.uses("greet").with("world").needs(["a"]))
        .to_text();
    insta::assert_snapshot!(text, @r#"
    {
    "name":"two",
    "steps":{
    "a":{"uses":"noop"},
    "b":{"needs":["a"],"uses":"greet","with":"world"}}
    }
    "#);
    assert!(serde_json::from_str::<Value>(&text).is_ok());
}

#[test]
fn what_is_wrong_is_told_in_the_same_words_without_places() {
    #[derive(Debug)]
    struct Odd;
    impl serde::Serialize for Odd {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("not to be written"))
        }
    }
    let builder = Workflow::builder("a/b")
        .input("n", Input::integer().default("x"))
        .step("a", |step| step.uses("htpt").needs(["b"]))
        .step("b", |step| step.run("x").uses("http"))
        .step("b", |step| step.run("echo ${{ inputs.m }}"))
        .step("c", |step| step.uses("greet").with(Odd).retry(RetryPolicy { max_attempts: 0, ..retry() }))
        .step("d", |step| step.uses("greet").with("${{ inputs.m }} ${{ steps.a.x }}").timeout(Duration::ZERO))
        .output("x", Odd);
    let found = builder.build(&plugins()).unwrap_err();
    assert!(found.0.iter().all(|diagnostic| diagnostic.span.is_none()));
    insta::assert_snapshot!(found);
}

fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z]{1,6}",
        any::<String>(),
        Just("${{ inputs.a }}".into()),
        Just("x ${{ inputs.b | upper }}".into())
    ]
    .prop_filter("a literal `${{` is an expression", |text| {
        !text.contains('\0') && (!text.contains("${{") || text.contains("inputs."))
    })
}

fn config() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_filter("JSON", |number| number.is_finite()).prop_map(Value::from),
        word().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map("[^\u{0}<]{0,12}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn step(ix: usize) -> impl Strategy<Value = StepBuilder> {
    let retry = (1u32..1000, any::<bool>(), 0u64..100_000, 0u64..100_000).prop_map(
        |(attempts, fixed, first, more)| RetryPolicy {
            max_attempts: attempts,
            backoff: if fixed { Backoff::Fixed } else { Backoff::Exponential },
            initial: Duration::from_millis(first),
            max: Duration::from_millis(first + more),
            on: vec![ErrorClass::Lost],
        },
    );
    let needs = proptest::collection::btree_set(0..ix.max(1), 0..3);
    (config(), needs, proptest::option::of(retry), proptest::option::of(1u64..1 << 40), word(), any::<bool>())
        .prop_map(move |(with, needs, retry, timeout, value, pure)| {
            let mut step = StepBuilder::default().uses("noop").with(with).env("A", value);
            if ix > 0 {
                step = step.needs(needs.into_iter().map(|need| format!("s{need}")));
            }
            if let Some(retry) = retry {
                step = step.retry(retry);
            }
            if let Some(millis) = timeout {
                // At most ten years.
                step = step.timeout(Duration::from_millis(millis % 315_360_000_000 + 1));
            }
            if pure { step.effect(EffectClass::Pure).condition("always() and inputs.a != 'x'") } else { step }
        })
}

proptest! {
    #[test]
    fn what_a_builder_writes_is_read_back(
        steps in (1usize..5).prop_flat_map(|len| (0..len).map(step).collect::<Vec<_>>()),
        description in word(),
        output in config(),
    ) {
        let mut builder = Workflow::builder("x").description(description.clone()).input("a", Input::any().default(output.clone()));
        builder = builder.input("b", Input::string());
        for (ix, step) in steps.into_iter().enumerate() {
            builder = builder.step(format!("s{ix}"), |_| step);
        }
        let built = builder.output("o", &output).build(&plugins()).unwrap();
        prop_assert_eq!(built.description.as_deref(), Some(&*description));
        prop_assert_eq!(built.inputs["a"].default.as_ref(), Some(&output));
        let read = parse(&built.text, &plugins()).unwrap().workflow;
        prop_assert_eq!(meaning(&read), meaning(&built));
    }
}

#[test]
fn every_key_of_a_step_and_every_stage_can_be_described() {
    let second = Duration::from_secs(1);
    let workflow = Workflow::builder("all")
        .input("names", Input::array())
        .deadline(Duration::from_secs(60))
        .concurrency(json!({"key": "all-${{ inputs.names[0] }}", "limit": 2, "on_full": "cancel_oldest"}))
        .allow_network("127.0.0.1:11434")
        .allow_network("[fd00::/8]:*")
        .step("map", |step| {
            step.uses("noop")
                .with("${{ item }}")
                .for_each("${{ inputs.names }}")
                .max_parallel(3)
                .deadline(second)
        })
        .step("grid", |step| step.uses("noop").matrix(json!({"a": [1, 2], "b": ["x"]})).continue_on_error())
        .step("poll", |step| {
            let step = step.uses("noop").repeat("self.value == 3", 5, second);
            let step = step.network(["LOCALHOST:80"]);
            step.compensate(|undo| undo.uses("noop").with("${{ self.value }}").effect(EffectClass::Pure))
        })
        .step("gated", |step| {
            step.uses("noop").qa(json!({"message": "Good?"})).evidence(json!({"files": ["a.txt"]}))
        })
        .on_failure("tell", |step| step.uses("noop").with("${{ run.error }}"))
        .finally("tidy", |step| step.uses("noop"))
        .build(&plugins())
        .unwrap_or_else(|problems| panic!("{problems}"));
    let options = |name: &str| workflow.step(workflow.find(name).expect(name)).options();
    assert_eq!(options("map").max_parallel().map(std::num::NonZeroU32::get), Some(3));
    assert_eq!((options("map").deadline, workflow.deadline), (Some(second), Some(Duration::from_secs(60))));
    let bounded = workflow.concurrency.as_ref().expect("a key");
    assert_eq!((bounded.limit, bounded.on_full), (2, OnFull::CancelOldest));
    assert_eq!(bounded.key.as_written(), json!("all-${{ inputs.names[0] }}"));
    assert!(options("grid").continue_on_error && options("grid").each.is_some());
    assert_eq!(options("poll").repeat.as_ref().map(|repeat| (repeat.max, repeat.delay)), Some((5, second)));
    let network = |name: &str| {
        let step = workflow.step(workflow.find(name).expect(name));
        let granted = workflow.permissions_of(step).network.grants().iter();
        granted.map(ToString::to_string).collect::<Vec<_>>()
    };
    // A step's own word replaces that of the workflow, and holds for what undoes it.
    assert_eq!(network("map"), ["127.0.0.1:11434", "[fd00::/8]:*"]);
    assert_eq!(
        (network("poll"), network("poll.compensate")),
        (vec!["localhost:80".into()], vec!["localhost:80".into()])
    );
    assert!(options("gated").qa.is_some() && options("gated").evidence.is_some());
    let stages =
        ["poll.compensate", "tell", "tidy"].map(|name| workflow.stages.of(workflow.find(name).unwrap()));
    assert_eq!(stages, [Stage::Compensation, Stage::OnFailure, Stage::Finally]);
}

#[test]
fn what_cannot_be_written_is_told_at_its_key() {
    let odd = std::collections::HashMap::from([((1, 2), 3)]);
    let problems = Workflow::builder("odd")
        .step("a", |step| step.uses("noop").for_each(&odd).compensate(|undo| undo.uses("noop").with(&odd)))
        .finally("z", |step| step.uses("noop").with(&odd))
        .build(&plugins())
        .expect_err("keys of JSON are texts");
    let paths: Vec<&str> = problems.0.iter().map(|problem| &*problem.path).collect();
    assert_eq!(paths, ["steps.a.for_each", "steps.a.compensate.with", "finally.z.with"], "{problems}");
}
