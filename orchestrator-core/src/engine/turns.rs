//! Which of the runs that are due an engine takes up.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::engine::watch::mixed;
use crate::id::{OwnerId, RunId};
use crate::port::store::DueRun;

/// Among how many of the first of its line a run is chosen. Several engines that look at the same moment seldom reach for the
/// same run so, and no run is put back by more than these.
const AMONG: usize = 8;

/// Of how many projects it is known when it was their turn.
const REMEMBERED: usize = 1_000;

/// When it was each project's turn.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    last: BTreeMap<Arc<str>, u64>,
    count: u64,
}

impl Turns {
    /// So many of these runs, which are in their order. It is the turn of the project that was given none for the longest time,
    /// however many runs the others have.
    pub(crate) fn choose(&mut self, due: Vec<DueRun>, room: usize, owner: OwnerId) -> Vec<RunId> {
        let mut lines: Vec<(Arc<str>, VecDeque<RunId>)> = Vec::new();
        for DueRun { run, project, .. } in due {
            match lines.iter_mut().find(|(of, _)| *of == project) {
                Some((_, line)) => line.push_back(run),
                None => lines.push((project, [run].into())),
            }
        }
        let own = owner.as_uuid().as_u128();
        for (_, line) in &mut lines {
            let few = line.make_contiguous().chunks_mut(AMONG);
            few.for_each(|few| few.sort_by_cached_key(|run| mixed(run.as_uuid().as_u128() ^ own)));
        }
        // Stable: of those that had none yet, the one that waits longest is first.
        lines.sort_by_key(|(project, _)| self.last.get(project).copied());
        let mut chosen = Vec::new();
        while chosen.len() < room && lines.iter().any(|(_, line)| !line.is_empty()) {
            for (project, line) in &mut lines {
                if chosen.len() < room
                    && let Some(run) = line.pop_front()
                {
                    chosen.push(run);
                    self.count += 1;
                    self.last.insert(project.clone(), self.count);
                }
            }
        }
        while self.last.len() > REMEMBERED {
            let longest = self.last.iter().min_by_key(|(_, turn)| **turn).map(|(project, _)| project.clone());
            longest.iter().for_each(|project| _ = self.last.remove(project));
        }
        chosen
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::time::Timestamp;

    fn owner(number: u128) -> OwnerId {
        OwnerId::from_uuid(Uuid::from_u128(number))
    }

    fn due(project: &str, numbers: std::ops::Range<u128>) -> impl Iterator<Item = DueRun> + use<> {
        let project: Arc<str> = project.into();
        numbers.map(move |number| {
            let run = RunId::from_uuid(Uuid::from_u128(number));
            DueRun::new(run, project.clone(), 0, Timestamp::default())
        })
    }

    fn numbers(chosen: Vec<RunId>) -> Vec<u128> {
        chosen.into_iter().map(|run| run.as_uuid().as_u128()).collect()
    }

    #[test]
    fn whoever_came_last_is_taken_up_before_the_second_of_a_flood() {
        let mut turns = Turns::default();
        let flood = || due("flood", 0..60);
        for _ in 0..5 {
            turns.choose(flood().collect(), 1, owner(1));
        }
        let all = flood().chain(due("other", 100..102)).chain(due("third", 200..201));
        let chosen = numbers(turns.choose(all.collect(), 5, owner(1)));
        assert!((100..102).contains(&chosen[0]) && chosen[1] == 200 && chosen[2] < 8, "{chosen:?}");
        assert!((100..102).contains(&chosen[3]) && chosen[4] < 8, "{chosen:?}");
        let all = || due("flood", 0..60).chain(due("other", 100..150));
        let each: Vec<bool> =
            (0..6).map(|_| numbers(turns.choose(all().collect(), 1, owner(1)))[0] < 100).collect();
        assert_eq!(each, [false, true, false, true, false, true], "one after the other");
    }

    #[test]
    fn engines_choose_among_the_first_each_in_an_order_of_its_own() {
        let orders: Vec<Vec<u128>> = (0..20)
            .map(|number| {
                let all = due("one", 0..60).collect();
                numbers(Turns::default().choose(all, AMONG, owner(number)))
            })
            .collect();
        for order in &orders {
            let mut sorted = order.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, (0..AMONG as u128).collect::<Vec<_>>(), "nobody is put back by more");
        }
        let firsts: std::collections::BTreeSet<u128> = orders.iter().map(|order| order[0]).collect();
        assert!(firsts.len() >= AMONG / 2, "{firsts:?}");
    }

    #[test]
    fn there_may_be_fewer_than_there_is_room_for_and_more_projects_than_are_remembered() {
        let mut turns = Turns::default();
        assert_eq!(numbers(turns.choose(due("one", 0..3).collect(), 0, owner(1))), []);
        assert_eq!(numbers(turns.choose(due("one", 0..3).collect(), 9, owner(1))).len(), 3);
        let many =
            (0..2 * REMEMBERED as u128).flat_map(|number| due(&number.to_string(), number..number + 1));
        assert_eq!(turns.choose(many.collect(), usize::MAX, owner(1)).len(), 2 * REMEMBERED);
        assert_eq!(turns.last.len(), REMEMBERED);
    }
}
