//! Expressions: `${{ … }}` in values, and the conditions of `if:`. Compiled once, strict, bounded.
//!
//! The language is minijinja's expression language: paths, literals, `and` / `or` / `not`, comparisons, arithmetic,
//! `a if b else c`, and a closed list of filters, tests and functions. It has no statements, no loops, no macros and no
//! way to files, environment or network.
//!
//! # Bounds
//!
//! | what | bound | error |
//! |---|---|---|
//! | source of one expression | [`MAX_SOURCE`] bytes, [`MAX_TOKENS`] tokens | `template.too_long` |
//! | nesting | [`MAX_NESTING`] | `template.depth` |
//! | bytes and list elements (16 bytes each) that one evaluation reads and makes | [`MAX_WORK`] | `template.fuel` |
//! | elements of a `range` | [`MAX_RANGE`] | `template.fuel` |
//! | size of what a template renders to | [`crate::value::VALUE_LIMIT`] | `template.output_limit` |
//!
//! `*` multiplies numbers only: as an operator that repeats texts it could make 100 MB out of eight characters.
//! A value is rendered once; expressions inside data are data.

mod analyse;
mod compile;
mod condition;
mod evaluate;
mod filters;
mod path;
mod scan;
mod scope;
mod secret;
mod template;
#[cfg(test)]
mod tests;
mod token;

pub use analyse::{MAX_NESTING, MAX_TOKENS};
pub use compile::MAX_SOURCE;
pub use condition::Condition;
pub use filters::{MAX_RANGE, MAX_WORK};
pub use scope::{ExprError, Reference, Scope, Standing, StepView};
pub use secret::SecretPlace;
pub use template::Template;

pub(crate) use scope::place;
pub(crate) use secret::text_at;

pub(in crate::spec) use compile::{Compiler, Located, reference_place};
pub(in crate::spec) use scan::{OPEN, has_expression, is_one_expression};
