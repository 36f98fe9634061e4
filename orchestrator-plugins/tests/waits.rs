//! Steps that wait: for a person, and for time to pass. And what all plugins have in common.

mod stage;

use std::time::Duration;

use orchestrator_core::machine::{Arrival, Signal as Given};
use orchestrator_core::port::plugin::{Awaited, ExpectedSignal, Outcome, Plugin, Stream};
use orchestrator_core::spec::retry::ErrorClass;
use orchestrator_core::spec::{EffectClass, OnExpiry};
use orchestrator_core::time::{Timestamp, wall_clock};
use orchestrator_core::value::ValueRef;
use orchestrator_plugins::{Approval, Notify, Signal, Sleep, builtin};
use serde_json::{Value, json};
use stage::{context, execute, failure, output, request};

async fn goes_on(plugin: &dyn Plugin, with: Value, arrival: Arrival) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    let (mut context, _) = context(folder.path());
    context.arrival = Some(arrival);
    plugin.execute(context, request(with)).await
}

fn decision(approved: bool) -> Arrival {
    Arrival::Decision {
        approved,
        by: "ada".into(),
        via: "cli".into(),
        comment: approved.then(|| "fine".into()),
    }
}

#[tokio::test]
async fn an_approval_waits_and_then_gives_the_answer() {
    let with = json!({ "message": "Publish?", "show": { "notes": ["a"] } });
    let on = Awaited::Approval { message: "Publish?".to_owned(), show: Some(json!({ "notes": ["a"] })) };
    assert_eq!(execute(&Approval, with.clone()).await.0, Outcome::Wait { on });
    let yes = goes_on(&Approval, with.clone(), decision(true)).await;
    assert_eq!(
        output(yes),
        json!({ "approved": true, "by": "ada", "via": "cli", "comment": "fine", "expired": false })
    );
    let no = goes_on(&Approval, with, decision(false)).await;
    assert_eq!(
        output(no),
        json!({ "approved": false, "by": "ada", "via": "cli", "comment": null, "expired": false })
    );
}

#[tokio::test]
async fn silence_means_what_the_step_says() {
    let with = json!({ "message": "Publish?" });
    for (then, approved) in [(OnExpiry::Approve, true), (OnExpiry::Reject, false)] {
        let outcome = goes_on(&Approval, with.clone(), Arrival::Expired { then }).await;
        let expected =
            json!({ "approved": approved, "by": null, "via": "timeout", "comment": null, "expired": true });
        assert_eq!(output(outcome), expected);
    }
    let outcome = goes_on(&Approval, with.clone(), Arrival::Expired { then: OnExpiry::Fail }).await;
    assert_eq!(failure(outcome), (ErrorClass::Timeout, "nobody decided in time".to_owned()));
    assert_eq!(failure(goes_on(&Approval, with, Arrival::Due).await).0, ErrorClass::Invalid);
}

#[tokio::test]
async fn a_question_without_words_is_refused() {
    assert_eq!(Approval.validate(&json!({ "message": " " }))[0].path, ["message"]);
    assert_eq!(Approval.validate(&json!({ "message": "${{ inputs.q }}" })), []);
    for with in
        [json!({}), json!({ "message": "\n" }), json!({ "message": 1 }), json!({ "message": "a", "shw": 1 })]
    {
        assert_eq!(failure(execute(&Approval, with).await.0).0, ErrorClass::Invalid);
    }
}

#[tokio::test]
async fn a_sleep_waits_for_as_long_as_it_says() {
    let with = json!({ "for": "1m30s" });
    let on = Awaited::Pause(Duration::from_secs(90));
    assert_eq!(execute(&Sleep, with.clone()).await.0, Outcome::Wait { on });
    let before = wall_clock();
    let output = output(goes_on(&Sleep, with.clone(), Arrival::Due).await);
    let woke: Timestamp = output["woke_at"].as_str().unwrap().parse().unwrap();
    assert!(woke >= before && woke <= wall_clock());
    let expired = goes_on(&Sleep, with.clone(), Arrival::Expired { then: OnExpiry::Fail }).await;
    assert_eq!(failure(expired).0, ErrorClass::Timeout);
    assert_eq!(failure(goes_on(&Sleep, with, decision(true)).await).0, ErrorClass::Invalid);
}

#[tokio::test]
async fn a_sleep_ends_at_a_moment() {
    let until = wall_clock() + Duration::from_secs(3_600);
    match execute(&Sleep, json!({ "until": until })).await.0 {
        Outcome::Wait { on: Awaited::Pause(pause) } => {
            assert!(pause <= Duration::from_secs(3_600) && pause > Duration::from_secs(3_000), "{pause:?}");
        }
        other => panic!("{other:?}"),
    }
    for past in [json!({ "until": "2020-01-01T00:00:00+02:00" }), json!({ "for": "0s" })] {
        assert!(output(execute(&Sleep, past).await.0)["woke_at"].is_string());
    }
}

#[tokio::test]
async fn a_sleep_that_makes_no_sense_is_refused_before_and_after() {
    for (with, path, expected) in [
        (json!({}), "", "neither `for` nor `until`"),
        (json!({ "for": "1s", "until": "2027-01-31T12:00:00Z" }), "until", "exclude each other"),
        (json!({ "for": "soon" }), "for", "`soon` is not a duration"),
        (json!({ "for": "3651d" }), "for", "longer than 3650d"),
        (json!({ "until": "tomorrow" }), "until", "`tomorrow` is not a time"),
        (json!({ "until": "2027-01-31 12:00" }), "until", "is not a time"),
        (json!({ "until": "9999-01-01T00:00:00Z" }), "until", "more than 3650 days"),
    ] {
        let issues = Sleep.validate(&with);
        assert_eq!(issues.len(), 1, "{with}: {issues:?}");
        assert_eq!(issues[0].path.join("."), path, "{with}");
        assert!(issues[0].message.contains(expected), "{with}: {issues:?}");
        assert_eq!(failure(execute(&Sleep, with).await.0).0, ErrorClass::Invalid);
    }
    assert_eq!(Sleep.validate(&json!({ "for": "${{ inputs.pause }}" })), []);
}

fn given(data: &Value) -> Arrival {
    let data = ValueRef::Inline(data.to_string().into());
    Arrival::Signal(Given { name: "paid".into(), data, by: "ada".into(), at: Timestamp::from_millis(5) })
}

#[tokio::test]
async fn a_signal_gives_what_came_with_it() {
    let with = json!({ "name": "paid", "schema": { "type": "object", "required": ["amount"] } });
    let on = Awaited::Signal { name: "paid".to_owned() };
    assert_eq!(execute(&Signal, with.clone()).await.0, Outcome::Wait { on });
    let data = json!({ "amount": 12 });
    let outcome = goes_on(&Signal, with.clone(), given(&data)).await;
    let expected = json!({ "name": "paid", "data": data, "by": "ada", "at": "1970-01-01T00:00:00.005Z" });
    assert_eq!(output(outcome), expected);
    let (class, message) = failure(goes_on(&Signal, with.clone(), given(&json!({}))).await);
    assert_eq!(class, ErrorClass::Invalid);
    assert!(message.contains("the signal of ada does not fit `schema`"), "{message}");
    assert_eq!(failure(goes_on(&Signal, with, Arrival::Due).await).0, ErrorClass::Invalid);
}

#[tokio::test]
async fn a_signal_has_a_name() {
    let long = "x".repeat(201);
    for name in [" ", "a\nb", &long] {
        assert_eq!(Signal.validate(&json!({ "name": name }))[0].path, ["name"], "{name:?}");
        assert_eq!(failure(execute(&Signal, json!({ "name": name })).await.0).0, ErrorClass::Invalid);
    }
    assert_eq!(Signal.validate(&json!({ "name": "paid-${{ item }}" })), []);
    let open = Signal.signal(&json!({ "name": "paid-${{ item }}", "schema": { "enum": ["${{ item }}"] } }));
    assert_eq!(open, Some(ExpectedSignal::default()));
    let known = Signal.signal(&json!({ "name": "paid", "schema": {} })).unwrap();
    assert_eq!((known.name.as_deref(), known.schema), (Some("paid"), Some(json!({}))));
}

#[test]
fn waiting_changes_nothing() {
    for plugin in [&Approval as &dyn Plugin, &Signal, &Sleep] {
        assert_eq!(plugin.effect_class(&json!({})), EffectClass::Pure);
        assert_eq!(plugin.reaches(&json!({})), [""; 0]);
    }
}

#[tokio::test]
async fn a_notice_is_kept_and_given_on() {
    let with = json!({ "message": "first\nsecond", "level": "error", "title": "Disk" });
    let (outcome, log) = execute(&Notify, with).await;
    assert_eq!(output(outcome), json!({ "message": "first\nsecond" }));
    assert_eq!(log.lines(Stream::System), ["error: Disk: first", "second"]);
    assert_eq!(Notify.effect_class(&json!({})), EffectClass::Idempotent);
    assert_eq!(Notify.validate(&json!({ "message": " " }))[0].path, ["message"]);
    for with in [json!({ "message": "\n" }), json!({ "message": "x", "level": "loud" }), json!({})] {
        assert_eq!(failure(execute(&Notify, with).await.0).0, ErrorClass::Invalid);
    }
}

#[test]
fn every_plugin_describes_itself_in_the_known_vocabulary() {
    for plugin in builtin() {
        let kind = plugin.kind().to_owned();
        assert!(!plugin.summary().is_empty() && !plugin.summary().ends_with('.'), "{kind}");
        for schema in [plugin.config_schema(), plugin.output_schema()] {
            assert_eq!(schema["type"], "object", "{kind}");
            check(schema, &kind);
        }
        assert_eq!(plugin.config_schema()["additionalProperties"], false, "{kind}");
        for example in plugin.config_schema()["examples"].as_array().unwrap() {
            assert_eq!(plugin.validate(example), [], "{kind}: {example}");
            for required in plugin.config_schema()["required"].as_array().into_iter().flatten() {
                assert!(example.get(required.as_str().unwrap()).is_some(), "{kind}: {example}");
            }
            for name in example.as_object().unwrap().keys() {
                assert!(plugin.config_schema()["properties"].get(name).is_some(), "{kind}: {name}");
            }
        }
    }
}

fn check(schema: &Value, place: &str) {
    const WORDS: [&str; 15] = [
        "additionalProperties",
        "default",
        "description",
        "enum",
        "env",
        "examples",
        "items",
        "maximum",
        "minLength",
        "minimum",
        "oneOf",
        "properties",
        "required",
        "secret",
        "type",
    ];
    for word in schema.as_object().unwrap().keys() {
        assert!(WORDS.contains(&word.as_str()), "{place}: {word}");
    }
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let place = format!("{place}.{name}");
        let described = property["description"].as_str().is_some_and(|text| text.ends_with('.'));
        assert!(described || property.get("properties").is_some(), "{place} is not described");
        check(property, &place);
    }
    if let Some(items) = schema.get("items") {
        check(items, &format!("{place}[]"));
    }
}
