//! The tables of `docs/yaml.md` are printed from the table of keys and from the schemas of the plugins.

use orchestrator_core::engine::Registry;
use orchestrator_core::spec::reference::{Kind, keys_table, kind_tables, sections};

use crate::page::hold;

#[test]
fn the_page_of_the_language_is_the_table() {
    let mut parts: Vec<(String, String)> = sections()
        .into_iter()
        .map(|section| (format!("keys of {}", section.of), keys_table(section)))
        .collect();
    let plugins: Registry = orchestrator_plugins::builtin().into_iter().collect();
    for plugin in plugins.iter() {
        let kind = Kind {
            name: plugin.kind(),
            summary: plugin.summary(),
            config: plugin.config_schema(),
            output: plugin.output_schema(),
        };
        parts.push((format!("plugin {}", plugin.kind()), kind_tables(&kind)));
    }
    hold("docs/yaml.md", &parts);
}
