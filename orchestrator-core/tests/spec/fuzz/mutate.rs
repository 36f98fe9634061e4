//! Mutants of texts: of their bytes, words, lines, keys and values.

use super::dice::Dice;

/// What is put in between, or in place of something: pieces of YAML, of the language, and values at the edge.
const PIECES: [&str; 72] = [
    ":",
    ": ",
    "- ",
    "[",
    "]",
    "{",
    "}",
    ",",
    "\"",
    "'",
    "|",
    ">",
    "|2-\n",
    "&a ",
    "*a",
    "*a:",
    "!!str ",
    "!x ",
    "<<: *a",
    "? ",
    "---\n",
    "...\n",
    "%YAML 1.2\n",
    "#",
    " #",
    "\t",
    "\n",
    "\r",
    "\r\n",
    "  ",
    "\0",
    "\u{feff}",
    "\u{85}",
    "\u{2028}",
    "é",
    "\u{1f600}",
    "e\u{301}",
    "\u{202e}",
    "${{",
    "}}",
    "${{ }}",
    "${{ inputs.x }}",
    "${{ steps.a.stdout }}",
    "${{ 1 // 0 }}",
    "${{ steps['a'].x[0] | tojson }}",
    "${{ range(1000000000) | list }}",
    "${{ 'x' * 1000000000 }}",
    "success() and not (",
    "if: always()",
    "needs: [a, b]",
    "run: x",
    "uses: http",
    "with: {}",
    "retry: { max_attempts: 3 }",
    "timeout: 1h30m",
    "timeout: { after: 99999999999d }",
    "null",
    "~",
    "true",
    "yes",
    "0",
    "-0",
    "0777",
    "0x",
    "1e400",
    ".nan",
    ".inf",
    "18446744073709551616",
    "9223372036854775808",
    "12:30:00",
    "2027-01-31",
    "1.5.2s",
];

/// Makes mutants of texts, with words of a language to put in.
#[derive(Debug)]
pub(crate) struct Mutator {
    pub(crate) corpus: Vec<String>,
    /// The keys of the language.
    pub(crate) keys: Vec<&'static str>,
}

impl Mutator {
    /// The mutant with this number: bytes, because some are not text any more.
    pub(crate) fn mutant(&self, seed: u64, index: u64) -> Vec<u8> {
        let mut dice = Dice::new(seed, index);
        let mut text = self.corpus[dice.below(self.corpus.len())].clone();
        for _ in 0..dice.pick(&[1, 1, 1, 2, 3, 5]) {
            text = match dice.below(12) {
                0..3 => self.words(&mut dice, &text),
                3..5 => Self::lines(&mut dice, &text),
                5 => self.splice(&mut dice, &text),
                6..8 => self.key(&mut dice, &text),
                8..10 => self.value(&mut dice, &text),
                10 => repeat(&mut dice, &text),
                _ => characters(&mut dice, &text),
            };
        }
        let mut bytes = text.into_bytes();
        if dice.below(8) == 0 {
            spoil(&mut dice, &mut bytes);
        }
        bytes
    }

    /// A word left out, doubled, swapped with another, or replaced.
    fn words(&self, dice: &mut Dice, text: &str) -> String {
        let mut words = split(text);
        if words.is_empty() {
            return dice.pick(&PIECES).to_owned();
        }
        let (at, other) = (dice.below(words.len()), dice.below(words.len()));
        match dice.below(5) {
            0 => _ = words.remove(at),
            1 => words.insert(at, words[at]),
            2 => words.swap(at, other),
            3 => words[at] = self.piece(dice),
            _ => words.insert(at, self.piece(dice)),
        }
        words.concat()
    }

    fn piece(&self, dice: &mut Dice) -> &'static str {
        if dice.below(3) == 0 { dice.pick(&self.keys) } else { dice.pick(&PIECES) }
    }

    /// A line left out, doubled, moved, or indented otherwise.
    fn lines(dice: &mut Dice, text: &str) -> String {
        let mut lines: Vec<String> = text.split_inclusive('\n').map(str::to_owned).collect();
        if lines.is_empty() {
            return "\n".to_owned();
        }
        let (at, other) = (dice.below(lines.len()), dice.below(lines.len()));
        match dice.below(5) {
            0 => _ = lines.remove(at),
            1 => lines.insert(at, lines[at].clone()),
            2 => {
                let line = lines.remove(at);
                lines.insert(other.min(lines.len()), line);
            }
            3 => lines[at].insert_str(0, dice.pick(&[" ", "  ", "    ", "\t", "- "])),
            _ => lines[at] = lines[at].trim_start().to_owned(),
        }
        lines.concat()
    }

    /// A piece of another text in place of a piece of this one.
    fn splice(&self, dice: &mut Dice, text: &str) -> String {
        let (mut lines, other) = (lines_of(text), &self.corpus[dice.below(self.corpus.len())]);
        let other = lines_of(other);
        let (gone, come) = (range(dice, lines.len()), range(dice, other.len()));
        lines.splice(gone, other[come].iter().copied());
        lines.concat()
    }

    /// A key replaced by another key.
    fn key(&self, dice: &mut Dice, text: &str) -> String {
        let colons: Vec<usize> = text.match_indices(':').map(|(at, _)| at).collect();
        if colons.is_empty() {
            return format!("{text}{}: x\n", dice.pick(&self.keys));
        }
        let end = dice.pick(&colons);
        let begin = text[..end]
            .rfind(|c: char| !c.is_alphanumeric() && !"_-".contains(c))
            .map_or(0, |at| at + text[at..].chars().next().map_or(1, char::len_utf8));
        format!("{}{}{}", &text[..begin], dice.pick(&self.keys), &text[end..])
    }

    /// What stands behind a colon replaced.
    fn value(&self, dice: &mut Dice, text: &str) -> String {
        let colons: Vec<usize> = text.match_indices(": ").map(|(at, _)| at + 2).collect();
        if colons.is_empty() {
            return format!("{text}a: {}", dice.pick(&PIECES));
        }
        let begin = dice.pick(&colons);
        let end = begin + text[begin..].find(['\n', ',', '}']).unwrap_or(text.len() - begin);
        let value = match dice.below(6) {
            0 => "[".repeat(dice.below(80)),
            1 => format!("[{}1{}]", "[".repeat(20), "]".repeat(20)),
            2 => "x".repeat(dice.below(5_000)),
            3 => text[dice.pick(&colons)..].lines().next().unwrap_or_default().to_owned(),
            _ => self.piece(dice).to_owned(),
        };
        format!("{}{value}{}", &text[..begin], &text[end..])
    }
}

/// A stretch said many times, up to 32 KiB of it.
fn repeat(dice: &mut Dice, text: &str) -> String {
    let words = split(text);
    let range = range(dice, words.len());
    let stretch = words[range.clone()].concat();
    let times = dice.below(1 + (32 << 10) / stretch.len().max(32));
    format!("{}{}{}", words[..range.start].concat(), stretch.repeat(times), words[range.end..].concat())
}

/// Some characters left out, changed, or put in.
fn characters(dice: &mut Dice, text: &str) -> String {
    let mut text: Vec<char> = text.chars().collect();
    for _ in 0..=dice.below(6) {
        let at = dice.below(text.len());
        let end = if dice.below(4) == 0 { 0x11_0000 } else { 0x80 };
        let c = char::from_u32(dice.below(end) as u32).unwrap_or('\u{fffd}');
        match dice.below(3) {
            _ if text.is_empty() => text.push(c),
            0 => _ = text.remove(at),
            1 => text[at] = c,
            _ => text.insert(at, c),
        }
    }
    text.into_iter().collect()
}

/// Some bytes changed, or a stretch of them left out: what is left may be no text.
fn spoil(dice: &mut Dice, bytes: &mut Vec<u8>) {
    for _ in 0..=dice.below(4) {
        let at = dice.below(bytes.len());
        if let Some(byte) = bytes.get_mut(at) {
            *byte ^= 1 << dice.below(8);
        }
    }
    if dice.below(2) == 0 {
        bytes.drain(range(dice, bytes.len()));
    }
}

/// A range within `0..=len`, short more often than long.
fn range(dice: &mut Dice, len: usize) -> std::ops::Range<usize> {
    let from = dice.below(len + 1);
    let longest = dice.pick(&[1, 4, 16, len]);
    from..(from + dice.below(longest + 1)).min(len)
}

fn lines_of(text: &str) -> Vec<&str> {
    text.split_inclusive('\n').collect()
}

/// Words, gaps and signs.
fn split(text: &str) -> Vec<&str> {
    let kind = |c: char| {
        if c.is_alphanumeric() || c == '_' {
            0
        } else if c == ' ' {
            1
        } else {
            2
        }
    };
    let mut words = Vec::new();
    let mut begin = 0;
    let mut last = None;
    for (at, c) in text.char_indices() {
        if last.is_some_and(|last| last != kind(c) || last == 2) {
            words.push(&text[begin..at]);
            begin = at;
        }
        last = Some(kind(c));
    }
    words.push(&text[begin..]);
    words.retain(|word| !word.is_empty());
    words
}
