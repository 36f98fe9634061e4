//! A sheet of characters on which lines are drawn that know where they meet.

use crate::output::style::{Style, Tint};

const UP: u8 = 1;
const DOWN: u8 = 2;
const LEFT: u8 = 4;
const RIGHT: u8 = 8;

/// One character of the sheet.
#[derive(Debug, Clone, Copy, Default)]
struct Cell {
    /// What stands here, if not a line.
    text: Option<char>,
    tint: Option<Tint>,
    /// Where lines lead from here.
    arms: u8,
    /// Whose line runs across, and whose down.
    across: usize,
    down: usize,
}

/// A sheet of characters.
#[derive(Debug)]
pub(super) struct Canvas {
    rows: Vec<Vec<Cell>>,
    width: usize,
}

impl Canvas {
    /// An empty one.
    pub(super) fn new(width: usize, height: usize) -> Self {
        Self { rows: vec![vec![Cell::default(); width]; height], width }
    }

    fn cell(&mut self, row: usize, column: usize) -> Option<&mut Cell> {
        self.rows.get_mut(row)?.get_mut(column)
    }

    /// Writes a text.
    pub(super) fn write(&mut self, row: usize, column: usize, text: &str, tint: Option<Tint>) {
        for (at, c) in (column..self.width).zip(text.chars()) {
            if let Some(cell) = self.cell(row, at) {
                *cell = Cell { text: Some(c), tint, ..Cell::default() };
            }
        }
    }

    /// A line across, of the family `of` (counted from 1): families cross each other, and one family joins.
    pub(super) fn across(&mut self, row: usize, from: usize, to: usize, of: usize) {
        let (from, to) = (from.min(to), from.max(to));
        for column in from..=to {
            if let Some(cell) = self.cell(row, column) {
                cell.arms |= if column > from { LEFT } else { 0 } | if column < to { RIGHT } else { 0 };
                cell.across = of;
            }
        }
    }

    /// A line down, of the family `of`.
    pub(super) fn down(&mut self, column: usize, from: usize, to: usize, of: usize) {
        for row in from..=to {
            if let Some(cell) = self.cell(row, column) {
                cell.arms |= if row > from { UP } else { 0 } | if row < to { DOWN } else { 0 };
                cell.down = of;
            }
        }
    }

    /// A line that leads into the sheet's other things from above or below: an arm without a cell of its own.
    pub(super) fn arm(&mut self, row: usize, column: usize, down: bool, of: usize) {
        if let Some(cell) = self.cell(row, column) {
            cell.arms |= if down { DOWN } else { UP };
            cell.down = of;
        }
    }

    /// The sheet as lines of text.
    pub(super) fn to_text(&self, style: &Style) -> String {
        let mut text = String::with_capacity(self.rows.len() * (self.width + 1));
        for row in &self.rows {
            let end = row.iter().rposition(|cell| cell.shown(style) != ' ').map_or(0, |last| last + 1);
            let mut cells = row[..end].iter().peekable();
            while let Some(cell) = cells.next() {
                let mut run = String::from(cell.shown(style));
                while let Some(next) = cells.next_if(|next| next.shade() == cell.shade()) {
                    run.push(next.shown(style));
                }
                match cell.shade() {
                    Some(tint) if !run.trim().is_empty() => {
                        text.push_str(&style.tint(tint, &run).to_string());
                    }
                    _ => text.push_str(&run),
                }
            }
            text.push('\n');
        }
        text
    }
}

impl Cell {
    fn shown(&self, style: &Style) -> char {
        if let Some(c) = self.text {
            return c;
        }
        let (unicode, plain) = match self.arms {
            0 => (' ', ' '),
            arms if arms & (LEFT | RIGHT) == 0 => ('│', '|'),
            arms if arms & (UP | DOWN) == 0 => ('─', '-'),
            // One line passes over another: they have nothing to do with each other.
            arms if arms == UP | DOWN | LEFT | RIGHT && self.across != self.down => ('│', '|'),
            arms => (corner(arms), '+'),
        };
        if style.either("u", "a") == "u" { unicode } else { plain }
    }

    fn shade(&self) -> Option<Tint> {
        if self.text.is_some() { self.tint } else { Some(Tint::Dim) }
    }
}

const fn corner(arms: u8) -> char {
    match arms {
        10 => '╭',
        6 => '╮',
        9 => '╰',
        5 => '╯',
        11 => '├',
        7 => '┤',
        14 => '┬',
        13 => '┴',
        _ => '┼',
    }
}
