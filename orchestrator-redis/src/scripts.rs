//! What Redis is asked to do, and how its answers are read. The scripts are in `lua`, and `line.lua` says which keys there are.

use std::sync::Arc;
use std::time::Duration;

use orchestrator_core::port::queue::{
    AGEING, Delivery, NewTicket, QueueError, Receipt, Receive, Settle, Settlement, Ticket,
};
use redis::{Script, ScriptInvocation};

/// How many tickets that have come out one call puts in line.
const STEP: usize = 1000;

/// How many digits a receipt has.
const DIGITS: usize = 16;

/// What a ticket is answered by: its receipt, queue, project, priority, count, and what is on it.
const PARTS: usize = 6;

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
    keys: [String; 5],
    publish: Script,
    receive: Script,
    settle: Script,
    look: Script,
}

impl Scripts {
    pub(crate) fn new(prefix: &str) -> Self {
        Self {
            prefix: prefix.to_owned(),
            keys: ["tickets", "folds", "projects", "number", "queues"].map(|name| format!("{prefix}:{name}")),
            publish: script!("publish"),
            receive: script!("receive"),
            settle: script!("settle"),
            look: script!("look"),
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

    pub(crate) fn receive(&self, receive: &Receive) -> ScriptInvocation<'_> {
        let mut call = self.call(&self.receive);
        call.arg(receive.max).arg(millis(receive.visibility)).arg(STEP);
        receive.queues.iter().for_each(|queue| _ = call.arg(&**queue));
        call
    }

    /// `None`: no queue of this kind gives such a receipt.
    pub(crate) fn settle(&self, settle: &Settle) -> Option<ScriptInvocation<'_>> {
        let receipt = settle.receipt.as_str();
        if receipt.len() != DIGITS || !receipt.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let mut call = self.call(&self.settle);
        call.arg(receipt);
        match settle.how {
            Settlement::Done => call.arg(-1),
            Settlement::Release { after } => call.arg(millis(after)),
        };
        Some(call)
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

/// The deliveries of an answer, or `None`: it has to be asked again. One that cannot be read is passed over, and stays
/// hidden for its time: it may be a ticket of a later version, which others understand.
pub(crate) fn deliveries(answer: &[Bytes]) -> Option<Vec<Delivery>> {
    let (sign, rest) = answer.split_first()?;
    if sign != b"0" {
        return None;
    }
    let read = |parts: &[Bytes]| {
        let delivery = delivery(parts);
        if delivery.is_none() {
            let said: Vec<_> = parts.iter().map(|part| String::from_utf8_lossy(part)).collect();
            tracing::warn!(?said, "a ticket cannot be read and is passed over");
        }
        delivery
    };
    Some(rest.chunks(PARTS).filter_map(read).collect())
}

fn delivery(parts: &[Bytes]) -> Option<Delivery> {
    let [receipt, queue, project, priority, count, ticket] = parts else { return None };
    let text = |part: &Bytes| String::from_utf8(part.clone()).ok();
    Some(Delivery {
        receipt: Receipt::new(text(receipt)?),
        queue: text(queue)?.into(),
        project: text(project)?.into(),
        priority: text(priority)?.parse().ok()?,
        count: text(count)?.parse().ok()?,
        ticket: serde_json::from_slice::<Ticket>(ticket).ok()?,
    })
}
