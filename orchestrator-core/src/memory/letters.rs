//! Dead letters of the reference queue.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::port::queue::{DeadLetter, LetterId, LetterOrder, ListLetters, QueueError, Ticket};

/// A letter, and what is on it.
type Buried = (DeadLetter, Ticket);

/// All letters: of each queue, by the number that tells in which order they were buried.
#[derive(Debug, Default)]
pub(super) struct Letters {
    by_queue: BTreeMap<Arc<str>, BTreeMap<u64, Buried>>,
    /// The last number that was given.
    buried: u64,
}

fn number(id: &LetterId) -> Option<u64> {
    id.as_str().parse().ok()
}

impl Letters {
    /// Keeps one, and no more of its queue than that: the oldest go.
    pub(super) fn bury(&mut self, letter: impl FnOnce(LetterId) -> DeadLetter, ticket: Ticket, most: u32) {
        self.buried += 1;
        let letter = letter(LetterId::new(self.buried.to_string()));
        let of_queue = self.by_queue.entry(letter.queue.clone()).or_default();
        of_queue.insert(self.buried, (letter, ticket));
        while of_queue.len() > most as usize {
            of_queue.pop_first();
        }
    }

    pub(super) fn list(&self, list: &ListLetters) -> Result<Vec<DeadLetter>, QueueError> {
        let of = self.by_queue.iter().filter(|(queue, _)| list.queue.as_ref().is_none_or(|of| of == *queue));
        let mut all: Vec<(u64, &DeadLetter)> =
            of.flat_map(|(_, letters)| letters).map(|(number, (letter, _))| (*number, letter)).collect();
        all.sort_unstable_by_key(|(number, _)| *number);
        let after = match &list.after {
            None => None,
            Some(id) => Some(
                number(id)
                    .ok_or_else(|| QueueError::Invalid(format!("no dead letter was ever called {id}")))?,
            ),
        };
        if list.order == LetterOrder::NewestFirst {
            all.reverse();
        }
        let is_behind = |number: u64| {
            after.is_none_or(|after| match list.order {
                LetterOrder::NewestFirst => number < after,
                LetterOrder::OldestFirst => number > after,
            })
        };
        let page = all.into_iter().filter(|(number, _)| is_behind(*number)).take(list.limit);
        Ok(page.map(|(_, letter)| letter.clone()).collect())
    }

    pub(super) fn count(&self, queue: &str) -> u64 {
        self.by_queue.get(queue).map_or(0, |letters| letters.len() as u64)
    }

    pub(super) fn take(&mut self, id: &LetterId) -> Option<Buried> {
        let number = number(id)?;
        let taken = self.by_queue.values_mut().find_map(|letters| letters.remove(&number));
        self.by_queue.retain(|_, letters| !letters.is_empty());
        taken
    }
}
