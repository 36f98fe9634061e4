//! Where secrets come from. A workflow names them; a request holds their names until it is dispatched.

use std::fmt;

use async_trait::async_trait;
use secrecy::{ExposeSecret, SecretString};

pub use crate::mask::{Mask, MaskedBytes};
pub use crate::spec::expr::SecretPlace;

/// The longest value of a secret, in bytes: 64 KiB.
pub const LONGEST: usize = 64 << 10;

/// Knows the values of secrets: the environment, files, a vault.
#[async_trait]
pub trait SecretProvider: fmt::Debug + Send + Sync + 'static {
    /// The value of a secret; `None` if this provider has none of that name.
    ///
    /// # Errors
    /// [`SecretError`], where it has to be asked again, or is set up wrongly.
    async fn fetch(&self, name: &str) -> Result<Option<Secret>, SecretError>;

    /// Where it looks for a secret, for people: `the environment variable ORCHESTRATOR_SECRET_API_KEY`.
    fn place(&self, name: &str) -> String;
}

/// A value that must not be shown: it cannot be printed, stored or compared, and its memory is overwritten when it is
/// dropped.
///
/// ```compile_fail
/// # let secret = orchestrator_core::port::secret::Secret::new("value".to_owned());
/// println!("{secret}");
/// ```
///
/// ```compile_fail
/// # let secret = orchestrator_core::port::secret::Secret::new("value".to_owned());
/// serde_json::to_string(&secret);
/// ```
///
/// ```
/// let secret = orchestrator_core::port::secret::Secret::new("value".to_owned());
/// assert_eq!(format!("{secret:?}"), "Secret(***)");
/// assert_eq!(secret.reveal(), "value");
/// ```
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// Takes a value in.
    #[must_use]
    pub fn new(value: String) -> Self {
        Self(value.into())
    }

    /// The value, for whoever sends it to where it belongs.
    #[must_use]
    pub fn reveal(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

/// A secret could not be fetched. Messages hold no values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SecretError {
    /// It may work later: a vault does not answer.
    #[error("{0}")]
    Unavailable(String),
    /// It will not work until somebody changes something: a file that others can read, a value that is too short.
    #[error("{0}")]
    Refused(String),
}
