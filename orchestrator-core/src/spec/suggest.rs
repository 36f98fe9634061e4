//! "Did you mean …?": the candidate nearest to what was written.

/// Longer names are not compared.
const MAX_LEN: usize = 64;

/// The candidate nearest to `given`, if one is near enough: at most one slip (a letter left out, added, changed or
/// swapped with its neighbour) for each three letters. Case and the kind of dash do not count. Of equally near
/// candidates the one that begins alike wins, then the first.
pub fn nearest<'c>(given: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let given = Folded::of(given)?;
    let most = (given.len / 3).max(1);
    let mut best: Option<(usize, bool, &'c str)> = None;
    for candidate in candidates {
        let Some(folded) = Folded::of(candidate) else { continue };
        if folded.len.abs_diff(given.len) > most {
            continue;
        }
        let slips = distance(given.bytes(), folded.bytes());
        // One letter has nothing in common with another letter.
        if slips > most || slips >= given.len.max(folded.len) {
            continue;
        }
        let rank = (slips, folded.bytes()[0] != given.bytes()[0], candidate);
        if best.is_none_or(|best| (rank.0, rank.1) < (best.0, best.1)) {
            best = Some(rank);
        }
    }
    best.map(|(_, _, candidate)| candidate)
}

/// `did you mean "…"?`, if something is near.
pub(super) fn hint<'c>(given: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<String> {
    nearest(given, candidates).map(|candidate| format!("did you mean \"{candidate}\"?"))
}

/// Whether two names differ only by case and the kind of dash.
pub(super) fn same(a: &str, b: &str) -> bool {
    let (Some(a), Some(b)) = (Folded::of(a), Folded::of(b)) else { return false };
    a.bytes() == b.bytes()
}

/// A name in lower case, with `_` for `-`.
struct Folded {
    bytes: [u8; MAX_LEN],
    len: usize,
}

impl Folded {
    fn of(name: &str) -> Option<Self> {
        if name.is_empty() || name.len() > MAX_LEN {
            return None;
        }
        let mut bytes = [0; MAX_LEN];
        for (to, from) in bytes.iter_mut().zip(name.bytes()) {
            *to = if from == b'-' { b'_' } else { from.to_ascii_lowercase() };
        }
        Some(Self { bytes, len: name.len() })
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// Insertions, deletions, substitutions and swaps of neighbours (optimal string alignment).
fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut before = [0usize; MAX_LEN + 1];
    let mut last = [0usize; MAX_LEN + 1];
    for (j, cell) in last.iter_mut().enumerate() {
        *cell = j;
    }
    for i in 1..=a.len() {
        let mut row = [0usize; MAX_LEN + 1];
        row[0] = i;
        for j in 1..=b.len() {
            let changed = usize::from(a[i - 1] != b[j - 1]);
            row[j] = (last[j] + 1).min(row[j - 1] + 1).min(last[j - 1] + changed);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = last;
        last = row;
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_of_the_finger_are_understood() {
        let keys = ["timeout", "needs", "if", "on", "continue-on-error", "run", "uses"];
        assert_eq!(nearest("timeuot", keys), Some("timeout"));
        assert_eq!(nearest("nedes", keys), Some("needs"));
        assert_eq!(nearest("continue_on_error", keys), Some("continue-on-error"));
        assert_eq!(nearest("Needs", keys), Some("needs"));
        assert_eq!(nearest("i", keys), Some("if"));
        assert_eq!(nearest("fi", keys), Some("if"));
        assert_eq!(nearest("rnu", keys), Some("run"));
        assert_eq!(nearest("elephant", keys), None);
        assert_eq!(nearest("", keys), None);
        assert_eq!(nearest("x", ["y"]), None);
    }
}
