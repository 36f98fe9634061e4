//! Commits: checks before the database is asked, groups, one transaction a group, and what became of each member.

use std::collections::HashSet;

use orchestrator_core::failpoint;
use orchestrator_core::id::RunId;
use orchestrator_core::port::store::{
    Commit, LogLine, MAX_BATCH_BYTES, MAX_BATCH_MEMBERS, Member, NewRun, SECOND_MEMBER, StoreError,
};
use orchestrator_core::time::Timestamp;

use crate::admission::{Admitted, Changes, Full};
use crate::dialect::{Dialect, WriteError};
use crate::member;
use crate::store::Shared;

/// How often a group is written anew whose keys others have changed while it was reckoned what becomes of them.
pub(crate) const RACES: u32 = 8;

/// A member and its place in the batch.
pub(crate) type Placed = (usize, Member);

impl<D: Dialect> Shared<D> {
    /// As [`orchestrator_core::port::store::Store::commit`]. Is not stopped half-way: it runs on a task of its own.
    pub(crate) async fn commit(&self, batch: Vec<Member>) -> Vec<Commit> {
        // Overwritten for every member below; the answer that is always safe.
        let mut answers = vec![Commit::Busy; batch.len()];
        let mut runs = HashSet::with_capacity(batch.len());
        let mut sound = Vec::with_capacity(batch.len());
        for (place, member) in batch.into_iter().enumerate() {
            let second = !runs.insert(member.run);
            match member.fault().or(second.then_some(SECOND_MEMBER)) {
                Some(fault) => answers[place] = Commit::Invalid(fault.to_owned()),
                None => sound.push((place, member)),
            }
        }
        for group in groups(sound) {
            self.commit_group(group, &mut answers).await;
        }
        answers
    }

    /// Writes a group. Where a check fails, nothing of it has been written: the members that something stands in the
    /// way of get their answer, and the rest is tried again, as one group while that helps, then one by one.
    async fn commit_group(&self, mut group: Vec<Placed>, answers: &mut [Commit]) {
        let mut races = 0;
        while group.len() > 1 {
            let Attempt { able, full, written } = self.attempt(group).await;
            match written {
                Ok(()) => {
                    able.iter().for_each(|(place, _)| answers[*place] = Commit::Applied);
                    return self.answer_full(full, answers).await;
                }
                Err(WriteError::Refused | WriteError::Invalid(_)) => {}
                Err(error) => {
                    let answer = failed(error);
                    let all = able.iter().chain(full.iter().map(|(placed, _)| placed));
                    return all.for_each(|(place, _)| answers[*place] = answer.clone());
                }
            }
            // In their order: which of them finds the last place depends on it.
            group = able.into_iter().chain(full.into_iter().map(|(placed, _)| placed)).collect();
            group.sort_unstable_by_key(|(place, _)| *place);
            let before = group.len();
            let mut rest = Vec::with_capacity(before);
            for (place, member) in group {
                match self.obstacle(&member).await {
                    Ok(None) => rest.push((place, member)),
                    Ok(Some(obstacle)) => answers[place] = obstacle,
                    // It has not been written, and why is not known.
                    Err(_) => answers[place] = Commit::Busy,
                }
            }
            group = rest;
            if group.len() == before {
                // Others may have changed keys in between.
                races += 1;
                let named = |(_, member): &Placed| member.admission.is_some();
                if races > RACES || !group.iter().any(named) {
                    break;
                }
                // Those that name none wait for nobody.
                let (naming, plain): (Vec<_>, Vec<_>) = group.into_iter().partition(named);
                if !plain.is_empty() {
                    Box::pin(self.commit_group(plain, answers)).await;
                }
                group = naming;
            }
        }
        for placed in group {
            self.commit_one(placed, answers).await;
        }
    }

    async fn commit_one(&self, placed: Placed, answers: &mut [Commit]) {
        let mut alone = placed;
        for _ in 0..=RACES {
            let place = alone.0;
            let Attempt { able, full, written } = self.attempt(vec![alone]).await;
            if !full.is_empty() {
                return self.answer_full(full, answers).await;
            }
            let Some(back) = able.into_iter().next() else { return };
            alone = back;
            answers[place] = match written {
                Ok(()) => Commit::Applied,
                // What stood in the way may be gone by now. It was not written in any case.
                Err(error @ (WriteError::Refused | WriteError::Invalid(_))) => {
                    match self.obstacle(&alone.1).await {
                        Ok(Some(obstacle)) => obstacle,
                        Ok(None) if alone.1.admission.is_some() && error == WriteError::Refused => {
                            answers[place] = Commit::Busy;
                            continue;
                        }
                        Ok(None) => failed(error),
                        Err(_) => Commit::Busy,
                    }
                }
                Err(error) => failed(error),
            };
            return;
        }
    }

    /// Writes those of a group that find the places which they take.
    async fn attempt(&self, group: Vec<Placed>) -> Attempt {
        let admitted = match self.admit(&group).await {
            Ok(admitted) => admitted,
            Err(error) => {
                tracing::debug!(%error, "cannot look for places");
                return Attempt { able: group, full: Vec::new(), written: Err(WriteError::Busy) };
            }
        };
        let Admitted { full, changes } = admitted;
        let mut full = full.into_iter().peekable();
        let (mut able, mut refused) = (Vec::with_capacity(group.len()), Vec::new());
        for placed in group {
            match full.next_if(|(place, _)| *place == placed.0) {
                Some((_, keys)) => refused.push((placed, keys)),
                None => able.push(placed),
            }
        }
        let written = if able.is_empty() { Ok(()) } else { self.write(&able, changes).await };
        Attempt { able, full: refused, written }
    }

    /// The keys are too full for these; unless something else stands in their way, which is told first.
    async fn answer_full(&self, full: Vec<(Placed, Full)>, answers: &mut [Commit]) {
        for ((place, member), keys) in full {
            answers[place] = match self.obstacle(&member).await {
                Ok(obstacle) => obstacle.unwrap_or(Commit::Full(keys)),
                Err(_) => Commit::Busy,
            };
        }
    }

    /// As [`orchestrator_core::port::store::Store::append_logs`].
    pub(crate) async fn append_logs(&self, run: RunId, lines: &[LogLine]) -> Result<(), StoreError> {
        if self.heads(&[run]).await?.is_empty() {
            return Err(StoreError::Invalid(format!("there is no run {run}")));
        }
        if lines.is_empty() {
            return Ok(());
        }
        let mut hand = self.pen.take().await;
        let script = member::logs(run, lines).finish(&mut hand.texts, D::WORDS);
        self.pen.run(&mut hand, script).await.map(drop).map_err(StoreError::from)
    }

    /// What stands in the way of a member now.
    async fn obstacle(&self, member: &Member) -> Result<Option<Commit>, StoreError> {
        let row = self.row(member.run).await?;
        if let (Some(fence), Some(row)) = (member.driver, &row)
            && (row.driver, row.driver_epoch) != (Some(fence.owner), fence.epoch)
        {
            return Ok(Some(Commit::Fenced));
        }
        if row.map_or(0, |row| row.seq) != member.expected {
            return Ok(Some(Commit::Conflict));
        }
        let children: Vec<RunId> = member.children.iter().map(|child| child.run).collect();
        if !self.heads(&children).await?.is_empty() {
            return Ok(Some(Commit::Conflict));
        }
        for owner in &member.dead {
            if self.owner(*owner).await?.is_none_or(|row| !row.dead) {
                return Ok(Some(Commit::Fenced));
            }
        }
        if let Some(remote) = member.remote.as_deref() {
            let claimed = self.claimed(remote).await?;
            if !claimed.is_empty() {
                return Ok(Some(Commit::Claimed(claimed)));
            }
            if !self.may_claim(remote).await? {
                return Ok(Some(Commit::Fenced));
            }
            if self.doubles(remote).await? {
                return Ok(Some(Commit::Invalid("a step or item has one offer at a time".to_owned())));
            }
        }
        let Some(new) = member.create.as_deref() else { return Ok(None) };
        let Some(key) = &new.key else { return Ok(None) };
        let found = self.find_key(&new.project, &key.key).await?;
        Ok(found.map(|(run, content)| Commit::Duplicate { run, same: content == key.content }))
    }

    /// Writes a group in one transaction, with what becomes of the keys that it names.
    async fn write(&self, group: &[Placed], changes: Changes) -> Result<(), WriteError> {
        let members = || group.iter().map(|(_, member)| member);
        let marks = self.spill(members()).await?;
        // Whoever claims must be alive by the store's clock; of anything else no member asks for it.
        let claims = |member: &Member| member.remote.as_ref().is_some_and(|remote| !remote.claims.is_empty());
        let now = if members().any(claims) {
            let now = self.dialect.now().await;
            now.map_err(|error| WriteError::Unavailable(error.to_string()))?
        } else {
            Timestamp::default()
        };
        let mut batch = member::batch(members(), marks, now)
            .map_err(|error| WriteError::Invalid(format!("an event cannot be encoded: {error}")))?;
        if let Some(named) = members().find(|member| member.admission.is_some()) {
            changes.write(&mut batch, named.transition.as_uuid());
        }
        let (pen, mut hand) = self.free_pen().await;
        let script = batch.finish(&mut hand.texts, D::WORDS);
        failpoint!("commit.before");
        pen.run(&mut hand, script).await?;
        failpoint!("commit.after");
        Ok(())
    }
}

/// What became of a group.
struct Attempt {
    /// Those that were to be written.
    able: Vec<Placed>,
    /// Those that were not, because keys are too full.
    full: Vec<(Placed, Full)>,
    written: Result<(), WriteError>,
}

fn failed(error: WriteError) -> Commit {
    match error {
        WriteError::Busy | WriteError::Refused => Commit::Busy,
        WriteError::Ambiguous(why) => {
            tracing::warn!(%why, "a commit whose end is not known");
            Commit::Ambiguous
        }
        WriteError::Unavailable(why) | WriteError::Corrupt(why) => Commit::Unavailable(why),
        WriteError::Invalid(why) => Commit::Invalid(why),
    }
}

/// Groups that fit into one transaction. Two starts with the same key do not go into one group: the second must find
/// what the first has written.
fn groups(members: Vec<Placed>) -> Vec<Vec<Placed>> {
    let mut groups: Vec<Vec<Placed>> = Vec::with_capacity(1);
    let mut bytes = 0;
    let mut keys = HashSet::new();
    for (place, member) in members {
        let weight = member.size_hint();
        let key = member.create.as_deref().and_then(key_of);
        let fits = groups.last().is_some_and(|group| {
            group.len() < MAX_BATCH_MEMBERS
                && bytes + weight <= MAX_BATCH_BYTES
                && key.as_ref().is_none_or(|key| !keys.contains(key))
        });
        if !fits {
            groups.push(Vec::new());
            bytes = 0;
            keys.clear();
        }
        bytes += weight;
        keys.extend(key);
        // There is a last one: it was there, or has just been pushed.
        if let Some(group) = groups.last_mut() {
            group.push((place, member));
        }
    }
    groups
}

fn key_of(new: &NewRun) -> Option<(std::sync::Arc<str>, std::sync::Arc<str>)> {
    new.key.as_ref().map(|key| (new.project.clone(), key.key.clone()))
}
