//! The schemas of `llm`.

use std::sync::LazyLock;

use serde_json::{Value, json};

use super::wire::Api;
use super::with::{MOCK, REPAIRS, TIMEOUT};

const ROLES: [&str; 4] = ["system", "user", "assistant", "tool"];

/// The schema of `with`.
pub(super) static CONFIG: LazyLock<Value> = LazyLock::new(|| {
    let mut properties = asked();
    for part in [tools(), server(), answered()] {
        properties.extend(part);
    }
    json!({
        "type": "object",
        "additionalProperties": false,
        "properties": properties,
        "examples": [
            { "prompt": "Write release notes for:\n${{ steps.log.stdout }}" },
            { "model": "gpt-4.1-mini", "base_url": "https://api.openai.com/v1", "api_key_env": "OPENAI_API_KEY", "prompt": "Hello" },
        ],
    })
});

fn map(value: Value) -> serde_json::Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => serde_json::Map::new(),
    }
}

/// What is asked.
fn asked() -> serde_json::Map<String, Value> {
    map(json!({
        "prompt": {
            "type": "string",
            "minLength": 1,
            "description": "What the model is asked. Excludes `messages` and `prompt_file`.",
            "examples": ["Write release notes for:\n${{ steps.log.stdout }}"],
        },
        "prompt_file": {
            "type": "string",
            "minLength": 1,
            "description": "A file that holds the prompt, below the folder of the run; `${{ inputs.NAME }}` in it stands for what `inputs` gives.",
            "examples": ["prompts/notes.md"],
        },
        "inputs": {
            "type": "object",
            "additionalProperties": true,
            "description": "The values that the prompt file names.",
            "examples": [{ "log": "${{ steps.log.stdout }}" }],
        },
        "messages": {
            "type": "array",
            "description": "A conversation that the model is to go on with. Excludes `prompt` and `prompt_file`.",
            "items": {
                "type": "object",
                "required": ["role"],
                "additionalProperties": false,
                "properties": {
                    "role": { "type": "string", "enum": ROLES, "description": "Who speaks." },
                    "content": { "type": "string", "description": "What is said; of a tool, what it has given." },
                    "tool_calls": { "type": "array", "description": "Tools that the assistant has called, as in the output." },
                    "tool_call_id": { "type": "string", "description": "Of which call this is the result." },
                },
            },
            "examples": [[{ "role": "user", "content": "Hello" }]],
        },
        "system": {
            "type": "string",
            "description": "What the model is told first.",
            "examples": ["Answer in one sentence."],
        },
    }))
}

/// What it may call, and which shape its answer is to have.
fn tools() -> serde_json::Map<String, Value> {
    map(json!({
        "tools": {
            "type": "array",
            "description": "Tools that the model may call. The step carries none of them out: its output has the calls.",
            "items": {
                "type": "object",
                "required": ["name"],
                "additionalProperties": false,
                "properties": {
                    "name": { "type": "string", "minLength": 1, "description": "Its name." },
                    "description": { "type": "string", "description": "What it is for." },
                    "parameters": {
                        "type": "object",
                        "additionalProperties": true,
                        "description": "The JSON Schema of its arguments; none without it.",
                    },
                },
            },
            "examples": [[{ "name": "look_up", "parameters": { "type": "object", "properties": { "word": { "type": "string" } } } }]],
        },
        "tool_choice": {
            "type": "string",
            "minLength": 1,
            "description": "Whether it calls one: `auto`, `none`, `required`, or the name of the one to call.",
            "examples": ["required"],
        },
        "schema": {
            "type": "object",
            "additionalProperties": true,
            "description": "The JSON Schema of the answer. One that does not fit is asked for again, with what is wrong; the output has it as `json`.",
            "examples": [{ "type": "object", "required": ["title"], "properties": { "title": { "type": "string" } } }],
        },
        "repairs": {
            "type": "integer",
            "minimum": 0,
            "maximum": 10,
            "default": REPAIRS,
            "description": "How often an answer that does not fit `schema` is asked for again.",
            "examples": [1],
        },
    }))
}

/// What a model costs.
fn price() -> Value {
    json!({
        "type": "object",
        "required": ["input", "output"],
        "additionalProperties": false,
        "properties": {
            "input": { "type": "number", "minimum": 0, "description": "For what is sent." },
            "output": { "type": "number", "minimum": 0, "description": "For what comes back." },
            "cached_input": { "type": "number", "minimum": 0, "description": "For that part of what is sent which the server had kept." },
        },
        "description": "What the model costs, in US dollars for a million tokens; otherwise the table of prices says it.",
        "examples": [{ "input": 0.4, "output": 1.6 }],
    })
}

/// Who is asked.
fn server() -> serde_json::Map<String, Value> {
    let price = price();
    let api = json!({
        "type": "string",
        "enum": Api::NAMES,
        "description": "The format that the server speaks: OpenAI's chat completions (`chat`, as most servers do), OpenAI's `responses`, or Anthropic's `messages`. Given without `base_url`, its maker's server is asked. Without both: `chat`.",
        "examples": ["messages"],
    });
    let api_key = json!({
        "type": "string",
        "minLength": 1,
        "secret": true,
        "description": "The API key. Excludes `api_key_env`.",
    });
    let api_key_env = json!({
        "type": "string",
        "minLength": 1,
        "description": "The variable of this process's environment that holds the API key.",
        "examples": ["OPENAI_API_KEY"],
    });
    let base_url = json!({
        "type": "string",
        "minLength": 1,
        "secret": true,
        "description": "The server, up to and without `/chat/completions` or its like; one that is not on the public internet needs `permissions`.",
        "examples": ["https://api.openai.com/v1", "http://127.0.0.1:11434/v1"],
    });
    let max_tokens = json!({
        "type": "integer",
        "minimum": 1,
        "description": "The longest answer, in tokens.",
        "examples": [500],
    });
    map(json!({
        "model": {
            "type": "string",
            "minLength": 1,
            "default": MOCK,
            "description": "The model. `mock` is built in and reaches nothing; any other needs `base_url` or `api`.",
            "examples": ["mock", "gpt-4.1-mini", "llama3.2"],
        },
        "api": api,
        "base_url": base_url,
        "api_key": api_key,
        "api_key_env": api_key_env,
        "max_tokens": max_tokens,
        "price": price,
        "fallbacks": {
            "type": "array",
            "description": "Models that are asked in turn where the ones before fail. On the same server they have its key; on another, their own.",
            "items": {
                "type": "object",
                "required": ["model"],
                "additionalProperties": false,
                "properties": {
                    "model": { "type": "string", "minLength": 1, "description": "The model." },
                    "api": api, "base_url": base_url, "api_key": api_key, "api_key_env": api_key_env,
                    "max_tokens": max_tokens, "price": price,
                },
            },
            "examples": [[{ "model": "gpt-4.1-nano" }]],
        },
    }))
}

/// How it is to answer.
fn answered() -> serde_json::Map<String, Value> {
    map(json!({
        "temperature": {
            "type": "number",
            "minimum": 0,
            "maximum": 2,
            "description": "How freely the model chooses its words; the server's default if it is not given.",
            "examples": [0.2],
        },
        "options": {
            "type": "object",
            "additionalProperties": true,
            "description": "What else the server is told, as its format has it.",
            "examples": [{ "reasoning_effort": "low" }],
        },
        "stream": {
            "type": "boolean",
            "default": true,
            "description": "Whether the answer comes piece by piece, so that whoever watches sees how long it is. Off for servers that cannot.",
            "examples": [false],
        },
        "timeout": {
            "type": "string",
            "minLength": 1,
            "default": TIMEOUT,
            "description": "How long each answer may take.",
            "examples": ["30s"],
        },
        "max_usd": {
            "type": "number",
            "minimum": 0,
            "description": "The most that an attempt may cost, in US dollars. One that may cost more asks nobody; it needs a price and `max_tokens`.",
            "examples": [0.05],
        },
        "replies": {
            "type": "array",
            "description": "What the mock replies, one after the other, then the last again: a text, or a mapping of `text`, `json`, `tool_calls`, `usage`, `finish_reason`, `model`, `delay` and `error`.",
            "examples": [["Hello", { "error": { "class": "rate_limited", "retry_after": "2s" } }]],
        },
    }))
}

/// The schema of the output.
pub(super) static OUTPUT: LazyLock<Value> = LazyLock::new(|| {
    json!({
        "type": "object",
        "properties": {
            "text": { "type": "string", "description": "The answer." },
            "json": { "description": "The answer as JSON, where `schema` is given; else null." },
            "tool_calls": {
                "type": "array",
                "description": "The tools that the model calls: `id`, `name` and `arguments` of each.",
                "items": {
                    "type": "object",
                    "properties": {
                        "id": { "type": "string", "description": "Which call it is, for the message with its result." },
                        "name": { "type": "string", "description": "The tool." },
                        "arguments": { "description": "What it is called with." },
                    },
                },
            },
            "model": { "type": "string", "description": "The model that answered, as the server names it." },
            "usage": {
                "type": "object",
                "description": "How many tokens that took, all questions of the attempt together.",
                "properties": {
                    "input_tokens": { "type": "integer", "description": "Of what was sent." },
                    "cached_input_tokens": { "type": "integer", "description": "Those of them that the server had kept." },
                    "output_tokens": { "type": "integer", "description": "Of what came back." },
                    "total_tokens": { "type": "integer", "description": "Both together." },
                    "estimated": { "type": "boolean", "description": "Whether the server did not count: one token for every four characters begun." },
                },
            },
            "cost_usd": { "description": "What that cost, in US dollars; null if a price is not known." },
            "finish_reason": { "description": "Why the answer ends: `stop`, `length` if it was cut, `tool_calls`, or what the server says; null if it does not." },
            "prompt": {
                "type": "object",
                "description": "Which prompt it was.",
                "properties": {
                    "file": { "description": "Its file; null if it stands in the workflow." },
                    "digest": { "type": "string", "description": "The digest of the file, else of what was asked." },
                },
            },
            "questions": { "type": "integer", "description": "How many questions it took: more than one where an answer did not fit." },
        },
    })
});
