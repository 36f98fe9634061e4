//! What Redis is asked to do, and how its answers are read. The scripts are in `lua`, and `line.lua` says which keys there are.

use std::sync::Arc;
use std::time::Duration;

use orchestrator_core::port::queue::{
    AGEING, Clearing, DeadLetter, Delivery, LetterId, LetterOrder, ListLetters, MAX_LETTER_TEXT, MAX_REASON,
    NewTicket, QueueError, Receipt, Receive, Settle, Settlement, Ticket, is_queue_name, unreadable, within,
};
use orchestrator_core::time::Timestamp;
use redis::{Script, ScriptInvocation};

/// How many tickets that have come out one call puts in line.
const STEP: usize = 1000;

/// How many digits a receipt has.
const DIGITS: usize = 16;

/// What a ticket is answered by: its receipt, queue, project, priority, count, and what is on it.
const PARTS: usize = 6;

/// What a dead letter is answered by: its number, queue, project, priority, count, moment, reason and text.
const LETTER_PARTS: usize = 8;

/// A text that Redis answers with.
pub(crate) type Bytes = Vec<u8>;

macro_rules! script {
    ($name:literal) => {
        Script::new(concat!(include_str!("lua/line.lua"), include_str!(concat!("lua/", $name, ".lua"))))
    };
}

/// The scripts, and the keys that all of them take.
#[derive(Debug)]
pub(crate) struct Scripts {
    prefix: String,
    keys: [String; 6],
    publish: Script,
    receive: Script,
    settle: Script,
    look: Script,
    bury: Script,
    letters: Script,
    clear: Script,
    count: Script,
}

impl Scripts {
    pub(crate) fn new(prefix: &str) -> Self {
        Self {
            prefix: prefix.to_owned(),
            keys: ["tickets", "folds", "projects", "number", "queues", "dead"]
                .map(|name| format!("{prefix}:{name}")),
            publish: script!("publish"),
            receive: script!("receive"),
            settle: script!("settle"),
            look: script!("look"),
            bury: script!("bury"),
            letters: script!("letters"),
            clear: script!("clear"),
            count: script!("count"),
        }
    }

    fn call<'s>(&'s self, script: &'s Script) -> ScriptInvocation<'s> {
        let mut call = script.prepare_invoke();
        self.keys.iter().for_each(|key| _ = call.key(key));
        call.arg(&self.prefix).arg(AGEING.as_millis() as u64);
        call
    }

    pub(crate) fn publish(
        &self,
        capacity: u64,
        tickets: &[NewTicket],
    ) -> Result<ScriptInvocation<'_>, QueueError> {
        let mut call = self.call(&self.publish);
        call.arg(capacity);
        for new in tickets {
            let ticket = serde_json::to_string(&new.ticket)
                .map_err(|error| QueueError::Invalid(format!("the ticket cannot be written: {error}")))?;
            call.arg(&*new.queue).arg(&*new.project).arg(new.priority).arg(millis(new.after)).arg(ticket);
        }
        Ok(call)
    }

    pub(crate) fn receive(&self, receive: &Receive, most_letters: u32) -> ScriptInvocation<'_> {
        let mut call = self.call(&self.receive);
        call.arg(receive.max).arg(millis(receive.visibility)).arg(STEP);
        call.arg(most_letters).arg(MAX_LETTER_TEXT);
        receive.queues.iter().for_each(|queue| _ = call.arg(&**queue));
        call
    }

    /// `None`: no queue of this kind gives such a receipt.
    pub(crate) fn settle(&self, settle: &Settle, most_letters: u32) -> Option<ScriptInvocation<'_>> {
        let receipt = settle.receipt.as_str();
        if !is_number(receipt) {
            return None;
        }
        let mut call = self.call(&self.settle);
        call.arg(receipt);
        match &settle.how {
            Settlement::Done => call.arg(-1),
            Settlement::Release { after } => call.arg(millis(*after)),
            Settlement::Bury { reason } => {
                return Some(self.bury(&settle.receipt, reason, most_letters, false));
            }
        };
        Some(call)
    }

    /// Buries a ticket that is with somebody; by force, if it is at fault itself: then whatever its time.
    pub(crate) fn bury(
        &self,
        receipt: &Receipt,
        reason: &str,
        most_letters: u32,
        is_forced: bool,
    ) -> ScriptInvocation<'_> {
        let mut call = self.call(&self.bury);
        call.arg(receipt.as_str())
            .arg(reason)
            .arg(most_letters)
            .arg(MAX_LETTER_TEXT)
            .arg(u8::from(is_forced));
        call
    }

    /// # Errors
    /// [`QueueError::Invalid`] if no letter was ever called as the one after which it goes on.
    pub(crate) fn letters(&self, list: &ListLetters) -> Result<ScriptInvocation<'_>, QueueError> {
        let after = match &list.after {
            None => "",
            Some(id) => {
                let (number, _) = letter_of(id)
                    .ok_or_else(|| QueueError::Invalid(format!("no dead letter was ever called {id}")))?;
                number
            }
        };
        let order = match list.order {
            LetterOrder::NewestFirst => "newest",
            LetterOrder::OldestFirst => "oldest",
        };
        let mut call = self.call(&self.letters);
        call.arg(order).arg(after).arg(list.limit).arg(list.queue.as_deref().unwrap_or_default());
        Ok(call)
    }

    /// Looks at a letter, or clears it as is said. `None`: no queue of this kind calls one so.
    pub(crate) fn clear(&self, letter: &LetterId, how: Option<Clearing>) -> Option<ScriptInvocation<'_>> {
        let (number, queue) = letter_of(letter)?;
        let mut call = self.call(&self.clear);
        call.arg(number).arg(queue).arg(match how {
            None => "look",
            Some(Clearing::Publish) => "publish",
            Some(Clearing::Drop) => "drop",
        });
        Some(call)
    }

    pub(crate) fn count(&self, queues: &[Arc<str>]) -> ScriptInvocation<'_> {
        let mut call = self.call(&self.count);
        queues.iter().for_each(|queue| _ = call.arg(&**queue));
        call
    }

    pub(crate) fn look(&self, queues: &[Arc<str>]) -> ScriptInvocation<'_> {
        let mut call = self.call(&self.look);
        queues.iter().for_each(|queue| _ = call.arg(&**queue));
        call
    }
}

/// A time as it is told to Redis. No call takes one of more than 366 days.
fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Whether it is a number as Redis draws them.
fn is_number(text: &str) -> bool {
    text.len() == DIGITS && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The number and the queue of a dead letter.
fn letter_of(id: &LetterId) -> Option<(&str, &str)> {
    let (number, queue) = id.as_str().split_once(':')?;
    (is_number(number) && is_queue_name(queue)).then_some((number, queue))
}

/// What came of an answer.
#[derive(Debug, Default)]
pub(crate) struct Came {
    pub(crate) deliveries: Vec<Delivery>,
    /// What cannot be read, by its receipt, and why not.
    pub(crate) unreadable: Vec<(Receipt, Arc<str>)>,
}

/// What is in an answer, or `None`: it has to be asked again.
pub(crate) fn came(answer: &[Bytes]) -> Option<Came> {
    let (sign, rest) = answer.split_first()?;
    if sign != b"0" {
        return None;
    }
    let mut came = Came::default();
    for parts in rest.chunks(PARTS) {
        match delivery(parts) {
            Ok(delivery) => came.deliveries.push(delivery),
            Err(why) => {
                let receipt =
                    parts.first().map(|receipt| String::from_utf8_lossy(receipt)).unwrap_or_default();
                came.unreadable.push((Receipt::new(&*receipt), unreadable(why)));
            }
        }
    }
    Some(came)
}

fn delivery(parts: &[Bytes]) -> Result<Delivery, String> {
    let [receipt, queue, project, priority, count, ticket] = parts else {
        return Err("parts of it are missing".to_owned());
    };
    let text = |part: &Bytes| String::from_utf8(part.clone()).map_err(|error| error.to_string());
    Ok(Delivery {
        receipt: Receipt::new(text(receipt)?),
        queue: text(queue)?.into(),
        project: text(project)?.into(),
        priority: text(priority)?.parse().map_err(|_| "its priority is no number".to_owned())?,
        count: text(count)?.parse().map_err(|_| "its count is no number".to_owned())?,
        ticket: serde_json::from_slice::<Ticket>(ticket).map_err(|error| error.to_string())?,
    })
}

/// The dead letters of an answer.
pub(crate) fn letters(answer: &[Bytes]) -> Vec<DeadLetter> {
    answer.chunks(LETTER_PARTS).filter_map(letter).collect()
}

/// As much of a letter as can be read: it is dead already.
fn letter(parts: &[Bytes]) -> Option<DeadLetter> {
    let [number, queue, project, priority, count, at, reason, ticket] = parts else { return None };
    let text = |part: &Bytes| String::from_utf8_lossy(part).into_owned();
    let queue = text(queue);
    Some(DeadLetter {
        id: LetterId::new(format!("{}:{queue}", text(number))),
        queue: queue.into(),
        project: text(project).into(),
        priority: text(priority).parse().unwrap_or_default(),
        count: text(count).parse().unwrap_or_default(),
        at: Timestamp::from_millis(text(at).parse().unwrap_or_default()),
        reason: within(&text(reason), MAX_REASON).into(),
        ticket: serde_json::from_slice(ticket).ok(),
        text: within(&text(ticket), MAX_LETTER_TEXT).into(),
    })
}
