//! The statements that write a batch, in the order in which they run.
//!
//! First the runs, with every check of their members in the conditions: if one of them does not hold, fewer rows are
//! written than were given, and the whole text fails. So the other statements need no checks. No statement needs what
//! another of the same batch has written, but for offers, which take the places of those that are deleted.

use crate::script::Kind::{self, Digest, Id, Int, Text};
use crate::script::{Check, Condition, Lock, Section, Verb};

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
pub(crate) const WITHDRAW: usize = 10;
pub(crate) const TAKE_OFFERS: usize = 11;
pub(crate) const TAKE_RESULTS: usize = 12;
pub(crate) const STOPS: usize = 13;
pub(crate) const OFFERS: usize = 14;
pub(crate) const MOVE_KEYS: usize = 15;
pub(crate) const NEW_KEYS: usize = 16;
pub(crate) const RELEASE: usize = 17;
pub(crate) const HOLD: usize = 18;
pub(crate) const LEAVE: usize = 19;
pub(crate) const WAIT: usize = 20;
/// The others are not of members.
pub(crate) const DELIVER: usize = 21;
pub(crate) const LOSE: usize = 22;
pub(crate) const CLAIM: usize = 23;
/// How many sections there are.
pub(crate) const COUNT: usize = 24;

/// The condition about deaths that are asserted.
pub(crate) const ASSERTED_DEAD: usize = 0;
/// The condition of members that take offers back.
pub(crate) const CLAIMED: usize = 1;

/// No member may assert the death of an owner that is not known to be dead.
const OF_DEATHS: Condition = Condition {
    head: " AND NOT EXISTS (SELECT 1 FROM ",
    columns: &[Id, Id],
    tail: " AS d LEFT JOIN orchestrator_owners AS o ON o.id = d.column2 \
           WHERE d.column1 = v.column1 AND (o.dead IS NULL OR o.dead = 0))",
};

/// The row of an offer, which whoever claims it, delivers for it or takes it back changes one after the other.
pub(crate) const OFFER: Lock = Lock {
    table: "orchestrator_offers",
    on: "t.run = v.column1 AND t.step = v.column2 AND t.item = v.column3 AND t.generation = v.column4 \
         AND t.iteration = v.column5 AND t.attempt = v.column6 AND t.epoch = v.column7",
    order: "v.column1, v.column2, v.column3",
};

/// The row of a key. What becomes of its places is reckoned beforehand, from what is found: it counts only while nobody else
/// has changed that.
const KEY: Lock = Lock {
    table: "orchestrator_keys",
    on: "t.project = v.column1 AND t.key = v.column2",
    order: "v.column1, v.column2",
};

/// The columns of a ticket.
pub(crate) const TICKET: [Kind; 7] = [Id, Int, Int, Int, Int, Int, Int];

/// No member may take back what somebody has claimed.
const OF_CLAIMS: Condition = Condition {
    head: " AND NOT EXISTS (SELECT 1 FROM ",
    columns: &TICKET,
    tail: " AS w JOIN orchestrator_offers AS o ON o.run = w.column1 AND o.step = w.column2 AND o.item = w.column3 \
           AND o.generation = w.column4 AND o.iteration = w.column5 AND o.attempt = w.column6 AND o.epoch = w.column7 \
           WHERE w.column1 = v.column1 AND o.owner IS NOT NULL)",
};

/// How a claimed attempt has ended: with what its claim says of it.
const RESULT: &str = "orchestrator_inbox (run, step, item, generation, iteration, attempt, epoch, owner, at, body, claimed_at) SELECT v.*, o.claimed_at FROM ";

const RESULT_COLUMNS: [Kind; 10] = [Id, Int, Int, Int, Int, Int, Int, Id, Int, Text];

const OF_CLAIM: &str = " AS v JOIN orchestrator_offers AS o ON o.run = v.column1 AND o.step = v.column2 AND o.item = v.column3 \
                        AND o.generation = v.column4 AND o.iteration = v.column5 AND o.attempt = v.column6 \
                        AND o.epoch = v.column7 AND o.owner = v.column8 WHERE true ON CONFLICT DO NOTHING";

pub(crate) static SECTIONS: [Section; COUNT] = [
    Section {
        checked: Check::AsGiven,
        conditions: &[OF_DEATHS, OF_CLAIMS],
        locks: Some(Lock { table: "orchestrator_runs", on: "t.id = v.column1", order: "v.column1" }),
        ..Section::new(
            Verb::Update,
            "orchestrator_runs SET seq = v.column5, status = v.column6, intent = v.column7, generation = v.column8, driver = v.column9, driver_epoch = v.column10, due_at = v.column11, updated_at = v.column12, started_at = v.column13, finished_at = v.column14, outputs = v.column15, error = v.column16, done = v.column17 FROM ",
            &[Id, Int, Id, Int, Int, Text, Text, Int, Id, Int, Int, Int, Int, Int, Text, Text, Int],
            " AS v WHERE orchestrator_runs.id = v.column1 AND orchestrator_runs.seq = v.column2 AND (v.column3 IS NULL OR (orchestrator_runs.driver = v.column3 AND orchestrator_runs.driver_epoch = v.column4))",
        )
    },
    Section {
        checked: Check::AsGiven,
        conditions: &[OF_DEATHS],
        ..Section::new(
            Verb::Insert,
            "orchestrator_runs (id, project, workflow, revision, inputs, labels, priority, created_by, step_count, start_key, start_content, created_at, seq, status, intent, generation, driver, driver_epoch, due_at, updated_at, started_at, finished_at, outputs, error, done, parent_run, parent_step, parent_item, root_run) SELECT * FROM ",
            &[
                Id, Text, Text, Digest, Text, Text, Int, Text, Int, Text, Digest, Int, Int, Text, Text, Int,
                Id, Int, Int, Int, Int, Int, Text, Text, Int, Id, Int, Int, Id,
            ],
            " AS v WHERE v.column1 IS NOT NULL",
        )
    },
    Section {
        checked: Check::AsGiven,
        ..Section::new(
            Verb::Insert,
            "orchestrator_dedupe (scope, key, digest, answer, created_at) SELECT * FROM ",
            &[Text, Text, Digest, Id, Int],
            " AS v WHERE v.column1 IS NOT NULL ORDER BY v.column1, v.column2",
        )
    },
    Section::new(
        Verb::Insert,
        "orchestrator_revisions (digest, text, created_at) SELECT * FROM ",
        &[Digest, Text, Int],
        " AS v WHERE v.column1 IS NOT NULL ORDER BY v.column1 ON CONFLICT (digest) DO NOTHING",
    ),
    Section::new(
        Verb::Insert,
        "orchestrator_events (run, seq, at, kind, step, transition, body) SELECT * FROM ",
        &[Id, Int, Int, Text, Int, Id, Text],
        " AS v WHERE v.column1 IS NOT NULL",
    ),
    Section::new(
        Verb::Insert,
        "orchestrator_steps (run, step, item, name, status, attempts, epoch, owner, effect, due_at, started_at, finished_at, output, error) SELECT * FROM ",
        &[Id, Int, Int, Text, Text, Int, Int, Id, Text, Int, Int, Int, Text, Text],
        " AS v WHERE v.column1 IS NOT NULL ON CONFLICT (run, step, item) DO UPDATE SET name = excluded.name, status = excluded.status, attempts = excluded.attempts, epoch = excluded.epoch, owner = excluded.owner, effect = excluded.effect, due_at = excluded.due_at, started_at = excluded.started_at, finished_at = excluded.finished_at, output = excluded.output, error = excluded.error",
    ),
    Section::new(
        Verb::Insert,
        "orchestrator_outputs (run, digest, body) SELECT * FROM ",
        &[Id, Digest, Text],
        " AS v WHERE v.column1 IS NOT NULL ON CONFLICT (run, digest) DO NOTHING",
    ),
    Section::new(
        Verb::Insert,
        "orchestrator_decisions (run, id, step, item, verdict, policy, rule, reason, input, at) SELECT * FROM ",
        &[Id, Id, Int, Int, Text, Text, Text, Text, Digest, Int],
        " AS v WHERE v.column1 IS NOT NULL",
    ),
    Section::new(
        Verb::Insert,
        "orchestrator_approvals (run, step, item, attempt, name, digest, message, shown, status, asked_at, expires_at, decided_at, decided_by, via, comment) SELECT * FROM ",
        &[Id, Int, Int, Int, Text, Digest, Text, Text, Text, Int, Int, Int, Text, Text, Text],
        " AS v WHERE v.column1 IS NOT NULL ON CONFLICT (run, step, item, attempt) DO UPDATE SET name = excluded.name, digest = excluded.digest, message = excluded.message, shown = excluded.shown, status = excluded.status, asked_at = excluded.asked_at, expires_at = excluded.expires_at, decided_at = excluded.decided_at, decided_by = excluded.decided_by, via = excluded.via, comment = excluded.comment",
    ),
    Section::new(
        Verb::Insert,
        "orchestrator_logs (run, number, step, item, attempt, stream, at, text) SELECT v.column1, coalesce((SELECT max(l.number) FROM orchestrator_logs AS l WHERE l.run = v.column1), 0) + row_number() OVER (PARTITION BY v.column1 ORDER BY v.column2), v.column3, v.column4, v.column5, v.column6, v.column7, v.column8 FROM ",
        &[Id, Int, Int, Int, Int, Text, Int, Text],
        " AS v WHERE v.column1 IS NOT NULL",
    ),
    Section {
        checked: Check::AsLocked,
        locks: Some(OFFER),
        ..Section::new(
            Verb::Delete,
            "orchestrator_offers WHERE owner IS NULL AND (run, step, item, generation, iteration, attempt, epoch) IN (SELECT * FROM ",
            &TICKET,
            " AS v)",
        )
    },
    Section::new(
        Verb::Delete,
        "orchestrator_offers WHERE (run, step, item, generation, iteration, attempt, epoch) IN (SELECT * FROM ",
        &TICKET,
        " AS v)",
    ),
    Section::new(
        Verb::Delete,
        "orchestrator_inbox WHERE (run, step, item, generation, iteration, attempt, epoch) IN (SELECT * FROM ",
        &TICKET,
        " AS v)",
    ),
    Section::new(
        Verb::Update,
        "orchestrator_offers SET stops = 1 FROM ",
        &TICKET,
        " AS v WHERE run = v.column1 AND step = v.column2 AND item = v.column3 AND generation = v.column4 \
         AND iteration = v.column5 AND attempt = v.column6 AND epoch = v.column7",
    ),
    Section {
        replaces: true,
        ..Section::new(
            Verb::Insert,
            "orchestrator_offers (run, step, item, generation, iteration, attempt, epoch, queue, labels, job, offered_at, priority, place, task, stops) SELECT v.*, 0 FROM ",
            &[Id, Int, Int, Int, Int, Int, Int, Text, Text, Text, Int, Int, Int, Text],
            " AS v WHERE v.column1 IS NOT NULL",
        )
    },
    Section {
        checked: Check::AsGiven,
        locks: Some(KEY),
        ..Section::new(
            Verb::Update,
            "orchestrator_keys SET held = v.column4, mark = v.column5, spent = v.column6, past_at = v.column7 FROM ",
            &[Text, Text, Id, Int, Id, Text, Int],
            " AS v WHERE orchestrator_keys.project = v.column1 AND orchestrator_keys.key = v.column2 \
             AND orchestrator_keys.mark = v.column3",
        )
    },
    Section {
        checked: Check::AsGiven,
        ..Section::new(
            Verb::Insert,
            "orchestrator_keys (project, key, held, mark, spent, past_at) SELECT * FROM ",
            &[Text, Text, Int, Id, Text, Int],
            " AS v WHERE v.column1 IS NOT NULL ORDER BY v.column1, v.column2 ON CONFLICT (project, key) DO NOTHING",
        )
    },
    Section::new(
        Verb::Delete,
        "orchestrator_holds WHERE (run, step, item, project, key) IN (SELECT * FROM ",
        &[Id, Int, Int, Text, Text],
        " AS v)",
    ),
    Section::new(
        Verb::Insert,
        "orchestrator_holds (run, step, item, project, key, paths, since) SELECT * FROM ",
        &[Id, Int, Int, Text, Text, Text, Int],
        " AS v WHERE v.column1 IS NOT NULL ON CONFLICT (run, step, item, project, key) DO UPDATE SET \
         paths = excluded.paths, since = excluded.since",
    ),
    Section::new(
        Verb::Delete,
        "orchestrator_waiters WHERE (project, key, run, claim) IN (SELECT * FROM ",
        &[Text, Text, Id, Text],
        " AS v)",
    ),
    Section::new(
        Verb::Insert,
        "orchestrator_waiters (project, key, run, claim, paths, rank, most, since, granted_at) SELECT * FROM ",
        &[Text, Text, Id, Text, Text, Int, Int, Int, Int],
        " AS v WHERE v.column1 IS NOT NULL ON CONFLICT (project, key, run, claim) DO UPDATE SET rank = excluded.rank, \
         most = excluded.most, since = excluded.since, granted_at = excluded.granted_at",
    ),
    Section {
        checked: Check::AsGiven,
        locks: Some(OFFER),
        ..Section::new(Verb::Insert, RESULT, &RESULT_COLUMNS, OF_CLAIM)
    },
    Section { locks: Some(OFFER), ..Section::new(Verb::Insert, RESULT, &RESULT_COLUMNS, OF_CLAIM) },
    Section {
        checked: Check::AsGiven,
        // Somebody who is alive, and stays so until this is over: what the dead have claimed is looked for once they are.
        locks: Some(Lock {
            table: "orchestrator_owners",
            on: "t.id = v.column8 AND t.dead = 0 AND t.deadline > v.column9",
            order: "v.column8",
        }),
        ..Section::new(
            Verb::Update,
            "orchestrator_offers SET owner = v.column8, claimed_at = v.column9 FROM ",
            &[Id, Int, Int, Int, Int, Int, Int, Id, Int],
            " AS v WHERE run = v.column1 AND step = v.column2 AND item = v.column3 AND generation = v.column4 \
             AND iteration = v.column5 AND attempt = v.column6 AND epoch = v.column7 AND orchestrator_offers.owner IS NULL \
             AND EXISTS (SELECT 1 FROM orchestrator_owners AS o \
             WHERE o.id = v.column8 AND o.dead = 0 AND o.deadline > v.column9) \
             AND EXISTS (SELECT 1 FROM orchestrator_runs AS r WHERE r.id = v.column1 AND r.finished_at IS NULL)",
        )
    },
];
