//! What the table is made of.

/// A place of the language where a fixed set of keys can stand.
#[derive(Debug)]
pub struct Section {
    /// Its short name: `workflow`, `step`.
    pub name: &'static str,
    /// What messages call it: `a step`.
    pub of: &'static str,
    /// The keys: first those that are read, in the order in which they are told, then those that come later.
    pub keys: &'static [Key],
    /// Words of other languages, and what they are called here.
    pub foreign: &'static [(&'static str, &'static str)],
    /// Keys of other sections, and where they belong.
    pub elsewhere: &'static [(&'static str, &'static str)],
    /// A whole workflow in which `…` stands for keys of this section.
    pub frame: &'static str,
    /// A line that such keys need beside them, and the keys that each make it needless.
    pub filler: (&'static str, &'static [&'static str]),
}

impl Section {
    /// The keys that are read.
    pub fn known(&self) -> impl Iterator<Item = &'static str> + Clone + use<> {
        self.keys.iter().filter(|key| !key.later).map(|key| key.name)
    }

    /// The key of this name, read or not.
    #[must_use]
    pub fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }

    /// A whole workflow that holds `lines` at a place where keys of this section stand.
    #[must_use]
    pub fn whole(&self, lines: &str) -> String {
        let Some(at) = self.frame.find('…') else { return self.frame.to_owned() };
        let line = self.frame[..at].rfind('\n').map_or(0, |end| end + 1);
        let indent = " ".repeat(at - line);
        let (filler, given) = self.filler;
        let gives = |line: &str| {
            given.iter().any(|key| line.strip_prefix(key).is_some_and(|rest| rest.starts_with(':')))
        };
        let mut whole = lines.trim_end().to_owned();
        // A mapping in braces is complete.
        if !filler.is_empty() && !whole.starts_with('{') && !whole.lines().any(gives) {
            whole.push('\n');
            whole.push_str(filler);
        }
        self.frame.replacen('…', &whole.replace('\n', &format!("\n{indent}")), 1)
    }
}

/// One key.
#[derive(Debug)]
pub struct Key {
    /// As it is written.
    pub name: &'static str,
    /// What its value can be.
    pub form: Form,
    /// Whether it must be given.
    pub required: bool,
    /// What holds without it, in words or as it would be written; empty where nothing does.
    pub default: &'static str,
    /// What it means: one sentence, or two.
    pub about: &'static str,
    /// One line that gives it, with what it needs beside it.
    pub example: &'static str,
    /// Part of the language, and not read yet.
    pub later: bool,
}

impl Key {
    /// A key that may be left out.
    #[must_use]
    pub const fn new(name: &'static str, form: Form, about: &'static str, example: &'static str) -> Self {
        Self { name, form, required: false, default: "", about, example, later: false }
    }

    /// It must be given.
    #[must_use]
    pub const fn required(mut self) -> Self {
        self.required = true;
        self
    }

    /// What holds without it.
    #[must_use]
    pub const fn without(mut self, default: &'static str) -> Self {
        self.default = default;
        self
    }

    /// It is not read yet.
    #[must_use]
    pub const fn later(mut self) -> Self {
        self.later = true;
        self
    }
}

/// What a value can be.
#[derive(Debug, Clone, Copy)]
pub enum Form {
    /// A text.
    Text,
    /// The name of a workflow.
    Title,
    /// A text without expressions: a script.
    Script,
    /// The name of a kind of plugin.
    Kind,
    /// What the plugin that `uses` names is given.
    With,
    /// `true` or `false`.
    Boolean,
    /// A whole number between two bounds, both included.
    Whole(u32, u32),
    /// One of a few words.
    Word(&'static [&'static str]),
    /// A duration such as `1h30m`.
    Duration,
    /// A number of bytes such as `512MiB`.
    Size,
    /// A condition, with or without `${{ }}`.
    Condition,
    /// A text that is exactly one expression.
    Expression,
    /// Anything; texts in it may hold expressions.
    Value,
    /// Anything, as it is.
    Constant,
    /// The name of a step.
    StepName,
    /// A host and a port, as `permissions` grants them.
    Destination,
    /// A list whose items are of a form, with the least number of items.
    List(&'static Form, u32),
    /// A mapping whose keys the author names.
    Named(&'static Form),
    /// A mapping of variables of the environment to texts, which may hold expressions.
    Environment,
    /// A mapping of labels to their values: any words, and what is no text counts as it is written.
    Labels,
    /// A mapping with the keys of a section.
    Section(&'static Section),
    /// One of several forms.
    Either(&'static [Form]),
}

impl Form {
    /// What the page calls it.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::Text | Self::Script | Self::Title => "text".into(),
            Self::Kind => "kind of plugin".into(),
            Self::With => "what the plugin takes".into(),
            Self::Boolean => "`true` or `false`".into(),
            Self::Whole(least, most) => format!("whole number, {least} to {most}"),
            Self::Word(words) => words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", "),
            Self::Duration => "duration".into(),
            Self::Size => "size".into(),
            Self::Condition => "condition".into(),
            Self::Expression => "expression that gives one".into(),
            Self::Value => "any value".into(),
            Self::Constant => "any value, without expressions".into(),
            Self::StepName => "name of a step".into(),
            Self::Destination => "host and port".into(),
            Self::List(form, _) => format!("list: {}", form.words()),
            Self::Named(form) => format!("mapping of names: {}", form.words()),
            Self::Environment => "mapping of variables to texts".into(),
            Self::Labels => "mapping of labels to texts".into(),
            Self::Section(section) => format!("[{}](#{})", section.name, section.anchor()),
            Self::Either([one, Self::List(many, _)]) if one.words() == many.words() => {
                format!("{}, or a list of them", one.words())
            }
            Self::Either(forms) => forms.iter().map(Self::words).collect::<Vec<_>>().join(", or "),
        }
    }

    /// The sections that a value of this form can hold.
    pub(super) fn sections(&self) -> Vec<&'static Section> {
        match self {
            Self::Section(section) => vec![section],
            Self::List(form, _) | Self::Named(form) => form.sections(),
            Self::Either(forms) => forms.iter().flat_map(Self::sections).collect(),
            _ => Vec::new(),
        }
    }
}

impl Section {
    /// The anchor of its heading on the page: `the-keys-of-a-step`.
    #[must_use]
    pub fn anchor(&self) -> String {
        format!("the-keys-of-{}", self.of.replace('`', "").replace(' ', "-"))
    }
}

/// A section and all that can stand in it, each once.
pub(super) fn reachable(first: &'static Section) -> Vec<&'static Section> {
    let mut found = vec![first];
    let mut next = 0;
    while let Some(section) = found.get(next).copied() {
        next += 1;
        for inner in section.keys.iter().filter(|key| !key.later).flat_map(|key| key.form.sections()) {
            if !found.iter().any(|known| known.name == inner.name) {
                found.push(inner);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use crate::spec::reference::{RETRY, STEP};

    #[test]
    fn lines_take_the_indent_of_their_place() {
        let text = RETRY.whole("max_attempts: 2\ninitial: 1s");
        assert!(text.ends_with("    retry:\n      max_attempts: 2\n      initial: 1s\n"), "{text}");
        assert!(STEP.whole("run: x").contains("\n  example:\n    run: x"));
    }
}
