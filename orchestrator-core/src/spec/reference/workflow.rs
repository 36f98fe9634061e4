//! The keys of the top level, and of what declares and defaults.

use crate::spec::reference::concurrency::CONCURRENCY;
use crate::spec::reference::form::{Form, Key, Section, reachable};
use crate::spec::reference::sandbox::SANDBOXES;
use crate::spec::reference::step::{EFFECTS, PERMISSIONS, RETRY, STEP, TIMEOUT};
use crate::spec::reference::triggers::ON;

/// The top level.
pub static WORKFLOW: Section = Section {
    name: "workflow",
    of: "a workflow",
    keys: &[
        Key::new(
            "name",
            Form::Title,
            "What the workflow is called: 1 to 100 letters, digits, `-`, `_`, `.` and single spaces.",
            "name: release-notes",
        )
        .without("the name of the file"),
        Key::new(
            "description",
            Form::Text,
            "What it is for.",
            "description: Writes notes about the latest commits.",
        ),
        Key::new(
            "inputs",
            Form::Named(&Form::Section(&INPUT)),
            "Values that a run is given, each with a name and a type.",
            "inputs: { count: { type: integer, default: 20 } }",
        ),
        Key::new(
            "env",
            Form::Environment,
            "Environment of every step; values may hold expressions over `inputs`.",
            "env: { LANG: C.UTF-8 }",
        ),
        Key::new(
            "defaults",
            Form::Section(&DEFAULTS),
            "What holds for every step that does not say otherwise.",
            "defaults: { timeout: 10m }",
        ),
        Key::new(
            "deadline",
            Form::Duration,
            "How long `steps` may take in all; a run that takes longer fails.",
            "deadline: 2h",
        )
        .without("as long as it takes"),
        Key::new(
            "concurrency",
            Form::Either(&[Form::Text, Form::Section(&CONCURRENCY)]),
            "How many runs of the same key may be under way at once, from their first step to their end; of a key alone, one.",
            "concurrency: { key: \"deploy-${{ run.workflow }}\", on_full: cancel_oldest }",
        )
        .without("as many as are started"),
        Key::new(
            "permissions",
            Form::Section(&PERMISSIONS),
            "What the plugins of its steps may do that not every step may.",
            "permissions: { network: [\"localhost:8080\"] }",
        )
        .without("nothing"),
        Key::new(
            "steps",
            Form::Named(&Form::Section(&STEP)),
            "The steps, at least one and at most 100,000; what a step is called is its key.",
            "steps: { hello: { run: echo hello, effect: pure } }",
        )
        .required(),
        Key::new(
            "on-failure",
            Form::Named(&Form::Section(&STEP)),
            "Steps that run when the run has failed.",
            "on-failure: { tell: { run: echo it failed, effect: pure } }",
        ),
        Key::new(
            "finally",
            Form::Named(&Form::Section(&STEP)),
            "Steps that run at the end, whatever came before.",
            "finally: { tidy: { run: rm -rf scratch, effect: idempotent } }",
        ),
        Key::new(
            "secrets",
            Form::List(&Form::Text, 0),
            "The names of the secrets that steps may use, as `${{ secrets.NAME }}`. Their values come from outside \
             of the workflow.",
            "secrets: [API_KEY]",
        ),
        Key::new(
            "on",
            Form::Section(&ON),
            "What starts runs of it, once it is registered.",
            "on: { schedule: [{ cron: \"0 9 * * 1-5\", zone: Europe/Berlin }] }",
        )
        .without("somebody who asks for one"),
        Key::new(
            "outputs",
            Form::Named(&Form::Value),
            "What the run gives, rendered when every step has ended and none has failed.",
            "outputs: { greeting: \"${{ steps.nothing.stdout }}\" }",
        ),
        Key::new(
            "budget",
            Form::Value,
            "What the run may spend in all.",
            "budget: { usd: 0.50, tokens: 50000 }",
        )
        .later(),
        Key::new("evidence", Form::Value, "What must hold for the run to have succeeded.", "evidence: {}")
            .later(),
        Key::new("labels", Form::Value, "Labels of every run.", "labels: { team: web }").later(),
        Key::new("paths", Form::Value, "What of the workspace the run reads and writes.", "paths: [src]")
            .later(),
        Key::new("priority", Form::Value, "Which run goes first where several wait.", "priority: 10").later(),
        Key::new("sandbox", Form::Text, "How scripts are confined.", "sandbox: none").later(),
    ],
    foreign: &[("jobs", "steps"), ("tasks", "steps"), ("params", "inputs"), ("parameters", "inputs")],
    elsewhere: &[
        ("queue", "a step, or `defaults`"),
        ("run", "a step"),
        ("uses", "a step"),
        ("with", "a step"),
        ("needs", "a step"),
        ("if", "a step"),
        ("retry", "a step"),
        ("timeout", "a step"),
        ("effect", "a step"),
    ],
    frame: "…\n",
    filler: ("steps: { nothing: { run: \"true\", effect: pure } }", &["steps"]),
};

/// The declaration of an input.
pub static INPUT: Section = Section {
    name: "input",
    of: "an input",
    keys: &[
        Key::new(
            "type",
            Form::Word(&["string", "integer", "number", "boolean", "array", "object", "any"]),
            "The type that a value must have.",
            "type: integer",
        )
        .required(),
        Key::new(
            "default",
            Form::Constant,
            "The value of a run that gives none; without it, the input must be given.",
            "{ type: integer, default: 20 }",
        ),
        Key::new("description", Form::Text, "What it is for.", "{ type: string, description: The address. }"),
        Key::new(
            "required",
            Form::Boolean,
            "Says again whether there is a default; it cannot say the contrary.",
            "{ type: string, required: true }",
        )
        .without("`true` if there is no `default`"),
    ],
    foreign: &[("value", "default"), ("desc", "description")],
    elsewhere: &[],
    frame: "name: example\ninputs:\n  example:\n    …\nsteps:\n  nothing: { run: \"true\", effect: pure }\n",
    filler: ("", &[]),
};

/// What holds for every step that does not say otherwise.
pub static DEFAULTS: Section = Section {
    name: "defaults",
    of: "`defaults`",
    keys: &[
        Key::new(
            "retry",
            Form::Section(&RETRY),
            "What happens after a failure.",
            "retry: { max_attempts: 3 }",
        ),
        Key::new(
            "timeout",
            Form::Either(&[Form::Duration, Form::Section(&TIMEOUT)]),
            "How long an attempt, or a wait, may take.",
            "timeout: 10m",
        ),
        Key::new(
            "deadline",
            Form::Duration,
            "How long a step may take, all attempts together.",
            "deadline: 1h",
        ),
        Key::new(
            "continue-on-error",
            Form::Boolean,
            "Whether the run goes on, and can complete, when a step has failed.",
            "continue-on-error: true",
        ),
        Key::new("effect", EFFECTS, "What a repetition of a step would do.", "effect: pure"),
        Key::new("sandbox", SANDBOXES, "How scripts are confined.", "sandbox: { network: true }"),
        Key::new("queue", Form::Text, "Which workers execute the steps.", "queue: gpu"),
        Key::new(
            "labels",
            Form::Labels,
            "What the workers that execute them must have.",
            "labels: { zone: eu }",
        ),
    ],
    foreign: &[("retries", "retry")],
    elsewhere: &[("env", "the workflow"), ("run", "a step"), ("uses", "a step"), ("with", "a step")],
    frame: "name: example\ndefaults:\n  …\nsteps:\n  nothing: { run: \"true\", effect: pure }\n",
    filler: ("", &[]),
};

/// Every section whose keys can stand in a workflow today, from the top down, each once.
#[must_use]
pub fn sections() -> Vec<&'static Section> {
    reachable(&WORKFLOW)
}
