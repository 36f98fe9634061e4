//! A set of positions, in their order. Two levels of bits: putting in, taking out and finding the first cost the same
//! however many there are, which a run of a hundred thousand steps asks for with each of them.

const BITS: usize = u64::BITS as usize;

/// A set of positions, in order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Positions {
    /// A bit for each position.
    words: Vec<u64>,
    /// A bit for each word that is not zero.
    summary: Vec<u64>,
    len: usize,
}

impl Positions {
    pub(crate) fn insert(&mut self, at: u32) {
        let (word, bit) = (at as usize / BITS, 1 << (at as usize % BITS));
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
            self.summary.resize(word / BITS + 1, 0);
        }
        let held = &mut self.words[word];
        self.len += usize::from(*held & bit == 0);
        *held |= bit;
        self.summary[word / BITS] |= 1 << (word % BITS);
    }

    pub(crate) fn remove(&mut self, at: u32) {
        let (word, bit) = (at as usize / BITS, 1 << (at as usize % BITS));
        let Some(held) = self.words.get_mut(word) else { return };
        self.len -= usize::from(*held & bit != 0);
        *held &= !bit;
        if *held == 0 {
            self.summary[word / BITS] &= !(1 << (word % BITS));
        }
    }

    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Takes out all of them, and gives them in order.
    pub(crate) fn drain(&mut self) -> Vec<u32> {
        let mut drained = Vec::with_capacity(std::mem::take(&mut self.len));
        for (at, words) in self.summary.iter_mut().enumerate() {
            for word in ones(std::mem::take(words)).map(|bit| at * BITS + bit) {
                let held = std::mem::take(&mut self.words[word]);
                // They went in as 32 bits.
                drained.extend(ones(held).map(|bit| (word * BITS + bit) as u32));
            }
        }
        drained
    }

    /// The positions in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = u32> {
        let first = self.from(0);
        // They go in as 32 bits.
        std::iter::successors(first, |at| self.from(at + 1)).map(|at| at as u32)
    }

    /// The first position that is not before `at`.
    pub(crate) fn from(&self, at: usize) -> Option<usize> {
        let word = at / BITS;
        first_one(*self.words.get(word)?, at % BITS).map(|bit| word * BITS + bit).or_else(|| {
            let next = word + 1;
            let mut summary = (next / BITS..).zip(self.summary.get(next / BITS..)?);
            let mut begin = next % BITS;
            let word = summary.find_map(|(at, bits)| {
                first_one(*bits, std::mem::take(&mut begin)).map(|bit| at * BITS + bit)
            })?;
            first_one(self.words[word], 0).map(|bit| word * BITS + bit)
        })
    }
}

/// The bits that are set.
fn ones(mut word: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let first = first_one(word, 0)?;
        word &= word - 1;
        Some(first)
    })
}

/// The first bit that is set and is not before `begin`, which is less than [`BITS`].
fn first_one(word: u64, begin: usize) -> Option<usize> {
    let rest = word >> begin << begin;
    (rest != 0).then_some(rest.trailing_zeros() as usize)
}

/// Sets of the same positions are equal, however large they have been.
impl PartialEq for Positions {
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
            let (mut set, mut model) = (Positions::default(), BTreeSet::new());
            for (put, at) in changes {
                if put {
                    set.insert(at);
                    model.insert(at);
                } else {
                    set.remove(at);
                    model.remove(&at);
                }
                prop_assert_eq!(set.is_empty(), model.is_empty());
                prop_assert_eq!(set.iter().next(), model.first().copied());
            }
            prop_assert!(set.iter().eq(model.iter().copied()));
            let mut again = Positions::default();
            model.iter().for_each(|at| again.insert(*at));
            prop_assert_eq!(&set, &again);
            prop_assert_eq!(again.drain(), model.into_iter().collect::<Vec<_>>());
            prop_assert_eq!(again, Positions::default());
        }
    }
}
