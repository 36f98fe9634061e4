//! Source to expression.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use serde_json::Value;

pub(in crate::spec) use crate::spec::expr::analyse::Fault;

use crate::spec::expr::analyse::analyse;
use crate::spec::expr::evaluate;
use crate::spec::expr::filters::ENVIRONMENT;
use crate::spec::expr::path::{Path, Root};
use crate::spec::expr::scan::{Piece, has_expression, pieces};
use crate::spec::expr::scope::{ExprError, Reference, Scope};

/// Programs that a workflow keeps compiled. One takes about 12 KB; of further ones only the source is kept, and they
/// are compiled again (about 10 µs) when they are evaluated.
const MAX_KEPT: usize = 1_024;

/// The longest source of one expression, in bytes.
pub const MAX_SOURCE: usize = 2 << 10;

/// A compiled expression; cheap to clone.
#[derive(Debug, Clone)]
pub(super) enum Expr {
    /// One path, which needs no minijinja.
    Path(Arc<Path>),
    /// Anything else.
    Program(Arc<Program>),
}

type Compiled = minijinja::Expression<'static, 'static>;

/// An expression for minijinja, with what is known of it.
pub(super) struct Program {
    pub(super) source: Box<str>,
    /// One of the first [`MAX_KEPT`].
    compiled: Option<Compiled>,
    /// One for each occurrence.
    pub(super) paths: Box<[Path]>,
    /// What filters look at in the items of steps.
    attributes: Box<[Reference]>,
    /// Paths that must be numbers.
    pub(super) factors: Box<[Path]>,
    pub(super) status_function: bool,
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Program").field(&self.source).finish()
    }
}

impl Program {
    pub(super) fn eval(&self, context: minijinja::Value) -> Result<minijinja::Value, minijinja::Error> {
        match &self.compiled {
            Some(compiled) => compiled.eval(context),
            None => compiled(&self.source)?.eval(context),
        }
    }
}

fn compiled(source: &str) -> Result<Compiled, minijinja::Error> {
    ENVIRONMENT.compile_expression_owned(source.to_owned())
}

impl Expr {
    pub(super) fn evaluate(&self, scope: &Scope) -> Result<Value, ExprError> {
        match self {
            Self::Path(path) => path.evaluate(scope).map(std::borrow::Cow::into_owned),
            Self::Program(program) => evaluate::run(program, scope),
        }
    }

    pub(super) fn paths(&self) -> &[Path] {
        match self {
            Self::Path(path) => std::slice::from_ref(&**path),
            Self::Program(program) => &program.paths,
        }
    }

    pub(super) fn references(&self) -> impl Iterator<Item = Reference> + '_ {
        let attributes: &[Reference] = match self {
            Self::Path(_) => &[],
            Self::Program(program) => &program.attributes,
        };
        self.paths().iter().filter_map(Path::reference).chain(attributes.iter().cloned())
    }

    /// What it is, if it is an input, a variable or a field of a step and nothing below that.
    pub(super) fn as_reference(&self) -> Option<Reference> {
        let Self::Path(path) = self else { return None };
        let whole = match path.root {
            Root::Inputs | Root::Env => 1,
            Root::Steps => 2,
            _ => return None,
        };
        path.reference().filter(|_| path.names.len() == whole)
    }

    /// The secret that it is.
    pub(super) fn as_secret(&self) -> Option<&Arc<str>> {
        match self {
            Self::Path(path) if path.root == Root::Secrets => path.names.first(),
            _ => None,
        }
    }

    pub(super) fn has_status_function(&self) -> bool {
        matches!(self, Self::Program(program) if program.status_function)
    }

    /// As written, without delimiters.
    pub(super) fn source(&self) -> String {
        match self {
            Self::Path(path) => path.to_string(),
            Self::Program(program) => program.source.trim().to_owned(),
        }
    }
}

/// A fault of an expression in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::spec) struct Located {
    /// Which `${{` of the text begins the expression, counted from 0.
    pub(in crate::spec) expression: usize,
    /// What is wrong; its offset counts from the first byte of that expression's source.
    pub(in crate::spec) fault: Fault,
}

/// Compiles expressions. Equal sources are compiled once and share their memory.
#[derive(Debug, Default)]
pub(in crate::spec) struct Compiler {
    known: HashMap<Box<str>, Expr>,
    kept: usize,
}

impl Compiler {
    pub(super) fn compile(&mut self, source: &str) -> Result<Expr, Vec<Fault>> {
        if let Some(known) = self.known.get(source) {
            return Ok(known.clone());
        }
        let expr = compile(source, self.kept < MAX_KEPT)?;
        self.kept += usize::from(matches!(expr, Expr::Program(_)));
        self.known.insert(source.into(), expr.clone());
        Ok(expr)
    }
}

fn compile(source: &str, keep: bool) -> Result<Expr, Vec<Fault>> {
    if source.len() > MAX_SOURCE {
        let message = format!("the expression is longer than {MAX_SOURCE} bytes");
        return Err(vec![Fault::new(0, "template.too_long", message).hint("compute it in a step")]);
    }
    let mut analysis = analyse(source)?;
    if analysis.is_path
        && let Some((path, _)) = analysis.paths.pop()
    {
        return Ok(Expr::Path(Arc::new(path)));
    }
    let compiled = compiled(source).map_err(|error| vec![syntax(source, &error)])?;
    Ok(Expr::Program(Arc::new(Program {
        source: source.into(),
        compiled: keep.then_some(compiled),
        paths: analysis.paths.into_iter().map(|(path, _)| path).collect(),
        attributes: analysis
            .attributes
            .into_iter()
            .map(|(step, attribute, _)| Reference::EachItem(step, attribute))
            .collect(),
        factors: analysis.factors.into(),
        status_function: analysis.status_function,
    })))
}

fn syntax(source: &str, error: &minijinja::Error) -> Fault {
    let offset = error.range().map_or(0, |range| range.start.min(source.len()));
    let what = error
        .detail()
        .map_or_else(|| error.kind().to_string(), |detail| evaluate::shown(detail).into_owned());
    Fault::new(offset, "template.syntax", what)
}

/// Where a text refers to something: the number of the expression, unless the text is a bare one, and the byte in its
/// source.
pub(in crate::spec) fn reference_place(
    text: &str,
    wanted: &Reference,
    bare: bool,
) -> Option<(Option<usize>, usize)> {
    let offset_in = |source: &str| {
        let found = analyse(source).ok()?;
        if let Reference::EachItem(step, attribute) = wanted {
            let same = |other: &&(Arc<str>, Arc<str>, usize)| (&other.0, &other.1) == (step, attribute);
            return found.attributes.iter().find(same).map(|(_, _, offset)| *offset);
        }
        let mut paths = found.paths.into_iter();
        paths.find(|(path, _)| path.reference().as_ref() == Some(wanted)).map(|(_, offset)| offset)
    };
    if bare && !has_expression(text) {
        return offset_in(text).map(|offset| (None, offset));
    }
    pieces(text).ok()?.into_iter().find_map(|piece| match piece {
        Piece::Literal(_) => None,
        Piece::Expression { source, number } => offset_in(source).map(|offset| (Some(number), offset)),
    })
}
