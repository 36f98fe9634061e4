//! `gitlab`: merge requests, pipelines and logs on GitLab.

mod lab;
mod plugin;
mod wire;

pub use plugin::Gitlab;
