//! Where secrets come from: the environment, files, a command.

#[cfg(feature = "script")]
mod command;
mod env;
mod file;

#[cfg(feature = "script")]
pub use command::CommandSecrets;
pub use env::EnvSecrets;
pub use file::FileSecrets;

/// A value as programs and editors write it: without the line end that they put after it.
fn trimmed(text: &str) -> &str {
    let text = text.strip_suffix('\n').unwrap_or(text);
    text.strip_suffix('\r').unwrap_or(text)
}
