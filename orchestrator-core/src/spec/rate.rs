//! How many attempts that name the same key may begin within some time, over all runs of a project.

use std::time::Duration;

use crate::spec::expr::Template;

/// The most bytes of the key of a rate.
pub const MAX_RATE_KEY: usize = 200;

/// The most rates that one step keeps.
pub const MAX_RATES: usize = 8;

/// The shortest time that a rate is about.
pub const MIN_PER: Duration = Duration::from_millis(100);

/// The longest: 31 days.
pub const MAX_PER: Duration = Duration::from_secs(31 * 86_400);

/// One of the `rate:` of a step.
#[derive(Debug)]
pub struct Rate {
    /// Which attempts count together: of all runs of a project, those whose keys are equal and whose rates are about the same
    /// time. 1 to 200 bytes once rendered.
    pub key: Template,
    /// How many of them may begin within any such time; 1 to [`MAX_PLACES`](crate::spec::MAX_PLACES).
    pub limit: u32,
    /// The time, in whole milliseconds; [`MIN_PER`] to [`MAX_PER`].
    pub per: Duration,
}
