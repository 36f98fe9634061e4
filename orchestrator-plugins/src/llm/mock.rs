//! The built-in model: answers from the prompt alone, or as it is told to, always the same, and reaches nothing.

use orchestrator_core::machine::StepError;
use orchestrator_core::port::plugin::Outcome;
use orchestrator_core::spec::retry::ErrorClass;
use serde::Deserialize;
use serde_json::Value;

use super::answer::{Answer, Usage};
use super::question::{Message, Question, ToolCall};
use super::with::MOCK;
use crate::config::{self, invalid};
use crate::duration;

/// How many lines of the prompt the answer repeats.
const LINES: usize = 12;

/// How many characters of each.
const CHARS: usize = 160;

/// How many characters are taken for one token. Tokenizers differ; for English four is a usual estimate.
const CHARS_PER_TOKEN: usize = 4;

/// An estimate of how many tokens so many characters have: one for every four begun.
pub(super) const fn tokens_of(chars: usize) -> u64 {
    chars.div_ceil(CHARS_PER_TOKEN) as u64
}

fn tokens(text: &str) -> u64 {
    tokens_of(text.chars().count())
}

/// An estimate of what a question and the answer `text` take.
pub(super) fn usage(question: &Question, messages: &[Message], text: &str) -> Usage {
    let system: u64 = question.system.as_deref().map_or(0, tokens);
    let input = messages.iter().map(|message| tokens(&message.content)).sum::<u64>();
    Usage { estimated: true, ..Usage::counted(system + input, 0, tokens(text)) }
}

/// What the mock is told to reply.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Reply {
    #[serde(default)]
    text: Option<String>,
    /// A value that the answer is the text of.
    #[serde(default)]
    json: Option<Value>,
    #[serde(default)]
    tool_calls: Vec<ToolCall>,
    #[serde(default)]
    usage: Option<ReplyUsage>,
    #[serde(default)]
    finish_reason: Option<String>,
    /// What the model calls itself.
    #[serde(default)]
    model: Option<String>,
    /// How long the answer takes.
    #[serde(default)]
    delay: Option<String>,
    #[serde(default)]
    error: Option<ReplyError>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ReplyUsage {
    input_tokens: u64,
    #[serde(default)]
    cached_input_tokens: u64,
    output_tokens: u64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ReplyError {
    class: ErrorClass,
    #[serde(default)]
    message: Option<String>,
    #[serde(default)]
    retry_after: Option<String>,
}

/// Reads what the mock is to reply: a text, or a mapping.
fn reply(value: &Value, place: usize) -> Result<Reply, StepError> {
    let wrong = |why: String| invalid(format!("`replies[{place}]`: {why}"));
    match value {
        Value::String(text) => Ok(Reply { text: Some(text.clone()), ..Reply::default() }),
        Value::Object(_) => Reply::deserialize(value).map_err(|error| wrong(error.to_string())),
        _ => Err(wrong("it is neither a text nor a mapping".to_owned())),
    }
}

/// What is wrong with `replies` as written, and which of them it is.
pub(super) fn problem(replies: &[Value]) -> Option<(usize, String)> {
    let read = |(place, value)| reply(value, place).err().map(|error| (place, error.message.to_string()));
    replies.iter().enumerate().find_map(read)
}

/// The answer to the `nth` question of a step, counted from 0: the reply of that number, or the last one; without replies, one
/// that is made of the prompt.
///
/// # Errors
/// How the attempt has failed, as the reply says.
pub(super) async fn ask(
    question: &Question,
    messages: &[Message],
    max_tokens: Option<u64>,
    replies: &[Value],
    nth: usize,
) -> Result<Answer, Outcome> {
    let place = nth.min(replies.len().saturating_sub(1));
    let Some(value) = replies.get(place) else { return Ok(answer(question, messages, max_tokens)) };
    let reply = reply(value, place).map_err(config::refused)?;
    let wait = |text: &str, key: &str| {
        let parsed = duration::parse(text);
        parsed.map_err(|why| config::refused(invalid(format!("`replies[{place}].{key}`: {why}"))))
    };
    if let Some(delay) = &reply.delay {
        tokio::time::sleep(wait(delay, "delay")?).await;
    }
    if let Some(error) = reply.error {
        let message = error.message.unwrap_or_else(|| "the mock was told to fail".to_owned());
        let retry_after = error.retry_after.map(|text| wait(&text, "error.retry_after")).transpose()?;
        return Err(Outcome::Failed { error: StepError::new(error.class, message), retry_after });
    }
    let text = match (reply.text, reply.json) {
        (Some(text), _) => text,
        (None, Some(json)) => json.to_string(),
        (None, None) if reply.tool_calls.is_empty() => answer(question, messages, max_tokens).text,
        (None, None) => String::new(),
    };
    let mut answer = cut(question, messages, text, max_tokens);
    if !reply.tool_calls.is_empty() {
        answer.finish_reason = Some("tool_calls".to_owned());
    }
    if let Some(ReplyUsage { input_tokens, cached_input_tokens, output_tokens }) = reply.usage {
        answer.usage = Usage::counted(input_tokens, cached_input_tokens, output_tokens);
    }
    let finish_reason = reply.finish_reason.or(answer.finish_reason);
    let model = reply.model.unwrap_or(answer.model);
    Ok(Answer { tool_calls: reply.tool_calls, finish_reason, model, ..answer })
}

/// Answers the last message: its first line as the heading, the lines that follow as a list. Lines that are headings
/// stay headings.
fn answer(question: &Question, messages: &[Message], max_tokens: Option<u64>) -> Answer {
    let prompt = messages.last().map_or("", |message| message.content.as_str());
    cut(question, messages, written(prompt), max_tokens)
}

/// An answer of at most `max_tokens`, as they are estimated.
fn cut(question: &Question, messages: &[Message], mut text: String, max_tokens: Option<u64>) -> Answer {
    let limit = max_tokens
        .map(|tokens| usize::try_from(tokens).unwrap_or(usize::MAX).saturating_mul(CHARS_PER_TOKEN));
    let cut = limit.and_then(|limit| text.char_indices().nth(limit)).map(|(at, _)| at);
    if let Some(at) = cut {
        text.truncate(at);
    }
    let finish_reason = if cut.is_some() { "length" } else { "stop" };
    Answer {
        usage: usage(question, messages, &text),
        text,
        tool_calls: Vec::new(),
        model: MOCK.to_owned(),
        finish_reason: Some(finish_reason.to_owned()),
    }
}

fn written(prompt: &str) -> String {
    let mut lines = prompt.lines().map(str::trim).filter(|line| !line.is_empty());
    let Some(task) = lines.next() else { return "(The prompt was empty.)".to_owned() };
    let mut text =
        format!("# {}\n", shortened(task.trim_start_matches('#').trim().trim_end_matches([':', '.'])));
    let (mut shown, mut left, mut in_list) = (0, 0, false);
    for line in lines {
        if shown == LINES {
            left += 1;
            continue;
        }
        shown += 1;
        let is_heading = line.starts_with('#') || line.ends_with(':');
        if is_heading {
            text.push_str(&format!("\n## {}\n", shortened(line.trim_matches(['#', ':', ' ']))));
        } else {
            let gap = if in_list || text.ends_with("\n\n") { "" } else { "\n" };
            let item = line.trim_start_matches(['-', '*', '•']).trim_start();
            text.push_str(&format!("{gap}- {}\n", shortened(item)));
        }
        in_list = !is_heading;
    }
    if left > 0 {
        text.push_str(&format!("- … and {left} more\n"));
    }
    text.push_str(
        "\n(Written by the built-in mock model from the first lines of the prompt; no model was asked.)",
    );
    text
}

fn shortened(line: &str) -> String {
    match line.char_indices().nth(CHARS) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::llm::question::Role;

    fn ask(prompt: &str, max_tokens: Option<u64>) -> Answer {
        let message = Message::said(Role::User, prompt.to_owned());
        answer(&Question::default(), &[message], max_tokens)
    }

    #[test]
    fn the_answer_is_made_of_the_prompt() {
        let prompt =
            "Write release notes for:\n\nFeatures:\n* add plugins\n- add a store\n## Fixes\nmend the clock\n";
        let expected = "# Write release notes for\n\n## Features\n\n- add plugins\n- add a store\n\n## Fixes\n\n- mend the clock\n\n\
            (Written by the built-in mock model from the first lines of the prompt; no model was asked.)";
        let answer = ask(prompt, None);
        assert_eq!(answer.text, expected);
        assert_eq!(answer.finish_reason.as_deref(), Some("stop"));
        assert_eq!(ask(prompt, None), answer);
    }

    #[test]
    fn a_long_prompt_gives_a_short_answer() {
        let prompt: String = (0..10_000).map(|n| format!("line {n} {}\n", "é".repeat(1_000))).collect();
        let text = ask(&prompt, None).text;
        assert!(text.contains("- … and 9987 more"));
        assert!(text.chars().count() < (LINES + 3) * (CHARS + 8));
    }

    #[test]
    fn no_prompt_is_too_odd_for_an_answer() {
        for prompt in ["", "\n \n", "#", ":", "é", "-\n*\n#\n:"] {
            assert!(!ask(prompt, None).text.is_empty(), "{prompt:?}");
        }
    }

    #[test]
    fn an_answer_ends_at_the_limit_and_says_so() {
        let answer = ask("Say something", Some(3));
        assert_eq!((answer.text.as_str(), answer.finish_reason.as_deref()), ("# Say someth", Some("length")));
        assert_eq!(answer.usage, Usage { estimated: true, ..Usage::counted(4, 0, 3) });
    }
}
