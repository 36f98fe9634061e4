//! All tables: what they are called, and which of their rows are copied.

use crate::script::Kind::{self, Digest, Id, Int, Text};

/// A table, as it is copied.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) name: &'static str,
    /// What orders its rows.
    pub(crate) key: &'static [(&'static str, Kind)],
    /// What is copied of each row. Small integers that a database gives to its rows are its own.
    pub(crate) columns: &'static [(&'static str, Kind)],
    /// Which rows are copied; `None` means all.
    pub(crate) only: Option<&'static str>,
    /// How many bytes a row has that may have many; `None` where none has.
    pub(crate) weight: Option<&'static str>,
}

const PLAIN: Table = Table { name: "", key: &[], columns: &[], only: None, weight: None };

/// All tables, in the order in which they are copied.
pub(crate) static TABLES: [Table; 20] = [
    Table {
        name: "orchestrator_runs",
        key: &[("id", Id)],
        columns: &[
            ("id", Id),
            ("seq", Int),
            ("status", Text),
            ("intent", Text),
            ("generation", Int),
            ("driver_epoch", Int),
            ("updated_at", Int),
            ("done", Int),
            ("project", Text),
            ("workflow", Text),
            ("revision", Digest),
            ("inputs", Text),
            ("labels", Text),
            ("priority", Int),
            ("created_by", Text),
            ("created_at", Int),
            ("step_count", Int),
            ("driver", Id),
            ("due_at", Int),
            ("started_at", Int),
            ("finished_at", Int),
            ("outputs", Text),
            ("error", Text),
            ("start_key", Text),
            ("start_content", Digest),
            ("parent_run", Id),
            ("parent_step", Int),
            ("parent_item", Int),
            ("root_run", Id),
        ],
        ..PLAIN
    },
    Table {
        name: "orchestrator_events",
        key: &[("run", Id), ("seq", Int)],
        columns: &[
            ("run", Id),
            ("seq", Int),
            ("at", Int),
            ("kind", Text),
            ("step", Int),
            ("transition", Id),
            ("body", Text),
        ],
        ..PLAIN
    },
    Table {
        name: "orchestrator_steps",
        key: &[("run", Id), ("step", Int), ("item", Int)],
        columns: &[
            ("run", Id),
            ("step", Int),
            ("item", Int),
            ("name", Text),
            ("status", Text),
            ("attempts", Int),
            ("epoch", Int),
            ("owner", Id),
            ("effect", Text),
            ("due_at", Int),
            ("started_at", Int),
            ("finished_at", Int),
            ("output", Text),
            ("error", Text),
        ],
        ..PLAIN
    },
    Table {
        name: OUTPUTS,
        key: &[("run", Id), ("digest", Digest)],
        columns: &[("run", Id), ("digest", Digest), ("body", Text)],
        // One that is kept elsewhere weighs what its mark says.
        weight: Some(
            "CASE WHEN substr(body, 1, 9) = 'artifact:' THEN CAST(substr(body, 10) AS BIGINT) \
             ELSE CAST(octet_length(body) AS BIGINT) END",
        ),
        ..PLAIN
    },
    Table {
        name: "orchestrator_revisions",
        key: &[("digest", Digest)],
        columns: &[("digest", Digest), ("text", Text), ("created_at", Int)],
        weight: Some("CAST(octet_length(text) AS BIGINT)"),
        ..PLAIN
    },
    Table {
        name: "orchestrator_decisions",
        key: &[("key", Int)],
        columns: &[
            ("run", Id),
            ("id", Id),
            ("step", Int),
            ("item", Int),
            ("verdict", Text),
            ("policy", Text),
            ("rule", Text),
            ("reason", Text),
            ("input", Digest),
            ("at", Int),
        ],
        ..PLAIN
    },
    Table {
        name: "orchestrator_approvals",
        key: &[("run", Id), ("step", Int), ("item", Int), ("attempt", Int)],
        columns: &[
            ("run", Id),
            ("step", Int),
            ("item", Int),
            ("attempt", Int),
            ("name", Text),
            ("digest", Digest),
            ("message", Text),
            ("shown", Text),
            ("status", Text),
            ("asked_at", Int),
            ("expires_at", Int),
            ("decided_at", Int),
            ("decided_by", Text),
            ("via", Text),
            ("comment", Text),
        ],
        ..PLAIN
    },
    Table {
        name: "orchestrator_logs",
        key: &[("run", Id), ("number", Int)],
        columns: &[
            ("run", Id),
            ("number", Int),
            ("step", Int),
            ("item", Int),
            ("attempt", Int),
            ("stream", Text),
            ("at", Int),
            ("text", Text),
        ],
        ..PLAIN
    },
    Table {
        name: "orchestrator_owners",
        key: &[("id", Id)],
        columns: &[
            ("id", Id),
            ("label", Text),
            ("deadline", Int),
            ("dead", Int),
            ("queues", Text),
            ("labels", Text),
        ],
        // Those whose death somebody may have to assert. All are dead: nothing is copied that one is alive in.
        only: Some(
            "id IN (SELECT driver FROM orchestrator_runs WHERE driver IS NOT NULL UNION \
             SELECT owner FROM orchestrator_steps WHERE owner IS NOT NULL UNION \
             SELECT owner FROM orchestrator_offers WHERE owner IS NOT NULL)",
        ),
        ..PLAIN
    },
    Table {
        name: "orchestrator_offers",
        key: &[("run", Id), ("step", Int), ("item", Int)],
        columns: &[
            ("run", Id),
            ("step", Int),
            ("item", Int),
            ("generation", Int),
            ("iteration", Int),
            ("attempt", Int),
            ("epoch", Int),
            ("queue", Text),
            ("labels", Text),
            ("job", Text),
            ("offered_at", Int),
            ("priority", Int),
            ("place", Int),
            ("task", Text),
            ("stops", Int),
            ("owner", Id),
            ("claimed_at", Int),
        ],
        ..PLAIN
    },
    Table {
        name: "orchestrator_inbox",
        key: &[
            ("run", Id),
            ("generation", Int),
            ("step", Int),
            ("item", Int),
            ("iteration", Int),
            ("attempt", Int),
            ("epoch", Int),
        ],
        columns: &[
            ("run", Id),
            ("generation", Int),
            ("step", Int),
            ("item", Int),
            ("iteration", Int),
            ("attempt", Int),
            ("epoch", Int),
            ("owner", Id),
            ("claimed_at", Int),
            ("at", Int),
            ("body", Text),
        ],
        ..PLAIN
    },
    Table {
        name: "orchestrator_keys",
        key: &[("project", Text), ("key", Text)],
        columns: &[
            ("project", Text),
            ("key", Text),
            ("held", Int),
            ("mark", Id),
            ("spent", Text),
            ("past_at", Int),
        ],
        ..PLAIN
    },
    Table {
        name: "orchestrator_holds",
        key: &[("run", Id), ("step", Int), ("item", Int), ("project", Text), ("key", Text)],
        columns: &[
            ("run", Id),
            ("step", Int),
            ("item", Int),
            ("project", Text),
            ("key", Text),
            ("paths", Text),
            ("since", Int),
        ],
        ..PLAIN
    },
    Table {
        name: "orchestrator_waiters",
        key: &[("project", Text), ("key", Text), ("run", Id), ("claim", Text)],
        columns: &[
            ("project", Text),
            ("key", Text),
            ("run", Id),
            ("claim", Text),
            ("paths", Text),
            ("rank", Int),
            ("most", Int),
            ("since", Int),
            ("granted_at", Int),
        ],
        ..PLAIN
    },
    Table {
        name: "orchestrator_dedupe",
        key: &[("scope", Text), ("key", Text)],
        columns: &[
            ("scope", Text),
            ("key", Text),
            ("digest", Digest),
            ("answer", Id),
            ("created_at", Int),
            ("expires", Int),
        ],
        ..PLAIN
    },
    Table {
        name: "orchestrator_documents",
        key: &[("id", Id)],
        columns: &[
            ("id", Id),
            ("project", Text),
            ("kind", Text),
            ("name", Text),
            ("revision", Int),
            ("status", Text),
            ("updated_at", Int),
            ("body_digest", Digest),
            ("owner", Id),
            ("parent", Id),
            ("external_key", Text),
            ("due_at", Int),
            ("state", Text),
        ],
        ..PLAIN
    },
    Table {
        name: "orchestrator_document_revisions",
        key: &[("document", Id), ("revision", Int)],
        columns: &[
            ("document", Id),
            ("revision", Int),
            ("body_digest", Digest),
            ("created_at", Int),
            ("created_by", Text),
        ],
        ..PLAIN
    },
    Table {
        name: "orchestrator_tickets",
        key: &[("id", Id)],
        columns: &[
            ("id", Id),
            ("queue", Text),
            ("project", Text),
            ("priority", Int),
            ("due_at", Int),
            ("place", Int),
            ("arrival", Int),
            ("count", Int),
            ("ticket", Text),
            ("held", Id),
        ],
        ..PLAIN
    },
    Table {
        name: "orchestrator_turns",
        key: &[("project", Text)],
        columns: &[("project", Text), ("turn", Int)],
        ..PLAIN
    },
    Table {
        name: "orchestrator_letters",
        key: &[("id", Id)],
        columns: &[
            ("id", Id),
            ("number", Int),
            ("queue", Text),
            ("project", Text),
            ("priority", Int),
            ("count", Int),
            ("at", Int),
            ("reason", Text),
            ("ticket", Text),
        ],
        ..PLAIN
    },
];

/// The table with values, of which one store keeps large ones elsewhere and another does not.
pub(crate) const OUTPUTS: &str = "orchestrator_outputs";

/// What all our tables are called first.
const PREFIX: &str = "orchestrator_";

/// The name of a table as it is shown: without what all of them begin with.
pub(crate) fn shown(name: &'static str) -> &'static str {
    name.strip_prefix(PREFIX).unwrap_or(name)
}

/// The names of all tables.
pub(crate) fn names() -> Vec<&'static str> {
    TABLES.iter().map(|table| table.name).collect()
}

/// The tables that are copied, each with the columns that are: what a new column of a table has to be put beside.
#[must_use]
pub fn copied_columns() -> Vec<(&'static str, Vec<&'static str>)> {
    let columns = |table: &Table| table.columns.iter().map(|(column, _)| *column).collect();
    TABLES.iter().map(|table| (table.name, columns(table))).collect()
}
