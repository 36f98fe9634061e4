//! YAML to a tree, within the limits of [`crate::spec::parse`]. No recursion: what is nested too deep is refused here.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Write as _;

use serde_yaml::granit_parser::{self, ErrorKind, Event, Parser, ScalarStyle, ScanError, Tag};

use crate::spec::expr::OPEN;
use crate::spec::parse::{Limits, MAX_ALIASED_NODES, MAX_DEPTH, MAX_SCALAR};
use crate::spec::problems::Problems;
use crate::spec::scalar::{self, Plain};
use crate::spec::tree::{Content, Entry, Mark, Node, Style, quoted};
use crate::spec::{Diagnostic, Span};

/// The document of a text; `None` if the text cannot be read to its end. `Content::Null` if there is none.
pub(super) fn tree<'t>(text: &'t str, limits: Limits, problems: &mut Problems) -> Option<Node<'t>> {
    if let Some(at) = text.find('\0') {
        // The parser would take it for the end of the text.
        problems.error(
            Span::behind(&text[..at]),
            "",
            "yaml.syntax",
            "a NUL character does not belong into text",
        );
        return None;
    }
    let mut options = granit_parser::Options::default();
    options.set_emit_comments(false);
    options.flow_nesting_limit = MAX_DEPTH + 1;
    options.block_nesting_limit = MAX_DEPTH + 1;
    // A builder writes keys in JSON, where they may be longer than YAML's 1,024.
    options.simple_key_max_lookahead = 4 << 10;
    let mut build = Build {
        text,
        limits,
        problems,
        frames: Vec::new(),
        anchors: HashMap::new(),
        nodes: 0,
        aliased: 0,
        root: None,
    };
    let mut documents = 0;
    for event in Parser::new_from_str_with_options(text, options) {
        let step = match event {
            Ok((Event::DocumentStart(..), span)) => {
                documents += 1;
                if documents > 1 {
                    let error = build.error(
                        mark(&span, Style::Plain),
                        "yaml.multiple_documents",
                        "a second document begins here",
                    );
                    error.hint("a file holds one workflow; remove the `---`");
                    return None;
                }
                Ok(())
            }
            Ok((event, span)) => build.event(event, &span),
            Err(error) => {
                build.syntax_error(&error);
                return None;
            }
        };
        step.ok()?;
    }
    let nothing = Mark { span: Span { line: 1, column: 1, len: 1 }, offset: 0, style: Style::Plain };
    Some(build.root.unwrap_or(Node { content: Content::Null, at: nothing }))
}

/// What came of a tag.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tagged {
    Not,
    Allowed,
    Refused,
}

/// Reading cannot go on; the reason has been told.
struct Stop;

enum Frame<'t> {
    List { items: Vec<Node<'t>>, at: Mark, anchor: usize },
    Map { entries: Vec<Entry<'t>>, key: Option<(Cow<'t, str>, Mark)>, at: Mark, anchor: usize },
}

struct Build<'t, 'p> {
    text: &'t str,
    limits: Limits,
    problems: &'p mut Problems,
    frames: Vec<Frame<'t>>,
    /// Anchored nodes, with how many nodes and levels they have.
    anchors: HashMap<usize, (Node<'t>, usize, usize)>,
    nodes: usize,
    aliased: usize,
    root: Option<Node<'t>>,
}

fn mark(span: &granit_parser::Span, style: Style) -> Mark {
    let len = if span.start.line() == span.end.line() {
        span.end.col().saturating_sub(span.start.col())
    } else {
        1
    };
    // The length of the text, and so every one of these, is bounded by `MAX_BYTES`.
    Mark {
        span: Span {
            line: span.start.line().max(1) as u32,
            column: span.start.col() as u32 + 1,
            len: len.max(1) as u32,
        },
        offset: span.start.byte_offset().unwrap_or(0) as u32,
        style,
    }
}

impl<'t> Build<'t, '_> {
    fn error(&mut self, at: Mark, code: &'static str, message: impl Into<String>) -> &mut Diagnostic {
        let path = self.path();
        self.problems.error(at.span, path, code, message)
    }

    /// The keys that lead to where reading is.
    fn path(&self) -> String {
        let mut path = String::new();
        for frame in &self.frames {
            // Writing to a String does not fail.
            let _ = match frame {
                Frame::List { items, .. } => write!(path, "[{}]", items.len()),
                Frame::Map { key: Some((key, _)), .. } if path.is_empty() => write!(path, "{key}"),
                Frame::Map { key: Some((key, _)), .. } => write!(path, ".{key}"),
                Frame::Map { key: None, .. } => Ok(()),
            };
        }
        path.chars().take(200).collect()
    }

    fn event(&mut self, event: Event<'t>, span: &granit_parser::Span) -> Result<(), Stop> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let at = mark(span, style_of(style));
                self.count(at)?;
                let tag = self.check_tag(tag.as_deref(), span, "str");
                if self.expects_key() {
                    return self.key(text, at, anchor);
                }
                let content = self.scalar(text, at, tag);
                self.finish(Node { content, at }, anchor)
            }
            Event::SequenceStart(_, anchor, tag) => {
                let at = mark(span, Style::Plain);
                self.check_tag(tag.as_deref(), span, "seq");
                self.open(Frame::List { items: Vec::new(), at, anchor }, at)
            }
            Event::MappingStart(_, anchor, tag) => {
                let at = mark(span, Style::Plain);
                self.check_tag(tag.as_deref(), span, "map");
                self.open(Frame::Map { entries: Vec::new(), key: None, at, anchor }, at)
            }
            Event::SequenceEnd | Event::MappingEnd => match self.frames.pop() {
                Some(Frame::List { mut items, at, anchor }) => {
                    // Most have fewer than the four for which a vector makes room.
                    items.shrink_to_fit();
                    self.finish(Node { content: Content::List(items), at }, anchor)
                }
                Some(Frame::Map { entries, at, anchor, .. }) => {
                    let mut entries = self.unique(entries);
                    entries.shrink_to_fit();
                    self.finish(Node { content: Content::Map(entries), at }, anchor)
                }
                None => Ok(()),
            },
            Event::Alias(anchor) => self.alias(anchor, mark(span, Style::Plain)),
            _ => Ok(()),
        }
    }

    fn expects_key(&self) -> bool {
        matches!(self.frames.last(), Some(Frame::Map { key: None, .. }))
    }

    fn count(&mut self, at: Mark) -> Result<(), Stop> {
        self.nodes += 1;
        if self.nodes <= self.limits.nodes {
            return Ok(());
        }
        self.error(at, "too_large", format!("the text has more than {} keys and values", self.limits.nodes));
        Err(Stop)
    }

    fn open(&mut self, frame: Frame<'t>, at: Mark) -> Result<(), Stop> {
        self.count(at)?;
        if self.expects_key() {
            let error = self.error(at, "yaml.complex_key", "a key must be a text");
            error.hint("quote it if it holds brackets or braces: an expression as a key is not possible");
            return Err(Stop);
        }
        if self.frames.len() >= MAX_DEPTH {
            return self.too_deep(at);
        }
        self.frames.push(frame);
        Ok(())
    }

    fn too_deep(&mut self, at: Mark) -> Result<(), Stop> {
        self.problems.error(at.span, "", "yaml.depth", format!("nested deeper than {MAX_DEPTH} levels"));
        Err(Stop)
    }

    fn key(&mut self, text: Cow<'t, str>, at: Mark, anchor: usize) -> Result<(), Stop> {
        if anchor > 0 {
            self.keep_anchor(&Node { content: Content::Text(text.clone()), at }, anchor)?;
        }
        if let Some(Frame::Map { key, .. }) = self.frames.last_mut() {
            *key = Some((text, at));
        }
        Ok(())
    }

    fn scalar(&mut self, text: Cow<'t, str>, at: Mark, tag: Tagged) -> Content<'t> {
        if text.len() > MAX_SCALAR {
            self.error(at, "too_large", format!("a single value is longer than {MAX_SCALAR} bytes"));
            return Content::Broken;
        }
        if text.contains('\0') {
            let message = "the text holds a NUL character, which no store can keep";
            self.error(at, "invalid_value", message);
            return Content::Broken;
        }
        match tag {
            Tagged::Refused => return Content::Broken,
            Tagged::Allowed => return Content::Text(text),
            Tagged::Not if at.style != Style::Plain => return Content::Text(text),
            Tagged::Not => {}
        }
        match scalar::read(&text) {
            Plain::Null => Content::Null,
            Plain::Bool(value) => Content::Bool(value),
            Plain::Number(number) => Content::Number(number),
            Plain::Text => Content::Text(text),
            Plain::Refused(why) => {
                let error = self.error(
                    at,
                    "number_range",
                    format!("{} is ambiguous or out of range: {why}", quoted(&text)),
                );
                error.hint("quote it if it is meant as text");
                Content::Broken
            }
        }
    }

    /// Hands a finished value to what it is part of.
    fn finish(&mut self, node: Node<'t>, anchor: usize) -> Result<(), Stop> {
        if anchor > 0 {
            self.keep_anchor(&node, anchor)?;
        }
        match self.frames.last_mut() {
            None => self.root = Some(node),
            Some(Frame::List { items, .. }) => items.push(node),
            Some(Frame::Map { entries, key, .. }) => {
                if let Some((key, key_at)) = key.take() {
                    entries.push(Entry { key, key_at, value: node });
                }
            }
        }
        Ok(())
    }

    fn keep_anchor(&mut self, node: &Node<'t>, anchor: usize) -> Result<(), Stop> {
        let (nodes, levels) = extent(node);
        self.spend_aliased(nodes, node.at)?;
        self.anchors.insert(anchor, (node.clone(), nodes, levels));
        Ok(())
    }

    fn spend_aliased(&mut self, nodes: usize, at: Mark) -> Result<(), Stop> {
        self.aliased += nodes;
        if self.aliased <= MAX_ALIASED_NODES {
            return Ok(());
        }
        let message = format!("anchors and aliases repeat more than {MAX_ALIASED_NODES} values");
        self.error(at, "yaml.budget", message);
        Err(Stop)
    }

    fn alias(&mut self, anchor: usize, at: Mark) -> Result<(), Stop> {
        let Some((_, nodes, levels)) = self.anchors.get(&anchor) else {
            self.error(at, "yaml.budget", "an alias inside the value that it repeats never ends");
            return Err(Stop);
        };
        let (nodes, levels) = (*nodes, *levels);
        self.spend_aliased(nodes, at)?;
        if self.frames.len() + levels > MAX_DEPTH {
            return self.too_deep(at);
        }
        let Some((node, ..)) = self.anchors.get(&anchor) else { return Ok(()) };
        let node = node.clone();
        if self.expects_key() {
            return match node.content {
                Content::Text(text) => self.key(text, at, 0),
                _ => {
                    self.error(at, "yaml.complex_key", "a key must be a text");
                    Err(Stop)
                }
            };
        }
        self.finish(node, 0)
    }

    /// The entries without those that repeat a key, which are told.
    fn unique(&mut self, entries: Vec<Entry<'t>>) -> Vec<Entry<'t>> {
        let mut repeated: Vec<(usize, usize)> = Vec::new();
        if entries.len() <= 16 {
            for (ix, entry) in entries.iter().enumerate() {
                repeated.extend(
                    entries[..ix].iter().position(|first| first.key == entry.key).map(|first| (first, ix)),
                );
            }
        } else {
            let mut first = HashMap::with_capacity(entries.len());
            for (ix, entry) in entries.iter().enumerate() {
                let kept = *first.entry(&*entry.key).or_insert(ix);
                repeated.extend((kept != ix).then_some((kept, ix)));
            }
        }
        for (first, again) in &repeated {
            let (first, again) = (&entries[*first], &entries[*again]);
            let line = self.problems.in_line(first.key_at.span.line);
            let message = format!("the key {} is there already{line}", quoted(&again.key));
            let step = self.frames.len() == 1 && self.path() == "steps";
            let code = if step { "duplicate_id" } else { "yaml.duplicate_key" };
            let parent = self.path();
            let path =
                if parent.is_empty() { again.key.to_string() } else { format!("{parent}.{}", again.key) };
            self.problems.error(again.key_at.span, path, code, message);
        }
        let mut merges = false;
        for entry in &entries {
            if entry.key == "<<" && entry.key_at.style == Style::Plain {
                merges = true;
                let error =
                    self.error(entry.key_at, "yaml.merge_unsupported", "merge keys are not supported");
                error.hint("repeat the values, or use an alias for a whole value");
            }
        }
        if repeated.is_empty() && !merges {
            return entries;
        }
        let mut drop = repeated.into_iter().map(|(_, again)| again).peekable();
        entries
            .into_iter()
            .enumerate()
            .filter(|(ix, entry)| drop.next_if_eq(ix).is_none() && entry.key != "<<")
            .map(|(_, entry)| entry)
            .collect()
    }

    /// Tells a tag that is none of YAML's own for this kind of node.
    fn check_tag(&mut self, tag: Option<&Tag>, span: &granit_parser::Span, allowed: &str) -> Tagged {
        let Some(tag) = tag else { return Tagged::Not };
        if tag.is_yaml_core_schema_tag(allowed) {
            return Tagged::Allowed;
        }
        let at = mark(&span.tag_span().unwrap_or(*span), Style::Plain);
        let message = format!("the tag {} is not allowed", quoted(&tag.original()));
        self.error(at, "yaml.tag_forbidden", message)
            .hint("values are written without tags; quote what is meant as text");
        Tagged::Refused
    }

    fn syntax_error(&mut self, error: &ScanError) {
        let at = error.marker();
        let at = mark(&granit_parser::Span::empty(*at), Style::Plain);
        let (code, hint) = match error.kind() {
            ErrorKind::RecursionLimitExceeded => {
                let _ = self.too_deep(at);
                return;
            }
            ErrorKind::UnknownAnchor => {
                ("yaml.unknown_anchor", Some("a value that begins with `*` is quoted"))
            }
            ErrorKind::TabNotAllowed | ErrorKind::TabInBlockIndentation | ErrorKind::TabInIndentation => {
                ("yaml.syntax", Some("indent with spaces"))
            }
            ErrorKind::MappingValueNotAllowed | ErrorKind::InvalidColonPlacement => {
                ("yaml.syntax", Some("a text that holds `: ` is quoted, or written as a block after `|`"))
            }
            ErrorKind::InvalidQuotedScalarIndent | ErrorKind::UnclosedQuotedScalar => {
                ("yaml.syntax", Some("is a quote opened before this and never closed?"))
            }
            _ => ("yaml.syntax", None),
        };
        let line = Span::lines(self.text).nth(at.span.line as usize - 1).unwrap_or_default();
        let unquoted = line.contains(OPEN) && line.contains(['{', '[']);
        let hint = hint.or(unquoted.then_some("quote an expression inside `{ }` and `[ ]`"));
        let mut message = error.kind().to_string();
        if message.starts_with(|c: char| c.is_ascii_uppercase()) {
            message[..1].make_ascii_lowercase();
        }
        let error = self.error(at, code, message.trim_end_matches('.'));
        error.hint = hint.map(str::to_owned);
    }
}

fn style_of(style: ScalarStyle) -> Style {
    match style {
        ScalarStyle::Plain => Style::Plain,
        ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => Style::Quoted,
        ScalarStyle::Literal | ScalarStyle::Folded => Style::Block,
    }
}

/// How many nodes and levels a tree has.
fn extent(node: &Node<'_>) -> (usize, usize) {
    let mut open = vec![(node, 1)];
    let (mut nodes, mut levels) = (0, 0);
    while let Some((node, level)) = open.pop() {
        nodes += 1;
        levels = levels.max(level);
        match &node.content {
            Content::List(items) => open.extend(items.iter().map(|item| (item, level + 1))),
            Content::Map(entries) => open.extend(entries.iter().map(|entry| (&entry.value, level + 1))),
            _ => {}
        }
    }
    (nodes, levels)
}
