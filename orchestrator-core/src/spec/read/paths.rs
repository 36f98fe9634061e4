//! `paths`.

use serde_json::Value;

use crate::spec::expr::{Template, has_expression};
use crate::spec::paths::{Glob, MAX_GLOBS, MAX_WORKSPACE, PathsSpec};
use crate::spec::read::keys;
use crate::spec::read::reader::Reader;
use crate::spec::tree::{Content, Node, Place, quoted};

impl<'t> Reader<'t, '_> {
    /// Patterns to write, or a mapping; `None` where what it says has been told as wrong.
    pub(super) fn locked(&mut self, node: &Node<'t>, place: &Place<'_>) -> Option<PathsSpec> {
        if !matches!(node.content, Content::Map(_)) {
            let write = self.globs(node, place)?;
            return Some(PathsSpec { workspace: None, read: None, write: Some(write) });
        }
        let fields = self.fields(node, place, &keys::PATHS)?;
        let is_told = |key| fields.get(key).is_some() || fields.is_meant(key);
        if !is_told("read") && !is_told("write") {
            self.error(node.at, place, "missing_field", "neither `read` nor `write`")
                .hint("write for example `paths: { read: [docs], write: [src] }`");
        }
        let workspace = fields.get("workspace").and_then(|node| {
            let place = place.key("workspace");
            let text = self.text(node, &place)?.to_owned();
            if text.trim().is_empty() || (!has_expression(&text) && text.len() > MAX_WORKSPACE) {
                let message = format!("the name of a workspace has 1 to {MAX_WORKSPACE} bytes");
                self.error(node.at, &place, "invalid_value", message)
                    .hint("steps that name the same workspace are in each other's way: `workspace: site`");
                return None;
            }
            Some(self.template(Value::String(text), node, &place))
        });
        let mut globs = |key| fields.get(key).and_then(|node| self.globs(node, &place.key(key)));
        let (read, write) = (globs("read"), globs("write"));
        Some(PathsSpec { workspace, read, write })
    }

    /// One pattern, a list of them, or an expression that gives either.
    fn globs(&mut self, node: &Node<'t>, place: &Place<'_>) -> Option<Template> {
        match &node.content {
            Content::List(items) => {
                if items.len() > MAX_GLOBS {
                    let message = format!("{} paths: there may be {MAX_GLOBS}", items.len());
                    self.error(node.at, place, "out_of_range", message)
                        .hint("name a folder instead of what is in it");
                    return None;
                }
                let all = items.iter().enumerate().map(|(ix, item)| self.glob(item, &place.item(ix)));
                // All of them are looked at, also after one that is wrong.
                let all: Vec<Option<()>> = all.collect();
                all.into_iter().collect::<Option<()>>()?;
            }
            _ => self.glob(node, place)?,
        }
        Some(self.template(node.to_value(), node, place))
    }

    fn glob(&mut self, node: &Node<'t>, place: &Place<'_>) -> Option<()> {
        let text = self.text(node, place)?;
        if has_expression(text) {
            return Some(());
        }
        let Err(why) = Glob::parse(text) else { return Some(()) };
        let message = format!("{} is not a path: it {why}", quoted(text));
        self.error(node.at, place, "invalid_value", message)
            .hint("write a path below the workspace, perhaps with wildcards: src, docs/*.md, **/Cargo.toml");
        None
    }
}
