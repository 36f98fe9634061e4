//! What all readers share: the source, the catalog, what has been found wrong, what has been compiled.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use indexmap::IndexMap;
use serde_json::Value;

use crate::spec::diagnostic::behind;
use crate::spec::expr::{Compiler, Located, OPEN, Template};
use crate::spec::family::Family;
use crate::spec::parse::Limits;
use crate::spec::problems::Problems;
use crate::spec::scalar::{self, Plain};
use crate::spec::schema::Catalog;
use crate::spec::tree::{Content, Mark, Node, Place, Style};
use crate::spec::{Diagnostic, Span, StepOptions, Workflow};

/// The most different configs that steps share.
const MAX_SHARED: usize = 4_096;

pub(in crate::spec) struct Reader<'t, 'p> {
    pub(super) source: &'t str,
    pub(super) catalog: &'p dyn Catalog,
    pub(super) problems: &'p mut Problems,
    pub(super) compiler: Compiler,
    pub(super) limits: Limits,
    /// What steps have that do not say otherwise.
    pub(super) defaults: Option<Box<StepOptions>>,
    /// The workflows below, and where they come from; `None` where that cannot be known.
    pub(super) family: Option<&'p Family<'p>>,
    pub(super) children: IndexMap<Arc<str>, Arc<Workflow>>,
    kinds: HashSet<Arc<str>>,
    configs: HashMap<u64, Arc<Template>>,
}

impl<'t, 'p> Reader<'t, 'p> {
    pub(in crate::spec) fn new(
        source: &'t str,
        catalog: &'p dyn Catalog,
        problems: &'p mut Problems,
        limits: Limits,
        family: Option<&'p Family<'p>>,
    ) -> Self {
        let (kinds, configs, children) = (HashSet::new(), HashMap::new(), IndexMap::new());
        let (compiler, defaults) = (Compiler::default(), None);
        Self { source, catalog, problems, compiler, limits, defaults, family, children, kinds, configs }
    }

    pub(super) fn error(
        &mut self,
        at: Mark,
        place: &Place<'_>,
        code: &'static str,
        message: impl Into<String>,
    ) -> &mut Diagnostic {
        self.problems.error(at.span, place, code, message)
    }

    /// `expected …, found …`, with how YAML has read what the author may have meant as text.
    pub(super) fn wrong_type(
        &mut self,
        node: &Node<'_>,
        place: &Place<'_>,
        expected: &str,
    ) -> &mut Diagnostic {
        if matches!(node.content, Content::Broken) {
            return self.problems.unheard();
        }
        let written = self.written(node).filter(|_| {
            matches!(node.content, Content::Null | Content::Bool(_) | Content::Number(_))
                && expected.contains("text")
        });
        // A value that is not there at all was not read as anything.
        let is_there =
            |text: &&str| !matches!(node.content, Content::Null) || scalar::read(text) == Plain::Null;
        let hint = written.filter(|text| !text.is_empty()).filter(is_there).map(|text| {
            let what = match node.content {
                Content::Bool(_) => "a boolean",
                Content::Null => "nothing",
                _ => "a number",
            };
            format!("YAML 1.2 reads `{text}` as {what}; quote it if it is meant as text")
        });
        let message = format!("expected {expected}, found {}", node.describe());
        let error = self.problems.error(node.at.span, place, "invalid_type", message);
        error.hint = hint;
        error
    }

    /// A plain scalar as it stands in the source.
    pub(super) fn written(&self, node: &Node<'_>) -> Option<&'t str> {
        let rest = self.source.get(node.at.offset as usize..)?;
        let len = node.at.span.len as usize;
        let end = rest.char_indices().nth(len).map_or(rest.len(), |(end, _)| end);
        (node.at.style == Style::Plain).then(|| rest[..end].trim())
    }

    /// One name for all steps of a kind.
    pub(super) fn kind(&mut self, kind: &str) -> Arc<str> {
        if let Some(known) = self.kinds.get(kind) {
            return Arc::clone(known);
        }
        let kind: Arc<str> = kind.into();
        self.kinds.insert(Arc::clone(&kind));
        kind
    }

    /// Compiles the expressions of a value whose node is `node`.
    pub(super) fn template(&mut self, value: Value, node: &Node<'_>, place: &Place<'_>) -> Template {
        let mut faults = Vec::new();
        let mut template = Template::build(value, &mut self.compiler, &mut |keys, fault| {
            faults.push((keys.to_vec(), fault));
        });
        for (keys, located) in faults {
            let (_, at) = node.follow(&keys, false);
            let mut path = place.to_string();
            for key in keys {
                path.push('.');
                path.push_str(&key);
            }
            self.fault(at, &path, located);
        }
        template.locate(&|keys, number| self.span_in(node.follow(keys, false).1, Some(number), 0).line);
        template
    }

    /// As [`Self::template`]; steps with the same config share it.
    pub(super) fn shared_template(
        &mut self,
        value: Value,
        node: &Node<'_>,
        place: &Place<'_>,
    ) -> Arc<Template> {
        let mut hasher = DefaultHasher::new();
        value.hash(&mut hasher);
        let key = hasher.finish();
        if let Some(known) = self.configs.get(&key)
            && known.as_constant() == Some(&value)
        {
            return Arc::clone(known);
        }
        let template = Arc::new(self.template(value, node, place));
        if self.configs.len() < MAX_SHARED && template.as_constant().is_some() {
            self.configs.insert(key, Arc::clone(&template));
        }
        template
    }

    /// Tells a fault of an expression in the text at `at`.
    pub(super) fn fault(&mut self, at: Mark, path: &str, located: Located) {
        let span = self.span_in(at, Some(located.expression), located.fault.offset);
        let error = self.problems.error(span, path, located.fault.code, located.fault.message);
        error.hint = located.fault.hint;
    }

    /// The place of a byte of an expression in the scalar at `at`: in the `expression`th `${{ }}`, or, if it is bare,
    /// in the scalar itself. The line is exact; the column too, unless the scalar is folded or has escapes.
    pub(super) fn span_in(&self, at: Mark, expression: Option<usize>, offset: usize) -> Span {
        // Beyond what will be told, the place need not be exact.
        if !self.problems.has_room() {
            return at.span;
        }
        let Some(rest) = self.source.get(at.offset as usize..) else { return at.span };
        let begin = match expression {
            Some(expression) => match rest.match_indices(OPEN).nth(expression) {
                Some((open, _)) => open + OPEN.len(),
                None => return at.span,
            },
            None => usize::from(at.style == Style::Quoted),
        };
        let Some(before) = rest.get(begin..begin + offset) else { return at.span };
        let exact = !before.contains(['\n', '\r', '\\']) && !before.contains("''");
        let end = if exact { begin + offset } else { begin };
        let (line, column) = behind((at.span.line, at.span.column), &rest[..end]);
        let word = rest[end..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').count();
        Span { line, column, len: word.max(1) as u32 }
    }
}
