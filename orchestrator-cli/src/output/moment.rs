//! Times and durations for people.

use std::time::Duration;

use orchestrator_core::time::Timestamp;

/// `12ms`, `1.2s`, `2m 03s`, `1h 02m`, `3d 4h`.
pub(crate) fn duration(span: Duration) -> String {
    let millis = span.as_millis();
    let seconds = span.as_secs();
    match seconds {
        0 => format!("{millis}ms"),
        1..=9 => format!("{}.{}s", seconds, millis % 1000 / 100),
        10..=59 => format!("{seconds}s"),
        60..=3599 => format!("{}m {:02}s", seconds / 60, seconds % 60),
        3600..=86_399 => format!("{}h {:02}m", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{}d {}h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

/// `3m 10s ago`, `in 20s`, `now`.
pub(crate) fn relative(at: Timestamp, now: Timestamp) -> String {
    let (past, future) = (now.since(at), at.since(now));
    if future >= Duration::from_secs(1) {
        format!("in {}", duration(rounded(future)))
    } else if past >= Duration::from_secs(1) {
        format!("{} ago", duration(rounded(past)))
    } else {
        "now".to_owned()
    }
}

/// The place of `at` on a run's own clock: `+0.012`, `+3.400`, `+2:03`.
pub(crate) fn offset(start: Timestamp, at: Timestamp) -> String {
    let span = at.since(start);
    let (seconds, millis) = (span.as_secs(), span.subsec_millis());
    match seconds {
        0..=59 => format!("+{seconds}.{millis:03}"),
        60..=3599 => format!("+{}:{:02}", seconds / 60, seconds % 60),
        _ => format!("+{}:{:02}:{:02}", seconds / 3600, seconds % 3600 / 60, seconds % 60),
    }
}

/// Whole seconds: nobody counts tenths of what is minutes away.
fn rounded(span: Duration) -> Duration {
    if span >= Duration::from_secs(10) { Duration::from_secs(span.as_secs()) } else { span }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_keep_two_places() {
        let shown: Vec<String> = [0, 12, 999, 1_250, 9_990, 59_900, 123_000, 3_720_000, 273_600_000]
            .into_iter()
            .map(|millis| duration(Duration::from_millis(millis)))
            .collect();
        assert_eq!(shown, ["0ms", "12ms", "999ms", "1.2s", "9.9s", "59s", "2m 03s", "1h 02m", "3d 4h"]);
    }

    #[test]
    fn times_are_told_from_now() {
        let now = Timestamp::from_millis(1_000_000);
        assert_eq!(relative(Timestamp::from_millis(1_000_400), now), "now");
        assert_eq!(relative(Timestamp::from_millis(1_020_000), now), "in 20s");
        assert_eq!(relative(Timestamp::from_millis(810_000), now), "3m 10s ago");
        assert_eq!(offset(now, Timestamp::from_millis(1_003_400)), "+3.400");
        assert_eq!(offset(now, Timestamp::from_millis(1_123_000)), "+2:03");
    }
}
