//! The tables of `docs/yaml.md` and of the pages of plugins are printed from the table of keys and from the schemas.

use orchestrator_core::engine::Registry;
use orchestrator_core::spec::reference::{Kind, keys_table, kind_tables, sections};

use crate::page::{blocks, hold, pages};

#[test]
fn the_page_of_the_language_is_the_table() {
    let mut parts: Vec<(String, String)> = sections()
        .into_iter()
        .map(|section| (format!("keys of {}", section.of), keys_table(section)))
        .collect();
    let plugins: Registry = orchestrator_plugins::builtin().into_iter().collect();
    let mut table = String::from("| `uses` | what it does |\n|---|---|\n");
    for plugin in plugins.iter() {
        let kind = plugin.kind();
        table.push_str(&format!("| [`{kind}`](plugins/{kind}.md) | {} |\n", plugin.summary()));
    }
    parts.push(("plugins".to_owned(), table));
    hold("docs/yaml.md", &parts);
}

#[test]
fn every_plugin_has_a_page_with_an_example_that_is_run() {
    let plugins: Registry = orchestrator_plugins::builtin().into_iter().collect();
    for plugin in plugins.iter() {
        let kind = Kind {
            name: plugin.kind(),
            summary: plugin.summary(),
            config: plugin.config_schema(),
            output: plugin.output_schema(),
        };
        let path = format!("docs/plugins/{}.md", kind.name);
        hold(&path, &[("what it takes and gives".to_owned(), kind_tables(&kind))]);
        let page = pages().into_iter().find(|(known, _)| *known == path).unwrap().1;
        let uses = format!("uses: {}", kind.name);
        let shows = |text: &str| text.contains(&uses) || kind.name == "script" && text.contains("run: ");
        let examples =
            blocks(&page).iter().filter(|block| block.language == "yaml" && shows(&block.text)).count();
        assert!(examples > 0, "{path} shows no step");
    }
}
