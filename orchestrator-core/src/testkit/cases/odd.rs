//! Values, texts and times of every odd kind: none is changed, and none changes an order.

use std::sync::Arc;

use crate::id::StepIx;
use crate::machine::{Event, StepSucceeded};
use crate::port::store::{ApprovalQuery, ApprovalRow, Commit, RunQuery, StepRow, Store};
use crate::testkit::Place;
use crate::testkit::sample::{Story, approval, due_runs, line, new_run, step_row};
use crate::time::Timestamp;
use crate::value::{Digest, StoredValue, ValueRef};

/// Writes texts of JSON, each as a value beside the log and as what a step gave, and reads them back.
async fn come_back(store: &dyn Store, bodies: &[String]) {
    let mut story = Story::begun(store).await;
    for body in bodies {
        let short = || body.chars().take(30).collect::<String>();
        let (output, kept) = ValueRef::from_json(body.as_str().into()).expect("short enough");
        // A short one, too, can be kept beside the log.
        let beside = || StoredValue { digest: Digest::of(body.as_bytes()), body: body.as_str().into() };
        let stored = kept.unwrap_or_else(beside);
        let event: Event =
            StepSucceeded { step: StepIx(1).into(), attempt: 1, output: output.clone() }.into();
        let mut member = story.next(vec![event.clone()]);
        member.steps = vec![StepRow { output: Some(output), ..step_row(1) }];
        member.values = vec![stored.clone()];
        let steps = member.steps.clone();
        story.write(store, member).await;
        let found = store.value(story.run, stored.digest).await.unwrap();
        let found = found.unwrap_or_else(|| panic!("a value is gone: {} …", short()));
        assert!(
            *found == *stored.body,
            "{} … came back as {} …",
            short(),
            found.chars().take(30).collect::<String>()
        );
        assert_eq!(store.steps(story.run).await.unwrap(), steps);
        let log = store.load(story.run).await.unwrap().expect("the run");
        assert_eq!(log.events.last().map(|recorded| &recorded.event), Some(&event));
    }
}

/// A value as it is, and inside of an array with so many spaces that it cannot be kept in an event.
fn both(json: &str) -> [String; 2] {
    [json.to_owned(), format!("[{json}{}]", " ".repeat(80))]
}

pub(super) async fn numbers_keep_every_digit(place: Arc<dyn Place>) {
    let numbers = [
        "0",
        "-0",
        "-0.0",
        "1.0",
        "0.1",
        "1e300",
        "1E+2",
        "5e-324",
        "9007199254740993",
        "-9007199254740993",
        "9223372036854775808",
        "18446744073709551615",
        "-9223372036854775808",
        "1.7976931348623157e308",
        "123456789012345678901234567890",
    ];
    let bodies: Vec<String> = numbers.iter().flat_map(|number| both(number)).collect();
    come_back(&*place.open().await, &bodies).await;
}

pub(super) async fn texts_keep_every_character(place: Arc<dyn Place>) {
    let texts = [
        // Escapes that no text in memory can hold are kept as they are written.
        r#""\ud800""#,
        r#""\udfff\ud800""#,
        r#""\u0000""#,
        r#""\u00e9""#,
        // Non-characters, and characters of four bytes.
        "\"\u{fffe}\u{ffff}\u{fdd0}\u{1fffe}\"",
        "\"\u{10ffff}🦀\u{10000}\"",
        "\"\u{feff}\u{200d}\u{202e}\"",
        // Two ways of writing one letter are two texts.
        "\"e\u{301}\"",
        "\"é\"",
        "\"ß\"",
        "\"'; DROP TABLE x; --\"",
        r#""\\ \" \/ \n""#,
        "\"%_\"",
        "\" \"",
        "\"\"",
    ];
    let mut bodies: Vec<String> = texts.iter().flat_map(|text| both(text)).collect();
    // No store may take what a value says for a remark of its own.
    bodies.push(
        "artifact:70 and what else a store may write down beside its values: this is none of that".to_owned(),
    );
    bodies.push("{\"a\": 1, \"a\": 2, \"b\": null, \"\": true}".to_owned());
    come_back(&*place.open().await, &bodies).await;
}

pub(super) async fn values_of_every_size_and_depth_come_back(place: Arc<dyn Place>) {
    let nested =
        |depth: usize, open: &str, close: &str| format!("{}1{}", open.repeat(depth), close.repeat(depth));
    let bodies = [
        String::new(),
        "\"\"".to_owned(),
        "{}".to_owned(),
        "[]".to_owned(),
        nested(100, "[", "]"),
        nested(100, "{\"a\":", "}"),
        format!("\"{}\"", "k".repeat(63)),
        format!("\"{}\"", "m".repeat(1 << 20)),
        // Longer than what some stores keep beside their tables.
        format!("\"{}\"", "ü".repeat(300_000)),
    ];
    come_back(&*place.open().await, &bodies).await;
}

pub(super) async fn a_text_with_nul_is_refused_or_kept_whole(place: Arc<dyn Place>) {
    let store = place.open().await;
    let mut story = Story::begun(&*store).await;
    let body: Arc<str> = format!("\"a\0b{}\"", "c".repeat(80)).into();
    let stored = StoredValue { digest: Digest::of(body.as_bytes()), body };
    let mut member = story.step_due();
    member.values = vec![stored.clone()];
    member.logs = vec![line(0, "a\0b")];
    let answers = store.commit(vec![member]).await;
    let found = store.value(story.run, stored.digest).await.unwrap();
    let query = crate::port::store::LogQuery { run: story.run, step: None, after: 0, tail: false, limit: 9 };
    let lines = store.logs(query).await.unwrap();
    match answers.as_slice() {
        [Commit::Applied] => {
            assert_eq!(found.as_deref(), Some(&*stored.body), "taken, so nothing is cut");
            assert_eq!(&*lines[0].line.text, "a\0b", "taken, so nothing is cut");
            story.seq += 1;
        }
        [Commit::Invalid(_)] => assert_eq!((found, lines.len()), (None, 0), "refused, so nothing is written"),
        other => panic!("the member is at fault, not the store: {other:?}"),
    }
    story.write(&*store, story.step_due()).await;
}

/// The first moment of the year 1, moments around the epoch, and the last moment that is ever given.
const TIMES: [i64; 5] = [-62_135_596_800_000, -1, 0, 1, 253_402_207_200_000];

fn moment(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

pub(super) async fn events_are_in_order_whatever_their_times(place: Arc<dyn Place>) {
    let store = place.open().await;
    let mut story = Story::begun(&*store).await;
    let mut times = vec![story_begins(&*store, &story).await];
    for millis in TIMES.into_iter().rev().chain([7, 7, 7]) {
        let mut member = story.step_due();
        member.at = moment(millis);
        member.steps =
            vec![StepRow { started_at: Some(moment(millis)), due_at: Some(moment(millis)), ..step_row(0) }];
        let steps = member.steps.clone();
        story.write(&*store, member).await;
        times.push(moment(millis));
        assert_eq!(store.steps(story.run).await.unwrap(), steps);
        assert_eq!(store.run(story.run).await.unwrap().expect("the run").updated_at, moment(millis));
    }
    let log = store.load(story.run).await.unwrap().expect("the run");
    let read: Vec<(u64, Timestamp)> = log.events.iter().map(|recorded| (recorded.seq, recorded.at)).collect();
    let expected: Vec<(u64, Timestamp)> = (1..).zip(times).collect();
    assert_eq!(read, expected, "by number, and each with its own time");
}

async fn story_begins(store: &dyn Store, story: &Story) -> Timestamp {
    store.run(story.run).await.unwrap().expect("the run").created_at
}

pub(super) async fn approvals_are_in_order_of_any_times(place: Arc<dyn Place>) {
    let store = place.open().await;
    let (mut one, mut other) = (Story::begun(&*store).await, Story::begun(&*store).await);
    let asked = |run, step, millis| ApprovalRow {
        asked_at: moment(millis),
        expires_at: Some(moment(millis)),
        ..approval(run, step, 0)
    };
    let mut expected = Vec::new();
    for millis in TIMES {
        // Asked at the same moment: by run, then by step, item and attempt.
        for (run, step) in [(one.run, 0), (one.run, 1), (other.run, 0)] {
            expected.push(asked(run, step, millis + 1000 * i64::from(millis < 0)));
        }
    }
    for (ix, row) in expected.iter_mut().enumerate() {
        row.attempt = 1 + ix as u32;
    }
    for story in [&mut other, &mut one] {
        let mut member = story.step_due();
        member.approvals = expected.iter().rev().filter(|row| row.run == story.run).cloned().collect();
        story.write(&*store, member).await;
    }
    let mut ordered = expected;
    ordered.sort_by_key(|row| (row.asked_at, row.run, row.step, row.item, row.attempt));
    assert_eq!(store.approvals(ApprovalQuery::default()).await.unwrap().items, ordered);
}

pub(super) async fn runs_are_in_order_whatever_their_times(place: Arc<dyn Place>) {
    let store = place.open().await;
    let mut runs = Vec::new();
    for millis in [TIMES[4], TIMES[0], 5, 5, TIMES[1]] {
        let mut story = Story::new();
        let mut member = story.create(new_run());
        (member.at, member.summary.due_at) = (moment(millis), Some(moment(millis)));
        story.write(&*store, member).await;
        runs.push((story.run, moment(millis)));
    }
    let listed = store.list_runs(RunQuery::default()).await.unwrap().items;
    let listed: Vec<_> = listed.iter().map(|row| (row.run, row.created_at)).collect();
    assert_eq!(listed, runs.iter().rev().copied().collect::<Vec<_>>(), "newest first is by id");
    let due = due_runs(&*store, 10).await.unwrap();
    let (first, equal) = ([runs[1].0, runs[4].0], [runs[2].0, runs[3].0]);
    assert_eq!(due.len(), 4, "what is due in the year 9999 is not due: {due:?}");
    assert_eq!(due[..2], first, "the longest due first");
    assert!(equal.iter().all(|run| due[2..].contains(run)), "{due:?}");
}
