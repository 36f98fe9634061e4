//! How long the steps of a workflow took the last time: what `plan` reckons with.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;

use orchestrator_core::id::RunId;
use orchestrator_core::port::store::{RunQuery, Store, StoreError};
use orchestrator_core::spec::{StepSpec, Workflow};

use crate::app::App;
use crate::span::millis;
use crate::store;

/// How long steps took in the last run of the workflow that has completed.
pub(super) struct Past {
    pub(super) run: RunId,
    /// How many steps and items run at a time.
    pub(super) slots: usize,
    took: HashMap<Arc<str>, Took>,
}

/// How long a step took, in milliseconds.
#[derive(Default)]
struct Took {
    /// From its first beginning to its end.
    whole: Option<u64>,
    /// Each of its items, in their order.
    items: Vec<u64>,
}

impl Past {
    /// Looks into the store, if there is one. A plan does not fail for want of a past.
    pub(super) async fn of(app: &App, workflow: &Workflow) -> Option<Self> {
        let store = store::glance(&app.settings).await?;
        Self::read(&*store, &workflow.name, app.settings.slots()).await.ok().flatten()
    }

    async fn read(store: &dyn Store, workflow: &str, slots: usize) -> Result<Option<Self>, StoreError> {
        let query = RunQuery {
            workflow: Some(workflow.to_owned()),
            statuses: vec!["completed".to_owned()],
            limit: 1,
            ..RunQuery::default()
        };
        let Some(row) = store.list_runs(query).await?.items.pop() else { return Ok(None) };
        let mut took: HashMap<Arc<str>, Took> = HashMap::new();
        for step in store.steps(row.run).await? {
            let known = took.entry(step.name).or_default();
            let Some((started, finished)) = step.started_at.zip(step.finished_at) else { continue };
            let millis = millis(finished.since(started));
            match step.item {
                None => known.whole = Some(millis),
                Some(_) => known.items.push(millis),
            }
        }
        Ok(Some(Self { run: row.run, slots, took }))
    }

    /// How long a step took; of one with items, how long these take as it is written now.
    pub(super) fn took(&self, step: &StepSpec) -> Option<u64> {
        let took = self.took.get(&step.name)?;
        let each = step.options().each.as_ref();
        match each.filter(|_| !took.items.is_empty()) {
            Some(each) => {
                let lanes = each.max_parallel.map_or(self.slots, |most| self.slots.min(most.get() as usize));
                Some(together(&took.items, lanes))
            }
            None => took.whole.or_else(|| took.items.iter().copied().max()),
        }
    }

    /// How many items a step had.
    pub(super) fn items(&self, step: &StepSpec) -> Option<usize> {
        step.options().each.as_ref()?;
        self.took.get(&step.name).map(|took| took.items.len()).filter(|items| *items > 0)
    }
}

/// How long it takes until the last has ended, if each begins as soon as one of the lanes is free.
fn together(items: &[u64], lanes: usize) -> u64 {
    let mut free: BinaryHeap<Reverse<u64>> = items.iter().take(lanes.max(1)).map(|_| Reverse(0)).collect();
    let mut last = 0;
    for took in items {
        let Reverse(begins) = free.pop().unwrap_or(Reverse(0));
        let ends = begins.saturating_add(*took);
        last = last.max(ends);
        free.push(Reverse(ends));
    }
    last
}

#[cfg(test)]
mod tests {
    use super::together;

    #[test]
    fn items_take_as_long_as_their_lanes() {
        let items = [40, 10, 10, 10, 30];
        assert_eq!(together(&items, 1), 100);
        assert_eq!(together(&items, 2), 60);
        assert_eq!(together(&items, 5), 40);
        assert_eq!(together(&items, 1_000), 40);
        assert_eq!(together(&[], 3), 0);
    }
}
