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
    known: &["name", "description", "inputs", "env", "steps", "outputs"],
    later: &[
        "budget",
        "concurrency",
        "deadline",
        "defaults",
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
    known: &["run", "uses", "with", "needs", "if", "env", "retry", "timeout", "effect", "sandbox"],
    later: &[
        "budget",
        "compensate",
        "concurrency",
        "continue-on-error",
        "deadline",
        "defaults",
        "evidence",
        "for_each",
        "labels",
        "paths",
        "permissions",
        "priority",
        "qa",
        "queue",
        "repeat",
        "secrets",
        "strategy",
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
