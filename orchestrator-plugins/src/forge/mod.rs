//! `github` and `gitlab`: pull requests, their checks and their logs.
//!
//! What a step does is told once, over the trait [`port::Forge`] (`open`, `comment`, `checks`, `logs`, `merge`); what is
//! asked of whom for that is told in `github` and `gitlab`. All that is sent goes through [`line::Line`].

mod action;
mod checks;
mod comment;
mod complaint;
#[cfg(feature = "github")]
mod github;
#[cfg(feature = "gitlab")]
mod gitlab;
mod halt;
mod line;
mod login;
mod logs;
mod merge;
mod name;
mod open;
mod port;
mod schema;
mod tail;

#[cfg(feature = "github")]
pub use github::Github;
#[cfg(feature = "gitlab")]
pub use gitlab::Gitlab;
