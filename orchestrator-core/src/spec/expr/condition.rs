//! The `if:` of a step.

use std::num::NonZeroU32;

use serde_json::Value;

use crate::spec::expr::compile::{Compiler, Expr, Fault, Located};
use crate::spec::expr::evaluate::{kind_name, shown};
use crate::spec::expr::scan::{Piece, has_expression, pieces};
use crate::spec::expr::scope::{ExprError, Reference, Scope, Standing};

/// The `if:` of a step.
#[derive(Debug)]
pub struct Condition {
    expr: Expr,
    references: Box<[Reference]>,
    line: Option<NonZeroU32>,
}

impl Condition {
    /// Compiles a condition, with or without `${{ }}` around it.
    ///
    /// # Errors
    /// What does not compile.
    pub fn compile(text: &str) -> Result<Self, ExprError> {
        Self::build(text, &mut Compiler::default()).map_err(|faults| match faults.into_iter().next() {
            Some(Located { fault: Fault { code, message, .. }, .. }) => ExprError::new(code, message),
            None => ExprError::new("template.syntax", "the condition does not compile"),
        })
    }

    pub(in crate::spec) fn build(text: &str, compiler: &mut Compiler) -> Result<Self, Vec<Located>> {
        let source = bare(text).map_err(|fault| vec![Located { expression: 0, fault }])?;
        let expr = compiler.compile(source).map_err(|faults| {
            faults.into_iter().map(|fault| Located { expression: 0, fault }).collect::<Vec<_>>()
        })?;
        let mut references: Vec<Reference> = expr.references().collect();
        references.sort_unstable();
        references.dedup();
        Ok(Self { expr, references: references.into(), line: None })
    }

    /// Says on which line of the workflow it stands, for errors.
    pub(in crate::spec) fn locate(&mut self, line: u32) {
        self.line = NonZeroU32::new(line);
    }

    /// Whether it calls `success()`, `failure()`, `always()` or `cancelled()`.
    #[must_use]
    pub fn has_status_function(&self) -> bool {
        self.expr.has_status_function()
    }

    /// What it refers to, sorted, without repeats.
    #[must_use]
    pub fn references(&self) -> &[Reference] {
        &self.references
    }

    /// As written, without delimiters.
    #[must_use]
    pub fn source(&self) -> String {
        self.expr.source()
    }

    /// Evaluates it.
    ///
    /// # Errors
    /// [`ExprError`], `type_mismatch` where the value is not a boolean.
    pub fn evaluate(&self, scope: &Scope) -> Result<bool, ExprError> {
        match self.expr.evaluate(scope).map_err(|error| error.on(self.line))? {
            Value::Bool(answer) => Ok(answer),
            other => {
                let (source, kind) = (self.expr.source(), kind_name(&other));
                let message = format!("`{}` is {kind}; a condition must be true or false", shown(&source));
                Err(ExprError::new("type_mismatch", message).on(self.line))
            }
        }
    }

    /// The answer, if it is the same whatever happens.
    pub(in crate::spec) fn foregone(&self) -> Option<Result<bool, ExprError>> {
        if !self.expr.paths().is_empty() {
            return None;
        }
        let ask = |bits: u8| {
            let standing = Standing { success: bits & 1 > 0, failure: bits & 2 > 0, cancelled: bits & 4 > 0 };
            self.evaluate(&Scope { standing, ..Scope::default() })
        };
        let first = ask(0);
        (1..8).all(|bits| ask(bits) == first).then_some(first)
    }
}

/// A condition without the `${{ }}` around it.
fn bare(text: &str) -> Result<&str, Fault> {
    if !has_expression(text) {
        return Ok(text);
    }
    match pieces(text.trim()).as_deref() {
        Ok([Piece::Expression { source, .. }]) => Ok(source),
        Ok(_) => Err(Fault::new(0, "template.syntax", "a condition is one expression")
            .hint("put all of it inside one `${{ }}`, or leave the braces out")),
        Err(_) => {
            Err(Fault::new(0, "template.syntax", "this `${{` is never closed").hint("close it with `}}`"))
        }
    }
}
