//! Where values stand in a text.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use aho_corasick::{AhoCorasick, Input, MatchKind};
use serde_json::{Map, Value};

use super::forms::forms;
use super::{SHORTEST, STARS};

/// The shortest form that is also found where line ends stand in the middle of it, in bytes. Shorter ones would be found
/// by chance in columns of numbers.
const SHORTEST_BROKEN: usize = 16;

/// Values that must not be shown. Cheap to clone; the default knows none and costs nothing.
#[derive(Clone, Default)]
pub struct Mask(Option<Arc<Known>>);

struct Known {
    /// On one line.
    plain: Patterns,
    /// Without the line ends of the text and of the value.
    folded: Patterns,
    values: usize,
}

impl fmt::Debug for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mask({} values)", self.0.as_ref().map_or(0, |known| known.values))
    }
}

impl Mask {
    /// Keeps these values out of texts. Values of less than [`SHORTEST`] bytes are left out.
    #[must_use]
    pub fn of<'v>(values: impl IntoIterator<Item = &'v str>) -> Self {
        let values: BTreeSet<&str> = values.into_iter().filter(|value| value.len() >= SHORTEST).collect();
        let all: BTreeSet<Vec<u8>> = values.iter().flat_map(|value| forms(value)).collect();
        if all.is_empty() {
            return Self::default();
        }
        let folded = all.iter().map(|form| fold(form).0).filter(|form| form.len() >= SHORTEST_BROKEN);
        let folded = Patterns::new(folded.collect());
        Self(Some(Arc::new(Known { plain: Patterns::new(all), folded, values: values.len() })))
    }

    /// Whether it knows no values.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The text with `***` for every value in it.
    #[must_use]
    pub fn text<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let found = self.find(text.as_bytes());
        if found.is_empty() {
            return Cow::Borrowed(text);
        }
        let mut masked = String::with_capacity(text.len());
        let mut from = 0;
        for range in found {
            // A value begins at a character. Where only its beginning was found, that may end inside of one.
            masked.push_str(&text[from..range.start]);
            masked.push_str(STARS);
            from = text.ceil_char_boundary(range.end);
        }
        masked.push_str(&text[from..]);
        Cow::Owned(masked)
    }

    /// Masks every text in a value, the keys of mappings included.
    pub fn value(&self, value: &mut Value) {
        if self.is_empty() {
            return;
        }
        match value {
            Value::String(text) => {
                if let Cow::Owned(masked) = self.text(text) {
                    *text = masked;
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.value(item)),
            Value::Object(fields) => {
                fields.values_mut().for_each(|field| self.value(field));
                if fields.keys().any(|key| matches!(self.text(key), Cow::Owned(_))) {
                    let all = std::mem::take(fields).into_iter();
                    *fields =
                        all.map(|(key, field)| (self.text(&key).into_owned(), field)).collect::<Map<_, _>>();
                }
            }
            Value::Null | Value::Bool(_) => {}
            // A value made of digits can come back as a number.
            Value::Number(number) => {
                if self.text(&number.to_string()) == STARS {
                    *value = STARS.into();
                }
            }
        }
    }

    /// The longest form of a value, in bytes.
    pub(super) fn longest(&self) -> usize {
        self.0.as_ref().map_or(0, |known| known.plain.longest)
    }

    /// Where values stand: in order, apart from each other.
    pub(super) fn find(&self, text: &[u8]) -> Vec<Range<usize>> {
        let Some(known) = &self.0 else { return Vec::new() };
        let mut found: Vec<Range<usize>> = known.plain.find(text);
        if !known.folded.is_empty() && text.iter().any(is_line_end) {
            let (folded, places) = fold(text);
            let ranges = known.folded.find(&folded).into_iter();
            found.extend(ranges.map(|range| places[range.start]..places[range.end - 1] + 1));
        }
        found.sort_unstable_by_key(|range| range.start);
        let mut apart: Vec<Range<usize>> = Vec::with_capacity(found.len());
        for range in found {
            match apart.last_mut() {
                Some(last) if range.start < last.end => last.end = last.end.max(range.end),
                _ => apart.push(range),
            }
        }
        apart
    }

    /// From where on the end of the text may be the beginning of a value; the length of the text, if it is none.
    pub(super) fn undecided(&self, text: &[u8]) -> usize {
        let Some(known) = &self.0 else { return text.len() };
        let plain = known.plain.begun_at(text);
        if known.folded.is_empty() || !text.iter().any(is_line_end) {
            return plain;
        }
        let (folded, places) = fold(text);
        let begun = known.folded.begun_at(&folded);
        places.get(begun).map_or(plain, |begun| plain.min(*begun))
    }
}

fn is_line_end(byte: &u8) -> bool {
    matches!(byte, b'\n' | b'\r')
}

/// The text without its line ends, and where each of its bytes stood.
fn fold(text: &[u8]) -> (Vec<u8>, Vec<usize>) {
    text.iter().enumerate().filter(|(_, byte)| !is_line_end(byte)).map(|(at, byte)| (*byte, at)).unzip()
}

/// What is looked for.
struct Patterns {
    /// Finds how patterns begin; `None` where there is nothing to be found.
    begins: Option<AhoCorasick>,
    sorted: Vec<Vec<u8>>,
    longest: usize,
}

/// How much of a pattern is searched for, in bytes; how it goes on is compared. Keeps the search small for long values,
/// and finds the beginning of a value whose rest is missing.
const BEGIN: usize = 32;

impl Patterns {
    fn new(patterns: BTreeSet<Vec<u8>>) -> Self {
        let begins: BTreeSet<&[u8]> =
            patterns.iter().map(|pattern| &pattern[..pattern.len().min(BEGIN)]).collect();
        let built = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(begins);
        // It fails only beyond two thousand million states, which no set of values within their limits can have.
        let begins = built.ok();
        let sorted: Vec<Vec<u8>> = patterns.into_iter().collect();
        let longest = sorted.iter().map(Vec::len).max().unwrap_or(0);
        Self { begins, sorted, longest }
    }

    fn is_empty(&self) -> bool {
        self.sorted.is_empty()
    }

    fn find(&self, text: &[u8]) -> Vec<Range<usize>> {
        let mut found = Vec::new();
        let mut from = 0;
        while let Some(begin) =
            self.begins.as_ref().and_then(|begins| begins.find(Input::new(text).range(from..)))
        {
            found.push(begin.start()..begin.start() + self.agreed(&text[begin.start()..], begin.len()));
            // Inside of what was found another value may begin, or the same one that was taken to begin too early.
            from = begin.start() + 1;
        }
        found
    }

    /// How many bytes of a text agree with a pattern that begins as its first `begun` bytes do.
    fn agreed(&self, text: &[u8], begun: usize) -> usize {
        let begin = &text[..begun];
        let first = self.sorted.partition_point(|pattern| pattern.as_slice() < begin);
        let same = self.sorted[first..].iter().take_while(|pattern| pattern.starts_with(begin));
        let agreed = same.map(|pattern| pattern.iter().zip(text).take_while(|(a, b)| a == b).count());
        agreed.max().unwrap_or(begun)
    }

    /// The first place from which the rest of the text is the beginning of a pattern and not a whole one.
    fn begun_at(&self, text: &[u8]) -> usize {
        let first = text.len().saturating_sub(self.longest);
        let begun = (first..text.len()).find(|from| {
            let rest = &text[*from..];
            let next = self.sorted.partition_point(|pattern| pattern.as_slice() <= rest);
            self.sorted.get(next).is_some_and(|pattern| pattern.starts_with(rest))
        });
        begun.unwrap_or(text.len())
    }
}
