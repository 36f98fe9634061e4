//! The keys of the language, level by level.

/// The keys of one level.
#[derive(Debug)]
pub(super) struct Keys {
    /// What the level is called in messages.
    pub(super) of: &'static str,
    /// Keys that are read.
    pub(super) known: &'static [&'static str],
    /// Keys that the language will have; refused until then.
    pub(super) later: &'static [&'static str],
    /// Words of other languages, and what they are called here.
    pub(super) foreign: &'static [(&'static str, &'static str)],
    /// Keys of other levels, and where they belong.
    pub(super) elsewhere: &'static [(&'static str, &'static str)],
}

pub(super) const WORKFLOW: Keys = Keys {
    of: "a workflow",
    known: &["name", "description", "inputs", "env", "defaults", "steps", "outputs"],
    later: &[
        "budget",
        "concurrency",
        "deadline",
        "evidence",
        "finally",
        "labels",
        "on",
        "on-failure",
        "paths",
        "permissions",
        "priority",
        "queue",
        "sandbox",
        "secrets",
    ],
    foreign: &[("jobs", "steps"), ("tasks", "steps"), ("params", "inputs"), ("parameters", "inputs")],
    elsewhere: &[
        ("run", "a step"),
        ("uses", "a step"),
        ("with", "a step"),
        ("needs", "a step"),
        ("if", "a step"),
        ("retry", "a step"),
        ("timeout", "a step"),
        ("effect", "a step"),
    ],
};

pub(super) const STEP: Keys = Keys {
    of: "a step",
    known: &[
        "run",
        "uses",
        "with",
        "needs",
        "if",
        "for_each",
        "strategy",
        "env",
        "retry",
        "timeout",
        "continue-on-error",
        "effect",
        "sandbox",
    ],
    later: &[
        "budget",
        "compensate",
        "concurrency",
        "deadline",
        "evidence",
        "labels",
        "paths",
        "permissions",
        "priority",
        "qa",
        "queue",
        "repeat",
        "secrets",
    ],
    foreign: &[
        ("depends_on", "needs"),
        ("depends", "needs"),
        ("when", "if"),
        ("condition", "if"),
        ("command", "run"),
        ("script", "run"),
        ("shell", "run"),
        ("plugin", "uses"),
        ("type", "uses"),
        ("args", "with"),
        ("config", "with"),
        ("params", "with"),
        ("environment", "env"),
        ("with_items", "for_each"),
        ("foreach", "for_each"),
        ("map", "for_each"),
        ("ignore_errors", "continue-on-error"),
        ("retries", "retry"),
        ("timeout-minutes", "timeout"),
    ],
    elsewhere: &[
        ("inputs", "the workflow"),
        ("outputs", "the workflow"),
        ("steps", "the workflow"),
        ("description", "the workflow"),
        ("on-failure", "the workflow"),
        ("finally", "the workflow"),
        ("defaults", "the workflow"),
        ("matrix", "`strategy`"),
        ("max-parallel", "`strategy`"),
        ("max_attempts", "`retry`"),
        ("backoff", "`retry`"),
        ("after", "`timeout`"),
        ("then", "`timeout`"),
    ],
};

pub(super) const INPUT: Keys = Keys {
    of: "an input",
    known: &["type", "default", "description", "required"],
    later: &[],
    foreign: &[("value", "default"), ("desc", "description")],
    elsewhere: &[],
};

pub(super) const RETRY: Keys = Keys {
    of: "`retry`",
    known: &["max_attempts", "backoff", "initial", "max", "on"],
    later: &[],
    foreign: &[
        ("attempts", "max_attempts"),
        ("delay", "initial"),
        ("interval", "initial"),
        ("max_delay", "max"),
    ],
    elsewhere: &[],
};

pub(super) const TIMEOUT: Keys =
    Keys { of: "`timeout`", known: &["after", "then"], later: &[], foreign: &[], elsewhere: &[] };

pub(super) const STRATEGY: Keys = Keys {
    of: "`strategy`",
    known: &["matrix", "max-parallel"],
    later: &["fail-fast"],
    foreign: &[
        ("parallel", "max-parallel"),
        ("concurrency", "max-parallel"),
        ("max_parallelism", "max-parallel"),
    ],
    elsewhere: &[("for_each", "a step")],
};

pub(super) const DEFAULTS: Keys = Keys {
    of: "`defaults`",
    known: &["retry", "timeout", "effect", "sandbox", "continue-on-error"],
    later: &["deadline"],
    foreign: &[("retries", "retry")],
    elsewhere: &[("env", "the workflow"), ("run", "a step"), ("uses", "a step"), ("with", "a step")],
};
