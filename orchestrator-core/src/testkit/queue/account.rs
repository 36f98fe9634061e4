//! An account of what a queue must hold, kept beside it. It goes by minutes that have been let pass, and by the order of what
//! was done; nothing falls due within less than five minutes of a moment at which it is asked.

use std::collections::BTreeMap;

use super::desk::number;
use crate::port::queue::{AGEING, Capabilities, Delivery, Receipt, Settled};

/// What is known of a ticket.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) queue: usize,
    pub(super) project: usize,
    pub(super) priority: i32,
    /// When it can be received, in minutes, and as which of all that took a place in line.
    pub(super) from: (u64, u64),
    /// How often it was given, and what its last delivery is called while that can be settled.
    pub(super) count: u32,
    pub(super) receipt: Option<Receipt>,
}

/// What becomes of a delivery.
#[derive(Debug, Clone, Copy)]
pub(super) enum Fate {
    Done,
    /// For others, so many minutes from now.
    Released(u64),
    Buried,
}

/// All tickets that are not done.
#[derive(Debug)]
pub(super) struct Account {
    pub(super) can: Capabilities,
    /// Minutes that have passed.
    pub(super) now: u64,
    /// How many have taken a place in line.
    arrivals: u64,
    pub(super) entries: BTreeMap<u32, Entry>,
    /// Those that are buried, in their order, each with how often it was given.
    pub(super) buried: Vec<(u32, Entry)>,
    /// The number of the delivery since which, for each project, a ticket could be received without a gap and none was
    /// given.
    waits: BTreeMap<usize, u64>,
    /// The number of each project's last delivery.
    given: BTreeMap<usize, u64>,
    deliveries: u64,
}

impl Account {
    pub(super) const fn new(can: Capabilities) -> Self {
        Self {
            can,
            now: 0,
            arrivals: 0,
            entries: BTreeMap::new(),
            buried: Vec::new(),
            waits: BTreeMap::new(),
            given: BTreeMap::new(),
            deliveries: 0,
        }
    }

    /// A place in line, to be taken so many minutes from now.
    fn arrive(&mut self, after: u64) -> (u64, u64) {
        self.arrivals += 1;
        (self.now + after, self.arrivals)
    }

    pub(super) fn publish(&mut self, number: u32, queue: usize, project: usize, priority: i32, after: u64) {
        let from = self.arrive(after);
        self.entries.insert(number, Entry { queue, project, priority, from, count: 0, receipt: None });
        self.look_who_waits();
    }

    pub(super) fn pass(&mut self, minutes: u64) {
        self.now += minutes;
        self.look_who_waits();
    }

    /// The tickets of these queues that can be received.
    pub(super) fn ready(&self, queues: &[usize]) -> impl Iterator<Item = (&u32, &Entry)> {
        self.entries.iter().filter(|(_, entry)| entry.from.0 <= self.now && queues.contains(&entry.queue))
    }

    fn look_who_waits(&mut self) {
        let ready: Vec<usize> = self.ready(&[0, 1]).map(|(_, entry)| entry.project).collect();
        self.waits.retain(|project, _| ready.contains(project));
        for project in ready {
            self.waits.entry(project).or_insert(self.deliveries);
        }
    }

    /// Holds an answer against the account, and enters it.
    pub(super) fn receive(&mut self, came: &[Delivery], queues: &[usize], max: usize, visibility: u64) {
        let expected = self.ready(queues).count().min(max);
        assert_eq!(came.len(), expected, "of at most {max} of {queues:?}");
        let in_line: Vec<u32> = self.in_line(queues);
        for delivery in came {
            let number = number(delivery);
            let entry = self.entries.get(&number).unwrap_or_else(|| panic!("{number} is done, and comes"));
            assert!(
                entry.from.0 <= self.now && queues.contains(&entry.queue),
                "{number} cannot come: {entry:?}"
            );
            assert_eq!(delivery.count, entry.count + 1, "{number} was given so often");
            let project = entry.project;
            let first = in_line.iter().find(|other| {
                let other = &self.entries[*other];
                other.from.0 <= self.now && (other.project == project || !self.can.fair)
            });
            assert!(!self.can.priority || first == Some(&number), "{first:?} is before {number}");
            if queues.len() == 2 && self.can.fair {
                self.assert_turn_of(project);
            }
            self.give(number, delivery.receipt.clone(), visibility);
        }
        self.look_who_waits();
    }

    /// Those that can be received, in order.
    fn in_line(&self, queues: &[usize]) -> Vec<u32> {
        let ageing = i64::try_from(AGEING.as_secs()).expect("a minute");
        let place = |entry: &Entry| {
            let since = i64::try_from(entry.from.0 * 60).expect("some hours");
            (since - i64::from(entry.priority) * ageing, entry.from.1)
        };
        let mut line: Vec<_> = self.ready(queues).map(|(number, entry)| (place(entry), *number)).collect();
        line.sort_unstable();
        line.into_iter().map(|(_, number)| number).collect()
    }

    /// A project is given one, and has been before: nobody may have waited all the while.
    fn assert_turn_of(&self, project: usize) {
        let Some(before) = self.given.get(&project) else { return };
        let waits = self.waits.iter().find(|(other, since)| **other != project && *since < before);
        assert_eq!(waits, None, "project {project} was given one as delivery {before}, and is given another");
    }

    fn give(&mut self, number: u32, receipt: Receipt, visibility: u64) {
        self.deliveries += 1;
        // Hidden for some time: it is not there any more for the rest of the answer.
        let from = self.arrive(visibility);
        let entry = self.entries.get_mut(&number).expect("it was looked at");
        entry.from = from;
        entry.count += 1;
        entry.receipt = Some(receipt);
        let project = entry.project;
        self.given.insert(project, self.deliveries);
        self.waits.remove(&project);
        self.look_who_waits();
    }

    /// Those of a queue that are buried, in their order: each with how often it was given.
    pub(super) fn letters(&self, queue: usize) -> Vec<(u32, u32)> {
        let of = self.buried.iter().filter(|(_, entry)| entry.queue == queue);
        of.map(|(number, entry)| (*number, entry.count)).collect()
    }

    /// Takes a letter away; it may be published again.
    pub(super) fn clear(&mut self, number: u32, publishes: bool) {
        let at = self.buried.iter().position(|(other, _)| *other == number).expect("it was listed");
        let (_, entry) = self.buried.remove(at);
        if publishes {
            self.publish(number, entry.queue, entry.project, entry.priority, 0);
        }
    }

    fn bury(&mut self, number: u32, entry: Entry) {
        let queue = entry.queue;
        self.buried.push((number, entry));
        if self.letters(queue).len() > self.can.letters as usize {
            let oldest = self.buried.iter().position(|(_, entry)| entry.queue == queue);
            self.buried.remove(oldest.expect("there are some"));
        }
    }

    /// What settling must answer; and enters that.
    pub(super) fn settle(&mut self, receipt: &Receipt, fate: Fate) -> Settled {
        let held = self.entries.iter().find(|(_, entry)| entry.receipt.as_ref() == Some(receipt));
        let Some((number, _)) = held.filter(|(_, entry)| entry.from.0 > self.now) else {
            return Settled::Late;
        };
        let number = *number;
        match fate {
            Fate::Done => drop(self.entries.remove(&number)),
            Fate::Buried => {
                let entry = self.entries.remove(&number).expect("it was found");
                self.bury(number, entry);
            }
            Fate::Released(after) => {
                let from = self.arrive(after);
                let entry = self.entries.get_mut(&number).expect("it was found");
                entry.from = from;
                entry.receipt = None;
            }
        }
        self.look_who_waits();
        Settled::Taken
    }
}
