//! Who a request is from.

use async_trait::async_trait;

use super::halt::Halt;
use super::line::Line;

/// Credentials.
#[async_trait]
pub(super) trait Login: Send + Sync {
    /// The token to send; `None` where there are no credentials.
    ///
    /// # Errors
    /// Where it cannot be had.
    async fn token(&self, line: &Line<'_>) -> Result<Option<String>, Halt>;

    /// Forgets a token that was not taken. Says whether another can be had.
    async fn forget(&self, token: &str) -> bool;
}

/// A token that the author gives, or none.
pub(super) struct Given(pub(super) Option<String>);

#[async_trait]
impl Login for Given {
    async fn token(&self, _: &Line<'_>) -> Result<Option<String>, Halt> {
        Ok(self.0.clone())
    }

    async fn forget(&self, _: &str) -> bool {
        false
    }
}
