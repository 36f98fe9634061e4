//! What an author may write, and what comes of it, for validation, editors and pages.
//!
//! `"secret": true` marks what may hold a credential, with all that is in it.

use std::sync::LazyLock;

use serde_json::{Value, json};

use super::plugin::{MAX_BYTES, MAX_BYTES_MAX, TIMEOUT};
use super::request::METHODS;

pub(super) static CONFIG: LazyLock<Value> = LazyLock::new(|| {
    json!({
        "type": "object",
        "required": ["url"],
        "additionalProperties": false,
        "properties": {
            "method": {
                "type": "string",
                "enum": METHODS,
                "default": "GET",
                "description": "The method.",
            },
            "url": {
                "type": "string",
                "minLength": 1,
                "secret": true,
                "description": "The address, http or https, without user and password.",
                "examples": ["https://api.example.com/items"],
            },
            "headers": {
                "type": "object",
                "additionalProperties": true,
                "secret": true,
                "description": "Headers of the request: texts, numbers or booleans.",
                "examples": [{ "Accept": "application/json" }],
            },
            "query": {
                "type": "object",
                "additionalProperties": true,
                "secret": true,
                "description": "Parameters added to the address; a list gives one for each of its items.",
                "examples": [{ "page": 2, "label": ["bug", "urgent"] }],
            },
            "auth": {
                "type": "object",
                "additionalProperties": false,
                "secret": true,
                "properties": {
                    "basic": {
                        "type": "object",
                        "required": ["username", "password"],
                        "additionalProperties": false,
                        "properties": {
                            "username": { "type": "string", "description": "The user; no colon is in it." },
                            "password": { "type": "string", "description": "The password." },
                        },
                        "description": "A user and a password.",
                    },
                    "bearer": { "type": "string", "minLength": 1, "description": "A token." },
                },
                "description": "What the header `Authorization` is made of: `basic` or `bearer`.",
                "examples": [{ "basic": { "username": "me", "password": "${{ inputs.password }}" } }],
            },
            "json": {
                "secret": true,
                "description": "The body, sent as JSON. Of `json`, `form`, `multipart`, `body` and `body_file` one is given.",
                "examples": [{ "title": "Hello" }],
            },
            "form": {
                "type": "object",
                "additionalProperties": true,
                "secret": true,
                "description": "The body, sent as a form; a list gives one field for each of its items.",
                "examples": [{ "title": "Hello", "label": ["bug", "urgent"] }],
            },
            "multipart": {
                "type": "object",
                "additionalProperties": true,
                "secret": true,
                "description": "The body, in parts: each a text, or `file` (below the folder of the run) or `text` with `filename` and `type`, or a list of those.",
                "examples": [{ "title": "Hello", "report": { "file": "out/report.pdf", "type": "application/pdf" } }],
            },
            "body": {
                "secret": true,
                "description": "The body as text.",
                "examples": ["a=1&b=2"],
            },
            "body_file": {
                "type": "string",
                "minLength": 1,
                "description": "The body as a file below the folder of the run, read at each attempt; at most 64 MiB.",
                "examples": ["out/report.pdf"],
            },
            "timeout": {
                "type": "string",
                "minLength": 1,
                "default": TIMEOUT,
                "description": "How long the whole call may take, the body included.",
                "examples": ["5s"],
            },
            "expect": {
                "default": "2xx",
                "description": "The statuses that are no failure: a number, a class, a range, or a list of them.",
                "examples": [201, "2xx", [200, 404]],
            },
            "check": {
                "type": "string",
                "minLength": 1,
                "description": "What must hold of the answer, else the step has failed: an expression without `${{ }}` over `self`, which has `headers`, `body` and `json`.",
                "examples": ["self.json.state == 'done'"],
            },
            "max_bytes": {
                "type": "integer",
                "minimum": 0,
                "maximum": MAX_BYTES_MAX,
                "default": MAX_BYTES,
                "description": "The largest body that is read; a larger one fails the step.",
                "examples": [65536],
            },
        },
        "examples": [
            { "url": "https://api.example.com/items", "query": { "page": 2 } },
            { "method": "POST", "url": "https://api.example.com/items", "json": { "title": "Hello" }, "expect": 201 },
        ],
    })
});

pub(super) static OUTPUT: LazyLock<Value> = LazyLock::new(|| {
    json!({
        "type": "object",
        "required": ["status", "headers", "body", "json"],
        "additionalProperties": false,
        "properties": {
            "status": { "type": "integer", "description": "The status.", "examples": [200] },
            "headers": {
                "type": "object",
                "additionalProperties": true,
                "description": "The headers by their names in lower case; repeated ones are joined with a comma.",
            },
            "body": { "type": "string", "description": "The body as text." },
            "json": { "description": "The body as JSON; null if it is none." },
        },
        "examples": [{ "status": 200, "headers": { "content-type": "application/json" }, "body": "{\"id\":1}", "json": { "id": 1 } }],
    })
});
