//! The plugins of an engine, by kind.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use crate::engine::delegate::SubWorkflow;
use crate::engine::task::TaskKind;
use crate::port::plugin::Plugin;
use crate::spec::{Catalog, ConfigIssue, Facts};

/// Plugins by kind.
#[derive(Debug, Clone)]
pub struct Registry {
    plugins: BTreeMap<String, Arc<dyn Plugin>>,
}

impl Default for Registry {
    /// What every engine has: `workflow` and `task`.
    fn default() -> Self {
        let mut registry = Self { plugins: BTreeMap::new() };
        registry.add(Arc::new(SubWorkflow));
        registry.add(Arc::new(TaskKind));
        registry
    }
}

impl Registry {
    /// Adds a plugin; a later one of the same kind replaces an earlier one.
    pub fn add(&mut self, plugin: Arc<dyn Plugin>) {
        self.plugins.insert(plugin.kind().to_owned(), plugin);
    }

    /// The plugin of a kind.
    #[must_use]
    pub fn get(&self, kind: &str) -> Option<&Arc<dyn Plugin>> {
        self.plugins.get(kind)
    }

    /// All plugins, by kind.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<dyn Plugin>> {
        self.plugins.values()
    }
}

impl FromIterator<Arc<dyn Plugin>> for Registry {
    fn from_iter<T: IntoIterator<Item = Arc<dyn Plugin>>>(plugins: T) -> Self {
        let mut registry = Self::default();
        plugins.into_iter().for_each(|plugin| registry.add(plugin));
        registry
    }
}

impl Catalog for Registry {
    fn kinds(&self) -> Vec<&str> {
        self.plugins.keys().map(String::as_str).collect()
    }

    fn facts(&self, kind: &str) -> Option<Facts<'_>> {
        let plugin = self.plugins.get(kind)?;
        Some(Facts { config_schema: plugin.config_schema(), output_schema: plugin.output_schema() })
    }

    fn check(&self, kind: &str, with: &Value) -> Vec<ConfigIssue> {
        self.plugins.get(kind).map(|plugin| plugin.validate(with)).unwrap_or_default()
    }
}
