//! Tasks: what such a step cannot say, because nobody's process executes it.

use crate::spec::StepSpec;
use crate::spec::read::fields::Fields;
use crate::spec::read::reader::Reader;
use crate::spec::tree::Place;

/// What is of the process that executes a step, and what to write instead.
const OF_A_PROCESS: [(&str, &str); 5] = [
    ("timeout", "bound the whole step by `deadline`; a claim ends by itself when nobody renews it"),
    ("env", "give what whoever does it must know in `with`, such as in `prompt`"),
    ("evidence", "give it to a step after this one, which looks at what was done"),
    ("qa", "add a step after this one that says `uses: approval`"),
    ("sandbox", "whoever claims the task does it where they are"),
];

impl<'t> Reader<'t, '_> {
    /// Refuses what a task cannot have.
    pub(super) fn task(&mut self, spec: &StepSpec, fields: Fields<'_, 't>, place: &Place<'_>) {
        if !spec.is_task() {
            return;
        }
        for (key, instead) in OF_A_PROCESS {
            if let Some(entry) = fields.entry(key) {
                let message = format!("a task has no `{key}`: whoever claims it does it elsewhere");
                self.error(entry.key_at, &place.key(key), "conflicting_fields", message).hint(instead);
            }
        }
    }
}
