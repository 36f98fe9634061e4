//! The terminal: a screen of its own that leaves no trace, and single keys.

use std::io::{self, IsTerminal, Read, Write};

use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcgetwinsize, tcsetattr,
};
use tokio::sync::mpsc;

/// A screen beside the one with the shell's lines. Dropped, it gives way to that one again.
#[derive(Debug)]
pub(crate) struct Screen {
    size: (usize, usize),
    shown: Vec<String>,
    /// How the keyboard was set before.
    before: Option<Termios>,
}

impl Screen {
    /// Takes the terminal over.
    pub(crate) fn open() -> Self {
        let before = keys_come_singly();
        put("\u{1b}[?1049h\u{1b}[?25l\u{1b}[?7l\u{1b}[2J");
        Self { size: (0, 0), shown: Vec::new(), before }
    }

    /// Whether there is a terminal to be drawn on.
    pub(crate) fn is_there() -> bool {
        io::stdout().is_terminal() && std::env::var_os("TERM").is_some_and(|term| term != "dumb")
    }

    /// Columns and rows now.
    pub(crate) fn size() -> (usize, usize) {
        let size = tcgetwinsize(io::stdout()).ok().filter(|size| size.ws_col > 0 && size.ws_row > 0);
        size.map_or((80, 24), |size| (usize::from(size.ws_col), usize::from(size.ws_row)))
    }

    /// Whether the terminal has another size than what was drawn last.
    pub(crate) fn is_resized(&self) -> bool {
        Self::size() != self.size
    }

    /// Draws; only lines that differ from those that stand there are written.
    pub(crate) fn draw(&mut self, lines: Vec<String>, size: (usize, usize)) {
        // A terminal that knows it shows all of this at once.
        let mut text = String::from("\u{1b}[?2026h");
        if size != self.size {
            text.push_str("\u{1b}[2J");
            self.shown.clear();
            self.size = size;
        }
        for (row, line) in lines.iter().enumerate() {
            if self.shown.get(row) != Some(line) {
                // Cleared first: behind a line as wide as the screen, clearing would take its last character.
                text.push_str(&format!("\u{1b}[{};1H\u{1b}[2K{line}", row + 1));
            }
        }
        text.push_str("\u{1b}[?2026l");
        put(&text);
        self.shown = lines;
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        put("\u{1b}[?7h\u{1b}[?25h\u{1b}[?1049l");
        if let Some(before) = &self.before {
            // Where the terminal is gone there is nothing to set back.
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, before);
        }
    }
}

/// Writes to the terminal. Where it is gone, a signal says so.
fn put(text: &str) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Makes keys come one by one and unseen; Ctrl-C stays what it is. Gives how it was before.
fn keys_come_singly() -> Option<Termios> {
    let before = tcgetattr(io::stdin()).ok()?;
    let mut after = before.clone();
    after.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
    after.special_codes[SpecialCodeIndex::VMIN] = 1;
    after.special_codes[SpecialCodeIndex::VTIME] = 0;
    tcsetattr(io::stdin(), OptionalActions::Now, &after).ok()?;
    Some(before)
}

/// Single keys.
#[derive(Debug)]
pub(crate) struct Keys(mpsc::UnboundedReceiver<u8>);

impl Keys {
    /// Listens on a thread that ends with the process, where stdin is a terminal.
    pub(crate) fn listen() -> Self {
        let (sender, receiver) = mpsc::unbounded_channel();
        if io::stdin().is_terminal() {
            std::thread::spawn(move || {
                let mut key = [0];
                while matches!(io::stdin().lock().read(&mut key), Ok(1)) && sender.send(key[0]).is_ok() {}
            });
        }
        Self(receiver)
    }

    /// Returns when somebody wants to leave.
    pub(crate) async fn leave(&mut self) {
        while let Some(key) = self.0.recv().await {
            if matches!(key, b'q' | b'Q') {
                return;
            }
        }
        // Nobody can press a key any more.
        std::future::pending::<()>().await;
    }
}
