//! Text to workflow. Owns every limit, and reports every problem in one pass.

use std::sync::LazyLock;

use serde_json::{Map, Value};

use crate::plan::{MAX_EDGES, MAX_STEPS};
use crate::spec::family::{Family, Sources};
use crate::spec::problems::Problems;
use crate::spec::read::Reader;
use crate::spec::schema::{Catalog, ConfigIssue, Facts};
use crate::spec::tree::Content;
use crate::spec::{Diagnostic, Diagnostics, Severity, Span, Workflow, yaml};

/// The longest text of a workflow, in bytes (32 MiB): 100,000 steps of 300 bytes each.
pub const MAX_BYTES: usize = 32 << 20;

/// The deepest nesting of lists and mappings.
pub const MAX_DEPTH: usize = 64;

/// The most keys and values.
pub const MAX_NODES: usize = 2_000_000;

/// The longest single value, in bytes.
pub const MAX_SCALAR: usize = 1 << 20;

/// The most values that anchors and aliases may repeat, all together.
pub const MAX_ALIASED_NODES: usize = 100_000;

/// The limits that only large texts reach; smaller in tests.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) nodes: usize,
    pub(super) steps: usize,
    pub(super) edges: usize,
}

const LIMITS: Limits = Limits { nodes: MAX_NODES, steps: MAX_STEPS, edges: MAX_EDGES };

/// What a text gave.
#[derive(Debug)]
pub struct Parsed {
    /// The workflow.
    pub workflow: Workflow,
    /// What its author should look at; nothing that stands in the way of a run.
    pub warnings: Vec<Diagnostic>,
}

/// What the parser is told beside the text.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct ParseOptions<'a> {
    /// Where the workflows come from that its steps name. Without it, they are not looked at.
    pub sources: Option<&'a dyn Sources>,
    /// What the text is called, for finding what it names.
    pub from: &'a str,
    pub(super) family: Option<&'a Family<'a>>,
    /// Whether a store has kept the text, which was checked before that.
    pub(super) is_stored: bool,
    /// The name of a workflow that does not give one, such as the stem of its file's name. Without it, `name` is
    /// required.
    pub default_name: Option<&'a str>,
}

impl<'a> ParseOptions<'a> {
    /// Looks for the workflows that its steps name; the text itself is called `from`.
    #[must_use]
    pub const fn sources(mut self, from: &'a str, sources: &'a dyn Sources) -> Self {
        self.from = from;
        self.sources = Some(sources);
        self
    }

    /// Names workflows that do not name themselves. Characters that a name cannot hold become `-`.
    #[must_use]
    pub const fn default_name(mut self, name: &'a str) -> Self {
        self.default_name = Some(name);
        self
    }
}

/// Reads and validates a workflow.
///
/// # Errors
/// Everything that is wrong with it, in the order of the text, at most [`crate::spec::MAX_DIAGNOSTICS`].
pub fn parse(text: &str, catalog: &dyn Catalog) -> Result<Parsed, Diagnostics> {
    parse_with(text, catalog, &ParseOptions::default())
}

/// As [`parse`], with options.
///
/// # Errors
/// As [`parse`].
pub fn parse_with(
    text: &str,
    catalog: &dyn Catalog,
    options: &ParseOptions<'_>,
) -> Result<Parsed, Diagnostics> {
    check_size(text.len())?;
    read(text, catalog, options, Problems::default(), LIMITS)
}

/// As [`parse`], of a text that nobody has written: nothing tells a place in it.
pub(super) fn parse_built(
    text: &str,
    catalog: &dyn Catalog,
    sources: &dyn Sources,
) -> Result<Parsed, Diagnostics> {
    check_size(text.len()).map_err(|mut found| {
        found.0.iter_mut().for_each(|diagnostic| diagnostic.span = None);
        found
    })?;
    let options = ParseOptions::default().sources("", sources);
    read(text, catalog, &options, Problems::without_places(), LIMITS)
}

fn read(
    text: &str,
    catalog: &dyn Catalog,
    options: &ParseOptions<'_>,
    mut problems: Problems,
    limits: Limits,
) -> Result<Parsed, Diagnostics> {
    // Places count in the text without its byte order mark.
    let source = text.strip_prefix('\u{feff}').unwrap_or(text);
    let workflow = match yaml::tree(source, limits, &mut problems) {
        None => None,
        Some(root) if matches!(root.content, Content::Null) => {
            if !problems.has_errors() {
                let message = "there is no workflow in this text";
                let error = problems.error(root.at.span, "", "spec.empty", message);
                error.hint("a workflow has at least `name` and `steps`");
            }
            None
        }
        Some(root) => {
            let own = options.sources.map(|sources| Family::new(sources, options.from, ""));
            let family = options.family.or(own.as_ref());
            let mut reader = Reader::new(source, catalog, &mut problems, limits, family);
            reader.workflow(text, &root, options)
        }
    };
    let warnings = problems.finish()?;
    // A workflow is missing only where the reason has been told.
    workflow.map(|workflow| Parsed { workflow, warnings }).ok_or(Diagnostics(Vec::new()))
}

/// Reads a text that a store has kept, under the name it was started with. Kinds of plugins are not checked: that was
/// done when it was started, perhaps by a program that has other plugins.
///
/// # Errors
/// As [`parse`].
pub fn parse_stored(text: &str, name: &str) -> Result<Workflow, Diagnostics> {
    let options = ParseOptions { is_stored: true, ..ParseOptions::default().default_name(name) };
    parse_with(text, &AnyPlugin, &options).map(|parsed| parsed.workflow)
}

/// Knows every kind of plugin and nothing about it: what is stored was checked when it was started, and may have been
/// started by an engine that has other plugins.
#[derive(Debug)]
struct AnyPlugin;

static ANYTHING: LazyLock<Value> = LazyLock::new(|| Value::Object(Map::new()));
static ANYTHING_SECRET: LazyLock<Value> =
    LazyLock::new(|| serde_json::json!({ "secret": true, "env": { "secret": true } }));

impl Catalog for AnyPlugin {
    fn kinds(&self) -> Vec<&str> {
        Vec::new()
    }

    fn facts(&self, _: &str) -> Option<Facts<'_>> {
        Some(Facts { config_schema: &ANYTHING_SECRET, output_schema: &ANYTHING })
    }

    fn check(&self, _: &str, _: &Value) -> Vec<ConfigIssue> {
        Vec::new()
    }
}

/// Text from the bytes of a file: UTF-8, with or without a byte order mark.
///
/// # Errors
/// `too_large`, or `encoding` with the place of the first byte that is not UTF-8.
pub fn decode(bytes: &[u8]) -> Result<&str, Diagnostics> {
    check_size(bytes.len())?;
    let alone = |span, code, message: String, hint: Option<&str>| {
        let hint = hint.map(str::to_owned);
        Diagnostics(vec![Diagnostic {
            severity: Severity::Error,
            span,
            path: String::new(),
            code,
            message,
            hint,
        }])
    };
    let start = Some(Span { line: 1, column: 1, len: 1 });
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err(alone(
            start,
            "encoding",
            "the text is encoded as UTF-16".into(),
            Some("save it as UTF-8"),
        ));
    }
    std::str::from_utf8(bytes).map_err(|error| {
        let good = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
        let good = good.strip_prefix('\u{feff}').unwrap_or(&good);
        alone(
            Some(Span::behind(good)),
            "encoding",
            "this byte is not UTF-8".into(),
            Some("save the file as UTF-8"),
        )
    })
}

fn check_size(len: usize) -> Result<(), Diagnostics> {
    if len <= MAX_BYTES {
        return Ok(());
    }
    Err(Diagnostics(vec![Diagnostic {
        severity: Severity::Error,
        span: Some(Span { line: 1, column: 1, len: 1 }),
        path: String::new(),
        code: "too_large",
        message: format!("the text has {len} bytes; the limit is {MAX_BYTES}"),
        hint: None,
    }]))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::spec::{ConfigIssue, Facts};

    struct Anything(Value);

    impl Catalog for Anything {
        fn kinds(&self) -> Vec<&str> {
            vec!["noop"]
        }

        fn facts(&self, _: &str) -> Option<Facts<'_>> {
            Some(Facts { config_schema: &self.0, output_schema: &self.0 })
        }

        fn check(&self, _: &str, _: &Value) -> Vec<ConfigIssue> {
            Vec::new()
        }
    }

    fn codes(text: &str) -> Vec<&'static str> {
        let limits = Limits { nodes: 100, steps: 4, edges: 3 };
        let options = ParseOptions::default().default_name("x");
        let found = read(text, &Anything(Value::Bool(true)), &options, Problems::default(), limits);
        found.err().into_iter().flat_map(|found| found.0).map(|found| found.code).collect()
    }

    #[test]
    fn nodes_steps_and_needs_are_counted() {
        let steps = |len: usize| {
            "steps: {".to_owned()
                + &["a: &s { uses: noop }", "b: *s", "c: *s", "d: *s", "e: *s"][..len].join(", ")
                + "}"
        };
        assert_eq!(codes(&steps(4)), [""; 0]);
        assert_eq!(codes(&steps(5)), ["limit_steps"]);
        let needs = |c: &str| {
            format!(
                "steps: {{ a: {{ uses: noop }}, b: {{ uses: noop, needs: a }}, c: {{ uses: noop, needs: [{c}] }} }}"
            )
        };
        assert_eq!(codes(&needs("a, b")), [""; 0]);
        assert_eq!(
            codes(
                &needs("a, b")
                    .replace("needs: a,", "needs: [a]")
                    .replace("c: {", "d: { uses: noop, needs: a }, c: {")
            ),
            ["limit_steps"]
        );
        let list = |len: usize| format!("steps: {{ a: {{ uses: noop, with: [{}] }} }}", "1, ".repeat(len));
        assert_eq!(codes(&list(80)), [""; 0]);
        assert_eq!(codes(&list(100)), ["too_large"]);
    }
}
