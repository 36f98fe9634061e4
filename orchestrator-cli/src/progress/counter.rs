//! How much has been done of something that takes long.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::output::Output;

/// How often the line is drawn anew at most, per second.
const HERTZ: u8 = 12;

/// One line at the foot of a terminal; nothing where nobody watches. It is gone with this.
#[derive(Debug)]
pub(crate) struct Counter {
    bar: ProgressBar,
}

impl Counter {
    /// Of nothing yet.
    pub(crate) fn new(output: &Output) -> Self {
        let shows = output.is_watched() && !output.is_quiet() && output.json().is_none();
        let target = match shows {
            true => ProgressDrawTarget::stderr_with_hz(HERTZ),
            false => ProgressDrawTarget::hidden(),
        };
        // The template is a constant that is known to be well formed.
        let look = ProgressStyle::with_template("{msg} {human_pos} of {human_len} ({eta})")
            .unwrap_or_else(|_| ProgressStyle::default_bar());
        Self { bar: ProgressBar::with_draw_target(None, target).with_style(look) }
    }

    /// So much has been done, of so much.
    pub(crate) fn set(&self, what: &'static str, done: u64, all: u64) {
        self.bar.set_message(what);
        self.bar.set_length(all);
        self.bar.set_position(done);
    }
}

impl Drop for Counter {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
