//! What a run is given.

use std::collections::BTreeMap;

use orchestrator_core::spec::inputs::{Given, resolve};
use serde_json::{Value, json};

use crate::valid::parsed;

const WORKFLOW: &str = "
name: a
inputs:
  text: { type: string }
  count: { type: integer, default: 50 }
  ratio: { type: number, default: 0.5 }
  flag: { type: boolean, default: false }
  list: { type: array, default: [] }
  map: { type: object, default: {}, description: anything }
  any: { type: any, default: null }
steps: { a: { run: x } }
";

fn given(pairs: &[(&str, Given)]) -> Result<Value, String> {
    let given: BTreeMap<String, Given> =
        pairs.iter().map(|(name, given)| ((*name).to_owned(), given.clone())).collect();
    resolve(&parsed(WORKFLOW), &given).map_err(|found| found.to_string())
}

fn text(text: &str) -> Given {
    Given::Text(text.into())
}

#[test]
fn texts_are_read_as_the_declared_type_and_defaults_are_filled_in() {
    assert_eq!(
        given(&[("text", text("5"))]),
        Ok(
            json!({"text": "5", "count": 50, "ratio": 0.5, "flag": false, "list": [], "map": {}, "any": null})
        )
    );
    let all = given(&[
        ("text", text("")),
        ("count", text("18446744073709551615")),
        ("ratio", text("3")),
        ("flag", text("true")),
        ("list", text("[1, \"a\"]")),
        ("map", text("{\"a\": null}")),
        ("any", text("not json")),
    ]);
    assert_eq!(
        all,
        Ok(json!({
            "text": "", "count": u64::MAX, "ratio": 3, "flag": true, "list": [1, "a"], "map": {"a": null}, "any": "not json",
        }))
    );
    assert_eq!(given(&[("text", text("x")), ("any", text("[1]"))]).unwrap()["any"], json!([1]));
}

#[test]
fn all_that_is_wrong_is_told_at_once() {
    let wrong = given(&[
        ("count", text("1e3")),
        ("ratio", text("nan")),
        ("flag", text("yes")),
        ("list", text("[1")),
        ("map", text("[]")),
        ("cuont", text("5")),
        ("elephant", Given::Value(json!(1))),
    ]);
    insta::assert_snapshot!(wrong.unwrap_err(), @r#"
    inputs.count: "1e3" is not of type integer (write for example 50)
    inputs.cuont: there is no input "cuont" (did you mean "count"?)
    inputs.elephant: there is no input "elephant" (there are text, count, ratio, flag, list, map, any)
    inputs.flag: "yes" is not of type boolean (write for example true)
    inputs.list: "[1" is not of type array: EOF while parsing a list at line 1 column 2 (write for example ["a", "b"])
    inputs.map: expected type object, found a list
    inputs.ratio: "nan" is not of type number (write for example 0.5)
    inputs.text: the input is required; its type is string
    "#);
}

#[test]
fn values_of_host_programs_are_not_coerced() {
    let wrong = given(&[
        ("text", Given::Value(json!(5))),
        ("count", Given::Value(json!("5"))),
        ("ratio", Given::Value(json!(5))),
        ("flag", Given::Value(Value::Null)),
        ("any", Given::Value(json!({"a": "b\u{0}"}))),
    ]);
    insta::assert_snapshot!(wrong.unwrap_err(), @r#"
    inputs.any: a text holds a NUL character
    inputs.count: expected type integer, found the text "5"
    inputs.flag: expected type boolean, found nothing
    inputs.text: expected type string, found the whole number 5
    "#);
    let mut deep = Value::Null;
    for _ in 0..200 {
        deep = json!([deep]);
    }
    assert!(
        given(&[("text", text("x")), ("any", Given::Value(deep))]).unwrap_err().contains("nested deeper")
    );
}
