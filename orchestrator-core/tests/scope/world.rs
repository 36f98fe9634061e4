//! A world: the run in the store, who owns what, two processes, what is executed, what is on its way.

use crate::bounds::{Budget, STEPS, Scope};
use crate::runs::{Ran, RunIx, Runs};
use crate::word::{How, Right, Word};

/// How many processes there are.
pub(crate) const NODES: usize = 2;

/// How many incarnations a process can have: one more than it can lose.
pub(crate) const LIVES: usize = 5;

/// What the store says of an owner, and the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) enum Lease {
    /// It is not known yet.
    #[default]
    Unborn,
    /// Its deadline lies ahead.
    Held,
    /// Its deadline has passed, and nobody has marked it.
    Past,
    Dead,
}

/// A member that was decided, and is on its way to the store or back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Flight {
    /// The state that it was decided on.
    pub(crate) base: RunIx,
    pub(crate) word: Word,
    /// The epoch in the name of which it speaks; 0 where it speaks for no driver.
    pub(crate) fence: u8,
    /// Whether its answer was lost.
    pub(crate) unsure: bool,
    /// What event `expected + 1` says: whether it is this member's.
    pub(crate) applied: bool,
}

/// A process. What it knows of the run it reads when it decides; what it is late with is its flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Node {
    /// Its incarnation, counted from 0.
    pub(crate) life: u8,
    /// The epoch under which it believes to drive the run; 0 if it does not.
    pub(crate) held: u8,
    /// The epoch under which a driver of this process, which has left, could still speak.
    pub(crate) former: u8,
    pub(crate) flight: Option<Flight>,
}

/// All there is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct World {
    pub(crate) run: RunIx,
    pub(crate) nodes: [Node; NODES],
    pub(crate) rows: [[Lease; LIVES]; NODES],
    /// A copy of a member that may still reach the store, with the owner who has sent it.
    pub(crate) wire: Option<(u8, Flight)>,
    /// What is executed: by processes that live, and by what dead ones have left behind.
    pub(crate) attempts: Vec<Right>,
    /// The last attempt whose outcome was recorded; it may be reported once more.
    pub(crate) echo: Option<Right>,
    /// The store's rows of offers: who has claimed what is offered of each step; 0: nobody.
    pub(crate) claims: [u8; STEPS],
    /// The store's inbox: how what was claimed of each step has ended, until the driver takes that in.
    pub(crate) inbox: [Option<(Right, How)>; STEPS],
    /// Who else has the place under the key.
    pub(crate) spot: Spot,
    pub(crate) left: Budget,
}

/// The only place under the key, where no step of the run holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) enum Spot {
    #[default]
    Free,
    /// Another run holds it.
    Others,
    /// The run was given it, and has not taken it up yet.
    Given,
}

/// The number of an owner.
pub(crate) const fn owner_of(node: usize, life: u8) -> u8 {
    (node * LIVES) as u8 + life + 1
}

/// The process and the incarnation of an owner.
pub(crate) const fn place_of(owner: u8) -> (usize, u8) {
    let at = owner as usize - 1;
    (at / LIVES, (at % LIVES) as u8)
}

impl World {
    pub(crate) fn new(left: Budget) -> Self {
        let mut rows = [[Lease::Unborn; LIVES]; NODES];
        rows.iter_mut().for_each(|lives| lives[0] = Lease::Held);
        Self {
            run: 0,
            nodes: [Node::default(); NODES],
            rows,
            wire: None,
            attempts: Vec::new(),
            echo: None,
            claims: [0; STEPS],
            inbox: [None; STEPS],
            spot: Spot::Free,
            left,
        }
    }

    /// Who a process is now.
    pub(crate) const fn owner(&self, node: usize) -> u8 {
        owner_of(node, self.nodes[node].life)
    }

    /// Whether an owner is what its process is now.
    pub(crate) const fn is_current(&self, owner: u8) -> bool {
        let (node, life) = place_of(owner);
        self.nodes[node].life == life
    }

    pub(crate) const fn lease(&self, owner: u8) -> Lease {
        let (node, life) = place_of(owner);
        self.rows[node][life as usize]
    }

    pub(crate) const fn set_lease(&mut self, owner: u8, lease: Lease) {
        let (node, life) = place_of(owner);
        self.rows[node][life as usize] = lease;
    }

    /// All owners that the store knows.
    pub(crate) fn owners(&self) -> impl Iterator<Item = (u8, Lease)> {
        let all = (1..=(NODES * LIVES) as u8).map(|owner| (owner, self.lease(owner)));
        all.filter(|(_, lease)| *lease != Lease::Unborn)
    }

    /// What an owner has claimed, if it has, of what is offered of a step.
    pub(crate) fn claim(&self, ran: &Ran, step: usize) -> Option<Right> {
        let (owner, (attempt, epoch)) = (self.claims[step], ran.account.away(step)?);
        (owner != 0).then_some(Right { step: step as u8, attempt, epoch, owner, remote: true })
    }

    /// Why an attempt must not be executed, if it must not: another of its step is, by somebody alive.
    pub(crate) fn doubled(&self, right: Right) -> Option<String> {
        let lives = |owner: u8| self.is_current(owner) && self.lease(owner) == Lease::Held;
        let mut others = self.attempts.iter().filter(|other| other.step == right.step && lives(other.owner));
        others.next().map(|other| format!("G5: {right} is to be executed, while {other} is"))
    }

    /// What a process executes.
    pub(crate) fn executed_by(&self, owner: u8) -> impl Iterator<Item = Right> {
        self.attempts.iter().copied().filter(move |right| right.owner == owner)
    }

    /// Whether it makes a difference what befalls a process: it drives the run, is about to, or executes something.
    pub(crate) fn matters(&self, ran: &Ran, node: usize) -> bool {
        let (owner, Node { held, flight, .. }) = (self.owner(node), self.nodes[node]);
        held != 0 || flight.is_some() || ran.account.names(owner) || self.executed_by(owner).next().is_some()
    }

    /// Forgets what nobody can ever ask for, so that worlds which differ in nothing else are one: how long an incarnation
    /// is still alive that is gone and that nothing names.
    pub(crate) fn forget_the_dead(&mut self, ran: &Ran) {
        for owner in 1..=(NODES * LIVES) as u8 {
            let (node, life) = place_of(owner);
            let sent = self.wire.is_some_and(|(by, _)| by == owner);
            let named = sent
                || self.claims.contains(&owner)
                || ran.account.names(owner)
                || self.executed_by(owner).next().is_some();
            if life < self.nodes[node].life && !named {
                self.set_lease(owner, Lease::Dead);
            }
        }
    }

    /// Forgets what a member says that comes too late, whatever it says: all that is left for it is to be refused. Of what
    /// it was decided on only that it was earlier counts.
    pub(crate) fn forget_the_late(&mut self, runs: &Runs) {
        let seq = runs.at(self.run).account.seq;
        let copied = self.wire.map(|(owner, _)| place_of(owner).0);
        for (at, node) in self.nodes.iter_mut().enumerate() {
            if let Some(flight) = &mut node.flight
                && !flight.applied
                && copied != Some(at)
                && runs.at(flight.base).account.seq < seq
            {
                *flight = Flight { base: 0, word: Word::Wake, ..*flight };
            }
        }
    }

    /// A row of an offer is gone with what was offered; and no row of the inbox is of another.
    pub(crate) fn close_offers(&mut self, ran: &Ran) -> Result<(), String> {
        for step in 0..STEPS {
            if ran.account.away(step).is_none() {
                self.claims[step] = 0;
            }
            match self.inbox[step] {
                Some((right, _)) if self.claim(ran, step) != Some(right) => {
                    return Err(format!("I7: {right} was delivered, and does not count"));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Whether the run stands in the line for the place: somebody drives it who is not known to be dead.
    fn is_in_line(&self, ran: &Ran) -> bool {
        let driver = ran.account.driver;
        ran.account.wants_a_place() && driver != 0 && self.lease(driver) != Lease::Dead
    }

    /// Where nobody holds the place, it is given to whoever stands in the line; who stands there no longer gives it back.
    pub(crate) fn give_the_place_on(&mut self, scope: &Scope, ran: &Ran) {
        let holds = ran.account.held(scope) > 0;
        self.spot = match self.spot {
            Spot::Free | Spot::Given if !holds && self.is_in_line(ran) => Spot::Given,
            Spot::Given => Spot::Free,
            spot => spot,
        };
    }

    /// What is wrong with the place, if something is.
    pub(crate) fn misplaced(&self, scope: &Scope, ran: &Ran) -> Option<String> {
        let held = ran.account.held(scope);
        let all = held + usize::from(self.spot != Spot::Free);
        if all > 1 {
            return Some(format!("I14: {held} hold the only place; {:?}", self.spot));
        }
        let waits = held == 0 && self.spot == Spot::Free && self.is_in_line(ran);
        waits.then(|| "I2: it waits for a place that nobody holds".to_owned())
    }

    /// The attempt is over, as far as this world knows.
    pub(crate) fn forget(&mut self, right: Right) {
        self.attempts.retain(|other| *other != right);
    }

    /// Why nobody will ever move the run again, if so: it is driven by a live owner who knows that, or waits for
    /// somebody, or is due; and what is begun is executed by somebody alive, or will be lost.
    pub(crate) fn stranded(&self, runs: &Runs) -> Option<String> {
        let ran = runs.at(self.run);
        let account = &ran.account;
        if account.ended {
            return None;
        }
        let driver = account.driver;
        let lives = |owner: u8| self.lease(owner) == Lease::Held && self.is_current(owner);
        let flies = |owner: u8| self.is_current(owner) && self.nodes[place_of(owner).0].flight.is_some();
        let delivered = |right: Right| self.inbox[usize::from(right.step)].is_some_and(|(of, _)| of == right);
        if driver != 0 && lives(driver) {
            let knows = self.nodes[place_of(driver).0].held == account.driver_epoch;
            if !knows && !flies(driver) {
                return Some(format!("{driver} drives the run and does not know it"));
            }
        } else if !ran.is_due() && self.inbox == [None; STEPS] && !ran.waits_for_someone() {
            return Some("nobody drives the run, and nothing of it is due".into());
        }
        let claimed = (0..STEPS).filter_map(|step| self.claim(ran, step)).filter(|right| !delivered(*right));
        // Who is gone may have delivered, or is found dead, and then the store says that it is lost.
        let forsaken = claimed.clone().find(|right| self.lease(right.owner) == Lease::Dead);
        if let Some(right) = forsaken {
            return Some(format!("{right} was claimed, and nobody says that it is lost"));
        }
        let lost = account.running().filter(|right| !flies(right.owner)).chain(claimed);
        let lost = lost.into_iter().find(|right| lives(right.owner) && !self.attempts.contains(right));
        lost.map(|right| format!("{right} is under way, and nobody executes it"))
    }
}
