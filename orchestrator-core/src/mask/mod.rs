//! Keeps values out of texts: secrets out of logs, outputs and errors.
//!
//! A [`Mask`] knows values that must not be shown and puts `***` in their place, wherever a text holds one, in any of the
//! forms in which values usually come out of programs:
//!
//! | form | covered |
//! |---|---|
//! | as it is | whole, broken over several lines, and each of its own lines of 8 bytes or more |
//! | base64 | both alphabets, at each of the three alignments, wrapped at any width |
//! | hexadecimal | lower and upper case, wrapped at any width |
//! | percent-encoded | RFC 3986, `encodeURIComponent`, path segments, forms (`+`); lower and upper case |
//! | JSON | as a string and as a string in a string, also all-ASCII (`\u00e9`), with `\/` |
//!
//! Not covered is what has been computed from a value beyond these: compressed, encrypted, reversed, changed in case, one
//! character a line of a value shorter than 16 bytes. Who runs code with a secret trusts it with the secret.

mod find;
mod forms;
mod stream;
#[cfg(test)]
mod tests;

pub use find::Mask;
pub use stream::MaskedBytes;

/// What stands in the place of a value.
pub const STARS: &str = "***";

/// The shortest value that can be kept out of texts, in bytes. A shorter one would be found by chance all over a text, and
/// masking it would destroy the text.
pub const SHORTEST: usize = 4;
