//! What a forge says is wrong, and what that means.

use std::time::Duration;

use orchestrator_core::machine::StepError;
use orchestrator_core::mask::Mask;
use orchestrator_core::spec::retry::ErrorClass;
use orchestrator_core::time::{Timestamp, wall_clock};
use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use serde_json::Value;

use super::halt::Halt;
use super::line::Answer;
use super::port::Dialect;
use crate::outbound;

/// How much of a complaint a message quotes, in characters.
const QUOTED: usize = 500;

/// How long to wait where a limit is reached and nobody says for how long.
const UNSAID: Duration = Duration::from_secs(60);

/// The longest wait that a limit can ask for: one day.
const WAIT_MAX: Duration = Duration::from_secs(86_400);

/// A refusal as a failure.
pub(super) fn halt(dialect: &Dialect, answer: &Answer, mask: &Mask) -> Halt {
    let (status, said) = (answer.status, words(answer, mask));
    let colon = if said.is_empty() { "" } else { ": " };
    let told = |class: ErrorClass, hint: &str| {
        StepError::new(class, format!("{}: {status}{colon}{said}{hint}", answer.what))
    };
    if let Some(wait) = limited(status, &answer.headers, &said) {
        let error = told(ErrorClass::RateLimited, "");
        return Halt::Failed { error, retry_after: Some(wait) };
    }
    let name = dialect.name;
    let hint = match status {
        StatusCode::UNAUTHORIZED => format!("; {name} does not take these credentials"),
        StatusCode::FORBIDDEN => "; the credentials may not do this".to_owned(),
        StatusCode::NOT_FOUND => "; there is nothing there, or the credentials may not see it".to_owned(),
        _ => String::new(),
    };
    Halt::Failed {
        error: told(outbound::class(status), &hint),
        retry_after: outbound::retry_after(&answer.headers),
    }
}

/// How long to wait, if a limit is reached: GitHub says so by 403 or 429, with headers or with words alone.
fn limited(status: StatusCode, headers: &HeaderMap, said: &str) -> Option<Duration> {
    if !matches!(status.as_u16(), 403 | 429) {
        return None;
    }
    if let Some(wait) = outbound::retry_after(headers) {
        return Some(wait);
    }
    let number = |names: [&str; 2]| {
        let value = names.iter().find_map(|name| headers.get(*name))?;
        value.to_str().ok()?.trim().parse::<i64>().ok()
    };
    if number(["x-ratelimit-remaining", "ratelimit-remaining"]) == Some(0)
        && let Some(reset) = number(["x-ratelimit-reset", "ratelimit-reset"])
    {
        let reset = Timestamp::from_millis(reset.saturating_mul(1_000));
        // Clocks differ.
        return Some(reset.since(wall_clock()).clamp(Duration::from_secs(1), WAIT_MAX));
    }
    let is_said = status == StatusCode::TOO_MANY_REQUESTS || said.to_ascii_lowercase().contains("rate limit");
    is_said.then_some(UNSAID)
}

/// The words of a refusal, with all that is wrong with which field; the beginning of the body if it is nothing known.
pub(super) fn words(answer: &Answer, mask: &Mask) -> String {
    let body = String::from_utf8_lossy(&answer.body);
    let said = match serde_json::from_slice::<Value>(&answer.body) {
        Ok(Value::Object(said)) => {
            let main = ["message", "error_description", "error"].iter().find_map(|key| said.get(*key));
            let main = main.map(spelled).unwrap_or_default();
            let errors = said.get("errors").map(spelled).unwrap_or_default();
            [main, errors].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(": ")
        }
        _ => body.into_owned(),
    };
    outbound::shortened(&mask.text(&said), QUOTED)
}

/// GitHub gives a text and a list of `{resource, field, code, message}`; GitLab a text, a list, or lists by field.
fn spelled(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(spelled).collect::<Vec<_>>().join("; "),
        Value::Object(fields) => {
            let text = |key: &str| fields.get(key).and_then(Value::as_str);
            let what = [text("resource"), text("field")].into_iter().flatten().collect::<Vec<_>>().join(".");
            match (text("message"), text("code")) {
                (Some(message), _) => message.to_owned(),
                (None, Some(code)) => format!("{what} {code}").trim().to_owned(),
                (None, None) => {
                    let each = fields.iter().map(|(field, why)| format!("{field}: {}", spelled(why)));
                    each.collect::<Vec<_>>().join("; ")
                }
            }
        }
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use reqwest::header::RETRY_AFTER;
    use serde_json::json;

    use super::*;

    fn answer(status: u16, headers: &[(&'static str, &str)], body: &str) -> Answer {
        let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        Answer {
            status: StatusCode::from_u16(status).unwrap(),
            headers: headers.collect(),
            body: body.as_bytes().to_vec(),
            what: "GET x".to_owned(),
        }
    }

    #[test]
    fn complaints_are_spelled_out() {
        for (body, expected) in [
            (json!({ "message": "Not Found", "documentation_url": "x" }), "Not Found"),
            (
                json!({ "message": "Validation Failed", "errors": [
                    { "resource": "PullRequest", "field": "base", "code": "invalid" },
                    { "resource": "PullRequest", "code": "custom", "message": "No commits between main and a" },
                ]}),
                "Validation Failed: PullRequest.base invalid; No commits between main and a",
            ),
            (json!({ "message": "Validation Failed", "errors": ["a", "b"] }), "Validation Failed: a; b"),
            (json!({ "message": ["a", "b"] }), "a; b"),
            (
                json!({ "message": { "title": ["is too long"], "base": ["c"] } }),
                "base: c; title: is too long",
            ),
            (
                json!({ "error": "invalid_token", "error_description": "Token was revoked" }),
                "Token was revoked",
            ),
            (json!([1]), "[1]"),
            (json!({}), ""),
        ] {
            assert_eq!(words(&answer(422, &[], &body.to_string()), &Mask::default()), expected);
        }
        let masked = words(&answer(500, &[], "<html>hunter22</html>"), &Mask::of(["hunter22"]));
        assert_eq!(masked, "<html>***</html>");
    }

    #[test]
    fn limits_say_how_long_to_wait() {
        let wait = |status, headers: &[(&'static str, &str)], body: &str| {
            let answer = answer(status, headers, body);
            limited(answer.status, &answer.headers, body)
        };
        assert_eq!(wait(403, &[(RETRY_AFTER.as_str(), "7")], ""), Some(Duration::from_secs(7)));
        assert_eq!(wait(429, &[], ""), Some(UNSAID));
        assert_eq!(wait(403, &[], "You have exceeded a secondary rate limit."), Some(UNSAID));
        assert_eq!(wait(403, &[("x-ratelimit-remaining", "12")], "Forbidden"), None);
        assert_eq!(wait(404, &[(RETRY_AFTER.as_str(), "7")], ""), None);
        for name in ["x-ratelimit", "ratelimit"] {
            let headers = |reset: &str| {
                let names = [format!("{name}-remaining"), format!("{name}-reset")].map(|name| &*name.leak());
                wait(403, &[(names[0], "0"), (names[1], reset)], "")
            };
            assert_eq!(headers("99999999999"), Some(WAIT_MAX));
            assert_eq!(headers("1"), Some(Duration::from_secs(1)), "what has passed is soon");
        }
    }
}
