//! Secrets in the environment of this process.

use async_trait::async_trait;
use orchestrator_core::port::secret::{Secret, SecretError, SecretProvider};

/// Takes the secret `NAME` from the environment variable `PREFIXNAME`. A prefix, so that a workflow cannot ask for any
/// variable there is. Scripts do not inherit these variables.
#[derive(Debug, Clone)]
pub struct EnvSecrets {
    prefix: String,
}

impl EnvSecrets {
    /// The prefix where nobody says another.
    pub const PREFIX: &'static str = "ORCHESTRATOR_SECRET_";

    /// Variables that begin with this. An empty prefix lets workflows ask for every variable.
    pub fn new(prefix: impl Into<String>) -> Self {
        Self { prefix: prefix.into() }
    }
}

impl Default for EnvSecrets {
    fn default() -> Self {
        Self::new(Self::PREFIX)
    }
}

#[async_trait]
impl SecretProvider for EnvSecrets {
    async fn fetch(&self, name: &str) -> Result<Option<Secret>, SecretError> {
        match std::env::var(format!("{}{name}", self.prefix)) {
            Ok(value) => Ok(Some(Secret::new(value))),
            Err(std::env::VarError::NotPresent) => Ok(None),
            Err(std::env::VarError::NotUnicode(_)) => {
                Err(SecretError::Refused(format!("{} is not valid UTF-8", self.place(name))))
            }
        }
    }

    fn place(&self, name: &str) -> String {
        format!("the environment variable {}{name}", self.prefix)
    }
}
