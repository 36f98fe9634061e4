//! The keys of a step, and of what stands in it.

use crate::spec::reference::concurrency::CONCURRENCY;
use crate::spec::reference::form::{Form, Key, Section};
use crate::spec::reference::paths::PATHS;
use crate::spec::reference::rate::RATE;
use crate::spec::reference::sandbox::SANDBOXES;
use crate::spec::reference::strategy::{ITEMS, STRATEGY};
use crate::spec::retry::MAX_ATTEMPTS;

/// What a repetition would do, from the least to the most dangerous.
pub(super) const EFFECTS: Form = Form::Word(&["pure", "idempotent", "at_most_once"]);

/// Why an attempt failed.
const CLASSES: Form = Form::Word(&[
    "failed",
    "transient",
    "timeout",
    "rate_limited",
    "invalid",
    "denied",
    "template",
    "plugin_panicked",
    "lost",
    "evidence",
    "qa",
    "cancelled",
]);

/// A step.
pub static STEP: Section = Section {
    name: "step",
    of: "a step",
    keys: &[
        Key::new(
            "run",
            Form::Script,
            "A script, for bash unless `with: { shell: … }` says otherwise. It holds no `${{ }}`: values reach it through `env`, `args` or `stdin`.",
            "run: git log --oneline -n \"$COUNT\"",
        ),
        Key::new(
            "uses",
            Form::Kind,
            "The plugin that executes it; a step has exactly one of `run` and `uses`.",
            "{ uses: sleep, with: { for: 10s } }",
        ),
        Key::new(
            "with",
            Form::With,
            "What the plugin is given, checked against its schema; texts may hold expressions.",
            "with: { shell: sh, args: [1, two] }",
        ),
        Key::new(
            "needs",
            Form::Either(&[Form::StepName, Form::List(&Form::StepName, 0)]),
            "Steps that must have ended before this one begins.",
            "needs: [before]",
        )
        .without("it begins at once"),
        Key::new("if", Form::Condition, "Whether it runs, with or without `${{ }}`.", "if: failure()")
            .without("`success()`"),
        Key::new(
            "for_each",
            ITEMS,
            "Runs the step once for each item of a list, which its `with` and `env` see as `item` and `index`.",
            "for_each: [a, b, c]",
        )
        .without("it runs once"),
        Key::new(
            "strategy",
            Form::Section(&STRATEGY),
            "Runs the step once for each combination of values, or bounds how many items are open at once.",
            "strategy: { matrix: { os: [linux, macos] }, max-parallel: 2 }",
        ),
        Key::new(
            "repeat",
            Form::Section(&REPEAT),
            "Runs the step again until a condition holds; each time is an attempt of its own.",
            "repeat: { until: self.exit_code == 0, max: 10, delay: 5s }",
        ),
        Key::new(
            "evidence",
            Form::Section(&EVIDENCE),
            "What must hold when an attempt has succeeded; else it has failed with class `evidence`.",
            "evidence: { files: [report.html] }",
        ),
        Key::new(
            "qa",
            Form::Either(&[Form::Boolean, Form::Section(&QA)]),
            "Whether someone must pass what the step gives before that counts: until then it is `needs_qa`.",
            "qa: { message: \"Is the draft good?\", show: \"${{ self.stdout }}\" }",
        )
        .without("`false`"),
        Key::new(
            "env",
            Form::Environment,
            "Environment of the step; wins over the workflow's.",
            "env: { COUNT: \"${{ run.id }}\" }",
        ),
        Key::new(
            "retry",
            Form::Section(&RETRY),
            "What happens after a failure.",
            "retry: { max_attempts: 5, initial: 2s }",
        )
        .without("it is not repeated"),
        Key::new(
            "timeout",
            Form::Either(&[Form::Duration, Form::Section(&TIMEOUT)]),
            "How long each attempt, or the wait of a waiting step, may take.",
            "timeout: 2m",
        )
        .without("as long as it takes"),
        Key::new(
            "deadline",
            Form::Duration,
            "How long the step may take in all, from its first beginning: attempts, waits, repetitions and items together.",
            "deadline: 1h",
        )
        .without("as long as it takes"),
        Key::new(
            "compensate",
            Form::Section(&COMPENSATE),
            "What undoes the step, when the run fails after it.",
            "compensate: { run: echo undone, effect: idempotent }",
        )
        .without("nothing undoes it"),
        Key::new(
            "continue-on-error",
            Form::Boolean,
            "Whether the run goes on, and can complete, when the step has failed.",
            "continue-on-error: true",
        )
        .without("`false`"),
        Key::new(
            "effect",
            EFFECTS,
            "What a repetition would do; decides what happens after a crash.",
            "effect: pure",
        )
        .without("what the plugin says"),
        Key::new(
            "permissions",
            Form::Section(&PERMISSIONS),
            "What the plugin may do that not every step may; replaces what the workflow says, also for `compensate`.",
            "{ uses: sleep, with: { for: 1s }, permissions: { network: [\"localhost:8080\"] } }",
        )
        .without("what the workflow says"),
        Key::new(
            "sandbox",
            SANDBOXES,
            "How a script is confined: [the sandbox](sandbox.md).",
            "sandbox: { network: true }",
        )
        .without("`strict`"),
        Key::new("queue", Form::Text, "Which workers execute it: [a fleet](fleet.md).", "queue: gpu").without("`default`"),
        Key::new(
            "labels",
            Form::Labels,
            "What the workers that execute it must have.",
            "labels: { zone: eu }",
        ),
        Key::new(
            "concurrency",
            Form::Either(&[Form::Text, Form::Section(&CONCURRENCY)]),
            "How many attempts that name the same key may be executed at once, over all runs of the project.",
            "concurrency: { key: deploy, limit: 1 }",
        ),
        Key::new(
            "rate",
            Form::Either(&[Form::Section(&RATE), Form::List(&Form::Section(&RATE), 1)]),
            "How many attempts that name the same key may begin within some time, over all runs of the project.",
            "rate: { key: some-api, limit: 10, per: 1m }",
        ),
        Key::new(
            "paths",
            Form::Either(&[Form::Text, Form::List(&Form::Text, 0), Form::Section(&PATHS)]),
            "What of a workspace it reads and writes: what one writes, no other reads or writes meanwhile. A plain list is written.",
            "paths: [src]",
        ),
        Key::new("budget", Form::Value, "What the step may spend.", "budget: { usd: 0.10 }").later(),
        Key::new("priority", Form::Value, "Which step goes first where several wait.", "priority: 10")
            .later(),
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
        ("review", "qa"),
        ("with_items", "for_each"),
        ("foreach", "for_each"),
        ("map", "for_each"),
        ("ignore_errors", "continue-on-error"),
        ("rate_limit", "rate"),
        ("rate-limit", "rate"),
        ("throttle", "rate"),
    ],
    elsewhere: &[
        ("inputs", "the workflow"),
        ("outputs", "the workflow"),
        ("steps", "the workflow"),
        ("description", "the workflow"),
        ("on-failure", "the workflow"),
        ("finally", "the workflow"),
        ("defaults", "the workflow"),
        ("secrets", "the workflow"),
        ("matrix", "`strategy`"),
        ("max-parallel", "`strategy`"),
        ("max_attempts", "`retry`"),
        ("backoff", "`retry`"),
        ("after", "`timeout`"),
        ("then", "`timeout`"),
    ],
    frame: "name: example\nsteps:\n  before: { run: \"true\", effect: pure }\n  example:\n    …\n",
    filler: ("run: echo hello", &["run", "uses"]),
};

/// What happens after a failure.
pub static RETRY: Section = Section {
    name: "retry",
    of: "`retry`",
    keys: &[
        Key::new(
            "max_attempts",
            Form::Whole(1, MAX_ATTEMPTS),
            "How many attempts there are at most, the first included.",
            "max_attempts: 5",
        )
        .without("`3`"),
        Key::new(
            "backoff",
            Form::Word(&["fixed", "exponential"]),
            "Whether the wait stays the same or doubles each time.",
            "backoff: fixed",
        )
        .without("`exponential`"),
        Key::new("initial", Form::Duration, "The first wait; `0s` is allowed.", "initial: 500ms")
            .without("`1s`"),
        Key::new("max", Form::Duration, "The longest wait.", "max: 5m").without("`60s`"),
        Key::new(
            "on",
            Form::Either(&[CLASSES, Form::List(&CLASSES, 1)]),
            "The classes of errors that are retried.",
            "on: [transient, rate_limited, timeout]",
        )
        .without("what may pass by itself: `failed`, `transient`, `timeout`, `rate_limited`, `lost`, `evidence`, `qa`"),
    ],
    foreign: &[
        ("attempts", "max_attempts"),
        ("delay", "initial"),
        ("interval", "initial"),
        ("max_delay", "max"),
    ],
    elsewhere: &[],
    frame: "name: example\nsteps:\n  example:\n    run: echo hello\n    retry:\n      …\n",
    filler: ("", &[]),
};

/// How long an attempt or a wait may take.
pub static TIMEOUT: Section = Section {
    name: "timeout",
    of: "`timeout`",
    keys: &[
        Key::new("after", Form::Duration, "The bound; more than nothing.", "{ after: 24h }").required(),
        Key::new(
            "then",
            Form::Word(&["fail", "reject", "approve"]),
            "What silence means to an approval, or to `qa`.",
            "{ after: 24h, then: reject }",
        )
        .without("`fail`"),
    ],
    foreign: &[],
    elsewhere: &[],
    frame: "name: example\nsteps:\n  example:\n    uses: approval\n    with: { message: \"Publish?\" }\n    timeout:\n      …\n",
    filler: ("", &[]),
};

/// What undoes a step.
pub static COMPENSATE: Section = Section {
    name: "compensate",
    of: "`compensate`",
    keys: &[
        Key::new("run", Form::Script, "A script, as in a step.", "run: echo undone"),
        Key::new("uses", Form::Kind, "The plugin, as in a step.", "{ uses: sleep, with: { for: 1s } }"),
        Key::new(
            "with",
            Form::With,
            "What the plugin is given; expressions see what the step gave as `self`, and all that the step could see.",
            "{ run: echo undone, with: { shell: sh } }",
        ),
        Key::new(
            "env",
            Form::Environment,
            "Environment of the compensation.",
            "{ run: echo undone, env: { CODE: \"${{ self.exit_code }}\" } }",
        ),
        Key::new(
            "if",
            Form::Condition,
            "Whether there is something to undo.",
            "{ run: echo undone, if: self.exit_code == 0 }",
        ),
        Key::new(
            "retry",
            Form::Section(&RETRY),
            "What happens after a failure.",
            "{ run: echo undone, retry: { max_attempts: 5 } }",
        )
        .without("it is not repeated"),
        Key::new(
            "timeout",
            Form::Either(&[Form::Duration, Form::Section(&TIMEOUT)]),
            "How long each attempt may take.",
            "{ run: echo undone, timeout: 1m }",
        )
        .without("as long as it takes"),
        Key::new(
            "deadline",
            Form::Duration,
            "How long it may take in all, from its first attempt.",
            "{ run: echo undone, deadline: 1h }",
        )
        .without("as long as it takes"),
        Key::new(
            "continue-on-error",
            Form::Boolean,
            "Whether what came before the step is still undone when this has failed.",
            "{ run: echo undone, continue-on-error: true }",
        )
        .without("`false`"),
        Key::new(
            "effect",
            EFFECTS,
            "What a repetition would do.",
            "{ run: echo undone, effect: idempotent }",
        )
        .without("the plugin's word; a script is `at_most_once`"),
        Key::new("sandbox", SANDBOXES, "How a script is confined.", "{ run: echo undone, sandbox: none }"),
        Key::new("queue", Form::Text, "Which workers execute it.", "{ run: echo undone, queue: gpu }")
            .without("`default`"),
        Key::new(
            "labels",
            Form::Labels,
            "What the workers that execute it must have.",
            "{ run: echo undone, labels: { zone: eu } }",
        ),
    ],
    foreign: &[("retries", "retry"), ("condition", "if"), ("when", "if")],
    elsewhere: &[("needs", "a step"), ("for_each", "a step"), ("compensate", "a step")],
    frame: "name: example\nsteps:\n  example:\n    run: echo done\n    compensate:\n      …\n",
    filler: ("run: echo undone", &["run", "uses"]),
};

/// What a step may do that not every step may.
pub static PERMISSIONS: Section = Section {
    name: "permissions",
    of: "`permissions`",
    keys: &[Key::new(
        "network",
        Form::List(&Form::Destination, 0),
        "What may be reached beyond the public internet: `HOST:PORT` each, where the host is a name, an address or a network, and the port may be `*`.",
        "{ network: [\"localhost:8080\", \"127.0.0.1:*\", \"[::1]:8080\", \"10.0.0.0/8:443\"] }",
    )
    .without("nothing")],
    foreign: &[("hosts", "network"), ("net", "network"), ("urls", "network"), ("egress", "network")],
    elsewhere: &[("secrets", "the workflow"), ("paths", "the workflow")],
    frame: "name: example\nsteps:\n  example:\n    run: echo hello\n    permissions:\n      …\n",
    filler: ("", &[]),
};

/// How often a step is run again.
pub static REPEAT: Section = Section {
    name: "repeat",
    of: "`repeat`",
    keys: &[
        Key::new(
            "until",
            Form::Condition,
            "The condition that ends it; it sees the output of this time as `self`.",
            "{ until: self.exit_code == 0, max: 3 }",
        )
        .required(),
        Key::new(
            "max",
            Form::Whole(1, 1_000_000),
            "How many times at most; the step fails then.",
            "{ until: \"true\", max: 3 }",
        )
        .required(),
        Key::new(
            "delay",
            Form::Duration,
            "The wait between two times.",
            "{ until: \"true\", max: 3, delay: 5s }",
        )
        .without("`0s`"),
    ],
    foreign: &[],
    elsewhere: &[],
    frame: "name: example\nsteps:\n  example:\n    run: echo hello\n    repeat:\n      …\n",
    filler: ("", &[]),
};

/// What must hold of a success.
pub static EVIDENCE: Section = Section {
    name: "evidence",
    of: "`evidence`",
    keys: &[
        Key::new(
            "files",
            Form::Either(&[Form::Script, Form::List(&Form::Script, 0)]),
            "Files that must be there and hold something, below the folder of the run; `*`, `?` and `**` are patterns.",
            "{ files: [report.md, \"out/*.json\"] }",
        ),
        Key::new(
            "output",
            Form::Constant,
            "What the output must be, as a JSON Schema.",
            "{ output: { required: [stdout], properties: { stdout: { minLength: 1 } }, additionalProperties: true } }",
        ),
        Key::new(
            "diff",
            Form::Word(&["nonempty", "empty"]),
            "Whether the attempt must have changed the git repository in which it works, or must not have.",
            "{ diff: nonempty }",
        ),
    ],
    foreign: &[("artifacts", "files"), ("file", "files"), ("schema", "output")],
    elsewhere: &[],
    frame: "name: example\nsteps:\n  example:\n    run: echo hello\n    evidence:\n      …\n",
    filler: ("", &[]),
};

/// Who must pass what a step gives.
pub static QA: Section = Section {
    name: "qa",
    of: "`qa`",
    keys: &[
        Key::new(
            "message",
            Form::Text,
            "What is to be judged; expressions see the output as `self`, and nothing else.",
            "{ message: \"Are these ${{ self.stdout | length }} letters good?\" }",
        )
        .without("`Is this good?`"),
        Key::new(
            "show",
            Form::Text,
            "What the judge is shown; expressions see the output as `self`, and nothing else.",
            "{ show: \"${{ self.stdout }}\" }",
        )
        .without("the whole output"),
        Key::new(
            "timeout",
            Form::Either(&[Form::Duration, Form::Section(&TIMEOUT)]),
            "How long the judge may take.",
            "{ timeout: { after: 24h, then: reject } }",
        )
        .without("as long as it takes"),
    ],
    foreign: &[("prompt", "message"), ("question", "message")],
    elsewhere: &[("comment", "`orchestrator runs qa`"), ("retry", "a step")],
    frame: "name: example\nsteps:\n  example:\n    run: echo hello\n    qa:\n      …\n",
    filler: ("", &[]),
};
