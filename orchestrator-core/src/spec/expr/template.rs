//! Values that hold expressions.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use serde_json::Value;

use crate::spec::expr::compile::{Compiler, Expr, Fault, Located};
use crate::spec::expr::scan::{OPEN, Piece, Unclosed, has_expression, pieces};
use crate::spec::expr::scope::{ExprError, Reference, Scope};
use crate::spec::expr::secret::{SecretPlace, Use};
use crate::value::VALUE_LIMIT;

/// A JSON value whose texts may hold expressions. Keys of mappings hold none.
#[derive(Debug)]
pub struct Template(Repr);

#[derive(Debug)]
enum Repr {
    Constant(Value),
    Dynamic(Box<Dynamic>),
}

#[derive(Debug)]
struct Dynamic {
    root: Part,
    references: Box<[Reference]>,
}

#[derive(Debug)]
enum Part {
    Constant(Value),
    /// A text that is exactly one expression; keeps the type of its value.
    Whole(Placed),
    Text(Box<[TextPart]>),
    List(Box<[Part]>),
    Map(Box<[(Box<str>, Part)]>),
}

#[derive(Debug)]
enum TextPart {
    Literal(Box<str>),
    Expression(Placed),
}

/// An expression and its line in the text of the workflow, where there is one.
#[derive(Debug)]
struct Placed {
    expr: Expr,
    line: Option<NonZeroU32>,
}

impl Placed {
    fn evaluate(&self, scope: &Scope) -> Result<Value, ExprError> {
        self.expr.evaluate(scope).map_err(|error| error.on(self.line))
    }

    /// Takes the bytes of what it has become from those that are left.
    fn take(&self, left: &mut usize, bytes: usize) -> Result<(), ExprError> {
        take(left, bytes, &self.expr).map_err(|error| error.on(self.line))
    }
}

impl Template {
    /// A value without expressions. Texts are taken as they are, even if they hold `${{`.
    #[must_use]
    pub fn constant(value: Value) -> Self {
        Self(Repr::Constant(value))
    }

    /// Whether the value is a text that is exactly one expression: it becomes whatever that gives.
    #[must_use]
    pub fn is_expression(&self) -> bool {
        matches!(&self.0, Repr::Dynamic(dynamic) if matches!(dynamic.root, Part::Whole(_)))
    }

    /// What the value is, if it is exactly one input, variable or field of a step.
    pub(in crate::spec) fn as_reference(&self) -> Option<Reference> {
        match &self.0 {
            Repr::Dynamic(dynamic) => match &dynamic.root {
                Part::Whole(placed) => placed.expr.as_reference(),
                _ => None,
            },
            Repr::Constant(_) => None,
        }
    }

    /// Compiles the expressions in the texts of a value.
    ///
    /// # Errors
    /// The first expression that does not compile.
    pub fn compile(value: Value) -> Result<Self, ExprError> {
        let mut faults = Vec::new();
        let template =
            Self::build(value, &mut Compiler::default(), &mut |_, located| faults.push(located.fault));
        match faults.into_iter().next() {
            None => Ok(template),
            Some(Fault { code, message, .. }) => Err(ExprError::new(code, message)),
        }
    }

    /// Compiles a value and tells every fault with the keys that lead to its text.
    pub(in crate::spec) fn build(
        value: Value,
        compiler: &mut Compiler,
        tell: &mut dyn FnMut(&[String], Located),
    ) -> Self {
        if !any_text(&value, &has_expression) {
            return Self::constant(value);
        }
        let mut build = Build { compiler, tell, place: Vec::new(), references: Vec::new() };
        let root = build.part(value);
        let mut references = build.references;
        references.sort_unstable();
        references.dedup();
        Self(Repr::Dynamic(Box::new(Dynamic { root, references: references.into() })))
    }

    /// Says on which lines of the workflow the expressions stand, for errors: `line_of` is given the keys that lead to a
    /// text and the number of the expression there, counted from 0.
    pub(in crate::spec) fn locate(&mut self, line_of: &dyn Fn(&[String], usize) -> u32) {
        if let Repr::Dynamic(dynamic) = &mut self.0 {
            dynamic.root.locate(&mut Vec::new(), line_of);
        }
    }

    /// The line in the text of the workflow of the first expression under these keys, where there is one.
    pub(crate) fn line(&self, keys: &[String]) -> Option<NonZeroU32> {
        match &self.0 {
            Repr::Dynamic(dynamic) => dynamic.root.line(keys),
            Repr::Constant(_) => None,
        }
    }

    /// The value, if no expression has to be evaluated for it.
    #[must_use]
    pub fn as_constant(&self) -> Option<&Value> {
        match &self.0 {
            Repr::Constant(value) => Some(value),
            Repr::Dynamic(_) => None,
        }
    }

    /// The value as it was written: expressions are texts with their delimiters.
    #[must_use]
    pub fn as_written(&self) -> Value {
        match &self.0 {
            Repr::Constant(value) => value.clone(),
            Repr::Dynamic(dynamic) => dynamic.root.as_written(),
        }
    }

    /// What the expressions refer to, sorted, without repeats.
    #[must_use]
    pub fn references(&self) -> &[Reference] {
        match &self.0 {
            Repr::Constant(_) => &[],
            Repr::Dynamic(dynamic) => &dynamic.references,
        }
    }

    /// Evaluates every expression. A text that is exactly one `${{ }}` keeps the type of its value; in a longer text
    /// a value that is not text is given as JSON.
    ///
    /// # Errors
    /// [`ExprError`] naming the expression, where one cannot be evaluated within its bounds.
    pub fn render(&self, scope: &Scope) -> Result<Value, ExprError> {
        self.render_placed(scope).map(|(value, _)| value)
    }

    /// As [`Template::render`]; also tells where references to secrets stand in what comes of it.
    ///
    /// # Errors
    /// As [`Template::render`].
    pub(crate) fn render_placed(&self, scope: &Scope) -> Result<(Value, Vec<SecretPlace>), ExprError> {
        match &self.0 {
            Repr::Constant(value) => Ok((value.clone(), Vec::new())),
            Repr::Dynamic(dynamic) => {
                let mut rendering = Rendering { left: VALUE_LIMIT, secrets: Vec::new() };
                let value = dynamic.root.render(scope, &mut rendering)?;
                Ok((value, rendering.secrets))
            }
        }
    }

    /// Where references to secrets stand, as written.
    pub(in crate::spec) fn secrets(&self) -> Vec<Use> {
        let mut found = Vec::new();
        if let Repr::Dynamic(dynamic) = &self.0 {
            dynamic.root.secrets(&mut Vec::new(), &mut found);
        }
        found
    }

    /// As [`Template::render`], as text: a value that is not text is given as JSON.
    ///
    /// # Errors
    /// As [`Template::render`].
    pub fn render_text(&self, scope: &Scope) -> Result<String, ExprError> {
        Ok(text_of(self.render(scope)?))
    }

    /// As [`Template::render_placed`], as text. Of a value that is not text no places are told.
    ///
    /// # Errors
    /// As [`Template::render`].
    pub(crate) fn render_text_placed(&self, scope: &Scope) -> Result<(String, Vec<SecretPlace>), ExprError> {
        let (value, secrets) = self.render_placed(scope)?;
        let is_text = value.is_string();
        Ok((text_of(value), if is_text { secrets } else { Vec::new() }))
    }
}

/// What rendering may still use, and what it has come across.
struct Rendering {
    /// Bytes that are left.
    left: usize,
    /// Where references to secrets stand in what has been rendered.
    secrets: Vec<SecretPlace>,
}

impl Rendering {
    /// Renders what stands under `key`.
    fn inside(&mut self, key: &impl ToString, part: &Part, scope: &Scope) -> Result<Value, ExprError> {
        let before = self.secrets.len();
        let value = part.render(scope, self).map_err(|error| error.inside(key.to_string()))?;
        self.secrets[before..].iter_mut().for_each(|place| place.put_under(&key.to_string()));
        Ok(value)
    }
}

fn text_of(value: Value) -> String {
    match value {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

/// Whether `holds` is true of any text in a value. The depth of values is bounded where they are read.
fn any_text(value: &Value, holds: &impl Fn(&str) -> bool) -> bool {
    match value {
        Value::String(text) => holds(text),
        Value::Array(items) => items.iter().any(|item| any_text(item, holds)),
        Value::Object(fields) => fields.values().any(|field| any_text(field, holds)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

struct Build<'a> {
    compiler: &'a mut Compiler,
    tell: &'a mut dyn FnMut(&[String], Located),
    place: Vec<String>,
    references: Vec<Reference>,
}

impl Build<'_> {
    fn part(&mut self, value: Value) -> Part {
        if !any_text(&value, &has_expression) {
            return Part::Constant(value);
        }
        match value {
            Value::String(text) => self.text(&text),
            Value::Array(items) => {
                let parts = items.into_iter().enumerate().map(|(ix, item)| self.inside(ix.to_string(), item));
                Part::List(parts.collect())
            }
            Value::Object(fields) => {
                let parts = fields.into_iter().map(|(key, field)| {
                    let name = key.as_str().into();
                    (name, self.inside(key, field))
                });
                Part::Map(parts.collect())
            }
            scalar => Part::Constant(scalar),
        }
    }

    fn inside(&mut self, key: String, value: Value) -> Part {
        self.place.push(key);
        let part = self.part(value);
        self.place.pop();
        part
    }

    fn text(&mut self, text: &str) -> Part {
        let pieces = match pieces(text) {
            Ok(pieces) => pieces,
            Err(Unclosed(expression)) => {
                let fault =
                    Fault::new(0, "template.syntax", "this `${{` is never closed").hint("close it with `}}`");
                (self.tell)(&self.place, Located { expression, fault });
                return Part::Constant(Value::Null);
            }
        };
        let alone = pieces.len() == 1;
        let mut parts = Vec::with_capacity(pieces.len());
        for piece in pieces {
            match piece {
                Piece::Literal(text) => parts.push(TextPart::Literal(text.into())),
                Piece::Expression { source, number } => match self.compiler.compile(source) {
                    Ok(expr) => {
                        self.references.extend(expr.references());
                        parts.push(TextPart::Expression(Placed { expr, line: None }));
                    }
                    Err(faults) => {
                        for fault in faults {
                            (self.tell)(&self.place, Located { expression: number, fault });
                        }
                    }
                },
            }
        }
        match parts.pop() {
            Some(TextPart::Expression(expr)) if alone => Part::Whole(expr),
            last => Part::Text(parts.into_iter().chain(last).collect()),
        }
    }
}

impl Part {
    fn render(&self, scope: &Scope, rendering: &mut Rendering) -> Result<Value, ExprError> {
        Ok(match self {
            Self::Constant(value) => value.clone(),
            Self::Whole(expr) => {
                let value = expr.evaluate(scope)?;
                expr.take(&mut rendering.left, text_len(&value))?;
                let secret = expr.expr.as_secret();
                rendering.secrets.extend(secret.map(|name| SecretPlace::at_start(name.clone(), 0)));
                value
            }
            Self::Text(parts) => {
                let mut text = String::new();
                for part in parts {
                    match part {
                        TextPart::Literal(literal) => text.push_str(literal),
                        TextPart::Expression(expr) => {
                            let value = text_of(expr.evaluate(scope)?);
                            expr.take(&mut rendering.left, value.len())?;
                            let secret = expr.expr.as_secret().cloned();
                            let place = secret.map(|name| SecretPlace::at_start(name, text.len()));
                            rendering.secrets.extend(place);
                            text.push_str(&value);
                        }
                    }
                }
                Value::String(text)
            }
            Self::List(parts) => {
                let render = |(ix, part): (usize, &Self)| rendering.inside(&ix, part, scope);
                Value::Array(parts.iter().enumerate().map(render).collect::<Result<_, _>>()?)
            }
            Self::Map(parts) => {
                let rendered: Result<BTreeMap<String, Value>, ExprError> = parts
                    .iter()
                    .map(|(key, part)| Ok((key.to_string(), rendering.inside(key, part, scope)?)))
                    .collect();
                Value::Object(rendered?.into_iter().collect())
            }
        })
    }

    /// Tells every reference to a secret with the keys to its text.
    fn secrets(&self, keys: &mut Vec<String>, found: &mut Vec<Use>) {
        let tell = |placed: &Placed, keys: &[String], found: &mut Vec<Use>| {
            found.extend(placed.expr.as_secret().map(|name| (keys.to_vec(), name.clone())));
        };
        let inside = |key: String, part: &Self, keys: &mut Vec<String>, found: &mut Vec<Use>| {
            keys.push(key);
            part.secrets(keys, found);
            keys.pop();
        };
        match self {
            Self::Constant(_) => {}
            Self::Whole(placed) => tell(placed, keys, found),
            Self::Text(parts) => parts.iter().for_each(|part| match part {
                TextPart::Expression(placed) => tell(placed, keys, found),
                TextPart::Literal(_) => {}
            }),
            Self::List(parts) => {
                parts.iter().enumerate().for_each(|(ix, part)| inside(ix.to_string(), part, keys, found));
            }
            Self::Map(parts) => {
                parts.iter().for_each(|(key, part)| inside(key.to_string(), part, keys, found));
            }
        }
    }

    /// Calls `line_of` for each expression with the keys to its text and its number there, counted from 0.
    fn locate(&mut self, keys: &mut Vec<String>, line_of: &dyn Fn(&[String], usize) -> u32) {
        let inside = |key: String, part: &mut Self, keys: &mut Vec<String>| {
            keys.push(key);
            part.locate(keys, line_of);
            keys.pop();
        };
        match self {
            Self::Constant(_) => {}
            Self::Whole(placed) => placed.line = NonZeroU32::new(line_of(keys, 0)),
            Self::Text(parts) => {
                let expressions = parts.iter_mut().filter_map(|part| match part {
                    TextPart::Expression(placed) => Some(placed),
                    TextPart::Literal(_) => None,
                });
                for (number, placed) in expressions.enumerate() {
                    placed.line = NonZeroU32::new(line_of(keys, number));
                }
            }
            Self::List(parts) => {
                parts.iter_mut().enumerate().for_each(|(ix, part)| inside(ix.to_string(), part, keys));
            }
            Self::Map(parts) => {
                parts.iter_mut().for_each(|(key, part)| inside(key.to_string(), part, keys));
            }
        }
    }

    /// The line of the first expression in the part to which `keys` lead, as far as they lead.
    fn line(&self, keys: &[String]) -> Option<NonZeroU32> {
        let further = keys.get(1..).unwrap_or_default();
        match self {
            Self::Constant(_) => None,
            Self::Whole(placed) => placed.line,
            Self::Text(parts) => parts.iter().find_map(|part| match part {
                TextPart::Expression(placed) => placed.line,
                TextPart::Literal(_) => None,
            }),
            Self::List(parts) => {
                match keys.first().and_then(|key| key.parse().ok()).and_then(|ix: usize| parts.get(ix)) {
                    Some(part) => part.line(further),
                    None => parts.iter().find_map(|part| part.line(&[])),
                }
            }
            Self::Map(parts) => {
                match keys.first().and_then(|key| parts.iter().find(|(name, _)| **name == **key)) {
                    Some((_, part)) => part.line(further),
                    None => parts.iter().find_map(|(_, part)| part.line(&[])),
                }
            }
        }
    }

    fn as_written(&self) -> Value {
        let delimited = |placed: &Placed| format!("{OPEN} {} }}}}", placed.expr.source());
        match self {
            Self::Constant(value) => value.clone(),
            Self::Whole(expr) => Value::String(delimited(expr)),
            Self::Text(parts) => {
                let written = parts.iter().map(|part| match part {
                    TextPart::Literal(literal) => literal.to_string(),
                    TextPart::Expression(expr) => delimited(expr),
                });
                Value::String(written.collect())
            }
            Self::List(parts) => parts.iter().map(Self::as_written).collect(),
            Self::Map(parts) => {
                parts.iter().map(|(key, part)| (key.to_string(), part.as_written())).collect()
            }
        }
    }
}

/// Bytes of all texts in a value: what makes values large.
fn text_len(value: &Value) -> usize {
    let mut open = vec![value];
    let mut len = 0;
    while let Some(value) = open.pop() {
        match value {
            Value::String(text) => len += text.len(),
            Value::Array(items) => open.extend(items),
            Value::Object(fields) => open.extend(fields.values()),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
    len
}

fn take(left: &mut usize, bytes: usize, expr: &Expr) -> Result<(), ExprError> {
    *left = left.checked_sub(bytes).ok_or_else(|| {
        let source = expr.source();
        let shown = super::evaluate::shown(&source);
        let message = format!("with `{shown}` the text becomes longer than {VALUE_LIMIT} bytes");
        ExprError::new("template.output_limit", message)
    })?;
    Ok(())
}
