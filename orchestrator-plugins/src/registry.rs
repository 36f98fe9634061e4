//! Which plugins there are.

use std::sync::Arc;

use orchestrator_core::port::plugin::Plugin;

/// Every plugin of this crate that is enabled, sorted by kind. Making them starts nothing: the HTTP client, for one,
/// is built when a step first needs it.
#[must_use]
pub fn builtin() -> Vec<Arc<dyn Plugin>> {
    all(
        #[cfg(feature = "outbound")]
        &Arc::default(),
    )
}

/// As [`builtin`], over a way out that the host program has described.
#[cfg(feature = "outbound")]
#[must_use]
pub fn builtin_over(outbound: &Arc<crate::Outbound>) -> Vec<Arc<dyn Plugin>> {
    all(outbound)
}

fn all(#[cfg(feature = "outbound")] outbound: &Arc<crate::Outbound>) -> Vec<Arc<dyn Plugin>> {
    vec![
        Arc::new(crate::Approval),
        #[cfg(feature = "git")]
        Arc::new(crate::Git),
        #[cfg(feature = "github")]
        Arc::new(crate::Github::over(outbound.clone())),
        #[cfg(feature = "gitlab")]
        Arc::new(crate::Gitlab::over(outbound.clone())),
        #[cfg(feature = "http")]
        Arc::new(crate::Http::over(outbound.clone())),
        #[cfg(feature = "llm")]
        Arc::new(crate::Llm::over(outbound.clone())),
        #[cfg(feature = "mcp")]
        Arc::new(crate::Mcp::over(outbound.clone())),
        Arc::new(crate::Notify),
        #[cfg(feature = "script")]
        Arc::new(crate::Script),
        Arc::new(crate::Signal),
        Arc::new(crate::Sleep),
    ]
}
