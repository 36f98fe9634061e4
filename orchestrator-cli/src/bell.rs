//! The queue by which processes ring for each other, beside the store that they share.

use std::sync::Arc;

use orchestrator_core::port::queue::{Queue, QueueError};

use crate::exit::Exit;
use crate::output::Problem;
use crate::settings::Settings;
use crate::store::masked;

/// The value of `bell` that means none.
pub(crate) const NO_BELL: &str = "none";

/// Says what a value of `bell` should have been.
pub(crate) fn check(value: &str) -> Result<(), String> {
    if value == NO_BELL {
        return Ok(());
    }
    connect(value).map(drop)
}

/// The queue of the settings; nobody is asked for yet.
///
/// # Errors
/// Exit 2 if it cannot be used.
pub(crate) fn open(settings: &Settings) -> Result<Option<Arc<dyn Queue>>, Problem> {
    let Some(bell) = settings.bell() else { return Ok(None) };
    let wrong = |why| {
        Problem::new(Exit::Usage, "config_invalid", format!("bell: {why}, not `{}`", masked(&bell.value)))
    };
    connect(&bell.value).map(Some).map_err(wrong)
}

#[cfg(feature = "redis")]
fn connect(url: &str) -> Result<Arc<dyn Queue>, String> {
    use orchestrator_redis::{Options, RedisQueue};
    match RedisQueue::open(url, Options::default()) {
        Ok(queue) => Ok(Arc::new(queue)),
        Err(_) => Err("expected none, redis://HOST:PORT/DATABASE or unix:///PATH".to_owned()),
    }
}

#[cfg(not(feature = "redis"))]
fn connect(_: &str) -> Result<Arc<dyn Queue>, String> {
    Err("expected none: this program was built without Redis".to_owned())
}

/// A queue's failure as a problem.
pub(crate) fn of_error(error: &QueueError) -> Problem {
    match error {
        QueueError::Invalid(why) => Problem::new(Exit::Invalid, "letter_invalid", why.clone()),
        error => Problem::new(Exit::Unavailable, "bell_unavailable", error.to_string()),
    }
}
