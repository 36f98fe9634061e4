//! The statements that write a batch, in the order in which they run.
//!
//! First the runs, with every check of their members in the conditions: if one of them does not hold, fewer rows are
//! written than were given, and the whole text fails. So the other statements need no checks. No statement needs what
//! another of the same batch has written.

use crate::script::Kind::{Digest, Id, Int, Text};
use crate::script::{Condition, Section, Verb};

pub(crate) const UPDATE_RUNS: usize = 0;
pub(crate) const INSERT_RUNS: usize = 1;
pub(crate) const KEYS: usize = 2;
pub(crate) const REVISIONS: usize = 3;
pub(crate) const EVENTS: usize = 4;
pub(crate) const STEPS: usize = 5;
pub(crate) const OUTPUTS: usize = 6;
pub(crate) const DECISIONS: usize = 7;
pub(crate) const APPROVALS: usize = 8;
pub(crate) const LOGS: usize = 9;
/// How many sections there are.
pub(crate) const COUNT: usize = 10;

/// No member may assert the death of an owner that is not known to be dead.
const ASSERTED_DEAD: Condition = Condition {
    head: " AND NOT EXISTS (SELECT 1 FROM ",
    columns: &[Id, Id],
    tail: " AS d LEFT JOIN orchestrator_owners AS o ON o.id = d.column2 \
           WHERE d.column1 = v.column1 AND (o.dead IS NULL OR o.dead = 0))",
};

pub(crate) static SECTIONS: [Section; COUNT] = [
    Section {
        verb: Verb::Update,
        head: "orchestrator_runs SET seq = v.column5, status = v.column6, intent = v.column7, generation = v.column8, driver = v.column9, driver_epoch = v.column10, due_at = v.column11, updated_at = v.column12, started_at = v.column13, finished_at = v.column14, outputs = v.column15, error = v.column16, done = v.column17 FROM ",
        columns: &[Id, Int, Id, Int, Int, Text, Text, Int, Id, Int, Int, Int, Int, Int, Text, Text, Int],
        tail: " AS v WHERE orchestrator_runs.id = v.column1 AND orchestrator_runs.seq = v.column2 AND (v.column3 IS NULL OR (orchestrator_runs.driver = v.column3 AND orchestrator_runs.driver_epoch = v.column4))",
        checked: true,
        condition: Some(ASSERTED_DEAD),
        locks: Some("orchestrator_runs"),
    },
    Section {
        verb: Verb::Insert,
        head: "orchestrator_runs (id, project, workflow, revision, inputs, labels, priority, created_by, step_count, start_key, start_content, created_at, seq, status, intent, generation, driver, driver_epoch, due_at, updated_at, started_at, finished_at, outputs, error, done, parent_run, parent_step, parent_item, root_run) SELECT * FROM ",
        columns: &[
            Id, Text, Text, Digest, Text, Text, Int, Text, Int, Text, Digest, Int, Int, Text, Text, Int, Id,
            Int, Int, Int, Int, Int, Text, Text, Int, Id, Int, Int, Id,
        ],
        tail: " AS v WHERE v.column1 IS NOT NULL",
        checked: true,
        condition: Some(ASSERTED_DEAD),
        locks: None,
    },
    Section {
        verb: Verb::Insert,
        head: "orchestrator_dedupe (scope, key, digest, answer, created_at) SELECT * FROM ",
        columns: &[Text, Text, Digest, Id, Int],
        tail: " AS v WHERE v.column1 IS NOT NULL ORDER BY v.column1, v.column2",
        checked: true,
        condition: None,
        locks: None,
    },
    Section {
        verb: Verb::Insert,
        head: "orchestrator_revisions (digest, text, created_at) SELECT * FROM ",
        columns: &[Digest, Text, Int],
        tail: " AS v WHERE v.column1 IS NOT NULL ORDER BY v.column1 ON CONFLICT (digest) DO NOTHING",
        checked: false,
        condition: None,
        locks: None,
    },
    Section {
        verb: Verb::Insert,
        head: "orchestrator_events (run, seq, at, kind, step, transition, body) SELECT * FROM ",
        columns: &[Id, Int, Int, Text, Int, Id, Text],
        tail: " AS v WHERE v.column1 IS NOT NULL",
        checked: false,
        condition: None,
        locks: None,
    },
    Section {
        verb: Verb::Insert,
        head: "orchestrator_steps (run, step, item, name, status, attempts, epoch, owner, effect, due_at, started_at, finished_at, output, error) SELECT * FROM ",
        columns: &[Id, Int, Int, Text, Text, Int, Int, Id, Text, Int, Int, Int, Text, Text],
        tail: " AS v WHERE v.column1 IS NOT NULL ON CONFLICT (run, step, item) DO UPDATE SET name = excluded.name, status = excluded.status, attempts = excluded.attempts, epoch = excluded.epoch, owner = excluded.owner, effect = excluded.effect, due_at = excluded.due_at, started_at = excluded.started_at, finished_at = excluded.finished_at, output = excluded.output, error = excluded.error",
        checked: false,
        condition: None,
        locks: None,
    },
    Section {
        verb: Verb::Insert,
        head: "orchestrator_outputs (run, digest, body) SELECT * FROM ",
        columns: &[Id, Digest, Text],
        tail: " AS v WHERE v.column1 IS NOT NULL ON CONFLICT (run, digest) DO NOTHING",
        checked: false,
        condition: None,
        locks: None,
    },
    Section {
        verb: Verb::Insert,
        head: "orchestrator_decisions (run, id, step, item, verdict, policy, rule, reason, input, at) SELECT * FROM ",
        columns: &[Id, Id, Int, Int, Text, Text, Text, Text, Digest, Int],
        tail: " AS v WHERE v.column1 IS NOT NULL",
        checked: false,
        condition: None,
        locks: None,
    },
    Section {
        verb: Verb::Insert,
        head: "orchestrator_approvals (run, step, item, attempt, name, digest, message, shown, status, asked_at, expires_at, decided_at, decided_by, via, comment) SELECT * FROM ",
        columns: &[Id, Int, Int, Int, Text, Digest, Text, Text, Text, Int, Int, Int, Text, Text, Text],
        tail: " AS v WHERE v.column1 IS NOT NULL ON CONFLICT (run, step, item, attempt) DO UPDATE SET name = excluded.name, digest = excluded.digest, message = excluded.message, shown = excluded.shown, status = excluded.status, asked_at = excluded.asked_at, expires_at = excluded.expires_at, decided_at = excluded.decided_at, decided_by = excluded.decided_by, via = excluded.via, comment = excluded.comment",
        checked: false,
        condition: None,
        locks: None,
    },
    Section {
        verb: Verb::Insert,
        head: "orchestrator_logs (run, number, step, item, attempt, stream, at, text) SELECT v.column1, coalesce((SELECT max(l.number) FROM orchestrator_logs AS l WHERE l.run = v.column1), 0) + row_number() OVER (PARTITION BY v.column1 ORDER BY v.column2), v.column3, v.column4, v.column5, v.column6, v.column7, v.column8 FROM ",
        columns: &[Id, Int, Int, Int, Int, Text, Int, Text],
        tail: " AS v WHERE v.column1 IS NOT NULL",
        checked: false,
        condition: None,
        locks: None,
    },
];
