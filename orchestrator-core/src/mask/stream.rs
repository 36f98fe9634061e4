//! Masking what comes piece by piece.

use super::{Mask, STARS};

/// How many bytes beside the longest value are held back at most until it is decided whether one has begun: 64 KiB. An
/// output of line ends only could otherwise be held back without an end.
const HELD: usize = 64 << 10;

/// Masks bytes that come in pieces: a value that is split between two of them is masked too. What may be the beginning of
/// a value is held back until the next piece or the end decides.
#[derive(Debug, Default)]
pub struct MaskedBytes {
    mask: Mask,
    held: Vec<u8>,
}

impl MaskedBytes {
    /// Masks with this.
    #[must_use]
    pub const fn new(mask: Mask) -> Self {
        Self { mask, held: Vec::new() }
    }

    /// Whether everything goes through as it is.
    #[must_use]
    pub const fn is_idle(&self) -> bool {
        self.mask.is_empty()
    }

    /// Takes a piece; gives what is decided.
    #[must_use]
    pub fn take(&mut self, piece: &[u8]) -> Vec<u8> {
        self.held.extend_from_slice(piece);
        let mut upto = self.mask.undecided(&self.held);
        let found = self.mask.find(&self.held);
        // What is found stays whole, and so does what may become longer.
        if let Some(across) = found.iter().find(|range| range.start < upto && upto < range.end) {
            upto = across.start;
        }
        if self.held.len() - upto > HELD + self.mask.longest() {
            upto = self.held.len();
        }
        let decided = masked(&self.held[..upto], found.iter().filter(|range| range.end <= upto));
        self.held.drain(..upto);
        decided
    }

    /// The end: gives what was held back.
    #[must_use]
    pub fn finish(&mut self) -> Vec<u8> {
        let held = std::mem::take(&mut self.held);
        masked(&held, self.mask.find(&held).iter())
    }
}

fn masked<'r>(bytes: &[u8], found: impl Iterator<Item = &'r std::ops::Range<usize>>) -> Vec<u8> {
    let mut masked = Vec::with_capacity(bytes.len());
    let mut from = 0;
    for range in found {
        masked.extend_from_slice(&bytes[from..range.start]);
        masked.extend_from_slice(STARS.as_bytes());
        from = range.end;
    }
    masked.extend_from_slice(&bytes[from..]);
    masked
}
