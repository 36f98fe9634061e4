//! Mappings with a fixed set of keys.

use crate::spec::read::keys::Keys;
use crate::spec::read::reader::Reader;
use crate::spec::suggest;
use crate::spec::tree::{Content, Entry, Node, Place, quoted};

/// A mapping whose keys have been checked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields<'n, 't> {
    entries: &'n [Entry<'t>],
    /// Known keys that misspelt ones were taken for, as bits by their position.
    meant: u32,
    keys: &'static Keys,
}

impl<'n, 't> Fields<'n, 't> {
    pub(super) fn get(&self, key: &str) -> Option<&'n Node<'t>> {
        self.entries.iter().find(|entry| entry.key == key).map(|entry| &entry.value)
    }

    pub(super) fn entry(&self, key: &str) -> Option<&'n Entry<'t>> {
        self.entries.iter().find(|entry| entry.key == key)
    }

    /// Whether a key is there, or a misspelling of it that has been told.
    pub(super) fn is_meant(&self, key: &str) -> bool {
        let ix = self.keys.known.iter().position(|known| *known == key);
        self.get(key).is_some() || ix.is_some_and(|ix| self.meant & 1 << ix != 0)
    }
}

impl<'t> Reader<'t, '_> {
    /// The entries of a mapping, after telling every key that does not belong there.
    pub(super) fn fields<'n>(
        &mut self,
        node: &'n Node<'t>,
        place: &Place<'_>,
        keys: &'static Keys,
    ) -> Option<Fields<'n, 't>> {
        let Content::Map(entries) = &node.content else {
            self.wrong_type(node, place, "a mapping");
            return None;
        };
        let bit = |key: &str| keys.known.iter().position(|known| *known == key).map_or(0, |ix| 1u32 << ix);
        let given = entries.iter().fold(0, |given, entry| given | bit(&entry.key));
        let mut fields = Fields { entries, meant: 0, keys };
        for entry in entries {
            if bit(&entry.key) == 0
                && let Some(meant) = self.unknown_key(entry, &place.key(&entry.key), keys, given)
            {
                fields.meant |= bit(meant);
            }
        }
        Some(fields)
    }

    /// Tells a key that is not known; gives the key that was probably meant.
    fn unknown_key(
        &mut self,
        entry: &Entry<'t>,
        place: &Place<'_>,
        keys: &'static Keys,
        given: u32,
    ) -> Option<&'static str> {
        let key = &*entry.key;
        if keys.later.contains(&key) {
            let message = format!("`{key}` is part of the language but not supported yet");
            self.error(entry.key_at, place, "not_supported_yet", message).hint("remove it");
            return None;
        }
        let lookup = |table: &'static [(&'static str, &'static str)]| {
            table.iter().find(|(word, _)| suggest::same(word, key)).copied()
        };
        let foreign = lookup(keys.foreign).map(|(_, meant)| meant);
        let meant = foreign.or_else(|| {
            // Of equally near keys those that are read come first, and of those the ones that are not given yet.
            let known = || keys.known.iter().copied().enumerate();
            let free = known().filter(|(ix, _)| given & 1 << ix == 0);
            let known = free.chain(known()).map(|(_, key)| key);
            self.problems
                .has_room()
                .then(|| suggest::nearest(key, known.chain(keys.later.iter().copied())))?
        });
        let message = format!("unknown key {} in {}", quoted(key), keys.of);
        let elsewhere = lookup(keys.elsewhere);
        let error = self.error(entry.key_at, place, "unknown_field", message);
        match (elsewhere, meant) {
            (Some((key, elsewhere)), None) => error.hint(format!("`{key}` belongs to {elsewhere}")),
            (_, Some(meant)) => error.hint(format!("did you mean \"{meant}\"?")),
            (None, None) => error.hint(format!("there are {}", keys.known.join(", "))),
        }
        meant
    }
}
