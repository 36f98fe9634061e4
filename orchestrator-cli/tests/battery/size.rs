//! How much is tried, by `ORCHESTRATOR_BATTERY`.

/// One of three sizes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Size {
    Smoke,
    Change,
    Release,
}

impl Size {
    /// What belongs to it of three.
    pub(crate) fn of<T>(self, [smoke, change, release]: [T; 3]) -> T {
        match self {
            Self::Smoke => smoke,
            Self::Change => change,
            Self::Release => release,
        }
    }
}

/// The size that somebody has asked for; `default` where nobody has.
pub(crate) fn asked(default: Size) -> Size {
    match std::env::var("ORCHESTRATOR_BATTERY").as_deref() {
        Err(_) | Ok("") => default,
        Ok("smoke") => Size::Smoke,
        Ok("change") => Size::Change,
        Ok("release") => Size::Release,
        Ok(other) => panic!("ORCHESTRATOR_BATTERY is smoke, change or release, not `{other}`"),
    }
}

/// A number that somebody has set, or another.
pub(crate) fn number<N: std::str::FromStr<Err: std::fmt::Display>>(name: &str, default: N) -> N {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|error| panic!("{name}={text}: {error}")),
        Err(_) => default,
    }
}
