//! Keeping others from writing.

use orchestrator_sql::SEALED;

/// What runs instead of a statement that writes. It says that the transaction may only read: whoever writes takes that for
/// a store that cannot be written now.
const REFUSES: &str = "orchestrator_refuses";

/// Waits for all who write, and lets nobody begin. What comes after it may take long, and come from afar.
pub(crate) fn alone(tables: &[&str]) -> Vec<String> {
    vec![
        "SET LOCAL lock_timeout = '5s'".to_owned(),
        "SET LOCAL statement_timeout = 0".to_owned(),
        "SET LOCAL idle_in_transaction_session_timeout = 0".to_owned(),
        format!("LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE", tables.join(", ")),
    ]
}

pub(crate) fn seal(tables: &[&str]) -> Vec<String> {
    let function = format!(
        "CREATE OR REPLACE FUNCTION {REFUSES}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
         RAISE EXCEPTION '{SEALED}' USING ERRCODE = 'read_only_sql_transaction'; END $$"
    );
    let trigger = |table: &&str| {
        format!(
            "CREATE OR REPLACE TRIGGER orchestrator_sealed BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON {table} \
             FOR EACH STATEMENT EXECUTE FUNCTION {REFUSES}()"
        )
    };
    std::iter::once(function).chain(tables.iter().map(trigger)).collect()
}

pub(crate) fn unseal(tables: &[&str]) -> Vec<String> {
    let gone = |table: &&str| format!("DROP TRIGGER IF EXISTS orchestrator_sealed ON {table}");
    tables.iter().map(gone).chain([format!("DROP FUNCTION IF EXISTS {REFUSES}()")]).collect()
}
