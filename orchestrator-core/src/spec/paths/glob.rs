//! One pattern of paths, and whether two of them can mean the same file.
//!
//! A pattern is a sequence of names; a name is a sequence of characters. Both may have gaps, `**` among names and `*` among
//! characters, so the question is the same twice: whether some sequence fits both.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

/// The longest pattern, in bytes.
pub const MAX_GLOB: usize = 255;

/// How many patterns one with braces may stand for.
pub const MAX_ALTERNATIVES: usize = 16;

/// A pattern of paths below a workspace: `*` and `?` within a name, `**` for any number of names, `[a-z]` and `[!a-z]` for one
/// character, `{this,that}` for one of several. It means what it matches and all that lies below that.
#[derive(Clone)]
pub struct Glob {
    text: Arc<str>,
    /// One for each choice that braces leave.
    alternatives: Arc<[Vec<Item<Name>>]>,
}

type Name = Vec<Item<Set>>;

/// Part of a pattern: a gap for any number, or exactly one.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Item<T> {
    Any,
    One(T),
}

/// Characters, as ranges in order that do not touch.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Set(Vec<(u32, u32)>);

/// Everything that a name may be made of.
const LAST: u32 = char::MAX as u32;

impl Set {
    fn of(mut ranges: Vec<(u32, u32)>) -> Self {
        ranges.sort_unstable();
        let mut set: Vec<(u32, u32)> = Vec::with_capacity(ranges.len());
        for (low, high) in ranges {
            match set.last_mut() {
                Some(last) if low <= last.1.saturating_add(1) => last.1 = last.1.max(high),
                _ => set.push((low, high)),
            }
        }
        Self(set)
    }

    /// All characters but these.
    fn without(Self(ranges): Self) -> Self {
        let mut rest = Vec::with_capacity(ranges.len() + 1);
        let mut from = 0;
        for (low, high) in ranges {
            if low > from {
                rest.push((from, low - 1));
            }
            from = high + 1;
        }
        if from <= LAST {
            rest.push((from, LAST));
        }
        Self(rest)
    }

    fn meets(&self, other: &Self) -> bool {
        let (mut own, mut others) = (self.0.iter().peekable(), other.0.iter().peekable());
        while let (Some(a), Some(b)) = (own.peek(), others.peek()) {
            if a.0 <= b.1 && b.0 <= a.1 {
                return true;
            }
            if a.1 < b.1 {
                own.next()
            } else {
                others.next()
            };
        }
        false
    }
}

/// Whether some sequence fits both. Looks at each pair of places once.
fn meet<T>(a: &[Item<T>], b: &[Item<T>], one: impl Fn(&T, &T) -> bool) -> bool {
    let wide = b.len() + 1;
    // Which places of `b` can be reached together with the place of `a` that is looked at, and with the next.
    let (mut here, mut next) = (vec![false; wide], vec![false; wide]);
    here[0] = true;
    for i in 0..=a.len() {
        for j in 0..wide {
            if !here[j] {
                continue;
            }
            match (a.get(i), b.get(j)) {
                (None, None) => return true,
                (Some(Item::One(x)), Some(Item::One(y))) => next[j + 1] |= one(x, y),
                (left, right) => {
                    // A gap ends here, or takes one more of the other.
                    next[j] |= matches!(left, Some(Item::Any));
                    if matches!(right, Some(Item::Any)) {
                        here[j + 1] = true;
                        next[j] |= matches!(left, Some(Item::One(_)));
                    } else if matches!(left, Some(Item::Any)) && right.is_some() {
                        here[j + 1] = true;
                    }
                }
            }
        }
        (here, next) = (next, vec![false; wide]);
    }
    false
}

impl Glob {
    /// Reads a pattern.
    ///
    /// # Errors
    /// What is wrong with it, as the end of a sentence that begins with the pattern.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("is empty; `.` means the whole workspace".to_owned());
        }
        if text.len() > MAX_GLOB {
            return Err(format!("has {} bytes, and may have {MAX_GLOB}", text.len()));
        }
        if text.chars().any(char::is_control) {
            return Err("has a control character".to_owned());
        }
        if text.contains('\\') {
            return Err(
                "has a backslash; names are parted by `/`, and `[*]` means the character `*`".to_owned()
            );
        }
        if text.starts_with('/') {
            return Err("begins with `/`; paths are relative to the workspace".to_owned());
        }
        let alternatives = spread(text)?;
        let alternatives = alternatives.iter().map(|text| names(text)).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { text: text.into(), alternatives: alternatives.into() })
    }

    /// As it was written.
    #[must_use]
    pub const fn as_str(&self) -> &Arc<str> {
        &self.text
    }

    /// Whether some path is meant by both.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        self.alternatives.iter().any(|own| {
            other.alternatives.iter().any(|others| meet(own, others, |a, b| meet(a, b, Set::meets)))
        })
    }
}

/// The patterns without braces that one stands for.
fn spread(text: &str) -> Result<Vec<String>, String> {
    let mut texts = vec![String::new()];
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}', '[']) {
        let (before, from) = rest.split_at(at);
        texts.iter_mut().for_each(|text| text.push_str(before));
        if from.starts_with('[') {
            // A brace within a class is a character.
            let end = class_end(from)?;
            texts.iter_mut().for_each(|text| text.push_str(&from[..end]));
            rest = &from[end..];
            continue;
        }
        let Some(inner) = from.strip_prefix('{') else { return Err("has a `}` without a `{`".to_owned()) };
        let Some((inner, after)) = inner.split_once('}') else {
            return Err("has a `{` without a `}`".to_owned());
        };
        if inner.contains(['{', '[']) {
            return Err("has braces or brackets within braces".to_owned());
        }
        let choices: Vec<&str> = inner.split(',').collect();
        if texts.len() * choices.len() > MAX_ALTERNATIVES {
            return Err(format!("stands for more than {MAX_ALTERNATIVES} patterns; write several"));
        }
        texts =
            texts.iter().flat_map(|text| choices.iter().map(move |word| format!("{text}{word}"))).collect();
        rest = after;
    }
    texts.iter_mut().for_each(|text| text.push_str(rest));
    Ok(texts)
}

/// Where a class of characters ends that begins here.
fn class_end(from: &str) -> Result<usize, String> {
    // The first `]` may be one of its characters.
    let first = 1 + usize::from(from[1..].starts_with(['!', '^']));
    let own = usize::from(from[first..].starts_with(']'));
    let end = from[first + own..].find(']').ok_or("has a `[` without a `]`")?;
    Ok(first + own + end + 1)
}

/// The names of a pattern without braces, and all that lies below.
fn names(text: &str) -> Result<Vec<Item<Name>>, String> {
    let mut parts = Vec::new();
    for name in pieces(text)? {
        match name {
            "" | "." => {}
            ".." => return Err("has `..`; paths stay below the workspace".to_owned()),
            "**" => parts.push(Item::Any),
            _ if name.contains("**") => {
                return Err(
                    "has `**` beside other characters; it stands for whole names, as in `src/**/tests`"
                        .to_owned(),
                );
            }
            name => parts.push(Item::One(characters(name)?)),
        }
    }
    // Whoever names a folder means what is in it.
    if parts.last() != Some(&Item::Any) {
        parts.push(Item::Any);
    }
    Ok(parts)
}

/// What stands between the slashes; one within brackets is none that parts names, and may not stand there.
fn pieces(text: &str) -> Result<Vec<&str>, String> {
    let (mut pieces, mut from, mut at) = (Vec::new(), 0, 0);
    while let Some(found) = text[at..].find(['/', '[']) {
        at += found;
        if text[at..].starts_with('/') {
            pieces.push(&text[from..at]);
            at += 1;
            from = at;
            continue;
        }
        let end = class_end(&text[at..])?;
        if text[at..at + end].contains('/') {
            return Err("has a `/` within brackets".to_owned());
        }
        at += end;
    }
    pieces.push(&text[from..]);
    Ok(pieces)
}

fn characters(name: &str) -> Result<Name, String> {
    let mut items = Vec::new();
    let mut rest = name;
    while let Some(first) = rest.chars().next() {
        let mut length = first.len_utf8();
        items.push(match first {
            '*' => Item::Any,
            '?' => Item::One(Set(vec![(0, LAST)])),
            '[' => {
                length = class_end(rest)?;
                Item::One(class(&rest[1..length - 1])?)
            }
            other => Item::One(Set(vec![(other.into(), other.into())])),
        });
        rest = &rest[length..];
    }
    Ok(items)
}

/// What stands within brackets.
fn class(text: &str) -> Result<Set, String> {
    let others = text.strip_prefix(['!', '^']);
    let mut characters = others.unwrap_or(text).chars().peekable();
    let mut ranges = Vec::new();
    while let Some(low) = characters.next() {
        let mut ahead = characters.clone();
        let high = match (ahead.next(), ahead.next()) {
            (Some('-'), Some(high)) => {
                characters = ahead;
                high
            }
            _ => low,
        };
        if high < low {
            return Err(format!("has the range `{low}-{high}`, which is empty"));
        }
        ranges.push((low.into(), high.into()));
    }
    let set = Set::of(ranges);
    let set = if others.is_some() { Set::without(set) } else { set };
    if set.0.is_empty() { Err("has brackets that match nothing".to_owned()) } else { Ok(set) }
}

impl fmt::Debug for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

impl PartialEq for Glob {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Glob {}

impl PartialOrd for Glob {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Glob {
    fn cmp(&self, other: &Self) -> Ordering {
        self.text.cmp(&other.text)
    }
}
