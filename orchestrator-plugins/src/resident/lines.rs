//! Lines of a stream, none of them longer than what is kept in memory.

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// A line, without its line end.
    Whole(Vec<u8>),
    /// The beginning of a line that is longer than the limit. The rest of it is skipped.
    Cut(Vec<u8>),
    /// The stream has ended, or cannot be read any more.
    End,
}

/// Reads lines.
#[derive(Debug)]
pub(crate) struct Lines<R> {
    from: BufReader<R>,
    limit: usize,
    held: Vec<u8>,
    /// The rest of the line is not wanted.
    skipping: bool,
    over: bool,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    /// Lines of at most `limit` bytes.
    pub(crate) fn new(from: R, limit: usize) -> Self {
        Self { from: BufReader::new(from), limit, held: Vec::new(), skipping: false, over: false }
    }

    pub(crate) const fn is_over(&self) -> bool {
        self.over
    }

    /// The next line. Nothing is lost if the future is dropped.
    pub(crate) async fn next(&mut self) -> Line {
        while !self.over {
            let Ok(there @ [_, ..]) = self.from.fill_buf().await else {
                self.over = true;
                break;
            };
            let end = there.iter().position(|byte| *byte == b'\n');
            let taken = end.map_or(there.len(), |end| end + 1);
            if !self.skipping {
                let text = &there[..end.unwrap_or(there.len())];
                let room = self.limit - self.held.len();
                self.held.extend_from_slice(&text[..room.min(text.len())]);
                self.skipping = text.len() > room;
                if self.skipping {
                    self.from.consume(taken);
                    self.skipping = end.is_none();
                    return Line::Cut(std::mem::take(&mut self.held));
                }
            } else if end.is_some() {
                self.skipping = false;
                self.from.consume(taken);
                continue;
            }
            self.from.consume(taken);
            if end.is_some() {
                return Line::Whole(std::mem::take(&mut self.held));
            }
        }
        if self.held.is_empty() { Line::End } else { Line::Whole(std::mem::take(&mut self.held)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn all(text: &[u8], limit: usize) -> Vec<Line> {
        let mut lines = Lines::new(text, limit);
        let mut found = Vec::new();
        loop {
            match lines.next().await {
                Line::End => return found,
                line => found.push(line),
            }
        }
    }

    #[tokio::test]
    async fn lines_end_where_they_end_and_none_is_too_long() {
        let whole = |text: &str| Line::Whole(text.into());
        let cut = |text: &str| Line::Cut(text.into());
        assert_eq!(all(b"a\n\nbc\nd", 2).await, [whole("a"), whole(""), whole("bc"), whole("d")]);
        assert_eq!(all(b"abc\nd\n", 2).await, [cut("ab"), whole("d")]);
        let long = [vec![b'x'; 100_000], b"\ny\n".to_vec()].concat();
        assert_eq!(all(&long, 2).await, [cut("xx"), whole("y")]);
        assert_eq!(all(&long, 50_000).await, [cut(&"x".repeat(50_000)), whole("y")]);
        assert_eq!(all(&[b'x'; 9], 2).await, [cut("xx")]);
        assert_eq!(all(b"", 2).await, []);
    }
}
