//! The end of a long text.

use orchestrator_core::mask::{Mask, MaskedBytes};

/// The last bytes of what comes piece by piece, masked before anything is cut.
#[derive(Debug)]
pub(super) struct Tail {
    bytes: Vec<u8>,
    limit: usize,
    cut: bool,
    mask: MaskedBytes,
}

impl Tail {
    pub(super) fn new(limit: usize, mask: Mask) -> Self {
        Self { bytes: Vec::new(), limit, cut: false, mask: MaskedBytes::new(mask) }
    }

    pub(super) fn take(&mut self, piece: &[u8]) {
        let decided = self.mask.take(piece);
        self.keep(&decided);
        // Not with every piece: the rest moves to the front.
        if self.bytes.len() > 2 * self.limit {
            self.shorten();
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    fn shorten(&mut self) {
        let over = self.bytes.len().saturating_sub(self.limit);
        self.bytes.drain(..over);
        self.cut |= over > 0;
    }

    /// The text, and whether it is not all. What was cut begins with a whole line, if there is more than one.
    pub(super) fn finish(mut self) -> (String, bool) {
        let held = self.mask.finish();
        self.keep(&held);
        self.shorten();
        let mut bytes = self.bytes.as_slice();
        if self.cut
            && let Some(end) =
                bytes.iter().position(|byte| *byte == b'\n').filter(|end| end + 1 < bytes.len())
        {
            bytes = &bytes[end + 1..];
        }
        (String::from_utf8_lossy(bytes).into_owned(), self.cut)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tail(limit: usize, mask: &[&str], pieces: &[&str]) -> (String, bool) {
        let mut tail = Tail::new(limit, Mask::of(mask.iter().copied()));
        pieces.iter().for_each(|piece| tail.take(piece.as_bytes()));
        tail.finish()
    }

    #[test]
    fn the_end_stays_in_whole_lines() {
        assert_eq!(tail(100, &[], &["a\n", "b\n"]), ("a\nb\n".to_owned(), false));
        assert_eq!(tail(6, &[], &["one\ntwo\n", "three\n"]), ("three\n".to_owned(), true));
        assert_eq!(tail(8, &[], &["one\ntwo\n", "three\n"]), ("three\n".to_owned(), true));
        assert_eq!(tail(3, &[], &["abcdef"]), ("def".to_owned(), true));
        assert_eq!(tail(0, &[], &["abcdef"]), (String::new(), true));
        let many = tail(5, &[], &["x\n"; 1000]);
        assert_eq!(many, ("x\nx\n".to_owned(), true));
    }

    #[test]
    fn no_half_of_a_secret_is_left() {
        for limit in 0..40 {
            let (text, _) = tail(limit, &["hunter2hunter2"], &["a token hunter2", "hunter2 was used"]);
            assert!(!text.contains("hunter") && !text.contains("nter2"), "{limit}: {text}");
        }
    }
}
