//! Registered workflows.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use crate::id::DocumentId;
use crate::port::store::{NewRevision, Registered, RevisionQuery, RevisionRow, WorkflowQuery, WorkflowRow};
use crate::value::Digest;

/// Registered workflows by project and name.
#[derive(Debug, Default)]
pub(super) struct Shelf(BTreeMap<(String, String), Entry>);

#[derive(Debug)]
struct Entry {
    id: DocumentId,
    /// From the first to the latest.
    revisions: Vec<RevisionRow>,
}

impl Shelf {
    /// Keeps a revision, unless something stands in its way.
    pub(super) fn register(&mut self, new: &NewRevision) -> Registered {
        let key = (new.project.to_string(), new.name.to_string());
        let latest = self.0.get(&key).and_then(|entry| entry.revisions.last());
        let number = latest.map_or(0, |latest| latest.number);
        if latest.is_some_and(|latest| latest.revision == new.revision) {
            return Registered::Same(number);
        }
        if new.expected.is_some_and(|expected| expected != number) {
            return Registered::Stale(latest.cloned());
        }
        let number = number + 1;
        let row = RevisionRow { number, revision: new.revision, by: new.by.clone(), at: new.at };
        let entry = self.0.entry(key).or_insert_with(|| Entry { id: new.id, revisions: Vec::new() });
        entry.revisions.push(row);
        Registered::New(number)
    }

    /// All that a query asks for, without its limit.
    pub(super) fn workflows(&self, query: &WorkflowQuery) -> impl Iterator<Item = WorkflowRow> {
        let after = query.after.clone().map_or(Bound::Unbounded, Bound::Excluded);
        let entries = self.0.range((after, Bound::Unbounded));
        entries
            .filter(|((project, name), _)| {
                query.project.as_ref().is_none_or(|wanted| wanted == project)
                    && query.name.as_ref().is_none_or(|wanted| wanted == name)
            })
            .filter_map(|((project, name), entry)| {
                Some(WorkflowRow {
                    id: entry.id,
                    project: Arc::from(&**project),
                    name: Arc::from(&**name),
                    latest: entry.revisions.last()?.clone(),
                })
            })
    }

    /// All that a query asks for, without its limit.
    pub(super) fn revisions(&self, query: &RevisionQuery) -> impl Iterator<Item = &RevisionRow> {
        let entry = self.0.get(&(query.project.clone(), query.name.clone()));
        let rows = entry.into_iter().flat_map(|entry| entry.revisions.iter().rev());
        rows.filter(|row| query.before.is_none_or(|before| row.number < before))
    }

    /// Whether a revision is registered under any name.
    pub(super) fn holds(&self, revision: Digest) -> bool {
        self.0.values().any(|entry| entry.revisions.iter().any(|row| row.revision == revision))
    }
}
