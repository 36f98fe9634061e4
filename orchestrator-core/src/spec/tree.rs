//! The text as a tree in which every key and value knows its place.

use std::borrow::Cow;
use std::fmt;

use serde_json::{Map, Value};

use crate::spec::Span;

/// How a scalar was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    Plain,
    Quoted,
    Block,
}

/// A place in the text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark {
    pub(super) span: Span,
    /// The first byte.
    pub(super) offset: u32,
    pub(super) style: Style,
}

/// What a node holds.
#[derive(Debug, Clone)]
pub(super) enum Content<'t> {
    /// Something that has been told already.
    Broken,
    Null,
    Bool(bool),
    Number(serde_json::Number),
    Text(Cow<'t, str>),
    List(Vec<Node<'t>>),
    Map(Vec<Entry<'t>>),
}

/// A value and its place.
#[derive(Debug, Clone)]
pub(super) struct Node<'t> {
    pub(super) content: Content<'t>,
    pub(super) at: Mark,
}

/// A key with its value. Keys are texts, whatever they look like.
#[derive(Debug, Clone)]
pub(super) struct Entry<'t> {
    pub(super) key: Cow<'t, str>,
    pub(super) key_at: Mark,
    pub(super) value: Node<'t>,
}

impl<'t> Node<'t> {
    pub(super) fn as_text(&self) -> Option<&str> {
        match &self.content {
            Content::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn as_map(&self) -> Option<&[Entry<'t>]> {
        match &self.content {
            Content::Map(entries) => Some(entries),
            _ => None,
        }
    }

    /// Without the places. The depth of trees is bounded where they are made.
    pub(super) fn to_value(&self) -> Value {
        match &self.content {
            Content::Null | Content::Broken => Value::Null,
            Content::Bool(value) => Value::Bool(*value),
            Content::Number(number) => Value::Number(number.clone()),
            Content::Text(text) => Value::from(&**text),
            Content::List(items) => items.iter().map(Node::to_value).collect(),
            Content::Map(entries) => Value::Object(entries_to_value(entries)),
        }
    }

    /// The node to which `keys` lead, as far as they lead; and its place, or that of its key if `of_key`.
    pub(super) fn follow(&self, keys: &[String], of_key: bool) -> (&Self, Mark) {
        let (mut node, mut at) = (self, self.at);
        for (ix, key) in keys.iter().enumerate() {
            let found = match &node.content {
                Content::Map(entries) => {
                    entries.iter().find(|entry| entry.key == **key).map(|entry| (&entry.value, entry.key_at))
                }
                Content::List(items) => {
                    key.parse().ok().and_then(|ix: usize| items.get(ix)).map(|item| (item, item.at))
                }
                _ => None,
            };
            let Some((inner, key_at)) = found else { break };
            let last = ix + 1 == keys.len();
            (node, at) = (inner, if of_key && last { key_at } else { inner.at });
        }
        (node, at)
    }

    /// What the node is, for "expected …, found …".
    pub(super) fn describe(&self) -> String {
        match &self.content {
            Content::Null | Content::Broken => "nothing".into(),
            Content::Bool(value) => format!("the boolean {value}"),
            Content::Number(number) if number.is_f64() => format!("the number {number}"),
            Content::Number(number) => format!("the whole number {number}"),
            Content::Text(text) => format!("the text {}", quoted(text)),
            Content::List(_) => "a list".into(),
            Content::Map(_) => "a mapping".into(),
        }
    }
}

pub(super) fn entries_to_value(entries: &[Entry<'_>]) -> Map<String, Value> {
    entries.iter().map(|entry| (entry.key.to_string(), entry.value.to_value())).collect()
}

/// A text as messages show it: in quotes, escaped, cut after 60 characters.
pub(super) fn quoted(text: &str) -> String {
    const SHOWN: usize = 60;
    let mut chars = text.chars();
    let head: String = chars.by_ref().take(SHOWN).collect();
    let cut = if chars.next().is_some() { "…" } else { "" };
    format!("\"{}{cut}\"", head.escape_debug())
}

/// The path to a place, made of borrowed parts so that it costs nothing until it is printed.
#[derive(Debug, Clone, Copy)]
pub(super) enum Place<'a> {
    Top,
    Key(&'a Place<'a>, &'a str),
    Item(&'a Place<'a>, usize),
}

impl<'a> Place<'a> {
    pub(super) fn key(&'a self, key: &'a str) -> Self {
        Self::Key(self, key)
    }

    pub(super) fn item(&'a self, ix: usize) -> Self {
        Self::Item(self, ix)
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Top => Ok(()),
            Self::Key(Self::Top, key) => write!(f, "{}", shown_key(key)),
            Self::Key(parent, key) => write!(f, "{parent}.{}", shown_key(key)),
            Self::Item(parent, ix) => write!(f, "{parent}[{ix}]"),
        }
    }
}

fn shown_key(key: &str) -> Cow<'_, str> {
    if key.len() <= 64 && !key.is_empty() && key.chars().all(|c| c.is_alphanumeric() || "_-.".contains(c)) {
        Cow::Borrowed(key)
    } else {
        Cow::Owned(quoted(key))
    }
}
