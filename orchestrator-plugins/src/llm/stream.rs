//! Server-sent events (WHATWG HTML, section 9.2), as far as answers need them: the data of each.

use super::answer::{TEXT_MAX, Unread};

/// The longest event, in bytes: an answer may come in one, with every character escaped, and once more as a whole at its end.
const EVENT_MAX: usize = 4 * TEXT_MAX;

/// Cuts what comes in into events.
#[derive(Debug, Default)]
pub(super) struct Events {
    /// The beginning of a line whose end has not come yet.
    rest: Vec<u8>,
    data: String,
    has_data: bool,
}

impl Events {
    /// The data of the events that end in `bytes`.
    ///
    /// # Errors
    /// An event that is too long.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Result<Vec<String>, Unread> {
        let mut ended = Vec::new();
        let mut from = 0;
        for at in (0..bytes.len()).filter(|at| bytes[*at] == b'\n') {
            self.rest.extend_from_slice(&bytes[from..at]);
            from = at + 1;
            let line = std::mem::take(&mut self.rest);
            self.line(&String::from_utf8_lossy(&line), &mut ended);
        }
        self.rest.extend_from_slice(&bytes[from..]);
        if self.rest.len() + self.data.len() > EVENT_MAX {
            return Err(Unread::odd(format!("a piece of the answer is longer than {EVENT_MAX} bytes")));
        }
        Ok(ended)
    }

    fn line(&mut self, line: &str, ended: &mut Vec<String>) {
        let line = line.strip_suffix('\r').unwrap_or(line);
        if line.is_empty() {
            if std::mem::take(&mut self.has_data) {
                ended.push(std::mem::take(&mut self.data));
            }
        } else if let Some(data) = line.strip_prefix("data:") {
            if self.has_data {
                self.data.push('\n');
            }
            self.has_data = true;
            self.data.push_str(data.strip_prefix(' ').unwrap_or(data));
        }
        // Names, ids, comments: the data say themselves what they are.
    }

    /// The data of an event whose end was never sent: some servers leave out the last empty line.
    pub(super) fn end(&mut self) -> Option<String> {
        let line = std::mem::take(&mut self.rest);
        let mut ended = Vec::new();
        self.line(&String::from_utf8_lossy(&line), &mut ended);
        self.line("", &mut ended);
        ended.pop()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_found_wherever_the_pieces_are_cut() {
        let text =
            "event: a\r\ndata: {\"x\":\r\ndata: 1}\r\n\r\n: a comment\n\ndata:two é\n\nid: 3\n\ndata: [DONE]";
        let expected = ["{\"x\":\n1}", "two é", "[DONE]"];
        for size in 1..text.len() {
            let mut events = Events::default();
            let mut found = Vec::new();
            text.as_bytes().chunks(size).for_each(|piece| found.extend(events.take(piece).unwrap()));
            found.extend(events.end());
            assert_eq!(found, expected, "in pieces of {size}");
            assert_eq!(events.end(), None);
        }
    }

    #[test]
    fn an_event_without_end_is_left() {
        let mut events = Events::default();
        let piece = vec![b'x'; 1 << 20];
        let taken = (0..).find(|_| events.take(&piece).is_err()).unwrap();
        assert_eq!(taken, EVENT_MAX >> 20);
    }
}
