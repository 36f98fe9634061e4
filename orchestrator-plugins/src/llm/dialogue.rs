//! What one attempt asks: a question, again where the answer has the wrong shape, and of others where a server fails.

use std::time::Duration;

use orchestrator_core::machine::StepError;
use orchestrator_core::port::plugin::{Context, Outcome, Stream};
use orchestrator_core::spec::retry::ErrorClass;
use serde_json::Value;

use super::answer::{Answer, Usage};
use super::call::{self, Call};
use super::mock;
use super::question::{Message, Question, Role};
use super::server::Server;
use super::shape::{self, Shape};
use super::wire::{Api, Asked};
use crate::config::refused;
use crate::outbound::{self, Outbound};

/// How much of an answer of the wrong shape the step's error tells, in characters.
const TOLD: usize = 1_000;

/// All that an attempt needs.
pub(super) struct Dialogue<'a> {
    pub(super) outbound: &'a Outbound,
    pub(super) context: &'a Context,
    pub(super) question: &'a Question,
    pub(super) shape: Option<&'a Shape>,
    pub(super) servers: &'a [Server],
    /// How many questions each of them is asked at most.
    pub(super) questions: u32,
    pub(super) stream: bool,
    pub(super) timeout: Duration,
    /// What the mock replies.
    pub(super) replies: &'a [Value],
    /// How many questions were answered so far.
    pub(super) asked: u32,
    /// How many requests have left so far.
    pub(super) sent: u32,
}

/// How it ended.
pub(super) struct Told {
    pub(super) answer: Answer,
    /// What it is as JSON, where it has a shape.
    pub(super) json: Value,
    /// What all questions together took, as far as servers have answered.
    pub(super) usage: Usage,
    /// What that cost, in millionths of a dollar; `None` if a price is not known.
    pub(super) micro_usd: Option<u64>,
}

impl Dialogue<'_> {
    /// Asks one server after the other.
    ///
    /// # Errors
    /// How the last one failed.
    pub(super) async fn hold(&mut self) -> Result<Told, Outcome> {
        let servers = self.servers;
        let (mut usage, mut micro_usd) = (Usage::default(), Some(0));
        for (place, server) in servers.iter().enumerate() {
            match self.ask(server, &mut usage, &mut micro_usd).await {
                Ok((answer, json)) => return Ok(Told { answer, json, usage, micro_usd }),
                Err(outcome) => {
                    let next = servers.get(place + 1).filter(|_| may_be_better_elsewhere(&outcome));
                    let Some(next) = next else { return Err(outcome) };
                    if let Outcome::Failed { error, .. } = &outcome {
                        let line = format!("{}; asking {} instead", error.message, next.model);
                        self.context.log(Stream::System, &line);
                    }
                }
            }
        }
        // There is always one.
        Err(Outcome::failed(ErrorClass::Invalid, "no model is named"))
    }

    /// Asks a server, again while the answer has the wrong shape.
    async fn ask(
        &mut self,
        server: &Server,
        usage: &mut Usage,
        micro_usd: &mut Option<u64>,
    ) -> Result<(Answer, Value), Outcome> {
        let mut messages = self.question.messages.clone();
        for left in (0..self.questions).rev() {
            let answer = self.ask_once(server, &messages).await?;
            self.asked += 1;
            let cost = server.price.map(|price| price.of(&answer.usage));
            let cost = cost.or_else(|| server.base_url.is_none().then_some(0));
            *micro_usd = micro_usd.zip(cost).map(|(spent, cost)| spent.saturating_add(cost));
            *usage = match usage.total_tokens {
                0 => answer.usage,
                _ => usage.and(answer.usage),
            };
            self.tell(&answer, server.price.and(cost));
            let Some(shape) = self.shape.filter(|_| answer.tool_calls.is_empty()) else {
                return Ok((answer, Value::Null));
            };
            let problems = match shape.read(&answer.text, &self.context.mask) {
                Ok(json) => return Ok((answer, json)),
                Err(problems) => problems,
            };
            if left == 0 {
                let asked = self.questions;
                let problems = outbound::shortened(&problems.replace('\n', "; "), TOLD);
                let message = format!("no answer of {asked} fits `schema`: {problems}");
                return Err(refused(StepError::new(ErrorClass::Failed, message)));
            }
            self.context.log(Stream::System, "the answer does not fit `schema`; asking again");
            let complaint = shape::complaint(&problems);
            messages.push(Message::said(Role::Assistant, answer.text));
            messages.push(Message::said(Role::User, complaint));
        }
        Err(Outcome::failed(ErrorClass::Invalid, "`repairs` leaves no question to ask"))
    }

    async fn ask_once(&mut self, server: &Server, messages: &[Message]) -> Result<Answer, Outcome> {
        let Some(base_url) = &server.base_url else {
            let before = self.context.iteration.saturating_add(self.context.attempt.saturating_sub(1));
            let nth = before.saturating_add(self.asked) as usize;
            return mock::ask(self.question, messages, server.max_tokens, self.replies, nth).await;
        };
        // The key names the stored request. What follows from more than that is another request.
        let is_stored = self.sent == 0 && self.question.file.is_none();
        self.sent += 1;
        let asked = Asked {
            question: self.question,
            messages,
            model: &server.model,
            max_tokens: server.max_tokens,
            stream: self.stream,
            by_openai: base_url.starts_with(Api::Chat.home()),
        };
        let call = Call { server, base_url, asked, timeout: self.timeout, is_stored };
        call::ask(self.outbound, self.context, &call).await
    }

    fn tell(&self, answer: &Answer, micro_usd: Option<u64>) {
        let Usage { input_tokens, output_tokens, estimated, .. } = answer.usage;
        let about = if estimated { "about " } else { "" };
        let cost = micro_usd.map(|cost| format!(", {}", dollars(cost))).unwrap_or_default();
        let line =
            format!("{}: {about}{input_tokens} tokens in, {about}{output_tokens} out{cost}", answer.model);
        self.context.log(Stream::System, &line);
    }
}

/// Whether another server may do what this one could not.
const fn may_be_better_elsewhere(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Failed { error, .. } => matches!(
            error.class,
            ErrorClass::Transient | ErrorClass::Timeout | ErrorClass::RateLimited | ErrorClass::Failed
        ),
        _ => false,
    }
}

/// An amount of money for people.
pub(super) fn dollars(micro_usd: u64) -> String {
    let (whole, rest) = (micro_usd / 1_000_000, micro_usd % 1_000_000);
    let digits = format!("{rest:06}");
    let kept = digits.trim_end_matches('0').len().max(2);
    format!("${whole}.{}", &digits[..kept])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_have_two_digits_or_as_many_as_they_need() {
        for (micro_usd, expected) in [
            (0, "$0.00"),
            (1, "$0.000001"),
            (20_000, "$0.02"),
            (1_500_000, "$1.50"),
            (12_345_678, "$12.345678"),
        ] {
            assert_eq!(dollars(micro_usd), expected);
        }
    }
}
