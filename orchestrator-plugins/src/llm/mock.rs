//! The built-in model: answers from the prompt alone, always the same, and reaches nothing.

use super::plugin::{Answer, Message, Usage};

/// How many lines of the prompt the answer repeats.
const LINES: usize = 12;

/// How many characters of each.
const CHARS: usize = 160;

/// How many characters are taken for one token. Tokenizers differ; for English four is a usual estimate.
const CHARS_PER_TOKEN: usize = 4;

/// An estimate of how many tokens `text` has: one for every four characters begun.
pub(super) fn tokens(text: &str) -> u64 {
    text.chars().count().div_ceil(CHARS_PER_TOKEN) as u64
}

/// An estimate of what `messages` and the answer `text` take.
pub(super) fn usage(messages: &[Message], text: &str) -> Usage {
    let input = messages.iter().map(|message| tokens(&message.content)).sum();
    let output = tokens(text);
    Usage { input_tokens: input, output_tokens: output, total_tokens: input + output, estimated: true }
}

/// Answers the last message: its first line as the heading, the lines that follow as a list. Lines that are headings
/// stay headings. At most `max_tokens` by [`tokens`].
pub(super) fn answer(messages: &[Message], max_tokens: Option<u64>) -> Answer {
    let prompt = messages.last().map_or("", |message| message.content.as_str());
    let mut text = written(prompt);
    let limit = max_tokens
        .map(|tokens| usize::try_from(tokens).unwrap_or(usize::MAX).saturating_mul(CHARS_PER_TOKEN));
    let cut = limit.and_then(|limit| text.char_indices().nth(limit)).map(|(at, _)| at);
    if let Some(at) = cut {
        text.truncate(at);
    }
    let finish_reason = if cut.is_some() { "length" } else { "stop" };
    Answer {
        usage: usage(messages, &text),
        text,
        model: super::plugin::MOCK.to_owned(),
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

    fn ask(prompt: &str, max_tokens: Option<u64>) -> Answer {
        let message = Message { role: "user".to_owned(), content: prompt.to_owned() };
        answer(&[message], max_tokens)
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
        assert_eq!(
            answer.usage,
            Usage { input_tokens: 4, output_tokens: 3, total_tokens: 7, estimated: true }
        );
    }
}
