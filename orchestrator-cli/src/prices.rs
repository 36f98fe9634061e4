//! What language models cost, as the settings say it.

use std::path::Path;

use orchestrator_plugins::Prices;

use crate::exit::Exit;
use crate::output::Problem;
use crate::settings::{Origin, Settings};
use crate::source;

/// The longest table of prices that is read, in bytes (1 MiB).
const LIMIT: u64 = 1 << 20;

/// The table, which is empty where none is set and there is none in its usual place.
///
/// # Errors
/// Exit 4 if there is no such file, 3 if it is no table of prices.
pub(crate) fn read(settings: &Settings) -> Result<Prices, Problem> {
    let place = settings.prices();
    let path = Path::new(&place.value);
    if place.origin == Origin::Default && !path.exists() {
        return Ok(Prices::default());
    }
    let found = source::read(path, LIMIT, "table of prices")?;
    let text = String::from_utf8_lossy(&found.bytes);
    Prices::parse(&text).map_err(|why| {
        let title = format!("{}: {}", path.display(), why.trim_end());
        Problem::new(Exit::Invalid, "prices_invalid", title)
            .hint("a model and its price, in US dollars for a million tokens: `NAME: { input: 0.40, output: 1.60 }`")
    })
}
