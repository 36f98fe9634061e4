//! Mutants of command lines.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use super::dice::Dice;

/// Words that are put in between or in place of others.
const WORDS: [&str; 32] = [
    "--json",
    "--json=stream",
    "--json=x",
    "--store",
    "--store=memory",
    "--store=postgres://h/d",
    "memory",
    "sqlite:x.db",
    "--quiet",
    "-q",
    "-qqq",
    "--config",
    "--config=nothing.toml",
    "--help",
    "--version",
    "-h",
    "--",
    "-",
    "",
    "-1",
    "0",
    "99999999999999999999",
    "@last",
    "run_",
    "run_ffff",
    "../../etc/passwd",
    "--limit=0",
    "-i",
    "name=@nothing",
    "=",
    "\u{1b}[31m",
    "\u{202e}",
];

/// A command line with a few words left out, doubled, swapped, replaced or spoilt.
pub(super) fn mutated(dice: &mut Dice, lines: &[Vec<String>]) -> Vec<OsString> {
    let mut words: Vec<OsString> = lines[dice.below(lines.len())].iter().map(OsString::from).collect();
    for _ in 0..dice.pick(&[1, 1, 1, 3]) {
        let at = dice.below(words.len());
        match dice.below(7) {
            _ if words.is_empty() => words.push(dice.pick(&WORDS).into()),
            0 => _ = words.remove(at),
            1 => words.insert(at, words[at].clone()),
            2 => {
                let other = dice.below(words.len());
                words.swap(at, other);
            }
            3 => words[at] = dice.pick(&WORDS).into(),
            4 => words.insert(at, dice.pick(&WORDS).into()),
            5 => {
                // Bytes that are no text, and too many of them.
                let mut bytes = words[at].clone().into_vec();
                bytes.extend(std::iter::repeat_n(dice.pick(&[0xff, b'x', b'=']), dice.pick(&[1, 3, 10_000])));
                words[at] = OsString::from_vec(bytes);
            }
            _ => {
                let mut bytes = words[at].clone().into_vec();
                let place = dice.below(bytes.len());
                if let Some(byte) = bytes.get_mut(place) {
                    *byte = 1 + dice.below(0x7e) as u8;
                }
                words[at] = OsString::from_vec(bytes);
            }
        }
    }
    words
}
