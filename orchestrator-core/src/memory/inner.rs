//! What members do to what is kept.

use super::Inner;
use crate::id::{OwnerId, Unit};
use crate::memory::run::Run;
use crate::port::store::{Claim, Commit, Member};
use crate::time::Timestamp;

impl Inner {
    pub(super) fn changed(&mut self) {
        self.mark += 1;
    }

    pub(super) fn commit(&mut self, member: Member, now: Timestamp) -> Commit {
        if let Some(fault) = member.fault() {
            return Commit::Invalid(fault.to_owned());
        }
        if let Some(refused) = self.refusal(&member, now) {
            return refused;
        }
        self.write(member, now);
        self.changed();
        Commit::Applied
    }

    /// Why the member cannot be written, from what is there now.
    pub(super) fn refusal(&self, member: &Member, now: Timestamp) -> Option<Commit> {
        let run = self.runs.get(&member.run);
        if let (Some(fence), Some(run)) = (member.driver, run)
            && (run.row.driver, run.row.driver_epoch) != (Some(fence.owner), fence.epoch)
        {
            return Some(Commit::Fenced);
        }
        if run.map_or(0, |run| run.row.seq) != member.expected
            || member.children.iter().any(|child| self.runs.contains_key(&child.run))
        {
            return Some(Commit::Conflict);
        }
        if member.dead.iter().any(|owner| !self.is_dead(*owner)) {
            return Some(Commit::Fenced);
        }
        if let Some(remote) = &member.remote {
            let claimed = self.desk.claimed(remote);
            if !claimed.is_empty() {
                return Some(Commit::Claimed(claimed));
            }
            let lives = |claim: &Claim| self.lives(claim.owner, now);
            if !self.desk.has_claimed(remote) || !remote.claims.iter().all(lives) {
                return Some(Commit::Fenced);
            }
            if self.desk.doubles(remote) {
                return Some(Commit::Invalid("a step or item has one offer at a time".to_owned()));
            }
        }
        if let Some(admission) = &member.admission {
            let full = self.keys.full(member.run, admission, now);
            if !full.is_empty() {
                return Some(Commit::Full(full));
            }
        }
        let new = member.create.as_deref()?;
        let key = new.key.as_ref()?;
        let (run, content) = self.started.get(&(new.project.clone(), key.key.clone()))?;
        Some(Commit::Duplicate { run: *run, same: *content == key.content })
    }

    pub(super) fn is_dead(&self, owner: OwnerId) -> bool {
        self.owners.get(&owner).is_some_and(|row| row.dead)
    }

    /// Alive by the store's clock, marked or not.
    pub(super) fn lives(&self, owner: OwnerId, now: Timestamp) -> bool {
        self.owners.get(&owner).is_some_and(|row| !row.dead && row.deadline > now)
    }

    /// Marks an owner as dead: its time is over, or it says so.
    pub(super) fn bury(&mut self, owner: OwnerId, now: Timestamp) {
        if let Some(row) = self.owners.get_mut(&owner) {
            row.dead = true;
            self.desk.lose(owner, now);
            let Self { keys, runs, .. } = self;
            keys.forsake(|run| runs.get(&run).is_some_and(|run| run.row.driver == Some(owner)), now);
            self.changed();
        }
    }

    pub(super) fn write(&mut self, member: Member, now: Timestamp) {
        let Member {
            run: id,
            create,
            at,
            events,
            transition,
            summary,
            steps,
            values,
            decisions,
            approvals,
            logs,
            children,
            remote,
            admission,
            ..
        } = member;
        if let Some(new) = create {
            if let Some(key) = &new.key {
                self.started.insert((new.project.clone(), key.key.clone()), (id, key.content));
            }
            self.revisions.entry(new.revision).or_insert_with(|| new.text.clone());
            self.runs.insert(id, Run::new(id, *new, at));
        }
        // Checked before: a member without a run to create names one that is there.
        let Some(run) = self.runs.get_mut(&id) else { return };
        if run.row.due_at != summary.due_at {
            let line = (run.row.new.project.clone(), run.row.new.priority);
            let line = self.due.entry(line).or_default();
            if let Some(due) = run.row.due_at {
                line.remove(&(due, id));
            }
            if let Some(due) = summary.due_at {
                line.insert((due, id));
            }
        }
        run.log.append(at, transition, events);
        run.row.seq = run.log.last();
        run.row.updated_at = at;
        run.summarize(summary);
        run.steps.reserve(run.row.new.steps);
        steps.into_iter().for_each(|row| run.steps.put(row));
        run.values.extend(values.into_iter().map(|value| (value.digest, value.body)));
        decisions.into_iter().for_each(|decision| run.decisions.push(decision));
        run.approvals
            .extend(approvals.into_iter().map(|row| ((Unit::new(row.step, row.item), row.attempt), row)));
        run.lines.extend(logs);
        children.into_iter().for_each(|child| self.write(child, now));
        if let Some(remote) = remote {
            self.desk.write(*remote, at, now);
        }
        if let Some(admission) = admission {
            self.keys.write(id, &admission, at, now);
        }
    }
}
