//! As text: boxes in waves from top to bottom, with lines between them, as wide as the terminal. What does not fit is
//! folded, then listed, then counted.

use crate::graph::canvas::Canvas;
use crate::graph::fold::folded;
use crate::graph::layout::Layout;
use crate::graph::listing;
use crate::graph::model::{Graph, Node, sign};
use crate::graph::route::{Channel, Net, Port, route};
use crate::output::escape;
use crate::output::style::{Style, Tint, tint_of};

/// More boxes than this are not looked at one by one.
const MOST_BOXES: usize = 150;

/// How tightly things are set until every wave fits.
const SETTINGS: [Setting; 5] = [
    Setting { name: 32, detail: 32, gap: 2, pass: 3 },
    Setting { name: 20, detail: 20, gap: 2, pass: 3 },
    Setting { name: 12, detail: 12, gap: 2, pass: 3 },
    Setting { name: 12, detail: 8, gap: 1, pass: 1 },
    Setting { name: 8, detail: 1, gap: 1, pass: 1 },
];

/// How tightly things are set.
#[derive(Debug, Clone, Copy)]
struct Setting {
    /// The most characters of a name.
    name: usize,
    /// The most characters of what stands below it, if that is longer than the name.
    detail: usize,
    /// Columns between two boxes.
    gap: i32,
    /// Columns that a passing line takes; with more than one it can step aside.
    pass: i32,
}

/// The least width that is drawn into; a narrower terminal breaks lines.
const LEAST_WIDTH: usize = 24;

/// Draws a graph for a terminal of so many columns. Ends with a line end.
pub(crate) fn text(graph: &Graph, width: usize, style: &Style) -> String {
    let mut text = style.tint(Tint::Strong, &escape::line(&graph.title)).to_string();
    if !graph.about.is_empty() {
        text.push_str(&format!(": {}", escape::line(&graph.about)));
    }
    text.push_str("\n\n");
    let width = width.max(LEAST_WIDTH);
    let small = folded(graph);
    let drawn = drawing(graph, width, style).or_else(|| drawing(&small, width, style));
    match drawn {
        Some(drawn) => text.push_str(&drawn),
        None => text.push_str(&listing::waves(&small, width, style)),
    }
    text
}

/// The boxes and lines; `None` if they do not fit.
fn drawing(graph: &Graph, width: usize, style: &Style) -> Option<String> {
    if graph.nodes.len() > MOST_BOXES {
        return None;
    }
    let layout = Layout::of(graph);
    SETTINGS.iter().find_map(|setting| {
        let boxes: Vec<Drawn> = graph.nodes.iter().map(|node| Drawn::of(node, *setting, style)).collect();
        let sizes: Vec<i32> = layout
            .spots
            .iter()
            .map(|spot| spot.node.map_or(setting.pass, |node| boxes[node].width))
            .collect();
        let start = layout.place(&sizes, setting.gap, i32::try_from(width).unwrap_or(i32::MAX))?;
        Some(paint(&layout, &boxes, &sizes, &start, style))
    })
}

/// A box: what stands in it, and how wide it is with its frame.
#[derive(Debug)]
struct Drawn {
    mark: Option<(String, Tint)>,
    name: String,
    detail: String,
    width: i32,
    /// A second frame behind it shows that it stands for several.
    several: bool,
}

impl Drawn {
    fn of(node: &Node, setting: Setting, style: &Style) -> Self {
        let mark = node.state.map(|state| (sign(state, style).to_owned(), tint_of(state)));
        let name = cut(&escape::line(&node.name), setting.name, style);
        let states = node.tally.states();
        let counts: Vec<String> =
            states.iter().map(|(state, count)| format!("{} {count}", sign(state, style))).collect();
        let detail = if counts.is_empty() {
            node.detail()
        } else {
            format!("{}  {}", node.detail(), counts.join(" "))
        };
        let detail = cut(&escape::line(&detail), setting.detail.max(name.chars().count()), style);
        let inner = (name.chars().count() + if mark.is_some() { 2 } else { 0 }).max(detail.chars().count());
        // Odd, so that there is a column in the middle.
        let width = (inner + 4) | 1;
        Self {
            mark,
            name,
            detail,
            width: i32::try_from(width).unwrap_or(i32::MAX),
            several: node.count() > 1,
        }
    }
}

/// The beginning of a text, with a sign that it goes on.
pub(super) fn cut(text: &str, length: usize, style: &Style) -> String {
    if text.chars().count() <= length {
        return text.to_owned();
    }
    let sign = style.either("…", "~");
    text.chars().take(length.saturating_sub(1)).chain(sign.chars()).collect()
}

/// Rows of a box with its frame.
const BOX: usize = 4;

fn paint(layout: &Layout, boxes: &[Drawn], sizes: &[i32], start: &[i32], style: &Style) -> String {
    let column = |at: i32| usize::try_from(at).unwrap_or(0);
    let ports: Vec<Port> = (0..layout.spots.len())
        .map(|spot| {
            let centre = start[spot] + sizes[spot] / 2;
            Port { into: centre, out: centre, half: (sizes[spot] / 2 - 1).max(0) }
        })
        .collect();
    let channels: Vec<Channel> =
        layout.waves.iter().map(|wave| route(wave, &layout.out, &layout.into, &ports)).collect();
    let width = (0..sizes.len()).map(|spot| start[spot] + sizes[spot]).max().unwrap_or(0);
    let height: usize = channels.iter().map(|channel| BOX + channel.rows).sum();
    let mut canvas = Canvas::new(column(width), height);
    let mut top = 0;
    // Where lines arrive at the spots of the wave at hand.
    let mut arrived: Vec<(usize, i32)> = Vec::new();
    for (wave, channel) in layout.waves.iter().zip(&channels) {
        for spot in wave {
            let entries: Vec<usize> =
                arrived.iter().filter(|(to, _)| to == spot).map(|(_, at)| column(*at)).collect();
            let out = (!layout.out[*spot].is_empty()).then_some(column(ports[*spot].out));
            match layout.spots[*spot].node {
                Some(node) => {
                    let at = Place { top, left: column(start[*spot]), entries: &entries, out };
                    frame(&mut canvas, &at, &boxes[node], style);
                }
                None => pass(&mut canvas, top, &entries, out, *spot + 1),
            }
        }
        let first = top + BOX;
        for net in &channel.nets {
            lines(&mut canvas, first, channel.rows, net);
        }
        arrived = channel.nets.iter().flat_map(|net| net.entries.iter().copied()).collect();
        top = first + channel.rows;
    }
    canvas.to_text(style)
}

/// A line that passes a wave.
fn pass(canvas: &mut Canvas, top: usize, entries: &[usize], out: Option<usize>, of: usize) {
    let (Some(into), Some(out)) = (entries.first().copied(), out) else { return };
    let bend = top + BOX / 2;
    canvas.arm(top, into, false, of);
    canvas.down(into, top, bend, of);
    canvas.across(bend, into, out, of);
    canvas.down(out, bend, top + BOX - 1, of);
    canvas.arm(top + BOX - 1, out, true, of);
}

/// The lines from one spot to those of the next wave.
fn lines(canvas: &mut Canvas, first: usize, rows: usize, net: &Net) {
    let column = |at: i32| usize::try_from(at).unwrap_or(0);
    let (out, of, track) = (column(net.out), net.from + 1, first + net.track);
    let last = first + rows - 1;
    canvas.arm(first, out, false, of);
    canvas.down(out, first, track, of);
    for (_, into) in &net.entries {
        let into = column(*into);
        canvas.across(track, out, into, of);
        canvas.down(into, track, last, of);
        canvas.arm(last, into, true, of);
    }
}

/// Where a box stands, and where its lines arrive and leave.
struct Place<'a> {
    top: usize,
    left: usize,
    entries: &'a [usize],
    out: Option<usize>,
}

fn frame(canvas: &mut Canvas, at: &Place<'_>, drawn: &Drawn, style: &Style) {
    let Place { top, left, .. } = *at;
    let inner = usize::try_from(drawn.width).unwrap_or(2) - 2;
    let right = left + inner + 1;
    let tint = drawn.mark.as_ref().map_or(Tint::Dim, |(_, tint)| *tint);
    let sides = if drawn.several { style.either("║", "#") } else { style.either("│", "|") };
    let edge = style.either("─", "-").repeat(inner);
    let corners = |left: &str, right: &str| format!("{left}{edge}{right}");
    canvas.write(top, left, &corners(style.either("┌", "+"), style.either("┐", "+")), Some(tint));
    canvas.write(top + BOX - 1, left, &corners(style.either("└", "+"), style.either("┘", "+")), Some(tint));
    for row in [top + 1, top + 2] {
        canvas.write(row, left, sides, Some(tint));
        canvas.write(row, right, sides, Some(tint));
    }
    let mut text = left + 2;
    if let Some((mark, tint)) = &drawn.mark {
        canvas.write(top + 1, text, mark, Some(*tint));
        text += 2;
    }
    canvas.write(top + 1, text, &drawn.name, Some(Tint::Strong));
    canvas.write(top + 2, left + 2, &drawn.detail, Some(Tint::Dim));
    for column in at.entries {
        canvas.write(top, *column, style.either("▼", "v"), Some(tint));
    }
    if let Some(column) = at.out {
        canvas.write(top + BOX - 1, column, style.either("┬", "+"), Some(tint));
    }
}
