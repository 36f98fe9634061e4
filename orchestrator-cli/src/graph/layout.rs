//! Where things stand: waves, the order inside each, and places across them. Knows no format.
//!
//! A line that passes a wave takes a place in it, so that it leads around what stands there. Lines from one node share
//! such places.

use crate::graph::model::Graph;

/// How often the order and the places are improved.
const SWEEPS: usize = 8;

/// A node, or the place where a line passes a wave.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spot {
    /// `None` where a line passes.
    pub(super) node: Option<usize>,
    pub(super) wave: usize,
}

/// A graph in waves. Links lead from one wave to the next.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) spots: Vec<Spot>,
    /// Positions in `spots`, wave by wave, in their order.
    pub(super) waves: Vec<Vec<usize>>,
    /// Where lines lead from each spot.
    pub(super) out: Vec<Vec<usize>>,
    /// Where lines come from to each spot.
    pub(super) into: Vec<Vec<usize>>,
}

impl Layout {
    /// Puts a graph into waves, with few crossings.
    pub(super) fn of(graph: &Graph) -> Self {
        let mut layout = Self::in_waves(graph);
        let mut best = (layout.crossings(), layout.waves.clone());
        for sweep in 0..SWEEPS {
            if best.0 == 0 {
                break;
            }
            layout.sort_by_neighbours(sweep % 2 == 0);
            let crossings = layout.crossings();
            if crossings < best.0 {
                best = (crossings, layout.waves.clone());
            }
        }
        layout.waves = best.1;
        layout
    }

    fn in_waves(graph: &Graph) -> Self {
        let waves = graph.waves();
        let mut spots: Vec<Spot> =
            (0..graph.nodes.len()).map(|node| Spot { node: Some(node), wave: 0 }).collect();
        for (number, wave) in waves.iter().enumerate() {
            wave.iter().for_each(|node| spots[*node].wave = number);
        }
        let mut layout =
            Self { out: vec![Vec::new(); spots.len()], into: vec![Vec::new(); spots.len()], spots, waves };
        let mut targets = vec![Vec::new(); graph.nodes.len()];
        for edge in &graph.edges {
            targets[edge.from].push(edge.to);
        }
        for (from, mut targets) in targets.into_iter().enumerate() {
            targets.sort_by_key(|to| (layout.spots[*to].wave, *to));
            let mut last = from;
            for to in targets {
                while layout.spots[last].wave + 1 < layout.spots[to].wave {
                    last = layout.pass(last);
                }
                layout.link(last, to);
            }
        }
        layout
    }

    /// A place in the wave after `last`, where its line passes.
    fn pass(&mut self, last: usize) -> usize {
        let wave = self.spots[last].wave + 1;
        let spot = self.spots.len();
        self.spots.push(Spot { node: None, wave });
        self.out.push(Vec::new());
        self.into.push(Vec::new());
        self.waves[wave].push(spot);
        self.link(last, spot);
        spot
    }

    fn link(&mut self, from: usize, to: usize) {
        self.out[from].push(to);
        self.into[to].push(from);
    }

    /// Sorts every wave by where the neighbours stand: those before (downwards) or those after.
    fn sort_by_neighbours(&mut self, downwards: bool) {
        let mut rank = vec![0.0f64; self.spots.len()];
        let count = self.waves.len();
        for step in 0..count {
            let wave = if downwards { step } else { count - 1 - step };
            let neighbours = if downwards { &self.into } else { &self.out };
            let mut keyed: Vec<(f64, usize)> = self.waves[wave]
                .iter()
                .enumerate()
                .map(|(place, spot)| {
                    (mean(neighbours[*spot].iter().map(|other| rank[*other])).unwrap_or(place as f64), *spot)
                })
                .collect();
            keyed.sort_by(|a, b| a.0.total_cmp(&b.0));
            for (place, (_, spot)) in keyed.iter().enumerate() {
                rank[*spot] = place as f64;
                self.waves[wave][place] = *spot;
            }
        }
    }

    /// How many pairs of lines cross each other.
    fn crossings(&self) -> usize {
        let mut place = vec![0usize; self.spots.len()];
        for wave in &self.waves {
            wave.iter().enumerate().for_each(|(at, spot)| place[*spot] = at);
        }
        let mut crossings = 0;
        for (wave, next) in self.waves.iter().zip(self.waves.iter().skip(1)) {
            // Inversions among the ends of lines in the order of their beginnings, counted with a Fenwick tree.
            let mut tree = vec![0usize; next.len() + 1];
            let mut seen = 0;
            for spot in wave {
                let mut ends: Vec<usize> = self.out[*spot].iter().map(|to| place[*to] + 1).collect();
                ends.sort_unstable();
                for end in &ends {
                    let (mut at, mut before) = (*end, 0);
                    while at > 0 {
                        before += tree[at];
                        at &= at - 1;
                    }
                    crossings += seen - before;
                }
                for end in ends {
                    let mut at = end;
                    while at < tree.len() {
                        tree[at] += 1;
                        at += at & at.wrapping_neg();
                    }
                    seen += 1;
                }
            }
        }
        crossings
    }

    /// Where each spot begins across the waves, given how wide each is, the gap between two and the room there is.
    /// `None` if a wave does not fit.
    pub(super) fn place(&self, sizes: &[i32], gap: i32, room: i32) -> Option<Vec<i32>> {
        let widths: Vec<i32> = self
            .waves
            .iter()
            .map(|wave| wave.iter().map(|spot| sizes[*spot] + gap).sum::<i32>() - gap)
            .collect();
        if widths.iter().any(|width| *width > room) {
            return None;
        }
        let mut start = vec![0i32; self.spots.len()];
        for (wave, width) in self.waves.iter().zip(&widths) {
            let mut at = (room - width) / 2;
            for spot in wave {
                start[*spot] = at;
                at += sizes[*spot] + gap;
            }
        }
        for sweep in 0..SWEEPS {
            let downwards = sweep % 2 == 0;
            for step in 0..self.waves.len() {
                let wave = if downwards { step } else { self.waves.len() - 1 - step };
                self.align(wave, downwards, sizes, gap, room - widths[wave], &mut start);
            }
        }
        let left = start.iter().copied().min().unwrap_or(0);
        start.iter_mut().for_each(|at| *at -= left);
        Some(start)
    }

    /// Moves a wave as near to its neighbours as its order allows: least squares under the order (isotonic regression).
    fn align(&self, wave: usize, downwards: bool, sizes: &[i32], gap: i32, slack: i32, start: &mut [i32]) {
        let neighbours = if downwards { &self.into } else { &self.out };
        // Sum of wishes, how many, and how many spots move together.
        let mut blocks: Vec<(f64, f64, usize)> = Vec::new();
        let mut offset = 0;
        for spot in &self.waves[wave] {
            let centre = |spot: usize| f64::from(start[spot]) + f64::from(sizes[spot]) / 2.0;
            let wish =
                mean(neighbours[*spot].iter().map(|other| centre(*other))).unwrap_or_else(|| centre(*spot));
            let weight = if self.spots[*spot].node.is_none() { 4.0 } else { 1.0 };
            let wish = wish - f64::from(sizes[*spot]) / 2.0 - f64::from(offset);
            blocks.push((wish * weight, weight, 1));
            while let [.., before, last] = blocks.as_slice()
                && before.0 / before.1 > last.0 / last.1
            {
                let joined = (before.0 + last.0, before.1 + last.1, before.2 + last.2);
                blocks.truncate(blocks.len() - 2);
                blocks.push(joined);
            }
            offset += sizes[*spot] + gap;
        }
        let mut offset = 0;
        let mut spots = self.waves[wave].iter();
        for (sum, weight, count) in blocks {
            let at = ((sum / weight).round() as i32).clamp(0, slack);
            for spot in spots.by_ref().take(count) {
                start[*spot] = at + offset;
                offset += sizes[*spot] + gap;
            }
        }
    }
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0usize), |(sum, count), value| (sum + value, count + 1));
    (count > 0).then(|| sum / count as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::model::{Edge, Node};

    fn graph(nodes: usize, edges: &[(usize, usize)]) -> Graph {
        let edges = edges.iter().map(|(from, to)| Edge { from: *from, to: *to }).collect();
        Graph { nodes: vec![Node::default(); nodes], edges, ..Graph::default() }
    }

    #[test]
    fn lines_that_could_cross_are_untangled() {
        // Two chains side by side, written so that the order of the text would cross them.
        let layout = Layout::of(&graph(4, &[(0, 3), (1, 2)]));
        assert_eq!(layout.crossings(), 0);
        assert_eq!(layout.waves, [vec![0, 1], vec![3, 2]]);
    }

    #[test]
    fn a_long_line_takes_a_place_in_the_waves_it_passes() {
        let layout = Layout::of(&graph(3, &[(0, 1), (1, 2), (0, 2)]));
        assert_eq!(layout.waves.iter().map(Vec::len).collect::<Vec<_>>(), [1, 2, 1]);
    }

    #[test]
    fn nothing_overlaps_and_nothing_leaves_the_room() {
        let layout = Layout::of(&graph(6, &[(0, 1), (0, 2), (0, 3), (0, 4), (4, 5), (0, 5)]));
        let sizes: Vec<i32> =
            layout.spots.iter().map(|spot| if spot.node.is_some() { 9 } else { 3 }).collect();
        let start = layout.place(&sizes, 2, 60).unwrap();
        for wave in &layout.waves {
            for pair in wave.windows(2) {
                assert!(start[pair[0]] + sizes[pair[0]] + 2 <= start[pair[1]], "{start:?}");
            }
        }
        assert!(start.iter().zip(&sizes).all(|(at, size)| *at >= 0 && at + size <= 60), "{start:?}");
        assert!(layout.place(&sizes, 2, 40).is_none());
    }
}
