//! The step kinds that come with orchestrator: `script`, `git`, `github`, `gitlab`, `http`, `llm`, `mcp`, `approval`,
//! `notify`, `signal` and `sleep`.
//!
//! [`builtin`] gives all that are enabled; `script`, `git`, `github`, `gitlab`, `http`, `llm` and `mcp` are each behind a
//! cargo feature of that name, and all are on by default. A host program that wants fewer registers the ones it wants.
//!
//! ```
//! let kinds: Vec<String> =
//!     orchestrator_plugins::builtin().iter().map(|plugin| plugin.kind().to_owned()).collect();
//! let all = ["approval", "git", "github", "gitlab", "http", "llm", "mcp", "notify", "script", "signal", "sleep"];
//! assert_eq!(kinds, all);
//! ```
//!
//! [`Process`] takes kinds of steps from executables of any language, behind the feature `process`, which is on by default too.
//!
//! Secrets come from [`EnvSecrets`], [`FileSecrets`] and `CommandSecrets`.

mod approval;
#[cfg(any(feature = "http", feature = "llm", feature = "script"))]
mod below;
#[cfg(any(feature = "git", feature = "forge"))]
mod branch;
mod config;
mod duration;
mod files;
#[cfg(feature = "forge")]
mod forge;
#[cfg(feature = "git")]
mod git;
mod glob;
#[cfg(feature = "http")]
mod http;
#[cfg(any(feature = "llm", feature = "mcp"))]
mod json_schema;
#[cfg(feature = "llm")]
mod llm;
#[cfg(feature = "mcp")]
mod mcp;
mod notify;
#[cfg(feature = "outbound")]
mod outbound;
#[cfg(feature = "process")]
mod process;
mod registry;
#[cfg(feature = "process")]
mod resident;
#[cfg(feature = "script")]
mod script;
mod secrets;
mod signal;
mod sleep;

pub use approval::Approval;
pub use files::Files;
#[cfg(feature = "github")]
pub use forge::Github;
#[cfg(feature = "gitlab")]
pub use forge::Gitlab;
#[cfg(feature = "git")]
pub use git::Git;
#[cfg(feature = "http")]
pub use http::Http;
#[cfg(feature = "llm")]
pub use llm::{Llm, Price, Prices};
#[cfg(feature = "mcp")]
pub use mcp::{Mcp, McpServer, McpTool};
pub use notify::Notify;
#[cfg(feature = "outbound")]
pub use outbound::{Circuit, CircuitState, Misconfigured, Outbound, OutboundBuilder, Resolver};
#[cfg(feature = "process")]
pub use process::{NotAPlugin, Process};
pub use registry::builtin;
#[cfg(feature = "outbound")]
pub use registry::builtin_over;
#[cfg(feature = "process")]
pub use resident::Executable;
#[cfg(feature = "script")]
pub use script::{SandboxReport, Script, confine_if_asked};
#[cfg(feature = "script")]
pub use secrets::CommandSecrets;
pub use secrets::{EnvSecrets, FileSecrets};
pub use signal::Signal;
pub use sleep::Sleep;
