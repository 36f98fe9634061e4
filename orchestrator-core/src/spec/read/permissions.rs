//! `permissions`.

use std::sync::Arc;

use crate::spec::expr::has_expression;
use crate::spec::permissions::{MAX_NETWORK_GRANTS, NetworkGrant, NetworkPermissions, Permissions};
use crate::spec::read::keys;
use crate::spec::read::reader::Reader;
use crate::spec::tree::{Content, Node, Place, quoted};

impl<'t> Reader<'t, '_> {
    /// What is granted beyond what every step may do.
    pub(super) fn permissions(&mut self, node: &Node<'t>, place: &Place<'_>) -> Option<Permissions> {
        let fields = self.fields(node, place, &keys::PERMISSIONS)?;
        let network = fields.get("network").map(|node| self.network(node, &place.key("network")));
        Some(Permissions { network: network.map_or_else(NetworkPermissions::none, Arc::new) })
    }

    fn network(&mut self, node: &Node<'t>, place: &Place<'_>) -> NetworkPermissions {
        let Content::List(items) = &node.content else {
            self.wrong_type(node, place, "a list of destinations such as 127.0.0.1:8080");
            return NetworkPermissions::default();
        };
        if let Some(first) = items.get(MAX_NETWORK_GRANTS) {
            let message = format!("{} destinations; the limit is {MAX_NETWORK_GRANTS}", items.len());
            self.error(first.at, place, "out_of_range", message)
                .hint("write a network such as 10.0.0.0/8:443 in place of its hosts");
            return NetworkPermissions::default();
        }
        items.iter().enumerate().filter_map(|(ix, item)| self.destination(item, &place.item(ix))).collect()
    }

    fn destination(&mut self, node: &Node<'t>, place: &Place<'_>) -> Option<NetworkGrant> {
        let text = self.text(node, place)?;
        if has_expression(text) {
            let message = "what may be reached is known before anything runs: it holds no expressions";
            self.error(node.at, place, "invalid_value", message).hint("write each destination as HOST:PORT");
            return None;
        }
        match text.parse::<NetworkGrant>() {
            Ok(grant) => Some(grant),
            Err(why) => {
                let message = format!("{} is not a destination: {why}", quoted(text));
                self.error(node.at, place, "invalid_value", message)
                    .hint("write HOST:PORT: localhost:8080, 127.0.0.1:*, [::1]:8080, 10.0.0.0/8:443");
                None
            }
        }
    }
}
