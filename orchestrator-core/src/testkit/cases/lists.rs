//! Reading on, listing and finding; and the store as a whole.

use std::sync::Arc;
use std::time::Duration;

use crate::id::RunId;
use crate::port::store::{EventsAfter, RunQuery, Store};
use crate::testkit::Place;
use crate::testkit::sample::{Story, at, line, new_run, owner, run_id};

pub(super) async fn events_can_be_read_on(place: Arc<dyn Place>) {
    let store = place.open().await;
    let mut story = Story::begun(&*store).await;
    for _ in 0..9 {
        story.write(&*store, story.step_due()).await;
    }
    let mut after = 0;
    let mut numbers = Vec::new();
    loop {
        let page = store.events_after(EventsAfter { run: story.run, after, limit: 4 }).await.unwrap();
        assert!(page.len() <= 4);
        assert!(page.iter().all(|recorded| recorded.seq > after), "read on from {after}: {page:?}");
        let Some(last) = page.last() else { break };
        after = last.seq;
        numbers.extend(page.iter().map(|recorded| recorded.seq));
    }
    assert_eq!(numbers, (1..=10).collect::<Vec<_>>());
    for (after, limit) in [(10, 5), (99, 5), (u64::MAX, 5), (0, 0)] {
        let query = EventsAfter { run: story.run, after, limit };
        assert!(store.events_after(query).await.unwrap().is_empty(), "{query:?}");
    }
    // In the middle of what one member wrote.
    let events = crate::testkit::every_event();
    let count = events.len();
    story.write(&*store, story.next(events)).await;
    let query = EventsAfter { run: story.run, after: 12, limit: usize::MAX };
    let rest = store.events_after(query).await.unwrap();
    assert_eq!((rest[0].seq, rest.len()), (13, count - 2));
}

pub(super) async fn heads_are_those_of_runs_that_exist(place: Arc<dyn Place>) {
    let store = place.open().await;
    let (one, mut two) = (Story::begun(&*store).await, Story::begun(&*store).await);
    two.write(&*store, two.step_due()).await;
    let mut heads = store.heads(&[two.run, run_id(), one.run]).await.unwrap();
    heads.sort();
    assert_eq!(heads, [(one.run, 1), (two.run, 2)]);
    assert_eq!(store.heads(&[]).await.unwrap(), []);
    let unknown: Vec<RunId> = (0..2500).map(|_| run_id()).chain([one.run]).collect();
    assert_eq!(store.heads(&unknown).await.unwrap(), [(one.run, 1)]);
}

pub(super) async fn the_change_mark_moves_with_every_change(place: Arc<dyn Place>) {
    let (store, other) = (place.open().await, place.open().await);
    let mut mark = store.change_mark().await.unwrap();
    let mut story = Story::begun(&*store).await;
    let own = store.change_mark().await.unwrap();
    assert_ne!(own, mark, "what this handle does is told at once");
    mark = own;
    story.write(&*other, story.step_due()).await;
    mark = moved(&*store, mark).await;
    other.append_logs(story.run, vec![line(0, "a")]).await.unwrap();
    mark = moved(&*store, mark).await;
    let new = owner(Duration::from_secs(3600));
    let id = new.id;
    other.register(new).await.unwrap();
    other.retire(id).await.unwrap();
    mark = moved(&*store, mark).await;
    // It comes to rest.
    loop {
        let again = store.change_mark().await.unwrap();
        if again == mark {
            break;
        }
        mark = again;
    }
}

/// The mark once it is no longer this one, as an engine waits for it.
pub(super) async fn moved(store: &dyn Store, seen: u64) -> u64 {
    loop {
        tokio::select! {
            biased;
            () = store.changed_since(seen) => {}
            () = tokio::task::yield_now() => {}
        }
        let mark = store.change_mark().await.unwrap();
        if mark != seen {
            return mark;
        }
    }
}

async fn many(store: &dyn Store, count: usize) -> Vec<RunId> {
    let mut runs = Vec::new();
    for _ in 0..count {
        runs.push(Story::begun(store).await.run);
    }
    runs.reverse();
    runs
}

pub(super) async fn runs_are_listed_newest_first(place: Arc<dyn Place>) {
    let store = place.open().await;
    let runs = many(&*store, 53).await;
    let ids = |items: &[crate::port::store::RunRow]| items.iter().map(|row| row.run).collect::<Vec<_>>();
    let page = store.list_runs(RunQuery::default()).await.unwrap();
    assert_eq!((ids(&page.items), page.more), (runs[..50].to_vec(), true));
    let next = RunQuery { after: Some(page.items[49].run), ..Default::default() };
    let page = store.list_runs(next).await.unwrap();
    assert_eq!((ids(&page.items), page.more), (runs[50..].to_vec(), false));
    let exact = store.list_runs(RunQuery { limit: 53, ..Default::default() }).await.unwrap();
    assert_eq!((exact.items.len(), exact.more), (53, false));
    assert_eq!(store.run(runs[7]).await.unwrap().as_ref(), Some(&exact.items[7]));
}

pub(super) async fn runs_can_be_filtered(place: Arc<dyn Place>) {
    let store = place.open().await;
    let mut made = Vec::new();
    let kinds =
        [("a", "w1", "running"), ("a", "w2", "completed"), ("b", "w1", "failed"), ("b", "w1", "running")];
    for (project, workflow, status) in kinds {
        let mut story = Story::new();
        let mut new = new_run();
        (new.project, new.workflow) = (project.into(), workflow.into());
        let mut member = story.create(new);
        member.summary.status = status;
        member.summary.finished_at = (status != "running").then(|| at(9));
        story.write(&*store, member).await;
        made.push(story.run);
    }
    let found = |query: RunQuery| {
        let (store, made) = (store.clone(), made.clone());
        async move {
            let page = store.list_runs(query).await.unwrap();
            let place = |run| made.iter().position(|made| *made == run).expect("one of ours");
            page.items.iter().map(|row| place(row.run)).collect::<Vec<_>>()
        }
    };
    let base = RunQuery::default();
    assert_eq!(found(base.clone()).await, [3, 2, 1, 0]);
    assert_eq!(found(RunQuery { project: Some("a".into()), ..base.clone() }).await, [1, 0]);
    assert_eq!(found(RunQuery { workflow: Some("w1".into()), ..base.clone() }).await, [3, 2, 0]);
    assert_eq!(found(RunQuery { statuses: vec!["running".into()], ..base.clone() }).await, [3, 0]);
    let ended = vec!["completed".into(), "failed".into(), "unheard of".into()];
    assert_eq!(found(RunQuery { statuses: ended, ..base.clone() }).await, [2, 1]);
    assert_eq!(found(RunQuery { open: true, ..base.clone() }).await, [3, 0]);
    let all = RunQuery { project: Some("b".into()), open: true, workflow: Some("w1".into()), ..base.clone() };
    assert_eq!(found(all).await, [3]);
    assert_eq!(found(RunQuery { after: Some(made[2]), open: true, ..base.clone() }).await, [0]);
    assert_eq!(found(RunQuery { project: Some("c".into()), ..base }).await, [] as [usize; 0]);
}

pub(super) async fn runs_are_found_by_prefix(place: Arc<dyn Place>) {
    let store = place.open().await;
    let runs = many(&*store, 5).await;
    let hex = |run: RunId| run.to_string()[RunId::PREFIX.len()..].to_owned();
    assert_eq!(store.find_runs(&hex(runs[2]), 10).await.unwrap(), [runs[2]]);
    assert_eq!(store.find_runs("", 10).await.unwrap(), runs, "newest first");
    assert_eq!(store.find_runs("", 2).await.unwrap(), runs[..2]);
    let common: String =
        hex(runs[0]).chars().zip(hex(runs[4]).chars()).take_while(|(a, b)| a == b).map(|(a, _)| a).collect();
    assert_eq!(store.find_runs(&common, 10).await.unwrap(), runs);
    for none in ["ffffffff", "xyz", "%", "_", &"0".repeat(40), &hex(runs[0]).to_uppercase()] {
        let found = store.find_runs(none, 10).await.unwrap();
        assert!(found.is_empty() || none.chars().all(|c| !c.is_ascii_uppercase()), "{none}: {found:?}");
    }
    assert_eq!(store.find_runs("ffffffff", 10).await.unwrap(), []);
}

pub(super) async fn a_store_says_what_it_is(place: Arc<dyn Place>) {
    let store = place.open().await;
    let info = store.describe();
    assert!(!info.kind.is_empty() && !info.location.is_empty() && !info.version.is_empty(), "{info:?}");
    assert_eq!(info.durable, place.keeps(), "what outlives the process is durable, what does not is not");
    store.health().await.unwrap();
    let now = store.now().await.unwrap();
    // 2020 to 2100: milliseconds since 1970, not seconds, not microseconds.
    assert!((1_577_836_800_000..4_102_444_800_000).contains(&now.as_millis()), "{now}");
}
