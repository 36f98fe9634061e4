//! `secrets`: which there are, and where they may stand.

use std::sync::Arc;

use crate::spec::Workflow;
use crate::spec::expr::Reference;
use crate::spec::read::check::{All, Site};
use crate::spec::read::reader::Reader;
use crate::spec::read::step::Draft;
use crate::spec::schema;
use crate::spec::tree::{Content, Node, Place, quoted};

const NOT_ALLOWED: &str = "secret_not_allowed";

impl<'t> Reader<'t, '_> {
    /// The list of names.
    pub(super) fn secrets(&mut self, node: &Node<'t>, place: &Place<'_>) -> Vec<Arc<str>> {
        let Content::List(items) = &node.content else {
            self.wrong_type(node, place, "a list of names");
            return Vec::new();
        };
        let mut names: Vec<Arc<str>> = Vec::with_capacity(items.len());
        for (ix, item) in items.iter().enumerate() {
            let place = place.item(ix);
            let Some(name) = self.text(item, &place) else { continue };
            if !self.check_name(name, item.at, &place) {
                continue;
            }
            if names.iter().any(|known| &**known == name) {
                let message = format!("the secret {} is declared already", quoted(name));
                self.error(item.at, &place, "duplicate_id", message).hint("remove it");
                continue;
            }
            names.push(name.into());
        }
        names
    }

    /// Checks the references of a step to one secret.
    pub(super) fn secret_of_step(
        &mut self,
        all: &All<'_, '_, 't>,
        draft: &Draft<'_, 't>,
        name: &Arc<str>,
        site: Site<'_, 't>,
        place: &Place<'_>,
    ) {
        let schema = self.catalog.facts(&draft.spec.uses).map(|facts| facts.config_schema);
        // An unknown plugin has been told.
        let Some(schema) = schema else { return };
        let env = schema::env_may_hold_secrets(schema);
        let allowed = match site.key {
            "env" => env,
            "with" => {
                let uses = draft.spec.with.secrets();
                let wrong = uses
                    .into_iter()
                    .find(|(keys, used)| used == name && !schema::may_hold_secret(schema, keys));
                match wrong {
                    None => true,
                    Some((keys, _)) => {
                        self.misplaced(draft, schema, &keys, site, place);
                        return;
                    }
                }
            }
            _ => false,
        };
        if allowed {
            self.undeclared(all.workflow, name, site, place);
        } else {
            let message = format!("a secret cannot stand in the `{}` of this step", site.key);
            let hint = places(&draft.spec.uses, schema);
            self.tell(&Reference::Secret(name.clone()), site, place, NOT_ALLOWED, message, hint);
        }
    }

    /// A secret stands where the plugin takes none.
    fn misplaced(
        &mut self,
        draft: &Draft<'_, 't>,
        schema: &serde_json::Value,
        keys: &[String],
        site: Site<'_, 't>,
        place: &Place<'_>,
    ) {
        let path = keys.iter().fold(String::from("with"), |path, key| path + "." + key);
        let message = format!("`{}` takes no secret in `{path}`", draft.spec.uses);
        let at = site.node.unwrap_or(&draft.entry.value).follow(keys, false).1;
        let place = format!("{}{}", place.key("with"), &path["with".len()..]);
        let error = self.problems.error(at.span, place, NOT_ALLOWED, message);
        error.hint(places(&draft.spec.uses, schema));
    }

    fn undeclared(&mut self, workflow: &Workflow, name: &Arc<str>, site: Site<'_, 't>, place: &Place<'_>) {
        if workflow.secrets.contains(name) {
            return;
        }
        let near = self.nearest(name, workflow.secrets.iter().map(|name| &**name));
        let hint = near.unwrap_or_else(|| match workflow.secrets.as_slice() {
            [] => format!("declare it at the top of the workflow: `secrets: [{name}]`"),
            some => format!("declare it: `secrets: [{}, {name}]`", some.join(", ")),
        });
        let message = format!("there is no secret `{name}`");
        self.tell(&Reference::Secret(name.clone()), site, place, "undefined_variable", message, hint);
    }

    /// Tells that no secret can stand in a key of the workflow itself.
    pub(super) fn secret_elsewhere(&mut self, name: &Arc<str>, site: Site<'_, 't>, place: &Place<'_>) {
        let message = format!("a secret cannot stand in the `{}` of the workflow", site.key);
        let hint = match site.key {
            "env" => format!(
                "every step would have it; write `env: {{ NAME: \"${{{{ secrets.{name} }}}}\" }}` in the steps that need it"
            ),
            _ => "it would be shown; give out something that was made with it".to_owned(),
        };
        self.tell(&Reference::Secret(name.clone()), site, place, NOT_ALLOWED, message, hint);
    }
}

/// Where a plugin takes secrets.
fn places(kind: &str, schema: &serde_json::Value) -> String {
    let keys = schema::secret_keys(schema).into_iter().map(|key| format!("with.{key}"));
    let env = schema::env_may_hold_secrets(schema).then(|| "env".to_owned());
    let all: Vec<String> = env.into_iter().chain(keys).map(|key| format!("`{key}`")).collect();
    if all.is_empty() {
        format!("`{kind}` takes no secrets")
    } else {
        format!("`{kind}` takes secrets in {}", all.join(", "))
    }
}
