//! What a wrong store does to a member before it writes it, and to its answer.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::list::Wrong::*;
use super::place::lock;
use super::store::Spoiled;
use crate::id::{RunId, TransitionId};
use crate::port::store::{Commit, Member, Store};
use crate::time::Timestamp;

impl Spoiled {
    pub(super) async fn spoil(&self, member: &mut Member) {
        self.spoil_fences(member).await;
        self.spoil_children(member).await;
        self.spoil_offers(member).await;
        self.spoil_keys(member).await;
        self.spoil_values(member);
        match self.wrong {
            ForgetsItems => member.steps.iter_mut().for_each(|row| row.item = None),
            LosesTheLastEvent if member.events.len() > 1 => drop(member.events.pop()),
            LosesSteps => member.steps.truncate(1),
            LosesDecisions => member.decisions.truncate(1),
            LosesLogs => member.logs.clear(),
            LosesApprovals => member.approvals.truncate(1),
            KeepsApprovalsOpen => member.approvals.retain(|row| row.status == "open"),
            LosesTheFirstRows if member.create.is_some() => {
                member.steps.clear();
                member.logs.clear();
            }
            ForgetsTheDriver => member.summary.driver = None,
            ForgetsWhatIsDue => member.summary.due_at = None,
            NamesTransitionsAnew => member.transition = TransitionId::from_uuid(uuid::Uuid::now_v7()),
            BeginsTimeIn1970 => {
                member.at = member.at.max(Timestamp::default());
                member
                    .approvals
                    .iter_mut()
                    .for_each(|row| row.asked_at = row.asked_at.max(Timestamp::default()));
                member.summary.due_at = member.summary.due_at.max(Some(Timestamp::default()));
            }
            _ => {}
        }
    }

    async fn spoil_fences(&self, member: &mut Member) {
        let row = self.right.run(member.run).await.ok().flatten();
        match (self.wrong, row) {
            (IgnoresTheNumber, Some(row)) if member.create.is_none() => member.expected = row.seq,
            // Who asks while another is being answered is answered from the same moment.
            (LetsTwoWin, Some(row)) | (LetsOneOfEachHandleWin, Some(row))
                if row.seq == member.expected + 1
                    && (self.wrong == LetsTwoWin || self.number > 0)
                    && !self.world.once.swap(true, Ordering::Relaxed) =>
            {
                member.expected = row.seq;
            }
            (IgnoresTheEpoch, Some(row)) => {
                member.driver.iter_mut().for_each(|fence| fence.epoch = row.driver_epoch);
            }
            (IgnoresTheOwner, Some(row)) => {
                if let (Some(fence), Some(driver)) = (&mut member.driver, row.driver) {
                    fence.owner = driver;
                }
            }
            (CreatesAgain, Some(row)) if member.create.is_some() => {
                (member.create, member.expected) = (None, row.seq);
            }
            (IgnoresTheDriver, _) => member.driver = None,
            (IgnoresAssertedDeaths, _) => member.dead.clear(),
            (IgnoresKeys, _) => member.create.iter_mut().for_each(|new| new.key = None),
            (MixesKeysOfProjects, _) => {
                // The keys of all projects are in one list.
                let mut keyed = member.create.iter_mut().filter(|new| new.key.is_some());
                keyed.by_ref().for_each(|new| new.project = "default".into());
            }
            (TakesWhatCannotBe, _) if member.events.is_empty() => {
                member.events = crate::testkit::Story { run: member.run, seq: 1 }.step_due().events;
            }
            _ => {}
        }
    }

    async fn spoil_children(&self, member: &mut Member) {
        let parents = |member: &mut Member, change: &dyn Fn(&mut crate::port::store::Parent)| {
            let children = member.children.iter_mut();
            children.filter_map(|child| child.create.as_mut()?.parent.as_mut()).for_each(change);
        };
        match self.wrong {
            LosesChildren => member.children.clear(),
            AdoptsTheStrange => {
                let run = member.run;
                parents(member, &|parent| parent.run = run);
            }
            PrunesChildren => {
                parents(member, &|parent| parent.root = RunId::from_uuid(uuid::Uuid::nil()));
            }
            ForgetsTheParent => {
                for mut alone in member.children.drain(..) {
                    alone.create.iter_mut().for_each(|new| new.parent = None);
                    self.right.commit(vec![alone]).await;
                }
            }
            KeepsChildrenOfTheRefused => {
                for child in member.children.drain(..) {
                    self.right.commit(vec![child]).await;
                }
            }
            OverlooksChildrenThatExist => {
                let mut new = Vec::new();
                for child in member.children.drain(..) {
                    if self.right.run(child.run).await.ok().flatten().is_none() {
                        new.push(child);
                    }
                }
                member.children = new;
            }
            _ => {}
        }
    }

    fn spoil_values(&self, member: &mut Member) {
        let change = |member: &mut Member, change: &dyn Fn(&str) -> String| {
            member.values.iter_mut().for_each(|value| value.body = change(&value.body).into());
            member.logs.iter_mut().for_each(|line| line.text = change(&line.text).into());
        };
        match self.wrong {
            LosesValues => member.values.clear(),
            LosesEmptyValues => member.values.retain(|value| !value.body.is_empty()),
            CutsValues => change(member, &|text| {
                let end = text.floor_char_boundary(500_000);
                text[..end].to_owned()
            }),
            CutsAtNul => change(member, &|text| text.split('\0').next().unwrap_or_default().to_owned()),
            ChangesCharacters => change(member, &|text| text.replace("e\u{301}", "é")),
            RoundsNumbers => change(member, &|text| {
                text.replace("18446744073709551615", "18446744073709552000")
                    .replace("9007199254740993", "9007199254740992")
            }),
            _ => {}
        }
    }

    /// Answers for a batch in a wrong way, without writing it; `None`: it is written.
    pub(super) fn answer_badly(&self, batch: &[Member]) -> Option<Vec<Commit>> {
        let is_bad = batch.iter().any(|member| member.fault().is_some());
        let refuses = match self.wrong {
            AppliesAllOrNone => batch.len() > 2 && is_bad,
            TakesSmallBatchesOnly => batch.len() > 256,
            _ => false,
        };
        refuses.then(|| vec![Commit::Conflict; batch.len()])
    }

    /// What is kept of members that were refused, and the numbers of those that were not.
    pub(super) fn note(&self, batch: Vec<Member>, answers: &[Commit]) {
        for (member, answer) in batch.into_iter().zip(answers) {
            if *answer != Commit::Applied {
                lock(&self.world.refused).push(member);
                continue;
            }
            let mut numbers = lock(&self.world.numbers);
            for member in member.with_children() {
                for seq in (member.expected + 1..).take(member.events.len()) {
                    let next = numbers.len() as u64 + 1;
                    numbers.insert((member.run, seq), next);
                }
            }
        }
    }

    /// One commit a member: whatever must be so within a batch is not looked at.
    pub(super) async fn commit_singly(&self, batch: Vec<Member>) -> Vec<Commit> {
        let mut answers = Vec::new();
        for mut member in batch {
            let seq = self.right.run(member.run).await.ok().flatten().map_or(0, |row| row.seq);
            if self.wrong == TakesTwoOfARun && member.create.is_none() {
                member.expected = seq;
            }
            answers.extend(self.right.commit(vec![member]).await);
        }
        answers
    }

    /// A batch in which the keys are looked for before any of it is written.
    pub(super) async fn commit_without_own_keys(&self, mut batch: Vec<Member>) -> Vec<Commit> {
        let mut seen: Vec<Arc<str>> = Vec::new();
        for new in batch.iter_mut().filter_map(|member| member.create.as_mut()) {
            let key = new.key.as_ref().map(|key| key.key.clone());
            if key.as_ref().is_some_and(|key| seen.contains(key)) {
                new.key = None;
            }
            seen.extend(key);
        }
        self.right.commit(batch).await
    }
}
