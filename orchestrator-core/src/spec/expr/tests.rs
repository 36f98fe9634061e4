use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::value::VALUE_LIMIT;

fn scope() -> Scope {
    let ended = |status, output: Option<Value>| StepView {
        status,
        output: output.map(Arc::new),
        error: (status == "failed").then(|| "no luck".to_owned()),
        attempts: 2,
        items: None,
    };
    Scope {
        inputs: Arc::new(json!({
            "n": 3, "name": "Ann", "list": [1, 2], "big": 9_007_199_254_740_993_i64, "huge": u64::MAX,
            "none": null, "flag": true, "half": 0.5, "nested": {"a": {"b": "c"}}, "evil": "${{ inputs.name }}",
        })),
        env: BTreeMap::from([("LANG".into(), "C".to_owned())]),
        run: BTreeMap::from([("id".into(), json!("run_1")), ("workflow".into(), json!("w"))]),
        steps: BTreeMap::from([
            ("a".into(), ended("completed", Some(json!({"text": "hello", "code": 7, "lines": ["x", "y"]})))),
            ("gone".into(), ended("skipped", None)),
            ("bad".into(), ended("failed", None)),
            ("bare".into(), ended("completed", Some(json!("world")))),
        ]),
        item: Some(json!({"os": "linux"})),
        index: Some(4),
        own: None,
        standing: Standing::default(),
    }
}

fn render(value: impl Into<Value>) -> Result<Value, ExprError> {
    Template::compile(value.into())?.render(&scope())
}

fn code(value: impl Into<Value>) -> &'static str {
    match render(value) {
        Ok(value) => panic!("{value}"),
        Err(error) => error.code,
    }
}

#[test]
fn a_whole_expression_keeps_its_type_and_text_around_one_makes_text() {
    for (source, value) in [
        ("inputs.n", json!(3)),
        ("inputs.n + 1", json!(4)),
        ("inputs.list", json!([1, 2])),
        ("inputs.none", json!(null)),
        ("inputs.half", json!(0.5)),
        ("inputs.nested.a.b", json!("c")),
        ("inputs['nested'].a['b']", json!("c")),
        ("steps.a.text | upper", json!("HELLO")),
        ("steps.a.lines[1]", json!("y")),
        ("steps.a.status", json!("completed")),
        ("steps.a.attempts", json!(2)),
        ("steps.a.error", json!(null)),
        ("steps.bad.error", json!("no luck")),
        ("steps.bare.value", json!("world")),
        ("steps.gone.anything", json!(null)),
        ("steps.gone.anything is none", json!(true)),
        ("steps.bare", json!({"value": "world", "status": "completed", "attempts": 2, "error": null})),
        ("steps.a.text if inputs.flag else 'no'", json!("hello")),
        ("env.LANG", json!("C")),
        ("run.id ~ '-' ~ run.workflow", json!("run_1-w")),
        ("inputs.missing is defined", json!(false)),
        ("inputs.missing | default('x')", json!("x")),
        ("{'a': inputs.n, 'b': [1, none]}", json!({"a": 3, "b": [1, null]})),
        ("range(3) | list", json!([0, 1, 2])),
        ("inputs.list | tojson", json!("[1,2]")),
        ("inputs.list | map('string') | join(', ')", json!("1, 2")),
        ("inputs | length", json!(10)),
        ("'}}'", json!("}}")),
        ("success() and not failure() and always() and not cancelled()", json!(true)),
        ("inputs.n * 2 + (inputs.n + 1) * inputs.half", json!(8.0)),
        ("inputs.name | length * 2", json!(6)),
    ] {
        let whole = format!("${{{{ {source} }}}}");
        assert_eq!(render(whole.clone()), Ok(value.clone()), "{source}");
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        assert_eq!(render(format!("<{whole}>")), Ok(json!(format!("<{text}>"))), "{source}");
    }
    assert_eq!(render("a ${{ inputs.n }} b ${{inputs.name}}"), Ok(json!("a 3 b Ann")));
    let nested = json!({"x": ["${{ inputs.n }}", {"y": "n=${{ inputs.n }}"}], "z": 1});
    assert_eq!(render(nested), Ok(json!({"x": [3, {"y": "n=3"}], "z": 1})));
}

#[test]
fn integers_of_64_bits_survive() {
    for (name, value) in [("big", json!(9_007_199_254_740_993_i64)), ("huge", json!(u64::MAX))] {
        assert_eq!(render(format!("${{{{ inputs.{name} }}}}")), Ok(value.clone()));
        assert_eq!(render(format!("${{{{ (inputs.{name}) }}}}")), Ok(value.clone()));
        assert_eq!(render(format!("${{{{ [inputs.{name}] }}}}")), Ok(json!([value])));
    }
    assert_eq!(code("${{ inputs.huge + 1 }}"), "type_mismatch");
    assert_eq!(render("${{ inputs.huge - 1 }}"), Ok(json!(u64::MAX - 1)));
}

#[test]
fn what_comes_out_of_data_is_never_evaluated_again() {
    assert_eq!(render("${{ inputs.evil }}"), Ok(json!("${{ inputs.name }}")));
    assert_eq!(render("- ${{ inputs.evil }}"), Ok(json!("- ${{ inputs.name }}")));
    assert_eq!(Template::constant(json!("${{ inputs.n }}")).render(&scope()), Ok(json!("${{ inputs.n }}")));
}

#[test]
fn what_is_not_defined_is_an_error() {
    for source in [
        "inputs.missing",
        "(inputs.missing)",
        "inputs.missing ~ 'x'",
        "[inputs.missing]",
        "inputs.nested.missing",
        "inputs.n.missing",
        "steps.a.missing",
        "steps.missing.text",
        "steps.gone.json.title",
        "nope",
        "nope.x",
        "steps",
        "inputs.name.upper()",
        "inputs.name | uper",
        "inputs.n is evn",
        "sucess()",
        "env('HOME')",
        "include('x')",
        "open('/etc/passwd')",
        "''.__class__",
        "run.secret",
        "debug()",
        "namespace()",
        "steps[inputs.name].x",
    ] {
        assert_eq!(code(format!("${{{{ {source} }}}}")), "undefined_variable", "{source}");
    }
    assert_eq!(code("${{ self.x }}"), "undefined_variable");
    for misused in
        ["secrets", "secrets.x.y", "secrets.x|upper", "secrets.x == 'a'", "{'a': secrets.x}", "secrets[0]"]
    {
        assert_eq!(code(format!("${{{{ {misused} }}}}")), "secret_not_allowed", "{misused}");
    }
    assert_eq!(code("${{ loop.index }}"), "undefined_variable");
}

#[test]
fn what_does_not_compile_is_told() {
    for source in [
        "",
        "  ",
        "inputs.",
        "1 +",
        "inputs.n inputs.n",
        "inputs.n && true",
        "1 || 2",
        "!inputs.flag",
        "inputs.n = 3",
        "'x",
        "é",
    ] {
        assert_eq!(code(format!("${{{{ {source} }}}}")), "template.syntax", "{source}");
    }
    assert_eq!(code("${{ inputs.n"), "template.syntax");
    let message = render("${{ inputs.n && true }}").unwrap_err().message;
    assert_eq!(message, "`&&` is not an operator");
}

#[test]
fn depth_and_length_are_bounded_before_compilation() {
    let long =
        |n: usize, open: &str, close: &str| format!("${{{{ {}1{} }}}}", open.repeat(n), close.repeat(n));
    assert_eq!(render(long(MAX_NESTING, "(", ")")), Ok(json!(1)));
    for (open, close) in [("(", ")"), ("[", "]"), ("- ", ""), ("not ", ""), ("1 if true else ", "")] {
        assert_eq!(code(long(100, open, close)), "template.depth", "{open}");
    }
    assert_eq!(code(long(400, "1+", "")), "template.too_long");
    assert_eq!(render(long(255, "1+", "")), Ok(json!(256)));
}

#[test]
fn work_and_output_are_bounded() {
    let mut scope = scope();
    scope.inputs = Arc::new(json!({"s": "x".repeat(4 << 20), "n": 1_000_000}));
    let code = |source: &str| {
        let template = Template::compile(json!(format!("${{{{ {source} }}}}"))).map_err(|error| error.code);
        template.and_then(|template| template.render(&scope).map(drop).map_err(|error| error.code))
    };
    for source in [
        "range(10**9)",
        "range(10000) | map('default', 1) | list | map('join', range(10000) | list | tojson) | list",
        "inputs.s | replace('x', inputs.s)",
        "inputs.s | list",
        "inputs.s | split('x')",
        "inputs.s | join(inputs.s)",
        "inputs.s | sort",
        "inputs.s ~ inputs.s ~ inputs.s ~ inputs.s ~ inputs.s ~ inputs.s ~ inputs.s ~ inputs.s ~ inputs.s",
        "range(10000) | map('replace', '1', inputs.s) | list",
    ] {
        assert_eq!(code(source), Err("template.fuel"), "{source}");
    }
    for source in [
        "'x' * 100000000",
        "inputs.s * 2",
        "[1] * 1000000",
        "2 * inputs.s",
        "('a' ~ 'b') * 3",
        "inputs.n * ('a')",
    ] {
        assert_eq!(code(source), Err("type_mismatch"), "{source}");
    }
    assert_eq!(code("inputs.s | indent(1000000000)"), Err("type_mismatch"));
    assert_eq!(code("inputs.s"), Ok(()));
    let fits = VALUE_LIMIT / (4 << 20);
    let many = Template::compile(json!("${{ inputs.s }}".repeat(fits))).unwrap();
    assert_eq!(many.render(&scope).unwrap().as_str().unwrap().len(), VALUE_LIMIT);
    let mut list = vec!["${{ inputs.s }}"; fits];
    list.push("a ${{ inputs.n }}");
    let list = Template::compile(json!(list)).unwrap();
    assert_eq!(list.render(&scope).unwrap_err().code, "template.output_limit");
}

#[test]
fn arithmetic_that_has_no_result_is_an_error() {
    for source in ["1 // 0", "1 % 0", "1 / 0", "9 ** 999", "1e308 * 10", "'a' + 1", "-'a'"] {
        assert_eq!(code(format!("${{{{ {source} }}}}")), "type_mismatch", "{source}");
    }
}

#[test]
fn references_are_sorted_and_not_repeated() {
    let template = Template::compile(json!({
        "a": "${{ steps.b.x ~ steps.a.y ~ inputs.n }}", "b": ["${{ steps.a.y | upper }}", "${{ env.X }}"],
        "c": "${{ steps.a }} ${{ run.id }} ${{ 'steps.no.no' }}",
    }))
    .unwrap();
    let step = |name: &str, field: Option<&str>| Reference::Step(name.into(), field.map(Into::into));
    assert_eq!(
        template.references(),
        [
            Reference::Input("n".into()),
            Reference::Env("X".into()),
            step("a", None),
            step("a", Some("y")),
            step("b", Some("x"))
        ]
    );
    let written = template.as_written();
    assert_eq!(written["b"], json!(["${{ steps.a.y | upper }}", "${{ env.X }}"]));
}

#[test]
fn conditions_are_boolean_with_or_without_braces() {
    let mut scope = scope();
    let ask = |text: &str, scope: &Scope| Condition::compile(text).unwrap().evaluate(scope);
    assert_eq!(ask("inputs.flag", &scope), Ok(true));
    assert_eq!(ask("${{ inputs.n > 2 and inputs.name == 'Ann' }}", &scope), Ok(true));
    assert_eq!(ask("  ${{ not inputs.flag }} ", &scope), Ok(false));
    assert_eq!(ask("inputs.n", &scope).unwrap_err().code, "type_mismatch");
    assert_eq!(
        ask("inputs.name", &scope).unwrap_err().message,
        "`inputs.name` is a text; a condition must be true or false"
    );
    assert_eq!(ask("inputs.missing", &scope).unwrap_err().code, "undefined_variable");
    assert_eq!(Condition::compile("${{ a }} b").unwrap_err().code, "template.syntax");
    assert!(Condition::compile("always()").unwrap().has_status_function());
    assert!(!Condition::compile("inputs.flag and 'success()' != ''").unwrap().has_status_function());
    scope.standing = Standing { success: false, failure: true, cancelled: false };
    assert_eq!(ask("failure() or cancelled()", &scope), Ok(true));
    assert_eq!(ask("success()", &scope), Ok(false));
}

#[test]
fn only_what_is_the_same_in_every_case_is_foregone() {
    let foregone = |text: &str| Condition::compile(text).unwrap().foregone().map(|answer| answer.ok());
    assert_eq!(foregone("1 > 2"), Some(Some(false)));
    assert_eq!(foregone("success() and not success()"), Some(Some(false)));
    assert_eq!(foregone("always()"), Some(Some(true)));
    assert_eq!(foregone("failure()"), None);
    assert_eq!(foregone("success() and inputs.flag"), None);
    assert_eq!(foregone("1 + 1"), Some(None));
}

#[test]
fn texts_of_any_kind_pass_unharmed() {
    let odd = "a\nb\"c' $(rm) `x` \u{0} \u{1f600} \u{200b}";
    let mut scope = scope();
    scope.inputs = Arc::new(json!({ "odd": odd }));
    let template = Template::compile(json!("${{ inputs.odd ~ '' }}")).unwrap();
    assert_eq!(template.render(&scope), Ok(json!(odd)));
}

#[test]
fn programs_beyond_those_that_are_kept_compiled_work_too() {
    let programs: Value = (0..1_100).map(|ix| format!("${{{{ inputs.n + {ix} }}}}")).collect();
    let sums: Value = (0..1_100).map(|ix| ix + 3).collect();
    assert_eq!(render(programs), Ok(sums));
}

#[test]
fn constants_are_small_and_programs_are_shared() {
    assert!(size_of::<Template>() <= 40, "{}", size_of::<Template>());
    assert!(size_of::<Reference>() <= 40);
    let shared = std::mem::size_of_val(&Condition::compile("always()").unwrap());
    assert!(shared <= 40, "{shared}");
}
