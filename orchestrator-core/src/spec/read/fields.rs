//! Mappings with a fixed set of keys.

use crate::spec::read::reader::Reader;
use crate::spec::reference::Section;
use crate::spec::suggest;
use crate::spec::tree::{Content, Entry, Node, Place, quoted};

/// A mapping whose keys have been checked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields<'n, 't> {
    entries: &'n [Entry<'t>],
    /// Keys that misspelt ones were taken for, as bits by their position.
    meant: u64,
    keys: &'static Section,
}

impl<'n, 't> Fields<'n, 't> {
    pub(super) fn get(&self, key: &str) -> Option<&'n Node<'t>> {
        debug_assert!(bit(self.keys, key) != 0, "`{key}` is not in the table of {}", self.keys.of);
        self.entries.iter().find(|entry| entry.key == key).map(|entry| &entry.value)
    }

    pub(super) fn entry(&self, key: &str) -> Option<&'n Entry<'t>> {
        self.entries.iter().find(|entry| entry.key == key)
    }

    /// Whether a key is there, or a misspelling of it that has been told.
    pub(super) fn is_meant(&self, key: &str) -> bool {
        self.get(key).is_some() || self.meant & bit(self.keys, key) != 0
    }
}

/// The bit of a key that is read; none for any other.
fn bit(keys: &Section, key: &str) -> u64 {
    let position = keys.keys.iter().position(|known| !known.later && known.name == key);
    position.map_or(0, |ix| 1 << ix)
}

impl<'t> Reader<'t, '_> {
    /// The entries of a mapping, after telling every key that does not belong there.
    pub(super) fn fields<'n>(
        &mut self,
        node: &'n Node<'t>,
        place: &Place<'_>,
        keys: &'static Section,
    ) -> Option<Fields<'n, 't>> {
        let Content::Map(entries) = &node.content else {
            self.wrong_type(node, place, "a mapping");
            return None;
        };
        let given = entries.iter().fold(0, |given, entry| given | bit(keys, &entry.key));
        let mut fields = Fields { entries, meant: 0, keys };
        for entry in entries {
            if bit(keys, &entry.key) == 0
                && let Some(meant) = self.unknown_key(entry, &place.key(&entry.key), keys, given)
            {
                fields.meant |= bit(keys, meant);
            }
        }
        Some(fields)
    }

    /// Tells a key that is not known; gives the key that was probably meant.
    fn unknown_key(
        &mut self,
        entry: &Entry<'t>,
        place: &Place<'_>,
        keys: &'static Section,
        given: u64,
    ) -> Option<&'static str> {
        let key = &*entry.key;
        if keys.key(key).is_some_and(|key| key.later) {
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
            let free = keys.known().filter(|known| given & bit(keys, known) == 0);
            let later = keys.keys.iter().filter(|key| key.later).map(|key| key.name);
            let all = free.chain(keys.known()).chain(later);
            self.problems.has_room().then(|| suggest::nearest(key, all))?
        });
        let message = format!("unknown key {} in {}", quoted(key), keys.of);
        let elsewhere = lookup(keys.elsewhere);
        let error = self.error(entry.key_at, place, "unknown_field", message);
        match (elsewhere, meant) {
            (Some((key, elsewhere)), None) => error.hint(format!("`{key}` belongs to {elsewhere}")),
            (_, Some(meant)) => error.hint(format!("did you mean \"{meant}\"?")),
            (None, None) => error.hint(format!("there are {}", keys.known().collect::<Vec<_>>().join(", "))),
        }
        meant
    }
}
