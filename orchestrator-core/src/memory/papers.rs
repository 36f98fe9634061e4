//! Documents other than registered workflows.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::port::store::{DeleteDocument, DocumentQuery, DocumentRow, Put, PutDocument};

/// Documents by kind, project and name.
#[derive(Debug, Default)]
pub(super) struct Papers(BTreeMap<Key, DocumentRow>);

type Key = (Arc<str>, Arc<str>, Arc<str>);

impl Papers {
    pub(super) fn put(&mut self, new: PutDocument) -> Put {
        let key = (new.kind.clone(), new.project.clone(), new.name.clone());
        let last = self.0.get(&key);
        if last.map_or(0, |row| row.number) != new.expected {
            return Put::Stale(last.map(|row| row.number));
        }
        let id = last.map_or(new.id, |row| row.id);
        let PutDocument { project, kind, name, status, due_at, body, state, at, expected, .. } = new;
        let number = expected + 1;
        let row =
            DocumentRow { id, project, kind, name, number, status, due_at, body, state, updated_at: at };
        self.0.insert(key, row);
        Put::Written(number)
    }

    pub(super) fn delete(&mut self, delete: &DeleteDocument) -> bool {
        let key = (delete.kind.clone(), delete.project.clone(), delete.name.clone());
        let is_there = self.0.get(&key).is_some_and(|row| row.number == delete.expected);
        if is_there {
            self.0.remove(&key);
        }
        is_there
    }

    /// All that a query asks for, without its limit.
    pub(super) fn list(&self, query: &DocumentQuery) -> Vec<DocumentRow> {
        let is_after = |row: &DocumentRow| {
            let after = query.after.as_ref().map(|(project, name)| (&**project, &**name));
            query.due || after.is_none_or(|after| (&*row.project, &*row.name) > after)
        };
        let rows = self.0.values().filter(|row| {
            *row.kind == *query.kind
                && query.project.as_deref().is_none_or(|project| project == &*row.project)
                && query.name.as_deref().is_none_or(|name| name == &*row.name)
                && (!query.due || row.due_at.is_some())
                && is_after(row)
        });
        let mut rows: Vec<DocumentRow> = rows.cloned().collect();
        if query.due {
            rows.sort_by_key(|row| (row.due_at, row.id));
        }
        rows
    }
}
