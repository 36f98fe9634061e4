//! Which steps come before which.

use std::collections::HashMap;

use crate::id::StepIx;

/// Steps that one upward search looks at before the question is put off. Most references are to near steps.
const SEARCHED: usize = 64;

/// Targets that one pass over all steps answers for.
const LANES: usize = 8;
const PER_PASS: usize = LANES * 64;

/// The needs of all steps, packed.
pub(super) struct Ancestors {
    /// Where the needs of a step begin in `needs`; one more at the end.
    begins: Vec<u32>,
    needs: Vec<u32>,
}

impl Ancestors {
    pub(super) fn new<'a>(all: impl Iterator<Item = &'a [StepIx]>) -> Self {
        let (mut begins, mut needs) = (vec![0], Vec::new());
        for step in all {
            needs.extend(step.iter().map(|need| need.0));
            begins.push(needs.len() as u32);
        }
        Self { begins, needs }
    }

    fn needs(&self, step: u32) -> &[u32] {
        &self.needs[self.begins[step as usize] as usize..self.begins[step as usize + 1] as usize]
    }

    /// For each (step, target): whether the target comes before the step. The needs must hold no cycle.
    pub(super) fn ask(&self, questions: &[(u32, u32)]) -> Vec<bool> {
        let mut answers = vec![false; questions.len()];
        let mut open: HashMap<u32, Vec<usize>> = HashMap::new();
        for (ix, (step, target)) in questions.iter().enumerate() {
            match self.search(*step, *target) {
                Some(answer) => answers[ix] = answer,
                None => open.entry(*target).or_default().push(ix),
            }
        }
        if !open.is_empty() {
            self.sweep(questions, &open, &mut answers);
        }
        answers
    }

    /// Looks upwards from `step`; `None` when that takes too long.
    fn search(&self, step: u32, target: u32) -> Option<bool> {
        let mut found = vec![step];
        let mut next = 0;
        while let Some(step) = found.get(next).copied() {
            next += 1;
            for need in self.needs(step) {
                if *need == target {
                    return Some(true);
                }
                if found.len() >= SEARCHED {
                    return None;
                }
                if !found.contains(need) {
                    found.push(*need);
                }
            }
        }
        Some(false)
    }

    /// Passes over all steps, needs first, and hands down which of the targets come before: one bit a target.
    fn sweep(&self, questions: &[(u32, u32)], open: &HashMap<u32, Vec<usize>>, answers: &mut [bool]) {
        let order = self.order();
        let mut targets: Vec<u32> = open.keys().copied().collect();
        targets.sort_unstable();
        let mut before = vec![[0u64; LANES]; self.begins.len() - 1];
        for targets in targets.chunks(PER_PASS) {
            let lanes: HashMap<u32, usize> =
                targets.iter().enumerate().map(|(lane, step)| (*step, lane)).collect();
            for step in &order {
                let mut bits = [0u64; LANES];
                for need in self.needs(*step) {
                    for (bits, more) in bits.iter_mut().zip(before[*need as usize]) {
                        *bits |= more;
                    }
                    if let Some(lane) = lanes.get(need) {
                        bits[lane / 64] |= 1 << (lane % 64);
                    }
                }
                before[*step as usize] = bits;
            }
            for (target, lane) in &lanes {
                for ix in open.get(target).into_iter().flatten() {
                    let step = questions[*ix].0 as usize;
                    answers[*ix] = before[step][lane / 64] & 1 << (lane % 64) != 0;
                }
            }
        }
    }

    /// The steps in `broken` and all that come after one of them.
    pub(super) fn after(&self, broken: &[bool]) -> Vec<bool> {
        let mut after = broken.to_vec();
        for step in self.order() {
            after[step as usize] |= self.needs(step).iter().any(|need| after[*need as usize]);
        }
        after
    }

    /// All steps, each after its needs.
    fn order(&self) -> Vec<u32> {
        let steps = self.begins.len() as u32 - 1;
        let mut placed = vec![false; steps as usize];
        let mut order = Vec::with_capacity(steps as usize);
        let mut path: Vec<(u32, usize)> = Vec::new();
        for first in 0..steps {
            if !placed[first as usize] {
                path.push((first, 0));
            }
            while let Some((step, next)) = path.last_mut() {
                match self.needs(*step).get(*next) {
                    Some(need) => {
                        *next += 1;
                        if !placed[*need as usize] {
                            path.push((*need, 0));
                        }
                    }
                    None => {
                        if !std::mem::replace(&mut placed[*step as usize], true) {
                            order.push(*step);
                        }
                        path.pop();
                    }
                }
            }
        }
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ancestors(needs: &[Vec<u32>]) -> Ancestors {
        let needs: Vec<Vec<StepIx>> =
            needs.iter().map(|needs| needs.iter().copied().map(StepIx).collect()).collect();
        Ancestors::new(needs.iter().map(Vec::as_slice))
    }

    #[test]
    fn near_and_far_ancestors_are_found_and_others_are_not() {
        // A chain of 2,000, written backwards, and one step beside it.
        let mut needs: Vec<Vec<u32>> =
            (0..2_000).map(|step| if step == 1_999 { vec![] } else { vec![step + 1] }).collect();
        needs.push(vec![]);
        let ancestors = ancestors(&needs);
        let questions: Vec<(u32, u32)> = (1..2_000)
            .map(|target| (0, target))
            .chain([(0, 2_000), (1_999, 0), (1_000, 999), (5, 5)])
            .collect();
        let answers = ancestors.ask(&questions);
        assert!(answers[..1_999].iter().all(|answer| *answer));
        assert_eq!(answers[1_999..], [false; 4]);
    }

    #[test]
    fn a_wide_graph_is_asked_in_both_directions() {
        // 0..200 are roots, 200 needs all of them, 201..400 need 200.
        let needs: Vec<Vec<u32>> = (0..400u32)
            .map(|step| match step {
                0..200 => vec![],
                200 => (0..200).collect(),
                _ => vec![200],
            })
            .collect();
        let answers = ancestors(&needs).ask(&[(399, 7), (399, 398), (7, 399), (200, 199), (300, 0)]);
        assert_eq!(answers, [true, false, false, true, true]);
    }
}
