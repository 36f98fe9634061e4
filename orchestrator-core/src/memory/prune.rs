//! Removing runs that have ended.

use std::collections::HashSet;

use super::{Inner, Run};
use crate::id::{OwnerId, RunId};
use crate::port::store::{Prune, Pruned};
use crate::time::Timestamp;
use crate::value::Digest;

impl Run {
    fn has_ended_before(&self, before: Timestamp) -> bool {
        self.row.finished_at.is_some_and(|ended| ended < before)
    }
}

impl Inner {
    pub(super) fn prune(&mut self, prune: &Prune) -> Pruned {
        let mut pruned = Pruned::default();
        let mut removed: Vec<RunId> = Vec::new();
        for (id, run) in &self.runs {
            let is_of_project =
                prune.project.as_deref().is_none_or(|project| *run.row.new.project == *project);
            if !is_of_project || !run.has_ended_before(prune.before) || self.is_needed(run, prune) {
                continue;
            }
            if removed.len() >= prune.limit {
                pruned.more = true;
                break;
            }
            removed.push(*id);
            pruned.runs += 1;
            pruned.events += run.log.last();
            pruned.lines += run.lines.len() as u64;
            pruned.values += run.values.len() as u64;
        }
        if prune.dry {
            return pruned;
        }
        for id in &removed {
            if let Some(row) = self.runs.remove(id).map(|run| run.row)
                && let Some(due) = row.due_at
                && let Some(line) = self.due.get_mut(&(row.new.project, row.new.priority))
            {
                line.remove(&(due, *id));
            }
            self.desk.forget(*id);
        }
        self.started.retain(|_, (run, _)| self.runs.contains_key(run));
        if !pruned.more {
            self.keys.forget(prune.before);
            self.forget_the_unnamed(prune);
        }
        self.changed();
        pruned
    }

    /// Whether the run belongs to one that stays.
    fn is_needed(&self, run: &Run, prune: &Prune) -> bool {
        let root = run.row.new.parent.and_then(|parent| self.runs.get(&parent.root));
        root.is_some_and(|root| !root.has_ended_before(prune.before))
    }

    fn forget_the_unnamed(&mut self, prune: &Prune) {
        let of_runs: HashSet<Digest> = self.runs.values().map(|run| run.row.new.revision).collect();
        self.revisions.retain(|revision, _| of_runs.contains(revision) || self.shelf.holds(*revision));
        let open = self.runs.values().filter(|run| run.row.finished_at.is_none());
        let named = open.flat_map(|run| {
            let of_steps = run.steps.rows().into_iter().filter_map(|row| row.owner);
            run.row.driver.into_iter().chain(of_steps)
        });
        let named: HashSet<OwnerId> = named.chain(self.desk.owners()).collect();
        self.owners.retain(|id, row| !row.dead || row.deadline >= prune.before || named.contains(id));
    }
}
