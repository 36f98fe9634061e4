//! Lines between two waves of boxes: where each enters and which row it takes, so that no two lie on each other.

/// Where lines leave a spot, and where and how far to the sides of it they enter, as columns.
#[derive(Debug, Clone, Copy)]
pub(super) struct Port {
    pub(super) out: i32,
    pub(super) into: i32,
    /// How far an entry may stand from `into`.
    pub(super) half: i32,
}

/// The lines that leave one spot.
#[derive(Debug)]
pub(super) struct Net {
    pub(super) from: usize,
    /// Where they leave.
    pub(super) out: i32,
    /// Where they go, and at which column they arrive.
    pub(super) entries: Vec<(usize, i32)>,
    /// The row on which they run across.
    pub(super) track: usize,
}

/// The rows between two waves.
#[derive(Debug)]
pub(super) struct Channel {
    pub(super) rows: usize,
    pub(super) nets: Vec<Net>,
}

/// Columns between two entries of a box.
const APART: i32 = 2;

/// Finds the way of all lines that leave a wave. An entry that would have to lie above and below the same line is moved
/// aside.
pub(super) fn route(wave: &[usize], out: &[Vec<usize>], into: &[Vec<usize>], ports: &[Port]) -> Channel {
    let leaving = wave.iter().copied().filter(|spot| !out[*spot].is_empty());
    let mut nets: Vec<Net> = leaving
        .map(|from| {
            let entry = |to: &usize| (*to, entry(from, *to, &into[*to], ports));
            Net { from, out: ports[from].out, entries: out[from].iter().map(entry).collect(), track: 0 }
        })
        .collect();
    // Every round moves one entry to a column where no line leaves.
    let mut rounds = nets.iter().map(|net| net.entries.len()).sum::<usize>();
    let sorted = loop {
        match order(&nets) {
            Ok(sorted) => break sorted,
            Err(knot) if rounds > 0 && step_aside(&knot, &mut nets, ports) => rounds -= 1,
            // Nothing can move any further: a line may then hide behind another for a row or two.
            Err(_) => break (0..nets.len()).collect(),
        }
    };
    let rows = tracks(&sorted, &mut nets);
    Channel { rows, nets }
}

/// Where the line from one spot enters another: in the order of where lines come from, the straightest in the middle.
fn entry(from: usize, to: usize, sources: &[usize], ports: &[Port]) -> i32 {
    let Port { into, half, .. } = ports[to];
    let mut sources = sources.to_vec();
    sources.sort_by_key(|source| (ports[*source].out, *source));
    let place = |wanted: usize| sources.iter().position(|source| *source == wanted).unwrap_or(0) as i32;
    let middle =
        sources.iter().copied().min_by_key(|source| (ports[*source].out - into).abs()).unwrap_or(from);
    let steps = place(from) - place(middle);
    let widest = place(middle).max(sources.len() as i32 - 1 - place(middle));
    let apart = if widest * APART <= half { APART } else { 1 };
    into + (steps * apart).clamp(-half, half)
}

/// Whether the lines of `upper` must run across above those of `lower`, which arrive where these leave.
fn is_above(upper: &Net, lower: &Net) -> bool {
    upper.from != lower.from
        && lower.entries.iter().any(|(_, column)| *column == upper.out)
        && !upper.is_straight()
}

impl Net {
    /// Whether it only leads down.
    fn is_straight(&self) -> bool {
        self.entries.iter().all(|(_, column)| *column == self.out)
    }

    fn span(&self) -> (i32, i32) {
        let columns = self.entries.iter().map(|(_, column)| *column).chain([self.out]);
        columns.fold((i32::MAX, i32::MIN), |(left, right), at| (left.min(at), right.max(at)))
    }
}

/// The nets in an order in which each stands after those that must be above it, or those that form a knot.
fn order(nets: &[Net]) -> Result<Vec<usize>, Vec<usize>> {
    let mut left: Vec<usize> = (0..nets.len()).collect();
    let mut sorted = Vec::with_capacity(nets.len());
    while !left.is_empty() {
        let is_free = |net: &usize| left.iter().all(|upper| !is_above(&nets[*upper], &nets[*net]));
        let (free, held): (Vec<usize>, Vec<usize>) = left.iter().copied().partition(is_free);
        if free.is_empty() {
            return Err(held);
        }
        sorted.extend(free);
        left = held;
    }
    Ok(sorted)
}

/// Moves one entry of a knot to a column where no line leaves or arrives. Says whether there was one to move.
fn step_aside(knot: &[usize], nets: &mut [Net], ports: &[Port]) -> bool {
    let leaving: Vec<i32> = nets.iter().map(|net| net.out).collect();
    let arriving: Vec<i32> =
        nets.iter().flat_map(|net| net.entries.iter().map(|(_, column)| *column)).collect();
    for net in knot {
        for (to, column) in &mut nets[*net].entries {
            if !leaving.contains(column) {
                continue;
            }
            let Port { into, half, .. } = ports[*to];
            let near = (1..=2 * half).flat_map(|by| [*column + by, *column - by]);
            let mut free = near
                .filter(|at| (at - into).abs() <= half && !leaving.contains(at) && !arriving.contains(at));
            if let Some(at) = free.next() {
                *column = at;
                return true;
            }
        }
    }
    false
}

/// Gives every net the topmost row that is free and below those that must be above it; says how many rows there are.
fn tracks(sorted: &[usize], nets: &mut [Net]) -> usize {
    for (done, net) in sorted.iter().enumerate() {
        let placed = || sorted[..done].iter().map(|placed| &nets[*placed]);
        let mut track = placed()
            .filter(|upper| is_above(upper, &nets[*net]))
            .map(|upper| upper.track + 1)
            .max()
            .unwrap_or(0);
        if !nets[*net].is_straight() {
            let (left, right) = nets[*net].span();
            let clashes = |track: usize| {
                placed().any(|other| {
                    let (from, to) = other.span();
                    other.track == track && !other.is_straight() && from <= right && left <= to
                })
            };
            while clashes(track) {
                track += 1;
            }
        }
        nets[*net].track = track;
    }
    nets.iter().map(|net| net.track + 1).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_that_change_places_do_not_lie_on_each_other() {
        // 0 leads to 3 and 1 leads to 2, each right below the other.
        let port = |column| Port { out: column, into: column, half: 3 };
        let ports = [port(5), port(20), port(5), port(20)];
        let (out, into) = ([vec![3], vec![2], vec![], vec![]], [vec![], vec![], vec![1], vec![0]]);
        let channel = route(&[0, 1], &out, &into, &ports);
        assert_eq!(channel.rows, 2);
        assert!(order(&channel.nets).is_ok(), "{channel:?}");
        assert_ne!(channel.nets[0].track, channel.nets[1].track);
    }

    #[test]
    fn lines_into_one_box_arrive_side_by_side() {
        let port = |column| Port { out: column, into: column, half: 4 };
        let ports = [port(5), port(10), port(15), port(10)];
        let (out, into) = ([vec![3], vec![3], vec![3], vec![]], [vec![], vec![], vec![], vec![0, 1, 2]]);
        let channel = route(&[0, 1, 2], &out, &into, &ports);
        let columns: Vec<i32> = channel.nets.iter().map(|net| net.entries[0].1).collect();
        assert_eq!(columns, [8, 10, 12]);
    }
}
