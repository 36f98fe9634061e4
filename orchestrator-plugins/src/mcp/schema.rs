//! What a step takes and gives.

use std::sync::LazyLock;

use serde_json::{Value, json};

use super::plugin::TIMEOUT;

pub(super) static CONFIG: LazyLock<Value> = LazyLock::new(|| {
    json!({
        "type": "object",
        "required": ["tool"],
        "additionalProperties": false,
        "env": { "secret": true },
        "properties": {
            "server": {
                "type": "string",
                "minLength": 1,
                "description": "A server that the configuration file names. Exactly one of `server`, `command` and `url` is needed.",
                "examples": ["github"],
            },
            "command": {
                "type": "array",
                "items": { "type": "string" },
                "description": "A server to start: the program and its arguments. It runs outside of the sandbox, so the step must say `sandbox: none`. The step's `env` is its environment.",
                "examples": [["python3", "tools.py"]],
            },
            "url": {
                "type": "string",
                "minLength": 1,
                "description": "A server to reach by streamable HTTP.",
                "examples": ["https://mcp.example.com/mcp"],
            },
            "headers": {
                "type": "object",
                "additionalProperties": { "type": "string" },
                "secret": true,
                "description": "Headers for a server that is reached by HTTP.",
                "examples": [{ "Authorization": "Bearer ${{ secrets.TOKEN }}" }],
            },
            "tool": {
                "type": "string",
                "minLength": 1,
                "description": "The tool's name.",
                "examples": ["create_issue"],
            },
            "arguments": {
                "type": "object",
                "additionalProperties": true,
                "secret": true,
                "description": "The tool's arguments. They are checked against what the tool says that it takes, before it is called.",
                "examples": [{ "title": "Broken" }],
            },
            "timeout": {
                "type": "string",
                "default": TIMEOUT,
                "description": "How long connecting and the call may take together.",
                "examples": ["30s"],
            },
        },
        "examples": [{ "url": "https://mcp.example.com/mcp", "tool": "create_issue", "arguments": { "title": "Broken" } }],
    })
});

pub(super) static OUTPUT: LazyLock<Value> = LazyLock::new(|| {
    json!({
        "type": "object",
        "required": ["text", "structured", "content"],
        "additionalProperties": false,
        "properties": {
            "text": { "type": "string", "description": "The texts of the result, one after the other, with a line end between them." },
            "structured": { "description": "The structured result; null if the tool gives none." },
            "content": {
                "type": "array",
                "items": { "type": "object", "additionalProperties": true },
                "description": "The whole result, block by block, as the protocol has it: texts, images, resources.",
            },
        },
    })
});
