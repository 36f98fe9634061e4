//! Which plugins there are.

use std::sync::Arc;

use orchestrator_core::port::plugin::Plugin;

/// Every plugin of this crate that is enabled, sorted by kind. Making them starts nothing: the HTTP client, for one,
/// is built when a step first needs it.
#[must_use]
pub fn builtin() -> Vec<Arc<dyn Plugin>> {
    vec![
        Arc::new(crate::Approval),
        #[cfg(feature = "http")]
        Arc::new(crate::Http::default()),
        #[cfg(feature = "llm")]
        Arc::new(crate::Llm::default()),
        Arc::new(crate::Notify),
        #[cfg(feature = "script")]
        Arc::new(crate::Script),
        Arc::new(crate::Signal),
        Arc::new(crate::Sleep),
    ]
}
