//! Queues that are wrong about dead letters.

use std::sync::atomic::Ordering;

use super::list::Wrong::{
    BeginsEachPageAnew, BuriesInSilence, BuriesTheLate, BuriesTwice, CountsLettersFromOne, CutsReasons,
    DropsTheNewestLetter, DropsTheUnreadable, FailsForTheUnreadable, ForgetsLettersWhenClosed,
    ForgetsWhatItPublishesAgain, KeepsTheBuriedInLine, KeepsTheLetterItPublishes, KeepsWhatIsDropped,
    ListsLettersOfAllQueues, ListsTheOldestFirst, LosesThePlaceOfWhatIsGone, MakesRoomAmongAll,
    PassesOverTheUnreadable, PublishesAgainUnheard, PublishesTheUnreadable, PublishesWhatIsDropped,
};
use super::place::lock;
use super::spoiled::Spoiled;
use crate::port::queue::{
    Clear, Clearing, DeadLetter, Delivery, LetterId, LetterOrder, ListLetters, MAX_LETTER_TEXT, NewTicket,
    Publish, Queue, QueueError, Receipt, Settle, Settled, Settlement, require_readable, unreadable, within,
};
use crate::time::Timestamp;

/// How many letters of a queue there is room for.
pub(super) const ROOM: u32 = 8;

const ALL: ListLetters =
    ListLetters { queue: None, order: LetterOrder::OldestFirst, after: None, limit: 256 };

impl Spoiled {
    /// Takes out of an answer what nobody can read.
    pub(super) async fn bury_unreadable(&self, came: Vec<Delivery>) -> Result<Vec<Delivery>, QueueError> {
        let is_dark = |delivery: &Delivery| lock(&self.world.forged).contains_key(&delivery.ticket);
        let (dark, came): (Vec<_>, Vec<_>) = came.into_iter().partition(is_dark);
        for delivery in dark {
            let how = match self.wrong {
                FailsForTheUnreadable => return Err(QueueError::Unavailable("what is this".to_owned())),
                PassesOverTheUnreadable => continue,
                DropsTheUnreadable => Settlement::Done,
                _ if self.can.letters == 0 => continue,
                _ => Settlement::Bury { reason: unreadable("it was forged") },
            };
            self.right.settle(Settle { receipt: delivery.receipt, how }).await?;
        }
        Ok(came)
    }

    pub(super) async fn bury_wrongly(
        &self,
        receipt: Receipt,
        mut how: Settlement,
    ) -> Result<Settled, QueueError> {
        let Settlement::Bury { reason } = &mut how else { return Ok(Settled::Late) };
        match self.wrong {
            CutsReasons => *reason = within(reason, 100).into(),
            BuriesInSilence => {
                return self.right.settle(Settle { receipt, how: Settlement::Done }).await;
            }
            // What no queue takes, this one does.
            _ if reason.is_empty() || reason.len() > 1000 || reason.contains('\0') => *reason = "why".into(),
            _ => {}
        }
        let delivery = lock(&self.world.given).get(&receipt).cloned();
        let settled = self.right.settle(Settle { receipt: receipt.clone(), how }).await?;
        match (self.wrong, settled, delivery) {
            (KeepsTheBuriedInLine, Settled::Taken, Some(delivery)) => self.publish_again(&delivery).await?,
            (BuriesTheLate, Settled::Late, Some(delivery)) => {
                lock(&self.world.ghosts).push(DeadLetter {
                    id: LetterId::new(format!("ghost {receipt}")),
                    queue: delivery.queue,
                    project: delivery.project,
                    priority: delivery.priority,
                    count: delivery.count,
                    at: Timestamp::from_millis(0),
                    reason: "late".into(),
                    ticket: Some(delivery.ticket),
                    text: "".into(),
                });
            }
            (BuriesTwice, Settled::Late, _) if lock(&self.world.buried).contains(&receipt) => {
                return Ok(Settled::Taken);
            }
            (MakesRoomAmongAll, ..) => {
                let all = self.right.letters(ALL).await?;
                if all.len() > ROOM as usize {
                    self.drop_letter(&all[0].id).await?;
                }
            }
            (DropsTheNewestLetter, Settled::Taken, Some(delivery)) => {
                let of_queue = ListLetters { queue: Some(delivery.queue), ..ALL };
                let all = self.right.letters(of_queue).await?;
                if all.len() > ROOM as usize {
                    self.drop_letter(&all[all.len() - 1].id).await?;
                }
            }
            _ => {}
        }
        if settled == Settled::Taken {
            lock(&self.world.buried).insert(receipt);
        }
        Ok(settled)
    }

    async fn publish_again(&self, delivery: &Delivery) -> Result<(), QueueError> {
        let new = NewTicket {
            queue: delivery.queue.clone(),
            project: delivery.project.clone(),
            priority: delivery.priority,
            after: std::time::Duration::ZERO,
            ticket: delivery.ticket,
        };
        self.right.publish(Publish { tickets: vec![new] }).await
    }

    async fn drop_letter(&self, letter: &LetterId) -> Result<Settled, QueueError> {
        self.right.clear(Clear { letter: letter.clone(), how: Clearing::Drop }).await
    }

    pub(super) async fn list_wrongly(&self, mut list: ListLetters) -> Result<Vec<DeadLetter>, QueueError> {
        let is_closed = self.world.closed_once.load(Ordering::Relaxed);
        match self.wrong {
            ListsTheOldestFirst => list.order = LetterOrder::OldestFirst,
            ListsLettersOfAllQueues => list.queue = None,
            BeginsEachPageAnew => list.after = list.after.filter(|id| id.as_str().parse::<u64>().is_err()),
            LosesThePlaceOfWhatIsGone if list.after.is_some() => {
                let all = self.right.letters(ALL).await?;
                let is_there = all.iter().any(|letter| Some(&letter.id) == list.after.as_ref());
                if !is_there && list.after.as_ref().is_some_and(|id| id.as_str().parse::<u64>().is_ok()) {
                    return Ok(Vec::new());
                }
            }
            ForgetsLettersWhenClosed if is_closed => return Ok(Vec::new()),
            _ => {}
        }
        let mut letters = self.right.letters(list).await?;
        letters.extend(lock(&self.world.ghosts).clone());
        for letter in &mut letters {
            let Some(ticket) = letter.ticket else { continue };
            if let Some(new) = lock(&self.world.published).get(&ticket) {
                letter.project = new.project.clone();
                letter.queue = new.queue.clone();
                letter.priority = new.priority;
            }
            if self.wrong == CountsLettersFromOne {
                letter.count = 1;
            }
            if let Some(text) = lock(&self.world.forged).get(&ticket) {
                letter.ticket = None;
                letter.text = within(text, MAX_LETTER_TEXT).into();
            }
        }
        Ok(letters)
    }

    pub(super) async fn clear_wrongly(&self, mut clear: Clear) -> Result<Settled, QueueError> {
        let all = self.list_wrongly(ALL).await?;
        let letter = all.iter().find(|letter| letter.id == clear.letter);
        let (publishes, drops) = (clear.how == Clearing::Publish, clear.how == Clearing::Drop);
        match (self.wrong, letter) {
            (PublishesTheUnreadable, _) => {}
            (_, Some(letter)) if publishes => require_readable(&letter.id, letter.ticket.is_some())?,
            _ => {}
        }
        match (self.wrong, letter) {
            (KeepsTheLetterItPublishes, Some(letter)) if publishes => {
                let of = |delivery: &&Delivery| Some(delivery.ticket) == letter.ticket;
                let delivery = lock(&self.world.given).values().find(of).cloned();
                if let Some(delivery) = delivery {
                    self.publish_again(&delivery).await?;
                }
                return Ok(Settled::Taken);
            }
            (KeepsWhatIsDropped, Some(_)) if drops => return Ok(Settled::Taken),
            (ForgetsWhatItPublishesAgain, _) => clear.how = Clearing::Drop,
            (PublishesWhatIsDropped, _) => clear.how = Clearing::Publish,
            _ => {}
        }
        if let Some(ticket) = letter.filter(|_| publishes).and_then(|letter| letter.ticket) {
            lock(&self.world.again).insert(ticket);
        }
        let cleared = self.right.clear(clear).await?;
        if publishes && cleared == Settled::Taken && self.wrong != PublishesAgainUnheard {
            self.has_released();
        }
        Ok(cleared)
    }
}
