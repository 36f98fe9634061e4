//! What a model is asked.

use orchestrator_core::value::Digest;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// A question, whoever it is put to.
#[derive(Debug, Clone, Default)]
pub(super) struct Question {
    /// What the model is told first.
    pub(super) system: Option<String>,
    pub(super) messages: Vec<Message>,
    pub(super) tools: Vec<Tool>,
    /// `auto`, `none`, `required`, or the name of a tool.
    pub(super) tool_choice: Option<String>,
    /// The JSON Schema of the answer.
    pub(super) schema: Option<Value>,
    pub(super) temperature: Option<f64>,
    /// What else the server is told.
    pub(super) options: Map<String, Value>,
    /// The file of the prompt, and its digest.
    pub(super) file: Option<(String, Digest)>,
}

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Role {
    System,
    User,
    Assistant,
    /// What a tool has given.
    Tool,
}

/// One message of a conversation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Message {
    pub(super) role: Role,
    #[serde(default)]
    pub(super) content: String,
    /// Tools that the assistant has called.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) tool_calls: Vec<ToolCall>,
    /// Of which call this is the result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) tool_call_id: Option<String>,
}

/// The call of a tool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ToolCall {
    pub(super) id: String,
    pub(super) name: String,
    #[serde(default)]
    pub(super) arguments: Value,
}

/// A tool that the model may call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tool {
    pub(super) name: String,
    #[serde(default)]
    pub(super) description: String,
    /// The JSON Schema of its arguments.
    #[serde(default = "no_arguments")]
    pub(super) parameters: Value,
}

fn no_arguments() -> Value {
    json!({ "type": "object", "properties": {} })
}

impl Message {
    pub(super) const fn said(role: Role, content: String) -> Self {
        Self { role, content, tool_calls: Vec::new(), tool_call_id: None }
    }
}

impl Question {
    /// Names the prompt: the digest of its file, else of what is sent.
    pub(super) fn prompt(&self) -> Value {
        match &self.file {
            Some((file, digest)) => json!({ "file": file, "digest": digest.to_string() }),
            None => {
                let sent = json!([&self.system, &self.messages]).to_string();
                json!({ "file": null, "digest": Digest::of(sent.as_bytes()).to_string() })
            }
        }
    }

    /// What the model is told first, and in which shape it is to answer.
    pub(super) fn instructions(&self) -> Option<String> {
        let shape = self.schema.as_ref().map(|schema| {
            format!(
                "Answer with one JSON value and nothing else: no words around it, no code fence. It has to be valid against \
                 this JSON Schema:\n{schema}"
            )
        });
        match (&self.system, shape) {
            (Some(system), Some(shape)) => Some(format!("{system}\n\n{shape}")),
            (system, shape) => system.clone().or(shape),
        }
    }

    /// How many bytes all of it has, however it is written.
    pub(super) fn bytes(&self) -> u64 {
        let written = json!([self.instructions(), self.messages, self.tools, self.schema, self.options]);
        written.to_string().len() as u64
    }
}
