//! A set of positions, in their order. Two levels of bits: putting in, taking out and finding the first cost the same
//! however many there are, which a run of a hundred thousand steps asks for with each of them.

use crate::id::StepIx;

const BITS: usize = u64::BITS as usize;

/// A set of steps, in the order of the text.
#[derive(Debug, Clone, Default)]
pub(crate) struct StepSet {
    /// A bit for each step.
    words: Vec<u64>,
    /// A bit for each word that is not zero.
    summary: Vec<u64>,
    len: usize,
}

impl StepSet {
    pub(crate) fn insert(&mut self, step: StepIx) {
        let (word, bit) = (step.index() / BITS, 1 << (step.index() % BITS));
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
            self.summary.resize(word / BITS + 1, 0);
        }
        self.len += usize::from(self.words[word] & bit == 0);
        self.words[word] |= bit;
        self.summary[word / BITS] |= 1 << (word % BITS);
    }

    pub(crate) fn remove(&mut self, step: StepIx) {
        let (word, bit) = (step.index() / BITS, 1 << (step.index() % BITS));
        let Some(held) = self.words.get_mut(word) else { return };
        self.len -= usize::from(*held & bit != 0);
        *held &= !bit;
        if *held == 0 {
            self.summary[word / BITS] &= !(1 << (word % BITS));
        }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Takes out all steps, and gives them in order.
    pub(crate) fn drain(&mut self) -> Vec<StepIx> {
        let mut steps = Vec::with_capacity(self.len);
        steps.extend(self.iter());
        for step in &steps {
            let word = step.index() / BITS;
            self.words[word] = 0;
            self.summary[word / BITS] = 0;
        }
        self.len = 0;
        steps
    }

    /// The steps in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = StepIx> {
        let words = ones(&self.summary);
        words.flat_map(|word| {
            ones(&self.words[word..=word]).map(move |bit| {
                // Positions come from a `StepIx`, so they fit one.
                StepIx((word * BITS + bit) as u32)
            })
        })
    }
}

/// The positions of the bits that are set.
fn ones(words: &[u64]) -> impl Iterator<Item = usize> {
    words.iter().enumerate().filter(|(_, word)| **word != 0).flat_map(|(at, word)| {
        let rests =
            std::iter::successors(Some(*word), |rest| Some(rest & (rest - 1)).filter(|rest| *rest != 0));
        rests.map(move |rest| at * BITS + rest.trailing_zeros() as usize)
    })
}

/// Sets with the same steps are equal, however large they have been.
impl PartialEq for StepSet {
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len && self.iter().eq(other.iter())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn is_a_set_in_order(changes in proptest::collection::vec((any::<bool>(), 0u32..9_000), 0..200)) {
            let (mut set, mut model) = (StepSet::default(), BTreeSet::new());
            for (put, step) in changes {
                if put {
                    set.insert(StepIx(step));
                    model.insert(StepIx(step));
                } else {
                    set.remove(StepIx(step));
                    model.remove(&StepIx(step));
                }
                prop_assert_eq!(set.is_empty(), model.is_empty());
                prop_assert_eq!(set.iter().next(), model.first().copied());
            }
            prop_assert!(set.iter().eq(model.iter().copied()));
            let mut again = StepSet::default();
            model.iter().for_each(|step| again.insert(*step));
            prop_assert_eq!(&set, &again);
            prop_assert_eq!(again.drain(), model.into_iter().collect::<Vec<_>>());
            prop_assert_eq!(again, StepSet::default());
        }
    }
}
