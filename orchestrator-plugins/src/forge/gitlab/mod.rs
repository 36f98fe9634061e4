//! `gitlab`: merge requests, pipelines and logs on GitLab.

mod lab;
mod plugin;
mod wire;
mod words;

pub use plugin::Gitlab;
