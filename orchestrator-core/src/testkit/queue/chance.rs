//! Operations drawn from a seed, each answer held against an account.

use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::time::Duration;

use super::QueuePlace;
use super::account::{Account, Fate};
use super::desk::{Desk, numbered};
use super::letters::{number_of, oldest};
use crate::port::queue::{Clearing, NewTicket, Receipt, Receive, Settled, Settlement, Wait, Woken};
use crate::testkit::Model;
use crate::testkit::model::Dice;

/// How long something can be hidden, in minutes: never a multiple of ten, while what is let pass always is.
const HIDDEN: [u64; 3] = [5, 15, 35];

const PROJECTS: [&str; 3] = ["north", "south", "west"];

struct World {
    seed: u64,
    desks: [Desk; 2],
    queues: [Arc<str>; 2],
    dice: Dice,
    account: Account,
    published: u32,
    receipts: Vec<Receipt>,
    /// What was done, for whoever reads the failure.
    told: String,
}

const fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(minutes * 60)
}

impl World {
    fn index(&mut self, end: usize) -> usize {
        usize::try_from(self.dice.below(end as u64)).expect("smaller than `end`")
    }

    fn desk(&mut self) -> Desk {
        let desk = self.index(2);
        self.desks[desk].clone()
    }

    fn hidden(&mut self) -> u64 {
        HIDDEN[self.index(HIDDEN.len())]
    }

    /// Zero mostly, and always where nothing else can be.
    fn after(&mut self) -> u64 {
        if self.account.can.delayed && self.index(4) == 0 { self.hidden() } else { 0 }
    }

    /// Both queues, mostly, or one.
    fn some_queues(&mut self) -> Vec<usize> {
        match self.index(4) {
            0 => vec![0],
            1 => vec![1],
            _ => vec![0, 1],
        }
    }

    fn tell(&mut self, what: std::fmt::Arguments<'_>) {
        writeln!(self.told, "  {what}").expect("a text takes what is written");
    }

    /// Holds something against the account; if that does not hold, says what was done before.
    fn hold<T>(&mut self, check: impl FnOnce(&mut Account) -> T) -> T {
        let account = &mut self.account;
        catch_unwind(AssertUnwindSafe(|| check(account))).unwrap_or_else(|panic| {
            let found = panic.downcast_ref::<String>().map_or("what it did not expect", String::as_str);
            let Self { seed, told, .. } = self;
            resume_unwind(Box::new(format!(
                "{found}\nafter\n{told}this world again: ORCHESTRATOR_KIT_SEED={seed} ORCHESTRATOR_KIT_WORLDS=1"
            )))
        })
    }

    async fn publish(&mut self) {
        let mut tickets = Vec::new();
        for _ in 0..=self.index(3) {
            let number = self.published;
            self.published += 1;
            let (queue, project, after) = (self.index(2), self.index(PROJECTS.len()), self.after());
            let priority = if self.account.can.priority { self.index(3) as i32 - 1 } else { 0 };
            self.tell(format_args!(
                "publish {number}: queue {queue}, {priority}, project {project}, after {after}"
            ));
            self.account.publish(number, queue, project, priority, after);
            let (queue, project) = (self.queues[queue].clone(), PROJECTS[project].into());
            tickets.push(NewTicket { queue, project, priority, after: minutes(after), ..numbered(number) });
        }
        self.desk().publish(tickets).await;
    }

    async fn receive(&mut self) {
        let (queues, max, visibility) = (self.some_queues(), self.index(5), self.hidden());
        self.take(queues, max, visibility).await;
    }

    async fn take(&mut self, queues: Vec<usize>, max: usize, visibility: u64) {
        let named = queues.iter().map(|queue| self.queues[*queue].clone()).collect();
        let receive = Receive { queues: named, max, visibility: minutes(visibility) };
        let came = self.desk().queue.receive(receive).await.expect("it gives what there is");
        let numbers = super::desk::numbers(&came);
        self.tell(format_args!("receive at most {max} of {queues:?} for {visibility}: {numbers:?}"));
        self.receipts.extend(came.iter().map(|came| came.receipt.clone()));
        self.hold(|account| account.receive(&came, &queues, max, visibility));
    }

    /// One of the last deliveries, or any that ever was.
    async fn settle(&mut self) {
        let all = self.receipts.len();
        if all == 0 {
            return;
        }
        let of = if self.index(3) == 0 { all } else { all.min(4) };
        let back = self.index(of);
        let receipt = self.receipts[all - 1 - back].clone();
        let fate = match self.index(4) {
            0 | 1 => Fate::Released(self.after()),
            2 if self.account.can.letters > 0 => Fate::Buried,
            _ => Fate::Done,
        };
        let how = match fate {
            Fate::Done => Settlement::Done,
            Fate::Released(after) => Settlement::Release { after: minutes(after) },
            Fate::Buried => Settlement::Bury { reason: "by chance".into() },
        };
        let settled = self.desk().try_settle(&receipt, how).await.expect("it settles");
        self.tell(format_args!("settle {receipt}, {fate:?}: {settled:?}"));
        let expected = self.hold(|account| account.settle(&receipt, fate));
        self.hold(|_| assert_eq!(settled, expected, "of {receipt}"));
    }

    async fn look(&mut self) {
        let queues = self.some_queues();
        let named = queues.iter().map(|queue| self.queues[*queue].clone()).collect();
        let wait = Wait { queues: named, timeout: Duration::ZERO };
        let woken = self.desk().queue.wait(wait).await.expect("it looks");
        self.hold(|account| {
            let there = account.ready(&queues).next().is_some();
            assert_eq!(woken, if there { Woken::Rung } else { Woken::TimedOut }, "of {queues:?}");
        });
    }

    /// Looks at the dead letters of a queue, and clears one of them, now and then.
    async fn letters(&mut self) {
        if self.account.can.letters == 0 {
            return;
        }
        let queue = self.index(2);
        let name = self.queues[queue].clone();
        let letters = self.desk().list(oldest(Some(&name))).await;
        let found: Vec<(u32, u32)> = letters.iter().map(|letter| (number_of(letter), letter.count)).collect();
        self.hold(|account| assert_eq!(found, account.letters(queue), "the dead letters of queue {queue}"));
        if letters.is_empty() || self.index(2) == 0 {
            return;
        }
        let (letter, publishes) = (self.index(letters.len()), self.index(3) > 0);
        let number = number_of(&letters[letter]);
        let how = if publishes { Clearing::Publish } else { Clearing::Drop };
        self.tell(format_args!("clear {number}, {how:?}"));
        assert_eq!(self.desk().clear(&letters[letter].id, how).await, Ok(Settled::Taken), "of {number}");
        self.account.clear(number, publishes);
    }

    async fn pass(&mut self, some: u64) {
        self.tell(format_args!("{some} minutes pass"));
        self.desks[0].place.pass(minutes(some)).await;
        self.account.pass(some);
    }

    async fn play(mut self, length: usize) {
        for _ in 0..length {
            match self.index(11) {
                0 | 1 => self.publish().await,
                2..=4 => self.receive().await,
                5 | 6 => self.settle().await,
                7 => self.look().await,
                8 => self.letters().await,
                _ => self.pass(10).await,
            }
        }
        // Whatever is not done comes in the end.
        self.pass(60).await;
        self.take(vec![0, 1], 256, 35).await;
        for receipt in self.receipts {
            self.desks[1].done(&receipt).await;
        }
    }
}

pub(super) async fn what_chance_does_is_accounted_for(place: Arc<dyn QueuePlace>) {
    let desk = Desk::at(place).await;
    let Model { seed: first, worlds, length } = Model::from_env();
    for seed in (first..).take(worlds as usize) {
        // Each world has queues of its own in the one place.
        let queues = ["a", "b"].map(|queue| format!("{queue}-{seed}").into());
        let world = World {
            seed,
            desks: [desk.clone(), desk.another().await],
            queues,
            dice: Dice::new(seed),
            account: Account::new(desk.can()),
            published: 0,
            receipts: Vec::new(),
            told: String::new(),
        };
        world.play(length).await;
    }
}
