//! `sandbox`.

use crate::spec::expr::has_expression;
use crate::spec::read::keys;
use crate::spec::read::reader::Reader;
use crate::spec::sandbox::MIN_MEMORY;
use crate::spec::tree::{Content, Node, Place, quoted};
use crate::spec::{Confinement, Sandbox, size};

impl<'t> Reader<'t, '_> {
    /// `strict`, `none`, or a mapping of what is granted.
    pub(super) fn sandbox(&mut self, node: &Node<'t>, place: &Place<'_>) -> Option<Sandbox> {
        if !matches!(node.content, Content::Map(_)) {
            let word = self.choice(node, place, &[("strict", false), ("none", true)])?;
            return Some(if word { Sandbox::None } else { Sandbox::strict() });
        }
        let fields = self.fields(node, place, &keys::SANDBOX)?;
        let mut confinement = Confinement::default();
        if let Some(node) = fields.get("network") {
            confinement.network = self.boolean(node, &place.key("network")).unwrap_or_default();
        }
        if let Some(node) = fields.get("read") {
            confinement.read = self.paths(node, &place.key("read"));
        }
        if let Some(node) = fields.get("write") {
            confinement.write = self.paths(node, &place.key("write"));
        }
        if let Some(node) = fields.get("memory") {
            let given = self.size(node, &place.key("memory"), MIN_MEMORY);
            confinement.memory = given.unwrap_or(confinement.memory);
        }
        if let Some(node) = fields.get("cpu") {
            confinement.cpu = self.duration(node, &place.key("cpu"), false).unwrap_or(confinement.cpu);
        }
        if let Some(node) = fields.get("processes") {
            let given = self.whole(node, &place.key("processes"), 1, 1_000_000);
            confinement.processes = given.unwrap_or(confinement.processes);
        }
        if let Some(node) = fields.get("file_size") {
            let given = self.size(node, &place.key("file_size"), 0);
            confinement.file_size = given.unwrap_or(confinement.file_size);
        }
        if let Some(node) = fields.get("open_files") {
            let given = self.whole(node, &place.key("open_files"), 16, 1_000_000);
            confinement.open_files = given.unwrap_or(confinement.open_files);
        }
        Some(confinement.into())
    }

    /// Paths that are granted. They come from the author alone: an expression could let data choose them.
    fn paths(&mut self, node: &Node<'t>, place: &Place<'_>) -> Vec<String> {
        let Content::List(items) = &node.content else {
            self.wrong_type(node, place, "a list of paths");
            return Vec::new();
        };
        let mut paths = Vec::with_capacity(items.len());
        for (ix, item) in items.iter().enumerate() {
            let place = place.item(ix);
            let Some(text) = self.text(item, &place) else { continue };
            if has_expression(text) {
                self.error(item.at, &place, "invalid_value", "what a script is granted holds no expression")
                    .hint("write the path itself: data must not choose what a script may reach");
            } else if text.trim().is_empty() || text.contains('\0') {
                self.error(item.at, &place, "invalid_value", format!("{} is not a path", quoted(text)));
            } else if text.starts_with('~') && text != "~" && !text.starts_with("~/") {
                let message = format!("{} names the folder of another user", quoted(text));
                self.error(item.at, &place, "invalid_value", message).hint("write the path itself");
            } else {
                paths.push(text.to_owned());
            }
        }
        paths
    }

    fn size(&mut self, node: &Node<'t>, place: &Place<'_>, least: u64) -> Option<u64> {
        let (shown, read) = match &node.content {
            Content::Text(text) => (quoted(text), size::read(text)),
            Content::Number(number) => (number.to_string(), Err("it has no unit".to_owned())),
            _ => {
                self.wrong_type(node, place, "a size such as 512MiB");
                return None;
            }
        };
        let why = match read {
            Ok(size) if size >= least => return Some(size),
            Ok(_) => format!("it is less than {}", size::print(least)),
            Err(why) => why,
        };
        let error = self.error(node.at, place, "invalid_size", format!("{shown} is not a size: {why}"));
        error.hint("write for example 512MiB or 1GiB");
        None
    }
}
