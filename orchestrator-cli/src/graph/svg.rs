//! As SVG that stands alone: waves from left to right, curves between them. Readable on light and dark, and without
//! colours.

use std::fmt::Write as _;

use crate::graph::fold::folded;
use crate::graph::layout::Layout;
use crate::graph::model::{Graph, Node, sign};
use crate::output::style::Style;

/// The colours of states: name, inside, frame. Each differs from the next in lightness too.
pub(super) const COLOURS: [(&str, &str, &str); 12] = [
    ("pending", "#f6f8fa", "#8c959f"),
    ("queued", "#eaeef2", "#57606a"),
    ("claimed", "#ddf4ff", "#0969da"),
    ("running", "#b6e3ff", "#0969da"),
    ("waiting", "#fff8c5", "#9a6700"),
    ("needs_qa", "#fff8c5", "#9a6700"),
    ("blocked", "#fae17d", "#7d4e00"),
    ("outcome_unknown", "#ffd8b5", "#953800"),
    ("completed", "#dafbe1", "#1a7f37"),
    ("failed", "#ffcecb", "#a40e26"),
    ("cancelled", "#eac54f", "#633c01"),
    ("skipped", "#ffffff", "#afb8c1"),
];

/// More boxes than this are folded before they are drawn; beyond it pictures are no longer looked at.
const MOST_BOXES: usize = 400;

const BOX_WIDTH: i32 = 190;
const BOX_HEIGHT: i32 = 46;
/// Between two boxes of a wave.
const GAP: i32 = 16;
/// What a passing line takes.
const PASS: i32 = 10;
/// Between two waves.
const BETWEEN: i32 = 74;
const MARGIN: i32 = 24;
/// What stands above the picture.
const HEAD: i32 = 46;
/// Names and details are cut to what fits into a box in the widest usual font.
const NAME_LENGTH: usize = 22;
const DETAIL_LENGTH: usize = 29;

const STYLE: &str = "\
svg{background:#fff;font-family:system-ui,'Segoe UI',Helvetica,Arial,sans-serif}\
.t{font-size:16px;font-weight:600;fill:#1f2328}.a{font-size:12px;fill:#57606a}\
.e{fill:none;stroke:#8c959f;stroke-width:1.5}.h{fill:#8c959f}\
rect{fill:#f6f8fa;stroke:#57606a;stroke-width:1.5}\
.n{font-size:13px;font-weight:600;fill:#1f2328}.d{font-size:11px;fill:#424a53}.m{font-size:14px;font-weight:700}\
.skipped rect,.pending rect{stroke-dasharray:4 3}.running rect,.failed rect{stroke-width:2.5}\
@media(prefers-color-scheme:dark){svg{background:#0d1117}.t{fill:#f0f6fc}.a{fill:#9198a1}}\
";

/// A graph as an SVG document.
pub(crate) fn svg(graph: &Graph) -> String {
    let small;
    let graph = if graph.nodes.len() > MOST_BOXES {
        small = folded(graph);
        &small
    } else {
        graph
    };
    if graph.nodes.len() > MOST_BOXES * 10 {
        return too_large(graph);
    }
    let layout = Layout::of(graph);
    let sizes: Vec<i32> =
        layout.spots.iter().map(|spot| if spot.node.is_some() { BOX_HEIGHT } else { PASS }).collect();
    let tallest =
        layout.waves.iter().map(|wave| wave.iter().map(|spot| sizes[*spot] + GAP).sum::<i32>()).max();
    // Room to move in; what is not used is cut off.
    let room = tallest.unwrap_or(0) + GAP * 8;
    let start = layout.place(&sizes, GAP, room).unwrap_or_default();
    let used = start.iter().zip(&sizes).map(|(at, size)| at + size).max().unwrap_or(0);
    let waves = i32::try_from(layout.waves.len()).unwrap_or(i32::MAX / 1000);
    let inner = (waves * (BOX_WIDTH + BETWEEN) - BETWEEN).max(360);
    let (width, height) = (inner + 2 * MARGIN, used + HEAD + 2 * MARGIN);
    let x = |wave: usize| MARGIN + i32::try_from(wave).unwrap_or(0) * (BOX_WIDTH + BETWEEN);
    let middle = |spot: usize| MARGIN + HEAD + start[spot] + sizes[spot] / 2;
    let mut body = String::new();
    for (from, targets) in layout.out.iter().enumerate() {
        for to in targets {
            let (x1, y1) = (x(layout.spots[from].wave) + BOX_WIDTH, middle(from));
            let arrives = layout.spots[*to].node.is_some();
            let (x2, y2) = (x(layout.spots[*to].wave) - if arrives { 7 } else { 0 }, middle(*to));
            let half = (x2 - x1) / 2;
            let end = if arrives { " marker-end=\"url(#arrow)\"" } else { "" };
            // Writing to a String cannot fail.
            let _ = write!(
                body,
                "<path class=\"e\" d=\"M{x1} {y1}C{} {y1} {} {y2} {x2} {y2}",
                x1 + half,
                x2 - half
            );
            if !arrives {
                let _ = write!(body, "h{BOX_WIDTH}");
            }
            let _ = writeln!(body, "\"{end}/>");
        }
    }
    for (spot, place) in layout.spots.iter().enumerate() {
        if let Some(node) = place.node {
            body.push_str(&boxed(&graph.nodes[node], x(place.wave), MARGIN + HEAD + start[spot]));
        }
    }
    document(graph, width, height, &body)
}

fn document(graph: &Graph, width: i32, height: i32, body: &str) -> String {
    let mut states = String::new();
    for (state, fill, line) in COLOURS {
        // Writing to a String cannot fail.
        let _ = write!(states, ".{state} rect{{fill:{fill};stroke:{line}}}.{state} .m{{fill:{line}}}");
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" role=\"img\">\n\
         <title>{title}</title>\n<style>{STYLE}{states}</style>\n\
         <defs><marker id=\"arrow\" viewBox=\"0 0 8 8\" refX=\"1\" refY=\"4\" markerWidth=\"8\" markerHeight=\"8\" markerUnits=\"userSpaceOnUse\" orient=\"auto\"><path class=\"h\" d=\"M0 0L8 4L0 8z\"/></marker></defs>\n\
         <text class=\"t\" x=\"{MARGIN}\" y=\"34\">{title}</text>\n<text class=\"a\" x=\"{MARGIN}\" y=\"54\">{about}</text>\n{body}</svg>\n",
        title = escaped(&graph.title),
        about = escaped(&graph.about),
    )
}

fn boxed(node: &Node, x: i32, y: i32) -> String {
    let class = node.state.map(|state| format!(" class=\"{state}\"")).unwrap_or_default();
    let states: Vec<String> = node
        .tally
        .states()
        .iter()
        .map(|(state, count)| format!("{} {count}", sign(state, &Style::unicode())))
        .collect();
    let detail = [node.detail(), states.join(" ")]
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join("  ");
    let mut told = format!("{}\n{detail}", node.name);
    if let Some(state) = node.state {
        told.push_str(&format!("\n{state}"));
    }
    let mut text = format!("<g{class}><title>{}</title>", escaped(&told));
    if node.count() > 1 {
        // The edge of the one behind it shows that there are several.
        let _ = write!(
            text,
            "<rect x=\"{}\" y=\"{}\" width=\"{BOX_WIDTH}\" height=\"{BOX_HEIGHT}\" rx=\"8\"/>",
            x + 4,
            y + 4
        );
    }
    let _ =
        write!(text, "<rect x=\"{x}\" y=\"{y}\" width=\"{BOX_WIDTH}\" height=\"{BOX_HEIGHT}\" rx=\"8\"/>");
    let mut at = x + 12;
    if let Some(state) = node.state {
        let mark = sign(state, &Style::unicode());
        let _ = write!(text, "<text class=\"m\" x=\"{at}\" y=\"{}\">{mark}</text>", y + 20);
        at += 18;
    }
    let name = shortened(&node.name, NAME_LENGTH);
    let _ = write!(text, "<text class=\"n\" x=\"{at}\" y=\"{}\">{}</text>", y + 20, escaped(&name));
    let detail = shortened(&detail, DETAIL_LENGTH);
    let _ =
        writeln!(text, "<text class=\"d\" x=\"{}\" y=\"{}\">{}</text></g>", x + 12, y + 37, escaped(&detail));
    text
}

fn too_large(graph: &Graph) -> String {
    let said = Graph {
        title: graph.title.clone(),
        about: format!(
            "{}, too many to be drawn; `--format dot` gives all",
            crate::workflow::counted(graph.steps(), "step")
        ),
        ..Graph::default()
    };
    document(&said, 560, 90, "")
}

fn shortened(text: &str, length: usize) -> String {
    if text.chars().count() <= length {
        text.to_owned()
    } else {
        text.chars().take(length - 1).chain(['…']).collect()
    }
}

/// A text as XML keeps it. Characters that XML cannot hold become spaces.
pub(crate) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(c),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push(' '),
            c => out.push(c),
        }
    }
    out
}
