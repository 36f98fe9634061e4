//! `docs/state-machine.md` is what the table prints.

use std::path::Path;

use orchestrator_core::machine::transitions::page;

/// Set to `1`, the page is written anew instead of compared.
const WRITE: &str = "WRITE_STATE_MACHINE";

#[test]
fn the_printed_page_is_the_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/state-machine.md");
    if std::env::var(WRITE).is_ok_and(|set| set == "1") {
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder for the page");
        std::fs::write(&path, page()).expect("the page is written");
    }
    let printed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        printed == page(),
        "docs/state-machine.md is not what the table says: run `{WRITE}=1 cargo test -p orchestrator-core --test \
         machine page`"
    );
}
