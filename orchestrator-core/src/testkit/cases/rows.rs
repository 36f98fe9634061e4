//! The rows that are listed.

use std::sync::Arc;

use crate::id::{StepIx, Unit};
use crate::machine::Intent;
use crate::port::store::{ApprovalQuery, LogQuery, RunRow, StepRow, Summary};
use crate::testkit::Place;
use crate::testkit::sample::{
    Story, approval, at, decision, inline, key, line, new_run, owner_id, run_id, step_row, value,
};

pub(super) async fn a_runs_row_says_all_of_it(place: Arc<dyn Place>) {
    let store = place.open().await;
    let mut story = Story::new();
    let mut new = new_run();
    let (long, stored) = value(format!("\"{}\"", "i".repeat(90)));
    new.project = "prøject".into();
    new.inputs = long;
    new.labels = [("team".to_owned(), "a \"b\"".to_owned()), ("ü".to_owned(), String::new())].into();
    (new.priority, new.steps) = (-7, 100_000);
    new.key = key("the key", "content");
    let mut member = story.create(new.clone());
    member.values = vec![stored];
    story.write(&*store, member).await;

    let driver = owner_id();
    let mut member = story.step_due();
    member.at = at(77);
    member.summary = Summary {
        status: "failed",
        intent: Intent::Pause,
        generation: 3,
        driver: Some(driver),
        driver_epoch: 5,
        due_at: Some(at(6)),
        started_at: Some(at(7)),
        finished_at: Some(at(8)),
        outputs: Some(inline("{\"a\":\"s\"}")),
        error: Some("it broke: ü".into()),
        done: 42,
    };
    story.write(&*store, member).await;
    new.text = "".into();
    let expected = RunRow {
        run: story.run,
        new,
        status: "failed".into(),
        intent: Intent::Pause,
        seq: 2,
        generation: 3,
        driver: Some(driver),
        driver_epoch: 5,
        due_at: Some(at(6)),
        created_at: at(0),
        updated_at: at(77),
        started_at: Some(at(7)),
        finished_at: Some(at(8)),
        outputs: Some(inline("{\"a\":\"s\"}")),
        error: Some("it broke: ü".into()),
        done: 42,
    };
    assert_eq!(store.run(story.run).await.unwrap(), Some(expected));

    story.write(&*store, story.step_due()).await;
    let row = store.run(story.run).await.unwrap().expect("the run");
    assert_eq!(
        (row.driver, row.due_at, row.outputs, row.error, row.finished_at),
        (None, None, None, None, None)
    );
}

pub(super) async fn step_rows_are_replaced(place: Arc<dyn Place>) {
    let store = place.open().await;
    let mut story = Story::begun(&*store).await;
    let mut member = story.step_due();
    member.steps = vec![step_row(2), step_row(0)];
    let first = member.steps.clone();
    story.write(&*store, member).await;
    assert_eq!(
        store.steps(story.run).await.unwrap(),
        [first[1].clone(), first[0].clone()],
        "in the order of the text"
    );

    let mut ended = first[0].clone();
    (ended.status, ended.attempts, ended.epoch) = ("completed", 4, 9);
    (ended.owner, ended.effect, ended.due_at, ended.started_at) = (None, None, None, None);
    (ended.finished_at, ended.output, ended.error) = (Some(at(50)), Some(inline("[1]")), Some("no".into()));
    let mut member = story.step_due();
    member.steps = vec![ended.clone()];
    story.write(&*store, member).await;
    assert_eq!(store.steps(story.run).await.unwrap(), [first[1].clone(), ended]);
}

pub(super) async fn items_are_kept_apart(place: Arc<dyn Place>) {
    let store = place.open().await;
    let mut story = Story::begun(&*store).await;
    let mut member = story.step_due();
    let of_item = |item: Option<u32>| {
        move |mut row: StepRow| {
            (row.item, row.attempts) = (item, item.map_or(1, |item| item + 2));
            row
        }
    };
    // An item of a later step comes after the items of an earlier one, whatever their numbers.
    let items = [None, Some(0), Some(1), Some(70_000)];
    let steps: Vec<StepRow> = items.iter().map(|item| of_item(*item)(step_row(1))).collect();
    member.steps = steps.iter().rev().cloned().collect();
    member.steps.push(of_item(Some(0))(step_row(2)));
    let expected: Vec<StepRow> = steps.iter().chain(member.steps.last()).cloned().collect();
    member.approvals = vec![approval(story.run, 1, 5); 3];
    member.decisions = vec![decision(story.run, 1); 3];
    member.logs = vec![line(1, "said"); 3];
    for (ix, item) in [None, Some(0), Some(1)].into_iter().enumerate() {
        member.approvals[ix].item = item;
        member.decisions[ix].item = item;
        member.logs[ix].item = item;
    }
    let (approvals, decisions, logs) =
        (member.approvals.clone(), member.decisions.clone(), member.logs.clone());
    story.write(&*store, member).await;
    assert_eq!(store.steps(story.run).await.unwrap(), expected);
    assert_eq!(store.approvals(ApprovalQuery::default()).await.unwrap().items, approvals);
    assert_eq!(store.decisions(story.run).await.unwrap(), decisions);
    let query = LogQuery { run: story.run, step: None, after: 0, tail: false, limit: 10 };
    let kept = store.logs(query).await.unwrap();
    assert_eq!(kept.into_iter().map(|kept| kept.line).collect::<Vec<_>>(), logs);
    let of_item = LogQuery { step: Some(Unit::item_of(StepIx(1), 1)), ..query };
    let kept = store.logs(of_item).await.unwrap();
    assert_eq!(kept.into_iter().map(|kept| kept.line).collect::<Vec<_>>(), logs[2..]);

    let mut member = story.step_due();
    let mut settled = approvals[1].clone();
    settled.status = "approved";
    member.approvals = vec![settled.clone()];
    member.steps = vec![StepRow { status: "completed", ..steps[2].clone() }];
    story.write(&*store, member).await;
    let now = store.approvals(ApprovalQuery::default()).await.unwrap().items;
    assert_eq!(now, [approvals[0].clone(), settled, approvals[2].clone()]);
    let statuses: Vec<&str> = store.steps(story.run).await.unwrap().iter().map(|row| row.status).collect();
    assert_eq!(statuses, ["running", "running", "completed", "running", "running"]);
}

pub(super) async fn decisions_are_kept_in_order(place: Arc<dyn Place>) {
    let store = place.open().await;
    let (mut story, other) = (Story::begun(&*store).await, Story::begun(&*store).await);
    let mut said = Vec::new();
    for step in 0..3 {
        let mut member = story.step_due();
        member.decisions = vec![decision(story.run, step), decision(story.run, step)];
        let last = &mut member.decisions[1];
        (last.verdict, last.rule, last.reason) = ("deny".into(), None, Some("because".into()));
        said.extend(member.decisions.clone());
        story.write(&*store, member).await;
    }
    assert_eq!(store.decisions(story.run).await.unwrap(), said);
    assert!(store.decisions(other.run).await.unwrap().is_empty());
}

pub(super) async fn approvals_are_opened_and_settled(place: Arc<dyn Place>) {
    let store = place.open().await;
    let mut story = Story::begun(&*store).await;
    let mut member = story.step_due();
    let asked = approval(story.run, 1, 5);
    member.approvals = vec![asked.clone()];
    story.write(&*store, member).await;
    let open = ApprovalQuery { open: true, ..Default::default() };
    assert_eq!(store.approvals(open.clone()).await.unwrap().items, std::slice::from_ref(&asked));

    let mut settled = asked;
    (settled.status, settled.decided_at) = ("approved", Some(at(60)));
    (settled.by, settled.via, settled.comment) = (Some("me".into()), Some("cli".into()), Some("ok ü".into()));
    (settled.show, settled.expires_at) = (None, None);
    let mut member = story.step_due();
    member.approvals = vec![settled.clone()];
    story.write(&*store, member).await;
    assert_eq!(store.approvals(open).await.unwrap().items, []);
    assert_eq!(store.approvals(ApprovalQuery::default()).await.unwrap().items, [settled]);
}

pub(super) async fn approvals_are_listed_oldest_first(place: Arc<dyn Place>) {
    let store = place.open().await;
    let (mut one, mut other) = (Story::begun(&*store).await, Story::new());
    let mut new = new_run();
    new.project = "elsewhere".into();
    other.write(&*store, other.create(new)).await;
    let mut member = one.step_due();
    member.approvals = vec![approval(one.run, 2, 20), approval(one.run, 1, 20), approval(one.run, 0, 40)];
    let of_one = member.approvals.clone();
    one.write(&*store, member).await;
    let mut member = other.step_due();
    member.approvals = vec![approval(other.run, 0, 30)];
    let of_other = member.approvals.clone();
    other.write(&*store, member).await;

    let everything = store.approvals(ApprovalQuery::default()).await.unwrap();
    let expected = [&of_one[1], &of_one[0], &of_other[0], &of_one[2]];
    assert_eq!(everything.items.iter().collect::<Vec<_>>(), expected);
    assert!(!everything.more);
    let page = store.approvals(ApprovalQuery { limit: 3, ..Default::default() }).await.unwrap();
    assert_eq!((page.items.len(), page.more), (3, true));
    let of_project = ApprovalQuery { project: Some("elsewhere".into()), ..Default::default() };
    assert_eq!(store.approvals(of_project).await.unwrap().items, of_other);
    let of_run = ApprovalQuery { run: Some(one.run), ..Default::default() };
    assert_eq!(store.approvals(of_run).await.unwrap().items.len(), 3);
    let of_none = ApprovalQuery { run: Some(run_id()), ..Default::default() };
    assert_eq!(store.approvals(of_none).await.unwrap().items, []);
}
